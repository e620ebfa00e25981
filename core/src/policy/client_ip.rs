//! Which address a request comes from, and whose word on that counts.

use core::fmt;
use core::net::{IpAddr, Ipv6Addr};
use core::str::FromStr;

use super::{CidrError, CidrList, ListError};
use crate::http::Headers;

/// Address of a client: no port, and never an IPv4 address dressed as IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClientIp(IpAddr);

/// What a client is counted by: an IPv4 address, or the /64 of an IPv6 address, since whoever
/// has one address of a /64 has all of them (RFC 6177).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RateKey(u64, bool);

impl ClientIp {
    /// The address.
    #[must_use]
    pub const fn addr(self) -> IpAddr {
        self.0
    }

    /// What to count this client by.
    #[must_use]
    pub fn rate_key(self) -> RateKey {
        match self.0 {
            IpAddr::V4(v4) => RateKey(u32::from(v4).into(), false),
            IpAddr::V6(v6) => {
                let [a, b, c, d, e, f, g, h, ..] = v6.octets();
                RateKey(u64::from_be_bytes([a, b, c, d, e, f, g, h]), true)
            }
        }
    }
}

impl From<IpAddr> for ClientIp {
    fn from(address: IpAddr) -> Self {
        Self(address.to_canonical())
    }
}

impl FromStr for ClientIp {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        text.parse::<IpAddr>().map(Self::from).map_err(|_| CidrError::Address)
    }
}

impl fmt::Display for ClientIp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Reverse proxies whose `X-Forwarded-For` is believed. None by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(CidrList);

impl TrustedProxies {
    /// Nobody: the peer is the client and the header is ignored.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// These networks, as an operator wrote them: trimmed, blank entries skipped.
    ///
    /// # Errors
    /// [`ListError::Entry`] for the first that is no network. An empty list is nobody.
    pub fn read<T: AsRef<str>>(entries: impl IntoIterator<Item = T>) -> Result<Self, ListError> {
        CidrList::read(entries).map(Self)
    }

    /// Whether `address` is one of them.
    #[must_use]
    pub fn trusts(&self, address: ClientIp) -> bool {
        self.0.contains(address)
    }

    /// Whether all of IPv4 or IPv6 is trusted, so that any caller may pick his own address.
    /// Start-up warns about it.
    #[must_use]
    pub fn trusts_everyone(&self) -> bool {
        self.0.is_everyone()
    }
}

/// Entries of `X-Forwarded-For` that are looked at; nobody chains more proxies than this.
const HOPS_MAX: usize = 32;

/// The client behind `peer`.
///
/// That is `peer` unless it is a trusted proxy. Then the entries of all `X-Forwarded-For` lines
/// are walked from the right, as each proxy appends whom it saw: the first address that is not
/// a trusted proxy is the client. Everything left of it is the client's own claim and unread.
/// The walk ends early, at the last address a trusted proxy vouched for, when an entry is no
/// address (`unknown`, an obfuscated name, an empty one) or after 32 entries.
#[must_use]
pub fn client_ip(peer: IpAddr, headers: &Headers, proxies: &TrustedProxies) -> ClientIp {
    let mut client = ClientIp::from(peer);
    let lines = headers.get_all("x-forwarded-for").rev();
    let mut entries = lines.flat_map(|line| line.rsplit(|b| *b == b',')).take(HOPS_MAX);
    while proxies.trusts(client) {
        match entries.next().and_then(forwarded_address) {
            Some(address) => client = address,
            None => break,
        }
    }
    client
}

/// One entry: an address, alone or with a port (`10.0.0.1:80`), or an IPv6 address in brackets
/// with or without a port.
fn forwarded_address(entry: &[u8]) -> Option<ClientIp> {
    let text = core::str::from_utf8(entry).ok()?.trim_matches([' ', '\t']);
    if let Ok(address) = text.parse::<ClientIp>() {
        return Some(address);
    }
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            let address = IpAddr::from(host.parse::<Ipv6Addr>().ok()?);
            match port {
                "" => return Some(address.into()),
                port => (address, port.strip_prefix(':')?),
            }
        }
        None => {
            let (host, port) = text.split_once(':')?;
            (IpAddr::V4(host.parse().ok()?), port)
        }
    };
    let plain = port.bytes().all(|b| b.is_ascii_digit());
    (plain && port.parse::<u16>().is_ok()).then(|| host.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    fn seen(peer: &str, lines: &[&str], proxies: &[&str]) -> alloc::string::String {
        let mut headers = Headers::default();
        for line in lines {
            headers.push("X-Forwarded-For", line.as_bytes());
        }
        let proxies = TrustedProxies::read(proxies).unwrap();
        client_ip(peer.parse().unwrap(), &headers, &proxies).to_string()
    }

    #[test]
    fn the_header_counts_only_from_trusted_peers() {
        let proxies = &["10.0.0.0/8", "fd00::/8"][..];
        for (why, peer, lines, client) in [
            ("stranger spoofs", "203.0.113.9", &["10.0.0.1"][..], "203.0.113.9"),
            ("no header", "10.0.0.1", &[], "10.0.0.1"),
            ("one hop", "10.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            ("client's own claim is left", "10.0.0.1", &["1.1.1.1, 198.51.100.7"], "198.51.100.7"),
            ("two proxies", "10.0.0.1", &["1.1.1.1, 198.51.100.7, 10.0.0.2"], "198.51.100.7"),
            ("lines join", "10.0.0.1", &["198.51.100.7", "10.0.0.2"], "198.51.100.7"),
            ("last line wins", "10.0.0.1", &["1.1.1.1", "198.51.100.7"], "198.51.100.7"),
            ("all trusted: the leftmost", "10.0.0.1", &["10.9.9.9, 10.0.0.2"], "10.9.9.9"),
            ("mapped peer", "::ffff:10.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            ("mapped entry", "10.0.0.1", &["::ffff:198.51.100.7"], "198.51.100.7"),
            ("port", "10.0.0.1", &["198.51.100.7:4711"], "198.51.100.7"),
            ("v6", "fd00::1", &["2001:db8::7"], "2001:db8::7"),
            ("brackets", "fd00::1", &["[2001:db8::7]"], "2001:db8::7"),
            ("brackets and port", "fd00::1", &["[2001:db8::7]:443"], "2001:db8::7"),
            ("mapped in brackets", "fd00::1", &["[::ffff:1.2.3.4]:443"], "1.2.3.4"),
            ("blanks and tabs", "10.0.0.1", &["\t 198.51.100.7 \t"], "198.51.100.7"),
        ] {
            assert_eq!(seen(peer, lines, proxies), client, "{why}");
        }
    }

    #[test]
    fn a_malformed_entry_ends_the_walk_at_the_last_good_one() {
        for entry in [
            "unknown",
            "_hidden",
            "",
            " ",
            "198.51.100.7:",
            "198.51.100.7:99999",
            "198.51.100.7:+1",
            "198.51.100.7:x",
            "[2001:db8::7",
            "[2001:db8::7]x",
            "[198.51.100.7]",
            "fe80::1%eth0",
            "\"198.51.100.7\"",
            "010.0.0.1",
            "198.51.100.7 198.51.100.8",
            "198.51.100.7\u{a0}",
        ] {
            let line = alloc::format!("198.51.100.9,{entry}, 10.0.0.2");
            assert_eq!(seen("10.0.0.1", &[&line], &["10.0.0.0/8"]), "10.0.0.2", "{entry:?}");
        }
    }

    #[test]
    fn the_walk_is_bounded() {
        let many = ["10.0.0.2"; 100].join(",");
        let line = alloc::format!("198.51.100.9,{many}");
        assert_eq!(seen("10.0.0.1", &[&line], &["10.0.0.0/8"]), "10.0.0.2");
    }

    #[test]
    fn trusting_everyone_is_seen() {
        let everyone = |list: &[&str]| TrustedProxies::read(list).unwrap().trusts_everyone();
        assert!(everyone(&["10.0.0.1", "::/0"]) && everyone(&["0.0.0.0/1", "128.0.0.0/1"]));
        assert!(!everyone(&["10.0.0.0/8"]) && !TrustedProxies::none().trusts_everyone());
    }

    #[test]
    fn counts_ipv6_by_its_64() {
        let key = |s: &str| s.parse::<ClientIp>().unwrap().rate_key();
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_ne!(key("10.0.0.1"), key("10.0.0.2"));
        assert_eq!(key("10.0.0.1"), key("::ffff:10.0.0.1"));
        // The /64 with the number of an IPv4 address is not that address.
        assert_ne!(key("0.0.0.1"), key("0:0:0:1::"));
    }

    proptest! {
        #[test]
        fn strangers_cannot_choose_their_address(line in any::<alloc::vec::Vec<u8>>(), peer in any::<u32>()) {
            let peer = IpAddr::from(core::net::Ipv4Addr::from(peer | 0x8000_0000));
            let mut headers = Headers::default();
            headers.push("x-forwarded-for", &line);
            let proxies = TrustedProxies::read(["10.0.0.0/8"]).unwrap();
            prop_assert_eq!(client_ip(peer, &headers, &proxies).addr(), peer);
            // Nor through a proxy that appends what it saw.
            let mut line = line;
            line.extend_from_slice(alloc::format!(",{peer}").as_bytes());
            let mut headers = Headers::default();
            headers.push("x-forwarded-for", &line);
            let proxy = IpAddr::from([10, 0, 0, 1]);
            prop_assert_eq!(client_ip(proxy, &headers, &proxies).addr(), peer);
        }
    }
}
