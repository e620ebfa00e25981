//! When to renew: at a share of the certificate's life, and after a failure ever later.
//!
//! Both clocks count. The wall clock notices that the machine slept; the monotonic one that
//! somebody set the wall clock back.

use crate::machine::{Entropy, Mono, Now, UnixTime};

/// Longest rest without a look at the wall clock: a machine that slept must notice soon.
const LOOK_MILLIS: u64 = 60_000;
/// Shortest rest after a success, whatever the certificate's life is.
const REST_SECS_MIN: u64 = 2;
/// First and longest pause after failures.
const BACK_OFF_SECS: (u64, u64) = (5, 60);
/// The share of its life, in thousandths, over which a certificate is renewed: the least, and
/// what spread adds at most. It lies well inside of half and four fifths: the wall clock is read
/// in whole seconds, and requests take their time on the way.
const SHARE_PERMILLE: (u64, u64) = (580, 170);
/// A certificate with less than this is not worth keeping.
const FRESH_SECS_MIN: u64 = 10;

/// Spread between clients: not secret, so a seed of the start serves for the whole run.
#[derive(Debug)]
pub struct Jitter(u64);

impl Jitter {
    /// A source of spread from eight random bytes.
    #[must_use]
    pub fn new(entropy: Entropy<8>) -> Self {
        Self(u64::from_le_bytes(*entropy.into_bytes()))
    }

    /// A number from 0 to `end`, both included (SplitMix64; the bias is of no account here).
    pub fn up_to(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end.saturating_add(1)
    }

    /// Milliseconds of a life of so many seconds after which to renew.
    fn share(&mut self, secs: u64) -> u64 {
        let (least, spread) = SHARE_PERMILLE;
        secs.saturating_mul(least.saturating_add(self.up_to(spread)))
    }
}

/// Whether a certificate is so fresh that a login need not renew it: more than a third of its
/// life is left, and at least ten seconds.
#[must_use]
pub fn is_fresh(not_before: UnixTime, not_after: UnixTime, now: UnixTime) -> bool {
    let left = not_after.since(now);
    not_before <= now && left > FRESH_SECS_MIN && left > not_after.since(not_before) / 3
}

/// A rest until a moment by both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rest {
    wall: UnixTime,
    mono: Mono,
    look: Mono,
}

impl Rest {
    fn lasting(now: Now, millis: u64) -> Self {
        let mono = now.mono.plus_millis(millis);
        // Rounded up: the wall clock must not end it before the other does.
        let wall = now.wall.plus_secs(millis.div_ceil(1000));
        Self { wall, mono, look: next_look(now.mono, mono) }
    }

    /// The rest after a certificate was written: 58 to 75 % of the `left` seconds of its life.
    #[must_use]
    pub fn after_success(now: Now, left: u64, jitter: &mut Jitter) -> Self {
        Self::lasting(now, jitter.share(left).max(REST_SECS_MIN * 1000))
    }

    /// The rest before renewing a certificate that was found at the start: until 58 to 75 % of
    /// its whole life are over, which may be now.
    #[must_use]
    pub fn of_existing(
        now: Now,
        not_before: UnixTime,
        not_after: UnixTime,
        jitter: &mut Jitter,
    ) -> Self {
        let used = jitter.share(not_after.since(not_before));
        let so_far = now.wall.since(not_before).saturating_mul(1000);
        Self::lasting(now, used.saturating_sub(so_far))
    }

    /// The pause after the `failures`th failure in a row: 5 s doubling to 60 s, a fifth of it as
    /// spread, but soon enough for one more attempt before `not_after`; never less than what the
    /// server asked for.
    #[must_use]
    pub fn after_failure(
        now: Now,
        failures: u32,
        not_after: UnixTime,
        retry_after_secs: Option<u32>,
        jitter: &mut Jitter,
    ) -> Self {
        let (first, longest) = BACK_OFF_SECS;
        let doubled = first.saturating_mul(1 << failures.saturating_sub(1).min(8)).min(longest);
        let mut secs = doubled - jitter.up_to(doubled / 5);
        let left = not_after.since(now.wall);
        if left > first {
            secs = secs.min(left - first).max(1);
        }
        let asked = retry_after_secs.map_or(0, u64::from);
        Self::lasting(now, secs.max(asked).saturating_mul(1000))
    }

    /// Seconds until the end by the wall clock.
    #[must_use]
    pub const fn secs_left(&self, now: Now) -> u64 {
        self.wall.since(now.wall)
    }

    /// When it ends by the wall clock.
    #[must_use]
    pub const fn until(&self) -> UnixTime {
        self.wall
    }

    /// Whether it is over by either clock.
    #[must_use]
    pub fn is_over(&self, now: Now) -> bool {
        now.wall >= self.wall || now.mono >= self.mono
    }

    /// When to look at the clocks next.
    #[must_use]
    pub const fn look(&self) -> Mono {
        self.look
    }

    /// The clocks have been looked at, and it is not over.
    pub fn looked(&mut self, now: Now) {
        if now.mono >= self.look {
            // Whichever clock comes first; a leap of the wall clock is seen within a minute.
            let left = self.secs_left(now);
            self.look = next_look(now.mono, self.mono.min(now.mono.plus_secs(left)));
        }
    }
}

fn next_look(now: Mono, end: Mono) -> Mono {
    end.min(now.plus_millis(LOOK_MILLIS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn now(mono_secs: u64, wall: u64) -> Now {
        Now { mono: Mono::from_millis(mono_secs * 1000), wall: UnixTime::from_secs(wall) }
    }

    fn at(secs: u64) -> UnixTime {
        UnixTime::from_secs(secs)
    }

    #[test]
    fn freshness_is_relative_to_the_life() {
        // The default life of five minutes: the threshold of the original never held here.
        assert!(is_fresh(at(1000), at(1300), at(1150)));
        assert!(!is_fresh(at(1000), at(1300), at(1200)));
        assert!(is_fresh(at(1000), at(37_000), at(20_000)));
        assert!(!is_fresh(at(1000), at(1012), at(1003)));
        assert!(!is_fresh(at(1000), at(1300), at(999)));
        assert!(!is_fresh(at(1000), at(1300), at(5000)));
    }

    #[test]
    fn a_leap_of_either_clock_is_noticed() {
        let mut jitter = Jitter::new(Entropy::new([0; 8]));
        let mut rest = Rest::after_success(now(0, 1000), 3600, &mut jitter);
        assert_eq!(rest.look(), Mono::from_millis(60_000));
        assert!(!rest.is_over(now(60, 1060)));
        rest.looked(now(60, 1060));
        assert_eq!(rest.look(), Mono::from_millis(120_000));
        assert!(rest.is_over(now(61, 9000)), "slept");
        assert!(!rest.is_over(now(120, 10)), "set back");
        assert!(rest.is_over(now(3000, 10)), "set back, but the time has passed");
    }

    #[test]
    fn pauses_grow_and_end_before_the_certificate_does() {
        let mut jitter = Jitter::new(Entropy::new([1; 8]));
        let mut pause = |failures, not_after, asked| {
            Rest::after_failure(now(0, 1000), failures, at(not_after), asked, &mut jitter)
                .secs_left(now(0, 1000))
        };
        for (failures, range) in
            [(1, 4..=5), (2, 8..=10), (3, 16..=20), (5, 48..=60), (90, 48..=60)]
        {
            assert!(range.contains(&pause(failures, 99_999, None)), "{failures}");
        }
        assert_eq!(pause(9, 1030, None), 25);
        assert_eq!(pause(9, 1030, Some(120)), 120);
        assert!(pause(9, 500, None) >= 48, "nothing left to save");
    }

    proptest! {
        #[test]
        fn renewal_falls_between_half_and_four_fifths(seed in any::<[u8; 8]>(), life in 10u64..1_000_000) {
            let mut jitter = Jitter::new(Entropy::new(seed));
            let rest = Rest::after_success(now(5, 1000), life, &mut jitter);
            let first = Mono::from_millis(5000 + life * 580);
            let last = Mono::from_millis(5000 + life * 750);
            prop_assert!((first..=last).contains(&rest.mono), "{rest:?}");
            let rest = Rest::of_existing(now(5, 1000), at(1000), at(1000 + life), &mut jitter);
            prop_assert!((first..=last).contains(&rest.mono), "{rest:?}");
            let rest = Rest::of_existing(now(5, 1002), at(1000), at(1000 + life), &mut jitter);
            prop_assert!(rest.mono.plus_secs(2) >= first && rest.mono.plus_secs(2) <= last);
        }
    }
}
