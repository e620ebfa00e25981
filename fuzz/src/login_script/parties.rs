//! Provider, exchange server, store and browser of the login script: what they may answer.

use arbitrary::{Arbitrary, Unstructured};
use exchange_core::http::form::Form;
use exchange_core::http::{FetchReply, Headers, Method, RequestHead, Version};
use exchange_core::jwt::client::read_id_token;
use exchange_core::login::cache::CacheEntry;
use exchange_core::machine::UnixTime;
use exchange_core::oidc::scopes::Scopes;
use exchange_core::pki::{Draft, LeafKey, SignerTrust};
use exchange_core::types::{Secret, Ttl};
use ring::rand::SystemRandom;
use serde_json::{Value, json};

use crate::fixed::{AUDIENCE, CAS, ISSUER, entropy};
use crate::provider::{KEYS, roles};

pub(crate) const CODE: &str = "the-code-of-the-provider-to-be-redeemed";
pub(crate) const DEVICE_CODE: &str = "the-device-code-that-nobody-may-see";

/// What one party does when it is asked.
#[derive(Arbitrary, Debug)]
pub(crate) enum Answer {
    Tokens { token: Token, refresh: bool, id: bool },
    OAuth { which: u8 },
    Certificate { life: u8, flaw: Flaw },
    Status { which: u8, retry: Option<u16> },
    Bytes { status: u16, body: Bytes },
    Failed,
}

/// How an ID token of the provider is.
#[derive(Arbitrary, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    Good,
    OtherNonce,
    NoNonce,
    OtherIssuer,
    OtherAudience,
    OtherSubject,
    OtherAtHash,
    Expired,
    Short,
}

/// What is wrong with a certificate.
#[derive(Arbitrary, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    /// Made by the server with its own key, as old servers do.
    Old,
    OtherKey,
    Expired,
    NoCa,
    Cut,
}

/// A token that was there before.
#[derive(Arbitrary, Debug, Clone, Copy)]
pub(crate) struct Stored {
    /// Whole life in units of ten seconds.
    pub(crate) life: u8,
    /// Of another issuer.
    pub(crate) foreign: bool,
}

#[derive(Arbitrary, Debug)]
pub(crate) enum Visit {
    Right { iss: bool },
    OtherState,
    NoState,
    Twice,
    Error { which: u8, proven: bool },
    OtherPath,
    OtherHost,
    Head,
    Prefetch,
    Target(Bytes),
}

/// Few bytes, so that most of a script is steps.
#[derive(Debug)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl<'a> Arbitrary<'a> for Bytes {
    fn arbitrary(input: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let count = usize::from(u8::arbitrary(input)? % 64).min(input.len());
        input.bytes(count).map(|bytes| Self(bytes.to_vec()))
    }
}

pub(crate) const OAUTH_CODES: [&str; 7] = [
    "invalid_grant",
    "authorization_pending",
    "slow_down",
    "access_denied",
    "invalid_scope",
    "temporarily_unavailable",
    "invalid_client",
];

pub(crate) fn reply(status: u16, body: &[u8], retry: Option<u16>) -> FetchReply {
    let mut headers = Headers::default();
    headers.push("content-type", b"application/json");
    if let Some(secs) = retry {
        headers.push("retry-after", secs.to_string().as_bytes());
    }
    FetchReply { status, headers, body: body.to_vec().into() }
}

/// An ID token; `number` makes each another one.
pub(crate) fn id_token(kind: Token, nonce: Option<&str>, now: UnixTime, number: u32) -> String {
    let now = now.secs();
    let mut claims = json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "iat": now, "exp": now + 600,
        "jti": number, "nonce": nonce,
    });
    match kind {
        Token::Good => {}
        Token::OtherNonce => claims["nonce"] = "another nonce".into(),
        Token::NoNonce => claims["nonce"] = Value::Null,
        Token::OtherIssuer => claims["iss"] = "https://evil.example".into(),
        Token::OtherAudience => claims["aud"] = "another".into(),
        Token::OtherSubject => claims["sub"] = "mallory".into(),
        Token::OtherAtHash => claims["at_hash"] = "AAAAAAAAAAAAAAAAAAAAAA".into(),
        Token::Expired => claims["exp"] = now.saturating_sub(600).into(),
        Token::Short => claims["exp"] = (now + 40).into(),
    }
    if claims["nonce"].is_null() {
        claims.as_object_mut().expect("an object").remove("nonce");
    }
    KEYS[0].sign(&claims)
}

/// A login that an earlier run, or another process, has left.
pub(crate) fn entry(stored: Stored, token: &str, refresh: Option<&str>) -> CacheEntry {
    let expires_at = read_id_token(token).ok().map(|facts| facts.expires_at);
    CacheEntry {
        refresh_token: refresh.map(Secret::new),
        id_token: Some(Secret::new(token)),
        expires_at,
        issuer: if stored.foreign { "https://evil.example" } else { ISSUER }.into(),
        client_id: AUDIENCE.into(),
        scopes: Some(Scopes::default()),
        server: Some(super::SERVER.into()),
        subject: None,
    }
}

pub(crate) fn device_answer() -> Value {
    json!({
        "device_code": DEVICE_CODE, "user_code": "WDJB-MJHT", "interval": 5, "expires_in": 600,
        "verification_uri": format!("{ISSUER}/device"),
    })
}

/// Certificate and key of `leaf`; `None` where the CA's own life is over.
pub(crate) fn issue(leaf: LeafKey, now: UnixTime, life: u64) -> Option<(String, String)> {
    let ca = &CAS[0];
    let ttl = Ttl::from_secs(life).ok()?;
    let roles = roles(&["os:reader"]);
    let draft = Draft::new(&ca.cert, &roles, None, ttl, now, leaf, entropy(now.secs())).ok()?;
    let signature = ca.key.sign(&SystemRandom::new(), draft.tbs()).expect("a signature");
    let issued = draft.finish(&signature, &ca.cert, SignerTrust::External).expect("it reads");
    let key = issued.key_pem().and_then(Secret::expose_str).unwrap_or_default().to_owned();
    Some((issued.cert_pem().to_owned(), key))
}

/// What the exchange server answers to a request with this body.
pub(crate) fn certificate(body: &str, now: UnixTime, life: u64, flaw: Flaw) -> (u16, String) {
    let asked: Value = serde_json::from_str(body).expect("what is sent is JSON");
    let csr = asked["csr"].as_str().expect("a request");
    let own = || LeafKey::from_csr(csr.as_bytes()).expect("a request that proves its key");
    let fresh = |seed| LeafKey::from_seed(entropy(seed)).expect("any seed is a key");
    let issued = match flaw {
        Flaw::Old => issue(fresh(7), now, life),
        Flaw::OtherKey => issue(fresh(8), now, life)
            .zip(issue(fresh(9), now, life))
            .map(|((cert, _), (_, key))| (cert, key)),
        Flaw::Expired => issue(own(), now.minus_secs(10_000), life),
        Flaw::None | Flaw::NoCa | Flaw::Cut => issue(own(), now, life),
    };
    let Some((mut cert, key)) = issued else { return (500, "{\"code\":\"issue.failed\"}".into()) };
    if flaw == Flaw::Cut {
        cert.truncate(cert.len() / 2);
    }
    let ca = if flaw == Flaw::NoCa { "" } else { CAS[0].pem };
    let answer =
        json!({"ca": ca, "cert": cert, "key": key, "endpoints": ["10.0.0.1"], "ttl_seconds": life});
    (200, answer.to_string())
}

/// A request at the listener. `asked` are the parameters of the address that was shown.
pub(crate) fn visit(visit: &Visit, asked: &Form) -> RequestHead {
    let state = asked.get("state").ok().flatten().unwrap_or_default();
    let iss = exchange_core::http::form::percent_encode(ISSUER).to_string();
    let target = match visit {
        Visit::Right { iss: true } => format!("/callback?code={CODE}&state={state}&iss={iss}"),
        Visit::Right { iss: false } | Visit::OtherHost | Visit::Head | Visit::Prefetch => {
            format!("/callback?code={CODE}&state={state}")
        }
        Visit::OtherState => format!("/callback?code={CODE}&state=A{state}"),
        Visit::NoState => format!("/callback?code={CODE}"),
        Visit::Twice => format!("/callback?code={CODE}&state={state}&state={state}"),
        Visit::Error { which, proven } => {
            let code = OAUTH_CODES[usize::from(*which) % OAUTH_CODES.len()];
            let state = if *proven { state } else { "none" };
            format!("/callback?error={code}&state={state}&error_description=%1b%5b2J")
        }
        Visit::OtherPath => "/favicon.ico".into(),
        Visit::Target(bytes) => {
            let graphic = bytes.0.iter().filter(|b| b.is_ascii_graphic());
            format!("/callback?{}", graphic.map(|b| char::from(*b)).collect::<String>())
        }
    };
    let mut headers = Headers::default();
    let other = matches!(visit, Visit::OtherHost);
    headers.push("host", if other { b"evil.example:8900" } else { b"127.0.0.1:8900" });
    if matches!(visit, Visit::Prefetch) {
        headers.push("sec-purpose", b"prefetch");
    }
    let method = if matches!(visit, Visit::Head) { Method::Head } else { Method::Get };
    RequestHead { method, target: target.into(), version: Version::Http11, headers }
}
