//! The table of settings.

/// One setting.
#[derive(Debug)]
pub struct Key {
    /// Name in the file.
    pub file: &'static str,
    /// Name in the environment; `None` for what only a file can hold.
    pub env: Option<&'static str>,
    /// What it takes.
    pub kind: Kind,
    /// Value where it is absent, in the words of the file; empty for none.
    pub default: &'static str,
    /// Whether its value must never be shown.
    pub secret: bool,
    /// What it is for, one line.
    pub doc: &'static str,
}

/// What a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text without control characters.
    Text,
    /// Path of a file or directory.
    Path,
    /// PEM text itself.
    Pem,
    /// `host:port` or `:port` to listen on.
    Listen,
    /// Duration in Go's grammar, between these milliseconds inclusive.
    Duration {
        /// Shortest.
        min_ms: u64,
        /// Longest.
        max_ms: u64,
    },
    /// `true`, `false`, `1` or `0`.
    Flag,
    /// Whole number in this range inclusive.
    Number {
        /// Smallest; what is below means "off" where this is 0.
        min: u32,
        /// Largest.
        max: u32,
    },
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A YAML list; comma-separated in the environment.
    List,
    /// The role table.
    Rules,
}

impl Key {
    /// `file_key / ENV_NAME`, as every message names a setting.
    #[must_use]
    pub fn label(&self) -> alloc::string::String {
        match self.env {
            Some(env) => alloc::format!("{} / {env}", self.file),
            None => self.file.into(),
        }
    }
}

/// What every variable of ours begins with.
pub const ENV_PREFIX: &str = "TALOSCTL_OIDC_";
/// Names the configuration file; read by the command line.
pub const ENV_CONFIG: &str = "TALOSCTL_OIDC_CONFIG";

const SECOND: u64 = 1_000;
const DAY: u64 = 86_400_000;
const YEAR: u64 = 365 * DAY;

macro_rules! table {
    ($($name:ident $file:literal $kind:expr, $default:literal, $secret:literal, $doc:literal;)*) => {
        $(
            #[doc = $doc]
            pub(super) static $name: Key = Key {
                file: $file,
                env: Some(concat!("TALOSCTL_OIDC_", stringify!($name))),
                kind: $kind,
                default: $default,
                secret: $secret,
                doc: $doc,
            };
        )*
        /// Every setting, in the order of the documentation.
        pub static KEYS: &[&Key] = &[$(&$name,)* &RBAC_RULES];
    };
}

/// Rules that turn claims into roles.
pub(super) static RBAC_RULES: Key = Key {
    file: "rbac.rules",
    env: None,
    kind: Kind::Rules,
    default: "",
    secret: false,
    doc: "Rules that turn claims into roles: claim or claim_path, value, roles, deny, split.",
};

table! {
    ISSUER_URL "issuer_url" Kind::Text, "", false,
        "Issuer of the identity provider, exactly as its tokens say it. Required.";
    CLIENT_ID "client_id" Kind::Text, "", false,
        "Client identifier at the provider; tokens must be for it. Required.";
    CLIENT_SECRET "client_secret" Kind::Text, "", true,
        "Secret that HMAC tokens (HS256, HS384, HS512) are checked with. Never one that users know.";
    CLIENT_SECRET_FILE "client_secret_file" Kind::Path, "", false,
        "File with the client secret; wins over client_secret.";
    ALLOWED_ALGS "allowed_algs" Kind::List, "", false,
        "Signature algorithms to accept. Default: all asymmetric ones, and HMAC with client_secret.";
    CLOCK_SKEW "clock_skew" Kind::Duration { min_ms: 0, max_ms: 300 * SECOND }, "60s", false,
        "How far the provider's clock may be off.";
    ISSUER_TRAILING_SLASH "issuer_trailing_slash" Kind::Choice(&["exact", "ignore"]), "exact", false,
        "Whether an issuer that differs by one final slash is the same.";
    IDP_CA "idp_ca" Kind::Path, "", false,
        "PEM file with further certificate authorities for requests to the provider.";

    CA_CERT "ca_cert" Kind::Path, "", false,
        "File with the certificate of the Talos API CA.";
    CA_KEY "ca_key" Kind::Path, "", false,
        "File with the private key of the Talos API CA.";
    CA_CERT_DATA "ca_cert_data" Kind::Pem, "", false,
        "The CA certificate itself; wins over ca_cert.";
    CA_KEY_DATA "ca_key_data" Kind::Pem, "", true,
        "The CA private key itself; wins over ca_key.";
    TALOS_CONFIG "talos_config" Kind::Path, "", false,
        "File that holds the CA: controlplane.yaml or a secrets bundle. Read when ca_cert and ca_key are absent.";

    ENDPOINTS "endpoints" Kind::List, "", false,
        "Talos endpoints to write into the user's talosconfig. Required.";
    NODES "nodes" Kind::List, "", false,
        "Default nodes for a new context in the user's talosconfig.";
    CLUSTER_NAME "cluster_name" Kind::Text, "", false,
        "Name of the cluster, offered to clients as the name of the context.";
    TALOS_CA "talos_ca" Kind::Path, "", false,
        "PEM file with the CAs that clients are to trust, when it is more than the signing CA (rotation).";

    CERT_TTL "cert_ttl" Kind::Duration { min_ms: SECOND, max_ms: YEAR }, "5m", false,
        "Lifetime of issued certificates.";
    MAX_TTL "max_ttl" Kind::Duration { min_ms: SECOND, max_ms: YEAR }, "24h", false,
        "Longest lifetime that cert_ttl may have.";
    ROLES "roles" Kind::List, "", false,
        "Roles where no rule matches. [] denies. Default: os:admin without rules, [] with rules.";
    ALLOW_IMPERSONATOR "allow_impersonator" Kind::Flag, "false", false,
        "Whether os:impersonator, which equals every role, may be granted.";
    EMAIL_VERIFIED_TEXT "email_verified_text" Kind::Flag, "false", false,
        "Whether the text \"true\" counts for email_verified, as some providers send it.";
    REQUIRE_CSR "require_csr" Kind::Flag, "false", false,
        "Whether clients must make their own key and send a certificate request.";
    BIND_TOKENS "bind_tokens" Kind::Flag, "false", false,
        "Whether a token works only for the key that its nonce names.";

    LISTEN "listen" Kind::Listen, ":8443", false,
        "Address to listen on.";
    TLS_CERT "tls_cert" Kind::Path, "", false,
        "PEM file with the server's certificate chain; with tls_key. Default: self-signed.";
    TLS_KEY "tls_key" Kind::Path, "", false,
        "PEM file with the server's private key; with tls_cert.";
    TLS_SANS "tls_sans" Kind::List, "", false,
        "Further names and addresses for the self-signed server certificate.";
    INSECURE "insecure" Kind::Flag, "false", false,
        "Plain HTTP. Only behind a proxy that speaks TLS.";
    DATA_DIR "data_dir" Kind::Path, "", false,
        "Directory that keeps the self-signed CA and server certificate.";
    METRICS_LISTEN "metrics_listen" Kind::Listen, "", false,
        "Address for metrics, plain HTTP. Default: none.";
    THREADS "threads" Kind::Number { min: 1, max: 64 }, "1", false,
        "Threads that serve connections.";
    MAX_CONNECTIONS "max_connections" Kind::Number { min: 1, max: 65_535 }, "4096", false,
        "Connections at one time; beyond it the one that has waited longest makes room.";

    AUDIT_LOG "audit_log" Kind::Path, "-", false,
        "File for audit lines; - is standard output.";
    AUDIT_CHECKPOINT_INTERVAL "audit_checkpoint_interval" Kind::Duration { min_ms: 0, max_ms: DAY }, "1h", false,
        "How often a signed checkpoint is written to the audit log; 0 is never.";
    ADMIN_TOKEN "admin_token" Kind::Text, "", true,
        "Bearer token for /admin/*. Default: none, and /admin/* is closed.";

    RATE_LIMIT_REQUESTS "rate_limit_requests" Kind::Number { min: 0, max: u32::MAX }, "0", false,
        "Requests to /exchange one address may make in a window; 0 is no limit.";
    RATE_LIMIT_SUBJECT_REQUESTS "rate_limit_subject_requests" Kind::Number { min: 0, max: u32::MAX }, "0", false,
        "Certificates one user may get in a window; 0 is no limit.";
    RATE_LIMIT_WINDOW "rate_limit_window" Kind::Duration { min_ms: 1, max_ms: YEAR }, "1m", false,
        "Length of the window of both limits; zero and below are the default.";
    IP_ALLOWLIST "ip_allowlist" Kind::List, "", false,
        "Addresses and networks that may use /exchange. Default: all.";
    TRUSTED_PROXIES "trusted_proxies" Kind::List, "", false,
        "Addresses and networks whose X-Forwarded-For is believed. Default: none.";
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    #[test]
    fn names_follow_one_rule_and_are_unique() {
        let mut seen = BTreeSet::new();
        for key in KEYS {
            assert!(seen.insert(key.file), "{}", key.file);
            assert!(key.doc.ends_with('.') && key.doc.len() < 120, "{}", key.file);
            if let Some(env) = key.env {
                let upper = key.file.to_ascii_uppercase();
                assert_eq!(env.strip_prefix(ENV_PREFIX), Some(upper.as_str()));
            }
        }
    }
}
