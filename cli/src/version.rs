//! What this binary was built from.

/// Tag of the release, `dev` for everything else.
pub(crate) const VERSION: &str = match option_env!("TALOSCTL_OIDC_VERSION") {
    Some(version) => version,
    None => "dev",
};

const COMMIT: &str = match option_env!("TALOSCTL_OIDC_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

const BUILT: &str = match option_env!("TALOSCTL_OIDC_BUILT") {
    Some(built) => built,
    None => "unknown",
};

/// The three lines of `version`.
pub(crate) fn text() -> String {
    format!("talosctl-oidc {VERSION}\n  commit: {COMMIT}\n  built:  {BUILT}\n")
}
