//! The words of the command line reach what they are about, and the defaults are those of the
//! original.

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::process::Stdio;

use exchange_core::talosconfig::Talosconfig;

use crate::machine::{Home, Running, browse, ended};
use crate::stub::Stub;

#[test]
fn the_flags_of_the_original_are_there_with_its_defaults() {
    let home = Home::new();
    let help = home.run(&["login", "--help"]).out;
    for flag in [
        "--provider",
        "--client-id",
        "--server",
        "--client-secret",
        "--scopes",
        "--callback-port",
        "--context-name",
        "--talosconfig",
        "--server-ca",
        "--insecure",
        "--watch",
        "--listen-address",
        "--oidc-redirect-url",
        "--local-server-cert",
        "--local-server-key",
        "--skip-open-browser",
        "--browser-command",
        "--device-code",
    ] {
        assert!(
            help.contains(&format!("{flag} ")) || help.contains(&format!("{flag}\n")),
            "{flag}"
        );
    }
    let flat = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for text in ["[default: 8900]", "[default: oidc]", "openid,profile,email,offline_access]"] {
        assert!(flat.contains(text), "{text} in {help}");
    }
    for name in ["logout", "status"] {
        let help = home.run(&[name, "--help"]).out;
        assert!(help.contains("--context-name") && help.contains("--talosconfig"), "{help}");
    }
    let version = home.run(&["version"]).out;
    let lines: Vec<&str> = version.lines().collect();
    assert!(lines[0].starts_with("talosctl-oidc "), "{version}");
    assert!(lines[1].starts_with("  commit: ") && lines[2].starts_with("  built:  "), "{version}");
    assert!(home.run(&["--version"]).out.starts_with("talosctl-oidc "));
    let mistyped = home.run(&["login", "--contxt-name", "x"]);
    assert_eq!(mistyped.code, Some(1));
    assert!(mistyped.err.contains("--context-name"), "{mistyped:?}");
    let mistyped = home.run(&["logn"]);
    assert!(mistyped.code == Some(1) && mistyped.err.contains("login"), "{mistyped:?}");
}

#[test]
fn the_request_is_made_of_the_flags() {
    let (home, stub) = (Home::new(), Stub::start());
    let more = [
        "--provider",
        &stub.url,
        "--client-id",
        "cli",
        "--scopes",
        "openid,email",
        "--scopes",
        "groups",
        "--redirect-host",
        "localhost",
        "--auth-param",
        "audience=x y",
    ];
    let mut running = Running::start(home.login(&stub, &more));
    let url = running.login_url().unwrap();
    for part in [
        "response_type=code",
        "client_id=cli",
        "scope=openid+email+groups&",
        "state=",
        "nonce=",
        "code_challenge=",
        "code_challenge_method=S256",
        "audience=x+y",
        "redirect_uri=http%3A%2F%2Flocalhost%3A",
    ] {
        assert!(url.contains(part), "{part} in {url}");
    }
    assert!(!url.contains("prompt=") && !url.contains("access_type="), "only where asked: {url}");
    running.signal("-INT");
    running.end();
    // Nobody told other scopes: a login can be refreshed by itself.
    let plain = ["--provider", &stub.url, "--client-id", "cli"];
    let mut running = Running::start(home.login(&stub, &plain));
    let url = running.login_url().unwrap();
    assert!(url.contains("scope=openid+profile+email+offline_access&"), "{url}");
    assert_eq!(browse(&url).0, 200);
    assert_eq!(running.end().code, Some(0));
    assert_eq!(stub.count("told"), 0, "who knows all need not ask");
}

/// A secret on the command line can be read by everybody on the machine; there are three other
/// ways.
#[test]
fn the_client_secret_comes_in_four_ways() {
    let (home, stub) = (Home::new(), Stub::start());
    home.write(&home.file("secret"), "from-file\n");
    let ways: [(&str, &[&str], Option<&str>); 4] = [
        ("from-flag", &["--client-secret", "from-flag"], None),
        ("from-file", &["--client-secret-file", "~/secret"], None),
        ("from-stdin", &["--client-secret-file", "-"], None),
        ("from-variable", &[], Some("from-variable")),
    ];
    for (secret, flags, variable) in ways {
        let more = [&["--client-auth", "post", "--force", "--token-store", "none"], flags].concat();
        let args =
            ["login", &stub.url, "--insecure", "--skip-open-browser", "--callback-port", "0"];
        let mut command = home.command(&[&args[..], &more].concat());
        if let Some(value) = variable {
            command.env("TALOSCTL_OIDC_LOGIN_CLIENT_SECRET", value);
        }
        command.stdin(Stdio::piped());
        let mut running = Running::start(command);
        let mut stdin = running.child.stdin.take().unwrap();
        // Who does not read it may have closed it.
        let _ = stdin.write_all(b"from-stdin\n");
        drop(stdin);
        assert_eq!(browse(&running.login_url().unwrap()).0, 200);
        let ended = running.end();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(stub.state().secrets.iter().any(|seen| seen == secret), "{secret} was not sent");
        assert!(!ended.err.contains(secret) && !ended.out.contains(secret), "{ended:?}");
    }
}

#[test]
fn the_talosconfig_is_where_talosctl_looks() {
    let (home, stub) = (Home::new(), Stub::start());
    let token = stub.id_token();
    let login = |set: &[(&str, &str)], more: &[&str]| {
        let args = ["login", &stub.url, "--insecure", "--id-token", &token];
        let mut command = home.command(&[&args[..], more].concat());
        command.envs(set.iter().copied());
        let ended = ended(command.output().unwrap());
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended
    };
    let (named, talos_home) = (home.file("named"), home.file("talos-home"));
    let (named_text, talos_text) = (named.to_str().unwrap(), talos_home.to_str().unwrap());
    let both = [("TALOSCONFIG", named_text), ("TALOS_HOME", talos_text)];
    login(&both, &[]);
    assert!(named.exists() && !talos_home.exists() && !home.talosconfig().exists());
    login(&both[1..], &[]);
    assert!(talos_home.join("config").exists() && !home.talosconfig().exists());
    login(&[("TALOSCONFIG", "")], &["--nodes", "10.0.0.9,10.0.0.8"]);
    let text = fs::read_to_string(home.talosconfig()).unwrap();
    let config = Talosconfig::parse(&text).unwrap();
    assert_eq!(config.context("oidc").unwrap().nodes, ["10.0.0.9", "10.0.0.8"]);
    // One that exists wins over one that does not.
    fs::remove_file(&named).unwrap();
    login(&[("TALOSCONFIG", named_text)], &["--context-name", "other"]);
    assert!(!named.exists() && fs::read_to_string(home.talosconfig()).unwrap().contains("other:"));
    login(&both, &["--talosconfig", "~/by-flag"]);
    assert!(home.file("by-flag").exists() && !named.exists());
    let status = home.command(&["status", "--talosconfig", "~/by-flag"]).output().unwrap();
    let path = format!("Path: {}\nStatus: context exists\n", home.file("by-flag").display());
    assert!(ended(status).out.contains(&path));
    // What one login wrote, logout takes away, and no context is current then.
    let out = home.run(&["logout", "--talosconfig", "~/by-flag"]);
    assert!(out.code == Some(0) && out.out.contains("removed from"), "{out:?}");
    let text = fs::read_to_string(home.file("by-flag")).unwrap();
    let config = Talosconfig::parse(&text).unwrap();
    assert!(config.current.is_none() && config.contexts.is_empty(), "{text}");
    assert!(text.contains("context: \"\"\n"), "{text}");
}

/// Nodes belong to the user: a login leaves them, a flag of the user's changes them.
#[test]
fn nodes_change_only_where_they_are_named() {
    let (home, stub) = (Home::new(), Stub::start());
    let nodes = || {
        let text = fs::read_to_string(home.talosconfig()).unwrap();
        Talosconfig::parse(&text).unwrap().context("oidc").unwrap().nodes.clone()
    };
    let certificates = |more: &[&str]| {
        let ended = home.log_in(&stub, more);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        stub.count("exchange")
    };
    assert_eq!(certificates(&["--nodes", "10.0.0.9"]), 1);
    assert_eq!(nodes(), ["10.0.0.9"]);
    assert_eq!(certificates(&["--force"]), 2);
    assert_eq!(nodes(), ["10.0.0.9"]);
    // The certificate is still good, and yet there is something to do.
    assert_eq!(certificates(&["--nodes", "10.0.0.8,10.0.0.7"]), 3);
    assert_eq!(nodes(), ["10.0.0.8", "10.0.0.7"]);
    assert_eq!(certificates(&["--nodes", "10.0.0.8,10.0.0.7"]), 3);
    assert_eq!(stub.count("authorize"), 1, "for nodes alone nobody is asked");
}

#[test]
fn nodes_of_the_variable_only_fill_a_context() {
    let (home, stub) = (Home::new(), Stub::start());
    let log_in = |more: &[&str]| {
        let mut command = home.login(&stub, more);
        command.env("TALOSCTL_OIDC_LOGIN_NODES", "10.0.0.9, 10.0.0.8");
        let mut running = Running::start(command);
        if let Some(url) = running.login_url() {
            let _ = browse(&url);
        }
        let ended = running.end();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let text = fs::read_to_string(home.talosconfig()).unwrap();
        let config = Talosconfig::parse(&text).unwrap();
        (config.context("oidc").unwrap().nodes.clone(), stub.count("exchange"))
    };
    let list = |nodes: &[&str]| nodes.iter().map(|node| (*node).to_owned()).collect::<Vec<_>>();
    assert_eq!(log_in(&[]), (list(&["10.0.0.9", "10.0.0.8"]), 1));
    assert_eq!(log_in(&["--nodes", "10.0.0.7"]), (list(&["10.0.0.7"]), 2));
    // It was set for good, and these are the user's now.
    assert_eq!(log_in(&[]), (list(&["10.0.0.7"]), 2));
    assert_eq!(log_in(&["--force"]), (list(&["10.0.0.7"]), 3));
    let refused = home.run(&["login", "https://127.0.0.1:1", "--nodes", "10.0.0.1 10.0.0.2"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.err.contains("write commas between several"), "{refused:?}");
}

#[test]
fn exec_takes_the_context_that_is_named() {
    let (home, stub) = (Home::new(), Stub::start());
    let token = stub.id_token();
    let args = ["exec", &stub.url, "--insecure", "--id-token", &token, "--context-name", "prod"];
    let got = home.run(&[&args[..], &["--", "sh", "-c", "cat $TALOSCONFIG"]].concat());
    assert_eq!(got.code, Some(0), "{got:?}");
    let config = Talosconfig::parse(&got.out).unwrap();
    assert_eq!((config.current.as_deref(), config.contexts.len()), (Some("prod"), 1));
    let kept = fs::read_to_string(home.talosconfig()).unwrap();
    assert!(kept.contains("prod:"), "without --ephemeral the context is written: {kept}");
}

/// The units that are shipped say nothing that this program does not know.
#[test]
fn the_units_of_a_watch_fit_the_program() {
    let home = Home::new();
    let deploy = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy");
    let help = home.run(&["login", "--help"]).out;
    let unit =
        fs::read_to_string(format!("{deploy}/systemd/talosctl-oidc-login@.service")).unwrap();
    let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let plist = fs::read_to_string(format!("{deploy}/launchd/talosctl-oidc.login.plist")).unwrap();
    let words = plist.split("<string>").skip(1).filter_map(|text| text.split('<').next());
    let flags: Vec<&str> =
        start.split(' ').chain(words).filter(|word| word.starts_with("--")).collect();
    assert!(flags.contains(&"--watch") && flags.contains(&"--non-interactive"), "{flags:?}");
    for flag in flags {
        assert!(help.contains(flag), "{flag} of a unit is unknown");
    }
    assert!(plist.contains("<key>KeepAlive</key>") && unit.contains("\nRestart=on-failure\n"));
}

#[test]
fn a_wrong_command_line_says_what_is_not_on_it() {
    let home = Home::new();
    let with = |name: &str, value: &str, args: &[&str]| {
        let got = ended(home.command(args).env(name, value).output().unwrap());
        assert_eq!((got.code, &*got.out), (Some(1), ""), "{got:?}");
        got.err
    };
    let variable = "TALOSCTL_OIDC_LOGIN_INSECURE";
    let said = with(variable, "maybe", &["login", "https://127.0.0.1:1"]);
    assert!(said.contains(variable) && said.contains("write true or false"), "{said}");
    // Typed, it is not the variable's fault.
    let said = with(variable, "no", &["login", "--insecure=maybe", "https://127.0.0.1:1"]);
    assert!(!said.contains(variable) && said.contains("--insecure[=<true|false>]"), "{said}");
    let ports = "TALOSCTL_OIDC_LOGIN_CALLBACK_PORT";
    let said = with(ports, "8900,x", &["doctor"]);
    assert!(said.contains(ports) && said.contains("write a port"), "{said}");
    let mut command = home.command(&["login", "https://127.0.0.1:1"]);
    command.env("TALOSCTL_OIDC_LOGIN_PROVIDER", OsStr::from_bytes(b"\xff"));
    let got = ended(command.output().unwrap());
    assert!(got.err.contains("TALOSCTL_OIDC_LOGIN_PROVIDER is no UTF-8"), "{got:?}");
    for args in [&["exec", "talosctl", "version"][..], &["exec"]] {
        let said = with("X", "", args);
        assert!(said.contains("the command goes behind --"), "{said}");
    }
    let said = with("X", "", &["login", "oidc.example.com:8443"]);
    assert!(said.contains("write https://oidc.example.com:8443"), "{said}");
    let got = home.run(&["man", "/nonexistent/folder"]);
    assert_eq!(got.code, Some(2), "{got:?}");
    assert!(got.err.contains("make the folder first"), "{got:?}");
}
