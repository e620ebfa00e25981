use alloc::string::String;
use alloc::vec::Vec;

use der::Encode as _;
use der::asn1::UintRef;
use proptest::prelude::*;

use super::*;
use crate::pki::asn1::{
    self, Attribute, BASIC_CONSTRAINTS, Extension, TbsCertificate, Time, Validity,
};
use crate::pki::certificate::Certificate;
use crate::pki::profile::{Client, Repeated, authority_key_id};
use crate::pki::public_key::{PublicKey, SignatureAlgorithm};
use crate::pki::write;

const SERIAL: [u8; 16] = [0x5a; 16];
const KEY_ID: &[u8] = b"identifier of the CA";
const SIGNATURE: [u8; 64] = [9; 64];

/// The parts of one certificate, to be changed one at a time.
#[derive(Clone)]
struct Parts {
    version: u8,
    serial: [u8; 16],
    inner: SignatureAlgorithm,
    outer: SignatureAlgorithm,
    issuer: Vec<u8>,
    not_before: u64,
    not_after: u64,
    subject: Vec<(der::asn1::ObjectIdentifier, String)>,
    /// Bytes behind the last attribute of the subject.
    behind_subject: Vec<u8>,
    key: [u8; 32],
    extensions: Vec<(der::asn1::ObjectIdentifier, bool, Vec<u8>)>,
}

fn good() -> Parts {
    let issuer = asn1::name([Attribute::text(ORGANIZATION, "talos")]).unwrap();
    Parts {
        version: 2,
        serial: SERIAL,
        inner: SignatureAlgorithm::Ed25519,
        outer: SignatureAlgorithm::Ed25519,
        issuer,
        not_before: 1_800_000_000,
        not_after: 1_800_000_300,
        subject: Vec::from([
            (ORGANIZATION, "os:admin".into()),
            (ORGANIZATION, "os:reader".into()),
            (COMMON_NAME, "J\u{fc}rgen".into()),
        ]),
        behind_subject: Vec::new(),
        key: [7; 32],
        extensions: Vec::from([
            (KEY_USAGE, true, DIGITAL_SIGNATURE.to_vec()),
            (EXT_KEY_USAGE, false, CLIENT_AUTH.to_vec()),
            (AUTHORITY_KEY_ID, false, authority_key_id(KEY_ID).unwrap()),
        ]),
    }
}

impl Parts {
    /// Encoded by `der`, which did not write the product's certificates.
    fn encode(&self) -> Vec<u8> {
        let subject = self.subject.iter().map(|(oid, text)| Attribute::text(*oid, text));
        let (name, key) = (asn1::name(subject).unwrap(), PublicKey::ed25519(&self.key).unwrap());
        let attributes = Elements(&name).take(SEQUENCE).unwrap();
        let mut subject = Vec::new();
        let content = [attributes, &self.behind_subject].concat();
        write::primitive(&mut subject, SEQUENCE, &content).unwrap();
        let extensions = self
            .extensions
            .iter()
            .map(|(oid, critical, value)| Extension::new(*oid, *critical, value).unwrap());
        let tbs = TbsCertificate {
            version: self.version,
            serial: UintRef::new(&self.serial).unwrap(),
            signature: self.inner.identifier(),
            issuer: self.issuer.as_slice().try_into().unwrap(),
            validity: Validity {
                not_before: Time::at(UnixTime::from_secs(self.not_before)).unwrap(),
                not_after: Time::at(UnixTime::from_secs(self.not_after)).unwrap(),
            },
            subject: subject.as_slice().try_into().unwrap(),
            public_key: key.spki().try_into().unwrap(),
            extensions: extensions.collect(),
        };
        asn1::certificate(&tbs.to_der().unwrap(), self.outer.identifier(), &SIGNATURE).unwrap()
    }

    /// What the certificate of [`good`] is compared with.
    fn verdict(&self) -> Result<(), Field> {
        compare(&self.encode(), Some(KEY_ID)).map(|_| ())
    }
}

fn compare<'a>(der: &'a [u8], key_id: Option<&[u8]>) -> Result<Signed<'a>, Field> {
    let good = good();
    let roles = RoleSet::new(["os:admin", "os:reader"].map(|role| role.parse().unwrap())).unwrap();
    let algorithm = good.inner.identifier().to_der().unwrap();
    let key = PublicKey::ed25519(&good.key).unwrap();
    let common_name = CommonName::from_identity("J\u{fc}rgen");
    let order = Order {
        serial: &SERIAL,
        algorithm: &algorithm,
        issuer: &good.issuer,
        not_before: UnixTime::from_secs(good.not_before),
        not_after: UnixTime::from_secs(good.not_after),
        roles: &roles,
        common_name: common_name.as_ref(),
        spki: key.spki(),
        key_id,
    };
    order.compare(der)
}

#[test]
fn what_was_ordered_is_taken() {
    let der = good().encode();
    let signed = compare(&der, Some(KEY_ID)).ok().unwrap();
    assert_eq!(signed.signature, SIGNATURE);
    assert!(der.windows(signed.message.len()).any(|part| part == signed.message));
}

type Change = fn(&mut Parts);

#[test]
fn each_part_is_compared() {
    let changes: &[(Field, Change)] = &[
        (Field::Structure, |parts| parts.version = 1),
        (Field::Serial, |parts| parts.serial[15] ^= 1),
        (Field::Algorithm, |parts| parts.inner = SignatureAlgorithm::EcdsaSha256),
        (Field::Algorithm, |parts| parts.outer = SignatureAlgorithm::EcdsaSha256),
        (Field::Algorithm, |parts| {
            parts.inner = SignatureAlgorithm::RsaSha256;
            parts.outer = SignatureAlgorithm::RsaSha256;
        }),
        (Field::Issuer, |parts| *parts.issuer.last_mut().unwrap() ^= 1),
        (Field::Validity, |parts| parts.not_before -= 1),
        (Field::Validity, |parts| parts.not_after += 1),
        (Field::Validity, |parts| parts.not_after += 100 * 365 * 86_400),
        (Field::Roles, |parts| parts.subject[0].1 = "os:operator".into()),
        (Field::Roles, |parts| parts.subject.swap(0, 1)),
        (Field::Roles, |parts| drop(parts.subject.remove(1))),
        (Field::Roles, |parts| parts.subject.insert(2, (ORGANIZATION, "os:operator".into()))),
        (Field::Roles, |parts| parts.subject.push((ORGANIZATION, "os:operator".into()))),
        (Field::Roles, |parts| parts.subject[1].0 = COMMON_NAME),
        (Field::CommonName, |parts| parts.subject[2].1 = "Jorgen".into()),
        (Field::CommonName, |parts| drop(parts.subject.pop())),
        (Field::CommonName, |parts| parts.subject.push((COMMON_NAME, "root".into()))),
        // No attribute in the set, or something else.
        (Field::CommonName, |parts| parts.behind_subject.extend([SET, 0])),
        (Field::CommonName, |parts| parts.behind_subject.extend([SET, 2, 5, 0])),
        // Two attributes in one set, which a general parser reads as two roles.
        (Field::CommonName, |parts| {
            let role = [&[SEQUENCE, 8, 6, 3][..], ORGANIZATION.as_bytes(), b"a"].concat();
            parts.behind_subject = [&[SET, 20][..], &role, &role].concat();
        }),
        (Field::PublicKey, |parts| parts.key[31] ^= 1),
        (Field::KeyUsage, |parts| parts.extensions[0].1 = false),
        (Field::KeyUsage, |parts| parts.extensions[0].2[3] = 0xc0),
        (Field::KeyUsage, |parts| parts.extensions.swap(0, 1)),
        (Field::ExtKeyUsage, |parts| parts.extensions[1].1 = true),
        (Field::ExtKeyUsage, |parts| parts.extensions[1].2[11] = 1),
        (Field::ExtKeyUsage, |parts| drop(parts.extensions.remove(1))),
        (Field::AuthorityKeyId, |parts| *parts.extensions[2].2.last_mut().unwrap() ^= 1),
        (Field::AuthorityKeyId, |parts| parts.extensions[2].1 = true),
        (Field::AuthorityKeyId, |parts| parts.extensions[2].0 = BASIC_CONSTRAINTS),
        (Field::AuthorityKeyId, |parts| parts.extensions[2].2.push(0)),
        (Field::AuthorityKeyId, |parts| drop(parts.extensions.pop())),
        (Field::Extension, |parts| {
            parts.extensions.push((BASIC_CONSTRAINTS, true, [0x30, 0].into()))
        }),
    ];
    for (n, (field, change)) in changes.iter().enumerate() {
        let mut parts = good();
        change(&mut parts);
        assert_eq!(parts.verdict(), Err(*field), "change {n}");
    }
    let with_key_id = good().encode();
    assert_eq!(compare(&with_key_id, None).err(), Some(Field::Extension));
    let mut without = good();
    without.extensions.pop();
    assert!(compare(&without.encode(), None).is_ok());
}

/// The general parser, which judges certificates of others.
#[test]
fn a_second_purpose_is_seen_by_the_general_parser() {
    let oid = |text: &str| der::asn1::ObjectIdentifier::new_unwrap(text);
    let client = oid("1.3.6.1.5.5.7.3.2");
    let usage = |purposes: &[der::asn1::ObjectIdentifier]| {
        let mut parts = good();
        parts.extensions[1].2 = purposes.to_vec().to_der().unwrap();
        let usage = Certificate::parse(&parts.encode()).unwrap().ext_key_usage.unwrap();
        (usage.allows_client, usage.client_only)
    };
    assert_eq!(usage(&[client]), (true, true));
    let any = oid("2.5.29.37.0");
    assert_eq!(usage(&[any]), (true, false));
    assert_eq!(usage(&[client, any]), (true, false));
    let others = [1, 3, 4, 8, 9, 17].map(|n| alloc::format!("1.3.6.1.5.5.7.3.{n}"));
    for other in others.iter().map(|text| oid(text)) {
        assert_eq!(usage(&[other]), (false, false), "{other}");
        assert_eq!(usage(&[client, other]), (true, false), "{other}");
    }
}

#[test]
fn nothing_stands_behind_or_is_cut_off() {
    let der = good().encode();
    for end in 0..der.len() {
        assert!(compare(&der[..end], Some(KEY_ID)).is_err(), "{end} bytes");
    }
    let longer = [&der[..], &[0]].concat();
    assert_eq!(compare(&longer, Some(KEY_ID)).err(), Some(Field::Structure));
}

#[test]
fn lengths_have_one_form() {
    let read = |bytes: &[u8]| Elements(bytes).take(OCTET_STRING).map(<[u8]>::len);
    assert_eq!(read(&[4, 1, 0]), Some(1));
    assert_eq!(read(&[4, 0x81, 1, 0]), None);
    assert_eq!(read(&[4, 0x80, 0, 0]), None);
    assert_eq!(read(&[4, 2, 0]), None);
    for (length, head) in
        [(0x7f, &[4, 0x7f][..]), (0x80, &[4, 0x81, 0x80]), (0x101, &[4, 0x82, 1, 1])]
    {
        assert_eq!(read(&[head, &[0; 0x101][..length]].concat()), Some(length));
    }
    assert_eq!(read(&[&[4, 0x82, 0, 0xff][..], &[0; 0xff]].concat()), None);
    assert_eq!(read(&[&[4, 0x83, 0, 1, 0][..], &[0; 0x100]].concat()), None);
}

#[test]
fn a_relative_name_has_one_attribute() {
    let element = |tag: u8, content: &[u8]| {
        let mut der = Vec::new();
        write::primitive(&mut der, tag, content).unwrap();
        der
    };
    let (oid, null) = (ORGANIZATION.as_bytes(), [5, 0]);
    let pair = [element(OBJECT_IDENTIFIER, oid), element(PRINTABLE_STRING, b"a")].concat();
    let read = |inside: &[u8], behind: &[u8]| {
        let pair = element(SEQUENCE, &[&*pair, inside].concat());
        let set = element(SET, &[&*pair, behind].concat());
        Elements(&set).next_attribute().map(|(oid, text)| (oid.to_vec(), text.to_vec()))
    };
    assert_eq!(read(&[], &[]), Some((oid.to_vec(), b"a".to_vec())));
    assert_eq!(read(&null, &[]), None);
    assert_eq!(read(&[], &null), None);
}

#[test]
fn times_of_both_kinds() {
    for secs in [0, 946_684_800, 2_524_607_999, 2_524_608_000, 253_402_300_799] {
        let at = UnixTime::from_secs(secs);
        let der = Time::at(at).unwrap().to_der().unwrap();
        assert_eq!(Elements(&der).next_time(), Some(at), "{secs}");
    }
    let utc = |text: &[u8]| {
        let mut der = Vec::new();
        write::primitive(&mut der, UTC_TIME, text).unwrap();
        Elements(&der).next_time()
    };
    assert!(utc(b"270115080000Z").is_some());
    for bad in [
        "271315080000Z",
        // 1950, and nothing before 1970 is read.
        "500101000000Z",
        "270115080000",
        "270115080000+",
        "2701150800Z",
        "27011508000:Z",
        "270230080000Z",
    ] {
        assert_eq!(utc(bad.as_bytes()), None, "{bad}");
    }
}

proptest! {
    #[test]
    fn no_changed_byte_is_taken_for_the_order(at: prop::sample::Index, bit in 0_u8..8) {
        let mut der = good().encode();
        let at = at.index(der.len());
        der[at] ^= 1 << bit;
        match compare(&der, Some(KEY_ID)) {
            // The signature is nobody's business here.
            Ok(signed) => prop_assert_ne!(signed.signature, SIGNATURE),
            Err(_) => prop_assert!(at < der.len() - SIGNATURE.len()),
        }
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(compare(&bytes, Some(KEY_ID)).is_err());
    }

    /// Whatever is issued, a general parser reads the same in it.
    #[test]
    fn a_general_parser_agrees(
        names in proptest::collection::vec("[!-+.-~]{1,64}", 1..5),
        who in proptest::option::of(".{1,80}"),
        ends in (0_u64..4_000_000_000, 0_u64..4_000_000_000),
        key: [u8; 32],
        key_id in proptest::option::of(proptest::collection::vec(any::<u8>(), 1..200)),
    ) {
        let roles = RoleSet::new(names.iter().map(|name| name.parse().unwrap())).unwrap();
        let common_name = who.as_deref().and_then(CommonName::from_identity);
        let (algorithm, issuer) = (SignatureAlgorithm::Ed25519, good().issuer);
        let repeated = Repeated::new(algorithm, key_id.as_deref()).unwrap();
        let key = PublicKey::ed25519(&key).unwrap();
        let (not_before, not_after) = (UnixTime::from_secs(ends.0), UnixTime::from_secs(ends.1));
        let client = Client {
            serial: SERIAL,
            issuer: &issuer,
            roles: &roles,
            common_name: common_name.as_ref(),
            not_before,
            not_after,
            spki: key.spki(),
            repeated: &repeated,
        };
        let tbs = client.tbs().unwrap();
        let der = write::certificate(&tbs, &repeated.algorithm, &SIGNATURE).unwrap();
        let order = Order {
            serial: &SERIAL,
            algorithm: &repeated.algorithm,
            issuer: &issuer,
            not_before,
            not_after,
            roles: &roles,
            common_name: common_name.as_ref(),
            spki: key.spki(),
            key_id: key_id.as_deref(),
        };
        let signed = order.compare(&der).map_err(|field| TestCaseError::fail(alloc::format!("{field:?}")))?;
        prop_assert_eq!((signed.message, signed.signature), (&tbs[..], &SIGNATURE[..]));
        let read = Certificate::parse(&der).unwrap();
        prop_assert!(!read.ca);
        prop_assert_eq!((read.serial, read.issuer), (&SERIAL[..], &issuer[..]));
        prop_assert_eq!((read.not_before, read.not_after), (not_before, not_after));
        let expected: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
        prop_assert_eq!(read.organizations, expected);
        let expected: Vec<&str> = common_name.iter().map(CommonName::as_str).collect();
        prop_assert_eq!(read.common_names, expected);
        prop_assert_eq!((read.spki, read.authority_key_id), (key.spki(), key_id.as_deref()));
        prop_assert!(read.key_usage.unwrap().critical && read.key_usage.unwrap().digital_signature_only);
        prop_assert!(read.ext_key_usage.unwrap().client_only);
    }
}
