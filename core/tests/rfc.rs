//! Reads `vectors/rfc`: examples printed in the standards, and single changes to them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failing test should stop at the line that failed"
)]

mod vectors;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use exchange_core::http::form::{Form, basic_authorization, encode_form};
use exchange_core::jwt::{Alg, Jws, TokenError, VerifyKey, at_hash};
use exchange_core::machine::Entropy;
use exchange_core::oidc::jwks::{KeySet, Selection};
use exchange_core::oidc::pkce::Verifier;
use exchange_core::pki::LeafKey;
use exchange_core::types::Secret;
use ring::digest::{SHA256, digest};
use ring::signature::Ed25519KeyPair;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[serde(rename = "comment")]
    _comment: String,
    #[serde(rename = "source")]
    _source: String,
    example: Example,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Example {
    Base64url {
        octets_hex: String,
        text: String,
    },
    Pkce {
        verifier_octets_hex: String,
        code_verifier: String,
        code_challenge: String,
    },
    /// With `secret` (base64url) standing for the configured client secret.
    Jws {
        token: String,
        keys: Vec<Value>,
        secret: Option<String>,
        payload: Option<String>,
        error: Option<String>,
    },
    Jwks {
        jwks: Value,
        usable: Vec<(String, String)>,
        skipped: Vec<String>,
    },
    Thumbprint {
        jwk: Value,
        canonical_json: String,
        thumbprint: String,
    },
    HalfHash {
        alg: String,
        input: String,
        value: String,
    },
    WholeHash {
        input: String,
        value: String,
    },
    Form {
        text: String,
        encoded: String,
    },
    Basic {
        client_id: String,
        client_secret: String,
        authorization: String,
    },
    Ed25519 {
        seed_hex: String,
        public_hex: String,
        message_hex: String,
        signature_hex: String,
    },
}

#[test]
fn the_examples_of_the_standards_hold() {
    vectors::each("rfc", 73, |case: &Case| match &case.example {
        Example::Base64url { octets_hex, text } => base64url(octets_hex, text),
        Example::Pkce { verifier_octets_hex, code_verifier, code_challenge } => {
            let octets: [u8; 32] = hex(verifier_octets_hex).try_into().unwrap();
            let verifier = Verifier::new(Entropy::new(octets));
            vectors::same(&verifier.expose(), &code_verifier.as_str())?;
            vectors::same(&verifier.challenge(), code_challenge)
        }
        Example::Jws { token, keys, secret, payload, error } => {
            let found = jws(token, keys, secret.as_deref()).map_err(|error| error.code());
            let expected = match (payload, error) {
                (Some(payload), None) => Ok(payload.as_str().into()),
                (None, Some(code)) => Err(code.as_str()),
                _ => return Err("either payload or error".into()),
            };
            vectors::same(&found, &expected)
        }
        Example::Jwks { jwks, usable, skipped } => key_set(jwks, usable, skipped),
        Example::Thumbprint { jwk, canonical_json, thumbprint } => {
            let canonical = canonical(jwk);
            vectors::same(&canonical, canonical_json)?;
            vectors::same(&b64(digest(&SHA256, canonical.as_bytes()).as_ref()), thumbprint)
        }
        Example::HalfHash { alg, input, value } => {
            vectors::same(&at_hash(Alg::from_name(alg).unwrap(), input), value)
        }
        Example::WholeHash { input, value } => {
            vectors::same(&b64(digest(&SHA256, input.as_bytes()).as_ref()), value)
        }
        Example::Form { text, encoded } => {
            let pair = format!("a={encoded}");
            vectors::same(&encode_form([("a", text.as_str())]).as_str(), &pair.as_str())?;
            vectors::same(&Form::parse(&pair).unwrap().get("a").unwrap(), &Some(text.as_str()))
        }
        Example::Basic { client_id, client_secret, authorization } => {
            let found = basic_authorization(client_id, &Secret::new(client_secret.as_bytes()));
            vectors::same(&found.unwrap().as_str(), &authorization.as_str())
        }
        Example::Ed25519 { seed_hex, public_hex, message_hex, signature_hex } => {
            let seed: [u8; 32] = hex(seed_hex).try_into().unwrap();
            let (public, message) = (hex(public_hex), hex(message_hex));
            let signature = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap().sign(&message);
            vectors::same(&signature.as_ref(), &hex(signature_hex).as_slice())?;
            let leaf = LeafKey::from_seed(Entropy::new(seed)).unwrap();
            vectors::same(&leaf.public().key_bytes(), &public.as_slice())?;
            let key = VerifyKey::ed25519(&public).unwrap();
            let verdict = key.verify_raw(Alg::EdDsa, &message, signature.as_ref());
            vectors::same(&verdict, &Ok(()))
        }
    });
}

/// Decoding is strict, so the text is the one spelling of the octets.
fn base64url(octets_hex: &str, text: &str) -> Result<(), String> {
    // The payload of a token is the way into the decoder.
    let payload = |text: &str| {
        Jws::parse(&format!("eyJhbGciOiJIUzI1NiJ9.{text}.AA")).map(|jws| jws.payload().to_vec())
    };
    vectors::same(&payload(text), &Ok(hex(octets_hex)))?;
    let padded = format!("{text}=");
    vectors::same(&payload(&padded), &Err(TokenError::BadBase64))
}

/// The payload, if the secret or one of the published `keys` verifies the token.
fn jws(token: &str, keys: &[Value], secret: Option<&str>) -> Result<String, TokenError> {
    let jws = Jws::parse(token)?;
    let set = KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap();
    let secret = secret
        .map(|text| VerifyKey::hmac(Secret::new(URL_SAFE_NO_PAD.decode(text).unwrap())).unwrap());
    match (set.select(jws.alg(), jws.kid()), &secret) {
        (_, Some(secret)) if jws.alg().is_hmac() => jws.verify(secret)?,
        (Selection::Key(key), _) => jws.verify(key)?,
        (Selection::Unknown, _) => return Err(TokenError::UnknownKey),
        (Selection::Mismatch, _) => return Err(TokenError::KeyMismatch),
        (Selection::Ambiguous, _) => return Err(TokenError::AmbiguousKey),
    }
    Ok(String::from_utf8(jws.payload().to_vec()).unwrap())
}

/// `usable` pairs a kid with an algorithm that its key serves.
fn key_set(jwks: &Value, usable: &[(String, String)], skipped: &[String]) -> Result<(), String> {
    let set = KeySet::parse(jwks.to_string().as_bytes()).unwrap();
    let reasons: Vec<&str> = set.skipped().iter().map(|entry| entry.reason.code()).collect();
    vectors::same(&reasons, &skipped.iter().map(String::as_str).collect())?;
    vectors::same(&set.is_empty(), &usable.is_empty())?;
    for alg in Alg::ALL {
        for kid in set.kids().flatten() {
            let served = matches!(set.select(alg, Some(kid)), Selection::Key(_));
            let wanted = usable.iter().any(|(name, by)| name == kid.as_str() && by == alg.name());
            vectors::same(&(alg, served), &(alg, wanted))?;
        }
    }
    Ok(())
}

/// The required members in the order of their names (RFC 7638 section 3.2).
fn canonical(jwk: &Value) -> String {
    let members: &[&str] = match jwk.get("kty").and_then(Value::as_str).unwrap() {
        "RSA" => &["e", "kty", "n"],
        "EC" => &["crv", "kty", "x", "y"],
        _ => &["crv", "kty", "x"],
    };
    let pairs: Vec<String> =
        members.iter().map(|name| format!("\"{name}\":{}", jwk.get(name).unwrap())).collect();
    format!("{{{}}}", pairs.join(","))
}

fn b64(octets: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().map(|c| c.to_digit(16).unwrap().try_into().unwrap()).collect();
    digits.chunks(2).map(|pair| pair.iter().fold(0, |octet, digit| octet << 4 | digit)).collect()
}
