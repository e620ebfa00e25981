//! Who may look: the admin token, sessions of the page, and the lock-out both share.

use alloc::collections::BTreeMap;
use alloc::string::String;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE;
use ring::digest::{SHA256, digest};

use crate::machine::{Entropy, Mono};
use crate::policy::RateKey;

/// Wrong tries of one address before it is locked out.
const TRIES_MAX: u32 = 5;
/// Length of a lock-out, and of the memory of a wrong try, in seconds.
const LOCK_SECS: u64 = 15 * 60;
/// Life of a session from login, in seconds.
pub(super) const SESSION_SECS: u64 = 24 * 60 * 60;
/// Addresses remembered; beyond it the one whose last try is oldest is forgotten.
const ADDRESSES_MAX: usize = 10_000;
/// Sessions at one time; beyond it the oldest ends.
const SESSIONS_MAX: usize = 1_000;

#[derive(Clone, Copy, Debug)]
struct Tries {
    wrong: u32,
    last: Mono,
}

/// Counts wrong admin tokens per address, whichever way they came.
#[derive(Debug, Default)]
pub(super) struct LockOut {
    tries: BTreeMap<RateKey, Tries>,
}

impl LockOut {
    /// Seconds until the address may try again, if it is locked out.
    #[must_use]
    pub(super) fn locked(&self, now: Mono, who: RateKey) -> Option<u64> {
        let tries = self.tries.get(&who).filter(|tries| tries.wrong >= TRIES_MAX)?;
        let until = tries.last.plus_secs(LOCK_SECS);
        (now < until).then(|| until.since(now).div_ceil(1000))
    }

    /// Counts a wrong token. Not to be called while locked out: tries then do not count.
    pub(super) fn wrong(&mut self, now: Mono, who: RateKey) {
        let tries = self.tries.entry(who).or_insert(Tries { wrong: 0, last: now });
        if tries.last.plus_secs(LOCK_SECS) <= now {
            tries.wrong = 0;
        }
        *tries = Tries { wrong: tries.wrong.saturating_add(1), last: now };
        if self.tries.len() > ADDRESSES_MAX {
            let oldest = self.tries.iter().min_by_key(|(_, tries)| tries.last).map(|(who, _)| *who);
            if let Some(oldest) = oldest {
                self.tries.remove(&oldest);
            }
        }
    }

    /// Forgets the wrong tries of an address that knew the token after all.
    pub(super) fn right(&mut self, who: RateKey) {
        self.tries.remove(&who);
    }
}

/// Sessions of the page, by the hash of their token, so that memory shows no token.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    begun: BTreeMap<[u8; 32], Mono>,
}

fn hash(token: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    hash
}

impl Sessions {
    /// Begins a session and gives its token: 32 random bytes, base64url with padding.
    pub(super) fn begin(&mut self, now: Mono, entropy: Entropy<32>) -> String {
        self.begun.retain(|_, begun| now.since(*begun) < SESSION_SECS * 1000);
        if self.begun.len() >= SESSIONS_MAX {
            let oldest = self.begun.iter().min_by_key(|(_, begun)| **begun).map(|(key, _)| *key);
            if let Some(oldest) = oldest {
                self.begun.remove(&oldest);
            }
        }
        let token = BASE64_URL_SAFE.encode(entropy.into_bytes());
        self.begun.insert(hash(&token), now);
        token
    }

    /// Whether the token is of a session that has not ended.
    #[must_use]
    pub(super) fn is_open(&self, now: Mono, token: &str) -> bool {
        self.begun.get(&hash(token)).is_some_and(|begun| now.since(*begun) < SESSION_SECS * 1000)
    }

    /// Ends a session.
    pub(super) fn end(&mut self, token: &str) {
        self.begun.remove(&hash(token));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::ClientIp;

    fn who(n: u32) -> RateKey {
        ClientIp::from(core::net::IpAddr::from(n.to_be_bytes())).rate_key()
    }

    #[test]
    fn five_wrong_tries_lock_for_fifteen_minutes() {
        let mut guard = LockOut::default();
        for n in 0..4 {
            guard.wrong(Mono::from_millis(n * 1000), who(1));
        }
        assert_eq!(guard.locked(Mono::from_millis(4000), who(1)), None);
        guard.wrong(Mono::from_millis(4000), who(1));
        assert_eq!(guard.locked(Mono::from_millis(4000), who(1)), Some(900));
        assert_eq!(guard.locked(Mono::from_millis(4000), who(2)), None);
        let after = Mono::from_millis(4000).plus_secs(900);
        assert_eq!(guard.locked(after, who(1)), None);
        guard.wrong(after, who(1));
        assert_eq!(guard.locked(after, who(1)), None, "five fresh tries");
    }

    #[test]
    fn the_tables_are_bounded() {
        let (mut guard, mut sessions) = (LockOut::default(), Sessions::default());
        for n in 0..20_000u32 {
            guard.wrong(Mono::from_millis(n.into()), who(n));
        }
        assert_eq!(guard.tries.len(), ADDRESSES_MAX);
        for n in 0..2_000u32 {
            let mut bytes = [0; 32];
            bytes[..4].copy_from_slice(&n.to_be_bytes());
            sessions.begin(Mono::from_millis(n.into()), Entropy::new(bytes));
        }
        assert_eq!(sessions.begun.len(), SESSIONS_MAX);
    }

    #[test]
    fn sessions_end_a_day_after_login() {
        let mut sessions = Sessions::default();
        let token = sessions.begin(Mono::from_millis(0), Entropy::new([9; 32]));
        assert_eq!(token.len(), 44);
        let day = Mono::from_millis(SESSION_SECS * 1000);
        assert!(sessions.is_open(Mono::from_millis(SESSION_SECS * 1000 - 1), &token));
        assert!(!sessions.is_open(day, &token));
        assert!(!sessions.is_open(Mono::from_millis(0), "x"));
        sessions.end(&token);
        assert!(!sessions.is_open(Mono::from_millis(0), &token));
    }
}
