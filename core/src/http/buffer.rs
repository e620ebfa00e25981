//! Received bytes that no message has taken yet: one bounded buffer a connection.

use alloc::vec::Vec;

use crate::types::{Wiped, wipe, wipe_all};

/// First allocation; most requests fit.
const FIRST_BYTES: usize = 1024;
/// An idle connection keeps no buffer larger than this.
const IDLE_BYTES: usize = 4096;

/// A queue of bytes that never holds more than its cap. Bodies are secret, so what leaves it or is
/// moved by growth is wiped.
pub(super) struct Buffer {
    bytes: Wiped,
    start: usize,
    max: usize,
}

impl Buffer {
    pub(super) fn new(max: usize) -> Self {
        Self { bytes: Wiped::default(), start: 0, max }
    }

    /// How many bytes fit now.
    pub(super) fn room(&self) -> usize {
        self.max.saturating_sub(self.rest().len())
    }

    /// Takes what fits, from the front, and says how much that was.
    pub(super) fn take_in(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.get(..self.room()).unwrap_or(bytes);
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        append_wiping(&mut self.bytes, taken, self.max);
        taken.len()
    }

    /// What nobody has consumed.
    pub(super) fn rest(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// Drops the first `count` bytes.
    pub(super) fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.bytes.len());
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.start = 0;
        }
    }

    /// Wipes and drops the first `count` bytes.
    pub(super) fn consume_wiping(&mut self, count: usize) {
        let end = self.start.saturating_add(count);
        if let Some(taken) = self.bytes.get_mut(self.start..end) {
            wipe(taken);
        }
        self.consume(count);
    }

    /// Gives memory back that an idle connection does not need.
    pub(super) fn rest_idle(&mut self) {
        if self.bytes.is_empty() && self.bytes.capacity() > IDLE_BYTES {
            self.bytes = Wiped::default();
        }
    }

    /// Memory held.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}

/// Appends; where the vector must grow, the outgrown copy is wiped, which `Vec` alone would not do.
/// It grows by doubling, though not beyond `max` unless `bytes` themselves need more.
pub(super) fn append_wiping(to: &mut Vec<u8>, bytes: &[u8], max: usize) {
    reserve_wiping(to, bytes.len(), max);
    to.extend_from_slice(bytes);
}

/// Makes room for `extra` more bytes; see [`append_wiping`].
pub(super) fn reserve_wiping(to: &mut Vec<u8>, extra: usize, max: usize) {
    let needed = to.len().saturating_add(extra);
    if needed <= to.capacity() {
        return;
    }
    let doubled = to.capacity().saturating_mul(2).max(FIRST_BYTES).min(max);
    let mut grown = Vec::with_capacity(needed.max(doubled));
    grown.extend_from_slice(to);
    wipe_all(to);
    *to = grown;
}
