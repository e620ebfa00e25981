//! Verification of an ID token, from its text to evidence; and of tokens that are refused.

use std::hint::black_box;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use exchange_core::jwt::{ParsedToken, TokenError, VerifiedToken};
use exchange_core::oidc::jwks::Selection;
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};
use serde_json::Value;

use crate::fixed::{NOW, expectations, jwk, key_set, token};
use crate::{Aim, Bench, Peers, Run, peers};

fn verify(text: &str) -> impl Fn() -> Result<VerifiedToken, TokenError> + use<> {
    let (expect, keys, text) = (expectations(), key_set(), text.to_owned());
    move || {
        let checked = ParsedToken::parse(black_box(&text))?.check(NOW, &expect)?;
        match keys.select(checked.alg(), checked.kid()) {
            Selection::Key(key) => checked.verify(key),
            Selection::Unknown | Selection::Mismatch | Selection::Ambiguous => {
                Err(TokenError::UnknownKey)
            }
        }
    }
}

fn ours(text: &str) -> Run {
    let verify = verify(text);
    assert!(verify().is_ok(), "the token is good");
    Box::new(move || {
        let _ = black_box(verify());
    })
}

/// A token that the code refuses with that error.
fn refused(name: &'static str, text: &str, code: &str) -> Bench {
    let verify = verify(text);
    assert_eq!(verify().err().map(|error| error.code()), Some(code));
    let ours = Box::new(move || {
        let _ = black_box(verify());
    });
    Bench { name, ours, floor: None, peers: vec![], aim: Some(Aim::Nanos(2000.0)) }
}

pub fn refuse_expired() -> Bench {
    refused("refuse_expired", &token!("exp-long-ago"), "token.expired")
}

pub fn refuse_issuer() -> Bench {
    refused("refuse_issuer", &token!("iss-port"), "token.issuer_mismatch")
}

pub fn refuse_unsigned() -> Bench {
    refused("refuse_unsigned", &token!("alg-none"), "token.unsigned")
}

/// Signed part and signature, decoded.
pub fn parts(text: &str) -> (Vec<u8>, Vec<u8>) {
    let (signed, signature) = text.rsplit_once('.').expect("three parts");
    (signed.into(), URL_SAFE_NO_PAD.decode(signature).expect("base64url"))
}

pub fn number(jwk: &Value, name: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(jwk[name].as_str().expect("a text")).expect("base64url")
}

pub fn verify_rs256() -> Bench {
    let (text, jwk) = (token!("rs256"), jwk("rsa-1"));
    let (signed, signature) = parts(&text);
    let key = RsaPublicKeyComponents { n: number(&jwk, "n"), e: number(&jwk, "e") };
    let floor = Box::new(move || {
        key.verify(&signature::RSA_PKCS1_2048_8192_SHA256, black_box(&signed), &signature)
            .expect("valid");
    });
    let (n, e) = (jwk["n"].as_str().expect("a text"), jwk["e"].as_str().expect("a text"));
    bench("verify_rs256", &text, floor, peers::rs256(&text, n, e))
}

pub fn verify_es256() -> Bench {
    let (text, jwk) = (token!("es256"), jwk("es256-1"));
    let (signed, signature) = parts(&text);
    let point = [vec![4], number(&jwk, "x"), number(&jwk, "y")].concat();
    let key = UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point);
    let floor = Box::new(move || key.verify(black_box(&signed), &signature).expect("valid"));
    let (x, y) = (jwk["x"].as_str().expect("a text"), jwk["y"].as_str().expect("a text"));
    bench("verify_es256", &text, floor, peers::es256(&text, x, y))
}

pub fn verify_eddsa() -> Bench {
    let (text, jwk) = (token!("eddsa"), jwk("ed25519-1"));
    let (signed, signature) = parts(&text);
    let key = UnparsedPublicKey::new(&signature::ED25519, number(&jwk, "x"));
    let floor = Box::new(move || key.verify(black_box(&signed), &signature).expect("valid"));
    let x = jwk["x"].as_str().expect("a text");
    bench("verify_eddsa", &text, floor, peers::eddsa(&text, x))
}

fn bench(name: &'static str, text: &str, floor: Run, peers: Peers) -> Bench {
    Bench { name, ours: ours(text), floor: Some(floor), peers, aim: Some(Aim::OfFloor(1.08)) }
}
