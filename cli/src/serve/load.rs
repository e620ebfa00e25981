//! From a configuration to the parts of a server: every file read, every key checked.

use std::path::{Path, PathBuf};

use exchange_core::config::{
    CaPair, CaSource, ENV_PREFIX, PemSource, Settings, TrailingSlash, from_document,
};
use exchange_core::jwt::{Alg, Expectations};
use exchange_core::machine::UnixTime;
use exchange_core::oidc::discovery::DiscoveryPolicy;
use exchange_core::oidc::key_cache::KeyCacheConfig;
use exchange_core::pki::{CaCert, CaKey, SignerTrust};
use exchange_core::server::Setup;
use exchange_core::server::setup::ClientFacts;
use exchange_core::types::{Rfc3339, Secret};
use exchange_smol::fetch::Fetcher;
use exchange_smol::proxy::ProxySettings;
use exchange_smol::tls::ClientTls;
use exchange_smol::{clock, entropy, files};
use zeroize::Zeroizing;

use super::log;
use crate::exit::{Class, Failure};
use crate::version::VERSION;

/// Largest file that is read: configuration, PEM, secrets.
const FILE_BYTES_MAX: usize = 1024 * 1024;
/// How far ahead of this clock the beginning of a CA may lie, in seconds.
const CA_AHEAD_SECS_MAX: u64 = 300;
/// What a client asks the provider for when it knows only this server.
const SCOPES: [&str; 4] = ["openid", "profile", "email", "offline_access"];

/// Parts of a server, and the settings they came from.
pub(super) struct Loaded {
    /// The settings.
    pub(super) settings: Settings,
    /// What the machine decides by; what the listener is, its connections and TLS, is still to be
    /// filled in.
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

/// What is wrong, found in several places and told in one report.
#[derive(Default)]
pub(super) struct Problems(Option<Failure>);

impl Problems {
    /// The value, or its failure kept behind those that are there.
    pub(super) fn keep<T>(&mut self, result: Result<T, Failure>) -> Option<T> {
        match (result, self.0.take()) {
            (Ok(value), before) => {
                self.0 = before;
                Some(value)
            }
            (Err(next), None) => {
                self.0 = Some(next);
                None
            }
            (Err(next), Some(Failure { code, message, .. })) => {
                let both = format!("{message} [{code}]\n{}", next.message);
                self.0 = Some(refused(next.code, both));
                None
            }
        }
    }

    /// Nothing, or all of them.
    pub(super) fn report(&mut self) -> Result<(), Failure> {
        self.0.take().map_or(Ok(()), Err)
    }
}

/// Reads and checks everything, and tells all that is wrong at once. Warnings go to the log.
///
/// `more` checks what belongs to the same report.
pub(super) fn load(
    config: Option<&Path>,
    generation: u64,
    more: impl FnOnce(&Settings, &mut Problems),
) -> Result<Loaded, Failure> {
    let mut settings = parsed(config)?;
    let now = clock::now().wall;
    let mut problems = Problems::default();
    problems.keep(available(&settings));
    problems.keep(read_client_secret(&mut settings));
    let signing = signing_ca(&settings.ca, now, &mut problems);
    let fetcher = problems.keep(fetcher(&settings));
    let policy = problems.keep(provider_policy(&settings));
    let expect = problems.keep(expectations(&settings));
    let clients_ca = problems.keep(clients_ca(&settings, now));
    more(&settings, &mut problems);
    problems.report()?;
    match (signing, fetcher, policy, expect, clients_ca) {
        (Some((ca, signer)), Some(fetcher), Some(policy), Some(expect), Some(clients_ca)) => {
            let ca_for_clients = clients_ca.unwrap_or_else(|| ca.bundle_text().to_owned());
            let parts = Parts { policy, expect, ca, ca_for_clients };
            let setup = setup(&settings, generation, parts, now);
            Ok(Loaded { settings, setup, signer, fetcher })
        }
        (..) => Err(refused("config.invalid", "the configuration cannot be used")),
    }
}

/// Refuses settings that this version knows and does not do.
fn available(settings: &Settings) -> Result<(), Failure> {
    if settings.bind_tokens {
        let text = "bind_tokens is not available in this version: remove it";
        return Err(refused("config.not_effective", text));
    }
    Ok(())
}

/// Reads file and environment, and the secret that a setting names. Warnings go to the log.
pub(crate) fn settings(config: Option<&Path>) -> Result<Settings, Failure> {
    let mut settings = parsed(config)?;
    read_client_secret(&mut settings)?;
    Ok(settings)
}

/// Reads the client secret where it stands in a file.
fn read_client_secret(settings: &mut Settings) -> Result<(), Failure> {
    let Some(path) = settings.client_secret_file.clone() else { return Ok(()) };
    let secret = Secret::new(bytes(Path::new(&path), "client_secret_file")?.to_vec());
    let more = settings
        .client_secret_read(&secret)
        .map_err(|problems| refused(problems.code(), problems.to_string()))?;
    more.iter().for_each(|warning| log::warn(&warning.to_string()));
    Ok(())
}

/// Reads file and environment.
fn parsed(config: Option<&Path>) -> Result<Settings, Failure> {
    let file = match config {
        None => None,
        Some(path) => Some((path.display().to_string(), text(path, "the configuration file")?)),
    };
    let (env, no_text) = environment();
    let given = file.as_ref().map(|(name, text)| (name.as_str(), text.as_str()));
    let mut problems = Problems::default();
    for name in no_text {
        let text = format!("environment: {name}: not UTF-8 text");
        problems.keep::<()>(Err(refused("config.invalid", text)));
    }
    let loaded = problems.keep(Settings::load(given, &env).map_err(|problems| {
        // What nobody reads is often what is missing under its right name.
        problems.warnings.iter().for_each(|warning| log::warn(&warning.to_string()));
        refused(problems.code(), problems.to_string())
    }));
    problems.report()?;
    let nothing = || refused("config.invalid", "the configuration cannot be used");
    let loaded = loaded.ok_or_else(nothing)?;
    for warning in &loaded.warnings {
        log::warn(&warning.to_string());
    }
    Ok(loaded.settings)
}

/// Our variables that are text, and the names of those that are none.
fn environment() -> (Vec<(String, String)>, Vec<String>) {
    let (mut texts, mut no_text) = (Vec::new(), Vec::new());
    for (name, value) in std::env::vars_os() {
        let Some(name) = name.to_str().filter(|name| name.starts_with(ENV_PREFIX)) else {
            continue;
        };
        match value.into_string() {
            Ok(value) => texts.push((name.to_owned(), value)),
            Err(_) => no_text.push(name.to_owned()),
        }
    }
    (texts, no_text)
}

/// The signing CA and its key, from wherever the settings say.
fn signing_ca(
    source: &CaSource,
    now: UnixTime,
    problems: &mut Problems,
) -> Option<(CaCert, CaKey)> {
    let pair = match source {
        CaSource::Pem { cert, key } => {
            let cert_pem = match cert {
                PemSource::Inline(pem) => Some(pem.clone()),
                PemSource::File(path) => {
                    problems.keep(text(Path::new(path), "ca_cert")).map(|text| text.to_string())
                }
            };
            let key_pem = match key {
                PemSource::Inline(pem) => Some(pem.duplicate()),
                PemSource::File(path) => {
                    warn_of_readers("ca_key", path);
                    let read = problems.keep(bytes(Path::new(path), "ca_key"));
                    read.map(|bytes| Secret::new(bytes.to_vec()))
                }
            };
            CaPair { cert_pem: cert_pem?, key_pem: key_pem? }
        }
        CaSource::TalosConfig { path } => {
            let document = problems.keep(text(Path::new(path), "talos_config"))?;
            let pair = from_document(&document)
                .map_err(|error| refused(error.code(), format!("talos_config {path}: {error}")));
            let pair = problems.keep(pair)?;
            warn_of_readers("talos_config", path);
            pair
        }
    };
    problems.keep(chosen(&pair, now))
}

/// The certificate that the key is of, and the key.
fn chosen(pair: &CaPair, now: UnixTime) -> Result<(CaCert, CaKey), Failure> {
    let candidates = CaCert::parse_all(&pair.cert_pem, now)
        .map_err(|error| refused(error.code(), format!("signing CA certificate: {error}")))?;
    let key = pair.key_pem.expose_str().unwrap_or_default();
    let (ca, key) = CaKey::choose(key, candidates, &entropy::generator())
        .map_err(|error| refused(error.code(), format!("signing CA key: {error}")))?;
    // A node refuses whatever this CA signs now. One made a moment ago elsewhere is let through.
    if ca.not_before().since(now) > CA_AHEAD_SECS_MAX {
        let text = format!(
            "signing CA certificate: the CA is valid from {} only (now {}): set the clock, or take \
             the CA that the nodes use",
            Rfc3339(ca.not_before()),
            Rfc3339(now)
        );
        return Err(refused("pki.ca_not_yet_valid", text));
    }
    Ok((ca, key))
}

/// Warns about a file with the CA key that everybody on this machine can read.
fn warn_of_readers(setting: &str, path: &str) {
    if Path::new(path).is_file()
        && let Some(mode) = files::open_to_others(Path::new(path))
        && mode & 0o004 != 0
    {
        log::warn(&format!(
            "{setting} {path} is readable by everybody (mode {mode:o}): chmod 400 {path}"
        ));
    }
}

/// What clients are to trust, where `talos_ca` says it.
fn clients_ca(settings: &Settings, now: UnixTime) -> Result<Option<String>, Failure> {
    let Some(path) = &settings.talos_ca else { return Ok(None) };
    let bundle = text(Path::new(path), "talos_ca")?;
    CaCert::parse_all(&bundle, now)
        .map_err(|error| refused(error.code(), format!("talos_ca {path}: {error}")))?;
    Ok(Some(bundle.to_string()))
}

/// How the provider may be asked; an issuer that no provider can have is refused.
fn provider_policy(settings: &Settings) -> Result<DiscoveryPolicy, Failure> {
    let policy = DiscoveryPolicy {
        // An operator who writes http:// into issuer_url has been warned.
        allow_http: settings.issuer.is_plain_http(),
        slash_tolerant: settings.issuer_trailing_slash == TrailingSlash::Ignore,
    };
    match policy.discovery_url(&settings.issuer) {
        Ok(_) => Ok(policy),
        Err(error) => Err(refused(error.code(), format!("issuer_url: {error}"))),
    }
}

fn fetcher(settings: &Settings) -> Result<Fetcher, Failure> {
    let extra = match &settings.idp_ca {
        None => None,
        Some(path) => Some(bytes(Path::new(path), "idp_ca")?),
    };
    let tls = ClientTls::on_demand(extra.as_ref().map(|pem| pem.as_slice()))
        .map_err(|error| refused("config.idp_ca", format!("idp_ca: {error}")))?;
    let proxies = ProxySettings::from_env(|name| std::env::var(name).ok());
    Ok(Fetcher::new(tls.clone(), tls, proxies, format!("talosctl-oidc/{VERSION}")))
}

/// Says why no provider can be trusted.
pub(super) fn warn_of_no_authorities() {
    log::warn(
        "no trusted authorities found on this system, so no https provider can be reached: \
         install ca-certificates, mount /etc/ssl/certs or set idp_ca",
    );
}

/// What a [`Setup`] has besides the settings.
struct Parts {
    policy: DiscoveryPolicy,
    expect: Expectations,
    ca: CaCert,
    ca_for_clients: String,
}

fn setup(settings: &Settings, generation: u64, parts: Parts, now: UnixTime) -> Setup {
    let Parts { policy, expect, ca, ca_for_clients } = parts;
    let keys = KeyCacheConfig { policy, ..KeyCacheConfig::default() };
    if settings.trusted_proxies.trusts_everyone() {
        log::warn("trusted_proxies covers every address: any client can pick its own address");
    }
    let days = ca.not_after().since(now) / 86_400;
    if days < 30 {
        log::warn(&format!("the signing CA ends in {days} days"));
    }
    Setup {
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
        ca_for_clients: ca_for_clients.into(),
        waiting_max: usize::try_from(settings.max_connections).unwrap_or(usize::MAX),
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
    }
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
