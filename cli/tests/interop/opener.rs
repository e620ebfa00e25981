//! How `login` gets its page opened: by `xdg-open`, a stand-in that writes down what it was given
//! and the real one, with a browser registered as desktops do it.

use std::fs;

use super::desk::{Desk, TOOLS, certificate, without_browser};
use super::parts::SOON;
use super::process::{Process, Tool, clean, done, have, programs, shell_script};

/// The login page as the terminal shows it.
fn shown_url(said: &str) -> &str {
    said.lines().map(str::trim).find(|line| line.starts_with("http") && line.contains('?')).unwrap()
}

#[test]
fn xdg_open_where_no_browser_is_named() {
    if !have(TOOLS) {
        return;
    }
    let mut desk = Desk::new(&["--alg", "EdDSA"], "talosctl", "");
    let (tools, seen) = (desk.folder.file("bin"), desk.folder.file("opened"));
    fs::create_dir(&tools).unwrap();
    let browser = programs().join("browser.py");
    let lines = format!(
        "for word in \"$@\"; do printf '%s\\n' \"$word\"; done >> {}\nexec {} \"$@\"",
        seen.display(),
        browser.display()
    );
    shell_script(&tools.join("xdg-open"), &lines);
    let mut login = without_browser(desk.login("bob", &[]));
    let path = std::env::var("PATH").unwrap();
    login.env("PATH", format!("{}:{path}", tools.display())).env("DISPLAY", ":0");
    let said = desk.done(&mut login);
    assert!(said.contains("Opening the login page in a browser"), "{said}");
    let opened = fs::read_to_string(&seen).unwrap();
    assert_eq!(opened.lines().collect::<Vec<_>>(), [shown_url(&said)], "one word, the address");
    let got = certificate(&desk.folder.read("talosconfig"));
    assert_eq!(got.common_name(), Some("bob@example.com"));
    desk.credential();
    desk.assert_nothing_leaked();
}

#[test]
fn the_real_xdg_open_starts_the_registered_browser() {
    if !have(TOOLS) || !have(&[Tool::XdgOpen]) {
        return;
    }
    let mut desk = Desk::new(&["--alg", "ES256"], "talosctl", "");
    register_browser(&desk, &programs().join("browser.py").display().to_string());
    let mut ask = clean("xdg-mime", &desk.folder);
    let registered = done(ask.args(["query", "default", "x-scheme-handler/http"]));
    assert_eq!(registered.trim(), "test-browser.desktop");
    let mut login = without_browser(desk.login("alice", &[]));
    login.env("DISPLAY", ":0");
    let said = desk.done(&mut login);
    assert!(said.contains("Opening the login page in a browser"), "{said}");
    let steps = desk.folder.read("browser.log");
    assert!(steps.contains("/interaction/") && steps.contains("/callback"), "{steps}");
    assert_eq!(certificate(&desk.folder.read("talosconfig")).roles().len(), 3);
    desk.credential();
    desk.assert_nothing_leaked();
}

/// Makes that program the browser of this home (Desktop Entry and MIME Applications
/// specifications).
pub(crate) fn register_browser(desk: &Desk, program: &str) {
    let applications = desk.folder.file(".local/share/applications");
    let config = desk.folder.file(".config");
    fs::create_dir_all(&applications).unwrap();
    fs::create_dir_all(&config).unwrap();
    let entry = format!(
        "[Desktop Entry]\nType=Application\nName=Test browser\nExec={program} %u\n\
         MimeType=x-scheme-handler/http;x-scheme-handler/https;\n"
    );
    fs::write(applications.join("test-browser.desktop"), entry).unwrap();
    let defaults = "[Default Applications]\nx-scheme-handler/http=test-browser.desktop\n\
                    x-scheme-handler/https=test-browser.desktop\n";
    fs::write(config.join("mimeapps.list"), defaults).unwrap();
}

#[test]
fn where_nothing_opens_a_page_the_login_goes_on() {
    if !have(TOOLS) {
        return;
    }
    let mut desk = Desk::new(&["--alg", "ES256"], "talosctl", "");
    // A browser variable settles that there is one, and it cannot be started.
    let mut login = desk.login("bob", &["--browser-command", "/nonexistent/browser"]);
    login.env("BROWSER", "false").env("PATH", "").env("SSH_CONNECTION", "192.0.2.7 5 192.0.2.1 22");
    let mut waiting = Process::start("login", &mut login);
    let page = waiting.line_with("/auth?", SOON);
    let tunnel = waiting.line_with("ssh -N -L ", SOON);
    assert!(tunnel.ends_with("192.0.2.1"), "{tunnel}");
    let mut other = clean(programs().join("browser.py"), &desk.folder);
    done(other.arg(page.trim()).env("INTEROP_ACCOUNT", "bob"));
    assert!(waiting.ended(SOON).success(), "{}", waiting.printed());
    desk.printed.push_str(&waiting.printed());
    desk.credential();
    desk.assert_nothing_leaked();
}
