//! The decision. The server and the explanation run this one function.

use core::fmt;

use alloc::vec::Vec;

use super::{Effect, Fallback, RolePolicy, Rule};
use crate::json::{Object, Value};
use crate::types::{Role, RoleSet};

/// What the claims are worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// These roles, in the order of the rules that gave them.
    Granted(RoleSet),
    /// No certificate.
    Denied(DenyReason),
}

/// Why there is no certificate. Rules are numbered from 1, as in the explanation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DenyReason {
    /// No rule matched and the fallback is empty.
    NoRoles,
    /// This deny rule matched; the first if there are several.
    ByRule(usize),
    /// This rule asks for a claim the provider left out because it was too long.
    MembershipUnknown(usize),
}

impl DenyReason {
    /// Stable name of this reason.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoRoles => "rbac.no_role",
            Self::ByRule(_) => "rbac.denied",
            Self::MembershipUnknown(_) => "rbac.membership_unknown",
        }
    }

    /// What the user is told: the next step, and nothing about the table.
    #[must_use]
    pub const fn public(self) -> &'static str {
        match self {
            Self::NoRoles => "no role is assigned to you here: ask an administrator for access",
            Self::ByRule(_) => "access is denied by a rule: ask an administrator",
            Self::MembershipUnknown(_) => {
                "you are in more groups than fit into a token: ask an administrator to limit the groups sent for this application"
            }
        }
    }
}

impl fmt::Display for DenyReason {
    /// For the operator.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRoles => f.write_str("no rule matched and there are no fallback roles"),
            Self::ByRule(number) => write!(f, "denied by rule {number}"),
            Self::MembershipUnknown(number) => write!(
                f,
                "rule {number} needs a claim that the provider left out as too long: let it send only the groups assigned to this application, or use application roles"
            ),
        }
    }
}

/// What one rule found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Match: the string equals the value.
    Whole,
    /// Match: this word of the string, from 0.
    Word(usize),
    /// Match: this element of the array, from 0.
    Element(usize),
    /// The claim is not there.
    Absent,
    /// Neither a string nor an array.
    OtherKind,
    /// A string or an array, but the value is not in it.
    Differs,
    /// The value is there, but `email_verified` is not `true`.
    EmailUnverified,
    /// The value is there, but it is a list or has several `@`, so it is not one address.
    EmailAmbiguous,
    /// The provider left the claim out because it was too long.
    Unknown,
}

impl Finding {
    /// Whether the rule takes effect.
    #[must_use]
    pub const fn is_match(self) -> bool {
        match self {
            Self::Whole | Self::Word(_) | Self::Element(_) => true,
            Self::Absent
            | Self::OtherKind
            | Self::Differs
            | Self::EmailUnverified
            | Self::EmailAmbiguous
            | Self::Unknown => false,
        }
    }
}

/// Watches a decision being made.
pub trait Trace {
    /// Evaluation of that policy begins.
    fn start(&mut self, policy: &RolePolicy);
    /// Rule `number`, from 1, was looked at; `found` is the claim's value.
    fn rule(&mut self, number: usize, rule: &Rule, found: Option<&Value>, finding: Finding);
    /// This is the result.
    fn end(&mut self, decision: &Decision);
}

/// Watches nothing and costs nothing.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Trace for Silent {
    fn start(&mut self, _: &RolePolicy) {}
    fn rule(&mut self, _: usize, _: &Rule, _: Option<&Value>, _: Finding) {}
    fn end(&mut self, _: &Decision) {}
}

impl RolePolicy {
    /// What the claims of a verified token are worth.
    #[must_use]
    pub fn decide(&self, claims: &Object) -> Decision {
        self.decide_traced(claims, &mut Silent)
    }

    /// The same decision, watched.
    #[must_use]
    pub fn decide_traced(&self, claims: &Object, trace: &mut impl Trace) -> Decision {
        trace.start(self);
        let facts = Facts::new(claims, self.switches.email_verified_text);
        let mut roles: Vec<&Role> = Vec::new();
        let mut denied: Option<DenyReason> = None;
        let mut unknown: Option<DenyReason> = None;
        for (number, rule) in (1..).zip(self.rules()) {
            let found = rule.claim().resolve(claims);
            let finding = facts.examine(rule, found);
            trace.rule(number, rule, found, finding);
            if finding == Finding::Unknown {
                unknown = unknown.or(Some(DenyReason::MembershipUnknown(number)));
            }
            if finding.is_match() {
                match rule.effect() {
                    Effect::Grant(granted) => roles.extend(granted),
                    Effect::Deny => denied = denied.or(Some(DenyReason::ByRule(number))),
                }
            }
        }
        let decision = match denied.or(unknown) {
            Some(reason) => Decision::Denied(reason),
            None => match RoleSet::new(roles.into_iter().cloned()) {
                Some(roles) => Decision::Granted(roles),
                None => match self.fallback() {
                    Fallback::Static(roles) => Decision::Granted(roles.clone()),
                    Fallback::Deny => Decision::Denied(DenyReason::NoRoles),
                },
            },
        };
        trace.end(&decision);
        decision
    }
}

/// What the token says about itself that rules depend on.
struct Facts<'a> {
    email_verified: bool,
    /// `_claim_names` (OpenID Connect Core 1.0 section 5.6.2): claims that are elsewhere. The
    /// addresses in `_claim_sources` are never fetched: a token must not aim us anywhere.
    elsewhere: Option<&'a Value>,
    /// Entra's short form of the same, for `groups`.
    hasgroups: bool,
}

impl<'a> Facts<'a> {
    fn new(claims: &'a Object, email_verified_text: bool) -> Self {
        let email_verified = match claims.get("email_verified") {
            Some(Value::Bool(verified)) => *verified,
            Some(Value::String(text)) => email_verified_text && text == "true",
            Some(
                Value::Null | Value::Int(_) | Value::Float(_) | Value::Array(_) | Value::Object(_),
            )
            | None => false,
        };
        let hasgroups =
            !matches!(claims.get("hasgroups"), None | Some(Value::Null | Value::Bool(false)));
        Self { email_verified, elsewhere: claims.get("_claim_names"), hasgroups }
    }

    /// Whether the provider left this claim out. What cannot be read counts as left out.
    fn left_out(&self, name: &str) -> bool {
        let elsewhere = match self.elsewhere {
            None | Some(Value::Null) => false,
            Some(Value::Object(names)) => names.get(name).is_some(),
            Some(
                Value::Bool(_)
                | Value::Int(_)
                | Value::Float(_)
                | Value::String(_)
                | Value::Array(_),
            ) => true,
        };
        elsewhere || (self.hasgroups && name == "groups")
    }

    fn examine(&self, rule: &Rule, found: Option<&Value>) -> Finding {
        if self.left_out(rule.claim().top_level()) {
            return Finding::Unknown;
        }
        let Some(found) = found else { return Finding::Absent };
        let finding = compare(rule, found);
        // A deny rule needs no proof of the address: an unverified one must not slip past it.
        let grants = matches!(rule.effect(), Effect::Grant(_));
        if !finding.is_match() || !grants || !rule.claim().is_email() {
            return finding;
        }
        if !self.email_verified {
            Finding::EmailUnverified
        } else if finding != Finding::Whole || rule.value().matches('@').count() > 1 {
            Finding::EmailAmbiguous
        } else {
            finding
        }
    }
}

/// The table in the module's description.
fn compare(rule: &Rule, found: &Value) -> Finding {
    match found {
        Value::String(text) if text == rule.value() => Finding::Whole,
        Value::String(text) if rule.splits() => {
            // A single word that is not the whole string has blanks around it: nothing is trimmed.
            let mut words = text.split_whitespace();
            let place = words.clone().position(|word| word == rule.value());
            match (place, words.nth(1)) {
                (Some(place), Some(_)) => Finding::Word(place),
                (Some(_), None) | (None, _) => Finding::Differs,
            }
        }
        Value::String(_) => Finding::Differs,
        Value::Array(items) => items
            .iter()
            .position(|item| item.as_str() == Some(rule.value()))
            .map_or(Finding::Differs, Finding::Element),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Object(_) => {
            Finding::OtherKind
        }
    }
}

#[cfg(test)]
mod tests;
