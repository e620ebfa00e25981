//! The server machine under a script of inputs, with what must hold after each of them.
//!
//! Two machines get the same inputs: the outputs of one are taken at once, those of the other at
//! the end, and time-outs come to it twice. They must say the same.

use std::collections::{BTreeMap, BTreeSet};

use arbitrary::{Arbitrary, Unstructured};
use exchange_core::http::{
    FetchError, FetchReply, Headers, Method, RequestHead, Response, Version,
};
use exchange_core::json;
use exchange_core::jwt::Expectations;
use exchange_core::machine::{EffectId, Machine, Mono, Now, RequestId, UnixTime};
use exchange_core::oidc::key_cache::KeyCacheConfig;
use exchange_core::pki::{ClientCertificate, SignerTrust};
use exchange_core::policy::rbac::{Fallback, RolePolicy, Rule, Switches};
use exchange_core::policy::{Allowlist, RateLimit, TrustedProxies};
use exchange_core::server::audit::{AuditEvent, EventType};
use exchange_core::server::setup::ClientFacts;
use exchange_core::server::{
    Call, Connections, Door, Health, Input, Output, Server, Setup, SignError,
};
use exchange_core::types::{Secret, Ttl};
use ring::rand::SystemRandom;
use serde_json::json;

use crate::fixed::{AUDIENCE, CAS, ISSUER, NOW, entropy};
use crate::provider::{self, KEYS};

const ADMIN_TOKEN: &str = "an admin token of the fuzzer";
const CSR: &str = include_str!("../../vectors/cert/csr/p256.csr");
const STEPS_MAX: usize = 48;
const TTL: Ttl = Ttl::DEFAULT;

#[derive(Arbitrary, Debug)]
enum Step {
    /// A request to `/exchange`.
    Exchange {
        token: Token,
        groups: u8,
        peer: u8,
        csr: bool,
        get: bool,
    },
    /// A good request to `/exchange`, and then all that is open is answered.
    Login {
        second_key: bool,
        groups: u8,
        peer: u8,
    },
    /// A request to `/exchange` with any body.
    Body {
        body: Bytes,
        peer: u8,
    },
    /// Any other page.
    Page {
        path: Path,
        method: u8,
        token: bool,
        peer: u8,
        body: Bytes,
    },
    /// Provider and signer answer everything that is open, as they should.
    Answer,
    /// An answer to a fetch, perhaps an old one.
    Fetched {
        old: bool,
        reply: Reply,
    },
    /// An answer to a signature, perhaps one that is none.
    Signed {
        which: u8,
        signature: Signature,
    },
    /// The log has written what it was given.
    Recorded,
    /// A line of an older log.
    Replay(Bytes),
    /// Keys kept by an earlier run, or bytes that pretend to be.
    SavedKeys(Option<Bytes>),
    Health(bool),
    Reload(u8),
    Time {
        millis: u16,
        secs: i8,
    },
}

/// Few bytes, so that most of a script is steps.
#[derive(Debug)]
struct Bytes(Vec<u8>);

impl<'a> Arbitrary<'a> for Bytes {
    fn arbitrary(input: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let count = usize::from(u8::arbitrary(input)? % 64).min(input.len());
        input.bytes(count).map(|bytes| Self(bytes.to_vec()))
    }
}

#[derive(Arbitrary, Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Good { second_key: bool },
    NeverPublished,
    OtherAudience,
    OtherIssuer,
    Expired,
    NotYet,
    Changed,
    NoSignature,
    Hmac,
}

#[derive(Arbitrary, Debug)]
enum Path {
    Healthz,
    Readyz,
    Ca,
    Configuration,
    Metrics,
    Admin,
    AdminCerts,
    AdminStats,
    AdminLogin,
    AdminLogout,
    Other(Bytes),
}

#[derive(Arbitrary, Debug)]
enum Reply {
    Metadata,
    OtherMetadata,
    Keys { published: [bool; 2] },
    Bytes { status: u16, body: Bytes },
    Failed,
}

#[derive(Arbitrary, Debug)]
enum Signature {
    Good,
    OfOtherBytes,
    Garbage(Bytes),
    Failed,
}

/// What is known of a request that was sent.
struct Sent {
    exchange: bool,
    /// Index of the published key that makes its token good.
    good: Option<usize>,
    groups: u8,
    signature: String,
}

struct World {
    prompt: Server,
    late: Server,
    said: Vec<String>,
    now: Now,
    latest: UnixTime,
    sent: BTreeMap<u64, Sent>,
    open: BTreeSet<u64>,
    fetches: Vec<(EffectId, String)>,
    answered: Vec<(EffectId, String)>,
    signatures: Vec<(EffectId, Vec<u8>)>,
    /// Keys that ever came in a key set.
    published: [bool; 2],
    variants: BTreeSet<u8>,
    issuer_changes: usize,
    saved: Option<Vec<u8>>,
    to_record: Vec<AuditEvent>,
    issued: usize,
}

/// Runs a script; see the head of this file.
pub fn server_script(data: &[u8]) {
    play(data);
}

/// Plays a script to its end and says how many certificates were given out.
fn play(data: &[u8]) -> usize {
    let mut input = Unstructured::new(data);
    let mut world = World::new();
    for _ in 0..STEPS_MAX {
        if input.is_empty() {
            break;
        }
        let Ok(step) = Step::arbitrary(&mut input) else { break };
        world.step(step);
    }
    // Nothing waits longer than its deadline.
    for _ in 0..2 {
        world.pass(60_000, 60);
    }
    assert!(world.open.is_empty(), "never answered: {:?}", world.open);
    let mut late = Vec::new();
    while let Some(output) = world.late.poll_output() {
        late.push(words(&output));
    }
    assert_eq!(late, world.said, "when outputs are taken changes them");
    world.issued
}

impl World {
    fn new() -> Self {
        let now = Now { mono: Mono::from_millis(1000), wall: NOW };
        let server = || Server::new(setup(0), now).expect("a valid issuer");
        let mut world = Self {
            prompt: server(),
            late: server(),
            said: Vec::new(),
            now,
            latest: now.wall,
            sent: BTreeMap::new(),
            open: BTreeSet::new(),
            fetches: Vec::new(),
            answered: Vec::new(),
            signatures: Vec::new(),
            published: [false; 2],
            variants: BTreeSet::from([0]),
            issuer_changes: 0,
            saved: None,
            to_record: Vec::new(),
            issued: 0,
        };
        world.drain();
        world
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Exchange { token, groups, peer, csr, get } => {
                self.exchange(token, groups, peer, csr, get);
            }
            Step::Login { second_key, groups, peer } => {
                self.exchange(Token::Good { second_key }, groups, peer, false, false);
                self.answer();
            }
            Step::Body { body: Bytes(body), peer } => {
                let sent = Sent { exchange: true, good: None, groups: 0, signature: String::new() };
                self.request(Method::Post, "/exchange", &body, peer, &[], sent);
            }
            Step::Page { path, method, token, peer, body } => {
                self.page(&path, method, token, peer, &body.0);
            }
            Step::Answer => self.answer(),
            Step::Fetched { old, reply } => self.fetched(old, &reply),
            Step::Signed { which, signature } => self.signed(which, &signature),
            Step::Recorded => {
                let events = std::mem::take(&mut self.to_record);
                self.feed(|| Input::Recorded(events.clone()));
            }
            Step::Replay(Bytes(line)) => {
                let limits = json::Limits { bytes_max: 65_536, depth_max: 8 };
                if let Ok(line) = json::parse_object(&line, limits) {
                    self.feed(|| Input::Replay(vec![line.clone()]));
                }
            }
            Step::SavedKeys(bytes) => {
                let own = bytes.is_none();
                let Some(bytes) = bytes.map(|b| b.0).or_else(|| self.saved.clone()) else { return };
                // What the machine itself saved was published before.
                assert!(!own || self.published != [false; 2]);
                self.feed(|| Input::SavedKeys(bytes.clone()));
            }
            Step::Health(fault) => {
                let audit_fault = fault.then_some("audit.not_writable");
                self.feed(|| Input::Health(Health { audit_fault, withheld: 0 }));
            }
            Step::Reload(variant) => {
                let variant = variant % VARIANTS;
                self.variants.insert(variant);
                self.issuer_changes += 1;
                self.feed(|| Input::Reload(Box::new(setup(variant))));
            }
            Step::Time { millis, secs } => self.pass(millis.into(), secs.into()),
        }
    }

    /// Feeds both machines and looks at what the prompt one says.
    fn feed(&mut self, input: impl Fn() -> Input) {
        self.prompt.handle(self.now, input());
        self.drain();
        self.late.handle(self.now, input());
        let due = self.prompt.poll_timeout();
        if due.is_none_or(|due| due > self.now.mono) {
            self.prompt.handle_timeout(self.now);
            assert!(self.prompt.poll_output().is_none(), "an early time-out does something");
        }
    }

    fn pass(&mut self, millis: u64, secs: i64) {
        self.now.mono = self.now.mono.plus_millis(millis);
        let wall = self.now.wall.secs().saturating_add_signed(secs);
        self.now.wall = UnixTime::from_secs(wall);
        self.latest = self.latest.max(self.now.wall);
        self.prompt.handle_timeout(self.now);
        self.drain();
        self.late.handle_timeout(self.now);
        self.late.handle_timeout(self.now);
        let due = self.prompt.poll_timeout();
        assert!(due.is_none_or(|due| due > self.now.mono), "a time-out that never passes");
        assert_eq!(self.late.poll_timeout(), due);
    }

    fn exchange(&mut self, token: Token, groups: u8, peer: u8, csr: bool, get: bool) {
        let good = match token {
            Token::Good { second_key } if !get => Some(usize::from(second_key)),
            _ => None,
        };
        let text = make_token(token, groups, self.now.wall);
        let signature = text.rsplit('.').next().unwrap_or_default().to_owned();
        let mut body = json!({ "id_token": text });
        if csr {
            body["csr"] = CSR.into();
        }
        let method = if get { Method::Get } else { Method::Post };
        let sent = Sent { exchange: true, good, groups, signature };
        self.request(method, "/exchange", body.to_string().as_bytes(), peer, &[], sent);
    }

    fn page(&mut self, path: &Path, method: u8, token: bool, peer: u8, body: &[u8]) {
        let target = match path {
            Path::Healthz => "/healthz".into(),
            Path::Readyz => "/readyz".into(),
            Path::Ca => "/ca".into(),
            Path::Configuration => "/.well-known/talosctl-oidc-configuration".into(),
            Path::Metrics => "/metrics".into(),
            Path::Admin => "/admin/".into(),
            Path::AdminCerts => "/admin/certs?format=csv&q=a&offset=1".into(),
            Path::AdminStats => "/admin/stats".into(),
            Path::AdminLogin => "/admin/login".into(),
            Path::AdminLogout => "/admin/logout".into(),
            Path::Other(text) => {
                let graphic = text.0.iter().filter(|b| b.is_ascii_graphic());
                format!("/{}", graphic.map(|b| char::from(*b)).collect::<String>())
            }
        };
        let method = [Method::Get, Method::Head, Method::Post, Method::Options]
            [usize::from(method % 4)]
        .clone();
        let bearer = format!("Bearer {ADMIN_TOKEN}");
        let form = format!("token={}", ADMIN_TOKEN.replace(' ', "+"));
        let (fields, body): (&[(&str, &str)], &[u8]) = match token {
            true => (
                &[
                    ("authorization", bearer.as_str()),
                    ("content-type", "application/x-www-form-urlencoded"),
                ],
                form.as_bytes(),
            ),
            false => (&[], body),
        };
        let exchange = target.split('?').next() == Some("/exchange");
        let sent = Sent { exchange, good: None, groups: 0, signature: String::new() };
        self.request(method, &target, body, peer, fields, sent);
    }

    fn request(
        &mut self,
        method: Method,
        target: &str,
        body: &[u8],
        peer: u8,
        fields: &[(&str, &str)],
        sent: Sent,
    ) {
        let id = u64::try_from(self.sent.len()).expect("few requests");
        self.sent.insert(id, sent);
        self.open.insert(id);
        let mut headers = Headers::default();
        headers.push("host", b"exchange.example");
        fields.iter().for_each(|(name, value)| headers.push(name, value.as_bytes()));
        let head = RequestHead { method, target: target.into(), version: Version::Http11, headers };
        self.feed(|| {
            Input::Request(Box::new(Call {
                id: RequestId(id),
                peer: ([192, 0, 2, peer], 50_000).into(),
                tls: true,
                door: Door::Main,
                connections: Connections::default(),
                head: head.clone(),
                body: Ok(body.to_vec().into()),
                entropy: entropy(id),
            }))
        });
    }

    /// A healthy provider and signer until nothing is open.
    fn answer(&mut self) {
        for _ in 0..64 {
            if let Some((effect, url)) = self.fetches.pop() {
                self.answered.push((effect, url.clone()));
                let body = if url.ends_with("/certs") {
                    self.published = [true; 2];
                    provider::jwks([true; 2])
                } else {
                    provider::metadata(url.split("/.well-known").next().unwrap_or(ISSUER))
                };
                self.feed(|| Input::Fetched { effect, result: Ok(reply(200, body.as_bytes())) });
            } else if !self.signatures.is_empty() {
                self.signed(0, &Signature::Good);
            } else {
                return;
            }
        }
    }

    fn fetched(&mut self, old: bool, answer: &Reply) {
        let fetch = if old { self.answered.first().cloned() } else { self.fetches.pop() };
        let Some((effect, url)) = fetch else { return };
        self.answered.push((effect, url.clone()));
        let metadata = provider::metadata(url.split("/.well-known").next().unwrap_or(ISSUER));
        self.feed(|| Input::Fetched {
            effect,
            result: match answer {
                Reply::Metadata => Ok(reply(200, metadata.as_bytes())),
                Reply::OtherMetadata => {
                    Ok(reply(200, provider::metadata("https://evil.example").as_bytes()))
                }
                Reply::Keys { published } => Ok(reply(200, provider::jwks(*published).as_bytes())),
                Reply::Bytes { status, body } => Ok(reply(*status, &body.0)),
                Reply::Failed => Err(FetchError::Connect),
            },
        });
        if let Reply::Keys { published } = answer {
            self.published[0] |= published[0];
            self.published[1] |= published[1];
        }
    }

    fn signed(&mut self, which: u8, signature: &Signature) {
        let Some(last) = self.signatures.len().checked_sub(1) else { return };
        let (effect, tbs) = self.signatures.remove(usize::from(which).min(last));
        let sign =
            |bytes: &[u8]| CAS[0].key.sign(&SystemRandom::new(), bytes).map_err(|_| SignError);
        let result = match signature {
            Signature::Good => sign(&tbs),
            Signature::OfOtherBytes => sign(b"something else"),
            Signature::Garbage(bytes) => Ok(bytes.0.clone()),
            Signature::Failed => Err(SignError),
        };
        self.feed(|| Input::Signed { effect, result: result.clone() });
    }

    fn drain(&mut self) {
        while let Some(output) = self.prompt.poll_output() {
            self.said.push(words(&output));
            self.look_at(output);
        }
        assert!(self.fetches.len() <= 1 + self.issuer_changes, "more than one fetch is open");
        assert!(self.signatures.len() <= self.sent.len());
    }

    fn look_at(&mut self, output: Output) {
        match output {
            Output::Fetch { effect, request } => {
                assert!(request.url.is_https() && request.timeout_millis <= 60_000);
                self.fetches.push((effect, request.url.as_str().into()));
            }
            Output::Sign { effect, tbs, .. } => self.signatures.push((effect, tbs)),
            Output::Respond { id, audit, response } => self.responded(id, audit, &response),
            Output::SaveKeys(bytes) => self.saved = Some(bytes),
            Output::Note(note) => self.holds_no_token(&note.text),
        }
    }

    fn responded(&mut self, id: RequestId, audit: Vec<AuditEvent>, response: &Response) {
        assert!(self.open.remove(&id.0), "answered twice, or never asked: {id:?}");
        let sent = &self.sent[&id.0];
        let body = String::from_utf8_lossy(&response.body).into_owned();
        self.holds_no_token(&format!("{audit:?}"));
        if response.status == 200 && sent.exchange {
            self.check_issued(sent, &audit, &body);
            self.issued += 1;
        } else {
            assert!(!body.contains("PRIVATE KEY"), "a key without a certificate");
            assert!(audit.iter().all(|event| event.kind != EventType::CertIssued));
            assert!(!sent.exchange || !audit.is_empty(), "a refusal that is not recorded");
            self.holds_no_token(&body);
        }
        self.to_record.extend(audit);
    }

    /// The heart of it: who gets a certificate, and what is in it.
    fn check_issued(&self, sent: &Sent, audit: &[AuditEvent], body: &str) {
        let key = sent.good.expect("a certificate for a token that is not good");
        assert!(self.published[key], "a certificate by a key that the provider never published");
        let kinds: Vec<_> = audit.iter().map(|event| event.kind).collect();
        assert_eq!(kinds, [EventType::AuthSuccess, EventType::CertIssued]);
        assert!(audit.iter().all(|event| event.subject.as_deref() == Some("alice")));
        let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
        let text = |name: &str| body[name].as_str().expect("a text");
        let certificate = ClientCertificate::parse(text("cert")).expect("a certificate");
        assert!(certificate.is_issued_by(CAS[0].pem) && certificate.is_client_auth_only());
        assert!(certificate.not_after() <= self.latest.plus_secs(TTL.secs().into()));
        assert!(text("key").is_empty() || certificate.matches_key(text("key")).is_ok());
        assert_eq!(audit[1].serial.as_deref(), Some(certificate.serial_hex()));
        let allowed = |role: &String| {
            self.variants
                .iter()
                .any(|variant| expected_roles(*variant, sent.groups).contains(&role.as_str()))
        };
        assert!(!certificate.roles().is_empty() && certificate.roles().iter().all(allowed));
    }

    fn holds_no_token(&self, text: &str) {
        let leaked = self
            .sent
            .values()
            .any(|sent| sent.signature.len() > 20 && text.contains(&sent.signature));
        assert!(!leaked, "a token is shown");
    }
}

/// Everything an output says, so that two can be compared.
fn words(output: &Output) -> String {
    match output {
        Output::Respond { id, audit, response } => {
            let Response { status, headers, body } = response;
            format!("{id:?} {audit:?} {status} {headers:?} {}", body.escape_ascii())
        }
        Output::Fetch { effect, request } => format!("{effect:?} {}", request.url.as_str()),
        Output::Sign { .. } | Output::SaveKeys(_) | Output::Note(_) => format!("{output:?}"),
    }
}

fn reply(status: u16, body: &[u8]) -> FetchReply {
    FetchReply { status, headers: Headers::default(), body: body.to_vec().into() }
}

fn make_token(token: Token, groups: u8, now: UnixTime) -> String {
    let names: Vec<_> = GROUPS.iter().enumerate().filter(|(n, _)| groups >> n & 1 == 1).collect();
    let names: Vec<_> = names.into_iter().map(|(_, name)| *name).collect();
    let now = now.secs();
    let mut claims = json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "groups": names,
        "iat": now, "exp": now + 600, "email": "alice@example.com",
    });
    let mut key = &KEYS[0];
    match token {
        Token::Good { second_key } => key = &KEYS[usize::from(second_key)],
        Token::NeverPublished => key = &KEYS[2],
        Token::OtherAudience => claims["aud"] = "another".into(),
        Token::OtherIssuer => claims["iss"] = "https://evil.example".into(),
        Token::Expired => claims["exp"] = now.saturating_sub(600).into(),
        Token::NotYet => claims["nbf"] = (now + 6000).into(),
        Token::Changed | Token::NoSignature | Token::Hmac => {}
    }
    let text = key.sign(&claims);
    let (signed, signature) = text.rsplit_once('.').expect("three parts");
    match token {
        Token::Changed => {
            let (first, rest) = signature.split_at(1);
            format!("{signed}.{}{rest}", if first == "A" { "B" } else { "A" })
        }
        Token::NoSignature => format!("{signed}."),
        Token::Hmac => {
            let header = "eyJhbGciOiJIUzI1NiIsImtpZCI6Im9uZSJ9";
            let (_, claims) = signed.split_once('.').expect("two parts");
            format!("{header}.{claims}.{signature}")
        }
        _ => text,
    }
}

const GROUPS: [&str; 3] = ["admins", "readers", "suspended"];
const VARIANTS: u8 = 5;

/// What variant `variant` of the configuration gives to members of `groups`.
fn expected_roles(variant: u8, groups: u8) -> Vec<&'static str> {
    let is_in = |n: u8| groups >> n & 1 == 1;
    match variant {
        1 => vec!["os:reader"],
        _ if is_in(2) => vec![],
        _ => [(0, "os:admin"), (1, "os:reader")]
            .into_iter()
            .filter(|(group, _)| is_in(*group))
            .map(|(_, role)| role)
            .collect(),
    }
}

/// Configurations: 0 plain, 1 the same role for everyone, 2 with limits, 3 requests only, 4 another
/// issuer.
fn setup(variant: u8) -> Setup {
    let rule = |value: &str, roles: &[&str], deny| {
        Rule::new("groups".parse().expect("a claim"), value, roles, deny, None).expect("a rule")
    };
    let roles = match variant {
        1 => RolePolicy::everyone(provider::roles(&["os:reader"]), Switches::default()),
        _ => RolePolicy::new(
            vec![
                rule("admins", &["os:admin"], false),
                rule("readers", &["os:reader"], false),
                rule("suspended", &[], true),
            ],
            Fallback::Deny,
            Switches::default(),
        ),
    };
    let issuer = if variant == 4 { "https://other.example.com" } else { ISSUER };
    let limit = |requests| (variant == 2).then(|| RateLimit::new(requests, 10_000).expect("valid"));
    let allowlist = match variant {
        2 => Allowlist::read(["192.0.2.0/25"]).expect("a network"),
        _ => Allowlist::off(),
    };
    Setup {
        generation: 0,
        expect: Expectations::new(
            issuer.parse().expect("an issuer"),
            AUDIENCE.parse().expect("a client"),
        ),
        keys: KeyCacheConfig::default(),
        allowlist,
        trusted_proxies: TrustedProxies::none(),
        rate_by_address: limit(3),
        rate_by_subject: limit(2),
        roles: roles.expect("a valid table"),
        ttl: TTL,
        ca: exchange_core::pki::CaCert::parse(CAS[0].pem, NOW).expect("a CA"),
        signer_trust: SignerTrust::External,
        ca_for_clients: CAS[0].pem.into(),
        waiting_max: 4096,
        require_csr: variant == 3,
        facts: ClientFacts::default(),
        admin_token: Some(Secret::new(ADMIN_TOKEN)),
        served_ca: None,
        debug: variant == 1,
        version: "0",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutate::Rng;

    /// A target that reaches nothing finds nothing.
    #[test]
    fn scripts_reach_certificates_and_refusals() {
        let mut rng = Rng::new(3);
        let issued: usize = (0..1000).map(|_| play(&rng.bytes(600))).sum();
        assert!(issued > 100, "{issued} certificates only");
    }
}
