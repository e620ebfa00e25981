//! Issuing, checked against fixed results and against other implementations.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a failing test should stop at the line that failed, and say what it skipped"
)]

mod vectors;

use std::fmt::{Display, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use exchange_core::machine::{Entropy, UnixTime};
use exchange_core::pki::{
    CaCert, CaKey, ClientCertificate, CommonName, Draft, IssueError, Issued, LeafKey, PrivateKey,
    Renewal, San, SignerTrust, TlsIdentity, pem,
};
use exchange_core::types::{Role, RoleSet, Ttl};
use proptest::prelude::*;
use ring::rand::SystemRandom;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime as WebpkiTime};
use serde::Deserialize;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

const NOW: u64 = 1_800_000_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[serde(rename = "comment")]
    _comment: String,
    #[serde(rename = "source")]
    _source: String,
    ca_cert: Option<Vec<String>>,
    ca_text: Option<String>,
    ca_key: Option<String>,
    key_text: Option<String>,
    now: u64,
    ttl_secs: u64,
    roles: Vec<String>,
    identity: Option<String>,
    seed: String,
    serial: String,
    expect: Expect,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, untagged)]
enum Expect {
    Refused { error: String },
    Issued { serial: String, not_before: u64, not_after: u64, der: String },
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors/cert")
}

fn file(name: &str) -> String {
    let path = folder().join(name);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn unhex<const N: usize>(text: &str) -> [u8; N] {
    assert_eq!(text.len(), 2 * N, "{text}");
    std::array::from_fn(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn roles(names: &[&str]) -> RoleSet {
    RoleSet::new(names.iter().map(|name| name.parse::<Role>().unwrap())).unwrap()
}

fn ca(name: &str) -> CaCert {
    CaCert::parse(&file(&format!("ca/{name}.crt")), UnixTime::from_secs(NOW)).unwrap()
}

fn draft(ca: &CaCert, roles: &RoleSet, leaf: LeafKey) -> Draft {
    let who = CommonName::from_identity("ana@example.org");
    let (ttl, now) = (Ttl::DEFAULT, UnixTime::from_secs(NOW));
    Draft::new(ca, roles, who.as_ref(), ttl, now, leaf, Entropy::new([0xa5; 16])).unwrap()
}

fn fresh() -> LeafKey {
    LeafKey::from_seed(Entropy::new([7; 32])).unwrap()
}

fn issue(ca: &CaCert, key: &CaKey, roles: &RoleSet, leaf: LeafKey) -> Issued {
    let draft = draft(ca, roles, leaf);
    let signature = key.sign(&SystemRandom::new(), draft.tbs()).unwrap();
    draft.finish(&signature, ca, SignerTrust::External).unwrap()
}

impl Case {
    /// The text with the CA, out of files or as it stands in the case.
    fn ca(&self) -> String {
        match (&self.ca_cert, &self.ca_text) {
            (Some(files), None) => files.iter().map(|name| file(name)).collect(),
            (None, Some(text)) => text.clone(),
            _ => panic!("a case has either ca_cert or ca_text"),
        }
    }

    /// The text with the CA's key.
    fn key(&self) -> String {
        match (&self.ca_key, &self.key_text) {
            (Some(name), None) => file(name),
            (None, Some(text)) => text.clone(),
            _ => panic!("a case has either ca_key or key_text"),
        }
    }
}

/// The code of an error whose text is clear and shows nothing of the key.
fn told(case: &Case, code: &'static str, error: &dyn Display) -> &'static str {
    vectors::clear(&error.to_string(), &case.key()).unwrap();
    code
}

/// Runs one case; the error is a stable code, and what it says is held against the rules for it.
fn run(case: &Case) -> Result<Issued, &'static str> {
    let issue = |error: IssueError| told(case, error.code(), &error);
    let text = case.ca();
    let rng = SystemRandom::new();
    let now = UnixTime::from_secs(case.now);
    let candidates = CaCert::parse_all(&text, now).map_err(|e| told(case, e.code(), &e))?;
    let (ca, key) =
        CaKey::choose(&case.key(), candidates, &rng).map_err(|e| told(case, e.code(), &e))?;
    assert_eq!(ca.bundle_text(), text);
    let names: Vec<&str> = case.roles.iter().map(String::as_str).collect();
    let who = case.identity.as_deref().and_then(CommonName::from_identity);
    let draft = Draft::new(
        &ca,
        &roles(&names),
        who.as_ref(),
        Ttl::from_secs(case.ttl_secs).unwrap(),
        now,
        LeafKey::from_seed(Entropy::new(unhex(&case.seed))).unwrap(),
        Entropy::new(unhex(&case.serial)),
    )
    .map_err(issue)?;
    let signature = key.sign(&rng, draft.tbs()).map_err(issue)?;
    draft.finish(&signature, &ca, SignerTrust::InProcess).map_err(issue)
}

#[test]
fn certificates_are_those_of_the_vectors() {
    let mut wrong = String::new();
    for (name, case) in vectors::cases::<Case>("cert", 29) {
        let issued = match (run(&case), &case.expect) {
            (Err(code), Expect::Refused { error }) if code == error => continue,
            (Ok(issued), Expect::Issued { serial, not_before, not_after, der })
                if issued.serial_hex() == *serial
                    && issued.not_before().secs() == *not_before
                    && issued.not_after().secs() == *not_after
                    && hex(issued.der()) == *der =>
            {
                issued
            }
            (Ok(issued), Expect::Issued { .. } | Expect::Refused { .. }) => {
                let (from, to) = (issued.not_before().secs(), issued.not_after().secs());
                let (serial, der) = (issued.serial_hex(), hex(issued.der()));
                writeln!(wrong, "{name}: {serial} {from} {to} {der}").unwrap();
                continue;
            }
            (Err(code), Expect::Issued { .. } | Expect::Refused { .. }) => {
                writeln!(wrong, "{name}: {code}").unwrap();
                continue;
            }
        };
        let key = issued.key_pem().unwrap().expose_str().unwrap();
        assert!(key.starts_with("-----BEGIN ED25519 PRIVATE KEY-----\n"), "{name}");
        let read = ClientCertificate::parse(issued.cert_pem()).unwrap();
        read.matches_key(key).unwrap();
        assert_eq!(read.roles(), case.roles, "{name}");
        assert!(read.is_client_auth_only(), "{name}");
        assert!(read.is_issued_by(&case.ca()), "{name}");
        read.check_dates(UnixTime::from_secs(case.now)).unwrap();
    }
    assert!(wrong.is_empty(), "unexpected results:\n{wrong}");
}

/// CA certificate, key file.
const PAIRS: [(&str, &str); 11] = [
    ("ed25519", "ed25519"),
    ("ed25519-next", "ed25519-next"),
    ("no-key-id", "ed25519"),
    ("p256", "p256"),
    ("p256", "p256.sec1"),
    ("p256", "p256.no-public"),
    ("p384", "p384"),
    ("p384", "p384.no-public"),
    ("rsa2048", "rsa2048"),
    ("rsa2048", "rsa2048.pkcs1"),
    ("intermediate", "ed25519-next"),
];

/// Every kind of CA with one to three roles: name of the check, CA, certificate.
fn matrix() -> Vec<(String, CaCert, Issued)> {
    let sets: [&[&str]; 3] =
        [&["os:reader"], &["os:operator", "os:admin"], &["os:reader", "x_y@z", "os:etcd:backup"]];
    let mut all = Vec::new();
    for (cert, key) in PAIRS {
        let ca = ca(cert);
        let key_text = file(&format!("ca/{key}.key"));
        let loaded = CaKey::load(&key_text, &ca, &SystemRandom::new()).unwrap();
        for set in sets {
            let issued = issue(&ca, &loaded, &roles(set), fresh());
            assert_eq!(ClientCertificate::parse(issued.cert_pem()).unwrap().roles(), set);
            all.push((format!("{cert} {key} {set:?}"), ca.clone(), issued));
        }
    }
    all
}

/// What a node of that CA trusts, and what the client sends above its certificate.
fn root_of(ca: &CaCert) -> (CaCert, Vec<CertificateDer<'static>>) {
    if ca.chain_pem().is_empty() {
        return (ca.clone(), Vec::new());
    }
    (self::ca("ed25519"), vec![CertificateDer::from(ca.der().to_vec())])
}

#[test]
fn webpki_accepts_them_for_clients_only() {
    let now = WebpkiTime::since_unix_epoch(std::time::Duration::from_secs(NOW));
    for (name, ca, issued) in matrix() {
        let (root, chain) = root_of(&ca);
        let root = CertificateDer::from(root.der());
        let anchors = [anchor_from_trusted_cert(&root).unwrap()];
        let leaf = CertificateDer::from(issued.der());
        let leaf = EndEntityCert::try_from(&leaf).unwrap();
        let known = webpki::ALL_VERIFICATION_ALGS;
        let verify = |usage| {
            leaf.verify_for_usage(known, &anchors, &chain, now, usage, None, None).map(|_| ())
        };
        verify(KeyUsage::client_auth()).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(verify(KeyUsage::server_auth()).is_err(), "{name}");
    }
}

/// Whether `openssl` can be run. Continuous integration must have it.
fn has_openssl() -> bool {
    let found = Command::new("openssl").arg("version").output().is_ok_and(|o| o.status.success());
    if !found {
        assert!(env::var("CI").as_deref() != Ok("true"), "openssl is not installed");
        eprintln!("skipped: openssl not installed");
    }
    found
}

#[test]
fn openssl_accepts_them_for_clients_only() {
    if !has_openssl() {
        return;
    }
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (root_path, leaf_path) = (dir.join("cert-root.pem"), dir.join("cert-leaf.pem"));
    for (name, ca, issued) in matrix() {
        fs::write(&root_path, root_of(&ca).0.bundle_text()).unwrap();
        // Leaf and chain in one file, as they stand in a talosconfig.
        fs::write(&leaf_path, issued.cert_pem()).unwrap();
        let verify = |purpose: &str| {
            Command::new("openssl")
                .args(["verify", "-attime", &NOW.to_string(), "-purpose", purpose])
                .arg("-CAfile")
                .arg(&root_path)
                .arg("-untrusted")
                .arg(&leaf_path)
                .arg(&leaf_path)
                .output()
                .unwrap()
        };
        let accepted = verify("sslclient");
        let said = String::from_utf8_lossy(&accepted.stderr).into_owned();
        assert!(accepted.status.success(), "{name}: {said}");
        assert!(!verify("sslserver").status.success(), "{name}");
    }
}

#[test]
fn requests_prove_their_key() {
    let rng = SystemRandom::new();
    let ca = ca("p256");
    let key = CaKey::load(&file("ca/p256.key"), &ca, &rng).unwrap();
    for (name, key_file) in [
        ("ed25519", "ed25519-next"),
        ("p256", "p256.sec1"),
        ("p384", "p384"),
        ("rsa2048", "rsa2048"),
    ] {
        let request = file(&format!("csr/{name}.csr"));
        let leaf = LeafKey::from_csr(request.as_bytes()).unwrap();
        let issued = issue(&ca, &key, &roles(&["os:reader"]), leaf);
        assert!(issued.key_pem().is_none());
        let read = ClientCertificate::parse(issued.cert_pem()).unwrap();
        // The request asked for os:admin.
        assert_eq!(read.roles(), ["os:reader"], "{name}");
        assert_eq!(read.common_name(), Some("ana@example.org"), "{name}");
        read.matches_key(&file(&format!("ca/{key_file}.key"))).unwrap();
        let other = read.matches_key(&file("ca/ed25519.key")).unwrap_err();
        assert_eq!(other.code(), "pki.key_mismatch");
    }
}

#[test]
fn requests_are_refused_with_a_reason() {
    let code = |bytes: &[u8]| LeafKey::from_csr(bytes).unwrap_err().code();
    let good = file("csr/ed25519.csr");
    assert_eq!(code(file("csr/rsa1024.csr").as_bytes()), "csr.unsupported_key");
    assert_eq!(code(file("csr/p521.csr").as_bytes()), "csr.unsupported_key");
    assert_eq!(code(format!("{good}{good}").as_bytes()), "csr.not_one_request");
    assert_eq!(code(file("ca/ed25519.crt").as_bytes()), "csr.not_one_request");
    assert_eq!(code(&[0x30; 16 * 1024 + 1]), "csr.too_large");
    let longest = format!("{}{good}", "\n".repeat(exchange_core::pki::CSR_BYTES_MAX - good.len()));
    assert!(LeafKey::from_csr(longest.as_bytes()).is_ok());
    let error = LeafKey::from_csr(format!("\n{longest}").as_bytes()).unwrap_err();
    assert_eq!((error.code(), error.to_string().contains("16 KiB")), ("csr.too_large", true));
    assert_eq!(code(b"hello"), "csr.not_pem");
}

#[test]
fn any_changed_bit_of_a_request_is_noticed() {
    if !has_openssl() {
        return;
    }
    let der_path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cert-request.der");
    let made = Command::new("openssl")
        .args(["req", "-outform", "DER", "-in"])
        .arg(folder().join("csr/ed25519.csr"))
        .arg("-out")
        .arg(&der_path)
        .status();
    assert!(made.unwrap().success());
    let der = fs::read(der_path).unwrap();
    LeafKey::from_csr(&der).unwrap();
    for at in 0..der.len() {
        let mut bad = der.clone();
        bad[at] ^= 1;
        assert!(LeafKey::from_csr(&bad).is_err(), "byte {at}");
    }
}

#[test]
fn an_external_signer_cannot_slip_anything_in() {
    let rng = SystemRandom::new();
    let (ours, next) = (ca("ed25519"), ca("ed25519-next"));
    let key = CaKey::load(&file("ca/ed25519.key"), &ours, &rng).unwrap();
    let set = roles(&["os:reader"]);
    let finish = |signature: &[u8], with: &CaCert| {
        draft(&ours, &set, fresh()).finish(signature, with, SignerTrust::External).unwrap_err()
    };
    let mut signature = key.sign(&rng, draft(&ours, &set, fresh()).tbs()).unwrap();
    // Same issuer name, another key identifier.
    assert_eq!(finish(&signature, &next).code(), "issue.mismatch");
    assert_eq!(finish(&signature, &ca("p256")).code(), "issue.mismatch");
    assert_eq!(finish(&[], &ours).code(), "issue.bad_signature");
    signature[5] ^= 1;
    assert_eq!(finish(&signature, &ours).code(), "issue.bad_signature");
}

#[test]
fn keys_are_matched_to_the_certificate() {
    let rng = SystemRandom::new();
    let load = |key: &str, cert: &str| {
        let text = file(&format!("ca/{key}.key"));
        CaKey::load(&text, &ca(cert), &rng).map(|_| ()).map_err(|e| e.code())
    };
    for (cert, key) in PAIRS {
        load(key, cert).unwrap();
        let mine = ca(cert);
        let loaded = CaKey::load(&file(&format!("ca/{key}.key")), &mine, &rng).unwrap();
        assert_eq!(loaded.is_slow(), cert == "rsa2048", "{cert}");
        assert_eq!(format!("{loaded:?}"), format!("CaKey({:?}, redacted)", loaded.algorithm()));
        for (other, _) in PAIRS {
            if ca(other).public_key() != mine.public_key() {
                assert_eq!(load(key, other), Err("pki.key_mismatch"), "{key} {other}");
            }
        }
    }
    assert_eq!(load("p256.encrypted", "p256"), Err("pki.key_encrypted"));
    let text = |text: &str| CaKey::load(text, &ca("p256"), &rng).unwrap_err().code();
    assert_eq!(text("******"), "pki.redacted");
    assert_eq!(text(&file("ca/p256.crt")), "pki.no_private_key");
}

#[test]
fn a_ca_text_with_a_key_in_it_is_refused() {
    let both = file("ca/ed25519.crt") + &file("ca/ed25519.key");
    let refused = CaCert::parse(&both, UnixTime::from_secs(NOW)).unwrap_err();
    assert_eq!(refused.code(), "pki.key_in_certificate");
}

#[test]
fn certificates_are_judged_by_the_clock_given() {
    let ca = ca("ed25519");
    let key = CaKey::load(&file("ca/ed25519.key"), &ca, &SystemRandom::new()).unwrap();
    let issued = issue(&ca, &key, &roles(&["os:reader"]), fresh());
    assert_eq!(issued.ttl_secs(), 300);
    let read = ClientCertificate::parse(issued.cert_pem()).unwrap();
    let at = |secs| read.check_dates(UnixTime::from_secs(secs)).map_err(|e| e.code());
    assert_eq!(at(NOW - 61), Err("pki.certificate_not_yet_valid"));
    assert_eq!(at(NOW - 60), Ok(()));
    assert_eq!(at(NOW + 300), Ok(()));
    assert_eq!(at(NOW + 301), Err("pki.certificate_expired"));
    assert_eq!(read.not_before(), UnixTime::from_secs(NOW - 60));
    let left = |secs| read.remaining_secs(UnixTime::from_secs(secs));
    assert_eq!((left(NOW), left(NOW + 299), left(NOW + 301)), (300, 1, 0));
}

#[test]
fn a_certificate_tells_what_was_issued() {
    let ca = ca("ed25519");
    let key = CaKey::load(&file("ca/ed25519.key"), &ca, &SystemRandom::new()).unwrap();
    let issued = issue(&ca, &key, &roles(&["os:reader"]), fresh());
    let read = ClientCertificate::parse(issued.cert_pem()).unwrap();
    assert_eq!(read.fingerprint_sha256(), issued.fingerprint_sha256());
    assert_eq!(read.serial_hex(), issued.serial_hex());
    assert_eq!(issued.common_name().map(CommonName::as_str), Some("ana@example.org"));
    assert_eq!(read.issuer_key_id(), Some(hex(ca.subject_key_id().unwrap())));
    assert_eq!(read.chain_len(), 0);
    let chain = issued.cert_pem().to_owned() + &file("ca/ed25519.crt") + &file("ca/p256.crt");
    assert_eq!(ClientCertificate::parse(&chain).unwrap().chain_len(), 2);
    // A CA, and a server: neither is for clients alone.
    let other = |text: &str| ClientCertificate::parse(text).unwrap().is_client_auth_only();
    assert!(!other(&file("ca/ed25519.crt")) && !other(&file("tls/server.crt")));
}

#[test]
fn an_issuer_is_a_ca_of_that_name_with_that_key() {
    let ca = ca("ed25519");
    let key = CaKey::load(&file("ca/ed25519.key"), &ca, &SystemRandom::new()).unwrap();
    let issued = issue(&ca, &key, &roles(&["os:reader"]), fresh());
    let read = ClientCertificate::parse(issued.cert_pem()).unwrap();
    assert!(read.is_issued_by(&file("ca/ed25519.crt")));
    // Of these, one has another key, one has another name and one is no CA.
    for other in ["ed25519-next", "etcd", "not-a-ca"] {
        assert!(!read.is_issued_by(&file(&format!("ca/{other}.crt"))), "{other}");
    }
    assert!(read.is_issued_by(&(file("ca/etcd.crt") + &file("ca/ed25519.crt"))));
}

fn tls_identity(names: &[&str]) -> TlsIdentity {
    let names: Vec<San> = names.iter().map(|name| name.parse().unwrap()).collect();
    TlsIdentity::generate(&names, UnixTime::from_secs(NOW), &SystemRandom::new()).unwrap()
}

fn certificate_der(text: &str) -> CertificateDer<'static> {
    pem::blocks(text).unwrap()[0].der.to_vec().into()
}

#[test]
fn webpki_accepts_the_tls_pair_for_its_names() {
    let rng = SystemRandom::new();
    let now = WebpkiTime::since_unix_epoch(std::time::Duration::from_secs(NOW));
    let names = ["talos.example", "10.0.0.7", "fe80::1"];
    let first = tls_identity(&names[..1]);
    let wanted: Vec<San> = names.iter().map(|name| name.parse().unwrap()).collect();
    let renewed = first.renew(&wanted, UnixTime::from_secs(NOW), &rng).unwrap();
    let root = certificate_der(first.ca_cert_pem());
    let anchors = [anchor_from_trusted_cert(&root).unwrap()];
    let leaf_der = certificate_der(renewed.cert_pem());
    let leaf = EndEntityCert::try_from(&leaf_der).unwrap();
    let known = webpki::ALL_VERIFICATION_ALGS;
    let usage = KeyUsage::server_auth();
    leaf.verify_for_usage(known, &anchors, &[], now, usage, None, None).unwrap();
    for name in names {
        leaf.verify_is_valid_for_subject_name(&ServerName::try_from(name).unwrap()).unwrap();
    }
    let other = ServerName::try_from("other.example").unwrap();
    assert!(leaf.verify_is_valid_for_subject_name(&other).is_err());
    // The label and body that rustls' own reader of keys expects.
    let key = pem::blocks(renewed.key_pem().expose_str().unwrap()).unwrap();
    let key = PrivateKeyDer::try_from(key[0].der.to_vec()).unwrap();
    assert!(matches!(key, PrivateKeyDer::Sec1(_)));
}

#[test]
fn openssl_accepts_the_tls_pair_for_its_names() {
    if !has_openssl() {
        return;
    }
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let identity = tls_identity(&["talos.example", "10.0.0.7"]);
    let path = |name: &str| dir.join(format!("tls-{name}"));
    for (file, text) in identity.files() {
        fs::write(path(file.name()), text).unwrap();
    }
    let verify = |option: &str, name: &str| {
        Command::new("openssl")
            .args(["verify", "-x509_strict", "-attime", &NOW.to_string(), "-purpose", "sslserver"])
            .args([option, name, "-CAfile"])
            .arg(path("ca.crt"))
            .arg(path("server.crt"))
            .output()
            .unwrap()
    };
    let accepted = verify("-verify_hostname", "talos.example");
    assert!(accepted.status.success(), "{}", String::from_utf8_lossy(&accepted.stderr));
    assert!(verify("-verify_ip", "10.0.0.7").status.success());
    assert!(!verify("-verify_ip", "10.0.0.8").status.success());
    let mut key = Command::new("openssl");
    key.args(["ec", "-check", "-noout", "-in"]).arg(path("server.key"));
    assert!(key.output().unwrap().status.success());
}

/// Who comes from the Go original keeps the CA that clients have pinned.
#[test]
fn the_originals_tls_pair_loads_and_is_renewed() {
    let rng = SystemRandom::new();
    let now = UnixTime::from_secs(NOW);
    let [ca_cert, ca_key, cert, key] =
        ["ca.crt", "ca.key", "server.crt", "server.key"].map(|name| file(&format!("tls/{name}")));
    let old = TlsIdentity::parse(&ca_cert, &ca_key, &cert, &key, &rng).unwrap();
    let own: Vec<San> =
        ["localhost", "127.0.0.1", "::1"].iter().map(|name| name.parse().unwrap()).collect();
    assert_eq!(old.names(), own);
    assert_eq!(old.needs_renewal(now, &own), Renewal::Nothing);
    let wanted: Vec<San> = own.into_iter().chain(["10.0.0.7".parse().unwrap()]).collect();
    assert_eq!(old.needs_renewal(now, &wanted), Renewal::Certificate);
    let new = old.renew(&wanted, now, &rng).unwrap();
    assert_eq!(new.ca_cert_pem(), ca_cert);
    let root = certificate_der(&ca_cert);
    let anchors = [anchor_from_trusted_cert(&root).unwrap()];
    let leaf_der = certificate_der(new.cert_pem());
    let leaf = EndEntityCert::try_from(&leaf_der).unwrap();
    let at = WebpkiTime::since_unix_epoch(std::time::Duration::from_secs(NOW));
    let (known, usage) = (webpki::ALL_VERIFICATION_ALGS, KeyUsage::server_auth());
    leaf.verify_for_usage(known, &anchors, &[], at, usage, None, None).unwrap();
}

/// Files of a folder with that ending.
fn texts(folder_name: &str, ending: &str) -> Vec<String> {
    let entries = fs::read_dir(folder().join(folder_name)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|found| found == ending)).collect();
    paths.sort();
    paths.iter().map(|path| fs::read_to_string(path).unwrap()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Half-right input reaches deeper than noise: one base64 digit of a real file is another one.
    #[test]
    fn no_damage_panics(which: prop::sample::Index, at: prop::sample::Index, digit in "[A-Za-z0-9+/=]") {
        let now = UnixTime::from_secs(NOW);
        let damaged = |texts: Vec<String>| {
            let mut text = which.get(&texts).clone();
            let at = at.index(text.len());
            text.replace_range(at..=at, &digit);
            text
        };
        let cert = damaged(texts("ca", "crt"));
        if let Ok(ca) = CaCert::parse(&cert, now) {
            let serial = Entropy::new([0; 16]);
            let set = roles(&["os:reader"]);
            let _ = Draft::new(&ca, &set, None, Ttl::DEFAULT, now, fresh(), serial);
        }
        if let Ok(read) = ClientCertificate::parse(&cert) {
            let _ = read.matches_key(&file("ca/p256.key"));
            let _ = read.is_issued_by(&file("ca/p256.crt"));
        }
        if let Ok(key) = PrivateKey::parse_pem(&damaged(texts("ca", "key"))) {
            let _ = key.matches(ca("p256").public_key());
        }
        let request = damaged(texts("csr", "csr"));
        if let Ok(leaf) = LeafKey::from_csr(request.as_bytes()) {
            // The digit was the same one, or padding.
            let known: Vec<LeafKey> = texts("csr", "csr")
                .iter()
                .filter_map(|text| LeafKey::from_csr(text.as_bytes()).ok())
                .collect();
            prop_assert!(known.iter().any(|known| known.public() == leaf.public()));
        }
    }
}
