//! Which user of this machine is at the other end of a loopback connection.
//!
//! All users of a host share its loopback interface, and arguments of programs are no secret among
//! them. Linux says to whom a socket belongs; other systems do not say it without rights.

use std::io::Read as _;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Largest table of sockets that is read: some 100,000 of them.
const TABLE_BYTES_MAX: u64 = 16 * 1024 * 1024;
const ESTABLISHED: &str = "01";

/// Whose the other end of a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Ours, or of the system's own user, who does for others what they ask: port forwarders.
    Friend,
    /// Of another user, or already given up: who does not wait for an answer is no browser.
    Stranger,
    /// The system does not say, or it is on another machine.
    Unknown,
}

/// Whose the socket `peer` is that is connected to `port` of this machine. Blocks: inside the
/// executor call it through `smol::unblock`.
///
/// The system's own user may be called by anybody, as who became it by `sudo` has the browser of
/// somebody else.
#[must_use]
pub fn owner_of(peer: SocketAddr, port: u16) -> Owner {
    let Some(own) = own_user().filter(|own| *own != 0) else { return Owner::Unknown };
    if !peer.ip().to_canonical().is_loopback() {
        return Owner::Unknown;
    }
    let tables: Vec<String> =
        ["/proc/self/net/tcp", "/proc/self/net/tcp6"].into_iter().filter_map(read).collect();
    if tables.is_empty() {
        return Owner::Unknown;
    }
    let users = tables.iter().find_map(|table| user_in(table, peer, port));
    match users {
        Some(user) if user == own || user == 0 => Owner::Friend,
        Some(_) | None => Owner::Stranger,
    }
}

fn own_user() -> Option<u32> {
    #[cfg(target_os = "linux")]
    {
        Some(rustix::process::geteuid().as_raw())
    }
    #[cfg(not(target_os = "linux"))]
    None
}

fn read(path: &str) -> Option<String> {
    let mut text = String::new();
    let file = std::fs::File::open(path).ok()?;
    file.take(TABLE_BYTES_MAX).read_to_string(&mut text).ok()?;
    Some(text)
}

/// The user of the established socket `local` whose other end has `port`, in a table as
/// proc_pid_net(5) describes it.
fn user_in(table: &str, local: SocketAddr, port: u16) -> Option<u32> {
    table.lines().skip(1).find_map(|line| {
        let mut words = line.split_ascii_whitespace().skip(1);
        let (here, there, state) = (words.next()?, words.next()?, words.next()?);
        let user = words.nth(3)?;
        let is_it = state == ESTABLISHED
            && address(here)? == SocketAddr::new(local.ip().to_canonical(), local.port())
            && address(there)?.port() == port;
        is_it.then(|| user.parse().ok())?
    })
}

/// `0100007F:22C4`: words of four bytes as this machine reads them, then the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let mut bytes = Vec::with_capacity(16);
    let mut rest = ip;
    while !rest.is_empty() {
        let (word, more) = rest.split_at_checked(8)?;
        bytes.extend(u32::from_str_radix(word, 16).ok()?.to_ne_bytes());
        rest = more;
    }
    let ip = match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(v4) => IpAddr::from(v4),
        Err(_) => Ipv6Addr::from(<[u8; 16]>::try_from(bytes.as_slice()).ok()?).to_canonical(),
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(all(test, target_os = "linux", target_endian = "little"))]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    const HEAD: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   \
                        uid  timeout inode\n";

    fn table(lines: &[(&str, &str, &str, u32)]) -> String {
        let mut text = HEAD.to_owned();
        for (here, there, state, user) in lines {
            text += &format!(
                "   0: {here} {there} {state} 00000000:00000000 00:00000000 00000000  {user}        \
                 0 41 1 0000000000000000 20 4 30 10 -1\n"
            );
        }
        text
    }

    #[test]
    fn the_line_of_the_other_end_counts() {
        let peer = "127.0.0.1:50000".parse().unwrap();
        let (own, other) = ("0100007F:C350", "0100007F:22C4");
        let find = |lines: &[(&str, &str, &str, u32)]| user_in(&table(lines), peer, 8900);
        assert_eq!(find(&[(other, own, "01", 7), (own, other, "01", 1000)]), Some(1000));
        assert_eq!(find(&[(own, "0100007F:0050", "01", 7)]), None, "with another server");
        assert_eq!(find(&[("0100007F:C351", other, "01", 7)]), None, "another client");
        // What is being closed belongs to nobody any more, which reads like the system's user.
        for state in ["04", "05", "06", "08"] {
            assert_eq!(find(&[(own, other, state, 0)]), None);
        }
        // A socket of both families.
        let (mapped, their) =
            ("0000000000000000FFFF00000100007F:C350", "0000000000000000FFFF00000100007F:22C4");
        assert_eq!(find(&[(mapped, their, "01", 1000)]), Some(1000));
        assert_eq!(find(&[("nonsense", "", "01", 1)]), None);
        let v6 = "[::1]:50000".parse().unwrap();
        let line = [(
            "00000000000000000000000001000000:C350",
            "00000000000000000000000001000000:22C4",
            "01",
            1001,
        )];
        assert_eq!(user_in(&table(&line), v6, 8900), Some(1001));
    }

    #[test]
    fn the_tables_of_this_machine_are_read() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let peer = client.local_addr().unwrap();
        let user = read("/proc/self/net/tcp").and_then(|table| user_in(&table, peer, port));
        assert_eq!(user, own_user());
        let expected = if own_user() == Some(0) { Owner::Unknown } else { Owner::Friend };
        assert_eq!(owner_of(peer, port), expected);
        assert_eq!(owner_of("192.0.2.1:50000".parse().unwrap(), port), Owner::Unknown);
        drop(client);
        let user = read("/proc/self/net/tcp").and_then(|table| user_in(&table, peer, port));
        assert_eq!(user, None);
    }
}
