//! Who is connected, who only waits, and who has to make room.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use exchange_core::machine::Mono;
use exchange_core::policy::{ClientIp, RateKey};

use super::ListenLimits;
use crate::deadlines::Deadline;

/// Numbers for metrics, shared by whoever reads them.
#[derive(Debug, Default)]
pub struct Load {
    open: AtomicUsize,
    evicted: AtomicUsize,
    turned_away: AtomicUsize,
}

impl Load {
    /// Connections open now.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Connections closed since the start to make room for others.
    pub fn evicted(&self) -> usize {
        self.evicted.load(Ordering::Relaxed)
    }

    /// Connections not taken since the start because nobody could make room.
    pub fn turned_away(&self) -> usize {
        self.turned_away.load(Ordering::Relaxed)
    }
}

/// How waiting ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Waited<T> {
    /// It happened.
    Done(T),
    /// The deadline came first.
    Late,
    /// Another connection needs the room, or the listener stops.
    Evicted,
}

/// What a connection waits for decides whether it has to go when the listener stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    /// For a first byte: nobody is harmed by a close.
    Idle,
    /// For the rest of something begun.
    Busy,
}

/// All connections of one listener.
#[derive(Debug)]
pub(super) struct Registry {
    book: Mutex<Book>,
    load: Arc<Load>,
    connections_max: usize,
    per_peer_max: usize,
}

#[derive(Debug, Default)]
struct Book {
    open: usize,
    per_peer: BTreeMap<RateKey, usize>,
    /// In order of the time since when they wait, so that the first has waited longest.
    waiting: BTreeMap<u64, Waiter>,
    next: u64,
    draining: bool,
}

#[derive(Debug)]
struct Waiter {
    peer: RateKey,
    what: Waiting,
    waker: Waker,
}

/// One connection's place, given back on drop.
#[derive(Debug)]
pub(super) struct Ticket {
    registry: Arc<Registry>,
    peer: RateKey,
}

impl Registry {
    pub(super) fn new(limits: &ListenLimits, load: Arc<Load>) -> Self {
        Self {
            book: Mutex::default(),
            load,
            connections_max: limits.connections_max,
            per_peer_max: limits.connections_per_peer_max,
        }
    }

    /// A place for one more connection, unless there is none and nobody can make room.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Ticket> {
        let peer = ClientIp::from(address).rate_key();
        let mut book = self.lock();
        let of_peer = book.per_peer.get(&peer).copied().unwrap_or(0);
        // A place given up is counted until its connection has ended, one turn later.
        let room = if of_peer >= self.per_peer_max {
            self.evict(&mut book, Some(peer))
        } else if book.open >= self.connections_max {
            self.evict(&mut book, None)
        } else {
            true
        };
        if !room {
            self.load.turned_away.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        book.open += 1;
        *book.per_peer.entry(peer).or_default() += 1;
        self.load.open.fetch_add(1, Ordering::Relaxed);
        Some(Ticket { registry: Arc::clone(self), peer })
    }

    /// Closes up to `count` waiting connections, to get their descriptors back.
    pub(super) fn shed(&self, count: usize) {
        let mut book = self.lock();
        for _ in 0..count {
            if !self.evict(&mut book, None) {
                return;
            }
        }
    }

    /// Closes what is idle, now and from now on.
    pub(super) fn drain(&self) {
        let mut book = self.lock();
        book.draining = true;
        book.waiting.retain(|_, waiter| {
            if waiter.what == Waiting::Idle {
                waiter.waker.wake_by_ref();
            }
            waiter.what == Waiting::Busy
        });
    }

    /// Connections open now.
    pub(super) fn open(&self) -> usize {
        self.lock().open
    }

    /// Tells the connection to go that has waited longest: an idle one if there is one.
    fn evict(&self, book: &mut Book, only: Option<RateKey>) -> bool {
        let of_peer = |waiter: &Waiter| only.is_none_or(|peer| peer == waiter.peer);
        let oldest = |what: Waiting| {
            let mut waiting = book.waiting.iter();
            waiting.find(|(_, w)| w.what == what && of_peer(w)).map(|(key, _)| *key)
        };
        let Some(key) = oldest(Waiting::Idle).or_else(|| oldest(Waiting::Busy)) else {
            return false;
        };
        if let Some(waiter) = book.waiting.remove(&key) {
            waiter.waker.wake();
            self.load.evicted.fetch_add(1, Ordering::Relaxed);
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    /// Waits for `work` until `deadline`, or until this connection has to make room.
    pub(super) async fn wait<T>(
        &self,
        what: Waiting,
        deadline: Mono,
        work: impl Future<Output = T>,
    ) -> Waited<T> {
        let mut work = pin!(work);
        let mut timer = Deadline::at(deadline);
        let mut place = Place { registry: &self.registry, key: None };
        poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(Waited::Done(done));
            }
            if Pin::new(&mut timer).poll(cx).is_ready() {
                return Poll::Ready(Waited::Late);
            }
            let mut book = self.registry.lock();
            match place.key {
                None if book.draining && what == Waiting::Idle => Poll::Ready(Waited::Evicted),
                None => {
                    let key = book.next;
                    book.next += 1;
                    let waker = cx.waker().clone();
                    book.waiting.insert(key, Waiter { peer: self.peer, what, waker });
                    place.key = Some(key);
                    Poll::Pending
                }
                Some(key) => match book.waiting.get_mut(&key) {
                    Some(waiter) => {
                        waiter.waker.clone_from(cx.waker());
                        Poll::Pending
                    }
                    None => Poll::Ready(Waited::Evicted),
                },
            }
        })
        .await
    }

    /// Whether the listener stops, so that the next answer is the last of its connection.
    pub(super) fn is_draining(&self) -> bool {
        self.registry.lock().draining
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut book = self.registry.lock();
        book.open = book.open.saturating_sub(1);
        self.registry.load.open.fetch_sub(1, Ordering::Relaxed);
        if let Some(count) = book.per_peer.get_mut(&self.peer) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                book.per_peer.remove(&self.peer);
            }
        }
    }
}

/// An entry among the waiting ones, taken out on drop.
struct Place<'a> {
    registry: &'a Registry,
    key: Option<u64>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.registry.lock().waiting.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use smol::future;

    fn registry(all: usize, per_peer: usize) -> Arc<Registry> {
        let limits = ListenLimits {
            connections_max: all,
            connections_per_peer_max: per_peer,
            ..ListenLimits::SERVER
        };
        Arc::new(Registry::new(&limits, Arc::default()))
    }

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    async fn for_ever(ticket: &Ticket, what: Waiting) -> Waited<()> {
        ticket.wait(what, clock::mono().plus_secs(60), future::pending()).await
    }

    #[test]
    fn the_longest_waiting_idle_one_makes_room() {
        let registry = registry(3, 3);
        let busy = registry.admit(ip(1)).unwrap();
        let (first, second) = (registry.admit(ip(2)).unwrap(), registry.admit(ip(3)).unwrap());
        smol::block_on(async {
            let mut busy = pin!(for_ever(&busy, Waiting::Busy));
            let mut first = pin!(for_ever(&first, Waiting::Idle));
            let mut second = pin!(for_ever(&second, Waiting::Idle));
            for waits in [&mut busy, &mut first, &mut second] {
                assert_eq!(future::poll_once(waits).await, None);
            }
            let fourth = registry.admit(ip(4)).unwrap();
            assert_eq!(future::poll_once(&mut second).await, None);
            assert_eq!(first.await, Waited::Evicted);
            drop(registry.admit(ip(5)).unwrap());
            assert_eq!(second.await, Waited::Evicted);
            assert_eq!(future::poll_once(&mut busy).await, None);
            drop(registry.admit(ip(5)).unwrap());
            assert_eq!(busy.await, Waited::Evicted);
            // The others answer requests; nobody waits.
            assert!(registry.admit(ip(5)).is_none());
            drop(fourth);
        });
        assert_eq!((registry.load.evicted(), registry.load.turned_away()), (3, 1));
        drop((busy, first, second));
        assert_eq!((registry.open(), registry.load.open()), (0, 0));
        assert!(registry.lock().per_peer.is_empty());
    }

    #[test]
    fn one_peer_cannot_take_the_room_of_others() {
        let registry = registry(10, 2);
        let (own, other) = (registry.admit(ip(1)).unwrap(), registry.admit(ip(2)).unwrap());
        let _answering = registry.admit(ip(1)).unwrap();
        smol::block_on(async {
            let mut other = pin!(for_ever(&other, Waiting::Idle));
            let mut own = pin!(for_ever(&own, Waiting::Idle));
            assert_eq!(future::poll_once(&mut other).await, None);
            assert_eq!(future::poll_once(&mut own).await, None);
            let _third = registry.admit(ip(1)).unwrap();
            assert_eq!(future::poll_once(&mut other).await, None);
            assert_eq!(own.await, Waited::Evicted);
            assert!(registry.admit(ip(1)).is_none());
        });
    }

    #[test]
    fn a_stop_ends_what_is_idle_and_nothing_else() {
        let registry = registry(10, 10);
        let (a, b) = (registry.admit(ip(1)).unwrap(), registry.admit(ip(1)).unwrap());
        smol::block_on(async {
            let mut idle = pin!(for_ever(&a, Waiting::Idle));
            let mut busy = pin!(for_ever(&b, Waiting::Busy));
            assert_eq!(future::poll_once(&mut idle).await, None);
            assert_eq!(future::poll_once(&mut busy).await, None);
            registry.drain();
            assert_eq!(idle.await, Waited::Evicted);
            assert_eq!(future::poll_once(&mut busy).await, None);
            assert_eq!(for_ever(&a, Waiting::Idle).await, Waited::Evicted);
        });
    }
}
