//! What a provider says when it refuses: the error codes of OAuth 2.0 and OpenID Connect.

use alloc::boxed::Box;
use core::fmt;

use super::foreign::{FOREIGN_CHARS_MAX, sanitise};

/// Error code of an authorization, token or device endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OAuthCode {
    /// RFC 6749 4.1.2.1, 5.2: a parameter is missing, repeated or malformed.
    InvalidRequest,
    /// RFC 6749 5.2: client authentication failed.
    InvalidClient,
    /// RFC 6749 5.2: code or refresh token invalid, expired, revoked, or of another client.
    InvalidGrant,
    /// RFC 6749 4.1.2.1, 5.2: this client may not use this flow.
    UnauthorizedClient,
    /// RFC 6749 5.2: the provider does not know the grant type.
    UnsupportedGrantType,
    /// RFC 6749 4.1.2.1, 5.2: a scope is unknown, malformed or not allowed.
    InvalidScope,
    /// RFC 6749 4.1.2.1, RFC 8628 3.5: the person or the provider said no.
    AccessDenied,
    /// RFC 6749 4.1.2.1: the provider does not give codes this way.
    UnsupportedResponseType,
    /// RFC 6749 4.1.2.1: the provider failed.
    ServerError,
    /// RFC 6749 4.1.2.1: the provider is overloaded or in maintenance.
    TemporarilyUnavailable,
    /// RFC 8628 3.5: nobody has answered yet.
    AuthorizationPending,
    /// RFC 8628 3.5: polled too often.
    SlowDown,
    /// RFC 8628 3.5: the device code ran out.
    ExpiredToken,
    /// OpenID Connect Core 3.1.2.6: the person must do something first.
    InteractionRequired,
    /// OpenID Connect Core 3.1.2.6: the person must log in first.
    LoginRequired,
    /// OpenID Connect Core 3.1.2.6: the person must choose an account first.
    AccountSelectionRequired,
    /// OpenID Connect Core 3.1.2.6: the person must consent first.
    ConsentRequired,
    /// OpenID Connect Core 3.1.2.6: a `request_uri` cannot be used.
    InvalidRequestUri,
    /// OpenID Connect Core 3.1.2.6: a request object cannot be used.
    InvalidRequestObject,
    /// OpenID Connect Core 3.1.2.6: no `request` parameter here.
    RequestNotSupported,
    /// OpenID Connect Core 3.1.2.6: no `request_uri` parameter here.
    RequestUriNotSupported,
    /// OpenID Connect Core 3.1.2.6: no `registration` parameter here.
    RegistrationNotSupported,
    /// RFC 8707 2: the `resource` is not known.
    InvalidTarget,
    /// A code no standard we know defines, cut and cleaned.
    Other(Box<str>),
}

/// A refusal by the provider: the code, and its own words made fit for a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OAuthError {
    /// Which refusal.
    pub code: OAuthCode,
    /// `error_description`, sanitised, at most 500 characters.
    pub description: Option<Box<str>>,
}

impl OAuthCode {
    /// The code of that name. Codes are compared byte for byte.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        match name {
            "invalid_request" => Self::InvalidRequest,
            "invalid_client" => Self::InvalidClient,
            "invalid_grant" => Self::InvalidGrant,
            "unauthorized_client" => Self::UnauthorizedClient,
            "unsupported_grant_type" => Self::UnsupportedGrantType,
            "invalid_scope" => Self::InvalidScope,
            "access_denied" => Self::AccessDenied,
            "unsupported_response_type" => Self::UnsupportedResponseType,
            "server_error" => Self::ServerError,
            "temporarily_unavailable" => Self::TemporarilyUnavailable,
            "authorization_pending" => Self::AuthorizationPending,
            "slow_down" => Self::SlowDown,
            "expired_token" => Self::ExpiredToken,
            "interaction_required" => Self::InteractionRequired,
            "login_required" => Self::LoginRequired,
            "account_selection_required" => Self::AccountSelectionRequired,
            "consent_required" => Self::ConsentRequired,
            "invalid_request_uri" => Self::InvalidRequestUri,
            "invalid_request_object" => Self::InvalidRequestObject,
            "request_not_supported" => Self::RequestNotSupported,
            "request_uri_not_supported" => Self::RequestUriNotSupported,
            "registration_not_supported" => Self::RegistrationNotSupported,
            "invalid_target" => Self::InvalidTarget,
            other => Self::Other(sanitise(other, 64)),
        }
    }

    /// The code as the standards write it.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope => "invalid_scope",
            Self::AccessDenied => "access_denied",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::ServerError => "server_error",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
            Self::AuthorizationPending => "authorization_pending",
            Self::SlowDown => "slow_down",
            Self::ExpiredToken => "expired_token",
            Self::InteractionRequired => "interaction_required",
            Self::LoginRequired => "login_required",
            Self::AccountSelectionRequired => "account_selection_required",
            Self::ConsentRequired => "consent_required",
            Self::InvalidRequestUri => "invalid_request_uri",
            Self::InvalidRequestObject => "invalid_request_object",
            Self::RequestNotSupported => "request_not_supported",
            Self::RequestUriNotSupported => "request_uri_not_supported",
            Self::RegistrationNotSupported => "registration_not_supported",
            Self::InvalidTarget => "invalid_target",
            Self::Other(name) => name,
        }
    }

    /// Whether the same request may succeed later without anybody changing anything.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::ServerError | Self::TemporarilyUnavailable)
    }

    /// What the person at the terminal can do about it.
    #[must_use]
    pub const fn next_step(&self) -> &'static str {
        match self {
            Self::InvalidRequest => {
                "the provider did not understand the request: check that the redirect URI is \
                 registered exactly as shown, and --auth-param"
            }
            Self::InvalidClient => {
                "the provider does not accept this client: check --client-id and the client \
                 secret, or choose another --client-auth"
            }
            Self::InvalidGrant => {
                "the login or the refresh token is used up, expired or revoked: log in again"
            }
            Self::UnauthorizedClient => {
                "the client is not allowed to use this flow: enable the authorization code flow \
                 (or the device flow) for it at the provider"
            }
            Self::UnsupportedGrantType => {
                "the provider does not offer this flow: use another one, or enable it there"
            }
            Self::InvalidScope => {
                "the provider does not allow one of the scopes: pass --scopes with fewer of them"
            }
            Self::AccessDenied => {
                "the login was declined: log in with an account that is allowed to use this client"
            }
            Self::UnsupportedResponseType => {
                "the client may not ask for a code: enable the authorization code flow for it"
            }
            Self::ServerError => "the provider failed: see its log, then try again",
            Self::TemporarilyUnavailable => "the provider is not available: try again later",
            Self::AuthorizationPending => "nobody has answered yet: open the shown page",
            Self::SlowDown => "the provider asks for patience: wait, then try again",
            Self::ExpiredToken => "the device code ran out: log in again and answer sooner",
            Self::InteractionRequired
            | Self::LoginRequired
            | Self::AccountSelectionRequired
            | Self::ConsentRequired => {
                "the provider wants to talk to you first: log in without prompt=none"
            }
            Self::InvalidRequestUri
            | Self::InvalidRequestObject
            | Self::RequestNotSupported
            | Self::RequestUriNotSupported
            | Self::RegistrationNotSupported => {
                "the provider does not support an extra parameter: check --auth-param"
            }
            Self::InvalidTarget => "the provider does not know the resource: check --auth-param",
            Self::Other(_) => "see the provider's documentation for this code",
        }
    }
}

impl OAuthError {
    /// A refusal as received: `error` and `error_description`.
    #[must_use]
    pub fn new(error: &str, description: Option<&str>) -> Self {
        Self {
            code: OAuthCode::from_name(error),
            description: description
                .map(|text| sanitise(text, FOREIGN_CHARS_MAX))
                .filter(|text| !text.is_empty()),
        }
    }
}

impl fmt::Display for OAuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the provider answered `{}`", self.code.name())?;
        if let Some(description) = &self.description {
            write!(f, " (\u{201c}{description}\u{201d})")?;
        }
        write!(f, ": {}", self.code.next_step())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn every_standard_code_is_known_and_has_a_next_step() {
        for name in [
            "invalid_request",
            "invalid_client",
            "invalid_grant",
            "unauthorized_client",
            "unsupported_grant_type",
            "invalid_scope",
            "access_denied",
            "unsupported_response_type",
            "server_error",
            "temporarily_unavailable",
            "authorization_pending",
            "slow_down",
            "expired_token",
            "interaction_required",
            "login_required",
            "account_selection_required",
            "consent_required",
            "invalid_request_uri",
            "invalid_request_object",
            "request_not_supported",
            "request_uri_not_supported",
            "registration_not_supported",
            "invalid_target",
        ] {
            let code = OAuthCode::from_name(name);
            assert_eq!(code.name(), name);
            assert!(!matches!(code, OAuthCode::Other(_)), "{name}");
            assert!(code.next_step().len() > 20, "{name}");
        }
    }

    #[test]
    fn foreign_words_are_cleaned() {
        let error = OAuthError::new("odd\u{1b}[2J", Some("<script>\u{1b}]8;;x\u{7}"));
        let text = error.to_string();
        assert!(!text.chars().any(char::is_control), "{text}");
        assert_eq!(error.code, OAuthCode::Other("odd [2J".into()));
        assert_eq!(OAuthError::new("access_denied", Some(" \n")).description, None);
    }
}
