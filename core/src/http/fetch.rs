//! One outbound request as a value: what a machine orders and what the runtime reports.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use zeroize::Zeroizing;

use super::Headers;
use crate::types::Url;

/// Whose certificate authority decides about the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// System roots, plus the configured private CA of the identity provider.
    Provider,
    /// The exchange server: `--server-ca` replaces the system roots.
    Server,
}

/// One request that a machine wants made. Redirects are never followed.
pub struct FetchRequest {
    /// Where to. The machine has checked that its scheme is acceptable.
    pub url: Url,
    /// `None` is GET; otherwise POST with this content type and body. The body may hold secrets.
    pub post: Option<(&'static str, Zeroizing<Vec<u8>>)>,
    /// Fields besides `host`, `content-length`, `content-type`, `connection`, `user-agent`. Values
    /// may hold secrets (`authorization`).
    pub headers: Vec<(&'static str, Zeroizing<String>)>,
    /// Whose certificate authority decides.
    pub trust: Trust,
    /// Largest answer body in bytes, counted while reading.
    pub body_bytes_max: usize,
    /// Whole time for the request, from name resolution to the last byte.
    pub timeout_millis: u64,
}

impl fmt::Debug for FetchRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = if self.post.is_some() { "POST" } else { "GET" };
        write!(f, "FetchRequest({method} {:?})", self.url)
    }
}

/// A complete answer of any status.
pub struct FetchReply {
    /// Status code.
    pub status: u16,
    /// Fields.
    pub headers: Headers,
    /// Body; wiped on drop, as token answers are secret.
    pub body: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for FetchReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FetchReply({}, {} bytes)", self.status, self.body.len())
    }
}

/// Why there is no complete answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchError {
    /// The name does not resolve.
    Resolve,
    /// Nothing accepts the connection.
    Connect,
    /// The peer's certificate is not signed by a trusted authority.
    UntrustedCertificate,
    /// The peer's certificate names another host.
    WrongName,
    /// The peer's certificate is expired or not yet valid.
    ExpiredCertificate,
    /// TLS failed in another way.
    Tls,
    /// The time was over.
    Timeout,
    /// Head or body larger than allowed.
    TooLarge,
    /// Not HTTP/1.1, cut short, or an unsupported coding. Also a request of ours whose fields hold
    /// control characters.
    Protocol,
    /// The proxy named by the environment refused or is unusable.
    Proxy,
}

impl FetchError {
    /// Stable code: part of the public contract.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Resolve => "fetch.resolve",
            Self::Connect => "fetch.connect",
            Self::UntrustedCertificate => "fetch.untrusted_certificate",
            Self::WrongName => "fetch.wrong_name",
            Self::ExpiredCertificate => "fetch.expired_certificate",
            Self::Tls => "fetch.tls",
            Self::Timeout => "fetch.timeout",
            Self::TooLarge => "fetch.too_large",
            Self::Protocol => "fetch.protocol",
            Self::Proxy => "fetch.proxy",
        }
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "the host name does not resolve",
            Self::Connect => "the connection was refused or the host is unreachable",
            Self::UntrustedCertificate => "the certificate is not signed by a trusted authority",
            Self::WrongName => "the certificate is for another host name",
            Self::ExpiredCertificate => "the certificate is expired or not yet valid",
            Self::Tls => "the TLS handshake failed",
            Self::Timeout => "no complete answer in time",
            Self::TooLarge => "the answer is too large",
            Self::Protocol => "request or answer is not valid HTTP/1.1",
            Self::Proxy => "the proxy cannot be used or refused the connection",
        })
    }
}
