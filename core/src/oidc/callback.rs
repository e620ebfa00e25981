//! One request at the loopback listener, judged (RFC 8252 section 7.3, RFC 6749 section 4.1.2,
//! RFC 9207).
//!
//! Any page in the browser can send requests here, so nothing ends the login that does not prove
//! to belong to it: path, then `Host`, then method, then form, then `state` decide in that order
//! before `iss`, `error` and `code` are looked at. What does not belong is answered and forgotten.

use core::fmt;

use ring::digest::{SHA256, digest};
use subtle::ConstantTimeEq as _;

use super::callback_page::Page;
use super::oauth_error::OAuthError;
use crate::http::form::Form;
use crate::http::{Method, RequestHead};
use crate::types::{Issuer, Secret};

/// What the login expects of its callback.
#[derive(Clone, Copy)]
pub struct ExpectedCallback<'a> {
    /// Path of the redirect URI, compared as raw text.
    pub path: &'a str,
    /// Port that the listener is bound to.
    pub port: u16,
    /// Authority of a redirect URI that is not a loopback one (`--redirect-uri`), accepted as
    /// `Host` besides the loopback names.
    pub authority: Option<&'a str>,
    /// The `state` that was sent.
    pub state: &'a str,
    /// The provider.
    pub issuer: &'a Issuer,
    /// `authorization_response_iss_parameter_supported` of its metadata.
    pub iss_required: bool,
    /// Whether `response_mode=form_post` was asked for, so that a POST may carry the answer.
    pub form_post: bool,
}

/// Verdict about one request.
#[derive(Debug)]
pub enum CallbackVerdict {
    /// The answer we wait for: redeem this code. The request stays open until the outcome is known.
    Code(Secret),
    /// Belongs to this login and ends it. Answer with [`Page::Failed`].
    Fail(CallbackFailure),
    /// Does not belong to this login: send `page` and keep waiting.
    Wait {
        /// What to send.
        page: Page,
        /// Why, for the tally of the machine.
        reason: WaitReason,
    },
}

/// Why a request does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// Another path: favicon and the like.
    Path,
    /// Not addressed to the loopback interface: DNS rebinding.
    Host,
    /// HEAD, OPTIONS, or a method that was not asked for.
    Method,
    /// The browser only looks ahead; the real request follows.
    Prefetch,
    /// Not form-encoded, a parameter twice, code and error together, a token in it, or empty.
    Malformed,
    /// No `state` or another one.
    State,
    /// No `state`, but an error: a provider that forgets the state (Kanidm), or any other page.
    UnprovenError(OAuthError),
}

/// What ends the login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallbackFailure {
    /// The provider announces `iss` in its answers and sent none.
    IssMissing,
    /// The answer is of another provider: mix-up (RFC 9207 section 2.4).
    IssMismatch,
    /// The provider, or the person there, said no.
    Provider(OAuthError),
}

impl CallbackFailure {
    /// Stable code: part of the public contract.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::IssMissing => "callback.iss_missing",
            Self::IssMismatch => "callback.iss_mismatch",
            Self::Provider(_) => "callback.provider_error",
        }
    }
}

impl fmt::Display for CallbackFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IssMissing => f.write_str(
                "the provider's answer does not say who sent it although its metadata promises \
                 that: check the provider, then log in again",
            ),
            Self::IssMismatch => f.write_str(
                "the answer came from another provider than the one asked: log in again, and do \
                 not continue if it repeats",
            ),
            Self::Provider(error) => error.fmt(f),
        }
    }
}

/// Members that no answer to `response_type=code` has in query or form.
const FORBIDDEN: [&str; 3] = ["response", "id_token", "access_token"];

/// Judges one complete request.
#[must_use]
pub fn judge(head: &RequestHead, body: &[u8], expected: &ExpectedCallback<'_>) -> CallbackVerdict {
    if head.path() != expected.path {
        return wait(Page::NotFound, WaitReason::Path);
    }
    if !is_addressed_to_us(head, expected) {
        return wait(Page::Rejected, WaitReason::Host);
    }
    let text = match &head.method {
        Method::Get => head.query().unwrap_or_default(),
        Method::Post if expected.form_post && has_form(head) => match core::str::from_utf8(body) {
            Ok(text) => text,
            Err(_) => return wait(Page::Rejected, WaitReason::Malformed),
        },
        // Link scanners and preflights want to know nothing but whether somebody is there.
        Method::Head | Method::Options => return wait(Page::Empty, WaitReason::Method),
        Method::Post | Method::Other(_) => {
            return wait(Page::MethodNotAllowed, WaitReason::Method);
        }
    };
    if is_prefetch(head) {
        return wait(Page::NotYet, WaitReason::Prefetch);
    }
    let Some(answer) = Answer::read(text) else {
        return wait(Page::Rejected, WaitReason::Malformed);
    };
    answer.judge(expected)
}

fn wait(page: Page, reason: WaitReason) -> CallbackVerdict {
    CallbackVerdict::Wait { page, reason }
}

/// A page that rebinds its name to 127.0.0.1 still sends its own name in `Host`.
fn is_addressed_to_us(head: &RequestHead, expected: &ExpectedCallback<'_>) -> bool {
    let mut hosts = head.headers.get_all("host");
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return false;
    };
    let Ok(host) = core::str::from_utf8(host) else {
        return false;
    };
    if expected.authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host)) {
        return true;
    }
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, port.parse::<u16>().ok()),
        Some(_) | None => (host, Some(80)),
    };
    port == Some(expected.port)
        && (name == "127.0.0.1" || name == "[::1]" || name.eq_ignore_ascii_case("localhost"))
}

fn has_form(head: &RequestHead) -> bool {
    head.headers.get_str("content-type").is_some_and(|value| {
        let kind = value.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
    })
}

/// Browsers say so when they load a page that the person has not opened yet.
fn is_prefetch(head: &RequestHead) -> bool {
    ["sec-purpose", "purpose", "x-purpose", "x-moz"].into_iter().any(|name| {
        head.headers.get_all(name).any(|value| {
            let value = value.to_ascii_lowercase();
            [&b"prefetch"[..], b"prerender", b"preview"]
                .into_iter()
                .any(|word| value.windows(word.len()).any(|part| part == word))
        })
    })
}

/// The members of an answer; an empty one counts as absent (RFC 6749 section 3.1).
struct Answer {
    state: Option<Secret>,
    code: Option<Secret>,
    error: Option<Secret>,
    error_description: Option<Secret>,
    iss: Option<Secret>,
}

impl Answer {
    /// `None` when it cannot be an answer to our request, whoever sent it.
    fn read(text: &str) -> Option<Self> {
        let form = Form::parse(text).ok()?;
        if form.iter().any(|(name, _)| FORBIDDEN.contains(&name)) {
            return None;
        }
        // A member that is there twice is refused by `get`.
        let member = |name| {
            let value = form.get(name).ok()?.filter(|value| !value.is_empty());
            Some(value.map(|value| Secret::new(value.as_bytes())))
        };
        Some(Self {
            state: member("state")?,
            code: member("code")?,
            error: member("error")?,
            error_description: member("error_description")?,
            iss: member("iss")?,
        })
    }

    fn error(&self) -> Option<OAuthError> {
        let error = self.error.as_ref()?.expose_str()?;
        let description = self.error_description.as_ref().and_then(Secret::expose_str);
        Some(OAuthError::new(error, description))
    }

    fn judge(self, expected: &ExpectedCallback<'_>) -> CallbackVerdict {
        if self.code.is_some() && self.error.is_some() {
            return wait(Page::Rejected, WaitReason::Malformed);
        }
        let Some(state) = &self.state else {
            return match self.error() {
                Some(error) => wait(Page::Unproven, WaitReason::UnprovenError(error)),
                None => wait(Page::Rejected, WaitReason::State),
            };
        };
        if !same(state.expose(), expected.state.as_bytes()) {
            return wait(Page::Rejected, WaitReason::State);
        }
        match &self.iss {
            Some(iss) if iss.expose() != expected.issuer.as_str().as_bytes() => {
                return CallbackVerdict::Fail(CallbackFailure::IssMismatch);
            }
            None if expected.iss_required => {
                return CallbackVerdict::Fail(CallbackFailure::IssMissing);
            }
            Some(_) | None => {}
        }
        if let Some(error) = self.error() {
            return CallbackVerdict::Fail(CallbackFailure::Provider(error));
        }
        match self.code {
            Some(code) => CallbackVerdict::Code(code),
            None => wait(Page::Rejected, WaitReason::Malformed),
        }
    }
}

/// Compares digests, so that the timing tells a guessing page nothing.
fn same(ours: &[u8], theirs: &[u8]) -> bool {
    let (ours, theirs) = (digest(&SHA256, ours), digest(&SHA256, theirs));
    ours.as_ref().ct_eq(theirs.as_ref()).into()
}
