//! Certificates, keys and requests.

use arbitrary::{Arbitrary, Unstructured};
use exchange_core::config;
use exchange_core::machine::{Entropy, UnixTime};
use exchange_core::pki::{
    CaCert, CaKey, ClientCertificate, CommonName, Draft, LeafKey, PrivateKey, PublicKey,
    SignerTrust, pem,
};
use exchange_core::types::{Role, RoleSet, Ttl};
use ring::rand::SystemRandom;

use crate::fixed::{CAS, Ca, NOW, entropy};

/// Text with certificates and keys, as the operator hands it in.
pub fn ca_pem(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(blocks) = pem::blocks(text) {
        assert!(blocks.len() <= pem::BLOCKS_MAX);
    }
    let _ = (PrivateKey::parse_pem(text), config::from_document(text).map(drop));
    if let Ok(certificate) = ClientCertificate::parse(text) {
        let _ = (certificate.check_dates(NOW), certificate.matches_key(text));
        let _ = certificate.is_issued_by(text);
    }
    if let Ok(ca) = CaCert::parse(text, NOW) {
        let again = CaCert::parse(ca.bundle_text(), NOW).expect("its own text is read again");
        assert_eq!(again.der(), ca.der());
        assert!(ca.not_after() > NOW);
    }
    let Ok(candidates) = CaCert::parse_all(text, NOW) else { return };
    if let Ok((ca, key)) = CaKey::choose(text, candidates, &SystemRandom::new()) {
        let signature = key.sign(&SystemRandom::new(), b"message").expect("a signature");
        assert!(ca.public_key().verifies(key.algorithm(), b"message", &signature));
    }
}

/// A certificate request, and a certificate for it.
pub fn csr(data: &[u8]) {
    let Ok(leaf) = LeafKey::from_csr(data) else { return };
    assert!(!leaf.has_private());
    let spki = leaf.public().spki().to_vec();
    let again = PublicKey::from_spki(&spki).expect("its own key is read again");
    assert_eq!(again.algorithm(), leaf.public().algorithm());
    let roles = crate::provider::roles(&["os:reader"]);
    let ca = &CAS[0];
    let draft = Draft::new(&ca.cert, &roles, None, Ttl::DEFAULT, NOW, leaf, entropy(1))
        .expect("a key that was accepted can be certified");
    let issued = finish(ca, draft);
    assert!(issued.key_pem().is_none());
    let certificate = ClientCertificate::parse(issued.cert_pem()).expect("it reads");
    assert_eq!(certificate.public_key().expect("a known kind").spki(), spki);
}

fn finish(ca: &Ca, draft: Draft) -> exchange_core::pki::Issued {
    let signature = ca.key.sign(&SystemRandom::new(), draft.tbs()).expect("a signature");
    draft.finish(&signature, &ca.cert, SignerTrust::External).expect("what we sign reads back")
}

/// An order for a certificate.
#[derive(Arbitrary, Debug)]
struct Order {
    ca: u8,
    roles: Vec<String>,
    identity: Option<String>,
    ttl_secs: u32,
    now: u64,
    seed: [u8; 32],
    serial: [u8; 16],
    flip: Option<(u16, u8)>,
}

/// From an order to a certificate that says exactly that, or to a refusal.
pub fn sign_roundtrip(data: &[u8]) {
    let Ok(order) = Order::arbitrary(&mut Unstructured::new(data)) else { return };
    let ca = &CAS[usize::from(order.ca) % CAS.len()];
    let parsed = order.roles.iter().filter_map(|role| role.parse::<Role>().ok()).take(64);
    let Some(roles) = RoleSet::new(parsed) else { return };
    let ttl = Ttl::from_secs(u64::from(order.ttl_secs) % 100_000).unwrap_or(Ttl::DEFAULT);
    // Half of the orders come in the lifetime of the CA.
    let now = match order.now % 2 {
        0 => UnixTime::from_secs(order.now),
        _ => UnixTime::from_secs(NOW.secs() + order.now % 1_000_000_000),
    };
    let name = order.identity.as_deref().and_then(CommonName::from_identity);
    let leaf = LeafKey::from_seed(Entropy::new(order.seed)).expect("any seed is a key");
    let serial = Entropy::new(order.serial);
    let Ok(draft) = Draft::new(&ca.cert, &roles, name.as_ref(), ttl, now, leaf, serial) else {
        return;
    };
    let mut signature = ca.key.sign(&SystemRandom::new(), draft.tbs()).expect("a signature");
    if let Some((at, bits)) = order.flip.filter(|(_, bits)| *bits != 0) {
        let at = usize::from(at) % signature.len();
        signature[at] ^= bits;
        assert!(draft.finish(&signature, &ca.cert, SignerTrust::External).is_err());
        return;
    }
    let issued = draft
        .finish(&signature, &ca.cert, SignerTrust::External)
        .expect("what we sign reads back as ordered");
    let certificate = ClientCertificate::parse(issued.cert_pem()).expect("it reads");
    let wanted: Vec<_> = roles.iter().map(Role::as_str).collect();
    assert_eq!(certificate.roles(), wanted);
    assert_eq!(certificate.common_name(), name.as_ref().map(CommonName::as_str));
    assert!(certificate.is_client_auth_only() && certificate.is_issued_by(ca.pem));
    assert!(issued.ttl_secs() <= u64::from(ttl.secs()));
    assert!(certificate.not_after() <= ca.cert.not_after());
    assert_eq!(certificate.check_dates(now), Ok(()));
    let key = issued.key_pem().and_then(|key| key.expose_str()).expect("a fresh key");
    assert_eq!(certificate.matches_key(key), Ok(()));
    assert!(certificate.matches_key(ca.key_pem).is_err());
    assert!((30..=32).contains(&issued.serial_hex().trim_start_matches('0').len()));
}
