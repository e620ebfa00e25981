//! The one executor of the process.

use std::future::Future;
use std::num::NonZeroUsize;
use std::thread;

use smol::channel::{Receiver, bounded};
use smol::{Executor, Task, future};

use crate::clock;

static EXECUTOR: Executor<'static> = Executor::new();

/// Runs `main` to its end on `threads` threads, this one included.
///
/// One thread is a good default: a warm exchange costs some 150 microseconds of processor time.
/// Tasks still running when `main` ends are not waited for.
pub fn run<T>(threads: NonZeroUsize, main: impl Future<Output = T>) -> T {
    let _ = clock::mono();
    // Dropping the sender tells the helpers to leave.
    let (_stop, stopped) = bounded::<()>(1);
    for n in 1..threads.get() {
        let stopped = stopped.clone();
        let helper = thread::Builder::new().name(format!("worker-{n}"));
        // With fewer threads than asked for, everything still runs.
        let _ = helper.spawn(move || smol::block_on(EXECUTOR.run(until_closed(stopped))));
    }
    smol::block_on(EXECUTOR.run(main))
}

async fn until_closed(stopped: Receiver<()>) {
    let _ = stopped.recv().await;
}

/// Starts `task` beside everything else. Dropping the handle cancels it; `detach` lets it go.
pub fn spawn<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> Task<T> {
    EXECUTOR.spawn(task)
}

/// `work`, or `None` when `millis` milliseconds pass first.
pub async fn within<T>(millis: u64, work: impl Future<Output = T>) -> Option<T> {
    let work = async { Some(work.await) };
    let timer = async {
        clock::sleep(millis).await;
        None
    };
    future::or(work, timer).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_tasks_and_gives_up_in_time() {
        let two = NonZeroUsize::new(2).unwrap();
        let sum = run(two, async {
            let tasks: Vec<_> = (0..10_u64).map(|n| spawn(async move { n })).collect();
            let mut sum = 0;
            for task in tasks {
                sum += task.await;
            }
            assert_eq!(within(20, std::future::pending::<()>()).await, None);
            assert_eq!(within(5000, async { 7 }).await, Some(7));
            sum
        });
        assert_eq!(sum, 45);
    }
}
