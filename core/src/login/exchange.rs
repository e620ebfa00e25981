//! The exchange: an ID token goes to the server, a certificate comes back.
//!
//! Answers of all versions of the original server are read. Their `ttl_seconds` is a setting and
//! not always a fact, so it counts only where it agrees with the certificate.

use alloc::boxed::Box;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::fmt;

use zeroize::Zeroizing;

use super::error::{ErrorClass, Patience};
use super::own_key::OwnKey;
use crate::http::{FetchReply, FetchRequest, Trust};
use crate::json::{self, Limits, Object, Value};
use crate::machine::UnixTime;
use crate::oidc::foreign::sanitise;
use crate::pki::{BACKDATED_SECS, ClientCertificate, InspectError};
use crate::types::{Secret, Url};

/// A bundle of several CAs, a chain and an RSA key stay well below.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
const LIMITS: Limits = Limits { bytes_max: ANSWER_BYTES_MAX, depth_max: 8 };
/// The server may have to ask the provider for keys and the Talos API for a certificate.
const TIMEOUT_MILLIS: u64 = 30_000;
/// Endpoints or nodes of one context.
const ADDRESSES_MAX: usize = 256;

/// The URL of the exchange below the configured one; slashes at its end do not matter.
///
/// `None` when `server` has a query, or when the URL becomes too long.
#[must_use]
pub fn exchange_url(server: &Url) -> Option<Url> {
    let base = server.as_str();
    if base.contains('?') {
        return None;
    }
    let mut text = String::from(base.trim_end_matches('/'));
    text.push_str("/exchange");
    text.parse().ok()
}

/// The request that exchanges `id_token` for a certificate on the key of `csr`, which is a PEM
/// certificate request. Old servers do not read it and make a key themselves.
#[must_use]
pub fn request(url: &Url, id_token: &Secret, csr: &str) -> FetchRequest {
    let token = id_token.expose_str().unwrap_or_default();
    // Room for the longest escaped form: growing would leave copies of the token behind.
    let mut body = Zeroizing::new(String::with_capacity(6 * (token.len() + csr.len()) + 64));
    body.push_str("{\"id_token\":");
    json::write_string(&mut body, token);
    body.push_str(",\"csr\":");
    json::write_string(&mut body, csr);
    body.push('}');
    FetchRequest {
        url: url.clone(),
        post: Some(("application/json", Zeroizing::new(core::mem::take(&mut *body).into_bytes()))),
        headers: Vec::from([("accept", Zeroizing::new(String::from("application/json")))]),
        trust: Trust::Server,
        body_bytes_max: ANSWER_BYTES_MAX,
        timeout_millis: TIMEOUT_MILLIS,
    }
}

/// What the server gave, checked: the key belongs to the certificate, which has not ended.
#[derive(Debug)]
pub struct Credentials {
    /// CA certificates, PEM.
    pub ca: String,
    /// Client certificate, PEM.
    pub certificate: String,
    /// Its private key, PEM.
    pub key: Secret,
    /// Talos endpoints in order; may be empty with old servers.
    pub endpoints: Vec<String>,
    /// Nodes, where the server names any.
    pub nodes: Option<Vec<String>>,
    /// What the certificate says.
    pub facts: CertificateFacts,
}

/// What a person wants to know of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Roles, sanitised, in the order of the certificate.
    pub roles: Vec<Box<str>>,
    /// First second.
    pub not_before: UnixTime,
    /// Last second.
    pub not_after: UnixTime,
    /// Seconds from its issue to its end, as the server says. Holds whatever our clock says.
    pub ttl_secs: Option<u64>,
}

/// Why there are no credentials.
#[derive(Debug, PartialEq, Eq)]
pub enum ExchangeError {
    /// The server said no.
    Refused(Refusal),
    /// The server answered nonsense.
    Answer(AnswerProblem),
    /// The certificate is of no use.
    Certificate(InspectError),
}

/// A refusal by the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Status code.
    pub status: u16,
    /// The server's stable code, sanitised; old servers have none.
    pub code: Option<Box<str>>,
    /// The server's sentence, sanitised, at most 300 characters.
    pub message: Option<Box<str>>,
    /// Seconds the server asks to wait: 1 to 300.
    pub retry_after_secs: Option<u32>,
}

/// What a refusal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// 401: the token is not accepted.
    Unauthorized,
    /// 403: the token is fine, but policy says no.
    Forbidden,
    /// 429: too many requests.
    RateLimited,
    /// 5xx: the server cannot, at present.
    Unavailable,
    /// Anything else: this is no exchange server, or one of another time.
    Unexpected,
}

/// Why a 200 is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerProblem {
    /// Not a strict JSON object.
    NotJson,
    /// A member is missing, empty or of a wrong kind.
    Member(&'static str),
}

impl fmt::Display for AnswerProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson => f.write_str(
                "the server's answer is not JSON: check --server, and what stands between",
            ),
            Self::Member(name) => write!(
                f,
                "the server's answer has no usable `{name}`: check --server and the server's log"
            ),
        }
    }
}

impl RefusalKind {
    /// Stable code: part of the public contract.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Unauthorized => "server.token_refused",
            Self::Forbidden => "server.refused",
            Self::RateLimited => "server.rate_limited",
            Self::Unavailable => "server.unavailable",
            Self::Unexpected => "server.unexpected_status",
        }
    }

    /// What the exit code says.
    #[must_use]
    pub const fn class(self) -> ErrorClass {
        match self {
            Self::Unauthorized | Self::Forbidden | Self::RateLimited => ErrorClass::Refused,
            Self::Unavailable | Self::Unexpected => ErrorClass::Unavailable,
        }
    }

    /// Whether a watch goes on. A 403 may come from being on the wrong network for a while.
    #[must_use]
    pub const fn patience(self) -> Patience {
        match self {
            Self::RateLimited | Self::Unavailable => Patience::Endless,
            Self::Unauthorized | Self::Forbidden | Self::Unexpected => Patience::WhileValid,
        }
    }

    const fn what(self) -> &'static str {
        match self {
            Self::Unauthorized | Self::Forbidden | Self::RateLimited => "the server refused",
            Self::Unavailable => "the server cannot serve this at present",
            Self::Unexpected => "the server answered what no exchange server should",
        }
    }

    const fn next_step(self) -> &'static str {
        match self {
            Self::Unauthorized => {
                "check that provider and client of the token are those of the server's \
                 configuration (--provider, --client-id)"
            }
            Self::Forbidden => {
                "ask whoever runs the server for access, or run `logout` and log in as somebody \
                 else"
            }
            Self::RateLimited => "wait a little, then try again",
            Self::Unavailable => "try again later, or see the server's log",
            Self::Unexpected => "check --server, and what stands between",
        }
    }
}

impl Refusal {
    /// What it means.
    #[must_use]
    pub const fn kind(&self) -> RefusalKind {
        match self.status {
            401 => RefusalKind::Unauthorized,
            403 => RefusalKind::Forbidden,
            429 => RefusalKind::RateLimited,
            500..=599 => RefusalKind::Unavailable,
            _ => RefusalKind::Unexpected,
        }
    }

    fn read(reply: &FetchReply) -> Self {
        let object = json::parse_object(&reply.body, LIMITS).ok();
        let member = |name: &str, chars: usize| {
            let text = object.as_ref().and_then(|object| object.get_str(name));
            text.map(|text| sanitise(text, chars)).filter(|text| !text.is_empty())
        };
        let plain = || {
            let kind = reply.headers.get_str("content-type")?;
            let text = core::str::from_utf8(&reply.body).ok()?;
            let text = sanitise(text, 200);
            (kind.starts_with("text/plain") && !text.is_empty()).then_some(text)
        };
        Self {
            status: reply.status,
            code: member("code", 64),
            message: member("error", 300).or_else(plain),
            retry_after_secs: reply
                .headers
                .get_str("retry-after")
                .and_then(|text| text.trim().parse::<u32>().ok())
                .map(|secs| secs.clamp(1, 300)),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (HTTP {}", self.kind().what(), self.status)?;
        if let Some(code) = &self.code {
            write!(f, ", {code}")?;
        }
        f.write_str(")")?;
        if let Some(message) = &self.message {
            write!(f, ": {message}")?;
        }
        write!(f, ": {}", self.kind().next_step())?;
        if let Some(secs) = self.retry_after_secs {
            write!(f, " ({secs} s)")?;
        }
        Ok(())
    }
}

/// Reads the answer of the server and checks what is in it.
///
/// # Errors
/// [`ExchangeError`], the first that applies.
pub fn read(reply: &FetchReply, own: &OwnKey, now: UnixTime) -> Result<Credentials, ExchangeError> {
    if reply.status != 200 {
        return Err(ExchangeError::Refused(Refusal::read(reply)));
    }
    let object = json::parse_object(&reply.body, LIMITS)
        .map_err(|_| ExchangeError::Answer(AnswerProblem::NotJson))?;
    let text = |name| {
        let text = object.get_str(name).filter(|text| !text.trim().is_empty());
        text.ok_or(ExchangeError::Answer(AnswerProblem::Member(name)))
    };
    let (ca, certificate) = (text("ca")?, text("cert")?);
    if !ca.contains("-----BEGIN CERTIFICATE-----") {
        return Err(ExchangeError::Answer(AnswerProblem::Member("ca")));
    }
    // A server that read the request has no key to send.
    let key = match object.get("key") {
        None | Some(Value::Null) => own.private_pem().duplicate(),
        Some(Value::String(key)) if key.trim().is_empty() => own.private_pem().duplicate(),
        Some(Value::String(key)) => Secret::new(key.as_bytes()),
        Some(
            Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Array(_) | Value::Object(_),
        ) => return Err(ExchangeError::Answer(AnswerProblem::Member("key"))),
    };
    let parsed = ClientCertificate::parse(certificate).map_err(ExchangeError::Certificate)?;
    let text_of_key = key.expose_str().unwrap_or_default();
    parsed.matches_key(text_of_key).map_err(ExchangeError::Certificate)?;
    if parsed.not_after() <= now {
        let expired = InspectError::Expired { not_after: parsed.not_after(), now };
        return Err(ExchangeError::Certificate(expired));
    }
    Ok(Credentials {
        ca: ca.to_string(),
        certificate: certificate.to_string(),
        key,
        endpoints: addresses(&object, "endpoints")?.unwrap_or_default(),
        nodes: addresses(&object, "nodes")?,
        facts: CertificateFacts {
            ttl_secs: ttl(&object, &parsed),
            ..CertificateFacts::of(&parsed)
        },
    })
}

impl CertificateFacts {
    /// The facts of a parsed certificate.
    #[must_use]
    pub fn of(certificate: &ClientCertificate) -> Self {
        Self {
            roles: certificate.roles().iter().map(|role| sanitise(role, 64)).collect(),
            not_before: certificate.not_before(),
            not_after: certificate.not_after(),
            ttl_secs: None,
        }
    }

    /// Seconds that a certificate which has just come is good for. The server's word first: a
    /// clock of ours that is minutes behind would let the certificate end before its renewal.
    pub(super) fn left(&self, now: UnixTime) -> u64 {
        let by_dates = self.not_after.since(now).min(self.not_after.since(self.not_before));
        self.ttl_secs.unwrap_or(by_dates)
    }
}

/// `ttl_seconds`, where the dates of the certificate bear it out: their begin is the moment of the
/// issue, or was set back as our servers do.
fn ttl(object: &Object, certificate: &ClientCertificate) -> Option<u64> {
    let Some(Value::Int(secs)) = object.get("ttl_seconds") else { return None };
    let secs = u64::try_from(*secs).ok()?;
    let life = certificate.not_after().since(certificate.not_before());
    let fits = [0, BACKDATED_SECS].iter().any(|back| (secs + back).abs_diff(life) <= 1);
    (secs > 0 && fits).then_some(secs)
}

/// A list of host names or addresses. `null` counts as absent, as Go writes it for no list.
fn addresses(object: &Object, name: &'static str) -> Result<Option<Vec<String>>, ExchangeError> {
    let wrong = || ExchangeError::Answer(AnswerProblem::Member(name));
    let list = match object.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => {
            value.as_array().filter(|list| list.len() <= ADDRESSES_MAX).ok_or_else(wrong)?
        }
    };
    let mut kept = Vec::with_capacity(list.len());
    for item in list {
        let text = item.as_str().ok_or_else(wrong)?;
        let sound = (1..=512).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        if !sound {
            return Err(wrong());
        }
        kept.push(text.to_string());
    }
    Ok(Some(kept))
}
