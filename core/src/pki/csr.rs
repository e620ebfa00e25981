//! Certificate requests (PKCS#10, RFC 2986): only the key is taken, and only with proof.

use core::fmt;

use der::{Decode, Reader};

use super::asn1::{self, Signed};
use super::error::KeyError;
use super::pem::{self, Label, PemError};
use super::public_key::{KeyAlgorithm, PublicKey, SignatureAlgorithm};

/// Longest request that is read, in bytes.
pub const CSR_BYTES_MAX: usize = 16 * 1024;

/// Why a certificate request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CsrError {
    /// Over [`CSR_BYTES_MAX`].
    TooLarge,
    /// Neither DER nor PEM text.
    Pem(PemError),
    /// No block `CERTIFICATE REQUEST`, or more than one.
    NotOneRequest,
    /// Not PKCS#10, or damaged.
    Malformed,
    /// Another key than Ed25519, P-256, P-384 or RSA with 2048 to 4096 bits.
    UnsupportedKey,
    /// Signed in a way that is not known here.
    UnsupportedSignature,
    /// The signature was not made with the key in the request.
    NotProven,
}

impl CsrError {
    /// Stable code for logs, metrics and scripts.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooLarge => "csr.too_large",
            Self::Pem(_) => "csr.not_pem",
            Self::NotOneRequest => "csr.not_one_request",
            Self::Malformed => "csr.malformed",
            Self::UnsupportedKey => "csr.unsupported_key",
            Self::UnsupportedSignature => "csr.unsupported_signature",
            Self::NotProven => "csr.not_proven",
        }
    }
}

impl fmt::Display for CsrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "the certificate request is over 16 KiB",
            Self::Pem(error) => return error.fmt(f),
            Self::NotOneRequest => {
                "the certificate request must be exactly one PEM block CERTIFICATE REQUEST"
            }
            Self::Malformed => "the certificate request is not PKCS#10",
            Self::UnsupportedKey => {
                "the certificate request holds an unsupported key: use Ed25519, P-256, P-384 or \
                 RSA with 2048 to 4096 bits"
            }
            Self::UnsupportedSignature => {
                "the certificate request is signed in an unsupported way: use Ed25519, ECDSA with \
                 SHA-256 or SHA-384, or RSA (PKCS#1 v1.5) with SHA-256, SHA-384 or SHA-512"
            }
            Self::NotProven => {
                "the certificate request is not signed with its own key: make a new one"
            }
        })
    }
}

/// The key of a request whose signature proves possession of the private half.
pub(super) fn public_key(request: &[u8]) -> Result<PublicKey, CsrError> {
    if request.len() > CSR_BYTES_MAX {
        return Err(CsrError::TooLarge);
    }
    // PEM never begins with the tag of a SEQUENCE: 0x30 is the digit 0.
    if request.first() == Some(&0x30) {
        return verify(request);
    }
    let text = core::str::from_utf8(request).map_err(|_| CsrError::Malformed)?;
    let blocks = pem::blocks(text).map_err(CsrError::Pem)?;
    match blocks.as_slice() {
        [block] if block.label == Label::CertificateRequest => verify(&block.der),
        _ => Err(CsrError::NotOneRequest),
    }
}

/// `CertificationRequest` and `CertificationRequestInfo`, RFC 2986 section 4.
fn verify(der: &[u8]) -> Result<PublicKey, CsrError> {
    let signed = Signed::from_der(der).ok_or(CsrError::Malformed)?;
    let key = subject_public_key(signed.message).map_err(|error| match error {
        KeyError::Unsupported => CsrError::UnsupportedKey,
        KeyError::Pem(_)
        | KeyError::NoPrivateKey
        | KeyError::Malformed
        | KeyError::NoPublicHalf
        | KeyError::Mismatch => CsrError::Malformed,
    })?;
    match key.algorithm() {
        KeyAlgorithm::Ed25519
        | KeyAlgorithm::P256
        | KeyAlgorithm::P384
        | KeyAlgorithm::Rsa { bits: 2048..=4096 } => {}
        KeyAlgorithm::Rsa { .. } => return Err(CsrError::UnsupportedKey),
    }
    let with = SignatureAlgorithm::from_identifier(signed.algorithm)
        .ok_or(CsrError::UnsupportedSignature)?;
    if key.verifies(with, signed.message, signed.signature) {
        Ok(key)
    } else {
        Err(CsrError::NotProven)
    }
}

/// The third element, after version and subject; the attributes stay unread.
fn subject_public_key(info: &[u8]) -> Result<PublicKey, KeyError> {
    let mut reader = asn1::sequence(info).ok_or(KeyError::Malformed)?;
    let version = u8::decode(&mut reader).map_err(|_| KeyError::Malformed)?;
    reader.tlv_bytes().map_err(|_| KeyError::Malformed)?;
    let spki = reader.tlv_bytes().map_err(|_| KeyError::Malformed)?;
    // Version 1 is written as 0.
    if version == 0 { PublicKey::from_spki(spki) } else { Err(KeyError::Malformed) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(public_key(&bytes).is_err());
        }
    }
}
