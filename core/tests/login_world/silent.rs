//! Logins without a person: cached tokens, refreshing, given tokens.

use exchange_core::http::FetchError;
use exchange_core::login::WhyInteractive;
use exchange_core::login::{ErrorClass, LoginError, Notice, Outcome, StorePolicy, TokenSource};
use serde_json::json;

use crate::world::{Exchange, ISSUER, START, Tokens, World, provider, settings, token};

#[test]
fn a_cached_token_needs_nobody() {
    let mut world = World::default();
    world.remember(600, Some("refresh-0"));
    world.run(settings()).unwrap();
    assert_eq!(world.log, ["load", "fetch exchange", "write", "save"]);
    assert_eq!(world.stored().unwrap().refresh_token.unwrap().expose(), b"refresh-0");
}

#[test]
fn a_fresh_certificate_of_this_server_is_left_alone() {
    let mut world = World::default();
    world.hold_certificate(60, 300);
    world.remember(600, None);
    assert!(matches!(world.run(settings()), Ok(Outcome::StillFresh(_))));
    assert_eq!(world.log, ["load"]);

    // Forced, or of another server, or with the wrong key, or almost over: renewed.
    let mut forced = settings();
    forced.force = true;
    assert!(matches!(world.run(forced), Ok(Outcome::Written(_))));
    let mut world = World::default();
    world.remember(600, None);
    world.hold_certificate(60, 300);
    assert!(matches!(world.run(settings()), Ok(Outcome::Written(_))), "no server in the entry");
    let mut world = World::default();
    world.hold_certificate(220, 300);
    world.remember(600, None);
    assert!(matches!(world.run(settings()), Ok(Outcome::Written(_))), "nearly over");
    let mut world = World::default();
    world.hold_certificate(60, 300);
    world.context.as_mut().unwrap().1 = "no key".into();
    world.remember(600, None);
    assert!(matches!(world.run(settings()), Ok(Outcome::Written(_))), "no key");
}

#[test]
fn tokens_of_another_login_are_not_used() {
    for (name, value) in
        [("issuer", "https://other.example"), ("client_id", "other"), ("scopes", "openid groups")]
    {
        let mut world = World::default();
        world.remember(600, Some("refresh-0"));
        let mut entry: serde_json::Value =
            serde_json::from_str(world.store.as_ref().unwrap()).unwrap();
        entry[name] = value.into();
        world.store = Some(entry.to_string());
        world.run(settings()).unwrap();
        assert_eq!(world.count("browser"), 1, "{name}");
    }
}

#[test]
fn an_ended_token_is_refreshed_under_the_lock_and_stored_first() {
    let mut world = World::default();
    world.remember(10, Some("refresh-0"));
    world.run(settings()).unwrap();
    assert_eq!(
        world.log,
        [
            "load",
            "fetch openid-configuration",
            "lock",
            "fetch token",
            "save",
            "release",
            "fetch exchange",
            "write",
            "save",
        ]
    );
    assert_eq!(world.form(0, "refresh_token"), Some("refresh-0"));
    assert_eq!(world.form(0, "scope"), None);
    assert_eq!(world.stored().unwrap().refresh_token.unwrap().expose(), b"refresh-1");
}

#[test]
fn a_provider_that_does_not_rotate_keeps_its_refresh_token() {
    let mut world = World::default();
    world.remember(-10, Some("refresh-0"));
    world.refreshes.push_back(Tokens::Answer(json!({"refresh_token": null})));
    world.run(settings()).unwrap();
    assert_eq!(world.stored().unwrap().refresh_token.unwrap().expose(), b"refresh-0");
}

#[test]
fn another_process_was_faster() {
    let mut world = World::default();
    world.remember(600, Some("refresh-9"));
    world.rival = world.store.take();
    world.remember(-10, Some("refresh-0"));
    world.run(settings()).unwrap();
    assert_eq!(world.count("fetch token"), 0, "one refresh for both");
    assert_eq!(world.stored().unwrap().refresh_token.unwrap().expose(), b"refresh-9");
}

#[test]
fn another_process_logged_out() {
    let mut world = World::default();
    world.remember(-10, Some("refresh-0"));
    world.rival = Some(String::new());
    let mut quiet = settings();
    quiet.interactive = false;
    let error = world.run(quiet).unwrap_err();
    assert_eq!(error, LoginError::InteractionRequired(WhyInteractive::NoTokens));
    assert_eq!(world.count("fetch token"), 0);
}

#[test]
fn another_process_keeps_the_lock() {
    let mut world = World { lock_busy: true, ..World::default() };
    world.remember(-10, Some("refresh-0"));
    assert_eq!(world.run(settings()), Err(LoginError::Busy));
}

#[test]
fn a_revoked_login_is_forgotten_and_a_person_asked() {
    let mut world = World::default();
    world.remember(-10, Some("refresh-0"));
    world.refreshes.push_back(Tokens::Raw(400, r#"{"error":"invalid_grant"}"#));
    world.run(settings()).unwrap();
    assert_eq!(world.count("forget"), 1);
    assert_eq!(world.count("browser"), 1);
    assert!(world.notices.iter().any(|n| matches!(n, Notice::RefreshRefused(_))));

    let mut world = World::default();
    world.remember(-10, Some("refresh-0"));
    world.refreshes.push_back(Tokens::Raw(400, r#"{"error":"invalid_grant"}"#));
    let mut quiet = settings();
    quiet.interactive = false;
    let error = world.run(quiet).unwrap_err();
    assert_eq!((error.code(), error.class()), ("login.provider_error", ErrorClass::NotCompleted));
    assert_eq!(world.store, None);
}

#[test]
fn other_refusals_leave_the_refresh_token_alone() {
    let mut world = World::default();
    world.remember(-10, Some("refresh-0"));
    world.refreshes.push_back(Tokens::Raw(400, r#"{"error":"invalid_request"}"#));
    let mut quiet = settings();
    quiet.interactive = false;
    world.run(quiet).unwrap_err();
    assert_eq!(world.stored().unwrap().refresh_token.unwrap().expose(), b"refresh-0");
}

#[test]
fn network_trouble_opens_no_browser_and_forgets_nothing() {
    for reply in [
        Tokens::Net(FetchError::Connect),
        Tokens::Raw(503, "<html>"),
        Tokens::Raw(400, r#"{"error":"temporarily_unavailable"}"#),
    ] {
        let mut world = World::default();
        world.remember(-10, Some("refresh-0"));
        world.refreshes.push_back(reply);
        world.run(settings()).unwrap_err();
        assert_eq!(world.count("browser"), 0);
        assert_eq!(world.count("forget"), 0);
        assert_eq!(world.stored().unwrap().refresh_token.unwrap().expose(), b"refresh-0");
    }
}

#[test]
fn a_refresh_without_an_id_token_is_kept_and_a_person_asked_once() {
    let mut world = World::default();
    world.remember(-10, Some("refresh-0"));
    world.refreshes.push_back(Tokens::Answer(json!({"id_token": null})));
    world.run(settings()).unwrap();
    assert_eq!((world.count("fetch token"), world.count("browser")), (2, 1));

    let mut world = World::default();
    world.remember(-10, Some("refresh-0"));
    world.refreshes.push_back(Tokens::Answer(json!({"id_token": null})));
    let mut quiet = settings();
    quiet.interactive = false;
    let nobody = LoginError::InteractionRequired(WhyInteractive::NoIdToken);
    assert_eq!(world.run(quiet), Err(nobody));
    assert_eq!(world.stored().unwrap().refresh_token.unwrap().expose(), b"refresh-1");
}

#[test]
fn a_refresh_for_somebody_else_drops_the_login() {
    let mut world = World::default();
    world.remember(-10, Some("refresh-0"));
    world.refreshes.push_back(Tokens::Claims(json!({"sub": "eve"})));
    assert_eq!(world.run(settings()), Err(LoginError::SubjectChanged));
    assert_eq!(world.store, None);
    assert!(world.received.is_empty());
}

#[test]
fn whose_login_it_is_is_known_also_without_an_id_token() {
    for (sub, is_same) in [("ana", true), ("eve", false)] {
        let mut world = World::default();
        world.remember(-10, Some("refresh-0"));
        world.refreshes.push_back(Tokens::Answer(json!({"id_token": null})));
        let mut quiet = settings();
        quiet.interactive = false;
        world.run(quiet).unwrap_err();
        let stored = world.stored().unwrap();
        assert!(stored.id_token.is_none());
        assert_eq!(stored.subject.as_deref(), Some("ana"));
        world.refreshes.push_back(Tokens::Claims(json!({"sub": sub})));
        let ended = world.run(settings());
        assert_eq!((ended.is_ok(), world.received.len()), (is_same, usize::from(is_same)));
        assert_eq!(ended.err(), (!is_same).then_some(LoginError::SubjectChanged));
        assert_eq!(world.store.is_some(), is_same);
    }
}

#[test]
fn a_401_is_answered_with_one_refresh_then_a_person_then_the_end() {
    let refuse =
        || Exchange::Refuse(401, r#"{"error":"invalid token","code":"token.expired"}"#, None);
    let mut world = World::default();
    world.remember(600, Some("refresh-0"));
    world.exchanges.push_back(refuse());
    world.run(settings()).unwrap();
    assert_eq!((world.count("fetch token"), world.count("browser")), (1, 0));
    assert_ne!(world.received[0].1, world.received[1].1, "not the same token again");

    let mut world = World::default();
    world.remember(600, Some("refresh-0"));
    world.exchanges.extend([refuse(), refuse()]);
    world.run(settings()).unwrap();
    assert_eq!((world.count("fetch token"), world.count("browser")), (2, 1));

    let mut world = World::default();
    world.remember(600, Some("refresh-0"));
    world.exchanges.extend([refuse(), refuse(), refuse()]);
    let error = world.run(settings()).unwrap_err();
    assert_eq!((error.code(), error.class()), ("server.token_refused", ErrorClass::Refused));
    assert_eq!(world.received.len(), 3);

    // Without refresh token and person the useless entry does not stay for the next run.
    let mut world = World::default();
    world.remember(600, None);
    world.exchanges.push_back(refuse());
    let mut quiet = settings();
    quiet.interactive = false;
    assert_eq!(world.run(quiet).unwrap_err().code(), "server.token_refused");
    assert_eq!(world.store, None);
}

#[test]
fn a_store_that_does_not_take_tokens_is_a_warning() {
    let mut world = World { save_works: false, ..World::default() };
    world.run(settings()).unwrap();
    assert!(world.notices.iter().any(|n| matches!(n, Notice::TokensNotStored(_))));
}

#[test]
fn an_ephemeral_login_touches_no_store() {
    let mut world = World::default();
    world.remember(600, Some("refresh-0"));
    let before = world.store.clone();
    let mut ephemeral = settings();
    ephemeral.store = StorePolicy::Ephemeral;
    ephemeral.watch = true;
    world.token_life = 400;
    world.interrupt_after(1200);
    world.run(ephemeral).unwrap();
    assert_eq!(world.store, before);
    assert_eq!(world.count("load") + world.count("save") + world.count("lock"), 0);
    assert!(world.count("fetch token") > 1, "refreshed from memory");
}

#[test]
fn a_given_token_goes_straight_to_the_server() {
    let mut given = settings();
    given.source = TokenSource::Given;
    given.interactive = false;
    let text =
        token(&json!({"iss": ISSUER, "sub": "ci", "aud": "x", "iat": START, "exp": START + 600}));
    let mut world = World { given: Ok(format!("{text}\n")), ..World::default() };
    assert!(matches!(world.run(given), Ok(Outcome::Written(_))));
    assert_eq!(world.log, ["fetch exchange", "write"]);
    assert_eq!(world.received[0].1, text);
    assert!(!world.writes[0].make_current);
}

#[test]
fn a_given_token_that_cannot_work_is_not_sent() {
    let run = |given: Result<String, &str>| {
        let mut settings = settings();
        settings.source = TokenSource::Given;
        let trouble = |text: &str| exchange_core::login::FileTrouble { text: text.into() };
        let mut world = World { given: given.map_err(trouble), ..World::default() };
        let error = world.run(settings).unwrap_err();
        assert!(world.received.is_empty());
        error.code()
    };
    let old = token(&json!({"iss": ISSUER, "sub": "ci", "aud": "x", "iat": START, "exp": START}));
    assert_eq!(run(Ok(old)), "token.expired");
    assert_eq!(run(Ok("not a token".into())), "token.not_three_parts");
    assert_eq!(run(Err("no such file")), "file.not_readable");
}

#[test]
fn plain_http_is_refused_before_anything_happens() {
    let mut plain = settings();
    plain.server = "http://exchange.example".parse().unwrap();
    let mut world = World::default();
    let error = world.run(plain).unwrap_err();
    assert_eq!((error.code(), error.class()), ("config.invalid", ErrorClass::Local));
    assert!(world.log.is_empty());

    let mut plain = settings();
    provider(&mut plain).issuer = "http://idp.example".parse().unwrap();
    assert_eq!(World::default().run(plain).unwrap_err().code(), "discovery.insecure_issuer");
}
