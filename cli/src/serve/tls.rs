//! The server's own certificate: provided, self-made and kept, or none.

use std::path::Path;
use std::sync::Arc;

use exchange_core::config::{SanName, Settings, TlsMode};
use exchange_core::pki::{ClientCertificate, Renewal, San, TlsFile, TlsIdentity};
use exchange_core::types::Rfc3339;
use exchange_smol::files;
use exchange_smol::names;
use exchange_smol::tls::{ServerTls, ServerTlsOptions};
use exchange_smol::{clock, entropy};
use zeroize::Zeroizing;

use super::load::{Problems, bytes, refused};
use super::log;
use crate::exit::Failure;

/// PEM of a TLS key is small.
const FILE_BYTES_MAX: usize = 64 * 1024;

/// Certificate chain and key, and what there is to say about them.
pub(super) struct Material {
    chain: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
    /// PEM of the self-made authority, for `/ca` and the log.
    pub(super) own_ca: Option<String>,
    /// SHA-256 of it.
    pub(super) fingerprint: Option<String>,
}

/// Whether material that had to be made is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// In `data_dir`, where there is one.
    InDataDir,
    /// Nowhere: only a look.
    Nothing,
}

impl Material {
    /// What the settings ask for; `None` is plain HTTP.
    pub(super) fn load(settings: &Settings, keep: Keep) -> Result<Option<Self>, Failure> {
        match &settings.tls {
            TlsMode::Plain => Ok(None),
            TlsMode::Files { cert, key } => {
                let mut problems = Problems::default();
                let chain = problems.keep(bytes(Path::new(cert), "tls_cert"));
                let key = problems.keep(bytes(Path::new(key), "tls_key"));
                problems.report()?;
                let pair = chain.zip(key);
                Ok(pair.map(|(chain, key)| Self {
                    chain: chain.to_vec(),
                    key,
                    own_ca: None,
                    fingerprint: None,
                }))
            }
            TlsMode::SelfSigned => self_signed(settings, keep).map(Some),
        }
    }

    /// A TLS server with it.
    pub(super) fn server(&self) -> Result<Arc<ServerTls>, Failure> {
        ServerTls::new(&self.chain, &self.key, options())
            .map(Arc::new)
            .map_err(|error| refused(error.code(), format!("TLS certificate: {error}")))
    }

    /// Puts it in place of what `server` has; connections that stand keep the old one.
    pub(super) fn replace_in(&self, server: &ServerTls) -> Result<(), Failure> {
        server
            .replace(&self.chain, &self.key, options())
            .map_err(|error| refused(error.code(), format!("TLS certificate: {error}")))
    }
}

/// Looks at a provided pair, so that what is wrong with it stands in the report of all the rest.
pub(super) fn check_pair(settings: &Settings, problems: &mut Problems) {
    if matches!(settings.tls, TlsMode::Files { .. }) {
        check(settings, problems);
    }
}

/// Looks at what there is in any mode, and changes nothing.
pub(super) fn check(settings: &Settings, problems: &mut Problems) {
    if let Some(Some(material)) = problems.keep(Material::load(settings, Keep::Nothing))
        && problems.keep(material.server()).is_some()
        && material.own_ca.is_none()
    {
        warn_of_times(&material.chain);
    }
}

/// A pair that clients refuse is served all the same, as it may be renewed any moment, but not
/// without a word.
fn warn_of_times(chain: &[u8]) {
    let leaf = std::str::from_utf8(chain).ok().and_then(|text| ClientCertificate::parse(text).ok());
    let now = clock::now().wall;
    let Some(leaf) = leaf else { return };
    if leaf.not_after() < now {
        let ended = Rfc3339(leaf.not_after());
        log::warn(&format!("tls_cert ended at {ended}: clients refuse it until it is renewed"));
    } else if leaf.not_before() > now {
        let begins = Rfc3339(leaf.not_before());
        log::warn(&format!("tls_cert begins at {begins}: is the clock of this machine right?"));
    }
}

fn options() -> ServerTlsOptions<'static> {
    ServerTlsOptions::default()
}

/// Every name a client may use to reach us: what is configured, and what this machine is called.
fn wanted(settings: &Settings) -> Vec<San> {
    let mut names = vec![
        San::Dns("localhost".into()),
        San::Ip(std::net::Ipv4Addr::LOCALHOST.into()),
        San::Ip(std::net::Ipv6Addr::LOCALHOST.into()),
    ];
    let mut add = |name: San| {
        if !names.contains(&name) {
            names.push(name);
        }
    };
    for name in &settings.tls_sans {
        add(match name {
            SanName::Dns(name) => San::Dns(name.clone()),
            SanName::Ip(address) => San::Ip(*address),
        });
    }
    if let Some(name) = settings.listen.host().and_then(|host| host.parse().ok())
        && !matches!(&name, San::Ip(address) if address.is_unspecified())
    {
        add(name);
    }
    if let Some(name) = names::host_name().and_then(|name| name.parse().ok()) {
        add(name);
    }
    names::own_addresses().into_iter().map(San::Ip).for_each(add);
    // A certificate holds 128 names; a machine with more addresses names the others itself.
    names.truncate(128);
    names
}

fn self_signed(settings: &Settings, keep: Keep) -> Result<Material, Failure> {
    let (wanted, now) = (wanted(settings), clock::now().wall);
    let rng = entropy::generator();
    let fail = |error: exchange_core::pki::TlsIdentityError| {
        refused(error.code(), format!("self-signed certificate: {error}"))
    };
    let dir = settings.data_dir.as_deref().map(Path::new);
    let kept = match dir {
        None => None,
        Some(dir) => match read(dir)? {
            Kept::Nothing => None,
            Kept::Whole([ca, ca_key, cert, key]) => {
                let kept = TlsIdentity::parse(&ca, &ca_key, &cert, &key, &rng);
                Some((kept.map_err(fail)?, false))
            }
            Kept::Authority(ca, ca_key) => {
                log::warn(
                    "data_dir has the TLS authority but not the whole server pair: the pair is \
                     made anew under the same authority",
                );
                let made = TlsIdentity::under(&ca, &ca_key, &wanted, now, &rng);
                Some((made.map_err(fail)?, true))
            }
            Kept::Remains { there, lost } => {
                log::warn(&format!(
                    "data_dir has {there} but not {lost}: ALL FOUR ARE MADE ANEW with a new TLS \
                     authority, which clients must fetch from /ca"
                ));
                None
            }
        },
    };
    let (identity, changed) = match kept {
        None => (TlsIdentity::generate(&wanted, now, &rng).map_err(fail)?, true),
        Some((kept, made)) => match kept.needs_renewal(now, &wanted) {
            Renewal::Nothing => (kept, made),
            Renewal::Certificate => {
                log::info("renewing the server certificate under the same authority");
                (kept.renew(&wanted, now, &rng).map_err(fail)?, true)
            }
            Renewal::Everything => {
                log::warn("the TLS authority ends: clients must fetch the new one from /ca");
                (TlsIdentity::generate(&wanted, now, &rng).map_err(fail)?, true)
            }
        },
    };
    if changed
        && keep == Keep::InDataDir
        && let Some(dir) = dir
    {
        write(dir, &identity);
    }
    Ok(Material {
        // The authority goes along for clients that know it by its fingerprint only.
        chain: [identity.cert_pem(), identity.ca_cert_pem()].concat().into_bytes(),
        key: Zeroizing::new(identity.key_pem().expose().to_vec()),
        own_ca: Some(identity.ca_cert_pem().to_owned()),
        fingerprint: Some(identity.ca_fingerprint_sha256().to_owned()),
    })
}

/// What `data_dir` holds of the four files.
enum Kept {
    /// None of them.
    Nothing,
    /// All, in the order of [`TlsIdentity::parse`].
    Whole([Zeroizing<String>; 4]),
    /// Certificate and key of the authority, and not both of the server.
    Authority(Zeroizing<String>, Zeroizing<String>),
    /// Something that nothing can be made of, by name.
    Remains { there: String, lost: String },
}

fn read(dir: &Path) -> Result<Kept, Failure> {
    let read = |file: TlsFile| -> Result<Option<Zeroizing<String>>, Failure> {
        let path = dir.join(file.name());
        let bytes = files::read_if_there(&path, FILE_BYTES_MAX)
            .map_err(|error| refused(error.code(), format!("data_dir: {error}")))?;
        Ok(bytes.map(|bytes| Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned())))
    };
    let (ca, ca_key) = (read(TlsFile::CaCert)?, read(TlsFile::CaKey)?);
    let (cert, key) = (read(TlsFile::Cert)?, read(TlsFile::Key)?);
    Ok(match (ca, ca_key, cert, key) {
        (None, None, None, None) => Kept::Nothing,
        (Some(ca), Some(ca_key), Some(cert), Some(key)) => Kept::Whole([ca, ca_key, cert, key]),
        (Some(ca), Some(ca_key), ..) => Kept::Authority(ca, ca_key),
        (ca, ca_key, cert, key) => {
            let files = [
                (TlsFile::CaCert, ca.is_some()),
                (TlsFile::CaKey, ca_key.is_some()),
                (TlsFile::Cert, cert.is_some()),
                (TlsFile::Key, key.is_some()),
            ];
            let names = |there: bool| {
                let names = files.iter().filter(|(_, is)| *is == there);
                names.map(|(file, _)| file.name()).collect::<Vec<_>>().join(", ")
            };
            Kept::Remains { there: names(true), lost: names(false) }
        }
    })
}

/// Writes all four files or none. A folder that cannot be written costs the persistence only.
fn write(dir: &Path, identity: &TlsIdentity) {
    let set = identity.files();
    let set: Vec<(&str, &[u8], u32)> =
        set.iter().map(|(file, bytes)| (file.name(), *bytes, 0o600)).collect();
    let written = files::create_private_dir(dir).and_then(|()| files::write_set(dir, &set));
    if let Err(error) = written {
        log::warn(&format!(
            "data_dir: {error}; the TLS authority lives in memory only and changes with a restart"
        ));
    }
}
