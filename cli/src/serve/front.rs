//! Where requests come in: sockets, and the counts of what never becomes a request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use exchange_core::config::{ListenAddr, Settings};
use exchange_core::machine::RequestId;
use exchange_core::server::{self, Call, Connections, Door, Input};
use exchange_smol::desk::{Arrival, Desk, Taken};
use exchange_smol::listen::{Listener, Load, Notice, overloaded};
use exchange_smol::{clock, entropy};
use smol::channel::Sender;

use super::load::{Problems, refused};
use super::scribe::Order;
use super::{hands, log};
use crate::exit::Failure;

/// A socket of the service manager with its name.
pub(super) type GivenSocket = (Option<String>, std::net::TcpListener);

/// Inputs that wait for the machine, for each connection that may be open: its request, and one
/// more for what the machine itself is answered or whose client has gone. More requests are refused.
const INPUTS_A_CONNECTION: usize = 2;
/// Room for inputs where few connections are allowed.
const INPUTS_MIN: usize = 1024;
/// How often the log may say that the system gives no connections.
const SAY_MILLIS: u64 = 60_000;

/// The main listener and that for metrics: sockets the service manager gave, one named `metrics`
/// for those, else bound by us.
pub(super) fn listeners(
    settings: &Settings,
    given: Vec<GivenSocket>,
) -> Result<(Listener, Option<Listener>), Failure> {
    let (metrics, main): (Vec<_>, Vec<_>) =
        given.into_iter().partition(|(name, _)| name.as_deref() == Some("metrics"));
    let from = |sockets: Vec<GivenSocket>| {
        let sockets = sockets.into_iter().map(|(_, socket)| socket).collect();
        Listener::from_sockets(sockets)
            .map_err(|error| refused(error.code(), format!("socket activation: {error}")))
    };
    let listener = if main.is_empty() {
        bind(&settings.listen.to_string(), "listen")?
    } else {
        log::info("socket activation: listen is not used");
        from(main)?
    };
    let metrics = match &settings.metrics_listen {
        _ if !metrics.is_empty() => Some(from(metrics)?),
        None => None,
        Some(address) => Some(bind(&address.to_string(), "metrics_listen")?),
    };
    Ok((listener, metrics))
}

fn bind(address: &str, setting: &str) -> Result<Listener, Failure> {
    Listener::bind(address).map_err(|error| refused(error.code(), format!("{setting}: {error}")))
}

/// Whether both listeners could be bound here, ports aside.
pub(super) fn check(settings: &Settings, problems: &mut Problems) {
    let mut look = |address: &ListenAddr, setting: &str| {
        let found = Listener::check(&address.to_string());
        problems.keep(found.map_err(|error| refused(error.code(), format!("{setting}: {error}"))));
    };
    look(&settings.listen, "listen");
    if let Some(address) = &settings.metrics_listen {
        look(address, "metrics_listen");
    }
}

/// The answer to what the machine cannot take: on record, as all refusals of `/exchange` are.
fn turned_away(door: Door, scribe: &Sender<Order>, arrival: &Arrival) -> Taken<Input> {
    let Arrival { id, peer, request } = arrival;
    if !door.leads_to_exchange(&request.head) {
        return Taken::Answer(overloaded());
    }
    let (event, response) = server::overloaded(clock::now().wall, *id, peer.address);
    match scribe.try_send(Order::Answer { id: *id, events: vec![event], response }) {
        Ok(()) => Taken::Elsewhere,
        Err(_) => Taken::Answer(overloaded()),
    }
}

/// What the listeners have seen.
#[derive(Default)]
pub(super) struct Front {
    /// Counts of the main listener.
    pub(super) load: Arc<Load>,
    refused: AtomicU64,
    late: AtomicU64,
    handshakes_failed: AtomicU64,
    /// When the log last said that the system gives no connections, in milliseconds and from 1.
    said: AtomicU64,
}

impl Front {
    /// Turns requests of connections into inputs of the machine.
    pub(super) fn desk(
        self: &Arc<Self>,
        inputs: &Sender<Input>,
        scribe: &Sender<Order>,
        door: Door,
        connections_max: usize,
    ) -> Arc<Desk<Input>> {
        let inputs_max = connections_max.saturating_mul(INPUTS_A_CONNECTION).max(INPUTS_MIN);
        let (front, ears) = (Arc::clone(self), Arc::clone(self));
        let (queue, scribe) = (inputs.clone(), scribe.clone());
        let make = move |arrival: Arrival| {
            let entropy = if queue.len() < inputs_max { entropy::draw().ok() } else { None };
            let Some(entropy) = entropy else { return turned_away(door, &scribe, &arrival) };
            let Arrival { id, peer, request } = arrival;
            log::debug(format_args!(
                "[HTTP] {} {} from {}",
                request.head.method.as_str(),
                request.head.path(),
                peer.address
            ));
            let mark = if door == Door::Metrics { hands::BY_METRICS } else { 0 };
            Taken::Input(Input::Request(Box::new(Call {
                id: RequestId(id.0 | mark),
                peer: peer.address,
                tls: peer.tls,
                door,
                connections: front.seen(),
                head: request.head,
                body: request.body,
                entropy,
            })))
        };
        Desk::new(inputs.clone(), make, move |notice| ears.hear(notice))
    }

    fn seen(&self) -> Connections {
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let read = |n: &AtomicU64| n.load(Ordering::Relaxed);
        Connections {
            open: count(self.load.open()),
            evicted: count(self.load.evicted()),
            turned_away: count(self.load.turned_away()),
            refused: read(&self.refused),
            late: read(&self.late),
            handshakes_failed: read(&self.handshakes_failed),
        }
    }

    fn hear(&self, notice: Notice) {
        log::debug(format_args!("[HTTP] {notice:?}"));
        let counter = match notice {
            Notice::Refused { .. } => &self.refused,
            Notice::Late { .. } | Notice::NotTaken { .. } | Notice::Unanswered { .. } => &self.late,
            Notice::Handshake { .. } => &self.handshakes_failed,
            Notice::TurnedAway { .. } => return,
            Notice::Accept { kind } => return self.say(kind),
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// The operator can help here, but does not want to read it a hundred times a second.
    fn say(&self, kind: std::io::ErrorKind) {
        let now = clock::mono().millis().saturating_add(1);
        let last = self.said.load(Ordering::Relaxed);
        if last == 0 || now.saturating_sub(last) >= SAY_MILLIS {
            self.said.store(now, Ordering::Relaxed);
            log::warn(&format!(
                "the system gives no more connections ({kind}): raise the limit of open files \
                 (LimitNOFILE, ulimit -n) or lower max_connections"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use exchange_core::http::{Headers, Method, Request, RequestHead, Version};
    use exchange_core::server::audit::EventType;
    use exchange_smol::listen::{Peer, Service as _};
    use smol::channel::unbounded;
    use smol::future;

    use super::*;

    fn post(path: &str) -> Request {
        let head = RequestHead {
            method: Method::Post,
            target: path.into(),
            version: Version::Http11,
            headers: Headers::default(),
        };
        Request { head, body: Ok(Default::default()) }
    }

    #[test]
    fn a_full_queue_refuses_on_record() {
        let ((inputs, _stuck), (scribe, orders)) = (unbounded(), unbounded());
        for _ in 0..INPUTS_MIN {
            inputs.try_send(Input::Recorded(Vec::new())).expect("an open channel");
        }
        let desk = Arc::new(Front::default()).desk(&inputs, &scribe, Door::Main, 1);
        let peer = Peer { address: "192.0.2.7:4000".parse().expect("an address"), tls: true };
        smol::block_on(async {
            let mut asked = std::pin::pin!(desk.call(peer, post("/exchange")));
            assert!(future::poll_once(&mut asked).await.is_none(), "not before it is written");
            let order = orders.try_recv().expect("an order");
            let answer = match order {
                Order::Answer { id, events, response } => Some((id, events, response)),
                Order::Reopen | Order::Finish(_) => None,
            };
            let (id, events, response) = answer.expect("something to write and an answer");
            let found: Vec<_> = events.iter().map(|e| (e.kind, e.peer, e.code)).collect();
            let refused = EventType::RequestRefused;
            assert_eq!(found, [(refused, peer.address, Some("server.overloaded"))]);
            assert_eq!((response.status, response.header("retry-after")), (503, Some("1")));
            desk.answer(id, response);
            assert_eq!(asked.await.status, 503);
            // Nothing else is recorded either.
            assert_eq!(desk.call(peer, post("/healthz")).await.status, 503);
            assert!(orders.is_empty());
        });
    }
}
