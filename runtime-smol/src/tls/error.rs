//! What can be wrong with TLS material and with a handshake.

use std::fmt;
use std::io;

use exchange_core::http::FetchError;
use futures_rustls::rustls::{CertificateError, Error};

/// Why TLS cannot be set up from what was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsError {
    /// The PEM text holds no `CERTIFICATE` block.
    NoCertificate,
    /// The PEM text holds no private key, or only an encrypted one.
    NoKey,
    /// A PEM block is damaged.
    BadPem,
    /// A certificate does not parse.
    BadCertificate,
    /// The private key does not parse or is of an unsupported kind.
    BadKey,
    /// The private key belongs to another certificate.
    KeyMismatch,
    /// The operating system gives no randomness.
    NoEntropy,
}

impl TlsError {
    /// Stable code: part of the public contract.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoCertificate => "tls.no_certificate",
            Self::NoKey => "tls.no_key",
            Self::BadPem => "tls.bad_pem",
            Self::BadCertificate => "tls.bad_certificate",
            Self::BadKey => "tls.bad_key",
            Self::KeyMismatch => "tls.key_mismatch",
            Self::NoEntropy => "tls.no_entropy",
        }
    }

    pub(super) fn of_setup(error: &Error) -> Self {
        #[expect(clippy::wildcard_enum_match_arm, reason = "a foreign, non-exhaustive enum")]
        match error {
            Error::InconsistentKeys(_) => Self::KeyMismatch,
            Error::InvalidCertificate(_) => Self::BadCertificate,
            Error::NoCertificatesPresented => Self::NoCertificate,
            _ => Self::BadKey,
        }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoCertificate => {
                "no certificate found: the file must hold a -----BEGIN CERTIFICATE----- block"
            }
            Self::NoKey => {
                "no private key found: give an unencrypted PEM key (PKCS#8, SEC1 or PKCS#1)"
            }
            Self::BadPem => "the PEM text is damaged: copy the file again",
            Self::BadCertificate => "the certificate cannot be read: check that it is X.509 in PEM",
            Self::BadKey => {
                "the private key cannot be read: use P-256, P-384, Ed25519 or RSA from 2048 bits"
            }
            Self::KeyMismatch => {
                "the private key belongs to another certificate: give the pair that was made \
                 together"
            }
            Self::NoEntropy => "the operating system gives no random bytes",
        })
    }
}

impl std::error::Error for TlsError {}

/// What a failed handshake or a broken TLS stream means for a request.
#[must_use]
pub fn fetch_error(error: &io::Error) -> FetchError {
    let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        return FetchError::Tls;
    };
    #[expect(clippy::wildcard_enum_match_arm, reason = "a foreign, non-exhaustive enum")]
    match error {
        Error::InvalidCertificate(certificate) => match certificate {
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => FetchError::ExpiredCertificate,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                FetchError::WrongName
            }
            // A bad signature, a leaf that is an authority, a wrong purpose: no chain to a root.
            _ => FetchError::UntrustedCertificate,
        },
        Error::NoCertificatesPresented => FetchError::UntrustedCertificate,
        _ => FetchError::Tls,
    }
}
