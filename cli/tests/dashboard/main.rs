//! The admin dashboard in a real Chromium: the program itself serves it, real exchanges fill it,
//! `cli/tests/browser/dashboard.mjs` looks at it and reports what it found.
//!
//! Screenshots are left in `target/screenshots`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failing test should stop at the line that failed"
)]
#![allow(clippy::print_stderr, reason = "a skipped test has to say so")]

mod provider;
mod server;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use provider::Provider;
use serde_json::{Value, json};
use server::Server;

/// A fragment that runs as soon as anybody forgets to escape it.
const MARKUP: &str = "<img src=x onerror=alert(1)>@x";
const ADMIN_TOKEN: &str = "correct-horse-battery-staple";
/// One page of the dashboard holds 50.
const CROWD: usize = 55;

/// Where the programs are, or what is missing.
fn tools(script: &Path) -> Result<(PathBuf, PathBuf), String> {
    let found = |name: &str| {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&paths).map(|dir| dir.join(name)).find(|path| path.is_file())
    };
    let node = found("node").ok_or("node is not installed")?;
    let chromium = ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find_map(found)
        .ok_or("chromium is not installed")?;
    if !script.with_file_name("node_modules/playwright-core").is_dir() {
        return Err("run npm ci in cli/tests/browser first".into());
    }
    Ok((node, chromium))
}

#[test]
fn the_dashboard_works_in_a_browser() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let script = root.join("tests/browser/dashboard.mjs");
    let (node, chromium) = match tools(&script) {
        Ok(tools) => tools,
        Err(missing) => return eprintln!("skipped: dashboard in a browser: {missing}"),
    };
    let provider = Provider::start();
    let server = Server::start(&provider, ADMIN_TOKEN);
    let claims = |subject: &str, email: &str, group: &str| {
        provider.token(json!({ "sub": subject, "email": email, "groups": [group] }))
    };
    for n in 0..CROWD {
        let token = claims(&format!("crowd-{n:02}"), &format!("{n}@crowd.example"), "readers");
        assert_eq!(server.exchange(&token), 200);
    }
    for (subject, email, group, status) in [
        ("mallory", MARKUP, "readers", 200),
        ("248289761001", "alice@example.com", "admins", 200),
        ("visitor", "visitor@example.com", "nobody", 403),
    ] {
        assert_eq!(server.exchange(&claims(subject, email, group)), status);
    }
    assert_eq!(server.exchange(&provider.expired()), 401);

    let screenshots = root.parent().unwrap().join("target/screenshots");
    fs::create_dir_all(&screenshots).unwrap();
    let wanted = json!({
        "url": server.url(),
        "chromium": chromium,
        "screenshots": screenshots,
        "adminToken": ADMIN_TOKEN,
        "markup": MARKUP,
        "issued": CROWD + 2,
        // The script hands this in itself, to see the page notice.
        "lateToken": claims("latecomer", "late@example.com", "admins"),
    });
    let output = Command::new(node)
        .arg(&script)
        .arg(wanted.to_string())
        .output()
        .expect("node was found and can be started");
    let said = String::from_utf8_lossy(&output.stdout);
    let report: Value = said
        .lines()
        .last()
        .and_then(|line| serde_json::from_str(line).ok())
        .unwrap_or_else(|| panic!("no report: {}", String::from_utf8_lossy(&output.stderr)));
    let failed: Vec<&Value> = report["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| check["ok"] != json!(true))
        .collect();
    assert!(failed.is_empty(), "{}", serde_json::to_string_pretty(&failed).unwrap());
    assert_eq!(report["finished"], json!(true), "{report}");
    assert!(report["checks"].as_array().unwrap().len() >= 40, "checks were left out: {report}");
    assert!(output.status.success());
}
