//! Tokens in the keychain: a real gnome-keyring on a bus of its own, and another client beside us.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::machine::{Ended, Home, Running, browse, ended};
use crate::stub::Stub;

const PASSWORD: &[u8] = b"a password";
const LOGIN: &str = "/org/freedesktop/secrets/collection/login";

/// A desktop session: home, bus and keychain of one user.
struct Session {
    home: Home,
    bus: Child,
    keychain: Child,
}

impl Session {
    /// `None`, and why on standard error, where a program for it is missing.
    fn start() -> Option<Self> {
        for program in ["dbus-daemon", "dbus-send", "gnome-keyring-daemon", "secret-tool"] {
            if !Path::new("/usr/bin").join(program).exists() {
                eprintln!("skipped: {program} is not installed");
                return None;
            }
        }
        let home = Home::new();
        let runtime = home.file("run");
        fs::create_dir(&runtime).unwrap();
        let address = format!("--address=unix:path={}", runtime.join("bus").display());
        let mut bus = in_session(&home, "/usr/bin/dbus-daemon");
        let bus = bus.args(["--session", "--nofork", "--nopidfile", &address]).spawn().unwrap();
        wait_until("the bus", || runtime.join("bus").exists());
        let keychain = unlocked(&home);
        let session = Self { home, bus, keychain };
        session.wait_for_keychain();
        Some(session)
    }

    /// Whoever calls a service that is not there makes the bus start another one, a locked one: so
    /// nobody calls before it is.
    fn wait_for_keychain(&self) {
        let mut args = vec!["--session", "--print-reply", "--dest=org.freedesktop.DBus", "/"];
        args.extend(["org.freedesktop.DBus.NameHasOwner", "string:org.freedesktop.secrets"]);
        wait_until("the keychain", || {
            self.tool("dbus-send", &args, "").out.contains("boolean true")
        });
        let mut args = vec!["--session", "--print-reply", "--dest=org.freedesktop.secrets", LOGIN];
        args.extend(["org.freedesktop.DBus.Properties.Get"]);
        args.extend(["string:org.freedesktop.Secret.Collection", "string:Locked"]);
        wait_until("the open keychain", || {
            let ended = self.tool("dbus-send", &args, "");
            ended.out.contains("boolean false")
        });
    }

    /// As the end of a screen saver's patience does.
    fn lock(&self) {
        let what = format!("array:objpath:{LOGIN}");
        let mut args = vec!["--session", "--print-reply", "--dest=org.freedesktop.secrets"];
        args.extend(["/org/freedesktop/secrets", "org.freedesktop.Secret.Service.Lock", &what]);
        assert_eq!(self.tool("dbus-send", &args, "").code, Some(0));
    }

    /// As signing in does.
    fn unlock(&mut self) {
        self.keychain.kill().unwrap();
        self.keychain.wait().unwrap();
        self.keychain = unlocked(&self.home);
        self.wait_for_keychain();
    }

    fn tool(&self, program: &str, args: &[&str], input: &str) -> Ended {
        let mut command = in_session(&self.home, &format!("/usr/bin/{program}"));
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        ended(child.wait_with_output().unwrap())
    }

    /// The program in this session.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.home.command(args);
        command.env("XDG_RUNTIME_DIR", self.home.file("run"));
        command
    }

    fn run(&self, args: &[&str]) -> Ended {
        ended(self.command(args).output().unwrap())
    }

    fn login(&self, stub: &Stub, more: &[&str]) -> Command {
        let mut args = vec!["login", &stub.url, "--insecure", "--skip-open-browser"];
        args.extend(["--callback-port", "0"]);
        args.extend(more);
        self.command(&args)
    }

    fn log_in(&self, stub: &Stub, more: &[&str]) -> Ended {
        let mut running = Running::start(self.login(stub, more));
        if let Some(url) = running.login_url() {
            let _ = browse(&url);
        }
        running.end()
    }

    /// What another program reads under the original's names.
    fn lookup(&self) -> Option<Value> {
        let names = ["lookup", "service", "talosctl-oidc", "username", "oidc"];
        let found = self.tool("secret-tool", &names, "");
        (found.code == Some(0)).then(|| serde_json::from_str(&found.out).unwrap())
    }

    /// What the original program leaves behind.
    fn store(&self, stub: &Stub, expires_at: &str) {
        let entry = json!({
            "access_token": "unused", "refresh_token": "first", "id_token": "",
            "expires_at": expires_at, "issuer": stub.url, "client_id": "cli",
        });
        let label = "--label=Password for 'oidc' on 'talosctl-oidc'";
        let names = ["store", label, "service", "talosctl-oidc", "username", "oidc"];
        assert_eq!(self.tool("secret-tool", &names, &entry.to_string()).code, Some(0));
        let mut state = stub.state();
        state.refresh = Some("first".to_owned());
    }

    fn tokens(&self) -> PathBuf {
        self.home.tokens()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        for child in [&mut self.keychain, &mut self.bus] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn in_session(home: &Home, program: &str) -> Command {
    let mut command = Command::new(program);
    let runtime = home.file("run");
    command.env_clear().env("HOME", &home.path).env("PATH", "/usr/bin:/bin");
    command.env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}", runtime.join("bus").display()));
    command.env("XDG_RUNTIME_DIR", runtime);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn unlocked(home: &Home) -> Child {
    let mut command = in_session(home, "/usr/bin/gnome-keyring-daemon");
    command.args(["--unlock", "--foreground", "--components=secrets"]).stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(PASSWORD).unwrap();
    child
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < until, "nothing of {what} after 60 s");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_login_is_kept_in_the_keychain() {
    let Some(session) = Session::start() else { return };
    let stub = Stub::start();
    let first = session.log_in(&stub, &[]);
    assert_eq!(first.code, Some(0), "{first:?}");
    assert!(!first.err.contains("tokens are kept"), "{first:?}");
    assert!(!session.tokens().exists());
    // The original would find it: its names, its members.
    let entry = session.lookup().expect("an item under the original's names");
    assert_eq!((&entry["access_token"], &entry["issuer"]), (&json!(""), &json!(stub.url)));
    assert_eq!(entry["client_id"], "cli");
    assert_eq!(entry["refresh_token"].as_str(), stub.state().refresh.as_deref());
    let all = session.tool("secret-tool", &["search", "--all", "service", "talosctl-oidc"], "");
    assert!(all.out.contains("label = Password for 'oidc' on 'talosctl-oidc'\n"), "{all:?}");

    let status = session.run(&["status", "--check"]);
    assert_eq!(status.code, Some(0), "{status:?}");
    assert!(status.out.contains("\nStore: keychain\n"), "{status:?}");
    let again = session.log_in(&stub, &["--force", "--token-store", "keychain"]);
    assert_eq!((again.code, stub.count("authorize")), (Some(0), 1), "{again:?}");
    let exec = ["exec", &stub.url, "--insecure", "--force", "--", "/bin/true"];
    let exec = session.run(&exec);
    assert_eq!((exec.code, stub.count("authorize")), (Some(0), 1), "{exec:?}");

    let out = session.run(&["logout"]);
    assert_eq!((out.code, session.lookup()), (Some(0), None), "{out:?}");
    assert!(out.out.contains("Cached token cleared."), "{out:?}");
    let out = session.run(&["logout", "--token-store", "keychain"]);
    assert!(out.code == Some(0) && out.out.contains("No cached token"), "{out:?}");
}

#[test]
fn a_login_of_the_original_goes_on() {
    let Some(session) = Session::start() else { return };
    let stub = Stub::start();
    session.store(&stub, "2026-02-17T14:30:00.123456789+01:00");
    let ended = session.run(&["login", &stub.url, "--insecure", "--non-interactive"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!((stub.count("token refresh_token"), stub.count("authorize")), (1, 0));
    // In place of the old one, not beside it.
    let all = session.tool("secret-tool", &["search", "--all", "service", "talosctl-oidc"], "");
    assert_eq!(all.out.matches("label = ").count(), 1, "{all:?}");
    let entry = session.lookup().unwrap();
    assert_eq!(entry["refresh_token"].as_str(), stub.state().refresh.as_deref());
    for secret in &stub.state().secrets {
        assert!(!ended.err.contains(secret.as_str()) && !ended.out.contains(secret.as_str()));
    }
}

#[test]
fn fifty_at_once_refresh_once_from_the_keychain() {
    let Some(session) = Session::start() else { return };
    let stub = Stub::start();
    session.store(&stub, "2026-02-17T14:30:00Z");
    stub.state().refresh_pause = Duration::from_millis(300);
    let all: Vec<Running> = (0..50)
        .map(|_| Running::start(session.login(&stub, &["--force", "--token-store", "keychain"])))
        .collect();
    for running in all {
        let ended = running.end();
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
    assert_eq!((stub.count("token refresh_token"), stub.count("authorize")), (1, 0));
}

#[test]
fn a_locked_keychain_is_said_and_the_file_stands_in() {
    let Some(mut session) = Session::start() else { return };
    let stub = Stub::start();
    assert_eq!(session.log_in(&stub, &[]).code, Some(0));
    session.lock();
    let status = session.run(&["status"]);
    assert!(status.out.contains("[keychain.locked]"), "{status:?}");
    let doctor = session.run(&["doctor", &stub.url, "--insecure", "-o", "json"]);
    let told: Value = serde_json::from_str(&doctor.out).unwrap_or_else(|_| panic!("{doctor:?}"));
    let checks = told["checks"].as_array().unwrap();
    let locked = checks.iter().find(|check| check["code"] == "keychain.locked");
    let locked = locked.unwrap_or_else(|| panic!("no locked keychain in {told:#}"));
    assert_eq!(locked["check"], "tokens");
    assert!(locked["fix"].as_str().is_some_and(|fix| fix.len() > 8), "{locked}");
    let only = session.log_in(&stub, &["--force", "--token-store", "keychain"]);
    assert_eq!((only.code, stub.count("authorize")), (Some(2), 1), "{only:?}");
    assert!(only.err.contains("unlock it") && only.err.contains("[keychain.locked]"), "{only:?}");
    // With a screen the person is asked; here the window cannot open, which ends it at once.
    let mut asks = session.login(&stub, &["--force", "--token-store", "keychain"]);
    let asks = ended(asks.env("DISPLAY", ":none").env("BROWSER", "false").output().unwrap());
    assert_eq!(asks.code, Some(2), "{asks:?}");
    let watch = session.log_in(&stub, &["--watch", "--token-store", "keychain"]);
    assert_eq!(watch.code, Some(2), "{watch:?}");
    let out = session.run(&["logout", "--context-name", "oidc"]);
    assert!(out.code == Some(2) && out.err.contains("[keychain.locked]"), "{out:?}");

    let filed = session.log_in(&stub, &["--force"]);
    assert_eq!((filed.code, stub.count("authorize")), (Some(0), 2), "{filed:?}");
    assert_eq!(filed.err.matches("[keychain.locked]").count(), 1, "{filed:?}");
    assert!(fs::read_to_string(session.tokens()).unwrap().contains(&stub.url));

    // What was stored last counts, and goes back to where it belongs.
    session.unlock();
    stub.state().refusals.push((401, "invalid token"));
    let ended = session.log_in(&stub, &["--force"]);
    assert_eq!((ended.code, stub.count("authorize")), (Some(0), 2), "{ended:?}");
    assert_eq!(stub.count("token refresh_token"), 1);
    assert!(!fs::read_to_string(session.tokens()).unwrap().contains(&stub.url));
    let entry = session.lookup().unwrap();
    assert_eq!(entry["refresh_token"].as_str(), stub.state().refresh.as_deref());
    assert_eq!(session.run(&["logout"]).code, Some(0));
    assert_eq!(session.lookup(), None);
}

#[test]
fn without_a_bus_the_file_takes_over() {
    let (home, stub) = (Home::new(), Stub::start());
    let log_in = |more: &[&str], bus: Option<&str>| {
        let mut args = vec!["login", &stub.url, "--insecure", "--skip-open-browser", "--force"];
        args.extend(["--callback-port", "0"]);
        args.extend(more);
        let mut command = home.command(&args);
        bus.map(|bus| command.env("DBUS_SESSION_BUS_ADDRESS", bus));
        let mut running = Running::start(command);
        if let Some(url) = running.login_url() {
            let _ = browse(&url);
        }
        running.end()
    };
    for bus in [None, Some("unix:path=/nonexistent/bus"), Some("tcp:host=localhost,port=1")] {
        let only = log_in(&["--token-store", "keychain"], bus);
        assert_eq!(only.code, Some(2), "{only:?}");
        assert!(only.err.contains("[keychain.unavailable]"), "{only:?}");
        assert!(only.err.contains("--token-store file"), "{only:?}");
    }
    assert!(stub.state().seen.is_empty(), "said before anything goes over the network");
    let first = log_in(&[], None);
    assert_eq!(first.code, Some(0), "{first:?}");
    assert_eq!(first.err.matches("tokens are kept in").count(), 1, "{first:?}");
    assert!(home.tokens().exists());
    stub.state().token_secs = 300;
    let second = log_in(&[], Some("unix:path=/nonexistent/bus"));
    assert_eq!((second.code, stub.count("authorize")), (Some(0), 1), "{second:?}");
    assert!(!second.err.contains("tokens are kept in"), "said once: {second:?}");
    let status = home.run(&["status", "-o", "json"]);
    let status: Value = serde_json::from_str(&status.out).unwrap();
    assert_eq!(status["token"]["store"], home.tokens().display().to_string());
    assert_eq!(home.run(&["logout"]).code, Some(0));
    assert!(!fs::read_to_string(home.tokens()).unwrap().contains(&stub.url));
}
