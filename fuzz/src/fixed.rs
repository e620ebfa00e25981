//! What every run has in common: the time, the parties, their keys. All of it from the vectors.

use std::sync::LazyLock;

use exchange_core::jwt::{AlgSet, Expectations};
use exchange_core::machine::{Entropy, UnixTime};
use exchange_core::oidc::jwks::KeySet;
use exchange_core::pki::{CaCert, CaKey};
use exchange_core::types::Secret;
use ring::rand::SystemRandom;

/// The time of the vectors.
pub const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
pub const ISSUER: &str = "https://idp.example.com/realms/talos";
pub const AUDIENCE: &str = "talosctl";
pub const CLIENT_SECRET: &str =
    "a client secret of more than sixty-four bytes, so that it serves HS512 too";

/// The provider's published keys, one of each kind.
pub static KEYS: LazyLock<KeySet> = LazyLock::new(|| {
    KeySet::parse(include_bytes!("../../vectors/keys/all.json")).expect("a valid key set")
});

/// Every algorithm allowed, HMAC with [`CLIENT_SECRET`].
pub static EXPECT: LazyLock<Expectations> = LazyLock::new(|| {
    let expect = Expectations::new(
        ISSUER.parse().expect("a valid issuer"),
        AUDIENCE.parse().expect("a valid client"),
    );
    let secret = Secret::new(CLIENT_SECRET.as_bytes());
    expect.with_hmac(secret, Some(AlgSet::ALL)).expect("long enough")
});

/// A signing CA with its key.
pub struct Ca {
    pub pem: &'static str,
    pub key_pem: &'static str,
    pub cert: CaCert,
    pub key: CaKey,
}

impl Ca {
    fn load(pem: &'static str, key_pem: &'static str) -> Self {
        let cert = CaCert::parse(pem, NOW).expect("a CA of the vectors");
        let key = CaKey::load(key_pem, &cert, &SystemRandom::new()).expect("its key");
        Self { pem, key_pem, cert, key }
    }
}

macro_rules! ca_file {
    ($name:literal) => {
        include_str!(concat!("../../vectors/cert/ca/", $name))
    };
}

/// One CA of each kind of key.
pub static CAS: LazyLock<Vec<Ca>> = LazyLock::new(|| {
    vec![
        Ca::load(ca_file!("ed25519.crt"), ca_file!("ed25519.key")),
        Ca::load(ca_file!("p256.crt"), ca_file!("p256.key")),
        Ca::load(ca_file!("p384.crt"), ca_file!("p384.key")),
        Ca::load(ca_file!("rsa2048.crt"), ca_file!("rsa2048.key")),
    ]
});

/// Randomness that is the same in every run.
pub fn entropy<const N: usize>(seed: u64) -> Entropy<N> {
    let mut rng = crate::mutate::Rng::new(seed);
    let mut bytes = [0; N];
    bytes.fill_with(|| rng.below(256).to_le_bytes()[0]);
    Entropy::new(bytes)
}
