use super::super::{ClaimPath, Switches};
use super::*;
use crate::json::{Limits, parse_object};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use proptest::prelude::*;

fn claims(text: &str) -> Object {
    parse_object(text.as_bytes(), Limits { bytes_max: 1 << 16, depth_max: 16 }).unwrap()
}

fn role(name: &str) -> Role {
    name.parse().unwrap()
}

fn grant(claim: &str, value: &str, roles: &[&str]) -> Rule {
    Rule::new(claim.parse().unwrap(), value, roles, false, None).unwrap()
}

fn deny(claim: &str, value: &str) -> Rule {
    Rule::new(claim.parse().unwrap(), value, [""; 0], true, None).unwrap()
}

fn policy(rules: Vec<Rule>) -> RolePolicy {
    RolePolicy::new(rules, Fallback::Deny, Switches::default()).unwrap()
}

#[test]
fn roles_are_joined_in_the_order_of_the_rules() {
    let policy = policy(vec![
        grant("groups", "b", &["os:reader", "os:operator"]),
        grant("groups", "a", &["os:admin", "os:reader"]),
    ]);
    let Decision::Granted(roles) = policy.decide(&claims(r#"{"groups":["a","b"]}"#)) else {
        panic!("granted")
    };
    assert_eq!(roles.as_slice(), [role("os:reader"), role("os:operator"), role("os:admin")]);
}

#[test]
fn a_deny_rule_wins_wherever_it_stands() {
    let policy = policy(vec![
        grant("groups", "a", &["os:admin"]),
        deny("email", "evil@example.com"),
        deny("groups", "locked"),
    ]);
    for (text, number) in [
        (r#"{"groups":["a","locked"]}"#, 3),
        // An unverified address is no ground for a grant, but enough to be kept out.
        (r#"{"groups":["a"],"email":"evil@example.com"}"#, 2),
        (r#"{"groups":["locked"],"email":["evil@example.com"]}"#, 2),
    ] {
        assert_eq!(policy.decide(&claims(text)), Decision::Denied(DenyReason::ByRule(number)));
    }
}

#[test]
fn an_unknown_membership_is_no_ground_for_anything() {
    let everyone = RoleSet::new([role("os:reader")]).unwrap();
    let rules = vec![grant("sub", "u", &["os:admin"]), deny("/groups", "locked")];
    let policy = RolePolicy::new(rules, Fallback::Static(everyone), Switches::default()).unwrap();
    for text in [
        r#"{"sub":"u","hasgroups":true}"#,
        r#"{"sub":"u","hasgroups":"true"}"#,
        r#"{"sub":"u","_claim_names":{"groups":"src1"}}"#,
        r#"{"sub":"u","_claim_names":"groups"}"#,
        r#"{"sub":"u","groups":["x"],"_claim_names":{"groups":"src1"}}"#,
    ] {
        let (code, _) = sorted(policy.decide(&claims(text)));
        assert_eq!(code, Some("rbac.membership_unknown"), "{text}");
    }
    for text in [
        r#"{"sub":"u","hasgroups":false}"#,
        r#"{"sub":"u","_claim_names":{"address":"src1"}}"#,
        r#"{"sub":"u","_claim_names":null}"#,
    ] {
        assert!(matches!(policy.decide(&claims(text)), Decision::Granted(_)), "{text}");
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let text = prop_oneof!["[ab ]{0,5}", any::<String>()];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        text.prop_map(Value::String),
    ];
    leaf.prop_recursive(2, 8, 4, |inner| {
        proptest::collection::vec(inner, 0..4).prop_map(Value::Array)
    })
}

/// Claims through JSON text, the only way objects are made.
fn as_claims(values: &[Value]) -> Object {
    fn write(out: &mut String, value: &Value) {
        match value {
            Value::Null => out.push_str("null"),
            Value::Bool(b) => out.push_str(&format!("{b}")),
            Value::Int(i) => out.push_str(&format!("{i}")),
            Value::String(s) => crate::json::write_string(out, s),
            Value::Array(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    write(out, item);
                }
                out.push(']');
            }
            Value::Float(_) | Value::Object(_) => unreachable!("not generated"),
        }
    }
    let names = ["groups", "department", "email", "email_verified", "hasgroups"];
    let mut out = String::from("{");
    for (i, (name, value)) in names.iter().zip(values).enumerate() {
        if i > 0 {
            out.push(',');
        }
        crate::json::write_string(&mut out, name);
        out.push(':');
        write(&mut out, value);
    }
    out.push('}');
    claims(&out)
}

fn any_rule() -> impl Strategy<Value = Rule> {
    (
        prop_oneof![Just("groups"), Just("department"), Just("email")],
        "[ab]{1,2}",
        proptest::collection::vec(prop_oneof![Just("r1"), Just("r2"), Just("r3")], 0..3),
    )
        .prop_map(|(claim, value, roles)| {
            let deny = roles.is_empty();
            Rule::new(ClaimPath::from_names([claim]).unwrap(), &value, roles, deny, None).unwrap()
        })
}

fn sorted(decision: Decision) -> (Option<&'static str>, Vec<Role>) {
    match decision {
        Decision::Granted(roles) => {
            let mut roles: Vec<Role> = roles.iter().cloned().collect();
            roles.sort();
            (None, roles)
        }
        Decision::Denied(reason) => (Some(reason.code()), Vec::new()),
    }
}

proptest! {
    /// The order of rules decides the order of roles and nothing else.
    #[test]
    fn the_union_ignores_the_order_of_rules(
        mut rules in proptest::collection::vec(any_rule(), 0..6),
        values in proptest::collection::vec(any_value(), 5),
    ) {
        let claims = as_claims(&values);
        let forwards = sorted(policy(rules.clone()).decide(&claims));
        rules.reverse();
        prop_assert_eq!(sorted(policy(rules).decide(&claims)), forwards);
    }

    /// A grant is made of roles of rules whose value really stands in the claim.
    #[test]
    fn nothing_is_granted_without_the_value(
        rules in proptest::collection::vec(any_rule(), 0..6),
        values in proptest::collection::vec(any_value(), 5),
    ) {
        let claims = as_claims(&values);
        let policy = policy(rules);
        if let Decision::Granted(roles) = policy.decide(&claims) {
            for role in &roles {
                let backed = policy.rules().iter().any(|rule| {
                    let Effect::Grant(granted) = rule.effect() else { return false };
                    granted.iter().any(|r| r == role)
                        && match rule.claim().resolve(&claims) {
                            Some(Value::String(text)) => text.split_whitespace().any(|w| w == rule.value()),
                            Some(Value::Array(items)) => items.contains(&Value::String(rule.value().into())),
                            _ => false,
                        }
                });
                prop_assert!(backed);
            }
        }
        prop_assert_eq!(policy.explain(&claims).decision, policy.decide(&claims));
    }
}
