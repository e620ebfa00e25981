//! A person logs in with a browser.

use exchange_core::http::FetchError;
use exchange_core::login::{
    ErrorClass, Flow, ListenTrouble, LoginError, Notice, Outcome, WhyInteractive,
};
use serde_json::json;

use crate::world::{Tokens, World, answer, get, provider, settings};

#[test]
fn from_nothing_to_a_certificate() {
    let mut world = World::default();
    let outcome = world.run(settings()).unwrap();
    let Outcome::Written(facts) = outcome else { panic!("{outcome:?}") };
    assert_eq!(facts.roles, ["os:reader".into()]);
    assert_eq!(
        world.log,
        [
            "load",
            "fetch openid-configuration",
            "listen",
            "browser",
            "fetch token",
            "save",
            "fetch exchange",
            "write",
            "stop listening",
            "save",
        ]
    );
    let write = &world.writes[0];
    assert!(write.make_current);
    assert_eq!(write.endpoints, ["10.0.0.1", "10.0.0.2"]);
    assert_eq!(write.nodes, None);
    let entry = world.stored().unwrap();
    assert_eq!(entry.refresh_token.unwrap().expose(), b"refresh-1");
    assert_eq!(entry.server.as_deref(), Some("https://exchange.example"));
    assert!(matches!(world.notices[0], Notice::LoginNeeded(WhyInteractive::NoTokens)));
    // The token request repeats the redirect URI and opens the challenge.
    assert_eq!(world.form(0, "redirect_uri"), Some("http://127.0.0.1:8900/callback"));
    assert_eq!(world.form(0, "code_verifier").unwrap().len(), 43);
    assert_eq!(world.form(0, "client_id"), Some("cli"));
}

#[test]
fn the_browser_hears_of_success_only_when_the_file_is_written() {
    let mut world = World::default();
    world.run(settings()).unwrap();
    assert_eq!(world.pages.len(), 1);
    assert!(world.pages[0].2.contains("Login complete"));

    let mut world = World { write_works: false, ..World::default() };
    let error = world.run(settings()).unwrap_err();
    assert_eq!((error.code(), error.class()), ("file.not_writable", ErrorClass::Local));
    assert_eq!(world.pages[0].1, 400);
}

#[test]
fn a_browser_that_does_not_start_is_no_error() {
    let mut world = World { browser_works: false, ..World::default() };
    world.run(settings()).unwrap();
    assert!(world.notices.contains(&Notice::BrowserNotStarted));
}

#[test]
fn nobody_comes_for_five_minutes() {
    let mut world = World { clicks: Vec::new(), ..World::default() };
    let error = world.run(settings()).unwrap_err();
    assert_eq!((error.code(), error.class()), ("login.timed_out", ErrorClass::NotCompleted));
    assert_eq!(world.seconds(), 300);
}

#[test]
fn only_answers_with_another_state_come() {
    let mut world = World {
        clicks: vec![(1, Box::new(|_| get("/callback?code=x&state=old")))],
        ..World::default()
    };
    let error = world.run(settings()).unwrap_err();
    assert_eq!(error.code(), "login.state_mismatch");
    assert!(error.to_string().contains("state mismatch"));
    assert_eq!(world.notices.iter().filter(|n| **n == Notice::StrayAnswer).count(), 1);
}

#[test]
fn the_person_says_no() {
    let denied = |form: &exchange_core::http::form::Form| {
        get(&answer(form)
            .replace("code=code-1", "error=access_denied&error_description=No%1B%5B2J"))
    };
    let mut world = World { clicks: vec![(1, Box::new(denied))], ..World::default() };
    let error = world.run(settings()).unwrap_err();
    assert_eq!((error.code(), error.class()), ("login.access_denied", ErrorClass::NotCompleted));
    assert!(!error.to_string().contains('\u{1b}'));
    assert_eq!(world.pages[0].1, 400);
    assert_eq!(world.count("browser"), 1, "no second try");
}

#[test]
fn a_provider_without_offline_access_is_asked_again_in_the_same_browser() {
    let picky = |form: &exchange_core::http::form::Form| {
        if form.get("scope").unwrap().unwrap().contains("offline_access") {
            get(&answer(form).replace("code=code-1", "error=invalid_scope"))
        } else {
            get(&answer(form))
        }
    };
    let mut world = World { clicks: vec![(1, Box::new(picky))], ..World::default() };
    world.code_grants.push_back(Tokens::Answer(json!({"refresh_token": null})));
    world.run(settings()).unwrap();
    assert_eq!(world.pages[0].1, 303);
    assert_eq!(world.count("browser"), 1);
    assert!(world.notices.contains(&Notice::WithoutOfflineAccess));
    // The next run takes this login as good.
    world.run(settings()).unwrap();
    assert_eq!(world.count("browser"), 1);
}

#[test]
fn the_port_is_taken() {
    let mut world = World { listen: Err(ListenTrouble::InUse), ..World::default() };
    let error = world.run(settings()).unwrap_err();
    assert_eq!(error, LoginError::Listen { port: 8900, why: ListenTrouble::InUse });
    assert_eq!(error.class().exit_code(), 2);
    assert!(error.to_string().starts_with("failed to listen: port 8900 is in use"));
}

#[test]
fn a_slow_outcome_does_not_keep_the_browser_waiting() {
    let mut world = World { token_millis: 20_000, ..World::default() };
    world.run(settings()).unwrap();
    assert_eq!(world.pages.len(), 1);
    let (at, status, page) = &world.pages[0];
    assert_eq!((*at, *status), (2 + 15, 200));
    assert!(page.contains("Almost done") && !page.contains("complete"), "{page}");
}

#[test]
fn tokens_that_are_not_for_this_login_are_refused() {
    for (changes, code) in [
        (json!({"nonce": "other"}), "token.nonce_mismatch"),
        (json!({"nonce": null}), "token.nonce_mismatch"),
        (json!({"aud": "other"}), "token.audience_mismatch"),
        (json!({"iss": "https://evil.example"}), "token.issuer_mismatch"),
        (json!({"exp": 1}), "token.expired"),
        (json!({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}), "token.at_hash_mismatch"),
        (json!({"azp": "other"}), "token.azp_mismatch"),
    ] {
        let mut world = World::default();
        world.code_grants.push_back(Tokens::Claims(changes.clone()));
        let error = world.run(settings()).unwrap_err();
        assert_eq!(error.code(), code, "{changes}");
        assert_eq!(world.stored().map(|_| ()), None, "nothing of it is kept");
        assert!(world.received.is_empty(), "and nothing is sent");
    }
}

#[test]
fn an_answer_without_an_id_token_names_the_scope() {
    let mut world = World::default();
    world.code_grants.push_back(Tokens::Answer(json!({"id_token": null})));
    let error = world.run(settings()).unwrap_err();
    assert_eq!(error.code(), "login.no_id_token");
    assert!(error.to_string().contains("openid"));
}

#[test]
fn refusals_of_the_token_endpoint_are_readable_and_nothing_is_resent() {
    for (status, body, code) in [
        (400, r#"{"error":"invalid_grant","error_description":"used"}"#, "login.provider_error"),
        (401, r#"{"error":"invalid_client"}"#, "login.provider_error"),
        (200, r#"{"error":"unauthorized_client"}"#, "login.provider_error"),
        (307, "", "login.provider_answer"),
        (200, "<html>", "login.provider_answer"),
        (502, "<html>", "login.provider_unavailable"),
        (200, r#"{"access_token":"a","token_type":"mac","id_token":"x"}"#, "login.provider_answer"),
    ] {
        let mut world = World::default();
        world.code_grants.push_back(Tokens::Raw(status, body));
        let error = world.run(settings()).unwrap_err();
        assert_eq!(error.code(), code, "{body}");
        assert_eq!(world.count("fetch token"), 1, "{body}");
    }
}

#[test]
fn metadata_decides_before_a_browser_opens() {
    for (status, body, code) in [
        (
            200,
            json!({"issuer": "https://idp.example/realms/talos/"}).to_string(),
            "discovery.issuer_mismatch",
        ),
        (404, "<html>".into(), "login.provider_answer"),
        (302, String::new(), "login.provider_answer"),
        (503, String::new(), "login.provider_unavailable"),
        (200, json!({"issuer": crate::world::ISSUER}).to_string(), "discovery.endpoint_missing"),
    ] {
        let mut world = World::default();
        world.discovery.push_back(Ok((status, body.clone())));
        let error = world.run(settings()).unwrap_err();
        assert_eq!(error.code(), code, "{body}");
        assert_eq!(world.count("browser"), 0);
    }
    let mut world = World::default();
    world.discovery.push_back(Err(FetchError::Resolve));
    let error = world.run(settings()).unwrap_err();
    assert_eq!(
        (error.code(), error.class()),
        ("login.provider_unreachable", ErrorClass::Unavailable)
    );

    let mut world = World::default();
    world.metadata["require_pushed_authorization_requests"] = json!(true);
    assert_eq!(world.run(settings()), Err(LoginError::PushedRequestsOnly));
}

#[test]
fn nobody_is_there() {
    let mut settings = settings();
    settings.interactive = false;
    let mut world = World::default();
    let error = world.run(settings).unwrap_err();
    assert_eq!(error, LoginError::InteractionRequired(WhyInteractive::NoTokens));
    assert_eq!(world.log, ["load"]);
}

#[test]
fn ctrl_c_while_the_browser_is_open() {
    let mut world = World { clicks: Vec::new(), ..World::default() };
    world.interrupt_after(30);
    assert_eq!(world.run(settings()), Err(LoginError::Interrupted));
    assert_eq!(world.seconds(), 30);
}

#[test]
fn a_chosen_redirect_uri_is_used_as_it_is() {
    let mut settings = settings();
    let Flow::Browser(browser) = &mut provider(&mut settings).flow else { panic!() };
    browser.redirect_uri = Some("https://login.example/back".parse().unwrap());
    let mut world = World {
        clicks: vec![(
            1,
            Box::new(|form| {
                let mut head = get(&answer(form).replace("/callback", "/back"));
                head.headers = Default::default();
                head.headers.push("host", b"login.example");
                head
            }),
        )],
        ..World::default()
    };
    world.run(settings).unwrap();
    assert_eq!(world.form(0, "redirect_uri"), Some("https://login.example/back"));
}
