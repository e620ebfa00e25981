//! What the exchange server may answer, old ones included.

use exchange_core::http::FetchError;
use exchange_core::login::{ErrorClass, Outcome};
use serde_json::json;

use crate::world::{Exchange, World, issue, settings};

fn run(exchange: Exchange) -> (World, Result<Outcome, exchange_core::login::LoginError>) {
    let mut world = World::default();
    world.remember(600, None);
    world.exchanges.push_back(exchange);
    let mut settings = settings();
    settings.interactive = false;
    let outcome = world.run(settings);
    (world, outcome)
}

#[test]
fn refusals_have_a_class_and_the_words_of_the_server() {
    for (status, body, code, class) in [
        (
            403,
            r#"{"error": "no roles assigned", "code": "rbac.no_role"}"#,
            "server.refused",
            ErrorClass::Refused,
        ),
        (403, r#"{"error": "IP not allowed"}"#, "server.refused", ErrorClass::Refused),
        (
            401,
            r#"{"error": "invalid token: some long story"}"#,
            "server.token_refused",
            ErrorClass::Refused,
        ),
        (429, r#"{"error": "rate limit exceeded"}"#, "server.rate_limited", ErrorClass::Refused),
        (
            500,
            r#"{"error": "failed to generate certificate"}"#,
            "server.unavailable",
            ErrorClass::Unavailable,
        ),
        (503, "<html>", "server.unavailable", ErrorClass::Unavailable),
        (404, "404 page not found", "server.unexpected_status", ErrorClass::Unavailable),
        (302, "", "server.unexpected_status", ErrorClass::Unavailable),
    ] {
        let (_, outcome) = run(Exchange::Refuse(status, body, Some("7")));
        let error = outcome.unwrap_err();
        assert_eq!((error.code(), error.class()), (code, class), "{status} {body}");
        let text = error.to_string();
        assert!(text.contains(&status.to_string()), "{text}");
        if let Some(words) = serde_json::from_str::<serde_json::Value>(body)
            .ok()
            .and_then(|v| v["error"].as_str().map(str::to_owned))
        {
            assert!(text.contains(&words), "{text}");
        }
    }
    let (_, outcome) = run(Exchange::Refuse(403, r#"{"error":"\u001b[2Jpwned\nline"}"#, None));
    assert!(!outcome.unwrap_err().to_string().chars().any(char::is_control));
    let (_, outcome) = run(Exchange::Net(FetchError::UntrustedCertificate));
    assert_eq!(outcome.unwrap_err().code(), "server.unreachable");
}

#[test]
fn only_a_whole_answer_is_written() {
    let now = crate::world::START;
    let expired = issue(now - 600, 300);
    for (changes, code) in [
        (json!({"ca": ""}), "server.answer"),
        (json!({"ca": "no certificate"}), "server.answer"),
        (json!({"cert": null}), "server.answer"),
        (json!({"key": 1}), "server.answer"),
        (json!({"cert": "no certificate"}), "pki.no_pem"),
        (json!({"key": "no key"}), "pki.no_pem"),
        (json!({"cert": expired.1, "key": expired.2}), "pki.certificate_expired"),
        (json!({"cert": expired.1}), "pki.key_mismatch"),
        (json!({"endpoints": ["a b"]}), "server.answer"),
        (json!({"endpoints": "10.0.0.1"}), "server.answer"),
        (json!({"nodes": [1]}), "server.answer"),
    ] {
        let (world, outcome) = run(Exchange::Answer(changes.clone()));
        assert_eq!(outcome.unwrap_err().code(), code, "{changes}");
        assert!(world.writes.is_empty(), "{changes}");
    }
}

#[test]
fn the_key_must_be_that_of_the_certificate() {
    let other = std::fs::read_to_string(
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors/cert/ca/ed25519.key"),
    )
    .unwrap();
    let (world, outcome) = run(Exchange::Answer(json!({"key": other})));
    assert_eq!(outcome.unwrap_err().code(), "pki.key_mismatch");
    assert!(world.writes.is_empty());
}

#[test]
fn answers_of_other_versions_are_read() {
    for changes in [
        json!({"ttl_seconds": null}),
        json!({"endpoints": null}),
        json!({"endpoints": []}),
        json!({"new_member": {"a": [1, 2]}}),
    ] {
        let (_, outcome) = run(Exchange::Answer(changes.clone()));
        assert!(outcome.is_ok(), "{changes}");
    }
    let (world, outcome) = run(Exchange::Old);
    assert!(outcome.is_ok());
    assert!(world.writes[0].key.expose().starts_with(b"-----BEGIN ED25519 PRIVATE KEY-----"));
    let (world, outcome) = run(Exchange::Answer(json!({"nodes": ["10.0.0.5"]})));
    assert!(outcome.is_ok());
    assert_eq!(world.writes[0].nodes.as_deref(), Some(&["10.0.0.5".to_owned()][..]));
}

#[test]
fn each_certificate_has_a_key_of_its_own_that_stays_here() {
    let mut world = World::default();
    world.remember(100_000, None);
    world.interrupt_after(600);
    let settings = exchange_core::login::LoginSettings { watch: true, ..settings() };
    world.run(settings).unwrap();
    let keys: Vec<&[u8]> = world.writes.iter().map(|write| write.key.expose()).collect();
    assert!(keys.len() >= 2);
    assert!(keys.windows(2).all(|pair| pair[0] != pair[1]));
    for body in &world.exchanged {
        assert!(!body.contains("PRIVATE KEY"));
    }
}

#[test]
fn slashes_behind_the_server_do_not_matter_but_a_query_does() {
    use exchange_core::login::exchange::exchange_url;
    let url = |text: &str| exchange_url(&text.parse().unwrap()).map(|url| url.to_string());
    assert_eq!(url("https://a.example").as_deref(), Some("https://a.example/exchange"));
    assert_eq!(url("https://a.example//").as_deref(), Some("https://a.example/exchange"));
    assert_eq!(url("https://a.example/x/").as_deref(), Some("https://a.example/x/exchange"));
    assert_eq!(url("https://a.example/?x"), None);
}
