//! Certificates and keys out of PEM text.

use futures_rustls::pki_types::pem::PemObject;
use futures_rustls::pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use super::TlsError;

/// All certificates of a PEM text, in order; at least one.
pub(super) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if found.is_empty() => Err(TlsError::NoCertificate),
        Ok(found) => Ok(found),
        Err(_) => Err(TlsError::BadPem),
    }
}

/// The first private key of a PEM text. Talos labels Ed25519 keys its own way; inside is PKCS#8.
pub(super) fn key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    const TALOS: &str = "ED25519 PRIVATE KEY-----";
    use futures_rustls::pki_types::pem::Error;
    let found = match std::str::from_utf8(pem) {
        Ok(text) if text.contains(TALOS) => {
            let plain = Zeroizing::new(text.replace(TALOS, "PRIVATE KEY-----"));
            PrivateKeyDer::from_pem_slice(plain.as_bytes())
        }
        Ok(_) | Err(_) => PrivateKeyDer::from_pem_slice(pem),
    };
    #[expect(clippy::wildcard_enum_match_arm, reason = "a foreign, non-exhaustive enum")]
    found.map_err(|error| match error {
        Error::NoItemsFound => TlsError::NoKey,
        _ => TlsError::BadPem,
    })
}
