//! Sockets to listen on.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

use smol::net::TcpListener;

use super::Listener;

/// Connections that may wait to be taken. The system may allow fewer.
#[cfg(unix)]
const BACKLOG: i32 = 1024;

/// Why nothing listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindProblem {
    /// Not `host:port`, `:port` or `[v6]:port`, or the host does not resolve.
    Address,
    /// Another program has the port.
    InUse,
    /// Ports below 1024 need a privilege.
    Denied,
    /// No interface has the address.
    NotOurs,
    /// Anything else the operating system says.
    Other(io::ErrorKind),
}

/// An address that cannot be listened on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindError {
    /// The address as given.
    pub address: String,
    /// Why not.
    pub problem: BindProblem,
}

impl BindError {
    /// Stable code: part of the public contract.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self.problem {
            BindProblem::Address => "listen.bad_address",
            BindProblem::InUse => "listen.in_use",
            BindProblem::Denied => "listen.denied",
            BindProblem::NotOurs => "listen.not_ours",
            BindProblem::Other(_) => "listen.failed",
        }
    }

    fn new(address: &str, error: &io::Error) -> Self {
        #[expect(clippy::wildcard_enum_match_arm, reason = "the enum belongs to std and grows")]
        let problem = match error.kind() {
            io::ErrorKind::AddrInUse => BindProblem::InUse,
            io::ErrorKind::PermissionDenied => BindProblem::Denied,
            io::ErrorKind::AddrNotAvailable => BindProblem::NotOurs,
            io::ErrorKind::InvalidInput => BindProblem::Address,
            kind => BindProblem::Other(kind),
        };
        Self { address: address.to_owned(), problem }
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failed to listen on {}: ", self.address)?;
        match self.problem {
            BindProblem::Address => f.write_str(
                "not an address, or its name does not resolve: write host:port, :port or \
                     [v6]:port",
            ),
            BindProblem::InUse => {
                f.write_str("the port is in use: end the other program or choose another port")
            }
            BindProblem::Denied => f.write_str("permission denied: choose a port from 1024 up"),
            BindProblem::NotOurs => {
                f.write_str("no network interface has this address: choose another one")
            }
            BindProblem::Other(kind) => write!(f, "{kind}"),
        }
    }
}

impl std::error::Error for BindError {}

impl Listener {
    /// Binds `host:port`, `[v6]:port` or `:port`, the last meaning all addresses, IPv4 and IPv6.
    /// A name is bound on every address it has. Resolving blocks for a moment.
    ///
    /// # Errors
    /// [`BindError`] when an address of these cannot be bound.
    pub fn bind(address: &str) -> Result<Self, BindError> {
        let fail = |error: &io::Error| BindError::new(address, error);
        if address.starts_with(':') {
            let port = any_port(address)?;
            let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
            return match socket(any) {
                Ok(socket) => Ok(Self { sockets: vec![socket] }),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(fail(&error)),
                // A system without IPv6.
                Err(_) => Self::bind_all(&[SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))]),
            };
        }
        Self::bind_all(&resolve(address)?)
    }

    /// Whether [`Self::bind`] would find the address on this machine. Its port is not looked at:
    /// the server itself may have it just now.
    ///
    /// # Errors
    /// [`BindError`] when the address does not resolve, or is of another machine.
    pub fn check(address: &str) -> Result<(), BindError> {
        if address.starts_with(':') {
            return any_port(address).map(drop);
        }
        for found in resolve(address)? {
            let any_port = SocketAddr::new(found.ip(), 0);
            socket(any_port).map_err(|error| BindError::new(&found.to_string(), &error))?;
        }
        Ok(())
    }

    /// Sockets that somebody else has bound and listens on.
    ///
    /// # Errors
    /// [`BindError`] for the first that cannot be used.
    pub fn from_sockets(given: Vec<std::net::TcpListener>) -> Result<Self, BindError> {
        let mut sockets = Vec::with_capacity(given.len());
        for socket in given {
            let address = socket.local_addr().map(|address| address.to_string());
            let fail = |error| BindError::new(address.as_deref().unwrap_or("given socket"), &error);
            sockets.push(socket.try_into().map_err(fail)?);
        }
        Ok(Self { sockets })
    }

    /// Binds exactly these addresses. With port 0 in several of them, each gets its own port.
    ///
    /// # Errors
    /// [`BindError`] for the first that cannot be bound.
    pub fn bind_all(addresses: &[SocketAddr]) -> Result<Self, BindError> {
        let mut sockets = Vec::with_capacity(addresses.len());
        for address in addresses {
            let socket = socket(*address).map_err(|e| BindError::new(&address.to_string(), &e))?;
            sockets.push(socket);
        }
        Ok(Self { sockets })
    }

    /// Binds `port` of the loopback interface for the page a login returns to: 127.0.0.1, and
    /// with `both_families` also `::1` where the system has it, as `localhost` may mean either.
    ///
    /// # Errors
    /// [`BindError`] when the IPv4 address, or the port at `::1`, is taken.
    pub fn bind_loopback(port: u16, both_families: bool) -> Result<Self, BindError> {
        let mut listener = Self::bind_all(&[SocketAddr::from((Ipv4Addr::LOCALHOST, port))])?;
        if both_families {
            let port = listener.addresses().first().map_or(port, SocketAddr::port);
            let other = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
            match socket(other) {
                Ok(socket) => listener.sockets.push(socket),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    return Err(BindError::new(&other.to_string(), &error));
                }
                // A system without IPv6: nothing can arrive there either.
                Err(_) => {}
            }
        }
        Ok(listener)
    }
}

/// The port of `:port`.
fn any_port(address: &str) -> Result<u16, BindError> {
    let port = address.strip_prefix(':').and_then(|port| port.parse().ok());
    port.ok_or_else(|| BindError { address: address.to_owned(), problem: BindProblem::Address })
}

/// The addresses of `host:port` or `[v6]:port`, at least one. Blocks for a moment.
fn resolve(address: &str) -> Result<Vec<SocketAddr>, BindError> {
    let found: Vec<_> = address.to_socket_addrs().map(Iterator::collect).unwrap_or_default();
    if found.is_empty() {
        return Err(BindError { address: address.to_owned(), problem: BindProblem::Address });
    }
    Ok(found)
}

#[cfg(unix)]
fn socket(address: SocketAddr) -> io::Result<TcpListener> {
    use rustix::net::{AddressFamily, SocketType, bind, listen, socket, sockopt};
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let fd = socket(family, SocketType::STREAM, None)?;
    rustix::io::fcntl_setfd(&fd, rustix::io::FdFlags::CLOEXEC)?;
    // A restarted server must not wait for the old connections to be forgotten.
    sockopt::set_socket_reuseaddr(&fd, true)?;
    if address.is_ipv6() {
        // Whether `::` includes IPv4 is otherwise a setting of the system.
        sockopt::set_ipv6_v6only(&fd, !address.ip().is_unspecified())?;
    }
    bind(&fd, &address)?;
    listen(&fd, BACKLOG)?;
    std::net::TcpListener::from(fd).try_into()
}

#[cfg(not(unix))]
fn socket(address: SocketAddr) -> io::Result<TcpListener> {
    std::net::TcpListener::bind(address)?.try_into()
}

/// Allows this process as many open files as the system lets it have, and returns that number;
/// `None` where it cannot be told. The usual default of 1024 is less than the connections we take.
#[must_use]
pub fn raise_open_files() -> Option<u64> {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit, setrlimit};
        let mut limit = getrlimit(Resource::Nofile);
        if limit.current != limit.maximum {
            let before = limit.current;
            limit.current = limit.maximum;
            if setrlimit(Resource::Nofile, limit).is_err() {
                limit.current = before;
            }
        }
        limit.current
    }
    #[cfg(not(unix))]
    None
}
