use super::*;
use alloc::string::ToString;
use alloc::vec;
use proptest::prelude::*;

fn cidr(text: &str) -> Cidr {
    text.parse().unwrap()
}

fn ip(text: &str) -> ClientIp {
    text.parse().unwrap()
}

#[test]
fn reads_and_prints() {
    for (text, printed) in [
        ("10.0.0.50", "10.0.0.50"),
        ("10.0.0.50/32", "10.0.0.50"),
        ("10.1.2.3/8", "10.0.0.0/8"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("255.255.255.255/0", "0.0.0.0/0"),
        ("2001:DB8::1/32", "2001:db8::/32"),
        ("::/0", "::/0"),
        ("::1", "::1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1/104", "10.0.0.0/8"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
    ] {
        assert_eq!(cidr(text).to_string(), printed, "{text}");
    }
    for (text, error) in [
        ("", CidrError::Address),
        (" 10.0.0.1", CidrError::Address),
        ("10.0.0", CidrError::Address),
        ("010.0.0.1", CidrError::Address),
        ("10.0.0.256", CidrError::Address),
        ("fe80::1%eth0", CidrError::Address),
        ("[::1]", CidrError::Address),
        ("10.0.0.1:80", CidrError::Address),
        ("example.com", CidrError::Address),
        ("/8", CidrError::Address),
        ("10.0.0.0/", CidrError::Prefix),
        ("10.0.0.0/+8", CidrError::Prefix),
        ("10.0.0.0/-1", CidrError::Prefix),
        ("10.0.0.0/08", CidrError::Prefix),
        ("10.0.0.0/8/8", CidrError::Prefix),
        ("10.0.0.0/255.0.0.0", CidrError::Prefix),
        ("10.0.0.0/33", CidrError::PrefixTooLong { max: 32 }),
        ("10.0.0.0/99999999999", CidrError::PrefixTooLong { max: 32 }),
        ("::/129", CidrError::PrefixTooLong { max: 128 }),
        ("::ffff:10.0.0.0/95", CidrError::MappedPrefix),
        ("::ffff:10.0.0.0/8", CidrError::MappedPrefix),
    ] {
        assert_eq!(text.parse::<Cidr>(), Err(error), "{text}");
    }
}

#[test]
fn families_never_mix() {
    assert!(!cidr("::/0").contains(ip("10.0.0.1")));
    assert!(!cidr("0.0.0.0/0").contains(ip("2001:db8::1")));
    assert!(cidr("10.0.0.0/8").contains(ip("::ffff:10.9.9.9")));
    // An IPv4-compatible address (deprecated, RFC 4291 section 2.5.5.1) is plain IPv6.
    assert!(!cidr("10.0.0.0/8").contains(ip("::10.9.9.9")));
}

#[test]
fn a_list_merges_neighbours_and_skips_blanks() {
    let list = CidrList::read(["10.0.0.0/9", " ", "10.128.0.0/9", "10.1.0.0/16"]).unwrap();
    assert_eq!(list, CidrList::read(["10.0.0.0/8"]).unwrap());
    assert!(list.contains(ip("10.255.255.255")) && !list.contains(ip("11.0.0.0")));
    assert!(CidrList::read(["128.0.0.0/1", "0.0.0.0/1"]).unwrap().is_everyone());
    assert!(!list.is_everyone() && CidrList::read([""; 3]).unwrap().is_empty());
    assert_eq!(
        CidrList::read(["10.0.0.1", "", "x"]),
        Err(ListError::Entry { index: 2, error: CidrError::Address })
    );
    let told = ListError::Entry { index: 2, error: CidrError::PrefixTooLong { max: 32 } };
    assert_eq!(told.to_string(), "entry 3: the prefix length is at most 32 here");
}

fn any_cidr() -> impl Strategy<Value = Cidr> {
    prop_oneof![
        (any::<u32>(), 0u8..=32).prop_map(|(a, p)| Cidr::new(Ipv4Addr::from(a).into(), p).unwrap()),
        (any::<u128>(), 0u8..=128)
            .prop_filter_map("mapped", |(a, p)| { Cidr::new(Ipv6Addr::from(a).into(), p).ok() }),
    ]
}

/// Bit by bit, as the standard says it.
fn naive(network: Cidr, address: IpAddr) -> bool {
    let bits = |a: IpAddr| match a {
        IpAddr::V4(a) => a.octets().to_vec(),
        IpAddr::V6(a) => a.octets().to_vec(),
    };
    let (net, address) = (bits(network.base()), bits(address));
    net.len() == address.len()
        && (0..usize::from(network.prefix()))
            .all(|i| (net[i / 8] ^ address[i / 8]) >> (7 - i % 8) & 1 == 0)
}

proptest! {
    #[test]
    fn printing_then_reading_is_identity(network in any_cidr()) {
        prop_assert_eq!(network.to_string().parse::<Cidr>(), Ok(network));
    }

    #[test]
    fn a_list_holds_what_one_of_its_networks_holds(
        networks in proptest::collection::vec(any_cidr(), 0..12),
        loose in any::<u32>(),
        flip in 0u32..128,
    ) {
        let list: CidrList = networks.iter().copied().collect();
        let mut probes = vec![IpAddr::from(Ipv4Addr::from(loose))];
        for network in &networks {
            probes.push(match network.base() {
                IpAddr::V4(a) => Ipv4Addr::from(u32::from(a) ^ (1 << (flip % 32))).into(),
                IpAddr::V6(a) => Ipv6Addr::from(u128::from(a) ^ (1 << flip)).into(),
            });
            probes.push(network.base());
        }
        for probe in probes {
            let client = ClientIp::from(probe);
            let expected = networks.iter().any(|n| naive(*n, client.addr()));
            prop_assert_eq!(list.contains(client), expected, "{}", probe);
            prop_assert_eq!(networks.iter().any(|n| n.contains(client)), expected);
        }
    }

    #[test]
    fn no_text_panics(text in "[0-9a-f:./%+ ]{0,50}") {
        let _ = text.parse::<Cidr>();
    }
}
