//! An identity provider: metadata, any number of keys, and RS256 tokens that are good.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as B64;
use ring::rand::SystemRandom;
use ring::rsa::{KeyPairComponents, PublicKeyComponents};
use ring::signature::{Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};

/// The client that tokens are for.
pub const CLIENT_ID: &str = "talosctl";
/// The group that every user of the load is in.
pub const GROUP: &str = "platform-admins";
const KID: &str = "rsa-1";
/// Longer than any run.
const LIFE_SECS: u64 = 3600;

/// A running provider.
pub struct Provider {
    /// Its issuer.
    pub issuer: String,
    pair: RsaKeyPair,
    rng: SystemRandom,
}

fn part(jwk: &Value, name: &str) -> Vec<u8> {
    B64.decode(jwk[name].as_str().expect("a text")).expect("base64url")
}

impl Provider {
    /// One that publishes its own key after `more` others that sign nothing.
    pub fn start(more: usize) -> Self {
        let jwk: Value =
            serde_json::from_str(include_str!("../../../vectors/keys/private/rsa.json"))
                .expect("a key is JSON");
        let pair = RsaKeyPair::from_components(&KeyPairComponents {
            public_key: PublicKeyComponents { n: part(&jwk, "n"), e: part(&jwk, "e") },
            d: part(&jwk, "d"),
            p: part(&jwk, "p"),
            q: part(&jwk, "q"),
            dP: part(&jwk, "dp"),
            dQ: part(&jwk, "dq"),
            qInv: part(&jwk, "qi"),
        })
        .expect("a valid key");
        let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let issuer = format!("http://{}", socket.local_addr().expect("an address"));
        let mut keys: Vec<Value> = (0..more).map(other_key).collect();
        keys.push(json!({
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": KID, "n": jwk["n"], "e": jwk["e"],
        }));
        let metadata = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "jwks_uri": format!("{issuer}/jwks"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        });
        let documents = (metadata.to_string(), json!({ "keys": keys }).to_string());
        thread::spawn(move || serve(&socket, &documents));
        Self { issuer, pair, rng: SystemRandom::new() }
    }

    /// Bodies of exchange requests, each of another user.
    pub fn bodies(&self, count: usize) -> Vec<Vec<u8>> {
        (0..count).map(|n| body(&self.token(&format!("user-{n}"), LIFE_SECS))).collect()
    }

    /// The body with a token whose signature is not that of the provider.
    pub fn forged(&self) -> Vec<u8> {
        let mut token = self.token("eve", LIFE_SECS);
        // Within the signature, and not in its last character, which may hold unused bits.
        let at = token.len() - 40;
        let other = if token.as_bytes()[at] == b'A' { "B" } else { "A" };
        token.replace_range(at..=at, other);
        body(&token)
    }

    /// The body with a token that ended long ago.
    pub fn expired(&self) -> Vec<u8> {
        body(&self.sign(&self.claims("old", now() - 1000)))
    }

    fn token(&self, sub: &str, life: u64) -> String {
        self.sign(&self.claims(sub, now() + life))
    }

    fn claims(&self, sub: &str, exp: u64) -> Value {
        json!({
            "iss": self.issuer, "aud": CLIENT_ID, "sub": sub, "iat": now(), "exp": exp,
            "email": format!("{sub}@example.com"), "email_verified": true, "groups": [GROUP, "staff"],
        })
    }

    fn sign(&self, claims: &Value) -> String {
        let header = json!({ "alg": "RS256", "typ": "JWT", "kid": KID });
        let text = format!("{}.{}", B64.encode(header.to_string()), B64.encode(claims.to_string()));
        let mut signature = vec![0; self.pair.public().modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &self.rng, text.as_bytes(), &mut signature)
            .expect("a signature");
        format!("{text}.{}", B64.encode(signature))
    }
}

fn body(token: &str) -> Vec<u8> {
    json!({ "id_token": token }).to_string().into_bytes()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn other_key(n: usize) -> Value {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&n.to_le_bytes());
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed).expect("a key");
    json!({
        "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": format!("other-{n}"),
        "x": B64.encode(pair.public_key().as_ref()),
    })
}

fn serve(socket: &TcpListener, (metadata, keys): &(String, String)) {
    for mut stream in socket.incoming().flatten() {
        let mut head = Vec::new();
        let mut buffer = [0; 4096];
        while !head.windows(4).any(|four| four == b"\r\n\r\n") {
            match stream.read(&mut buffer) {
                Ok(count @ 1..) => head.extend_from_slice(&buffer[..count]),
                Ok(_) | Err(_) => break,
            }
        }
        let text = if head.starts_with(b"GET /jwks ") { keys } else { metadata };
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
             connection: close\r\n\r\n",
            text.len()
        );
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(text.as_bytes()));
    }
}
