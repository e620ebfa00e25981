use super::*;
use alloc::format;
use alloc::string::ToString;
use proptest::prelude::*;

const WALL: u64 = 1_800_000_000;
const ED: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const DOCUMENT: &str = r#"{"issuer":"https://idp.example","jwks_uri":"https://idp.example/jwks"}"#;

fn at(secs: u64) -> Now {
    Now { mono: Mono::from_millis(secs * 1000), wall: UnixTime::from_secs(WALL + secs) }
}

fn cache() -> KeyCache {
    KeyCache::new("https://idp.example".parse().unwrap(), KeyCacheConfig::default()).unwrap()
}

fn reply(body: &str, cache_control: &str) -> Result<FetchReply, FetchError> {
    let mut headers = Headers::default();
    if !cache_control.is_empty() {
        headers.push("Cache-Control", cache_control.as_bytes());
    }
    Ok(FetchReply { status: 200, headers, body: Zeroizing::new(body.as_bytes().to_vec()) })
}

fn status(status: u16) -> Result<FetchReply, FetchError> {
    Ok(FetchReply { status, ..reply("", "").unwrap() })
}

fn set(kids: &[&str]) -> String {
    let keys: Vec<_> = kids
        .iter()
        .map(|kid| format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{ED}","kid":"{kid}"}}"#))
        .collect();
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
}

fn look(cache: &mut KeyCache, secs: u64, kid: &str) -> String {
    match cache.lookup(at(secs), Alg::EdDsa, Some(&kid.parse().unwrap())) {
        Lookup::Found(_) => "found".to_string(),
        Lookup::Wait => "wait".to_string(),
        Lookup::Refused(error) => error.code().to_string(),
        Lookup::Unavailable { retry_after_secs } => format!("unavailable {retry_after_secs}"),
    }
}

/// Where the next order goes, as `discovery` or `keys`.
fn order(cache: &mut KeyCache, secs: u64) -> &'static str {
    match cache.poll_fetch(at(secs)).map(|order| order.url.to_string()) {
        None => "none",
        Some(url) if url == "https://idp.example/jwks" => "keys",
        Some(url) if url == "https://idp.example/.well-known/openid-configuration" => "discovery",
        Some(url) => panic!("{url}"),
    }
}

/// A cache that fetched these keys at second `secs`.
fn filled(secs: u64, kids: &[&str], cache_control: &str) -> KeyCache {
    let mut cache = cache();
    assert_eq!(order(&mut cache, secs), "discovery");
    assert_eq!(cache.fetched(at(secs), reply(DOCUMENT, "")), Fetched::Discovered);
    assert_eq!(order(&mut cache, secs), "keys");
    let outcome = cache.fetched(at(secs), reply(&set(kids), cache_control));
    assert_eq!(outcome, Fetched::Keys { changed: true });
    cache
}

#[test]
fn first_fetch_is_ordered_once_and_awaited() {
    let mut cache = cache();
    assert_eq!(cache.poll_timeout(), Some(Mono::default()));
    assert_eq!(look(&mut cache, 0, "a"), "wait");
    assert_eq!(order(&mut cache, 0), "discovery");
    assert_eq!((order(&mut cache, 0), cache.poll_timeout()), ("none", None));
    assert_eq!(look(&mut cache, 1, "a"), "wait");
    assert_eq!(cache.fetched(at(1), reply(DOCUMENT, "")), Fetched::Discovered);
    assert_eq!(look(&mut cache, 1, "a"), "wait");
    assert_eq!((order(&mut cache, 1), order(&mut cache, 1)), ("keys", "none"));
    assert_eq!(cache.fetched(at(2), reply(&set(&["a"]), "")), Fetched::Keys { changed: true });
    assert_eq!(look(&mut cache, 2, "a"), "found");
    assert_eq!(cache.fetched(at(2), reply(&set(&["b"]), "")), Fetched::Ignored);
    assert_eq!(order(&mut cache, 2), "none");
    let status = cache.status(at(5));
    assert!(status.usable && !status.stale);
    assert_eq!((status.keys, status.age_secs, status.fetches_ok), (1, Some(3), 1));
}

#[test]
fn orders_are_bounded() {
    let mut cache = cache();
    let order = cache.poll_fetch(at(0)).unwrap();
    assert_eq!((order.body_bytes_max, order.timeout_millis), (256 * 1024, 10_000));
    assert!(order.post.is_none() && order.trust == Trust::Provider);
    cache.fetched(at(0), reply(DOCUMENT, ""));
    assert_eq!(cache.poll_fetch(at(0)).unwrap().body_bytes_max, 1024 * 1024);
}

#[test]
fn keys_are_renewed_in_the_background() {
    for (cache_control, ttl) in [
        ("", 300),
        ("max-age=600, must-revalidate", 600),
        ("public, Max-Age=\"120\"", 120),
        ("max-age=1", 60),
        ("max-age=86400", 3600),
        ("max-age=99999999999999999999999", 3600),
        ("max-age=-5", 300),
        ("max-age=", 300),
        ("no-store", 60),
        ("s-maxage=7", 300),
    ] {
        let mut cache = filled(0, &["a"], cache_control);
        assert_eq!(cache.poll_timeout(), Some(Mono::from_millis(ttl * 1000)), "{cache_control}");
        assert_eq!(order(&mut cache, ttl - 1), "none");
        assert_eq!(look(&mut cache, ttl, "a"), "found");
        assert_eq!(order(&mut cache, ttl), "keys");
        assert_eq!(look(&mut cache, ttl, "a"), "found");
        let outcome = cache.fetched(at(ttl), reply(&set(&["a"]), cache_control));
        assert_eq!(outcome, Fetched::Keys { changed: false });
    }
}

#[test]
fn a_new_key_is_fetched_once_for_many_tokens() {
    let mut cache = filled(0, &["a"], "");
    for _ in 0..1000 {
        assert_eq!(look(&mut cache, 40, "b"), "wait");
    }
    assert_eq!((order(&mut cache, 40), order(&mut cache, 40)), ("keys", "none"));
    assert_eq!(look(&mut cache, 40, "a"), "found");
    assert_eq!(look(&mut cache, 41, "b"), "wait");
    cache.fetched(at(41), reply(&set(&["b"]), ""));
    assert_eq!(look(&mut cache, 41, "b"), "found");
    // The rotation took the old key away, and its tokens with it.
    assert_eq!(look(&mut cache, 41, "a"), "token.unknown_key");
}

#[test]
fn a_key_that_changes_right_after_a_scheduled_fetch_is_fetched() {
    let mut cache = filled(0, &["a"], "");
    assert_eq!(look(&mut cache, 2, "b"), "wait");
    assert_eq!(order(&mut cache, 2), "keys");
    cache.fetched(at(2), reply(&set(&["b"]), ""));
    assert_eq!(look(&mut cache, 2, "b"), "found");
    assert_eq!(look(&mut cache, 20, "c"), "token.unknown_key");
    assert_eq!(look(&mut cache, 32, "c"), "wait");
}

#[test]
fn a_flood_of_unknown_keys_is_paced() {
    let mut cache = filled(0, &["a"], "max-age=3600");
    let mut fetches = Vec::new();
    for secs in 0..300 {
        for i in 0..10 {
            let outcome = look(&mut cache, secs, &format!("junk-{secs}-{i}"));
            assert!(matches!(outcome.as_str(), "wait" | "token.unknown_key"), "{outcome}");
        }
        if order(&mut cache, secs) == "keys" {
            fetches.push(secs);
            cache.fetched(at(secs), reply(&set(&["a"]), "max-age=3600"));
        }
        assert!(cache.unknown.len() <= 256);
    }
    assert_eq!(fetches, [0, 30, 60, 90, 120, 150, 180, 210, 240, 270]);
}

#[test]
fn the_same_junk_asks_once_in_two_minutes() {
    let mut cache = filled(0, &["a"], "max-age=3600");
    let mut fetches = Vec::new();
    for secs in 0..320 {
        look(&mut cache, secs, "junk");
        if order(&mut cache, secs) == "keys" {
            fetches.push(secs);
            cache.fetched(at(secs), reply(&set(&["a"]), "max-age=3600"));
        }
        assert_ne!(look(&mut cache, secs, "junk"), "wait");
    }
    assert_eq!(fetches, [0, 120, 240]);
}

#[test]
fn many_unknown_kids_are_forgotten_in_order() {
    let mut cache = filled(0, &["a"], "max-age=3600");
    for i in 0..1000 {
        assert_eq!(look(&mut cache, 40, &format!("junk-{i}")), "wait");
    }
    assert_eq!(cache.unknown.len(), 256);
}

#[test]
fn attempts_back_off_and_tell_when_to_come_again() {
    let mut cache = cache();
    let mut secs = 0;
    for pause in [1, 2, 4, 8, 16, 30, 30, 30] {
        assert_eq!(look(&mut cache, secs, "a"), "wait");
        assert_eq!(order(&mut cache, secs), "discovery");
        let error = KeysError::DiscoveryFetch(FetchError::Connect);
        let outcome = cache.fetched(at(secs), Err(FetchError::Connect));
        assert_eq!(outcome, Fetched::Failed(error));
        assert_eq!(look(&mut cache, secs, "a"), format!("unavailable {pause}"));
        assert_eq!(order(&mut cache, secs), "none");
        assert_eq!(cache.poll_timeout(), Some(at(secs + pause).mono));
        secs += pause;
    }
    let status = cache.status(at(secs));
    assert_eq!((status.usable, status.last_error), (false, Some("fetch.connect")));
    assert_eq!((status.fetches_ok, status.fetches_failed), (0, 8));
}

#[test]
fn bad_answers_keep_the_old_keys() {
    let private = format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","x":"{ED}","d":"x"}}]}}"#);
    for (answer, code) in [
        (status(500), "jwks.status"),
        (status(302), "jwks.status"),
        (reply("<html>", ""), "jwks.not_json"),
        (reply("", ""), "jwks.not_json"),
        (reply(r#"{"keys":null}"#, ""), "jwks.no_keys"),
        (reply(r#"{"keys":[]}"#, ""), "jwks.no_usable_keys"),
        (reply(&private, ""), "jwks.no_usable_keys"),
        (Err(FetchError::TooLarge), "fetch.too_large"),
    ] {
        let mut cache = filled(0, &["a"], "");
        assert_eq!(order(&mut cache, 300), "keys");
        let Fetched::Failed(error) = cache.fetched(at(301), answer) else { panic!("{code}") };
        assert_eq!(error.code(), code);
        assert_eq!(look(&mut cache, 301, "a"), "found");
        // A token with a new key cannot be judged while the provider fails.
        assert_eq!(look(&mut cache, 301, "b"), "unavailable 1");
        assert!(cache.status(at(301)).stale);
        // The key set may have moved.
        assert_eq!((order(&mut cache, 301), order(&mut cache, 302)), ("none", "discovery"));
        cache.fetched(at(302), reply(DOCUMENT, ""));
        assert_eq!(order(&mut cache, 302), "keys");
        cache.fetched(at(302), reply(&set(&["b"]), ""));
        assert_eq!(
            (look(&mut cache, 302, "b"), cache.status(at(302)).last_error),
            ("found".into(), None)
        );
    }
}

#[test]
fn metadata_that_fails_does_not_stand_before_keys_that_do_not() {
    let mut cache = filled(0, &["a"], "");
    cache.poll_fetch(at(300)).unwrap();
    cache.fetched(at(300), status(503));
    assert_eq!(order(&mut cache, 301), "discovery");
    cache.fetched(at(301), status(503));
    assert_eq!(order(&mut cache, 303), "keys");
    cache.fetched(at(303), reply(&set(&["a"]), ""));
    assert_eq!(cache.status(at(303)).age_secs, Some(0));
}

#[test]
fn bad_metadata_fails_the_attempt() {
    for (answer, code) in [
        (status(404), "discovery.status"),
        (reply("<html>", ""), "discovery.not_json"),
        (reply(&DOCUMENT.replace("example\"", "example/\""), ""), "discovery.issuer_mismatch"),
        (reply(r#"{"issuer":"https://idp.example"}"#, ""), "discovery.endpoint_missing"),
        (
            reply(
                &DOCUMENT.replace(":\"https://idp.example/jwks", ":\"http://idp.example/jwks"),
                "",
            ),
            "discovery.endpoint_insecure",
        ),
    ] {
        let mut cache = cache();
        order(&mut cache, 0);
        let Fetched::Failed(error) = cache.fetched(at(0), answer) else { panic!("{code}") };
        assert_eq!(error.code(), code);
        assert_eq!(look(&mut cache, 0, "a"), "unavailable 1");
    }
}

#[test]
fn metadata_is_renewed_daily() {
    let mut cache = filled(0, &["a"], "");
    let day = 24 * 3600;
    assert_eq!(order(&mut cache, day - 400), "keys");
    cache.fetched(at(day - 400), reply(&set(&["a"]), ""));
    assert_eq!(order(&mut cache, day), "discovery");
}

#[test]
fn keys_are_believed_up_to_the_hard_limit() {
    let mut cache = filled(0, &["a"], "");
    let limit = 24 * 3600;
    assert!(cache.poll_fetch(at(limit)).is_some());
    cache.fetched(at(limit), Err(FetchError::Timeout));
    assert_eq!(look(&mut cache, limit, "a"), "found");
    cache.handle_timeout(at(limit));
    assert!(cache.key_set().is_some());
    assert_eq!(look(&mut cache, limit + 1, "a"), "wait");
    cache.handle_timeout(at(limit + 1));
    assert!(cache.key_set().is_none() && !cache.status(at(limit + 1)).usable);
    assert!(cache.poll_fetch(at(limit + 1)).is_some());
    cache.fetched(at(limit + 1), Err(FetchError::Timeout));
    assert_eq!(look(&mut cache, limit + 1, "a"), "unavailable 2");
}

#[test]
fn saved_keys_survive_a_restart() {
    let saved = filled(0, &["a"], "").export().unwrap();
    let mut fresh = cache();
    assert_eq!(fresh.import(at(100), &saved), Ok(()));
    assert_eq!(look(&mut fresh, 100, "a"), "found");
    assert_eq!(fresh.status(at(110)).age_secs, Some(110));
    // They are old: asked anew at once, unknown keys wait for that.
    assert_eq!(look(&mut fresh, 100, "b"), "wait");
    assert_eq!(fresh.poll_timeout(), Some(Mono::default()));
    assert_eq!(order(&mut fresh, 100), "discovery");
    assert_eq!(fresh.import(at(100), &saved), Err(ImportError::HaveKeys));
    assert_eq!(fresh.export().unwrap(), saved);

    let import = |secs, bytes: &[u8]| cache().import(at(secs), bytes);
    assert_eq!(import(24 * 3600, &saved), Ok(()));
    assert_eq!(import(24 * 3600 + 1, &saved), Err(ImportError::TooOld));
    let text = core::str::from_utf8(&saved).unwrap();
    for (changed, error) in [
        (text.replace("idp.", "idq."), ImportError::OtherIssuer),
        (text.replace("1800000000", "1800000101"), ImportError::TooOld),
        (text.replace("1800000000", "x"), ImportError::Format),
        (text.replace("keys 1", "keys 2"), ImportError::Format),
        (text.replace("OKP", "oct"), ImportError::Jwks(None)),
        (text.replace("{\"keys", "{\"kays"), ImportError::Jwks(Some(JwksError::NoKeys))),
        (String::new(), ImportError::Format),
    ] {
        assert_eq!(import(100, changed.as_bytes()), Err(error), "{changed}");
    }
}

#[test]
fn an_insecure_issuer_is_refused_at_once() {
    let new = |issuer: &str, allow_http| {
        let policy = DiscoveryPolicy { allow_http, ..DiscoveryPolicy::default() };
        let config = KeyCacheConfig { policy, ..KeyCacheConfig::default() };
        KeyCache::new(issuer.parse().unwrap(), config).map(|_| ())
    };
    assert_eq!(new("http://idp.example", false), Err(MetadataError::InsecureIssuer));
    assert_eq!(new("http://idp.example", true), Ok(()));
    assert_eq!(new("http://127.0.0.1:5556/dex", false), Ok(()));
}

/// One step of a random life.
#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    Look(u8),
    Answer(u8),
    Timeout,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..200u64).prop_map(Step::Pass),
        (0..6u8).prop_map(Step::Look),
        (0..6u8).prop_map(Step::Answer),
        Just(Step::Timeout),
    ]
}

proptest! {
    #[test]
    fn at_most_one_fetch_and_nobody_waits_for_nothing(steps in prop::collection::vec(step(), 1..200)) {
        let mut cache = cache();
        let (mut secs, mut in_flight) = (0, false);
        for step in steps {
            match step {
                Step::Pass(more) => secs += more,
                Step::Look(kid) => {
                    let outcome = look(&mut cache, secs, &format!("{kid}"));
                    let ordered = order(&mut cache, secs) != "none";
                    prop_assert!(!(ordered && in_flight));
                    in_flight |= ordered;
                    prop_assert!(outcome != "wait" || in_flight);
                }
                Step::Answer(kind) => {
                    let outcome = cache.fetched(at(secs), match kind {
                        0 => Err(FetchError::Timeout),
                        1 => status(500),
                        2 => reply(DOCUMENT, ""),
                        _ => reply(&set(&["1", "2"]), "max-age=100"),
                    });
                    prop_assert_eq!(outcome == Fetched::Ignored, !in_flight);
                    in_flight = order(&mut cache, secs) != "none";
                    // Who asks again now waits only for what is ordered next; after a failure, for
                    // nothing.
                    for kid in 0..6 {
                        let again = look(&mut cache, secs, &format!("{kid}"));
                        in_flight |= order(&mut cache, secs) != "none";
                        prop_assert!(again != "wait" || in_flight);
                        prop_assert!(again != "wait" || !matches!(outcome, Fetched::Failed(_)));
                    }
                }
                Step::Timeout => {
                    let before = format!("{:?}", cache.status(at(secs)));
                    cache.handle_timeout(at(secs));
                    if cache.status(at(secs)).usable {
                        prop_assert_eq!(before, format!("{:?}", cache.status(at(secs))));
                    }
                }
            }
        }
    }

    #[test]
    fn no_saved_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = cache().import(at(0), &bytes);
        let mut with_head = b"talosctl-oidc keys 1\nhttps://idp.example\n1\n".to_vec();
        with_head.extend_from_slice(&bytes);
        let _ = cache().import(at(0), &with_head);
    }
}
