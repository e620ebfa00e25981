//! Which client addresses may ask at all.

use super::{CidrList, ClientIp, ListError};

/// Networks that may use `/exchange`. Everyone may only by [`Allowlist::off`], never by a list
/// that came out empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowlist(Option<CidrList>);

impl Allowlist {
    /// No restriction: no list is configured.
    #[must_use]
    pub const fn off() -> Self {
        Self(None)
    }

    /// Only these networks, as an operator wrote them: trimmed, blank entries skipped.
    ///
    /// # Errors
    /// [`ListError::Entry`] for the first that is no network; [`ListError::Empty`] when nothing
    /// but blanks is left, as opening up would be the opposite of what was meant.
    pub fn read<T: AsRef<str>>(entries: impl IntoIterator<Item = T>) -> Result<Self, ListError> {
        let networks = CidrList::read(entries)?;
        if networks.is_empty() { Err(ListError::Empty) } else { Ok(Self(Some(networks))) }
    }

    /// Whether a list is configured.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Whether `client` may go on.
    #[must_use]
    pub fn allows(&self, client: ClientIp) -> bool {
        self.0.as_ref().is_none_or(|networks| networks.contains(client))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_blanks_never_means_everyone() {
        for entries in [&[][..], &[""], &[" ", "\t"]] {
            assert_eq!(Allowlist::read(entries), Err(ListError::Empty));
        }
        let client = "203.0.113.9".parse().unwrap();
        assert!(Allowlist::off().allows(client) && !Allowlist::off().is_on());
        let list = Allowlist::read(["10.0.0.0/8"]).unwrap();
        assert!(list.is_on() && !list.allows(client));
        assert!(Allowlist::read(["10.0.0.0/8", " 203.0.113.9 "]).unwrap().allows(client));
    }
}
