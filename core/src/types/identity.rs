//! Names that other parties gave: issuers, clients, keys, contexts. Never normalised.

use alloc::boxed::Box;
use core::fmt;
use core::str::FromStr;

/// OIDC issuer identifier, compared byte for byte (OpenID Connect Core 1.0, 3.1.3.7 item 2).
///
/// Never normalised: `https://idp.example` and `https://idp.example/` are two issuers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer(Box<str>);

/// Why a text is no issuer identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IssuerError {
    /// Not `https://host…` (or `http://host…`).
    NotAUrl,
    /// OpenID Connect Discovery 1.0 section 3 forbids query and fragment.
    QueryOrFragment,
    /// User information, blanks, control or non-ASCII characters, or over 2048 bytes.
    Character,
}

impl fmt::Display for IssuerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAUrl => "an issuer is a URL such as https://idp.example.com/realms/talos",
            Self::QueryOrFragment => "an issuer has no query and no fragment",
            Self::Character => "an issuer has no user name, blank, control or non-ASCII character",
        })
    }
}

impl Issuer {
    /// The issuer exactly as configured.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether requests to this issuer travel in the clear.
    #[must_use]
    pub fn is_plain_http(&self) -> bool {
        self.0.starts_with("http://")
    }

    /// Where the metadata is (OpenID Connect Discovery 1.0, 4.1): one final slash removed, then
    /// the well-known suffix appended.
    #[must_use]
    pub fn discovery_url(&self) -> alloc::string::String {
        let base = self.0.strip_suffix('/').unwrap_or(&self.0);
        alloc::format!("{base}/.well-known/openid-configuration")
    }

    /// Whether `other` is this issuer but for one final slash, the commonest mistake of all.
    #[must_use]
    pub fn differs_by_slash_only(&self, other: &str) -> bool {
        *self.0 != *other
            && self.0.strip_suffix('/').unwrap_or(&self.0)
                == other.strip_suffix('/').unwrap_or(other)
    }
}

impl FromStr for Issuer {
    type Err = IssuerError;

    fn from_str(text: &str) -> Result<Self, IssuerError> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(IssuerError::NotAUrl);
        };
        if !matches!(scheme, "https" | "http") {
            return Err(IssuerError::NotAUrl);
        }
        if rest.contains(['?', '#']) {
            return Err(IssuerError::QueryOrFragment);
        }
        let authority = rest.split('/').next().unwrap_or_default();
        if authority.is_empty() || authority.starts_with(':') {
            return Err(IssuerError::NotAUrl);
        }
        if text.len() > 2048
            || authority.contains('@')
            || !text.bytes().all(|b| b.is_ascii_graphic())
        {
            return Err(IssuerError::Character);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no name of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// Nothing in it.
    Empty,
    /// Longer than the kind allows.
    TooLong,
    /// A character the kind does not allow.
    Character,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "must not be empty",
            Self::TooLong => "is too long",
            Self::Character => "has a character that is not allowed",
        })
    }
}

/// OAuth 2.0 client identifier: 1 to 512 characters of `%x20-7E` (RFC 6749 appendix A.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientId(Box<str>);

impl ClientId {
    /// The identifier as configured.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ClientId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        match text.len() {
            0 => Err(NameError::Empty),
            513.. => Err(NameError::TooLong),
            _ if text.bytes().all(|b| (0x20..=0x7e).contains(&b)) => Ok(Self(text.into())),
            _ => Err(NameError::Character),
        }
    }
}

/// Key identifier of a token header or a JWK (RFC 7517 section 4.5): opaque, at most 256 bytes.
///
/// Attacker-chosen text: compared byte for byte, never a path, a query or an unescaped log text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kid(Box<str>);

impl Kid {
    /// The identifier as received.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Kid {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.len() > 256 { Err(NameError::TooLong) } else { Ok(Self(text.into())) }
    }
}

/// Name of a talosconfig context: 1 to 128 characters, no control characters, no blank at the ends.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContextName(Box<str>);

impl ContextName {
    /// The name as given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ContextName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.chars().count() > 128 {
            return Err(NameError::TooLong);
        }
        if text.trim() != text || text.chars().any(char::is_control) {
            return Err(NameError::Character);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for ContextName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issuers_are_kept_as_they_are() {
        let issuer: Issuer = "https://idp.example/a/".parse().unwrap();
        assert_eq!(
            issuer.discovery_url(),
            "https://idp.example/a/.well-known/openid-configuration"
        );
        assert!(issuer.differs_by_slash_only("https://idp.example/a"));
        assert!(!issuer.differs_by_slash_only("https://idp.example/a/"));
        for (text, error) in [
            ("idp.example", IssuerError::NotAUrl),
            ("ftp://idp.example", IssuerError::NotAUrl),
            ("https:///x", IssuerError::NotAUrl),
            ("https://idp.example?x", IssuerError::QueryOrFragment),
            ("https://u@idp.example", IssuerError::Character),
            ("https://idp.example/ ", IssuerError::Character),
        ] {
            assert_eq!(text.parse::<Issuer>(), Err(error), "{text}");
        }
    }
}
