//! The client's own key: it never leaves this machine, and a request proves that it is here.
//!
//! Old servers do not know requests and make a key themselves; then this one is thrown away.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use ring::signature::{Ed25519KeyPair, KeyPair as _};
use zeroize::Zeroizing;

use crate::machine::Entropy;
use crate::pki::pem::{self, Label};
use crate::types::Secret;

/// `PrivateKeyInfo` version 1 of RFC 8410 section 7, up to the 32 octets of the seed.
const PRIVATE_HEAD: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// `CertificationRequestInfo` of RFC 2986 section 4.1, up to the 32 octets of the public key:
/// version 1, an empty subject (roles and name come from the server's policy), Ed25519.
const INFO_HEAD: [u8; 19] = [
    0x30, 0x33, 0x02, 0x01, 0x00, 0x30, 0x00, 0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70,
    0x03, 0x21, 0x00,
];

/// The empty `attributes` that end it.
const INFO_TAIL: [u8; 2] = [0xa0, 0x00];

/// `CertificationRequest`: a SEQUENCE of the info, …
const REQUEST_HEAD: [u8; 2] = [0x30, 0x7f];

/// … the algorithm Ed25519, and a BIT STRING of the 64 octets of the signature.
const SIGNATURE_HEAD: [u8; 10] = [0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x41, 0x00];

/// An Ed25519 key for one certificate, and the request that goes with it.
pub struct OwnKey {
    private: Secret,
    request: String,
}

impl OwnKey {
    /// The key of that seed, which is the private key itself (RFC 8032 section 5.1.5).
    ///
    /// `None` never in practice: every 32 octets are a seed.
    #[must_use]
    pub fn new(seed: Entropy<32>) -> Option<Self> {
        let seed = seed.into_bytes();
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_slice()).ok()?;
        let mut private = Zeroizing::new(Vec::with_capacity(48));
        private.extend_from_slice(&PRIVATE_HEAD);
        private.extend_from_slice(seed.as_slice());
        let mut info = Vec::from(INFO_HEAD);
        info.extend_from_slice(pair.public_key().as_ref());
        info.extend_from_slice(&INFO_TAIL);
        let mut request = Vec::from(REQUEST_HEAD);
        request.extend_from_slice(&info);
        request.extend_from_slice(&SIGNATURE_HEAD);
        request.extend_from_slice(pair.sign(&info).as_ref());
        Some(Self {
            // The label that Talos' own tools insist on in places.
            private: Secret::from(pem::encode(Label::Ed25519PrivateKey, &private)?),
            request: pem::encode(Label::CertificateRequest, &request)?,
        })
    }

    /// The private key, PEM.
    #[must_use]
    pub const fn private_pem(&self) -> &Secret {
        &self.private
    }

    /// The certificate request, PEM.
    #[must_use]
    pub fn request_pem(&self) -> &str {
        &self.request
    }
}

impl fmt::Debug for OwnKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnKey(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::LeafKey;
    use proptest::prelude::*;

    proptest! {
        /// The server's reader takes the request, with proof, and finds the same key.
        #[test]
        fn the_request_proves_the_key(seed in any::<[u8; 32]>()) {
            let own = OwnKey::new(Entropy::new(seed)).unwrap();
            let read = LeafKey::from_csr(own.request_pem().as_bytes()).unwrap();
            let same = LeafKey::from_seed(Entropy::new(seed)).unwrap();
            prop_assert_eq!(read.public(), same.public());
            prop_assert!(!read.has_private());
        }
    }
}
