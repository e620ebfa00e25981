//! The ways to an ID token without a person: given, cached, refreshed.

use alloc::boxed::Box;

use super::cache::CacheEntry;
use super::error::{FileTrouble, LoginError, Step, WhyInteractive};
use super::exchange::CertificateFacts;
use super::machine::LoginMachine;
use super::renew::{Rest, is_fresh};
use super::settings::{LoginSettings, ProviderSettings, TokenSource};
use super::state::{After, Goal, Origin, State};
use super::words::{ExistingContext, FetchResult, Notice, Outcome, Output};
use crate::http::{FetchRequest, Trust};
use crate::jwt::TokenError;
use crate::jwt::client::{
    ClientExpectations, ExpectedNonce, IdTokenFacts, check_id_token, check_refreshed, read_id_token,
};
use crate::machine::{Now, UnixTime};
use crate::oidc::discovery::{METADATA_BYTES_MAX, Metadata};
use crate::oidc::foreign::sanitise;
use crate::oidc::oauth_error::OAuthCode;
use crate::oidc::scopes::Scopes;
use crate::oidc::token_endpoint::{AnswerError, Client, Grant, TokenAnswer, read_answer};
use crate::pki::ClientCertificate;
use crate::types::Secret;

/// Life an ID token must have left to be worth sending.
const TOKEN_SECS_MIN: u64 = 30;
/// A watch refreshes when two fifths of the ID token's life are left, or this much of a long one:
/// a provider that is away for so long is then not noticed.
const EARLY_SECS_MAX: u64 = 300;
/// Time for the metadata.
const DISCOVERY_MILLIS: u64 = 15_000;

impl LoginMachine {
    /// The state before this run: perhaps there is nothing to do.
    pub(super) fn loaded(
        &mut self,
        now: Now,
        entry: Option<CacheEntry>,
        context: Option<ExistingContext>,
    ) {
        self.begin_attempt(now);
        self.entry = entry.filter(|entry| self.fits(entry));
        self.current = standing(&self.settings, self.entry.as_ref(), context.as_ref());
        match self.current.clone() {
            Some(facts) if serves(&self.settings, &facts, now.wall) => {
                if self.settings.watch {
                    let (from, to) = (facts.not_before, facts.not_after);
                    let rest = Rest::of_existing(now, from, to, &mut self.jitter);
                    self.tell(Notice::NextRenewal { at: rest.until() });
                    self.rest(rest);
                } else {
                    self.end(Output::Finished(Outcome::StillFresh(facts)));
                }
            }
            Some(_) | None => self.choose(now),
        }
    }

    fn fits(&self, entry: &CacheEntry) -> bool {
        fits(&self.settings, entry)
    }

    /// The scopes of this attempt: those of the settings unless the provider refused one.
    pub(super) fn scopes(&self, provider: &ProviderSettings) -> Scopes {
        let given = self.attempt.scopes.clone();
        given.unwrap_or_else(|| provider.scopes.for_issuer(&provider.issuer))
    }

    pub(super) fn choose_token(&mut self, now: Now) {
        let Some(entry) = &self.entry else {
            return self.ask_person(now, WhyInteractive::NoTokens);
        };
        let can_refresh = entry.refresh_token.is_some() && !self.attempt.has_refreshed;
        if self.is_usable(entry, now.wall) && !(can_refresh && self.is_due(entry, now.wall)) {
            self.tell(Notice::UsingCachedToken);
            self.exchange(Origin::Cached);
        } else if can_refresh {
            self.aim(now, Goal::Refresh);
        } else {
            self.ask_person(now, WhyInteractive::NoRefreshToken);
        }
    }

    /// Whether the entry's ID token has not ended, by its own `exp`, and was not refused.
    fn is_usable(&self, entry: &CacheEntry, now: UnixTime) -> bool {
        let Some(token) = &entry.id_token else {
            return false;
        };
        let refused = self.refused.as_ref().is_some_and(|refused| refused.matches(token.expose()));
        !refused && id_token_facts(token).is_some_and(|f| f.expires_at.since(now) > TOKEN_SECS_MIN)
    }

    /// Whether a watch should look for a new ID token while this one still works.
    fn is_due(&self, entry: &CacheEntry, now: UnixTime) -> bool {
        let facts = entry.id_token.as_ref().and_then(id_token_facts);
        self.settings.watch
            && facts.is_some_and(|facts| {
                let life = facts.expires_at.since(facts.issued_at);
                facts.expires_at.since(now) <= (life / 5).saturating_mul(2).min(EARLY_SECS_MAX)
            })
    }

    /// A refresh has failed for reasons that may pass. Where it came early, that is no matter.
    fn put_off(&mut self, now: Now, error: LoginError) {
        let serves = self.entry.as_ref().is_some_and(|entry| self.is_usable(entry, now.wall));
        if !serves || self.stopping {
            return self.fail(now, error);
        }
        self.release_lock();
        self.go_on_with_cached(error);
    }

    /// The refresh came early enough: the ID token that is there serves for a while.
    pub(super) fn go_on_with_cached(&mut self, error: LoginError) {
        self.tell(Notice::RefreshPutOff(error));
        self.exchange(Origin::Cached);
    }

    /// A given token was read.
    pub(super) fn token_given(&mut self, now: Now, token: Result<Secret, FileTrouble>) {
        let token = match token {
            Ok(token) => Secret::new(token.expose().trim_ascii()),
            Err(trouble) => return self.fail(now, LoginError::GivenToken(trouble)),
        };
        match token.expose_str().map(read_id_token) {
            Some(Ok(facts)) if facts.expires_at <= now.wall => {
                let expires_at = facts.expires_at;
                self.fail(now, LoginError::GivenTokenExpired { expires_at });
            }
            Some(Ok(_)) => {
                self.given = Some(token);
                self.exchange(Origin::Given);
            }
            Some(Err(error)) => self.fail(now, LoginError::GivenTokenUnusable(error)),
            None => self.fail(now, LoginError::GivenTokenUnusable(TokenError::NotThreeParts)),
        }
    }

    /// Reads the provider's metadata, then goes for `goal`.
    pub(super) fn aim(&mut self, now: Now, goal: Goal) {
        if self.attempt.metadata.is_some() {
            return self.go(now, goal);
        }
        let Some(provider) = self.settings.provider() else {
            return;
        };
        match provider.policy.discovery_url(&provider.issuer) {
            Ok(url) => self.fetch(
                State::Discovering(goal),
                FetchRequest {
                    url,
                    post: None,
                    headers: alloc::vec::Vec::new(),
                    trust: Trust::Provider,
                    body_bytes_max: METADATA_BYTES_MAX,
                    timeout_millis: DISCOVERY_MILLIS,
                },
            ),
            Err(error) => self.fail(now, LoginError::Discovery(error)),
        }
    }

    pub(super) fn discovered(&mut self, now: Now, goal: Goal, result: FetchResult) {
        let reply = match result {
            Ok(reply) => reply,
            Err(error) => {
                let error = LoginError::ProviderUnreachable(Step::Discovery, error);
                return self.undiscovered(now, goal, error);
            }
        };
        let status = reply.status;
        let answer = match status {
            200 => None,
            300..=399 => Some(AnswerError::Redirect { status }),
            429 | 500.. => Some(AnswerError::Unavailable { status }),
            _ => {
                let kind = reply.headers.get_str("content-type").unwrap_or("no content type");
                Some(AnswerError::NotJson { status, content_type: sanitise(kind, 80) })
            }
        };
        if let Some(error) = answer {
            let error = LoginError::Provider(Step::Discovery, error);
            return self.undiscovered(now, goal, error);
        }
        let Some(provider) = self.settings.provider() else {
            return;
        };
        match Metadata::parse(&reply.body, &provider.issuer, &provider.policy) {
            Ok(metadata) => {
                self.attempt.metadata = Some(metadata);
                self.go(now, goal);
            }
            Err(error) => self.undiscovered(now, goal, LoginError::Discovery(error)),
        }
    }

    fn undiscovered(&mut self, now: Now, goal: Goal, error: LoginError) {
        match goal {
            Goal::Refresh => self.put_off(now, error),
            Goal::Person => self.fail(now, error),
        }
    }

    fn go(&mut self, now: Now, goal: Goal) {
        match goal {
            Goal::Person => self.begin_person(now),
            Goal::Refresh if self.keeps_store() => {
                self.order(State::Locking, |effect| Output::Lock { effect });
            }
            Goal::Refresh => self.refresh(now),
        }
    }

    /// The lock is ours: another process may have refreshed in the meantime.
    pub(super) fn lock_taken(&mut self, now: Now, entry: Option<CacheEntry>) {
        if !self.unsaved {
            self.entry = entry.filter(|entry| self.fits(entry));
        }
        match &self.entry {
            Some(entry) if self.is_usable(entry, now.wall) && !self.is_due(entry, now.wall) => {
                self.release_lock();
                self.exchange(Origin::Cached);
            }
            Some(entry) if entry.refresh_token.is_some() => self.refresh(now),
            Some(_) => self.ask_person(now, WhyInteractive::NoRefreshToken),
            None => self.ask_person(now, WhyInteractive::NoTokens),
        }
    }

    pub(super) fn lock_failed(&mut self, now: Now, busy: bool) {
        if busy {
            return self.put_off(now, LoginError::Busy);
        }
        self.tell(Notice::NoLock);
        self.refresh(now);
    }

    fn refresh(&mut self, now: Now) {
        self.attempt.has_refreshed = true;
        let token = self.entry.as_ref().and_then(|entry| entry.refresh_token.as_ref());
        let Some(token) = token else {
            return self.ask_person(now, WhyInteractive::NoRefreshToken);
        };
        match self.token_request(Grant::RefreshToken(token)) {
            Ok(request) => {
                self.tell(Notice::Refreshing);
                self.fetch(State::Refreshing, request);
            }
            Err(error) => self.fail(now, error),
        }
    }

    /// A request to the token endpoint.
    pub(super) fn token_request(&self, grant: Grant<'_>) -> Result<FetchRequest, LoginError> {
        let (provider, metadata) = self.provider_and_metadata()?;
        let endpoint = metadata
            .require(&metadata.token_endpoint, "token_endpoint")
            .map_err(LoginError::Discovery)?;
        Ok(client(provider, metadata).redeem(endpoint, grant))
    }

    /// The provider and its metadata, which every state beyond discovery has.
    pub(super) fn provider_and_metadata(
        &self,
    ) -> Result<(&ProviderSettings, &Metadata), LoginError> {
        match (&self.settings.source, &self.attempt.metadata) {
            (TokenSource::Provider(provider), Some(metadata)) => Ok((provider, metadata)),
            (TokenSource::Provider(_), None) | (TokenSource::Given, _) => {
                Err(LoginError::InteractionRequired(WhyInteractive::NoTokens))
            }
        }
    }

    pub(super) fn refreshed(&mut self, now: Now, result: FetchResult) {
        let reply = match result {
            Ok(reply) => reply,
            Err(error) => {
                return self.put_off(now, LoginError::ProviderUnreachable(Step::Refresh, error));
            }
        };
        match read_answer(&reply) {
            Ok(answer) => self.refresh_answered(now, answer),
            Err(AnswerError::OAuth(error)) if !AnswerError::OAuth(error.clone()).is_passing() => {
                // Only invalid_grant says that this token will never work again.
                let for_good = error.code == OAuthCode::InvalidGrant;
                if for_good {
                    self.forget();
                }
                self.release_lock();
                if self.settings.interactive {
                    self.tell(Notice::RefreshRefused(error));
                    self.ask_person(now, WhyInteractive::RefreshRefused);
                } else {
                    let error = AnswerError::OAuth(error);
                    self.fail(now, LoginError::Provider(Step::Refresh, error));
                }
            }
            Err(error) => self.put_off(now, LoginError::Provider(Step::Refresh, error)),
        }
    }

    /// Tokens of a refresh: stored before anything else happens, as the old refresh token may be
    /// worthless from now on.
    fn refresh_answered(&mut self, now: Now, answer: TokenAnswer) {
        let original = self
            .entry
            .as_ref()
            .and_then(|entry| entry.id_token.as_ref())
            .or(self.refused.as_ref())
            .and_then(id_token_facts);
        let checked = answer.id_token.as_ref().map(|token| {
            self.check_token(token, &answer.access_token, ExpectedNonce::NotSent, now)
        });
        let known = self.entry.as_ref().and_then(|entry| entry.subject.as_deref());
        let is_other = |facts: &IdTokenFacts| match &original {
            Some(original) => check_refreshed(original, facts).is_err(),
            None => known.is_some_and(|known| *known != *facts.subject),
        };
        if checked.as_ref().is_some_and(|checked| checked.as_ref().is_ok_and(is_other)) {
            self.forget();
            return self.fail(now, LoginError::SubjectChanged);
        }
        let serves = self.entry.as_ref().is_some_and(|entry| self.is_usable(entry, now.wall));
        let Some(entry) = &mut self.entry else {
            return self.ask_person(now, WhyInteractive::NoTokens);
        };
        // The answer may have no ID token, and the next one must still be of the same person.
        if let Some(original) = original {
            entry.subject = Some(original.subject);
        }
        if answer.refresh_token.is_some() {
            entry.refresh_token = answer.refresh_token;
        }
        let after = match checked {
            Some(Ok(facts)) => {
                entry.id_token = answer.id_token;
                entry.expires_at = Some(facts.expires_at);
                entry.subject = Some(facts.subject);
                After::Exchange(Origin::Refreshed)
            }
            Some(Err(error)) => {
                entry.id_token = None;
                After::Fail(LoginError::IdToken(error))
            }
            None if serves => After::PutOff(LoginError::NoIdToken),
            None => {
                entry.id_token = None;
                After::Person(WhyInteractive::NoIdToken)
            }
        };
        self.store(now, after);
    }

    /// Stores the login if that is wanted, then goes on.
    pub(super) fn store(&mut self, now: Now, after: After) {
        match &self.entry {
            Some(entry) if self.keeps_store() => {
                let entry = entry.duplicate();
                self.order(State::Storing(after), |effect| Output::SaveTokens { effect, entry });
            }
            Some(_) | None => self.stored(now, after),
        }
    }

    /// Drops the cached login for good.
    pub(super) fn forget(&mut self) {
        self.entry = None;
        self.unsaved = false;
        if self.keeps_store() {
            self.emit(Output::ForgetTokens);
        }
    }

    /// Checks an ID token that came from the token endpoint.
    pub(super) fn check_token(
        &self,
        token: &Secret,
        access_token: &Secret,
        nonce: ExpectedNonce,
        now: Now,
    ) -> Result<IdTokenFacts, TokenError> {
        let (provider, metadata) =
            self.provider_and_metadata().map_err(|_| TokenError::IssuerMissing)?;
        let expected = ClientExpectations {
            issuer: metadata.issuer.clone(),
            client_id: provider.client_id.clone(),
            nonce,
            skew_secs: provider.skew_secs,
            slash_tolerant: provider.policy.slash_tolerant,
        };
        let text = token.expose_str().ok_or(TokenError::BadBase64)?;
        check_id_token(text, access_token.expose_str(), &expected, now.wall)
    }

    /// The entry for tokens that a person has just fetched.
    pub(super) fn keep_tokens(&mut self, answer: TokenAnswer, facts: &IdTokenFacts) {
        if answer.refresh_token.is_none() && self.settings.watch {
            self.tell(Notice::NoRefreshToken);
        }
        let Some(provider) = self.settings.provider() else {
            return;
        };
        let server: Option<Box<str>> = self.entry.as_ref().and_then(|entry| entry.server.clone());
        self.entry = Some(CacheEntry {
            refresh_token: answer.refresh_token,
            id_token: answer.id_token,
            expires_at: Some(facts.expires_at),
            issuer: provider.issuer.as_str().into(),
            client_id: provider.client_id.as_str().into(),
            scopes: Some(self.scopes(provider)),
            server,
            subject: Some(facts.subject.clone()),
        });
        self.refused = None;
    }
}

/// Our client, with the authentication that the metadata asks for.
pub(super) fn client<'a>(provider: &'a ProviderSettings, metadata: &Metadata) -> Client<'a> {
    Client {
        id: &provider.client_id,
        secret: provider.client_secret.as_ref(),
        auth: provider.client_auth.settled(metadata.token_endpoint_auth_methods.as_deref()),
    }
}

/// Whether a login of those settings would find a certificate that still serves and do nothing,
/// so that nothing need be writable.
#[must_use]
pub fn has_nothing_to_do(
    settings: &LoginSettings,
    entry: Option<&CacheEntry>,
    context: Option<&ExistingContext>,
    now: UnixTime,
) -> bool {
    let entry = entry.filter(|entry| fits(settings, entry));
    let facts = standing(settings, entry, context);
    !settings.watch && facts.is_some_and(|facts| serves(settings, &facts, now))
}

fn fits(settings: &LoginSettings, entry: &CacheEntry) -> bool {
    settings.provider().is_some_and(|provider| {
        let scopes = provider.scopes.for_issuer(&provider.issuer);
        entry.fits(&provider.issuer, &provider.client_id, &scopes)
    })
}

/// The certificate of the context, if it is of this server: `entry` tells.
fn standing(
    settings: &LoginSettings,
    entry: Option<&CacheEntry>,
    context: Option<&ExistingContext>,
) -> Option<CertificateFacts> {
    let server = entry.and_then(|entry| entry.server.as_deref());
    context.filter(|_| server == Some(settings.server.as_str())).and_then(existing)
}

fn serves(settings: &LoginSettings, facts: &CertificateFacts, now: UnixTime) -> bool {
    !settings.force && is_fresh(facts.not_before, facts.not_after, now)
}

fn id_token_facts(token: &Secret) -> Option<IdTokenFacts> {
    read_id_token(token.expose_str()?).ok()
}

/// The certificate of the context, if it is whole.
fn existing(context: &ExistingContext) -> Option<CertificateFacts> {
    let certificate = ClientCertificate::parse(&context.certificate).ok()?;
    certificate.matches_key(context.key.expose_str()?).ok()?;
    Some(CertificateFacts::of(&certificate))
}
