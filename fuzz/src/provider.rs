//! A provider in memory: keys of its own, tokens, documents.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use exchange_core::types::{Role, RoleSet};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

/// A signing key and the name it is published under.
pub struct Key {
    pub kid: &'static str,
    pair: Ed25519KeyPair,
}

impl Key {
    fn new(kid: &'static str, seed: u8) -> Self {
        Self { kid, pair: Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("32 bytes") }
    }

    /// The public half as a JWK.
    pub fn jwk(&self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.pair.public_key().as_ref());
        json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": self.kid, "x": x })
    }

    /// A token over these claims.
    pub fn sign(&self, claims: &Value) -> String {
        let header = json!({ "alg": "EdDSA", "kid": self.kid, "typ": "JWT" });
        let [header, claims] =
            [header, claims.clone()].map(|v| URL_SAFE_NO_PAD.encode(v.to_string()));
        let signed = format!("{header}.{claims}");
        let signature = URL_SAFE_NO_PAD.encode(self.pair.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }
}

/// Two keys that the provider may publish, and one it never does.
pub static KEYS: LazyLock<[Key; 3]> =
    LazyLock::new(|| [Key::new("one", 1), Key::new("two", 2), Key::new("never", 3)]);

/// A key set of those of the first two that are wanted.
pub fn jwks(published: [bool; 2]) -> String {
    let keys = KEYS.iter().zip(published).filter(|(_, wanted)| *wanted);
    json!({ "keys": keys.map(|(key, _)| key.jwk()).collect::<Vec<_>>() }).to_string()
}

/// Metadata of that issuer.
pub fn metadata(issuer: &str) -> String {
    let at = |path: &str| format!("{issuer}/{path}");
    json!({
        "issuer": issuer,
        "authorization_endpoint": at("auth"),
        "token_endpoint": at("token"),
        "device_authorization_endpoint": at("device"),
        "revocation_endpoint": at("revoke"),
        "jwks_uri": at("certs"),
        "id_token_signing_alg_values_supported": ["EdDSA"],
        "code_challenge_methods_supported": ["S256"],
    })
    .to_string()
}

/// A set of these roles.
pub fn roles(names: &[&str]) -> RoleSet {
    let parsed = names.iter().map(|name| name.parse::<Role>().expect("a valid role"));
    RoleSet::new(parsed).expect("at least one")
}
