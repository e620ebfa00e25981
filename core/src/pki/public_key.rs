//! Public keys and the signatures they check.

use alloc::vec::Vec;

use der::asn1::AnyRef;
use der::{Decode, Encode};
use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};

use super::asn1::{self, AlgorithmIdentifier, RsaPublicKey, SubjectPublicKeyInfo};
use super::error::KeyError;

/// The kinds of key that certificates may hold here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyAlgorithm {
    /// RFC 8410; what Talos generates.
    Ed25519,
    /// ECDSA on secp256r1.
    P256,
    /// ECDSA on secp384r1.
    P384,
    /// `rsaEncryption` with a modulus of that many bits, 2048 to 8192.
    Rsa {
        /// Length of the modulus.
        bits: u16,
    },
}

/// How a certificate or a request is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureAlgorithm {
    /// RFC 8410.
    Ed25519,
    /// `ecdsa-with-SHA256`
    EcdsaSha256,
    /// `ecdsa-with-SHA384`
    EcdsaSha384,
    /// `sha256WithRSAEncryption` (PKCS#1 v1.5)
    RsaSha256,
    /// `sha384WithRSAEncryption`; checked, never written
    RsaSha384,
    /// `sha512WithRSAEncryption`; checked, never written
    RsaSha512,
}

impl KeyAlgorithm {
    /// How a CA with such a key signs.
    #[must_use]
    pub const fn signs_with(self) -> SignatureAlgorithm {
        match self {
            Self::Ed25519 => SignatureAlgorithm::Ed25519,
            Self::P256 => SignatureAlgorithm::EcdsaSha256,
            Self::P384 => SignatureAlgorithm::EcdsaSha384,
            Self::Rsa { .. } => SignatureAlgorithm::RsaSha256,
        }
    }
}

impl SignatureAlgorithm {
    const ALL: [Self; 6] = [
        Self::Ed25519,
        Self::EcdsaSha256,
        Self::EcdsaSha384,
        Self::RsaSha256,
        Self::RsaSha384,
        Self::RsaSha512,
    ];

    /// As it stands in a certificate: RSA has a NULL parameter (RFC 4055 section 5), the others
    /// have none (RFC 5758 section 3.2, RFC 8410 section 3).
    pub(super) const fn identifier(self) -> AlgorithmIdentifier<'static> {
        let (algorithm, parameters) = match self {
            Self::Ed25519 => (asn1::ED25519, None),
            Self::EcdsaSha256 => (asn1::ECDSA_SHA256, None),
            Self::EcdsaSha384 => (asn1::ECDSA_SHA384, None),
            Self::RsaSha256 => (asn1::RSA_SHA256, Some(AnyRef::NULL)),
            Self::RsaSha384 => (asn1::RSA_SHA384, Some(AnyRef::NULL)),
            Self::RsaSha512 => (asn1::RSA_SHA512, Some(AnyRef::NULL)),
        };
        AlgorithmIdentifier { algorithm, parameters }
    }

    /// By how it stands in a certificate, parameters included.
    pub(super) fn from_identifier(identifier: AlgorithmIdentifier<'_>) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.identifier() == identifier)
    }
}

/// `SubjectPublicKeyInfo` of RFC 8410 section 4, up to the 32 bytes of the key.
const ED25519_HEAD: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A public key out of a certificate or a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    algorithm: KeyAlgorithm,
    spki: Vec<u8>,
    key: Vec<u8>,
}

impl PublicKey {
    /// Reads a DER `SubjectPublicKeyInfo` that fills `spki` completely.
    ///
    /// # Errors
    /// [`KeyError::Unsupported`] for other kinds, sizes or encodings (compressed points),
    /// [`KeyError::Malformed`] for anything that is not DER.
    pub fn from_spki(spki: &[u8]) -> Result<Self, KeyError> {
        let info = SubjectPublicKeyInfo::from_der(spki).map_err(|_| KeyError::Malformed)?;
        let key = info.key.as_bytes().ok_or(KeyError::Malformed)?;
        let algorithm = algorithm(info.algorithm, key)?;
        Ok(Self { algorithm, spki: spki.into(), key: key.into() })
    }

    /// The Ed25519 key of these 32 bytes.
    pub(super) fn ed25519(key: &[u8]) -> Option<Self> {
        let key: [u8; 32] = key.try_into().ok()?;
        let spki = [&ED25519_HEAD[..], &key].concat();
        Some(Self { algorithm: KeyAlgorithm::Ed25519, spki, key: key.into() })
    }

    /// The P-256 key of this uncompressed point.
    pub(super) fn p256(point: &[u8]) -> Option<Self> {
        let parameters = Some(AnyRef::from(&asn1::P256));
        let algorithm = AlgorithmIdentifier { algorithm: asn1::EC_PUBLIC_KEY, parameters };
        Self::encode(KeyAlgorithm::P256, algorithm, point)
    }

    fn encode(kind: KeyAlgorithm, algorithm: AlgorithmIdentifier<'_>, key: &[u8]) -> Option<Self> {
        let bits = der::asn1::BitStringRef::from_bytes(key).ok()?;
        let spki = SubjectPublicKeyInfo { algorithm, key: bits }.to_der().ok()?;
        Some(Self { algorithm: kind, spki, key: key.into() })
    }

    /// Its kind.
    #[must_use]
    pub const fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    /// The DER `SubjectPublicKeyInfo`, as it was read.
    #[must_use]
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// The content of the BIT STRING: 32 bytes, an uncompressed point, or an `RSAPublicKey`.
    #[must_use]
    pub fn key_bytes(&self) -> &[u8] {
        &self.key
    }

    /// Whether `signature` over `message` was made with this key. False as well when key and
    /// algorithm do not go together.
    #[must_use]
    pub fn verifies(&self, with: SignatureAlgorithm, message: &[u8], signature: &[u8]) -> bool {
        verifier(self.algorithm, with).is_some_and(|algorithm| {
            UnparsedPublicKey::new(algorithm, &self.key).verify(message, signature).is_ok()
        })
    }
}

/// Recognises kind and size.
fn algorithm(id: AlgorithmIdentifier<'_>, key: &[u8]) -> Result<KeyAlgorithm, KeyError> {
    if id.algorithm == asn1::ED25519 {
        return match (id.parameters, key.len()) {
            (None, 32) => Ok(KeyAlgorithm::Ed25519),
            (Some(_), _) | (None, _) => Err(KeyError::Malformed),
        };
    }
    if id.algorithm == asn1::EC_PUBLIC_KEY {
        let curve: der::asn1::ObjectIdentifier = id
            .parameters
            .ok_or(KeyError::Unsupported)?
            .decode_as()
            .map_err(|_| KeyError::Unsupported)?;
        // 4 marks an uncompressed point (SEC 1 section 2.3.3), the only form ring reads.
        return match (curve, key.len(), key.first()) {
            (asn1::P256, 65, Some(4)) => Ok(KeyAlgorithm::P256),
            (asn1::P384, 97, Some(4)) => Ok(KeyAlgorithm::P384),
            _ => Err(KeyError::Unsupported),
        };
    }
    if id.algorithm != asn1::RSA_ENCRYPTION {
        return Err(KeyError::Unsupported);
    }
    // Go, and so every node, reads no certificate whose RSA key lacks them (RFC 3279, 2.3.1).
    if id.parameters != Some(AnyRef::NULL) {
        return Err(KeyError::Malformed);
    }
    let rsa = RsaPublicKey::from_der(key).map_err(|_| KeyError::Malformed)?;
    let modulus = rsa.modulus.as_bytes();
    let unused = modulus.first().map_or(0, |first| first.leading_zeros());
    let bits = u32::try_from(modulus.len())
        .ok()
        .and_then(|len| len.checked_mul(8)?.checked_sub(unused))
        .and_then(|bits| u16::try_from(bits).ok())
        .ok_or(KeyError::Unsupported)?;
    if (2048..=8192).contains(&bits) {
        Ok(KeyAlgorithm::Rsa { bits })
    } else {
        Err(KeyError::Unsupported)
    }
}

/// Ring's algorithm for a key and a signature that go together.
fn verifier(
    key: KeyAlgorithm,
    with: SignatureAlgorithm,
) -> Option<&'static dyn VerificationAlgorithm> {
    match with {
        SignatureAlgorithm::Ed25519 => match key {
            KeyAlgorithm::Ed25519 => Some(&signature::ED25519),
            KeyAlgorithm::P256 | KeyAlgorithm::P384 | KeyAlgorithm::Rsa { .. } => None,
        },
        SignatureAlgorithm::EcdsaSha256 => match key {
            KeyAlgorithm::P256 => Some(&signature::ECDSA_P256_SHA256_ASN1),
            KeyAlgorithm::P384 => Some(&signature::ECDSA_P384_SHA256_ASN1),
            KeyAlgorithm::Ed25519 | KeyAlgorithm::Rsa { .. } => None,
        },
        SignatureAlgorithm::EcdsaSha384 => match key {
            KeyAlgorithm::P256 => Some(&signature::ECDSA_P256_SHA384_ASN1),
            KeyAlgorithm::P384 => Some(&signature::ECDSA_P384_SHA384_ASN1),
            KeyAlgorithm::Ed25519 | KeyAlgorithm::Rsa { .. } => None,
        },
        SignatureAlgorithm::RsaSha256
        | SignatureAlgorithm::RsaSha384
        | SignatureAlgorithm::RsaSha512 => match key {
            KeyAlgorithm::Rsa { .. } => rsa_verifier(with),
            KeyAlgorithm::Ed25519 | KeyAlgorithm::P256 | KeyAlgorithm::P384 => None,
        },
    }
}

fn rsa_verifier(with: SignatureAlgorithm) -> Option<&'static dyn VerificationAlgorithm> {
    match with {
        SignatureAlgorithm::RsaSha256 => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
        SignatureAlgorithm::RsaSha384 => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
        SignatureAlgorithm::RsaSha512 => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
        SignatureAlgorithm::Ed25519
        | SignatureAlgorithm::EcdsaSha256
        | SignatureAlgorithm::EcdsaSha384 => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_encoded_is_read() {
        let key = PublicKey::ed25519(&[7; 32]).unwrap();
        assert_eq!(PublicKey::from_spki(key.spki()), Ok(key.clone()));
        let mut point = [4; 65];
        let key = PublicKey::p256(&point).unwrap();
        assert_eq!(PublicKey::from_spki(key.spki()), Ok(key.clone()));
        let mut longer = key.spki().to_vec();
        longer.push(0);
        assert_eq!(PublicKey::from_spki(&longer), Err(KeyError::Malformed));
        point[0] = 2;
        let compressed = PublicKey::p256(&point).unwrap();
        assert_eq!(PublicKey::from_spki(compressed.spki()), Err(KeyError::Unsupported));
    }

    #[test]
    fn knows_algorithms_with_their_parameters() {
        for algorithm in SignatureAlgorithm::ALL {
            let mut id = algorithm.identifier();
            assert_eq!(SignatureAlgorithm::from_identifier(id), Some(algorithm));
            id.parameters = if id.parameters.is_some() { None } else { Some(AnyRef::NULL) };
            assert_eq!(SignatureAlgorithm::from_identifier(id), None);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = PublicKey::from_spki(&bytes);
        }

        #[test]
        fn no_damage_panics(at in 0usize..44, byte: u8) {
            let mut spki = PublicKey::ed25519(&[7; 32]).unwrap().spki().to_vec();
            spki[at] = byte;
            let _ = PublicKey::from_spki(&spki);
        }
    }
}
