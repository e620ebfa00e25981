use super::*;
use crate::jwt::base64url::encode;
use crate::jwt::{Alg, TokenError as E, at_hash};
use alloc::format;
use alloc::string::String;

const NOW: u64 = 1_800_000_000;

/// A token with a signature that nobody made: a client does not look at it.
fn token(alg: &str, claims: &str) -> String {
    let header = format!(r#"{{"alg":"{alg}"}}"#);
    format!("{}.{}.c2ln", encode(header.as_bytes()), encode(claims.as_bytes()))
}

fn claims(more: &str) -> String {
    format!(
        r#"{{"iss":"https://idp.example","sub":"u","aud":"cli","exp":1800000300,"iat":1799999990{more}}}"#
    )
}

fn expected(nonce: ExpectedNonce) -> ClientExpectations {
    ClientExpectations {
        issuer: "https://idp.example".parse().unwrap(),
        client_id: "cli".parse().unwrap(),
        nonce,
        skew_secs: 300,
        slash_tolerant: false,
    }
}

fn check(claims: &str, nonce: ExpectedNonce) -> Result<IdTokenFacts, E> {
    let now = UnixTime::from_secs(NOW);
    check_id_token(&token("RS256", claims), None, &expected(nonce), now)
}

#[test]
fn facts_of_a_good_token() {
    let facts = check(
        &claims(r#","nonce":"n","email":"u@e.example","name":7"#),
        ExpectedNonce::Sent(Secret::new(*b"n")),
    )
    .unwrap();
    assert_eq!((&*facts.subject, &*facts.issuer), ("u", "https://idp.example"));
    assert_eq!((facts.email.as_deref(), facts.name), (Some("u@e.example"), None));
    assert_eq!(facts.expires_at.secs(), NOW + 300);
    assert_eq!(facts.issued_at.secs(), NOW - 10);
}

#[test]
fn nonces() {
    let sent = || ExpectedNonce::Sent(Secret::new(*b"n"));
    let original = || ExpectedNonce::Original(Secret::new(*b"n"));
    for (more, nonce, error) in [
        (r#","nonce":"n""#, sent(), None),
        (r#","nonce":"m""#, sent(), Some(E::NonceMismatch)),
        ("", sent(), Some(E::NonceMismatch)),
        (r#","nonce":["n"]"#, sent(), Some(E::ClaimType("nonce"))),
        (r#","nonce":"n""#, original(), None),
        ("", original(), None),
        (r#","nonce":"m""#, original(), Some(E::NonceMismatch)),
        (r#","nonce":"m""#, ExpectedNonce::NotSent, None),
        ("", ExpectedNonce::NotSent, None),
    ] {
        assert_eq!(check(&claims(more), nonce).err(), error, "{more}");
    }
}

#[test]
fn hashes_follow_the_algorithm() {
    let access = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";
    // OpenID Connect Core 1.0 appendix A.3.
    assert_eq!(at_hash(Alg::Rs256, access), "77QmUPtjPfzWtF2AnpK9RQ");
    for alg in Alg::ALL {
        let hash = at_hash(alg, access);
        let good = token(alg.name(), &claims(&format!(r#","at_hash":"{hash}""#)));
        let now = UnixTime::from_secs(NOW);
        let check =
            |access| check_id_token(&good, access, &expected(ExpectedNonce::NotSent), now).err();
        assert_eq!(check(Some(access)), None, "{alg}");
        assert_eq!(check(Some("other")), Some(E::AtHashMismatch), "{alg}");
        assert_eq!(check(None), None, "{alg}");
    }
}

#[test]
fn what_a_client_refuses() {
    for (from, to, error) in [
        ("idp.example", "idp.example/", "token.issuer_slash"),
        ("idp.example", "evil.example", "token.issuer_mismatch"),
        (r#""aud":"cli""#, r#""aud":"other""#, "token.audience_mismatch"),
        (r#""aud":"cli""#, r#""aud":["cli","o"]"#, "token.azp_missing"),
        (r#""aud":"cli""#, r#""aud":"cli","azp":"o""#, "token.azp_mismatch"),
        ("1800000300", "1799999700", "token.expired"),
        (r#""sub":"u""#, r#""sub":"""#, "token.subject_missing"),
        (r#""sub":"u""#, r#""sub":"u","events":{}"#, "token.not_an_id_token"),
    ] {
        let changed = claims("").replace(from, to);
        let error_found = check(&changed, ExpectedNonce::NotSent).unwrap_err();
        assert_eq!(error_found.code(), error, "{to}");
    }
    // A clock that is five minutes fast still logs in.
    let late = claims("").replace("1800000300", "1799999701");
    assert!(check(&late, ExpectedNonce::NotSent).is_ok());
}

#[test]
fn a_refresh_keeps_user_and_issuer() {
    let facts = |claims: &str| read_id_token(&token("ES256", claims)).unwrap();
    let original = facts(&claims(""));
    assert_eq!(check_refreshed(&original, &facts(&claims(r#","x":1"#))), Ok(()));
    let other = facts(&claims("").replace(r#""u""#, r#""v""#));
    assert_eq!(check_refreshed(&original, &other), Err(E::SubjectChanged));
    let other = facts(&claims("").replace("idp.", "idq."));
    assert_eq!(check_refreshed(&original, &other), Err(E::IssuerMismatch));
}
