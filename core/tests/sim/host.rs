//! The host of the exchange server: machine, signer, audit log and saved keys on a disk.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::LazyLock;

use exchange_core::http::{Headers, Method, RequestHead, Version};
use exchange_core::jwt::Expectations;
use exchange_core::machine::{EffectId, Entropy, Now, RequestId, UnixTime};
use exchange_core::oidc::key_cache::KeyCacheConfig;
use exchange_core::pki::{CaCert, CaKey, SignerTrust};
use exchange_core::policy::rbac::{Fallback, RolePolicy, Rule, Switches};
use exchange_core::policy::{Allowlist, RateLimit, TrustedProxies};
use exchange_core::server::audit::AuditEvent;
use exchange_core::server::audit_chain::{Chain, CheckpointKey};
use exchange_core::server::audit_verify::{Verifier, resume};
use exchange_core::server::setup::ClientFacts;
use exchange_core::server::{Call, Connections, Door, Input, Server, Setup, SignError};
use exchange_core::types::Ttl;
use ring::rand::SystemRandom;
use serde_json::{Value, json};

use crate::model::{KEYS_SECS, Limit, Request};
use crate::provider::{AUDIENCE, ISSUER};
use crate::world::{BY_ADDRESS, BY_SUBJECT, EPOCH, Peer};

pub static CA: LazyLock<(CaCert, CaKey, String)> = LazyLock::new(|| {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../vectors/cert/ca/");
    let read = |name: &str| std::fs::read_to_string(format!("{folder}{name}")).unwrap();
    let pem = read("ed25519.crt");
    let ca = CaCert::parse(&pem, UnixTime::from_secs(EPOCH)).unwrap();
    let key = CaKey::load(&read("ed25519.key"), &ca, &SystemRandom::new()).unwrap();
    (ca, key, pem)
});

pub struct Disk {
    pub full: bool,
    pub log: Vec<String>,
    pub keys: Option<Vec<u8>>,
}

pub struct Host {
    pub server: Option<Server>,
    /// Counts starts: answers to an earlier run are lost.
    pub run: u64,
    pub narrow: bool,
    pub clock: i64,
    pub disk: Disk,
    pub open: BTreeMap<u64, (Peer, Request)>,
    pub signer_works: bool,
    chain: Chain,
    pub ttl: u64,
    by_address: Option<Limit>,
    by_subject: Option<Limit>,
}

impl Host {
    pub fn new(ttl: u64, by_address: Option<Limit>, by_subject: Option<Limit>) -> Self {
        Self {
            server: None,
            run: 0,
            narrow: false,
            clock: 0,
            disk: Disk { full: false, log: Vec::new(), keys: None },
            open: BTreeMap::new(),
            signer_works: true,
            chain: Chain::default(),
            ttl,
            by_address,
            by_subject,
        }
    }

    /// Starts the server on what is on the disk; what it is to be told first.
    pub fn start(&mut self, now: Now) -> Option<Input> {
        let lines: Vec<&[u8]> = self.disk.log.iter().map(|line| line.as_bytes()).collect();
        self.chain = resume(None, &lines).unwrap();
        self.server = Some(Server::new(self.setup(), now).unwrap());
        self.disk.keys.clone().map(Input::SavedKeys)
    }

    /// Puts this moment on the saved keys, whenever they were fetched.
    pub fn date_saved_keys(&mut self, wall: UnixTime) {
        let Some(keys) = &mut self.disk.keys else { return };
        let mut lines: Vec<Vec<u8>> = keys.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
        lines[2] = wall.secs().to_string().into_bytes();
        *keys = lines.join(&b'\n');
    }

    /// The machine is gone; who waited for it.
    pub fn stop(&mut self) -> Vec<Peer> {
        self.server = None;
        self.run += 1;
        std::mem::take(&mut self.open).into_values().map(|(peer, _)| peer).collect()
    }

    /// Group and role, as configured now.
    fn rules(&self) -> &'static [(&'static str, &'static str)] {
        if self.narrow {
            &[("admins", "os:reader")]
        } else {
            &[("admins", "os:admin"), ("readers", "os:reader")]
        }
    }

    /// The configuration in the words of a script.
    pub fn settings(&self) -> Value {
        json!({
            "generation": self.run,
            "keys_hard_limit_secs": KEYS_SECS,
            "rate_by_address": [BY_ADDRESS.0, BY_ADDRESS.1 / 1000],
            "rate_by_subject": [BY_SUBJECT.0, BY_SUBJECT.1 / 1000],
            "rules": self.rules(),
            "ttl_secs": self.ttl,
        })
    }

    pub fn setup(&self) -> Setup {
        let rule = |(group, role): &(&str, &str)| {
            Rule::new("groups".parse().unwrap(), group, [*role], false, None).unwrap()
        };
        let limit = |limit: Option<Limit>| {
            limit.map(|Limit(count, millis)| RateLimit::new(count as u32, millis).unwrap())
        };
        let rules = self.rules().iter().map(rule).collect();
        Setup {
            generation: self.run,
            expect: Expectations::new(ISSUER.parse().unwrap(), AUDIENCE.parse().unwrap()),
            keys: KeyCacheConfig { hard_limit_secs: KEYS_SECS as u32, ..KeyCacheConfig::default() },
            allowlist: Allowlist::off(),
            trusted_proxies: TrustedProxies::none(),
            rate_by_address: limit(self.by_address),
            rate_by_subject: limit(self.by_subject),
            roles: RolePolicy::new(rules, Fallback::Deny, Switches::default()).unwrap(),
            ttl: Ttl::from_secs(self.ttl).unwrap(),
            ca: CA.0.clone(),
            signer_trust: SignerTrust::InProcess,
            ca_for_clients: CA.2.clone().into(),
            waiting_max: 4096,
            require_csr: false,
            facts: ClientFacts { endpoints: vec!["10.0.0.1".into()], ..ClientFacts::default() },
            admin_token: None,
            served_ca: None,
            debug: false,
            version: "test",
        }
    }

    pub fn sign(&self, effect: EffectId, tbs: &[u8]) -> Input {
        let signed = CA.1.sign(&SystemRandom::new(), tbs).map_err(|_| SignError);
        Input::Signed { effect, result: if self.signer_works { signed } else { Err(SignError) } }
    }

    /// Writes the events of an answer, as a runtime must before the answer leaves.
    pub fn record(&mut self, events: &[AuditEvent], keep: bool) -> bool {
        if self.disk.full {
            return false;
        }
        for event in events {
            let (mut open, mut line) = (String::new(), String::new());
            event.write_open(&mut open);
            self.chain.seal(open, &mut line);
            if keep {
                self.disk.log.push(line.trim_end().to_owned());
            }
        }
        true
    }

    /// Ends the log with a checkpoint and reads it all.
    pub fn verify(&mut self, now: UnixTime) -> Result<(), String> {
        let key = CheckpointKey::from_seed("sim", &[7; 32]).unwrap();
        let mut line = String::new();
        self.chain.seal(self.chain.checkpoint(now, &key), &mut line);
        self.disk.log.push(line.trim_end().to_owned());
        let mut verifier = Verifier::new(Some(key.verifier().parse().unwrap()));
        for line in &self.disk.log {
            let read = verifier.line(line.as_bytes());
            read.map_err(|finding| format!("the audit chain is broken: {finding:?}"))?;
        }
        match verifier.finish().checkpoints_proven {
            1 => Ok(()),
            _ => Err("the audit chain is not proven".into()),
        }
    }
}

pub fn call(id: u64, address: u8, body: Vec<u8>, entropy: Entropy<80>) -> Call {
    let mut headers = Headers::default();
    headers.push("host", b"oidc.example.com");
    let head = RequestHead {
        method: Method::Post,
        target: "/exchange".into(),
        version: Version::Http11,
        headers,
    };
    Call {
        id: RequestId(id),
        peer: SocketAddr::from(([192, 0, 2, address], 50_000)),
        tls: true,
        door: Door::Main,
        connections: Connections::default(),
        head,
        body: Ok(body.into()),
        entropy,
    }
}
