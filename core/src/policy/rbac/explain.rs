//! A decision rule by rule, in words, by watching the decision itself.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;

use super::{Decision, Effect, Finding, RolePolicy, Rule, Trace};
use crate::json::{Object, Value};
use crate::types::RoleSet;

/// A decision and how it came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Exactly what [`RolePolicy::decide`] says.
    pub decision: Decision,
    /// One line each, without line ends and without a prefix. What came out of the token is
    /// escaped and cut, so that no claim can forge a line or fill a log.
    pub lines: Vec<String>,
}

impl RolePolicy {
    /// The decision about these claims, with its reasons.
    #[must_use]
    pub fn explain(&self, claims: &Object) -> Explanation {
        let mut words = Words::default();
        let decision = self.decide_traced(claims, &mut words);
        Explanation { decision, lines: words.lines }
    }
}

/// Characters of a claim's value that are shown, and items of an array or words of a string.
const CHARS_MAX: usize = 256;
const ITEMS_MAX: usize = 64;

#[derive(Default)]
struct Words {
    lines: Vec<String>,
    granted: bool,
}

impl Words {
    fn say(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }

    /// Numbers the parts of a list, up to the one that matched.
    fn parts(&mut self, name: &str, parts: impl Iterator<Item = String>, matched: Option<usize>) {
        let mut shown = 0_usize;
        let end = matched.map_or(ITEMS_MAX, |index| index.saturating_add(1).min(ITEMS_MAX));
        let mut parts = parts;
        for part in parts.by_ref().take(end) {
            self.say(format!("{name} {shown}: {part}"));
            shown = shown.saturating_add(1);
        }
        match matched {
            Some(index) => self.say(format!("-> MATCH at index {index}")),
            None => {
                let rest = parts.count();
                if rest > 0 {
                    self.say(format!("... and {rest} more"));
                }
            }
        }
    }

    fn value(&mut self, rule: &Rule, found: &Value, finding: Finding) {
        let index = match finding {
            Finding::Word(index) | Finding::Element(index) => Some(index),
            Finding::Whole
            | Finding::Absent
            | Finding::OtherKind
            | Finding::Differs
            | Finding::EmailUnverified
            | Finding::EmailAmbiguous
            | Finding::Unknown => None,
        };
        match found {
            Value::String(text) => {
                self.say("-> checking string");
                let words = text.split_whitespace().count();
                if finding == Finding::Whole {
                    self.say("-> exact MATCH");
                } else if finding == Finding::Differs && !rule.splits() && words > 1 {
                    self.say("-> not split at blanks: if this claim is a list, set split: true");
                } else if rule.splits() && words > 1 {
                    self.say(format!("-> checking {words} words"));
                    self.parts("word", text.split_whitespace().map(shown), index);
                }
            }
            Value::Array(items) => {
                self.say(format!("-> checking []interface{{}} with {} items", items.len()));
                self.parts("item", items.iter().map(shown_value), index);
            }
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Object(_) => {
                self.say(format!("-> a {} never matches", found.kind()));
            }
        }
    }
}

impl Trace for Words {
    fn start(&mut self, policy: &RolePolicy) {
        self.say(format!("Evaluating {} RBAC rules against claims", policy.rules().len()));
    }

    fn rule(&mut self, number: usize, rule: &Rule, found: Option<&Value>, finding: Finding) {
        let claim = shown(&format!("{}", rule.claim()));
        match (found, finding) {
            (_, Finding::Unknown) => {
                self.say(format!(
                    "Rule {number}: claim '{claim}' was left out by the provider as too long"
                ));
                return;
            }
            (None, _) => {
                self.say(format!("Rule {number}: claim '{claim}' is absent, rule skipped"));
                return;
            }
            (Some(found), _) => {
                self.say(format!(
                    "Rule {number}: checking claim '{claim}' = '{}' against expected value '{}'",
                    shown_value(found),
                    shown(rule.value()),
                ));
                self.value(rule, found, finding);
            }
        }
        match finding {
            Finding::Whole | Finding::Word(_) | Finding::Element(_) => match rule.effect() {
                Effect::Grant(roles) => {
                    self.granted = true;
                    let roles = listed(roles);
                    self.say(format!("Rule {number}: MATCH! Assigning roles: {roles}"));
                }
                Effect::Deny => self.say(format!("Rule {number}: MATCH! Denying the request")),
            },
            Finding::EmailUnverified => self.say(format!(
                "Rule {number}: no match: email_verified is not true, and a rule on email needs that"
            )),
            Finding::EmailAmbiguous => {
                self.say(format!("Rule {number}: no match: the claim is not one email address"));
            }
            Finding::Absent | Finding::OtherKind | Finding::Differs | Finding::Unknown => {
                self.say(format!("Rule {number}: no match"));
            }
        }
    }

    fn end(&mut self, decision: &Decision) {
        let roles = match decision {
            Decision::Granted(roles) => {
                if !self.granted {
                    self.say("No rule matched, falling back to the static roles");
                }
                listed(roles)
            }
            Decision::Denied(reason) => {
                self.say(format!("Denied ({}): {reason}", reason.code()));
                "[]".into()
            }
        };
        self.say(format!("RBAC evaluation complete. Assigned roles: {roles}"));
    }
}

/// Roles as Go prints a slice. Their characters need no escape.
fn listed(roles: &RoleSet) -> String {
    let names: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
    format!("[{}]", names.join(" "))
}

fn shown(text: &str) -> String {
    let mut out = Cut::default();
    out.escaped(text);
    out.finish()
}

/// A value as Go's `%v` prints it.
fn shown_value(value: &Value) -> String {
    let mut out = Cut::default();
    out.value(value);
    out.finish()
}

/// Text that ends after [`CHARS_MAX`] characters of the original.
struct Cut {
    text: String,
    left: usize,
    cut: bool,
}

impl Default for Cut {
    fn default() -> Self {
        Self { text: String::new(), left: CHARS_MAX, cut: false }
    }
}

impl Cut {
    fn finish(mut self) -> String {
        if self.cut {
            self.text.push_str("...");
        }
        self.text
    }

    /// Keeps what is printable, letters of every script included; shows the rest (controls,
    /// blanks but U+0020, joiners, direction marks) as `\u{..}`. A quote is escaped as well,
    /// since these texts stand in quotes.
    fn escaped(&mut self, text: &str) {
        for c in text.chars() {
            if self.left == 0 {
                self.cut = true;
                return;
            }
            self.left = self.left.saturating_sub(1);
            if c == '"' {
                self.text.push(c);
            } else {
                self.text.extend(c.escape_debug());
            }
        }
    }

    fn separated<T>(&mut self, items: impl Iterator<Item = T>, mut one: impl FnMut(&mut Self, T)) {
        for (index, item) in items.enumerate() {
            if self.left == 0 {
                self.cut = true;
                return;
            }
            if index > 0 {
                self.escaped(" ");
            }
            one(self, item);
        }
    }

    fn value(&mut self, value: &Value) {
        let mut number = String::new();
        match value {
            Value::Null => self.escaped("<nil>"),
            Value::Bool(truth) => self.escaped(if *truth { "true" } else { "false" }),
            Value::Int(integer) => {
                // Writing to a String cannot fail.
                let _ = write!(number, "{integer}");
                self.escaped(&number);
            }
            Value::Float(float) => {
                let _ = write!(number, "{float}");
                self.escaped(&number);
            }
            Value::String(text) => self.escaped(text),
            Value::Array(items) => {
                self.escaped("[");
                self.separated(items.iter(), Self::value);
                self.escaped("]");
            }
            Value::Object(object) => {
                self.escaped("map[");
                self.separated(object.iter(), |out, (name, value)| {
                    out.escaped(name);
                    out.escaped(":");
                    out.value(value);
                });
                self.escaped("]");
            }
        }
    }
}

#[cfg(test)]
mod tests;
