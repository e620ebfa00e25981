//! The command `demo` as a process: it tells the whole story and ends well.

use std::process::{Command, Stdio};

#[test]
fn the_story_comes_out_as_it_should() {
    let output = Command::new(env!("CARGO_BIN_EXE_talosctl-oidc"))
        .arg("demo")
        // What the caller has set up for itself must not show through.
        .env("TALOSCTL_OIDC_LOGIN_CONTEXT_NAME", "another")
        .env("TALOSCTL_OIDC_CERT_TTL", "1h")
        .env("HTTPS_PROXY", "http://127.0.0.1:1")
        .env("http_proxy", "http://127.0.0.1:1")
        .stdin(Stdio::null())
        .output()
        .expect("the program starts");
    let told = String::from_utf8_lossy(&output.stdout);
    let trouble = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}\n{trouble}");
    for expected in [
        "alice logs in",
        "bob logs in",
        "carol logs in",
        "mallory tries",
        "os:admin for alice@example.com",
        "os:reader for bob@example.com",
        "os:etcd:backup for carol@example.com",
        "refused: PermissionDenied, not authorized",
        "401: invalid token",
        "refused in the handshake: CertificateExpired",
        "access_denied  mallory@example.com",
        "came out as they should",
    ] {
        assert!(told.contains(expected), "{expected} is missing in:\n{told}");
    }
    assert!(!told.contains('\u{1b}'), "colours without a terminal");
    for line in told.lines() {
        assert!(line.chars().count() <= 100 || line.contains("folder"), "too wide: {line}");
    }
    let folder = told.lines().find_map(|line| line.trim().strip_prefix("folder"));
    let folder = std::path::Path::new(folder.expect("the folder is named").trim());
    assert!(!folder.exists(), "the folder is left behind");
}
