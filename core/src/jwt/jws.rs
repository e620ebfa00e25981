//! JWS compact serialization (RFC 7515 section 7.1): three parts and a header, all read strictly.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::{Alg, ForeignAlg, TokenError, VerifyKey, base64url};
use crate::json::{self, JsonError, Limits, Object, Value};
use crate::types::{Kid, Wiped};

/// Longest token in bytes.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// Longest encoded header in bytes.
pub const HEADER_BYTES_MAX: usize = 4 * 1024;
/// Deepest nesting of header and payload.
pub(super) const DEPTH_MAX: u32 = 16;

/// A signed text, taken apart. Nothing in it is true before [`Jws::verify`] has passed.
pub struct Jws {
    /// Encoded header, dot and encoded payload: what is signed.
    signed: Box<str>,
    header: Header,
    payload: Vec<u8>,
    /// Wiped on drop: a token is as good as a password, and without this part it is nothing.
    signature: Wiped,
}

/// What of the header counts. `jwk`, `jku`, `x5u`, `x5c` and `x5t` are ignored: a token does not
/// choose the key that judges it (RFC 8725 section 3.10).
struct Header {
    alg: Alg,
    kid: Option<Kid>,
    typ_is_jwt: bool,
}

impl Jws {
    /// Takes a compact serialization apart.
    ///
    /// # Errors
    /// [`TokenError`], from `TooLarge` to `BadKid`.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::TooLarge);
        }
        let (header_text, payload_text, signature_text) = three_parts(text)?;
        if header_text.len() > HEADER_BYTES_MAX {
            return Err(TokenError::TooLarge);
        }
        let header = base64url::decode(header_text).ok_or(TokenError::BadBase64)?;
        let header = Header::read(&object(&header, TokenError::BadHeader)?)?;
        if signature_text.is_empty() {
            return Err(TokenError::Unsigned);
        }
        let payload = base64url::decode(payload_text).ok_or(TokenError::BadBase64)?;
        let signature = base64url::decode(signature_text).ok_or(TokenError::BadBase64)?;
        let signed_bytes = header_text.len().saturating_add(1).saturating_add(payload_text.len());
        Ok(Self {
            signed: text.get(..signed_bytes).unwrap_or_default().into(),
            header,
            payload,
            signature: Wiped::new(signature),
        })
    }

    /// Algorithm named by the header.
    #[must_use]
    pub fn alg(&self) -> Alg {
        self.header.alg
    }

    /// Key identifier named by the header.
    #[must_use]
    pub fn kid(&self) -> Option<&Kid> {
        self.header.kid.as_ref()
    }

    /// Whether `typ` is absent or `JWT`, with or without `application/` (RFC 7515 section 4.1.9).
    #[must_use]
    pub fn typ_is_jwt(&self) -> bool {
        self.header.typ_is_jwt
    }

    /// Decoded payload.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    pub(super) fn take_payload(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.payload)
    }

    pub(super) fn into_kid(self) -> Option<Kid> {
        self.header.kid
    }

    /// Verifies the signature.
    ///
    /// # Errors
    /// [`TokenError::KeyMismatch`], [`TokenError::BadSignature`].
    pub fn verify(&self, key: &VerifyKey) -> Result<(), TokenError> {
        key.verify_raw(self.header.alg, self.signed.as_bytes(), &self.signature)
    }
}

impl core::fmt::Debug for Jws {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Jws({}, {} bytes signed)", self.header.alg, self.signed.len())
    }
}

impl Header {
    fn read(members: &Object) -> Result<Self, TokenError> {
        if members.get("crit").is_some() || members.get("b64").is_some() {
            return Err(TokenError::CriticalHeader);
        }
        if members.get("zip").is_some() || text(members, "cty")?.is_some_and(is_jwt) {
            return Err(TokenError::Nested);
        }
        let alg = match text(members, "alg")? {
            None => return Err(TokenError::BadHeader),
            Some(name) if name.is_empty() || name.eq_ignore_ascii_case("none") => {
                return Err(TokenError::Unsigned);
            }
            Some(name) => Alg::from_name(name)
                .ok_or_else(|| TokenError::UnsupportedAlg(ForeignAlg::from_name(name)))?,
        };
        let kid = match members.get("kid") {
            None => None,
            Some(kid) => {
                let kid = kid.as_str().ok_or(TokenError::BadKid)?;
                Some(kid.parse().map_err(|_| TokenError::BadKid)?)
            }
        };
        let typ_is_jwt = text(members, "typ")?.is_none_or(is_jwt);
        Ok(Self { alg, kid, typ_is_jwt })
    }
}

/// Reads one JSON object, with `otherwise` for all that is not a repeated name.
pub(super) fn object(bytes: &[u8], otherwise: TokenError) -> Result<Object, TokenError> {
    let limits = Limits { bytes_max: TOKEN_BYTES_MAX, depth_max: DEPTH_MAX };
    json::parse_object(bytes, limits).map_err(|error| match error {
        JsonError::DuplicateName => TokenError::DuplicateMember,
        JsonError::TooLarge | JsonError::TooDeep | JsonError::Syntax => otherwise,
    })
}

fn three_parts(token: &str) -> Result<(&str, &str, &str), TokenError> {
    let mut parts = token.split('.');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(header), Some(payload), Some(signature), None) => Ok((header, payload, signature)),
        (Some(_), Some(_), Some(_), Some(_)) if parts.count() == 1 => Err(TokenError::Encrypted),
        _ => Err(TokenError::NotThreeParts),
    }
}

fn text<'a>(members: &'a Object, name: &str) -> Result<Option<&'a str>, TokenError> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(
            Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Float(_)
            | Value::Array(_)
            | Value::Object(_),
        ) => Err(TokenError::BadHeader),
    }
}

fn is_jwt(media_type: &str) -> bool {
    let prefix = "application/";
    let name = match media_type.get(..prefix.len()) {
        Some(start) if start.eq_ignore_ascii_case(prefix) => {
            media_type.get(prefix.len()..).unwrap_or_default()
        }
        _ => media_type,
    };
    name.eq_ignore_ascii_case("jwt")
}
