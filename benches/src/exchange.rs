//! The exchange as the server runs it: bytes of a request in, bytes of the answer out, through
//! codec, machine, CA key and audit chain. Everything but the socket and the disk.

use std::hint::black_box;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use exchange_core::http::{FetchReply, Headers, Limits, Request, ServerCodec, ServerEvent};
use exchange_core::machine::{Entropy, Machine as _, Mono, Now, RequestId};
use exchange_core::oidc::key_cache::KeyCacheConfig;
use exchange_core::pki::SignerTrust;
use exchange_core::policy::rbac::{Fallback, RolePolicy, Rule, Switches};
use exchange_core::policy::{Allowlist, RateLimit, TrustedProxies};
use exchange_core::server::audit_chain::Chain;
use exchange_core::server::setup::ClientFacts;
use exchange_core::server::{Call, Connections, Door, ENTROPY_BYTES, Input, Output, Server, Setup};
use exchange_core::types::Ttl;
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{self, Ed25519KeyPair, RsaPublicKeyComponents};
use serde_json::{Value, json};

use crate::fixed::{Ca, ISSUER, KEYS, NOW, ed25519_ca, expectations, token};
use crate::issue::random;
use crate::tokens::{number, parts};
use crate::{Aim, Bench, Run};

/// The request that a client sends.
pub fn request_bytes(token: &str) -> Vec<u8> {
    let body = json!({ "id_token": token }).to_string();
    let head = format!(
        "POST /exchange HTTP/1.1\r\nhost: exchange.example:8443\r\nuser-agent: talosctl-oidc\r\naccept: application/json\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.into_bytes(), body.into_bytes()].concat()
}

struct World {
    server: Server,
    ca: Ca,
    rng: SystemRandom,
    codec: ServerCodec,
    chain: Chain,
    log: String,
    out: Vec<u8>,
    asked: u64,
    /// How much was signed last.
    signed_bytes: usize,
}

impl World {
    fn new() -> Self {
        let server = Server::new(setup(&ed25519_ca()), Now::default()).expect("an issuer");
        let mut world = Self {
            server,
            ca: ed25519_ca(),
            rng: SystemRandom::new(),
            codec: ServerCodec::new(Limits::SERVER),
            chain: Chain::default(),
            log: String::new(),
            out: Vec::new(),
            asked: 0,
            signed_bytes: 0,
        };
        world.perform();
        world
    }

    /// A request every ten milliseconds: within the limits, and the keys are fetched anew as they
    /// would be.
    fn now(&self) -> Now {
        Now { mono: Mono::from_millis(1000 + self.asked * 10), wall: NOW }
    }

    /// One request; the bytes of the answer are in `out`.
    fn exchange(&mut self, bytes: &[u8]) {
        assert_eq!(self.codec.receive(bytes), bytes.len());
        let ServerEvent::Request(Request { head, body }) = self.codec.poll() else {
            panic!("one whole request")
        };
        self.asked += 1;
        let entropy: Entropy<ENTROPY_BYTES> = Entropy::new(random(&self.rng));
        let call = Call {
            id: RequestId(self.asked),
            peer: ([192, 0, 2, 1], 50_000).into(),
            tls: true,
            door: Door::Main,
            connections: Connections::default(),
            head,
            body,
            entropy,
        };
        self.server.handle(self.now(), Input::Request(Box::new(call)));
        self.perform();
    }

    /// Does what the machine wants done.
    fn perform(&mut self) {
        while let Some(output) = self.server.poll_output() {
            let input = match output {
                Output::Fetch { effect, request } => {
                    let text = match request.url.as_str().ends_with("/certs") {
                        true => KEYS.to_owned(),
                        false => json!({ "issuer": ISSUER, "jwks_uri": format!("{ISSUER}/certs") })
                            .to_string(),
                    };
                    let (headers, body) = (Headers::default(), text.into_bytes().into());
                    let result = Ok(FetchReply { status: 200, headers, body });
                    Input::Fetched { effect, result }
                }
                Output::Sign { effect, tbs, .. } => {
                    self.signed_bytes = tbs.len();
                    let signature = self.ca.key.sign(&self.rng, &tbs).expect("a signature");
                    Input::Signed { effect, result: Ok(signature) }
                }
                Output::Respond { audit, response, .. } => {
                    self.log.clear();
                    for event in &audit {
                        let mut line = String::new();
                        event.write_open(&mut line);
                        self.chain.seal(line, &mut self.log);
                    }
                    black_box(&self.log);
                    self.out.clear();
                    self.codec.respond(&response, &mut self.out);
                    Input::Recorded(audit)
                }
                Output::SaveKeys(_) | Output::Note(_) => continue,
            };
            self.server.handle(self.now(), input);
        }
    }
}

fn setup(ca: &Ca) -> Setup {
    let rules = ["platform-admins", "developers", "operators"].map(|group| {
        Rule::new("groups".parse().expect("a claim"), group, ["os:admin"], false, None)
            .expect("a rule")
    });
    let limit = Some(RateLimit::new(10_000, 60_000).expect("a limit"));
    Setup {
        expect: expectations(),
        keys: KeyCacheConfig::default(),
        allowlist: Allowlist::read(["192.0.2.0/24", "10.0.0.0/8"]).expect("networks"),
        trusted_proxies: TrustedProxies::none(),
        rate_by_address: limit,
        rate_by_subject: limit,
        roles: RolePolicy::new(rules.into(), Fallback::Deny, Switches::default()).expect("a table"),
        ttl: Ttl::DEFAULT,
        ca: exchange_core::pki::CaCert::parse(ca.pem, NOW).expect("a CA"),
        signer_trust: SignerTrust::InProcess,
        ca_for_clients: ca.pem.into(),
        waiting_max: 4096,
        require_csr: false,
        facts: ClientFacts { endpoints: vec!["10.0.0.1".into()], ..ClientFacts::default() },
        admin_token: None,
        served_ca: None,
        debug: false,
        generation: 0,
        version: "0",
    }
}

fn ours(token: &str, status: &'static str) -> Run {
    let (mut world, bytes) = (World::new(), request_bytes(token));
    Box::new(move || {
        world.exchange(black_box(&bytes));
        assert!(world.out.starts_with(status.as_bytes()), "{}", world.out.escape_ascii());
    })
}

/// What one exchange signs and hashes, in bytes.
struct Lengths {
    tbs: usize,
    digests: Vec<usize>,
}

impl Lengths {
    /// Those of a first exchange with this token; later ones have longer numbers in their lines.
    /// Hashed are the subject, for its limit; the certificate, for its fingerprint; two audit
    /// lines, each for the line behind it and as a leaf of the tree; and (on average) one inner
    /// node of the tree for each line.
    fn of(token: &str) -> Self {
        let mut world = World::new();
        world.exchange(&request_bytes(token));
        let body = world.out.windows(4).position(|end| end == b"\r\n\r\n").expect("a head") + 4;
        let answer: Value = serde_json::from_slice(&world.out[body..]).expect("JSON");
        let pem = answer["cert"].as_str().expect("a certificate");
        let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let certificate = STANDARD.decode(base64).expect("base64").len();
        let subject = {
            let line = world.log.lines().next().expect("a line");
            let line: Value = serde_json::from_str(line).expect("JSON");
            line["subject"].as_str().expect("a subject").len()
        };
        let mut digests = vec![subject, certificate];
        for line in world.log.lines() {
            digests.extend([line.len(), 1 + line.len(), 1 + 32 + 32]);
        }
        Self { tbs: world.signed_bytes, digests }
    }
}

/// More than anything that is hashed.
const TEXT: [u8; 4096] = [b'x'; 4096];

/// The bare calls: randomness, verification, key of the leaf, signature of the CA; and, with
/// `promises`, the digests of limit, fingerprint and audit chain.
fn floor(token: &str, promises: bool) -> Run {
    let Lengths { tbs, digests } = Lengths::of(token);
    let jwk = crate::fixed::jwk("rsa-1");
    let (signed, signature) = parts(token);
    let key = RsaPublicKeyComponents { n: number(&jwk, "n"), e: number(&jwk, "e") };
    let (rng, ca, tbs) = (SystemRandom::new(), ed25519_ca(), vec![0x30; tbs]);
    let digests = if promises { digests } else { vec![] };
    Box::new(move || {
        let entropy: [u8; ENTROPY_BYTES] = random(&rng);
        key.verify(&signature::RSA_PKCS1_2048_8192_SHA256, black_box(&signed), &signature)
            .expect("valid");
        black_box(Ed25519KeyPair::from_seed_unchecked(&entropy[..32]).expect("a key"));
        black_box(ca.key.sign(&rng, black_box(&tbs)).expect("a signature"));
        for length in &digests {
            black_box(digest(&SHA256, black_box(&TEXT[..*length])));
        }
    })
}

pub fn warm() -> Bench {
    let token = token!("rs256");
    let (ours, with_digests) = (ours(&token, "HTTP/1.1 200"), Some(floor(&token, true)));
    let peers = vec![("floor without digests", floor(&token, false))];
    Bench { name: "exchange_warm", ours, floor: with_digests, peers, aim: Some(Aim::OfFloor(1.10)) }
}

pub fn reject() -> Bench {
    let ours = ours(&token!("exp-long-ago"), "HTTP/1.1 401");
    Bench { name: "exchange_reject", ours, floor: None, peers: vec![], aim: None }
}
