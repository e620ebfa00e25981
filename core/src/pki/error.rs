//! Why keys and certificate authorities are refused.

use core::fmt;

use super::ca::Component;
use super::pem::PemError;
use crate::machine::UnixTime;
use crate::types::Rfc3339;

/// Why a key is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// The text around it.
    Pem(PemError),
    /// No private key block in the text.
    NoPrivateKey,
    /// Not PKCS#8, SEC1 or PKCS#1, or damaged.
    Malformed,
    /// A kind of key that cannot be used: P-521, RSA-PSS, DSA, RSA outside 2048 to 4096 bits or
    /// with an exponent under 65537.
    Unsupported,
    /// An EC key that lacks its public half where nothing else tells it.
    NoPublicHalf,
    /// The key is not the one in the certificate.
    Mismatch,
}

impl KeyError {
    /// Stable code for logs, metrics and scripts.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Pem(error) => error.code(),
            Self::NoPrivateKey => "pki.no_private_key",
            Self::Malformed => "pki.key_malformed",
            Self::Unsupported => "pki.key_unsupported",
            Self::NoPublicHalf => "pki.key_without_public_half",
            Self::Mismatch => "pki.key_mismatch",
        }
    }
}

impl From<PemError> for KeyError {
    fn from(error: PemError) -> Self {
        Self::Pem(error)
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pem(error) => return error.fmt(f),
            Self::NoPrivateKey => {
                "no private key in the text: expected a block PRIVATE KEY, ED25519 PRIVATE KEY, \
                 EC PRIVATE KEY or RSA PRIVATE KEY"
            }
            Self::Malformed => "the key is damaged: it is neither PKCS#8 nor SEC1 nor PKCS#1",
            Self::Unsupported => {
                "this kind of key is not supported: use Ed25519, P-256, P-384 or RSA with 2048 to \
                 4096 bits"
            }
            Self::NoPublicHalf => {
                "the EC key lacks its public half: rewrite it with openssl ec -in KEY -out KEY"
            }
            Self::Mismatch => {
                "the private key does not belong to the certificate: take both from the same \
                 place, such as machine.ca of one controlplane.yaml"
            }
        })
    }
}

/// Why a certificate is not accepted as the CA that signs for Talos.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaError {
    /// The text around it.
    Pem(PemError),
    /// No certificate block in the text.
    NoCertificate,
    /// A private key stands in the text that clients will be given.
    PrivateKeyInside,
    /// Not an X.509 certificate, or damaged.
    Malformed,
    /// No certificate of the text is a CA (basicConstraints CA:TRUE).
    NotACa,
    /// A CA, but of another part of the cluster.
    WrongCa(Component),
    /// Past its end.
    Expired {
        /// Last second of the CA.
        not_after: UnixTime,
        /// The clock's reading.
        now: UnixTime,
    },
    /// The key usage lacks certificate signing.
    KeyUsage,
    /// The extended key usage rules client certificates out.
    NotForClients,
    /// The key in the certificate is of a kind that cannot sign here.
    UnsupportedKey,
}

impl CaError {
    /// Stable code for logs, metrics and scripts.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Pem(error) => error.code(),
            Self::NoCertificate => "pki.no_certificate",
            Self::PrivateKeyInside => "pki.key_in_certificate",
            Self::Malformed => "pki.certificate_malformed",
            Self::NotACa => "pki.not_a_ca",
            Self::WrongCa(_) => "pki.wrong_ca",
            Self::Expired { .. } => "pki.ca_expired",
            Self::KeyUsage => "pki.ca_key_usage",
            Self::NotForClients => "pki.ca_not_for_clients",
            Self::UnsupportedKey => "pki.key_unsupported",
        }
    }
}

impl From<PemError> for CaError {
    fn from(error: PemError) -> Self {
        Self::Pem(error)
    }
}

impl fmt::Display for CaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pem(error) => error.fmt(f),
            Self::NoCertificate => {
                f.write_str("no certificate in the text: expected a block CERTIFICATE")
            }
            Self::PrivateKeyInside => f.write_str(
                "the CA certificate text also holds a private key, and clients are given that \
                 text: leave only CERTIFICATE blocks in it",
            ),
            Self::Malformed => f.write_str("the certificate is damaged"),
            Self::NotACa => f.write_str(
                "the certificate is not a CA: take machine.ca.crt of controlplane.yaml, not a \
                 client or server certificate",
            ),
            Self::WrongCa(component) => write!(
                f,
                "this is the {} CA, which Talos does not accept clients from: take machine.ca of \
                 controlplane.yaml or certs.os of secrets.yaml",
                component.name()
            ),
            Self::Expired { not_after, now } => write!(
                f,
                "the CA expired at {} (now {}): rotate it (talosctl rotate-ca) or set the clock",
                Rfc3339(*not_after),
                Rfc3339(*now)
            ),
            Self::KeyUsage => {
                f.write_str("the CA's key usage does not allow signing certificates: use another")
            }
            Self::NotForClients => f.write_str(
                "the CA's extended key usage does not allow client certificates: use another",
            ),
            Self::UnsupportedKey => KeyError::Unsupported.fmt(f),
        }
    }
}
