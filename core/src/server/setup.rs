//! What the server machine is built from: validated parts, nothing left to look up.

use alloc::string::String;
use alloc::vec::Vec;

use crate::json::JsonText;
use crate::jwt::Expectations;
use crate::oidc::key_cache::KeyCacheConfig;
use crate::pki::{CaCert, SignerTrust};
use crate::policy::rbac::RolePolicy;
use crate::policy::{Allowlist, RateLimit, TrustedProxies};
use crate::types::{Secret, Ttl};

/// What clients are told so that they can log in knowing only the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientFacts {
    /// Suggested context name.
    pub cluster_name: Option<String>,
    /// Addresses of the Talos API, in order.
    pub endpoints: Vec<String>,
    /// Nodes for a context that has none.
    pub nodes: Vec<String>,
    /// Scopes to ask the provider for.
    pub scopes: Vec<String>,
}

/// Everything the server decides by. Replaced as a whole when the configuration is reloaded.
pub struct Setup {
    /// Counts configurations, so that a signature order names the key it is for.
    pub generation: u64,
    /// What an ID token must say.
    pub expect: Expectations,
    /// How keys are fetched and kept.
    pub keys: KeyCacheConfig,
    /// Who may ask at all.
    pub allowlist: Allowlist,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: TrustedProxies,
    /// Requests per client address; `None` is off.
    pub rate_by_address: Option<RateLimit>,
    /// Certificates per subject; `None` is off.
    pub rate_by_subject: Option<RateLimit>,
    /// Claims to roles.
    pub roles: RolePolicy,
    /// Lifetime of certificates.
    pub ttl: Ttl,
    /// The signing CA. Its key is elsewhere: signing is an effect.
    pub ca: CaCert,
    /// Whether what the signer gives is checked against the CA's public key too.
    pub signer_trust: SignerTrust,
    /// What clients get as `ca`: the operator's text, or a bundle while CAs rotate.
    pub ca_for_clients: JsonText,
    /// Requests that may wait for keys, and for a signature, at one time; more are refused with
    /// 503. As many as there are connections to ask by, so that nobody is refused who was let in.
    pub waiting_max: usize,
    /// Whether the client must bring its own key.
    pub require_csr: bool,
    /// What clients are told.
    pub facts: ClientFacts,
    /// Opens `/admin/*`; `None` closes it.
    pub admin_token: Option<Secret>,
    /// PEM of the self-signed TLS CA, where the server made one.
    pub served_ca: Option<String>,
    /// Whether decisions are traced.
    pub debug: bool,
    /// Version of the program.
    pub version: &'static str,
}
