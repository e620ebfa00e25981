//! `roles` and `rbac.rules`.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use super::keys::{self, Key};
use super::names::nearest;
use super::problems::{Origin, quoted};
use super::sources::{Sources, boolean};
use crate::policy::rbac::{
    ClaimError, ClaimPath, Effect, Fallback, PolicyError, RolePolicy, Rule, Switches,
};
use crate::types::{Role, RoleSet};
use crate::yaml::{Map, Node};

const RULE_KEYS: [&str; 6] = ["claim", "claim_path", "value", "roles", "deny", "split"];
const KEY: &Key = &keys::RBAC_RULES;

/// The role table; `None` only where a problem was recorded.
pub(super) fn read(s: &mut Sources<'_>) -> Option<RolePolicy> {
    let switches = Switches {
        allow_impersonator: s.flag(&keys::ALLOW_IMPERSONATOR),
        email_verified_text: s.flag(&keys::EMAIL_VERIFIED_TEXT),
    };
    let rules = read_rules(s, switches);
    let given = s.given_at(&keys::ROLES).is_some();
    let roles = s.list(&keys::ROLES, |text| text.parse::<Role>()).unwrap_or_default();
    if !switches.allow_impersonator && roles.iter().any(Role::is_impersonator) {
        s.conflict(&keys::ROLES, PolicyError::Impersonator { rule: None }.to_string());
        return None;
    }
    let rules = rules?;
    let fallback = match RoleSet::new(roles) {
        Some(roles) => Fallback::Static(roles),
        None if given || !rules.is_empty() => Fallback::Deny,
        None => {
            s.refuse_misspelt_roles();
            s.warn(
                "config.default_admin",
                "roles is not set and there are no rules: EVERY user of the provider gets os:admin; set roles or rbac.rules",
            );
            Fallback::Static(RoleSet::new(["os:admin".parse::<Role>().ok()?])?)
        }
    };
    if given && rules.is_empty() && fallback == Fallback::Deny {
        s.warn("config.nobody", "roles is empty and there are no rules: nobody gets a certificate");
    }
    warn_unknown_roles(s, &rules, &fallback);
    match RolePolicy::new(rules, fallback, switches) {
        Ok(policy) => Some(policy),
        Err(error) => {
            let key = match error {
                PolicyError::Impersonator { rule: None } => &keys::ROLES,
                PolicyError::Impersonator { rule: Some(_) }
                | PolicyError::TooManyRules
                | PolicyError::TooManyRoles => KEY,
            };
            s.conflict(key, error.to_string());
            None
        }
    }
}

/// A role no Talos knows grants nothing, so it is most likely a slip.
fn warn_unknown_roles(s: &mut Sources<'_>, rules: &[Rule], fallback: &Fallback) {
    let granted = rules.iter().filter_map(|rule| match rule.effect() {
        Effect::Grant(roles) => Some(roles),
        Effect::Deny => None,
    });
    let standing = match fallback {
        Fallback::Static(roles) => Some(roles),
        Fallback::Deny => None,
    };
    let mut told: Vec<&Role> = Vec::new();
    for role in granted.chain(standing).flatten() {
        if role.is_known() || told.contains(&role) {
            continue;
        }
        told.push(role);
        let near = nearest(role.as_str(), Role::known_names().iter().copied());
        let meant = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        let role = quoted(role.as_str());
        s.warn(
            "config.unknown_role",
            format!("role {role} is unknown to Talos and grants nothing{meant}"),
        );
    }
}

/// All rules; `None` where a problem was recorded.
fn read_rules(s: &mut Sources<'_>, switches: Switches) -> Option<Vec<Rule>> {
    let Some(rbac) = s.file_named("rbac").filter(|pair| !pair.value.is_null()) else {
        return Some(Vec::new());
    };
    let Some(map) = rbac.value.map() else {
        wrong_kind(s, &rbac.value, "a mapping with the key rules");
        return None;
    };
    for pair in &map.pairs {
        s.warn_unknown_pair(pair, "rbac.", ["rules"].into_iter());
    }
    let Some(list) = map.get("rules").filter(|node| !node.is_null()) else {
        return Some(Vec::new());
    };
    let Some(list) = list.seq() else {
        wrong_kind(s, list, "a list of rules");
        return None;
    };
    let mut rules = Some(Vec::new());
    for (number, node) in (1..).zip(&list.items) {
        // Every rule is read, so that all problems are reported.
        let rule = read_rule(s, number, node, switches);
        rules = rules.zip(rule).map(|(mut rules, rule)| {
            rules.push(rule);
            rules
        });
    }
    rules
}

fn wrong_kind(s: &mut Sources<'_>, node: &Node, expected: &str) {
    let origin = s.origin(&node.place);
    s.problem(KEY, origin, None, format!("{} is here, but {expected} is expected", node.kind()));
}

/// Rule `number`, from 1.
fn read_rule(s: &mut Sources<'_>, number: usize, node: &Node, switches: Switches) -> Option<Rule> {
    let Some(map) = node.map() else {
        wrong_kind(s, node, "a rule with claim, value and roles");
        return None;
    };
    for pair in &map.pairs {
        s.warn_unknown_pair(pair, &format!("rbac.rules[{number}]."), RULE_KEYS.into_iter());
    }
    let origin = s.origin(&node.place);
    let before = s.problems.found.len();
    let claim = read_claim(s, number, map, &origin);
    let value = field(s, number, map, "value").unwrap_or_default();
    let roles = read_roles(s, number, map);
    let deny = read_flag(s, number, map, "deny");
    let split = read_flag(s, number, map, "split");
    if s.problems.found.len() > before {
        return None;
    }
    match Rule::new(claim?, &value, roles, deny.unwrap_or(false), split) {
        Ok(rule) if !switches.allow_impersonator && grants_impersonator(&rule) => {
            let error = PolicyError::Impersonator { rule: Some(number) };
            s.problem(KEY, origin, None, error.to_string());
            None
        }
        Ok(rule) => Some(rule),
        Err(error) => {
            s.problem(KEY, origin, None, format!("rule {number}: {error}"));
            None
        }
    }
}

/// Told here, with its place and beside whatever else is wrong; the policy refuses it as well.
fn grants_impersonator(rule: &Rule) -> bool {
    match rule.effect() {
        Effect::Grant(roles) => roles.iter().any(Role::is_impersonator),
        Effect::Deny => false,
    }
}

/// A field that holds one text; `None` when absent or wrong.
fn field(s: &mut Sources<'_>, number: usize, map: &Map, name: &str) -> Option<String> {
    let node = map.get(name).filter(|node| !node.is_null())?;
    if let Some(text) = node.text() {
        return Some(text.into());
    }
    let origin = s.origin(&node.place);
    let advice = format!("rule {number}: {name} is {}, but one text is expected", node.kind());
    s.problem(KEY, origin, None, advice);
    None
}

fn read_claim(s: &mut Sources<'_>, number: usize, map: &Map, at: &Origin) -> Option<ClaimPath> {
    let path = map.get("claim_path").filter(|node| !node.is_null());
    let claim = field(s, number, map, "claim");
    let read: Result<ClaimPath, ClaimError> = match (&claim, path) {
        (Some(_), Some(_)) => {
            let advice = format!("rule {number}: claim and claim_path exclude one another");
            s.problem(KEY, at.clone(), None, advice);
            return None;
        }
        (Some(claim), None) => claim.parse(),
        (None, Some(node)) => {
            let Some(names) = node.seq() else {
                let advice = format!(
                    "rule {number}: claim_path is {}, but a list of names is expected",
                    node.kind()
                );
                let origin = s.origin(&node.place);
                s.problem(KEY, origin, None, advice);
                return None;
            };
            let names = s.scalars(KEY, &names.items);
            ClaimPath::from_names(names.iter().map(|one| &*one.text))
        }
        // A field of the wrong kind has its own problem.
        (None, None) if map.get("claim").is_some_and(|node| !node.is_null()) => return None,
        (None, None) => Err(ClaimError::Empty),
    };
    match read {
        Ok(claim) => Some(claim),
        Err(error) => {
            s.problem(KEY, at.clone(), None, format!("rule {number}: {error}"));
            None
        }
    }
}

fn read_roles(s: &mut Sources<'_>, number: usize, map: &Map) -> Vec<String> {
    let Some(node) = map.get("roles").filter(|node| !node.is_null()) else { return Vec::new() };
    let Some(list) = node.seq() else {
        let advice = format!("rule {number}: roles is {}, but a list is expected", node.kind());
        let origin = s.origin(&node.place);
        s.problem(KEY, origin, None, advice);
        return Vec::new();
    };
    s.scalars(KEY, &list.items).into_iter().map(|one| one.text.into_owned()).collect()
}

fn read_flag(s: &mut Sources<'_>, number: usize, map: &Map, name: &str) -> Option<bool> {
    let text = field(s, number, map, name)?;
    if let Ok(flag) = boolean(&text, true) {
        return Some(flag);
    }
    let origin = map.get(name).map_or(Origin::Default, |node| s.origin(&node.place));
    let advice = format!("rule {number}: {name} must be true or false");
    s.problem(KEY, origin, Some(quoted(&text)), advice);
    None
}
