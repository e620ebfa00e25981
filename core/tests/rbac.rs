//! Reads `vectors/rbac`: policies, claims, and the roles they must give.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing case should name its file")]

use std::fs;
use std::path::PathBuf;

use exchange_core::json::{Limits, parse_object};
use exchange_core::policy::rbac::{
    ClaimPath, Decision, Fallback, RolePolicy, Rule, RuleError, Switches,
};
use exchange_core::types::{Role, RoleSet};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[serde(rename = "comment")]
    _comment: String,
    #[serde(rename = "source")]
    _source: String,
    policy: Policy,
    claims: Option<serde_json::Map<String, serde_json::Value>>,
    expect: Expect,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Policy {
    rules: Vec<RuleText>,
    fallback: Option<Vec<String>>,
    #[serde(default)]
    allow_impersonator: bool,
    #[serde(default)]
    email_verified_string: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleText {
    claim: Option<String>,
    claim_path: Option<Vec<String>>,
    value: String,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    deny: bool,
    split: Option<bool>,
}

#[derive(Deserialize, PartialEq, Debug)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum Expect {
    Roles(Vec<String>),
    Error(String),
    ConfigError(String),
}

fn cases() -> Vec<(String, Case)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../vectors/rbac");
    let mut cases = Vec::new();
    for file in fs::read_dir(&folder).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).unwrap();
            let case = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
            cases.push((name, case));
        }
    }
    assert!(cases.len() >= 100, "only {} cases in {}", cases.len(), folder.display());
    cases.sort_by(|(a, _), (b, _)| a.cmp(b));
    cases
}

fn rule(text: &RuleText) -> Result<Rule, RuleError> {
    let claim = match (&text.claim, &text.claim_path) {
        (Some(claim), None) => claim.parse()?,
        (None, Some(names)) => ClaimPath::from_names(names)?,
        _ => panic!("a rule has either claim or claim_path"),
    };
    Rule::new(claim, &text.value, &text.roles, text.deny, text.split)
}

fn policy(text: &Policy) -> Result<RolePolicy, &'static str> {
    let rules = text.rules.iter().map(rule).collect::<Result<_, _>>().map_err(RuleError::code)?;
    let fallback = match &text.fallback {
        None => Fallback::Deny,
        Some(roles) => {
            let roles = roles.iter().map(|role| role.parse::<Role>().unwrap());
            Fallback::Static(RoleSet::new(roles).unwrap())
        }
    };
    let switches = Switches {
        allow_impersonator: text.allow_impersonator,
        email_verified_text: text.email_verified_string,
    };
    RolePolicy::new(rules, fallback, switches).map_err(|error| error.code())
}

fn outcome(name: &str, case: &Case) -> Expect {
    let policy = match policy(&case.policy) {
        Ok(policy) => policy,
        Err(code) => return Expect::ConfigError(code.into()),
    };
    let claims = case.claims.as_ref().unwrap_or_else(|| panic!("{name}: no claims"));
    let text = serde_json::to_vec(claims).unwrap();
    let claims = parse_object(&text, Limits { bytes_max: 65_536, depth_max: 16 }).unwrap();

    let decision = policy.decide(&claims);
    let explanation = policy.explain(&claims);
    assert_eq!(explanation.decision, decision, "{name}: the explanation decides otherwise");
    for number in 1..=policy.rules().len() {
        let start = format!("Rule {number}: ");
        assert!(explanation.lines.iter().any(|line| line.starts_with(&start)), "{name}: {start}");
    }
    assert!(explanation.lines.iter().all(|line| !line.contains(char::is_control)), "{name}");
    match decision {
        Decision::Granted(roles) => {
            Expect::Roles(roles.iter().map(|role| role.as_str().into()).collect())
        }
        Decision::Denied(reason) => Expect::Error(reason.code().into()),
    }
}

#[test]
fn every_policy_gives_the_roles_it_must() {
    let cases = cases();
    let wrong: Vec<_> = cases
        .iter()
        .map(|(name, case)| (name, outcome(name, case), &case.expect))
        .filter(|(_, found, expected)| found != *expected)
        .collect();
    assert!(wrong.is_empty(), "(file, found, expected): {wrong:#?}");
}
