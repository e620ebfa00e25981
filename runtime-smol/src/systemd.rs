//! The service manager: what it is told, and the sockets it hands over.
//!
//! Without one, telling does nothing and there are no sockets. See `sd_notify(3)` and
//! `sd_listen_fds(3)`, whose protocols other managers speak as well.

use std::ffi::OsStr;
use std::io;
use std::net::TcpListener;

/// What a service may say of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Start or reload is complete.
    Ready,
    /// A reload has begun; [`State::Ready`] ends it.
    Reloading,
    /// The orderly end has begun.
    Stopping,
}

/// Whom to tell.
#[derive(Debug)]
pub struct Manager {
    #[cfg(unix)]
    to: Option<(std::os::unix::net::UnixDatagram, std::os::unix::net::SocketAddr)>,
}

impl Manager {
    /// The manager behind this socket, the value of `NOTIFY_SOCKET`: a path, or with `@` in front
    /// a name without a file. Nobody when it is absent or cannot be reached.
    #[must_use]
    pub fn at(socket: Option<&OsStr>) -> Self {
        #[cfg(unix)]
        {
            let to = socket.filter(|name| !name.is_empty()).and_then(|name| {
                let ours = std::os::unix::net::UnixDatagram::unbound().ok()?;
                ours.set_nonblocking(true).ok()?;
                Some((ours, address(name)?))
            });
            Self { to }
        }
        #[cfg(not(unix))]
        {
            let _ = socket;
            Self {}
        }
    }

    /// Tells it, if there is one. A manager that does not listen is no reason to fail.
    pub fn tell(&self, state: State) {
        #[cfg(unix)]
        if let Some((ours, address)) = &self.to {
            let _ = ours.send_to_addr(message(state).as_bytes(), address);
        }
        #[cfg(not(unix))]
        let _ = state;
    }
}

#[cfg(unix)]
fn address(name: &OsStr) -> Option<std::os::unix::net::SocketAddr> {
    #[cfg(target_os = "linux")]
    if let Some(name) = std::os::unix::ffi::OsStrExt::as_bytes(name).strip_prefix(b"@") {
        use std::os::linux::net::SocketAddrExt as _;
        return std::os::unix::net::SocketAddr::from_abstract_name(name).ok();
    }
    std::os::unix::net::SocketAddr::from_pathname(name).ok()
}

#[cfg(unix)]
fn message(state: State) -> String {
    match state {
        State::Ready => "READY=1".to_owned(),
        State::Stopping => "STOPPING=1".to_owned(),
        State::Reloading => {
            // With it the manager tells an answer to its own request from an earlier one.
            let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
            let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
            format!("RELOADING=1\nMONOTONIC_USEC={micros}")
        }
    }
}

/// Listening sockets the manager made for us (`LISTEN_FDS`), with their names, in its order.
///
/// To be called once, before anything else is opened: descriptors are known by number only.
///
/// # Errors
/// The variables are malformed, or a descriptor is no listening TCP socket.
pub fn sockets() -> io::Result<Vec<(Option<String>, TcpListener)>> {
    // On Apple's systems a descriptor cannot be asked, and launchd has another way.
    #[cfg(all(unix, not(target_vendor = "apple")))]
    {
        use rustix::net::{SocketType, sockopt};
        let invalid = |text| io::Error::new(io::ErrorKind::InvalidInput, text);
        let given = sd_listen_fds::get().map_err(|_| invalid("LISTEN_FDS is no number"))?;
        let checked = given.into_iter().map(|(name, fd)| {
            let fd = fd.into_std();
            let is_listener = sockopt::socket_type(&fd) == Ok(SocketType::STREAM)
                && sockopt::socket_acceptconn(&fd) == Ok(true);
            let socket = TcpListener::from(fd);
            // Of another family than IP it has no such address.
            if !is_listener || socket.local_addr().is_err() {
                std::mem::forget(socket);
                return Err(invalid("a socket of the service manager is no listening TCP socket"));
            }
            rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
            Ok((name, socket))
        });
        // All are looked at before any is given up, so that none of an unknown kind is closed.
        checked.collect::<Vec<_>>().into_iter().collect()
    }
    #[cfg(any(not(unix), target_vendor = "apple"))]
    Ok(Vec::new())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::net::UnixDatagram;

    #[test]
    fn tells_a_path_and_an_abstract_name_and_nobody() {
        let path = std::env::temp_dir().join(format!("notify-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let by_path = UnixDatagram::bind(&path).unwrap();
        Manager::at(Some(path.as_os_str())).tell(State::Ready);
        let mut buffer = [0; 100];
        let count = by_path.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..count], b"READY=1");
        std::fs::remove_file(&path).unwrap();
        // Nobody is there any more.
        Manager::at(Some(path.as_os_str())).tell(State::Stopping);
        Manager::at(None).tell(State::Ready);
        #[cfg(target_os = "linux")]
        {
            use std::os::linux::net::SocketAddrExt as _;
            let name = format!("notify-{}", std::process::id());
            let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
            let by_name = UnixDatagram::bind_addr(&address).unwrap();
            Manager::at(Some(OsStr::new(&format!("@{name}")))).tell(State::Reloading);
            let count = by_name.recv(&mut buffer).unwrap();
            assert!(buffer[..count].starts_with(b"RELOADING=1\nMONOTONIC_USEC="));
        }
    }
}
