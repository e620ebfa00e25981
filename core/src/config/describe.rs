//! Settings as lines of text, without their secrets.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::keys::{KEYS, Key, Kind};
use super::problems::{Origin, quoted, shown};
use super::settings::Settings;
use super::sources::Sources;
use crate::policy::rbac::{Effect, Fallback};

/// One setting as it was given.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Which.
    pub key: &'static Key,
    /// Its text; of a secret only that it is set.
    pub text: String,
    /// Where it came from.
    pub origin: Origin,
}

/// What each key holds, in the order of the table. Called after everything was found right.
pub(super) fn shown_settings(s: &mut Sources<'_>) -> Vec<Shown> {
    let mut all = Vec::with_capacity(KEYS.len());
    for key in KEYS {
        let origin = s.given_at(key).unwrap_or(Origin::Default);
        let text = match key.kind {
            Kind::Rules => continue,
            Kind::List => {
                let items = s.items(key).unwrap_or_default();
                let items: Vec<String> = items.iter().map(|one| quoted(&one.text)).collect();
                format!("[{}]", items.join(", "))
            }
            Kind::Text
            | Kind::Path
            | Kind::Pem
            | Kind::Listen
            | Kind::Duration { .. }
            | Kind::Flag
            | Kind::Number { .. }
            | Kind::Choice(_) => match s.one(key) {
                None => String::from("-"),
                Some(one) => shown(key, &one.text).unwrap_or_else(|| "set, not shown".into()),
            },
        };
        all.push(Shown { key, text, origin });
    }
    all
}

impl Settings {
    /// Every setting with its value and where it came from; secrets only as "set, not shown".
    #[must_use]
    pub fn shown(&self) -> &[Shown] {
        &self.shown
    }

    /// Lines for an operator: each setting that somebody gave, then what follows from all of
    /// them for tokens and roles. Holds no secret.
    #[must_use]
    pub fn describe(&self) -> Vec<String> {
        let mut lines: Vec<String> = self
            .shown
            .iter()
            .filter(|shown| {
                shown.text != "-" && shown.text != "[]" || shown.origin != Origin::Default
            })
            .map(|shown| format!("{} = {} ({})", shown.key.file, shown.text, shown.origin))
            .collect();
        lines.push(format!("accepted algorithms: {}", self.allowed_algs));
        for (number, rule) in (1..).zip(self.roles.rules()) {
            let effect = match rule.effect() {
                Effect::Grant(roles) => joined(roles.as_slice()),
                Effect::Deny => "deny".into(),
            };
            let (claim, value) = (rule.claim(), quoted(rule.value()));
            let split = if rule.splits() { " or has the word" } else { "" };
            lines.push(format!("rule {number}: {claim} is{split} {value}: {effect}"));
        }
        lines.push(match self.roles.fallback() {
            Fallback::Static(roles) => format!("otherwise: {}", joined(roles.as_slice())),
            Fallback::Deny => "otherwise: no certificate".into(),
        });
        lines
    }
}

fn joined(roles: &[crate::types::Role]) -> String {
    let names: Vec<&str> = roles.iter().map(crate::types::Role::as_str).collect();
    names.join(", ")
}
