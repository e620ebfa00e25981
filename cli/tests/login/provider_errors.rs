//! Every way in which a provider can say no, and every answer of it that is not to be believed
//! (RFC 6749 sections 4.1.2.1 and 5.2, RFC 8628 section 3.5, OpenID Connect Core 3.1.2.6; attacks
//! 120, 121, 125 and 126).

use serde_json::json;

use crate::machine::{Ended, Home};
use crate::stub::Stub;

/// Said by the name the provider used, with a next step, in one line.
fn says(ended: &Ended, error: &str) {
    let passes = ["server_error", "temporarily_unavailable"].contains(&error);
    assert_eq!(ended.code, Some(if passes { 4 } else { 5 }), "{error}: {ended:?}");
    assert_eq!(ended.err.contains("[login.provider_unavailable]"), passes, "{ended:?}");
    let last = ended.err.lines().last().unwrap();
    assert!(last.starts_with("Error: "), "{error}: {last}");
    let (_, step) = last.split_once(&format!("the provider answered `{error}`")).unwrap();
    let (_, step) = step.split_once(": ").unwrap();
    let (step, code) = step.rsplit_once(" [").unwrap();
    assert!(step.len() > 20, "{error}: no next step in {last}");
    assert!(code.starts_with("login."), "{last}");
}

#[test]
fn every_error_of_the_authorization_endpoint() {
    for error in [
        "invalid_request",
        "unauthorized_client",
        "access_denied",
        "unsupported_response_type",
        "invalid_scope",
        "server_error",
        "temporarily_unavailable",
        "interaction_required",
        "login_required",
        "account_selection_required",
        "consent_required",
        "invalid_request_uri",
        "invalid_request_object",
        "request_not_supported",
        "request_uri_not_supported",
        "registration_not_supported",
        "invalid_target",
        "something_of_its_own",
    ] {
        let (home, stub) = (Home::new(), Stub::start());
        stub.state().denies = Some(error);
        says(&home.log_in(&stub, &[]), error);
        assert!(!home.talosconfig().exists());
    }
}

#[test]
fn every_error_of_the_token_endpoint() {
    for error in [
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
        "server_error",
        "temporarily_unavailable",
        "something_of_its_own",
    ] {
        let (home, stub) = (Home::new(), Stub::start());
        let status = if error == "invalid_client" { 401 } else { 400 };
        let body = json!({"error": error, "error_description": "why\u{1b}[2J not"}).to_string();
        stub.state().instead.insert("/token", (status, String::new(), body));
        let ended = home.log_in(&stub, &[]);
        says(&ended, error);
        assert!(ended.err.contains("why [2J not"), "{ended:?}");
    }
}

#[test]
fn every_error_of_a_device_login() {
    for error in ["access_denied", "expired_token", "invalid_grant", "invalid_client"] {
        let (home, stub) = (Home::new(), Stub::start());
        let mut state = stub.state();
        state.device_polls = Some(0);
        let body = json!({ "error": error }).to_string();
        state.instead.insert("/token", (400, String::new(), body));
        drop(state);
        let ended = home.log_in(&stub, &["--device-code"]);
        says(&ended, error);
        if error == "expired_token" {
            assert!(ended.err.contains("[login.timed_out]"), "{ended:?}");
        }
    }
}

/// 120, 121: nothing of it is followed, stored or exchanged.
#[test]
fn answers_of_the_token_endpoint_that_are_none() {
    let good = json!({"token_type": "Bearer", "access_token": "a-token-for-nobody-at-all"});
    let with = |name: &str, value: serde_json::Value| {
        let mut answer = good.clone();
        answer[name] = value;
        answer.to_string()
    };
    let cases = [
        (307, "location: http://127.0.0.1:9/token\r\n", String::new(), 4),
        (302, "location: /token2\r\n", String::new(), 4),
        (200, "", json!({"error": "invalid_grant"}).to_string(), 5),
        (200, "", "<html>no</html>".to_owned(), 4),
        (200, "", with("id_token", "a.b.c".into()), 5),
        (200, "", with("token_type", "mac".into()), 4),
        (200, "", good.to_string(), 5),
        (503, "", String::new(), 4),
    ];
    for (status, headers, body, code) in cases {
        let (home, stub) = (Home::new(), Stub::start());
        stub.state().instead.insert("/token", (status, headers.to_owned(), body.clone()));
        let ended = home.log_in(&stub, &[]);
        assert_eq!(ended.code, Some(code), "{status} {headers}{body}: {ended:?}");
        assert_eq!(stub.count("/token"), 1, "sent once: {body}");
        assert_eq!(stub.count("exchange"), 0, "{body}");
        assert!(!home.talosconfig().exists() && !ended.err.contains("a-token-for"), "{ended:?}");
        assert!(!home.tokens().exists(), "{body}");
    }
    // A token of this provider and this client that nobody asked for: it has no nonce.
    let (home, stub) = (Home::new(), Stub::start());
    let answer = with("id_token", stub.id_token().into());
    stub.state().instead.insert("/token", (200, String::new(), answer));
    let ended = home.log_in(&stub, &[]);
    assert_eq!(ended.code, Some(5), "{ended:?}");
    assert!(ended.err.contains("nonce"), "{ended:?}");
    assert_eq!(stub.count("exchange"), 0);
}

/// 126: addresses that no browser may be sent to.
#[test]
fn addresses_that_are_not_of_the_web_are_not_opened() {
    for address in ["javascript:alert(1)", "file:///etc/passwd", "https://a.test/\u{1b}[2J", "x"] {
        let (home, stub) = (Home::new(), Stub::start());
        stub.state().metadata.extend([("authorization_endpoint".to_owned(), address.into())]);
        let ended = home.log_in(&stub, &["--browser-command", "touch opened"]);
        assert!(matches!(ended.code, Some(4)), "{address}: {ended:?}");
        assert!(!ended.err.contains('\u{1b}') && !home.file("opened").exists(), "{ended:?}");

        let (home, stub) = (Home::new(), Stub::start());
        let mut state = stub.state();
        state.device_polls = Some(0);
        let grant = json!({
            "device_code": "d", "user_code": "x\u{1b}[2J", "verification_uri": address,
            "expires_in": 60, "interval": 1,
        });
        state.instead.insert("/device", (200, String::new(), grant.to_string()));
        drop(state);
        let ended = home.log_in(&stub, &["--device-code"]);
        assert!(matches!(ended.code, Some(4)), "{address}: {ended:?}");
        assert!(!ended.err.contains('\u{1b}') && !ended.err.contains("alert"), "{ended:?}");
    }
}
