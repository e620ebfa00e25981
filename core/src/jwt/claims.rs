//! Registered claims with their types (RFC 7519 section 4.1, OpenID Connect Core 1.0 section 2).
//!
//! A claim that is present with the wrong type is an error, never treated as absent: a reader that
//! confuses the two skips its checks.

use super::TokenError;
use crate::json::{Object, Value};
use crate::machine::UnixTime;

/// The claims that something depends on, each where it stands: found in one walk, as there are as
/// many of them as a token has.
#[derive(Clone, Copy, Default)]
pub(super) struct Registered<'a> {
    at_hash: Option<&'a Value>,
    aud: Option<&'a Value>,
    auth_time: Option<&'a Value>,
    azp: Option<&'a Value>,
    events: Option<&'a Value>,
    exp: Option<&'a Value>,
    iat: Option<&'a Value>,
    iss: Option<&'a Value>,
    jti: Option<&'a Value>,
    nbf: Option<&'a Value>,
    nonce: Option<&'a Value>,
    scp: Option<&'a Value>,
    sub: Option<&'a Value>,
    token_use: Option<&'a Value>,
    typ: Option<&'a Value>,
}

impl<'a> Registered<'a> {
    pub(super) fn of(claims: &'a Object) -> Self {
        let mut found = Self::default();
        for (name, value) in claims.iter() {
            let place = match name {
                "at_hash" => &mut found.at_hash,
                "aud" => &mut found.aud,
                "auth_time" => &mut found.auth_time,
                "azp" => &mut found.azp,
                "events" => &mut found.events,
                "exp" => &mut found.exp,
                "iat" => &mut found.iat,
                "iss" => &mut found.iss,
                "jti" => &mut found.jti,
                "nbf" => &mut found.nbf,
                "nonce" => &mut found.nonce,
                "scp" => &mut found.scp,
                "sub" => &mut found.sub,
                "token_use" => &mut found.token_use,
                "typ" => &mut found.typ,
                _ => continue,
            };
            *place = Some(value);
        }
        found
    }

    pub(super) fn at_hash(&self) -> Result<Option<&'a str>, TokenError> {
        text(self.at_hash, "at_hash")
    }

    pub(super) fn auth_time(&self) -> Result<Option<i64>, TokenError> {
        date(self.auth_time, "auth_time")
    }

    pub(super) fn azp(&self) -> Result<Option<&'a str>, TokenError> {
        text(self.azp, "azp")
    }

    pub(super) fn exp(&self) -> Result<i64, TokenError> {
        date(self.exp, "exp")?.ok_or(TokenError::ExpMissing)
    }

    pub(super) fn iat(&self) -> Result<i64, TokenError> {
        date(self.iat, "iat")?.ok_or(TokenError::IatMissing)
    }

    pub(super) fn issuer(&self) -> Result<&'a str, TokenError> {
        text(self.iss, "iss")?.ok_or(TokenError::IssuerMissing)
    }

    pub(super) fn jti(&self) -> Result<Option<&'a str>, TokenError> {
        text(self.jti, "jti")
    }

    pub(super) fn nbf(&self) -> Result<Option<i64>, TokenError> {
        date(self.nbf, "nbf")
    }

    pub(super) fn nonce(&self) -> Result<Option<&'a str>, TokenError> {
        text(self.nonce, "nonce")
    }

    /// `sub`: one to 255 characters.
    pub(super) fn subject(&self) -> Result<&'a str, TokenError> {
        match text(self.sub, "sub")? {
            Some(subject) if (1..=255).contains(&subject.chars().count()) => Ok(subject),
            Some(_) | None => Err(TokenError::SubjectMissing),
        }
    }

    /// `aud`: a text or an array of texts, not empty.
    pub(super) fn audience(&self, wanted: &str) -> Result<Audience, TokenError> {
        match self.aud {
            None => Err(TokenError::AudienceMissing),
            Some(Value::String(one)) if one.is_empty() => Err(TokenError::AudienceMissing),
            Some(Value::String(one)) => Ok(Audience { holds: one == wanted, several: false }),
            Some(Value::Array(all)) if all.is_empty() => Err(TokenError::AudienceMissing),
            Some(Value::Array(all)) => {
                let mut holds = false;
                for one in all {
                    holds |= one.as_str().ok_or(TokenError::ClaimType("aud"))? == wanted;
                }
                Ok(Audience { holds, several: all.len() > 1 })
            }
            Some(
                Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Object(_),
            ) => Err(TokenError::ClaimType("aud")),
        }
    }

    /// Whether the payload says itself that it is another kind of token (all kinds may share
    /// issuer, key, audience and expiry): logout tokens have `events`, access tokens of Cognito,
    /// Entra and Okta `token_use` or `scp`, Keycloak and Rauthy put the kind into `typ`.
    pub(super) fn is_other_kind(&self) -> bool {
        self.events.is_some()
            || self.scp.is_some()
            || self.token_use.is_some_and(|kind| kind.as_str() != Some("id"))
            || self.typ.and_then(Value::as_str).is_some_and(|typ| {
                ["Bearer", "Refresh", "Offline", "Logout"]
                    .iter()
                    .any(|kind| typ.eq_ignore_ascii_case(kind))
            })
    }
}

/// What `aud` says about one audience.
pub(super) struct Audience {
    /// Whether it is among them.
    pub(super) holds: bool,
    /// Whether there is more than one.
    pub(super) several: bool,
}

/// The text of a claim.
fn text<'a>(claim: Option<&'a Value>, name: &'static str) -> Result<Option<&'a str>, TokenError> {
    match claim {
        None => Ok(None),
        Some(value) => value.as_str().map(Some).ok_or(TokenError::ClaimType(name)),
    }
}

/// The NumericDate of a claim: whole or fractional seconds, floored, clamped to 64 bits.
fn date(claim: Option<&Value>, name: &'static str) -> Result<Option<i64>, TokenError> {
    match claim {
        None => Ok(None),
        Some(Value::Int(secs)) => Ok(Some(*secs)),
        Some(Value::Float(secs)) if secs.is_finite() => Ok(Some(floor(*secs))),
        Some(
            Value::Null
            | Value::Bool(_)
            | Value::Float(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_),
        ) => Err(TokenError::ClaimType(name)),
    }
}

#[expect(clippy::as_conversions, reason = "float to integer saturates, which is what is wanted")]
fn floor(value: f64) -> i64 {
    let cut = value as i64;
    if (cut as f64) > value { cut.saturating_sub(1) } else { cut }
}

/// The moment of a date as far as we can say it: nothing lies before 1970.
pub(super) fn moment(date: i64) -> UnixTime {
    UnixTime::from_secs(u64::try_from(date).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Limits, parse_object};

    fn claims(text: &str) -> Object {
        parse_object(text.as_bytes(), Limits { bytes_max: 1000, depth_max: 4 }).unwrap()
    }

    #[test]
    fn dates_are_numbers_of_any_form() {
        for (text, secs) in [
            ("1700000000", 1_700_000_000),
            ("1700000000.9", 1_700_000_000),
            ("1.7e9", 1_700_000_000),
            ("-1", -1),
            ("-0.5", -1),
            ("-0", 0),
            ("1e300", i64::MAX),
            ("-1e300", i64::MIN),
            ("9223372036854775808", i64::MAX),
            ("18446744073709551616", i64::MAX),
        ] {
            let claims = claims(&alloc::format!(r#"{{"exp":{text}}}"#));
            assert_eq!(Registered::of(&claims).exp(), Ok(secs), "{text}");
        }
        for text in ["\"1700000000\"", "true", "null", "{}", "[1]"] {
            let claims = claims(&alloc::format!(r#"{{"exp":{text}}}"#));
            let wrong = Err(TokenError::ClaimType("exp"));
            assert_eq!(Registered::of(&claims).exp(), wrong, "{text}");
        }
        assert_eq!(Registered::of(&claims("{}")).exp(), Err(TokenError::ExpMissing));
    }
}
