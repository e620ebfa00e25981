//! Certificates without a person: given tokens, refreshes, many processes, a watch.

use std::fs;
#[cfg(target_os = "linux")]
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use exchange_core::machine::UnixTime;
use exchange_core::pki::ClientCertificate;
use exchange_core::talosconfig::Talosconfig;

use crate::machine::{Home, Running};
use crate::stub::{Stub, now};

#[test]
fn a_given_token_needs_no_store_and_no_person() {
    let (home, stub) = (Home::new(), Stub::start());
    let token = stub.id_token();
    let file = home.file("token");
    home.write(&file, &format!("{token}\n"));
    for (flag, value) in [
        ("--id-token", token.as_str()),
        ("--id-token-file", "~/token"),
        ("--id-token-env", "MY_TOKEN"),
    ] {
        let args = ["login", &stub.url, "--insecure", flag, value, "-o", "json"];
        let mut command = home.command(&args);
        let ended = crate::machine::ended(command.env("MY_TOKEN", &token).output().unwrap());
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(!ended.err.contains(&token));
        let result: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
        assert_eq!(result["outcome"], "written");
        assert_eq!(result["roles"], serde_json::json!(["os:reader"]));
        fs::remove_file(home.talosconfig()).unwrap();
    }
    assert_eq!(stub.state().seen, ["exchange", "exchange", "exchange"]);
    assert!(!home.file(".config").exists());
    let stale = {
        stub.state().token_secs = 0;
        stub.id_token()
    };
    let ended = home.run(&["login", &stub.url, "--insecure", "--id-token", &stale]);
    assert_eq!(ended.code, Some(5), "{ended:?}");
    assert!(ended.err.contains("token.expired"), "{ended:?}");
}

#[test]
fn a_refused_token_is_refreshed_once() {
    let (home, stub) = (Home::new(), Stub::start());
    assert_eq!(home.log_in(&stub, &[]).code, Some(0));
    stub.state().refusals.push((401, "invalid token"));
    let ended = home.log_in(&stub, &["--force"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!((stub.count("token refresh_token"), stub.count("authorize")), (1, 1));
    // The new refresh token was kept: the old one would be refused.
    stub.state().refusals.push((401, "invalid token"));
    assert_eq!(home.log_in(&stub, &["--force"]).code, Some(0));
    assert_eq!((stub.count("token refresh_token"), stub.count("authorize")), (2, 1));
}

#[test]
fn fifty_at_once_refresh_once() {
    let (home, stub) = (Home::new(), Stub::start());
    // Too short to be used again, so that everybody wants to refresh.
    stub.state().token_secs = 20;
    assert_eq!(home.log_in(&stub, &[]).code, Some(0));
    {
        let mut state = stub.state();
        state.token_secs = 300;
        state.refresh_pause = Duration::from_millis(300);
    }
    let all: Vec<Running> =
        (0..50).map(|_| Running::start(home.login(&stub, &["--force"]))).collect();
    for running in all {
        let ended = running.end();
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
    assert_eq!((stub.count("token refresh_token"), stub.count("authorize")), (1, 1));
}

#[test]
fn twenty_at_once_lose_nothing() {
    let (home, stub) = (Home::new(), Stub::start());
    let before = "# mine\ncontexts:\n  prod:\n    endpoints: [a]\n";
    home.write(&home.talosconfig(), before);
    let all: Vec<Running> = (0..20)
        .map(|n| {
            let (token, name) = (stub.id_token(), format!("c{n}"));
            let args = ["--id-token", &token, "--context-name", &name];
            Running::start(home.login(&stub, &args))
        })
        .collect();
    for running in all {
        let ended = running.end();
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
    let text = fs::read_to_string(home.talosconfig()).unwrap();
    assert!(text.contains("# mine\n") && text.contains("endpoints: [a]\n"), "{text}");
    let config = Talosconfig::parse(&text).unwrap();
    assert_eq!(config.contexts.len(), 21);
    for context in config.contexts.iter().filter(|context| context.name != "prod") {
        crate::crash::is_whole(context);
    }
}

#[test]
fn a_watch_renews_in_time_and_ends_well() {
    let (home, stub) = (Home::new(), Stub::start());
    stub.state().cert_secs = 12;
    assert_eq!(home.log_in(&stub, &[]).code, Some(0));
    let mut running = Running::start(home.login(&stub, &["--watch"]));
    let start = Instant::now();
    running.wait_for(|line| line.starts_with("Next renewal at ")).unwrap();
    while start.elapsed() < Duration::from_secs(28) {
        let text = fs::read_to_string(home.talosconfig()).unwrap();
        let config = Talosconfig::parse(&text).unwrap();
        let pem = config.context("oidc").unwrap().crt_pem().unwrap().unwrap();
        let certificate = ClientCertificate::parse(&pem).unwrap();
        certificate.check_dates(UnixTime::from_secs(now())).unwrap();
        std::thread::sleep(Duration::from_millis(100));
    }
    running.signal("-INT");
    let ended = running.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    // Each at 58 to 75 % of twelve seconds.
    let renewals = ended.out.matches("written to").count();
    assert!((2..=6).contains(&renewals), "{renewals}: {ended:?}");
    assert_eq!(stub.count("authorize"), 1);
}

/// The same command, started by one that ignores SIGHUP or does not, whatever the tests were
/// started by.
#[cfg(target_os = "linux")]
fn with_hangup(how: &str, login: &Command) -> Command {
    let mut command = Command::new("env");
    command.arg(format!("--{how}-signal=HUP"));
    command.arg(login.get_program()).args(login.get_args());
    command.env_clear().envs(login.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[cfg(target_os = "linux")]
#[test]
fn a_terminal_that_closes_ends_a_watch_in_order_unless_it_is_to_outlive_it() {
    let (home, stub) = (Home::new(), Stub::start());
    stub.state().cert_secs = 12;
    let token = stub.id_token();
    let login = home.login(&stub, &["--watch", "--id-token", &token]);
    let is_renewal = |line: &str| line.starts_with("Next renewal at ");

    let mut running = Running::start(with_hangup("default", &login));
    running.wait_for(is_renewal).unwrap();
    let left = home.run(&["logout", "--token-store", "none"]);
    assert!(left.code == Some(0) && left.err.contains("is running (pid "), "{left:?}");
    running.signal("-HUP");
    assert_eq!(running.end().code, Some(0));
    let seen = home.run(&["status", "-o", "json", "--token-store", "none"]).out;
    let seen: serde_json::Value = serde_json::from_str(&seen).unwrap();
    assert_eq!(seen["watcher"], serde_json::json!({"running": false}), "it has left no word");
    let left = home.run(&["logout", "--token-store", "none"]);
    assert!(left.code == Some(0) && left.err.is_empty(), "{left:?}");

    let login = home.login(&stub, &["--watch", "--force", "--id-token", &token]);
    let mut running = Running::start(with_hangup("ignore", &login));
    running.wait_for(is_renewal).unwrap();
    running.signal("-HUP");
    running.wait_for(is_renewal).expect("it goes on");
    running.signal("-TERM");
    assert_eq!(running.end().code, Some(0));
}

#[test]
fn a_watch_leaves_nodes_to_the_user_once_it_has_written() {
    let (home, stub) = (Home::new(), Stub::start());
    stub.state().cert_secs = 12;
    let token = stub.id_token();
    let flags = ["--watch", "--id-token", &token, "--nodes", "10.0.0.9"];
    let mut running = Running::start(home.login(&stub, &flags));
    running.wait_for(|line| line.starts_with("Next renewal at ")).unwrap();
    let text = fs::read_to_string(home.talosconfig()).unwrap();
    fs::write(home.talosconfig(), text.replace("10.0.0.9", "10.0.0.8")).unwrap();
    running.wait_for(|line| line.starts_with("Next renewal at ")).unwrap();
    running.signal("-TERM");
    assert_eq!(running.end().code, Some(0));
    assert!(stub.count("exchange") >= 2);
    let text = fs::read_to_string(home.talosconfig()).unwrap();
    assert!(text.contains("10.0.0.8") && !text.contains("10.0.0.9"), "{text}");
}

#[test]
fn a_watch_survives_a_server_that_is_away() {
    let (home, stub) = (Home::new(), Stub::start());
    {
        let mut state = stub.state();
        state.cert_secs = 12;
        state.refusals = vec![(503, "keys.unavailable")];
    }
    let token = stub.id_token();
    let ended = home.login(&stub, &["--watch", "--id-token", &token]).output().unwrap();
    assert_eq!(ended.status.code(), Some(4), "the first one must work");
    let mut running = Running::start(home.login(&stub, &["--watch", "--id-token", &token]));
    running.wait_for(|line| line.starts_with("Next renewal at ")).unwrap();
    stub.state().refusals.push((503, "keys.unavailable"));
    running.wait_for(|line| line.contains("the renewal failed")).unwrap();
    running.wait_for(|line| line.starts_with("Next renewal at ")).unwrap();
    running.signal("-TERM");
    let ended = running.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn status_knows_a_running_watch_from_a_killed_one() {
    let (home, stub) = (Home::new(), Stub::start());
    assert_eq!(home.log_in(&stub, &[]).code, Some(0));
    let status = |home: &Home| -> serde_json::Value {
        serde_json::from_str(&home.run(&["status", "-o", "json"]).out).unwrap()
    };
    assert_eq!(status(&home)["watcher"], serde_json::json!({"running": false}));
    let start = || {
        let mut running = Running::start(home.login(&stub, &["--watch", "--force"]));
        running.wait_for(|line| line.starts_with("Next renewal at ")).unwrap();
        running
    };
    // What it told last is in the file a moment after it is on the terminal.
    let seen = |wanted: &dyn Fn(&serde_json::Value) -> bool| {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let watcher = status(&home)["watcher"].clone();
            if wanted(&watcher) {
                return watcher;
            }
            assert!(Instant::now() < until, "{watcher}");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    let mut first = start();
    let watcher = seen(&|watcher| watcher["next_renewal"].is_string());
    assert_eq!(watcher["running"], true);
    assert_eq!(watcher["pid"], first.child.id());
    assert!(watcher["last_renewal"].is_string() && watcher["last_error"].is_null(), "{watcher}");
    let text = home.run(&["status"]).out;
    let line = format!("\n--- Watcher ---\nStatus: running (pid {}, since ", first.child.id());
    assert!(text.contains(&line) && text.contains("\nNext renewal: "), "{text}");
    // Another one of the same context leaves the word of the first alone.
    let second = start();
    assert_eq!(status(&home)["watcher"]["pid"], first.child.id());
    second.signal("-TERM");
    let ended = second.end();
    assert_eq!(ended.code, Some(0));
    assert!(ended.err.contains("another login --watch keeps this context fresh"), "{ended:?}");
    assert_eq!(status(&home)["watcher"]["running"], true);
    // Also in another talosconfig nothing runs.
    let other = home.run(&["status", "--talosconfig", "~/other", "-o", "json"]);
    assert!(other.out.contains("\"running\": false"), "{other:?}");

    first.child.kill().unwrap();
    first.child.wait().unwrap();
    let watcher = status(&home)["watcher"].clone();
    assert_eq!((&watcher["running"], &watcher["pid"]), (&false.into(), &first.child.id().into()));
    assert!(home.run(&["status"]).out.contains("Status: not running (the last one, pid "));

    // The next one says what goes wrong, and takes its word back in the end.
    stub.state().cert_secs = 12;
    let third = start();
    stub.state().refusals.extend((0..20).map(|_| (503, "keys.unavailable")));
    let watcher = seen(&|watcher| watcher["last_error"].is_object());
    assert_eq!(watcher["last_error"]["code"], "server.unavailable");
    assert!(home.run(&["status"]).out.contains("\nLast error: "));
    for secret in &stub.state().secrets {
        assert!(!watcher.to_string().contains(secret.as_str()));
    }
    third.signal("-INT");
    assert_eq!(third.end().code, Some(0));
    assert_eq!(status(&home)["watcher"], serde_json::json!({"running": false}));
}

#[test]
fn a_watch_ends_when_the_provider_revokes_the_login() {
    let (home, stub) = (Home::new(), Stub::start());
    {
        let mut state = stub.state();
        (state.cert_secs, state.token_secs) = (10, 60);
    }
    assert_eq!(home.log_in(&stub, &[]).code, Some(0));
    let before = std::fs::read_to_string(home.tokens()).unwrap();
    stub.state().refresh = None;
    stub.state().token_secs = 20;
    // Started as a service is: nobody is there who could be asked.
    let args = ["login", &stub.url, "--insecure", "--token-store", "file", "--watch", "--force"];
    let mut running = Running::start(home.command(&args));
    running.wait_for(|line| line.starts_with("Next renewal at ")).unwrap();
    let ended = running.end();
    assert_eq!(ended.code, Some(5), "{ended:?}");
    assert!(ended.err.contains("invalid_grant"), "{ended:?}");
    assert_eq!(stub.count("authorize"), 1, "no browser");
    let after = std::fs::read_to_string(home.tokens()).unwrap();
    assert!(before.contains("\"oidc\"") && !after.contains("\"oidc\""), "{after}");
}
