//! The exchange step by step.

use exchange_core::http::Method;
use exchange_core::jwt::Expectations;
use exchange_core::machine::{Machine, Mono, Now, UnixTime};
use exchange_core::pki::ClientCertificate;
use exchange_core::policy::RateLimit;
use exchange_core::server::Input;
use exchange_core::server::audit::EventType::{
    AccessDenied, AuthFailure, AuthSuccess, CertError, CertIssued, ProviderUnavailable,
    RequestRefused,
};

use exchange_core::types::Ttl;

use crate::world::{EPOCH, ISSUER, Weather, World, claims, drain, server, setup, token};

fn good(now: u64, group: &str) -> String {
    token(1, "k1", &claims(now, "alice", group))
}

#[test]
fn a_good_token_becomes_a_certificate_with_its_roles() {
    let mut world = World::new();
    let id = world.ask(5, &good(EPOCH, "admins"));
    world.run(&mut server(setup()));
    let answer = &world.answers[&id];
    assert_eq!(answer.status, 200, "{:?}", String::from_utf8_lossy(&answer.body));
    assert_eq!(answer.kinds(), [AuthSuccess, CertIssued]);
    let body = answer.json();
    let cert = ClientCertificate::parse(body.get_str("cert").unwrap()).unwrap();
    assert_eq!(cert.roles(), ["os:admin"]);
    assert_eq!(cert.common_name(), Some("alice"));
    assert!(cert.is_client_auth_only());
    cert.matches_key(body.get_str("key").unwrap()).unwrap();
    assert!(cert.is_issued_by(body.get_str("ca").unwrap()));
    assert_eq!(cert.not_after(), UnixTime::from_secs(EPOCH + 300));
    let issued = answer.audit.last().unwrap();
    assert_eq!(issued.serial.as_deref(), Some(cert.serial_hex()));
    assert_eq!(issued.fingerprint.as_deref(), Some(&*cert.fingerprint_sha256()));
}

#[test]
fn each_step_refuses_with_its_own_code_and_event() {
    let alice = claims(EPOCH, "alice", "admins");
    let cases = [
        (good(EPOCH, "guests"), 403, "rbac.no_role", vec![AuthSuccess, AccessDenied]),
        (token(2, "k1", &alice), 401, "token.invalid", vec![AuthFailure]),
        (token(1, "k9", &alice), 401, "token.invalid", vec![AuthFailure]),
        (token(1, "k1", &claims(EPOCH - 400, "a", "x")), 401, "token.expired", vec![AuthFailure]),
        ("a.b".into(), 401, "token.invalid", vec![AuthFailure]),
        (String::new(), 400, "request.token_missing", vec![RequestRefused]),
    ];
    let mut world = World::new();
    let mut ids = Vec::new();
    for (n, (token, ..)) in cases.iter().enumerate() {
        ids.push(world.ask(100 + n as u64, token));
    }
    let get = world.send(200, Method::Get, "/exchange", Vec::new());
    let text = world.send(200, Method::Post, "/exchange", b"id_token=x".to_vec());
    world.run(&mut server(setup()));
    for (id, (_, status, code, kinds)) in ids.iter().zip(&cases) {
        let answer = &world.answers[id];
        assert_eq!((answer.status, &*answer.code(), &answer.kinds()), (*status, *code, kinds));
        assert!(answer.json().get_str("hint").is_some_and(|hint| !hint.is_empty()));
    }
    assert_eq!(
        (world.answers[&get].status, &*world.answers[&get].code()),
        (405, "request.method_not_allowed")
    );
    assert_eq!(
        (world.answers[&text].status, &*world.answers[&text].code()),
        (400, "request.invalid_json")
    );
}

/// D10: an outage is a 503 with a time to come back, and no `auth_failure`.
#[test]
fn d10_a_provider_that_is_down_is_not_a_bad_login() {
    for weather in [Weather::Refused, Weather::Silent, Weather::Html, Weather::WrongIssuer] {
        let mut world = World::new();
        world.weather = weather;
        let id = world.ask(0, &good(EPOCH, "admins"));
        world.run(&mut server(setup()));
        let answer = &world.answers[&id];
        assert_eq!((answer.status, &*answer.code()), (503, "keys.unavailable"), "{weather:?}");
        assert_eq!(answer.kinds(), [ProviderUnavailable]);
        assert!(answer.retry_after.as_ref().is_some_and(|secs| secs.parse::<u64>().unwrap() > 0));
    }
}

/// D9: one discovery and one key fetch, however many ask at once.
#[test]
fn d9_a_thousand_first_requests_cause_two_fetches() {
    let mut world = World::new();
    for _ in 0..1000 {
        world.ask(0, &good(EPOCH, "readers"));
    }
    world.run(&mut server(setup()));
    assert!(world.answers.values().all(|answer| answer.status == 200));
    assert_eq!(world.fetched.len(), 2, "{:?}", world.fetched);
}

/// D9: strangers cannot aim us at the provider with key identifiers of their own.
#[test]
fn d9_unknown_kids_cause_at_most_one_fetch_an_interval() {
    let mut world = World::new();
    for n in 0..2000u64 {
        let token = token(1, &format!("made-up-{n}"), &claims(EPOCH, "m", "admins"));
        world.ask(1000 + n * 10, &token);
    }
    world.run(&mut server(setup()));
    assert!(world.answers.values().all(|answer| answer.status == 401));
    // 20 seconds of flood: the first two fetches, and one for the interval.
    assert!(world.fetched.len() <= 3, "{:?}", world.fetched);
}

/// D9: a new key counts without a restart.
#[test]
fn d9_a_rotation_is_followed_at_once() {
    let mut world = World::new();
    let mut server = server(setup());
    world.ask(0, &good(EPOCH, "admins"));
    world.run(&mut server);
    world.published = vec![("k2".into(), 2)];
    let later = EPOCH + 40;
    let id = world.ask(40_000, &token(2, "k2", &claims(later, "alice", "admins")));
    let old = world.ask(41_000, &token(1, "k1", &claims(later, "alice", "admins")));
    world.run(&mut server);
    assert_eq!(world.answers[&id].status, 200);
    assert_eq!(world.answers[&old].status, 401, "the key was taken back");
}

#[test]
fn keys_outlive_an_outage_but_not_for_ever() {
    let mut world = World::new();
    let mut server = server(setup());
    world.ask(0, &good(EPOCH, "admins"));
    world.run(&mut server);
    world.weather = Weather::Refused;
    let hour = 3_600_000;
    let late = world.ask(20 * hour, &good(EPOCH + 20 * 3600, "admins"));
    world.run(&mut server);
    assert_eq!(world.answers[&late].status, 200);
    let later = world.ask(25 * hour, &good(EPOCH + 25 * 3600, "admins"));
    world.run(&mut server);
    assert_eq!(world.answers[&later].status, 503);
}

#[test]
fn a_signer_that_fails_or_sleeps_is_a_cert_error() {
    for (works, delay) in [(false, 0), (true, 60_000)] {
        let mut world = World::new();
        (world.signer_works, world.sign_delay) = (works, delay);
        let id = world.ask(0, &good(EPOCH, "admins"));
        world.run(&mut server(setup()));
        let answer = &world.answers[&id];
        assert_eq!((answer.status, &*answer.code()), (500, "issue.failed"));
        assert_eq!(answer.kinds(), [AuthSuccess, CertError]);
    }
}

#[test]
fn a_signature_by_another_key_never_leaves() {
    let mut server = server(setup());
    let mut world = World::new();
    world.sign_delay = 1_000_000;
    world.ask(0, &good(EPOCH, "admins"));
    let now = |millis| Now { mono: Mono::from_millis(millis), wall: UnixTime::from_secs(EPOCH) };
    // Everything by hand, up to the order to sign; then a signature that is none of the CA's.
    let mut feed = Vec::new();
    for step in 0..20 {
        use exchange_core::machine::World as _;
        while let Some(output) = server.poll_output() {
            if let exchange_core::server::Output::Sign { effect, .. } = output {
                feed.push(effect);
            } else {
                world.perform(output);
            }
        }
        if let Some(effect) = feed.pop() {
            server.handle(now(step * 30), Input::Signed { effect, result: Ok(vec![7; 64]) });
        } else if let Some(input) = world.wait(Some(Mono::from_millis(step * 30))) {
            server.handle(now(step * 30), input);
        }
    }
    let answer = world.answers.values().next().unwrap();
    assert_eq!((answer.status, answer.kinds()), (500, vec![AuthSuccess, CertError]));
}

#[test]
fn limits_hold_for_addresses_and_subjects() {
    let mut by_address = setup();
    by_address.rate_by_address = Some(RateLimit::new(3, 60_000).unwrap());
    let mut by_subject = setup();
    by_subject.rate_by_subject = Some(RateLimit::new(3, 60_000).unwrap());
    for (setup, same_address) in [(by_address, true), (by_subject, false)] {
        let mut world = World::new();
        world.fetch_delay = 0;
        let mut ids = Vec::new();
        for n in 0..5u64 {
            // Requests 250 apart come from the same address.
            let id = world.ask(1000 + n * 1000, &good(EPOCH, "admins"));
            ids.push(id);
            if same_address {
                for _ in 1..250 {
                    world.send(0, Method::Get, "/healthz", Vec::new());
                }
            }
        }
        world.run(&mut server(setup));
        let statuses: Vec<u16> = ids.iter().map(|id| world.answers[id].status).collect();
        assert_eq!(statuses, [200, 200, 200, 429, 429]);
        // The first of the window leaves 60 s after it came, at 61.0; these ask at 4.0 and 5.0.
        assert_eq!(world.answers[&ids[3]].retry_after.as_deref(), Some("57"));
        assert_eq!(world.answers[&ids[4]].retry_after.as_deref(), Some("56"));
    }
}

#[test]
fn when_outputs_are_drained_changes_nothing() {
    let inputs = |world: &mut World| {
        let mut inputs = Vec::new();
        for n in 0..20u64 {
            world.ask(n, &good(EPOCH, if n % 2 == 0 { "admins" } else { "guests" }));
        }
        use exchange_core::machine::World as _;
        while let Some(input) = world.wait(Some(Mono::from_millis(100))) {
            inputs.push(input);
        }
        inputs
    };
    let now = Now { mono: Mono::from_millis(50), wall: UnixTime::from_secs(EPOCH) };
    let (mut eager, mut lazy) = (server(setup()), server(setup()));
    let mut after_each = drain(&mut eager);
    for input in inputs(&mut World::new()) {
        eager.handle(now, input);
        eager.handle_timeout(now);
        after_each.extend(drain(&mut eager));
    }
    for input in inputs(&mut World::new()) {
        lazy.handle(now, input);
    }
    assert_eq!(after_each, drain(&mut lazy));
}

/// What a request was checked by also judges it, whatever is configured while it waits for keys.
#[test]
fn a_request_that_waits_over_a_reload_is_judged_by_one_configuration() {
    let mut world = World::new();
    world.fetch_delay = 100;
    let before = world.ask(5, &good(EPOCH, "admins"));
    let mut other = setup();
    other.generation = 1;
    other.expect = Expectations::new(ISSUER.parse().unwrap(), "another".parse().unwrap());
    other.ttl = Ttl::from_secs(60).unwrap();
    world.queue_at(20, Input::Reload(Box::new(other)));
    let after = world.ask(30, &good(EPOCH, "admins"));
    world.run(&mut server(setup()));
    let kept = &world.answers[&before];
    assert_eq!(kept.status, 200, "{:?}", String::from_utf8_lossy(&kept.body));
    let cert = ClientCertificate::parse(kept.json().get_str("cert").unwrap()).unwrap();
    assert_eq!(cert.not_after(), UnixTime::from_secs(EPOCH + 300), "the old lifetime");
    let refused = &world.answers[&after];
    assert_eq!((refused.status, refused.kinds()), (401, vec![AuthFailure]), "the new audience");
}

/// As many may wait as the configuration says, for keys as for signatures; the rest hears when to
/// come again and leaves a trace.
#[test]
fn requests_beyond_what_may_wait_are_told_when_to_come_again() {
    for (fetch_delay, sign_delay) in [(500, 0), (1, 500)] {
        let mut world = World::new();
        (world.fetch_delay, world.sign_delay) = (fetch_delay, sign_delay);
        let ids: Vec<u64> = (0..5).map(|_| world.ask(100, &good(EPOCH, "admins"))).collect();
        let mut small = setup();
        small.waiting_max = 3;
        world.run(&mut server(small));
        let refused: Vec<_> =
            ids.iter().map(|id| &world.answers[id]).filter(|answer| answer.status == 503).collect();
        assert_eq!(refused.len(), 2);
        for answer in refused {
            assert_eq!(
                (answer.retry_after.as_deref(), &*answer.code()),
                (Some("1"), "server.overloaded")
            );
            assert!(answer.kinds().contains(&RequestRefused));
        }
    }
}
