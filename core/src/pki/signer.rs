//! The CA's private key in memory.

use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use ring::rand::SecureRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};

use super::ca::CaCert;
use super::error::KeyError;
use super::issue::IssueError;
use super::private_key::{Curve, Kind, PrivateKey};
use super::public_key::{KeyAlgorithm, PublicKey, SignatureAlgorithm};

/// A CA key that was checked against its certificate: what it signs, the certificate verifies.
pub struct CaKey(Signer);

enum Signer {
    Ed25519(Ed25519KeyPair),
    Ecdsa(SignatureAlgorithm, EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

impl CaKey {
    /// The private half of the key in `ca`, out of a PEM text.
    ///
    /// EC keys are checked against the certificate's point, so it does not matter whether the text
    /// holds it. `rng` seeds the nonces of ECDSA.
    ///
    /// # Errors
    /// [`KeyError::Mismatch`] for another key than the certificate's; else what is wrong with it.
    pub fn load(text: &str, ca: &CaCert, rng: &dyn SecureRandom) -> Result<Self, KeyError> {
        Self::new(&PrivateKey::parse_pem(text)?, ca.public_key(), rng)
    }

    /// The CA among `candidates` that `text` is the key of, and the key.
    ///
    /// # Errors
    /// As [`CaKey::load`]; [`KeyError::Mismatch`] when it belongs to none.
    pub fn choose(
        text: &str,
        candidates: Vec<CaCert>,
        rng: &dyn SecureRandom,
    ) -> Result<(CaCert, Self), KeyError> {
        let key = PrivateKey::parse_pem(text)?;
        for ca in candidates {
            match Self::new(&key, ca.public_key(), rng) {
                Ok(key) => return Ok((ca, key)),
                Err(KeyError::Mismatch) => {}
                Err(error) => return Err(error),
            }
        }
        Err(KeyError::Mismatch)
    }

    pub(super) fn new(
        key: &PrivateKey,
        public: &PublicKey,
        rng: &dyn SecureRandom,
    ) -> Result<Self, KeyError> {
        let signer = match &key.0 {
            Kind::Ed25519(seed) => {
                let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_slice())
                    .map_err(|_| KeyError::Malformed)?;
                if public.algorithm() != KeyAlgorithm::Ed25519
                    || pair.public_key().as_ref() != public.key_bytes()
                {
                    return Err(KeyError::Mismatch);
                }
                Signer::Ed25519(pair)
            }
            Kind::Ec { curve, scalar, .. } => {
                let (with, algorithm) = match curve {
                    Curve::P256 => {
                        (SignatureAlgorithm::EcdsaSha256, &ECDSA_P256_SHA256_ASN1_SIGNING)
                    }
                    Curve::P384 => {
                        (SignatureAlgorithm::EcdsaSha384, &ECDSA_P384_SHA384_ASN1_SIGNING)
                    }
                };
                if public.algorithm() != curve.algorithm() {
                    return Err(KeyError::Mismatch);
                }
                // Computes the public half and refuses another one.
                let pair = EcdsaKeyPair::from_private_key_and_public_key(
                    algorithm,
                    scalar,
                    public.key_bytes(),
                    rng,
                );
                Signer::Ecdsa(with, pair.map_err(|_| KeyError::Mismatch)?)
            }
            Kind::Rsa { der, public: ours, weak_exponent } => {
                if ours != public.key_bytes() {
                    return Err(KeyError::Mismatch);
                }
                let KeyAlgorithm::Rsa { bits: 2048..=4096 } = public.algorithm() else {
                    return Err(KeyError::Unsupported);
                };
                if *weak_exponent {
                    return Err(KeyError::Unsupported);
                }
                Signer::Rsa(RsaKeyPair::from_der(der).map_err(|_| KeyError::Malformed)?)
            }
        };
        Ok(Self(signer))
    }

    /// How it signs.
    #[must_use]
    pub const fn algorithm(&self) -> SignatureAlgorithm {
        match &self.0 {
            Signer::Ed25519(_) => SignatureAlgorithm::Ed25519,
            Signer::Ecdsa(with, _) => *with,
            Signer::Rsa(_) => SignatureAlgorithm::RsaSha256,
        }
    }

    /// Whether one signature takes milliseconds (RSA), so that it belongs on another thread.
    #[must_use]
    pub const fn is_slow(&self) -> bool {
        match &self.0 {
            Signer::Ed25519(_) | Signer::Ecdsa(..) => false,
            Signer::Rsa(_) => true,
        }
    }

    /// Signs `message`. `rng` is used by ECDSA (nonce) and RSA (blinding).
    ///
    /// # Errors
    /// [`IssueError::SignerFailed`] when the random source fails.
    pub fn sign(&self, rng: &dyn SecureRandom, message: &[u8]) -> Result<Vec<u8>, IssueError> {
        match &self.0 {
            Signer::Ed25519(pair) => Ok(pair.sign(message).as_ref().into()),
            Signer::Ecdsa(_, pair) => pair
                .sign(rng, message)
                .map(|signature| signature.as_ref().into())
                .map_err(|_| IssueError::SignerFailed),
            Signer::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, rng, message, &mut signature)
                    .map_err(|_| IssueError::SignerFailed)?;
                Ok(signature)
            }
        }
    }
}

impl fmt::Debug for CaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CaKey({:?}, redacted)", self.algorithm())
    }
}
