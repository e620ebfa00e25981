//! ID tokens, signed with keys that everybody knows.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as B64;
use ring::rand::SystemRandom;
use ring::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair};
use serde_json::{Map, Value, json};

pub(crate) const CLIENT_ID: &str = "talosctl";

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// What a provider signs with.
pub(crate) enum Key {
    Ed25519 { kid: String, pair: Ed25519KeyPair },
    Es256 { kid: String, pair: EcdsaKeyPair },
    Rs256 { kid: String, pair: RsaKeyPair, n: String },
    Hmac { alg: &'static str, secret: Vec<u8> },
}

fn jwk(name: &str) -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../vectors/keys/private/");
    let text = std::fs::read_to_string(format!("{path}{name}.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn part(jwk: &Value, name: &str) -> Vec<u8> {
    B64.decode(jwk[name].as_str().unwrap()).unwrap()
}

impl Key {
    pub(crate) fn ed25519(kid: &str, seed: u8) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        Self::Ed25519 { kid: kid.into(), pair }
    }

    pub(crate) fn es256(kid: &str) -> Self {
        let jwk = jwk("es256");
        let point = [&[4], &*part(&jwk, "x"), &*part(&jwk, "y")].concat();
        let pair = EcdsaKeyPair::from_private_key_and_public_key(
            &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
            &part(&jwk, "d"),
            &point,
            &SystemRandom::new(),
        );
        Self::Es256 { kid: kid.into(), pair: pair.unwrap() }
    }

    pub(crate) fn rs256(kid: &str) -> Self {
        let jwk = jwk("rsa");
        let components =
            signature::RsaPublicKeyComponents { n: part(&jwk, "n"), e: part(&jwk, "e") };
        let pair = RsaKeyPair::from_components(&ring::rsa::KeyPairComponents {
            public_key: components,
            d: part(&jwk, "d"),
            p: part(&jwk, "p"),
            q: part(&jwk, "q"),
            dP: part(&jwk, "dp"),
            dQ: part(&jwk, "dq"),
            qInv: part(&jwk, "qi"),
        });
        let n = jwk["n"].as_str().unwrap().to_owned();
        Self::Rs256 { kid: kid.into(), pair: pair.unwrap(), n }
    }

    pub(crate) fn hmac(alg: &'static str, secret: &[u8]) -> Self {
        Self::Hmac { alg, secret: secret.into() }
    }

    /// As it stands in a key set.
    pub(crate) fn jwk(&self) -> Value {
        match self {
            Self::Ed25519 { kid, pair } => json!({
                "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": kid,
                "x": B64.encode(pair.public_key().as_ref()),
            }),
            Self::Es256 { kid, pair } => {
                let point = pair.public_key().as_ref();
                json!({
                    "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": kid,
                    "x": B64.encode(&point[1..33]), "y": B64.encode(&point[33..]),
                })
            }
            Self::Rs256 { kid, n, .. } => json!({
                "kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid, "n": n, "e": "AQAB",
            }),
            Self::Hmac { .. } => panic!("no provider publishes a secret"),
        }
    }

    fn header(&self) -> Value {
        match self {
            Self::Ed25519 { kid, .. } => json!({"alg": "EdDSA", "typ": "JWT", "kid": kid}),
            Self::Es256 { kid, .. } => json!({"alg": "ES256", "typ": "JWT", "kid": kid}),
            Self::Rs256 { kid, .. } => json!({"alg": "RS256", "typ": "JWT", "kid": kid}),
            Self::Hmac { alg, .. } => json!({"alg": alg, "typ": "JWT"}),
        }
    }

    /// A signed token of these claims.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.sign_with_header(&self.header(), claims)
    }

    pub(crate) fn sign_with_header(&self, header: &Value, claims: &Value) -> String {
        let signing =
            format!("{}.{}", B64.encode(header.to_string()), B64.encode(claims.to_string()));
        let rng = SystemRandom::new();
        let bytes = signing.as_bytes();
        let signature = match self {
            Self::Ed25519 { pair, .. } => pair.sign(bytes).as_ref().to_vec(),
            Self::Es256 { pair, .. } => pair.sign(&rng, bytes).unwrap().as_ref().to_vec(),
            Self::Rs256 { pair, .. } => {
                let mut out = vec![0; pair.public().modulus_len()];
                pair.sign(&signature::RSA_PKCS1_SHA256, &rng, bytes, &mut out).unwrap();
                out
            }
            Self::Hmac { alg, secret } => {
                let hash = match *alg {
                    "HS256" => ring::hmac::HMAC_SHA256,
                    "HS384" => ring::hmac::HMAC_SHA384,
                    _ => ring::hmac::HMAC_SHA512,
                };
                let key = ring::hmac::Key::new(hash, secret);
                ring::hmac::sign(&key, bytes).as_ref().to_vec()
            }
        };
        format!("{signing}.{}", B64.encode(signature))
    }
}

/// Claims of a good token for `sub`, overridden by the members of `more`; null removes one.
pub(crate) fn claims(issuer: &str, sub: &str, more: Value) -> Value {
    let mut claims = Map::new();
    claims.insert("iss".into(), issuer.into());
    claims.insert("aud".into(), CLIENT_ID.into());
    claims.insert("sub".into(), sub.into());
    claims.insert("iat".into(), now().into());
    claims.insert("exp".into(), (now() + 300).into());
    let Value::Object(more) = more else { panic!("claims are an object") };
    for (name, value) in more {
        if value.is_null() {
            claims.remove(&name);
        } else {
            claims.insert(name, value);
        }
    }
    Value::Object(claims)
}
