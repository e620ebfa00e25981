//! Deadlines of the whole process, kept in one queue and watched by one thread.
//!
//! Every request has some, and hardly any ever comes up. Setting a timer of the reactor interrupts
//! its wait, which costs half a dozen system calls; here only one that is earlier than all others
//! is told to anybody.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use exchange_core::machine::Mono;

use crate::clock::mono;

/// Longest single sleep. The clock that a thread sleeps by may stand still while a laptop is
/// suspended; ours does not, so after a suspend a deadline is noticed at most this late.
const SLICE: Duration = Duration::from_secs(15);

static BOOK: Mutex<Book> =
    Mutex::new(Book { waiting: BTreeMap::new(), next: 0, watch: Watch::Absent });
static EARLIER: Condvar = Condvar::new();

struct Book {
    /// In order of time; the number tells apart those of one millisecond.
    waiting: BTreeMap<(Mono, u64), Waker>,
    next: u64,
    watch: Watch,
}

/// What the thread is doing.
#[derive(Clone, Copy)]
enum Watch {
    /// There is none yet.
    Absent,
    /// It looks at the queue before it sleeps again.
    Awake,
    /// It sleeps until that moment, or for ever.
    Asleep(Option<Mono>),
}

/// Resolves once a moment has come.
#[derive(Debug)]
pub(crate) struct Deadline {
    at: Mono,
    number: Option<u64>,
}

impl Deadline {
    pub(crate) const fn at(at: Mono) -> Self {
        Self { at, number: None }
    }
}

impl Future for Deadline {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let at = self.at;
        if at <= mono() {
            return Poll::Ready(());
        }
        let mut book = book();
        if let Some(waker) = self.number.and_then(|number| book.waiting.get_mut(&(at, number))) {
            // Dropped behind the lock: a waker may be the last owner of a task with deadlines.
            let old = (!waker.will_wake(cx.waker()))
                .then(|| std::mem::replace(waker, cx.waker().clone()));
            drop(book);
            drop(old);
            return Poll::Pending;
        }
        let number = book.next;
        book.next = book.next.wrapping_add(1);
        book.waiting.insert((at, number), cx.waker().clone());
        self.number = Some(number);
        match book.watch {
            Watch::Asleep(until) if until.is_none_or(|until| at < until) => {
                book.watch = Watch::Awake;
                drop(book);
                EARLIER.notify_one();
            }
            Watch::Awake | Watch::Asleep(_) => {}
            Watch::Absent => {
                // Without the thread nothing would ever be late: better everything is at once.
                let name = thread::Builder::new().name("deadlines".to_owned());
                if name.spawn(watch).is_err() {
                    book.waiting.remove(&(at, number));
                    return Poll::Ready(());
                }
                book.watch = Watch::Awake;
            }
        }
        Poll::Pending
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let waker = book().waiting.remove(&(self.at, number));
            // As above.
            drop(waker);
        }
    }
}

fn book() -> MutexGuard<'static, Book> {
    BOOK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Wakes whose moment has come, one after the other, and sleeps until the next.
fn watch() {
    let mut book = book();
    loop {
        let now = mono();
        let next = book.waiting.first_key_value().map(|((at, _), _)| *at);
        if next.is_some_and(|at| at <= now) {
            let due = book.waiting.pop_first();
            drop(book);
            if let Some((_, waker)) = due {
                waker.wake();
            }
            book = self::book();
            continue;
        }
        book.watch = Watch::Asleep(next);
        book = match next {
            // Milliseconds are cut off when reading, so wake just after the moment, not before.
            Some(at) => {
                let left = Duration::from_millis(at.since(now).saturating_add(1)).min(SLICE);
                EARLIER.wait_timeout(book, left).unwrap_or_else(PoisonError::into_inner).0
            }
            None => EARLIER.wait(book).unwrap_or_else(PoisonError::into_inner),
        };
        book.watch = Watch::Awake;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smol::future;

    fn after(millis: u64) -> Deadline {
        Deadline::at(mono().plus_millis(millis))
    }

    #[test]
    fn they_come_in_order_and_not_too_early() {
        let start = mono();
        let order = Mutex::new(Vec::new());
        let noted = |millis| {
            let order = &order;
            async move {
                after(millis).await;
                order.lock().unwrap().push(millis);
            }
        };
        let all = future::zip(noted(1000), future::zip(noted(10), noted(500)));
        smol::block_on(all);
        assert_eq!(*order.lock().unwrap(), [10, 500, 1000]);
        let passed = mono().since(start);
        assert!((1000..20_000).contains(&passed), "{passed}");
    }

    #[test]
    fn one_that_is_earlier_than_the_first_is_heard_of() {
        let start = mono();
        smol::block_on(async {
            let mut far = Box::pin(after(600_000));
            assert!(future::poll_once(&mut far).await.is_none());
            // Time for the thread to fall asleep over it.
            after(30).await;
            after(30).await;
            assert!(future::poll_once(&mut far).await.is_none());
        });
        assert!(mono().since(start) < 20_000);
    }

    #[test]
    fn what_is_given_up_leaves_nothing_behind() {
        let at = mono().plus_millis(3_600_000);
        let mut deadline = Deadline::at(at);
        let held = || super::book().waiting.range((at, 0)..=(at, u64::MAX)).count();
        smol::block_on(async {
            assert!(future::poll_once(&mut deadline).await.is_none());
            assert!(future::poll_once(&mut deadline).await.is_none());
        });
        assert_eq!(held(), 1);
        drop(deadline);
        assert_eq!(held(), 0);
    }
}
