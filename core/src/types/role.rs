//! Talos roles as they stand in a certificate's Organization.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

/// One Talos role, such as `os:admin`.
///
/// 1 to 64 visible ASCII characters or single inner blanks are refused or kept as follows: no
/// control characters, no blanks at all, no comma (Talos would read one unknown role). Names
/// outside the known set are legal for Talos and grant nothing; [`Role::is_known`] tells.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Role(Box<str>);

/// The roles Talos 1.13 and newer know (`pkg/machinery/role`).
const KNOWN: [&str; 7] = [
    "os:admin",
    "os:operator",
    "os:reader",
    "os:etcd:backup",
    "os:image:verifier",
    "os:meta:writer",
    "os:impersonator",
];

/// Why a text is no role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleError {
    /// Nothing in it.
    Empty,
    /// Over 64 characters, the upper bound of an Organization value (X.520 ub-organization-name).
    TooLong,
    /// A blank, comma, control or non-ASCII character.
    Character,
}

impl fmt::Display for RoleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "a role must not be empty",
            Self::TooLong => "a role has at most 64 characters",
            Self::Character => "a role has no blanks, commas, control or non-ASCII characters",
        })
    }
}

impl Role {
    /// The role as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether some Talos version knows this role.
    #[must_use]
    pub fn is_known(&self) -> bool {
        KNOWN.contains(&&*self.0)
    }

    /// Whether this is `os:impersonator`, which lets its holder claim any other role.
    #[must_use]
    pub fn is_impersonator(&self) -> bool {
        &*self.0 == "os:impersonator"
    }

    /// The known role nearest to this one, for messages.
    #[must_use]
    pub fn known_names() -> &'static [&'static str] {
        &KNOWN
    }
}

impl FromStr for Role {
    type Err = RoleError;

    fn from_str(text: &str) -> Result<Self, RoleError> {
        if text.is_empty() {
            return Err(RoleError::Empty);
        }
        if text.len() > 64 {
            return Err(RoleError::TooLong);
        }
        if !text.bytes().all(|b| b.is_ascii_graphic() && b != b',') {
            return Err(RoleError::Character);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One or more Talos roles. Empty is unrepresentable: "no roles" is a refusal, not a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleSet(Vec<Role>);

impl RoleSet {
    /// Keeps the given order and drops repetitions; `None` when nothing is left.
    pub fn new(roles: impl IntoIterator<Item = Role>) -> Option<Self> {
        let mut kept: Vec<Role> = Vec::new();
        for role in roles {
            if !kept.contains(&role) {
                kept.push(role);
            }
        }
        (!kept.is_empty()).then_some(Self(kept))
    }

    /// The roles, in order.
    pub fn iter(&self) -> core::slice::Iter<'_, Role> {
        self.0.iter()
    }

    /// The roles as a slice, in order.
    #[must_use]
    pub fn as_slice(&self) -> &[Role] {
        &self.0
    }
}

impl<'a> IntoIterator for &'a RoleSet {
    type Item = &'a Role;
    type IntoIter = core::slice::Iter<'a, Role>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_order_and_drops_repetitions() {
        let role = |s: &str| s.parse::<Role>().unwrap();
        let set = RoleSet::new([role("os:reader"), role("os:admin"), role("os:reader")]).unwrap();
        assert_eq!(set.as_slice(), [role("os:reader"), role("os:admin")]);
        assert!(RoleSet::new([]).is_none());
    }

    #[test]
    fn refuses_what_talos_would_misread() {
        assert_eq!("".parse::<Role>(), Err(RoleError::Empty));
        assert_eq!(" os:admin".parse::<Role>(), Err(RoleError::Character));
        assert_eq!("os:a,os:b".parse::<Role>(), Err(RoleError::Character));
        assert_eq!("x".repeat(65).parse::<Role>(), Err(RoleError::TooLong));
        assert!("os:admin".parse::<Role>().unwrap().is_known());
        assert!(!"os:admln".parse::<Role>().unwrap().is_known());
    }
}
