//! Why a token is refused: exact for the audit line, coarse for the stranger who sent it.

use alloc::format;
use alloc::string::String;
use core::fmt;

use super::{Alg, ForeignAlg};
use crate::machine::UnixTime;
use crate::types::{Issuer, Rfc3339};

/// Why a token is refused. Holds numbers and our own names, never text of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// The token, or its header part, is longer than the limit.
    TooLarge,
    /// Not three parts with dots between them (RFC 7515 section 7.1).
    NotThreeParts,
    /// Five parts: an encrypted token (RFC 7516 section 7.1).
    Encrypted,
    /// A part is not canonical base64url without padding (RFC 7515 section 2).
    BadBase64,
    /// The header is not a JSON object, or one of its members has the wrong type.
    BadHeader,
    /// The payload is not a JSON object within the limits.
    BadClaims,
    /// A member name occurs twice in header or payload (RFC 7519 section 4).
    DuplicateMember,
    /// The header has `crit` or `b64`: nothing critical is understood (RFC 7515 section 4.1.11).
    CriticalHeader,
    /// The header says that the payload is another token, or compressed (`cty`, `zip`).
    Nested,
    /// `alg` is `none` in any case, or the signature part is empty.
    Unsigned,
    /// An algorithm that cannot be checked here.
    UnsupportedAlg(ForeignAlg),
    /// An algorithm that the configuration does not allow.
    AlgNotAllowed(Alg),
    /// The header `typ` names another kind of token (RFC 8725 section 3.11).
    WrongType,
    /// `kid` is not a string or over 256 bytes.
    BadKid,
    /// The issuer publishes no key of that `kid`, or none that fits where the token has no `kid`.
    UnknownKey,
    /// Several published keys fit (OpenID Connect Core 1.0 section 10.1).
    AmbiguousKey,
    /// The key exists but is not for this algorithm or not for signatures.
    KeyMismatch,
    /// The signature does not verify.
    BadSignature,
    /// No `iss`.
    IssuerMissing,
    /// `iss` is another issuer.
    IssuerMismatch,
    /// `iss` is the configured issuer but for one slash at its end.
    IssuerSlash {
        /// Whether the token's issuer is the one with the slash.
        token_has_slash: bool,
    },
    /// No `aud`, or an empty one.
    AudienceMissing,
    /// `aud` does not hold our client identifier.
    AudienceMismatch,
    /// Several audiences and no `azp` that says which client the token is for.
    AzpMissing,
    /// `azp` is another client.
    AzpMismatch,
    /// `sub` is absent, empty or over 255 characters.
    SubjectMissing,
    /// No `exp`.
    ExpMissing,
    /// `exp` has passed.
    Expired {
        /// `exp`, in seconds since 1970, floored and clamped to 64 bits.
        exp: i64,
        /// The moment of the check.
        now: UnixTime,
    },
    /// `nbf` is still to come.
    NotYetValid {
        /// `nbf`, in seconds since 1970, floored and clamped to 64 bits.
        nbf: i64,
        /// The moment of the check.
        now: UnixTime,
    },
    /// No `iat`.
    IatMissing,
    /// `iat` is still to come.
    IssuedInFuture {
        /// `iat`, in seconds since 1970, floored and clamped to 64 bits.
        iat: i64,
        /// The moment of the check.
        now: UnixTime,
    },
    /// Issued longer ago than the configured `max_token_age`.
    TooOld {
        /// `iat`, in seconds since 1970, floored and clamped to 64 bits.
        iat: i64,
        /// The moment of the check.
        now: UnixTime,
    },
    /// An access, refresh, logout or other token that is not an ID token.
    NotAnIdToken,
    /// `nonce` is not the one that was sent (only a client can tell).
    NonceMismatch,
    /// `at_hash` does not belong to the access token (only a client can tell).
    AtHashMismatch,
    /// A refreshed token names another subject (OpenID Connect Core 1.0 section 12.2).
    SubjectChanged,
    /// A registered claim has the wrong JSON type; the name of the claim.
    ClaimType(&'static str),
}

impl TokenError {
    /// Stable code for audit lines, metrics and vectors.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooLarge => "token.too_large",
            Self::NotThreeParts => "token.not_three_parts",
            Self::Encrypted => "token.encrypted",
            Self::BadBase64 => "token.bad_base64",
            Self::BadHeader => "token.bad_header",
            Self::BadClaims => "token.bad_claims",
            Self::DuplicateMember => "token.duplicate_member",
            Self::CriticalHeader => "token.critical_header",
            Self::Nested => "token.nested",
            Self::Unsigned => "token.unsigned",
            Self::UnsupportedAlg(_) => "token.unsupported_alg",
            Self::AlgNotAllowed(_) => "token.alg_not_allowed",
            Self::WrongType => "token.wrong_type",
            Self::BadKid => "token.bad_kid",
            Self::UnknownKey => "token.unknown_key",
            Self::AmbiguousKey => "token.ambiguous_key",
            Self::KeyMismatch => "token.key_mismatch",
            Self::BadSignature => "token.bad_signature",
            Self::IssuerMissing => "token.issuer_missing",
            Self::IssuerMismatch => "token.issuer_mismatch",
            Self::IssuerSlash { .. } => "token.issuer_slash",
            Self::AudienceMissing => "token.audience_missing",
            Self::AudienceMismatch => "token.audience_mismatch",
            Self::AzpMissing => "token.azp_missing",
            Self::AzpMismatch => "token.azp_mismatch",
            Self::SubjectMissing => "token.subject_missing",
            Self::ExpMissing => "token.exp_missing",
            Self::Expired { .. } => "token.expired",
            Self::NotYetValid { .. } => "token.not_yet_valid",
            Self::IatMissing => "token.iat_missing",
            Self::IssuedInFuture { .. } => "token.issued_in_future",
            Self::TooOld { .. } => "token.too_old",
            Self::NotAnIdToken => "token.not_an_id_token",
            Self::NonceMismatch => "token.nonce_mismatch",
            Self::AtHashMismatch => "token.at_hash_mismatch",
            Self::SubjectChanged => "token.subject_changed",
            Self::ClaimType(_) => "token.claim_type",
        }
    }

    /// The code a stranger gets: which check failed is told only where the user can act on it.
    #[must_use]
    pub const fn public_code(self) -> &'static str {
        match self.audience_view() {
            View::Invalid => "token.invalid",
            View::Expired => "token.expired",
            View::NotYetValid => "token.not_yet_valid",
            View::UnsupportedAlg(_) => "token.unsupported_alg",
        }
    }

    /// The sentence a stranger gets, matching [`TokenError::public_code`].
    #[must_use]
    pub const fn public(self) -> &'static str {
        match self.audience_view() {
            View::Invalid => {
                "the ID token is not valid: log in again; the audit log of the server has the reason"
            }
            View::Expired => "the ID token has expired: log in again",
            View::NotYetValid => {
                "the ID token is not valid yet: \
                 compare the clocks of the identity provider and this server"
            }
            View::UnsupportedAlg(ForeignAlg::Es512) => {
                "the ID token is signed with ES512, which cannot be checked here: \
                 set the signing key of the identity provider to ES256, EdDSA or RS256"
            }
            View::UnsupportedAlg(ForeignAlg::Es256K) => {
                "the ID token is signed with ES256K, which cannot be checked here: \
                 set the signing key of the identity provider to ES256, EdDSA or RS256"
            }
            View::UnsupportedAlg(ForeignAlg::Ed448) => {
                "the ID token is signed with Ed448, which cannot be checked here: \
                 set the signing key of the identity provider to ES256, EdDSA or RS256"
            }
            View::UnsupportedAlg(ForeignAlg::MlDsa) => {
                "the ID token is signed with ML-DSA, which cannot be checked here: \
                 set the signing key of the identity provider to ES256, EdDSA or RS256"
            }
            View::UnsupportedAlg(ForeignAlg::Unknown) => {
                "the ID token is signed with an unknown algorithm"
            }
        }
    }

    const fn audience_view(self) -> View {
        match self {
            Self::Expired { .. } | Self::TooOld { .. } => View::Expired,
            Self::NotYetValid { .. } | Self::IssuedInFuture { .. } => View::NotYetValid,
            Self::UnsupportedAlg(alg) => View::UnsupportedAlg(alg),
            Self::TooLarge
            | Self::NotThreeParts
            | Self::Encrypted
            | Self::BadBase64
            | Self::BadHeader
            | Self::BadClaims
            | Self::DuplicateMember
            | Self::CriticalHeader
            | Self::Nested
            | Self::Unsigned
            | Self::AlgNotAllowed(_)
            | Self::WrongType
            | Self::BadKid
            | Self::UnknownKey
            | Self::AmbiguousKey
            | Self::KeyMismatch
            | Self::BadSignature
            | Self::IssuerMissing
            | Self::IssuerMismatch
            | Self::IssuerSlash { .. }
            | Self::AudienceMissing
            | Self::AudienceMismatch
            | Self::AzpMissing
            | Self::AzpMismatch
            | Self::SubjectMissing
            | Self::ExpMissing
            | Self::IatMissing
            | Self::NotAnIdToken
            | Self::NonceMismatch
            | Self::AtHashMismatch
            | Self::SubjectChanged
            | Self::ClaimType(_) => View::Invalid,
        }
    }

    /// The whole story for the audit line, with both spellings of an issuer that differs by a slash.
    #[must_use]
    pub fn detail(self, configured: &Issuer) -> String {
        let Self::IssuerSlash { token_has_slash } = self else {
            return format!("{self}");
        };
        let base = configured.as_str();
        let base = base.strip_suffix('/').unwrap_or(base);
        let found = if token_has_slash { format!("{base}/") } else { base.into() };
        format!(
            "{self}: configured {configured}, in the token {found}; \
             set issuer_url to {found}, or issuer_trailing_slash to ignore"
        )
    }
}

/// What of an error may leave the server.
#[derive(Clone, Copy)]
enum View {
    Invalid,
    Expired,
    NotYetValid,
    UnsupportedAlg(ForeignAlg),
}

/// A moment of a token: as a date where it is one, else the seconds that the token says.
struct Moment(i64);

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The last second of the year 9999.
        match u64::try_from(self.0) {
            Ok(secs @ 0..=253_402_300_799) => Rfc3339(UnixTime::from_secs(secs)).fmt(f),
            Ok(_) | Err(_) => self.0.fmt(f),
        }
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "the token is over 16 KiB, or its header over 4 KiB",
            Self::NotThreeParts => "the token has not three parts: send the id_token, not an opaque token",
            Self::Encrypted => {
                "the token is encrypted: turn ID token encryption off at the identity provider"
            }
            Self::BadBase64 => "a part of the token is not base64url without padding",
            Self::BadHeader => "the token header is not the JSON object it should be",
            Self::BadClaims => "the token payload is not a JSON object of claims",
            Self::DuplicateMember => "a member occurs twice in the token",
            Self::CriticalHeader => "the token header demands extensions that are not understood",
            Self::Nested => "the token holds another token or is compressed",
            Self::Unsigned => "the token is not signed",
            Self::UnsupportedAlg(alg) => {
                return write!(
                    f,
                    "the token is signed with {}, which cannot be checked: \
                     use ES256, EdDSA or RS256 at the identity provider",
                    alg.name()
                );
            }
            Self::AlgNotAllowed(alg) => {
                return write!(
                    f,
                    "the token is signed with {alg}, which is not allowed: \
                     see allowed_algs (and client_secret for HS256, HS384, HS512)"
                );
            }
            Self::WrongType => "the header typ names another kind of token: send the id_token",
            Self::BadKid => "the key identifier of the token is no string of up to 256 bytes",
            Self::UnknownKey => "the issuer publishes no key for this token: it may come from another issuer",
            Self::AmbiguousKey => {
                "several published keys fit the token: the identity provider must give keys distinct kid values"
            }
            Self::KeyMismatch => "the key named by the token is not for signatures of this algorithm",
            Self::BadSignature => "the signature of the token does not verify",
            Self::IssuerMissing => "the token has no iss claim",
            Self::IssuerMismatch => "the token is from another issuer: compare iss with issuer_url",
            Self::IssuerSlash { .. } => "the issuer differs by one slash at its end",
            Self::AudienceMissing => "the token has no audience",
            Self::AudienceMismatch => "the token is for another client: compare aud with client_id",
            Self::AzpMissing => "the token has several audiences and no azp that names our client",
            Self::AzpMismatch => "the token was issued to another client: compare azp with client_id",
            Self::SubjectMissing => "the token has no sub claim of 1 to 255 characters",
            Self::ExpMissing => "the token has no exp claim",
            Self::Expired { exp, now } => {
                return write!(
                    f,
                    "the token expired at {}, now is {}: log in again",
                    Moment(*exp),
                    Rfc3339(*now)
                );
            }
            Self::NotYetValid { nbf, now } => {
                return write!(
                    f,
                    "the token is not valid before {}, now is {}: compare the clocks",
                    Moment(*nbf),
                    Rfc3339(*now)
                );
            }
            Self::IatMissing => "the token has no iat claim",
            Self::IssuedInFuture { iat, now } => {
                return write!(
                    f,
                    "the token was issued at {}, now is {}: compare the clocks",
                    Moment(*iat),
                    Rfc3339(*now)
                );
            }
            Self::TooOld { iat, now } => {
                return write!(
                    f,
                    "the token was issued at {}, longer ago than max_token_age allows at {}",
                    Moment(*iat),
                    Rfc3339(*now)
                );
            }
            Self::NotAnIdToken => "the token is an access, refresh or logout token: send the id_token",
            Self::NonceMismatch => "the nonce of the token is not the one of this login",
            Self::AtHashMismatch => "the token does not belong to the access token it came with",
            Self::SubjectChanged => "the refreshed token names another user: log in again",
            Self::ClaimType(name) => return write!(f, "the claim {name} has the wrong type"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_learns_four_things_at_most() {
        let now = UnixTime::from_secs(2);
        for (error, public) in [
            (TokenError::BadSignature, "token.invalid"),
            (TokenError::UnknownKey, "token.invalid"),
            (TokenError::AudienceMismatch, "token.invalid"),
            (TokenError::Expired { exp: 1, now }, "token.expired"),
            (TokenError::TooOld { iat: 1, now }, "token.expired"),
            (TokenError::NotYetValid { nbf: 3, now }, "token.not_yet_valid"),
            (TokenError::IssuedInFuture { iat: 3, now }, "token.not_yet_valid"),
            (TokenError::UnsupportedAlg(ForeignAlg::Es512), "token.unsupported_alg"),
        ] {
            assert_eq!(error.public_code(), public, "{error}");
        }
        assert_eq!(TokenError::UnknownKey.public(), TokenError::BadSignature.public());
    }

    #[test]
    fn people_are_told_what_is_wrong() {
        let text = alloc::string::ToString::to_string(&TokenError::WrongType);
        assert!(text.contains("typ"), "{text}");
        let text = alloc::string::ToString::to_string(&crate::jwt::KeyError::OffCurve);
        assert!(text.contains("curve"), "{text}");
        let now = UnixTime::from_secs(1_800_000_060);
        let text = |exp| alloc::string::ToString::to_string(&TokenError::Expired { exp, now });
        let told = "the token expired at 2027-01-15T08:00:00Z, now is 2027-01-15T08:01:00Z: log in \
                    again";
        assert_eq!(text(1_800_000_000), told);
        for odd in [-1, i64::MAX] {
            assert!(text(odd).contains(&format!("at {odd}, ")), "no date");
        }
    }

    #[test]
    fn a_slash_is_told_with_both_spellings() {
        let issuer: Issuer = "https://idp.example/a/".parse().unwrap();
        let detail = TokenError::IssuerSlash { token_has_slash: false }.detail(&issuer);
        assert!(detail.contains("configured https://idp.example/a/,"), "{detail}");
        assert!(detail.contains("set issuer_url to https://idp.example/a,"), "{detail}");
    }
}
