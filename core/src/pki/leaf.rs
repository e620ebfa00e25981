//! The key of a client certificate.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use ring::signature::{Ed25519KeyPair, KeyPair};
use zeroize::Zeroizing;

use super::csr::{self, CsrError};
use super::error::KeyError;
use super::pem::{self, Label};
use super::public_key::PublicKey;
use crate::machine::Entropy;
use crate::types::Secret;

/// `PrivateKeyInfo` version 1 of RFC 8410 section 7, up to the 32 bytes of the seed: what Go
/// writes. Version 2 with the public key is read by fewer programs.
const PKCS8_HEAD: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// A key that a client certificate will be issued for.
pub struct LeafKey {
    public: PublicKey,
    private: Option<Zeroizing<Vec<u8>>>,
}

impl LeafKey {
    /// A fresh Ed25519 key; the seed is the private key (RFC 8032 section 5.1.5).
    ///
    /// # Errors
    /// [`KeyError::Malformed`] never in practice.
    pub fn from_seed(seed: Entropy<32>) -> Result<Self, KeyError> {
        let seed = seed.into_bytes();
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_slice())
            .map_err(|_| KeyError::Malformed)?;
        let public = PublicKey::ed25519(pair.public_key().as_ref()).ok_or(KeyError::Malformed)?;
        let mut der = Zeroizing::new(Vec::with_capacity(48));
        der.extend_from_slice(&PKCS8_HEAD);
        der.extend_from_slice(seed.as_slice());
        Ok(Self { public, private: Some(der) })
    }

    /// The key of a certificate request (PKCS#10, PEM or DER), whose holder proved to have the
    /// private half. Subject and extensions of the request are ignored: roles come from policy.
    ///
    /// # Errors
    /// [`CsrError`].
    pub fn from_csr(request: &[u8]) -> Result<Self, CsrError> {
        Ok(Self { public: csr::public_key(request)?, private: None })
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Whether the private half is here, and so must be handed out with the certificate.
    #[must_use]
    pub const fn has_private(&self) -> bool {
        self.private.is_some()
    }

    /// PKCS#8 under the label `ED25519 PRIVATE KEY`, which Talos' own tools insist on in places.
    pub(super) fn private_pem(&self) -> Option<Secret> {
        let der = self.private.as_ref()?;
        let text: String = pem::encode(Label::Ed25519PrivateKey, der)?;
        Some(Secret::from(text))
    }
}

impl fmt::Debug for LeafKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LeafKey({:?}, redacted)", self.public.algorithm())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_nothing_of_its_private_half() {
        let key = LeafKey::from_seed(Entropy::new([7; 32])).unwrap();
        assert_eq!(alloc::format!("{key:?}"), "LeafKey(Ed25519, redacted)");
    }
}
