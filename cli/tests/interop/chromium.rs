//! A real browser, headless Chromium, opened by `login` itself: the provider's pages, then ours.
//! `cli/tests/browser/login.mjs` is the person; pictures are left in `target/screenshots`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::desk::{Desk, TOOLS, certificate, without_browser};
use super::opener::register_browser;
use super::parts::SOON;
use super::process::{Folder, Process, Tool, clean, found, have, run, scripts, shell_script, text};

/// Patience with a browser on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// The program that `login` starts as its browser.
struct Browser {
    script: PathBuf,
    report: PathBuf,
    wishes: Value,
}

impl Browser {
    /// A person who logs in as `account`, or cancels where there is none.
    fn new(folder: &Folder, name: &str, provider: &str, account: Option<&str>, to: &Path) -> Self {
        let script = folder.file("chromium-login");
        let lines = format!("exec node {} \"$1\"", scripts().join("login.mjs").display());
        shell_script(&script, &lines);
        let pictures = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../screenshots");
        fs::create_dir_all(&pictures).unwrap();
        let report = folder.file(&format!("{name}.json"));
        let wishes = json!({
            "chromium": found("chromium").unwrap(), "screenshots": pictures, "name": name,
            "provider": provider, "account": account, "deny": account.is_none(),
            "report": report, "talosconfig": to,
        });
        Self { script, report, wishes }
    }

    /// Tells a command which browser it will start.
    fn tell<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("LOGIN_BROWSER", self.wishes.to_string())
    }

    /// What the browser saw, all of it as it must be. Title of the last page.
    fn saw(&self) -> String {
        let end = Instant::now() + PATIENCE;
        while !self.report.exists() {
            assert!(Instant::now() < end, "no report of the browser");
            sleep(Duration::from_millis(50));
        }
        let report: Value =
            serde_json::from_str(&fs::read_to_string(&self.report).unwrap()).unwrap();
        assert_eq!(report["error"], Value::Null, "{report:#}");
        let checks = report["checks"].as_array().unwrap();
        assert!(checks.len() >= 12, "{report:#}");
        let wrong: Vec<&Value> = checks.iter().filter(|check| check["ok"] != true).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
        report["title"].as_str().unwrap().to_owned()
    }
}

#[test]
fn chromium_at_the_certified_provider() {
    if !have(TOOLS) || !have(&[Tool::Chromium]) {
        return;
    }
    let mut desk = Desk::new(&["--alg", "ES256"], "talosctl", "");

    // Cancelled there: named by the variable.
    let browser = Browser::new(&desk.folder, "declined", "npm", None, &desk.config());
    let mut login = desk.login("alice", &[]);
    let (code, said) = desk.run(browser.tell(login.env("BROWSER", &browser.script)));
    assert_eq!(code, 5, "{said}");
    assert!(said.contains("the provider answered `access_denied`"), "{said}");
    assert!(said.contains("[login.access_denied]"), "{said}");
    assert_eq!(browser.saw(), "Login declined");
    assert!(!desk.config().exists());

    // Logged in: named by the flag, which wins.
    let browser = Browser::new(&desk.folder, "complete", "npm", Some("alice"), &desk.config());
    let command = format!("{} %s", browser.script.display());
    let mut login = desk.login("alice", &["--browser-command", &command]);
    desk.done(browser.tell(login.env("BROWSER", "false")));
    assert_eq!(browser.saw(), "Login complete");
    let got = certificate(&desk.folder.read("talosconfig"));
    assert_eq!(got.common_name(), Some("alice@example.com"));
    desk.credential();
    desk.assert_nothing_leaked();
}

#[test]
fn chromium_opened_by_xdg_open() {
    if !have(TOOLS) || !have(&[Tool::Chromium, Tool::XdgOpen]) {
        return;
    }
    let mut desk = Desk::new(&["--alg", "EdDSA"], "talosctl", "");
    let browser = Browser::new(&desk.folder, "xdg-open", "npm", Some("bob"), &desk.config());
    register_browser(&desk, &browser.script.display().to_string());
    let mut login = without_browser(desk.login("bob", &[]));
    desk.done(browser.tell(login.env("DISPLAY", ":0")));
    assert_eq!(browser.saw(), "Login complete");
    let got = certificate(&desk.folder.read("talosconfig"));
    assert_eq!(got.common_name(), Some("bob@example.com"));
    desk.credential();
    desk.assert_nothing_leaked();
}

/// `demo --stay`, and the commands that it prints for a second terminal.
#[test]
fn chromium_at_the_development_provider() {
    if !have(&[Tool::Chromium]) {
        return;
    }
    let folder = Folder::new();
    let mut demo = clean(env!("CARGO_BIN_EXE_talosctl-oidc"), &folder);
    let mut demo = Process::start("demo --stay", demo.args(["demo", "--stay"]));
    demo.line_with("Ctrl-C ends everything", PATIENCE);
    let printed = demo.printed();
    let (_, printed) = printed.split_once("Log in from a second terminal").unwrap();
    let (_, lines) = printed.split_once('\n').unwrap();
    let (lines, _) = lines.split_once("\n\n").unwrap();
    let stage = lines.trim().strip_prefix("cd ").unwrap().lines().next().unwrap();
    let talosconfig = Path::new(stage).join("talosconfig");

    for (name, account) in [("demo-declined", None), ("demo-complete", Some("carol"))] {
        let browser = Browser::new(&folder, name, "demo", account, &talosconfig);
        let mut shell = clean("sh", &folder);
        // As printed, for somebody who pastes it into a shell.
        browser.tell(shell.args(["-ec", lines]).env("BROWSER", &browser.script));
        let output = run(shell.env("TALOSCTL_OIDC_LOGIN_CALLBACK_PORT", "0"));
        let said = text(&output.stdout) + &text(&output.stderr);
        match account {
            None => assert_eq!(output.status.code(), Some(5), "{said}"),
            Some(_) => assert_eq!(output.status.code(), Some(0), "{said}"),
        }
        let title = if account.is_some() { "Login complete" } else { "Login declined" };
        assert_eq!(browser.saw(), title);
    }
    let got = certificate(&fs::read_to_string(&talosconfig).unwrap());
    assert_eq!(got.common_name(), Some("carol@example.com"));
    assert_eq!(demo.terminate(SOON).code(), Some(0));
    assert!(!Path::new(stage).exists(), "the demo leaves nothing behind");
}
