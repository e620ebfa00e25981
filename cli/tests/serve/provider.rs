//! An identity provider that can be well, slow, ill-mannered or away, and counts who asks.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::token::{self, Key};

/// How a document is answered.
#[derive(Clone)]
pub(crate) enum Mode {
    /// As it should be.
    Well,
    /// The connection is closed without an answer.
    Away,
    /// The right answer after this time.
    Slow(Duration),
    /// This status and nothing else.
    Status(u16),
    /// Another place, by status 302.
    Redirect(String),
    /// This body under this type.
    Body(&'static str, Vec<u8>),
    /// So many bytes of JSON that never ends.
    Endless(usize),
}

/// What can be changed while it runs.
pub(crate) struct State {
    pub(crate) discovery: Mode,
    pub(crate) jwks: Mode,
    /// `issuer` of the metadata, where it is to be another one.
    pub(crate) issuer: Option<String>,
    /// The key set; the first one signs.
    pub(crate) keys: Vec<Key>,
}

/// The provider.
pub(crate) struct Provider {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    counts: Arc<[AtomicUsize; 2]>,
    stop: Arc<AtomicBool>,
    /// Head of the last discovery request.
    pub(crate) seen: Arc<Mutex<String>>,
}

impl Provider {
    /// One that is well and signs with Ed25519 under the key identifier `k1`.
    pub(crate) fn start() -> Self {
        Self::at(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    pub(crate) fn at(listener: TcpListener) -> Self {
        let address = listener.local_addr().unwrap();
        let state = State {
            discovery: Mode::Well,
            jwks: Mode::Well,
            issuer: None,
            keys: vec![Key::ed25519("k1", 7)],
        };
        let new = Self {
            address,
            state: Arc::new(Mutex::new(state)),
            counts: Arc::default(),
            stop: Arc::default(),
            seen: Arc::default(),
        };
        let (state, counts, stop, seen) = (
            Arc::clone(&new.state),
            Arc::clone(&new.counts),
            Arc::clone(&new.stop),
            Arc::clone(&new.seen),
        );
        thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let (state, counts, seen) =
                    (Arc::clone(&state), Arc::clone(&counts), Arc::clone(&seen));
                let Ok(stream) = stream else { continue };
                thread::spawn(move || serve(stream, address, &state, &counts, &seen));
            }
        });
        new
    }

    pub(crate) fn issuer(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Both documents in this mode.
    pub(crate) fn all(&self, mode: Mode) {
        let mut state = self.state();
        state.jwks = mode.clone();
        state.discovery = mode;
    }

    /// Discovery requests so far.
    pub(crate) fn discoveries(&self) -> usize {
        self.counts[0].load(Ordering::SeqCst)
    }

    /// Key set requests so far.
    pub(crate) fn key_fetches(&self) -> usize {
        self.counts[1].load(Ordering::SeqCst)
    }

    /// A good token for `sub` with more claims.
    pub(crate) fn token(&self, sub: &str, more: Value) -> String {
        let claims = token::claims(&self.issuer(), sub, more);
        self.state().keys[0].sign(&claims)
    }

    /// Body of an exchange request with a good token.
    pub(crate) fn body(&self, sub: &str, more: Value) -> Vec<u8> {
        json!({"id_token": self.token(sub, more)}).to_string().into_bytes()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(
    mut stream: TcpStream,
    address: SocketAddr,
    state: &Mutex<State>,
    counts: &[AtomicUsize; 2],
    seen: &Mutex<String>,
) {
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(count @ 1..) => head.extend_from_slice(&buffer[..count]),
            Ok(_) | Err(_) => return,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let target = head.split(' ').nth(1).unwrap_or_default();
    let is_keys = target.ends_with("/jwks");
    counts[usize::from(is_keys)].fetch_add(1, Ordering::SeqCst);
    if !is_keys {
        seen.lock().unwrap().clone_from(&head);
    }
    let (mode, well) = {
        let state = state.lock().unwrap();
        let own = format!("http://{address}");
        let issuer = state.issuer.clone().unwrap_or_else(|| own.clone());
        let well = if is_keys {
            let keys: Vec<Value> = state.keys.iter().map(Key::jwk).collect();
            json!({ "keys": keys })
        } else {
            json!({
                "issuer": issuer,
                "authorization_endpoint": format!("{own}/authorize"),
                "token_endpoint": format!("{own}/token"),
                "jwks_uri": format!("{own}/jwks"),
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["EdDSA"],
            })
        };
        let mode = if is_keys { state.jwks.clone() } else { state.discovery.clone() };
        (mode, well.to_string().into_bytes())
    };
    let mut answer = |status: u16, more: &str, kind: &str, body: &[u8]| {
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\n{more}content-length: {}\r\n\
             connection: close\r\n\r\n",
            body.len()
        );
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
    };
    match mode {
        Mode::Well => answer(200, "", "application/json", &well),
        Mode::Away => {}
        Mode::Slow(time) => {
            thread::sleep(time);
            answer(200, "", "application/json", &well);
        }
        Mode::Status(status) => answer(status, "", "text/plain", b"no"),
        Mode::Redirect(to) => answer(302, &format!("location: {to}\r\n"), "text/plain", b""),
        Mode::Body(kind, body) => answer(200, "", kind, &body),
        Mode::Endless(bytes) => {
            let head = format!(
                "HTTP/1.1 200 X\r\ncontent-type: application/json\r\ncontent-length: {bytes}\r\n\r\n{{\"x\":\""
            );
            let block = [b'y'; 64 * 1024];
            let mut left = if stream.write_all(head.as_bytes()).is_ok() { bytes } else { 0 };
            while left > 0 && stream.write_all(&block).is_ok() {
                left = left.saturating_sub(block.len());
            }
        }
    }
}
