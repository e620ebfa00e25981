//! How often one key may ask: a sliding log with exact answers and bounded memory.
//!
//! Within any window a key succeeds at most `requests` times, and a refusal names the moment
//! the next try will pass. Refusals are not recorded, so knocking does not prolong a block.
//!
//! Up to [`RateLimit::EXACT_REQUESTS_MAX`] that is exact to the millisecond. Beyond, a key would
//! need too much memory: its admissions are counted by grains, of which a window has 8,192, and a
//! grain leaves as a whole, with its last admission. There too never more than `requests` pass in
//! a window, but an admission may count for one grain too long.
//!
//! # When the tables are full
//!
//! Strangers choose how many keys there are, so both tables have a cap and something must go:
//!
//! 1. keys whose whole log has left the window;
//! 2. the key below its limit that was admitted longest ago;
//! 3. only when every key is at its limit: the one whose block ends first.
//!
//! So a flood of fresh addresses forgets quiet clients, never a blocked one. To get a blocked
//! key forgotten, an attacker must bring every other key in the table to its limit within one
//! window: 65,536 keys, or as many as have 131,072 entries among them, with requests that he might
//! have used as well.
//! Both losses are counted in [`Evictions`].

mod log;

use alloc::collections::{BTreeMap, BTreeSet};
use core::fmt;

use ring::digest::{SHA256, digest};

use self::log::{Chain, Log};
use crate::machine::Mono;

/// At most so many requests in so long a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    requests: u32,
    window_ms: u64,
}

/// Why numbers are no rate limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateLimitError {
    /// Zero requests: that is "off", which is said by having no limit.
    NoRequests,
    /// Zero or over [`RateLimit::WINDOW_MS_MAX`].
    Window,
}

impl RateLimitError {
    /// Stable name of this error.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoRequests => "rate.no_requests",
            Self::Window => "rate.window",
        }
    }
}

impl fmt::Display for RateLimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRequests => f.write_str("a rate limit allows at least one request"),
            Self::Window => {
                f.write_str("the window of a rate limit is over zero and at most 365 days")
            }
        }
    }
}

impl RateLimit {
    /// Most requests whose times are kept one by one.
    pub const EXACT_REQUESTS_MAX: u32 = 10_000;
    /// Longest window: a year, in milliseconds.
    pub const WINDOW_MS_MAX: u64 = 365 * 86_400_000;
    /// Parts of a window whose requests are counted together where there are more.
    const GRAINS: u64 = 8_192;

    /// `requests`, at least one, in every window of `window_ms` milliseconds, up to a year.
    ///
    /// # Errors
    /// [`RateLimitError`] outside these ranges.
    pub const fn new(requests: u32, window_ms: u64) -> Result<Self, RateLimitError> {
        if requests == 0 {
            return Err(RateLimitError::NoRequests);
        }
        if window_ms == 0 || window_ms > Self::WINDOW_MS_MAX {
            return Err(RateLimitError::Window);
        }
        Ok(Self { requests, window_ms })
    }

    /// Requests that pass in one window.
    #[must_use]
    pub const fn requests(self) -> u32 {
        self.requests
    }

    /// How much longer than the window an admission may count, plus one, in milliseconds.
    const fn grain_ms(self) -> u64 {
        if self.requests <= Self::EXACT_REQUESTS_MAX {
            1
        } else {
            self.window_ms.div_ceil(Self::GRAINS)
        }
    }

    /// Most entries that a key can have at one time.
    fn entries_max(self) -> usize {
        // One more where the window begins amid a grain, and one for that which ends it.
        let grains = self.window_ms / self.grain_ms() + 2;
        usize::try_from(grains.min(u64::from(self.requests))).unwrap_or(usize::MAX)
    }

    /// Length of the window in milliseconds.
    #[must_use]
    pub const fn window_ms(self) -> u64 {
        self.window_ms
    }
}

/// What a subject is counted by: the first half of the SHA-256 of `sub`, so that long subjects
/// cost no more memory than short ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SubjectKey([u8; 16]);

impl SubjectKey {
    /// The key of this `sub`, byte for byte.
    #[must_use]
    pub fn of(subject: &str) -> Self {
        let hash = digest(&SHA256, subject.as_bytes());
        Self(hash.as_ref().first_chunk().copied().unwrap_or_default())
    }
}

/// How much a limiter remembers at most.
///
/// With the default caps and 16-byte keys a full limiter takes at most 12 MiB (8 measured with
/// random keys): 16 bytes an entry, and for each key one in two trees whose nodes may be less than
/// half full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateCaps {
    /// Keys with at least one admission in the window.
    pub keys_max: usize,
    /// Entries of all keys together: admissions, but those of one key in one grain are one. At
    /// least as many as one key may need, whatever is given.
    pub admissions_max: usize,
}

impl Default for RateCaps {
    fn default() -> Self {
        Self { keys_max: 65_536, admissions_max: 131_072 }
    }
}

/// A refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimited {
    /// Whole seconds, rounded up and at least 1, after which a request passes.
    pub retry_after_secs: u32,
}

/// Keys that were forgotten before their time, because a table was full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evictions {
    /// Below their limit.
    pub idle: u64,
    /// At their limit: these could ask again too early.
    pub blocked: u64,
}

/// Counts admissions by key. Every call costs O(log keys), plus the entries that left.
#[derive(Clone, Debug)]
pub struct RateLimiter<K> {
    limit: RateLimit,
    caps: RateCaps,
    log: Log,
    keys: BTreeMap<K, Chain>,
    /// Keys below the limit by their newest admission: the first is the least recently used.
    idle: BTreeSet<(Mono, K)>,
    /// Keys at the limit by their oldest admission: the first is unblocked first.
    blocked: BTreeSet<(Mono, K)>,
    evictions: Evictions,
}

impl<K: Ord + Copy> RateLimiter<K> {
    /// A limiter with the default caps.
    #[must_use]
    pub fn new(limit: RateLimit) -> Self {
        Self::with_caps(limit, RateCaps::default())
    }

    /// A limiter that remembers at most so much.
    #[must_use]
    pub fn with_caps(limit: RateLimit, caps: RateCaps) -> Self {
        let caps = RateCaps {
            keys_max: caps.keys_max.max(1),
            // With fewer, one key alone could fill the log and evict itself.
            admissions_max: caps.admissions_max.max(limit.entries_max()),
        };
        Self {
            limit,
            caps,
            log: Log::new(caps.admissions_max, limit.grain_ms()),
            keys: BTreeMap::new(),
            idle: BTreeSet::new(),
            blocked: BTreeSet::new(),
            evictions: Evictions::default(),
        }
    }

    /// Records an admission of `key`, or refuses and records nothing.
    ///
    /// # Errors
    /// [`RateLimited`] when `key` was admitted `requests` times in the window that ends now.
    pub fn admit(&mut self, now: Mono, key: K) -> Result<(), RateLimited> {
        let mut chain = self.take(now, key);
        let verdict = self.verdict(now, chain);
        if verdict.is_ok() {
            // `key` is out of all tables here, so it cannot be its own victim.
            while self.keys.len() >= self.caps.keys_max || !self.log.has_room(chain, now) {
                if !self.evict(now) {
                    break;
                }
            }
            self.log.push(&mut chain, now);
        }
        self.put(key, chain);
        verdict
    }

    /// What [`Self::admit`] would say, without recording an admission.
    ///
    /// # Errors
    /// [`RateLimited`] as there.
    pub fn check(&mut self, now: Mono, key: K) -> Result<(), RateLimited> {
        let chain = self.take(now, key);
        let verdict = self.verdict(now, chain);
        self.put(key, chain);
        verdict
    }

    /// Keys remembered now.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether nobody is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// What was forgotten too early since the start, for metrics.
    #[must_use]
    pub const fn evictions(&self) -> Evictions {
        self.evictions
    }

    fn verdict(&self, now: Mono, chain: Chain) -> Result<(), RateLimited> {
        match self.log.oldest(chain) {
            Some(oldest) if chain.len() >= self.limit.requests => {
                let free_at = oldest.plus_millis(self.limit.window_ms);
                let secs = free_at.since(now).div_ceil(1000).max(1);
                Err(RateLimited { retry_after_secs: u32::try_from(secs).unwrap_or(u32::MAX) })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Takes `key` out of the tables, without what has left the window.
    fn take(&mut self, now: Mono, key: K) -> Chain {
        let mut chain = self.keys.remove(&key).unwrap_or_default();
        self.unlist(key, chain);
        self.prune(now, &mut chain);
        chain
    }

    fn put(&mut self, key: K, chain: Chain) {
        if let Some((list, at)) = self.place(chain) {
            list.insert((at, key));
            self.keys.insert(key, chain);
        }
    }

    fn unlist(&mut self, key: K, chain: Chain) {
        if let Some((list, at)) = self.place(chain) {
            list.remove(&(at, key));
        }
    }

    /// The list a key with that log stands in, and where. Depends on the log alone, not on the
    /// time, so that [`Self::unlist`] finds what [`Self::put`] entered.
    fn place(&mut self, chain: Chain) -> Option<(&mut BTreeSet<(Mono, K)>, Mono)> {
        if chain.len() >= self.limit.requests {
            self.log.oldest(chain).map(|at| (&mut self.blocked, at))
        } else {
            self.log.newest(chain).map(|at| (&mut self.idle, at))
        }
    }

    fn prune(&mut self, now: Mono, chain: &mut Chain) {
        while self.log.oldest(*chain).is_some_and(|at| self.has_left(now, at)) {
            self.log.pop(chain);
        }
    }

    fn has_left(&self, now: Mono, at: Mono) -> bool {
        at.plus_millis(self.limit.window_ms) <= now
    }

    /// Makes room as the module says; `false` when there is nobody to forget.
    fn evict(&mut self, now: Mono) -> bool {
        // A key whose block is over stands among the blocked until somebody looks.
        if let Some(&(oldest, key)) = self.blocked.first()
            && self.has_left(now, oldest)
        {
            let chain = self.take(now, key);
            self.put(key, chain);
            return true;
        }
        let (key, count) = match (self.idle.first(), self.blocked.first()) {
            (Some(&(newest, key)), _) if self.has_left(now, newest) => (key, None),
            (Some(&(_, key)), _) => (key, Some(&mut self.evictions.idle)),
            (None, Some(&(_, key))) => (key, Some(&mut self.evictions.blocked)),
            (None, None) => return false,
        };
        if let Some(count) = count {
            *count = count.saturating_add(1);
        }
        let mut chain = self.keys.remove(&key).unwrap_or_default();
        self.unlist(key, chain);
        while chain.len() > 0 {
            self.log.pop(&mut chain);
        }
        true
    }
}

#[cfg(test)]
mod tests;
