//! The task that writes the audit log: seals events into the chain, writes them, and only then
//! lets their answers go.
//!
//! All that arrives while a write is under way goes with the next one. A failed write takes the
//! chain back to where it was, so that no number is lost, and its answers become 503.

use std::path::PathBuf;
use std::sync::Arc;

use exchange_core::http::Response;
use exchange_core::machine::{Mono, RequestId};
use exchange_core::server::audit::AuditEvent;
use exchange_core::server::audit_chain::{Chain, CheckpointKey};
use exchange_core::server::refusal;
use exchange_core::server::{Health, Input};
use exchange_smol::audit_sink::{AuditError, AuditSink, Standing, Writing, Written};
use exchange_smol::clock;
use exchange_smol::desk::Desk;
use exchange_smol::executor;
use exchange_smol::files;
use smol::channel::{Receiver, Sender};
use smol::future;

use super::log;

/// Answers written together at most.
const BATCH_MAX: usize = 512;
/// How long answers wait for the disk before they become 503.
const PATIENCE_MILLIS: u64 = 5_000;
/// How often the file is looked for under its name.
const LOOK_MILLIS: u64 = 2_000;
/// How long a renamed file is written on without a signal: rotation renames first and signals
/// then, and may make the next file itself in between.
const RENAMED_MILLIS: u64 = 10_000;

/// What the scribe is told.
pub(super) enum Order {
    /// Write these events, then give the answer.
    Answer {
        /// Which request.
        id: RequestId,
        /// What to write first.
        events: Vec<AuditEvent>,
        /// The answer.
        response: Response,
    },
    /// The file was renamed away: go on in a new one.
    Reopen,
    /// Write a last checkpoint and end.
    Finish(Sender<()>),
}

/// The writer's belongings.
pub(super) struct Scribe {
    /// What it is told.
    pub(super) orders: Receiver<Order>,
    /// An order that is no answer and has yet to be carried out.
    pub(super) kept: Option<Order>,
    /// Where lines go.
    pub(super) sink: AuditSink,
    /// Where the chain stands.
    pub(super) chain: Chain,
    /// Signs checkpoints.
    pub(super) key: CheckpointKey,
    /// Milliseconds between checkpoints while lines are written; `None` is never.
    pub(super) interval_millis: Option<u64>,
    /// Where the state of the chain is kept; `None` keeps none.
    pub(super) state: Option<PathBuf>,
    /// Gives answers to their connections.
    pub(super) desk: Arc<Desk<Input>>,
    /// Tells the machine what was written.
    pub(super) inputs: Sender<Input>,
    /// Whether the machine was told that the log cannot be written.
    pub(super) faulty: bool,
    /// Lines up to the last checkpoint of this run.
    pub(super) pinned: u64,
    /// Since when the file is known to have been renamed.
    pub(super) renamed: Option<Mono>,
    /// Answers that became 503 because their events could not be written.
    pub(super) withheld: u64,
}

/// An answer that waits for its events to be written.
type Held = (RequestId, Vec<AuditEvent>, Response);

impl Scribe {
    /// Works until told to finish or until nobody is left to give orders.
    pub(super) async fn work(mut self) {
        let mut next_checkpoint = self.due();
        let mut next_look = clock::mono().plus_millis(LOOK_MILLIS);
        loop {
            if let Some(order) = self.kept.take()
                && self.control(order).await
            {
                return;
            }
            // Looked at here, as under load there is always an order and the timer never comes up.
            let now = clock::mono();
            if next_checkpoint.is_some_and(|at| at <= now) {
                self.checkpoint().await;
                next_checkpoint = self.due();
            }
            if next_look <= now {
                self.look().await;
                next_look = clock::mono().plus_millis(LOOK_MILLIS);
            }
            let order = async { Some(self.orders.recv().await) };
            let until = next_checkpoint.unwrap_or(next_look).min(next_look);
            let timer = async {
                clock::sleep_until(Some(until)).await;
                None
            };
            match future::or(order, timer).await {
                Some(Ok(Order::Answer { id, events, response })) => {
                    self.answer((id, events, response)).await;
                }
                Some(Ok(other @ (Order::Reopen | Order::Finish(_)))) => self.kept = Some(other),
                Some(Err(_)) => return,
                None => {}
            }
        }
    }

    fn due(&self) -> Option<Mono> {
        self.interval_millis.map(|millis| clock::mono().plus_millis(millis))
    }

    /// Writes one answer's events and all that queued up behind them, up to an order of another
    /// kind, which is kept.
    async fn answer(&mut self, first: Held) {
        let before = self.chain.clone();
        let mut lines = String::new();
        self.seal(&first.1, &mut lines);
        let mut batch: Vec<Held> = vec![first];
        while batch.len() < BATCH_MAX && self.kept.is_none() {
            match self.orders.try_recv() {
                Ok(Order::Answer { id, events, response }) => {
                    self.seal(&events, &mut lines);
                    batch.push((id, events, response));
                }
                Ok(other @ (Order::Reopen | Order::Finish(_))) => self.kept = Some(other),
                Err(_) => break,
            }
        }
        match self.write(lines, &mut batch).await {
            Ok(written) => {
                self.recovered();
                self.note_new_file(written, &before).await;
                for (id, events, response) in batch {
                    // A full queue costs a line in the statistics, never an answer.
                    let _ = self.inputs.try_send(Input::Recorded(events));
                    self.desk.answer(id, response);
                }
            }
            Err(fault) => {
                // Nothing of it was written: no number is lost, and no answer leaves.
                self.chain = before;
                batch.drain(..).for_each(|(id, ..)| self.refuse(id));
                self.fault(fault);
            }
        }
    }

    /// Writes lines and waits until it is known whether they are there, however long that takes:
    /// a line that may or may not be there would break the chain. When the disk hangs, the answers
    /// of `batch` do not wait for it.
    async fn write(&mut self, lines: String, batch: &mut Vec<Held>) -> Result<Written, AuditError> {
        let writing = self.sink.begin(lines.into_bytes()).await?;
        match executor::within(PATIENCE_MILLIS, writing.done()).await {
            Some(outcome) => outcome,
            None => {
                batch.drain(..).for_each(|(id, ..)| self.refuse(id));
                self.fault(AuditError::Overloaded);
                self.hold_off(&writing).await
            }
        }
    }

    /// Waits for a disk that hangs. What arrives meanwhile is refused: nothing is issued that may
    /// not be recorded, and nothing piles up.
    ///
    /// Until the outcome is known nobody can tell where the chain stands, so no order of another
    /// kind is carried out before: the last one is kept.
    async fn hold_off(&mut self, writing: &Writing) -> Result<Written, AuditError> {
        let orders = self.orders.clone();
        loop {
            let outcome = async { Err(writing.done().await) };
            let order = async { Ok(orders.recv().await) };
            match future::or(outcome, order).await {
                Err(outcome) => return outcome,
                Ok(Ok(Order::Answer { id, .. })) => self.refuse(id),
                Ok(Ok(other @ (Order::Reopen | Order::Finish(_)))) => self.kept = Some(other),
                Ok(Err(_)) => return writing.done().await,
            }
        }
    }

    fn refuse(&mut self, id: RequestId) {
        self.withheld = self.withheld.saturating_add(1);
        self.desk.answer(id, unwritten());
    }

    fn seal(&mut self, events: &[AuditEvent], lines: &mut String) {
        for event in events {
            let mut open = String::new();
            event.write_open(&mut open);
            self.chain.seal(open, lines);
        }
    }

    /// Carries out an order that is no answer. Returns whether that was the end.
    async fn control(&mut self, order: Order) -> bool {
        match order {
            Order::Answer { .. } => false,
            Order::Reopen => {
                self.checkpoint().await;
                match self.sink.reopen().await {
                    Ok(()) => log::info("audit log opened again"),
                    Err(error) => log::error(&format!("audit log: {error}")),
                }
                self.renamed = None;
                false
            }
            Order::Finish(done) => {
                self.checkpoint().await;
                let _ = done.try_send(());
                true
            }
        }
    }

    /// Finds out whether the file still has its name, and makes a new one where it has not: lines
    /// must stand where people look for them.
    async fn look(&mut self) {
        let now = clock::mono();
        match self.sink.standing().await {
            Standing::Named => self.renamed = None,
            Standing::Moved => {
                let since = *self.renamed.get_or_insert(now);
                if now.since(since) >= RENAMED_MILLIS {
                    log::warn("the audit log was renamed and no SIGHUP followed: opening it again");
                    // Tried again as long after, should it fail.
                    self.control(Order::Reopen).await;
                }
            }
            Standing::Deleted => match self.sink.reopen().await {
                Ok(()) => {
                    self.recovered();
                    let chain = self.chain.clone();
                    self.note_new_file(Written::InNewFile, &chain).await;
                }
                Err(_) => self.fault(AuditError::Write(std::io::ErrorKind::NotFound)),
            },
        }
    }

    /// Says that a deleted file was replaced, and keeps where its chain stood: the new one goes on
    /// from there, so that the verifier asks for what is gone.
    async fn note_new_file(&mut self, written: Written, before: &Chain) {
        if written == Written::InNewFile {
            log::error(&format!(
                "the audit log was deleted: going on in a new file with line number {}; the lines \
                 before it are lost here",
                before.next_number()
            ));
            self.renamed = None;
            self.keep_state(before).await;
        }
    }

    /// Writes a signed checkpoint and keeps the state for the next start, if there are lines
    /// since the last one.
    async fn checkpoint(&mut self) {
        if self.chain.len() == self.pinned {
            return;
        }
        let before = self.chain.clone();
        let open = self.chain.checkpoint(clock::now().wall, &self.key);
        let mut line = String::new();
        self.chain.seal(open, &mut line);
        match self.write(line, &mut Vec::new()).await {
            Ok(written) => {
                self.recovered();
                self.pinned = self.chain.len();
                self.note_new_file(written, &before).await;
                self.keep_state(&self.chain.clone()).await;
            }
            Err(fault) => {
                self.chain = before;
                self.fault(fault);
            }
        }
    }

    /// Keeps where a chain stands, for the next start.
    async fn keep_state(&self, chain: &Chain) {
        if let Some(path) = self.state.clone() {
            let state = chain.state();
            let kept =
                smol::unblock(move || files::write_atomic(&path, state.as_bytes(), 0o600)).await;
            if let Err(error) = kept {
                log::warn(&format!("state of the audit chain: {error}"));
            }
        }
    }

    fn fault(&mut self, fault: AuditError) {
        // Once, not for every request that finds it so.
        if !self.faulty {
            log::error(&fault.to_string());
        }
        self.faulty = true;
        let health = Health { audit_fault: Some(fault.code()), withheld: self.withheld };
        let _ = self.inputs.try_send(Input::Health(health));
    }

    fn recovered(&mut self) {
        let health = Health { audit_fault: None, withheld: self.withheld };
        if self.faulty && self.inputs.try_send(Input::Health(health)).is_ok() {
            self.faulty = false;
            log::info("the audit log can be written again");
        }
    }
}

/// What a client gets whose events could not be written.
fn unwritten() -> Response {
    refusal::error(
        503,
        "audit log unavailable",
        "audit.not_writable",
        "no certificate is issued without a trace; try again later or tell the administrator",
    )
    .with("retry-after", "5")
}
