//! The ways to an ID token with a person: a browser, or a code typed elsewhere.

use alloc::boxed::Box;
use alloc::string::String;

use super::error::{ListenTrouble, LoginError, Step, WhyInteractive};
use super::machine::{LoginMachine, UNPROVEN_MAX};
use super::settings::{BrowserSettings, Flow, ProviderSettings};
use super::state::{After, Goal, Origin, State};
use super::tokens::client;
use super::words::{AuthorizationEntropy, FetchResult, Notice, Output};
use crate::http::RequestHead;
use crate::jwt::client::ExpectedNonce;
use crate::machine::{Mono, Now, RequestId};
use crate::oidc::authorize::AuthorizationRequest;
use crate::oidc::callback::{
    CallbackFailure, CallbackVerdict, ExpectedCallback, WaitReason, judge,
};
use crate::oidc::callback_page::{self, Page};
use crate::oidc::device::{self, DeviceGrant, PollSchedule};
use crate::oidc::oauth_error::{OAuthCode, OAuthError};
use crate::oidc::pkce::{OneTime, Verifier};
use crate::oidc::token_endpoint::{AnswerError, Grant, TokenAnswer, read_answer};
use crate::types::{Secret, Url};

/// How long a browser may wait for the outcome before it gets a page that says so.
const HOLD_SECS: u64 = 15;

/// One authorization request that was made.
#[derive(Debug)]
pub(super) struct Asked {
    port: u16,
    redirect_uri: String,
    state: OneTime,
    nonce: OneTime,
    verifier: Verifier,
}

/// A device code that waits for a person.
#[derive(Debug)]
pub(super) struct DeviceLogin {
    device_code: Secret,
    schedule: PollSchedule,
}

impl DeviceLogin {
    /// When to poll, or when it is over.
    pub(super) fn due(&self) -> Mono {
        self.schedule.next().min(self.schedule.end())
    }
}

impl LoginMachine {
    /// Nothing else is left: a person must log in, if one is there.
    pub(super) fn ask_person(&mut self, now: Now, why: WhyInteractive) {
        self.release_lock();
        if !self.settings.interactive || self.attempt.has_asked {
            return self.fail(now, LoginError::InteractionRequired(why));
        }
        self.attempt.has_asked = true;
        self.tell(Notice::LoginNeeded(why));
        self.aim(now, Goal::Person);
    }

    /// The metadata is there: begin the flow.
    pub(super) fn begin_person(&mut self, now: Now) {
        let offers_device = self
            .provider_and_metadata()
            .is_ok_and(|(_, metadata)| metadata.device_authorization_endpoint.is_some());
        match self.settings.provider().map(|provider| &provider.flow) {
            Some(Flow::Device) => self.ask_device(now),
            Some(Flow::DeviceOr(_)) if offers_device => self.ask_device(now),
            Some(Flow::Browser(_) | Flow::DeviceOr(_)) => self.begin_browser(now),
            None => {}
        }
    }

    fn begin_browser(&mut self, now: Now) {
        let Some((_, browser)) = self.browser() else {
            return;
        };
        let addresses = browser.addresses();
        // Both, before a person is troubled.
        let ready = self.provider_and_metadata().and_then(|(_, metadata)| {
            metadata
                .require(&metadata.authorization_endpoint, "authorization_endpoint")
                .and_then(|_| metadata.require(&metadata.token_endpoint, "token_endpoint"))
                .map_err(LoginError::Discovery)?;
            if metadata.require_pushed_authorization_requests {
                return Err(LoginError::PushedRequestsOnly);
            }
            Ok(())
        });
        match ready {
            Ok(()) => {
                self.order(State::Listening, |effect| Output::Listen { effect, addresses });
            }
            Err(error) => self.fail(now, error),
        }
    }

    pub(super) fn listen_failed(&mut self, now: Now, why: ListenTrouble) {
        let port = self.browser().map_or(0, |(_, browser)| browser.port);
        self.fail(now, LoginError::Listen { port, why });
    }

    fn browser(&self) -> Option<(&ProviderSettings, &BrowserSettings)> {
        let provider = self.settings.provider()?;
        match &provider.flow {
            Flow::Browser(browser) | Flow::DeviceOr(browser) => Some((provider, browser)),
            Flow::Device => None,
        }
    }

    /// The listener is ready: show the address and open it.
    pub(super) fn authorise(&mut self, now: Now, port: u16, entropy: AuthorizationEntropy) {
        match self.request_url(port, entropy) {
            Ok((asked, url)) => {
                let browser = self.browser().is_some_and(|(_, browser)| browser.open_browser);
                self.tell(Notice::OpenUrl { url: url.clone(), browser });
                if browser {
                    self.emit(Output::OpenBrowser { url });
                }
                self.state = State::Authorising(Box::new(asked));
            }
            Err(error) => self.fail(now, error),
        }
    }

    fn request_url(
        &self,
        port: u16,
        entropy: AuthorizationEntropy,
    ) -> Result<(Asked, Url), LoginError> {
        let (provider, metadata) = self.provider_and_metadata()?;
        let (_, browser) =
            self.browser().ok_or(LoginError::InteractionRequired(WhyInteractive::NoTokens))?;
        let asked = Asked {
            port,
            redirect_uri: browser.redirect_uri(port),
            state: OneTime::new(entropy.state),
            nonce: OneTime::new(entropy.nonce),
            verifier: Verifier::new(entropy.verifier),
        };
        let url = AuthorizationRequest {
            issuer: &metadata.issuer,
            endpoint: metadata
                .require(&metadata.authorization_endpoint, "authorization_endpoint")
                .map_err(LoginError::Discovery)?,
            client_id: &provider.client_id,
            redirect_uri: &asked.redirect_uri,
            scopes: &self.scopes(provider),
            state: &asked.state,
            nonce: &asked.nonce,
            verifier: &asked.verifier,
            consent: browser.consent,
            form_post: browser.form_post,
            extra: &browser.auth_params,
        }
        .url()
        .map_err(LoginError::Authorize)?;
        Ok((asked, url))
    }

    /// A request at the listener, from the provider's redirect or from anybody else.
    pub(super) fn called_back(
        &mut self,
        now: Now,
        request: RequestId,
        head: &RequestHead,
        body: &[u8],
        entropy: AuthorizationEntropy,
    ) {
        let State::Authorising(asked) = &self.state else {
            let ours = self.browser().is_some_and(|(_, browser)| head.path() == browser.path());
            let page = if ours { Page::AlreadyDone } else { Page::NotFound };
            return self.answer(request, page);
        };
        match self.judge(asked, head, body) {
            Some(CallbackVerdict::Code(code)) => self.redeem(now, request, &code),
            Some(CallbackVerdict::Fail(CallbackFailure::Provider(error)))
                if self.can_do_without_offline(&error) =>
            {
                self.ask_again(now, request, asked.port, entropy);
            }
            Some(CallbackVerdict::Fail(failure)) => {
                self.answer(request, page_of(&failure));
                self.fail(now, LoginError::Callback(failure));
            }
            Some(CallbackVerdict::Wait { page, reason }) => {
                self.answer(request, page);
                self.tally(reason);
            }
            None => self.answer(request, Page::NotFound),
        }
    }

    fn answer(&mut self, request: RequestId, page: Page) {
        self.emit(Output::Answer { request, response: page.response() });
    }

    fn judge(&self, asked: &Asked, head: &RequestHead, body: &[u8]) -> Option<CallbackVerdict> {
        let (_, browser) = self.browser()?;
        let (_, metadata) = self.provider_and_metadata().ok()?;
        let expected = ExpectedCallback {
            path: browser.path(),
            port: asked.port,
            authority: browser.redirect_uri.as_ref().map(Url::authority),
            state: asked.state.expose(),
            issuer: &metadata.issuer,
            iss_required: metadata.authorization_response_iss_parameter_supported,
            form_post: browser.form_post,
        };
        Some(judge(head, body, &expected))
    }

    fn tally(&mut self, reason: WaitReason) {
        match reason {
            WaitReason::State => {
                if !core::mem::replace(&mut self.attempt.stray_answers, true) {
                    self.tell(Notice::StrayAnswer);
                }
            }
            WaitReason::UnprovenError(error) => {
                if self.attempt.unproven < UNPROVEN_MAX {
                    self.attempt.unproven += 1;
                    self.tell(Notice::UnprovenError(error));
                }
            }
            WaitReason::Path
            | WaitReason::Host
            | WaitReason::Method
            | WaitReason::Prefetch
            | WaitReason::Malformed => {}
        }
    }

    /// Whether the refusal may be about `offline_access`, and it was not left out yet.
    fn can_do_without_offline(&self, error: &OAuthError) -> bool {
        error.code == OAuthCode::InvalidScope
            && self.settings.provider().is_some_and(|p| self.scopes(p).has_offline())
    }

    fn drop_offline(&mut self) {
        if let Some(provider) = self.settings.provider() {
            self.attempt.scopes = Some(self.scopes(provider).without_offline());
            self.tell(Notice::WithoutOfflineAccess);
        }
    }

    /// The browser is here: it goes straight back to the provider with one scope less.
    fn ask_again(
        &mut self,
        now: Now,
        request: RequestId,
        port: u16,
        entropy: AuthorizationEntropy,
    ) {
        self.drop_offline();
        match self.request_url(port, entropy) {
            Ok((asked, url)) => {
                let response = callback_page::again(&url);
                self.emit(Output::Answer { request, response });
                self.state = State::Authorising(Box::new(asked));
            }
            Err(error) => {
                self.answer(request, Page::Failed);
                self.fail(now, error);
            }
        }
    }

    fn redeem(&mut self, now: Now, request: RequestId, code: &Secret) {
        self.held = Some((request, now.mono.plus_secs(HOLD_SECS)));
        let State::Authorising(asked) = core::mem::replace(&mut self.state, State::Done) else {
            return;
        };
        let grant = Grant::AuthorizationCode {
            code,
            redirect_uri: &asked.redirect_uri,
            verifier: asked.verifier.expose(),
        };
        match self.token_request(grant) {
            Ok(request) => self.fetch(State::Redeeming(asked), request),
            Err(error) => self.fail(now, error),
        }
    }

    pub(super) fn redeemed(&mut self, now: Now, asked: Asked, result: FetchResult) {
        match result {
            Ok(reply) => match read_answer(&reply) {
                Ok(answer) => {
                    let nonce = Secret::new(asked.nonce.expose().as_bytes());
                    self.accept(now, answer, ExpectedNonce::Sent(nonce));
                }
                Err(error) => self.fail(now, LoginError::Provider(Step::Token, error)),
            },
            Err(error) => self.fail(now, LoginError::ProviderUnreachable(Step::Token, error)),
        }
    }

    /// Tokens that a person fetched: checked, stored, exchanged.
    fn accept(&mut self, now: Now, answer: TokenAnswer, nonce: ExpectedNonce) {
        let Some(token) = &answer.id_token else {
            return self.fail(now, LoginError::NoIdToken);
        };
        match self.check_token(token, &answer.access_token, nonce, now) {
            Ok(facts) => {
                self.keep_tokens(answer, &facts);
                self.store(now, After::Exchange(Origin::Person));
            }
            Err(error) => self.fail(now, LoginError::IdToken(error)),
        }
    }

    fn ask_device(&mut self, now: Now) {
        let request = self.provider_and_metadata().and_then(|(provider, metadata)| {
            let endpoint = metadata
                .require(&metadata.token_endpoint, "token_endpoint")
                .and_then(|_| {
                    let endpoint = &metadata.device_authorization_endpoint;
                    metadata.require(endpoint, "device_authorization_endpoint")
                })
                .map_err(LoginError::Discovery)?;
            Ok(device::request(endpoint, &client(provider, metadata), &self.scopes(provider)))
        });
        match request {
            Ok(request) => self.fetch(State::DeviceAsking, request),
            Err(error) => self.fail(now, error),
        }
    }

    pub(super) fn device_granted(&mut self, now: Now, result: FetchResult) {
        let reply = match result {
            Ok(reply) => reply,
            Err(error) => {
                return self.fail(now, LoginError::ProviderUnreachable(Step::Device, error));
            }
        };
        match device::read_grant(&reply) {
            Ok(grant) => self.wait_for_code(now, grant),
            Err(AnswerError::OAuth(error)) if self.can_do_without_offline(&error) => {
                self.drop_offline();
                self.ask_device(now);
            }
            // The provider has the flow, but not for this client.
            Err(AnswerError::OAuth(_)) if self.browser().is_some() => self.begin_browser(now),
            Err(error) => self.fail(now, LoginError::Provider(Step::Device, error)),
        }
    }

    /// The code has a life of its own, which replaces the five minutes.
    fn wait_for_code(&mut self, now: Now, grant: DeviceGrant) {
        let schedule = PollSchedule::new(now.mono, &grant);
        self.tell(Notice::DeviceCode {
            page: grant.verification_uri,
            complete: grant.verification_uri_complete,
            user_code: grant.user_code,
            expires_secs: grant.expires_secs,
        });
        self.attempt.deadline = schedule.end().plus_secs(60);
        self.state = State::DeviceWaiting(Box::new(DeviceLogin {
            device_code: grant.device_code,
            schedule,
        }));
    }

    pub(super) fn poll_device(&mut self, now: Now) {
        let State::DeviceWaiting(login) = core::mem::replace(&mut self.state, State::Done) else {
            return;
        };
        if now.mono >= login.schedule.end() {
            return self.fail(now, LoginError::TimedOut);
        }
        match self.token_request(Grant::DeviceCode(&login.device_code)) {
            Ok(request) => self.fetch(State::DevicePolling(login), request),
            Err(error) => self.fail(now, error),
        }
    }

    pub(super) fn device_polled(
        &mut self,
        now: Now,
        mut login: Box<DeviceLogin>,
        result: FetchResult,
    ) {
        let answer = match result {
            Ok(reply) => read_answer(&reply),
            // As good as a server that has no time: the code is still good.
            Err(_) => Err(AnswerError::Unavailable { status: 0 }),
        };
        match answer {
            Ok(answer) => return self.accept(now, answer, ExpectedNonce::NotSent),
            Err(AnswerError::OAuth(OAuthError {
                code: OAuthCode::AuthorizationPending, ..
            })) => {
                login.schedule.pending(now.mono);
            }
            Err(AnswerError::OAuth(OAuthError { code: OAuthCode::SlowDown, .. })) => {
                login.schedule.slow_down(now.mono);
            }
            Err(error) if error.is_passing() => login.schedule.failed(now.mono),
            Err(error) => return self.fail(now, LoginError::Provider(Step::Token, error)),
        }
        self.state = State::DeviceWaiting(login);
    }
}

const fn page_of(failure: &CallbackFailure) -> Page {
    match failure {
        CallbackFailure::Provider(OAuthError { code: OAuthCode::AccessDenied, .. }) => {
            Page::Declined
        }
        CallbackFailure::Provider(_)
        | CallbackFailure::IssMissing
        | CallbackFailure::IssMismatch => Page::Failed,
    }
}
