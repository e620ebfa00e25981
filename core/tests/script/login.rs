//! Scripts of the login.

use std::collections::BTreeMap;

use exchange_core::http::form::Form;
use exchange_core::http::{FetchRequest, Headers, Method, RequestHead, Version};
use exchange_core::login::cache::CacheEntry;
use exchange_core::login::{
    AuthorizationEntropy, BrowserSettings, ExistingContext, FileTrouble, Flow, Input,
    ListenTrouble, LoginMachine, LoginSettings, Notice, Outcome, Output, ProviderSettings,
    StorePolicy, TokenSource,
};
use exchange_core::machine::{Entropy, Now, RequestId, UnixTime};
use exchange_core::oidc::scopes::Scopes;
use exchange_core::pki::{CaCert, CaKey, Draft, LeafKey, SignerTrust};
use exchange_core::types::{Role, RoleSet, Secret, Ttl};
use ring::rand::SystemRandom;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::words::{ISSUER, Player, Reply, Token, cert_file, effect, random};

/// What differs from the usual login: a person with a browser, tokens are kept.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    flow: FlowName,
    watch: bool,
    force: bool,
    nobody_there: bool,
    ephemeral: bool,
    /// The ID token comes from outside.
    given: bool,
    form_post: bool,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum FlowName {
    #[default]
    Browser,
    Device,
    DeviceOrBrowser,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Word {
    /// `jitter` is a byte, eight times.
    Start {
        jitter: u8,
    },
    Loaded {
        effect: u64,
        entry: Option<Value>,
        context: Option<Life>,
    },
    IdTokenGiven {
        effect: u64,
        token: Option<Token>,
    },
    Locked {
        effect: u64,
        entry: Option<Value>,
    },
    LockFailed {
        effect: u64,
        busy: bool,
    },
    Fetched {
        effect: u64,
        reply: Reply,
    },
    /// The exchange server answers that effect with a certificate.
    Exchanged {
        effect: u64,
        certificate: Life,
    },
    Listening {
        effect: u64,
        port: u16,
        entropy: u8,
    },
    ListenFailed {
        effect: u64,
        why: Why,
    },
    Callback(Callback),
    BrowserFailed {},
    Saved {
        effect: u64,
    },
    SaveFailed {
        effect: u64,
    },
    Seeded {
        effect: u64,
        seed: u8,
    },
    Written {
        effect: u64,
    },
    WriteFailed {
        effect: u64,
    },
    Interrupt {},
}

/// A certificate that was made `age` seconds ago (0 where absent) and lives `secs`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Life {
    #[serde(default)]
    age: i64,
    secs: u64,
    /// The server makes the key, as old ones do.
    #[serde(default)]
    old: bool,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Why {
    InUse,
    Denied,
    Other,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Callback {
    request: u64,
    #[serde(default = "get")]
    method: String,
    target: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    #[serde(default)]
    body: String,
    entropy: u8,
}

fn get() -> String {
    "GET".into()
}

/// Bodies that were sent to the exchange server.
#[derive(Default)]
pub(crate) struct Memory {
    sent: BTreeMap<u64, Value>,
}

pub(crate) struct Play<'a> {
    settings: &'a Settings,
}

impl<'a> Play<'a> {
    pub(crate) const fn new(settings: &'a Settings) -> Self {
        Self { settings }
    }
}

fn trouble() -> FileTrouble {
    FileTrouble { text: "disk full".into() }
}

fn entry(json: Option<&Value>) -> Option<CacheEntry> {
    let mut json = json?.clone();
    if let Some(token) = json.get_mut("id_token").filter(|token| token.is_object()) {
        let described: Token = serde_json::from_value(token.clone()).unwrap();
        *token = described.text().into();
    }
    Some(CacheEntry::parse(json.to_string().as_bytes()).unwrap())
}

/// State, nonce and verifier are three bytes in a row, 32 times each.
fn entropy(first: u8) -> AuthorizationEntropy {
    AuthorizationEntropy {
        state: Entropy::new(random(first)),
        nonce: Entropy::new(random(first + 1)),
        verifier: Entropy::new(random(first + 2)),
    }
}

/// The answer of an exchange server at `now`: to the request of `csr`, or with a key of its own.
fn issue(now: Now, life: &Life, csr: Option<&str>) -> Value {
    let rng = SystemRandom::new();
    let at = UnixTime::from_secs(now.wall.secs().saturating_add_signed(-life.age));
    let ca = CaCert::parse(&cert_file("ca/ed25519.crt"), at).unwrap();
    let signer = CaKey::load(&cert_file("ca/ed25519.key"), &ca, &rng).unwrap();
    let leaf = match csr {
        Some(csr) => LeafKey::from_csr(csr.as_bytes()).unwrap(),
        None => LeafKey::from_seed(Entropy::new(random(7))).unwrap(),
    };
    let roles = RoleSet::new(["os:reader".parse::<Role>().unwrap()]).unwrap();
    let ttl = Ttl::from_secs(life.secs).unwrap();
    let draft = Draft::new(&ca, &roles, None, ttl, at, leaf, Entropy::new(random(9))).unwrap();
    let signature = signer.sign(&rng, draft.tbs()).unwrap();
    let issued = draft.finish(&signature, &ca, SignerTrust::InProcess).unwrap();
    let key = issued.key_pem().map(|key| key.expose_str().unwrap().to_owned());
    json!({
        "ca": ca.bundle_text(), "cert": issued.cert_pem(), "key": key.unwrap_or_default(),
        "endpoints": ["10.0.0.1"], "ttl_seconds": life.secs,
    })
}

impl Callback {
    fn head(&self) -> RequestHead {
        let mut headers = Headers::default();
        if !self.headers.iter().any(|(name, _)| name == "host") {
            headers.push("host", b"127.0.0.1:8900");
        }
        self.headers.iter().for_each(|(name, value)| headers.push(name, value.as_bytes()));
        RequestHead {
            method: Method::from_token(&self.method),
            target: self.target.as_str().into(),
            version: Version::Http11,
            headers,
        }
    }
}

impl Player for Play<'_> {
    type Machine = LoginMachine;
    type Word = Word;
    type Memory = Memory;

    fn machine(&self, _now: Now) -> LoginMachine {
        let Settings { flow, watch, force, nobody_there, ephemeral, given, form_post } =
            *self.settings;
        let browser = BrowserSettings { form_post, ..BrowserSettings::default() };
        let provider = ProviderSettings {
            issuer: ISSUER.parse().unwrap(),
            client_id: "talosctl".parse().unwrap(),
            client_secret: None,
            client_auth: Default::default(),
            scopes: Scopes::default(),
            policy: Default::default(),
            skew_secs: 60,
            flow: match flow {
                FlowName::Browser => Flow::Browser(browser),
                FlowName::Device => Flow::Device,
                FlowName::DeviceOrBrowser => Flow::DeviceOr(browser),
            },
        };
        let source =
            if given { TokenSource::Given } else { TokenSource::Provider(Box::new(provider)) };
        LoginMachine::new(LoginSettings {
            context: "oidc".parse().unwrap(),
            server: "https://oidc.example.com".parse().unwrap(),
            plain_http: false,
            source,
            interactive: !nobody_there,
            watch,
            force,
            store: if ephemeral { StorePolicy::Ephemeral } else { StorePolicy::Keep },
        })
        .unwrap()
    }

    fn input(&self, now: Now, word: &Word, memory: &Memory) -> Input {
        match word {
            Word::Start { jitter } => Input::Start { jitter: Entropy::new(random(*jitter)) },
            Word::Loaded { effect: id, entry: json, context } => Input::Loaded {
                effect: effect(*id),
                entry: entry(json.as_ref()),
                context: context.as_ref().map(|life| {
                    let answer = issue(now, life, None);
                    let text = |name: &str| answer[name].as_str().unwrap().to_owned();
                    ExistingContext { certificate: text("cert"), key: Secret::from(text("key")) }
                }),
            },
            Word::IdTokenGiven { effect: id, token } => Input::IdTokenGiven {
                effect: effect(*id),
                token: token.as_ref().map(|token| Secret::from(token.text())).ok_or(trouble()),
            },
            Word::Locked { effect: id, entry: json } => {
                Input::Locked { effect: effect(*id), entry: entry(json.as_ref()) }
            }
            Word::LockFailed { effect: id, busy } => {
                Input::LockFailed { effect: effect(*id), busy: *busy }
            }
            Word::Fetched { effect: id, reply } => {
                Input::Fetched { effect: effect(*id), result: reply.result() }
            }
            Word::Exchanged { effect: id, certificate } => {
                let csr = memory.sent[id]["csr"].as_str().filter(|_| !certificate.old);
                let answer = issue(now, certificate, csr).to_string();
                let result = Ok(Reply::default().with_body(answer));
                Input::Fetched { effect: effect(*id), result }
            }
            Word::Listening { effect: id, port, entropy: first } => {
                Input::Listening { effect: effect(*id), port: *port, entropy: entropy(*first) }
            }
            Word::ListenFailed { effect: id, why } => Input::ListenFailed {
                effect: effect(*id),
                why: match why {
                    Why::InUse => ListenTrouble::InUse,
                    Why::Denied => ListenTrouble::Denied,
                    Why::Other => ListenTrouble::Other,
                },
            },
            Word::Callback(callback) => Input::Callback {
                request: RequestId(callback.request),
                head: callback.head(),
                body: callback.body.clone().into_bytes().into(),
                entropy: entropy(callback.entropy),
            },
            Word::BrowserFailed {} => Input::BrowserFailed,
            Word::Saved { effect: id } => Input::Saved { effect: effect(*id) },
            Word::SaveFailed { effect: id } => {
                Input::SaveFailed { effect: effect(*id), trouble: trouble() }
            }
            Word::Seeded { effect: id, seed } => {
                Input::Seeded { effect: effect(*id), seed: Entropy::new(random(*seed)) }
            }
            Word::Written { effect: id } => Input::Written { effect: effect(*id) },
            Word::WriteFailed { effect: id } => {
                Input::WriteFailed { effect: effect(*id), trouble: trouble() }
            }
            Word::Interrupt {} => Input::Interrupt,
        }
    }

    fn brief(output: &Output, memory: &mut Memory) -> String {
        match output {
            Output::LoadState { effect } => format!("load {}", effect.get()),
            Output::ReadIdToken { effect } => format!("read id token {}", effect.get()),
            Output::Lock { effect } => format!("lock {}", effect.get()),
            Output::ReleaseLock => "release lock".into(),
            Output::Fetch { effect, request } => fetch(effect.get(), request, memory),
            Output::Listen { effect, addresses } => addresses
                .iter()
                .fold(format!("listen {}", effect.get()), |text, at| format!("{text} {at}")),
            Output::StopListening => "stop listening".into(),
            Output::OpenBrowser { url } => format!("open browser {}", place(url.as_str())),
            Output::Tell(notice) => format!("tell {}", told(notice)),
            Output::Answer { request, response } => {
                let to = response.header("location").map(place).unwrap_or_default();
                format!("answer {}: {} {to}", request.0, response.status).trim_end().into()
            }
            Output::SaveTokens { effect, entry } => {
                let has = |is: bool, word: &'static str| if is { word } else { "" };
                let words = [
                    has(entry.id_token.is_some(), " id"),
                    has(entry.refresh_token.is_some(), " refresh"),
                    has(entry.server.is_some(), " server"),
                ];
                format!("save {}{}", effect.get(), words.concat())
            }
            Output::DrawSeed { effect } => format!("draw seed {}", effect.get()),
            Output::ForgetTokens => "forget tokens".into(),
            Output::WriteTalosconfig { effect, write } => {
                let current = if write.make_current { " current" } else { "" };
                format!("write {} {}{current}", effect.get(), write.context.as_str())
            }
            Output::Finished(Outcome::Written(_)) => "finished written".into(),
            Output::Finished(Outcome::StillFresh(_)) => "finished still fresh".into(),
            Output::Finished(Outcome::Stopped) => "finished stopped".into(),
            Output::Failed(error) => format!("failed {}", error.code()),
        }
    }
}

/// An address without its query.
fn place(url: &str) -> String {
    url.split('?').next().unwrap_or_default().to_owned()
}

fn fetch(effect: u64, request: &FetchRequest, memory: &mut Memory) -> String {
    let url = request.url.as_str();
    let Some((kind, body)) = &request.post else { return format!("fetch {effect} {url}") };
    let body = std::str::from_utf8(body).unwrap();
    if *kind == "application/json" {
        memory.sent.insert(effect, serde_json::from_str(body).unwrap());
        return format!("post {effect} {url}");
    }
    let form = Form::parse(body).unwrap();
    let grant = form.get("grant_type").unwrap().unwrap_or("nothing");
    let grant = grant.rsplit(':').next().unwrap_or_default();
    format!("post {effect} {url} {grant}")
}

/// A notice by the name of its kind, in words: a new kind is nothing to be decided here.
fn told(notice: &Notice) -> String {
    let name = format!("{notice:?}");
    let name = name.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
    let words = name.chars().flat_map(|c| {
        let blank = c.is_ascii_uppercase().then_some(' ');
        blank.into_iter().chain([c.to_ascii_lowercase()])
    });
    words.collect::<String>().trim_start().into()
}
