//! Signature algorithms: the ones that can be checked, the ones known by name, and allow-lists.

use core::fmt;

/// A JWS algorithm this program can check (RFC 7518 section 3.1, RFC 8037 section 3.1, RFC 9864).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Alg {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256, salt of 32 octets.
    Ps256,
    /// RSASSA-PSS with SHA-384, salt of 48 octets.
    Ps384,
    /// RSASSA-PSS with SHA-512, salt of 64 octets.
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// Ed25519; its header name is `EdDSA` or `Ed25519`, and both mean the same here.
    EdDsa,
    /// HMAC with SHA-256.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
}

impl Alg {
    /// Every algorithm, asymmetric ones first.
    pub const ALL: [Self; 12] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
        Self::Hs256,
        Self::Hs384,
        Self::Hs512,
    ];

    /// The algorithm of that exact, case-sensitive name; `Ed25519` is [`Alg::EdDsa`].
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::Rs256,
            "RS384" => Self::Rs384,
            "RS512" => Self::Rs512,
            "PS256" => Self::Ps256,
            "PS384" => Self::Ps384,
            "PS512" => Self::Ps512,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            "EdDSA" | "Ed25519" => Self::EdDsa,
            "HS256" => Self::Hs256,
            "HS384" => Self::Hs384,
            "HS512" => Self::Hs512,
            _ => return None,
        })
    }

    /// Name as registered; `EdDSA` for both names of Ed25519.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
        }
    }

    /// Whether signing and checking use the same secret.
    #[must_use]
    pub const fn is_hmac(self) -> bool {
        matches!(self, Self::Hs256 | Self::Hs384 | Self::Hs512)
    }

    /// Octets an HMAC secret must have at least: the length of the hash (RFC 7518 section 3.2).
    /// Zero for the asymmetric algorithms.
    #[must_use]
    pub const fn hmac_secret_bytes_min(self) -> usize {
        match self {
            Self::Hs256 => 32,
            Self::Hs384 => 48,
            Self::Hs512 => 64,
            Self::Rs256
            | Self::Rs384
            | Self::Rs512
            | Self::Ps256
            | Self::Ps384
            | Self::Ps512
            | Self::Es256
            | Self::Es384
            | Self::EdDsa => 0,
        }
    }

    const fn bit(self) -> u16 {
        match self {
            Self::Rs256 => 1,
            Self::Rs384 => 1 << 1,
            Self::Rs512 => 1 << 2,
            Self::Ps256 => 1 << 3,
            Self::Ps384 => 1 << 4,
            Self::Ps512 => 1 << 5,
            Self::Es256 => 1 << 6,
            Self::Es384 => 1 << 7,
            Self::EdDsa => 1 << 8,
            Self::Hs256 => 1 << 9,
            Self::Hs384 => 1 << 10,
            Self::Hs512 => 1 << 11,
        }
    }
}

impl fmt::Display for Alg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of algorithms, printed as a comma-separated list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AlgSet(u16);

impl AlgSet {
    /// No algorithm at all.
    pub const EMPTY: Self = Self(0);

    /// Every asymmetric algorithm: what is accepted where nothing is configured.
    pub const ASYMMETRIC: Self = Self((1 << 9) - 1);

    /// Every algorithm: the default where a client secret is configured.
    pub const ALL: Self = Self((1 << 12) - 1);

    /// The same set with `alg` in it.
    #[must_use]
    pub const fn with(self, alg: Alg) -> Self {
        Self(self.0 | alg.bit())
    }

    /// Whether `alg` is in the set.
    #[must_use]
    pub const fn contains(self, alg: Alg) -> bool {
        self.0 & alg.bit() != 0
    }

    /// Whether nothing is in the set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The algorithms in the set, in the order of [`Alg::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Alg> {
        Alg::ALL.into_iter().filter(move |alg| self.contains(*alg))
    }
}

impl FromIterator<Alg> for AlgSet {
    fn from_iter<I: IntoIterator<Item = Alg>>(algs: I) -> Self {
        algs.into_iter().fold(Self::EMPTY, Self::with)
    }
}

impl fmt::Display for AlgSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, alg) in self.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{alg}")?;
        }
        Ok(())
    }
}

/// An algorithm that exists but cannot be checked here. Only the name this program knows is kept,
/// never the text of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForeignAlg {
    /// ECDSA on P-521: `ES512`.
    Es512,
    /// ECDSA on secp256k1: `ES256K` (RFC 8812).
    Es256K,
    /// `Ed448` (RFC 9864).
    Ed448,
    /// `ML-DSA-44`, `ML-DSA-65` or `ML-DSA-87`.
    MlDsa,
    /// A name nobody registered for signatures.
    Unknown,
}

impl ForeignAlg {
    /// What is known about a name that [`Alg::from_name`] does not know.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        match name {
            "ES512" => Self::Es512,
            "ES256K" => Self::Es256K,
            "Ed448" => Self::Ed448,
            "ML-DSA-44" | "ML-DSA-65" | "ML-DSA-87" => Self::MlDsa,
            _ => Self::Unknown,
        }
    }

    /// Name for messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Es512 => "ES512",
            Self::Es256K => "ES256K",
            Self::Ed448 => "Ed448",
            Self::MlDsa => "ML-DSA",
            Self::Unknown => "an unknown algorithm",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn names_are_exact() {
        for alg in Alg::ALL {
            assert_eq!(Alg::from_name(alg.name()), Some(alg));
            assert_eq!(Alg::from_name(&alg.name().to_ascii_lowercase()), None);
        }
        assert_eq!(Alg::from_name("Ed25519"), Some(Alg::EdDsa));
        for name in ["none", "", "rs256", "RS256 ", "ES512", "RS1"] {
            assert_eq!(Alg::from_name(name), None, "{name}");
        }
    }

    #[test]
    fn foreign_algorithms_are_named() {
        for (name, told) in [
            ("ES512", "ES512"),
            ("ES256K", "ES256K"),
            ("Ed448", "Ed448"),
            ("ML-DSA-44", "ML-DSA"),
            ("ML-DSA-65", "ML-DSA"),
            ("ML-DSA-87", "ML-DSA"),
            ("RS1", "an unknown algorithm"),
        ] {
            assert_eq!(ForeignAlg::from_name(name).name(), told);
        }
    }

    #[test]
    fn sets_hold_what_was_put_in() {
        let set: AlgSet = [Alg::EdDsa, Alg::Rs256].into_iter().collect();
        assert!(set.contains(Alg::Rs256) && set.contains(Alg::EdDsa));
        assert!(!set.contains(Alg::Ps256));
        assert_eq!(set.to_string(), "RS256, EdDSA");
        for alg in Alg::ALL {
            assert!(AlgSet::ALL.contains(alg));
            assert_eq!(AlgSet::ASYMMETRIC.contains(alg), !alg.is_hmac());
            assert_eq!(alg.hmac_secret_bytes_min() > 0, alg.is_hmac());
        }
        assert!(AlgSet::EMPTY.is_empty() && !set.is_empty());
        let twice: AlgSet = [Alg::EdDsa, Alg::EdDsa].into_iter().collect();
        assert_eq!(twice.to_string(), "EdDSA");
    }
}
