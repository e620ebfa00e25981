//! What `status` says, and the commands without a network.

use std::fs;

use crate::machine::Home;
use crate::stub::Stub;

#[test]
fn labels_are_those_of_the_original() {
    let (home, stub) = (Home::new(), Stub::start());
    let empty = home.run(&["status"]);
    assert_eq!(empty.code, Some(0));
    let path = home.talosconfig().display().to_string();
    assert_eq!(
        empty.out,
        format!(
            "Context: oidc\n\n--- OIDC Token ---\nNo cached token.\n\n--- Talosconfig ---\n\
             Path: {path}\nStatus: context not found\n"
        )
    );
    assert_eq!(home.run(&["status", "--check"]).code, Some(2));
    assert_eq!(fs::read_dir(&home.path).unwrap().count(), 0, "looking leaves no trace");

    assert_eq!(home.log_in(&stub, &[]).code, Some(0));
    let full = home.run(&["status", "--check"]);
    assert_eq!(full.code, Some(0), "{full:?}");
    for line in [
        "Context: oidc\n",
        "\n--- OIDC Token ---\n",
        &format!("\nIssuer: {}\n", stub.url),
        "\nClient ID: cli\n",
        "\nStatus: valid (expires in ",
        "\nRefresh: available\n",
        "\n--- Talosconfig ---\n",
        &format!("\nPath: {path}\n"),
        "\nStatus: context exists\n",
        "\nEndpoints: [10.0.0.1 10.0.0.2]\n",
        "\nActive: yes (current context)\n",
        "\nClient cert: present\n",
        "\nExpires: 20",
        "\nRoles: os:reader\n",
        "\nSerial: ",
        "\nIssuer key ID: ",
    ] {
        assert!(full.out.contains(line), "{line:?} in {}", full.out);
    }
    for secret in &stub.state().secrets {
        assert!(!full.out.contains(secret.as_str()));
    }
    let json = home.run(&["status", "-o", "json"]);
    let value: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(value["usable"], true);
    assert_eq!(value["token"]["status"], "valid");
    assert_eq!(value["talosconfig"]["certificate"]["roles"][0], "os:reader");
    let yaml = home.run(&["status", "-o", "yaml"]);
    assert!(yaml.out.contains("\nusable: true\n"), "{yaml:?}");

    // Half a context is worth nothing.
    let text = fs::read_to_string(home.talosconfig()).unwrap();
    let key = text.lines().find(|line| line.trim().starts_with("key:")).unwrap();
    fs::write(home.talosconfig(), text.replace(key, "")).unwrap();
    let half = home.run(&["status", "--check"]);
    assert_eq!(half.code, Some(2));
    assert!(half.out.contains("the private key is missing"), "{half:?}");
}

#[test]
fn labels_of_what_is_old_or_not_ours() {
    let (home, stub) = (Home::new(), Stub::start());
    assert_eq!(home.log_in(&stub, &[]).code, Some(0));
    // A token that has ended, in an entry as the original program writes it.
    stub.state().token_secs = 0;
    let token = stub.id_token();
    let entry = serde_json::json!({"oidc": {
        "access_token": "x", "refresh_token": "", "id_token": token,
        "expires_at": "2030-02-17T14:30:00Z", "issuer": stub.url, "client_id": "cli",
    }});
    fs::write(home.tokens(), entry.to_string()).unwrap();
    let text = fs::read_to_string(home.talosconfig()).unwrap();
    let crt = text.lines().find(|line| line.trim().starts_with("crt:")).unwrap();
    let other = text.replace("context: oidc", "context: prod").replace(crt, "");
    fs::write(home.talosconfig(), other).unwrap();
    let status = home.run(&["status"]);
    assert_eq!(status.code, Some(0), "always, unless --check asks");
    for line in [
        "\nStatus: expired (at 20",
        "\nRefresh: not available\n",
        "\nActive: no (current context is \"prod\")\n",
        "\nClient cert: missing\n",
    ] {
        assert!(status.out.contains(line), "{line:?} in {}", status.out);
    }
    assert!(!status.out.contains("2030"), "the token's own exp counts: {}", status.out);
    assert_eq!(home.run(&["status", "--check"]).code, Some(2));
    let missing = home.run(&["status", "--context-name", "absent"]);
    assert!(missing.code == Some(0) && missing.out.contains("\nStatus: context not found\n"));
    fs::write(home.talosconfig(), "contexts: [\n").unwrap();
    let broken = home.run(&["status"]);
    assert!(
        broken.code == Some(0) && broken.out.contains("\nStatus: error loading ("),
        "{broken:?}"
    );
}

#[test]
fn a_store_that_others_could_write_is_not_believed() {
    use std::os::unix::fs::PermissionsExt;
    let (home, stub) = (Home::new(), Stub::start());
    assert_eq!(home.log_in(&stub, &[]).code, Some(0));
    fs::set_permissions(home.tokens(), fs::Permissions::from_mode(0o644)).unwrap();
    let status = home.run(&["status"]);
    assert!(
        status.out.contains("\nWarning: ") && status.out.contains("Status: valid"),
        "{status:?}"
    );
    fs::set_permissions(home.tokens(), fs::Permissions::from_mode(0o666)).unwrap();
    let status = home.run(&["status"]);
    assert_eq!(status.code, Some(0));
    assert!(status.out.contains("Status: error loading"), "{status:?}");
    let ended = home.log_in(&stub, &["--force"]);
    // Works, and says that nothing was stored.
    assert_eq!((ended.code, stub.count("authorize")), (Some(0), 2), "{ended:?}");
    assert!(ended.err.contains("chmod"), "{ended:?}");
}

#[test]
fn completions_and_pages_come_from_the_same_table() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = home.run(&["completion", shell]);
        assert_eq!(script.code, Some(0));
        assert!(script.out.contains("provider-ca"), "{shell}");
    }
    assert_eq!(home.run(&["man", home.path.to_str().unwrap()]).code, Some(0));
    let page = fs::read_to_string(home.file("talosctl-oidc-login.1")).unwrap();
    assert!(page.contains("provider\\-ca"), "{page}");
    for said in ["TALOSCTL_OIDC_LOGIN_PROVIDER_CA", "Examples:"] {
        assert!(page.contains(said), "the page says less than --help: {said}");
    }
    let program = fs::read_to_string(home.file("talosctl-oidc.1")).unwrap();
    assert!(program.contains("5 login not completed"), "{program}");
    for name in ["man", "rbac-explain", "audit-verify", "status", "exec", "logout"] {
        assert!(home.file(&format!("talosctl-oidc-{name}.1")).exists(), "{name}");
    }
    let help = home.run(&["--help"]);
    assert!(help.out.contains("\n  man "), "{}", help.out);
    assert_eq!(home.run(&["man", "/absent"]).code, Some(2));
    let version = home.run(&["version"]);
    assert!(version.out.starts_with("talosctl-oidc "), "{version:?}");
    assert_eq!(version.out.lines().count(), 3);
}
