//! `vectors/cert` as OpenSSL, rustls-webpki, x509-parser and Go see them.
//!
//! What we issue must be good for clients, in its time, and for nothing else. Below a CA that we
//! refuse, Go makes the certificate, and the others are asked about that one. Every difference is
//! listed in `vectors/differs/cert.json` with the reason and with who is right; one that is not
//! listed fails, and so does a listed one that is gone.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a failing test should stop at the line that failed, and say what it skipped"
)]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, fs};

use exchange_core::pki::pem::{self, Label};
use rustls_pki_types::{CertificateDer, UnixTime as WebpkiTime};
use serde::Deserialize;
use serde_json::{Value, json};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_parser::prelude::{FromDer as _, X509Certificate};

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    let path = project().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|n| u8::from_str_radix(&text[n..n + 2], 16).unwrap()).collect()
}

/// What is there to be judged: the CAs of a case and one certificate below them.
struct Exhibit {
    name: String,
    case: Value,
    authorities: String,
    /// Empty where even Go makes none: no certificate, or not the key.
    leaf: Vec<u8>,
    now: i64,
    not_before: i64,
    not_after: i64,
}

impl Exhibit {
    fn issued(&self) -> bool {
        self.case["expect"]["der"].is_string()
    }
}

/// What the Go program answers.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    name: String,
    leaf: String,
    refused: String,
    roles: Option<Vec<String>>,
    common_name: String,
    serial: String,
    not_before: i64,
    not_after: i64,
}

/// Whether a program can be run. Continuous integration must have it.
fn has(program: &str, argument: &str) -> bool {
    let found = Command::new(program).arg(argument).output().is_ok_and(|out| out.status.success());
    if !found {
        assert!(env::var("CI").as_deref() != Ok("true"), "{program} is not installed");
        eprintln!("skipped: {program} not installed");
    }
    found
}

/// What a case gives as text, or names as one file or several.
fn text_of(case: &Value, files: &str, text: &str) -> String {
    let named = |file: &Value| read(&format!("vectors/cert/{}", file.as_str().unwrap()));
    match (&case[files], &case[text]) {
        (Value::Array(files), Value::Null) => files.iter().map(named).collect(),
        (one @ Value::String(_), Value::Null) => named(one),
        (_, text) => text.as_str().unwrap().to_owned(),
    }
}

/// Every case of `vectors/cert`, with the certificate that it or Go gives.
fn exhibits() -> Vec<(Exhibit, Answer)> {
    let folder = project().join("vectors/cert");
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "json"));
    paths.sort();
    let mut cases = Vec::new();
    for path in paths {
        let case: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        cases.push((name, text_of(&case, "ca_cert", "ca_text"), case));
    }
    let mut questions = String::new();
    for (name, authorities, case) in &cases {
        let key = text_of(case, "ca_key", "key_text");
        let question = json!({
            "name": name, "ca": authorities, "now": case["now"],
            "leaf": case["expect"]["der"].as_str().unwrap_or_default(), "key": key,
        });
        questions.push_str(&format!("{question}\n"));
    }
    let program = project().join("cli/tests/interop/go");
    let mut go = Command::new("go")
        .args(["run", ".", "judge"])
        .current_dir(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = go.stdin.take().unwrap();
    let writer = std::thread::spawn(move || input.write_all(questions.as_bytes()).unwrap());
    let output = go.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    let answers = String::from_utf8(output.stdout).unwrap();
    let answers = answers.lines().map(|line| serde_json::from_str::<Answer>(line).unwrap());
    let both: Vec<_> = cases
        .into_iter()
        .zip(answers)
        .map(|((name, authorities, case), answer)| {
            assert_eq!(name, answer.name);
            let now = case["now"].as_i64().unwrap();
            let (not_before, not_after) = (answer.not_before, answer.not_after);
            let leaf = unhex(&answer.leaf);
            (Exhibit { name, case, authorities, leaf, now, not_before, not_after }, answer)
        })
        .collect();
    assert!(both.len() >= 29, "{} answers", both.len());
    both
}

/// One verdict out of four questions, asked in every peer's own way: is it good for clients now, and
/// not for servers, not a second early, not a second late?
fn good_in_its_place(exhibit: &Exhibit, good: impl Fn(i64, &'static str) -> bool) -> bool {
    good(exhibit.now, "client")
        && !good(exhibit.now, "server")
        && !good(exhibit.not_before - 1, "client")
        && !good(exhibit.not_after + 1, "client")
}

fn webpki(exhibit: &Exhibit) -> bool {
    let Ok(blocks) = pem::blocks(&exhibit.authorities) else { return false };
    let roots: Vec<CertificateDer<'_>> = blocks
        .iter()
        .filter(|block| block.label == Label::Certificate)
        .map(|block| CertificateDer::from(block.der.to_vec()))
        .collect();
    let anchors: Vec<_> =
        roots.iter().filter_map(|root| anchor_from_trusted_cert(root).ok()).collect();
    let leaf = CertificateDer::from(exhibit.leaf.as_slice());
    let Ok(leaf) = EndEntityCert::try_from(&leaf) else { return false };
    good_in_its_place(exhibit, |at, usage| {
        let usage =
            if usage == "client" { KeyUsage::client_auth() } else { KeyUsage::server_auth() };
        let at = WebpkiTime::since_unix_epoch(Duration::from_secs(at.try_into().unwrap()));
        let known = webpki::ALL_VERIFICATION_ALGS;
        leaf.verify_for_usage(known, &anchors, &[], at, usage, None, None).is_ok()
    })
}

fn openssl(exhibit: &Exhibit) -> bool {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (root_path, leaf_path) = (dir.join("peers-root.pem"), dir.join("peers-leaf.der"));
    fs::write(&root_path, &exhibit.authorities).unwrap();
    fs::write(&leaf_path, &exhibit.leaf).unwrap();
    good_in_its_place(exhibit, |at, usage| {
        let purpose = if usage == "client" { "sslclient" } else { "sslserver" };
        let mut command = Command::new("openssl");
        command.args(["verify", "-attime", &at.to_string(), "-purpose", purpose, "-CAfile"]);
        let output = command.arg(&root_path).arg(&leaf_path).output().unwrap();
        output.status.success()
    })
}

/// Listed differences: peer and case, with the reason.
fn listed() -> BTreeMap<(String, String), String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Difference {
        peer: String,
        right: String,
        why: String,
        cases: Vec<String>,
    }
    let list: Vec<Difference> = serde_json::from_str(&read("vectors/differs/cert.json")).unwrap();
    let mut reasons = BTreeMap::new();
    for Difference { peer, right, why, cases } in list {
        assert!(["ours", "theirs", "both"].contains(&&*right), "{why}");
        for case in cases {
            let before = reasons.insert((peer.clone(), case), why.clone());
            assert!(before.is_none(), "listed twice: {peer}, {why}");
        }
    }
    reasons
}

#[test]
fn peers_differ_only_where_it_is_listed() {
    if !has("go", "version") || !has("openssl", "version") {
        return;
    }
    let (mut reasons, mut failures) = (listed(), Vec::new());
    for (exhibit, answer) in exhibits() {
        let nothing = exhibit.leaf.is_empty();
        let verdicts = [
            ("go", answer.refused.is_empty()),
            ("webpki", !nothing && webpki(&exhibit)),
            ("openssl", !nothing && openssl(&exhibit)),
        ];
        for (peer, accepts) in verdicts {
            let known = reasons.remove(&(peer.to_owned(), exhibit.name.clone()));
            match (accepts == exhibit.issued(), known) {
                (true, None) | (false, Some(_)) => {}
                (true, Some(why)) => {
                    failures
                        .push(format!("{peer} {}: no difference any more ({why})", exhibit.name));
                }
                (false, None) => {
                    let expect = &exhibit.case["expect"]["error"];
                    failures
                        .push(format!("{peer} {}: ours {expect}, theirs {accepts}", exhibit.name));
                }
            }
        }
    }
    failures.extend(reasons.keys().map(|key| format!("{key:?}: listed, and no such case")));
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The fields of what we issue, as Go and x509-parser read them.
#[test]
fn peers_read_in_it_what_was_ordered() {
    if !has("go", "version") {
        return;
    }
    for (exhibit, answer) in exhibits().into_iter().filter(|(exhibit, _)| exhibit.issued()) {
        let (name, case, expect) = (&exhibit.name, &exhibit.case, &exhibit.case["expect"]);
        let roles: Vec<&str> =
            case["roles"].as_array().unwrap().iter().map(|role| role.as_str().unwrap()).collect();
        let times = (expect["not_before"].as_i64().unwrap(), expect["not_after"].as_i64().unwrap());
        assert_eq!(answer.roles.as_deref().unwrap_or_default(), roles, "{name}");
        assert_eq!(answer.serial, expect["serial"].as_str().unwrap(), "{name}");
        assert_eq!((answer.not_before, answer.not_after), times, "{name}");

        let (rest, read) = X509Certificate::from_der(&exhibit.leaf).unwrap();
        assert!(rest.is_empty(), "{name}");
        let text = |value: &x509_parser::x509::AttributeTypeAndValue<'_>| {
            value.as_str().unwrap().to_owned()
        };
        let organizations: Vec<String> = read.subject().iter_organization().map(text).collect();
        assert_eq!(organizations, roles, "{name}");
        let common_name = read.subject().iter_common_name().next().map(text).unwrap_or_default();
        assert_eq!(common_name, answer.common_name, "{name}");
        assert!(common_name.is_empty() || case["identity"].is_string(), "{name}");
        assert_eq!(read.raw_serial(), unhex(&answer.serial), "{name}");
        let validity = read.validity();
        let read_times = (validity.not_before.timestamp(), validity.not_after.timestamp());
        assert_eq!(read_times, times, "{name}");
        let usage = read.key_usage().unwrap().unwrap();
        assert!(usage.critical && usage.value.digital_signature(), "{name}");
        let purposes = read.extended_key_usage().unwrap().unwrap().value;
        assert!(purposes.client_auth && !purposes.server_auth && !purposes.any, "{name}");
        assert!(!read.is_ca(), "{name}");
    }
}
