use super::*;
use crate::jwt::base64url::encode;
use crate::jwt::{ForeignAlg, TokenError as E};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use proptest::prelude::*;
use ring::signature::{Ed25519KeyPair, KeyPair as _};

const NOW: u64 = 1_800_000_000;
const HEADER: &str = r#"{"alg":"EdDSA","typ":"JWT","kid":"k"}"#;
const CLAIMS: &str = r#"{"iss":"https://idp.example/","sub":"u","aud":"cli","exp":1800000300,"iat":1799999990,"email":"u@e.example","email_verified":true}"#;

fn pair() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap()
}

fn key() -> VerifyKey {
    VerifyKey::ed25519(pair().public_key().as_ref()).unwrap()
}

fn sign(header: &str, claims: &str) -> String {
    let signed = format!("{}.{}", encode(header.as_bytes()), encode(claims.as_bytes()));
    let signature = pair().sign(signed.as_bytes());
    format!("{signed}.{}", encode(signature.as_ref()))
}

fn expected() -> Expectations {
    Expectations::new("https://idp.example/".parse().unwrap(), "cli".parse().unwrap())
}

fn run(token: &str, expected: &Expectations) -> Result<VerifiedToken, E> {
    ParsedToken::parse(token)?.check(UnixTime::from_secs(NOW), expected)?.verify(&key())
}

/// The outcome of the good claims with `from` replaced by `to`.
fn claims_with(from: &str, to: &str) -> Result<VerifiedToken, E> {
    let claims = CLAIMS.replacen(from, to, 1);
    assert_ne!(claims, CLAIMS, "{from} is not in the claims");
    run(&sign(HEADER, &claims), &expected())
}

#[test]
fn a_good_token_tells_what_it_says() {
    let token = run(&sign(HEADER, CLAIMS), &expected()).unwrap();
    assert_eq!((token.subject(), token.issuer()), ("u", "https://idp.example/"));
    assert_eq!((token.email(), token.email_verified()), (Some("u@e.example"), true));
    assert!(!token.email_doubted());
    assert_eq!(token.audiences().collect::<Vec<_>>(), ["cli"]);
    assert_eq!(token.expires_at().secs(), NOW + 300);
    assert_eq!(token.issued_at().secs(), NOW - 10);
    assert_eq!((token.alg(), token.kid().unwrap().as_str()), (Alg::EdDsa, "k"));
    assert_eq!(format!("{token:?}"), "VerifiedToken(EdDSA, 7 claims)");
}

#[test]
fn the_signature_decides_last() {
    let token = sign(HEADER, CLAIMS);
    let other = VerifyKey::ed25519(&[1; 32]).unwrap();
    let parse = || ParsedToken::parse(&token).unwrap();
    let checked = || parse().check(UnixTime::from_secs(NOW), &expected()).unwrap();
    assert_eq!(checked().verify(&other).unwrap_err(), E::BadSignature);
    let rsa = VerifyKey::rsa(&[0xff; 256], &[3]).unwrap();
    assert_eq!(checked().verify(&rsa).unwrap_err(), E::KeyMismatch);
    let moved = token.replacen('.', "A.", 1);
    assert!(run(&moved, &expected()).is_err());
}

#[test]
fn a_parsed_token_shows_what_a_stranger_wrote() {
    let parsed = ParsedToken::parse(&sign(HEADER, CLAIMS)).unwrap();
    assert_eq!((parsed.alg(), parsed.kid().map(Kid::as_str)), (Alg::EdDsa, Some("k")));
    assert!(format!("{parsed:?}").contains("Jws(EdDSA, "));
    assert_eq!(parsed.into_unverified_claims().get_str("sub"), Some("u"));
}

#[test]
fn a_token_may_be_as_long_as_the_bound() {
    let max = crate::jwt::jws::TOKEN_BYTES_MAX;
    let blanks = (max - sign(HEADER, CLAIMS).len()) / 4 * 3;
    let with = |pad: usize| {
        let claims = CLAIMS.replacen('{', &format!("{{{}", " ".repeat(pad)), 1);
        sign(HEADER, &claims)
    };
    let longest = (blanks..blanks + 4).map(with).find(|token| token.len() == max).unwrap();
    assert!(run(&longest, &expected()).is_ok());
    assert_eq!(run(&format!("{longest}A"), &expected()).unwrap_err(), E::TooLarge);
    // Three bytes are four characters.
    let max = crate::jwt::jws::HEADER_BYTES_MAX / 4 * 3;
    let header = format!("{}{HEADER}", " ".repeat(max - HEADER.len()));
    assert!(run(&sign(&header, CLAIMS), &expected()).is_ok());
    assert_eq!(run(&sign(&format!(" {header}"), CLAIMS), &expected()).unwrap_err(), E::TooLarge);
}

#[test]
fn a_type_is_not_known_by_its_end() {
    let typed = |typ: &str| {
        run(&sign(&format!(r#"{{"alg":"EdDSA","typ":"{typ}"}}"#), CLAIMS), &expected()).err()
    };
    assert_eq!(typed("application/jwt"), None);
    assert_eq!(typed("audience/xyzJWT"), Some(E::WrongType));
}

#[test]
fn shapes_that_are_no_token() {
    let good = sign(HEADER, CLAIMS);
    let (signed, _) = good.rsplit_once('.').unwrap();
    for (token, error) in [
        (String::new(), E::NotThreeParts),
        ("a.b".into(), E::NotThreeParts),
        (format!("{good}."), E::NotThreeParts),
        (format!("{good}.."), E::Encrypted),
        (format!("{good}..."), E::NotThreeParts),
        (format!("{signed}."), E::Unsigned),
        (format!("{good}="), E::BadBase64),
        (format!("{good}\n"), E::BadBase64),
        (format!(" {good}"), E::BadBase64),
        ("x".repeat(16 * 1024 + 1), E::TooLarge),
        (format!("{}.{}", "x".repeat(4097), "e30.e30"), E::TooLarge),
        (sign("[]", CLAIMS), E::BadHeader),
        (sign("null", CLAIMS), E::BadHeader),
        (sign(&format!("\u{feff}{HEADER}"), CLAIMS), E::BadHeader),
        (sign(HEADER, "[]"), E::BadClaims),
        (sign(HEADER, ""), E::BadClaims),
        (sign(HEADER, &format!("{CLAIMS} x")), E::BadClaims),
        (sign(HEADER, &CLAIMS.replace('u', "\\ud800")), E::BadClaims),
        (sign(HEADER, &format!(r#"{{"a":{}"#, "[".repeat(5000))), E::BadClaims),
        (sign(HEADER, r#"{"a":{"b":1,"\u0062":2}}"#), E::DuplicateMember),
    ] {
        let shown: String = token.chars().take(60).collect();
        assert_eq!(run(&token, &expected()).unwrap_err(), error, "{shown}");
    }
}

#[test]
fn headers() {
    for (header, error) in [
        (r#"{"alg":"EdDSA"}"#, None),
        (r#"{"alg":"Ed25519"}"#, None),
        (r#"{"alg":"EdDSA","typ":"application/jwt"}"#, None),
        (r#"{"alg":"EdDSA","jku":"https://evil.example","jwk":{},"x5c":[1]}"#, None),
        (r#"{"alg":"EdDSA","cty":"json"}"#, None),
        (r#"{"kid":"k"}"#, Some(E::BadHeader)),
        (r#"{"alg":1}"#, Some(E::BadHeader)),
        (r#"{"alg":["EdDSA"]}"#, Some(E::BadHeader)),
        (r#"{"alg":"none","alg":"EdDSA"}"#, Some(E::DuplicateMember)),
        (r#"{"alg":""}"#, Some(E::Unsigned)),
        (r#"{"alg":"nOnE"}"#, Some(E::Unsigned)),
        (r#"{"alg":"eddsa"}"#, Some(E::UnsupportedAlg(ForeignAlg::Unknown))),
        (r#"{"alg":"ES512"}"#, Some(E::UnsupportedAlg(ForeignAlg::Es512))),
        (r#"{"alg":"ES256K"}"#, Some(E::UnsupportedAlg(ForeignAlg::Es256K))),
        (r#"{"alg":"ML-DSA-65"}"#, Some(E::UnsupportedAlg(ForeignAlg::MlDsa))),
        (r#"{"alg":"HS256"}"#, Some(E::AlgNotAllowed(Alg::Hs256))),
        (r#"{"alg":"EdDSA","crit":[]}"#, Some(E::CriticalHeader)),
        (r#"{"alg":"EdDSA","b64":true}"#, Some(E::CriticalHeader)),
        (r#"{"alg":"EdDSA","zip":"DEF"}"#, Some(E::Nested)),
        (r#"{"alg":"EdDSA","cty":"jwt"}"#, Some(E::Nested)),
        (r#"{"alg":"EdDSA","typ":"at+jwt"}"#, Some(E::WrongType)),
        (r#"{"alg":"EdDSA","typ":"application/logout+jwt"}"#, Some(E::WrongType)),
        (r#"{"alg":"EdDSA","typ":1}"#, Some(E::BadHeader)),
        (r#"{"alg":"EdDSA","kid":1}"#, Some(E::BadKid)),
        (r#"{"alg":"EdDSA","kid":null}"#, Some(E::BadKid)),
    ] {
        assert_eq!(run(&sign(header, CLAIMS), &expected()).err(), error, "{header}");
    }
    let long = format!(r#"{{"alg":"EdDSA","kid":"{}"}}"#, "k".repeat(257));
    assert_eq!(run(&sign(&long, CLAIMS), &expected()).unwrap_err(), E::BadKid);
}

#[test]
fn issuers_are_compared_as_bytes() {
    let slash = E::IssuerSlash { token_has_slash: false };
    for (iss, error) in [
        (r#""iss":"https://idp.example""#, slash),
        (r#""iss":"https://idp.example//""#, E::IssuerMismatch),
        (r#""iss":"https://IDP.example/""#, E::IssuerMismatch),
        (r#""iss":"https://idp.example:443/""#, E::IssuerMismatch),
        (r#""iss":"https://idp.example/ ""#, E::IssuerMismatch),
        (r#""iss":"https://idp.example.evil.test""#, E::IssuerMismatch),
        (r#""iss":["https://idp.example/"]"#, E::ClaimType("iss")),
        (r#""iss":"""#, E::IssuerMissing),
        (r#""x":1"#, E::IssuerMissing),
    ] {
        let found = claims_with(r#""iss":"https://idp.example/""#, iss);
        assert_eq!(found.unwrap_err(), error, "{iss}");
    }
    let tolerant = Expectations { slash_tolerant: true, ..expected() };
    let token = sign(HEADER, &CLAIMS.replace("idp.example/", "idp.example"));
    assert!(run(&token, &tolerant).is_ok());
    let token = sign(HEADER, &CLAIMS.replace("idp.example/", "idp.example//"));
    assert_eq!(run(&token, &tolerant).unwrap_err(), E::IssuerMismatch);
}

#[test]
fn audiences() {
    for (aud, error) in [
        (r#""aud":["cli"]"#, None),
        (r#""aud":["other","cli"],"azp":"cli""#, None),
        (r#""aud":"cli","azp":"cli""#, None),
        (r#""aud":["other","cli"]"#, Some(E::AzpMissing)),
        (r#""aud":["other","cli"],"azp":"other""#, Some(E::AzpMismatch)),
        (r#""aud":"cli","azp":"other""#, Some(E::AzpMismatch)),
        (r#""aud":"cli","azp":1"#, Some(E::ClaimType("azp"))),
        (r#""aud":"client""#, Some(E::AudienceMismatch)),
        (r#""aud":["xcli"]"#, Some(E::AudienceMismatch)),
        (r#""aud":"""#, Some(E::AudienceMissing)),
        (r#""aud":[]"#, Some(E::AudienceMissing)),
        (r#""x":1"#, Some(E::AudienceMissing)),
        (r#""aud":{}"#, Some(E::ClaimType("aud"))),
        (r#""aud":["cli",1]"#, Some(E::ClaimType("aud"))),
    ] {
        assert_eq!(claims_with(r#""aud":"cli""#, aud).err(), error, "{aud}");
    }
}

#[test]
fn subjects_and_kinds() {
    let long = format!(r#""sub":"{}""#, "x".repeat(256));
    for (sub, error) in [
        (r#""x":1"#, E::SubjectMissing),
        (r#""sub":"""#, E::SubjectMissing),
        (long.as_str(), E::SubjectMissing),
        (r#""sub":7"#, E::ClaimType("sub")),
        (r#""sub":"u","events":{}"#, E::NotAnIdToken),
        (r#""sub":"u","scp":"x""#, E::NotAnIdToken),
        (r#""sub":"u","token_use":"access""#, E::NotAnIdToken),
        (r#""sub":"u","token_use":1"#, E::NotAnIdToken),
        (r#""sub":"u","typ":"Bearer""#, E::NotAnIdToken),
        (r#""sub":"u","typ":"Refresh""#, E::NotAnIdToken),
        (r#""sub":"u","nonce":1"#, E::ClaimType("nonce")),
        (r#""sub":"u","jti":[]"#, E::ClaimType("jti")),
        (r#""sub":"u","auth_time":"1""#, E::ClaimType("auth_time")),
    ] {
        assert_eq!(claims_with(r#""sub":"u""#, sub).unwrap_err(), error, "{sub}");
    }
    for kind in [r#""token_use":"id""#, r#""typ":"ID""#, r#""typ":"Id""#] {
        assert!(claims_with(r#""sub":"u""#, &format!(r#""sub":"u",{kind}"#)).is_ok(), "{kind}");
    }
    for (flag, doubted) in
        [("false", true), ("\"true\"", false), ("\"false\"", true), ("1", true), ("null", true)]
    {
        let token = claims_with(r#"fied":true"#, &format!(r#"fied":{flag}"#)).unwrap();
        assert_eq!((token.email_verified(), token.email_doubted()), (false, doubted), "{flag}");
    }
    let silent = claims_with(r#","email_verified":true"#, "").unwrap();
    assert!(!silent.email_verified() && !silent.email_doubted());
}

#[test]
fn times() {
    let now = UnixTime::from_secs(NOW);
    for (exp, error) in [
        (format!("{}", NOW - 59), None),
        (format!("{}.5", NOW - 59), None),
        ("1e300".into(), None),
        (format!("{}", NOW - 60), Some(E::Expired { exp: 1_799_999_940, now })),
        ("-1".into(), Some(E::Expired { exp: -1, now })),
        ("-1e300".into(), Some(E::Expired { exp: i64::MIN, now })),
        ("\"1900000000\"".into(), Some(E::ClaimType("exp"))),
        ("true".into(), Some(E::ClaimType("exp"))),
        ("null".into(), Some(E::ClaimType("exp"))),
        ("1e400".into(), Some(E::BadClaims)),
    ] {
        assert_eq!(claims_with("1800000300", &exp).err(), error, "{exp}");
    }
    assert_eq!(claims_with(r#""exp":1800000300"#, r#""x":1"#).unwrap_err(), E::ExpMissing);
    for (iat, error) in [
        (r#""iat":1800000060"#, None),
        (r#""iat":1800000061"#, Some(E::IssuedInFuture { iat: 1_800_000_061, now })),
        (r#""iat":"1""#, Some(E::ClaimType("iat"))),
        (r#""x":1"#, Some(E::IatMissing)),
        (r#""iat":1,"nbf":1800000060"#, None),
        (r#""iat":1,"nbf":1800000061"#, Some(E::NotYetValid { nbf: 1_800_000_061, now })),
        (r#""iat":1,"nbf":"1""#, Some(E::ClaimType("nbf"))),
    ] {
        assert_eq!(claims_with(r#""iat":1799999990"#, iat).err(), error, "{iat}");
    }
}

#[test]
fn an_optional_limit_on_age() {
    let token = sign(HEADER, CLAIMS);
    let aged = |secs| Expectations { token_age_secs_max: Some(secs), skew_secs: 0, ..expected() };
    assert!(run(&token, &aged(10)).is_ok());
    assert_eq!(run(&token, &aged(9)).unwrap_err().code(), "token.too_old");
    let tolerant = |secs| Expectations { skew_secs: 5, ..aged(secs) };
    assert!(run(&token, &tolerant(5)).is_ok());
    assert_eq!(run(&token, &tolerant(4)).unwrap_err().code(), "token.too_old");
}

#[test]
fn hmac_needs_a_secret_that_is_long_enough() {
    let secret = |len: usize| Secret::new(alloc::vec![7; len]);
    let only = |alg| Some(AlgSet::EMPTY.with(alg));
    let algs = |len, algs| expected().with_hmac(secret(len), algs).map(|e| e.algs);
    assert_eq!(algs(31, None), Err(KeyError::SecretTooShort));
    assert_eq!(algs(32, None), Ok(AlgSet::ASYMMETRIC.with(Alg::Hs256)));
    assert_eq!(algs(64, None), Ok(AlgSet::ALL));
    assert_eq!(algs(48, only(Alg::Hs384)), Ok(AlgSet::EMPTY.with(Alg::Hs384)));
    assert_eq!(algs(47, only(Alg::Hs384)), Err(KeyError::SecretTooShort));
    let off = expected().with_hmac(secret(3), only(Alg::Rs256)).unwrap();
    assert!(off.hmac_key().is_none());

    let signed = format!("{}.{}", encode(br#"{"alg":"HS256"}"#), encode(CLAIMS.as_bytes()));
    let mac = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &[7; 32]);
    let tag = ring::hmac::sign(&mac, signed.as_bytes());
    let token = format!("{signed}.{}", encode(tag.as_ref()));
    let with_secret = expected().with_hmac(secret(32), None).unwrap();
    let now = UnixTime::from_secs(NOW);
    let checked = || ParsedToken::parse(&token).unwrap().check(now, &with_secret).unwrap();
    assert!(checked().verify(with_secret.hmac_key().unwrap()).is_ok());
    let other = VerifyKey::hmac(secret(33)).unwrap();
    assert_eq!(checked().verify(&other).unwrap_err(), E::BadSignature);
    // A list that names HS256 is no key.
    let listed = Expectations { algs: AlgSet::ALL, ..expected() };
    assert_eq!(run(&token, &listed).unwrap_err(), E::AlgNotAllowed(Alg::Hs256));
}

proptest! {
    #[test]
    fn no_text_panics(text in ".{0,200}") {
        let _ = run(&text, &expected());
    }

    #[test]
    fn no_parts_panic(header in ".{0,60}", claims in ".{0,200}") {
        let _ = run(&sign(&header, &claims), &expected());
    }

    #[test]
    fn no_date_panics(exp in any::<f64>(), iat in any::<i64>(), nbf in any::<u64>(), now in any::<u64>()) {
        let claims = format!(
            r#"{{"iss":"https://idp.example/","sub":"u","aud":"cli","exp":{exp:e},"iat":{iat},"nbf":{nbf}}}"#
        );
        if let Ok(token) = ParsedToken::parse(&sign(HEADER, &claims)) {
            let limits = Expectations {
                token_age_secs_max: Some(u32::MAX),
                ..expected()
            };
            let _ = token.check(UnixTime::from_secs(now), &limits);
        }
    }

    #[test]
    fn every_changed_character_is_noticed(at in any::<prop::sample::Index>(), to in "[A-Za-z0-9_-]") {
        let token = sign(HEADER, CLAIMS);
        let at = at.index(token.len());
        let mut changed = token.clone();
        changed.replace_range(at..=at, &to);
        prop_assume!(changed != token);
        prop_assert!(run(&changed, &expected()).is_err());
    }
}
