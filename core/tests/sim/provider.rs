//! The provider: people, their groups and sessions, keys that rotate, one-time refresh tokens.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as B64;
use exchange_core::http::form::Form;
use ring::digest::{SHA256, digest};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

use crate::counts::{Counts, Kind};
use crate::model::{Facts, Model};

pub const ISSUER: &str = "https://idp.example.com/realms/talos";
pub const AUDIENCE: &str = "talosctl";
pub const GROUPS: [&str; 3] = ["admins", "readers", "guests"];
/// Key of nobody but the adversary.
pub const ADVERSARY: usize = 15;

static KEYS: LazyLock<Vec<Ed25519KeyPair>> = LazyLock::new(|| {
    (0..16).map(|n| Ed25519KeyPair::from_seed_unchecked(&[n + 1; 32]).unwrap()).collect()
});

/// What was asked for when a code was given out.
struct Asked {
    user: usize,
    nonce: String,
    challenge: String,
}

pub struct Provider {
    pub up: bool,
    /// Key that signs; those before it are withdrawn.
    pub key: usize,
    /// Group of each person.
    pub groups: Vec<usize>,
    /// People who may not log in for now.
    pub barred: Vec<bool>,
    pub token_life: u64,
    codes: BTreeMap<String, Asked>,
    /// Device codes, and who has approved them.
    devices: BTreeMap<String, Option<usize>>,
    /// The one refresh token of each person that still works.
    sessions: BTreeMap<usize, String>,
    minted: u64,
}

impl Provider {
    pub fn new(groups: Vec<usize>, token_life: u64) -> Self {
        let barred = vec![false; groups.len()];
        let (codes, devices, sessions) = Default::default();
        Self { up: true, key: 0, groups, barred, token_life, codes, devices, sessions, minted: 0 }
    }

    pub fn metadata() -> String {
        json!({
            "issuer": ISSUER, "authorization_endpoint": format!("{ISSUER}/auth"),
            "token_endpoint": format!("{ISSUER}/token"), "jwks_uri": format!("{ISSUER}/keys"),
            "device_authorization_endpoint": format!("{ISSUER}/device"),
        })
        .to_string()
    }

    /// The published keys: the one that signs, and where the rotation is not done, those before.
    pub fn jwks(&self, from: usize) -> String {
        let jwk = |number: usize| {
            let x = B64.encode(KEYS[number].public_key());
            json!({"kty": "OKP", "crv": "Ed25519", "kid": format!("k{number}"), "x": x})
        };
        json!({"keys": (from..=self.key).map(jwk).collect::<Vec<_>>()}).to_string()
    }

    /// The session of a person ends, as an administrator wants it.
    pub fn revoke(&mut self, user: usize) {
        self.sessions.remove(&user);
    }

    /// The person logs in in the browser; gives a code.
    pub fn authorize(&mut self, user: usize, asked: &Form) -> Option<String> {
        if !self.up || self.barred[user] {
            return None;
        }
        self.minted += 1;
        let code = format!("code-{}", self.minted);
        let field = |name| asked.get(name).ok().flatten().unwrap_or_default().to_owned();
        let asked = Asked { user, nonce: field("nonce"), challenge: field("code_challenge") };
        self.codes.insert(code.clone(), asked);
        Some(code)
    }

    /// The device authorization endpoint. Secret and shown code are one here.
    pub fn device(&mut self) -> String {
        self.minted += 1;
        let code = format!("device-{}", self.minted);
        self.devices.insert(code.clone(), None);
        json!({
            "device_code": code, "user_code": code, "expires_in": 120, "interval": 5,
            "verification_uri": format!("{ISSUER}/code"),
        })
        .to_string()
    }

    /// The person types the code and agrees.
    pub fn approve(&mut self, user: usize, code: &str) {
        if self.up && !self.barred[user] {
            self.devices.insert(code.to_owned(), Some(user));
        }
    }

    /// The token endpoint: status and body.
    pub fn token(
        &mut self,
        form: &Form,
        now: u64,
        model: &mut Model,
        counts: &mut Counts,
    ) -> (u16, String) {
        let field = |name| form.get(name).ok().flatten().unwrap_or_default();
        let refused = (400, json!({"error": "invalid_grant"}).to_string());
        let (user, nonce) = match field("grant_type") {
            "authorization_code" => {
                let Some(asked) = self.codes.remove(field("code")) else {
                    counts.add(Kind::Refused);
                    return refused;
                };
                let challenge = B64.encode(digest(&SHA256, field("code_verifier").as_bytes()));
                if challenge != asked.challenge {
                    return refused;
                }
                counts.add(Kind::Browser);
                (asked.user, Some(asked.nonce))
            }
            "urn:ietf:params:oauth:grant-type:device_code" => {
                let code = field("device_code");
                match self.devices.get(code) {
                    None => return refused,
                    Some(None) => {
                        counts.add(Kind::Pending);
                        self.minted += 1;
                        let error = ["authorization_pending", "slow_down"];
                        let error = error[usize::from(self.minted.is_multiple_of(5))];
                        return (400, json!({ "error": error }).to_string());
                    }
                    Some(Some(user)) => {
                        let user = *user;
                        self.devices.remove(code);
                        counts.add(Kind::Device);
                        (user, None)
                    }
                }
            }
            _ => {
                let used = field("refresh_token");
                let user = self.sessions.iter().find(|(_, token)| *token == used);
                let Some(user) = user.map(|(user, _)| *user) else {
                    counts.add(Kind::Refused);
                    return refused;
                };
                counts.add(Kind::Refreshed);
                (user, None)
            }
        };
        if self.barred[user] {
            counts.add(Kind::Refused);
            return refused;
        }
        self.minted += 1;
        let refresh = format!("refresh-{}", self.minted);
        self.sessions.insert(user, refresh.clone());
        let facts = self.facts(user, now);
        let id_token = mint(&facts, nonce.as_deref(), self.minted, model);
        let body = json!({
            "access_token": "a", "token_type": "Bearer", "expires_in": 60,
            "id_token": id_token, "refresh_token": refresh,
        });
        (200, body.to_string())
    }

    /// What a token of that person says now.
    pub fn facts(&self, user: usize, now: u64) -> Facts {
        Facts {
            subject: format!("user-{user}"),
            group: GROUPS[self.groups[user]],
            expires: now + self.token_life,
            issued: now,
            key: self.key,
            ours: true,
        }
    }
}

/// A token that says these facts; the model learns of it.
pub fn mint(facts: &Facts, nonce: Option<&str>, number: u64, model: &mut Model) -> String {
    let audience = if facts.ours { AUDIENCE } else { "another-client" };
    let mut claims = json!({
        "iss": ISSUER, "aud": audience, "sub": facts.subject, "iat": facts.issued,
        "exp": facts.expires, "groups": [facts.group], "jti": number.to_string(),
    });
    if let Some(nonce) = nonce {
        claims["nonce"] = nonce.into();
    }
    // The adversary's own key pretends to be the provider's.
    let kid = if facts.key == ADVERSARY { 0 } else { facts.key };
    let header = format!(r#"{{"alg":"EdDSA","kid":"k{kid}"}}"#);
    let signing = format!("{}.{}", B64.encode(header), B64.encode(claims.to_string()));
    let token = format!("{signing}.{}", B64.encode(KEYS[facts.key].sign(signing.as_bytes())));
    model.tokens.insert(token.clone(), facts.clone());
    token
}

/// The token in the words of a script, where somebody made it.
pub fn describe(token: &str, model: &Model) -> Option<Value> {
    let facts = model.tokens.get(token)?;
    let part = |number| B64.decode(token.split('.').nth(number)?).ok();
    let json = |bytes: Vec<u8>| serde_json::from_slice::<Value>(&bytes).ok();
    let (header, claims) = (part(0).and_then(json)?, part(1).and_then(json)?);
    Some(json!({ "key": facts.key + 1, "kid": header["kid"], "claims": claims }))
}
