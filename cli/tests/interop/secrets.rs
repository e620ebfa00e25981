//! Finds secrets in what was printed, in parts too.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Shortest part of a secret that counts as a leak, in characters.
const PART: usize = 16;

/// Every part of every secret.
#[derive(Default)]
pub(crate) struct Secrets {
    parts: BTreeSet<Vec<u8>>,
    count: usize,
}

impl Secrets {
    /// A token, code, verifier or password; base64 of it counts as well.
    pub(crate) fn add(&mut self, secret: &str) {
        assert!(secret.len() >= PART, "too short to look for");
        self.count += 1;
        self.add_parts(secret.as_bytes());
        self.add_encodings(secret.as_bytes());
    }

    /// A PEM private key: the base64 it is made of, the bytes in hexadecimal, and the PEM in
    /// base64 as talosconfig has it.
    pub(crate) fn add_key(&mut self, pem: &str) {
        assert!(pem.contains("PRIVATE KEY-----"), "not a private key");
        let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        let der = STANDARD.decode(body.trim()).unwrap();
        // What comes first is the same in every key of its kind.
        let material = &der[der.len().min(16)..];
        self.count += 1;
        self.add_parts(body.as_bytes().get(24..).unwrap());
        self.add_encodings(material);
        let text = STANDARD.encode(pem);
        let start = STANDARD.encode(pem.lines().next().unwrap()).len() + 24;
        self.add_parts(text.as_bytes().get(start..).unwrap());
    }

    /// A key that is kept as bytes alone.
    pub(crate) fn add_bytes(&mut self, bytes: &[u8]) {
        self.count += 1;
        self.add_encodings(bytes);
    }

    fn add_encodings(&mut self, bytes: &[u8]) {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        self.add_parts(hex.as_bytes());
        self.add_parts(hex.to_uppercase().as_bytes());
        self.add_parts(STANDARD_NO_PAD.encode(bytes).as_bytes());
        self.add_parts(URL_SAFE_NO_PAD.encode(bytes).as_bytes());
    }

    fn add_parts(&mut self, text: &[u8]) {
        self.parts.extend(text.windows(PART).map(<[u8]>::to_vec));
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Stops the test where one of them stands in `printed`.
    pub(crate) fn assert_absent(&self, from: &str, printed: &str) {
        assert!(!printed.is_empty(), "{from} printed nothing: nothing was looked at");
        for (at, window) in printed.as_bytes().windows(PART).enumerate() {
            if self.parts.contains(window) {
                let line = printed.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count();
                let line = printed.lines().nth(line).unwrap_or_default();
                panic!("{from} printed a part of a secret: {line}");
            }
        }
    }
}

#[test]
fn a_leak_is_found_in_every_dress() {
    let token = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbGljZSIsImF1ZCI6InRhbG9zY3RsIn0.MEUCIQDx";
    let pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
               -----END PRIVATE KEY-----\n";
    let mut secrets = Secrets::default();
    secrets.add(token);
    secrets.add_key(pem);
    assert_eq!(secrets.count(), 2);
    let seed = "9d61b19defd5a60ba844af492ec2cc44";
    for leak in [
        token.to_owned(),
        format!("token {}…", &token[30..50]),
        format!("sent {}", STANDARD.encode(token)),
        pem.to_owned(),
        format!("key: {}", STANDARD.encode(pem)),
        format!("seed {seed}"),
    ] {
        let found = std::panic::catch_unwind(|| secrets.assert_absent("somebody", &leak));
        assert!(found.is_err(), "{leak}");
    }
    secrets.assert_absent("somebody", "POST /exchange 200 alice@example.com eyJhbGciOiJFUzI");
}
