//! The readable name in a certificate.

use alloc::boxed::Box;
use alloc::string::String;

use crate::oidc::foreign::is_deceptive;

/// Who the certificate was issued to, for the logs of Talos; it grants nothing.
///
/// 1 to 64 characters (X.520 ub-common-name) without control, line-breaking, direction-changing
/// or invisible characters, no blank at the ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommonName(Box<str>);

impl CommonName {
    /// Makes a name of a claim such as `email` or `sub`: drops the characters it may not have and
    /// cuts it at 64. `None` when nothing is left.
    #[must_use]
    pub fn from_identity(claim: &str) -> Option<Self> {
        let claim = claim.trim();
        // Nearly all of them, and nothing to be dropped or cut.
        let is_plain = |byte: &u8| matches!(byte, b' '..=b'~');
        if (1..=64).contains(&claim.len()) && claim.as_bytes().iter().all(is_plain) {
            return Some(Self(claim.into()));
        }
        let clean: String =
            claim.chars().filter(|c| !c.is_control() && !is_deceptive(*c)).take(64).collect();
        let clean = clean.trim();
        (!clean.is_empty()).then(|| Self(clean.into()))
    }

    /// The name as it stands in the certificate.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keeps_what_a_reader_can_trust() {
        let name = |s| CommonName::from_identity(s).map(|n| String::from(n.as_str()));
        assert_eq!(name("ana@example.org").as_deref(), Some("ana@example.org"));
        assert_eq!(name(" J\u{fc}rgen\n\u{202e} ").as_deref(), Some("J\u{fc}rgen"));
        assert_eq!(name("\u{200b}\n"), None);
        assert_eq!(name(&"\u{fc}".repeat(90)), Some("\u{fc}".repeat(64)));
    }

    #[test]
    fn plain_names_are_kept_whole() {
        let name = |s: &str| CommonName::from_identity(s).map(|n| String::from(n.as_str()));
        let plain: String = (' '..='~').collect();
        for text in [&plain[1..65], &plain[31..], "a", "a b"] {
            assert_eq!(name(text).as_deref(), Some(text));
        }
        assert_eq!(name(&plain[1..66]).as_deref(), Some(&plain[1..65]));
        assert_eq!((name(" a ").as_deref(), name("  "), name("")), (Some("a"), None, None));
        assert_eq!(name("a\u{7f}b\u{1f}").as_deref(), Some("ab"));
    }

    proptest! {
        #[test]
        fn cleaning_twice_changes_nothing(text in any::<String>()) {
            if let Some(name) = CommonName::from_identity(&text) {
                prop_assert!(name.as_str().chars().count() <= 64);
                prop_assert_eq!(CommonName::from_identity(name.as_str()), Some(name));
            }
        }
    }
}
