//! Allowlist and rate limiter of others.

use std::hint::black_box;
use std::net::IpAddr;
use std::num::NonZeroU32;

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter as Governor};
use ipnet::IpNet;
use ipnet_trie::IpnetTrie;

use crate::Peers;
use crate::policy::{KEYS, over};

/// A trie, and the list asked one by one.
pub fn allowlist(networks: &[IpNet], probes: &[IpAddr]) -> Peers {
    let mut trie: IpnetTrie<()> = IpnetTrie::new();
    for network in networks {
        trie.insert(*network, ());
    }
    for probe in probes {
        let expected = networks.iter().any(|network| network.contains(probe));
        assert_eq!(trie.longest_match(&IpNet::from(*probe)).is_some(), expected);
    }
    let networks = networks.to_vec();
    let trie = over(probes, move |probe| trie.longest_match(&IpNet::from(*probe)).is_some());
    let scan = over(probes, move |probe| networks.iter().any(|network| network.contains(probe)));
    vec![("ipnet-trie", trie), ("ipnet, one by one", scan)]
}

/// governor with a million keys in its table.
pub fn limiter() -> Peers {
    let quota = Quota::per_minute(NonZeroU32::new(10).expect("not zero"));
    let limiter: DefaultKeyedRateLimiter<IpAddr> = Governor::keyed(quota);
    let mut asked: u32 = 0;
    let mut ask = move || {
        let address = IpAddr::from((asked % KEYS).wrapping_mul(0x9e37_79b1).to_be_bytes());
        let _ = black_box(limiter.check_key(&address));
        asked = asked.wrapping_add(1);
    };
    (0..KEYS).for_each(|_| ask());
    vec![("governor, memory unbounded", Box::new(ask))]
}
