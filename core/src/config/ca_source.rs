//! Where the signing CA comes from, and how it is found in the files Talos users have.

use alloc::format;
use alloc::string::String;
use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::keys;
use super::sources::Sources;
use crate::types::Secret;
use crate::yaml::{Node, YamlError, parse_all};

/// Where the CA's certificate and key are.
#[derive(Debug)]
pub enum CaSource {
    /// In PEM, each for itself: a certificate in a file goes with a key from the environment.
    Pem {
        /// The certificate.
        cert: PemSource<String>,
        /// The key.
        key: PemSource<Secret>,
    },
    /// In a YAML file of Talos, for [`from_document`].
    TalosConfig {
        /// Its path.
        path: String,
    },
}

/// Where one half of the CA is.
#[derive(Debug)]
pub enum PemSource<T> {
    /// In the configuration itself.
    Inline(T),
    /// In the file of this path.
    File(String),
}

impl<T> PemSource<T> {
    /// Inline data wins over a file.
    fn read(data: Option<T>, file: Option<String>) -> Option<Self> {
        data.map(Self::Inline).or(file.map(Self::File))
    }

    /// The path, where it is a file.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::Inline(_) => None,
            Self::File(path) => Some(path),
        }
    }
}

impl CaSource {
    /// Both halves win over `talos_config`; `None` where a problem was recorded.
    pub(super) fn read(s: &mut Sources<'_>) -> Option<Self> {
        let before = s.problems.found.len();
        let is_pem = |text: &str| {
            if text.contains("-----BEGIN ") {
                Ok(String::from(text))
            } else {
                Err("not PEM; it begins with -----BEGIN and spans several lines")
            }
        };
        let cert_data = s.parse(&keys::CA_CERT_DATA, is_pem);
        let key_data = s.parse(&keys::CA_KEY_DATA, is_pem).map(Secret::from);
        let (cert_file, key_file) = (s.text(&keys::CA_CERT), s.text(&keys::CA_KEY));
        let path = s.text(&keys::TALOS_CONFIG);
        if s.problems.found.len() > before {
            return None;
        }
        let cert = PemSource::read(cert_data, cert_file);
        let key = PemSource::read(key_data, key_file);
        match (cert, key, path) {
            (Some(cert), Some(key), other) => {
                if other.is_some() {
                    let text = "talos_config is not used: the CA certificate and key are set";
                    s.warn("config.unused", text);
                }
                Some(Self::Pem { cert, key })
            }
            (None, None, Some(path)) => Some(Self::TalosConfig { path }),
            (cert, _, Some(path)) => {
                let given = if cert.is_none() { "key" } else { "certificate" };
                let text = format!(
                    "the CA {given} is not used: its other half is not set, so talos_config holds"
                );
                s.warn("config.unused", text);
                Some(Self::TalosConfig { path })
            }
            (cert, key, None) => {
                if cert.is_none() {
                    s.missing(&keys::CA_CERT);
                }
                if key.is_none() {
                    s.missing(&keys::CA_KEY);
                }
                None
            }
        }
    }
}

/// A CA certificate and its key, in PEM, as found.
#[derive(Debug)]
pub struct CaPair {
    /// Certificate in PEM.
    pub cert_pem: String,
    /// Key in PEM.
    pub key_pem: Secret,
}

/// Why a document gives no CA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaDocumentError {
    /// Not YAML.
    Yaml(YamlError),
    /// A talosconfig: it has the CA's certificate and a client's key, but no CA key.
    Talosconfig,
    /// A worker's machine configuration, where the key is empty.
    Worker,
    /// The key is there as `******`.
    Redacted,
    /// The place is right but the certificate is absent.
    NoCertificate,
    /// The place is right but the key is absent.
    NoKey,
    /// The value of `crt` or `key` is neither base64 of PEM nor PEM.
    NotPem {
        /// `crt` or `key`.
        field: &'static str,
    },
    /// Something else; says what.
    Unknown {
        /// What it seems to be.
        found: &'static str,
    },
}

impl CaDocumentError {
    /// Stable name of this error.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Yaml(_) => "ca.yaml",
            Self::Talosconfig => "ca.talosconfig",
            Self::Worker => "ca.worker",
            Self::Redacted => "ca.redacted",
            Self::NoCertificate => "ca.no_certificate",
            Self::NoKey => "ca.no_key",
            Self::NotPem { .. } => "ca.not_pem",
            Self::Unknown { .. } => "ca.unknown_document",
        }
    }
}

impl fmt::Display for CaDocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const TAKE: &str =
            "take machine.ca from controlplane.yaml, or certs.os from the secrets bundle";
        match self {
            Self::Yaml(error) => write!(f, "{error}"),
            Self::Talosconfig => {
                write!(f, "this is a talosconfig: it holds no CA key to sign with; {TAKE}")
            }
            Self::Worker => {
                write!(f, "this is a worker's configuration, whose CA key is empty; {TAKE}")
            }
            Self::Redacted => {
                f.write_str("the CA key is blotted out (******); use the original file")
            }
            Self::NoCertificate => write!(f, "the CA certificate is not in it; {TAKE}"),
            Self::NoKey => write!(f, "the CA key is not in it; {TAKE}"),
            Self::NotPem { field } => write!(f, "the CA's {field} is not base64 of PEM"),
            Self::Unknown { found } => {
                write!(f, "this is {found}, which holds no Talos CA; {TAKE}")
            }
        }
    }
}

/// Finds the Talos CA in a YAML text: `machine.ca` of a (multi-document) machine configuration,
/// `certs.os` of a secrets bundle, or `spec.issuingCA` of `talosctl get osrootsecrets -o yaml`.
///
/// # Errors
/// [`CaDocumentError`]: what was found instead.
pub fn from_document(text: &str) -> Result<CaPair, CaDocumentError> {
    if text.trim_start().starts_with("-----BEGIN ") {
        let found = "a PEM file (name it in ca_cert or ca_key instead)";
        return Err(CaDocumentError::Unknown { found });
    }
    let documents = parse_all(text).map_err(CaDocumentError::Yaml)?;
    for document in &documents {
        if let Some(ca) = at(document, &["machine", "ca"]) {
            return pair(ca, true);
        }
        // The second form is the same struct as other tools write it, in JSON.
        for path in [&["certs", "os"][..], &["Certs", "OS"]] {
            if let Some(ca) = at(document, path) {
                return pair(ca, false);
            }
        }
        if let Some(ca) = at(document, &["spec", "issuingCA"]) {
            let kind = at(document, &["metadata", "type"]).and_then(Node::text);
            if kind.is_none_or(|kind| kind.starts_with("OSRootSecret")) {
                return pair(ca, false);
            }
            return Err(CaDocumentError::Unknown {
                found: "another CA than that of the Talos API",
            });
        }
    }
    Err(documents
        .iter()
        .map(unknown)
        .next()
        .unwrap_or(CaDocumentError::Unknown { found: "an empty file" }))
}

fn unknown(document: &Node) -> CaDocumentError {
    let has = |path: &[&str]| at(document, path).is_some();
    let found = if has(&["contexts"]) && !has(&["clusters"]) {
        return CaDocumentError::Talosconfig;
    } else if has(&["clusters"]) {
        "a kubeconfig"
    } else if has(&["machine"]) || has(&["cluster"]) {
        "a machine configuration without machine.ca"
    } else if has(&["certs"]) || has(&["secrets"]) {
        "a secrets bundle without certs.os"
    } else if has(&["kind"]) {
        "another kind of document"
    } else {
        match document.map() {
            Some(_) => "YAML with other keys",
            None => "no mapping of keys",
        }
    };
    CaDocumentError::Unknown { found }
}

/// The node at the end of `path`, unless something on the way is absent or null.
fn at<'a>(node: &'a Node, path: &[&str]) -> Option<&'a Node> {
    let end = path.iter().try_fold(node, |node, key| node.map()?.get(key))?;
    Some(end).filter(|node| !node.is_null())
}

fn pair(ca: &Node, machine: bool) -> Result<CaPair, CaDocumentError> {
    let field = |names: [&str; 2]| {
        let found = names.into_iter().find_map(|name| at(ca, &[name]))?;
        found.text().map(str::trim).filter(|text| !text.is_empty())
    };
    let cert = field(["crt", "Crt"]).ok_or(CaDocumentError::NoCertificate)?;
    let key = match field(["key", "Key"]) {
        Some(key) if key.bytes().all(|b| b == b'*') => return Err(CaDocumentError::Redacted),
        Some(key) => key,
        None if machine => return Err(CaDocumentError::Worker),
        None => return Err(CaDocumentError::NoKey),
    };
    Ok(CaPair {
        cert_pem: pem(cert, "crt")?.as_str().into(),
        key_pem: Secret::new(pem(key, "key")?.as_bytes()),
    })
}

/// PEM from base64 as Go reads it (line ends inside do not count), or plain PEM.
fn pem(text: &str, field: &'static str) -> Result<Zeroizing<String>, CaDocumentError> {
    let refused = CaDocumentError::NotPem { field };
    if text.starts_with("-----BEGIN ") {
        return Ok(Zeroizing::new(text.into()));
    }
    let packed: Zeroizing<String> =
        Zeroizing::new(text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect());
    let bytes = Zeroizing::new(STANDARD.decode(packed.as_bytes()).map_err(|_| refused)?);
    let decoded = core::str::from_utf8(&bytes).map_err(|_| refused)?;
    if !decoded.contains("-----BEGIN ") {
        return Err(refused);
    }
    Ok(Zeroizing::new(decoded.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;
    use proptest::prelude::*;

    const CERT: &str = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n";
    const KEY: &str =
        "-----BEGIN ED25519 PRIVATE KEY-----\nMA==\n-----END ED25519 PRIVATE KEY-----\n";

    fn b64(text: &str) -> String {
        STANDARD.encode(text)
    }

    fn found(text: &str) {
        let pair = from_document(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let key = pair.key_pem.expose_str().map(str::trim);
        assert_eq!((pair.cert_pem.as_str(), key), (CERT, Some(KEY.trim())));
    }

    #[test]
    fn finds_the_ca_wherever_talos_keeps_it() {
        let (cert, key) = (b64(CERT), b64(KEY));
        let ca = format!("crt: {cert}, key: {key}");
        found(&format!(
            "version: v1alpha1\nmachine:\n    type: controlplane\n    ca: {{{ca}}}\ncluster:\n    ca: {{crt: x, key: y}}\n"
        ));
        found(&format!(
            "apiVersion: v1alpha1\nkind: HostnameConfig\n---\nmachine: {{ca: {{{ca}}}}}\n---\nkind: X\n"
        ));
        found(&format!(
            "cluster: {{id: x}}\ncerts:\n    etcd: {{crt: a, key: b}}\n    os:\n        crt: {cert}\n        key: {key}\n"
        ));
        found(&format!("{{\"Certs\":{{\"OS\":{{\"Crt\":\"{cert}\",\"Key\":\"{key}\"}}}}}}"));
        found(&format!(
            "node: 10.0.0.1\nmetadata:\n    type: OSRootSecrets.secrets.talos.dev\nspec:\n    issuingCA: {{{ca}}}\n"
        ));
        found(&format!(
            "machine:\n  ca:\n    crt: \"{cert}\"\n    key: |\n      {}\n",
            KEY.trim().replace('\n', "\n      ") + "\n"
        ));
    }

    #[test]
    fn says_what_it_found_instead() {
        let (cert, key) = (b64(CERT), b64(KEY));
        let k8s = format!(
            "metadata: {{type: KubernetesRootSecrets.secrets.talos.dev}}\nspec: {{issuingCA: {{crt: {cert}, key: {key}}}}}\n"
        );
        for (text, code, word) in [
            (
                "context: a\ncontexts: {a: {ca: x, crt: y, key: z}}\n",
                "ca.talosconfig",
                "talosconfig",
            ),
            (&format!("machine: {{ca: {{crt: {cert}, key: \"\"}}}}"), "ca.worker", "worker"),
            (
                &format!("machine: {{ca: {{crt: {cert}, key: '******'}}}}"),
                "ca.redacted",
                "original",
            ),
            (&format!("certs: {{os: {{crt: {cert}}}}}"), "ca.no_key", "key"),
            (&format!("certs: {{os: {{key: {key}}}}}"), "ca.no_certificate", "certificate"),
            (&format!("certs: {{os: {{crt: '{cert} x', key: {key}}}}}"), "ca.not_pem", "crt"),
            (&format!("certs: {{os: {{crt: {cert}, key: aGVsbG8=}}}}"), "ca.not_pem", "key"),
            ("apiVersion: v1\nclusters: []\ncontexts: []\n", "ca.unknown_document", "kubeconfig"),
            (&k8s, "ca.unknown_document", "another CA"),
            (CERT, "ca.unknown_document", "ca_cert"),
            ("", "ca.unknown_document", "empty"),
            ("hello", "ca.unknown_document", "no mapping"),
            ("a: [", "ca.yaml", "line"),
        ] {
            let error = from_document(text).unwrap_err();
            assert_eq!(error.code(), code, "{text}");
            assert!(error.to_string().contains(word), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(machine|certs|os|ca|crt|key|spec|[: {}\\n-]|x|\\*){0,20}") {
            let _ = from_document(&text);
        }
    }
}
