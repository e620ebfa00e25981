//! Configuration and talosconfig: YAML of operators.

use exchange_core::config::{self, Settings};

/// Stands in every run's environment as a secret and must never be shown.
const MARKER: &str = "5up3r-s3cr3t-mark3r-0f-th3-fuzz3r";

/// A configuration file, and after a NUL the environment as `NAME=value` lines.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (file, env) = text.split_once('\0').unwrap_or((text, ""));
    let mut env: Vec<(String, String)> = env
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    for name in ["ADMIN_TOKEN", "CLIENT_SECRET"] {
        env.push((format!("{}{name}", config::ENV_PREFIX), MARKER.into()));
    }
    let shown = match Settings::load(Some(("config.yaml", file)), &env) {
        Ok(loaded) => {
            let settings = loaded.settings;
            assert!(settings.cert_ttl <= settings.max_ttl);
            let warnings = loaded.warnings.iter().map(ToString::to_string);
            warnings.chain(settings.describe()).collect::<Vec<_>>().join("\n")
        }
        Err(problems) => {
            assert!(!problems.is_empty() && !problems.to_string().is_empty());
            problems.to_string()
        }
    };
    assert!(!shown.contains(MARKER), "a secret is shown");
    assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
}
