//! One task for tokens and lock, so that what the machine orders happens in its order.

use exchange_core::login::cache::CacheEntry;
use exchange_core::login::{FileTrouble, Input};
use exchange_core::machine::EffectId;
use exchange_core::types::ContextName;
use exchange_smol::executor::{spawn, within};
use exchange_smol::files::FileLock;
use smol::Task;
use smol::channel::{Receiver, Sender, unbounded};

use super::store::{TokenStore, is_busy};
use crate::terminal;

/// A refresh under way elsewhere takes at most two requests of thirty seconds.
const LOCK_MILLIS: u64 = 65_000;
/// For what was ordered last.
const CLOSE_MILLIS: u64 = 5_000;

/// What can be ordered.
pub(crate) enum Job {
    Lock(EffectId),
    Release,
    Save(EffectId, Box<CacheEntry>),
    Forget,
}

/// The task.
pub(crate) struct Keeper {
    jobs: Sender<Job>,
    task: Task<()>,
}

struct Desk {
    store: TokenStore,
    context: ContextName,
    lock: Option<FileLock>,
}

impl Keeper {
    /// Starts the task; its answers go into `inputs`.
    pub(crate) fn start(store: TokenStore, context: ContextName, inputs: Sender<Input>) -> Self {
        let (jobs, queue) = unbounded();
        let desk = Desk { store, context, lock: None };
        Self { jobs, task: spawn(work(desk, queue, inputs)) }
    }

    /// Orders a job.
    pub(crate) fn order(&self, job: Job) {
        // Cannot fail: the queue has no bound, and the task lives as long as this.
        let _ = self.jobs.try_send(job);
    }

    /// Waits for everything that was ordered.
    pub(crate) async fn close(self) {
        drop(self.jobs);
        let _ = within(CLOSE_MILLIS, self.task).await;
    }
}

async fn work(mut desk: Desk, queue: Receiver<Job>, inputs: Sender<Input>) {
    while let Ok(job) = queue.recv().await {
        let (back, answer) = smol::unblock(move || {
            let answer = desk.perform(job);
            (desk, answer)
        })
        .await;
        desk = back;
        if let Some(answer) = answer {
            let _ = inputs.send(answer).await;
        }
    }
}

impl Desk {
    fn perform(&mut self, job: Job) -> Option<Input> {
        match job {
            Job::Lock(effect) => Some(self.take_lock(effect)),
            Job::Release => {
                self.lock = None;
                None
            }
            Job::Save(effect, entry) => Some(match self.store.save(&self.context, &entry) {
                Ok(warning) => {
                    if let Some(warning) = warning {
                        terminal::error_line(&format!("warning: {warning}"));
                    }
                    Input::Saved { effect }
                }
                Err(error) => {
                    let trouble = FileTrouble { text: error.to_string().into() };
                    Input::SaveFailed { effect, trouble }
                }
            }),
            Job::Forget => {
                if let Err(error) = self.store.forget(&self.context) {
                    terminal::error_line(&format!("warning: {error}"));
                }
                None
            }
        }
    }

    fn take_lock(&mut self, effect: EffectId) -> Input {
        match self.store.lock(&self.context, LOCK_MILLIS) {
            Ok(lock) => {
                self.lock = lock;
                Input::Locked { effect, entry: self.store.load(&self.context).ok().flatten() }
            }
            Err(error) => Input::LockFailed { effect, busy: is_busy(&error) },
        }
    }
}
