//! The settings, once they are right.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::describe::{Shown, shown_settings};
use super::keys;
use super::problems::{Problems, Warning};
use super::secret_file::{self, Hmac};
use super::sources::{Sources, read_file};
use super::values::{Endpoint, ListenAddr, SanName};
use super::{CaSource, rules};
use crate::jwt::{Alg, AlgSet, ForeignAlg};
use crate::policy::rbac::RolePolicy;
use crate::policy::{Allowlist, Cidr, RateLimit, TrustedProxies};
use crate::types::{ClientId, ContextName, GoDuration, Issuer, Secret, Ttl, TtlError};

/// How the server speaks to its clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// With this certificate chain and key.
    Files {
        /// PEM file of the chain.
        cert: String,
        /// PEM file of the key.
        key: String,
    },
    /// Plain HTTP.
    Plain,
    /// With a certificate of its own making.
    SelfSigned,
}

/// Where audit lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditLog {
    /// Standard output.
    Stdout,
    /// This file.
    File(String),
}

/// How issuers are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrailingSlash {
    /// Byte for byte.
    Exact,
    /// A difference by one final slash does not count.
    Ignore,
}

/// Everything the server needs to know, checked. Paths are as written; nothing was read yet.
#[derive(Debug)]
pub struct Settings {
    /// Where the signing CA is.
    pub ca: CaSource,
    /// The provider.
    pub issuer: Issuer,
    /// The audience.
    pub client_id: ClientId,
    /// Secret for HMAC tokens; after [`Settings::client_secret_read`] that of the file.
    pub client_secret: Option<Secret>,
    /// File to read the client secret from, then to hand to [`Settings::client_secret_read`].
    pub client_secret_file: Option<String>,
    /// Algorithms to accept. HMAC ones only with a secret that is long enough.
    pub allowed_algs: AlgSet,
    /// Allowed difference of clocks, 0 to 300 seconds.
    pub clock_skew_secs: u32,
    /// How issuers are compared.
    pub issuer_trailing_slash: TrailingSlash,
    /// PEM file with further CAs for requests to the provider.
    pub idp_ca: Option<String>,
    /// Endpoints for the user's talosconfig; at least one.
    pub endpoints: Vec<Endpoint>,
    /// Nodes for a new context.
    pub nodes: Vec<Endpoint>,
    /// Name offered for the context.
    pub cluster_name: Option<ContextName>,
    /// PEM file with the CAs clients are to trust, when not the signing CA alone.
    pub talos_ca: Option<String>,
    /// Lifetime of certificates, at most `max_ttl`.
    pub cert_ttl: Ttl,
    /// Upper bound of lifetimes.
    pub max_ttl: Ttl,
    /// Claims to roles, with what holds where no rule matches.
    pub roles: RolePolicy,
    /// Whether clients must send a certificate request.
    pub require_csr: bool,
    /// Whether a token is bound to the client's key.
    pub bind_tokens: bool,
    /// Where to listen.
    pub listen: ListenAddr,
    /// How to speak there.
    pub tls: TlsMode,
    /// Further names for the self-signed certificate.
    pub tls_sans: Vec<SanName>,
    /// Directory for self-signed material.
    pub data_dir: Option<String>,
    /// Where to serve metrics.
    pub metrics_listen: Option<ListenAddr>,
    /// Threads, 1 to 64.
    pub threads: u32,
    /// Connections at one time, 1 to 65535.
    pub max_connections: u32,
    /// Where audit lines go.
    pub audit_log: AuditLog,
    /// Milliseconds between signed checkpoints; `None` is never.
    pub audit_checkpoint_ms: Option<u64>,
    /// Bearer token for `/admin/*`; `None` closes them.
    pub admin_token: Option<Secret>,
    /// Limit an address.
    pub rate_limit: Option<RateLimit>,
    /// Limit a subject.
    pub rate_limit_subject: Option<RateLimit>,
    /// Who may ask at all.
    pub ip_allowlist: Allowlist,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: TrustedProxies,
    pub(super) algs_configured: Option<AlgSet>,
    pub(super) shown: Vec<Shown>,
}

/// Settings and what an operator should know about them.
#[derive(Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// Warnings, in the order of reading.
    pub warnings: Vec<Warning>,
}

impl Settings {
    /// Reads file and environment.
    ///
    /// `file` is the name for messages and the text; of `env` only names that begin with
    /// [`super::ENV_PREFIX`] matter.
    ///
    /// # Errors
    /// [`Problems`]: everything that is missing or wrong, at once.
    pub fn load(file: Option<(&str, &str)>, env: &[(String, String)]) -> Result<Loaded, Problems> {
        let (name, text) = file.unwrap_or_default();
        let document = read_file(name, text)?;
        let mut sources = Sources::new(name, document.as_ref(), env);
        let settings = read(&mut sources);
        sources.warn_unknown();
        let Sources { problems, warnings, .. } = sources;
        match settings {
            Some(settings) if problems.is_empty() => Ok(Loaded { settings, warnings }),
            Some(_) | None => Err(Problems { warnings, ..problems }),
        }
    }
}

/// Reads every key; `None` only where a problem was recorded.
fn read(s: &mut Sources<'_>) -> Option<Settings> {
    let ca = CaSource::read(s);
    let issuer = s.required(&keys::ISSUER_URL, |text| text.parse::<Issuer>());
    if let Some(issuer) = issuer.as_ref().filter(|issuer| issuer.is_plain_http()) {
        let text = format!(
            "issuer_url is {issuer}: over http anyone on the way can replace the provider's keys"
        );
        s.warn("config.plain_http_issuer", text);
    }
    let client_id = s.required(&keys::CLIENT_ID, |text| text.parse::<ClientId>());
    let endpoints = s.list(&keys::ENDPOINTS, |text| text.parse::<Endpoint>());
    if s.has_no_items(&keys::ENDPOINTS) {
        s.missing(&keys::ENDPOINTS);
    }

    let (client_secret, client_secret_file, hmac) = read_secret(s);
    let Hmac { algs: allowed_algs, configured: algs_configured } = hmac;
    let clock_skew_secs = s
        .duration(&keys::CLOCK_SKEW)
        .and_then(GoDuration::secs)
        .and_then(|secs| u32::try_from(secs).ok());
    let issuer_trailing_slash = s.choice(&keys::ISSUER_TRAILING_SLASH).map(|word| match word {
        "ignore" => TrailingSlash::Ignore,
        _ => TrailingSlash::Exact,
    });
    let idp_ca = s.text(&keys::IDP_CA);

    let nodes = s.list(&keys::NODES, |text| text.parse::<Endpoint>()).unwrap_or_default();
    let cluster_name = s.parse(&keys::CLUSTER_NAME, |text| text.parse::<ContextName>());
    let talos_ca = s.text(&keys::TALOS_CA);
    let (cert_ttl, max_ttl) = read_ttl(s);
    let roles = rules::read(s);
    let require_csr = s.flag(&keys::REQUIRE_CSR);
    let bind_tokens = s.flag(&keys::BIND_TOKENS);

    let listen = s.parse(&keys::LISTEN, |text| text.parse::<ListenAddr>());
    let metrics_listen = s.parse(&keys::METRICS_LISTEN, |text| text.parse::<ListenAddr>());
    // Port 0 is another one for each.
    if metrics_listen == listen && metrics_listen.as_ref().is_some_and(|at| at.port() != 0) {
        s.conflict(&keys::METRICS_LISTEN, "is the same as listen; choose another port");
    }
    let tls = read_tls(s);
    let tls_sans = s.list(&keys::TLS_SANS, |text| text.parse::<SanName>()).unwrap_or_default();
    let data_dir = s.text(&keys::DATA_DIR);
    let threads = s.number(&keys::THREADS);
    let max_connections = s.number(&keys::MAX_CONNECTIONS);

    let audit_log = match s.text(&keys::AUDIT_LOG).as_deref() {
        None | Some("-") => AuditLog::Stdout,
        Some(path) => AuditLog::File(path.into()),
    };
    let checkpoint = s.duration(&keys::AUDIT_CHECKPOINT_INTERVAL).and_then(GoDuration::millis);
    let admin_token = s.text(&keys::ADMIN_TOKEN);
    if admin_token.as_ref().is_some_and(|token| token.len() < 16) {
        s.warn(
            "config.short_admin_token",
            "admin_token has fewer than 16 characters and can be guessed; make one with: openssl rand -hex 32",
        );
    }
    let (rate_limit, rate_limit_subject) = read_rate(s);
    let ip_allowlist = read_networks(s, &keys::IP_ALLOWLIST);
    let trusted_proxies = read_networks(s, &keys::TRUSTED_PROXIES);

    Some(Settings {
        ca: ca?,
        issuer: issuer?,
        client_id: client_id?,
        client_secret,
        client_secret_file,
        allowed_algs,
        clock_skew_secs: clock_skew_secs?,
        issuer_trailing_slash: issuer_trailing_slash?,
        idp_ca,
        endpoints: endpoints?,
        nodes,
        cluster_name,
        talos_ca,
        cert_ttl: cert_ttl?,
        max_ttl: max_ttl?,
        roles: roles?,
        require_csr,
        bind_tokens,
        listen: listen?,
        tls: tls?,
        tls_sans,
        data_dir,
        metrics_listen,
        threads: threads?,
        max_connections: max_connections?,
        audit_log,
        audit_checkpoint_ms: checkpoint.filter(|ms| *ms > 0),
        admin_token: admin_token.map(Secret::from),
        rate_limit,
        rate_limit_subject,
        ip_allowlist: match ip_allowlist {
            networks if networks.is_empty() => Allowlist::off(),
            networks => Allowlist::read(networks).ok()?,
        },
        trusted_proxies: TrustedProxies::read(trusted_proxies).ok()?,
        algs_configured,
        // Looking values up again would report their problems twice.
        shown: if s.problems.is_empty() { shown_settings(s) } else { Vec::new() },
    })
}

fn read_secret(s: &mut Sources<'_>) -> (Option<Secret>, Option<String>, Hmac) {
    let file = s.text(&keys::CLIENT_SECRET_FILE);
    let secret = match &file {
        // The file wins; what the other key holds does not matter then.
        Some(_) => None,
        None => s.text(&keys::CLIENT_SECRET).map(Secret::from),
    };
    let configured = s
        .list(&keys::ALLOWED_ALGS, |name| {
            Alg::from_name(name).ok_or_else(|| match ForeignAlg::from_name(name) {
                ForeignAlg::Unknown => {
                    format!("unknown algorithm; the known ones are {}", AlgSet::ALL)
                }
                foreign @ (ForeignAlg::Es512
                | ForeignAlg::Es256K
                | ForeignAlg::Ed448
                | ForeignAlg::MlDsa) => {
                    format!("{} cannot be checked by this program", foreign.name())
                }
            })
        })
        .map(|algs| algs.into_iter().collect::<AlgSet>());
    if configured.is_some() && s.has_no_items(&keys::ALLOWED_ALGS) {
        s.conflict(
            &keys::ALLOWED_ALGS,
            "an empty list accepts no token; name some or leave it out",
        );
    }
    let settled = secret_file::settle(configured, secret.as_ref(), file.is_some());
    if let Some(advice) = settled.problem {
        s.conflict(&keys::ALLOWED_ALGS, advice);
    }
    s.warnings.extend(settled.warning);
    (secret, file, settled.hmac)
}

fn read_ttl(s: &mut Sources<'_>) -> (Option<Ttl>, Option<Ttl>) {
    let ttl = |s: &mut Sources<'_>, key| {
        s.duration(key).and_then(|d| Ttl::try_from(d).map_err(|_: TtlError| ()).ok())
    };
    let (cert, max) = (ttl(s, &keys::CERT_TTL), ttl(s, &keys::MAX_TTL));
    if let (Some(cert), Some(max)) = (cert, max)
        && cert > max
    {
        let advice = format!("{cert} is longer than max_ttl, which is {max}; change one of them");
        s.conflict(&keys::CERT_TTL, advice);
    }
    (cert, max)
}

fn read_tls(s: &mut Sources<'_>) -> Option<TlsMode> {
    let (cert, key) = (s.text(&keys::TLS_CERT), s.text(&keys::TLS_KEY));
    let plain = s.flag(&keys::INSECURE);
    match (cert, key, plain) {
        (Some(cert), Some(key), false) => Some(TlsMode::Files { cert, key }),
        (None, None, false) => Some(TlsMode::SelfSigned),
        (None, None, true) => {
            s.warn("config.plain_http", "insecure is true: tokens and keys travel over plain HTTP");
            Some(TlsMode::Plain)
        }
        (Some(_), _, true) => {
            s.conflict(&keys::TLS_CERT, "a certificate and insecure: true exclude one another");
            None
        }
        (None, Some(_), true) => {
            s.conflict(&keys::TLS_KEY, "a key and insecure: true exclude one another");
            None
        }
        (Some(_), None, false) => {
            s.conflict(&keys::TLS_CERT, "needs tls_key beside it");
            None
        }
        (None, Some(_), false) => {
            s.conflict(&keys::TLS_KEY, "needs tls_cert beside it");
            None
        }
    }
}

fn read_rate(s: &mut Sources<'_>) -> (Option<RateLimit>, Option<RateLimit>) {
    let window_ms = s.window(&keys::RATE_LIMIT_WINDOW).and_then(GoDuration::millis);
    let mut limit = |key| {
        // The table's ranges are those of the type.
        let requests = s.number(key).filter(|requests| *requests > 0)?;
        RateLimit::new(requests, window_ms?).ok()
    };
    (limit(&keys::RATE_LIMIT_REQUESTS), limit(&keys::RATE_LIMIT_SUBJECT_REQUESTS))
}

/// The networks of a key as text, each checked.
fn read_networks(s: &mut Sources<'_>, key: &super::Key) -> Vec<String> {
    s.list(key, |text| text.parse::<Cidr>().map(|_| String::from(text))).unwrap_or_default()
}
