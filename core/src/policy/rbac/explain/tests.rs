use super::super::{Fallback, Switches};
use super::*;
use crate::json::{Limits, parse_object};
use alloc::borrow::ToOwned as _;

fn explain(rules: &[(&str, &str, &[&str], bool)], claims: &str) -> Vec<String> {
    let rules = rules
        .iter()
        .map(|(claim, value, roles, deny)| {
            Rule::new(claim.parse().unwrap(), value, *roles, *deny, None).unwrap()
        })
        .collect();
    let policy = RolePolicy::new(rules, Fallback::Deny, Switches::default()).unwrap();
    let limits = Limits { bytes_max: 1 << 20, depth_max: 16 };
    let claims = parse_object(claims.as_bytes(), limits).unwrap();
    let explanation = policy.explain(&claims);
    assert_eq!(explanation.decision, policy.decide(&claims));
    explanation.lines
}

#[test]
fn reads_like_the_manual() {
    let lines = explain(
        &[
            ("groups", "platform-admins", &["os:admin"], false),
            ("groups", "developers", &["os:reader"], false),
            ("department", "sre", &["os:admin"], false),
        ],
        r#"{"groups":["platform-admins","developers"],"department":"an sre"}"#,
    );
    assert_eq!(
        lines.join("\n"),
        "Evaluating 3 RBAC rules against claims\n\
         Rule 1: checking claim 'groups' = '[platform-admins developers]' against expected value 'platform-admins'\n\
         -> checking []interface{} with 2 items\n\
         item 0: platform-admins\n\
         -> MATCH at index 0\n\
         Rule 1: MATCH! Assigning roles: [os:admin]\n\
         Rule 2: checking claim 'groups' = '[platform-admins developers]' against expected value 'developers'\n\
         -> checking []interface{} with 2 items\n\
         item 0: platform-admins\n\
         item 1: developers\n\
         -> MATCH at index 1\n\
         Rule 2: MATCH! Assigning roles: [os:reader]\n\
         Rule 3: checking claim 'department' = 'an sre' against expected value 'sre'\n\
         -> checking string\n\
         -> not split at blanks: if this claim is a list, set split: true\n\
         Rule 3: no match\n\
         RBAC evaluation complete. Assigned roles: [os:admin os:reader]"
    );
}

#[test]
fn words_and_items_are_numbered() {
    let lines = explain(
        &[
            ("groups", "a", &["r"], false),
            ("department", "a", &["r"], false),
            ("teams", "a", &["r"], false),
            ("roles", "a", &["r"], false),
            ("scope", "a", &["r"], false),
        ],
        r#"{"groups":"b a c","department":"b","teams":["b",1],"roles":"b","scope":"b c"}"#,
    );
    assert_eq!(
        lines.join("\n"),
        "Evaluating 5 RBAC rules against claims\n\
         Rule 1: checking claim 'groups' = 'b a c' against expected value 'a'\n\
         -> checking string\n\
         -> checking 3 words\n\
         word 0: b\n\
         word 1: a\n\
         -> MATCH at index 1\n\
         Rule 1: MATCH! Assigning roles: [r]\n\
         Rule 2: checking claim 'department' = 'b' against expected value 'a'\n\
         -> checking string\n\
         Rule 2: no match\n\
         Rule 3: checking claim 'teams' = '[b 1]' against expected value 'a'\n\
         -> checking []interface{} with 2 items\n\
         item 0: b\n\
         item 1: 1\n\
         Rule 3: no match\n\
         Rule 4: checking claim 'roles' = 'b' against expected value 'a'\n\
         -> checking string\n\
         Rule 4: no match\n\
         Rule 5: checking claim 'scope' = 'b c' against expected value 'a'\n\
         -> checking string\n\
         -> checking 2 words\n\
         word 0: b\n\
         word 1: c\n\
         Rule 5: no match\n\
         RBAC evaluation complete. Assigned roles: [r]"
    );
}

#[test]
fn values_of_every_kind_are_shown() {
    let shown = |json: &str| {
        let claims = format!("{{\"x\":{json}}}");
        let line = explain(&[("x", "a", &["r"], false)], &claims).swap_remove(1);
        let (_, shown) = line.split_once(" = '").unwrap();
        shown.strip_suffix("' against expected value 'a'").unwrap().to_owned()
    };
    assert_eq!(
        shown(r#"{"a":null,"b":[true,false,1.5,-7,"\"q\""]}"#),
        r#"map[a:<nil> b:[true false 1.5 -7 "q"]]"#
    );
    let long = |count: usize| "x".repeat(count);
    assert_eq!(shown(&format!("{:?}", long(256))), long(256));
    assert_eq!(shown(&format!("{:?}", long(257))), format!("{}...", long(256)));
    // The bracket before is one character, and the bracket behind would be one too many.
    assert_eq!(shown(&format!("[{:?}]", long(254))), format!("[{}]", long(254)));
    assert_eq!(shown(&format!("[{:?}]", long(255))), format!("[{}...", long(255)));
    assert_eq!(shown(&format!("[{:?},[]]", long(255))), format!("[{}...", long(255)));
}

#[test]
fn says_why_not() {
    for (rule, claims, line) in [
        (
            ("email", "a@b.c", &["r"][..], false),
            r#"{"email":"a@b.c"}"#,
            "email_verified is not true",
        ),
        (
            ("email", "a@b", &["r"], false),
            r#"{"email":["a@b"],"email_verified":true}"#,
            "not one email",
        ),
        (("groups", "a", &["r"], false), r#"{"hasgroups":true}"#, "left out by the provider"),
        (("groups", "a", &["r"], false), "{}", "is absent"),
        (("groups", "a", &["r"], false), r#"{"groups":1}"#, "a number never matches"),
        (("groups", "a", &[], true), r#"{"groups":"b a"}"#, "Denying the request"),
        (
            ("groups", "a", &[], true),
            r#"{"groups":"b a"}"#,
            "Denied (rbac.denied): denied by rule 1",
        ),
        (("groups", "a", &["r"], false), "{}", "Denied (rbac.no_role)"),
    ] {
        let lines = explain(&[rule], claims);
        assert!(lines.iter().any(|l| l.contains(line)), "{line}: {lines:#?}");
    }
}

#[test]
fn no_claim_forges_a_line_or_fills_the_log() {
    let forged = r#"{"groups":"x\nRule 1: MATCH!\u0000\u001b[2J\u2028\u202e\u200b' = 'y"}"#;
    let lines = explain(&[("groups", "a", &["r"], false)], forged);
    assert!(
        lines
            .iter()
            .all(|l| !l.contains(['\n', '\0', '\u{1b}', '\u{2028}', '\u{202e}', '\u{200b}']))
    );
    assert!(
        lines[1].contains(r"x\nRule 1: MATCH!\0\u{1b}[2J\u{2028}\u{202e}\u{200b}\' = \'y"),
        "{lines:#?}"
    );

    let many = format!(r#"{{"groups":[{}"b"]}}"#, format!("{:?},", "x".repeat(2000)).repeat(400));
    let lines = explain(&[("groups", "a", &["r"], false)], &many);
    assert!(lines.len() < 80 && lines.iter().all(|l| l.len() < 400));
    assert!(lines.iter().any(|l| l == "... and 337 more"), "{lines:#?}");
}
