//! Configuration: sources, grammar, and one report of everything that is wrong.

use crate::provider::Provider;
use crate::token::CLIENT_ID;
use crate::world::{Config, Folder, program, vector};

/// Exit status 1, one report on standard error that holds all of these.
fn refused(config: &Config, holds: &[&str]) {
    let (status, text) = config.fails();
    assert_eq!(status.code(), Some(1), "{text}");
    for part in holds {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
    assert!(!text.contains("listening on"), "{text}");
}

fn config() -> Config {
    Config::with_issuer("https://idp.example.com")
}

/// Section 5.4: everything that is missing in one message.
#[test]
fn s54_all_that_is_missing_is_named_at_once() {
    let empty = config();
    let empty = ["issuer_url", "client_id", "endpoints", "ca_cert", "ca_key"]
        .into_iter()
        .fold(empty, Config::unset);
    refused(&empty, &["required configuration not set: "]);
    let (_, text) = empty.fails();
    for label in [
        "ca_cert / TALOSCTL_OIDC_CA_CERT",
        "ca_key / TALOSCTL_OIDC_CA_KEY",
        "issuer_url / TALOSCTL_OIDC_ISSUER_URL",
        "client_id / TALOSCTL_OIDC_CLIENT_ID",
        "endpoints / TALOSCTL_OIDC_ENDPOINTS",
    ] {
        assert!(text.contains(label), "no {label:?} in:\n{text}");
    }
}

/// D19 (environment), D20 (allowlist of blanks), D4 (lifetimes): an error, each with its place,
/// all of them in one report.
#[test]
fn d19_every_bad_value_is_an_error_in_one_report() {
    let bad = config()
        .set("cert_ttl", "5")
        .set("ip_allowlist", "[10.0.0.0/33]")
        .set("listen", "nowhere")
        .set("tls_cert", "/some/cert.pem")
        .set("audit_checkpoint_interval", "1d")
        .set("rbac", "\n  rules:\n    - { claim: groups, value: '', roles: [os:admin] }\n    - { claim: groups, roles: [] }")
        .env("TALOSCTL_OIDC_RATE_LIMIT_REQUESTS", "10abc")
        .env("TALOSCTL_OIDC_RATE_LIMIT_WINDOW", "1 minute")
        .env("TALOSCTL_OIDC_INSECURE", "yes")
        .env("TALOSCTL_OIDC_TRUSTED_PROXIES", "10.0.0.1,proxy.example")
        .env("TALOSCTL_OIDC_MAX_TTL", "-5m");
    refused(
        &bad,
        &[
            "config.yaml:",
            "cert_ttl / TALOSCTL_OIDC_CERT_TTL",
            "\"5\"",
            "ip_allowlist",
            "10.0.0.0/33",
            "listen / TALOSCTL_OIDC_LISTEN",
            "nowhere",
            "audit_checkpoint_interval",
            "1d",
            "environment: rate_limit_requests / TALOSCTL_OIDC_RATE_LIMIT_REQUESTS",
            "10abc",
            "TALOSCTL_OIDC_RATE_LIMIT_WINDOW",
            "1 minute",
            "TALOSCTL_OIDC_INSECURE",
            "yes",
            "TALOSCTL_OIDC_TRUSTED_PROXIES",
            "proxy.example",
            "TALOSCTL_OIDC_MAX_TTL",
            "-5m",
            "tls_cert / TALOSCTL_OIDC_TLS_CERT",
            "rbac.rules",
        ],
    );
}

#[test]
fn d4_lifetimes_out_of_bounds_do_not_start() {
    for ttl in ["0", "0s", "-1m", "25h", "100000h", "500ms", "5", "1d", "five"] {
        refused(&config().set("cert_ttl", &format!("\"{ttl}\"")), &["cert_ttl", ttl]);
    }
    let (status, _, _) = config().set("cert_ttl", "48h").set("max_ttl", "72h").check();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn d20_an_allowlist_of_blanks_is_an_error_and_not_open() {
    refused(&config().set("ip_allowlist", "['', ' ']"), &["ip_allowlist", "nothing but blanks"]);
    refused(&config().env("TALOSCTL_OIDC_IP_ALLOWLIST", " , ,"), &["TALOSCTL_OIDC_IP_ALLOWLIST"]);
    refused(&config().set("ip_allowlist", "[10.0.0.0/8, office]"), &["office"]);
}

/// Section 5.1: environment over file, key by key; an empty variable counts as unset.
#[test]
fn s51_the_environment_wins_key_by_key() {
    let both = config()
        .set("cert_ttl", "10m")
        .set("roles", "[os:reader]")
        .env("TALOSCTL_OIDC_CERT_TTL", "20m")
        .env("TALOSCTL_OIDC_ROLES", "")
        .env("TALOSCTL_OIDC_ENDPOINTS", "a.example, ,b.example,");
    let (status, out, _) = both.check();
    assert_eq!(status.code(), Some(0));
    assert!(out.contains("20m"), "{out}");
    assert!(out.contains("os:reader"), "{out}");
    assert!(out.contains("a.example") && out.contains("b.example"), "{out}");
    assert!(!out.contains("10.0.0.1"), "{out}");
    // The old words for booleans, and nothing else.
    for (word, good) in [("TRUE", true), ("1", true), ("false", true), ("0", true), ("on", false)] {
        let (status, _, _) = config().unset("insecure").env("TALOSCTL_OIDC_INSECURE", word).check();
        assert_eq!(status.success(), good, "{word}");
    }
}

/// The whole of it by environment, the file named there too.
#[test]
fn s51_environment_alone_is_enough() {
    let folder = Folder::new();
    let (cert, key) = (folder.copy("ca/ed25519.crt", "c"), folder.copy("ca/ed25519.key", "k"));
    let check = |more: &[(&str, &str)]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_talosctl-oidc"));
        command.env_clear().args(["serve", "--check"]);
        command.envs(more.iter().copied());
        command.output().unwrap()
    };
    let text = |path| std::fs::read_to_string(path).unwrap();
    let (cert_data, key_data) = (text(&cert), text(&key));
    let base = [
        ("TALOSCTL_OIDC_ISSUER_URL", "https://idp.example.com"),
        ("TALOSCTL_OIDC_CLIENT_ID", CLIENT_ID),
        ("TALOSCTL_OIDC_ENDPOINTS", "10.0.0.1"),
    ];
    let inline =
        [("TALOSCTL_OIDC_CA_CERT_DATA", &*cert_data), ("TALOSCTL_OIDC_CA_KEY_DATA", &*key_data)];
    let output = check(&[&base[..], &inline[..]].concat());
    assert!(output.status.success(), "{output:?}");
    // Inline wins over files, even files that are not there.
    let files = [("TALOSCTL_OIDC_CA_CERT", "/nowhere"), ("TALOSCTL_OIDC_CA_KEY", "/nowhere")];
    assert!(check(&[&base[..], &inline[..], &files[..]].concat()).status.success());
    let output = check(&[&base[..], &files[..]].concat());
    assert_eq!(output.status.code(), Some(1));
    let file = folder.write("c.yaml", "client_id: [a]\n");
    let named = [("TALOSCTL_OIDC_CONFIG", file.to_str().unwrap())];
    assert!(check(&[&base[..], &inline[..], &named[..]].concat()).status.success());
}

/// Unknown keys warn with the nearest known name; they do not stop the start.
#[test]
fn s53_unknown_keys_are_reported_with_the_nearest_name() {
    let (status, _, log) = config()
        .set("ip_allow_list", "[10.0.0.0/8]")
        .set("cert_tll", "1m")
        .env("TALOSCTL_OIDC_ADMIN_TOKN", "x")
        .env("TALOSCTL_OIDC_SERVICE_HOST", "10.96.0.7")
        .check();
    assert!(status.success(), "{log}");
    assert!(log.contains("unknown key \"ip_allow_list\"; did you mean ip_allowlist?"), "{log}");
    assert!(log.contains("did you mean cert_ttl?"), "{log}");
    assert!(log.contains("did you mean TALOSCTL_OIDC_ADMIN_TOKEN?"), "{log}");
    assert!(!log.contains("SERVICE_HOST"), "{log}");
    // Keys of the newer original are known.
    let (status, _, log) = config().set("trusted_proxies", "[10.0.0.1]").check();
    assert!(status.success() && !log.contains("unknown key"), "{log}");
}

#[test]
fn s53_a_named_file_that_is_missing_or_no_yaml_stops_the_start() {
    let output = program(&["serve", "--config", "/nowhere/config.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nowhere/config.yaml"));
    let folder = Folder::new();
    for bad in ["issuer_url: [", "- a\n- b\n", "issuer_url: a\nissuer_url: b\n", "a: &x 1\nb: *x\n"]
    {
        let path = folder.write("bad.yaml", bad);
        let output = program(&["serve", "--config", path.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1), "{bad}");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.contains("bad.yaml:"), "{bad}: {text}");
    }
}

/// The signing CA is checked as a whole, and the message says what it is instead.
#[test]
fn s41_a_ca_that_cannot_sign_for_talos_does_not_start() {
    let cases = [
        ("ca/kubernetes.crt", "ca/ed25519.key"),
        ("ca/etcd.crt", "ca/ed25519.key"),
        ("ca/front-proxy.crt", "ca/ed25519.key"),
        ("ca/not-a-ca.crt", "ca/ed25519.key"),
        ("ca/expired.crt", "ca/ed25519.key"),
        ("ca/ed25519.crt", "ca/ed25519-next.key"),
        ("ca/ed25519.crt", "ca/ed25519.crt"),
        ("ca/ed25519.key", "ca/ed25519.key"),
        ("ca/p256.crt", "ca/p256.encrypted.key"),
    ];
    for (cert, key) in cases {
        let config = config();
        config.folder.copy(cert, "ca.crt");
        config.folder.copy(key, "ca.key");
        let (status, text) = config.fails();
        assert_eq!(status.code(), Some(1), "{cert} {key}: {text}");
        assert!(text.contains("signing CA"), "{cert} {key}: {text}");
        let key = std::fs::read_to_string(vector("ca/ed25519.key")).unwrap();
        let inside = key.lines().nth(1).unwrap();
        assert!(!text.contains(inside), "the key is in the log: {text}");
        let (status, _, _) = config.check();
        assert_eq!(status.code(), Some(1));
    }
    let mut missing = config();
    missing.put("ca_key", "/nowhere/ca.key");
    refused(&missing, &["ca_key", "/nowhere/ca.key"]);
}

/// `talos_config`: a machine configuration or a secrets bundle signs, a talosconfig cannot.
#[test]
fn s41_talos_config_reads_what_holds_a_ca() {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD as B64;
    let encode = |name| B64.encode(std::fs::read(vector(name)).unwrap());
    let (cert, key) = (encode("ca/ed25519.crt"), encode("ca/ed25519.key"));
    let machine = format!(
        "version: v1alpha1\nmachine:\n  type: controlplane\n  ca:\n    crt: {cert}\n    key: {key}\n\
         ---\napiVersion: v1alpha1\nkind: HostnameConfig\nhostname: x\n"
    );
    let bundle = format!("cluster:\n  id: x\ncerts:\n  os:\n    crt: {cert}\n    key: {key}\n");
    let talosconfig = format!(
        "context: a\ncontexts:\n  a:\n    endpoints: [10.0.0.1]\n    ca: {cert}\n    crt: {cert}\n    key: {key}\n"
    );
    let with = |text: &str| {
        let config = config().unset("ca_cert").unset("ca_key");
        let path = config.folder.write("talos.yaml", text);
        config.set("talos_config", path.to_str().unwrap())
    };
    for good in [&machine, &bundle] {
        let (status, out, log) = with(good).check();
        assert!(status.success(), "{log}");
        assert!(out.contains("signing CA: Ed25519"), "{out}");
    }
    refused(&with(&talosconfig), &["talos_config", "talosconfig"]);
}

#[test]
fn s54_conflicts_of_tls_settings_do_not_start() {
    let config = || config().unset("insecure");
    refused(&config().set("tls_cert", "/a"), &["tls_cert", "needs tls_key"]);
    refused(&config().set("tls_key", "/a"), &["tls_key", "needs tls_cert"]);
    let both = config().set("tls_cert", "/a").set("tls_key", "/b").set("insecure", "true");
    refused(&both, &["tls_cert", "insecure"]);
}

#[test]
fn s9_an_audit_log_that_cannot_be_opened_does_not_start() {
    refused(&config().set("audit_log", "/nowhere/audit.log"), &["audit_log", "/nowhere/audit.log"]);
    refused(&config().set("audit_log", "/proc"), &["audit_log"]);
}

/// What is wrong with files is told together too, each with its setting and code.
#[test]
fn all_files_that_are_wrong_are_named_at_once() {
    let several = config()
        .unset("insecure")
        .set("ca_cert", "/nowhere/ca.crt")
        .set("ca_key", "/nowhere/ca.key")
        .set("idp_ca", "/nowhere/idp.pem")
        .set("talos_ca", "/nowhere/talos.pem")
        .set("client_secret_file", "/nowhere/secret")
        .set("tls_cert", "/nowhere/tls.crt")
        .set("tls_key", "/nowhere/tls.key");
    let parts = [
        "/ca.crt",
        "/ca.key",
        "/idp.pem",
        "/talos.pem",
        "/secret",
        "/tls.crt",
        "/tls.key",
        "[file.not_found]\n",
    ];
    refused(&several, &parts);
    let all = several.set("audit_log", "/nowhere/audit.log");
    let (status, _, log) = all.check();
    assert_eq!(status.code(), Some(1), "{log}");
    for part in parts.iter().chain(&["/audit.log", "[file.not_writable]"]) {
        assert!(log.contains(part), "no {part:?} in:\n{log}");
    }
}

/// `--check` finds out whether `listen` is an address of this machine, and takes no port: the
/// server may be running.
#[test]
fn check_resolves_where_it_is_to_listen() {
    for (key, value, says) in [
        ("listen", "no-such-host.invalid:8443", "does not resolve"),
        ("listen", "192.0.2.1:8443", "no network interface"),
        ("metrics_listen", "no-such-host.invalid:9", "does not resolve"),
    ] {
        let (status, _, log) = config().set(key, value).check();
        assert_eq!(status.code(), Some(1), "{value}: {log}");
        assert!(log.contains(&format!("{key}: ")) && log.contains(says), "{value}: {log}");
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for good in [&*taken, "localhost:8443", "':8443'", "'[::]:8443'"] {
        let (status, _, log) = config().set("listen", good).check();
        assert!(status.success(), "{good}: {log}");
    }
    // Port 0 is another port for each.
    let (status, _, log) = config().set("metrics_listen", "127.0.0.1:0").check();
    assert!(status.success(), "{log}");
}

/// A key under a wrong name is told beside the right one that is missing, in the same report.
#[test]
fn s53_a_misspelt_key_is_named_where_the_right_one_is_missing() {
    let (status, log) = config()
        .unset("issuer_url")
        .set("issuer", "https://idp.example.com")
        .set("roles", "[os:impersonator]")
        .set("rbac", "\n  rules:\n    - { claim: a, value: b, role: [os:admin] }\n    - { claim: a, value: b, roles: [os:impersonator] }")
        .env("TALOSCTL_OIDC_CERT_TLL", "1m")
        .fails();
    assert_eq!(status.code(), Some(1));
    for part in [
        "required configuration not set: issuer_url",
        "unknown key \"issuer\"; did you mean issuer_url?",
        "did you mean rbac.rules[1].roles?",
        "did you mean TALOSCTL_OIDC_CERT_TTL?",
        "rule 1: the rule has no roles",
        "rule 2 grants os:impersonator",
        "the fallback roles hold os:impersonator",
    ] {
        assert!(log.contains(part), "no {part:?} in:\n{log}");
    }
}

/// A variable that is no text is refused by name, not read as something else.
#[test]
fn s51_a_variable_that_is_no_text_is_refused() {
    use std::os::unix::ffi::OsStringExt as _;
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_talosctl-oidc"))
        .args(["serve", "--check", "--config"])
        .arg(config().save())
        .env_clear()
        .env("TALOSCTL_OIDC_CLUSTER_NAME", std::ffi::OsString::from_vec(vec![b'a', 0xff]))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(log.contains("TALOSCTL_OIDC_CLUSTER_NAME: not UTF-8"), "{log}");
}

/// `--check` leaves no audit log behind, and sees one that is none.
#[test]
fn check_looks_at_the_audit_log_and_leaves_it() {
    let config = config();
    let (status, _, log) = config.check();
    assert!(status.success(), "{log}");
    assert!(!config.audit_log().exists());
    std::fs::write(config.audit_log(), "a letter without a line end").unwrap();
    let (status, _, log) = config.check();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("holds no audit log"), "{log}");
    refused(&config, &["audit_log", "holds no audit log"]);
    let kept = std::fs::read_to_string(config.audit_log()).unwrap();
    assert_eq!(kept, "a letter without a line end");
}

/// Nodes refuse whatever a CA signs before its time.
#[test]
fn a_ca_whose_time_has_not_come_does_not_start() {
    let config = config();
    config.folder.write("ca.crt", NEXT_CENTURY);
    refused(&config, &["valid from 2098-01-01T00:00:00Z only", "pki.ca_not_yet_valid"]);
}

/// Of the key `ca/ed25519.key`, from 2098 on.
const NEXT_CENTURY: &str = "\
-----BEGIN CERTIFICATE-----\n\
MIHlMIGYoAMCAQICAQUwBQYDK2VwMBAxDjAMBgNVBAoMBXRhbG9zMCIYDzIwOTgw\n\
MTAxMDAwMDAwWhgPMjA5OTAxMDEwMDAwMDBaMBAxDjAMBgNVBAoMBXRhbG9zMCow\n\
BQYDK2VwAyEA3lNcpFYCaxlvPNmcL5qbjH4lZGKd9AMKE4fZ8AkWL8WjEzARMA8G\n\
A1UdEwEB/wQFMAMBAf8wBQYDK2VwA0EAcUBBoHMqZbWNHVGHp00xT72Hw4TPas+J\n\
1duHxt+UwPUZX2q/X3lBLBdfC1hXQlFs0wZGScEZ45Ssm30t1eP3Aw==\n\
-----END CERTIFICATE-----\n\n";

#[test]
fn s1_a_taken_port_exits_1_and_says_so() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    refused(&config().set("listen", &address), &[&address, "in use"]);
}

/// What `--check` and the log print holds no secret.
#[test]
fn s1_secrets_are_never_printed() {
    let provider = Provider::start();
    let secret = "the-client-secret-of-thirty-two-bytes";
    let config = Config::new(&provider)
        .set("client_secret", secret)
        .set("admin_token", "the-admin-token-itself")
        .env("DEBUG", "1");
    let (status, out, log) = config.check();
    assert!(status.success());
    for text in [out, log] {
        assert!(!text.contains(secret) && !text.contains("the-admin-token-itself"), "{text}");
    }
}
