//! The admin dashboard in a real Chromium: the program itself serves it, real exchanges fill it,
//! `cli/tests/browser/dashboard.mjs` looks at it and reports what it found.
//!
//! Screenshots are left in `target/screenshots`.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "a failing test should stop at the line that failed"
)]
#![allow(
    dead_code,
    reason = "the helpers belong to the tests of the server, which use all of them"
)]

#[path = "serve/client.rs"]
mod client;
#[path = "serve/provider.rs"]
mod provider;
#[path = "serve/token.rs"]
mod token;
#[path = "serve/world.rs"]
mod world;

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;

use exchange_core::http::{FetchRequest, Trust};
use exchange_smol::executor;
use exchange_smol::fetch::Fetcher;
use exchange_smol::proxy::ProxySettings;
use exchange_smol::tls::{ClientOptions, ClientRoots, ClientTls};
use provider::Provider;
use serde_json::{Value, json};
use world::{Config, Server};
use zeroize::Zeroizing;

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

/// Self-signed TLS, so that the cookie is as in production, and roles by group.
fn serve(provider: &Provider) -> Server {
    let config = Config::new(provider).unset("insecure");
    let data = config.folder.path("data").display().to_string();
    let rules = json!({ "rules": [
        { "claim": "groups", "value": "admins", "roles": ["os:admin", "os:etcd:backup"] },
        { "claim": "groups", "value": "readers", "roles": ["os:reader"] },
    ] });
    config
        .set("data_dir", &data)
        .set("admin_token", ADMIN_TOKEN)
        .set("cert_ttl", "30m")
        .set("roles", "[]")
        .set("rbac", &rules.to_string())
        .start()
        .ready()
}

/// Hands tokens in over TLS and gives the statuses.
fn exchange(server: &Server, tokens: &[String]) -> Vec<u16> {
    let ca = fs::read(server.config.folder.path("data/ca.crt")).unwrap();
    let options = ClientOptions { roots: ClientRoots::Only(&ca), ..ClientOptions::default() };
    let tls = ClientTls::new(options).unwrap();
    let fetcher = Fetcher::new(tls.clone(), tls, ProxySettings::none(), "test/1");
    let request = |token: &String| FetchRequest {
        url: format!("https://{}/exchange", server.address).parse().unwrap(),
        post: Some((
            "application/json",
            Zeroizing::new(json!({ "id_token": token }).to_string().into_bytes()),
        )),
        headers: Vec::new(),
        trust: Trust::Server,
        body_bytes_max: 65_536,
        timeout_millis: 30_000,
    };
    executor::run(NonZeroUsize::MIN, async {
        let mut statuses = Vec::new();
        for token in tokens {
            statuses.push(fetcher.fetch(request(token)).await.unwrap().status);
        }
        statuses
    })
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
    let server = serve(&provider);
    let token = |subject: &str, email: &str, group: &str| {
        provider.token(subject, json!({ "email": email, "groups": [group] }))
    };
    let crowd: Vec<String> = (0..CROWD)
        .map(|n| token(&format!("crowd-{n:02}"), &format!("{n}@crowd.example"), "readers"))
        .collect();
    assert_eq!(exchange(&server, &crowd), [200; CROWD]);
    let others = [
        token("mallory", MARKUP, "readers"),
        token("248289761001", "alice@example.com", "admins"),
        token("visitor", "visitor@example.com", "nobody"),
        provider.token("late", json!({ "exp": token::now() - 3600 })),
    ];
    assert_eq!(exchange(&server, &others), [200, 200, 403, 401]);

    let screenshots = root.parent().unwrap().join("target/screenshots");
    fs::create_dir_all(&screenshots).unwrap();
    let wanted = json!({
        "url": format!("https://{}", server.address),
        "chromium": chromium,
        "screenshots": screenshots,
        "adminToken": ADMIN_TOKEN,
        "markup": MARKUP,
        "issued": CROWD + 2,
        // The script hands this in itself, to see the page notice.
        "lateToken": provider.token(
            "latecomer",
            json!({ "email": "late@example.com", "groups": ["admins"], "exp": token::now() + 3600 }),
        ),
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
