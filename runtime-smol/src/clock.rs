//! The clocks of the operating system as core's integers.

use std::future;
use std::time::{SystemTime, UNIX_EPOCH};

use exchange_core::machine::{Mono, Now, UnixTime};

use crate::deadlines::Deadline;

/// Both clocks, read now.
#[must_use]
pub fn now() -> Now {
    Now { mono: mono(), wall: wall() }
}

/// Seconds since 1970; zero when the system clock is set before that.
#[must_use]
pub fn wall() -> UnixTime {
    UnixTime::from_secs(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()))
}

/// Milliseconds since this function was first called, which [`crate::executor::run`] does at
/// start. Counts time spent in suspend where the operating system can tell.
#[must_use]
pub fn mono() -> Mono {
    let elapsed = raw::elapsed();
    Mono::from_millis(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
}

/// Waits until `deadline`; for ever when there is none.
pub async fn sleep_until(deadline: Option<Mono>) {
    match deadline {
        Some(deadline) => Deadline::at(deadline).await,
        None => future::pending().await,
    }
}

/// Waits for `millis` milliseconds.
pub async fn sleep(millis: u64) {
    sleep_until(Some(mono().plus_millis(millis))).await;
}

#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
mod raw {
    use std::sync::OnceLock;
    use std::time::Duration;

    use rustix::time::{ClockId, clock_gettime};

    /// Runs on through suspend, unlike the clock of `std::time::Instant`.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const CLOCK: ClockId = ClockId::Boottime;
    #[cfg(target_vendor = "apple")]
    const CLOCK: ClockId = ClockId::Monotonic;

    static START: OnceLock<Duration> = OnceLock::new();

    pub(super) fn elapsed() -> Duration {
        let reading = clock_gettime(CLOCK);
        let reading = Duration::new(
            u64::try_from(reading.tv_sec).unwrap_or(0),
            u32::try_from(reading.tv_nsec).unwrap_or(0),
        );
        reading.saturating_sub(*START.get_or_init(|| reading))
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
mod raw {
    use std::sync::OnceLock;
    use std::time::{Duration, Instant};

    static START: OnceLock<Instant> = OnceLock::new();

    pub(super) fn elapsed() -> Duration {
        START.get_or_init(Instant::now).elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleeps_at_least_as_long_as_asked() {
        let start = mono();
        smol::block_on(sleep(30));
        let slept = mono().since(start);
        assert!((30..20_000).contains(&slept), "{slept}");
    }

    #[test]
    fn a_deadline_in_the_past_is_over() {
        let start = mono();
        smol::block_on(sleep_until(Some(Mono::from_millis(0))));
        assert!(mono().since(start) < 20_000);
    }

    #[test]
    fn the_wall_clock_is_after_this_was_written() {
        assert!(wall() > UnixTime::from_secs(1_700_000_000));
    }
}
