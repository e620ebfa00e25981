use super::*;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use proptest::prelude::*;

fn at(ms: u64) -> Mono {
    Mono::from_millis(ms)
}

fn limiter(requests: u32, window_ms: u64) -> RateLimiter<u32> {
    RateLimiter::new(RateLimit::new(requests, window_ms).unwrap())
}

fn refused(retry_after_secs: u32) -> Result<(), RateLimited> {
    Err(RateLimited { retry_after_secs })
}

#[test]
fn counts_in_a_sliding_window() {
    let mut limiter = limiter(2, 60_000);
    assert_eq!(limiter.admit(at(0), 1), Ok(()));
    assert_eq!(limiter.admit(at(30_000), 1), Ok(()));
    assert_eq!(limiter.admit(at(30_001), 1), refused(30));
    assert_eq!(limiter.admit(at(30_001), 2), Ok(()), "another key");
    assert_eq!(limiter.admit(at(59_999), 1), refused(1));
    assert_eq!(limiter.admit(at(60_000), 1), Ok(()), "the first has left");
    assert_eq!(limiter.admit(at(60_000), 1), refused(30));
    assert_eq!(limiter.admit(at(90_000), 1), Ok(()), "refusals did not prolong the block");
}

#[test]
fn a_check_records_nothing() {
    let mut limiter = limiter(1, 500);
    for _ in 0..3 {
        assert_eq!(limiter.check(at(0), 1), Ok(()));
    }
    assert!(limiter.is_empty());
    assert_eq!(limiter.admit(at(0), 1), Ok(()));
    assert!(!limiter.is_empty());
    assert_eq!(limiter.check(at(499), 1), refused(1), "never below a second");
    assert_eq!(limiter.check(at(500), 1), Ok(()));
}

#[test]
fn numbers_have_bounds() {
    assert_eq!(RateLimit::new(0, 1), Err(RateLimitError::NoRequests));
    assert_eq!(RateLimit::new(1, 0), Err(RateLimitError::Window));
    assert_eq!(RateLimit::new(1, RateLimit::WINDOW_MS_MAX + 1), Err(RateLimitError::Window));
    let limit = RateLimit::new(u32::MAX, RateLimit::WINDOW_MS_MAX).unwrap();
    assert_eq!((limit.requests(), limit.window_ms()), (u32::MAX, 31_536_000_000));
}

/// A million requests a minute of one address: exact to a grain, in little memory.
#[test]
fn a_large_limit_is_counted_by_grains() {
    let limit = RateLimit::new(1_000_000, 60_000).unwrap();
    let grain = limit.grain_ms();
    assert_eq!(grain, 8);
    let mut limiter = RateLimiter::new(limit);
    for n in 0..1_000_000_u64 {
        assert_eq!(limiter.admit(at(1_000 + n * 50_000 / 1_000_000), 1), Ok(()), "{n}");
    }
    assert!(limiter.log.allocated() <= limit.entries_max());
    assert_eq!(limiter.admit(at(51_000), 1), refused(11));
    // The first have left at the latest when the named time is over, and not before they may.
    assert!(limiter.clone().check(at(60_999), 1).is_err());
    assert_eq!(limiter.clone().check(at(61_000 + grain), 1), Ok(()));
    assert_eq!(limiter.clone().admit(at(62_000), 1), Ok(()));
    // Others find room beside it.
    for key in 2..70_000 {
        assert_eq!(limiter.admit(at(51_000), key), Ok(()));
    }
    assert!(limiter.log.allocated() <= 131_072);
    assert_eq!(limiter.admit(at(51_001), 1), refused(11), "a blocked key is not forgotten");
}

#[test]
fn a_million_addresses_neither_grow_the_tables_nor_free_a_blocked_key() {
    let mut limiter = limiter(3, 60_000);
    for _ in 0..3 {
        assert_eq!(limiter.admit(at(0), 0), Ok(()));
    }
    for n in 1..=1_000_000 {
        assert_eq!(limiter.admit(at(1), n), Ok(()));
    }
    assert_eq!(limiter.len(), 65_536);
    assert!(limiter.log.allocated() <= 131_072);
    assert_eq!(limiter.evictions(), Evictions { idle: 1_000_000 - 65_535, blocked: 0 });
    assert_eq!(limiter.admit(at(2), 0), refused(60));
    // Once the window is over, room is made by what has left it: nothing more is lost.
    let lost = limiter.evictions();
    for n in 0..200_000 {
        assert_eq!(limiter.admit(at(60_001 + u64::from(n / 60_000) * 60_000), n), Ok(()));
    }
    assert_eq!(limiter.evictions(), lost);
}

#[test]
fn a_blocked_key_goes_only_when_all_are_blocked_and_is_counted() {
    let limit = RateLimit::new(2, 1000).unwrap();
    let mut limiter = RateLimiter::with_caps(limit, RateCaps { keys_max: 3, admissions_max: 6 });
    for key in [1u32, 1, 2, 2, 3, 4] {
        assert_eq!(limiter.admit(at(u64::from(key)), key), Ok(()));
    }
    assert_eq!(limiter.evictions(), Evictions { idle: 1, blocked: 0 }, "3 went, not 1 or 2");
    assert_eq!(limiter.admit(at(5), 4), Ok(()));
    assert_eq!(limiter.admit(at(6), 5), Ok(()));
    assert_eq!(limiter.evictions(), Evictions { idle: 1, blocked: 1 });
    assert!(limiter.check(at(6), 2).is_err() && limiter.check(at(6), 1).is_ok());
}

#[test]
fn subjects_count_apart() {
    assert_eq!(SubjectKey::of("a"), SubjectKey::of("a"));
    assert_ne!(SubjectKey::of("a"), SubjectKey::of("A"));
}

#[test]
fn a_tiny_log_still_holds_one_key() {
    let limit = RateLimit::new(5, 1000).unwrap();
    let mut limiter = RateLimiter::with_caps(limit, RateCaps { keys_max: 0, admissions_max: 0 });
    for _ in 0..5 {
        assert_eq!(limiter.admit(at(0), 1), Ok(()));
    }
    assert_eq!(limiter.admit(at(0), 1), refused(1));
}

proptest! {
    /// Against a log that keeps everything: same verdicts, and a retry passes at the named
    /// second but not at the one before.
    #[test]
    fn never_over_the_limit_in_any_window(
        requests in 1u32..5,
        window_ms in 1u64..5000,
        calls in proptest::collection::vec((0u64..900, 0u32..4), 1..200),
    ) {
        let mut limiter = limiter(requests, window_ms);
        let mut model: Vec<VecDeque<u64>> = (0..4).map(|_| VecDeque::new()).collect();
        let mut now = 0;
        for (pause, key) in calls {
            now += pause;
            let log = &mut model[key as usize];
            let live = log.iter().filter(|t| **t + window_ms > now).count();
            match limiter.admit(at(now), key) {
                Ok(()) => {
                    prop_assert!(live < requests as usize);
                    log.push_back(now);
                }
                Err(RateLimited { retry_after_secs }) => {
                    prop_assert!(live >= requests as usize);
                    let secs = u64::from(retry_after_secs);
                    prop_assert_eq!(limiter.clone().admit(at(now + secs * 1000), key), Ok(()));
                    let sooner = now + (secs - 1) * 1000;
                    prop_assert!(secs == 1 || limiter.clone().check(at(sooner), key).is_err());
                }
            }
        }
    }

    /// However tight the caps, they hold, and the tables agree with each other.
    #[test]
    fn the_caps_hold(
        requests in 1u32..4,
        keys_max in 1usize..6,
        admissions_max in 1usize..12,
        calls in proptest::collection::vec((0u64..300, 0u32..10), 1..300),
    ) {
        let caps = RateCaps { keys_max, admissions_max };
        let mut limiter = RateLimiter::with_caps(RateLimit::new(requests, 1000).unwrap(), caps);
        let mut now = 0;
        for (pause, key) in calls {
            now += pause;
            let before = limiter.evictions();
            let verdict = limiter.admit(at(now), key);
            prop_assert!(limiter.len() <= keys_max);
            prop_assert!(limiter.log.allocated() <= admissions_max.max(requests as usize));
            prop_assert_eq!(limiter.idle.len() + limiter.blocked.len(), limiter.len());
            prop_assert!(limiter.len() <= limiter.log.allocated());
            prop_assert!(verdict.is_ok() || before == limiter.evictions());
            prop_assert!(verdict.is_ok() || limiter.blocked.iter().any(|(_, k)| *k == key));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Beyond what is kept one by one: never more in a window, and nobody waits for more than a
    /// grain too long.
    #[test]
    fn grains_never_let_more_through(
        more in 1u32..50,
        window_ms in 1u64..200_000,
        bursts in proptest::collection::vec((0u64..20_000, 1u32..6_000), 1..30),
    ) {
        let requests = RateLimit::EXACT_REQUESTS_MAX + more;
        let limit = RateLimit::new(requests, window_ms).unwrap();
        let mut limiter: RateLimiter<u32> = RateLimiter::new(limit);
        let (mut log, mut now): (VecDeque<(u64, u32)>, u64) = (VecDeque::new(), 0);
        let held = |log: &VecDeque<(u64, u32)>, for_ms: u64, now: u64| -> u32 {
            log.iter().filter(|(t, _)| t + for_ms > now).map(|(_, n)| n).sum()
        };
        for (pause, count) in bursts {
            now += pause;
            let passed = (0..count).filter(|_| limiter.admit(at(now), 1).is_ok()).count();
            let passed = u32::try_from(passed).unwrap();
            let room_for = |for_ms: u64| requests.saturating_sub(held(&log, for_ms, now)).min(count);
            prop_assert!(passed <= room_for(window_ms));
            prop_assert!(passed >= room_for(window_ms + limit.grain_ms()));
            log.push_back((now, passed));
            prop_assert!(limiter.log.allocated() <= limit.entries_max());
        }
    }
}
