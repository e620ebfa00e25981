//! Key identifiers that tokens named and no key set had: remembered for a while, so that the same
//! junk does not cause one fetch after the other.

use alloc::collections::VecDeque;

use crate::machine::Mono;
use crate::types::Kid;

/// Most identifiers remembered; the oldest make way.
const ENTRIES_MAX: usize = 256;
/// How long a settled identifier causes no fetch, in seconds. Short, as a provider may sign with
/// a key a little before it publishes it.
const SETTLED_SECS: u64 = 120;

/// The identifiers asked for in vain, oldest first. A token without one counts as one of them.
#[derive(Debug, Default)]
pub(super) struct UnknownKids(VecDeque<Entry>);

#[derive(Debug)]
struct Entry {
    kid: Option<Kid>,
    asked: Mono,
    /// Whether a fetch that started after the question brought no such key either.
    settled: bool,
}

impl UnknownKids {
    /// Whether it is known that `kid` does not exist.
    pub(super) fn is_settled(&self, now: Mono, kid: Option<&Kid>) -> bool {
        self.0.iter().any(|entry| {
            entry.kid.as_ref() == kid
                && entry.settled
                && now.since(entry.asked) < SETTLED_SECS.saturating_mul(1000)
        })
    }

    /// Notes that a token waits for `kid`.
    pub(super) fn ask(&mut self, now: Mono, kid: Option<&Kid>) {
        if let Some(at) = self.0.iter().position(|entry| entry.kid.as_ref() == kid) {
            let waits = self
                .0
                .get(at)
                .is_some_and(|e| !e.settled && now.since(e.asked) < SETTLED_SECS * 1000);
            if waits {
                return;
            }
            self.0.remove(at);
        }
        if self.0.len() >= ENTRIES_MAX {
            self.0.pop_front();
        }
        self.0.push_back(Entry { kid: kid.cloned(), asked: now, settled: false });
    }

    /// Notes that a fetch which started at `start` has brought a key set.
    pub(super) fn settle(&mut self, start: Mono) {
        for entry in &mut self.0 {
            entry.settled |= entry.asked <= start;
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
