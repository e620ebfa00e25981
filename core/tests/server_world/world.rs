//! Provider, signer, clock and people around one server machine.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as B64;
use exchange_core::http::{
    FetchError, FetchReply, FetchRequest, Headers, Method, RequestHead, Version,
};
use exchange_core::json::{self, Limits, Object};
use exchange_core::jwt::Expectations;
use exchange_core::machine::{
    EffectId, Entropy, Machine, Mono, Now, RequestId, UnixTime, World as Surroundings,
};
use exchange_core::oidc::key_cache::KeyCacheConfig;
use exchange_core::pki::{CaCert, CaKey, SignerTrust};
use exchange_core::policy::rbac::{Fallback, RolePolicy, Rule, Switches};
use exchange_core::policy::{Allowlist, TrustedProxies};
use exchange_core::server::audit::{AuditEvent, EventType};
use exchange_core::server::setup::ClientFacts;
use exchange_core::server::{Call, Connections, Door, Input, Output, Server, Setup, SignError};
use exchange_core::types::Ttl;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};

pub(crate) const ISSUER: &str = "https://idp.example.com/realms/talos";
pub(crate) const AUDIENCE: &str = "talosctl";
/// Wall clock at the start of every world.
pub(crate) const EPOCH: u64 = 1_800_000_000;

/// A signing key of the provider, by number.
pub(crate) fn provider_key(number: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[number; 32]).unwrap()
}

/// A token with these claims, signed by key `number`.
pub(crate) fn token(number: u8, kid: &str, claims: &str) -> String {
    let header = format!(r#"{{"alg":"EdDSA","kid":"{kid}"}}"#);
    let signing = format!("{}.{}", B64.encode(header), B64.encode(claims));
    let signature = provider_key(number).sign(signing.as_bytes());
    format!("{signing}.{}", B64.encode(signature))
}

/// Claims of somebody in `group`, good from now for five minutes.
pub(crate) fn claims(now: u64, subject: &str, group: &str) -> String {
    format!(
        r#"{{"iss":"{ISSUER}","aud":"{AUDIENCE}","sub":"{subject}","iat":{now},"exp":{},"groups":["{group}"]}}"#,
        now + 300
    )
}

fn fixture(name: &str) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../vectors/cert/ca/");
    std::fs::read_to_string(format!("{path}{name}")).unwrap()
}

/// A server for `admins` (os:admin) and `readers` (os:reader); nobody else gets in.
pub(crate) fn setup() -> Setup {
    let rule = |group: &str, role: &str| {
        Rule::new("groups".parse().unwrap(), group, [role], false, None).unwrap()
    };
    let rules = vec![rule("admins", "os:admin"), rule("readers", "os:reader")];
    Setup {
        generation: 0,
        expect: Expectations::new(ISSUER.parse().unwrap(), AUDIENCE.parse().unwrap()),
        keys: KeyCacheConfig::default(),
        allowlist: Allowlist::off(),
        trusted_proxies: TrustedProxies::none(),
        rate_by_address: None,
        rate_by_subject: None,
        roles: RolePolicy::new(rules, Fallback::Deny, Switches::default()).unwrap(),
        ttl: Ttl::DEFAULT,
        ca: CaCert::parse(&fixture("ed25519.crt"), UnixTime::from_secs(EPOCH)).unwrap(),
        signer_trust: SignerTrust::External,
        ca_for_clients: fixture("ed25519.crt").into(),
        waiting_max: 4096,
        require_csr: false,
        facts: ClientFacts { endpoints: vec!["10.0.0.1".into()], ..ClientFacts::default() },
        admin_token: None,
        served_ca: None,
        debug: false,
        version: "test",
    }
}

/// What came out for one request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    pub(crate) retry_after: Option<String>,
    pub(crate) audit: Vec<AuditEvent>,
}

impl Answer {
    pub(crate) fn json(&self) -> Object {
        json::parse_object(&self.body, Limits { bytes_max: 1 << 20, depth_max: 8 }).unwrap()
    }

    pub(crate) fn code(&self) -> String {
        self.json().get_str("code").unwrap_or("ok").to_owned()
    }

    pub(crate) fn kinds(&self) -> Vec<EventType> {
        self.audit.iter().map(|event| event.kind).collect()
    }
}

/// What the provider does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weather {
    Fine,
    Refused,
    Silent,
    Html,
    WrongIssuer,
}

/// The surroundings. Everything that answers does so after a delay of its own.
pub(crate) struct World {
    pub(crate) millis: u64,
    pub(crate) weather: Weather,
    /// Published keys: kid and number.
    pub(crate) published: Vec<(String, u8)>,
    pub(crate) fetch_delay: u64,
    pub(crate) sign_delay: u64,
    pub(crate) signer_works: bool,
    pub(crate) fetched: Vec<String>,
    pub(crate) answers: BTreeMap<u64, Answer>,
    pub(crate) expected: usize,
    queue: VecDeque<(u64, Input)>,
    signer: CaKey,
    next_id: u64,
}

impl World {
    pub(crate) fn new() -> Self {
        let ca = setup().ca;
        let signer = CaKey::load(&fixture("ed25519.key"), &ca, &SystemRandom::new()).unwrap();
        Self {
            millis: 0,
            weather: Weather::Fine,
            published: vec![("k1".into(), 1)],
            fetch_delay: 20,
            sign_delay: 0,
            signer_works: true,
            fetched: Vec::new(),
            answers: BTreeMap::new(),
            expected: 0,
            queue: VecDeque::new(),
            signer,
            next_id: 1,
        }
    }

    /// Queues a POST of `token` at `at` milliseconds and gives the request's number.
    pub(crate) fn ask(&mut self, at: u64, token: &str) -> u64 {
        let body = format!(r#"{{"id_token":"{token}"}}"#);
        self.send(at, Method::Post, "/exchange", body.into_bytes())
    }

    pub(crate) fn send(&mut self, at: u64, method: Method, path: &str, body: Vec<u8>) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.expected += 1;
        let mut entropy = [0; exchange_core::server::ENTROPY_BYTES];
        for (n, byte) in entropy.iter_mut().enumerate() {
            *byte = (id as u8).wrapping_mul(31).wrapping_add(n as u8);
        }
        let head = RequestHead {
            method,
            target: path.into(),
            version: Version::Http11,
            headers: Headers::default(),
        };
        let call = Call {
            id: RequestId(id),
            peer: SocketAddr::from(([192, 0, 2, (id % 250) as u8], 50_000)),
            tls: true,
            door: Door::Main,
            connections: Connections::default(),
            head,
            body: Ok(body.into()),
            entropy: Entropy::new(entropy),
        };
        self.queue_at(at, Input::Request(Box::new(call)));
        id
    }

    pub(crate) fn queue_at(&mut self, at: u64, input: Input) {
        let place = self.queue.iter().position(|(due, _)| *due > at).unwrap_or(self.queue.len());
        self.queue.insert(place, (at, input));
    }

    /// Runs `server` until every request is answered.
    pub(crate) fn run(&mut self, server: &mut Server) {
        exchange_core::machine::run(server, self);
    }

    fn reply(&self, request: &FetchRequest) -> Result<FetchReply, FetchError> {
        let body = match self.weather {
            Weather::Refused => return Err(FetchError::Connect),
            Weather::Silent => return Err(FetchError::Timeout),
            Weather::Html => "<html>down for maintenance</html>".into(),
            Weather::Fine | Weather::WrongIssuer
                if request.url.target().contains(".well-known") =>
            {
                let issuer =
                    if self.weather == Weather::Fine { ISSUER } else { "https://evil.test" };
                format!(r#"{{"issuer":"{issuer}","jwks_uri":"{ISSUER}/keys"}}"#)
            }
            Weather::Fine | Weather::WrongIssuer => {
                let keys: Vec<String> = self
                    .published
                    .iter()
                    .map(|(kid, number)| {
                        let x = B64.encode(provider_key(*number).public_key());
                        format!(r#"{{"kty":"OKP","crv":"Ed25519","kid":"{kid}","x":"{x}"}}"#)
                    })
                    .collect();
                format!(r#"{{"keys":[{}]}}"#, keys.join(","))
            }
        };
        let mut headers = Headers::default();
        headers.push("content-type", b"application/json");
        Ok(FetchReply { status: 200, headers, body: body.into_bytes().into() })
    }

    fn sign(&self, effect: EffectId, tbs: &[u8]) -> Input {
        let signed = self.signer.sign(&SystemRandom::new(), tbs).map_err(|_| SignError);
        Input::Signed { effect, result: if self.signer_works { signed } else { Err(SignError) } }
    }
}

impl Surroundings<Server> for World {
    fn now(&mut self) -> Now {
        Now {
            mono: Mono::from_millis(self.millis),
            wall: UnixTime::from_secs(EPOCH + self.millis / 1000),
        }
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Fetch { effect, request } => {
                self.fetched.push(request.url.target().to_owned());
                let result = self.reply(&request);
                self.queue_at(self.millis + self.fetch_delay, Input::Fetched { effect, result });
            }
            Output::Sign { effect, tbs, .. } => {
                let signed = self.sign(effect, &tbs);
                self.queue_at(self.millis + self.sign_delay, signed);
            }
            Output::Respond { id, audit, response } => {
                let answer = Answer {
                    status: response.status,
                    retry_after: response.header("retry-after").map(str::to_owned),
                    body: response.body.to_vec(),
                    audit,
                };
                let before = self.answers.insert(id.0, answer);
                assert!(before.is_none(), "request {} was answered twice", id.0);
            }
            Output::SaveKeys(_) | Output::Note(_) => {}
        }
    }

    fn wait(&mut self, until: Option<Mono>) -> Option<Input> {
        let due = self.queue.front().map(|(at, _)| *at);
        match (due, until.map(Mono::millis)) {
            (Some(at), Some(until)) if until < at => {
                self.millis = self.millis.max(until);
                None
            }
            (Some(at), _) => {
                self.millis = self.millis.max(at);
                self.queue.pop_front().map(|(_, input)| input)
            }
            (None, Some(until)) => {
                // A timer that is due again and again without an effect would never end.
                self.millis = self.millis.max(until).max(self.millis + 1);
                None
            }
            (None, None) => panic!("{} requests are never answered", self.open()),
        }
    }

    fn finished(&self) -> bool {
        self.open() == 0
    }
}

impl World {
    fn open(&self) -> usize {
        self.expected - self.answers.len()
    }
}

/// A server at the beginning of the world's time.
pub(crate) fn server(setup: Setup) -> Server {
    let now = Now { mono: Mono::from_millis(0), wall: UnixTime::from_secs(EPOCH) };
    Server::new(setup, now).unwrap()
}

/// Compares two machines' outputs when one is drained after each input and one at the end.
pub(crate) fn drain(server: &mut Server) -> Vec<String> {
    std::iter::from_fn(|| server.poll_output()).map(|output| format!("{output:?}")).collect()
}
