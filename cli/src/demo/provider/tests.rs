use std::num::NonZeroUsize;
use std::sync::Arc;

use exchange_core::http::FetchReply;
use exchange_smol::executor;

use super::*;
use crate::demo::{browser, wire};

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"; // RFC 7636 appendix B
const REDIRECT: &str = "http://127.0.0.1:1/callback";

/// Runs `test` against a provider on a real socket; it gets the issuer.
fn with_provider(test: impl AsyncFnOnce(String)) {
    executor::run(NonZeroUsize::MIN, async {
        let listener = wire::listen(0).await.expect("a port");
        let issuer = format!("http://{}", listener.local_addr().expect("an address"));
        let provider = Arc::new(Provider::new(issuer.clone()).expect("randomness"));
        let _serving = executor::spawn(wire::serve(listener, None, provider));
        test(issuer).await;
    });
}

fn url(text: &str) -> Url {
    text.parse().expect("a URL")
}

/// The authorization request, with some parameters put differently.
fn authorize(issuer: &str, changes: &[(&str, &str)]) -> Url {
    let usual = [
        ("client_id", CLIENT_ID),
        ("response_type", "code"),
        ("redirect_uri", REDIRECT),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        ("scope", "openid email offline_access"),
        ("state", "a&state=<\"'>"),
        ("nonce", "a nonce"),
    ];
    let with = usual.map(|(name, value)| {
        let change = changes.iter().find(|(changed, _)| *changed == name);
        (name, change.map_or(value, |(_, value)| value))
    });
    url(&format!("{issuer}/authorize?{}", *encode_form(with)))
}

async fn post(issuer: &str, form: &[(&str, &str)]) -> FetchReply {
    let body = encode_form(form.iter().copied());
    let kind = "application/x-www-form-urlencoded";
    let token = url(&format!("{issuer}/token"));
    wire::request(&token, Some((kind, &body)), &[], None).await.expect("an answer")
}

async fn redeem(issuer: &str, code: &str, verifier: &str, redirect: &str) -> FetchReply {
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", CLIENT_ID),
        ("code", code),
        ("code_verifier", verifier),
        ("redirect_uri", redirect),
    ];
    post(issuer, &form).await
}

async fn refresh(issuer: &str, token: &str) -> FetchReply {
    let form =
        [("grant_type", "refresh_token"), ("client_id", CLIENT_ID), ("refresh_token", token)];
    post(issuer, &form).await
}

/// A member of the answer's JSON object.
fn member(reply: &FetchReply, name: &str) -> String {
    let limits = json::Limits { bytes_max: 16_384, depth_max: 4 };
    let object = json::parse_object(&reply.body, limits).expect("an object");
    object.get_str(name).unwrap_or_default().to_owned()
}

/// A fresh code for alice.
async fn code(issuer: &str) -> String {
    let back = browser::choose(&authorize(issuer, &[]), "alice").await.expect("a way back");
    let (path, query) = back.as_str().split_once('?').expect("a query");
    assert_eq!(path, REDIRECT);
    let form = Form::parse(query).expect("a form");
    assert_eq!(form.get("state"), Ok(Some("a&state=<\"'>")));
    assert_eq!(form.get("iss"), Ok(Some(issuer)));
    form.get("code").expect("once").expect("a code").to_owned()
}

fn is_refused(reply: &FetchReply, error: &str) {
    assert_eq!((reply.status, member(reply, "error").as_str()), (400, error));
    assert_eq!(member(reply, "id_token"), "");
}

#[test]
fn a_code_is_good_once_and_for_its_verifier() {
    with_provider(async |issuer| {
        let first = code(&issuer).await;
        let reply = redeem(&issuer, &first, VERIFIER, REDIRECT).await;
        assert_eq!(reply.status, 200);
        assert!(!member(&reply, "refresh_token").is_empty());
        is_refused(&redeem(&issuer, &first, VERIFIER, REDIRECT).await, "invalid_grant");

        let other = VERIFIER.replace('d', "e");
        is_refused(&redeem(&issuer, &code(&issuer).await, &other, REDIRECT).await, "invalid_grant");
        is_refused(&redeem(&issuer, &code(&issuer).await, "", REDIRECT).await, "invalid_grant");
        // A failed attempt spends the code: nobody may guess twice.
        let guessed = code(&issuer).await;
        is_refused(&redeem(&issuer, &guessed, &other, REDIRECT).await, "invalid_grant");
        is_refused(&redeem(&issuer, &guessed, VERIFIER, REDIRECT).await, "invalid_grant");

        let elsewhere = "http://127.0.0.1:2/callback";
        let code = code(&issuer).await;
        is_refused(&redeem(&issuer, &code, VERIFIER, elsewhere).await, "invalid_grant");
    });
}

#[test]
fn refresh_tokens_rotate() {
    with_provider(async |issuer| {
        let reply = redeem(&issuer, &code(&issuer).await, VERIFIER, REDIRECT).await;
        let first = member(&reply, "refresh_token");
        let renewed = refresh(&issuer, &first).await;
        assert_eq!(renewed.status, 200);
        assert!(!member(&renewed, "id_token").is_empty());
        let second = member(&renewed, "refresh_token");
        assert_ne!(first, second);
        is_refused(&refresh(&issuer, &first).await, "invalid_grant");
        assert_eq!(refresh(&issuer, &second).await.status, 200);
    });
}

#[test]
fn the_id_token_is_signed_by_the_published_key() {
    use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
    with_provider(async |issuer| {
        let reply = redeem(&issuer, &code(&issuer).await, VERIFIER, REDIRECT).await;
        let token = member(&reply, "id_token");
        let (signed, signature) = token.rsplit_once('.').expect("a signature");
        let (_, payload) = signed.split_once('.').expect("a payload");
        let claims = String::from_utf8(B64.decode(payload).expect("base64")).expect("text");
        assert!(claims.contains("\"nonce\":\"a nonce\"") && claims.contains("\"platform-admins\""));

        let at = url(&format!("{issuer}/.well-known/openid-configuration"));
        let metadata = wire::request(&at, None, &[], None).await.expect("metadata");
        assert_eq!(member(&metadata, "issuer"), issuer);
        let jwks = url(&member(&metadata, "jwks_uri"));
        let jwks = wire::request(&jwks, None, &[], None).await.expect("keys");
        let text = String::from_utf8(jwks.body.to_vec()).expect("text");
        let coordinate = |name: &str| {
            let (_, rest) = text.split_once(&format!("\"{name}\":\"")).expect("a coordinate");
            B64.decode(rest.split('"').next().unwrap_or_default()).expect("base64")
        };
        let point = [vec![4], coordinate("x"), coordinate("y")].concat();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            .verify(signed.as_bytes(), &B64.decode(signature).expect("base64"))
            .expect("the provider's signature");
    });
}

#[test]
fn a_request_that_may_be_an_attack_gets_no_login_page() {
    with_provider(async |issuer| {
        for change in [
            ("client_id", "another"),
            ("response_type", "token"),
            ("code_challenge_method", "plain"),
            ("code_challenge", "short"),
            ("scope", "email"),
            ("redirect_uri", "https://127.0.0.1:1/callback"),
            ("redirect_uri", "http://elsewhere.example:1/callback"),
            ("redirect_uri", "http://127.0.0.1:1@elsewhere.example/callback"),
            ("redirect_uri", "http://127.0.0.1:1/callback?more"),
            ("redirect_uri", "http://127.0.0.1:1/callback#more"),
        ] {
            let asked = authorize(&issuer, &[change]);
            let page = wire::request(&asked, None, &[], None).await.expect("a page");
            assert_eq!(page.status, 400, "{change:?}");
            assert!(page.headers.get("location").is_none(), "{change:?}");
        }
    });
}

#[test]
fn cancelling_sends_the_browser_back_with_an_error() {
    with_provider(async |issuer| {
        let back = browser::choose(&authorize(&issuer, &[]), "").await.expect("a way back");
        let form = Form::parse(back.as_str().split_once('?').expect("a query").1).expect("a form");
        assert_eq!(form.get("error"), Ok(Some("access_denied")));
        assert_eq!(form.get("code"), Ok(None));
    });
}
