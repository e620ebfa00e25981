//! What a terminal sees and what a pipe gets.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::machine::{Home, Running, browse};
use crate::stub::Stub;

/// What the program writes into a terminal of its own, by `script` of util-linux.
fn in_terminal(home: &Home, line: &str, set: &[(&str, &str)]) -> Option<String> {
    if !std::path::Path::new("/usr/bin/script").exists() {
        eprintln!("skipped: script (util-linux) is not installed");
        return None;
    }
    let line = format!("{} {line}", env!("CARGO_BIN_EXE_talosctl-oidc"));
    let mut command = Command::new("/usr/bin/script");
    command.args(["-qec", &line, "/dev/null"]).env_clear().env("HOME", &home.path);
    command.env("PATH", "/usr/bin:/bin").env("SSL_CERT_FILE", "/dev/null");
    command.envs(set.iter().copied()).stdin(Stdio::null());
    Some(String::from_utf8_lossy(&command.output().unwrap().stdout).into_owned())
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let home = Home::new();
    let line = "login http://127.0.0.1:1";
    let Some(said) = in_terminal(&home, line, &[("TERM", "xterm")]) else { return };
    assert!(said.contains("\u{1b}[1;31mError:\u{1b}[0m "), "{said:?}");
    for set in [[("NO_COLOR", "1"), ("TERM", "xterm")], [("NO_COLOR", ""), ("TERM", "dumb")]] {
        let said = in_terminal(&home, line, &set).unwrap();
        assert!(said.contains("Error: ") && !said.contains('\u{1b}'), "{said:?}");
    }
    let piped = home.run(&["login", "http://127.0.0.1:1"]);
    assert!(piped.err.starts_with("Error: "), "{piped:?}");
}

#[test]
fn a_terminal_is_told_what_is_waited_for() {
    let (home, stub) = (Home::new(), Stub::start());
    stub.state().token_secs = 5;
    assert_eq!(home.log_in(&stub, &[]).code, Some(0));
    stub.state().refresh_pause = Duration::from_secs(4);
    let line = |more: &str| {
        format!("login {} --insecure --force --token-store file --non-interactive {more}", stub.url)
    };
    let Some(said) = in_terminal(&home, &line(""), &[]) else { return };
    let seconds = |n| said.contains(&format!(" Waiting for the provider ({n} s)"));
    assert!((1..4).any(seconds), "{said:?}");
    // It is gone before anything else is said.
    let end = said.rsplit("\r\u{1b}[K").next().unwrap();
    assert!(end.contains("written to") && !end.contains("Waiting"), "{said:?}");
    let quiet = in_terminal(&home, &line("--quiet"), &[]).unwrap();
    assert!(quiet.contains("written to") && !quiet.contains("Waiting"), "{quiet:?}");
    let dumb = in_terminal(&home, &line(""), &[("TERM", "dumb")]).unwrap();
    assert!(dumb.contains("written to") && !dumb.contains('\u{1b}'), "{dumb:?}");
    let mut piped = Running::start(home.login(&stub, &["--force", "--non-interactive"]));
    assert!(piped.wait_for(|line| line.contains("Waiting")).is_none());
    assert_eq!(piped.end().code, Some(0));
}

#[test]
fn what_standard_output_does_not_take_is_no_success() {
    let home = Home::new();
    for args in [&["version"][..], &["status"], &["completion", "bash"]] {
        let mut command = home.command(args);
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = command.stdout(full).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains("[output.not_writable]"), "{args:?}: {said}");
    }
    // A reader that has seen enough is another matter.
    let line = format!("{} completion bash | head -n 1", env!("CARGO_BIN_EXE_talosctl-oidc"));
    let output = Command::new("sh").args(["-c", &line]).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn machine_output_is_alone_on_standard_output() {
    let (home, stub) = (Home::new(), Stub::start());
    let mut running = Running::start(home.login(&stub, &["-o", "json"]));
    assert_eq!(browse(&running.login_url().unwrap()).0, 200);
    let ended = running.end();
    let value: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(value["outcome"], "written");
    assert!(ended.err.contains("Open this address"), "{ended:?}");
    let quiet = home.log_in(&stub, &["--force", "--quiet"]);
    let is_warned = |err: &str| err.lines().all(|line| line.starts_with("warning: "));
    assert!(quiet.code == Some(0) && is_warned(&quiet.err), "{quiet:?}");
    // By variables as well.
    let mut command = home.login(&stub, &["--force"]);
    command.env("TALOSCTL_OIDC_LOGIN_OUTPUT", "yaml").env("TALOSCTL_OIDC_LOGIN_QUIET", "yes");
    let ended = crate::machine::ended(command.output().unwrap());
    assert!(ended.out.starts_with("context: \"oidc\"\n") && is_warned(&ended.err), "{ended:?}");
}
