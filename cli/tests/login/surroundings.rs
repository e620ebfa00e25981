//! Which way a login takes by itself: a browser where one would be seen, else a code.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use crate::machine::{Home, Running, browse, get};
use crate::stub::Stub;

/// The way that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Opened,
    Code,
    Shown,
}

/// A program that says that it was given an address.
fn opener(home: &Home, name: &str) -> String {
    let path = home.file("bin").join(name);
    home.write(
        &path,
        "#!/bin/sh\nprintf %s \"$1\" > \"$HOME/part\" && /bin/mv \"$HOME/part\" \"$HOME/opened\"\n",
    );
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    path.display().to_string()
}

fn way(has_opener: bool, variables: &[(&str, &str)], flags: &[&str]) -> Way {
    let (home, stub) = (Home::new(), Stub::start());
    stub.state().device_polls = Some(0);
    let other = opener(&home, "other-browser");
    if has_opener {
        opener(&home, "xdg-open");
    }
    let args = [&["login", &stub.url, "--insecure", "--callback-port", "0"], flags].concat();
    let mut command = home.command(&args);
    command.env("PATH", home.file("bin"));
    for (name, value) in variables {
        command.env(name, if *value == "OTHER" { &other } else { *value });
    }
    let mut running = Running::start(command);
    // A login that needs no browser ends by itself.
    let shown = running.login_url();
    if let Some(url) = &shown {
        assert_eq!(browse(url).0, 200);
    }
    let ended = running.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let opened = fs::read_to_string(home.file("opened")).ok();
    match (stub.count("device"), &shown) {
        (1, None) if opened.is_none() => Way::Code,
        (0, Some(url)) if ended.err.contains("Opening the login page") => {
            // The browser may come after the person who reads the terminal.
            assert!(opened.is_none() || opened.as_ref() == Some(url), "{opened:?}");
            Way::Opened
        }
        (0, Some(_)) if opened.is_none() => Way::Shown,
        other => panic!("{other:?} {opened:?} {ended:?}"),
    }
}

#[test]
fn a_login_sees_where_it_is() {
    let desktop = ("DISPLAY", ":0");
    let ssh = ("SSH_CONNECTION", "192.0.2.7 50000 192.0.2.1 22");
    let container = ("container", "oci");
    for (has_opener, variables, expected) in [
        (true, &[desktop][..], Way::Opened),
        (true, &[("WAYLAND_DISPLAY", "wayland-0")], Way::Opened),
        (true, &[("WSL_DISTRO_NAME", "Debian")], Way::Opened),
        (true, &[], Way::Code),
        (true, &[("DISPLAY", "")], Way::Code),
        // Forwarded over SSH, a display is that of the person, and slow; the callback is here.
        (true, &[desktop, ssh], Way::Code),
        (true, &[desktop, ("SSH_TTY", "/dev/pts/0")], Way::Code),
        (true, &[desktop, ("SSH_CLIENT", "192.0.2.7 50000 22")], Way::Code),
        // A container of a desktop, and one of a cluster.
        (true, &[desktop, container], Way::Opened),
        (false, &[desktop, container], Way::Code),
        (true, &[container], Way::Code),
        (true, &[("KUBERNETES_SERVICE_HOST", "10.96.0.1")], Way::Code),
        // Somebody has thought of it.
        (false, &[ssh, ("BROWSER", "OTHER")], Way::Opened),
        (false, &[container, ("BROWSER", "OTHER")], Way::Opened),
    ] {
        assert_eq!(way(has_opener, variables, &[]), expected, "{has_opener} {variables:?}");
    }
}

#[test]
fn a_flag_forces_a_way() {
    let (desktop, ssh) = (("DISPLAY", ":0"), ("SSH_TTY", "/dev/pts/0"));
    assert_eq!(way(true, &[desktop], &["--device-code"]), Way::Code);
    assert_eq!(way(true, &[desktop], &["--skip-open-browser"]), Way::Shown);
    assert_eq!(way(true, &[ssh], &["--skip-open-browser"]), Way::Shown);
    assert_eq!(way(true, &[ssh], &["--browser-command", "other-browser %s"]), Way::Opened);
}

/// On a host that many use the port is often taken; a pasted address needs none.
#[test]
fn a_busy_port_is_no_matter_where_the_answer_is_pasted() {
    if !std::path::Path::new("/usr/bin/script").exists() {
        eprintln!("skipped: script (util-linux) is not installed");
        return;
    }
    let (home, stub) = (Home::new(), Stub::start());
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = busy.local_addr().unwrap().port();
    let line = format!(
        "{} login {} --insecure --token-store none --callback-port {port}",
        env!("CARGO_BIN_EXE_talosctl-oidc"),
        stub.url
    );
    let mut command = Command::new("/bin/sh");
    // Its terminal is our pipe.
    command.args(["-c", "exec /usr/bin/script -qec \"$0\" /dev/null >&2", &line]).env_clear();
    command.env("HOME", &home.path).env("PATH", "/usr/bin:/bin").env("SSL_CERT_FILE", "/dev/null");
    command.env("SSH_CONNECTION", "192.0.2.7 50000 192.0.2.1 22").env("TERM", "dumb");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = Running::start(command);
    let url = running.login_url().unwrap();
    assert!(url.contains(&format!("127.0.0.1%3A{port}%2Fcallback")), "{url}");
    running.wait_for(|line| line.contains("paste it here")).unwrap();
    let (status, answer, _) = get(&url);
    let mut keyboard = running.child.stdin.take().unwrap();
    assert_eq!(status, 302);
    writeln!(keyboard, "{}", answer.unwrap()).unwrap();
    let ended = running.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.err.contains("written to") && !ended.err.contains("ssh -N"), "{ended:?}");
    assert!(home.talosconfig().exists());
}
