//! JWK sets (RFC 7517): which keys of a document may verify ID tokens, and which one a token means.

use alloc::vec::Vec;
use core::fmt;

use crate::json::{self, JsonError, Limits, Object, Value};
use crate::jwt::{Alg, KeyError, VerifyKey, base64url};
use crate::types::Kid;

/// Largest key set in bytes.
pub const JWKS_BYTES_MAX: usize = 1024 * 1024;
/// Most entries in a key set.
pub const JWKS_KEYS_MAX: usize = 256;

const DEPTH_MAX: u32 = 16;

/// The keys of an issuer that may verify its tokens.
///
/// There is no HMAC key among them, whatever the document holds: a key that everyone can read
/// must not become a secret (RFC 8725 section 2.1).
#[derive(Debug, Default)]
pub struct KeySet {
    keys: Vec<PublishedKey>,
    skipped: Vec<Skipped>,
}

#[derive(Debug)]
struct PublishedKey {
    kid: Option<Kid>,
    key: VerifyKey,
}

/// An entry that is not used, and why. The others are (RFC 7517 section 5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Position in the document, from 0.
    pub index: usize,
    /// Its identifier, if it has a valid one. Foreign text: escape it.
    pub kid: Option<Kid>,
    /// Why it is not used.
    pub reason: SkipReason,
}

/// Why an entry of a key set is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// Not an object, or a member that is missing or has the wrong type.
    Malformed,
    /// `kty` other than RSA, EC and OKP.
    UnknownKind,
    /// A symmetric key (`oct`): it must not be published.
    Symmetric,
    /// Private members: the issuer publishes its private key. Deserves an alarm.
    PrivateMaterial,
    /// `use` is not `sig`, or `key_ops` has no `verify`.
    NotForSignatures,
    /// `alg` is none that can be checked here.
    UnsupportedAlg,
    /// `crv` is none that can be checked here.
    UnsupportedCurve,
    /// The numbers are no key that is good enough.
    BadKey(KeyError),
}

impl SkipReason {
    /// Stable code for log lines.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "jwk.malformed",
            Self::UnknownKind => "jwk.unknown_kty",
            Self::Symmetric => "jwk.symmetric",
            Self::PrivateMaterial => "jwk.private_material",
            Self::NotForSignatures => "jwk.not_for_signatures",
            Self::UnsupportedAlg => "jwk.unsupported_alg",
            Self::UnsupportedCurve => "jwk.unsupported_curve",
            Self::BadKey(error) => match error {
                KeyError::RsaSize => "jwk.rsa_size",
                KeyError::RsaModulus => "jwk.rsa_modulus",
                KeyError::RsaExponent => "jwk.rsa_exponent",
                KeyError::Length => "jwk.length",
                KeyError::OffCurve => "jwk.off_curve",
                KeyError::SecretTooShort => "jwk.symmetric",
                KeyError::AlgMismatch => "jwk.alg_mismatch",
            },
        }
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "a member is missing or has the wrong type",
            Self::UnknownKind => "kty is none of RSA, EC and OKP",
            Self::Symmetric => "a symmetric key must not be published",
            Self::PrivateMaterial => {
                "the issuer publishes PRIVATE key material: the key must be replaced"
            }
            Self::NotForSignatures => "the key is not for signatures",
            Self::UnsupportedAlg => "the algorithm of the key cannot be checked here",
            Self::UnsupportedCurve => "the curve is none of P-256, P-384 and Ed25519",
            Self::BadKey(error) => return error.fmt(f),
        })
    }
}

/// Why a document is no key set. The keys known before stay in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JwksError {
    /// Not a JSON object within the limits.
    Json(JsonError),
    /// `keys` is missing or not an array.
    NoKeys,
    /// More than [`JWKS_KEYS_MAX`] entries.
    TooManyKeys,
}

impl JwksError {
    /// Stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Json(_) => "jwks.not_json",
            Self::NoKeys => "jwks.no_keys",
            Self::TooManyKeys => "jwks.too_many_keys",
        }
    }
}

impl fmt::Display for JwksError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => write!(f, "the key set cannot be read: {error}"),
            Self::NoKeys => f.write_str("the key set has no array of keys"),
            Self::TooManyKeys => write!(f, "the key set has over {JWKS_KEYS_MAX} keys"),
        }
    }
}

/// Which key a token means.
#[derive(Debug)]
pub enum Selection<'a> {
    /// This one.
    Key(&'a VerifyKey),
    /// No key of that `kid`; or the token has none and no key fits its algorithm.
    Unknown,
    /// A key of that `kid` is there, but not for this algorithm or not for signatures.
    Mismatch,
    /// Several fit (OpenID Connect Core 1.0 section 10.1).
    Ambiguous,
}

impl KeySet {
    /// Reads a key set of at most [`JWKS_BYTES_MAX`] bytes. Whether any of its keys is usable is
    /// another question: see [`KeySet::is_empty`].
    ///
    /// # Errors
    /// [`JwksError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, JwksError> {
        let limits = Limits { bytes_max: JWKS_BYTES_MAX, depth_max: DEPTH_MAX };
        let document = json::parse_object(bytes, limits).map_err(JwksError::Json)?;
        let entries = document.get("keys").and_then(Value::as_array).ok_or(JwksError::NoKeys)?;
        if entries.len() > JWKS_KEYS_MAX {
            return Err(JwksError::TooManyKeys);
        }
        let mut set = Self::default();
        for (index, entry) in entries.iter().enumerate() {
            let members = entry.as_object();
            let kid = members.and_then(|m| m.get_str("kid")).and_then(|kid| kid.parse().ok());
            match members.ok_or(SkipReason::Malformed).and_then(read_key) {
                Ok(key) => set.keys.push(PublishedKey { kid, key }),
                Err(reason) => set.skipped.push(Skipped { index, kid, reason }),
            }
        }
        Ok(set)
    }

    /// Whether no key is usable.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Number of usable keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Identifiers of the usable keys, in order. Foreign text: escape it.
    pub fn kids(&self) -> impl Iterator<Item = Option<&Kid>> {
        self.keys.iter().map(|entry| entry.kid.as_ref())
    }

    /// Entries that are not used.
    #[must_use]
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// The key for a token with that algorithm and `kid`. Several keys may share a `kid` if their
    /// algorithms tell them apart (RFC 7517 section 4.5); a key without `kid` is never meant by one.
    #[must_use]
    pub fn select(&self, alg: Alg, kid: Option<&Kid>) -> Selection<'_> {
        let named = |own: &Option<Kid>| kid.is_none() || own.as_ref() == kid;
        let mut fitting = self.keys.iter().filter(|entry| named(&entry.kid) && entry.key.fits(alg));
        match (fitting.next(), fitting.next()) {
            (Some(only), None) => Selection::Key(&only.key),
            (Some(_), Some(_)) => Selection::Ambiguous,
            (None, _) => {
                let known = kid.is_some()
                    && (self.keys.iter().any(|entry| named(&entry.kid))
                        || self.skipped.iter().any(|entry| named(&entry.kid)));
                if known { Selection::Mismatch } else { Selection::Unknown }
            }
        }
    }
}

/// The verification key of a JWK (RFC 7517 section 4, RFC 7518 section 6, RFC 8037 section 2).
fn read_key(jwk: &Object) -> Result<VerifyKey, SkipReason> {
    let kty = jwk.get_str("kty").ok_or(SkipReason::Malformed)?;
    if kty == "oct" {
        return Err(SkipReason::Symmetric);
    }
    if ["d", "p", "q", "dp", "dq", "qi", "oth", "k"].iter().any(|name| jwk.get(name).is_some()) {
        return Err(SkipReason::PrivateMaterial);
    }
    if let Some(kid) = jwk.get("kid")
        && kid.as_str().is_none_or(|kid| kid.parse::<Kid>().is_err())
    {
        return Err(SkipReason::Malformed);
    }
    check_purpose(jwk)?;
    let alg = match jwk.get("alg") {
        None => None,
        Some(alg) => {
            let name = alg.as_str().ok_or(SkipReason::Malformed)?;
            Some(Alg::from_name(name).ok_or(SkipReason::UnsupportedAlg)?)
        }
    };
    let key = match kty {
        "RSA" => VerifyKey::rsa(&number(jwk, "n")?, &number(jwk, "e")?),
        "EC" => match jwk.get_str("crv").ok_or(SkipReason::Malformed)? {
            "P-256" => VerifyKey::p256(&number(jwk, "x")?, &number(jwk, "y")?),
            "P-384" => VerifyKey::p384(&number(jwk, "x")?, &number(jwk, "y")?),
            _ => return Err(SkipReason::UnsupportedCurve),
        },
        "OKP" => match jwk.get_str("crv").ok_or(SkipReason::Malformed)? {
            "Ed25519" => VerifyKey::ed25519(&number(jwk, "x")?),
            _ => return Err(SkipReason::UnsupportedCurve),
        },
        _ => return Err(SkipReason::UnknownKind),
    };
    let key = key.map_err(SkipReason::BadKey)?;
    match alg {
        Some(alg) => key.bound_to(alg).map_err(SkipReason::BadKey),
        None => Ok(key),
    }
}

/// `use` must be `sig` and `key_ops` must name `verify`, once, where they are there at all.
fn check_purpose(jwk: &Object) -> Result<(), SkipReason> {
    match jwk.get("use").map(Value::as_str) {
        None | Some(Some("sig")) => {}
        Some(Some(_)) => return Err(SkipReason::NotForSignatures),
        Some(None) => return Err(SkipReason::Malformed),
    }
    let Some(ops) = jwk.get("key_ops") else {
        return Ok(());
    };
    let ops = ops.as_array().ok_or(SkipReason::Malformed)?;
    if ops.iter().any(|op| op.as_str().is_none()) {
        return Err(SkipReason::Malformed);
    }
    match ops.iter().filter(|op| op.as_str() == Some("verify")).count() {
        0 => Err(SkipReason::NotForSignatures),
        1 => Ok(()),
        _ => Err(SkipReason::Malformed),
    }
}

fn number(jwk: &Object, name: &str) -> Result<Vec<u8>, SkipReason> {
    jwk.get_str(name).and_then(base64url::decode).ok_or(SkipReason::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::{String, ToString};
    use proptest::prelude::*;

    /// RFC 8037 appendix A.2 and RFC 7517 appendix A.1 (the P-256 key).
    const ED: &str =
        r#""kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo""#;
    const EC: &str = r#""kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM""#;

    fn rsa(more: &str) -> String {
        let n = base64url::encode(&[0xc1; 256]);
        format!(r#""kty":"RSA","n":"{n}","e":"AQAB"{more}"#)
    }

    fn set(keys: &[&str]) -> KeySet {
        let keys: Vec<_> = keys.iter().map(|key| format!("{{{key}}}")).collect();
        KeySet::parse(format!(r#"{{"keys":[{}]}}"#, keys.join(",")).as_bytes()).unwrap()
    }

    fn reason(key: &str) -> Option<&'static str> {
        set(&[key]).skipped().first().map(|skipped| skipped.reason.code())
    }

    fn selected(set: &KeySet, alg: Alg, kid: &str) -> String {
        let kid = (!kid.is_empty()).then(|| kid.parse().unwrap());
        match set.select(alg, kid.as_ref()) {
            Selection::Key(key) => format!("{key:?}"),
            Selection::Unknown => "unknown".to_string(),
            Selection::Mismatch => "mismatch".to_string(),
            Selection::Ambiguous => "ambiguous".to_string(),
        }
    }

    #[test]
    fn one_bad_key_takes_no_other_down() {
        let text = format!(r#"{{"keys":[null,1,"x",[],{{}},{{{ED},"kid":"a","extra":{{}}}}]}}"#);
        let set = KeySet::parse(text.as_bytes()).unwrap();
        assert_eq!((set.len(), set.skipped().len()), (1, 5));
        assert_eq!(set.kids().next().unwrap().unwrap().as_str(), "a");
        assert!(set.skipped().iter().all(|s| s.reason == SkipReason::Malformed));
    }

    #[test]
    fn reasons_to_skip() {
        let short = base64url::encode(&[0xc1; 255]);
        let zero = format!(r#""kty":"RSA","n":"{}","e":"AAEAAQ""#, {
            let mut n = alloc::vec![0xc1; 257];
            n[0] = 0;
            base64url::encode(&n)
        });
        for (key, code) in [
            (ED.to_string(), None),
            (EC.to_string(), None),
            (rsa(""), None),
            (zero, None),
            (rsa(r#","use":"sig","key_ops":["verify"],"alg":"PS512""#), None),
            (format!(r#"{ED},"alg":"Ed25519""#), None),
            (r#""kty":"oct","k":"AAAA""#.to_string(), Some("jwk.symmetric")),
            (format!(r#"{ED},"d":"AAAA""#), Some("jwk.private_material")),
            (rsa(r#","dp":1"#), Some("jwk.private_material")),
            (rsa(r#","use":"enc""#), Some("jwk.not_for_signatures")),
            (rsa(r#","use":1"#), Some("jwk.malformed")),
            (rsa(r#","key_ops":["sign"]"#), Some("jwk.not_for_signatures")),
            (rsa(r#","key_ops":"verify""#), Some("jwk.malformed")),
            (rsa(r#","key_ops":["verify","verify"]"#), Some("jwk.malformed")),
            (rsa(r#","alg":"RSA-OAEP""#), Some("jwk.unsupported_alg")),
            (rsa(r#","alg":"ES256""#), Some("jwk.alg_mismatch")),
            (rsa(r#","alg":"HS256""#), Some("jwk.alg_mismatch")),
            (rsa(r#","alg":null"#), Some("jwk.malformed")),
            (rsa(r#","kid":7"#), Some("jwk.malformed")),
            (format!(r#""kty":"RSA","n":"{short}","e":"AQAB""#), Some("jwk.rsa_size")),
            (r#""kty":"RSA","n":7,"e":"AQAB""#.to_string(), Some("jwk.malformed")),
            (rsa("").replace("AQAB", "AQ"), Some("jwk.rsa_exponent")),
            (rsa("").replace("AQAB", "AQAB="), Some("jwk.malformed")),
            (EC.replace("P-256", "P-384"), Some("jwk.length")),
            (EC.replace("P-256", "P-521"), Some("jwk.unsupported_curve")),
            (EC.replace("P-256", "secp256k1"), Some("jwk.unsupported_curve")),
            (EC.replace("MKB", "MKC"), Some("jwk.off_curve")),
            (ED.replace("Ed25519", "X25519"), Some("jwk.unsupported_curve")),
            (ED.replace("11qY", ""), Some("jwk.length")),
            (r#""kty":"rsa""#.to_string(), Some("jwk.unknown_kty")),
            (r#""kid":"x""#.to_string(), Some("jwk.malformed")),
        ] {
            assert_eq!(reason(&key), code, "{key}");
        }
    }

    #[test]
    fn documents_that_are_no_key_set() {
        for (text, error) in [
            ("", JwksError::Json(JsonError::Syntax)),
            ("[]", JwksError::Json(JsonError::Syntax)),
            ("<html>", JwksError::Json(JsonError::Syntax)),
            (r#"{"keys":[],"keys":[]}"#, JwksError::Json(JsonError::DuplicateName)),
            ("{}", JwksError::NoKeys),
            (r#"{"keys":null}"#, JwksError::NoKeys),
            (r#"{"keys":{}}"#, JwksError::NoKeys),
        ] {
            assert_eq!(KeySet::parse(text.as_bytes()).unwrap_err(), error, "{text}");
        }
        let many = |n: usize| format!(r#"{{"keys":[{}0]}}"#, "0,".repeat(n - 1));
        assert_eq!(KeySet::parse(many(257).as_bytes()).unwrap_err(), JwksError::TooManyKeys);
        assert!(KeySet::parse(many(256).as_bytes()).unwrap().is_empty());
    }

    #[test]
    fn choosing_a_key() {
        let keys = set(&[
            &format!(r#"{ED},"kid":"ed""#),
            &format!(r#"{EC},"kid":"dup""#),
            &rsa(r#","kid":"dup","alg":"RS256""#),
            &rsa(r#","kid":"twice""#),
            &rsa(r#","kid":"twice""#),
            &rsa(r#","kid":"enc","use":"enc""#),
        ]);
        for (alg, kid, outcome) in [
            (Alg::EdDsa, "ed", "VerifyKey(Ed25519)"),
            (Alg::EdDsa, "", "VerifyKey(Ed25519)"),
            (Alg::Es256, "dup", "VerifyKey(P-256)"),
            (Alg::Rs256, "dup", "VerifyKey(RSA, RS256)"),
            (Alg::Rs384, "dup", "mismatch"),
            (Alg::Rs256, "ed", "mismatch"),
            (Alg::Rs256, "twice", "ambiguous"),
            (Alg::Rs256, "", "ambiguous"),
            (Alg::Rs256, "enc", "mismatch"),
            (Alg::Rs256, "nobody", "unknown"),
            (Alg::Es384, "", "unknown"),
            (Alg::Hs256, "ed", "mismatch"),
            (Alg::Hs256, "", "unknown"),
        ] {
            assert_eq!(selected(&keys, alg, kid), outcome, "{alg} {kid}");
        }
        // A key without kid is never meant by one.
        let anonymous = set(&[ED]);
        assert_eq!(selected(&anonymous, Alg::EdDsa, "ed"), "unknown");
        assert_eq!(selected(&anonymous, Alg::EdDsa, ""), "VerifyKey(Ed25519)");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = KeySet::parse(&bytes);
        }

        #[test]
        fn no_members_panic(x in "[A-Za-z0-9_-]{0,70}", y in "[A-Za-z0-9_-]{0,70}", kind in 0..3usize) {
            let crv = ["P-256", "P-384", "Ed25519"][kind];
            let kty = ["EC", "EC", "OKP"][kind];
            let _ = reason(&format!(r#""kty":"{kty}","crv":"{crv}","x":"{x}","y":"{y}""#));
            let _ = reason(&format!(r#""kty":"RSA","n":"{x}","e":"{y}""#));
        }
    }
}
