//! The checks of OpenID Connect Core 1.0 section 3.1.3.7, cheap ones first: a token that cannot
//! be for us costs no signature.
//!
//! The order of types is the order of checks: [`ParsedToken`] -> [`CheckedToken`] ->
//! [`VerifiedToken`]. Only the last is evidence, and only a signature makes one.

use core::fmt;

use super::claims::{Registered, moment};
use super::{Alg, AlgSet, Jws, KeyError, ParsedToken, TokenError, VerifyKey};
use crate::json::Object;
use crate::machine::UnixTime;
use crate::types::{ClientId, Issuer, Kid, Secret};

/// What a token must say to be for us.
#[derive(Debug)]
pub struct Expectations {
    /// The configured issuer.
    pub issuer: Issuer,
    /// Our client identifier.
    pub audience: ClientId,
    /// Allowed algorithms; HMAC ones count only with a key.
    pub algs: AlgSet,
    /// Tolerance for `exp`, `nbf` and `iat` in seconds, 0 to 300.
    pub skew_secs: u32,
    /// Whether one slash at the end of the issuer makes no difference.
    pub slash_tolerant: bool,
    /// Longest time since `iat` in seconds; no limit where absent.
    pub token_age_secs_max: Option<u32>,
    hmac_key: Option<VerifyKey>,
}

impl Expectations {
    /// Expectations with every asymmetric algorithm and 60 s of tolerance.
    #[must_use]
    pub fn new(issuer: Issuer, audience: ClientId) -> Self {
        Self {
            issuer,
            audience,
            algs: AlgSet::ASYMMETRIC,
            skew_secs: 60,
            slash_tolerant: false,
            token_age_secs_max: None,
            hmac_key: None,
        }
    }

    /// The same with a client secret that checks HMAC tokens. Whoever knows it can make tokens
    /// for anybody.
    ///
    /// `algs` is the configured allow-list, if any: without one, every algorithm the secret is
    /// long enough for is allowed.
    ///
    /// # Errors
    /// [`KeyError::SecretTooShort`] when the secret is under 32 octets, or shorter than the hash
    /// of an HMAC algorithm in `algs` (RFC 7518 section 3.2). A list without HMAC algorithms
    /// takes any secret, and drops it.
    pub fn with_hmac(mut self, secret: Secret, algs: Option<AlgSet>) -> Result<Self, KeyError> {
        let listed = algs.unwrap_or(AlgSet::ALL);
        self.algs = listed;
        if !listed.iter().any(Alg::is_hmac) {
            return Ok(self);
        }
        let key = VerifyKey::hmac(secret)?;
        let fits = |alg: &Alg| !alg.is_hmac() || key.fits(*alg);
        if algs.is_some() && !listed.iter().all(|alg| fits(&alg)) {
            return Err(KeyError::SecretTooShort);
        }
        self.algs = listed.iter().filter(fits).collect();
        self.hmac_key = Some(key);
        Ok(self)
    }

    /// The key for HMAC tokens, where a secret is configured.
    #[must_use]
    pub fn hmac_key(&self) -> Option<&VerifyKey> {
        self.hmac_key.as_ref()
    }

    fn allows(&self, alg: Alg) -> bool {
        self.algs.contains(alg) && (!alg.is_hmac() || self.hmac_key.is_some())
    }
}

/// A token that says all it should, and whose signature is still to be checked.
#[derive(Debug)]
pub struct CheckedToken {
    jws: Jws,
    claims: Object,
    expires_at: UnixTime,
    issued_at: UnixTime,
}

/// A token whose claims and signature have passed every check.
pub struct VerifiedToken {
    claims: Object,
    alg: Alg,
    kid: Option<Kid>,
    expires_at: UnixTime,
    issued_at: UnixTime,
}

impl ParsedToken {
    /// Checks everything but the signature.
    ///
    /// # Errors
    /// [`TokenError`]: the first check that fails, in the order of the code.
    pub fn check(self, now: UnixTime, expected: &Expectations) -> Result<CheckedToken, TokenError> {
        let Self { jws, claims } = self;
        // Steps 7 and 8: the algorithm is ours to choose, not the token's.
        if !expected.allows(jws.alg()) {
            return Err(TokenError::AlgNotAllowed(jws.alg()));
        }
        if !jws.typ_is_jwt() {
            return Err(TokenError::WrongType);
        }
        // Step 2.
        let found = Registered::of(&claims);
        check_issuer(found.issuer()?, &expected.issuer, expected.slash_tolerant)?;
        // Steps 3 to 5.
        check_audience(&found, &expected.audience)?;
        if found.is_other_kind() {
            return Err(TokenError::NotAnIdToken);
        }
        found.subject()?;
        found.nonce()?;
        found.jti()?;
        found.auth_time()?;
        // Steps 9 and 10.
        let (exp, iat) = check_times(&found, now, expected)?;
        Ok(CheckedToken { jws, claims, expires_at: moment(exp), issued_at: moment(iat) })
    }
}

impl CheckedToken {
    /// Algorithm named by the header: allowed, so a key for it may be looked up.
    #[must_use]
    pub fn alg(&self) -> Alg {
        self.jws.alg()
    }

    /// Key identifier named by the header.
    #[must_use]
    pub fn kid(&self) -> Option<&Kid> {
        self.jws.kid()
    }

    /// Step 6: checks the signature with a key of the issuer.
    ///
    /// # Errors
    /// [`TokenError::KeyMismatch`], [`TokenError::BadSignature`].
    pub fn verify(self, key: &VerifyKey) -> Result<VerifiedToken, TokenError> {
        self.jws.verify(key)?;
        Ok(VerifiedToken {
            alg: self.jws.alg(),
            kid: self.jws.into_kid(),
            claims: self.claims,
            expires_at: self.expires_at,
            issued_at: self.issued_at,
        })
    }
}

impl VerifiedToken {
    /// `sub`, 1 to 255 characters.
    #[must_use]
    pub fn subject(&self) -> &str {
        self.claims.get_str("sub").unwrap_or_default()
    }

    /// `iss` as the token says it.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.claims.get_str("iss").unwrap_or_default()
    }

    /// `email`, if it is text. Proves nothing without [`VerifiedToken::email_verified`].
    #[must_use]
    pub fn email(&self) -> Option<&str> {
        self.claims.get_str("email")
    }

    /// Whether `email_verified` is `true`: the boolean, nothing that looks like it.
    #[must_use]
    pub fn email_verified(&self) -> bool {
        self.claims.get("email_verified") == Some(&crate::json::Value::Bool(true))
    }

    /// Whether the provider itself says that the address is not, or not surely, this person's:
    /// `email_verified` is there and is not true. Many providers never say anything.
    #[must_use]
    pub fn email_doubted(&self) -> bool {
        match self.claims.get("email_verified") {
            None => false,
            Some(crate::json::Value::Bool(verified)) => !verified,
            Some(said) => said.as_str() != Some("true"),
        }
    }

    /// Audiences, in the order of the token.
    pub fn audiences(&self) -> impl Iterator<Item = &str> {
        let aud = self.claims.get("aud");
        let one = aud.and_then(crate::json::Value::as_str);
        let many = aud.and_then(crate::json::Value::as_array).unwrap_or_default();
        one.into_iter().chain(many.iter().filter_map(crate::json::Value::as_str))
    }

    /// `exp`, floored to seconds.
    #[must_use]
    pub fn expires_at(&self) -> UnixTime {
        self.expires_at
    }

    /// `iat`, floored to seconds.
    #[must_use]
    pub fn issued_at(&self) -> UnixTime {
        self.issued_at
    }

    /// Algorithm of the signature.
    #[must_use]
    pub fn alg(&self) -> Alg {
        self.alg
    }

    /// Key identifier of the header.
    #[must_use]
    pub fn kid(&self) -> Option<&Kid> {
        self.kid.as_ref()
    }

    /// All claims, in the order of the token.
    #[must_use]
    pub fn claims(&self) -> &Object {
        &self.claims
    }
}

impl fmt::Debug for VerifiedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifiedToken({}, {} claims)", self.alg, self.claims.len())
    }
}

/// Compares byte for byte; a difference of one final slash has its own error, or none.
pub(super) fn check_issuer(
    found: &str,
    configured: &Issuer,
    slash_tolerant: bool,
) -> Result<(), TokenError> {
    if found.is_empty() {
        Err(TokenError::IssuerMissing)
    } else if found == configured.as_str() {
        Ok(())
    } else if !configured.differs_by_slash_only(found) {
        Err(TokenError::IssuerMismatch)
    } else if slash_tolerant {
        Ok(())
    } else {
        Err(TokenError::IssuerSlash { token_has_slash: found.ends_with('/') })
    }
}

/// Ours must be among the audiences; with others, and whenever `azp` is there, it must be ours.
pub(super) fn check_audience(claims: &Registered<'_>, ours: &ClientId) -> Result<(), TokenError> {
    let audience = claims.audience(ours.as_str())?;
    if !audience.holds {
        return Err(TokenError::AudienceMismatch);
    }
    match claims.azp()? {
        Some(azp) if azp == ours.as_str() => Ok(()),
        Some(_) => Err(TokenError::AzpMismatch),
        None if audience.several => Err(TokenError::AzpMissing),
        None => Ok(()),
    }
}

/// `exp` and `iat`, if the token is valid now. Sums are made in 128 bits, where none overflows.
fn check_times(
    claims: &Registered<'_>,
    now: UnixTime,
    expected: &Expectations,
) -> Result<(i64, i64), TokenError> {
    let (exp, iat, nbf) = (claims.exp()?, claims.iat()?, claims.nbf()?);
    let skew = i128::from(expected.skew_secs);
    let at = i128::from(now.secs());
    if at >= i128::from(exp) + skew {
        return Err(TokenError::Expired { exp, now });
    }
    if let Some(nbf) = nbf
        && i128::from(nbf) > at + skew
    {
        return Err(TokenError::NotYetValid { nbf, now });
    }
    if i128::from(iat) > at + skew {
        return Err(TokenError::IssuedInFuture { iat, now });
    }
    if let Some(age_max) = expected.token_age_secs_max
        && at - i128::from(iat) > i128::from(age_max) + skew
    {
        return Err(TokenError::TooOld { iat, now });
    }
    Ok((exp, iat))
}

#[cfg(test)]
mod tests;
