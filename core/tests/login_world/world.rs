//! A blocking world for the login machine: one clock, a provider, an exchange server, a person, a
//! store and a talosconfig, all in memory. Nothing sleeps.

use std::collections::VecDeque;
use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use exchange_core::http::form::Form;
use exchange_core::http::{
    FetchError, FetchReply, FetchRequest, Headers, Method, RequestHead, Trust, Version,
};
use exchange_core::login::cache::CacheEntry;
use exchange_core::login::{
    AuthorizationEntropy, BrowserSettings, ContextWrite, ExistingContext, FileTrouble, Flow, Input,
    ListenTrouble, LoginError, LoginMachine, LoginSettings, Notice, Outcome, Output,
    ProviderSettings, StorePolicy, TokenSource,
};
use exchange_core::machine::{self, EffectId, Entropy, Mono, Now, RequestId, UnixTime};
use exchange_core::oidc::scopes::Scopes;
use exchange_core::pki::{CaCert, CaKey, Draft, LeafKey, SignerTrust};
use exchange_core::types::{Role, RoleSet, Secret, Ttl};
use ring::rand::SystemRandom;
use serde_json::{Value, json};
use zeroize::Zeroizing;

pub const ISSUER: &str = "https://idp.example/realms/talos";
pub const SERVER: &str = "https://exchange.example";
pub const START: u64 = 1_800_000_000;

/// What the token endpoint does with the next request of its grant.
pub enum Tokens {
    /// The usual tokens.
    Usual,
    /// The usual tokens with these changes to the answer; `null` removes a member.
    Answer(Value),
    /// The usual tokens with these changes to the claims; `null` removes a claim.
    Claims(Value),
    /// This status and body.
    Raw(u16, &'static str),
    /// No answer.
    Net(FetchError),
}

/// What the exchange server does next.
pub enum Exchange {
    /// A certificate with that life.
    Issue(u64),
    /// This status, body, and `Retry-After`.
    Refuse(u16, &'static str, Option<&'static str>),
    /// Changes to the usual answer; `null` removes a member.
    Answer(Value),
    /// A certificate and key of the server's own making, as old servers do.
    Old,
    /// No answer.
    Net(FetchError),
}

/// A request of the person's browser, from the parameters of the address it was sent to.
pub type Click = Box<dyn Fn(&Form) -> RequestHead>;

/// Something that happens by itself.
pub enum Event {
    Input(Input),
    Click(RequestHead),
    LeapWall(i64),
}

pub struct World {
    pub mono: u64,
    pub wall_offset: i64,
    /// Whether provider and server have a clock of their own, which never leaps.
    pub true_dates: bool,
    /// Whether the server says truly how long a certificate lives.
    pub tells_ttl: bool,
    pub events: Vec<(u64, u64, Event)>,
    pub sequence: u64,
    /// Timers in a row that were due at once.
    pub idle: u32,
    pub draws: u8,
    /// Entry in the store, as text.
    pub store: Option<String>,
    /// Certificate and key of the context.
    pub context: Option<(String, String)>,
    pub writes: Vec<ContextWrite>,
    pub notices: Vec<Notice>,
    /// Names of the orders, for sequences.
    pub log: Vec<String>,
    pub ended: Option<Result<Outcome, LoginError>>,
    /// Status and body of each answer at the listener, with the time in seconds.
    pub pages: Vec<(u64, u16, String)>,
    pub asked: u64,
    /// What the browser does when an address is shown: after how many seconds which request.
    pub clicks: Vec<(u64, Click)>,
    pub listen: Result<(), ListenTrouble>,
    pub browser_works: bool,
    pub save_works: bool,
    pub write_works: bool,
    pub lock_busy: bool,
    /// What another process does to the store while this one waits for the lock.
    pub rival: Option<String>,
    pub locked: bool,
    pub given: Result<String, FileTrouble>,
    /// What comes before that.
    pub givens: VecDeque<Result<String, FileTrouble>>,
    // Provider.
    pub metadata: Value,
    pub discovery: VecDeque<Result<(u16, String), FetchError>>,
    pub code_grants: VecDeque<Tokens>,
    pub refreshes: VecDeque<Tokens>,
    pub device_polls: VecDeque<Tokens>,
    pub device_answer: Value,
    /// Forms that the token and device endpoints got.
    pub forms: Vec<Vec<(String, String)>>,
    pub token_life: u64,
    /// How long the token endpoint takes.
    pub token_millis: u64,
    pub nonce: Option<String>,
    pub minted: u32,
    // Server.
    pub exchanges: VecDeque<Exchange>,
    pub life: u64,
    /// Bodies that the server got.
    pub exchanged: Vec<String>,
    /// ID tokens that the server got, with the time in seconds.
    pub received: Vec<(u64, String)>,
}

impl Default for World {
    fn default() -> Self {
        Self {
            mono: 0,
            wall_offset: 0,
            true_dates: false,
            tells_ttl: false,
            events: Vec::new(),
            sequence: 0,
            idle: 0,
            draws: 0,
            store: None,
            context: None,
            writes: Vec::new(),
            notices: Vec::new(),
            log: Vec::new(),
            ended: None,
            pages: Vec::new(),
            asked: 0,
            clicks: vec![(2, Box::new(|form| get(&answer(form))))],
            listen: Ok(()),
            browser_works: true,
            save_works: true,
            write_works: true,
            lock_busy: false,
            rival: None,
            locked: false,
            given: Err(FileTrouble { text: "no such file".into() }),
            givens: VecDeque::new(),
            metadata: json!({
                "issuer": ISSUER,
                "authorization_endpoint": format!("{ISSUER}/auth"),
                "token_endpoint": format!("{ISSUER}/token"),
                "device_authorization_endpoint": format!("{ISSUER}/device"),
                "jwks_uri": format!("{ISSUER}/keys"),
            }),
            discovery: VecDeque::new(),
            code_grants: VecDeque::new(),
            refreshes: VecDeque::new(),
            device_polls: VecDeque::new(),
            device_answer: json!({
                "device_code": "device-1",
                "user_code": "WDJB-MJHT",
                "verification_uri": "https://idp.example/device",
                "expires_in": 900,
                "interval": 5,
            }),
            forms: Vec::new(),
            token_life: 3600,
            token_millis: 100,
            nonce: None,
            minted: 0,
            exchanges: VecDeque::new(),
            life: 300,
            exchanged: Vec::new(),
            received: Vec::new(),
        }
    }
}

/// The settings of most cases.
pub fn settings() -> LoginSettings {
    LoginSettings {
        context: "oidc".parse().unwrap(),
        server: SERVER.parse().unwrap(),
        plain_http: false,
        source: TokenSource::Provider(Box::new(ProviderSettings {
            issuer: ISSUER.parse().unwrap(),
            client_id: "cli".parse().unwrap(),
            client_secret: None,
            client_auth: Default::default(),
            scopes: Scopes::default(),
            policy: Default::default(),
            skew_secs: 60,
            flow: Flow::Browser(BrowserSettings::default()),
        })),
        interactive: true,
        watch: false,
        force: false,
        store: StorePolicy::Keep,
    }
}

pub fn provider(settings: &mut LoginSettings) -> &mut ProviderSettings {
    match &mut settings.source {
        TokenSource::Provider(provider) => provider,
        TokenSource::Given => panic!("no provider"),
    }
}

/// A GET at the listener.
pub fn get(target: &str) -> RequestHead {
    request(Method::Get, target, &[])
}

pub fn request(method: Method, target: &str, more: &[(&str, &str)]) -> RequestHead {
    let mut headers = Headers::default();
    headers.push("host", b"127.0.0.1:8900");
    for (name, value) in more {
        headers.push(name, value.as_bytes());
    }
    RequestHead { method, target: target.into(), version: Version::Http11, headers }
}

/// The provider's answer to an authorization request, as a target.
pub fn answer(form: &Form) -> String {
    let state = form.get("state").unwrap().unwrap();
    format!("/callback?code=code-1&state={state}")
}

/// An unsigned token: the client leaves the signature to TLS and the server.
pub fn token(claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = json!({"alg": "ES256", "typ": "JWT", "kid": "k"});
    format!("{}.{}.{}", part(&header), part(claims), URL_SAFE_NO_PAD.encode([1; 64]))
}

/// `changes` laid over `base`; `null` removes.
fn overlay(mut base: Value, changes: &Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        let members = base.as_object_mut().unwrap();
        if value.is_null() {
            members.remove(name);
        } else {
            members.insert(name.clone(), value.clone());
        }
    }
    base
}

/// CA, certificate and key as an old server issues them at `now`.
pub fn issue(now: u64, life: u64) -> (String, String, String) {
    issue_for(LeafKey::from_seed(Entropy::new([7; 32])).unwrap(), now, life)
}

/// CA, certificate and, unless it stayed with the client, key.
pub fn issue_for(leaf: LeafKey, now: u64, life: u64) -> (String, String, String) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors/cert/ca");
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let (rng, now) = (SystemRandom::new(), UnixTime::from_secs(now));
    let ca = CaCert::parse(&read("ed25519.crt"), now).unwrap();
    let key = CaKey::load(&read("ed25519.key"), &ca, &rng).unwrap();
    let roles = RoleSet::new(["os:reader".parse::<Role>().unwrap()]).unwrap();
    let ttl = Ttl::from_secs(life).unwrap();
    let draft = Draft::new(&ca, &roles, None, ttl, now, leaf, Entropy::new([9; 16])).unwrap();
    let signature = key.sign(&rng, draft.tbs()).unwrap();
    let issued = draft.finish(&signature, &ca, SignerTrust::InProcess).unwrap();
    let key = issued.key_pem().map(|key| key.expose_str().unwrap().to_owned());
    let key = key.unwrap_or_default();
    (ca.bundle_text().to_owned(), issued.cert_pem().to_owned(), key)
}

impl World {
    /// Runs one login to its end.
    pub fn run(&mut self, settings: LoginSettings) -> Result<Outcome, LoginError> {
        let mut machine = LoginMachine::new(settings)?;
        self.ended = None;
        self.push(0, Event::Input(Input::Start { jitter: Entropy::new([3; 8]) }));
        machine::run(&mut machine, self);
        self.ended.clone().unwrap()
    }

    pub fn seconds(&self) -> u64 {
        self.mono / 1000
    }

    pub fn wall(&self) -> u64 {
        START.saturating_add(self.mono / 1000).saturating_add_signed(self.wall_offset)
    }

    /// The time at provider and server.
    fn theirs(&self) -> u64 {
        if self.true_dates { START + self.mono / 1000 } else { self.wall() }
    }

    pub fn push(&mut self, after_millis: u64, event: Event) {
        self.sequence += 1;
        self.events.push((self.mono + after_millis, self.sequence, event));
    }

    /// Ctrl-C after so many seconds.
    pub fn interrupt_after(&mut self, secs: u64) {
        self.push(secs * 1000, Event::Input(Input::Interrupt));
    }

    /// Ctrl-C in the middle of things.
    pub fn interrupt_after_millis(&mut self, millis: u64) {
        self.push(millis, Event::Input(Input::Interrupt));
    }

    /// The wall clock is set forward or back.
    pub fn leap_after(&mut self, secs: u64, by: i64) {
        self.push(secs * 1000, Event::LeapWall(by));
    }

    /// An entry for the store, with an ID token that lives `life` seconds from now.
    pub fn remember(&mut self, life: i64, refresh: Option<&str>) {
        let exp = self.wall().saturating_add_signed(life);
        let id_token = token(&self.claims(&json!({"exp": exp, "nonce": null})));
        let mut entry = json!({
            "access_token": "", "refresh_token": refresh.unwrap_or_default(), "id_token": id_token,
            "expires_at": "2026-02-17T14:30:00Z", "issuer": ISSUER, "client_id": "cli",
        });
        if self.context.is_some() {
            entry = overlay(entry, &json!({"server": SERVER}));
        }
        self.store = Some(entry.to_string());
    }

    /// A certificate in the context that was issued `age` seconds ago.
    pub fn hold_certificate(&mut self, age: u64, life: u64) {
        let (_, cert, key) = issue(self.wall() - age, life);
        self.context = Some((cert, key));
    }

    pub fn stored(&self) -> Option<CacheEntry> {
        self.store.as_ref().map(|text| CacheEntry::parse(text.as_bytes()).unwrap())
    }

    pub fn count(&self, name: &str) -> usize {
        self.log.iter().filter(|entry| *entry == name).count()
    }

    pub fn form(&self, index: usize, name: &str) -> Option<&str> {
        let form = self.forms.get(index)?;
        form.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    fn claims(&self, changes: &Value) -> Value {
        let usual = json!({
            "iss": ISSUER, "sub": "ana", "aud": "cli", "iat": self.theirs(),
            "exp": self.theirs() + self.token_life, "nonce": self.nonce,
            "jti": self.minted,
        });
        let usual =
            if self.nonce.is_none() { overlay(usual, &json!({"nonce": null})) } else { usual };
        overlay(usual, changes)
    }

    fn entropy(&mut self) -> AuthorizationEntropy {
        self.draws = self.draws.wrapping_add(3) % 200;
        AuthorizationEntropy {
            state: Entropy::new([self.draws; 32]),
            nonce: Entropy::new([self.draws + 1; 32]),
            verifier: Entropy::new([self.draws + 2; 32]),
        }
    }

    fn reply(status: u16, body: String, retry_after: Option<&str>) -> FetchReply {
        let mut headers = Headers::default();
        headers.push("content-type", b"application/json");
        if let Some(secs) = retry_after {
            headers.push("retry-after", secs.as_bytes());
        }
        FetchReply { status, headers, body: Zeroizing::new(body.into_bytes()) }
    }

    fn fetch(&mut self, request: &FetchRequest) -> Result<FetchReply, FetchError> {
        let url = request.url.as_str();
        let body = request.post.as_ref().map(|(_, body)| String::from_utf8(body.to_vec()).unwrap());
        self.log.push(format!("fetch {}", url.rsplit('/').next().unwrap()));
        if url == format!("{SERVER}/exchange") {
            assert_eq!(request.trust, Trust::Server);
            return self.exchange(&body.unwrap());
        }
        assert_eq!(request.trust, Trust::Provider);
        if url.ends_with("/.well-known/openid-configuration") {
            let usual = Ok((200, self.metadata.to_string()));
            let (status, text) = self.discovery.pop_front().unwrap_or(usual)?;
            return Ok(Self::reply(status, text, None));
        }
        let form = Form::parse(&body.unwrap()).unwrap();
        let pairs: Vec<_> = form.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        self.forms.push(pairs);
        if url.ends_with("/device") {
            if let Some(error) = self.device_answer.get("error") {
                let text = json!({"error": error}).to_string();
                self.device_answer.as_object_mut().unwrap().remove("error");
                return Ok(Self::reply(400, text, None));
            }
            return Ok(Self::reply(200, self.device_answer.to_string(), None));
        }
        let next = match form.get("grant_type").unwrap().unwrap() {
            "authorization_code" => self.code_grants.pop_front(),
            "refresh_token" => self.refreshes.pop_front(),
            _ => self.device_polls.pop_front(),
        };
        self.tokens(next.unwrap_or(Tokens::Usual))
    }

    fn tokens(&mut self, script: Tokens) -> Result<FetchReply, FetchError> {
        self.minted += 1;
        let usual = |world: &Self, claims: &Value| {
            json!({
                "access_token": "access", "token_type": "Bearer", "expires_in": 60,
                "refresh_token": format!("refresh-{}", world.minted),
                "id_token": token(&world.claims(claims)),
            })
        };
        let body = match script {
            Tokens::Usual => usual(self, &json!({})),
            Tokens::Answer(changes) => overlay(usual(self, &json!({})), &changes),
            Tokens::Claims(changes) => usual(self, &changes),
            Tokens::Raw(status, body) => return Ok(Self::reply(status, body.into(), None)),
            Tokens::Net(error) => return Err(error),
        };
        Ok(Self::reply(200, body.to_string(), None))
    }

    fn exchange(&mut self, body: &str) -> Result<FetchReply, FetchError> {
        self.exchanged.push(body.to_owned());
        let body: Value = serde_json::from_str(body).unwrap();
        let token = body.get("id_token").unwrap().as_str().unwrap().to_owned();
        self.received.push((self.seconds(), token));
        let csr = body.get("csr").unwrap().as_str().unwrap().to_owned();
        let usual = |world: &Self, life| {
            let leaf = LeafKey::from_csr(csr.as_bytes()).unwrap();
            let (ca, cert, key) = issue_for(leaf, world.theirs(), life);
            let ttl = if world.tells_ttl { life } else { 1 };
            json!({"ca": ca, "cert": cert, "key": key, "endpoints": ["10.0.0.1", "10.0.0.2"], "ttl_seconds": ttl})
        };
        let answer = match self.exchanges.pop_front().unwrap_or(Exchange::Issue(self.life)) {
            Exchange::Issue(life) => usual(self, life),
            Exchange::Old => {
                let (ca, cert, key) = issue(self.theirs(), self.life);
                json!({"ca": ca, "cert": cert, "key": key, "endpoints": [], "ttl_seconds": 300})
            }
            Exchange::Answer(changes) => overlay(usual(self, self.life), &changes),
            Exchange::Refuse(status, body, retry) => {
                return Ok(Self::reply(status, body.into(), retry));
            }
            Exchange::Net(error) => return Err(error),
        };
        Ok(Self::reply(200, answer.to_string(), None))
    }

    /// The person sees the address, the browser goes there.
    fn shown(&mut self, url: &str) {
        let form = Form::parse(url.split_once('?').unwrap().1).unwrap();
        self.nonce = form.get("nonce").unwrap().map(str::to_owned);
        let clicks: Vec<_> =
            self.clicks.iter().map(|(after, click)| (*after, click(&form))).collect();
        for (after, head) in clicks {
            self.push(after * 1000, Event::Click(head));
        }
    }

    fn entry(&self) -> Option<CacheEntry> {
        self.store.as_ref().and_then(|text| CacheEntry::parse(text.as_bytes()).ok())
    }

    fn later(&mut self, input: Input) {
        self.push(100, Event::Input(input));
    }

    fn lock(&mut self, effect: EffectId) {
        assert!(!self.locked, "the lock is taken once");
        if self.lock_busy {
            return self.later(Input::LockFailed { effect, busy: true });
        }
        if let Some(rival) = self.rival.take() {
            self.store = Some(rival);
        }
        self.locked = true;
        let entry = self.entry();
        self.later(Input::Locked { effect, entry });
    }
}

impl machine::World<LoginMachine> for World {
    fn now(&mut self) -> Now {
        Now { mono: Mono::from_millis(self.mono), wall: UnixTime::from_secs(self.wall()) }
    }

    fn perform(&mut self, output: Output) {
        assert!(self.ended.is_none(), "nothing follows the end, but {output:?}");
        match output {
            Output::LoadState { effect } => {
                self.log.push("load".into());
                let entry = self.entry();
                let context = self.context.clone().map(|(certificate, key)| ExistingContext {
                    certificate,
                    key: Secret::from(key),
                });
                self.later(Input::Loaded { effect, entry, context });
            }
            Output::DrawSeed { effect } => {
                self.draws = self.draws.wrapping_add(1);
                let seed = Entropy::new([self.draws; 32]);
                self.push(0, Event::Input(Input::Seeded { effect, seed }));
            }
            Output::ReadIdToken { effect } => {
                let token = self.givens.pop_front().unwrap_or_else(|| self.given.clone());
                let token = token.map(Secret::from);
                self.later(Input::IdTokenGiven { effect, token });
            }
            Output::Lock { effect } => {
                self.log.push("lock".into());
                self.lock(effect);
            }
            Output::ReleaseLock => {
                assert!(self.locked, "only a lock that is held is given back");
                self.locked = false;
                self.log.push("release".into());
            }
            Output::Fetch { effect, request } => {
                let result = self.fetch(&request);
                let slow = request.url.as_str().ends_with("/token");
                let millis = if slow { self.token_millis } else { 100 };
                self.push(millis, Event::Input(Input::Fetched { effect, result }));
            }
            Output::Listen { effect, addresses } => {
                self.log.push("listen".into());
                assert!(addresses.iter().all(|a| a.ip().is_loopback()));
                let port = addresses.first().unwrap().port();
                let entropy = self.entropy();
                self.later(match self.listen {
                    Ok(()) => Input::Listening { effect, port, entropy },
                    Err(why) => Input::ListenFailed { effect, why },
                });
            }
            Output::StopListening => self.log.push("stop listening".into()),
            Output::OpenBrowser { .. } => {
                self.log.push("browser".into());
                if !self.browser_works {
                    self.later(Input::BrowserFailed);
                }
            }
            Output::Tell(notice) => {
                if let Notice::OpenUrl { url, .. } = &notice {
                    self.shown(url.as_str());
                }
                self.notices.push(notice);
            }
            Output::Answer { request, response } => {
                self.asked = self.asked.checked_sub(1).expect("one answer a request");
                let _ = request;
                let body = String::from_utf8(response.body.to_vec()).unwrap();
                self.pages.push((self.seconds(), response.status, body));
                if let Some(url) = response.header("location") {
                    let url = url.to_owned();
                    self.shown(&url);
                }
            }
            Output::SaveTokens { effect, entry } => {
                self.log.push("save".into());
                if self.save_works {
                    self.store = Some(entry.to_json().to_string());
                    self.later(Input::Saved { effect });
                } else {
                    let trouble = FileTrouble { text: "disk full".into() };
                    self.later(Input::SaveFailed { effect, trouble });
                }
            }
            Output::ForgetTokens => {
                self.log.push("forget".into());
                self.store = None;
            }
            Output::WriteTalosconfig { effect, write } => {
                self.log.push("write".into());
                if self.write_works {
                    let key = write.key.expose_str().unwrap().to_owned();
                    self.context = Some((write.certificate.clone(), key));
                    self.writes.push(write);
                    self.later(Input::Written { effect });
                } else {
                    let trouble = FileTrouble { text: "disk full".into() };
                    self.later(Input::WriteFailed { effect, trouble });
                }
            }
            Output::Finished(outcome) => self.ended = Some(Ok(outcome)),
            Output::Failed(error) => self.ended = Some(Err(error)),
        }
        if self.ended.is_some() {
            assert!(!self.locked, "no lock is left behind");
            assert_eq!(self.asked, 0, "every request is answered");
            let (opened, closed) = (self.count("listen"), self.count("stop listening"));
            assert!(self.listen.is_err() || opened == closed, "the listener is closed");
        }
    }

    fn wait(&mut self, until: Option<Mono>) -> Option<Input> {
        loop {
            let next = self
                .events
                .iter()
                .enumerate()
                .min_by_key(|(_, (due, sequence, _))| (*due, *sequence))
                .map(|(index, (due, _, _))| (index, *due));
            let limit = until.map(Mono::millis);
            match (next, limit) {
                (Some((index, due)), limit) if limit.is_none_or(|limit| due <= limit) => {
                    self.mono = self.mono.max(due);
                    let (_, _, event) = self.events.remove(index);
                    match event {
                        Event::Input(input) => return Some(input),
                        Event::Click(head) => {
                            self.asked += 1;
                            let entropy = self.entropy();
                            return Some(Input::Callback {
                                request: RequestId(self.sequence),
                                head,
                                body: Zeroizing::new(Vec::new()),
                                entropy,
                            });
                        }
                        Event::LeapWall(by) => self.wall_offset += by,
                    }
                }
                (_, Some(limit)) => {
                    self.idle = if limit > self.mono { 0 } else { self.idle + 1 };
                    assert!(self.idle < 100, "timers that are due for ever");
                    assert!(self.mono < 100 * 86_400_000, "runs for ever");
                    self.mono = self.mono.max(limit);
                    return None;
                }
                (_, None) => panic!("stuck after {:?}, {:?}", self.log, self.notices),
            }
        }
    }

    fn finished(&self) -> bool {
        self.ended.is_some()
    }
}
