//! Inputs out of the vectors.

use exchange_core::jwt::Expectations;
use exchange_core::machine::UnixTime;
use exchange_core::oidc::jwks::KeySet;
use exchange_core::pki::{CaCert, CaKey};
use ring::rand::SystemRandom;
use serde_json::Value;

/// The time of the vectors.
pub const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
pub const ISSUER: &str = "https://idp.example.com/realms/talos";
pub const AUDIENCE: &str = "talosctl";
pub const KEYS: &str = include_str!("../../vectors/keys/all.json");

/// The token of a case in `vectors/jwt`.
macro_rules! token {
    ($case:literal) => {
        $crate::fixed::member(include_str!(concat!("../../vectors/jwt/", $case, ".json")), "token")
    };
}
pub(crate) use token;

/// A text member of a case.
pub fn member(case: &str, name: &str) -> String {
    let case: Value = serde_json::from_str(case).expect("a case is JSON");
    case[name].as_str().expect("the member is a text").into()
}

/// The published key of that name, as JSON.
pub fn jwk(kid: &str) -> Value {
    let set: Value = serde_json::from_str(KEYS).expect("a key set is JSON");
    let keys = set["keys"].as_array().expect("an array");
    keys.iter().find(|key| key["kid"] == kid).expect("a key of that name").clone()
}

pub fn key_set() -> KeySet {
    KeySet::parse(KEYS.as_bytes()).expect("a valid key set")
}

pub fn expectations() -> Expectations {
    Expectations::new(ISSUER.parse().expect("an issuer"), AUDIENCE.parse().expect("a client"))
}

/// A CA of the certificates' vectors: certificate and key as text, and both read.
pub struct Ca {
    pub pem: &'static str,
    #[cfg_attr(not(feature = "peers"), expect(dead_code, reason = "only peers read it again"))]
    pub key_pem: &'static str,
    pub cert: CaCert,
    pub key: CaKey,
}

pub fn ca(pem: &'static str, key_pem: &'static str) -> Ca {
    let cert = CaCert::parse(pem, NOW).expect("a CA");
    let key = CaKey::load(key_pem, &cert, &SystemRandom::new()).expect("its key");
    Ca { pem, key_pem, cert, key }
}

pub fn ed25519_ca() -> Ca {
    ca(
        include_str!("../../vectors/cert/ca/ed25519.crt"),
        include_str!("../../vectors/cert/ca/ed25519.key"),
    )
}
