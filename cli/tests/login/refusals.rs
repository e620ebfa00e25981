//! What is refused, with which exit code, and what is left untouched.

use std::fs;
use std::net::TcpListener;

use crate::machine::{Ended, Home, Running, browse, ended};
use crate::stub::Stub;

fn failed(ended: &Ended, code: i32, with: &str) {
    assert_eq!(ended.code, Some(code), "{ended:?}");
    assert!(ended.err.contains(with), "{ended:?}");
    assert_eq!(ended.out, "", "nothing but results goes to standard output");
}

#[test]
fn what_is_missing_is_named_in_one_go() {
    let home = Home::new();
    let ended = home.run(&["login"]);
    failed(&ended, 1, "missing: --server, --provider, --client-id");
    let ended = home.run(&["login", "--client-id", "x"]);
    failed(&ended, 1, "missing: --server, --provider.");
    let ended = home.run(&["login", "--id-token", "x"]);
    failed(&ended, 1, "missing: --server.");
    failed(&home.run(&["login", "--servre", "x"]), 1, "--server");
    // An unset variable often arrives as an empty one.
    let mut command = home.command(&["login"]);
    let ended = command.env("TALOSCTL_OIDC_LOGIN_SERVER", "").output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let home = Home::new();
    home.write(&home.file("ca.pem"), "no certificate\n");
    let ca = home.file("ca.pem").display().to_string();
    let ended = home.run(&[
        "login",
        "https://a.example/#sha256=12",
        "--scopes",
        "a\"b",
        "--redirect-host",
        "evil.example",
        "--auth-param",
        "state=x",
        "--client-auth",
        "magic",
        "--context-name",
        "",
        "--provider",
        "https://idp.example?x",
        "--provider-ca",
        &ca,
        "--client-secret-file",
        "/absent",
    ]);
    for flag in [
        "--server",
        "--scopes",
        "--redirect-host",
        "--auth-param",
        "--client-auth",
        "--context-name",
        "--provider:",
        "--provider-ca",
        "--client-secret-file",
    ] {
        failed(&ended, 1, flag);
    }
}

/// Exit code 2 is for what lies on this machine, also when a flag names it.
#[test]
fn a_file_that_is_wrong_is_no_wrong_usage() {
    let (home, stub) = (Home::new(), Stub::start());
    home.write(&home.file("empty"), "\n");
    let login = |more: &[&str]| {
        let args = [&["login", &stub.url, "--insecure", "--non-interactive"], more].concat();
        home.run(&args)
    };
    failed(&login(&["--server-ca", "/absent"]), 2, "[file.not_found]");
    failed(&login(&["--server-ca", "~/empty"]), 2, "[tls.no_certificate]");
    failed(&login(&["--provider-ca", "/absent"]), 2, "[file.not_found]");
    failed(&login(&["--client-secret-file", "/absent"]), 2, "[file.not_found]");
    failed(&login(&["--client-secret-file", "~/empty"]), 2, "[file.empty]");
    failed(&login(&["--client-secret-file", "-"]), 2, "nothing came from stdin");
    failed(&login(&["--id-token-file", "/absent"]), 2, "[file.not_readable]");
    failed(&login(&["--id-token-file", "~/empty"]), 2, "nothing in it");
    failed(&login(&["--id-token-file", "-"]), 2, "nothing came from stdin");
    failed(&login(&["--id-token-env", "UNSET"]), 2, "UNSET is not set");
    let pair = ["--local-server-cert", "/absent", "--local-server-key", "/absent"];
    failed(&login(&pair), 2, "[config.invalid]");
    failed(&login(&["--local-server-cert", "/absent"]), 1, "go together");
    // Together with wrong usage it is that.
    failed(&login(&["--server-ca", "/absent", "--client-auth", "magic"]), 1, "[usage.invalid]");
    assert!(stub.state().seen.is_empty(), "nobody was troubled");
    let revoke = home.run(&["logout", "--revoke", "--provider-ca", "/absent"]);
    assert_eq!(revoke.code, Some(2), "{revoke:?}");
}

/// As scripts for the original program write them.
#[test]
fn a_switch_takes_a_word_and_the_last_of_a_repeated_flag_counts() {
    let (home, stub) = (Home::new(), Stub::start());
    let token = stub.id_token();
    let login = |more: &[&str]| {
        let args = [&["login", &stub.url, "--id-token", &token], more].concat();
        ended(home.command(&args).env("TALOSCTL_OIDC_LOGIN_INSECURE", "true").output().unwrap())
    };
    failed(&login(&["--insecure=false"]), 2, "pass --insecure");
    failed(&login(&["--insecure", "--insecure=flase"]), 1, "write true or false");
    assert!(stub.state().seen.is_empty(), "nobody was troubled");
    let done = login(&["--insecure=true", "--context-name", "one", "--context-name", "two"]);
    assert_eq!(done.code, Some(0), "{done:?}");
    let written = fs::read_to_string(home.talosconfig()).unwrap();
    assert!(written.contains("two:") && !written.contains("one:"), "{written}");
    let help = home.run(&["login", "--insecure=false", "--help"]);
    assert!(help.code == Some(0) && help.out.contains("--insecure"), "{help:?}");
    assert_eq!(home.run(&["status", "--check=false"]).code, Some(0));
}

#[test]
fn a_flag_wins_over_a_variable() {
    let (home, stub) = (Home::new(), Stub::start());
    let token = stub.id_token();
    let run = |more: &[&str], set: &[(&str, &str)]| {
        let mut command = home.command(&[&["login", "--insecure", "--force"], more].concat());
        crate::machine::ended(command.envs(set.iter().copied()).output().unwrap())
    };
    let wrong = [
        ("TALOSCTL_OIDC_LOGIN_SERVER", "http://127.0.0.1:1"),
        ("TALOSCTL_OIDC_LOGIN_ID_TOKEN_FILE", "/absent"),
        ("TALOSCTL_OIDC_LOGIN_CLIENT_SECRET_FILE", "/absent"),
        ("TALOSCTL_OIDC_LOGIN_CONTEXT_NAME", ""),
        ("TALOSCTL_OIDC_LOGIN_SCOPES", ""),
    ];
    let ended = run(
        &[&stub.url, "--id-token", &token, "--client-secret", "x", "--context-name", "c"],
        &wrong,
    );
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let ended = run(
        &["--server", &stub.url, "--id-token", &token, "--client-secret", "x", "--context-name=c"],
        &wrong,
    );
    assert_eq!(ended.code, Some(0), "{ended:?}");
    // An empty one says nothing, also where its flag wants a number or a word.
    let mut command = home.command(&["login", &stub.url, "--insecure", "--id-token", &token]);
    for name in [
        "CALLBACK_PORT",
        "OUTPUT",
        "TOKEN_STORE",
        "LISTEN_ADDRESS",
        "CONTEXT_NAME",
        "WATCH",
        "REDIRECT_HOST",
        "CLIENT_AUTH",
        "PROVIDER_CA",
        "TALOSCONFIG",
        "NODES",
        "AUTH_PARAM",
    ] {
        command.env(format!("TALOSCTL_OIDC_LOGIN_{name}"), "");
    }
    let ended = crate::machine::ended(command.output().unwrap());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.contains("\"oidc\""), "{ended:?}");
    let by_variables = [
        ("TALOSCTL_OIDC_LOGIN_SERVER", stub.url.as_str()),
        ("TALOSCTL_OIDC_LOGIN_ID_TOKEN", token.as_str()),
    ];
    let ended = run(&[], &by_variables);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let ended = run(&[&stub.url, "--id-token", &token, "--id-token-file", "/absent"], &[]);
    failed(&ended, 1, "exclude each other");
    failed(&run(&[&stub.url, "--server", "https://other.example"], &[]), 1, "exclude each other");
}

#[test]
fn nothing_is_sent_in_the_clear_unasked() {
    let (home, stub) = (Home::new(), Stub::start());
    let ended = home.run(&["login", "--server", &stub.url]);
    failed(&ended, 2, "--insecure");
    let ended = home.run(&["login", "--server", &stub.url, "--id-token", "a.b.c"]);
    failed(&ended, 2, "--insecure");
    assert!(stub.state().seen.is_empty());
    // A word that is neither yes nor no switches nothing off.
    let mut command = home.command(&["login", "--server", &stub.url]);
    let output = command.env("TALOSCTL_OIDC_LOGIN_INSECURE", "maybe").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stub.state().seen.is_empty());
}

#[test]
fn who_is_not_there_is_named() {
    let (home, stub) = (Home::new(), Stub::start());
    let gone = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let ended = home.run(&["login", &gone, "--insecure"]);
    failed(&ended, 4, "server.unreachable");
    let provider = ["--provider", &gone, "--client-id", "cli"];
    let ended = home.login(&stub, &provider).output().unwrap();
    failed(&crate::machine::ended(ended), 4, "login.provider_unreachable");
    let token = stub.id_token();
    let ended = home.run(&["login", &gone, "--insecure", "--id-token", &token]);
    failed(&ended, 4, "server.unreachable");
    stub.state().is_told = false;
    let ended = crate::machine::ended(home.login(&stub, &[]).output().unwrap());
    failed(&ended, 4, "pass --provider and --client-id");
}

#[test]
fn a_file_that_does_not_read_is_never_overwritten() {
    let (home, stub) = (Home::new(), Stub::start());
    let machine = "version: v1alpha1\nmachine:\n  type: controlplane\n---\nkind: Link\n";
    let broken = ["contexts: [\n", "a: b: c", "- x\n", "contexts:\n  oidc: &a {}\n", "\u{0}"];
    for bad in broken.into_iter().chain([machine, "context: oidc\nkind: Config\n"]) {
        home.write(&home.talosconfig(), bad);
        let ended = crate::machine::ended(home.login(&stub, &[]).output().unwrap());
        failed(&ended, 2, "talosconfig");
        let token = stub.id_token();
        let ended = home.login(&stub, &["--id-token", &token]).output().unwrap();
        assert_eq!(ended.status.code(), Some(2));
        assert_eq!(fs::read_to_string(home.talosconfig()).unwrap(), bad);
        assert_eq!(home.run(&["logout"]).code, Some(2));
        assert_eq!(fs::read_to_string(home.talosconfig()).unwrap(), bad);
    }
    assert!(stub.state().seen.is_empty(), "nobody was troubled");
}

#[test]
fn refusals_of_the_server_have_their_exit_code() {
    let (home, stub) = (Home::new(), Stub::start());
    for (status, text, code) in [
        (401, "invalid token", 3),
        (403, "no roles assigned", 3),
        (429, "rate limit exceeded", 3),
        (500, "failed to generate certificate", 4),
    ] {
        let token = stub.id_token();
        stub.state().refusals.push((status, text));
        let ended = home.login(&stub, &["--id-token", &token]).output().unwrap();
        failed(&crate::machine::ended(ended), code, text);
        assert!(!home.talosconfig().exists());
    }
}

#[test]
fn a_person_who_is_not_wanted_is_told_so() {
    let (home, stub) = (Home::new(), Stub::start());
    stub.state().denies = Some("access_denied");
    let mut running = Running::start(home.login(&stub, &[]));
    let (status, page) = browse(&running.login_url().unwrap());
    assert_eq!(status, 400);
    assert!(!page.contains("complete"), "{page}");
    failed(&running.end(), 5, "login.access_denied");
}

#[test]
fn nobody_is_asked_where_nobody_is() {
    let (home, stub) = (Home::new(), Stub::start());
    let args = ["login", &stub.url, "--insecure", "--token-store", "file"];
    let with = |more: &'static str| [&args[..], &[more]].concat();
    failed(&home.run(&with("--non-interactive")), 5, "login.interaction_required");
    failed(&home.run(&with("--watch")), 5, "login.interaction_required");
    let mut command = home.command(&args);
    let ended = crate::machine::ended(command.env("CI", "true").output().unwrap());
    failed(&ended, 5, "login.interaction_required");
    assert_eq!(stub.count("authorize"), 0);
}

#[test]
fn a_busy_port_gives_way_to_the_next() {
    let (home, stub) = (Home::new(), Stub::start());
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = busy.local_addr().unwrap().port().to_string();
    let base = ["login", &stub.url, "--insecure", "--skip-open-browser", "--callback-port", &port];
    failed(&home.run(&base), 2, "is in use");
    let two = [&base[..], &["--callback-port", "0", "--token-store", "none"]].concat();
    let mut running = Running::start(home.command(&two));
    assert_eq!(browse(&running.login_url().unwrap()).0, 200);
    assert_eq!(running.end().code, Some(0));
    assert!(!home.file(".config").exists(), "no store, no trace");
}

#[test]
fn a_home_in_disorder_is_named_before_anybody_is_troubled() {
    let (home, stub) = (Home::new(), Stub::start());
    home.write(&home.file(".talos"), "a file where a folder should be");
    let ended = crate::machine::ended(home.login(&stub, &[]).output().unwrap());
    failed(&ended, 2, ".talos");
    assert!(stub.state().seen.is_empty());
    fs::remove_file(home.file(".talos")).unwrap();
    // Without a place for the tokens the login works all the same, and says what that means.
    home.write(&home.file(".config"), "a file where a folder should be");
    let ended = home.log_in(&stub, &[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.err.contains("the tokens were not stored"), "{ended:?}");
    assert!(home.talosconfig().exists());
}

/// What need not be written need not be writable.
#[test]
fn a_home_that_cannot_be_written_is_no_matter_while_the_certificate_is_good() {
    let (home, stub) = (Home::new(), Stub::start());
    assert_eq!(home.log_in(&stub, &[]).code, Some(0));
    stub.state().seen.clear();
    // In the way of root as well.
    let lock = home.file(".talos/.config.lock");
    fs::remove_file(&lock).unwrap();
    fs::create_dir(&lock).unwrap();
    let ended = crate::machine::ended(home.login(&stub, &[]).output().unwrap());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.contains("no renewal needed"), "{ended:?}");
    let warning = ended.err.lines().find(|line| line.contains("warning: cannot lock"));
    assert!(warning.is_some_and(|line| line.contains("still good")), "{ended:?}");
    let exec = ["exec", &stub.url, "--insecure", "--token-store", "file", "--", "true"];
    assert_eq!(home.run(&exec).code, Some(0));
    for more in ["--force", "--watch"] {
        let ended = crate::machine::ended(home.login(&stub, &[more]).output().unwrap());
        failed(&ended, 2, "cannot lock");
    }
    assert!(stub.state().seen.is_empty(), "{:?}", stub.state().seen);
}

/// Written by another program or by hand; only who could have written it could do harm.
#[test]
fn tokens_that_others_could_read_are_used_and_closed() {
    use std::os::unix::fs::PermissionsExt as _;
    let (home, stub) = (Home::new(), Stub::start());
    stub.state().refresh = Some("first".to_owned());
    assert_eq!(home.log_in(&stub, &[]).code, Some(0));
    let open = |mode| {
        fs::set_permissions(home.tokens(), fs::Permissions::from_mode(mode)).unwrap();
        // So old that there is something to store.
        stub.state().refusals = vec![(401, "invalid token")];
        let login = ["--force", "--non-interactive"];
        crate::machine::ended(home.login(&stub, &login).output().unwrap())
    };
    let ended = open(0o644);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.err.contains("can be read by other users (mode 644): chmod 600"), "{ended:?}");
    assert_eq!(stub.count("token refresh_token"), 1, "{:?}", stub.state().seen);
    assert_eq!(fs::metadata(home.tokens()).unwrap().permissions().mode() & 0o777, 0o600);
    let ended = open(0o622);
    assert_eq!(ended.code, Some(5), "{ended:?}");
    assert!(ended.err.contains("lets other users in"), "{ended:?}");
}
