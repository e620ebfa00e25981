//! The machine: who hears which input, and how it ends.

use alloc::collections::VecDeque;

use super::cache::CacheEntry;
use super::error::{LoginError, Patience};
use super::exchange::CertificateFacts;
use super::renew::{Jitter, Rest};
use super::settings::{LoginSettings, StorePolicy, TokenSource};
use super::state::{After, Attempt, State};
use super::words::{Input, Notice, Outcome, Output};
use crate::http::FetchRequest;
use crate::machine::{EffectId, EffectIds, Entropy, Machine, Mono, Now, RequestId};
use crate::oidc::callback_page::Page;
use crate::types::{Secret, Url};

/// Longest time for one attempt, and so for a person to log in: five minutes.
const ATTEMPT_SECS: u64 = 300;
/// Errors without proof that are shown at most; any page could send thousands.
pub(super) const UNPROVEN_MAX: u8 = 3;

/// The login machine. See the module's head for its states.
#[derive(Debug)]
pub struct LoginMachine {
    pub(super) settings: LoginSettings,
    pub(super) exchange_url: Url,
    pub(super) state: State,
    pub(super) attempt: Attempt,
    pub(super) jitter: Jitter,
    /// The cached login as far as it fits; in memory it may be newer than in the store.
    pub(super) entry: Option<CacheEntry>,
    /// Whether the last attempt to store `entry` failed, so that the store is out of date.
    pub(super) unsaved: bool,
    /// The given token (`--id-token`).
    pub(super) given: Option<Secret>,
    /// The token that the server refused last; not to be sent again.
    pub(super) refused: Option<Secret>,
    /// What stands in the context, as far as this login made it.
    pub(super) current: Option<CertificateFacts>,
    /// Whether this run has written a certificate.
    pub(super) has_written: bool,
    /// The browser that waits for the outcome, and until when it does.
    pub(super) held: Option<(RequestId, Mono)>,
    outputs: VecDeque<Output>,
    ids: EffectIds,
    pending: Option<EffectId>,
    pub(super) listening: bool,
    pub(super) locked: bool,
    failures: u32,
    pub(super) stopping: bool,
}

impl LoginMachine {
    /// A login that has not begun.
    ///
    /// # Errors
    /// [`LoginError::PlainHttp`], [`LoginError::ServerUrl`].
    pub fn new(settings: LoginSettings) -> Result<Self, LoginError> {
        let exchange_url = settings.exchange_url()?;
        Ok(Self {
            settings,
            exchange_url,
            state: State::New,
            attempt: Attempt::default(),
            jitter: Jitter::new(Entropy::new([0; 8])),
            entry: None,
            unsaved: false,
            given: None,
            refused: None,
            current: None,
            has_written: false,
            held: None,
            outputs: VecDeque::new(),
            ids: EffectIds::default(),
            pending: None,
            listening: false,
            locked: false,
            failures: 0,
            stopping: false,
        })
    }

    pub(super) fn emit(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    pub(super) fn tell(&mut self, notice: Notice) {
        self.emit(Output::Tell(notice));
    }

    /// Orders the one effect that `state` waits for.
    pub(super) fn order(&mut self, state: State, output: impl FnOnce(EffectId) -> Output) {
        let effect = self.ids.mint();
        self.pending = Some(effect);
        self.state = state;
        self.emit(output(effect));
    }

    pub(super) fn fetch(&mut self, state: State, request: FetchRequest) {
        self.order(state, |effect| Output::Fetch { effect, request });
    }

    /// Whether `effect` is the one under way; then it no longer is, and the state is handed out.
    fn answered(&mut self, effect: EffectId, fits: impl Fn(&State) -> bool) -> Option<State> {
        if self.pending != Some(effect) || !fits(&self.state) {
            return None;
        }
        self.pending = None;
        Some(core::mem::replace(&mut self.state, State::Done))
    }

    pub(super) fn keeps_store(&self) -> bool {
        self.settings.store == StorePolicy::Keep && self.settings.provider().is_some()
    }

    pub(super) fn begin_attempt(&mut self, now: Now) {
        self.attempt = Attempt { deadline: now.mono.plus_secs(ATTEMPT_SECS), ..Attempt::default() };
    }

    fn start(&mut self, now: Now) {
        if self.keeps_store() {
            self.order(State::Loading, |effect| Output::LoadState { effect });
        } else {
            self.begin_attempt(now);
            self.choose(now);
        }
    }

    /// Picks the way to an ID token that troubles the person least.
    pub(super) fn choose(&mut self, now: Now) {
        match self.settings.source {
            TokenSource::Given => {
                self.order(State::ReadingToken, |effect| Output::ReadIdToken { effect });
            }
            TokenSource::Provider(_) => self.choose_token(now),
        }
    }

    pub(super) fn rest(&mut self, rest: Rest) {
        self.pending = None;
        self.state = State::Resting(rest);
    }

    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
    }

    pub(super) fn release_lock(&mut self) {
        if core::mem::take(&mut self.locked) {
            self.emit(Output::ReleaseLock);
        }
    }

    /// Answers the waiting browser and closes the listener.
    pub(super) fn close_listener(&mut self, page: Page) {
        if let Some((request, _)) = self.held.take() {
            self.emit(Output::Answer { request, response: page.response() });
        }
        if core::mem::take(&mut self.listening) {
            self.emit(Output::StopListening);
        }
    }

    /// The attempt has failed: the end, unless a watch has reason to go on.
    pub(super) fn fail(&mut self, now: Now, error: LoginError) {
        self.release_lock();
        self.close_listener(Page::Failed);
        if self.stopping {
            return self.stop();
        }
        let not_after = match &self.current {
            Some(current) if self.settings.watch => current.not_after,
            Some(_) | None => return self.end(Output::Failed(error)),
        };
        let goes_on = match error.patience() {
            Patience::Endless => true,
            Patience::WhileValid => not_after > now.wall,
            Patience::None => false,
        };
        if !goes_on {
            return self.end(Output::Failed(error));
        }
        self.failures = self.failures.saturating_add(1);
        let asked = if let LoginError::ServerRefused(refusal) = &error {
            refusal.retry_after_secs
        } else {
            None
        };
        let rest = Rest::after_failure(now, self.failures, not_after, asked, &mut self.jitter);
        self.tell(Notice::RenewalFailed { error, retry_secs: rest.secs_left(now) });
        self.rest(rest);
    }

    /// Interrupted. A watch that has done its work ends well.
    pub(super) fn stop(&mut self) {
        self.release_lock();
        self.close_listener(Page::Failed);
        if self.settings.watch && self.current.is_some() {
            self.end(Output::Finished(Outcome::Stopped));
        } else {
            self.end(Output::Failed(LoginError::Interrupted));
        }
    }

    pub(super) fn end(&mut self, last: Output) {
        self.pending = None;
        self.state = State::Done;
        self.entry = None;
        self.given = None;
        self.refused = None;
        self.emit(last);
    }

    fn interrupt(&mut self) {
        match self.state {
            // The provider may have replaced the refresh token already: the answer must be kept.
            State::Refreshing | State::Storing(_) if !self.stopping => self.stopping = true,
            State::Done => {}
            State::New
            | State::Loading
            | State::ReadingToken
            | State::Discovering(_)
            | State::Locking
            | State::Refreshing
            | State::Storing(_)
            | State::Listening
            | State::Authorising(_)
            | State::Redeeming(_)
            | State::DeviceAsking
            | State::DeviceWaiting(_)
            | State::DevicePolling(_)
            | State::Keying(_)
            | State::Exchanging(..)
            | State::Writing(_)
            | State::Resting(_) => self.stop(),
        }
    }

    /// The tokens are stored, or could not be.
    pub(super) fn stored(&mut self, now: Now, after: After) {
        self.release_lock();
        if self.stopping {
            return self.stop();
        }
        match after {
            After::Exchange(origin) => self.exchange(origin),
            After::Person(why) => self.ask_person(now, why),
            After::PutOff(error) => self.go_on_with_cached(error),
            After::Fail(error) => self.fail(now, error),
            After::Settle(facts) => self.settle(now, facts),
        }
    }

    fn fetched(&mut self, now: Now, effect: EffectId, result: super::words::FetchResult) {
        let fetching = |state: &State| {
            matches!(
                state,
                State::Discovering(_)
                    | State::Refreshing
                    | State::Redeeming(_)
                    | State::DeviceAsking
                    | State::DevicePolling(_)
                    | State::Keying(_)
                    | State::Exchanging(..)
            )
        };
        match self.answered(effect, fetching) {
            Some(State::Discovering(goal)) => self.discovered(now, goal, result),
            Some(State::Refreshing) => self.refreshed(now, result),
            Some(State::Redeeming(asked)) => self.redeemed(now, *asked, result),
            Some(State::DeviceAsking) => self.device_granted(now, result),
            Some(State::DevicePolling(login)) => self.device_polled(now, login, result),
            Some(State::Exchanging(origin, key)) => self.exchanged(now, origin, &key, result),
            Some(
                State::New
                | State::Loading
                | State::ReadingToken
                | State::Locking
                | State::Storing(_)
                | State::Listening
                | State::Authorising(_)
                | State::DeviceWaiting(_)
                | State::Keying(_)
                | State::Writing(_)
                | State::Resting(_)
                | State::Done,
            )
            | None => {}
        }
    }
}

impl Machine for LoginMachine {
    type Input = Input;
    type Output = Output;

    fn handle(&mut self, now: Now, input: Input) {
        match input {
            Input::Start { jitter } => {
                if matches!(self.state, State::New) {
                    self.jitter = Jitter::new(jitter);
                    self.start(now);
                }
            }
            Input::Loaded { effect, entry, context } => {
                if self.answered(effect, |s| matches!(s, State::Loading)).is_some() {
                    self.loaded(now, entry, context);
                }
            }
            Input::IdTokenGiven { effect, token } => {
                if self.answered(effect, |s| matches!(s, State::ReadingToken)).is_some() {
                    self.token_given(now, token);
                }
            }
            Input::Locked { effect, entry } => {
                if self.answered(effect, |s| matches!(s, State::Locking)).is_some() {
                    self.locked = true;
                    self.lock_taken(now, entry);
                }
            }
            Input::LockFailed { effect, busy } => {
                if self.answered(effect, |s| matches!(s, State::Locking)).is_some() {
                    self.lock_failed(now, busy);
                }
            }
            Input::Fetched { effect, result } => self.fetched(now, effect, result),
            Input::Listening { effect, port, entropy } => {
                if self.answered(effect, |s| matches!(s, State::Listening)).is_some() {
                    self.listening = true;
                    self.authorise(now, port, entropy);
                }
            }
            Input::ListenFailed { effect, why } => {
                if self.answered(effect, |s| matches!(s, State::Listening)).is_some() {
                    self.listen_failed(now, why);
                }
            }
            Input::Callback { request, head, body, entropy } => {
                self.called_back(now, request, &head, &body, entropy);
            }
            Input::BrowserFailed => {
                if matches!(self.state, State::Authorising(_)) {
                    self.tell(Notice::BrowserNotStarted);
                }
            }
            Input::Saved { effect } => {
                if let Some(State::Storing(after)) =
                    self.answered(effect, |s| matches!(s, State::Storing(_)))
                {
                    self.unsaved = false;
                    self.stored(now, after);
                }
            }
            Input::SaveFailed { effect, trouble } => {
                if let Some(State::Storing(after)) =
                    self.answered(effect, |s| matches!(s, State::Storing(_)))
                {
                    self.unsaved = true;
                    self.tell(Notice::TokensNotStored(trouble));
                    self.stored(now, after);
                }
            }
            Input::Seeded { effect, seed } => {
                if let Some(State::Keying(origin)) =
                    self.answered(effect, |s| matches!(s, State::Keying(_)))
                {
                    self.keyed(now, origin, seed);
                }
            }
            Input::Written { effect } => {
                if let Some(State::Writing(facts)) =
                    self.answered(effect, |s| matches!(s, State::Writing(_)))
                {
                    self.written(now, facts);
                }
            }
            Input::WriteFailed { effect, trouble } => {
                if self.answered(effect, |s| matches!(s, State::Writing(_))).is_some() {
                    self.fail(now, LoginError::NotWritten(trouble));
                }
            }
            Input::Interrupt => self.interrupt(),
        }
    }

    fn handle_timeout(&mut self, now: Now) {
        if let Some((request, until)) = self.held
            && now.mono >= until
        {
            self.held = None;
            self.emit(Output::Answer { request, response: Page::Pending.response() });
        }
        match &mut self.state {
            State::Resting(rest) if rest.is_over(now) => {
                self.begin_attempt(now);
                self.choose(now);
            }
            State::Resting(rest) => rest.looked(now),
            State::DeviceWaiting(login) if now.mono >= login.due() => self.poll_device(now),
            State::DeviceWaiting(_) | State::New | State::Loading | State::Done => {}
            State::ReadingToken
            | State::Discovering(_)
            | State::Locking
            | State::Refreshing
            | State::Storing(_)
            | State::Listening
            | State::Authorising(_)
            | State::Redeeming(_)
            | State::DeviceAsking
            | State::DevicePolling(_)
            | State::Keying(_)
            | State::Exchanging(..)
            | State::Writing(_) => {
                if now.mono >= self.attempt.deadline {
                    let error = self.state.late(&self.attempt);
                    self.fail(now, error);
                }
            }
        }
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn poll_timeout(&self) -> Option<Mono> {
        let held = self.held.as_ref().map(|(_, until)| *until);
        let state = self.state.due(self.attempt.deadline);
        match (held, state) {
            (Some(held), Some(state)) => Some(held.min(state)),
            (held, state) => held.or(state),
        }
    }
}
