//! What the provider writes: tokens, key sets, metadata, claims.

use std::sync::LazyLock;

use exchange_core::json::{self, Limits, Object, Value};
use exchange_core::jwt::{Alg, ParsedToken, TOKEN_BYTES_MAX, client};
use exchange_core::oidc::discovery::{DiscoveryPolicy, Metadata};
use exchange_core::oidc::jwks::{JWKS_KEYS_MAX, KeySet, Selection};
use exchange_core::policy::rbac::{Decision, DenyReason, Fallback, RolePolicy, Rule, Switches};
use exchange_core::types::{Issuer, Role};

use crate::fixed::{AUDIENCE, EXPECT, ISSUER, KEYS, NOW};

/// An ID token in front of the server, from its text to the verdict.
pub fn token(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = client::read_id_token(text);
    let Ok(parsed) = ParsedToken::parse(text) else { return };
    assert!(text.len() <= TOKEN_BYTES_MAX && text.matches('.').count() == 2);
    let Ok(checked) = parsed.check(NOW, &EXPECT) else { return };
    let key = if checked.alg().is_hmac() {
        EXPECT.hmac_key()
    } else {
        match KEYS.select(checked.alg(), checked.kid()) {
            Selection::Key(key) => Some(key),
            Selection::Unknown | Selection::Mismatch | Selection::Ambiguous => None,
        }
    };
    let Some(Ok(verified)) = key.map(|key| checked.verify(key)) else { return };
    assert_eq!(verified.issuer(), ISSUER);
    assert!(verified.audiences().any(|audience| audience == AUDIENCE));
    assert!(verified.expires_at() > NOW.minus_secs(EXPECT.skew_secs.into()));
    assert!(verified.issued_at() <= NOW.plus_secs(EXPECT.skew_secs.into()));
    assert!((1..=255).contains(&verified.subject().chars().count()));
}

/// A key set and the choice of keys out of it.
pub fn jwks(data: &[u8]) {
    let Ok(set) = KeySet::parse(data) else { return };
    assert!(set.len() + set.skipped().len() <= JWKS_KEYS_MAX);
    assert_eq!(set.is_empty(), set.kids().count() == 0);
    let kids: Vec<_> = set.kids().map(|kid| kid.cloned()).chain([None]).collect();
    for alg in Alg::ALL {
        for kid in &kids {
            if let Selection::Key(key) = set.select(alg, kid.as_ref()) {
                assert!(!alg.is_hmac(), "a published key must never be a secret");
                assert!(key.fits(alg));
                assert!(key.verify_raw(alg, b"message", b"signature").is_err());
            }
        }
    }
    for skipped in set.skipped() {
        let _ = (skipped.reason.code(), skipped.reason.to_string());
    }
}

/// Provider metadata under each combination of switches.
pub fn discovery(data: &[u8]) {
    for issuer in [ISSUER, "https://idp.example.com/realms/talos/", "http://idp.example.com"] {
        let issuer: Issuer = issuer.parse().expect("a valid issuer");
        for (allow_http, slash_tolerant) in
            [(false, false), (true, false), (false, true), (true, true)]
        {
            let policy = DiscoveryPolicy { allow_http, slash_tolerant };
            match Metadata::parse(data, &issuer, &policy) {
                Ok(metadata) => check_metadata(&metadata, &issuer, policy),
                Err(error) => assert!(!error.to_string().is_empty() && !error.code().is_empty()),
            }
        }
    }
}

fn check_metadata(metadata: &Metadata, configured: &Issuer, policy: DiscoveryPolicy) {
    assert!(
        metadata.issuer == *configured
            || policy.slash_tolerant && configured.differs_by_slash_only(metadata.issuer.as_str())
    );
    let endpoints = [
        &metadata.jwks_uri,
        &metadata.authorization_endpoint,
        &metadata.token_endpoint,
        &metadata.userinfo_endpoint,
        &metadata.device_authorization_endpoint,
        &metadata.revocation_endpoint,
        &metadata.end_session_endpoint,
        &metadata.pushed_authorization_request_endpoint,
    ];
    for url in endpoints.into_iter().flatten() {
        let insecure = policy.allow_http && configured.is_plain_http();
        assert!(url.is_https() || url.is_loopback() || insecure, "{url:?}");
        let again = url.as_str().parse().as_ref() == Ok(url);
        assert!(again, "a URL is read as it prints");
    }
    let _ = (metadata.checkable_algs(), metadata.require(&metadata.jwks_uri, "jwks_uri"));
}

const JSON_LIMITS: Limits = Limits { bytes_max: 64 * 1024, depth_max: 16 };

/// Claims against role tables: the decision, its explanation, and the order of rules.
pub fn claims(data: &[u8]) {
    let Ok(claims) = json::parse_object(data, JSON_LIMITS) else { return };
    let theirs = serde_json::from_slice(data).expect("what we read, serde_json reads");
    assert!(same_object(&claims, &theirs), "both read the same");
    for (forward, backward) in POLICIES.iter() {
        let decision = forward.decide(&claims);
        let explained = forward.explain(&claims);
        assert_eq!(explained.decision, decision);
        assert!(explained.lines.iter().all(|line| !line.chars().any(char::is_control)));
        match (decision, backward.decide(&claims)) {
            (Decision::Granted(one), Decision::Granted(other)) => {
                let sorted = |roles: &[Role]| {
                    let mut names: Vec<_> = roles.iter().map(Role::to_string).collect();
                    names.sort();
                    names
                };
                assert_eq!(sorted(one.as_slice()), sorted(other.as_slice()));
            }
            (Decision::Denied(one), Decision::Denied(other)) => {
                let same = std::mem::discriminant(&one) == std::mem::discriminant(&other);
                // Where a deny rule matches and another claim is unknown, the first one is named.
                let no_roles = [one, other].contains(&DenyReason::NoRoles);
                assert!(same || !no_roles, "{one:?}, {other:?}");
            }
            (one, other) => panic!("the order of rules decides: {one:?}, {other:?}"),
        }
    }
}

/// Tables with their rules in order, and in reverse.
static POLICIES: LazyLock<Vec<(RolePolicy, RolePolicy)>> = LazyLock::new(|| {
    let table: [(&str, &str, &[&str], bool); 7] = [
        ("groups", "platform-admins", &["os:admin"], false),
        ("groups", "developers", &["os:reader", "os:etcd:backup"], false),
        ("email", "alice@example.com", &["os:operator"], false),
        ("realm_access.roles", "talos", &["os:reader"], false),
        ("department", "platform", &["os:operator"], false),
        ("groups", "suspended", &[], true),
        ("/resource_access/talosctl/roles", "admin", &["os:admin"], false),
    ];
    let rules: Vec<Rule> = table
        .into_iter()
        .filter_map(|(claim, value, roles, deny)| {
            Rule::new(claim.parse().ok()?, value, roles, deny, None).ok()
        })
        .collect();
    assert!(rules.len() >= 6, "the table is valid");
    let mut backward = rules.clone();
    backward.reverse();
    let fallbacks = [Fallback::Deny, Fallback::Static(crate::provider::roles(&["os:reader"]))];
    let policy = |rules: &[Rule], fallback: &Fallback| {
        RolePolicy::new(rules.to_vec(), fallback.clone(), Switches::default()).expect("valid")
    };
    fallbacks
        .iter()
        .map(|fallback| (policy(&rules, fallback), policy(&backward, fallback)))
        .collect()
});

fn same_object(ours: &Object, theirs: &serde_json::Map<String, serde_json::Value>) -> bool {
    ours.len() == theirs.len()
        && ours.iter().all(|(name, value)| theirs.get(name).is_some_and(|other| same(value, other)))
}

fn same(ours: &Value, theirs: &serde_json::Value) -> bool {
    match (ours, theirs) {
        (Value::Null, serde_json::Value::Null) => true,
        (Value::Bool(ours), serde_json::Value::Bool(theirs)) => ours == theirs,
        (Value::Int(ours), theirs) => theirs.as_i64() == Some(*ours),
        (Value::Float(ours), theirs) => theirs.as_f64() == Some(*ours),
        (Value::String(ours), serde_json::Value::String(theirs)) => ours == theirs,
        (Value::Array(ours), serde_json::Value::Array(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(a, b)| same(a, b))
        }
        (Value::Object(ours), serde_json::Value::Object(theirs)) => same_object(ours, theirs),
        _ => false,
    }
}
