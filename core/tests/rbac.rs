//! Reads `vectors/rbac`: policies, claims, and the roles they must give.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failing case should name its file"
)]

mod vectors;

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

fn outcome(case: &Case) -> Expect {
    let policy = match policy(&case.policy) {
        Ok(policy) => policy,
        Err(code) => return Expect::ConfigError(code.into()),
    };
    let claims = case.claims.as_ref().expect("claims, where the policy is good");
    let text = serde_json::to_vec(claims).unwrap();
    let claims = parse_object(&text, Limits { bytes_max: 65_536, depth_max: 16 }).unwrap();

    let decision = policy.decide(&claims);
    let explanation = policy.explain(&claims);
    assert_eq!(explanation.decision, decision, "the explanation decides otherwise");
    for number in 1..=policy.rules().len() {
        let start = format!("Rule {number}: ");
        assert!(explanation.lines.iter().any(|line| line.starts_with(&start)), "{start}");
    }
    assert!(explanation.lines.iter().all(|line| !line.contains(char::is_control)));
    match decision {
        Decision::Granted(roles) => {
            Expect::Roles(roles.iter().map(|role| role.as_str().into()).collect())
        }
        Decision::Denied(reason) => Expect::Error(reason.code().into()),
    }
}

fn check(case: &Case) -> Result<(), String> {
    vectors::same(&outcome(case), &case.expect)
}

#[test]
fn every_policy_gives_the_roles_it_must() {
    vectors::each("rbac", 100, check);
}

#[test]
fn altered_policies_give_the_roles_another_implementation_gives() {
    vectors::altered("rbac", check);
}
