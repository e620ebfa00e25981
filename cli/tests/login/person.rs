//! A person logs in: browser, device code, the pages on the way, and what must not be printed.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use exchange_core::talosconfig::Talosconfig;

use crate::machine::{Ended, Home, Running, browse, ended, get};
use crate::stub::Stub;

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn holds_no_secret(ended: &Ended, stub: &Stub) {
    let state = stub.state();
    assert!(state.secrets.len() >= 5);
    for secret in &state.secrets {
        assert!(!ended.out.contains(secret.as_str()), "stdout has a secret");
        assert!(!ended.err.contains(secret.as_str()), "stderr has a secret: {}", ended.err);
    }
    assert!(!ended.err.contains("PRIVATE KEY") && !ended.out.contains("PRIVATE KEY"));
}

#[test]
fn the_server_alone_is_enough() {
    let (home, stub) = (Home::new(), Stub::start());
    let mut command = home.login(&stub, &[]);
    command.env("DEBUG", "1");
    let mut running = Running::start(command);
    let url = running.login_url().unwrap();
    assert!(url.contains("scope=openid+email+groups+offline_access"), "{url}");
    let (status, page) = browse(&url);
    assert_eq!(status, 200);
    assert!(page.contains("Login complete"), "{page}");
    let ended = running.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.starts_with("Context \"oidc\" written to "), "{ended:?}");
    assert!(ended.out.contains("roles: os:reader"), "{ended:?}");
    assert!(ended.err.contains("[DEBUG] POST "), "{ended:?}");
    holds_no_secret(&ended, &stub);
    // The state stands in the address that must be shown, and nowhere else.
    let state = url.split("state=").nth(1).unwrap().split('&').next().unwrap();
    assert_eq!(ended.err.matches(state).count(), 1);

    let config = fs::read_to_string(home.talosconfig()).unwrap();
    let config = Talosconfig::parse(&config).unwrap();
    assert_eq!(config.current.as_deref(), Some("oidc"));
    let context = config.context("oidc").unwrap();
    assert_eq!(context.endpoints, ["10.0.0.1", "10.0.0.2"]);
    assert_eq!((mode(&home.talosconfig()), mode(&home.file(".talos"))), (0o600, 0o700));
    assert_eq!((mode(&home.tokens()), mode(home.tokens().parent().unwrap())), (0o600, 0o700));
    let tokens = fs::read_to_string(home.tokens()).unwrap();
    assert!(tokens.contains("\"access_token\":\"\""), "the access token is of no use to anybody");

    // The certificate is fresh: nothing to do, whatever the network says.
    stub.state().seen.clear();
    let again = home.log_in(&stub, &[]);
    assert_eq!(again.code, Some(0), "{again:?}");
    assert!(again.out.contains("no renewal needed"), "{again:?}");
    assert!(stub.state().seen.is_empty(), "{:?}", stub.state().seen);
    // Forced, the cached token serves.
    let forced = home.log_in(&stub, &["--force"]);
    assert_eq!(forced.code, Some(0), "{forced:?}");
    assert_eq!((stub.count("exchange"), stub.count("authorize")), (1, 0));
}

#[test]
fn tokens_of_another_login_are_not_used() {
    let (home, stub) = (Home::new(), Stub::start());
    assert_eq!(home.log_in(&stub, &[]).code, Some(0));
    let other = ["--provider", &stub.url, "--client-id", "other", "--scopes", "openid"];
    stub.state().denies = Some("access_denied");
    let ended = home.log_in(&stub, &other);
    assert_eq!((ended.code, stub.count("authorize")), (Some(5), 2), "{ended:?}");
}

#[test]
fn what_is_not_ours_stays_as_it_was() {
    let (home, stub) = (Home::new(), Stub::start());
    let real = home.file("dotfiles/talos");
    let before = "# mine\ncontext: prod # keep\ncontexts:\n  prod:\n    endpoints: [a]\n    auth: \
                  {siderov1: {identity: me}}\n    crt: x\n";
    home.write(&real, before);
    fs::set_permissions(&real, fs::Permissions::from_mode(0o644)).unwrap();
    fs::create_dir_all(home.file(".talos")).unwrap();
    std::os::unix::fs::symlink(&real, home.talosconfig()).unwrap();
    let first = home.log_in(&stub, &[]);
    assert_eq!(first.code, Some(0));
    assert!(home.talosconfig().is_symlink());
    assert_eq!(mode(&real), 0o644);
    // Its mode is his, but he is told.
    assert!(first.err.contains("open to others (mode 644): chmod 600"), "{first:?}");
    assert!(!first.err.contains("current context"), "{first:?}");
    let after = fs::read_to_string(&real).unwrap();
    assert!(after.starts_with("# mine\ncontext: oidc # keep\ncontexts:\n  prod:\n"), "{after}");
    assert!(after.contains("auth: {siderov1: {identity: me}}"), "{after}");

    // The person changes his mind; a silent renewal respects it.
    fs::write(&real, after.replace("context: oidc", "context: prod")).unwrap();
    let silent = home.log_in(&stub, &["--force", "--non-interactive"]);
    assert_eq!(silent.code, Some(0), "{silent:?}");
    let stays = "The current context stays \"prod\": use talosctl --context oidc";
    assert!(silent.err.contains(stays), "{silent:?}");
    assert!(fs::read_to_string(&real).unwrap().contains("context: prod # keep"));

    let out = home.run(&["logout"]);
    assert_eq!(out.code, Some(0), "{out:?}");
    assert!(out.out.contains("Cached token cleared."), "{out:?}");
    assert_eq!((fs::read_to_string(&real).unwrap().as_str(), mode(&real)), (before, 0o644));
    let again = home.run(&["logout"]);
    assert_eq!(again.code, Some(0));
    assert!(again.out.contains("No context \"oidc\""), "{again:?}");
}

#[test]
fn logout_can_revoke() {
    let (home, stub) = (Home::new(), Stub::start());
    assert_eq!(home.log_in(&stub, &[]).code, Some(0));
    let out = home.run(&["logout", "--revoke"]);
    assert_eq!((out.code, stub.count("revoke refresh_token")), (Some(0), 1), "{out:?}");
    assert!(!fs::read_to_string(home.tokens()).unwrap().contains("refresh_token"));
}

/// A client that has a secret shows it to end a login as it does to begin one.
#[test]
fn logout_revokes_also_for_a_client_with_a_secret() {
    let (home, stub) = (Home::new(), Stub::start());
    home.write(&home.file("secret"), "from-file\n");
    let ways: [(&[&str], Option<&str>, &str); 5] = [
        (&["--client-secret", "from-flag"], None, "Basic Y2xpOmZyb20tZmxhZw=="),
        (&["--client-secret-file", "~/secret"], None, "Basic Y2xpOmZyb20tZmlsZQ=="),
        (&["--client-secret-file", "-"], None, "Basic Y2xpOmZyb20tc3RkaW4="),
        (&["--client-auth", "post"], Some("from-variable"), "from-variable"),
        (&["--client-secret", "listed"], None, "listed"),
    ];
    for (flags, variable, shown) in ways {
        assert_eq!(home.log_in(&stub, &[]).code, Some(0));
        {
            let mut state = stub.state();
            (state.seen, state.secrets) = (Vec::new(), Vec::new());
            let name = "revocation_endpoint_auth_methods_supported";
            if shown == "listed" {
                state.metadata.insert(name.to_owned(), ["client_secret_post"].as_slice().into());
            }
        }
        let mut command = home.command(&[&["logout", "--revoke"], flags].concat());
        if let Some(secret) = variable {
            command.env("TALOSCTL_OIDC_LOGIN_CLIENT_SECRET", secret);
        }
        command.stdin(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // Who does not read it may have closed it.
        let _ = child.stdin.take().unwrap().write_all(b"from-stdin\n");
        let out = ended(child.wait_with_output().unwrap());
        assert_eq!((out.code, stub.count("revoke refresh_token")), (Some(0), 1), "{out:?}");
        assert_eq!(stub.state().secrets, [shown], "{flags:?}");
    }
    // Without it, the provider's refusal names what is missing; nothing is left here all the same.
    assert_eq!(home.log_in(&stub, &[]).code, Some(0));
    let answer = (401, String::new(), r#"{"error":"invalid_client"}"#.to_owned());
    stub.state().instead.insert("/revoke", answer);
    let out = home.run(&["logout", "--revoke"]);
    assert!(out.code == Some(4) && out.err.contains("--client-secret-file"), "{out:?}");
    assert!(!fs::read_to_string(home.tokens()).unwrap().contains("refresh_token"));
    let wrong = home.run(&["logout", "--revoke", "--client-auth", "magic"]);
    assert_eq!(wrong.code, Some(1), "{wrong:?}");
}

#[test]
fn the_browser_is_started_with_the_address_alone() {
    let (home, stub) = (Home::new(), Stub::start());
    let (script, seen) = (home.file("browser"), home.file("seen"));
    let text = "#!/bin/sh\nprintf %s \"$*\" > \"$HOME/part\" && mv \"$HOME/part\" \"$HOME/seen\"\n";
    home.write(&script, text);
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    let mut command = home.command(&["login", &stub.url, "--insecure", "--callback-port", "0"]);
    command.env("BROWSER", &script).env("CI", "true");
    let running = Running::start(command);
    let until = Instant::now() + Duration::from_secs(60);
    while !seen.exists() {
        assert!(Instant::now() < until, "no browser was started");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(browse(&fs::read_to_string(&seen).unwrap()).0, 200);
    let ended = running.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.err.matches("there is no keychain here").count(), 1, "{ended:?}");
}

#[test]
fn other_pages_cannot_end_a_login() {
    let (home, stub) = (Home::new(), Stub::start());
    let mut running = Running::start(home.login(&stub, &[]));
    let url = running.login_url().unwrap();
    let callback = url.split("redirect_uri=http%3A%2F%2F127.0.0.1%3A").nth(1).unwrap();
    let port = callback.split('%').next().unwrap();
    for page in ["callback?error=x", "callback?code=x&state=y", "favicon.ico", "callback", ""] {
        let (status, _, _) = get(&format!("http://127.0.0.1:{port}/{page}"));
        assert!((400..500).contains(&status), "{page}: {status}");
    }
    assert_eq!(browse(&url).0, 200);
    assert_eq!(running.end().code, Some(0));
}

/// Whoever holds connections open at the callback port does not keep the answer out.
#[test]
fn silent_connections_do_not_hold_a_login_up() {
    let (home, stub) = (Home::new(), Stub::start());
    let mut running = Running::start(home.login(&stub, &[]));
    let url = running.login_url().unwrap();
    let callback = url.split("redirect_uri=http%3A%2F%2F127.0.0.1%3A").nth(1).unwrap();
    let port: u16 = callback.split('%').next().unwrap().parse().unwrap();
    let open = || std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    let (silent, mut half) = (open(), open());
    half.write_all(b"GET /callback?code=x HTTP/1.1\r\nhost: 127").unwrap();
    assert_eq!(browse(&url).0, 200);
    assert_eq!(running.end().code, Some(0));
    drop((silent, half));
}

#[test]
fn without_a_browser_the_device_code_comes_first() {
    let (home, stub) = (Home::new(), Stub::start());
    stub.state().device_polls = Some(1);
    let args = ["login", &stub.url, "--insecure", "--token-store", "file"];
    let mut command = home.command(&args);
    command.env("SSH_CONNECTION", "192.0.2.7 50000 192.0.2.1 22").env("DEBUG", "1");
    let ended = crate::machine::ended(command.output().unwrap());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.err.contains("WDJB-MJHT") && ended.err.contains("/enter"), "{ended:?}");
    assert_eq!((stub.count("device"), stub.count("authorize")), (1, 0));
    assert_eq!(stub.count("token device_code"), 2);
    holds_no_secret(&ended, &stub);
}

#[test]
fn without_a_device_flow_the_tunnel_is_printed() {
    let (home, stub) = (Home::new(), Stub::start());
    let args = ["login", &stub.url, "--insecure", "--token-store", "file", "--callback-port", "0"];
    let mut command = home.command(&args);
    command.env("SSH_CONNECTION", "192.0.2.7 50000 192.0.2.1 2222").env("USER", "ann");
    let mut running = Running::start(command);
    let url = running.login_url().unwrap();
    let line = running.wait_for(|line| line.contains("ssh -N -L ")).unwrap();
    let port = line.split("-L ").nth(1).unwrap().split(':').next().unwrap();
    assert!(url.contains(&format!("127.0.0.1%3A{port}%2Fcallback")), "{url} {line}");
    assert!(line.ends_with(&format!("-L {port}:127.0.0.1:{port} -p 2222 ann@192.0.2.1")), "{line}");
    assert_eq!(browse(&url).0, 200);
    assert_eq!(running.end().code, Some(0));
}

#[test]
fn ctrl_c_ends_a_login_that_waits() {
    let (home, stub) = (Home::new(), Stub::start());
    for signal in ["-INT", "-TERM"] {
        let mut running = Running::start(home.login(&stub, &[]));
        running.login_url().unwrap();
        running.signal(signal);
        assert_eq!(running.end().code, Some(5));
    }
    assert!(!home.talosconfig().exists());
}

/// In a terminal of its own, by `script` of util-linux.
#[test]
fn the_address_of_the_last_page_can_be_pasted() {
    use std::io::{Read as _, Write as _};
    let (home, stub) = (Home::new(), Stub::start());
    if !std::path::Path::new("/usr/bin/script").exists() {
        eprintln!("skipped: script (util-linux) is not installed");
        return;
    }
    let program = env!("CARGO_BIN_EXE_talosctl-oidc");
    let line = format!("{program} login {} --insecure --token-store file", stub.url);
    let mut command = std::process::Command::new("/usr/bin/script");
    command.args(["-qec", &line, "/dev/null"]).env_clear().env("HOME", &home.path);
    command.env("PATH", "/usr/bin:/bin").env("SSH_TTY", "/dev/pts/0");
    command.env("TALOSCTL_OIDC_LOGIN_CALLBACK_PORT", "0");
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut said = String::new();
    while !said.contains("paste its address here") {
        let mut bytes = [0; 1024];
        let count = stdout.read(&mut bytes).unwrap();
        assert!(count > 0, "{said}");
        said.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
    let url = said.lines().find(|line| line.contains("/authorize?")).unwrap().trim();
    let (_, callback, _) = get(url);
    stdin.write_all(b"nonsense\n").unwrap();
    stdin.write_all(format!("{}\n", callback.unwrap()).as_bytes()).unwrap();
    stdout.read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success(), "{said}");
    assert!(said.contains("That is not the answer to this login"), "{said}");
    assert!(said.contains("written to"), "{said}");
}
