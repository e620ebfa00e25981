//! Third-party cases of Project Wycheproof, run through our key, key-set and token readers.
//!
//! The files are read from `wycheproof/` in the folder `EXCHANGE_SHARED_DIR` names, or in
//! `../shared/vectors` beside the repository. Without them the test says that it is skipped; in CI
//! (`CI` set) that is a failure, unless `ALLOW_SKIP` contains `wycheproof`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a failing case should name itself, and a skipped test should say so"
)]

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::PathBuf;

use exchange_core::jwt::{Alg, Jws, VerifyKey};
use exchange_core::oidc::jwks::{KeySet, Selection};
use exchange_core::types::Secret;
use serde::Deserialize;
use serde_json::{Map, Value, json};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    number_of_tests: usize,
    test_groups: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    tests: Vec<Test>,
    public: Option<Map<String, Value>>,
    private: Option<Map<String, Value>>,
    public_key_jwk: Option<Map<String, Value>>,
    key_jwk: Option<Map<String, Value>>,
    tag_size: Option<usize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Test {
    tc_id: u32,
    comment: String,
    result: String,
    jws: Option<Value>,
    key: Option<String>,
    msg: Option<String>,
    sig: Option<String>,
    tag: Option<String>,
}

/// Cases on which this program and the set differ, with the reason.
type Exceptions = &'static [(u32, &'static str)];

fn file(name: &str) -> Option<File> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors");
    let folder = env::var_os("EXCHANGE_SHARED_DIR").map_or(beside, PathBuf::from);
    let path = folder.join("wycheproof").join(name);
    if !path.exists() {
        let allowed = env::var("ALLOW_SKIP").unwrap_or_default().contains("wycheproof");
        assert!(env::var_os("CI").is_none() || allowed, "{} is missing", path.display());
        println!("skipped: wycheproof vectors not found ({})", path.display());
        return None;
    }
    let file: File = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let tests: usize = file.test_groups.iter().map(|group| group.tests.len()).sum();
    assert!(tests > 0 && tests == file.number_of_tests, "{name}: {tests} tests");
    Some(file)
}

/// Runs every case of a file. `accepts` is `None` where a case is not about us.
fn run(name: &str, exceptions: Exceptions, accepts: impl Fn(&Group, &Test) -> Option<bool>) {
    let Some(file) = file(name) else { return };
    let mut unused: BTreeMap<u32, &str> = exceptions.iter().copied().collect();
    let (mut wrong, mut ran) = (Vec::new(), 0);
    for group in &file.test_groups {
        for test in &group.tests {
            let Some(accepted) = accepts(group, test) else { continue };
            ran += 1;
            // "acceptable" leaves the choice to the verifier.
            let agrees = test.result == "acceptable" || accepted == (test.result == "valid");
            if !agrees && unused.remove(&test.tc_id).is_none() {
                wrong.push(format!("{} {}: {} here", test.tc_id, test.comment, accepted));
            }
        }
    }
    assert!(wrong.is_empty(), "{name}: {} of {ran} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(unused.is_empty(), "{name}: exceptions no longer needed: {unused:?}");
    assert!(ran > 0, "{name}: nothing ran");
}

fn hex(text: &str) -> Vec<u8> {
    let digit = |c: char| c.to_digit(16).unwrap();
    let chars: Vec<char> = text.chars().collect();
    chars
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => u8::try_from(digit(*high) * 16 + digit(*low)).unwrap(),
            _ => panic!("odd number of digits"),
        })
        .collect()
}

/// The one key of a set with this JWK, by the way every published key comes in.
fn accepts_raw(jwk: &Map<String, Value>, alg: Alg, test: &Test) -> bool {
    let set = KeySet::parse(json!({ "keys": [jwk] }).to_string().as_bytes()).unwrap();
    let (message, signature) = (hex(test.msg.as_ref().unwrap()), hex(test.sig.as_ref().unwrap()));
    match set.select(alg, None) {
        Selection::Key(key) => key.verify_raw(alg, &message, &signature).is_ok(),
        Selection::Unknown | Selection::Mismatch | Selection::Ambiguous => false,
    }
}

fn run_raw(name: &str, alg: Alg, exceptions: Exceptions) {
    run(name, exceptions, |group, test| {
        let jwk = group.public_key_jwk.as_ref().or(group.key_jwk.as_ref())?;
        Some(accepts_raw(jwk, alg, test))
    });
}

fn base64url(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).ok()
}

/// A lone `oct` key is a configured client secret, with the algorithm it says; every other key is
/// published, without its private part.
fn accepts_jws(group: &Group, test: &Test) -> Option<bool> {
    let token = test.jws.as_ref()?;
    // The JSON serializations are given as JSON.
    let text = token.as_str().map_or_else(|| token.to_string(), Into::into);
    let Ok(jws) = Jws::parse(&text) else { return Some(false) };
    let jwk = group.public.as_ref().or(group.private.as_ref()).unwrap();
    let jwk = match jwk.get("keys").and_then(Value::as_array).map(Vec::as_slice) {
        Some([only]) => only.as_object().unwrap(),
        _ => jwk,
    };
    if jwk.get("kty").and_then(Value::as_str) == Some("oct") {
        let alg = jwk.get("alg").and_then(Value::as_str).map(Alg::from_name);
        let secret = jwk.get("k").and_then(Value::as_str).and_then(base64url).unwrap();
        let Ok(key) = VerifyKey::hmac(Secret::new(secret)) else { return Some(false) };
        return Some(match alg {
            Some(Some(alg)) => key.bound_to(alg).is_ok_and(|key| jws.verify(&key).is_ok()),
            Some(None) => false,
            None => jws.verify(&key).is_ok(),
        });
    }
    let entries = match jwk.get("keys") {
        Some(keys) => keys.as_array().unwrap().clone(),
        None => vec![Value::Object(jwk.clone())],
    };
    let published: Vec<Value> = entries
        .into_iter()
        .map(|mut entry| {
            for name in ["d", "p", "q", "dp", "dq", "qi", "oth"] {
                entry.as_object_mut().unwrap().remove(name);
            }
            entry
        })
        .collect();
    let set = KeySet::parse(json!({ "keys": published }).to_string().as_bytes()).unwrap();
    Some(match set.select(jws.alg(), jws.kid()) {
        Selection::Key(key) => jws.verify(key).is_ok(),
        Selection::Unknown | Selection::Mismatch | Selection::Ambiguous => false,
    })
}

#[test]
fn json_web_signature() {
    const OTHER_ALG: &str = "the key is bound to PS256, the token says PS384";
    const P521: &str = "P-521 cannot be checked, and the key says ES521, which is no name";
    const LABEL: &str = "byte for byte the valid case 357, though labelled invalid";
    const CHARACTER: &str = "a character outside the base64url alphabet, though labelled valid";
    run(
        "json_web_signature_test.json",
        &[
            (346, OTHER_ALG),
            (347, P521),
            (350, OTHER_ALG),
            (351, P521),
            (367, LABEL),
            (370, LABEL),
            (372, CHARACTER),
            (373, CHARACTER),
        ],
        accepts_jws,
    );
}

#[test]
fn json_web_key() {
    run(
        "json_web_key_test.json",
        &[
            (2, "a set of secrets: symmetric keys are never taken from a set"),
            (7, "a modulus of the ROCA kind: nothing but its origin is wrong with it"),
        ],
        accepts_jws,
    );
}

#[test]
fn json_web_crypto() {
    run(
        "json_web_crypto_test.json",
        &[
            (46, "a modulus of the ROCA kind: nothing but its origin is wrong with it"),
            (48, "a set of secrets: symmetric keys are never taken from a set"),
        ],
        accepts_jws,
    );
}

#[test]
fn ecdsa() {
    run_raw("ecdsa_secp256r1_sha256_p1363_test.json", Alg::Es256, &[]);
    run_raw("ecdsa_secp384r1_sha384_p1363_test.json", Alg::Es384, &[]);
}

#[test]
fn rsa() {
    run_raw("rsa_signature_2048_sha256_test.json", Alg::Rs256, &[]);
    run_raw("rsa_signature_2048_sha384_test.json", Alg::Rs384, &[]);
    run_raw("rsa_signature_2048_sha512_test.json", Alg::Rs512, &[]);
    run_raw("rsa_pss_2048_sha256_mgf1_32_test.json", Alg::Ps256, &[]);
}

#[test]
fn ed25519() {
    run_raw("ed25519_test.json", Alg::EdDsa, &[]);
}

#[test]
fn hmac() {
    run("hmac_sha256_test.json", &[], |group, test| {
        let key = VerifyKey::hmac(Secret::new(hex(test.key.as_ref()?))).ok();
        let accepted = key.is_some_and(|key| {
            let tag = hex(test.tag.as_ref().unwrap());
            key.verify_raw(Alg::Hs256, &hex(test.msg.as_ref().unwrap()), &tag).is_ok()
        });
        // Truncated tags and short secrets are refused, whatever the set says about them.
        let ours = group.tag_size == Some(256) && test.key.as_ref()?.len() >= 64;
        if ours {
            Some(accepted)
        } else {
            assert!(!accepted, "{}: {}", test.tc_id, test.comment);
            None
        }
    });
}
