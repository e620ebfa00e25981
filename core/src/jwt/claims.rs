//! Registered claims with their types (RFC 7519 section 4.1, OpenID Connect Core 1.0 section 2).
//!
//! A claim that is present with the wrong type is an error, never treated as absent: a reader that
//! confuses the two skips its checks.

use super::TokenError;
use crate::json::{Object, Value};
use crate::machine::UnixTime;

/// Text of the claim `name`.
pub(super) fn text<'a>(
    claims: &'a Object,
    name: &'static str,
) -> Result<Option<&'a str>, TokenError> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => value.as_str().map(Some).ok_or(TokenError::ClaimType(name)),
    }
}

/// NumericDate of the claim `name`: whole or fractional seconds, floored, clamped to 64 bits.
pub(super) fn date(claims: &Object, name: &'static str) -> Result<Option<i64>, TokenError> {
    match claims.get(name) {
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

/// `sub`: one to 255 characters.
pub(super) fn subject(claims: &Object) -> Result<&str, TokenError> {
    match text(claims, "sub")? {
        Some(subject) if (1..=255).contains(&subject.chars().count()) => Ok(subject),
        Some(_) | None => Err(TokenError::SubjectMissing),
    }
}

/// What `aud` says about one audience.
pub(super) struct Audience {
    /// Whether it is among them.
    pub(super) holds: bool,
    /// Whether there is more than one.
    pub(super) several: bool,
}

/// `aud`: a text or an array of texts, not empty.
pub(super) fn audience(claims: &Object, wanted: &str) -> Result<Audience, TokenError> {
    match claims.get("aud") {
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
        Some(Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Object(_)) => {
            Err(TokenError::ClaimType("aud"))
        }
    }
}

/// Whether the payload says itself that it is another kind of token (all kinds may share issuer,
/// key, audience and expiry): logout tokens have `events`, access tokens of Cognito, Entra and
/// Okta `token_use` or `scp`, Keycloak and Rauthy put the kind into `typ`.
pub(super) fn is_other_kind(claims: &Object) -> bool {
    claims.get("events").is_some()
        || claims.get("scp").is_some()
        || claims.get("token_use").is_some_and(|kind| kind.as_str() != Some("id"))
        || claims.get_str("typ").is_some_and(|typ| {
            ["Bearer", "Refresh", "Offline", "Logout"]
                .iter()
                .any(|kind| typ.eq_ignore_ascii_case(kind))
        })
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
            assert_eq!(date(&claims, "exp"), Ok(Some(secs)), "{text}");
        }
        for text in ["\"1700000000\"", "true", "null", "{}", "[1]"] {
            let claims = claims(&alloc::format!(r#"{{"exp":{text}}}"#));
            assert_eq!(date(&claims, "exp"), Err(TokenError::ClaimType("exp")), "{text}");
        }
        assert_eq!(date(&claims("{}"), "exp"), Ok(None));
    }
}
