//! Keys that verify signatures: built once from raw numbers, checked while being built.

use alloc::boxed::Box;
use core::fmt;

use ring::hmac;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};

use super::curve::{P256, P384};
use super::{Alg, TokenError};
use crate::types::Secret;

/// A key that verifies signatures of one kind, and of one algorithm only where it was bound to it.
pub struct VerifyKey {
    kind: Kind,
    bound: Option<Alg>,
}

enum Kind {
    /// Modulus and exponent, big-endian, without leading zeros as `ring` wants them.
    Rsa { n: Box<[u8]>, e: Box<[u8]> },
    /// Uncompressed point, `04 || x || y`.
    P256([u8; 65]),
    /// Uncompressed point, `04 || x || y`.
    P384([u8; 97]),
    /// Public key of RFC 8032.
    Ed25519([u8; 32]),
    /// Client secret.
    Hmac(Secret),
}

/// Why numbers are not a key that is good enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// RSA modulus under 2048 or over 8192 bits.
    RsaSize,
    /// RSA modulus even, hence no product of two large primes.
    RsaModulus,
    /// RSA exponent even, below 3 or over 2^33 - 1.
    RsaExponent,
    /// EC coordinate or Ed25519 key shorter or longer than its curve says.
    Length,
    /// EC point that is not on its curve.
    OffCurve,
    /// HMAC secret under 32 octets (RFC 7518 section 3.2).
    SecretTooShort,
    /// The key cannot serve the algorithm it is bound to.
    AlgMismatch,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RsaSize => "the RSA modulus has not 2048 to 8192 bits",
            Self::RsaModulus => "the RSA modulus is even",
            Self::RsaExponent => "the RSA exponent is not an odd number from 3 to 2^33 - 1",
            Self::Length => "a coordinate of the key has the wrong length",
            Self::OffCurve => "the point is not on its curve",
            Self::SecretTooShort => {
                "the client secret is too short for HMAC: use 32 octets for HS256, 48 for HS384, \
                 64 for HS512, or leave those out of allowed_algs"
            }
            Self::AlgMismatch => "the key is of another kind than its alg says",
        })
    }
}

impl VerifyKey {
    /// RSA key from big-endian modulus and exponent; leading zeros are dropped, as some issuers
    /// publish them against RFC 7518 section 6.3.1.
    ///
    /// # Errors
    /// [`KeyError::RsaSize`], [`KeyError::RsaModulus`], [`KeyError::RsaExponent`].
    pub fn rsa(n: &[u8], e: &[u8]) -> Result<Self, KeyError> {
        let (n, e) = (without_leading_zeros(n), without_leading_zeros(e));
        // Counted in bits: `ring` rounds up to octets and would take 2041.
        let bits = match n.first() {
            Some(first) => {
                let unused = usize::try_from(first.leading_zeros()).unwrap_or(8);
                n.len().saturating_mul(8).saturating_sub(unused)
            }
            None => 0,
        };
        if !(2048..=8192).contains(&bits) {
            return Err(KeyError::RsaSize);
        }
        if n.last().is_none_or(|low| low & 1 == 0) {
            return Err(KeyError::RsaModulus);
        }
        if e.len() > 5 {
            return Err(KeyError::RsaExponent);
        }
        let exponent = e.iter().fold(0u64, |sum, octet| sum << 8 | u64::from(*octet));
        if exponent & 1 == 0 || !(3..=(1 << 33) - 1).contains(&exponent) {
            return Err(KeyError::RsaExponent);
        }
        Ok(Self::of(Kind::Rsa { n: n.into(), e: e.into() }))
    }

    /// P-256 key from coordinates of exactly 32 octets (RFC 7518 section 6.2.1).
    ///
    /// # Errors
    /// [`KeyError::Length`], [`KeyError::OffCurve`].
    pub fn p256(x: &[u8], y: &[u8]) -> Result<Self, KeyError> {
        let point = point::<65>(x, y, 32)?;
        if P256.holds(x, y) { Ok(Self::of(Kind::P256(point))) } else { Err(KeyError::OffCurve) }
    }

    /// P-384 key from coordinates of exactly 48 octets (RFC 7518 section 6.2.1).
    ///
    /// # Errors
    /// [`KeyError::Length`], [`KeyError::OffCurve`].
    pub fn p384(x: &[u8], y: &[u8]) -> Result<Self, KeyError> {
        let point = point::<97>(x, y, 48)?;
        if P384.holds(x, y) { Ok(Self::of(Kind::P384(point))) } else { Err(KeyError::OffCurve) }
    }

    /// Ed25519 key from its 32 octets (RFC 8037 section 2).
    ///
    /// # Errors
    /// [`KeyError::Length`].
    pub fn ed25519(x: &[u8]) -> Result<Self, KeyError> {
        x.try_into().map(|x| Self::of(Kind::Ed25519(x))).map_err(|_| KeyError::Length)
    }

    /// HMAC key from the configured client secret. A key set never makes one.
    ///
    /// # Errors
    /// [`KeyError::SecretTooShort`] under 32 octets; longer hashes are refused by
    /// [`VerifyKey::fits`] where the secret is too short for them.
    pub fn hmac(secret: Secret) -> Result<Self, KeyError> {
        if secret.len() < Alg::Hs256.hmac_secret_bytes_min() {
            return Err(KeyError::SecretTooShort);
        }
        Ok(Self::of(Kind::Hmac(secret)))
    }

    /// The same key for `alg` only (RFC 8725 section 3.1).
    ///
    /// # Errors
    /// [`KeyError::AlgMismatch`] when the key cannot serve `alg` at all.
    pub fn bound_to(self, alg: Alg) -> Result<Self, KeyError> {
        if self.fits(alg) {
            Ok(Self { bound: Some(alg), ..self })
        } else {
            Err(KeyError::AlgMismatch)
        }
    }

    /// Whether the key may verify signatures of `alg`.
    #[must_use]
    pub fn fits(&self, alg: Alg) -> bool {
        let kind = match alg {
            Alg::Rs256 | Alg::Rs384 | Alg::Rs512 | Alg::Ps256 | Alg::Ps384 | Alg::Ps512 => {
                matches!(self.kind, Kind::Rsa { .. })
            }
            Alg::Es256 => matches!(self.kind, Kind::P256(_)),
            Alg::Es384 => matches!(self.kind, Kind::P384(_)),
            Alg::EdDsa => matches!(self.kind, Kind::Ed25519(_)),
            Alg::Hs256 | Alg::Hs384 | Alg::Hs512 => match &self.kind {
                Kind::Hmac(secret) => secret.len() >= alg.hmac_secret_bytes_min(),
                Kind::Rsa { .. } | Kind::P256(_) | Kind::P384(_) | Kind::Ed25519(_) => false,
            },
        };
        kind && self.bound.is_none_or(|bound| bound == alg)
    }

    /// Verifies `signature` over `message`. Signatures have their JWS form: ECDSA fixed-width
    /// `r || s` (RFC 7518 section 3.4), RSA as long as the modulus, PSS salt as long as the hash.
    ///
    /// # Errors
    /// [`TokenError::KeyMismatch`] when the key does not fit `alg`; else
    /// [`TokenError::BadSignature`].
    pub fn verify_raw(&self, alg: Alg, message: &[u8], signature: &[u8]) -> Result<(), TokenError> {
        if !self.fits(alg) {
            return Err(TokenError::KeyMismatch);
        }
        let verified = match &self.kind {
            Kind::Rsa { n, e } => {
                let parameters = rsa_parameters(alg).ok_or(TokenError::KeyMismatch)?;
                RsaPublicKeyComponents { n, e }.verify(parameters, message, signature)
            }
            Kind::P256(point) => unparsed(&ECDSA_P256_SHA256_FIXED, point, message, signature),
            Kind::P384(point) => unparsed(&ECDSA_P384_SHA384_FIXED, point, message, signature),
            Kind::Ed25519(key) => unparsed(&ED25519, key, message, signature),
            Kind::Hmac(secret) => {
                let hash = hmac_hash(alg).ok_or(TokenError::KeyMismatch)?;
                hmac::verify(&hmac::Key::new(hash, secret.expose()), message, signature)
            }
        };
        verified.map_err(|_| TokenError::BadSignature)
    }

    fn of(kind: Kind) -> Self {
        Self { kind, bound: None }
    }
}

impl fmt::Debug for VerifyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Rsa { .. } => "RSA",
            Kind::P256(_) => "P-256",
            Kind::P384(_) => "P-384",
            Kind::Ed25519(_) => "Ed25519",
            Kind::Hmac(_) => "HMAC",
        };
        match self.bound {
            Some(alg) => write!(f, "VerifyKey({kind}, {alg})"),
            None => write!(f, "VerifyKey({kind})"),
        }
    }
}

fn unparsed(
    alg: &'static dyn VerificationAlgorithm,
    key: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<(), ring::error::Unspecified> {
    UnparsedPublicKey::new(alg, key).verify(message, signature)
}

fn rsa_parameters(alg: Alg) -> Option<&'static RsaParameters> {
    match alg {
        Alg::Rs256 => Some(&RSA_PKCS1_2048_8192_SHA256),
        Alg::Rs384 => Some(&RSA_PKCS1_2048_8192_SHA384),
        Alg::Rs512 => Some(&RSA_PKCS1_2048_8192_SHA512),
        Alg::Ps256 => Some(&RSA_PSS_2048_8192_SHA256),
        Alg::Ps384 => Some(&RSA_PSS_2048_8192_SHA384),
        Alg::Ps512 => Some(&RSA_PSS_2048_8192_SHA512),
        Alg::Es256 | Alg::Es384 | Alg::EdDsa | Alg::Hs256 | Alg::Hs384 | Alg::Hs512 => None,
    }
}

fn hmac_hash(alg: Alg) -> Option<hmac::Algorithm> {
    match alg {
        Alg::Hs256 => Some(hmac::HMAC_SHA256),
        Alg::Hs384 => Some(hmac::HMAC_SHA384),
        Alg::Hs512 => Some(hmac::HMAC_SHA512),
        Alg::Rs256
        | Alg::Rs384
        | Alg::Rs512
        | Alg::Ps256
        | Alg::Ps384
        | Alg::Ps512
        | Alg::Es256
        | Alg::Es384
        | Alg::EdDsa => None,
    }
}

fn without_leading_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|octet| **octet == 0).count();
    number.get(zeros..).unwrap_or_default()
}

fn point<const LEN: usize>(x: &[u8], y: &[u8], width: usize) -> Result<[u8; LEN], KeyError> {
    if x.len() != width || y.len() != width {
        return Err(KeyError::Length);
    }
    let mut point = [4; LEN];
    for (out, octet) in point.iter_mut().skip(1).zip(x.iter().chain(y)) {
        *out = *octet;
    }
    Ok(point)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::vec;

    #[test]
    fn rsa_numbers_have_bounds() {
        let n = |octets: usize, first: u8, last: u8| {
            let mut n = vec![0xaa; octets];
            n[0] = first;
            *n.last_mut().unwrap() = last;
            n
        };
        let e = [1, 0, 1];
        for (modulus, exponent, verdict) in [
            (n(256, 0x80, 1), &e[..], None),
            (n(257, 0, 1), &e, None),
            (n(256, 0x7f, 1), &e, Some(KeyError::RsaSize)),
            (n(1024, 0xff, 1), &e, None),
            (n(1025, 1, 1), &e, Some(KeyError::RsaSize)),
            (n(256, 0x80, 2), &e, Some(KeyError::RsaModulus)),
            (vec![], &e, Some(KeyError::RsaSize)),
            (n(256, 0x80, 1), &[], Some(KeyError::RsaExponent)),
            (n(256, 0x80, 1), &[1], Some(KeyError::RsaExponent)),
            (n(256, 0x80, 1), &[2], Some(KeyError::RsaExponent)),
            (n(256, 0x80, 1), &[0, 0, 3], None),
            (n(256, 0x80, 1), &[1, 0xff, 0xff, 0xff, 0xff], None),
            (n(256, 0x80, 1), &[2, 0, 0, 0, 1], Some(KeyError::RsaExponent)),
            (n(256, 0x80, 1), &[1, 0, 0, 0, 0, 0, 0, 0, 1], Some(KeyError::RsaExponent)),
        ] {
            assert_eq!(VerifyKey::rsa(&modulus, exponent).err(), verdict, "{exponent:?}");
        }
    }

    #[test]
    fn a_key_serves_its_own_kind_only() {
        let ed = VerifyKey::ed25519(&[7; 32]).unwrap();
        let mac = VerifyKey::hmac(Secret::new([7; 48])).unwrap();
        for alg in Alg::ALL {
            assert_eq!(ed.fits(alg), alg == Alg::EdDsa);
            assert_eq!(mac.fits(alg), matches!(alg, Alg::Hs256 | Alg::Hs384));
        }
        let mac = mac.bound_to(Alg::Hs256).unwrap();
        assert!(!mac.fits(Alg::Hs384));
        assert_eq!(ed.bound_to(Alg::Rs256).unwrap_err(), KeyError::AlgMismatch);
        assert_eq!(VerifyKey::hmac(Secret::new([7; 31])).unwrap_err(), KeyError::SecretTooShort);
        assert_eq!(VerifyKey::p256(&[1; 31], &[1; 32]).unwrap_err(), KeyError::Length);
        assert_eq!(VerifyKey::p384(&[1; 48], &[1; 48]).unwrap_err(), KeyError::OffCurve);
        assert_eq!(format!("{mac:?}"), "VerifyKey(HMAC, HS256)");
    }
}
