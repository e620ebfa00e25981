//! The settings as a whole. Single keys are covered case by case in `vectors/config`.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::jwt::Alg;
use crate::types::Secret;

const LEAST: &str = "\
issuer_url: https://idp.example.com/
client_id: talos
endpoints: [10.0.0.1]
ca_cert: /etc/ca.crt
ca_key: /etc/ca.key
roles: [os:reader]
";

fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| (format!("{ENV_PREFIX}{name}"), (*value).into())).collect()
}

fn load(text: &str, pairs: &[(&str, &str)]) -> Result<Loaded, Problems> {
    Settings::load(Some(("config.yaml", text)), &env(pairs))
}

fn problems(text: &str, pairs: &[(&str, &str)]) -> String {
    load(text, pairs).unwrap_err().to_string()
}

#[test]
fn the_least_configuration_loads_quietly() {
    let loaded = load(LEAST, &[]).unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let settings = loaded.settings;
    assert_eq!(settings.listen.to_string(), ":8443");
    assert_eq!((settings.cert_ttl.secs(), settings.clock_skew_secs), (300, 60));
    assert_eq!(settings.tls, TlsMode::SelfSigned);
    assert!(!settings.ip_allowlist.is_on());
}

#[test]
fn everything_missing_is_one_line() {
    assert_eq!(
        Settings::load(None, &[]).unwrap_err().to_string(),
        "required configuration not set: ca_cert / TALOSCTL_OIDC_CA_CERT, ca_key / TALOSCTL_OIDC_CA_KEY, \
         issuer_url / TALOSCTL_OIDC_ISSUER_URL, client_id / TALOSCTL_OIDC_CLIENT_ID, \
         endpoints / TALOSCTL_OIDC_ENDPOINTS"
    );
}

#[test]
fn all_problems_come_at_once_with_their_places() {
    let text = "client_id: talos\nthreads: 0\nlisten: 8443\nrbac:\n  rules:\n    - claim: groups\n";
    let told = problems(text, &[("CERT_TTL", "5"), ("INSECURE", "maybe")]);
    for part in [
        "required configuration not set: ca_cert",
        "config.yaml:2:10: threads / TALOSCTL_OIDC_THREADS: \"0\": must be from 1 to 64",
        "config.yaml:3:9: listen / TALOSCTL_OIDC_LISTEN: \"8443\": only a port",
        "environment: cert_ttl / TALOSCTL_OIDC_CERT_TTL: \"5\": a duration needs a unit",
        "environment: insecure / TALOSCTL_OIDC_INSECURE: \"maybe\": write true or false",
        "config.yaml:6:7: rbac.rules: rule 1: the rule has no value",
    ] {
        assert!(told.contains(part), "{part} is not in\n{told}");
    }
}

#[test]
fn secrets_are_never_told() {
    let secrets = [
        ("CLIENT_SECRET", "hunter2\n"),
        ("ADMIN_TOKEN", "hunter2\u{7}"),
        ("CA_KEY_DATA", "hunter2"),
        ("CA_CERT_DATA", "x"),
    ];
    let told = problems(LEAST, &secrets);
    assert_eq!(told.lines().count(), 4, "{told}");
    assert!(!told.contains("hunter2"));
    let good =
        [("CLIENT_SECRET", "hunter2 hunter2 hunter2 hunter2 hunter2"), ("ADMIN_TOKEN", "hunter2")];
    let loaded = load(LEAST, &good).unwrap();
    let told = format!("{:?} {:?}", loaded, loaded.settings.describe());
    assert!(!told.contains("hunter2"));
    assert!(told.contains("admin_token = set, not shown (environment)"), "{told}");
}

#[test]
fn a_secret_file_decides_about_hmac_when_it_is_read() {
    let file = [("CLIENT_SECRET_FILE", "/s"), ("CLIENT_SECRET", "short")];
    let mut settings = load(LEAST, &file).unwrap().settings;
    assert!(settings.client_secret.is_none() && !settings.allowed_algs.contains(Alg::Hs256));
    let content = format!("  {}\r\n", "x".repeat(48));
    let warnings = settings.client_secret_read(&Secret::from(content)).unwrap();
    assert_eq!(warnings[0].code, "config.hmac_secret");
    assert_eq!(settings.client_secret.as_ref().map(Secret::len), Some(48));
    assert!(
        settings.allowed_algs.contains(Alg::Hs384) && !settings.allowed_algs.contains(Alg::Hs512)
    );
    assert!(settings.client_secret_read(&Secret::new(*b" \n")).is_err());
    assert!(settings.client_secret_read(&Secret::new([b'x'; 4097])).is_err());

    let file = [("CLIENT_SECRET_FILE", "/s"), ("ALLOWED_ALGS", "HS512")];
    let mut settings = load(LEAST, &file).unwrap().settings;
    let error = settings.client_secret_read(&Secret::new([b'x'; 48])).unwrap_err().to_string();
    assert!(error.contains("HS512 needs a client_secret of at least 64 bytes"), "{error}");
    assert!(settings.client_secret_read(&Secret::new([b'x'; 64])).is_ok());
    assert!(settings.allowed_algs.contains(Alg::Hs512));
}

#[test]
fn the_table_gives_defaults_that_read() {
    let settings = load(LEAST, &[]).unwrap().settings;
    for shown in settings.shown() {
        let default = shown.key.default;
        if shown.origin == Origin::Default && !default.is_empty() {
            assert_eq!(shown.text, format!("\"{default}\""), "{}", shown.key.file);
        }
    }
    assert_eq!(settings.shown().len() + 1, KEYS.len());
}

proptest! {
    #[test]
    fn no_file_and_no_environment_panic(
        text in "((issuer_url|client_id|endpoints|roles|rbac|rules|listen|insecure|threads): ?|[-\\[\\]{}\n x0:~\"]){0,30}",
        name in 0..KEYS.len(),
        value in "[-0-9a-z:.,/ \\[\\]*]{0,12}",
    ) {
        let name = KEYS[name].env.unwrap_or("TALOSCTL_OIDC_X").into();
        let _ = Settings::load(Some(("f", &text)), &[(name, value)]);
    }

    #[test]
    fn the_environment_wins_over_the_file(key in 0..KEYS.len(), value in "[a-z0-9:]{1,6}") {
        // Whatever the value, the problems and settings with a sound file are those without it.
        let key = KEYS[key];
        let Some(name) = key.env else { return Ok(()) };
        let least: String = LEAST.lines().filter(|l| !l.starts_with(&format!("{}:", key.file))).map(|l| format!("{l}\n")).collect();
        let with = format!("{least}{}: [[nonsense]]\n", key.file);
        let env = [(name.to_string(), value)];
        let told = |text: &str| match Settings::load(Some(("f", text)), &env) {
            Ok(loaded) => loaded.settings.describe().join("\n"),
            Err(problems) => problems.to_string(),
        };
        prop_assert_eq!(told(&with), told(&least));
    }
}
