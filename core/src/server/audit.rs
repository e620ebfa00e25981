//! Audit events as values, and as the one JSON line each becomes.
//!
//! Members, names and order are those of the original's log; ours come behind them. The line has
//! no sequence number yet: the sink that owns the file adds it.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::{Display, Write as _};
use core::net::SocketAddr;

use crate::json;
use crate::machine::{RequestId, UnixTime};
use crate::policy::ClientIp;
use crate::types::{Rfc3339, Role, Ttl, push_decimal};

/// What happened. The first four are the original's; their names never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    /// The ID token is good.
    AuthSuccess,
    /// The ID token was refused.
    AuthFailure,
    /// A certificate left the server.
    CertIssued,
    /// Signing failed after a good token.
    CertError,
    /// A good token, but policy gives no role.
    AccessDenied,
    /// Turned away before any token was looked at: limit, allowlist, method, body.
    RequestRefused,
    /// The keys of the provider are not to be had, so nothing could be decided.
    ProviderUnavailable,
}

impl EventType {
    /// The value of the member `type`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AuthSuccess => "auth_success",
            Self::AuthFailure => "auth_failure",
            Self::CertIssued => "cert_issued",
            Self::CertError => "cert_error",
            Self::AccessDenied => "access_denied",
            Self::RequestRefused => "request_refused",
            Self::ProviderUnavailable => "provider_unavailable",
        }
    }
}

impl EventType {
    /// The type of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let all = [
            Self::AuthSuccess,
            Self::AuthFailure,
            Self::CertIssued,
            Self::CertError,
            Self::AccessDenied,
            Self::RequestRefused,
            Self::ProviderUnavailable,
        ];
        all.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// One thing that is recorded before its answer leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEvent {
    /// When it was decided.
    pub at: UnixTime,
    /// What happened.
    pub kind: EventType,
    /// Which request; the same for all events of one request.
    pub request: RequestId,
    /// Peer address with port, never from a header.
    pub peer: SocketAddr,
    /// Client address by a trusted proxy's header, where it differs from the peer.
    pub client: Option<ClientIp>,
    /// `sub` of a verified token. Shared, as events of one request and the list of certificates
    /// name the same person.
    pub subject: Option<Arc<str>>,
    /// `email` of a verified token.
    pub email: Option<Arc<str>>,
    /// `iss` of a verified token.
    pub issuer: Option<Arc<str>>,
    /// Roles in the certificate, in its order.
    pub roles: Vec<Role>,
    /// Lifetime of the certificate, from now to its end.
    pub ttl: Option<Ttl>,
    /// End of the certificate.
    pub expiry: Option<UnixTime>,
    /// Serial number of the certificate, lower-case hexadecimal.
    pub serial: Option<Box<str>>,
    /// SHA-256 of the certificate's DER, lower-case hexadecimal.
    pub fingerprint: Option<Box<str>>,
    /// Stable code of the refusal.
    pub code: Option<&'static str>,
    /// What went wrong, for people.
    pub error: Option<String>,
}

impl AuditEvent {
    /// An event with nothing known but when, what, which and who.
    #[must_use]
    pub fn new(at: UnixTime, kind: EventType, request: RequestId, peer: SocketAddr) -> Self {
        Self {
            at,
            kind,
            request,
            peer,
            client: None,
            subject: None,
            email: None,
            issuer: None,
            roles: Vec::new(),
            ttl: None,
            expiry: None,
            serial: None,
            fingerprint: None,
            code: None,
            error: None,
        }
    }

    /// Writes the members as `{"timestamp":…,…` without the closing brace, so that the owner of
    /// the file can add its own. Empty members are left out; no member holds a line break.
    pub fn write_open(&self, out: &mut String) {
        // What most lines need, so that few are moved while they grow.
        out.reserve(LINE_BYTES);
        out.push('{');
        let mut line = Members { out };
        line.plain("\"timestamp\":", Rfc3339(self.at));
        line.next(",\"type\":", self.kind.as_str());
        line.optional(",\"subject\":", self.subject.as_deref());
        line.optional(",\"email\":", self.email.as_deref());
        line.optional(",\"issuer\":", self.issuer.as_deref());
        line.out.push_str(",\"client_ip\":\"");
        write_peer(line.out, self.peer);
        line.out.push('"');
        if !self.roles.is_empty() {
            line.out.push_str(",\"roles\":");
            write_roles(line.out, &self.roles);
        }
        line.optional_plain(",\"cert_ttl\":", self.ttl);
        line.optional_plain(",\"cert_expiry\":", self.expiry.map(Rfc3339));
        line.optional(",\"error\":", self.error.as_deref());
        line.optional(",\"code\":", self.code);
        line.optional_plain(",\"client_address\":", self.client);
        line.optional(",\"cert_serial\":", self.serial.as_deref());
        line.optional(",\"cert_fingerprint\":", self.fingerprint.as_deref());
        line.out.push_str(",\"request\":");
        push_decimal(line.out, self.request.0);
    }
}

/// Writes an address with port. That of IPv4 without the formatter, which takes longer over four
/// octets than over the rest of the line.
pub(super) fn write_peer(out: &mut String, peer: SocketAddr) {
    match peer {
        SocketAddr::V4(peer) => {
            let [a, b, c, d] = peer.ip().octets();
            for (number, mark) in [(a, '.'), (b, '.'), (c, '.'), (d, ':')] {
                push_decimal(out, number.into());
                out.push(mark);
            }
            push_decimal(out, peer.port().into());
        }
        // Writing to a String cannot fail.
        SocketAddr::V6(peer) => drop(write!(out, "{peer}")),
    }
}

/// Room for a line with all members of an issued certificate, and for what the chain adds.
const LINE_BYTES: usize = 960;

/// Writes roles as a JSON array of strings.
pub(super) fn write_roles(out: &mut String, roles: &[Role]) {
    out.push('[');
    for (n, role) in roles.iter().enumerate() {
        if n > 0 {
            out.push(',');
        }
        json::write_string(out, role.as_str());
    }
    out.push(']');
}

struct Members<'a> {
    out: &'a mut String,
}

impl Members<'_> {
    /// `before` is the name with its marks: our names need no escape.
    fn next(&mut self, before: &'static str, value: &str) {
        self.out.push_str(before);
        json::write_string(self.out, value);
    }

    fn optional(&mut self, before: &'static str, value: Option<&str>) {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            self.next(before, value);
        }
    }

    fn optional_plain(&mut self, before: &'static str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.plain(before, value);
        }
    }

    /// A value whose text never needs an escape: a moment, a duration, an address.
    fn plain(&mut self, before: &'static str, value: impl Display) {
        self.out.push_str(before);
        // Writing to a String cannot fail.
        let _ = write!(self.out, "\"{value}\"");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> AuditEvent {
        let peer = "192.168.1.10:52431".parse().unwrap();
        AuditEvent::new(
            UnixTime::from_secs(1_771_338_600),
            EventType::CertIssued,
            RequestId(7),
            peer,
        )
    }

    fn line(event: &AuditEvent) -> String {
        let mut out = String::new();
        event.write_open(&mut out);
        out.push('}');
        out
    }

    /// D15: no `cert_expiry` where there is no certificate, and the member order of the original.
    #[test]
    fn d15_empty_members_are_left_out() {
        assert_eq!(
            line(&event()),
            r#"{"timestamp":"2026-02-17T14:30:00Z","type":"cert_issued","client_ip":"192.168.1.10:52431","request":7}"#
        );
        let full = AuditEvent {
            subject: Some("abc123".into()),
            email: Some("user@example.com".into()),
            issuer: Some("https://idp.example.com/".into()),
            roles: Vec::from(["os:admin".parse().unwrap()]),
            ttl: Some(Ttl::DEFAULT),
            expiry: Some(UnixTime::from_secs(1_771_338_900)),
            ..event()
        };
        assert!(line(&full).starts_with(
            r#"{"timestamp":"2026-02-17T14:30:00Z","type":"cert_issued","subject":"abc123","email":"user@example.com","issuer":"https://idp.example.com/","client_ip":"192.168.1.10:52431","roles":["os:admin"],"cert_ttl":"5m0s","cert_expiry":"2026-02-17T14:35:00Z""#
        ));
    }

    #[test]
    fn addresses_are_written_as_the_library_does() {
        for peer in [
            "0.0.0.0:0",
            "10.200.3.45:9",
            "255.255.255.255:65535",
            "1.2.3.4:1000",
            "[::1]:8443",
            "[fe80::1%3]:1",
        ] {
            let peer: SocketAddr = peer.parse().unwrap();
            let mut out = String::new();
            write_peer(&mut out, peer);
            assert_eq!(out, alloc::string::ToString::to_string(&peer));
        }
    }

    #[test]
    fn hostile_claims_stay_one_line() {
        let hostile =
            AuditEvent { subject: Some("a\n{\"type\":\"x\"}\u{2028}\u{0}".into()), ..event() };
        let line = line(&hostile);
        assert!(!line.contains(['\n', '\u{2028}', '\u{0}']), "{line}");
        let limits = json::Limits { bytes_max: 4096, depth_max: 2 };
        let object = json::parse_object(line.as_bytes(), limits).unwrap();
        assert_eq!(object.get_str("type"), Some("cert_issued"));
        assert_eq!(object.get_str("subject"), Some("a\n{\"type\":\"x\"}\u{2028}\u{0}"));
    }
}
