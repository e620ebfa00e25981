//! An identity provider reduced to what the server reads: metadata and keys, over plain HTTP on
//! loopback. It signs with a test key of `vectors/keys/private`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};

/// The audience of every token.
pub(crate) const CLIENT_ID: &str = "talosctl";

/// A provider that answers until the process ends.
pub(crate) struct Provider {
    issuer: String,
    key: EcdsaKeyPair,
}

impl Provider {
    /// Starts answering on a port of its own.
    pub(crate) fn start() -> Self {
        let jwk = private_jwk();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let metadata = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "jwks_uri": format!("{issuer}/jwks"),
        });
        let public = json!({ "kty": "EC", "crv": "P-256", "x": jwk["x"], "y": jwk["y"] });
        let jwks = json!({ "keys": [public] });
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                answer(stream, &metadata, &jwks);
            }
        });
        let part = |name: &str| BASE64URL.decode(jwk[name].as_str().unwrap()).unwrap();
        let point = [vec![4], part("x"), part("y")].concat();
        let key = EcdsaKeyPair::from_private_key_and_public_key(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            &part("d"),
            &point,
            &SystemRandom::new(),
        )
        .unwrap();
        Self { issuer, key }
    }

    /// The issuer identifier.
    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// An ID token that is good for an hour, with these claims besides the usual ones.
    pub(crate) fn token(&self, claims: Value) -> String {
        self.sign(claims, now(), now() + 3600)
    }

    /// An ID token of yesterday.
    pub(crate) fn expired(&self) -> String {
        self.sign(json!({ "sub": "late" }), now() - 86_400, now() - 82_800)
    }

    fn sign(&self, mut claims: Value, issued: u64, ends: u64) -> String {
        claims["iss"] = json!(self.issuer);
        claims["aud"] = json!(CLIENT_ID);
        claims["iat"] = json!(issued);
        claims["exp"] = json!(ends);
        let header = json!({ "alg": "ES256", "typ": "JWT" });
        let encode = |value: &Value| BASE64URL.encode(value.to_string());
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", BASE64URL.encode(signature.as_ref()))
    }
}

fn private_jwk() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors/keys/private/es256.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// One request a connection; nobody but the server under test asks.
fn answer(mut stream: TcpStream, metadata: &Value, jwks: &Value) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let first = lines.next().unwrap_or_default();
    let _ = lines.find(String::is_empty);
    let (status, body) = match first.split(' ').nth(1) {
        Some("/.well-known/openid-configuration") => ("200 OK", metadata.to_string()),
        Some("/jwks") => ("200 OK", jwks.to_string()),
        _ => ("404 Not Found", "{}".into()),
    };
    let _ = write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    );
}
