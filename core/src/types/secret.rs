//! Values that must not be printed, copied by accident or left behind in memory.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use ring::digest::{SHA256, digest};
use subtle::ConstantTimeEq;

use super::Wiped;

/// Secret bytes: wiped on drop, not `Clone`, not serialisable, printed as `Secret(redacted)`.
pub struct Secret(Wiped);

impl Secret {
    /// Takes the bytes over.
    #[must_use]
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Wiped::new(bytes))
    }

    /// The bytes, for the one place that needs them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The bytes as text; `None` when they are not UTF-8.
    #[must_use]
    pub fn expose_str(&self) -> Option<&str> {
        core::str::from_utf8(&self.0).ok()
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// A deliberate second copy, for the places that cannot share one.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self(self.0.clone())
    }

    /// Compares digests, so neither content nor length shows in the timing.
    #[must_use]
    pub fn matches(&self, candidate: &[u8]) -> bool {
        let (ours, theirs) = (digest(&SHA256, &self.0), digest(&SHA256, candidate));
        ours.as_ref().ct_eq(theirs.as_ref()).into()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text.into_bytes())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn prints_nothing_of_its_content() {
        assert_eq!(format!("{:?}", Secret::new(*b"hunter2")), "Secret(redacted)");
    }

    #[test]
    fn compares_content_and_length() {
        let secret = Secret::new(*b"abc");
        assert!(secret.matches(b"abc"));
        assert!(!secret.matches(b"abd"));
        assert!(!secret.matches(b"abcd"));
        assert!(!secret.matches(b""));
    }
}
