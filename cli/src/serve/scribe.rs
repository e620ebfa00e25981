//! The task that writes the audit log: seals events into the chain, writes them, and only then
//! lets their answers go.
//!
//! All that arrives while a write is under way goes with the next one. A failed write takes the
//! chain back to where it was, so that no number is lost, and its answers become 503.

use std::path::PathBuf;
use std::sync::Arc;

use exchange_core::http::Response;
use exchange_core::machine::RequestId;
use exchange_core::server::audit::AuditEvent;
use exchange_core::server::audit_chain::{Chain, CheckpointKey};
use exchange_core::server::refusal;
use exchange_core::server::{Health, Input};
use exchange_smol::audit_sink::{AuditError, AuditSink};
use exchange_smol::clock;
use exchange_smol::desk::Desk;
use exchange_smol::files;
use smol::channel::{Receiver, Sender};
use smol::future;

use super::log;

/// Answers written together at most.
const BATCH_MAX: usize = 512;

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
}

impl Scribe {
    /// Works until told to finish or until nobody is left to give orders.
    pub(super) async fn work(mut self, orders: Receiver<Order>) {
        let mut next_checkpoint = self.due();
        let mut pinned = self.chain.len();
        loop {
            let order = async { Some(orders.recv().await) };
            let timer = async {
                clock::sleep_until(next_checkpoint).await;
                None
            };
            match future::or(order, timer).await {
                Some(Ok(Order::Answer { id, events, response })) => {
                    let first = (id, events, response);
                    if let Some(control) = self.answer(first, &orders).await
                        && self.control(control).await
                    {
                        return;
                    }
                }
                Some(Ok(control)) => {
                    if self.control(control).await {
                        return;
                    }
                }
                Some(Err(_)) => return,
                None => {
                    if self.chain.len() > pinned {
                        self.checkpoint().await;
                    }
                    pinned = self.chain.len();
                    next_checkpoint = self.due();
                }
            }
        }
    }

    fn due(&self) -> Option<exchange_core::machine::Mono> {
        self.interval_millis.map(|millis| clock::mono().plus_millis(millis))
    }

    /// Writes one answer's events and all that queued up behind them. Gives back an order of
    /// another kind that it came upon.
    async fn answer(
        &mut self,
        first: (RequestId, Vec<AuditEvent>, Response),
        orders: &Receiver<Order>,
    ) -> Option<Order> {
        let before = self.chain.clone();
        let mut lines = String::new();
        self.seal(&first.1, &mut lines);
        let mut batch = vec![first];
        let mut control = None;
        while batch.len() < BATCH_MAX && control.is_none() {
            match orders.try_recv() {
                Ok(Order::Answer { id, events, response }) => {
                    self.seal(&events, &mut lines);
                    batch.push((id, events, response));
                }
                Ok(other) => control = Some(other),
                Err(_) => break,
            }
        }
        match self.sink.write_lines(lines.into_bytes()).await {
            Ok(()) => {
                for (id, events, response) in batch {
                    // A full queue costs a line in the statistics, never an answer.
                    let _ = self.inputs.try_send(Input::Recorded(events));
                    self.desk.answer(id, response);
                }
            }
            Err(fault) => {
                self.chain = before;
                self.fault(fault);
                for (id, ..) in batch {
                    self.desk.answer(id, unwritten());
                }
            }
        }
        control
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
                false
            }
            Order::Finish(done) => {
                if !self.chain.is_empty() {
                    self.checkpoint().await;
                }
                let _ = done.try_send(());
                true
            }
        }
    }

    /// Writes a signed checkpoint and keeps the state for the next start.
    async fn checkpoint(&mut self) {
        let before = self.chain.clone();
        let open = self.chain.checkpoint(clock::now().wall, &self.key);
        let mut line = String::new();
        self.chain.seal(open, &mut line);
        if let Err(fault) = self.sink.write_lines(line.into_bytes()).await {
            self.chain = before;
            return self.fault(fault);
        }
        if let Some(path) = self.state.clone() {
            let state = self.chain.state();
            let kept =
                smol::unblock(move || files::write_atomic(&path, state.as_bytes(), 0o600)).await;
            if let Err(error) = kept {
                log::warn(&format!("state of the audit chain: {error}"));
            }
        }
    }

    fn fault(&self, fault: AuditError) {
        log::error(&fault.to_string());
        let health = Health { audit_fault: Some(fault.code()) };
        let _ = self.inputs.try_send(Input::Health(health));
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
