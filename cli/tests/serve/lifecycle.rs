//! Start, reload, end; alone and under a service manager.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ring::signature::{ED25519, UnparsedPublicKey};
use serde_json::json;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::client::Conn;
use crate::exchange::pem;
use crate::provider::{Mode, Provider};
use crate::world::{Config, PATIENCE, Server, vector};

/// Section 1: who does not finish is waited for ten seconds and no longer.
#[test]
fn s1_the_drain_ends_after_ten_seconds() {
    let provider = Provider::start();
    let server = Config::new(&provider).start().ready();
    let mut half = server.open();
    half.send(b"POST /exchange HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n{");
    // A request behind it shows that those bytes have been read.
    assert_eq!(server.get("/healthz").status, 200);
    let started = Instant::now();
    server.signal("TERM");
    let (status, _folder) = server.wait();
    assert_eq!(status.code(), Some(0));
    assert!(started.elapsed() < Duration::from_secs(25), "{:?}", started.elapsed());
}

/// An exchange that the server has read and has not answered.
fn under_way(server: &Server, body: &[u8]) -> Conn {
    let mut conn = server.open();
    let head =
        format!("POST /exchange HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.len());
    conn.send(&[head.as_bytes(), body].concat());
    // Requests that come later and are answered show that it has been read.
    for _ in 0..2 {
        assert_eq!(server.get("/healthz").status, 200);
    }
    conn
}

/// Section 1: requests under way are finished, new ones not taken, exit status 0.
#[test]
fn s1_sigterm_finishes_what_is_under_way_and_exits_0() {
    let provider = Provider::start();
    for signal in ["TERM", "INT"] {
        provider.all(Mode::Slow(Duration::from_millis(800)));
        let server = Config::new(&provider).start();
        let address = server.address;
        let mut waiting = under_way(&server, &provider.body("alice", json!({})));
        // An idle one does not hold the end up.
        let mut idle = server.open();
        assert_eq!(idle.request("GET", "/healthz", &[], b"").status, 200);
        server.signal(signal);
        server.log.wait("stopping");
        let refused = || TcpStream::connect(address).is_err();
        server.settle("a closed door", refused);
        assert_eq!(waiting.reply(false).unwrap().status, 200);
        // The connection that would have stayed open is closed.
        assert!(waiting.reply(false).is_none());
        let started = Instant::now();
        let (status, config) = server.wait();
        assert_eq!(status.code(), Some(0));
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        // The log ends with a checkpoint over all of it.
        let text = fs::read_to_string(config.audit_log()).unwrap();
        assert!(text.lines().last().unwrap().contains("\"type\":\"checkpoint\""), "{text}");
        provider.all(Mode::Well);
    }
}

/// SIGHUP takes a new state over as a whole; a bad one changes nothing.
#[test]
fn s1_sighup_takes_over_the_whole_or_nothing() {
    let provider = Provider::start();
    let mut server = Config::new(&provider).start().ready();
    let ttl = |server: &Server| {
        server.post(&provider.body("alice", json!({}))).json()["ttl_seconds"].as_u64()
    };
    assert_eq!(ttl(&server), Some(300));
    server.config.put("cert_ttl", "10m");
    server.config.put("roles", "[os:operator]");
    server.config.put("ip_allowlist", "[127.0.0.0/8]");
    server.config.save();
    server.signal("HUP");
    server.log.wait("configuration reloaded: SIGHUP");
    let reply = server.post(&provider.body("alice", json!({})));
    assert_eq!(
        (&reply.json()["ttl_seconds"], &reply.json()["roles"]),
        (&json!(600), &json!(["os:operator"]))
    );
    // Several kinds of bad, each with a good change beside it that must not come through.
    let refusals = "the new configuration is refused and the old one goes on";
    let bad = [("cert_ttl", "soon"), ("ca_key", "/nowhere"), ("issuer_url", "[not yaml")];
    for (n, (key, value)) in (1..).zip(bad) {
        let good = server.config.text();
        server.config.folder.write(
            "config.yaml",
            format!("{good}cert_ttl_note: x\n").replace(
                good.lines().find(|line| line.starts_with(key)).unwrap(),
                &format!("{key}: {value}\nnodes: [10.9.9.9]"),
            ),
        );
        server.signal("HUP");
        server.log.wait_nth(refusals, n);
        let reply = server.post(&provider.body("alice", json!({})));
        assert_eq!(reply.json()["ttl_seconds"], 600, "{key}");
        assert_eq!(reply.json().get("nodes"), None, "{key}");
    }
    // The key of another CA.
    let folder = &server.config.folder;
    folder.copy("ca/ed25519-next.key", "ca.key");
    server.config.save();
    server.signal("HUP");
    server.log.wait_nth(refusals, bad.len() + 1);
    assert_eq!(ttl(&server), Some(600));
    folder.copy("ca/ed25519.key", "ca.key");
    server.signal("HUP");
    server.log.wait_nth("configuration reloaded", 2);
    assert_eq!(ttl(&server), Some(600));
}

/// Files that change are noticed without a signal.
#[test]
fn s1_changed_files_are_noticed() {
    let provider = Provider::start();
    let mut server = Config::new(&provider).start().ready();
    server.config.put("cert_ttl", "10m");
    server.config.save();
    server.log.wait("configuration reloaded: changed files");
    assert_eq!(server.post(&provider.body("alice", json!({}))).json()["ttl_seconds"], 600);
}

/// The CA is exchanged every 100 ms while clients work: no request fails, and each certificate is
/// of the CA that its answer names. `RELOAD_SECS` makes it longer.
#[test]
fn s1_reload_under_load_fails_no_request() {
    let secs = std::env::var("RELOAD_SECS").map_or(4, |text| text.parse().unwrap());
    let provider = Provider::start();
    // Both halves in one file, exchanged by rename: there is no moment between them.
    let both = |name: &str| {
        use base64::Engine as _;
        let read = |end| {
            base64::prelude::BASE64_STANDARD
                .encode(fs::read(vector(&format!("ca/{name}.{end}"))).unwrap())
        };
        format!("certs:\n  os:\n    crt: {}\n    key: {}\n", read("crt"), read("key"))
    };
    let (one, two) = (both("ed25519"), both("ed25519-next"));
    let config = Config::new(&provider).unset("ca_cert").unset("ca_key");
    let path = config.folder.write("secrets.yaml", &one);
    let server = config.set("talos_config", path.to_str().unwrap()).start().ready();
    let body = Arc::new(provider.body("alice", json!({})));
    let (stop, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    // Clients that have got certificates of both.
    let of_both = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (stop, answers, of_both) =
                (Arc::clone(&stop), Arc::clone(&answers), Arc::clone(&of_both));
            let (body, address) = (Arc::clone(&body), server.address);
            thread::spawn(move || {
                let mut conn = Conn::open(address);
                let mut seen = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let reply = conn.request("POST", "/exchange", &[], &body);
                    assert_eq!(reply.status, 200, "{}", reply.text());
                    let answer = reply.json();
                    let (_, ca) = pem(answer["ca"].as_str().unwrap());
                    let (_, der) = pem(answer["cert"].as_str().unwrap());
                    let (_, cert) = X509Certificate::from_der(&der).unwrap();
                    let (_, authority) = X509Certificate::from_der(&ca).unwrap();
                    UnparsedPublicKey::new(
                        &ED25519,
                        &*authority.public_key().subject_public_key.data,
                    )
                    .verify(cert.tbs_certificate.as_ref(), &cert.signature_value.data)
                    .expect("the certificate is of the CA in the answer");
                    if !seen.contains(&ca) {
                        seen.push(ca);
                        of_both.fetch_add(usize::from(seen.len() == 2), Ordering::Relaxed);
                    }
                    answers.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let start = Instant::now();
    let mut reloads = 0_usize;
    while start.elapsed() < Duration::from_secs(secs) || of_both.load(Ordering::Relaxed) < 8 {
        assert!(
            start.elapsed() < Duration::from_secs(secs) + PATIENCE,
            "not every client saw both"
        );
        let text = if reloads.is_multiple_of(2) { &two } else { &one };
        let new = server.config.folder.write("secrets.new", text);
        fs::rename(new, &path).unwrap();
        server.signal("HUP");
        reloads += 1;
        thread::sleep(Duration::from_millis(100));
    }
    stop.store(true, Ordering::Relaxed);
    clients.into_iter().for_each(|client| client.join().unwrap());
    let answers = answers.load(Ordering::Relaxed);
    assert_eq!(server.audit().len(), 2 * answers);
    assert!(!server.log.has("ERROR"), "{:?}", server.log.all());
    eprintln!("{answers} answers over {reloads} reloads");
}

/// The manager hears when we serve, when we reload and when we end.
#[test]
fn s17_the_service_manager_is_told() {
    let provider = Provider::start();
    let config = Config::new(&provider);
    let path = config.folder.path("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let hear = || {
        let mut buffer = [0; 256];
        let count = manager.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..count].to_vec()).unwrap()
    };
    let server = config.env("NOTIFY_SOCKET", path.to_str().unwrap()).start();
    assert_eq!(hear(), "READY=1");
    assert_eq!(server.get("/healthz").status, 200);
    server.signal("HUP");
    assert!(hear().starts_with("RELOADING=1\nMONOTONIC_USEC="));
    assert_eq!(hear(), "READY=1");
    server.signal("TERM");
    assert_eq!(hear(), "STOPPING=1");
    assert_eq!(server.wait().0.code(), Some(0));
}

/// A socket that was there before us: connections made before the start are served.
#[test]
fn s17_a_given_socket_is_served() {
    let provider = Provider::start();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let mut early = Conn::open(address);
    early.send(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n");
    // `listen` would be refused, if it were used.
    let server = Config::new(&provider).set("listen", "192.0.2.1:1").start_on(socket).ready();
    assert_eq!(server.address, address);
    assert!(server.log.has("socket activation"));
    assert_eq!(early.reply(false).unwrap().text(), "ok");
    assert_eq!(server.post(&provider.body("alice", json!({}))).status, 200);
    server.stop();
    // Variables meant for another process are none.
    let config = Config::new(&provider).env("LISTEN_PID", "1").env("LISTEN_FDS", "3");
    assert_eq!(config.start().get("/healthz").status, 200);
}

/// What readiness tells besides yes and no.
#[test]
fn s2_readyz_has_the_figures() {
    let provider = Provider::start();
    let server = Config::new(&provider).start().ready();
    let body = server.get("/readyz").json();
    assert_eq!(body["ready"], true);
    assert_eq!(body["reasons"], json!([]));
    for name in ["provider_reachable", "audit_writable", "clock_sane"] {
        assert_eq!(body[name], true, "{body}");
    }
    assert!(body["ca_days_left"].as_u64().unwrap() > 20_000, "{body}");
    assert!(body["keys_age_seconds"].as_u64().unwrap() < 60, "{body}");
}

/// A self-made certificate takes new names over without a restart, and goes on when TLS is said
/// to be switched.
#[test]
fn s61_new_names_come_with_a_reload() {
    let provider = Provider::start();
    let config = Config::new(&provider).unset("insecure");
    let data = config.folder.path("data").display().to_string();
    let config = config.set("data_dir", &data).set("listen", "'0.0.0.0:0'");
    let mut server = config.start().ready();
    let ca = fs::read(server.config.folder.path("data/ca.crt")).unwrap();
    let unknown = crate::tls::get(server.address, "127.0.0.3", &ca, "/healthz");
    assert_eq!(unknown.err().map(|error| error.code()), Some("fetch.wrong_name"));
    server.config.put("tls_sans", "[127.0.0.3]");
    server.config.save();
    server.signal("HUP");
    server.log.wait("configuration reloaded");
    assert!(crate::tls::get(server.address, "127.0.0.3", &ca, "/healthz").is_ok());
    server.config.put("insecure", "true");
    server.config.save();
    server.signal("HUP");
    server.log.wait("restart to change it");
    server.log.wait_nth("configuration reloaded", 2);
    let offered = crate::tls::get(server.address, "127.0.0.3", &ca, "/ca").unwrap();
    assert_eq!((offered.status, &*offered.body), (200, &ca));
}

/// As many may wait as there are connections, of which a restart alone changes the number.
#[test]
fn s1_a_reload_leaves_room_for_those_who_wait() {
    let provider = Provider::start();
    provider.all(Mode::Slow(Duration::from_secs(3)));
    let mut server = Config::new(&provider).set("max_connections", "8").start();
    server.config.put("max_connections", "1");
    server.config.save();
    server.signal("HUP");
    server.log.wait("max_connections has changed: restart to make it count");
    server.log.wait("configuration reloaded");
    let waiting: Vec<_> = (0..5)
        .map(|_| {
            let (address, body) = (server.address, provider.body("alice", json!({})));
            thread::spawn(move || Conn::open(address).request("POST", "/exchange", &[], &body))
        })
        .collect();
    for waiting in waiting {
        let reply = waiting.join().unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    // It is not in force, so it is said each time; what is in force is no change.
    let warning = "max_connections has changed";
    let told = |server: &crate::world::Server| {
        server.log.all().iter().filter(|line| line.contains(warning)).count()
    };
    let before = told(&server);
    server.signal("HUP");
    server.settle("said again", || told(&server) > before);
    let before = told(&server);
    server.config.put("max_connections", "8");
    server.config.put("cert_ttl", "9m");
    server.config.save();
    server.signal("HUP");
    let ttl = || server.post(&provider.body("a", json!({}))).json()["ttl_seconds"] == 540;
    server.settle("the new state", ttl);
    assert_eq!(told(&server), before);
}

/// Who waits for the keys of one provider is not judged by another.
#[test]
fn s1_a_new_provider_sends_those_who_wait_away() {
    let (old, new) = (Provider::start(), Provider::start());
    old.all(Mode::Slow(Duration::from_secs(8)));
    let mut server = Config::new(&old).start();
    let mut waiting = under_way(&server, &old.body("alice", json!({})));
    server.config.put("issuer_url", &new.issuer());
    server.config.save();
    server.signal("HUP");
    let reply = waiting.reply(false).unwrap();
    assert_eq!((reply.status, &*reply.code()), (503, "keys.unavailable"));
    let server = server.ready();
    assert_eq!(server.post(&new.body("alice", json!({}))).status, 200);
    assert_eq!(server.post(&old.body("alice", json!({}))).status, 401);
}
