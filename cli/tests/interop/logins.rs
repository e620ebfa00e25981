//! The whole way: `login` with a scripted browser at the certified provider, the exchange, the
//! talosconfig, and a node that lets the certificate in.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::desk::{BEFORE, Desk, TOOLS, certificate, tokens_in, without_browser};
use super::node::{GoNode, OpenSslNode};
use super::parts::{HS256_SECRET, SOON, openssl_verifies};
use super::process::{Process, Tool, clean, done, have, programs, run, text};
use super::secrets::Secrets;

#[test]
fn there_and_back() {
    if !have(TOOLS) {
        return;
    }
    // The provider gives refresh tokens only as OpenID Connect Core 1.0 section 11 demands.
    let mut desk = Desk::new(&["--alg", "ES256", "--strict-offline"], "talosctl", "");
    fs::write(desk.config(), BEFORE).unwrap();
    fs::set_permissions(desk.config(), fs::Permissions::from_mode(0o644)).unwrap();

    // In the browser.
    let mut login = desk.login("alice", &["--auth-param", "prompt=consent"]);
    desk.done(&mut login);
    let written = desk.folder.read("talosconfig");
    assert!(written.contains("# mine\n") && written.contains("    home: # keep\n"), "{written}");
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(desk.config()), 0o644, "what is there keeps its mode");
    assert_eq!(mode(desk.tokens()), 0o600);
    let steps = desk.folder.read("browser.log");
    assert!(steps.contains("/interaction/") && steps.contains("/callback"), "{steps}");
    let credential = desk.credential();
    openssl_verifies(&desk.folder, &credential.ca, &credential.cert).unwrap();
    let node = OpenSslNode::start(&desk.folder, &desk.ca);
    node.greets(&desk.folder, &credential).unwrap();
    if have(&[Tool::Go]) {
        let node = GoNode::start(&desk.folder, &desk.ca);
        let seen = node.greets(&desk.folder, &credential).unwrap();
        assert_eq!(seen["roles"], serde_json::json!(["os:operator", "os:admin", "os:etcd:backup"]));
    }

    // Nothing to do: neither browser nor server is asked.
    let again = desk.login("alice", &["--non-interactive"]);
    let mut again = without_browser(again);
    desk.done(&mut again);
    assert_eq!(desk.folder.read("talosconfig"), written);

    // With the token of before.
    let mut forced = without_browser(desk.login("alice", &["--force", "--non-interactive"]));
    desk.done(&mut forced);
    let renewed = certificate(&desk.folder.read("talosconfig"));
    assert_ne!(renewed.serial_hex(), certificate(&written).serial_hex());
    desk.credential();
    assert_eq!(desk.folder.read("browser.log"), steps, "no second visit");

    let mut status = desk.command(&["status", "--check", "--output", "json"]);
    let output = run(&mut status);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["usable"], true, "{said}");
    assert_eq!(said["talosconfig"]["certificate"]["common_name"], "alice@example.com");
    assert_eq!(said["token"]["refresh"], true);
    desk.printed.push_str(&text(&output.stdout));
    let mut status = desk.command(&["status"]);
    desk.done(&mut status);

    let kept: Value = serde_json::from_str(&fs::read_to_string(desk.tokens()).unwrap()).unwrap();
    let mut before = Secrets::default();
    tokens_in(&kept, &mut before);
    assert!(before.count() >= 2, "ID and refresh token");
    let mut logout = desk.command(&["logout", "--revoke"]);
    desk.done(&mut logout);
    // All is as before, but that no context is the current one.
    let left = BEFORE.replace("context: home", "context: \"\"");
    assert_eq!(desk.folder.read("talosconfig").trim_end(), left.trim_end());
    let mut status = desk.command(&["status", "--check"]);
    assert_eq!(desk.run(&mut status).0, 2, "nothing is usable");
    let left = fs::read_to_string(desk.tokens()).unwrap_or("{}".into());
    before.assert_absent("the token file", &left);
    let mut gone = without_browser(desk.login("alice", &["--non-interactive"]));
    assert_eq!(desk.run(&mut gone).0, 5, "nobody is logged in");
    desk.assert_nothing_leaked();
}

#[test]
fn an_ended_token_is_refreshed_without_a_browser() {
    if !have(TOOLS) {
        return;
    }
    let mut desk = Desk::new(&["--alg", "PS256", "--id-ttl", "6"], "talosctl", "clock_skew: 1s\n");
    let mut login = desk.login("bob", &[]);
    desk.done(&mut login);
    let steps = desk.folder.read("browser.log");
    let mut serials = vec![certificate(&desk.folder.read("talosconfig")).serial_hex().to_owned()];
    for _ in 0..2 {
        sleep(Duration::from_secs(8));
        let mut forced = without_browser(desk.login("bob", &["--force", "--non-interactive"]));
        let said = desk.done(&mut forced);
        assert!(said.contains("Refreshing"), "{said}");
        serials.push(certificate(&desk.folder.read("talosconfig")).serial_hex().to_owned());
        desk.credential();
    }
    serials.dedup();
    assert_eq!(serials.len(), 3, "refresh tokens rotate, and the new one is kept");
    assert_eq!(desk.folder.read("browser.log"), steps);
    desk.assert_nothing_leaked();
}

#[test]
fn confidential_clients() {
    if !have(TOOLS) {
        return;
    }
    for (client, secret) in [
        ("talosctl-secret", "a confidential client, :%+ and all of it"),
        ("talosctl-hs256", HS256_SECRET),
    ] {
        let config = if client == "talosctl-hs256" {
            format!("client_secret: {secret}\n")
        } else {
            String::new()
        };
        let mut desk = Desk::new(&["--alg", "RS256"], client, &config);
        let file = desk.folder.write("secret", format!("{secret}\n"));
        let mut login = desk.login("alice", &["--client-secret-file", file.to_str().unwrap()]);
        desk.done(&mut login);
        assert_eq!(certificate(&desk.folder.read("talosconfig")).roles().len(), 3);
        desk.credential();
        // The provider ends the login for nobody but this client.
        let mut logout = desk.command(&["logout", "--revoke"]);
        logout.args(["--client-secret-file", file.to_str().unwrap()]);
        let output = run(&mut logout);
        let (said, why) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success() && said.contains("revoked at the provider"), "{said}{why}");
        desk.assert_nothing_leaked();
    }
}

#[test]
fn a_code_on_another_device() {
    if !have(TOOLS) {
        return;
    }
    let mut desk = Desk::new(&["--alg", "ES256"], "talosctl", "");
    let mut login = without_browser(desk.login("alice", &["--device-code"]));
    let mut waiting = Process::start("login --device-code", &mut login);
    let page = waiting.line_with("user_code=", SOON);
    let mut other = clean(programs().join("browser.py"), &desk.folder);
    done(other.arg(page.trim()).env("INTEROP_ACCOUNT", "bob"));
    assert!(waiting.ended(SOON).success(), "{}", waiting.printed());
    desk.printed.push_str(&waiting.printed());
    let got = certificate(&desk.folder.read("talosconfig"));
    assert_eq!(got.common_name(), Some("bob@example.com"), "who said yes, not who asked");
    desk.credential();
    desk.assert_nothing_leaked();
}

#[test]
fn refused_logins_leave_the_talosconfig_alone() {
    if !have(TOOLS) {
        return;
    }
    let mut desk = Desk::new(&["--alg", "ES256"], "talosctl", "");
    fs::write(desk.config(), BEFORE).unwrap();
    let mut denied = desk.login("alice", &[]);
    let (code, said) = desk.run(denied.env("INTEROP_DENY", "1"));
    assert_eq!(code, 5, "{said}");
    assert!(said.contains("access_denied") || said.contains("denied"), "{said}");
    // The provider knows carol, no rule does.
    let mut nobody = desk.login("carol", &[]);
    let (code, said) = desk.run(&mut nobody);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("rbac.no_role"), "{said}");
    assert_eq!(desk.folder.read("talosconfig"), BEFORE);
    // Another authority than the server's own.
    let wrong = desk.ca.cert.clone();
    let mut stranger = desk.login("alice", &["--force"]);
    stranger.arg("--server-ca").arg(wrong);
    let (code, said) = desk.run(&mut stranger);
    assert_ne!(code, 0, "{said}");
    assert_eq!(desk.folder.read("talosconfig"), BEFORE);
    desk.assert_nothing_leaked();
}

#[test]
fn watch_renews_in_time_and_ends_in_order() {
    if !have(TOOLS) {
        return;
    }
    let mut desk = Desk::new(
        &["--alg", "ES256", "--id-ttl", "6"],
        "talosctl",
        "cert_ttl: 12s\nclock_skew: 1s\n",
    );
    let mut watch = Process::start("login --watch", &mut desk.login("bob", &["--watch"]));
    watch.line_with("Next renewal at", SOON);
    let steps = desk.folder.read("browser.log");
    let start = Instant::now();
    let mut serials: Vec<String> = Vec::new();
    while serials.len() < 4 {
        assert!(start.elapsed() < Duration::from_secs(90), "{}", watch.printed());
        let now = certificate(&desk.folder.read("talosconfig"));
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        assert!(now.not_after().secs() > wall, "ended before it was renewed:\n{}", watch.printed());
        if !serials.iter().any(|serial| serial == now.serial_hex()) {
            serials.push(now.serial_hex().to_owned());
            desk.credential();
        }
        sleep(Duration::from_millis(100));
    }
    assert_eq!(watch.terminate(SOON).code(), Some(0), "{}", watch.printed());
    assert_eq!(desk.folder.read("browser.log"), steps, "no second visit");
    desk.printed.push_str(&watch.printed());
    desk.assert_nothing_leaked();
}

#[test]
fn a_killed_login_leaves_the_old_talosconfig_or_the_new() {
    if !have(TOOLS) {
        return;
    }
    let mut desk = Desk::new(&["--alg", "ES256"], "talosctl", "");
    fs::write(desk.config(), BEFORE).unwrap();
    let whole = Instant::now();
    let mut login = desk.login("alice", &[]);
    desk.done(&mut login);
    let login_millis = u64::try_from(whole.elapsed().as_millis()).unwrap();
    let forced = Instant::now();
    let mut login = desk.login("alice", &["--force"]);
    desk.done(&mut login);
    let forced_millis = u64::try_from(forced.elapsed().as_millis()).unwrap();

    let mut old = desk.folder.read("talosconfig");
    let (mut kept, mut written) = (0, 0);
    for round in 0..30_u64 {
        // With a stored login the write is near the end; without it the browser comes first.
        let fresh = round % 6 == 0;
        if fresh {
            fs::remove_file(desk.tokens()).unwrap();
        }
        let span = if fresh { login_millis } else { forced_millis };
        let mut login = Process::start("login", &mut desk.login("alice", &["--force"]));
        sleep(Duration::from_millis(span * (round % 10 + 1) / 10));
        login.kill();
        desk.printed.push_str(&login.printed());
        let now = desk.folder.read("talosconfig");
        if now == old {
            kept += 1;
        } else {
            written += 1;
            certificate(&now);
            assert!(now.contains("    home: # keep\n"), "{now}");
        }
        old = now;
        if !desk.tokens().exists() {
            let mut login = desk.login("alice", &[]);
            login.arg("--force");
            desk.done(&mut login);
            old = desk.folder.read("talosconfig");
        }
    }
    println!("{kept} times the old one, {written} times the new one");
    assert!(kept > 0, "no login was killed before it wrote");
    // Whatever was left behind by the dead does not stand in the way.
    let mut login = desk.login("alice", &["--force"]);
    desk.done(&mut login);
    desk.credential();
    desk.assert_nothing_leaked();
}
