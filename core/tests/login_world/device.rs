//! A code typed on another machine.

use exchange_core::http::FetchError;
use exchange_core::login::{BrowserSettings, ErrorClass, Flow, LoginError, LoginSettings, Notice};
use serde_json::json;

use crate::world::{Tokens, World, provider, settings};

fn device() -> LoginSettings {
    let mut settings = settings();
    provider(&mut settings).flow = Flow::Device;
    settings
}

const PENDING: Tokens = Tokens::Raw(400, r#"{"error":"authorization_pending"}"#);
const SLOW_DOWN: Tokens = Tokens::Raw(400, r#"{"error":"slow_down"}"#);

#[test]
fn the_code_is_shown_and_polled_for() {
    let mut world = World::default();
    world.device_polls.extend([PENDING, Tokens::Raw(428, r#"{"error":"authorization_pending"}"#)]);
    world.run(device()).unwrap();
    assert_eq!(world.count("browser") + world.count("listen"), 0);
    assert!(
        world.notices.iter().any(
            |n| matches!(n, Notice::DeviceCode { user_code, .. } if &**user_code == "WDJB-MJHT")
        )
    );
    assert_eq!(world.form(0, "scope"), Some("openid profile email offline_access"));
    assert_eq!(world.form(1, "device_code"), Some("device-1"));
    // Three polls, five seconds between.
    assert_eq!(world.count("fetch token"), 3);
    assert_eq!(world.received[0].0, 15);
}

#[test]
fn slow_down_three_times_makes_twenty_seconds() {
    let mut world = World::default();
    world.device_polls.extend([SLOW_DOWN, SLOW_DOWN, SLOW_DOWN, PENDING]);
    world.run(device()).unwrap();
    // 5, then 10, 15, 20, and 20 again.
    assert_eq!(world.received[0].0, 5 + 10 + 15 + 20 + 20);
}

#[test]
fn a_lost_answer_is_not_the_end() {
    let mut world = World::default();
    world.device_polls.extend([
        Tokens::Net(FetchError::Timeout),
        Tokens::Raw(502, "<html>"),
        PENDING,
    ]);
    world.run(device()).unwrap();
    assert_eq!(world.received[0].0, 5 + 10 + 20 + 5);
}

#[test]
fn refusals_stop_the_polling() {
    for (error, code) in [
        (r#"{"error":"access_denied"}"#, "login.access_denied"),
        (r#"{"error":"expired_token"}"#, "login.timed_out"),
        (r#"{"error":"invalid_grant"}"#, "login.provider_error"),
        (r#"{"error":"unauthorized_client"}"#, "login.provider_error"),
    ] {
        let mut world = World::default();
        world.device_polls.push_back(Tokens::Raw(400, error));
        let error = world.run(device()).unwrap_err();
        assert_eq!((error.code(), error.class()), (code, ErrorClass::NotCompleted));
        assert_eq!(world.count("fetch token"), 1);
    }
}

#[test]
fn the_life_of_the_code_is_the_limit() {
    let mut world = World::default();
    world.device_polls.extend((0..1000).map(|_| PENDING));
    assert_eq!(world.run(device()), Err(LoginError::TimedOut));
    assert_eq!(world.seconds(), 900, "longer than the five minutes of a browser");
    let mut world = World::default();
    world.device_answer["expires_in"] = json!(1_000_000);
    world.device_polls.extend((0..1000).map(|_| PENDING));
    assert_eq!(world.run(device()), Err(LoginError::TimedOut));
    assert_eq!(world.seconds(), 1800);
}

#[test]
fn a_page_that_is_no_page_is_not_shown() {
    for page in ["javascript:alert(1)", "file:///etc/passwd", "https://a.example/\u{1b}[2J"] {
        let mut world = World::default();
        world.device_answer["verification_uri"] = json!(page);
        assert_eq!(world.run(device()).unwrap_err().code(), "login.provider_answer", "{page}");
    }
}

#[test]
fn the_flow_must_be_offered() {
    let mut world = World::default();
    world.metadata.as_object_mut().unwrap().remove("device_authorization_endpoint");
    assert_eq!(world.run(device()).unwrap_err().code(), "discovery.endpoint_missing");
}

#[test]
fn without_a_browser_the_code_comes_first_where_it_can() {
    let device_or = || {
        let mut settings = settings();
        let browser = BrowserSettings { open_browser: false, ..BrowserSettings::default() };
        provider(&mut settings).flow = Flow::DeviceOr(browser);
        settings
    };
    let mut world = World::default();
    world.run(device_or()).unwrap();
    assert_eq!((world.count("listen"), world.form(1, "device_code")), (0, Some("device-1")));
    let mut world = World::default();
    world.metadata.as_object_mut().unwrap().remove("device_authorization_endpoint");
    world.run(device_or()).unwrap();
    assert_eq!((world.count("listen"), world.count("fetch device")), (1, 0));
    // Offered, but not to this client.
    let mut world = World::default();
    world.device_answer["error"] = json!("unauthorized_client");
    world.run(device_or()).unwrap();
    assert_eq!((world.count("listen"), world.count("fetch device")), (1, 1));
}

#[test]
fn a_provider_without_offline_access_is_asked_again() {
    let mut world = World::default();
    world.device_answer["error"] = json!("invalid_scope");
    world.run(device()).unwrap();
    assert_eq!(world.form(1, "scope"), Some("openid profile email"));
}

#[test]
fn ctrl_c_while_waiting() {
    let mut world = World::default();
    world.device_polls.extend((0..1000).map(|_| PENDING));
    world.interrupt_after(62);
    assert_eq!(world.run(device()), Err(LoginError::Interrupted));
    assert_eq!(world.seconds(), 62);
}
