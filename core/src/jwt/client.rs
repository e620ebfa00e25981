//! What a client checks of an ID token that came straight from the token endpoint.
//!
//! TLS stands in for the signature there (OpenID Connect Core 1.0 section 3.1.3.7 step 6); the
//! exchange server checks it again with the keys of the issuer. `nonce` and `at_hash` can be
//! checked nowhere else. `iat` and `nbf` are left to the server: laptops have wrong clocks.

use alloc::boxed::Box;

use subtle::ConstantTimeEq as _;

use super::claims::{Registered, moment};
use super::verify::{check_audience, check_issuer};
use super::{Alg, ParsedToken, TokenError, hash};
use crate::machine::UnixTime;
use crate::types::{ClientId, Issuer, Secret};

/// What the login that asked for the token knows.
#[derive(Debug)]
pub struct ClientExpectations {
    /// The configured issuer.
    pub issuer: Issuer,
    /// Our client identifier.
    pub client_id: ClientId,
    /// What is known about `nonce`.
    pub nonce: ExpectedNonce,
    /// Tolerance for `exp` in seconds. The clock of a user's machine may be off by minutes.
    pub skew_secs: u32,
    /// Whether one slash at the end of the issuer makes no difference.
    pub slash_tolerant: bool,
}

/// What a login knows about `nonce`.
#[derive(Debug)]
pub enum ExpectedNonce {
    /// It was sent in the authorization request: present and equal.
    Sent(Secret),
    /// A refresh of a token that had it: absent or equal (section 12.2).
    Original(Secret),
    /// None was sent, as in the device flow (RFC 8628), or it is no longer known.
    NotSent,
}

/// What a client wants to know of its ID token. Nothing here is proven by a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdTokenFacts {
    /// `iss`.
    pub issuer: Box<str>,
    /// `sub`.
    pub subject: Box<str>,
    /// `email`, if it is text.
    pub email: Option<Box<str>>,
    /// `preferred_username`, if it is text.
    pub username: Option<Box<str>>,
    /// `name`, if it is text.
    pub name: Option<Box<str>>,
    /// `exp`, floored to seconds.
    pub expires_at: UnixTime,
    /// `iat`, floored to seconds.
    pub issued_at: UnixTime,
}

/// Checks a token of the token endpoint: issuer, audience, `azp`, expiry, nonce, `at_hash`.
///
/// # Errors
/// [`TokenError`]: the first check that fails.
pub fn check_id_token(
    text: &str,
    access_token: Option<&str>,
    expected: &ClientExpectations,
    now: UnixTime,
) -> Result<IdTokenFacts, TokenError> {
    let token = ParsedToken::parse(text)?;
    if !token.jws.typ_is_jwt() {
        return Err(TokenError::WrongType);
    }
    let claims = Registered::of(&token.claims);
    check_issuer(claims.issuer()?, &expected.issuer, expected.slash_tolerant)?;
    check_audience(&claims, &expected.client_id)?;
    if claims.is_other_kind() {
        return Err(TokenError::NotAnIdToken);
    }
    let exp = claims.exp()?;
    if i128::from(now.secs()) >= i128::from(exp) + i128::from(expected.skew_secs) {
        return Err(TokenError::Expired { exp, now });
    }
    check_nonce(claims.nonce()?, &expected.nonce)?;
    check_at_hash(token.alg(), claims.at_hash()?, access_token)?;
    facts(&token, &claims)
}

/// Reads what a stored token says, expired or not, without checking whom it is for.
///
/// # Errors
/// [`TokenError`] when it is no token, or `iss`, `sub`, `exp` or `iat` are missing or wrong.
pub fn read_id_token(text: &str) -> Result<IdTokenFacts, TokenError> {
    let token = ParsedToken::parse(text)?;
    facts(&token, &Registered::of(&token.claims))
}

/// Whether a refreshed token is about the same user of the same issuer (section 12.2).
///
/// # Errors
/// [`TokenError::IssuerMismatch`], [`TokenError::SubjectChanged`].
pub fn check_refreshed(
    original: &IdTokenFacts,
    refreshed: &IdTokenFacts,
) -> Result<(), TokenError> {
    if original.issuer != refreshed.issuer {
        return Err(TokenError::IssuerMismatch);
    }
    if original.subject != refreshed.subject {
        return Err(TokenError::SubjectChanged);
    }
    Ok(())
}

fn check_nonce(found: Option<&str>, expected: &ExpectedNonce) -> Result<(), TokenError> {
    let matches = match (expected, found) {
        (ExpectedNonce::Sent(nonce) | ExpectedNonce::Original(nonce), Some(found)) => {
            nonce.matches(found.as_bytes())
        }
        (ExpectedNonce::Sent(_), None) => false,
        (ExpectedNonce::Original(_), None) | (ExpectedNonce::NotSent, _) => true,
    };
    if matches { Ok(()) } else { Err(TokenError::NonceMismatch) }
}

fn check_at_hash(
    alg: Alg,
    found: Option<&str>,
    access_token: Option<&str>,
) -> Result<(), TokenError> {
    let (Some(found), Some(access_token)) = (found, access_token) else { return Ok(()) };
    let wanted = hash::at_hash(alg, access_token);
    if bool::from(wanted.as_bytes().ct_eq(found.as_bytes())) {
        Ok(())
    } else {
        Err(TokenError::AtHashMismatch)
    }
}

fn facts(token: &ParsedToken, claims: &Registered<'_>) -> Result<IdTokenFacts, TokenError> {
    let (issuer, exp, iat) = (claims.issuer()?, claims.exp()?, claims.iat()?);
    let text = |name: &str| token.claims.get_str(name).map(Into::into);
    Ok(IdTokenFacts {
        issuer: issuer.into(),
        subject: claims.subject()?.into(),
        email: text("email"),
        username: text("preferred_username"),
        name: text("name"),
        expires_at: moment(exp),
        issued_at: moment(iat),
    })
}

#[cfg(test)]
mod tests;
