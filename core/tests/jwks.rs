//! Reads `vectors/jwks`: what an issuer publishes, and which of it can be used.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failing test should stop at the line that failed"
)]

mod vectors;

use exchange_core::oidc::jwks::{JwksError, KeySet};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[serde(rename = "comment")]
    _comment: String,
    #[serde(rename = "source")]
    _source: String,
    jwks_text: String,
    expect: Expect,
}

#[derive(Deserialize, Debug, PartialEq)]
#[serde(untagged)]
enum Expect {
    Read(Keys),
    Refused(Refusal),
}

#[derive(Deserialize, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
struct Keys {
    usable: Vec<Option<String>>,
    skipped: Vec<String>,
}

#[derive(Deserialize, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
struct Refusal {
    error: String,
}

fn outcome(case: &Case) -> Result<Keys, JwksError> {
    let set = KeySet::parse(case.jwks_text.as_bytes())?;
    assert_eq!((set.len(), set.is_empty()), (set.kids().count(), set.kids().count() == 0));
    Ok(Keys {
        usable: set.kids().map(|kid| kid.map(|kid| kid.as_str().into())).collect(),
        skipped: set.skipped().iter().map(|entry| entry.reason.code().into()).collect(),
    })
}

#[test]
fn key_sets_are_read_as_the_vectors_say() {
    vectors::each("jwks", 100, |case: &Case| {
        let found = match outcome(case) {
            Ok(keys) => Expect::Read(keys),
            Err(error) => Expect::Refused(Refusal { error: error.code().into() }),
        };
        vectors::same(&found, &case.expect)
    });
}
