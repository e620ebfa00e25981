//! Takes connections, holds every deadline and hands complete requests to a service.

mod bind;
mod connection;
mod limits;
mod registry;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use exchange_core::http::{Phase, Refusal, Request, Response};
use smol::future;
use smol::net::{TcpListener, TcpStream};

use crate::clock;
use crate::executor::{spawn, within};
use crate::tls::ServerTls;

pub use bind::{BindError, BindProblem, raise_open_files};
pub use connection::overloaded;
pub use limits::ListenLimits;
pub use registry::Load;

use registry::Registry;

/// Pause after the system could not give another connection: out of descriptors or memory.
const ACCEPT_PAUSE_MILLIS: u64 = 100;
/// Connections closed to get descriptors back then.
const ACCEPT_SHED: usize = 16;
/// Connections taken in a row before others get a turn.
const ACCEPT_BURST: u32 = 32;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Address and port of the other end of the TCP connection.
    pub address: SocketAddr,
    /// Whether the request came inside TLS.
    pub tls: bool,
}

/// What answers requests.
pub trait Service: Send + Sync + 'static {
    /// Answers one request. After [`ListenLimits::answer_millis`] it is dropped and the client
    /// gets 503.
    fn call(&self, peer: Peer, request: Request) -> impl Future<Output = Response> + Send;

    /// Hears what went wrong before there was a request to answer. Must not block.
    fn notice(&self, notice: Notice) {
        let _ = notice;
    }
}

/// Something worth a counter or, rate-limited, a line in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The bytes of a client are no request; it got an answer that says so.
    Refused {
        /// Who sent them.
        peer: Peer,
        /// What was wrong.
        refusal: Refusal,
    },
    /// A client did not finish in time.
    Late {
        /// Which.
        peer: Peer,
        /// What was awaited.
        phase: Phase,
    },
    /// A client did not take its answer in time, or went away.
    NotTaken {
        /// Which.
        peer: Peer,
    },
    /// The service gave no answer in time.
    Unanswered {
        /// Who had asked.
        peer: Peer,
    },
    /// A TLS handshake failed or was not finished in time.
    Handshake {
        /// With whom.
        peer: Peer,
        /// How.
        kind: io::ErrorKind,
    },
    /// A connection was closed at once: too many are open, in all or from its address.
    TurnedAway {
        /// Whose.
        address: SocketAddr,
    },
    /// The operating system gave no connection. Taking connections goes on after a pause.
    Accept {
        /// Why.
        kind: io::ErrorKind,
    },
}

/// How serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections still busy when the time was over. They are cut by the end of the process.
    pub left: usize,
}

/// Bound sockets, not yet served.
#[derive(Debug)]
pub struct Listener {
    sockets: Vec<TcpListener>,
}

impl Listener {
    /// Where it listens, with the port the system chose for port 0.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.sockets.iter().filter_map(|socket| socket.local_addr().ok()).collect()
    }

    /// Serves until `stop` resolves, then takes no more connections, closes idle ones and waits
    /// for requests being answered, [`ListenLimits::drain_millis`] at most.
    ///
    /// With `tls` every connection is TLS, and its certificate may be exchanged meanwhile. Needs
    /// [`crate::executor::run`] around it.
    pub async fn serve<S: Service>(
        self,
        service: Arc<S>,
        tls: Option<Arc<ServerTls>>,
        limits: ListenLimits,
        load: Arc<Load>,
        stop: impl Future<Output = ()>,
    ) -> Drained {
        let registry = Arc::new(Registry::new(&limits, load));
        let accepting: Vec<_> = self
            .sockets
            .into_iter()
            .map(|socket| {
                let shared =
                    connection::Shared { service: Arc::clone(&service), tls: tls.clone(), limits };
                spawn(accept_loop(socket, Arc::clone(&registry), Arc::new(shared)))
            })
            .collect();
        stop.await;
        for task in accepting {
            // Cancelling closes the socket, so that a successor may bind it.
            task.cancel().await;
        }
        registry.drain();
        let empty = async {
            while registry.open() > 0 {
                clock::sleep(10).await;
            }
        };
        let _ = within(limits.drain_millis, empty).await;
        Drained { left: registry.open() }
    }
}

async fn accept_loop<S: Service>(
    socket: TcpListener,
    registry: Arc<Registry>,
    shared: Arc<connection::Shared<S>>,
) {
    let mut burst: u32 = 0;
    loop {
        match socket.accept().await {
            Ok((tcp, address)) => admit(tcp, canonical(address), &registry, &shared),
            // The client gave up while it waited in the queue.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionAborted
                        | io::ErrorKind::ConnectionReset
                        | io::ErrorKind::Interrupted
                ) => {}
            Err(error) => {
                shared.service.notice(Notice::Accept { kind: error.kind() });
                registry.shed(ACCEPT_SHED);
                clock::sleep(ACCEPT_PAUSE_MILLIS).await;
            }
        }
        burst = burst.wrapping_add(1);
        if burst.is_multiple_of(ACCEPT_BURST) {
            future::yield_now().await;
        }
    }
}

/// A socket for both families gives IPv4 clients as `::ffff:a.b.c.d`; nobody knows them by that.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(_) => address,
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(v4) => SocketAddr::from((v4, v6.port())),
            None => address,
        },
    }
}

fn admit<S: Service>(
    tcp: TcpStream,
    address: SocketAddr,
    registry: &Arc<Registry>,
    shared: &Arc<connection::Shared<S>>,
) {
    match registry.admit(address.ip()) {
        Some(ticket) => {
            // Answers are one write each; waiting for more would only delay them.
            let _ = tcp.set_nodelay(true);
            let shared = Arc::clone(shared);
            spawn(connection::serve(tcp, address, ticket, shared)).detach();
        }
        None => shared.service.notice(Notice::TurnedAway { address }),
    }
}

#[cfg(test)]
mod tests;
