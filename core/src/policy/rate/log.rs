//! Times of admissions in one pool, chained by key from the oldest to the newest. Admissions of one
//! key within one grain of time share a node, which has the time of the last of them.

use alloc::vec::Vec;

use crate::machine::Mono;

/// End of a chain. No node has this number, as a pool is smaller.
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Node {
    at: Mono,
    next: u32,
    count: u32,
}

/// All admissions. Grows up to its cap and is reused from then on.
#[derive(Clone, Debug)]
pub(super) struct Log {
    nodes: Vec<Node>,
    free: u32,
    nodes_max: usize,
    grain_ms: u64,
}

/// The admissions of one key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chain {
    oldest: u32,
    newest: u32,
    len: u32,
}

impl Default for Chain {
    fn default() -> Self {
        Self { oldest: NONE, newest: NONE, len: 0 }
    }
}

impl Chain {
    pub(super) const fn len(self) -> u32 {
        self.len
    }
}

impl Log {
    /// A pool of at most so many nodes, whose grains are `grain_ms` long, at least 1.
    pub(super) fn new(nodes_max: usize, grain_ms: u64) -> Self {
        let addressable = usize::try_from(NONE).unwrap_or(usize::MAX);
        let nodes_max = nodes_max.min(addressable);
        Self { nodes: Vec::new(), free: NONE, nodes_max, grain_ms: grain_ms.max(1) }
    }

    #[cfg(test)]
    pub(super) fn allocated(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.free == NONE && self.nodes.len() >= self.nodes_max
    }

    pub(super) fn oldest(&self, chain: Chain) -> Option<Mono> {
        self.node(chain.oldest).map(|node| node.at)
    }

    pub(super) fn newest(&self, chain: Chain) -> Option<Mono> {
        self.node(chain.newest).map(|node| node.at)
    }

    /// Whether `chain` can be appended to.
    pub(super) fn has_room(&self, chain: Chain, at: Mono) -> bool {
        !self.is_full() || self.node(chain.newest).is_some_and(|newest| self.shares(newest, at))
    }

    fn shares(&self, node: &Node, at: Mono) -> bool {
        node.at.millis() / self.grain_ms == at.millis() / self.grain_ms
    }

    /// Appends to `chain`; nothing happens when there is no room.
    pub(super) fn push(&mut self, chain: &mut Chain, at: Mono) {
        if self.node(chain.newest).is_some_and(|newest| self.shares(newest, at))
            && let Some(newest) = self.node_mut(chain.newest)
        {
            // All of them leave the window with the last: late rather than early.
            newest.at = at;
            newest.count = newest.count.saturating_add(1);
            chain.len = chain.len.saturating_add(1);
            return;
        }
        let node = Node { at, next: NONE, count: 1 };
        let index = if let Some(reused) = self.node_mut(self.free) {
            let next_free = reused.next;
            *reused = node;
            core::mem::replace(&mut self.free, next_free)
        } else {
            if self.is_full() {
                return;
            }
            let Ok(index) = u32::try_from(self.nodes.len()) else { return };
            self.nodes.push(node);
            index
        };
        match self.node_mut(chain.newest) {
            Some(newest) => newest.next = index,
            None => chain.oldest = index,
        }
        chain.newest = index;
        chain.len = chain.len.saturating_add(1);
    }

    /// Drops the oldest node of `chain`.
    pub(super) fn pop(&mut self, chain: &mut Chain) {
        let (index, free) = (chain.oldest, self.free);
        let Some(node) = self.node_mut(index) else {
            *chain = Chain::default();
            return;
        };
        let count = node.count;
        chain.oldest = core::mem::replace(&mut node.next, free);
        self.free = index;
        chain.len = chain.len.saturating_sub(count);
        if chain.oldest == NONE {
            *chain = Chain::default();
        }
    }

    fn node(&self, index: u32) -> Option<&Node> {
        self.nodes.get(usize::try_from(index).ok()?)
    }

    fn node_mut(&mut self, index: u32) -> Option<&mut Node> {
        self.nodes.get_mut(usize::try_from(index).ok()?)
    }
}
