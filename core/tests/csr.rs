//! Reads `vectors/csr`: certificate requests, and the key each proves or the code of the refusal.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failing test should stop at the line that failed"
)]

mod vectors;

use std::fmt::Write as _;

use exchange_core::pki::{KeyAlgorithm, LeafKey};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[serde(rename = "comment")]
    _comment: String,
    #[serde(rename = "source")]
    _source: String,
    text: Option<String>,
    der: Option<String>,
    expect: Expect,
}

#[derive(Deserialize, Debug, PartialEq)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Expect {
    Ok(Facts),
    Error(String),
}

#[derive(Deserialize, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
struct Facts {
    key: String,
    spki: String,
}

fn bytes(case: &Case) -> Result<Vec<u8>, String> {
    match (&case.text, &case.der) {
        (Some(text), None) => Ok(text.clone().into_bytes()),
        (None, Some(hex)) => hex
            .as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16))
            .collect::<Result<_, _>>()
            .map_err(|error| error.to_string()),
        _ => Err("a case has either text or der".into()),
    }
}

fn outcome(request: &[u8]) -> Expect {
    let leaf = match LeafKey::from_csr(request) {
        Ok(leaf) => leaf,
        Err(error) => {
            vectors::clear(&error.to_string(), "").unwrap();
            return Expect::Error(error.code().into());
        }
    };
    let key = match leaf.public().algorithm() {
        KeyAlgorithm::Ed25519 => "ed25519".into(),
        KeyAlgorithm::P256 => "p256".into(),
        KeyAlgorithm::P384 => "p384".into(),
        KeyAlgorithm::Rsa { bits } => format!("rsa-{bits}"),
    };
    let spki = leaf.public().spki().iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    });
    Expect::Ok(Facts { key, spki })
}

#[test]
fn requests_are_judged_as_the_vectors_say() {
    vectors::each("csr", 50, |case: &Case| vectors::same(&outcome(&bytes(case)?), &case.expect));
}
