//! A provider that is away, slow, changing or hostile.

use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::Conn;
use crate::provider::{Mode, Provider};
use crate::token::{self, Key};
use crate::world::{Config, Server};

fn reasons(server: &Server) -> (u16, Vec<String>) {
    let reply = server.get("/readyz");
    let body = reply.json();
    assert_eq!(body["ready"], reply.status == 200, "{body}");
    let reasons = body["reasons"].as_array().unwrap();
    (reply.status, reasons.iter().map(|reason| reason.as_str().unwrap().to_owned()).collect())
}

/// D10: an outage is the server's trouble and passes; the login of the user is as good as before.
#[test]
fn d10_provider_outage_is_503_not_401() {
    // A port where nobody listens, of an address where no other test may take it meanwhile.
    let listener = TcpListener::bind("127.0.0.7:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let issuer = format!("http://{address}");
    let server = Config::with_issuer(&issuer).start();
    let claims = token::claims(&issuer, "alice", json!({}));
    let body = json!({"id_token": Key::ed25519("k1", 7).sign(&claims)}).to_string();
    for _ in 0..3 {
        let reply = server.post(body.as_bytes());
        assert_eq!((reply.status, &*reply.error()), (503, "identity provider unavailable"));
        assert_eq!(reply.code(), "keys.unavailable");
        let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=30).contains(&wait), "{wait}");
        let event = server.last_event();
        assert_eq!(event["type"], "provider_unavailable");
    }
    assert!(server.audit().iter().all(|line| !line.contains("auth_failure")));
    // It stays up, says so, and answers what needs no keys.
    assert_eq!(server.get("/healthz").status, 200);
    let (status, why) = reasons(&server);
    assert_eq!((status, why.len()), (503, 1), "{why:?}");
    // What is wrong with the token itself needs no provider.
    let expired = json!({"exp": token::now() - 1000});
    let expired = Key::ed25519("k1", 7).sign(&token::claims(&issuer, "a", expired));
    assert_eq!(server.post(json!({ "id_token": expired }).to_string().as_bytes()).status, 401);
    // The provider comes back: so do we, without a restart.
    let provider = Provider::at(TcpListener::bind(address).unwrap());
    server.settle("service again", || server.post(body.as_bytes()).status == 200);
    assert_eq!(reasons(&server), (200, vec![]));
    assert!(provider.discoveries() >= 1);
}

/// D9: documents are fetched once, not for each request, and a flood of unknown keys makes at
/// most one fetch in an interval.
#[test]
fn d9_keys_are_cached_and_unknown_kids_are_paced() {
    let provider = Provider::start();
    let server = Config::new(&provider).start().ready();
    let mut conn = server.open();
    let claims = token::claims(&provider.issuer(), "mallory", json!({}));
    let (stranger, started) = (Key::ed25519("x", 9), Instant::now());
    for n in 0..300 {
        let header = json!({"alg": "EdDSA", "kid": format!("made-up-{n}")});
        let forged = stranger.sign_with_header(&header, &claims);
        let body = json!({ "id_token": forged }).to_string();
        assert_eq!(conn.request("POST", "/exchange", &[], body.as_bytes()).status, 401);
    }
    for _ in 0..50 {
        let body = provider.body("alice", json!({}));
        assert_eq!(conn.request("POST", "/exchange", &[], &body).status, 200);
    }
    assert_eq!(provider.discoveries(), 1);
    // One for the first keys, one for the first unknown key, and one for each further interval.
    let intervals = usize::try_from(started.elapsed().as_secs() / 30).unwrap();
    assert!(provider.key_fetches() <= 2 + intervals, "{}", provider.key_fetches());
}

/// D9 as well: whoever comes before the first keys waits for one fetch, not for his own.
#[test]
fn d9_simultaneous_first_requests_share_one_fetch() {
    let provider = Provider::start();
    provider.all(Mode::Slow(Duration::from_millis(1500)));
    let server = Config::new(&provider).start();
    let body = provider.body("alice", json!({}));
    let head =
        format!("POST /exchange HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.len());
    let request = [head.as_bytes(), &body].concat();
    let mut conns: Vec<Conn> = (0..1000).map(|_| server.open()).collect();
    conns.iter_mut().for_each(|conn| conn.send(&request));
    for conn in &mut conns {
        assert_eq!(conn.reply(false).unwrap().status, 200);
    }
    assert_eq!((provider.discoveries(), provider.key_fetches()), (1, 1));
    assert_eq!(server.audit().len(), 2000);
}

/// A new signing key is found by the first token that names it, without a restart.
#[test]
fn d9_a_rotated_key_is_found_without_a_restart() {
    let provider = Provider::start();
    let server = Config::new(&provider).start().ready();
    assert_eq!(server.post(&provider.body("alice", json!({}))).status, 200);
    let old = provider.body("alice", json!({}));
    provider.state().keys.insert(0, Key::ed25519("k2", 8));
    let new = provider.body("alice", json!({}));
    assert_eq!(server.post(&old).status, 200);
    server.settle("the new key", || server.post(&new).status == 200);
    assert_eq!(provider.key_fetches(), 2);
    // Both verify while both are published.
    assert_eq!(server.post(&old).status, 200);
}

/// Last-good keys outlive a restart while the provider is away, in a file nobody else can write.
#[test]
fn d10_keys_survive_a_restart_in_data_dir() {
    let provider = Provider::start();
    let config = Config::new(&provider);
    let dir = config.folder.path("data").display().to_string();
    let server = config.set("data_dir", &dir).start().ready();
    let file = server.config.folder.path("data/provider-keys");
    server.settle("the saved keys", || file.exists());
    assert_eq!(crate::world::mode(&file), 0o600);
    let config = server.stop();
    provider.all(Mode::Away);
    let server = config.start();
    assert_eq!(server.post(&provider.body("alice", json!({}))).status, 200);
    let ready = server.get("/readyz");
    assert_eq!(ready.status, 200, "{}", ready.text());
    // They have a maximum age, whoever's clock they are dated by.
    let mut config = server.stop();
    let saved = std::fs::read_to_string(config.folder.path("data/provider-keys")).unwrap();
    let at: u64 = saved.lines().nth(2).unwrap().parse().unwrap();
    for other in [at - 25 * 3600, at + 25 * 3600] {
        let dated = saved.replacen(&at.to_string(), &other.to_string(), 1);
        config.folder.write("data/provider-keys", dated);
        let server = config.start();
        server.log.wait("too old, or dated in the future");
        assert_eq!(server.post(&provider.body("alice", json!({}))).status, 503, "{other}");
        config = server.stop();
    }
    config.folder.write("data/provider-keys", &saved);
    // Keys of another provider are not believed because they lie there.
    let other = Provider::start();
    other.all(Mode::Away);
    config.put("issuer_url", &other.issuer());
    let server = config.start();
    assert_eq!(server.post(&other.body("alice", json!({}))).status, 503);
    // A damaged file is said to be so, and costs nothing else.
    let config = server.stop();
    config.folder.write("data/provider-keys", "{\"damaged");
    let server = config.start();
    server.log.wait("saved keys are not used");
    assert_eq!(server.get("/healthz").status, 200);
}

/// Documents that must not be believed; each leaves the server up, not ready, and saying why.
#[test]
fn d10_hostile_documents_are_refused() {
    let elsewhere = Provider::start();
    let redirect =
        Mode::Redirect(format!("{}/.well-known/openid-configuration", elsewhere.issuer()));
    let json = "application/json";
    let deep = [b"{\"keys\":".as_slice(), &b"[".repeat(100_000)].concat();
    let own_issuer =
        |provider: &Provider| provider.state().issuer = Some("https://evil.example".into());
    type Change = Box<dyn Fn(&Provider)>;
    let discovery =
        |mode: Mode| -> Change { Box::new(move |p| p.state().discovery = mode.clone()) };
    let keys = |mode: Mode| -> Change { Box::new(move |p| p.state().jwks = mode.clone()) };
    let cases: Vec<(&str, Change, &str)> = vec![
        ("another issuer", Box::new(own_issuer), "discovery."),
        ("a redirect", discovery(redirect.clone()), "discovery.status"),
        ("50 MB of metadata", discovery(Mode::Endless(50 << 20)), "fetch."),
        (
            "an HTML page",
            discovery(Mode::Body("text/html", b"<html>login</html>".to_vec())),
            "discovery.",
        ),
        ("a 500", discovery(Mode::Status(500)), "discovery.status"),
        ("no answer", discovery(Mode::Away), "fetch."),
        ("keys: a redirect", keys(redirect), "jwks.status"),
        ("keys: 50 MB", keys(Mode::Endless(50 << 20)), "fetch."),
        ("keys: HTML", keys(Mode::Body("text/html", b"<html>".to_vec())), "jwks."),
        ("keys: an array", keys(Mode::Body(json, b"[]".to_vec())), "jwks."),
        ("keys: none", keys(Mode::Body(json, b"{\"keys\":[]}".to_vec())), "jwks."),
        ("keys: 100,000 brackets", keys(Mode::Body(json, deep)), "jwks."),
        (
            "keys: a secret",
            keys(Mode::Body(
                json,
                br#"{"keys":[{"kty":"oct","k":"c2VjcmV0","alg":"HS256","kid":"k1"}]}"#.to_vec(),
            )),
            "jwks.",
        ),
    ];
    let checks: Vec<_> = cases
        .into_iter()
        .map(|(name, change, code)| {
            let provider = Provider::start();
            change(&provider);
            let server = Config::new(&provider).start();
            (name, provider, server, code)
        })
        .collect();
    for (name, provider, server, code) in checks {
        let note = server.log.wait("identity provider: ");
        assert!(note.contains(&format!("[{code}")), "{name}: {note}");
        let (status, why) = reasons(&server);
        assert_eq!(status, 503, "{name}");
        assert!(why.iter().any(|why| why.starts_with(code)), "{name}: {why:?}");
        assert_eq!(server.post(&provider.body("alice", json!({}))).status, 503, "{name}");
        assert!(server.resident_kb() < 40_000, "{name}: {} kB", server.resident_kb());
    }
    assert_eq!(
        (elsewhere.discoveries(), elsewhere.key_fetches()),
        (0, 0),
        "a redirect was followed"
    );
}

/// Keys once seen stay in use while the provider fails or lies.
#[test]
fn d10_good_keys_are_not_lost_to_a_bad_answer() {
    let provider = Provider::start();
    let server = Config::new(&provider).start().ready();
    provider.all(Mode::Body("text/html", b"<html>".to_vec()));
    // An unknown key makes it ask again, and get that.
    let claims = token::claims(&provider.issuer(), "a", json!({}));
    let forged = json!({"id_token": Key::ed25519("k9", 9).sign(&claims)}).to_string();
    server.settle("another fetch", || {
        server.post(forged.as_bytes());
        provider.key_fetches() > 1
    });
    server.log.wait("[jwks.");
    assert_eq!(server.post(&provider.body("alice", json!({}))).status, 200);
    // The token with the unknown key may be good: nobody can tell now.
    let reply = server.post(forged.as_bytes());
    assert_eq!(reply.status, 503, "{}", reply.text());
}

/// D29: the proxy of the environment is used for the provider, except where it is not to be.
#[test]
fn d29_the_proxy_of_the_environment_is_honoured() {
    let proxy = Provider::start();
    let address = proxy.issuer();
    // The proxy is a provider under the issuer's name: what it answers is what the server sees.
    let issuer = "http://idp.example.invalid";
    proxy.state().issuer = Some(issuer.into());
    let server = Config::with_issuer(issuer)
        .env("HTTP_PROXY", &address)
        .env("http_proxy", &address)
        .start()
        .ready();
    assert_eq!(proxy.discoveries(), 1);
    let head = proxy.seen.lock().unwrap().clone();
    assert!(
        head.starts_with(
            "GET http://idp.example.invalid/.well-known/openid-configuration HTTP/1.1\r\n"
        ),
        "{head}"
    );
    let claims = token::claims(issuer, "alice", json!({}));
    let token = proxy.state().keys[0].sign(&claims);
    assert_eq!(server.post(json!({ "id_token": token }).to_string().as_bytes()).status, 200);
    drop(server);
    let provider = Provider::start();
    let direct = Config::new(&provider)
        .env("http_proxy", "http://127.0.0.1:1")
        .env("NO_PROXY", "localhost,127.0.0.1");
    drop(direct.start().ready());
}

/// A provider that answers slowly delays nobody who does not need it.
#[test]
fn d10_a_slow_provider_does_not_block_the_server() {
    let provider = Provider::start();
    provider.state().discovery = Mode::Slow(Duration::from_secs(6));
    let server = Config::new(&provider).start();
    let body = provider.body("alice", json!({}));
    let address = server.address;
    let waiting =
        thread::spawn(move || Conn::open(address).request("POST", "/exchange", &[], &body).status);
    // None of these is answered behind what the provider is asked for.
    for _ in 0..20 {
        assert_eq!(server.get("/healthz").status, 200);
    }
    let (status, why) = reasons(&server);
    assert_eq!((status, why), (503, vec!["keys.unavailable".to_owned()]));
    assert_eq!(waiting.join().unwrap(), 200);
    let value: Value = server.get("/readyz").json();
    assert!(value["keys_age_seconds"].is_u64() && value["ca_days_left"].is_u64(), "{value}");
}
