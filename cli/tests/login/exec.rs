//! Another program with a talosconfig that exists for it alone.

use std::fs;

use exchange_core::talosconfig::Talosconfig;

use crate::machine::{Ended, Home, Running, browse, ended};
use crate::stub::Stub;

/// Says what it got, from a child of its own that inherits no open files.
const SHOW: &str =
    "echo $TALOSCONFIG >&2; exec 3<&- 4<&- 5<&- 6<&- 7<&- 8<&- 9<&-; cat $TALOSCONFIG";

fn run(home: &Home, stub: &Stub, more: &[&str], command: &[&str]) -> Ended {
    let mut args = vec!["exec", &stub.url, "--insecure", "--skip-open-browser"];
    args.extend(["--token-store", "file", "--callback-port", "0"]);
    args.extend(more);
    args.push("--");
    args.extend(command);
    let mut running = Running::start(home.command(&args));
    if let Some(url) = running.login_url() {
        assert_eq!(browse(&url).0, 200);
    }
    running.end()
}

#[test]
fn the_command_has_the_context_alone() {
    let (home, stub) = (Home::new(), Stub::start());
    home.write(&home.talosconfig(), "context: prod\ncontexts:\n  prod:\n    nodes: [a]\n");
    let got = run(&home, &stub, &[], &["sh", "-c", SHOW]);
    assert_eq!(got.code, Some(0), "{got:?}");
    let config = Talosconfig::parse(&got.out).unwrap();
    assert_eq!((config.contexts.len(), config.current.as_deref()), (1, Some("oidc")));
    crate::crash::is_whole(config.context("oidc").unwrap());
    // The certificate stands in the talosconfig as well, so the next one needs nothing at all; and
    // the server is that of the last login.
    stub.state().seen.clear();
    let args = ["exec", "--insecure", "--token-store", "file", "--", "sh", "-c", SHOW];
    let again = home.run(&args);
    assert_eq!(again.code, Some(0), "{again:?}");
    assert_eq!(again.out, got.out);
    assert!(stub.state().seen.is_empty());
    let path = again.err.lines().find(|line| line.contains("/fd/")).unwrap();
    assert!(!fs::exists(path).unwrap(), "gone with the command: {path}");
}

#[test]
fn an_ephemeral_key_is_on_no_disk() {
    let (home, stub) = (Home::new(), Stub::start());
    let token = stub.id_token();
    let args = ["exec", &stub.url, "--insecure", "--ephemeral", "--id-token", &token, "--"];
    let got = home.run(&[&args[..], &["sh", "-c", SHOW]].concat());
    assert_eq!(got.code, Some(0), "{got:?}");
    crate::crash::is_whole(Talosconfig::parse(&got.out).unwrap().context("oidc").unwrap());
    assert_eq!(fs::read_dir(&home.path).unwrap().count(), 0, "not a trace");
}

#[test]
fn code_signals_and_streams_are_those_of_the_command() {
    let (home, stub) = (Home::new(), Stub::start());
    let token = stub.id_token();
    let with = |command: &[&str]| {
        let args = ["exec", &stub.url, "--insecure", "--ephemeral", "--id-token", &token, "--"];
        ended(home.command(&[&args[..], command].concat()).output().unwrap())
    };
    let got = with(&["sh", "-c", "echo out; echo err >&2; exit 37"]);
    assert_eq!((got.code, got.out.as_str()), (Some(37), "out\n"));
    assert!(got.err.ends_with("err\n"));
    assert_eq!(with(&["/absent/command"]).code, Some(127));
    assert_eq!(with(&["/etc/passwd"]).code, Some(126));
    assert_eq!(with(&["sh", "-c", "kill -TERM $$"]).code, None);
    stub.state().refusals.push((403, "no roles assigned"));
    let refused = with(&["sh", "-c", "echo ran"]);
    assert_eq!((refused.code, refused.out.as_str()), (Some(3), ""));
    assert_eq!(home.run(&["exec", &stub.url]).code, Some(1));
}
