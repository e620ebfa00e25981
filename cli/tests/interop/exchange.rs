//! Tokens of the certified provider at our server, and its certificates before other servers.

use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::node::{GoNode, OpenSslNode, go_verifies};
use super::parts::{
    Ca, Credential, HS256_SECRET, Provider, RULES, SOON, Serve, openssl, openssl_verifies,
    secrets_of,
};
use super::process::{Folder, Tool, done, have};

pub(crate) const ED25519: &[&str] = &["-algorithm", "ed25519"];
const P256: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
const P384: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"];
const RSA: &[&str] = &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];

/// Alice's roles by the rules of these tests, in their order.
const ROLES: [&str; 3] = ["os:operator", "os:admin", "os:etcd:backup"];

/// A token signed with `alg` becomes a certificate of three roles, each an Organization of its
/// own, by a CA of the given kind, that everybody else accepts.
fn three_roles(alg: &str, ca: &[&str]) {
    if !have(&[Tool::Provider, Tool::Python, Tool::Curl, Tool::OpenSsl]) {
        return;
    }
    let folder = Folder::new();
    let flags = if alg == "HS256" { vec![] } else { vec!["--alg", alg] };
    let provider = Provider::start(&folder, &flags);
    let ca = Ca::make(&folder, ca);
    let (client, secret) =
        if alg == "HS256" { ("talosctl-hs256", HS256_SECRET) } else { ("talosctl", "") };
    let mut config = RULES.to_owned();
    if alg == "HS256" {
        folder.write("client.secret", HS256_SECRET);
        config = format!("client_secret_file: client.secret\n{config}");
    }
    let mut serve = Serve::start_for(client, &folder, &provider, &ca, &config);
    let tokens = provider.sign_in(&folder, "alice", client, secret);
    let id_token = tokens["id_token"].as_str().unwrap();
    assert_eq!(header(id_token)["alg"], alg);

    let credential = serve.certificate(&folder, id_token, "alice");
    openssl_verifies(&folder, &credential.ca, &credential.cert).unwrap();
    let subject = subject(&folder, &credential);
    assert_eq!(
        subject,
        ["O=os:operator", "O=os:admin", "O=os:etcd:backup", "CN=alice@example.com"]
    );
    let node = OpenSslNode::start(&folder, &ca);
    let page = node.greets(&folder, &credential).unwrap();
    assert!(page.contains("TLSv1.3") && page.contains("os:etcd:backup"), "{page}");
    if have(&[Tool::Go]) {
        let read = go_verifies(&folder, &credential).unwrap();
        assert_eq!(read["roles"], serde_json::json!(ROLES));
        assert_eq!(read["is_ca"], false);
        let node = GoNode::start(&folder, &ca);
        let seen = node.greets(&folder, &credential).unwrap();
        assert_eq!(seen["roles"], serde_json::json!(ROLES));
        assert_eq!(seen["common_name"], "alice@example.com");
    }
    assert_nothing_leaked(&folder, &mut serve, &[&credential]);
}

#[test]
fn rs256_token_and_ed25519_ca() {
    three_roles("RS256", ED25519);
}

#[test]
fn ps256_token_and_p256_ca() {
    three_roles("PS256", P256);
}

#[test]
fn es256_token_and_p384_ca() {
    three_roles("ES256", P384);
}

#[test]
fn eddsa_token_and_rsa_ca() {
    three_roles("EdDSA", RSA);
}

#[test]
fn hs256_token_of_a_confidential_client() {
    three_roles("HS256", ED25519);
}

#[test]
fn an_expired_certificate_is_refused_in_the_handshake() {
    if !have(&[Tool::Provider, Tool::Python, Tool::Curl, Tool::OpenSsl]) {
        return;
    }
    let folder = Folder::new();
    let provider = Provider::start(&folder, &["--alg", "ES256"]);
    let ca = Ca::make(&folder, ED25519);
    let openssl_node = OpenSslNode::start(&folder, &ca);
    let go_node = have(&[Tool::Go]).then(|| GoNode::start(&folder, &ca));
    let serve = Serve::start(&folder, &provider, &ca, &format!("cert_ttl: 9s\n{RULES}"));
    let id_token = provider.id_token(&folder, "bob");

    let credential = serve.certificate(&folder, &id_token, "bob");
    let end = SystemTime::now() + Duration::from_secs(10);
    openssl_node.greets(&folder, &credential).unwrap();
    if let Some(node) = &go_node {
        let seen = node.greets(&folder, &credential).unwrap();
        assert_eq!(seen["roles"], serde_json::json!(["os:etcd:backup", "os:reader"]));
    }
    sleep(end.duration_since(SystemTime::now()).unwrap_or_default());

    openssl_node.greets(&folder, &credential).unwrap_err();
    openssl_node.process.line_with("certificate has expired", SOON);
    if let Some(node) = &go_node {
        node.greets(&folder, &credential).unwrap_err();
        let why = node.refusal(1);
        assert!(why.contains("expired"), "{why}");
    }
    // The node itself is well: a new certificate gets in.
    let again = serve.certificate(&folder, &id_token, "again");
    openssl_node.greets(&folder, &again).unwrap();
}

#[test]
fn keys_of_the_provider_change_under_way() {
    if !have(&[Tool::Provider, Tool::Python, Tool::Curl, Tool::OpenSsl]) {
        return;
    }
    let folder = Folder::new();
    let mut before = Provider::start(&folder, &["--alg", "ES256"]);
    let ca = Ca::make(&folder, ED25519);
    let mut serve = Serve::start(&folder, &before, &ca, RULES);
    let old = before.id_token(&folder, "alice");
    let first = serve.certificate(&folder, &old, "first");

    // While the provider is away its keys are still good.
    let port = before.port().to_owned();
    before.process.terminate(SOON);
    let second = serve.certificate(&folder, &old, "second");

    let flags = ["--alg", "ES256", "--kid-suffix", "2", "--port", &port];
    let after = Provider::start(&folder, &flags);
    assert_eq!(after.issuer, before.issuer);
    let new = after.id_token(&folder, "alice");
    assert_ne!(header(&old)["kid"], header(&new)["kid"]);
    let third = serve.certificate(&folder, &new, "third");
    // The key that signed the old token is gone, and the token with it.
    let (status, answer) = serve.exchange(&folder, &old);
    assert_eq!((status, &answer["code"]), (401, &"token.invalid".into()), "{answer}");
    assert_nothing_leaked(&folder, &mut serve, &[&first, &second, &third]);
}

#[test]
fn what_is_wrong_is_refused_with_a_code_and_advice() {
    if !have(&[Tool::Provider, Tool::Python, Tool::Curl, Tool::OpenSsl]) {
        return;
    }
    let folder = Folder::new();
    let provider = Provider::start(&folder, &["--alg", "ES256", "--id-ttl", "1"]);
    let ca = Ca::make(&folder, ED25519);
    let config = format!("clock_skew: 0s\n{RULES}");
    let mut serve = Serve::start(&folder, &provider, &ca, &config);
    let other_client = provider.sign_in(&folder, "alice", "talosctl-hs256", HS256_SECRET);
    let stale = provider.id_token(&folder, "alice");
    sleep(Duration::from_secs(2));
    let exp = payload(&stale)["exp"].as_u64().unwrap();
    assert!(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() >= exp);
    let mut forged = stale.clone();
    forged.truncate(forged.rfind('.').unwrap() + 1);
    let tokens = [
        (stale.as_str(), 401, "token.expired"),
        (other_client["id_token"].as_str().unwrap(), 401, "token.invalid"),
        (other_client["access_token"].as_str().unwrap(), 401, "token.invalid"),
        (&forged, 401, "token.invalid"),
    ];
    for (token, status, code) in tokens {
        let (got, answer) = serve.exchange(&folder, token);
        assert_eq!((got, answer["code"].as_str()), (status, Some(code)), "{answer}");
        assert!(answer["error"].as_str().is_some_and(|said| said.contains(' ')), "{answer}");
        assert!(answer["hint"].as_str().is_some_and(|said| said.contains(' ')), "{answer}");
    }
    let huge = vec![b'a'; 70_000];
    let bodies: [(&[u8], u16); 5] =
        [(b"", 400), (b"{", 400), (b"{}", 400), (b"\xff\xfe\x00", 400), (&huge, 413)];
    for (body, status) in bodies {
        let (got, answer) = serve.ask(&folder, "/exchange", Some(body));
        assert_eq!(got, status, "{answer}");
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert!(answer["code"].is_string() && answer["hint"].is_string(), "{answer}");
    }
    assert_eq!(serve.ask(&folder, "/exchange", None).0, 405);
    assert_eq!(serve.ask(&folder, "/admin/stats", None).0, 401);
    assert_eq!(serve.ask(&folder, "/healthz", None), (200, "ok".to_owned()));
    assert_eq!(serve.ask(&folder, "/readyz", None).0, 200);
    assert_nothing_leaked(&folder, &mut serve, &[]);
}

#[test]
fn somebody_without_a_role_gets_nothing() {
    if !have(&[Tool::Provider, Tool::Python, Tool::Curl, Tool::OpenSsl]) {
        return;
    }
    let folder = Folder::new();
    let provider = Provider::start(&folder, &[]);
    let ca = Ca::make(&folder, ED25519);
    let mut serve = Serve::start(&folder, &provider, &ca, RULES);
    let (status, answer) = serve.exchange(&folder, &provider.id_token(&folder, "carol"));
    assert_eq!((status, &answer["code"]), (403, &"rbac.no_role".into()), "{answer}");
    assert_nothing_leaked(&folder, &mut serve, &[]);
}

/// Ends the server, then looks for secrets in all it printed and in its audit log.
fn assert_nothing_leaked(folder: &Folder, serve: &mut Serve, issued: &[&Credential]) {
    let asked = Instant::now();
    assert!(serve.process.terminate(SOON).success());
    // With nothing under way it does not wait out the ten seconds that others would have.
    assert!(asked.elapsed() < Duration::from_secs(10), "took {:?} to end", asked.elapsed());
    let secrets = secrets_of(folder, issued);
    // At least code, verifier and tokens of one login, and the keys of CA, TLS and certificates.
    assert!(secrets.count() > 6 + issued.len(), "{}", secrets.count());
    let printed = serve.process.printed();
    assert!(printed.contains("[DEBUG]"), "not at debug level");
    secrets.assert_absent("serve", &printed);
    secrets.assert_absent("the audit log", &folder.read("audit.log"));
}

/// The names in the subject, in the order of the certificate.
fn subject(folder: &Folder, credential: &Credential) -> Vec<String> {
    let mut x509 = openssl(folder);
    x509.args(["x509", "-noout", "-subject", "-nameopt", "sep_multiline,utf8", "-in"]);
    let printed = done(x509.arg(&credential.cert));
    printed.lines().skip(1).map(|line| line.trim().to_owned()).collect()
}

fn header(token: &str) -> Value {
    part(token, 0)
}

fn payload(token: &str) -> Value {
    part(token, 1)
}

fn part(token: &str, n: usize) -> Value {
    use base64::Engine as _;
    let part = token.split('.').nth(n).unwrap();
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}
