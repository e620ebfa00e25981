//! Reads `vectors/jwt`: a token, the keys of its issuer, and the verdict.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failing test should stop at the line that failed"
)]

mod vectors;

use std::fs;

use exchange_core::jwt::{
    Alg, AlgSet, CheckedToken, Expectations, ParsedToken, TokenError, VerifiedToken, VerifyKey,
};
use exchange_core::machine::UnixTime;
use exchange_core::oidc::jwks::{KeySet, Selection};
use exchange_core::types::Secret;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[serde(rename = "comment")]
    _comment: String,
    #[serde(rename = "source")]
    _source: String,
    now: u64,
    jwks: Option<serde_json::Value>,
    keys: Option<String>,
    token: String,
    config: Config,
    expect: Expect,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    issuer: String,
    audience: String,
    algs: Option<Vec<String>>,
    hmac_secret: Option<String>,
    skew: Option<u32>,
    #[serde(default)]
    slash_tolerant: bool,
    max_token_age: Option<u32>,
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
    sub: String,
}

fn expectations(config: &Config) -> Expectations {
    let algs: Option<AlgSet> = config
        .algs
        .as_ref()
        .map(|names| names.iter().map(|n| Alg::from_name(n).unwrap()).collect());
    let (issuer, audience) = (config.issuer.parse().unwrap(), config.audience.parse().unwrap());
    let mut expected = Expectations::new(issuer, audience);
    if let Some(secret) = &config.hmac_secret {
        expected = expected.with_hmac(Secret::new(secret.as_bytes()), algs).unwrap();
    } else if let Some(algs) = algs {
        expected.algs = algs;
    }
    expected.skew_secs = config.skew.unwrap_or(60);
    expected.slash_tolerant = config.slash_tolerant;
    expected.token_age_secs_max = config.max_token_age;
    expected
}

fn key_set(case: &Case) -> KeySet {
    let text = match (&case.jwks, &case.keys) {
        (Some(inline), None) => serde_json::to_vec(inline).unwrap(),
        (None, Some(file)) => fs::read(vectors::root().join(file)).unwrap(),
        _ => panic!("a case has either jwks or keys"),
    };
    KeySet::parse(&text).unwrap()
}

/// The key a server uses: the configured secret for HMAC, else one that the issuer publishes.
fn key<'a>(
    set: &'a KeySet,
    expected: &'a Expectations,
    token: &CheckedToken,
) -> Result<&'a VerifyKey, TokenError> {
    if token.alg().is_hmac() {
        return expected.hmac_key().ok_or(TokenError::AlgNotAllowed(token.alg()));
    }
    match set.select(token.alg(), token.kid()) {
        Selection::Key(key) => Ok(key),
        Selection::Unknown => Err(TokenError::UnknownKey),
        Selection::Mismatch => Err(TokenError::KeyMismatch),
        Selection::Ambiguous => Err(TokenError::AmbiguousKey),
    }
}

fn outcome(case: &Case) -> Result<VerifiedToken, TokenError> {
    let expected = expectations(&case.config);
    let set = key_set(case);
    let token = ParsedToken::parse(&case.token)?.check(UnixTime::from_secs(case.now), &expected)?;
    let key = key(&set, &expected, &token)?;
    token.verify(key)
}

fn verdict(case: &Case) -> Expect {
    match outcome(case) {
        Ok(token) => Expect::Ok(Facts { sub: token.subject().into() }),
        Err(error) => Expect::Error(error.code().into()),
    }
}

#[test]
fn tokens_are_judged_as_the_vectors_say() {
    vectors::each("jwt", 300, |case: &Case| vectors::same(&verdict(case), &case.expect));
}

/// The audit line has the whole story; a stranger learns of a check that failed only where that
/// person can act on it, and nobody is shown a part of the token.
#[test]
fn refusals_are_told_without_the_token() {
    vectors::each("jwt", 300, |case: &Case| {
        let Err(error) = outcome(case) else { return Ok(()) };
        let told = error.detail(&case.config.issuer.parse().unwrap());
        vectors::clear(&told, &case.token)?;
        vectors::clear(error.public(), &case.token)?;
        let open = matches!(
            error,
            TokenError::Expired { .. }
                | TokenError::TooOld { .. }
                | TokenError::NotYetValid { .. }
                | TokenError::IssuedInFuture { .. }
                | TokenError::UnsupportedAlg(_)
        );
        vectors::same(&(error.public_code() == "token.invalid"), &!open)?;
        vectors::same(&(error.public() == TokenError::BadSignature.public()), &!open)
    });
}

/// Of several things wrong in one JSON text, readers find another one first.
fn one_code_for_json(verdict: &Expect) -> Expect {
    match verdict {
        Expect::Error(code) if code == "token.duplicate_member" => {
            Expect::Error("token.bad_claims".into())
        }
        Expect::Ok(Facts { sub }) => Expect::Ok(Facts { sub: sub.clone() }),
        Expect::Error(code) => Expect::Error(code.replace("bad_header", "bad_claims")),
    }
}

#[test]
fn altered_tokens_are_judged_as_another_implementation_does() {
    vectors::altered("jwt", |case: &Case| {
        vectors::same(&one_code_for_json(&verdict(case)), &one_code_for_json(&case.expect))
    });
}
