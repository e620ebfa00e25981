//! Where the session bus is (D-Bus specification, "Server Addresses").

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect as connect_to};

use super::{DbusError, left};

/// Pause before a bus with too many waiting callers is tried again.
const PAUSE: Duration = Duration::from_millis(10);

/// The address variable, and where the bus of a login session is when it is not set.
const VARIABLE: &str = "DBUS_SESSION_BUS_ADDRESS";
const RUNTIME: &str = "XDG_RUNTIME_DIR";

/// One place where a bus may be.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    File(Vec<u8>),
    Abstract(Vec<u8>),
}

/// Connects to the first of the places that answers.
pub(super) fn connect(
    variable: impl Fn(&str) -> Option<String>,
    until: Instant,
) -> Result<UnixStream, DbusError> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    let runtime = set(RUNTIME);
    let places = match set(VARIABLE) {
        Some(list) => places(&list, runtime.as_deref()),
        None => match &runtime {
            Some(folder) => vec![bus_in(folder)],
            None => return Err(DbusError::NoBus("no session bus: no D-Bus address is set")),
        },
    };
    for place in &places {
        if let Some(stream) = try_place(place, until)? {
            return Ok(stream);
        }
    }
    Err(DbusError::NoBus("no session bus answers at the D-Bus address"))
}

fn bus_in(folder: &str) -> Place {
    Place::File(format!("{folder}/bus").into_bytes())
}

/// The Unix sockets of an address list; other transports are left out.
fn places(list: &str, runtime: Option<&str>) -> Vec<Place> {
    list.split(';')
        .filter_map(|address| {
            let (transport, keys) = address.split_once(':')?;
            if transport != "unix" {
                return None;
            }
            keys.split(',').filter_map(|pair| pair.split_once('=')).find_map(|(key, value)| {
                match key {
                    "path" => unescape(value).map(Place::File),
                    "abstract" => unescape(value).map(Place::Abstract),
                    "runtime" if value == "yes" => runtime.map(bus_in),
                    _ => None,
                }
            })
        })
        .collect()
}

/// `%` and two hexadecimal digits stand for a byte.
fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first != b'%' {
            out.push(*first);
            continue;
        }
        let (digits, tail) = rest.split_at_checked(2)?;
        let digits = std::str::from_utf8(digits).ok().filter(|text| !text.starts_with('+'))?;
        out.push(u8::from_str_radix(digits, 16).ok()?);
        rest = tail;
    }
    Some(out)
}

/// `None` when nobody listens there. A connect that blocks would have no deadline.
fn try_place(place: &Place, until: Instant) -> Result<Option<UnixStream>, DbusError> {
    let address = match place {
        Place::File(path) => SocketAddrUnix::new(path.as_slice()),
        #[cfg(target_os = "linux")]
        Place::Abstract(name) => SocketAddrUnix::new_abstract_name(name),
        #[cfg(not(target_os = "linux"))]
        Place::Abstract(_) => return Ok(None),
    };
    let Ok(address) = address else { return Ok(None) };
    loop {
        let Ok(socket) = socket() else { return Ok(None) };
        match connect_to(&socket, &address) {
            Ok(()) => {
                let stream = UnixStream::from(socket);
                stream.set_nonblocking(false)?;
                return Ok(Some(stream));
            }
            // Its queue is full.
            Err(Errno::AGAIN) => thread::sleep(left(until)?.min(PAUSE)),
            Err(Errno::INTR) => {}
            Err(_) => return Ok(None),
        }
    }
}

#[cfg(target_os = "linux")]
fn socket() -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
}

#[cfg(not(target_os = "linux"))]
fn socket() -> rustix::io::Result<OwnedFd> {
    let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_address_lists() {
        let file = |path: &str| Place::File(path.as_bytes().to_vec());
        for (list, expected) in [
            ("unix:path=/run/bus", vec![file("/run/bus")]),
            ("unix:guid=1,path=/a%20b%2C,x=y", vec![file("/a b,")]),
            ("unix:abstract=/tmp/x", vec![Place::Abstract(b"/tmp/x".to_vec())]),
            ("tcp:host=h,port=1;unix:path=/b", vec![file("/b")]),
            ("unix:runtime=yes", vec![file("/run/user/7/bus")]),
            ("unix:path=/a%2", vec![]),
            ("unix:path=/a%+1", vec![]),
            ("unix:tmpdir=/tmp", vec![]),
            ("unixexec:path=/bin/sh", vec![]),
            ("autolaunch:", vec![]),
            (";;unix", vec![]),
        ] {
            assert_eq!(places(list, Some("/run/user/7")), expected, "{list}");
        }
    }

    #[test]
    fn says_why_there_is_none() {
        let until = Instant::now() + Duration::from_secs(5);
        let why = |address: Option<&str>| {
            let found =
                connect(|name| address.filter(|_| name == VARIABLE).map(str::to_owned), until);
            match found {
                Err(DbusError::NoBus(why)) => why,
                other => panic!("{other:?}"),
            }
        };
        assert!(why(None).contains("no D-Bus address"));
        assert!(why(Some("unix:path=/nonexistent/bus")).contains("answers"));
        assert!(why(Some("tcp:host=localhost,port=1")).contains("answers"));
    }
}
