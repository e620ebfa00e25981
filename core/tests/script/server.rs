//! Scripts of the exchange server.

use std::collections::BTreeMap;

use exchange_core::http::{BodyFault, Headers, Method, RequestHead, Response, Version};
use exchange_core::json::{self, Limits};
use exchange_core::jwt::Expectations;
use exchange_core::machine::{Entropy, Now, RequestId, UnixTime};
use exchange_core::oidc::key_cache::KeyCacheConfig;
use exchange_core::pki::{CaCert, CaKey, SignerTrust};
use exchange_core::policy::rbac::{Fallback, RolePolicy, Rule, Switches};
use exchange_core::policy::{Allowlist, RateLimit, TrustedProxies};
use exchange_core::server::audit::AuditEvent;
use exchange_core::server::setup::ClientFacts;
use exchange_core::server::{
    Call, Connections, Door, ENTROPY_BYTES, Health, Input, Level, Output, Server, Setup, SignError,
};
use exchange_core::types::{Secret, Ttl};
use ring::rand::SystemRandom;
use serde::Deserialize;
use serde_json::Value;

use crate::words::{EPOCH, ISSUER, Player, Reply, Token, cert_file, effect, random, with_tokens};

/// What differs from the usual server: readers get `os:reader`, admins `os:admin`.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    issuer: Option<String>,
    generation: u64,
    /// Requests and seconds.
    rate_by_address: Option<(u32, u64)>,
    rate_by_subject: Option<(u32, u64)>,
    allowlist: Option<Vec<String>>,
    hmac_secret: Option<String>,
    require_csr: bool,
    /// How long keys are believed without a successful fetch.
    keys_hard_limit_secs: Option<u32>,
    ttl_secs: Option<u64>,
    /// Group and role.
    rules: Option<Vec<(String, String)>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Word {
    Request(Request),
    Fetched {
        effect: u64,
        reply: Reply,
    },
    Signed {
        effect: u64,
        signature: Signature,
    },
    /// The runtime wrote the events of that answer.
    Recorded(u64),
    SavedKeys(String),
    /// Code of what is wrong with the audit log, or null.
    Health(Option<String>),
    Reload(Settings),
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Signature {
    Good,
    /// One bit of a good one is another.
    Changed,
    /// The signer has none.
    None,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    id: u64,
    token: Option<Token>,
    csr: Option<String>,
    body: Option<String>,
    /// The body as JSON, its `id_token` perhaps described.
    json: Option<Value>,
    /// Why there is no body: `too_large`, `chunk`, `overhead`, `late` or `cut`.
    fault: Option<String>,
    #[serde(default = "post")]
    method: String,
    #[serde(default = "exchange")]
    path: String,
    #[serde(default = "peer")]
    peer: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
}

fn post() -> String {
    "POST".into()
}

fn exchange() -> String {
    "/exchange".into()
}

fn peer() -> String {
    "192.0.2.1:50000".into()
}

/// What was ordered: bytes to be signed, and events to be written.
#[derive(Default)]
pub(crate) struct Memory {
    to_sign: BTreeMap<u64, Vec<u8>>,
    events: BTreeMap<u64, Vec<AuditEvent>>,
}

pub(crate) struct Play<'a> {
    settings: &'a Settings,
    signer: CaKey,
}

impl<'a> Play<'a> {
    pub(crate) fn new(settings: &'a Settings) -> Self {
        let key = cert_file("ca/ed25519.key");
        let signer = CaKey::load(&key, &ca(), &SystemRandom::new()).unwrap();
        Self { settings, signer }
    }
}

fn ca() -> CaCert {
    CaCert::parse(&cert_file("ca/ed25519.crt"), UnixTime::from_secs(EPOCH)).unwrap()
}

fn setup(settings: &Settings) -> Setup {
    let rule = |group: &str, role: &str| {
        Rule::new("groups".parse().unwrap(), group, [role], false, None).unwrap()
    };
    let issuer = settings.issuer.as_deref().unwrap_or(ISSUER).parse().unwrap();
    let mut expect = Expectations::new(issuer, "talosctl".parse().unwrap());
    if let Some(secret) = &settings.hmac_secret {
        expect = expect.with_hmac(Secret::new(secret.as_bytes()), None).unwrap();
    }
    let rate = |limit: Option<(u32, u64)>| {
        limit.map(|(requests, secs)| RateLimit::new(requests, secs * 1000).unwrap())
    };
    let mut keys = KeyCacheConfig::default();
    keys.hard_limit_secs = settings.keys_hard_limit_secs.unwrap_or(keys.hard_limit_secs);
    let rules = match &settings.rules {
        Some(rules) => rules.iter().map(|(group, role)| rule(group, role)).collect(),
        None => vec![rule("admins", "os:admin"), rule("readers", "os:reader")],
    };
    Setup {
        generation: settings.generation,
        expect,
        keys,
        allowlist: settings
            .allowlist
            .as_ref()
            .map_or_else(Allowlist::off, |list| Allowlist::read(list).unwrap()),
        trusted_proxies: TrustedProxies::none(),
        rate_by_address: rate(settings.rate_by_address),
        rate_by_subject: rate(settings.rate_by_subject),
        roles: RolePolicy::new(rules, Fallback::Deny, Switches::default()).unwrap(),
        ttl: settings.ttl_secs.map_or(Ttl::DEFAULT, |secs| Ttl::from_secs(secs).unwrap()),
        ca: ca(),
        signer_trust: SignerTrust::External,
        ca_for_clients: cert_file("ca/ed25519.crt").into(),
        waiting_max: 4096,
        require_csr: settings.require_csr,
        facts: ClientFacts { endpoints: vec!["10.0.0.1".into()], ..ClientFacts::default() },
        admin_token: None,
        served_ca: None,
        debug: false,
        version: "test",
    }
}

impl Request {
    fn call(&self) -> Call {
        let body = match (&self.body, &self.json, &self.token, &self.fault) {
            (Some(body), None, None, None) => Ok(body.clone()),
            (None, Some(json), None, None) => Ok(with_tokens(json.clone()).to_string()),
            (None, None, Some(token), None) => {
                let mut body = serde_json::json!({ "id_token": token.text() });
                if let Some(file) = &self.csr {
                    body["csr"] = cert_file(file).into();
                }
                Ok(body.to_string())
            }
            (None, None, None, None) => Ok(String::new()),
            (None, None, None, Some(fault)) => Err(match fault.as_str() {
                "too_large" => BodyFault::TooLarge,
                "chunk" => BodyFault::Chunk,
                "overhead" => BodyFault::Overhead,
                "late" => BodyFault::Late,
                "cut" => BodyFault::Cut,
                other => panic!("no fault of a body: {other}"),
            }),
            _ => panic!("a request has one of body, json, token and fault"),
        };
        let mut headers = Headers::default();
        headers.push("host", b"oidc.example.com");
        self.headers.iter().for_each(|(name, value)| headers.push(name, value.as_bytes()));
        Call {
            id: RequestId(self.id),
            peer: self.peer.parse().unwrap(),
            tls: true,
            door: Door::Main,
            connections: Connections::default(),
            head: RequestHead {
                method: Method::from_token(&self.method),
                target: self.path.as_str().into(),
                version: Version::Http11,
                headers,
            },
            body: body.map(|text| text.into_bytes().into()),
            entropy: Entropy::new(random::<ENTROPY_BYTES>(self.id.to_le_bytes()[0])),
        }
    }
}

impl Player for Play<'_> {
    type Machine = Server;
    type Word = Word;
    type Memory = Memory;

    fn machine(&self, now: Now) -> Server {
        Server::new(setup(self.settings), now).unwrap()
    }

    fn input(&self, _now: Now, word: &Word, memory: &Memory) -> Input {
        match word {
            Word::Request(request) => Input::Request(Box::new(request.call())),
            Word::Fetched { effect: number, reply } => {
                Input::Fetched { effect: effect(*number), result: reply.result() }
            }
            Word::Signed { effect: number, signature } => {
                let sign = || {
                    let tbs = memory.to_sign.get(number).map_or(&[][..], Vec::as_slice);
                    self.signer.sign(&SystemRandom::new(), tbs).unwrap()
                };
                let result = match signature {
                    Signature::Good => Ok(sign()),
                    Signature::Changed => {
                        let mut changed = sign();
                        changed[9] ^= 1;
                        Ok(changed)
                    }
                    Signature::None => Err(SignError),
                };
                Input::Signed { effect: effect(*number), result }
            }
            Word::Recorded(id) => Input::Recorded(memory.events[id].clone()),
            Word::SavedKeys(text) => Input::SavedKeys(text.clone().into_bytes()),
            Word::Health(fault) => {
                let known = ["audit.not_writable"];
                let audit_fault =
                    fault.as_ref().map(|code| *known.iter().find(|k| *k == code).expect(code));
                Input::Health(Health { audit_fault, withheld: 0 })
            }
            Word::Reload(settings) => Input::Reload(Box::new(setup(settings))),
        }
    }

    fn brief(output: &Output, memory: &mut Memory) -> String {
        match output {
            Output::Fetch { effect, request } => {
                assert!(request.post.is_none(), "the server only reads from the provider");
                format!("fetch {} {}", effect.get(), request.url.as_str())
            }
            Output::Sign { effect, tbs, generation, .. } => {
                memory.to_sign.insert(effect.get(), tbs.clone());
                format!("sign {} of generation {generation}", effect.get())
            }
            Output::Respond { id, audit, response } => {
                let text = answer(id.0, audit, response);
                memory.events.insert(id.0, audit.clone());
                text
            }
            Output::SaveKeys(_) => "save keys".into(),
            Output::Note(note) => match note.level {
                Level::Debug => "note debug".into(),
                Level::Info => "note info".into(),
                Level::Warn => "note warn".into(),
                Level::Error => "note error".into(),
            },
        }
    }
}

/// `respond 1: 401 token.invalid retry 3; audit auth_failure token.expired`, and after
/// `cert_issued` who got which roles.
fn answer(id: u64, audit: &[AuditEvent], response: &Response) -> String {
    let limits = Limits { bytes_max: 1 << 20, depth_max: 8 };
    let body = json::parse_object(&response.body, limits).ok();
    let code = body.as_ref().and_then(|body| body.get_str("code")).unwrap_or("ok");
    let mut text = format!("respond {id}: {} {code}", response.status);
    if let Some(secs) = response.header("retry-after") {
        text = format!("{text} retry {secs}");
    }
    let certificate = body.is_some_and(|body| body.get_str("cert").is_some());
    let recorded = audit.iter().any(|event| event.kind.as_str() == "cert_issued");
    assert_eq!(certificate, recorded, "no certificate without its event, and no event without");
    for event in audit {
        text = format!("{text}; audit {}", event.kind.as_str());
        let roles = event.roles.iter().map(|role| role.as_str());
        let words = roles.chain(event.code).chain(event.subject.as_deref());
        text = words.fold(text, |text, word| format!("{text} {word}"));
    }
    text
}
