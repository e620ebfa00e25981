//! Many clients at once: every answer expected, every answer on record, memory flat.
//!
//! `LOAD_CLIENTS` and `LOAD_SECS` make it longer. At full length, over TLS and against the released
//! program, it is part of `end-to-end --must-show` (benches/README.md).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::Conn;
use crate::provider::Provider;
use crate::token::{self, Key};
use crate::world::{Config, Server, events};

fn from_env(name: &str, otherwise: usize) -> usize {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

/// Answers counted by kind.
#[derive(Default)]
struct Tally {
    good: AtomicUsize,
    bad: AtomicUsize,
    unexpected: AtomicUsize,
}

impl Tally {
    fn get(&self) -> (usize, usize, usize) {
        let read = |count: &AtomicUsize| count.load(Ordering::SeqCst);
        (read(&self.good), read(&self.bad), read(&self.unexpected))
    }
}

struct Load {
    stop: Arc<AtomicBool>,
    tally: Arc<Tally>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    /// Clients that keep their connections and ask in turn with a good token, a forged one, an
    /// expired one, and something that is no request.
    fn start(server: &Server, provider: &Provider, clients: usize) -> Self {
        let issuer = provider.issuer();
        let forged = Key::ed25519("k1", 99).sign(&token::claims(&issuer, "eve", json!({})));
        let old = json!({"exp": token::now() - 1000});
        let wrap = |token: String| json!({ "id_token": token }).to_string().into_bytes();
        let bodies: Arc<Vec<(u16, Vec<u8>)>> = Arc::new(vec![
            (200, provider.body("alice", json!({"email": "alice@example.com"}))),
            (401, wrap(forged)),
            (200, provider.body("bob", json!({}))),
            (401, wrap(provider.token("carol", old))),
            (400, b"no request".to_vec()),
        ]);
        let (stop, tally) = (Arc::new(AtomicBool::new(false)), Arc::new(Tally::default()));
        let clients = (0..clients)
            .map(|n| {
                let (stop, tally, bodies, address) =
                    (Arc::clone(&stop), Arc::clone(&tally), Arc::clone(&bodies), server.address);
                let work = move || client(n, address, &bodies, &stop, &tally);
                thread::Builder::new().stack_size(128 * 1024).spawn(work).unwrap()
            })
            .collect();
        Self { stop, tally, clients }
    }

    fn end(self) -> (usize, usize, usize) {
        self.stop.store(true, Ordering::SeqCst);
        self.clients.into_iter().for_each(|client| client.join().unwrap());
        self.tally.get()
    }
}

fn client(
    n: usize,
    address: std::net::SocketAddr,
    bodies: &[(u16, Vec<u8>)],
    stop: &AtomicBool,
    tally: &Tally,
) {
    let mut conn = Conn::open(address);
    for turn in n.. {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let (status, body) = &bodies[turn % bodies.len()];
        // A server that is killed answers no more; that is no wrong answer.
        let Some(reply) = conn.try_request("POST", "/exchange", body) else { return };
        let count = match reply.status {
            200 if *status == 200 => &tally.good,
            other if other == *status => &tally.bad,
            _ => &tally.unexpected,
        };
        count.fetch_add(1, Ordering::SeqCst);
    }
}

/// Lines of certificates and of refusals.
fn counted(lines: &[String]) -> (usize, usize) {
    let of = |kind: &str| lines.iter().filter(|line| line.contains(kind)).count();
    (
        of("\"type\":\"cert_issued\""),
        of("\"type\":\"auth_failure\"") + of("\"type\":\"request_refused\""),
    )
}

/// Issue 3: 500 clients for 30 s; here fewer and shorter unless the environment says otherwise.
#[test]
fn s21_under_load_every_answer_is_expected_and_on_record() {
    let (clients, secs) = (from_env("LOAD_CLIENTS", 100), from_env("LOAD_SECS", 3));
    let _ = exchange_smol::listen::raise_open_files();
    let provider = Provider::start();
    let server = Config::new(&provider).set("cert_ttl", "2s").start().ready();
    let load = Load::start(&server, &provider, clients);
    let (third, started) = (Duration::from_millis(secs as u64 * 1000 / 3), Instant::now());
    thread::sleep(third);
    let early = server.resident_kb();
    thread::sleep(third * 2);
    server.settle("some answers of both kinds", || {
        let (good, bad, _) = load.tally.get();
        good > 100 && bad > 100
    });
    let late = server.resident_kb();
    let (good, bad, unexpected) = load.end();
    let rate = (good + bad) as u64 * 1000 / started.elapsed().as_millis() as u64;
    eprintln!(
        "{clients} clients: {good} certificates, {bad} refusals, {rate} answers a second, \
         {early} kB then {late} kB resident"
    );
    assert_eq!(unexpected, 0);
    assert_eq!(counted(&server.audit()), (good, bad));
    assert!(late < early + early / 4 + 2048, "{early} kB became {late} kB");
    assert!(late < 64 * 1024, "{late} kB");
    for (n, line) in (1..).zip(server.audit()) {
        let event: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(event["seq"], n);
    }
}

/// Killed in the middle of it all: what was answered is on record, and the chain goes on.
#[test]
fn d15_a_kill_under_load_loses_no_answered_line() {
    let _ = exchange_smol::listen::raise_open_files();
    let provider = Provider::start();
    let server = Config::new(&provider).start().ready();
    let load = Load::start(&server, &provider, from_env("LOAD_CLIENTS", 100));
    let tally = Arc::clone(&load.tally);
    server.settle("some answers", || tally.get().0 > 300);
    let config = server.kill();
    let (good, bad, unexpected) = load.end();
    assert_eq!(unexpected, 0);
    let (issued, refused) = counted(&events(&config.audit_log()));
    // On record, or not yet answered.
    assert!(issued >= good && refused >= bad, "{good} {bad}, on record {issued} {refused}");
    let server = config.start().ready();
    assert_eq!(server.post(&provider.body("alice", json!({}))).status, 200);
    let path = server.config.audit_log();
    let output = crate::world::program(&["audit", "verify", path.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
}
