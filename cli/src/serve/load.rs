//! From a configuration to the parts of a server: every file read, every key checked.

use std::path::{Path, PathBuf};

use exchange_core::config::{CaPair, CaSource, ENV_PREFIX, Settings, TrailingSlash, from_document};
use exchange_core::jwt::{Alg, Expectations};
use exchange_core::machine::UnixTime;
use exchange_core::oidc::discovery::DiscoveryPolicy;
use exchange_core::oidc::key_cache::KeyCacheConfig;
use exchange_core::pki::{CaCert, CaKey, SignerTrust};
use exchange_core::server::Setup;
use exchange_core::server::setup::ClientFacts;
use exchange_core::types::Secret;
use exchange_smol::fetch::Fetcher;
use exchange_smol::proxy::ProxySettings;
use exchange_smol::tls::{ClientOptions, ClientRoots, ClientTls, Verification};
use exchange_smol::{clock, entropy, files};
use zeroize::Zeroizing;

use super::log;
use crate::exit::{Class, Failure};
use crate::version::VERSION;

/// Largest file that is read: configuration, PEM, secrets.
const FILE_BYTES_MAX: usize = 1024 * 1024;
/// What a client asks the provider for when it knows only this server.
const SCOPES: [&str; 4] = ["openid", "profile", "email", "offline_access"];

/// Parts of a server, and the settings they came from.
pub(super) struct Loaded {
    /// The settings.
    pub(super) settings: Settings,
    /// What the machine decides by; TLS facts are still to be filled in.
    pub(super) setup: Setup,
    /// Signs certificates.
    pub(super) signer: CaKey,
    /// Asks the provider.
    pub(super) fetcher: Fetcher,
}

/// A start that is not possible.
pub(crate) fn refused(code: &'static str, message: impl Into<String>) -> Failure {
    // Scripts of the original's users know 1 for a server that does not start.
    Failure::new(Class::Other, code, message)
}

/// Reads and checks everything. Warnings go to the log.
pub(super) fn load(config: Option<&Path>, generation: u64) -> Result<Loaded, Failure> {
    let settings = settings(config)?;
    if settings.bind_tokens {
        return Err(refused(
            "config.not_effective",
            "bind_tokens is not available in this version: remove it",
        ));
    }
    let now = clock::now().wall;
    let (ca, signer) = signing_ca(&settings.ca, now)?;
    let fetcher = fetcher(&settings)?;
    let setup = setup(&settings, generation, ca, now)?;
    Ok(Loaded { settings, setup, signer, fetcher })
}

/// Reads file and environment, and the secret that a setting names. Warnings go to the log.
pub(crate) fn settings(config: Option<&Path>) -> Result<Settings, Failure> {
    let file = match config {
        None => None,
        Some(path) => Some((path.display().to_string(), text(path, "the configuration file")?)),
    };
    let env: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, _)| name.starts_with(ENV_PREFIX))
        .map(|(name, value)| (name, value.to_string_lossy().into_owned()))
        .collect();
    let given = file.as_ref().map(|(name, text)| (name.as_str(), text.as_str()));
    let loaded = Settings::load(given, &env)
        .map_err(|problems| refused(problems.code(), problems.to_string()))?;
    let mut settings = loaded.settings;
    for warning in &loaded.warnings {
        log::warn(&warning.to_string());
    }
    if let Some(path) = settings.client_secret_file.clone() {
        let secret = Secret::new(bytes(Path::new(&path), "client_secret_file")?.to_vec());
        let more = settings
            .client_secret_read(&secret)
            .map_err(|problems| refused(problems.code(), problems.to_string()))?;
        more.iter().for_each(|warning| log::warn(&warning.to_string()));
    }
    Ok(settings)
}

/// The signing CA and its key, from wherever the settings say.
fn signing_ca(source: &CaSource, now: UnixTime) -> Result<(CaCert, CaKey), Failure> {
    let pair = match source {
        CaSource::Files { cert, key } => {
            if let Some(mode) = files::open_to_others(Path::new(key))
                && mode & 0o004 != 0
            {
                log::warn(&format!(
                    "ca_key {key} is readable by everybody (mode {mode:o}): chmod 400 {key}"
                ));
            }
            CaPair {
                cert_pem: text(Path::new(cert), "ca_cert")?.to_string(),
                key_pem: Secret::new(bytes(Path::new(key), "ca_key")?.to_vec()),
            }
        }
        CaSource::Inline { cert_pem, key_pem } => {
            CaPair { cert_pem: cert_pem.clone(), key_pem: key_pem.duplicate() }
        }
        CaSource::TalosConfig { path } => from_document(&text(Path::new(path), "talos_config")?)
            .map_err(|error| refused(error.code(), format!("talos_config {path}: {error}")))?,
    };
    let candidates = CaCert::parse_all(&pair.cert_pem, now)
        .map_err(|error| refused(error.code(), format!("signing CA certificate: {error}")))?;
    let key = pair.key_pem.expose_str().unwrap_or_default();
    CaKey::choose(key, candidates, &entropy::generator())
        .map_err(|error| refused(error.code(), format!("signing CA key: {error}")))
}

fn fetcher(settings: &Settings) -> Result<Fetcher, Failure> {
    let extra = match &settings.idp_ca {
        None => None,
        Some(path) => Some(bytes(Path::new(path), "idp_ca")?),
    };
    let roots = match &extra {
        None => ClientRoots::System,
        Some(pem) => ClientRoots::SystemPlus(pem),
    };
    let options = ClientOptions {
        roots,
        verification: Verification::Full,
        identity: None,
        protocols: &[b"http/1.1"],
    };
    let tls = ClientTls::new(options)
        .map_err(|error| refused("config.idp_ca", format!("idp_ca: {error}")))?;
    if tls.root_count() == 0 && !settings.issuer.is_plain_http() {
        log::warn(
            "no trusted authorities found on this system, so no https provider can be reached: \
             install ca-certificates, mount /etc/ssl/certs or set idp_ca",
        );
    }
    let proxies = ProxySettings::from_env(|name| std::env::var(name).ok());
    Ok(Fetcher::new(tls.clone(), tls, proxies, format!("talosctl-oidc/{VERSION}")))
}

fn setup(
    settings: &Settings,
    generation: u64,
    ca: CaCert,
    now: UnixTime,
) -> Result<Setup, Failure> {
    let slash_tolerant = settings.issuer_trailing_slash == TrailingSlash::Ignore;
    let expect = expectations(settings)?;
    if expect.hmac_key().is_some() {
        log::warn(
            "HMAC tokens are accepted: whoever knows client_secret can make tokens for anybody; \
             set allowed_algs without HS256, HS384 and HS512 to switch them off",
        );
    }
    let keys = KeyCacheConfig {
        // An operator who writes http:// into issuer_url has been warned.
        policy: DiscoveryPolicy { allow_http: settings.issuer.is_plain_http(), slash_tolerant },
        ..KeyCacheConfig::default()
    };
    keys.policy
        .discovery_url(&settings.issuer)
        .map_err(|error| refused(error.code(), format!("issuer_url: {error}")))?;
    let ca_for_clients = match &settings.talos_ca {
        None => ca.bundle_text().to_owned(),
        Some(path) => {
            let bundle = text(Path::new(path), "talos_ca")?;
            CaCert::parse_all(&bundle, now)
                .map_err(|error| refused(error.code(), format!("talos_ca {path}: {error}")))?;
            bundle.to_string()
        }
    };
    if settings.trusted_proxies.trusts_everyone() {
        log::warn("trusted_proxies covers every address: any client can pick its own address");
    }
    let days = ca.not_after().since(now) / 86_400;
    if days < 30 {
        log::warn(&format!("the signing CA ends in {days} days"));
    }
    Ok(Setup {
        generation,
        expect,
        keys,
        allowlist: settings.ip_allowlist.clone(),
        trusted_proxies: settings.trusted_proxies.clone(),
        rate_by_address: settings.rate_limit,
        rate_by_subject: settings.rate_limit_subject,
        roles: settings.roles.clone(),
        ttl: settings.cert_ttl,
        ca,
        signer_trust: SignerTrust::InProcess,
        ca_for_clients,
        require_csr: settings.require_csr,
        facts: ClientFacts {
            cluster_name: settings.cluster_name.as_ref().map(ToString::to_string),
            endpoints: settings.endpoints.iter().map(|e| e.as_str().to_owned()).collect(),
            nodes: settings.nodes.iter().map(|e| e.as_str().to_owned()).collect(),
            scopes: SCOPES.map(String::from).to_vec(),
        },
        admin_token: settings.admin_token.as_ref().map(Secret::duplicate),
        served_ca: None,
        debug: log::debug_on(),
        version: VERSION,
    })
}

/// What a token must say.
pub(crate) fn expectations(settings: &Settings) -> Result<Expectations, Failure> {
    let mut expect = Expectations::new(settings.issuer.clone(), settings.client_id.clone());
    expect.skew_secs = settings.clock_skew_secs;
    expect.slash_tolerant = settings.issuer_trailing_slash == TrailingSlash::Ignore;
    expect.algs = settings.allowed_algs;
    match &settings.client_secret {
        Some(secret) if settings.allowed_algs.iter().any(Alg::is_hmac) => expect
            .with_hmac(secret.duplicate(), Some(settings.allowed_algs))
            .map_err(|error| refused("config.client_secret", error.to_string())),
        Some(_) | None => Ok(expect),
    }
}

/// A file's bytes; the message names the setting.
pub(super) fn bytes(path: &Path, setting: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    files::read(path, FILE_BYTES_MAX)
        .map_err(|error| refused(error.code(), format!("{setting}: {error}")))
}

/// A file's text; the message names the setting.
pub(super) fn text(path: &Path, setting: &str) -> Result<Zeroizing<String>, Failure> {
    let bytes = bytes(path, setting)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| {
        refused("file.not_text", format!("{setting}: {} is not UTF-8 text", path.display()))
    })?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// A path below `data_dir`, where there is one.
pub(super) fn in_data_dir(settings: &Settings, name: &str) -> Option<PathBuf> {
    settings.data_dir.as_ref().map(|dir| Path::new(dir).join(name))
}
