//! The server-side exchange machine.
//!
//! In go requests, fetched documents and signatures; out come fetches, things to sign, answers
//! with their audit events, and notes for the log. See [`chain`] for the exchange itself.

pub mod admin;
pub mod audit;
pub mod audit_chain;
pub mod audit_verify;
pub mod chain;
mod clean_path;
pub mod metrics;
pub mod refusal;
mod routes;
pub mod setup;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use admin::Admin;
use audit::AuditEvent;
pub use chain::{Call, Connections, Door, ENTROPY_BYTES, overloaded};
use chain::{Checked, Gate, Holder, Trail};
use metrics::Metrics;
use refusal::Refusal;
pub use setup::Setup;

use crate::http::{FetchError, FetchReply, FetchRequest, Response};
use crate::json::Object;
use crate::machine::{EffectId, EffectIds, Machine, Mono, Now, RequestId, UnixTime};
use crate::oidc::discovery::MetadataError;
use crate::oidc::jwks::{SkipReason, Skipped};
use crate::oidc::key_cache::{Fetched, KeyCache, Lookup};
use crate::pki::{Draft, SignatureAlgorithm};
use crate::policy::RateLimiter;

/// How long a request waits for keys, in milliseconds.
const KEYS_WAIT_MILLIS: u64 = 11_000;
/// How long a request waits for its signature, in milliseconds.
const SIGN_WAIT_MILLIS: u64 = 10_000;

/// The signer gave no signature; why is in its own log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignError;

/// What may happen to the server.
pub enum Input {
    /// A complete request arrived.
    Request(Box<Call>),
    /// Answer to [`Output::Fetch`]; ignored when `effect` is unknown.
    Fetched {
        /// The effect answered.
        effect: EffectId,
        /// Reply of any status, or why there is none.
        result: Result<FetchReply, FetchError>,
    },
    /// Answer to [`Output::Sign`]; ignored when `effect` is unknown or timed out.
    Signed {
        /// The effect answered.
        effect: EffectId,
        /// The signature in the form the algorithm's certificates want.
        result: Result<Vec<u8>, SignError>,
    },
    /// The audit events of an answer were written; they count from now on.
    Recorded(Vec<AuditEvent>),
    /// A line of an earlier run's audit log, read back at start.
    Replay(Vec<Object>),
    /// What the runtime knows and the machine does not.
    Health(Health),
    /// The provider's keys as an earlier run exported them with [`Output::SaveKeys`].
    SavedKeys(Vec<u8>),
    /// The configuration changed; requests under way end by what they were checked against.
    Reload(Box<Setup>),
}

/// What the runtime knows and the machine does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Why the audit log cannot be written, if so.
    pub audit_fault: Option<&'static str>,
    /// Answers since the start that became 503 because their events could not be written.
    pub withheld: u64,
}

/// What the server wants done.
#[derive(Debug)]
pub enum Output {
    /// Make this request and report [`Input::Fetched`].
    Fetch {
        /// To echo.
        effect: EffectId,
        /// The request.
        request: FetchRequest,
    },
    /// Sign these bytes with the CA key and report [`Input::Signed`].
    Sign {
        /// To echo.
        effect: EffectId,
        /// The encoded `TBSCertificate`.
        tbs: Vec<u8>,
        /// What the certificate says it is signed with.
        algorithm: SignatureAlgorithm,
        /// [`Setup::generation`] whose CA key must sign: the configuration may have changed since.
        generation: u64,
    },
    /// Write every audit event, then answer; if writing fails, answer 503 instead.
    Respond {
        /// The request.
        id: RequestId,
        /// To be written first, in order.
        audit: Vec<AuditEvent>,
        /// The answer.
        response: Response,
    },
    /// Keep these bytes for the next start, where nobody else can write: they say whose signature
    /// counts.
    SaveKeys(Vec<u8>),
    /// Something for the log.
    Note(Note),
}

/// How much a note matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Only with `DEBUG`.
    Debug,
    /// Normal course.
    Info,
    /// Somebody should look.
    Warn,
    /// Something does not work.
    Error,
}

/// One line for the log, without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// How much it matters.
    pub level: Level,
    /// The line; may come from another party, so the writer escapes control characters.
    pub text: String,
}

struct WaitingForKeys {
    trail: Trail,
    checked: Checked,
    // What it was checked by also judges it: two configurations are nobody's word.
    setup: Arc<Setup>,
    until: Mono,
}

struct WaitingForSignature {
    trail: Trail,
    holder: Holder,
    draft: Draft,
    setup: Arc<Setup>,
    until: Mono,
}

/// The exchange server as a pure state machine.
pub struct Server {
    setup: Arc<Setup>,
    gate: Gate,
    keys: KeyCache,
    effects: EffectIds,
    fetching: Option<EffectId>,
    for_keys: VecDeque<WaitingForKeys>,
    // Boxed, as the map makes room for eleven at once.
    for_signature: BTreeMap<EffectId, Box<WaitingForSignature>>,
    outputs: VecDeque<Output>,
    started: UnixTime,
    admin: Admin,
    metrics: Metrics,
    health: Health,
}

impl Server {
    /// A server that starts at `now` and begins to fetch the provider's keys at once.
    ///
    /// # Errors
    /// [`MetadataError`] when the issuer cannot be asked as configured.
    pub fn new(setup: Setup, now: Now) -> Result<Self, MetadataError> {
        let mut server = Self {
            gate: gate(&setup),
            keys: KeyCache::new(setup.expect.issuer.clone(), setup.keys.clone())?,
            setup: Arc::new(setup),
            effects: EffectIds::default(),
            fetching: None,
            for_keys: VecDeque::new(),
            for_signature: BTreeMap::new(),
            outputs: VecDeque::new(),
            started: now.wall,
            admin: Admin::new(now),
            metrics: Metrics::default(),
            health: Health::default(),
        };
        server.handle_timeout(now);
        Ok(server)
    }

    fn on_request(&mut self, now: Now, call: Call) {
        if !call.door.leads_to_exchange(&call.head) {
            let (id, response) = (call.id, self.route(now, call));
            self.outputs.push_back(Output::Respond { id, audit: Vec::new(), response });
            return;
        }
        let setup = Arc::clone(&self.setup);
        let trail = call.trail(now.mono, &setup);
        let checked = call
            .admit(now.mono, &mut self.gate, &setup)
            .and_then(|admitted| admitted.present(&setup))
            .and_then(|presented| presented.check(now.wall, &setup));
        match checked {
            Ok(checked) => {
                let until = now.mono.plus_millis(KEYS_WAIT_MILLIS);
                self.with_keys(now, WaitingForKeys { trail, checked, setup, until });
            }
            Err(refusal) => self.refuse(now, trail, &refusal),
        }
    }

    /// Verifies with the key the token names, or parks the request until there is news of it.
    fn with_keys(&mut self, now: Now, request: WaitingForKeys) {
        let WaitingForKeys { mut trail, checked, setup, until } = request;
        let hmac = setup.expect.hmac_key().filter(|_| checked.token().alg().is_hmac());
        let verified = match hmac {
            Some(key) => checked.verify(now.wall, key, &mut trail),
            None => match self.keys.lookup(now, checked.token().alg(), checked.token().kid()) {
                Lookup::Found(key) => checked.verify(now.wall, key, &mut trail),
                Lookup::Wait => {
                    return self.park(now, WaitingForKeys { trail, checked, setup, until });
                }
                Lookup::Refused(error) => Err(Refusal::Token(error)),
                Lookup::Unavailable { retry_after_secs } => {
                    Err(Refusal::KeysUnavailable { retry_after_secs })
                }
            },
        };
        let mut explained = Vec::new();
        let drafted = verified
            .and_then(|verified| verified.grant(now, &mut self.gate, &setup, &mut explained))
            .and_then(|grant| grant.draft(now.wall, &setup));
        for line in explained {
            self.note(Level::Debug, format!("[RBAC] {line}"));
        }
        match drafted {
            Ok((draft, holder)) => self.sign(now, trail, holder, draft, setup),
            Err(refusal) => self.refuse(now, trail, &refusal),
        }
    }

    fn park(&mut self, now: Now, request: WaitingForKeys) {
        if self.for_keys.len() >= self.setup.waiting_max {
            return self.refuse(now, request.trail, &Refusal::Overloaded);
        }
        self.for_keys.push_back(request);
    }

    fn sign(&mut self, now: Now, trail: Trail, holder: Holder, draft: Draft, setup: Arc<Setup>) {
        if self.for_signature.len() >= self.setup.waiting_max {
            return self.refuse(now, trail, &Refusal::Overloaded);
        }
        let effect = self.effects.mint();
        let (tbs, algorithm) = (draft.tbs().to_vec(), draft.signature_algorithm());
        let until = now.mono.plus_millis(SIGN_WAIT_MILLIS);
        let generation = setup.generation;
        let waiting = WaitingForSignature { trail, holder, draft, setup, until };
        self.for_signature.insert(effect, Box::new(waiting));
        self.outputs.push_back(Output::Sign { effect, tbs, algorithm, generation });
    }

    fn on_signed(&mut self, now: Now, effect: EffectId, result: Result<Vec<u8>, SignError>) {
        let Some(waiting) = self.for_signature.remove(&effect) else { return };
        let WaitingForSignature { mut trail, holder, draft, setup, .. } = *waiting;
        let issued = result.map_err(|_| Refusal::SignerFailed).and_then(|signature| {
            draft.finish(&signature, &setup.ca, setup.signer_trust).map_err(Refusal::Issue)
        });
        match issued {
            Ok(issued) => {
                trail.issued(now.wall, &holder, &issued);
                let response = routes::certificate(&issued, &setup);
                self.respond(now, trail, "ok", response);
            }
            Err(refusal) => self.refuse(now, trail, &refusal),
        }
    }

    fn refuse(&mut self, now: Now, mut trail: Trail, refusal: &Refusal) {
        trail.refuse(now.wall, refusal, &self.setup);
        self.respond(now, trail, refusal.code(), refusal.response());
    }

    fn respond(&mut self, now: Now, trail: Trail, code: &'static str, response: Response) {
        self.metrics.answer(response.status, code, now.mono.since(trail.since));
        self.outputs.push_back(Output::Respond { id: trail.id, audit: trail.events, response });
    }

    /// Tries every parked request again: once, in order, as keys may have come.
    fn retry_parked(&mut self, now: Now) {
        for _ in 0..self.for_keys.len() {
            let Some(waiting) = self.for_keys.pop_front() else { return };
            if waiting.until <= now.mono {
                let refusal = Refusal::KeysUnavailable { retry_after_secs: 5 };
                self.refuse(now, waiting.trail, &refusal);
            } else {
                self.with_keys(now, waiting);
            }
        }
    }

    fn on_fetched(&mut self, now: Now, result: Result<FetchReply, FetchError>) {
        match self.keys.fetched(now, result) {
            Fetched::Discovered | Fetched::Ignored => {}
            Fetched::Keys { changed } => {
                if changed {
                    self.note_keys();
                }
                if let Some(bytes) = self.keys.export() {
                    self.outputs.push_back(Output::SaveKeys(bytes));
                }
                self.retry_parked(now);
            }
            Fetched::Failed(error) => {
                self.note(Level::Warn, format!("identity provider: {error} [{}]", error.code()));
                self.retry_parked(now);
            }
        }
    }

    /// Says which keys there are, and loudly when the provider gives private ones away.
    fn note_keys(&mut self) {
        let Some(set) = self.keys.key_set() else { return };
        let (usable, skipped) = (set.len(), set.skipped().len());
        let is_private = |skipped: &&Skipped| skipped.reason == SkipReason::PrivateMaterial;
        let leaked = set.skipped().iter().filter(is_private).count();
        self.note(
            Level::Info,
            format!("identity provider: {usable} usable keys, {skipped} entries skipped"),
        );
        if leaked > 0 {
            let text = format!("the JWKS publishes the private half of {leaked} keys: not used");
            self.note(Level::Error, text);
        }
    }

    /// Takes a new configuration over. Keys stay when they are of the same provider.
    fn reload(&mut self, now: Now, setup: Setup) {
        if setup.expect.issuer != self.setup.expect.issuer || setup.keys != self.setup.keys {
            match KeyCache::new(setup.expect.issuer.clone(), setup.keys.clone()) {
                Ok(keys) => {
                    self.keys = keys;
                    self.fetching = None;
                    // Checked against one provider, verified by another: that is nobody's word.
                    for waiting in core::mem::take(&mut self.for_keys) {
                        let refusal = Refusal::KeysUnavailable { retry_after_secs: 1 };
                        self.refuse(now, waiting.trail, &refusal);
                    }
                }
                Err(error) => {
                    let text = format!("the new configuration is refused: {error}");
                    return self.note(Level::Error, text);
                }
            }
        }
        if setup.rate_by_address != self.setup.rate_by_address
            || setup.rate_by_subject != self.setup.rate_by_subject
        {
            self.gate = gate(&setup);
        }
        self.setup = Arc::new(setup);
        self.retry_parked(now);
    }

    fn start_fetch(&mut self, now: Now) {
        if let Some(request) = self.keys.poll_fetch(now) {
            let effect = self.effects.mint();
            self.fetching = Some(effect);
            self.outputs.push_back(Output::Fetch { effect, request });
        }
    }

    fn note(&mut self, level: Level, text: String) {
        self.outputs.push_back(Output::Note(Note { level, text }));
    }
}

fn gate(setup: &Setup) -> Gate {
    Gate {
        by_address: setup.rate_by_address.map(RateLimiter::new),
        by_subject: setup.rate_by_subject.map(RateLimiter::new),
    }
}

impl Machine for Server {
    type Input = Input;
    type Output = Output;

    fn handle(&mut self, now: Now, input: Input) {
        match input {
            Input::Request(call) => self.on_request(now, *call),
            Input::Fetched { effect, result } => {
                if self.fetching != Some(effect) {
                    return;
                }
                self.fetching = None;
                self.on_fetched(now, result);
            }
            Input::Signed { effect, result } => self.on_signed(now, effect, result),
            Input::Recorded(events) => {
                events.into_iter().for_each(|event| self.admin.ledger.record(event));
            }
            Input::Replay(lines) => {
                lines.iter().for_each(|line| self.admin.ledger.replay(now.wall, line));
            }
            Input::Health(health) => self.health = health,
            Input::SavedKeys(saved) => {
                if let Err(error) = self.keys.import(now, &saved) {
                    self.note(Level::Info, format!("saved keys are not used: {error}"));
                }
                self.retry_parked(now);
            }
            Input::Reload(setup) => self.reload(now, *setup),
        }
        self.start_fetch(now);
    }

    fn handle_timeout(&mut self, now: Now) {
        self.keys.handle_timeout(now);
        let late: Vec<EffectId> = self
            .for_signature
            .iter()
            .filter(|(_, waiting)| waiting.until <= now.mono)
            .map(|(effect, _)| *effect)
            .collect();
        for effect in late {
            if let Some(waiting) = self.for_signature.remove(&effect) {
                self.refuse(now, waiting.trail, &Refusal::SignerFailed);
            }
        }
        if self.for_keys.iter().any(|waiting| waiting.until <= now.mono) {
            self.retry_parked(now);
        }
        self.start_fetch(now);
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn poll_timeout(&self) -> Option<Mono> {
        // Both are in the order of arrival, and all wait equally long: the first is due first.
        let keys = self.for_keys.front().map(|waiting| waiting.until);
        let signature = self.for_signature.values().next().map(|waiting| waiting.until);
        keys.into_iter().chain(signature).chain(self.keys.poll_timeout()).min()
    }
}
