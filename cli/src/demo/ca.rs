//! A certificate authority as `talosctl gen secrets` makes it, and certificates under it.
//!
//! Certificates for users come from the exchange server alone. What is made here besides the node's
//! own certificate are the ones that a node must refuse.

use std::time::Duration;

use der::asn1::{
    AnyRef, BitStringRef, GeneralizedTime, ObjectIdentifier, PrintableStringRef, UintRef, UtcTime,
};
use der::pem::{LineEnding, encode_string};
use der::{Encode, Tag, TagNumber};
use exchange_core::machine::UnixTime;
use exchange_core::types::Secret;
use ring::rand::{SecureRandom, generate};
use ring::signature::{Ed25519KeyPair, KeyPair as _};

const ED25519: &str = "1.3.101.112";
const ORGANIZATION: &str = "2.5.4.10";
const COMMON_NAME: &str = "2.5.4.3";
const SUBJECT_KEY_ID: &str = "2.5.29.14";
const KEY_USAGE: &str = "2.5.29.15";
const SUBJECT_ALT_NAME: &str = "2.5.29.17";
const BASIC_CONSTRAINTS: &str = "2.5.29.19";
const AUTHORITY_KEY_ID: &str = "2.5.29.35";
const EXT_KEY_USAGE: &str = "2.5.29.37";
const SERVER_AUTH: &str = "1.3.6.1.5.5.7.3.1";
const CLIENT_AUTH: &str = "1.3.6.1.5.5.7.3.2";

/// Ten years of 365 days.
const LIFETIME_SECS: u64 = 10 * 365 * 86_400;
/// `PrivateKeyInfo` version 1 of RFC 8410 section 7 up to the seed, as Talos writes it.
const PKCS8_HEAD: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// Certificate and private key, both PEM.
pub(crate) struct Pair {
    /// Certificate.
    pub(crate) cert: String,
    /// PKCS#8 under the label `ED25519 PRIVATE KEY`.
    pub(crate) key: Secret,
}

/// What a certificate under the authority says.
pub(crate) struct Order<'a> {
    /// O values: roles.
    pub(crate) organizations: &'a [&'a str],
    /// CN.
    pub(crate) common_name: &'a str,
    /// Extended key usages.
    pub(crate) purposes: &'a [Purpose],
    /// Whether it names 127.0.0.1.
    pub(crate) loopback: bool,
    /// First and last second.
    pub(crate) validity: (UnixTime, UnixTime),
}

/// An extended key usage.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    /// TLS server.
    Server,
    /// TLS client.
    Client,
}

/// A CA with an Ed25519 key and the subject `O=talos`.
pub(crate) struct Authority {
    key: Ed25519KeyPair,
    name: Vec<u8>,
    key_id: [u8; 20],
    /// Its certificate and key.
    pub(crate) pair: Pair,
}

impl Authority {
    /// A fresh one. `None` when the system gives no randomness.
    pub(crate) fn new(now: UnixTime, rng: &dyn SecureRandom) -> Option<Self> {
        let (key, key_pem) = new_key(rng)?;
        let key_id = generate::<[u8; 20]>(rng).ok()?.expose();
        let made = || {
            let name = sequence(&[&rdn(ORGANIZATION, "talos")?])?;
            let usages = usages(&[Purpose::Server, Purpose::Client])?;
            let extensions = [
                // digitalSignature, keyCertSign
                extension(KEY_USAGE, true, &[0x03, 0x02, 0x02, 0x84])?,
                extension(EXT_KEY_USAGE, false, &usages)?,
                extension(BASIC_CONSTRAINTS, true, &[0x30, 0x03, 0x01, 0x01, 0xff])?,
                // Talos takes random bytes, not a hash of the key.
                extension(SUBJECT_KEY_ID, false, &wrap(Tag::OctetString, &[&key_id])?)?,
            ]
            .concat();
            der::Result::Ok((name, extensions))
        };
        let (name, extensions) = made().ok()?;
        let validity = (now, now.plus_secs(LIFETIME_SECS));
        let cert = sign(&key, &name, &name, &key, validity, &extensions, rng)?;
        Some(Self { key, name, key_id, pair: Pair { cert, key: key_pem } })
    }

    /// A certificate with a key of its own.
    pub(crate) fn issue(&self, order: &Order<'_>, rng: &dyn SecureRandom) -> Option<Pair> {
        let (key, key_pem) = new_key(rng)?;
        let made = || {
            let mut names = Vec::new();
            for organization in order.organizations {
                names.extend(rdn(ORGANIZATION, organization)?);
            }
            names.extend(rdn(COMMON_NAME, order.common_name)?);
            let authority = sequence(&[&wrap(implicit(0), &[&self.key_id])?])?;
            let mut extensions = [
                // digitalSignature
                extension(KEY_USAGE, true, &[0x03, 0x02, 0x07, 0x80])?,
                extension(EXT_KEY_USAGE, false, &usages(order.purposes)?)?,
                extension(AUTHORITY_KEY_ID, false, &authority)?,
            ]
            .concat();
            if order.loopback {
                let address = sequence(&[&wrap(implicit(7), &[&[127, 0, 0, 1]])?])?;
                extensions.extend(extension(SUBJECT_ALT_NAME, false, &address)?);
            }
            der::Result::Ok((sequence(&[&names])?, extensions))
        };
        let (subject, extensions) = made().ok()?;
        let cert = sign(&self.key, &self.name, &subject, &key, order.validity, &extensions, rng)?;
        Some(Pair { cert, key: key_pem })
    }
}

/// PEM text of a certificate.
pub(crate) fn certificate_pem(der: &[u8]) -> Option<String> {
    encode_string("CERTIFICATE", LineEnding::LF, der).ok()
}

fn new_key(rng: &dyn SecureRandom) -> Option<(Ed25519KeyPair, Secret)> {
    let seed = generate::<[u8; 32]>(rng).ok()?.expose();
    let key = Ed25519KeyPair::from_seed_unchecked(&seed).ok()?;
    let pkcs8 = [PKCS8_HEAD.as_slice(), &seed].concat();
    let pem = encode_string("ED25519 PRIVATE KEY", LineEnding::LF, &pkcs8).ok()?;
    Some((key, Secret::new(pem)))
}

/// `Certificate`, RFC 5280 section 4.1, as PEM.
fn sign(
    signer: &Ed25519KeyPair,
    issuer: &[u8],
    subject: &[u8],
    key: &Ed25519KeyPair,
    (not_before, not_after): (UnixTime, UnixTime),
    extensions: &[u8],
    rng: &dyn SecureRandom,
) -> Option<String> {
    let mut serial = generate::<[u8; 16]>(rng).ok()?.expose();
    if let Some(first) = serial.first_mut() {
        // Positive, and never a byte shorter.
        *first = (*first & 0x7f) | 0x40;
    }
    let made = || {
        let algorithm = sequence(&[&oid(ED25519)?])?;
        let public = BitStringRef::from_bytes(key.public_key().as_ref())?.to_der()?;
        let tbs = sequence(&[
            &wrap(explicit(0), &[&2_u8.to_der()?])?,
            &UintRef::new(&serial)?.to_der()?,
            &algorithm,
            issuer,
            &sequence(&[&time(not_before)?, &time(not_after)?])?,
            subject,
            &sequence(&[&algorithm, &public])?,
            &wrap(explicit(3), &[&sequence(&[extensions])?])?,
        ])?;
        let signature = signer.sign(&tbs);
        sequence(&[&tbs, &algorithm, &BitStringRef::from_bytes(signature.as_ref())?.to_der()?])
    };
    certificate_pem(&made().ok()?)
}

/// `RelativeDistinguishedName` with one attribute, RFC 5280 section 4.1.2.4.
fn rdn(kind: &str, text: &str) -> der::Result<Vec<u8>> {
    let attribute = sequence(&[&oid(kind)?, &PrintableStringRef::new(text)?.to_der()?])?;
    wrap(Tag::Set, &[&attribute])
}

/// `ExtKeyUsageSyntax`, RFC 5280 section 4.2.1.12.
fn usages(purposes: &[Purpose]) -> der::Result<Vec<u8>> {
    let mut all = Vec::new();
    for purpose in purposes {
        all.extend(match purpose {
            Purpose::Server => oid(SERVER_AUTH)?,
            Purpose::Client => oid(CLIENT_AUTH)?,
        });
    }
    sequence(&[&all])
}

/// `Extension`, RFC 5280 section 4.1.
fn extension(kind: &str, critical: bool, value: &[u8]) -> der::Result<Vec<u8>> {
    let critical = if critical { true.to_der()? } else { Vec::new() };
    sequence(&[&oid(kind)?, &critical, &wrap(Tag::OctetString, &[value])?])
}

/// `Time`, RFC 5280 section 4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050.
fn time(at: UnixTime) -> der::Result<Vec<u8>> {
    let since_epoch = Duration::from_secs(at.secs());
    match UtcTime::from_unix_duration(since_epoch) {
        Ok(time) => time.to_der(),
        Err(_) => GeneralizedTime::from_unix_duration(since_epoch)?.to_der(),
    }
}

fn oid(text: &str) -> der::Result<Vec<u8>> {
    ObjectIdentifier::new(text)?.to_der()
}

const fn explicit(number: u32) -> Tag {
    Tag::ContextSpecific { constructed: true, number: TagNumber(number) }
}

const fn implicit(number: u32) -> Tag {
    Tag::ContextSpecific { constructed: false, number: TagNumber(number) }
}

fn sequence(parts: &[&[u8]]) -> der::Result<Vec<u8>> {
    wrap(Tag::Sequence, parts)
}

fn wrap(tag: Tag, parts: &[&[u8]]) -> der::Result<Vec<u8>> {
    AnyRef::new(tag, &parts.concat())?.to_der()
}

#[cfg(test)]
mod tests {
    use super::*;
    use exchange_core::pki::{CaCert, CaKey, ClientCertificate, KeyAlgorithm};
    use ring::rand::SystemRandom;

    const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

    #[test]
    fn the_exchange_server_takes_the_authority() {
        let rng = SystemRandom::new();
        let authority = Authority::new(NOW, &rng).expect("randomness");
        let ca = CaCert::parse(&authority.pair.cert, NOW).expect("a usable CA");
        assert_eq!(ca.key_algorithm(), KeyAlgorithm::Ed25519);
        assert_eq!(ca.subject_key_id(), Some(authority.key_id.as_slice()));
        assert_eq!(ca.not_after(), NOW.plus_secs(LIFETIME_SECS));
        let key = authority.pair.key.expose_str().expect("text");
        CaKey::load(key, &ca, &rng).expect("its key");
    }

    #[test]
    fn certificates_say_what_was_ordered() {
        let rng = SystemRandom::new();
        let authority = Authority::new(NOW, &rng).expect("randomness");
        let order = |purposes| Order {
            organizations: &["os:admin", "os:reader"],
            common_name: "someone",
            purposes,
            loopback: false,
            validity: (NOW, NOW.plus_secs(60)),
        };
        let issue = |purposes| authority.issue(&order(purposes), &rng).expect("a certificate");
        let pair = issue(&[Purpose::Client]);
        let cert = ClientCertificate::parse(&pair.cert).expect("a certificate");
        assert_eq!(cert.roles(), ["os:admin", "os:reader"]);
        assert_eq!(cert.not_after(), NOW.plus_secs(60));
        assert!(cert.is_client_auth_only() && cert.is_issued_by(&authority.pair.cert));
        cert.matches_key(pair.key.expose_str().expect("text")).expect("its key");
        let both = issue(&[Purpose::Server, Purpose::Client]);
        let both = ClientCertificate::parse(&both.cert).expect("a certificate");
        assert!(!both.is_client_auth_only());
        let other = Authority::new(NOW, &rng).expect("randomness");
        assert!(!cert.is_issued_by(&other.pair.cert));
    }
}
