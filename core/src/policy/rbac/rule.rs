//! One line of the role table: which claim, which value, what follows.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use super::{ClaimError, ClaimPath};
use crate::types::{Role, RoleError, RoleSet};

/// A rule as configured, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    claim: ClaimPath,
    value: Box<str>,
    effect: Effect,
    split: bool,
}

/// What follows from a match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// These roles, together with those of all other rules that match.
    Grant(RoleSet),
    /// No certificate, whatever other rules grant.
    Deny,
}

/// Why a rule is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleError {
    /// The claim's address.
    Claim(ClaimError),
    /// No value, or nothing but blanks.
    EmptyValue,
    /// A control character in the value.
    ValueCharacter,
    /// A value of over 1024 bytes.
    ValueTooLong,
    /// No roles, and not a deny rule.
    EmptyRoles,
    /// A deny rule with roles: it denies the whole request, not these roles.
    DenyWithRoles,
    /// One of the roles.
    Role {
        /// Where it stands in the list, from 0.
        index: usize,
        /// What is wrong with it.
        error: RoleError,
    },
    /// `split: true` for `email`, which is one address and no list.
    SplitEmail,
}

impl RuleError {
    /// Stable name of this error.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Claim(error) => error.code(),
            Self::EmptyValue => "rbac.empty_value",
            Self::ValueCharacter => "rbac.value_character",
            Self::ValueTooLong => "rbac.value_too_long",
            Self::EmptyRoles => "rbac.empty_roles",
            Self::DenyWithRoles => "rbac.deny_with_roles",
            Self::Role { .. } => "rbac.bad_role",
            Self::SplitEmail => "rbac.split_email",
        }
    }
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Claim(error) => return error.fmt(f),
            Self::EmptyValue => "the rule has no value: name the value the claim must hold",
            Self::ValueCharacter => "the rule's value has a control character",
            Self::ValueTooLong => "the rule's value has over 1024 bytes",
            Self::EmptyRoles => "the rule has no roles: name some, or write deny: true",
            Self::DenyWithRoles => {
                "a deny rule refuses the whole request: remove its roles, or remove deny: true"
            }
            Self::Role { index, error } => {
                return write!(f, "role {}: {error}", index.saturating_add(1));
            }
            Self::SplitEmail => "email is one address and never split: remove split: true",
        })
    }
}

impl From<ClaimError> for RuleError {
    fn from(error: ClaimError) -> Self {
        Self::Claim(error)
    }
}

const VALUE_BYTES_MAX: usize = 1024;

impl Rule {
    /// A rule: where `claim` holds `value`, `roles` are granted, or the request is denied.
    ///
    /// `split` says whether a string claim is a list written with blanks. Left open, it is one
    /// for `groups`, `roles` and `scope`, and never for a free text such as `department`, which
    /// its user could set to `x platform-admins`.
    ///
    /// # Errors
    /// [`RuleError`], the first that applies.
    pub fn new<T: AsRef<str>>(
        claim: ClaimPath,
        value: &str,
        roles: impl IntoIterator<Item = T>,
        deny: bool,
        split: Option<bool>,
    ) -> Result<Self, RuleError> {
        if value.trim().is_empty() {
            return Err(RuleError::EmptyValue);
        }
        if value.len() > VALUE_BYTES_MAX {
            return Err(RuleError::ValueTooLong);
        }
        if value.chars().any(char::is_control) {
            return Err(RuleError::ValueCharacter);
        }
        if split == Some(true) && claim.is_email() {
            return Err(RuleError::SplitEmail);
        }
        let mut kept: Vec<Role> = Vec::new();
        for (index, role) in roles.into_iter().enumerate() {
            let role = role.as_ref().parse();
            kept.push(role.map_err(|error| RuleError::Role { index, error })?);
        }
        let effect = match (RoleSet::new(kept), deny) {
            (Some(roles), false) => Effect::Grant(roles),
            (None, true) => Effect::Deny,
            (None, false) => return Err(RuleError::EmptyRoles),
            (Some(_), true) => return Err(RuleError::DenyWithRoles),
        };
        let split = split.unwrap_or_else(|| claim.is_list());
        Ok(Self { claim, value: value.into(), effect, split })
    }

    /// Where it looks.
    #[must_use]
    pub const fn claim(&self) -> &ClaimPath {
        &self.claim
    }

    /// What must stand there, octet for octet.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// What follows from a match.
    #[must_use]
    pub const fn effect(&self) -> &Effect {
        &self.effect
    }

    /// Whether a string there is a list written with blanks.
    #[must_use]
    pub const fn splits(&self) -> bool {
        self.split
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(claim: &str, value: &str, roles: &[&str], deny: bool) -> Result<Rule, RuleError> {
        Rule::new(claim.parse()?, value, roles, deny, None)
    }

    #[test]
    fn all_three_fields_are_required() {
        let admin = &["os:admin"][..];
        assert!(rule("groups", "a", admin, false).unwrap().splits());
        assert!(!rule("department", "a", admin, false).unwrap().splits());
        assert_eq!(rule("groups", "a", &[], true).unwrap().effect(), &Effect::Deny);
        for (given, error) in [
            (rule("", "a", admin, false), RuleError::Claim(ClaimError::Empty)),
            (rule("groups", "", admin, false), RuleError::EmptyValue),
            (rule("groups", " \u{3000}", admin, false), RuleError::EmptyValue),
            (rule("groups", "a\u{0}", admin, false), RuleError::ValueCharacter),
            (rule("groups", "a", &[], false), RuleError::EmptyRoles),
            (rule("groups", "a", admin, true), RuleError::DenyWithRoles),
            (
                rule("groups", "a", &["os:admin", ""], false),
                RuleError::Role { index: 1, error: RoleError::Empty },
            ),
        ] {
            assert_eq!(given, Err(error));
        }
        assert!(rule("groups", &"x".repeat(1024), admin, false).is_ok());
        assert_eq!(rule("groups", &"x".repeat(1025), admin, false), Err(RuleError::ValueTooLong));
        let email = Rule::new("email".parse().unwrap(), "a@b", admin, false, Some(true));
        assert_eq!(email, Err(RuleError::SplitEmail));
        // Said without need, `split: false` is no mistake.
        assert!(Rule::new("email".parse().unwrap(), "a@b", admin, false, Some(false)).is_ok());
        let told = RuleError::Role { index: 1, error: RoleError::Empty };
        let told = alloc::string::ToString::to_string(&told);
        assert!(told.starts_with("role 2: "), "{told}");
    }
}
