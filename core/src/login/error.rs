//! Why a login ended without a certificate.

mod message;

use alloc::boxed::Box;
use core::fmt;

use super::exchange::{AnswerProblem, Refusal};
use crate::http::FetchError;
use crate::jwt::TokenError;
use crate::machine::UnixTime;
use crate::oidc::authorize::AuthorizeError;
use crate::oidc::callback::CallbackFailure;
use crate::oidc::discovery::MetadataError;
use crate::oidc::oauth_error::{OAuthCode, OAuthError};
use crate::oidc::token_endpoint::AnswerError;
use crate::pki::InspectError;

/// Which request to the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The metadata document.
    Discovery,
    /// The token endpoint with a code or a device code.
    Token,
    /// The token endpoint with a refresh token.
    Refresh,
    /// The device authorization endpoint.
    Device,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Discovery => "reading the provider's metadata",
            Self::Token => "fetching the tokens",
            Self::Refresh => "refreshing the login",
            Self::Device => "asking for a device code",
        })
    }
}

/// Why nobody listens on the callback port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenTrouble {
    /// Another program has the port.
    InUse,
    /// The system forbids it: a port under 1024, or a sandbox.
    Denied,
    /// No such address on this machine, or anything else.
    Other,
}

/// Why a file could not be read or written. The runtime has printed path and reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileTrouble {
    /// What happened, in the runtime's words: path and reason.
    pub text: Box<str>,
}

/// Why a person would have to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyInteractive {
    /// Nothing is cached that fits issuer, client and scopes.
    NoTokens,
    /// The ID token has ended and there is no refresh token.
    NoRefreshToken,
    /// The provider refused the refresh token for good.
    RefreshRefused,
    /// The refresh answer had no ID token, which some providers never send.
    NoIdToken,
    /// The server does not take the refreshed token either.
    ServerRefused,
}

impl fmt::Display for WhyInteractive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoTokens => "there is no cached login for this provider, client and scopes",
            Self::NoRefreshToken => "the cached login has ended and has no refresh token",
            Self::RefreshRefused => "the provider refuses to refresh the cached login",
            Self::NoIdToken => "the provider refreshes without an ID token",
            Self::ServerRefused => "the server does not accept the cached login",
        })
    }
}

/// Why a login ended without a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginError {
    /// `--server` is `http://` without `--insecure`.
    PlainHttp,
    /// `--server` has a query.
    ServerUrl,
    /// The login URL cannot be built.
    Authorize(AuthorizeError),
    /// Five minutes without an answer, or the life of the device code.
    TimedOut,
    /// The same, and all that came were answers with another `state`.
    StateMismatch,
    /// Ctrl-C or a signal.
    Interrupted,
    /// A person is needed, and there is none.
    InteractionRequired(WhyInteractive),
    /// The callback ended the login.
    Callback(CallbackFailure),
    /// The provider's metadata is unusable.
    Discovery(MetadataError),
    /// The provider takes authorization requests only by the back channel (RFC 9126).
    PushedRequestsOnly,
    /// No answer from the provider.
    ProviderUnreachable(Step, FetchError),
    /// An answer from the provider that is a refusal or no sense.
    Provider(Step, AnswerError),
    /// The ID token of the answer is not for this login.
    IdToken(TokenError),
    /// The answer has no ID token.
    NoIdToken,
    /// The refreshed token is of another person.
    SubjectChanged,
    /// The given token could not be read.
    GivenToken(FileTrouble),
    /// The given token is none.
    GivenTokenUnusable(TokenError),
    /// The given token has ended.
    GivenTokenExpired {
        /// Its `exp`.
        expires_at: UnixTime,
    },
    /// Nobody listens on the callback port.
    Listen {
        /// The port that was asked for.
        port: u16,
        /// Why.
        why: ListenTrouble,
    },
    /// Another process holds the login of this context.
    Busy,
    /// No answer from the server.
    ServerUnreachable(FetchError),
    /// The server said no.
    ServerRefused(Refusal),
    /// The server answered nonsense.
    ServerAnswer(AnswerProblem),
    /// The server's certificate is of no use.
    Certificate(InspectError),
    /// The talosconfig could not be written.
    NotWritten(FileTrouble),
}

/// What an exit code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// 1: usage, or nothing of the below.
    Usage,
    /// 2: a local file, port or setting.
    Local,
    /// 3: refused by the server or its policy.
    Refused,
    /// 4: server or provider not available.
    Unavailable,
    /// 5: the login was not completed.
    NotCompleted,
}

impl ErrorClass {
    /// The exit code of the process.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Usage => 1,
            Self::Local => 2,
            Self::Refused => 3,
            Self::Unavailable => 4,
            Self::NotCompleted => 5,
        }
    }
}

/// How long a watch goes on in spite of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// It passes by itself: for ever.
    Endless,
    /// Somebody must change something, but the certificate still works: until that ends.
    WhileValid,
    /// Not at all.
    None,
}

impl LoginError {
    /// Stable code: part of the public contract.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::PlainHttp | Self::ServerUrl | Self::Authorize(_) => "config.invalid",
            Self::TimedOut => "login.timed_out",
            Self::StateMismatch => "login.state_mismatch",
            Self::Interrupted => "login.interrupted",
            Self::InteractionRequired(_) => "login.interaction_required",
            Self::Callback(CallbackFailure::IssMissing) => "login.iss_missing",
            Self::Callback(CallbackFailure::IssMismatch) => "login.iss_mismatch",
            Self::Callback(CallbackFailure::Provider(error))
            | Self::Provider(_, AnswerError::OAuth(error))
                if error.code.is_passing() =>
            {
                "login.provider_unavailable"
            }
            Self::Callback(CallbackFailure::Provider(error)) => oauth_code(error),
            Self::Discovery(error) => error.code(),
            Self::PushedRequestsOnly => "login.pushed_requests_only",
            Self::ProviderUnreachable(..) => "login.provider_unreachable",
            Self::Provider(_, AnswerError::OAuth(error)) => oauth_code(error),
            Self::Provider(_, AnswerError::Unavailable { .. }) => "login.provider_unavailable",
            Self::Provider(
                _,
                AnswerError::Redirect { .. }
                | AnswerError::NotJson { .. }
                | AnswerError::Member { .. }
                | AnswerError::TokenType,
            ) => "login.provider_answer",
            Self::IdToken(error) | Self::GivenTokenUnusable(error) => error.code(),
            Self::NoIdToken => "login.no_id_token",
            Self::SubjectChanged => "login.subject_changed",
            Self::GivenToken(_) => "file.not_readable",
            Self::GivenTokenExpired { .. } => "token.expired",
            Self::Listen { .. } => "login.listen_failed",
            Self::Busy => "login.busy",
            Self::ServerUnreachable(_) => "server.unreachable",
            Self::ServerRefused(refusal) => refusal.kind().code(),
            Self::ServerAnswer(_) => "server.answer",
            Self::Certificate(error) => error.code(),
            Self::NotWritten(_) => "file.not_writable",
        }
    }

    /// What the exit code says.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::PlainHttp
            | Self::ServerUrl
            | Self::Authorize(_)
            | Self::GivenToken(_)
            | Self::Listen { .. }
            | Self::Busy
            | Self::NotWritten(_) => ErrorClass::Local,
            Self::ServerRefused(refusal) => refusal.kind().class(),
            Self::ServerUnreachable(_) | Self::ServerAnswer(_) | Self::Certificate(_) => {
                ErrorClass::Unavailable
            }
            Self::Discovery(error) => match error {
                MetadataError::Json(_)
                | MetadataError::IssuerInvalid
                | MetadataError::EndpointMissing(_)
                | MetadataError::EndpointRefused(..) => ErrorClass::Unavailable,
                MetadataError::InsecureIssuer
                | MetadataError::IssuerTemplate
                | MetadataError::IssuerMismatch { .. } => ErrorClass::Local,
            },
            Self::PushedRequestsOnly | Self::ProviderUnreachable(..) => ErrorClass::Unavailable,
            Self::Callback(CallbackFailure::Provider(error))
            | Self::Provider(_, AnswerError::OAuth(error)) => {
                if error.code.is_passing() {
                    ErrorClass::Unavailable
                } else {
                    ErrorClass::NotCompleted
                }
            }
            Self::Provider(
                _,
                AnswerError::Unavailable { .. }
                | AnswerError::Redirect { .. }
                | AnswerError::NotJson { .. }
                | AnswerError::Member { .. }
                | AnswerError::TokenType,
            ) => ErrorClass::Unavailable,
            Self::TimedOut
            | Self::StateMismatch
            | Self::Interrupted
            | Self::InteractionRequired(_)
            | Self::Callback(CallbackFailure::IssMissing | CallbackFailure::IssMismatch)
            | Self::IdToken(_)
            | Self::NoIdToken
            | Self::SubjectChanged
            | Self::GivenTokenUnusable(_)
            | Self::GivenTokenExpired { .. } => ErrorClass::NotCompleted,
        }
    }

    /// Whether a watch goes on. Only asked when a certificate has been written before.
    #[must_use]
    pub fn patience(&self) -> Patience {
        match self {
            Self::ProviderUnreachable(..)
            | Self::ServerUnreachable(_)
            | Self::Busy
            | Self::NotWritten(_)
            // Workload tokens are replaced in place, and may be read half-way.
            | Self::GivenToken(_)
            | Self::GivenTokenUnusable(_)
            | Self::GivenTokenExpired { .. }
            // What ends before it comes tells of a wrong clock, which somebody or NTP will set.
            | Self::IdToken(TokenError::Expired { .. })
            | Self::Certificate(InspectError::Expired { .. }) => Patience::Endless,
            Self::Provider(step, error) => match error {
                error if error.is_passing() => Patience::Endless,
                AnswerError::OAuth(OAuthError { code: OAuthCode::InvalidGrant, .. }) => {
                    Patience::None
                }
                AnswerError::OAuth(_)
                | AnswerError::Unavailable { .. }
                | AnswerError::Redirect { .. }
                | AnswerError::NotJson { .. }
                | AnswerError::Member { .. }
                | AnswerError::TokenType => match step {
                    Step::Refresh => Patience::WhileValid,
                    Step::Discovery | Step::Token | Step::Device => Patience::None,
                },
            },
            Self::ServerRefused(refusal) => refusal.kind().patience(),
            Self::Discovery(_)
            | Self::PushedRequestsOnly
            | Self::ServerAnswer(_)
            | Self::Certificate(_) => Patience::WhileValid,
            Self::PlainHttp
            | Self::ServerUrl
            | Self::Authorize(_)
            | Self::TimedOut
            | Self::StateMismatch
            | Self::Interrupted
            | Self::InteractionRequired(_)
            | Self::Callback(_)
            | Self::IdToken(_)
            | Self::NoIdToken
            | Self::SubjectChanged
            | Self::Listen { .. } => Patience::None,
        }
    }
}

/// Two refusals are worth a code of their own; the rest names itself in the text.
fn oauth_code(error: &OAuthError) -> &'static str {
    match &error.code {
        OAuthCode::AccessDenied => "login.access_denied",
        OAuthCode::ExpiredToken => "login.timed_out",
        OAuthCode::InvalidRequest
        | OAuthCode::InvalidClient
        | OAuthCode::InvalidGrant
        | OAuthCode::UnauthorizedClient
        | OAuthCode::UnsupportedGrantType
        | OAuthCode::InvalidScope
        | OAuthCode::UnsupportedResponseType
        | OAuthCode::ServerError
        | OAuthCode::TemporarilyUnavailable
        | OAuthCode::AuthorizationPending
        | OAuthCode::SlowDown
        | OAuthCode::InteractionRequired
        | OAuthCode::LoginRequired
        | OAuthCode::AccountSelectionRequired
        | OAuthCode::ConsentRequired
        | OAuthCode::InvalidRequestUri
        | OAuthCode::InvalidRequestObject
        | OAuthCode::RequestNotSupported
        | OAuthCode::RequestUriNotSupported
        | OAuthCode::RegistrationNotSupported
        | OAuthCode::InvalidTarget
        | OAuthCode::Other(_) => "login.provider_error",
    }
}
