//! Every way an exchange ends without a certificate, and what each means on the wire.
//!
//! One match decides the status, one the code, one the `error` text, one the next step; none has
//! a wildcard arm, so a new refusal must be decided in all of them.

use alloc::string::{String, ToString};

use super::audit::EventType;
use crate::http::{BodyFault, Response};
use crate::json;
use crate::jwt::TokenError;
use crate::pki::{CsrError, IssueError};
use crate::policy::rbac::DenyReason;
use crate::types::Issuer;

/// Why there is no certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Too many requests of this address (or subject).
    RateLimited {
        /// Whole seconds until a retry is admitted, at least 1.
        retry_after_secs: u32,
    },
    /// The client address is outside the allowlist.
    IpNotAllowed,
    /// Another method than POST.
    MethodNotAllowed,
    /// There is no body to be read.
    Body(BodyFault),
    /// The body is not the JSON object wanted, or a member has the wrong type.
    InvalidJson,
    /// No `id_token` member, or an empty one.
    TokenMissing,
    /// A token in the body and in an `Authorization` header.
    AmbiguousToken,
    /// The server only signs requests of the client's own key.
    CsrRequired,
    /// The `csr` member is not a usable PKCS#10 request.
    Csr(CsrError),
    /// The ID token did not pass.
    Token(TokenError),
    /// The provider's keys were never seen, or not for too long.
    KeysUnavailable {
        /// Whole seconds until another try makes sense.
        retry_after_secs: u64,
    },
    /// More requests are waiting than the server holds.
    Overloaded,
    /// The claims give no role.
    Denied(DenyReason),
    /// The certificate could not be made.
    Issue(IssueError),
    /// The signer failed or did not answer in time.
    SignerFailed,
}

impl Refusal {
    /// HTTP status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::RateLimited { .. } => 429,
            Self::IpNotAllowed | Self::Denied(_) => 403,
            Self::MethodNotAllowed => 405,
            Self::Body(fault) => fault.refusal().status(),
            Self::InvalidJson
            | Self::TokenMissing
            | Self::AmbiguousToken
            | Self::CsrRequired
            | Self::Csr(_) => 400,
            Self::Token(_) => 401,
            Self::KeysUnavailable { .. } | Self::Overloaded => 503,
            Self::Issue(_) | Self::SignerFailed => 500,
        }
    }

    /// Code for log and audit: says exactly what it was.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::RateLimited { .. } => "admit.rate_limited",
            Self::IpNotAllowed => "admit.ip_not_allowed",
            Self::MethodNotAllowed => "request.method_not_allowed",
            Self::Body(fault) => fault.refusal().code(),
            Self::InvalidJson => "request.invalid_json",
            Self::TokenMissing => "request.token_missing",
            Self::AmbiguousToken => "request.ambiguous_token",
            Self::CsrRequired => "request.csr_required",
            Self::Csr(error) => error.code(),
            Self::Token(error) => error.code(),
            Self::KeysUnavailable { .. } => "keys.unavailable",
            Self::Overloaded => "server.overloaded",
            Self::Denied(reason) => reason.code(),
            Self::Issue(error) => error.code(),
            Self::SignerFailed => "issue.signer_failed",
        }
    }

    /// Code for the stranger who asked: does not tell key trouble from signature trouble.
    #[must_use]
    pub const fn public_code(&self) -> &'static str {
        match self {
            Self::Token(error) => error.public_code(),
            Self::Issue(_) | Self::SignerFailed => "issue.failed",
            Self::RateLimited { .. }
            | Self::IpNotAllowed
            | Self::MethodNotAllowed
            | Self::Body(_)
            | Self::InvalidJson
            | Self::TokenMissing
            | Self::AmbiguousToken
            | Self::CsrRequired
            | Self::Csr(_)
            | Self::KeysUnavailable { .. }
            | Self::Overloaded
            | Self::Denied(_) => self.code(),
        }
    }

    /// The `error` member. Scripts of the original's users match these texts.
    #[must_use]
    pub const fn public(&self) -> &'static str {
        match self {
            Self::RateLimited { .. } => "rate limit exceeded",
            Self::IpNotAllowed => "IP not allowed",
            Self::MethodNotAllowed => "method not allowed",
            Self::Body(BodyFault::TooLarge) => "request body too large or unreadable",
            Self::Body(
                BodyFault::Chunk | BodyFault::Overhead | BodyFault::Late | BodyFault::Cut,
            ) => "failed to read request body",
            Self::InvalidJson => "invalid JSON",
            Self::TokenMissing => "id_token is required",
            Self::AmbiguousToken => "two tokens in one request",
            Self::CsrRequired => "csr is required",
            Self::Csr(_) => "invalid csr",
            Self::Token(_) => "invalid token",
            Self::KeysUnavailable { .. } => "identity provider unavailable",
            Self::Overloaded => "server overloaded",
            Self::Denied(_) => "no roles assigned - user does not match any RBAC rules",
            Self::Issue(_) | Self::SignerFailed => "failed to generate certificate",
        }
    }

    /// The `hint` member: what whoever reads it does next.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::RateLimited { .. } => "wait for the seconds in Retry-After, then try again",
            Self::IpNotAllowed => "ask the administrator to add your network to ip_allowlist",
            Self::MethodNotAllowed => "send POST with a JSON body",
            Self::Body(fault) => fault.refusal().hint(),
            Self::InvalidJson => "send one JSON object such as {\"id_token\": \"…\"}",
            Self::TokenMissing => "send the OIDC ID token in the member id_token",
            Self::AmbiguousToken => "send the token in the body only, without Authorization",
            Self::CsrRequired => "send a PKCS#10 request as PEM in the member csr",
            Self::Csr(_) => {
                "send a self-signed PKCS#10 request with an Ed25519, P-256, P-384 or RSA key"
            }
            Self::Token(error) => error.public(),
            Self::KeysUnavailable { .. } | Self::Overloaded => {
                "the login is fine; try again after the seconds in Retry-After"
            }
            Self::Denied(reason) => reason.public(),
            Self::Issue(_) | Self::SignerFailed => {
                "ask the administrator to look into the server log"
            }
        }
    }

    /// What the audit log calls it.
    #[must_use]
    pub const fn event(&self) -> EventType {
        match self {
            Self::RateLimited { .. }
            | Self::IpNotAllowed
            | Self::MethodNotAllowed
            | Self::Body(_)
            | Self::InvalidJson
            | Self::TokenMissing
            | Self::AmbiguousToken
            | Self::CsrRequired
            | Self::Csr(_)
            | Self::Overloaded => EventType::RequestRefused,
            Self::Token(_) => EventType::AuthFailure,
            Self::KeysUnavailable { .. } => EventType::ProviderUnavailable,
            Self::Denied(_) => EventType::AccessDenied,
            Self::Issue(_) | Self::SignerFailed => EventType::CertError,
        }
    }

    /// What the audit log says in `error`: the whole truth, without secrets. `issuer` is the one
    /// configured.
    #[must_use]
    pub fn detail(&self, issuer: &Issuer) -> String {
        match self {
            Self::Token(error) => error.detail(issuer),
            Self::Csr(error) => error.to_string(),
            Self::Issue(error) => error.to_string(),
            Self::Denied(reason) => reason.to_string(),
            Self::Body(fault) => fault.refusal().to_string(),
            Self::SignerFailed => "the signer failed or did not answer in time".into(),
            Self::RateLimited { .. }
            | Self::IpNotAllowed
            | Self::MethodNotAllowed
            | Self::InvalidJson
            | Self::TokenMissing
            | Self::AmbiguousToken
            | Self::CsrRequired
            | Self::KeysUnavailable { .. }
            | Self::Overloaded => self.public().into(),
        }
    }

    /// The whole answer.
    #[must_use]
    pub fn response(&self) -> Response {
        let response = error(self.status(), self.public(), self.public_code(), self.hint());
        match self {
            Self::RateLimited { retry_after_secs } => {
                response.with("retry-after", retry_after_secs.to_string())
            }
            Self::KeysUnavailable { retry_after_secs } => {
                response.with("retry-after", retry_after_secs.to_string())
            }
            Self::Overloaded => response.with("retry-after", "1"),
            Self::MethodNotAllowed => response.with("allow", "POST"),
            Self::Token(_) => response.with("www-authenticate", "Bearer error=\"invalid_token\""),
            Self::IpNotAllowed
            | Self::Body(_)
            | Self::InvalidJson
            | Self::TokenMissing
            | Self::AmbiguousToken
            | Self::CsrRequired
            | Self::Csr(_)
            | Self::Denied(_)
            | Self::Issue(_)
            | Self::SignerFailed => response,
        }
    }
}

/// An error answer of this server: `{"error":…,"code":…,"hint":…}` and a line end, never cached.
#[must_use]
pub fn error(status: u16, error: &str, code: &str, hint: &str) -> Response {
    let mut body = String::from("{\"error\":");
    json::write_string(&mut body, error);
    body.push_str(",\"code\":");
    json::write_string(&mut body, code);
    body.push_str(",\"hint\":");
    json::write_string(&mut body, hint);
    body.push_str("}\n");
    guarded(Response::json(status, body))
}

/// The fields every answer of ours carries: not to be stored, not to be guessed at.
#[must_use]
pub fn guarded(response: Response) -> Response {
    response.with("cache-control", "no-store").with("x-content-type-options", "nosniff")
}
