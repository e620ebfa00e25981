//! Claims of a verified token to Talos roles.
//!
//! All rules are looked at in order. The roles of all that match are joined; a deny rule that
//! matches wins over them; where none matches, the fallback decides. Values are compared octet
//! for octet: no case folding, no Unicode normalisation, no trimming, no wildcards, and only
//! strings match. Roles come from the configuration alone, never out of a claim's text.
//!
//! | claim holds | matches when |
//! |---|---|
//! | a string | it equals the value, or the rule splits and one of two or more words does |
//! | an array | one element is a string that equals the value; elements are never split |
//! | anything else | never |
//!
//! A grant by `email` needs `email_verified` to be `true`. Where the provider left a claim out
//! because it was too long (Entra "overage"), a rule on it makes the whole answer unknown, hence
//! a refusal: a missing list could hide a deny rule's match.

mod claim_path;
mod decide;
mod explain;
mod rule;

use alloc::vec::Vec;
use core::fmt;

pub use claim_path::{ClaimError, ClaimPath};
pub use decide::{Decision, DenyReason, Finding, Silent, Trace};
pub use explain::Explanation;
pub use rule::{Effect, Rule, RuleError};

use crate::types::{Role, RoleSet};

/// What happens where no rule matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// Everyone has these roles.
    Static(RoleSet),
    /// Nobody has any.
    Deny,
}

/// What an operator must ask for by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Switches {
    /// `os:impersonator` may stand in the table. Its holder can act under every other role.
    pub allow_impersonator: bool,
    /// `email_verified` may also be the text `"true"`, as some providers send it.
    pub email_verified_text: bool,
}

/// The role table, checked as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolePolicy {
    rules: Vec<Rule>,
    fallback: Fallback,
    switches: Switches,
}

/// Why a table is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyError {
    /// Over 1024 rules.
    TooManyRules,
    /// Over 64 different roles in the whole table: they might all end in one certificate.
    TooManyRoles,
    /// `os:impersonator` without the switch.
    Impersonator {
        /// The rule's number from 1, or `None` for the fallback.
        rule: Option<usize>,
    },
}

impl PolicyError {
    /// Stable name of this error.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooManyRules => "rbac.too_many_rules",
            Self::TooManyRoles => "rbac.too_many_roles",
            Self::Impersonator { .. } => "rbac.impersonator",
        }
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyRules => write!(f, "over {RULES_MAX} rules: join some"),
            Self::TooManyRoles => write!(f, "over {ROLES_MAX} different roles in the rules"),
            Self::Impersonator { rule } => {
                match rule {
                    Some(number) => write!(f, "rule {number} grants ")?,
                    None => f.write_str("the fallback roles hold ")?,
                }
                f.write_str(
                    "os:impersonator, whose holder can act under every other role: remove it, or set allow_impersonator: true",
                )
            }
        }
    }
}

const RULES_MAX: usize = 1024;
const ROLES_MAX: usize = 64;

impl RolePolicy {
    /// A table of rules in their order, and what holds where none matches.
    ///
    /// # Errors
    /// [`PolicyError`], the first that applies.
    pub fn new(
        rules: Vec<Rule>,
        fallback: Fallback,
        switches: Switches,
    ) -> Result<Self, PolicyError> {
        if rules.len() > RULES_MAX {
            return Err(PolicyError::TooManyRules);
        }
        let mut known: Vec<&Role> = Vec::new();
        let static_roles = match &fallback {
            Fallback::Static(roles) => Some((None, roles)),
            Fallback::Deny => None,
        };
        let granted = (1..).zip(&rules).filter_map(|(number, rule)| match rule.effect() {
            Effect::Grant(roles) => Some((Some(number), roles)),
            Effect::Deny => None,
        });
        for (rule, roles) in granted.chain(static_roles) {
            for role in roles {
                if role.is_impersonator() && !switches.allow_impersonator {
                    return Err(PolicyError::Impersonator { rule });
                }
                if !known.contains(&role) {
                    known.push(role);
                }
            }
            if known.len() > ROLES_MAX {
                return Err(PolicyError::TooManyRoles);
            }
        }
        Ok(Self { rules, fallback, switches })
    }

    /// The same roles for everyone: no rules.
    ///
    /// # Errors
    /// [`PolicyError`] as for [`Self::new`].
    pub fn everyone(roles: RoleSet, switches: Switches) -> Result<Self, PolicyError> {
        Self::new(Vec::new(), Fallback::Static(roles), switches)
    }

    /// The rules, in order.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// What holds where no rule matches.
    #[must_use]
    pub const fn fallback(&self) -> &Fallback {
        &self.fallback
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString as _;

    fn table(rules: usize, roles: usize) -> Result<RolePolicy, PolicyError> {
        let rule = |number: usize| {
            let role = format!("role-{}", number % roles);
            Rule::new("groups".parse().unwrap(), "a", [role], false, None).unwrap()
        };
        RolePolicy::new((0..rules).map(rule).collect(), Fallback::Deny, Switches::default())
    }

    #[test]
    fn a_table_has_bounds() {
        assert_eq!(table(1024, 64).map(|policy| policy.rules().len()), Ok(1024));
        assert_eq!(table(1025, 1), Err(PolicyError::TooManyRules));
        assert_eq!(table(65, 65), Err(PolicyError::TooManyRoles));
        assert_eq!(PolicyError::TooManyRules.to_string(), "over 1024 rules: join some");
        let told = PolicyError::Impersonator { rule: Some(3) }.to_string();
        assert!(told.starts_with("rule 3 grants os:impersonator"), "{told}");
    }

    #[test]
    fn everyone_has_the_static_roles() {
        let roles = RoleSet::new(["os:reader".parse().unwrap()]).unwrap();
        let policy = RolePolicy::everyone(roles.clone(), Switches::default()).unwrap();
        assert_eq!(policy.fallback(), &Fallback::Static(roles));
        assert!(policy.rules().is_empty());
    }
}
