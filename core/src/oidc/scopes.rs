//! The scopes of a login (RFC 6749 section 3.3).

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::types::Issuer;

/// Scopes in order, each once, `openid` among them; at most 32 of at most 128 characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scopes(Vec<Box<str>>);

/// Why a text is no list of scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScopeError {
    /// A character outside `%x21 / %x23-5B / %x5D-7E`.
    Character,
    /// Over 32 scopes, or one over 128 characters.
    TooLong,
}

impl fmt::Display for ScopeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Character => {
                "a scope has a character that is not allowed; write for example openid,email"
            }
            Self::TooLong => "at most 32 scopes of at most 128 characters",
        })
    }
}

/// The scope that asks for a refresh token.
const OFFLINE: &str = "offline_access";

impl Default for Scopes {
    /// `openid profile email offline_access`: without the last there is no refresh token at most
    /// providers, and `--watch` could not work.
    fn default() -> Self {
        Self(["openid", "profile", "email", OFFLINE].map(Box::from).into())
    }
}

impl Scopes {
    /// Reads lists as people write them: commas or blanks between scopes, any number of lists.
    /// `openid` is put in front when it is missing, as there is no ID token without it.
    ///
    /// # Errors
    /// [`ScopeError`], the first that applies.
    pub fn parse<'a>(lists: impl IntoIterator<Item = &'a str>) -> Result<Self, ScopeError> {
        let mut kept: Vec<Box<str>> = Vec::new();
        for scope in lists.into_iter().flat_map(|list| list.split([',', ' '])) {
            if scope.is_empty() || kept.iter().any(|known| **known == *scope) {
                continue;
            }
            if !scope.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e)) {
                return Err(ScopeError::Character);
            }
            if scope.len() > 128 || kept.len() >= 31 {
                return Err(ScopeError::TooLong);
            }
            kept.push(scope.into());
        }
        if !kept.iter().any(|scope| **scope == *"openid") {
            kept.insert(0, "openid".into());
        }
        Ok(Self(kept))
    }

    /// Whether a refresh token is asked for by scope.
    #[must_use]
    pub fn has_offline(&self) -> bool {
        self.0.iter().any(|scope| **scope == *OFFLINE)
    }

    /// The same scopes but `offline_access`, for providers that refuse it.
    #[must_use]
    pub fn without_offline(&self) -> Self {
        Self(self.0.iter().filter(|scope| ***scope != *OFFLINE).cloned().collect())
    }

    /// The scopes to send to `issuer`: Google refuses `offline_access` (it has `access_type`).
    #[must_use]
    pub fn for_issuer(&self, issuer: &Issuer) -> Self {
        if is_google(issuer) { self.without_offline() } else { self.clone() }
    }

    /// Whether both hold the same scopes, in whatever order.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.0.iter().all(|scope| other.0.contains(scope))
    }
}

/// Whether this is the one provider that gives refresh tokens by `access_type=offline` only.
#[must_use]
pub fn is_google(issuer: &Issuer) -> bool {
    issuer.as_str() == "https://accounts.google.com"
}

impl fmt::Display for Scopes {
    /// The wire form: single blanks between.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        for scope in &self.0 {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(scope);
        }
        f.write_str(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    #[test]
    fn people_write_lists_in_many_ways() {
        let wire = |lists: &[&str]| Scopes::parse(lists.iter().copied()).map(|s| s.to_string());
        for (lists, expected) in [
            (&["openid,profile,email"][..], "openid profile email"),
            (&["openid profile", "groups,openid"][..], "openid profile groups"),
            (&["email, groups"][..], "openid email groups"),
            (&[][..], "openid"),
        ] {
            assert_eq!(wire(lists).as_deref(), Ok(expected));
        }
        assert_eq!(wire(&["a\"b"]), Err(ScopeError::Character));
        assert_eq!(wire(&["a\\b"]), Err(ScopeError::Character));
        assert_eq!(wire(&["caf\u{e9}"]), Err(ScopeError::Character));
        assert_eq!(wire(&[&"x".repeat(129)]), Err(ScopeError::TooLong));
    }

    #[test]
    fn offline_access_can_be_left_out() {
        let scopes = Scopes::default();
        assert_eq!(scopes.to_string(), "openid profile email offline_access");
        assert_eq!(scopes.without_offline().to_string(), "openid profile email");
        let google: Issuer = "https://accounts.google.com".parse().unwrap();
        assert!(!scopes.for_issuer(&google).has_offline());
        let other: Issuer = "https://idp.example".parse().unwrap();
        assert_eq!(scopes.for_issuer(&other), scopes);
        assert!(scopes.same_as(&Scopes::parse(["offline_access email profile openid"]).unwrap()));
        assert!(!scopes.same_as(&scopes.without_offline()));
    }

    proptest! {
        #[test]
        fn the_wire_form_reads_back(text in "[a-z:./ ,]{0,60}") {
            if let Ok(scopes) = Scopes::parse([text.as_str()]) {
                prop_assert_eq!(Scopes::parse([scopes.to_string().as_str()]), Ok(scopes));
            }
        }
    }
}
