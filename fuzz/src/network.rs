//! Addresses, networks and durations as operators and proxies write them.

use std::net::IpAddr;

use exchange_core::http::Headers;
use exchange_core::policy::{Allowlist, Cidr, CidrList, ClientIp, TrustedProxies, client_ip};
use exchange_core::types::{GoDuration, Ttl};

/// Networks, one a line.
pub fn cidr(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut networks: Vec<Cidr> = Vec::new();
    for line in text.lines().take(256) {
        match line.parse::<Cidr>() {
            Ok(network) => {
                assert_eq!(network.to_string().parse(), Ok(network), "read as it prints");
                assert!(network.contains(network.base().into()));
                networks.push(network);
            }
            Err(error) => assert!(!error.code().is_empty() && !error.to_string().is_empty()),
        }
    }
    let list: CidrList = networks.iter().copied().collect();
    let probes = networks.iter().flat_map(|network| neighbours(network.base()));
    for address in probes.map(ClientIp::from) {
        let one_by_one = networks.iter().any(|network| network.contains(address));
        assert_eq!(list.contains(address), one_by_one, "{address}");
    }
    let _ = (Allowlist::read(text.lines()), list.is_everyone());
}

/// The address itself and those right beside it.
fn neighbours(address: IpAddr) -> [IpAddr; 3] {
    match address {
        IpAddr::V4(v4) => {
            let n = u32::from(v4);
            [n, n.wrapping_sub(1), n.wrapping_add(1)].map(|n| IpAddr::from(n.to_be_bytes()))
        }
        IpAddr::V6(v6) => {
            let n = u128::from(v6);
            [n, n.wrapping_sub(1), n.wrapping_add(1)].map(|n| IpAddr::from(n.to_be_bytes()))
        }
    }
}

/// `X-Forwarded-For` lines from behind a trusted proxy.
pub fn forwarded_for(data: &[u8]) {
    let peer: IpAddr = [127, 0, 0, 1].into();
    let proxies = TrustedProxies::read(["127.0.0.0/8", "10.0.0.0/8", "::1", "fd00::/8"])
        .expect("valid networks");
    let headers = |lines: &mut dyn Iterator<Item = &[u8]>| {
        let mut headers = Headers::default();
        lines.for_each(|line| headers.push("X-Forwarded-For", line));
        headers
    };
    let mut lines = data.split(|b| *b == b'\n');
    let given = headers(&mut lines);
    assert_eq!(client_ip(peer, &given, &TrustedProxies::none()), peer.into());
    let stranger: IpAddr = [203, 0, 113, 9].into();
    assert_eq!(client_ip(stranger, &given, &proxies), stranger.into());
    let client = client_ip(peer, &given, &proxies);
    if !proxies.trusts(client) {
        // Whatever stands left of the client is the client's own claim.
        let mut lines =
            [&b"198.51.100.7, 10.0.0.1"[..]].into_iter().chain(data.split(|b| *b == b'\n'));
        assert_eq!(client_ip(peer, &headers(&mut lines), &proxies), client);
    }
    let _ = client.rate_key();
}

/// A duration as Go writes it.
pub fn go_duration(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(duration) = text.parse::<GoDuration>() else { return };
    assert_eq!(duration.to_string().parse(), Ok(duration), "read as it prints");
    if let Some(millis) = duration.millis() {
        assert!(i128::from(millis) * 1_000_000 <= i128::from(duration.nanos()));
    }
    if let Ok(ttl) = Ttl::try_from(duration) {
        assert_eq!(duration.secs(), Some(u64::from(ttl.secs())));
    }
}
