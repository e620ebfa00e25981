//! Roles, allowlist, rate limiter.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use exchange_core::json::{Limits, parse_object};
use exchange_core::machine::Mono;
use exchange_core::policy::rbac::{Decision, Fallback, RolePolicy, Rule, Switches};
use exchange_core::policy::{Allowlist, ClientIp, RateCaps, RateLimit, RateLimiter};
use ipnet::IpNet;

use crate::{Bench, Run, peers};

/// Numbers that are the same in every run (xorshift64*).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn address(&mut self) -> IpAddr {
        let bytes = self.next().to_be_bytes();
        let [a, b, c, d, ..] = bytes;
        match bytes[7] % 4 {
            0 => Ipv6Addr::new(0x2001, 0xdb8, u16::from(a), u16::from(b), u16::from(c), 0, 0, 1)
                .into(),
            _ => Ipv4Addr::new(a, b, c, d).into(),
        }
    }
}

/// A hundred rules on one claim, a token with fifty groups of which the last rule names one. The
/// floor compares the values of the rules with the groups: no look for the claim, no other kinds of
/// value, no roles.
pub fn rbac_100_rules() -> Bench {
    let rules = (0..100).map(|n| {
        let value = if n == 99 { "group-49".to_owned() } else { format!("team-{n}") };
        Rule::new("groups".parse().expect("a claim"), &value, ["os:reader"], false, None)
    });
    let rules = rules.collect::<Result<Vec<_>, _>>().expect("rules");
    let policy = RolePolicy::new(rules, Fallback::Deny, Switches::default()).expect("a table");
    let groups: Vec<String> = (0..50).map(|n| format!("group-{n}")).collect();
    let claims = serde_json::json!({ "sub": "alice", "groups": groups }).to_string();
    let limits = Limits { bytes_max: 16_384, depth_max: 16 };
    let claims = parse_object(claims.as_bytes(), limits).expect("claims");
    assert!(matches!(policy.decide(&claims), Decision::Granted(_)));
    let floor = {
        let values: Vec<String> =
            policy.rules().iter().map(|rule| rule.value().to_owned()).collect();
        let matching = move |groups: &[String]| -> usize {
            values.iter().filter(|value| groups.iter().any(|group| group == *value)).count()
        };
        assert_eq!(matching(&groups), 1);
        Box::new(move || {
            black_box(matching(black_box(&groups)));
        })
    };
    let ours = Box::new(move || {
        black_box(policy.decide(black_box(&claims)));
    });
    Bench { name: "rbac_100_rules", ours, floor: Some(floor), peers: vec![], aim: None }
}

/// A thousand networks, addresses in and out of them.
pub fn allowlist_1000_cidrs() -> Bench {
    let mut numbers = Numbers(1);
    let networks: Vec<IpNet> = (0..1000)
        .map(|_| match numbers.address() {
            IpAddr::V4(v4) => IpNet::new(v4.into(), 24),
            IpAddr::V6(v6) => IpNet::new(v6.into(), 64),
        })
        .map(|network| network.expect("a network").trunc())
        .collect();
    let allowlist = Allowlist::read(networks.iter().map(ToString::to_string)).expect("a list");
    let probes: Vec<IpAddr> = (0..1024)
        .map(|n| if n % 2 == 0 { networks[n % 1000].addr() } else { numbers.address() })
        .collect();
    for probe in &probes {
        let expected = networks.iter().any(|network| network.contains(probe));
        assert_eq!(allowlist.allows(ClientIp::from(*probe)), expected);
    }
    let peers = peers::allowlist(&networks, &probes);
    let ours = over(&probes, move |probe| allowlist.allows(ClientIp::from(*probe)));
    Bench { name: "allowlist_1000_cidrs", ours, floor: None, peers, aim: None }
}

/// Asks about one address after the other.
pub fn over(probes: &[IpAddr], look: impl Fn(&IpAddr) -> bool + 'static) -> Run {
    let (probes, mut at) = (probes.to_vec(), 0);
    Box::new(move || {
        at = (at + 1) % probes.len();
        black_box(look(black_box(&probes[at])));
    })
}

pub const KEYS: u32 = 1_000_000;

/// Asks for one key after the other, a million of them over and over, a thousand a second.
fn limiter(caps: RateCaps) -> Run {
    let limit = RateLimit::new(10, 60_000).expect("a limit");
    let mut limiter = RateLimiter::with_caps(limit, caps);
    let mut asked: u64 = 0;
    let mut ask = move || {
        let key = u32::try_from(asked % u64::from(KEYS)).expect("below a million");
        let address = IpAddr::from(key.wrapping_mul(0x9e37_79b1).to_be_bytes());
        let _ =
            black_box(limiter.admit(Mono::from_millis(asked), ClientIp::from(address).rate_key()));
        asked += 1;
    };
    (0..KEYS).for_each(|_| ask());
    Box::new(ask)
}

/// Room for a million keys, as governor has without asking.
pub fn rate_limit_1m_keys() -> Bench {
    let ours = limiter(RateCaps { keys_max: 1_100_000, admissions_max: 1_100_000 });
    Bench { name: "rate_limit_1m_keys", ours, floor: None, peers: peers::limiter(), aim: None }
}

/// A million keys against the caps of the product: most calls push somebody out.
pub fn rate_limit_default_caps() -> Bench {
    let ours = limiter(RateCaps::default());
    Bench { name: "rate_limit_default_caps", ours, floor: None, peers: vec![], aim: None }
}
