//! `--watch`: renewal at a share of the life, through failures, sleep and leaps of the clock.

use exchange_core::http::FetchError;
use exchange_core::login::{
    LoginError, LoginSettings, Notice, Outcome, TokenSource, WhyInteractive,
};
use serde_json::json;

use crate::world::{Exchange, ISSUER, START, Tokens, World, settings, token};

fn watch(interactive: bool) -> LoginSettings {
    LoginSettings { watch: true, interactive, ..settings() }
}

fn gaps(world: &World) -> Vec<u64> {
    let times: Vec<u64> = world.received.iter().map(|(at, _)| *at).collect();
    times.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

#[test]
fn renews_between_half_and_four_fifths_of_the_life() {
    let mut world = World::default();
    world.remember(600, Some("refresh-0"));
    world.interrupt_after(86_400);
    assert_eq!(world.run(watch(false)), Ok(Outcome::Stopped));
    let gaps = gaps(&world);
    assert!(gaps.len() > 86_400 / 245, "{}", gaps.len());
    assert!(gaps.iter().all(|gap| (149..=245).contains(gap)), "{gaps:?}");
    let distinct: std::collections::BTreeSet<_> = gaps.iter().collect();
    assert!(distinct.len() > 20, "spread");
    assert_eq!(world.count("browser"), 0);
    // One refresh an hour, as the ID token lives that long, not one a renewal.
    assert!((23..=26).contains(&world.count("fetch token")), "{}", world.count("fetch token"));
}

#[test]
fn only_the_first_certificate_takes_the_current_context() {
    let mut world = World::default();
    world.interrupt_after(1000);
    world.run(watch(true)).unwrap();
    assert!(world.writes.len() > 3);
    let current: Vec<bool> = world.writes.iter().map(|write| write.make_current).collect();
    assert!(current[0] && !current[1..].contains(&true), "{current:?}");

    let mut world = World::default();
    world.remember(600, None);
    world.interrupt_after(100);
    world.run(watch(false)).unwrap();
    assert!(!world.writes[0].make_current, "nobody is there who would have asked for it");
}

#[test]
fn a_fresh_certificate_is_taken_over() {
    let mut world = World::default();
    world.hold_certificate(30, 3600);
    world.remember(10_000, None);
    world.interrupt_after(1700);
    assert_eq!(world.run(watch(false)), Ok(Outcome::Stopped));
    assert_eq!(world.writes.len(), 0);
    let mut world = World { life: 3600, ..World::default() };
    world.hold_certificate(30, 3600);
    world.remember(10_000, None);
    world.interrupt_after(3000);
    world.run(watch(false)).unwrap();
    assert_eq!(world.writes.len(), 1);
    assert!((1770..=2910).contains(&world.received[0].0), "{}", world.received[0].0);
}

#[test]
fn short_lives_do_not_make_a_storm() {
    let mut world = World { life: 1, ..World::default() };
    world.remember(10_000, None);
    world.interrupt_after(100);
    world.run(watch(false)).unwrap();
    assert!(world.received.len() <= 51, "{}", world.received.len());
}

#[test]
fn after_sleep_it_renews_within_a_minute() {
    let mut world = World { life: 36_000, token_life: 400_000, ..World::default() };
    world.remember(400_000, None);
    world.leap_after(1000, 50_000);
    world.interrupt_after(1200);
    world.run(watch(false)).unwrap();
    assert_eq!(world.received.len(), 2);
    assert!((1000..=1061).contains(&world.received[1].0), "{:?}", world.received[1].0);
}

#[test]
fn a_clock_set_back_does_not_stop_renewal() {
    let mut world = World::default();
    world.remember(100_000, None);
    world.leap_after(10, -50_000);
    world.interrupt_after(400);
    world.run(watch(false)).unwrap();
    assert!(world.received.len() >= 2);
    assert!(world.received[1].0 <= 245);
}

#[test]
fn network_trouble_is_waited_out_with_growing_pauses() {
    let mut world = World::default();
    world.remember(100_000, None);
    world.exchanges.push_back(Exchange::Issue(300));
    world.exchanges.extend((0..30).map(|_| Exchange::Net(FetchError::Connect)));
    world.interrupt_after(3600);
    assert_eq!(world.run(watch(true)), Ok(Outcome::Stopped));
    let gaps = gaps(&world);
    let pauses = &gaps[1..30];
    assert!(pauses[0] <= 6 && pauses.iter().all(|pause| *pause <= 61), "{gaps:?}");
    assert!(pauses[20] >= 48, "{gaps:?}");
    let failed = world.notices.iter().filter(|n| matches!(n, Notice::RenewalFailed { .. })).count();
    assert_eq!(failed, 30);
    assert_eq!(world.count("browser"), 0);
    // Afterwards all is as before.
    assert!(gaps.last().unwrap() > &149);
}

#[test]
fn an_attempt_falls_before_the_end_of_the_certificate() {
    let mut world = World::default();
    world.remember(100_000, None);
    world.exchanges.push_back(Exchange::Issue(300));
    world.exchanges.extend((0..30).map(|_| Exchange::Net(FetchError::Connect)));
    world.interrupt_after(900);
    world.run(watch(false)).unwrap();
    assert!(world.received.iter().any(|(at, _)| (290..300).contains(at)), "{:?}", gaps(&world));
}

#[test]
fn the_server_may_ask_for_a_longer_pause() {
    let mut world = World::default();
    world.remember(100_000, None);
    world.exchanges.extend([
        Exchange::Issue(300),
        Exchange::Refuse(429, r#"{"error":"rate limit exceeded"}"#, Some("30")),
    ]);
    world.interrupt_after(400);
    world.run(watch(false)).unwrap();
    assert!((30..=32).contains(&gaps(&world)[1]), "{:?}", gaps(&world));
}

#[test]
fn a_revoked_login_ends_the_watch() {
    let mut world = World::default();
    world.remember(400, Some("refresh-0"));
    world.refreshes.push_back(Tokens::Raw(400, r#"{"error":"invalid_grant"}"#));
    let error = world.run(watch(false)).unwrap_err();
    assert_eq!(error.code(), "login.provider_error");
    assert_eq!(world.store, None);
    assert_eq!(world.count("browser"), 0);
}

#[test]
fn a_revoked_login_asks_the_person_once_and_only_if_there_is_one() {
    let mut world = World { clicks: Vec::new(), ..World::default() };
    world.remember(400, Some("refresh-0"));
    world.refreshes.push_back(Tokens::Raw(400, r#"{"error":"invalid_grant"}"#));
    assert_eq!(world.run(watch(true)), Err(LoginError::TimedOut));
    assert_eq!(world.count("browser"), 1, "not again and again");
}

#[test]
fn provider_trouble_matters_only_when_the_token_has_ended() {
    let mut world = World::default();
    world.remember(1000, Some("refresh-0"));
    world.refreshes.extend((0..10).map(|_| Tokens::Net(FetchError::Resolve)));
    world.interrupt_after(3600);
    assert_eq!(world.run(watch(true)), Ok(Outcome::Stopped));
    assert_eq!(world.count("browser"), 0);
    assert_eq!(world.stored().unwrap().refresh_token.unwrap().expose(), b"refresh-11");
}

#[test]
fn policy_that_says_no_ends_the_watch_with_the_certificate() {
    let mut world = World::default();
    world.remember(100_000, None);
    world.exchanges.push_back(Exchange::Issue(300));
    world
        .exchanges
        .extend((0..100).map(|_| Exchange::Refuse(403, r#"{"error":"no roles assigned"}"#, None)));
    let error = world.run(watch(true)).unwrap_err();
    assert_eq!(error.code(), "server.refused");
    assert!((300..=365).contains(&world.seconds()), "{}", world.seconds());
}

#[test]
fn a_refusal_that_passes_does_not_end_the_watch() {
    let mut world = World::default();
    world.remember(100_000, None);
    world.exchanges.extend([
        Exchange::Issue(300),
        Exchange::Refuse(403, r#"{"error":"IP not allowed"}"#, None),
    ]);
    world.interrupt_after(1000);
    assert_eq!(world.run(watch(false)), Ok(Outcome::Stopped));
}

#[test]
fn the_first_failure_of_all_is_an_error() {
    let mut world = World::default();
    world.remember(100_000, None);
    world.exchanges.push_back(Exchange::Net(FetchError::Connect));
    assert_eq!(world.run(watch(true)), Err(LoginError::ServerUnreachable(FetchError::Connect)));
}

#[test]
fn an_interrupted_refresh_is_stored_first() {
    let mut world = World::default();
    world.remember(-10, Some("refresh-0"));
    // Loading takes 100 ms, metadata 100 ms, the lock 100 ms: at 350 ms the refresh is under way.
    world.interrupt_after_millis(350);
    assert_eq!(world.run(settings()), Err(LoginError::Interrupted));
    assert_eq!(world.stored().unwrap().refresh_token.unwrap().expose(), b"refresh-1");
    assert!(world.received.is_empty());
}

#[test]
fn an_unsaved_rotation_is_not_lost_within_the_run() {
    let mut world = World { save_works: false, token_life: 400, ..World::default() };
    world.remember(-10, Some("refresh-0"));
    world.interrupt_after(2000);
    world.run(watch(false)).unwrap();
    let used: Vec<_> =
        (0..world.forms.len()).filter_map(|n| world.form(n, "refresh_token")).collect();
    assert!(used.len() >= 3, "{used:?}");
    let distinct: std::collections::BTreeSet<_> = used.iter().collect();
    assert_eq!(distinct.len(), used.len(), "each refresh token is used once: {used:?}");
}

#[test]
fn a_login_without_refresh_token_says_so() {
    let mut world = World { token_life: 600, ..World::default() };
    world.code_grants.push_back(Tokens::Answer(json!({"refresh_token": null})));
    world.clicks.truncate(1);
    world.interrupt_after(300);
    world.run(watch(true)).unwrap();
    assert!(world.notices.contains(&Notice::NoRefreshToken));
}

#[test]
fn a_provider_that_is_away_for_a_while_is_not_noticed() {
    let mut world = World { life: 60, token_life: 1000, ..World::default() };
    world.remember(1000, Some("refresh-0"));
    // At 1000 - 300 the watch wants a new token. Away for four minutes, which is less than that.
    world.refreshes.extend((0..5).map(|_| Tokens::Net(FetchError::Connect)));
    world.interrupt_after(1500);
    assert_eq!(world.run(watch(false)), Ok(Outcome::Stopped));
    assert!(gaps(&world).iter().all(|gap| (29..=48).contains(gap)), "{:?}", gaps(&world));
    let put_off = world.notices.iter().filter(|n| matches!(n, Notice::RefreshPutOff(_))).count();
    assert_eq!(put_off, 5);
    assert!(!world.notices.iter().any(|n| matches!(n, Notice::RenewalFailed { .. })));
    assert_eq!(world.stored().unwrap().refresh_token.unwrap().expose(), b"refresh-6");
}

#[test]
fn a_refresh_in_good_time_that_is_refused_for_ever_ends_the_watch() {
    let mut world = World { token_life: 1000, ..World::default() };
    world.remember(1000, Some("refresh-0"));
    world.refreshes.push_back(Tokens::Raw(400, r#"{"error":"invalid_grant"}"#));
    let error = world.run(watch(false)).unwrap_err();
    assert_eq!(error.code(), "login.provider_error");
    assert!((700..=1000).contains(&world.seconds()), "{}", world.seconds());
}

#[test]
fn a_clock_that_is_ahead_for_a_while_does_not_end_the_watch() {
    let mut world = World { token_life: 600, ..World::default() };
    world.true_dates = true;
    world.remember(600, Some("refresh-0"));
    world.leap_after(100, 50_000);
    world.leap_after(400, -50_000);
    world.interrupt_after(1000);
    assert_eq!(world.run(watch(false)), Ok(Outcome::Stopped));
    let failed = world.notices.iter().filter(|n| matches!(n, Notice::RenewalFailed { .. })).count();
    assert!((4..=15).contains(&failed), "{failed}");
    assert!(world.received.iter().any(|(at, _)| (400..=461).contains(at)), "{:?}", world.received);
}

#[test]
fn a_clock_that_is_behind_does_not_let_a_certificate_end() {
    for behind in [30, 240, 7200] {
        let mut world = World { tells_ttl: true, ..World::default() };
        world.true_dates = true;
        world.remember(100_000, None);
        world.leap_after(0, -behind);
        world.interrupt_after(1000);
        world.run(watch(false)).unwrap();
        // Lives of 300 s by the server's clock.
        assert!(
            gaps(&world)[1..].iter().all(|gap| (149..=245).contains(gap)),
            "{:?}",
            gaps(&world)
        );
    }
}

#[test]
fn a_refresh_in_good_time_without_an_id_token_leaves_the_old_one_its_time() {
    let mut world = World { life: 60, token_life: 1000, ..World::default() };
    world.remember(1000, Some("refresh-0"));
    world.refreshes.extend((0..100).map(|_| Tokens::Answer(json!({"id_token": null}))));
    let nobody = LoginError::InteractionRequired(WhyInteractive::NoIdToken);
    assert_eq!(world.run(watch(false)), Err(nobody));
    // Thirty seconds before its end it is worth no more, and then comes the next renewal.
    assert!((970..=1020).contains(&world.seconds()), "{}", world.seconds());
    assert!(world.notices.contains(&Notice::RefreshPutOff(LoginError::NoIdToken)));
}

#[test]
fn a_token_file_that_is_read_half_way_does_not_end_a_watch() {
    let whole =
        token(&json!({"iss": ISSUER, "sub": "ci", "aud": "x", "iat": START, "exp": START + 9000}));
    let settings = LoginSettings { source: TokenSource::Given, ..watch(false) };
    let half: String = whole.chars().take(40).collect();
    let mut world = World { life: 300, given: Ok(whole.clone()), ..World::default() };
    world.givens.extend([Ok(whole.clone()), Ok(half), Ok(whole)]);
    world.interrupt_after(900);
    assert_eq!(world.run(settings), Ok(Outcome::Stopped));
    let failed = world.notices.iter().filter_map(|notice| match notice {
        Notice::RenewalFailed { error, .. } => Some(error.code()),
        _ => None,
    });
    assert_eq!(failed.collect::<Vec<_>>(), ["token.not_three_parts"]);
    assert!(world.received.len() >= 3, "{:?}", gaps(&world));
}
