//! What `doctor` finds: each ill by its name, with what to do.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::machine::{Home, ended};
use crate::stub::Stub;
use crate::tls::serve_with;

/// A diagnosis.
#[derive(Debug)]
struct Seen {
    code: Option<i32>,
    value: Value,
}

impl Seen {
    /// The finding of that code.
    fn finding(&self, code: &str) -> &Value {
        let checks = self.value["checks"].as_array().unwrap();
        let found = checks.iter().find(|check| check["code"] == code);
        found.unwrap_or_else(|| panic!("no {code} in {:#}", self.value))
    }

    /// Holds that this was found and ended so, with something to do about it.
    fn says(&self, check: &str, level: &str, code: &str, exit: i32) -> &str {
        let finding = self.finding(code);
        assert_eq!(
            (&finding["check"], &finding["level"]),
            (&check.into(), &level.into()),
            "{self:?}"
        );
        assert!(finding["fix"].as_str().is_some_and(|fix| fix.len() > 8), "{finding}");
        assert_eq!(self.code, Some(exit), "{self:?}");
        let manual = include_str!("../../../docs/client.md");
        assert!(manual.contains(&format!("`{code}`")), "{code} is not in the manual");
        finding["message"].as_str().unwrap()
    }
}

fn diagnose(mut command: Command) -> Seen {
    let ended = ended(command.output().unwrap());
    let value = serde_json::from_str(&ended.out).unwrap_or_else(|_| panic!("{ended:?}"));
    Seen { code: ended.code, value }
}

fn command(home: &Home, stub: &Stub, more: &[&str]) -> Command {
    let mut args = vec!["doctor", &stub.url, "--insecure", "--skip-open-browser", "-o", "json"];
    args.extend(["--token-store", "file", "--callback-port", "0"]);
    args.extend(more);
    home.command(&args)
}

fn doctor(home: &Home, stub: &Stub, more: &[&str]) -> Seen {
    diagnose(command(home, stub, more))
}

/// All files of a folder with what is in them.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        if entry.path().is_dir() {
            all.extend(files(&entry.path()));
        }
        all.insert(entry.path(), fs::read(entry.path()).unwrap_or_default());
    }
    all
}

#[test]
fn a_sound_login_has_nothing_to_do_and_nothing_changes() {
    let (home, stub) = (Home::new(), Stub::start());
    let empty = doctor(&home, &stub, &[]);
    assert_eq!(empty.code, Some(0), "{empty:?}");
    assert_eq!(empty.finding("tokens.absent")["level"], "note");
    assert_eq!(fs::read_dir(&home.path).unwrap().count(), 0, "looking leaves no trace");

    assert_eq!(home.log_in(&stub, &[]).code, Some(0));
    let before = files(&home.path);
    stub.state().seen.clear();
    let seen = doctor(&home, &stub, &[]);
    assert_eq!(
        (seen.code, &seen.value["errors"], &seen.value["warnings"]),
        (Some(0), &0.into(), &0.into()),
        "{seen:?}"
    );
    let checks = seen.value["checks"].as_array().unwrap();
    for name in [
        "talosconfig",
        "context",
        "tokens",
        "callback",
        "server",
        "readiness",
        "agreement",
        "provider",
        "keys",
        "clock",
        "capabilities",
        "redirect",
    ] {
        assert!(
            checks.iter().any(|check| check["check"] == name && check["level"] == "ok"),
            "{name}"
        );
    }
    assert!(before == files(&home.path), "it changes nothing");
    let asked = stub.state().seen.clone();
    assert!(!asked.iter().any(|seen| seen.starts_with("token") || seen == "exchange"), "{asked:?}");
    for secret in &stub.state().secrets {
        assert!(!seen.value.to_string().contains(secret.as_str()));
    }

    // The server is that of the login. Results are for people unless a format is named.
    let args = ["doctor", "--insecure", "--token-store", "file", "--callback-port", "0"];
    let run = |more: &[&str]| home.run(&[&args[..], &["--skip-open-browser"], more].concat());
    let text = run(&[]);
    assert_eq!(text.code, Some(0), "{text:?}");
    assert!(text.out.contains("\nok      provider     "), "{text:?}");
    assert!(text.out.ends_with("\n0 error(s), 0 warning(s)\n"), "{text:?}");
    let quiet = run(&["--quiet"]);
    assert_eq!((quiet.code, quiet.out.as_str()), (Some(0), ""), "{quiet:?}");
    let yaml = run(&["-o", "yaml"]);
    assert!(yaml.out.contains("\nerrors: 0\nwarnings: 0\n"), "{yaml:?}");
}

#[test]
fn who_is_not_there_or_somebody_else() {
    let (home, stub) = (Home::new(), Stub::start());
    let gone = "http://127.0.0.1:1";
    let seen = diagnose(home.command(&["doctor", gone, "--insecure", "-o", "json"]));
    seen.says("server", "error", "fetch.connect", 4);
    let seen = doctor(&home, &stub, &["--provider", gone]);
    // What is said first decides about the exit code: the server takes tokens of another one.
    seen.says("agreement", "error", "server.other_issuer", 2);
    seen.says("provider", "error", "fetch.connect", 2);
    let seen = doctor(&home, &stub, &["--client-id", "other"]);
    assert!(seen.says("agreement", "error", "server.other_client_id", 2).contains("\"cli\""));

    let slash = format!("{}/", stub.url);
    let seen = doctor(&home, &stub, &["--provider", &slash]);
    assert!(seen.says("agreement", "error", "server.other_issuer", 2).contains("last slash"));
    seen.says("provider", "error", "discovery.issuer_mismatch", 2);
    let seen = doctor(&home, &stub, &["--provider", &format!("{}/realm", stub.url)]);
    seen.says("provider", "error", "discovery.status", 2);

    stub.state().provider_is_down = true;
    let args = ["doctor", &stub.url, "--insecure", "-o", "json", "--callback-port", "0"];
    diagnose(home.command(&args)).says("provider", "error", "fetch.protocol", 4);
    let seen = diagnose(home.command(&["doctor", &stub.url, "-o", "json"]));
    seen.says("server", "error", "config.invalid", 2);
    diagnose(home.command(&["doctor", "-o", "json"])).says("flags", "error", "usage.missing", 1);
}

#[test]
fn a_peer_that_never_answers_is_given_up() {
    let home = Home::new();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let start = Instant::now();
    let seen = diagnose(home.command(&["doctor", &url, "--insecure", "-o", "json"]));
    seen.says("server", "error", "fetch.timeout", 4);
    assert!(start.elapsed() < Duration::from_secs(50), "{:?}", start.elapsed());
}

#[test]
fn clocks_are_compared() {
    let (home, stub) = (Home::new(), Stub::start());
    stub.state().date_off = Some(300);
    let seen = doctor(&home, &stub, &[]);
    assert!(seen.says("clock", "error", "clock.skew", 2).contains(" s behind the server's"));
    stub.state().date_off = Some(-300);
    assert!(doctor(&home, &stub, &[]).says("clock", "error", "clock.skew", 2).contains("ahead of"));
    stub.state().date_off = Some(30);
    doctor(&home, &stub, &[]).says("clock", "warning", "clock.skew", 0);
    stub.state().date_off = None;
    let seen = doctor(&home, &stub, &[]);
    assert!(!seen.value.to_string().contains("clock"), "without a Date nothing is known");
}

#[test]
fn the_provider_must_know_this_client() {
    let (home, stub) = (Home::new(), Stub::start());
    stub.state().refuses_redirect = true;
    let seen = doctor(&home, &stub, &[]);
    seen.says("redirect", "error", "redirect.refused", 5);
    let fix = seen.finding("redirect.refused")["fix"].as_str().unwrap().to_owned();
    assert!(fix.contains("http://127.0.0.1:") && fix.contains("/callback"), "{fix}");
    stub.state().refuses_redirect = false;
    stub.state().denies = Some("unauthorized_client");
    doctor(&home, &stub, &[]).says("redirect", "error", "redirect.client_refused", 5);
    stub.state().denies = None;

    let metadata = serde_json::json!({
        "scopes_supported": ["openid", "email"], "grant_types_supported": ["authorization_code"],
        "code_challenge_methods_supported": ["plain"],
        "id_token_signing_alg_values_supported": ["ES512"],
    });
    stub.state().metadata = metadata.as_object().unwrap().clone();
    let seen = doctor(&home, &stub, &["--device-code"]);
    for code in [
        "provider.no_offline_access",
        "provider.no_refresh",
        "provider.no_pkce",
        "provider.no_usable_algorithm",
        "provider.no_device_flow",
    ] {
        seen.says("capabilities", "warning", code, 0);
    }
    let seen = doctor(&home, &stub, &["--scopes", "openid"]);
    seen.says("capabilities", "warning", "scopes.no_offline_access", 0);
}

#[test]
fn a_busy_port_is_named() {
    let (home, stub) = (Home::new(), Stub::start());
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = busy.local_addr().unwrap().port().to_string();
    let base = ["doctor", &stub.url, "--insecure", "-o", "json", "--callback-port", &port];
    let seen = diagnose(home.command(&base));
    assert!(seen.says("callback", "error", "login.listen_failed", 2).contains(&port));
    let two = diagnose(home.command(&[&base[..], &["--callback-port", "0"]].concat()));
    assert_eq!((two.code, &two.finding("callback.other_port")["level"]), (Some(0), &"note".into()));
}

#[test]
fn contexts_that_do_not_work_are_told_apart() {
    let (home, stub) = (Home::new(), Stub::start());
    assert_eq!(home.log_in(&stub, &[]).code, Some(0));
    let whole = fs::read_to_string(home.talosconfig()).unwrap();
    let line = |text: &str, key: &str| -> String {
        text.lines().find(|line| line.trim().starts_with(key)).unwrap().to_owned()
    };
    let with = |key: &str, new: &str| {
        fs::write(home.talosconfig(), whole.replace(&line(&whole, key), new)).unwrap();
        doctor(&home, &stub, &[])
    };
    let seen = with("key:", "");
    assert!(seen.says("context", "error", "context.incomplete", 2).contains("key missing"));
    with("crt:", "        crt: \"!\"").says("context", "error", "talosconfig.base64", 2);

    assert_eq!(home.log_in(&stub, &["--force"]).code, Some(0));
    let other = fs::read_to_string(home.talosconfig()).unwrap();
    with("key:", &line(&other, "key:")).says("context", "error", "context.key_mismatch", 2);
    let crt = line(&whole, "crt:").replace("crt:", "ca:");
    with("ca:", &crt).says("context", "error", "context.ca_mismatch", 2);
    // Nodes may show another authority than the one that signs for clients.
    let other = concat!(env!("CARGO_MANIFEST_DIR"), "/../vectors/cert/ca/p256.crt");
    let encoded = STANDARD.encode(fs::read_to_string(other).unwrap().trim());
    let ca = format!("        ca: {encoded}");
    let seen = with("ca:", &ca);
    assert_eq!((seen.code, &seen.finding("context.other_ca")["level"]), (Some(0), &"note".into()));
    let seen = home.run(&["status", "--check", "-o", "json"]);
    assert_eq!(seen.code, Some(0), "{seen:?}");
    assert!(seen.out.contains("\"issued_by_ca\": false"), "{seen:?}");
    let endpoints = "            - 10.0.0.1\n            - 10.0.0.2\n";
    assert!(whole.contains(endpoints), "{whole}");
    let bare = whole.replace("endpoints:\n", "endpoints: []\n").replace(endpoints, "");
    fs::write(home.talosconfig(), bare).unwrap();
    doctor(&home, &stub, &[]).says("context", "error", "context.no_endpoints", 2);

    stub.state().cert_secs = 1;
    assert_eq!(home.log_in(&stub, &["--force"]).code, Some(0));
    std::thread::sleep(Duration::from_secs(3));
    doctor(&home, &stub, &[]).says("context", "warning", "context.expired", 0);
}

#[test]
fn files_that_are_not_as_they_should_be() {
    let (home, stub) = (Home::new(), Stub::start());
    assert_eq!(home.log_in(&stub, &[]).code, Some(0));
    fs::set_permissions(home.talosconfig(), fs::Permissions::from_mode(0o644)).unwrap();
    doctor(&home, &stub, &[]).says("talosconfig", "warning", "talosconfig.open_to_others", 0);
    fs::set_permissions(home.talosconfig(), fs::Permissions::from_mode(0o600)).unwrap();

    let mut there = command(&home, &stub, &[]);
    there.env("TALOSCONFIG", "/absent/talosconfig");
    let seen = diagnose(there);
    assert!(seen.says("talosconfig", "warning", "talosconfig.elsewhere", 0).contains("/absent"));
    let seen = doctor(&home, &stub, &["--talosconfig", "~/other"]);
    assert!(
        seen.says("talosconfig", "warning", "talosconfig.elsewhere", 0).contains("talosctl reads")
    );

    let tokens = fs::read_to_string(home.tokens()).unwrap();
    let start = tokens.find("\"refresh_token\":\"").unwrap() + 17;
    let end = start + tokens[start..].find('"').unwrap();
    fs::write(home.tokens(), [&tokens[..start], &tokens[end..]].concat()).unwrap();
    doctor(&home, &stub, &[]).says("tokens", "warning", "tokens.no_refresh_token", 0);
    fs::write(home.tokens(), &tokens).unwrap();
    let other = doctor(&home, &stub, &["--scopes", "openid,offline_access"]);
    other.says("tokens", "warning", "tokens.other_login", 0);
    fs::set_permissions(home.tokens(), fs::Permissions::from_mode(0o644)).unwrap();
    doctor(&home, &stub, &[]).says("tokens", "warning", "file.unsafe_permissions", 0);
    fs::set_permissions(home.tokens(), fs::Permissions::from_mode(0o622)).unwrap();
    doctor(&home, &stub, &[]).says("tokens", "error", "file.unsafe_permissions", 2);
    fs::set_permissions(home.tokens(), fs::Permissions::from_mode(0o600)).unwrap();

    home.write(&home.talosconfig(), "machine:\n  type: worker\n");
    let seen = doctor(&home, &stub, &[]);
    seen.says("talosconfig", "error", "talosconfig.not_a_talosconfig", 2);
    home.write(&home.talosconfig(), "contexts: [\n");
    doctor(&home, &stub, &[]).says("talosconfig", "error", "talosconfig.yaml", 2);
    fs::remove_dir_all(home.file(".talos")).unwrap();
    home.write(&home.file(".talos"), "a file where a folder should be");
    doctor(&home, &stub, &[]).says("talosconfig", "error", "file.not_writable", 2);
    let seen = doctor(&home, &stub, &["--server-ca", "/absent"]);
    seen.says("flags", "error", "file.not_found", 2);
}

#[test]
fn proxies_and_given_tokens_are_looked_at() {
    let (home, stub) = (Home::new(), Stub::start());
    let mut behind = home.command(&["doctor", "https://oidc.example", "-o", "json"]);
    behind.env("HTTPS_PROXY", "http://someone:hidden@127.0.0.1:1");
    let seen = diagnose(behind);
    seen.says("server", "error", "fetch.proxy", 4);
    let note = seen.finding("proxy.in_use")["message"].as_str().unwrap().to_owned();
    assert!(note.contains("127.0.0.1:1") && !seen.value.to_string().contains("hidden"), "{note}");
    let mut wrong = home.command(&["doctor", "https://oidc.example", "-o", "json"]);
    wrong.env("HTTPS_PROXY", "socks5://127.0.0.1:1");
    diagnose(wrong).says("proxy", "error", "proxy.unusable", 2);

    stub.state().token_secs = 0;
    let token = stub.id_token();
    let seen = doctor(&home, &stub, &["--id-token", &token]);
    seen.says("token", "error", "token.expired", 5);
    assert!(!seen.value.to_string().contains(&token));
    // Nobody logs in with it, so that is not looked at.
    let checks = seen.value["checks"].as_array().unwrap();
    for person in ["tokens", "browser", "callback", "capabilities", "redirect"] {
        assert!(checks.iter().all(|check| check["check"] != person), "{person}: {seen:?}");
    }
}

#[test]
fn certificates_of_a_server_that_do_not_fit() {
    let (home, stub) = (Home::new(), Stub::start());
    let server = serve_with(&home, &stub.url, "");
    let ca = server.ca.to_str().unwrap().to_owned();
    let with = |url: &str, ca: &[&str]| {
        let args = ["doctor", url, "-o", "json", "--callback-port", "0", "--token-store", "none"];
        home.command(&[&args[..], ca].concat())
    };
    let seen = diagnose(with(&server.url, &[]));
    let message = seen.says("server", "error", "fetch.untrusted_certificate", 4);
    assert!(message.contains("trusted authority"), "{message}");
    let right = diagnose(with(&server.url, &["--server-ca", &ca]));
    assert_eq!(right.code, Some(0), "{right:?}");
    assert!(right.value.to_string().contains("\"clock\""), "the server dates its answers");
    match crate::at_length::faketime() {
        Some(library) => {
            let mut late = with(&server.url, &["--server-ca", &ca]);
            late.env("LD_PRELOAD", library)
                .env("FAKETIME", "+5000d")
                .env("DONT_FAKE_MONOTONIC", "1");
            diagnose(late).says("server", "error", "fetch.expired_certificate", 4);
        }
        None => eprintln!("skipped: libfaketime is not installed"),
    }

    let (cert, key) = (home.file("other.crt"), home.file("other.key"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-subj", "/CN=other", "-addext", "subjectAltName=DNS:other.example"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-days", "2"])
        .arg("-out")
        .arg(&cert)
        .arg("-keyout")
        .arg(&key)
        .output();
    if !made.is_ok_and(|made| made.status.success()) {
        eprintln!("skipped: openssl is not installed");
        return;
    }
    let second = Home::new();
    let more = format!("tls_cert: {}\ntls_key: {}\n", cert.display(), key.display());
    let server = serve_with(&second, &stub.url, &more);
    let seen = diagnose(with(&server.url, &["--server-ca", cert.to_str().unwrap()]));
    seen.says("server", "error", "fetch.wrong_name", 4);
}

#[test]
fn a_server_that_is_not_ready_says_why() {
    let home = Home::new();
    let server = serve_with(&home, "http://127.0.0.1:1", "");
    let ca = server.ca.to_str().unwrap();
    let args = ["doctor", &server.url, "--server-ca", ca, "-o", "json", "--callback-port", "0"];
    let seen = diagnose(home.command(&args));
    let message = seen.says("readiness", "error", "server.not_ready", 4);
    assert!(message.contains("keys.") || message.contains("fetch.connect"), "{message}");
    seen.says("provider", "error", "fetch.connect", 4);
}
