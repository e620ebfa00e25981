//! From an ID token to a certificate in the talosconfig, and the rest until the next one.

use alloc::boxed::Box;

use super::error::{LoginError, WhyInteractive};
use super::exchange::{self, CertificateFacts, Credentials, ExchangeError, Refusal, RefusalKind};
use super::machine::LoginMachine;
use super::own_key::OwnKey;
use super::renew::Rest;
use super::settings::TokenSource;
use super::state::{After, Goal, Origin, State};
use super::words::{ContextWrite, FetchResult, Notice, Outcome, Output};
use crate::machine::{Entropy, Now};
use crate::oidc::callback_page::Page;
use crate::pki::{InspectError, KeyError};
use crate::types::Secret;

impl LoginMachine {
    /// Goes for a certificate, first of all for a key of its own.
    pub(super) fn exchange(&mut self, origin: Origin) {
        self.order(State::Keying(origin), |effect| Output::DrawSeed { effect });
    }

    /// Sends token and certificate request to the server.
    pub(super) fn keyed(&mut self, now: Now, origin: Origin, seed: Entropy<32>) {
        let Some(key) = OwnKey::new(seed).map(Box::new) else {
            return self.fail(now, LoginError::Certificate(InspectError::Key(KeyError::Malformed)));
        };
        let token = match self.settings.source {
            TokenSource::Given => self.given.as_ref(),
            TokenSource::Provider(_) => self.entry.as_ref().and_then(|e| e.id_token.as_ref()),
        };
        // Every caller has just seen the token; without one the server's 400 would say so.
        let none = Secret::new([]);
        let request =
            exchange::request(&self.exchange_url, token.unwrap_or(&none), key.request_pem());
        self.fetch(State::Exchanging(origin, key), request);
    }

    pub(super) fn exchanged(
        &mut self,
        now: Now,
        origin: Origin,
        key: &OwnKey,
        result: FetchResult,
    ) {
        let reply = match result {
            Ok(reply) => reply,
            Err(error) => return self.fail(now, LoginError::ServerUnreachable(error)),
        };
        match exchange::read(&reply, key, now.wall) {
            Ok(credentials) => self.write(now, credentials),
            Err(ExchangeError::Refused(refusal)) => self.refused(now, origin, refusal),
            Err(ExchangeError::Answer(problem)) => {
                self.fail(now, LoginError::ServerAnswer(problem));
            }
            Err(ExchangeError::Certificate(error)) => {
                self.fail(now, LoginError::Certificate(error));
            }
        }
    }

    /// After a 401 a cached token gets one refresh, a refreshed one a person; then it is over.
    fn refused(&mut self, now: Now, origin: Origin, refusal: Refusal) {
        let stored = matches!(origin, Origin::Cached | Origin::Refreshed);
        if refusal.kind() != RefusalKind::Unauthorized || !stored {
            return self.fail(now, LoginError::ServerRefused(refusal));
        }
        let can_refresh = !self.attempt.has_refreshed
            && self.entry.as_ref().is_some_and(|entry| entry.refresh_token.is_some());
        if let Some(entry) = &mut self.entry {
            self.refused = entry.id_token.take();
        }
        if can_refresh {
            self.tell(Notice::TokenRefusedByServer);
            self.aim(now, Goal::Refresh);
        } else if self.settings.interactive {
            self.tell(Notice::TokenRefusedByServer);
            self.ask_person(now, WhyInteractive::ServerRefused);
        } else {
            // Nothing of the entry is of use any more unless it can be refreshed later.
            if self.entry.as_ref().is_some_and(|entry| entry.refresh_token.is_none()) {
                self.forget();
            }
            self.fail(now, LoginError::ServerRefused(refusal));
        }
    }

    fn write(&mut self, now: Now, credentials: Credentials) {
        let Credentials { ca, certificate, key, endpoints, nodes, facts } = credentials;
        let behind = facts.not_before.since(now.wall);
        if behind > 0 {
            self.tell(Notice::ClockBehind { secs: behind });
        }
        let by_hand = self.settings.interactive && !self.has_written;
        let write = ContextWrite {
            context: self.settings.context.clone(),
            endpoints,
            nodes,
            ca,
            certificate,
            key,
            make_current: by_hand || self.attempt.has_asked,
        };
        self.order(State::Writing(facts), |effect| Output::WriteTalosconfig { effect, write });
    }

    pub(super) fn written(&mut self, now: Now, facts: CertificateFacts) {
        self.has_written = true;
        self.succeeded();
        self.current = Some(facts.clone());
        self.close_listener(Page::Success);
        let context = self.settings.context.clone();
        self.tell(Notice::Written { context, facts: facts.clone() });
        // Now the context is this server's, which the next run wants to know.
        let server = self.settings.server.as_str();
        match &mut self.entry {
            Some(entry) if entry.server.as_deref() != Some(server) => {
                entry.server = Some(server.into());
                self.store(now, After::Settle(facts));
            }
            Some(_) | None => self.settle(now, facts),
        }
    }

    pub(super) fn settle(&mut self, now: Now, facts: CertificateFacts) {
        if !self.settings.watch {
            return self.end(Output::Finished(Outcome::Written(facts)));
        }
        let rest = Rest::after_success(now, facts.left(now.wall), &mut self.jitter);
        self.tell(Notice::NextRenewal { at: rest.until() });
        self.rest(rest);
    }
}
