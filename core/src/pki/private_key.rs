//! Private keys by content: PKCS#8 (RFC 5958), SEC1 (RFC 5915) and PKCS#1 (RFC 8017).
//!
//! Labels lie: Talos writes PKCS#8 as `ED25519 PRIVATE KEY`, others write SEC1 as `PRIVATE KEY`.
//! The second element of the outer sequence tells the three apart.

use alloc::vec::Vec;
use core::fmt;

use der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef, UintRef};
use der::{Decode, Encode, Reader, Tag, Tagged};
use ring::signature::{Ed25519KeyPair, KeyPair};
use zeroize::Zeroizing;

use super::asn1::{self, AlgorithmIdentifier, EcPrivateKey, RsaPublicKey};
use super::error::KeyError;
use super::pem;
use super::public_key::{KeyAlgorithm, PublicKey};

/// A private key, wiped on drop and never printed.
pub struct PrivateKey(pub(super) Kind);

pub(super) enum Kind {
    /// The 32-byte seed of RFC 8032.
    Ed25519(Zeroizing<[u8; 32]>),
    Ec {
        curve: Curve,
        /// Padded to the width of the curve.
        scalar: Zeroizing<Vec<u8>>,
        /// The uncompressed point where the encoding holds it.
        public: Option<Vec<u8>>,
    },
    Rsa {
        /// `RSAPrivateKey`
        der: Zeroizing<Vec<u8>>,
        /// `RSAPublicKey` of its modulus and exponent.
        public: Vec<u8>,
        /// Public exponent under 65537, which no signer here takes.
        weak_exponent: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Curve {
    P256,
    P384,
}

impl Curve {
    fn from_oid(oid: ObjectIdentifier) -> Result<Self, KeyError> {
        if oid == asn1::P256 {
            Ok(Self::P256)
        } else if oid == asn1::P384 {
            Ok(Self::P384)
        } else {
            Err(KeyError::Unsupported)
        }
    }

    /// Octets of a coordinate or scalar.
    const fn width(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
        }
    }

    pub(super) const fn algorithm(self) -> KeyAlgorithm {
        match self {
            Self::P256 => KeyAlgorithm::P256,
            Self::P384 => KeyAlgorithm::P384,
        }
    }
}

impl PrivateKey {
    /// The first private key of a PEM text, whatever its label says.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn parse_pem(text: &str) -> Result<Self, KeyError> {
        let blocks = pem::blocks(text)?;
        let block = blocks.iter().find(|block| block.label.is_private_key());
        Self::parse_der(&block.ok_or(KeyError::NoPrivateKey)?.der)
    }

    /// A private key that fills `der` completely.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] or [`KeyError::Unsupported`].
    pub fn parse_der(der: &[u8]) -> Result<Self, KeyError> {
        let fields = fields(der)?;
        let [version, second, rest @ ..] = fields.as_slice() else {
            return Err(KeyError::Malformed);
        };
        if version.tag() != Tag::Integer {
            return Err(KeyError::Malformed);
        }
        if second.tag() == Tag::OctetString {
            return sec1(der, None);
        }
        if second.tag() == Tag::Integer {
            return pkcs1(der);
        }
        let id: AlgorithmIdentifier<'_> = second.decode_as().map_err(|_| KeyError::Malformed)?;
        let key = rest.first().ok_or(KeyError::Malformed)?;
        let key: &OctetStringRef = key.decode_as().map_err(|_| KeyError::Malformed)?;
        pkcs8(id, key.as_bytes())
    }

    /// Whether this is the private half of `public`.
    ///
    /// # Errors
    /// [`KeyError::NoPublicHalf`] for an EC key that does not hold it; loading it as a
    /// [`CaKey`](super::CaKey) computes it instead.
    pub fn matches(&self, public: &PublicKey) -> Result<bool, KeyError> {
        match (&self.0, public.algorithm()) {
            (Kind::Ed25519(seed), KeyAlgorithm::Ed25519) => {
                let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_slice())
                    .map_err(|_| KeyError::Malformed)?;
                Ok(pair.public_key().as_ref() == public.key_bytes())
            }
            (Kind::Ec { curve, public: point, .. }, KeyAlgorithm::P256 | KeyAlgorithm::P384) => {
                if curve.algorithm() != public.algorithm() {
                    return Ok(false);
                }
                let point = point.as_deref().ok_or(KeyError::NoPublicHalf)?;
                Ok(point == public.key_bytes())
            }
            (Kind::Rsa { public: ours, .. }, KeyAlgorithm::Rsa { .. }) => {
                Ok(ours == public.key_bytes())
            }
            (Kind::Ed25519(_) | Kind::Ec { .. } | Kind::Rsa { .. }, _) => Ok(false),
        }
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(redacted)")
    }
}

/// The elements of the outer sequence.
fn fields(der: &[u8]) -> Result<Vec<AnyRef<'_>>, KeyError> {
    let mut reader = asn1::sequence(der).ok_or(KeyError::Malformed)?;
    let mut fields = Vec::new();
    while !reader.is_finished() {
        // A multi-prime RSA key has ten; nothing has more.
        if fields.len() >= 16 {
            return Err(KeyError::Malformed);
        }
        fields.push(AnyRef::decode(&mut reader).map_err(|_| KeyError::Malformed)?);
    }
    Ok(fields)
}

/// `PrivateKeyInfo`. Attributes and the public key of version 2 are not needed: every public half
/// is compared with a certificate anyway.
fn pkcs8(id: AlgorithmIdentifier<'_>, key: &[u8]) -> Result<PrivateKey, KeyError> {
    if id.algorithm == asn1::ED25519 {
        // RFC 8410 section 7: an OCTET STRING within the OCTET STRING.
        let seed = <&OctetStringRef>::from_der(key).map_err(|_| KeyError::Malformed)?;
        let seed: [u8; 32] = seed.as_bytes().try_into().map_err(|_| KeyError::Malformed)?;
        return Ok(PrivateKey(Kind::Ed25519(Zeroizing::new(seed))));
    }
    if id.algorithm == asn1::EC_PUBLIC_KEY {
        let curve = id.parameters.ok_or(KeyError::Malformed)?;
        // Explicit parameters are a SEQUENCE instead of a name.
        let curve = curve.decode_as().map_err(|_| KeyError::Unsupported)?;
        return sec1(key, Some(Curve::from_oid(curve)?));
    }
    if id.algorithm == asn1::RSA_ENCRYPTION {
        return pkcs1(key);
    }
    Err(KeyError::Unsupported)
}

fn sec1(der: &[u8], outer: Option<Curve>) -> Result<PrivateKey, KeyError> {
    let key = EcPrivateKey::from_der(der).map_err(|_| KeyError::Malformed)?;
    if key.version != 1 {
        return Err(KeyError::Malformed);
    }
    let inner = key.curve.map(Curve::from_oid).transpose()?;
    let curve = match (outer, inner) {
        (Some(outer), Some(inner)) if outer != inner => return Err(KeyError::Malformed),
        (Some(curve), _) | (None, Some(curve)) => curve,
        (None, None) => return Err(KeyError::Unsupported),
    };
    // Some writers drop leading zeros, some add one.
    let digits = key.scalar.as_bytes();
    let leading = digits.iter().take_while(|byte| **byte == 0).count();
    let digits = digits.get(leading..).unwrap_or_default();
    let padding = curve.width().checked_sub(digits.len()).ok_or(KeyError::Malformed)?;
    let mut scalar = Zeroizing::new(Vec::with_capacity(curve.width()));
    scalar.resize(padding, 0);
    scalar.extend_from_slice(digits);
    let point_len = curve.width().saturating_mul(2).saturating_add(1);
    let public = key
        .public
        .and_then(|bits| bits.as_bytes())
        .filter(|point| point.len() == point_len && point.first() == Some(&4))
        .map(Into::into);
    Ok(PrivateKey(Kind::Ec { curve, scalar, public }))
}

fn pkcs1(der: &[u8]) -> Result<PrivateKey, KeyError> {
    let fields = fields(der)?;
    let [version, modulus, exponent, ..] = fields.as_slice() else {
        return Err(KeyError::Malformed);
    };
    let uint = |field: &AnyRef<'_>| field.decode_as::<UintRef<'_>>().map(|_| ());
    for field in [version, modulus, exponent] {
        uint(field).map_err(|_| KeyError::Malformed)?;
    }
    let modulus: UintRef<'_> = modulus.decode_as().map_err(|_| KeyError::Malformed)?;
    let exponent: UintRef<'_> = exponent.decode_as().map_err(|_| KeyError::Malformed)?;
    let weak_exponent = exponent.as_bytes().len() < 3;
    let public = RsaPublicKey { modulus, exponent }.to_der().map_err(|_| KeyError::Malformed)?;
    Ok(PrivateKey(Kind::Rsa { der: Zeroizing::new(der.into()), public, weak_exponent }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use der::asn1::BitStringRef;
    use proptest::prelude::*;
    use ring::rand::SystemRandom;

    #[test]
    fn version_2_of_pkcs8_is_read() {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
        let public = PublicKey::ed25519(pair.public_key().as_ref()).unwrap();
        let key = PrivateKey::parse_der(document.as_ref()).unwrap();
        assert_eq!(key.matches(&public), Ok(true));
        assert_eq!(key.matches(&PublicKey::ed25519(&[7; 32]).unwrap()), Ok(false));
        assert_eq!(alloc::format!("{key:?}"), "PrivateKey(redacted)");
    }

    fn ec(scalar: &[u8], curve: Option<ObjectIdentifier>) -> Result<Vec<u8>, KeyError> {
        let point = [4; 65];
        let key = EcPrivateKey {
            version: 1,
            scalar: OctetStringRef::new(scalar).unwrap(),
            curve,
            public: Some(BitStringRef::from_bytes(&point).unwrap()),
        };
        match PrivateKey::parse_der(&key.to_der().unwrap())?.0 {
            Kind::Ec { scalar, .. } => Ok(scalar.to_vec()),
            Kind::Ed25519(_) | Kind::Rsa { .. } => Err(KeyError::Malformed),
        }
    }

    #[test]
    fn ec_scalars_get_the_width_of_their_curve() {
        let mut padded = vec![0; 31];
        padded.push(9);
        assert_eq!(ec(&[9], Some(asn1::P256)), Ok(padded.clone()));
        padded.insert(0, 0);
        assert_eq!(ec(&padded, Some(asn1::P256)).unwrap().len(), 32);
        assert_eq!(ec(&[9; 33], Some(asn1::P256)), Err(KeyError::Malformed));
        assert_eq!(ec(&[9; 48], Some(asn1::P384)), Ok(vec![9; 48]));
        assert_eq!(ec(&[9; 32], None), Err(KeyError::Unsupported));
        assert_eq!(ec(&[9; 32], Some(asn1::ED25519)), Err(KeyError::Unsupported));
    }

    fn sec1_of(inner: Option<ObjectIdentifier>, point: Option<&[u8]>) -> Vec<u8> {
        EcPrivateKey {
            version: 1,
            scalar: OctetStringRef::new(&[9; 32]).unwrap(),
            curve: inner,
            public: point.map(|point| BitStringRef::from_bytes(point).unwrap()),
        }
        .to_der()
        .unwrap()
    }

    /// PKCS#8 names the curve outside, and SEC1 may name it again inside.
    #[test]
    fn an_ec_key_has_one_curve() {
        let read = |outer, inner| match sec1(&sec1_of(inner, None), Some(outer))?.0 {
            Kind::Ec { curve, .. } => Ok(curve),
            Kind::Ed25519(_) | Kind::Rsa { .. } => Err(KeyError::NoPrivateKey),
        };
        assert_eq!(read(Curve::P256, None), Ok(Curve::P256));
        assert_eq!(read(Curve::P256, Some(asn1::P256)), Ok(Curve::P256));
        assert_eq!(read(Curve::P384, Some(asn1::P256)), Err(KeyError::Malformed));
        assert_eq!(read(Curve::P256, Some(asn1::P384)), Err(KeyError::Malformed));
    }

    #[test]
    fn only_a_whole_uncompressed_point_is_a_public_half() {
        let known = PublicKey::p256(&[4; 65]).unwrap();
        let matches = |point: &[u8]| {
            PrivateKey::parse_der(&sec1_of(Some(asn1::P256), Some(point))).unwrap().matches(&known)
        };
        assert_eq!(matches(&[4; 65]), Ok(true));
        assert_eq!(matches(&[4; 64]), Err(KeyError::NoPublicHalf));
        assert_eq!(matches(&[3; 65]), Err(KeyError::NoPublicHalf));
    }

    #[test]
    fn rsa_exponents_below_three_octets_are_weak() {
        let weak = |exponent: &[u8]| {
            let numbers = [&[0][..], &[0xc5; 256], exponent].map(|n| UintRef::new(n).unwrap());
            match PrivateKey::parse_der(&Vec::from(numbers).to_der().unwrap()).unwrap().0 {
                Kind::Rsa { weak_exponent, .. } => Some(weak_exponent),
                Kind::Ed25519(_) | Kind::Ec { .. } => None,
            }
        };
        assert_eq!(weak(&[3]), Some(true));
        assert_eq!(weak(&[0xff, 0xff]), Some(true));
        assert_eq!(weak(&[1, 0, 1]), Some(false));
        assert_eq!(weak(&[1, 0, 0, 1]), Some(false));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = PrivateKey::parse_der(&bytes);
        }
    }
}
