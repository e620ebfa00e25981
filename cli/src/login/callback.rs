//! The callback server of one login, and addresses that are pasted instead.

use std::io::{BufRead as _, Read as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use exchange_core::http::{Headers, Method, Request, RequestHead, Response, Version};
use exchange_core::login::{AuthorizationEntropy, Input, ListenTrouble};
use exchange_core::machine::RequestId;
use exchange_core::oidc::callback_page;
use exchange_core::types::Url;
use exchange_smol::desk::{Arrival, Desk, Taken};
use exchange_smol::entropy::{NoEntropy, draw};
use exchange_smol::executor::{spawn, within};
use exchange_smol::listen::{
    BindError, BindProblem, ListenLimits, Listener, Load, Notice, Peer, Service, overloaded,
};
use exchange_smol::neighbours::{Owner, owner_of};
use exchange_smol::tls::ServerTls;
use smol::Task;
use smol::channel::{Receiver, Sender, bounded};
use zeroize::Zeroizing;

use crate::terminal;

/// For the last page to reach the browser.
const CLOSE_MILLIS: u64 = 3_000;
/// Requests of pasted addresses have numbers that no connection gets.
const PASTED: u64 = 1 << 63;
/// Longest address that is read from the terminal.
const LINE_BYTES_MAX: usize = 16 * 1024;

/// A running callback server. Stops when dropped or closed.
pub(crate) struct Callback {
    _stop: Sender<()>,
    servers: Vec<Task<()>>,
}

/// How the callback server is reached.
#[derive(Clone, Default)]
pub(crate) struct Reach {
    /// Its TLS, if it has any.
    pub(crate) tls: Option<Arc<ServerTls>>,
    /// Whether something stands in front of it, which may belong to another user.
    pub(crate) is_behind_proxy: bool,
}

impl Callback {
    /// Listens on the first of `ports` that is free. The first of `addresses` must work, the
    /// others are tried. Returns the first as it is.
    pub(crate) fn open(
        addresses: &[SocketAddr],
        ports: &[u16],
        reach: &Reach,
        desk: &Arc<Desk<Input>>,
    ) -> Result<(Self, SocketAddr), ListenTrouble> {
        let mut trouble = ListenTrouble::Other;
        for port in ports {
            match bind(addresses, *port) {
                Ok((listeners, at)) => {
                    let guard = Arc::new(Guard {
                        desk: Arc::clone(desk),
                        port: (!reach.is_behind_proxy).then_some(at.port()),
                        has_warned: AtomicBool::new(false),
                    });
                    return Ok((Self::serve(listeners, reach, &guard), at));
                }
                Err(error) => trouble = trouble_of(&error),
            }
        }
        Err(trouble)
    }

    fn serve(listeners: Vec<Listener>, reach: &Reach, guard: &Arc<Guard>) -> Self {
        let (stop, stopped) = bounded::<()>(1);
        let servers = listeners
            .into_iter()
            .map(|listener| {
                let (guard, tls, stopped) = (Arc::clone(guard), reach.tls.clone(), stopped.clone());
                let load = Arc::new(Load::default());
                spawn(async move {
                    let stop = until_closed(stopped);
                    listener.serve(guard, tls, ListenLimits::CALLBACK, load, stop).await;
                })
            })
            .collect();
        Self { _stop: stop, servers }
    }

    /// Takes no more connections and waits until the answers under way have been sent.
    pub(crate) async fn close(self) {
        let Self { _stop: stop, servers } = self;
        drop(stop);
        let all = async {
            for server in servers {
                server.await;
            }
        };
        let _ = within(CLOSE_MILLIS, all).await;
    }
}

/// Turns other users of this machine away: they can read the login's address, with the state in
/// it, among the arguments of the browser, and would log somebody in as themselves.
struct Guard {
    desk: Arc<Desk<Input>>,
    /// Where it stands, if it is to look.
    port: Option<u16>,
    has_warned: AtomicBool,
}

impl Service for Guard {
    async fn call(&self, peer: Peer, request: Request) -> Response {
        if let Some(port) = self.port
            && smol::unblock(move || owner_of(peer.address, port)).await == Owner::Stranger
        {
            if !self.has_warned.swap(true, Ordering::Relaxed) {
                terminal::error_line(
                    "warning: another user of this machine sent something to this login; it \
                     does not count",
                );
            }
            return callback_page::stranger();
        }
        self.desk.call(peer, request).await
    }

    fn notice(&self, notice: Notice) {
        self.desk.notice(notice);
    }
}

/// All sockets of one port. Where another program has the port at one of the addresses it is not
/// free, as a browser that is sent to `localhost` may go to that program.
fn bind(addresses: &[SocketAddr], port: u16) -> Result<(Vec<Listener>, SocketAddr), BindError> {
    let mut listeners = Vec::with_capacity(addresses.len());
    let mut at: Option<SocketAddr> = None;
    for address in addresses {
        let wanted = SocketAddr::new(address.ip(), at.map_or(port, |at| at.port()));
        match Listener::bind_all(&[wanted]) {
            Ok(listener) => {
                at = at.or_else(|| listener.addresses().first().copied());
                listeners.push(listener);
            }
            Err(error) if at.is_none() || (port != 0 && error.problem == BindProblem::InUse) => {
                return Err(error);
            }
            // No such address here: a machine without IPv6, say.
            Err(_) => {}
        }
    }
    let nowhere = || SocketAddr::new(std::net::Ipv4Addr::LOCALHOST.into(), port);
    Ok((listeners, at.unwrap_or_else(nowhere)))
}

async fn until_closed(stopped: Receiver<()>) {
    let _ = stopped.recv().await;
}

fn trouble_of(error: &BindError) -> ListenTrouble {
    match error.problem {
        BindProblem::InUse => ListenTrouble::InUse,
        BindProblem::Denied => ListenTrouble::Denied,
        BindProblem::Address | BindProblem::NotOurs | BindProblem::Other(_) => ListenTrouble::Other,
    }
}

/// Randomness for one authorization request.
pub(crate) fn authorization_entropy() -> Result<AuthorizationEntropy, NoEntropy> {
    Ok(AuthorizationEntropy { state: draw()?, nonce: draw()?, verifier: draw()? })
}

/// Requests at the listener as inputs of the machine.
pub(crate) fn desk(inputs: Sender<Input>) -> Arc<Desk<Input>> {
    let make = |Arrival { id, request, .. }: Arrival| {
        let body = match request.body {
            Ok(body) => body.into(),
            Err(fault) => return Taken::Answer(fault.refusal().response()),
        };
        match authorization_entropy() {
            Ok(entropy) => {
                Taken::Input(Input::Callback { request: id, head: request.head, body, entropy })
            }
            Err(NoEntropy) => Taken::Answer(overloaded()),
        }
    };
    Desk::new(inputs, make, |_| ())
}

/// Whether this is the number of a pasted address.
pub(crate) fn is_pasted(id: RequestId) -> bool {
    id.0 >= PASTED
}

/// Reads addresses from the terminal for as long as the program lives: where the browser cannot
/// reach this machine, its address bar still shows where the provider sent it.
pub(crate) fn read_pasted(inputs: Sender<Input>, on_nonsense: impl Fn() + Send + 'static) {
    let _ = thread::Builder::new().name("paste".to_owned()).spawn(move || {
        let mut stdin = std::io::stdin().lock();
        for number in PASTED.. {
            let mut line = Zeroizing::new(String::with_capacity(LINE_BYTES_MAX));
            let cap = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX);
            match (&mut stdin).take(cap).read_line(&mut line) {
                Ok(1..) => {}
                Ok(0) | Err(_) => return,
            }
            let line = line.trim();
            if line.is_empty() {
                continue;
            }
            let Some(head) = request_of(line) else {
                on_nonsense();
                continue;
            };
            let Ok(entropy) = authorization_entropy() else { return };
            let request = RequestId(number);
            let body = Zeroizing::default();
            if inputs.send_blocking(Input::Callback { request, head, body, entropy }).is_err() {
                return;
            }
        }
    });
}

/// The request that a browser makes for that address.
fn request_of(address: &str) -> Option<RequestHead> {
    let url: Url = address.parse().ok()?;
    let mut headers = Headers::default();
    headers.push("host", url.authority().as_bytes());
    Some(RequestHead {
        method: Method::Get,
        target: url.target().into(),
        version: Version::Http11,
        headers,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pasted_address_is_the_request_of_its_browser() {
        let head = request_of("http://127.0.0.1:8900/callback?code=a&state=b").expect("a URL");
        assert_eq!(&*head.target, "/callback?code=a&state=b");
        assert_eq!(head.headers.get_str("host"), Some("127.0.0.1:8900"));
        assert!(request_of("code=a&state=b").is_none());
        assert!(is_pasted(RequestId(PASTED)) && !is_pasted(RequestId(1)));
    }
}
