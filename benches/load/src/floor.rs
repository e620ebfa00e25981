//! What cannot be done without: the bare cryptography of one login, and of one TLS handshake.

use std::hint::black_box;
use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as B64;
use futures_rustls::pki_types::pem::PemObject as _;
use futures_rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use futures_rustls::rustls::client::ClientConfig;
use futures_rustls::rustls::crypto::ring::default_provider;
use futures_rustls::rustls::{ClientConnection, ServerConfig, ServerConnection};
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{Ed25519KeyPair, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;

use crate::table::FloorNanos;
use crate::{client, machine};

/// Time of a core that this thread has had: what others do meanwhile does not count.
fn core_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}

/// The floor, ready to be measured.
pub struct Floor {
    key: RsaPublicKeyComponents<Vec<u8>>,
    signed: Vec<u8>,
    signature: Vec<u8>,
    ca: Ed25519KeyPair,
    rng: SystemRandom,
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

impl Floor {
    /// Verifies the token of this body, and shakes hands with the certificate in `chain`.
    pub fn new(body: &[u8], chain: &[u8], key: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).expect("a body is JSON");
        let token = body["id_token"].as_str().expect("a token");
        let (signed, signature) = token.rsplit_once('.').expect("three parts");
        let jwk: Value =
            serde_json::from_str(include_str!("../../../vectors/keys/private/rsa.json"))
                .expect("a key is JSON");
        let part = |name: &str| B64.decode(jwk[name].as_str().expect("a text")).expect("base64url");
        let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<Vec<_>, _>>();
        let key = PrivateKeyDer::from_pem_slice(key).expect("a key");
        let mut server = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has both")
            .with_no_client_auth()
            .with_single_cert(chain.expect("certificates"), key)
            .expect("they fit");
        server.send_tls13_tickets = 0;
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self {
            key: RsaPublicKeyComponents { n: part("n"), e: part("e") },
            signed: signed.as_bytes().to_vec(),
            signature: B64.decode(signature).expect("base64url"),
            ca: Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a key"),
            rng: SystemRandom::new(),
            server: Arc::new(server),
            client: client::tls_config(),
        }
    }

    /// Nanoseconds of one login and of one handshake, while the core of the load does the same:
    /// cores that share a unit are slower when both have work, as they are under load.
    pub fn in_company(&self, time: Duration) -> FloorNanos {
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                machine::pin(machine::load_core());
                while !done.load(Ordering::Relaxed) {
                    self.login();
                    self.handshake();
                }
            });
            let floor = self.alone(time);
            done.store(true, Ordering::Relaxed);
            floor
        })
    }

    /// The same while the core of the load rests.
    pub fn alone(&self, time: Duration) -> FloorNanos {
        FloorNanos { login: self.login_nanos(time), handshake: self.handshake_nanos(time) }
    }

    /// Nanoseconds of one login: token verified, key of the client made, certificate signed.
    fn login_nanos(&self, time: Duration) -> f64 {
        let until = Instant::now() + time;
        let (started, mut count) = (core_time(), 0_u32);
        while Instant::now() < until {
            self.login();
            count += 1;
        }
        (core_time() - started).as_secs_f64() * 1e9 / f64::from(count.max(1))
    }

    fn login(&self) {
        let mut seed = [0; 32];
        self.rng.fill(&mut seed).expect("randomness");
        self.key
            .verify(&RSA_PKCS1_2048_8192_SHA256, black_box(&self.signed), &self.signature)
            .expect("valid");
        black_box(Ed25519KeyPair::from_seed_unchecked(&seed).expect("a key"));
        black_box(self.ca.sign(black_box(&[0x30; 330])));
    }

    /// Nanoseconds that the server's half of one TLS handshake takes in memory.
    fn handshake_nanos(&self, time: Duration) -> f64 {
        let until = Instant::now() + time;
        let (mut spent, mut count) = (Duration::ZERO, 0_u32);
        while Instant::now() < until {
            spent += self.handshake();
            count += 1;
        }
        spent.as_secs_f64() * 1e9 / f64::from(count.max(1))
    }

    fn handshake(&self) -> Duration {
        let name = ServerName::try_from("localhost").expect("a name");
        let mut client = ClientConnection::new(Arc::clone(&self.client), name).expect("a client");
        let (mut wire, mut spent) = (Vec::new(), Duration::ZERO);
        let started = core_time();
        let mut server = ServerConnection::new(Arc::clone(&self.server)).expect("a server");
        spent += core_time() - started;
        loop {
            wire.clear();
            while client.wants_write() {
                client.write_tls(&mut wire).expect("memory takes it");
            }
            let started = core_time();
            let mut bytes = wire.as_slice();
            while !bytes.is_empty() {
                server.read_tls(&mut bytes).expect("memory gives it");
                server.process_new_packets().expect("a good client");
            }
            let mut answer = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut answer).expect("memory takes it");
            }
            spent += core_time() - started;
            if !server.is_handshaking() && answer.is_empty() {
                return spent;
            }
            let mut bytes = answer.as_slice();
            while !bytes.is_empty() {
                client.read_tls(&mut bytes).expect("memory gives it");
                client.process_new_packets().expect("a good server");
            }
            let _ = client.reader().read(&mut [0; 1]);
            if !server.is_handshaking() && !client.wants_write() {
                return spent;
            }
        }
    }
}
