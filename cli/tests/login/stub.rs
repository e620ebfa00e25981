//! A provider and an exchange server in one, without TLS, that remembers all it was told.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{fs, thread};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use exchange_core::http::form::{Form, encode_form};
use exchange_core::machine::{Entropy, UnixTime};
use exchange_core::pki::{CaCert, CaKey, Draft, LeafKey, SignerTrust};
use exchange_core::types::{HttpDate, Role, RoleSet, Ttl};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Value, json};

/// How the stub answers, and what it has seen.
pub struct State {
    /// Life of certificates in seconds.
    pub cert_secs: u64,
    /// Seconds from now to the end of ID tokens.
    pub token_secs: u64,
    /// Seconds from their issue to now, as if they had been kept.
    pub token_age: u64,
    /// Whether the provider's connections break without an answer.
    pub provider_is_down: bool,
    /// Seconds by which the `Date` of its answers is off; `None`: no `Date`.
    pub date_off: Option<i64>,
    /// Whether the provider refuses redirect URIs with a page.
    pub refuses_redirect: bool,
    /// When certificates were asked for.
    pub exchanged_at: Vec<Instant>,
    /// Whether it has a device flow, and after how many polls somebody has typed the code.
    pub device_polls: Option<u32>,
    /// What `/authorize` answers instead of a code.
    pub denies: Option<&'static str>,
    /// Whether the server tells which provider it uses.
    pub is_told: bool,
    /// What the next exchanges answer instead of a certificate.
    pub refusals: Vec<(u16, &'static str)>,
    /// The only refresh token that works, once.
    pub refresh: Option<String>,
    /// Pause within an answer to a refresh.
    pub refresh_pause: Duration,
    /// Paths that were asked for, with `grant_type` where there was one.
    pub seen: Vec<String>,
    /// Everything that must not be printed.
    pub secrets: Vec<String>,
    /// Nodes and endpoints of the answer.
    pub endpoints: Value,
    /// Answers to all requests for a path, instead of its own: status, header lines, body.
    pub instead: BTreeMap<&'static str, (u16, String, String)>,
    /// More members of the metadata, or other ones.
    pub metadata: serde_json::Map<String, Value>,
    nonces: BTreeMap<String, String>,
}

/// The running stub.
pub struct Stub {
    /// `http://127.0.0.1:port`
    pub url: String,
    state: Arc<Mutex<State>>,
}

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub fn random() -> String {
    let mut bytes = [0; 18];
    SystemRandom::new().fill(&mut bytes).unwrap();
    B64.encode(bytes)
}

impl Stub {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State {
            cert_secs: 300,
            token_secs: 300,
            token_age: 0,
            provider_is_down: false,
            date_off: Some(0),
            refuses_redirect: false,
            exchanged_at: Vec::new(),
            device_polls: None,
            denies: None,
            is_told: true,
            refusals: Vec::new(),
            refresh: None,
            refresh_pause: Duration::ZERO,
            seen: Vec::new(),
            secrets: Vec::new(),
            endpoints: json!(["10.0.0.1", "10.0.0.2"]),
            instead: BTreeMap::new(),
            metadata: serde_json::Map::new(),
            nonces: BTreeMap::new(),
        }));
        let (shared, own) = (Arc::clone(&state), url.clone());
        thread::spawn(move || {
            for tcp in listener.incoming() {
                let (state, url) = (Arc::clone(&shared), own.clone());
                thread::spawn(move || serve(tcp.unwrap(), &state, &url));
            }
        });
        Self { url, state }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// How often that was asked for.
    pub fn count(&self, what: &str) -> usize {
        self.state().seen.iter().filter(|seen| *seen == what).count()
    }

    /// An ID token of this provider that nobody asked for.
    pub fn id_token(&self) -> String {
        let mut state = self.state();
        let token = id_token(&self.url, &state, None);
        state.secrets.push(token.clone());
        token
    }
}

/// The signature is no signature: the client has the token from the provider itself.
fn id_token(issuer: &str, state: &State, nonce: Option<&str>) -> String {
    let (age, secs) = (state.token_age, state.token_secs);
    let mut claims = json!({
        "iss": issuer, "aud": "cli", "sub": "ann", "email": "ann@example.com",
        "iat": now() - age, "exp": now() + secs, "jti": random(),
    });
    if let Some(nonce) = nonce {
        claims["nonce"] = nonce.into();
    }
    let part = |value: Value| B64.encode(value.to_string());
    let header = part(json!({"alg": "ES256", "kid": "k"}));
    format!("{header}.{}.{}", part(claims), B64.encode([7; 64]))
}

/// CA, certificate and key, as the server issues them.
pub fn issue(secs: u64) -> (String, String, String) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors/cert/ca");
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let (rng, now) = (SystemRandom::new(), UnixTime::from_secs(now()));
    let ca = CaCert::parse(&read("ed25519.crt"), now).unwrap();
    let key = CaKey::load(&read("ed25519.key"), &ca, &rng).unwrap();
    let roles = RoleSet::new(["os:reader".parse::<Role>().unwrap()]).unwrap();
    let (mut seed, mut serial) = ([0; 32], [0; 16]);
    rng.fill(&mut seed).unwrap();
    rng.fill(&mut serial).unwrap();
    let leaf = LeafKey::from_seed(Entropy::new(seed)).unwrap();
    let ttl = Ttl::from_secs(secs).unwrap();
    let draft = Draft::new(&ca, &roles, None, ttl, now, leaf, Entropy::new(serial)).unwrap();
    let signature = key.sign(&rng, draft.tbs()).unwrap();
    let issued = draft.finish(&signature, &ca, SignerTrust::InProcess).unwrap();
    let key = issued.key_pem().unwrap().expose_str().unwrap().to_owned();
    (ca.bundle_text().to_owned(), issued.cert_pem().to_owned(), key)
}

fn serve(mut tcp: TcpStream, state: &Mutex<State>, url: &str) {
    let mut reader = BufReader::new(tcp.try_clone().unwrap());
    let mut first = String::new();
    if reader.read_line(&mut first).is_err() {
        return;
    }
    let mut length = 0;
    loop {
        let mut line = String::new();
        match reader.read_line(&mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) if line.trim().is_empty() => break,
            Ok(_) => {}
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if let Some(value) = line.strip_prefix("authorization: ") {
            state.lock().unwrap().secrets.push(value.trim().to_owned());
        }
    }
    let mut body = vec![0; length];
    // The client may have been killed in the middle.
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    let target = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let ours = ["/exchange", "/readyz", "/.well-known/talosctl-oidc-configuration"];
    if state.lock().unwrap().provider_is_down && !ours.contains(&target.as_str()) {
        state.lock().unwrap().seen.push("down".to_owned());
        return;
    }
    let (status, headers, answer) = answer(&target, &body, state, url);
    let length = answer.len();
    let date = state.lock().unwrap().date_off.map_or_else(String::new, |off| {
        let date = HttpDate(UnixTime::from_secs(now().saturating_add_signed(off)));
        format!("date: {date}\r\n")
    });
    let _ = write!(
        tcp,
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{date}{headers}connection: close\r\n\
         content-length: {length}\r\n\r\n{answer}"
    );
}

fn answer(target: &str, body: &[u8], state: &Mutex<State>, url: &str) -> (u16, String, String) {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let json = |status: u16, value: Value| (status, String::new(), value.to_string());
    let mut at = state.lock().unwrap();
    if let Some(answer) = at.instead.get(path).cloned() {
        at.seen.push(path.to_owned());
        return answer;
    }
    drop(at);
    match path {
        "/.well-known/openid-configuration" => {
            let mut state = state.lock().unwrap();
            state.seen.push("discovery".to_owned());
            let mut metadata = json!({
                "issuer": url,
                "authorization_endpoint": format!("{url}/authorize"),
                "token_endpoint": format!("{url}/token"),
                "revocation_endpoint": format!("{url}/revoke"),
                "jwks_uri": format!("{url}/jwks"),
                "response_types_supported": ["code"],
                "code_challenge_methods_supported": ["S256"],
            });
            if state.device_polls.is_some() {
                metadata["device_authorization_endpoint"] = format!("{url}/device").into();
            }
            metadata.as_object_mut().unwrap().extend(state.metadata.clone());
            json(200, metadata)
        }
        "/.well-known/talosctl-oidc-configuration" => {
            let mut state = state.lock().unwrap();
            state.seen.push("told".to_owned());
            if state.is_told {
                let scopes = ["openid", "email", "groups", "offline_access"];
                json(200, json!({"issuer": url, "client_id": "cli", "scopes": scopes}))
            } else {
                json(404, json!({}))
            }
        }
        "/authorize" => {
            let form = form(query);
            let get = |name: &str| form[name].clone();
            let mut state = state.lock().unwrap();
            if form.get("prompt").is_some_and(|prompt| prompt == "none") {
                state.seen.push("authorize without a page".to_owned());
                if state.refuses_redirect {
                    return (400, String::new(), "no".to_owned());
                }
                let error = state.denies.unwrap_or("login_required");
                let answer = encode_form([("error", error), ("state", &get("state"))]);
                let location = format!("location: {}?{}\r\n", get("redirect_uri"), &*answer);
                return (302, location, String::new());
            }
            state.seen.push("authorize".to_owned());
            let answer = match state.denies {
                Some(error) => encode_form([("error", error), ("state", &get("state"))]),
                None => {
                    let code = random();
                    state.secrets.push(code.clone());
                    state.nonces.insert(code.clone(), get("nonce"));
                    encode_form([("code", code.as_str()), ("state", &get("state"))])
                }
            };
            let location = format!("location: {}?{}\r\n", get("redirect_uri"), &*answer);
            (302, location, String::new())
        }
        "/token" => token(body, state, url),
        "/device" => {
            let mut state = state.lock().unwrap();
            state.seen.push("device".to_owned());
            let code = random();
            state.secrets.push(code.clone());
            json(
                200,
                json!({
                    "device_code": code, "user_code": "WDJB-MJHT", "interval": 1,
                    "verification_uri": format!("{url}/enter"), "expires_in": 60,
                }),
            )
        }
        "/revoke" => {
            let mut state = state.lock().unwrap();
            let form = form(std::str::from_utf8(body).unwrap());
            state.seen.push(format!("revoke {}", form["token_type_hint"]));
            state.secrets.extend(form.get("client_secret").cloned());
            state.refresh = None;
            json(200, json!({}))
        }
        "/exchange" => exchange(body, state),
        "/readyz" => json(200, json!({"ready": true})),
        // The key of RFC 7515 appendix A.3.
        "/jwks" => json(
            200,
            json!({"keys": [{
                "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "k",
                "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
                "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
            }]}),
        ),
        _ => json(404, json!({})),
    }
}

fn token(body: &[u8], state: &Mutex<State>, url: &str) -> (u16, String, String) {
    let form = form(std::str::from_utf8(body).unwrap());
    let error = |code: &str| (400, String::new(), json!({"error": code}).to_string());
    let grant = form["grant_type"].rsplit(':').next().unwrap().to_owned();
    let mut at = state.lock().unwrap();
    at.seen.push(format!("token {grant}"));
    for name in ["code_verifier", "client_secret"] {
        at.secrets.extend(form.get(name).cloned());
    }
    let mut nonce = None;
    match &*grant {
        "authorization_code" => {
            nonce = at.nonces.remove(&form["code"]);
            if nonce.is_none() {
                return error("invalid_grant");
            }
        }
        "refresh_token" => {
            if form.get("refresh_token") != at.refresh.as_ref() {
                return error("invalid_grant");
            }
            // Good for one use, whatever becomes of the answer.
            at.refresh = None;
            let pause = at.refresh_pause;
            drop(at);
            thread::sleep(pause);
            at = state.lock().unwrap();
        }
        _ => match at.device_polls {
            Some(0) => {}
            Some(left) => {
                at.device_polls = Some(left - 1);
                return error("authorization_pending");
            }
            None => return error("unsupported_grant_type"),
        },
    }
    let id_token = id_token(url, &at, nonce.as_deref());
    let (refresh, access) = (random(), random());
    at.refresh = Some(refresh.clone());
    at.secrets.extend([id_token.clone(), refresh.clone(), access.clone()]);
    let answer = json!({
        "token_type": "Bearer", "expires_in": 3600,
        "access_token": access, "id_token": id_token, "refresh_token": refresh,
    });
    (200, String::new(), answer.to_string())
}

fn exchange(body: &[u8], state: &Mutex<State>) -> (u16, String, String) {
    let request: Value = serde_json::from_slice(body).unwrap();
    assert!(request["id_token"].is_string());
    let mut at = state.lock().unwrap();
    at.seen.push("exchange".to_owned());
    at.exchanged_at.push(Instant::now());
    if let Some((status, error)) = at.refusals.pop() {
        return (status, String::new(), json!({"error": error}).to_string());
    }
    let (secs, endpoints) = (at.cert_secs, at.endpoints.clone());
    drop(at);
    let (ca, cert, key) = issue(secs);
    // Any line of the key gives it away.
    let lines = key.lines().filter(|line| !line.starts_with('-')).map(str::to_owned);
    state.lock().unwrap().secrets.extend(lines);
    let answer = json!({
        "ca": ca, "cert": cert, "key": key, "endpoints": endpoints, "ttl_seconds": secs,
    });
    (200, String::new(), answer.to_string())
}

pub fn form(text: &str) -> BTreeMap<String, String> {
    let form = Form::parse(text).unwrap();
    form.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
