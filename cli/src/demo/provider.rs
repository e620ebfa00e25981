//! A development OpenID provider: real discovery, keys, PKCE, codes and refresh, no passwords.
//!
//! For loopback only: whoever opens its page is whom he says he is. `serve` never reaches it.

use std::collections::BTreeMap;
use std::sync::Mutex;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as B64;
use exchange_core::http::form::{Form, encode_form};
use exchange_core::http::{Method, Request, RequestHead, Response};
use exchange_core::json;
use exchange_core::machine::UnixTime;
use exchange_core::types::Url;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};

use super::page;
use super::wire::Answer;

/// The client that the provider knows.
pub(crate) const CLIENT_ID: &str = "talosctl-demo";
/// Lifetime of an ID token in seconds.
const ID_TOKEN_SECS: u64 = 300;
/// Lifetime of a code in seconds (RFC 6749 section 4.1.2 recommends ten minutes at most).
const CODE_SECS: u64 = 60;
/// Codes and refresh tokens that are remembered; older ones are forgotten first.
const REMEMBERED_MAX: usize = 1000;

/// Somebody who can log in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct User {
    /// `sub` and name on the page.
    pub(crate) name: &'static str,
    /// `email`.
    pub(crate) email: &'static str,
    /// `groups`.
    pub(crate) groups: &'static [&'static str],
    /// What the page says about him.
    pub(crate) about: &'static str,
}

/// The users of the demo, in different groups.
pub(crate) const USERS: [User; 4] = [
    User {
        name: "alice",
        email: "alice@example.com",
        groups: &["platform-admins"],
        about: "platform engineer",
    },
    User { name: "bob", email: "bob@example.com", groups: &["developers"], about: "developer" },
    User {
        name: "carol",
        email: "carol@example.com",
        groups: &["backup-operators"],
        about: "runs the backups",
    },
    User { name: "mallory", email: "mallory@example.com", groups: &["guests"], about: "a guest" },
];

/// An authorization that waits to be redeemed.
struct Code {
    user: User,
    redirect_uri: String,
    challenge: String,
    nonce: Option<String>,
    offline: bool,
    until: u64,
}

#[derive(Default)]
struct Memory {
    codes: BTreeMap<String, Code>,
    refresh: BTreeMap<String, User>,
    order: Vec<String>,
}

/// The provider.
pub(crate) struct Provider {
    issuer: String,
    key: EcdsaKeyPair,
    kid: String,
    rng: SystemRandom,
    memory: Mutex<Memory>,
}

/// An OAuth error answer (RFC 6749 section 5.2).
struct OAuthError(&'static str, &'static str);

impl Provider {
    /// A provider with a fresh key whose issuer is `issuer`.
    ///
    /// # Errors
    /// When the operating system gives no randomness.
    pub(crate) fn new(issuer: String) -> Result<Self, ring::error::Unspecified> {
        let rng = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &rng)?;
        let key = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &rng)
            .map_err(|_| ring::error::Unspecified)?;
        let print = digest(&SHA256, key.public_key().as_ref());
        let kid = B64.encode(print.as_ref().get(..8).unwrap_or_default());
        Ok(Self { issuer, key, kid, rng, memory: Mutex::default() })
    }

    /// Answers one request.
    pub(crate) fn respond(&self, now: UnixTime, head: &RequestHead, body: &[u8]) -> Response {
        match (&head.method, head.path()) {
            (Method::Get, "/.well-known/openid-configuration") => self.metadata(),
            (Method::Get, "/jwks") => self.jwks(),
            (Method::Get, "/authorize") => self.ask(head.query().unwrap_or_default()),
            (Method::Post, "/authorize") => self.decide(now, body),
            (Method::Post, "/token") => match self.token(now, body) {
                Ok(response) => response,
                Err(OAuthError(code, text)) => oauth_error(code, text),
            },
            _ => Response::new(404, "text/plain; charset=utf-8", "not found\n"),
        }
    }

    fn metadata(&self) -> Response {
        let issuer = &self.issuer;
        Response::json(
            200,
            format!(
                "{{\"issuer\":\"{issuer}\",\"authorization_endpoint\":\"{issuer}/authorize\",\
                 \"token_endpoint\":\"{issuer}/token\",\"jwks_uri\":\"{issuer}/jwks\",\
                 \"response_types_supported\":[\"code\"],\"subject_types_supported\":[\"public\"],\
                 \"id_token_signing_alg_values_supported\":[\"ES256\"],\
                 \"code_challenge_methods_supported\":[\"S256\"],\
                 \"grant_types_supported\":[\"authorization_code\",\"refresh_token\"],\
                 \"token_endpoint_auth_methods_supported\":[\"none\"],\
                 \"scopes_supported\":[\"openid\",\"profile\",\"email\",\"groups\",\"offline_access\"],\
                 \"authorization_response_iss_parameter_supported\":true}}"
            ),
        )
    }

    fn jwks(&self) -> Response {
        let point = self.key.public_key().as_ref();
        let (x, y) = (point.get(1..33).unwrap_or_default(), point.get(33..).unwrap_or_default());
        Response::json(
            200,
            format!(
                "{{\"keys\":[{{\"kty\":\"EC\",\"crv\":\"P-256\",\"use\":\"sig\",\"alg\":\"ES256\",\
                 \"kid\":\"{}\",\"x\":\"{}\",\"y\":\"{}\"}}]}}",
                self.kid,
                B64.encode(x),
                B64.encode(y)
            ),
        )
    }

    /// The login page, if the request is one we could grant.
    fn ask(&self, query: &str) -> Response {
        let Ok(asked) = Asked::read(query) else {
            return page::refused("This authorization request is not complete.");
        };
        if let Err(text) = asked.check() {
            return page::refused(text);
        }
        page::login(query)
    }

    /// The form of the login page: back to the client with a code, or with a refusal.
    fn decide(&self, now: UnixTime, body: &[u8]) -> Response {
        let form = Form::parse_bytes(body).unwrap_or_default();
        let field = |name: &str| form.get(name).ok().flatten();
        let Some(Ok(asked)) = field("request").map(Asked::read) else {
            return page::refused("This form did not come from the login page.");
        };
        if let Err(text) = asked.check() {
            return page::refused(text);
        }
        let user = USERS.iter().find(|user| Some(user.name) == field("user"));
        let mut answer: Vec<(&str, &str)> = vec![("iss", &self.issuer)];
        if let Some(state) = &asked.state {
            answer.push(("state", state));
        }
        let code;
        match user {
            None => answer.push(("error", "access_denied")),
            Some(user) => {
                let Some(fresh) = self.fresh() else {
                    return page::refused("No randomness is to be had.");
                };
                code = fresh;
                self.remember(|memory| {
                    memory.order.push(code.clone());
                    memory.codes.insert(
                        code.clone(),
                        Code {
                            user: *user,
                            redirect_uri: asked.redirect_uri.clone(),
                            challenge: asked.challenge.clone(),
                            nonce: asked.nonce.clone(),
                            offline: asked.offline,
                            until: now.secs() + CODE_SECS,
                        },
                    );
                });
                answer.push(("code", &code));
            }
        }
        let location = format!("{}?{}", asked.redirect_uri, *encode_form(answer));
        Response::new(303, "text/plain; charset=utf-8", "back to the client\n")
            .with("location", location)
            .with("cache-control", "no-store")
    }

    /// The token endpoint: codes and refresh tokens, each good for one use.
    fn token(&self, now: UnixTime, body: &[u8]) -> Result<Response, OAuthError> {
        let form = Form::parse_bytes(body).map_err(|_| OAuthError("invalid_request", "form"))?;
        let field = |name: &str| form.get(name).ok().flatten();
        if field("client_id") != Some(CLIENT_ID) {
            return Err(OAuthError("invalid_client", "unknown client_id"));
        }
        match field("grant_type") {
            Some("authorization_code") => {
                let code = field("code").unwrap_or_default();
                let found = self.remember(|memory| memory.codes.remove(code));
                let found = found.ok_or(OAuthError("invalid_grant", "unknown or used code"))?;
                if found.until < now.secs() {
                    return Err(OAuthError("invalid_grant", "the code has expired"));
                }
                if field("redirect_uri") != Some(&found.redirect_uri) {
                    return Err(OAuthError("invalid_grant", "redirect_uri differs"));
                }
                let verifier = field("code_verifier").unwrap_or_default();
                if B64.encode(digest(&SHA256, verifier.as_bytes())) != found.challenge {
                    return Err(OAuthError("invalid_grant", "code_verifier does not match"));
                }
                self.tokens(now, found.user, found.nonce.as_deref(), found.offline)
            }
            Some("refresh_token") => {
                let token = field("refresh_token").unwrap_or_default();
                let user = self.remember(|memory| memory.refresh.remove(token));
                let user = user.ok_or(OAuthError("invalid_grant", "unknown refresh token"))?;
                self.tokens(now, user, None, true)
            }
            _ => Err(OAuthError("unsupported_grant_type", "authorization_code or refresh_token")),
        }
    }

    fn tokens(
        &self,
        now: UnixTime,
        user: User,
        nonce: Option<&str>,
        offline: bool,
    ) -> Result<Response, OAuthError> {
        let trouble = OAuthError("server_error", "no randomness");
        let access = self.fresh().ok_or(OAuthError("server_error", "no randomness"))?;
        let at_hash = digest(&SHA256, access.as_bytes());
        let at_hash = B64.encode(at_hash.as_ref().get(..16).unwrap_or_default());
        let groups: Vec<String> = user.groups.iter().map(|group| format!("\"{group}\"")).collect();
        let mut claims = format!(
            "{{\"iss\":\"{}\",\"aud\":\"{CLIENT_ID}\",\"sub\":\"{}\",\"email\":\"{}\",\
             \"email_verified\":true,\"groups\":[{}],\"iat\":{},\"exp\":{},\"at_hash\":\"{at_hash}\"",
            self.issuer,
            user.name,
            user.email,
            groups.join(","),
            now.secs(),
            now.secs() + ID_TOKEN_SECS
        );
        if let Some(nonce) = nonce {
            claims.push_str(",\"nonce\":");
            json::write_string(&mut claims, nonce);
        }
        claims.push('}');
        let header = format!("{{\"alg\":\"ES256\",\"typ\":\"JWT\",\"kid\":\"{}\"}}", self.kid);
        let signing = format!("{}.{}", B64.encode(header), B64.encode(claims));
        let signature = self.key.sign(&self.rng, signing.as_bytes()).map_err(|_| trouble)?;
        let mut answer = format!(
            "{{\"token_type\":\"Bearer\",\"expires_in\":{ID_TOKEN_SECS},\
             \"access_token\":\"{access}\",\"id_token\":\"{signing}.{}\"",
            B64.encode(signature.as_ref())
        );
        if offline {
            let refresh = self.fresh().ok_or(OAuthError("server_error", "no randomness"))?;
            answer.push_str(&format!(",\"refresh_token\":\"{refresh}\""));
            self.remember(|memory| {
                memory.order.push(refresh.clone());
                memory.refresh.insert(refresh, user);
            });
        }
        answer.push('}');
        Ok(Response::json(200, answer).with("cache-control", "no-store"))
    }

    /// 256 random bits as text.
    fn fresh(&self) -> Option<String> {
        let mut bytes = [0; 32];
        self.rng.fill(&mut bytes).ok()?;
        Some(B64.encode(bytes))
    }

    /// Works on the memory and forgets the oldest entries beyond the cap.
    fn remember<T>(&self, work: impl FnOnce(&mut Memory) -> T) -> T {
        let mut memory = self.memory.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let result = work(&mut memory);
        if memory.order.len() > REMEMBERED_MAX {
            let oldest = memory.order.remove(0);
            memory.codes.remove(&oldest);
            memory.refresh.remove(&oldest);
        }
        result
    }
}

impl Answer for Provider {
    fn answer(&self, request: &Request, _: &[Vec<u8>]) -> Response {
        match &request.body {
            Ok(body) => self.respond(exchange_smol::clock::wall(), &request.head, body),
            Err(fault) => fault.refusal().response(),
        }
    }
}

/// The authorization request, as far as it matters here (RFC 6749 section 4.1.1, RFC 7636 4.3).
struct Asked {
    client_id: String,
    response_type: String,
    redirect_uri: String,
    challenge: String,
    challenge_method: String,
    state: Option<String>,
    nonce: Option<String>,
    openid: bool,
    offline: bool,
}

impl Asked {
    fn read(query: &str) -> Result<Self, ()> {
        let form = Form::parse(query).map_err(|_| ())?;
        let field = |name: &str| form.get(name).ok().flatten().map(String::from);
        let scopes = field("scope").unwrap_or_default();
        Ok(Self {
            client_id: field("client_id").ok_or(())?,
            response_type: field("response_type").ok_or(())?,
            redirect_uri: field("redirect_uri").ok_or(())?,
            challenge: field("code_challenge").ok_or(())?,
            challenge_method: field("code_challenge_method").ok_or(())?,
            state: field("state"),
            nonce: field("nonce"),
            openid: scopes.split(' ').any(|scope| scope == "openid"),
            offline: scopes.split(' ').any(|scope| scope == "offline_access"),
        })
    }

    fn check(&self) -> Result<(), &'static str> {
        if self.client_id != CLIENT_ID {
            Err("The client is not known here.")
        } else if self.response_type != "code" {
            Err("Only response_type=code is offered.")
        } else if self.challenge_method != "S256" || self.challenge.len() != 43 {
            Err("PKCE with S256 is mandatory.")
        } else if !self.returns_to_loopback() {
            Err("The redirect URI is not a loopback address.")
        } else if !self.openid {
            Err("The scope openid is missing.")
        } else {
            Ok(())
        }
    }

    /// RFC 8252 section 7.3: plain HTTP to this machine, on any port.
    fn returns_to_loopback(&self) -> bool {
        let Ok(url) = self.redirect_uri.parse::<Url>() else { return false };
        url.is_loopback() && !url.is_https() && !url.target().contains('?')
    }
}

fn oauth_error(code: &str, text: &str) -> Response {
    let status = if code == "server_error" { 500 } else { 400 };
    Response::json(status, format!("{{\"error\":\"{code}\",\"error_description\":\"{text}\"}}"))
        .with("cache-control", "no-store")
}

#[cfg(test)]
mod tests;
