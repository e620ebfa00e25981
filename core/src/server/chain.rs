//! The exchange as a chain of types, each made only by consuming the one before:
//! [`Call`] -> [`Admitted`] -> [`Presented`] -> [`Checked`] -> [`Verified`] -> [`Grant`] -> draft.
//!
//! There is no other way to a certificate, so a check that is left out does not compile.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;

use super::audit::{AuditEvent, EventType};
use super::refusal::Refusal;
use super::setup::Setup;
use crate::http::{BodyFault, Method, RequestHead, Response};
use crate::json::{self, Limits, Object, Value};
use crate::jwt::{CheckedToken, ParsedToken, VerifiedToken, VerifyKey};
use crate::machine::{Entropy, Mono, Now, RequestId, UnixTime};
use crate::pki::{CommonName, Draft, Issued, LeafKey};
use crate::policy::rbac::Decision;
use crate::policy::{ClientIp, RateKey, RateLimited, RateLimiter, SubjectKey, client_ip};
use crate::types::{RoleSet, Ttl, Wiped};

/// Random bytes that ride in on each request: serial number, leaf seed, session token.
pub const ENTROPY_BYTES: usize = 80;

/// Which listener a request came in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// The one for everybody.
    Main,
    /// The one for metrics only.
    Metrics,
}

impl Door {
    /// Whether a request that came in here asks for a certificate.
    #[must_use]
    pub fn leads_to_exchange(self, head: &RequestHead) -> bool {
        self == Self::Main && head.path() == "/exchange"
    }
}

/// What a listener counts: what never becomes a request is seen by nobody else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connections {
    /// Open at this moment.
    pub open: u64,
    /// Closed since the start to make room for others.
    pub evicted: u64,
    /// Not taken since the start, as nobody could make room.
    pub turned_away: u64,
    /// Ended since the start because their bytes were no request.
    pub refused: u64,
    /// Ended since the start because a request or its answer took too long.
    pub late: u64,
    /// TLS handshakes that failed since the start.
    pub handshakes_failed: u64,
}

/// One request, as the runtime hands it over; size and time caps have held.
pub struct Call {
    /// Echoed in the answer.
    pub id: RequestId,
    /// Address of the peer, as the socket says.
    pub peer: SocketAddr,
    /// Whether the peer speaks TLS with us.
    pub tls: bool,
    /// Which listener it came in by.
    pub door: Door,
    /// What the listener has seen, for the metrics.
    pub connections: Connections,
    /// Head.
    pub head: RequestHead,
    /// Body, or why there is none; wiped on drop, as it holds a token.
    pub body: Result<Wiped, BodyFault>,
    /// Fresh randomness for whatever this request needs.
    pub entropy: Entropy<ENTROPY_BYTES>,
}

/// Who asked, and what is recorded about it so far.
#[derive(Debug)]
pub struct Trail {
    /// The request.
    pub id: RequestId,
    /// The peer.
    pub peer: SocketAddr,
    /// The client, by a trusted proxy's word where there is one.
    pub client: ClientIp,
    /// When the request was complete.
    pub since: Mono,
    /// Events to be written before the answer leaves.
    pub events: Vec<AuditEvent>,
}

impl Trail {
    /// An event about this request.
    fn event(&self, at: UnixTime, kind: EventType) -> AuditEvent {
        let behind_proxy = self.client != ClientIp::from(self.peer.ip());
        AuditEvent {
            client: behind_proxy.then_some(self.client),
            ..AuditEvent::new(at, kind, self.id, self.peer)
        }
    }

    /// What is recorded of the identity, once a token was good.
    fn identity(&self) -> Option<&AuditEvent> {
        self.events.iter().find(|event| event.kind == EventType::AuthSuccess)
    }

    /// Records a refusal, with the identity if a token was good before it came to that.
    pub fn refuse(&mut self, at: UnixTime, refusal: &Refusal, setup: &Setup) {
        let known = self.identity();
        let (subject, email) =
            known.map(|event| (event.subject.clone(), event.email.clone())).unwrap_or_default();
        let event = AuditEvent {
            subject,
            email,
            code: Some(refusal.code()),
            error: Some(refusal.detail(&setup.expect.issuer)),
            ..self.event(at, refusal.event())
        };
        self.events.push(event);
    }
}

/// What is recorded and answered where there is no room for a request to `/exchange` in front of
/// the machine.
#[must_use]
pub fn overloaded(at: UnixTime, id: RequestId, peer: SocketAddr) -> (AuditEvent, Response) {
    let refusal = Refusal::Overloaded;
    let event = AuditEvent {
        code: Some(refusal.code()),
        error: Some(refusal.public().into()),
        ..AuditEvent::new(at, refusal.event(), id, peer)
    };
    (event, refusal.response())
}

/// A request to `/exchange` from a client that may ask.
pub struct Admitted(Call);

impl Call {
    /// Step 1 and 2: rate limit, then allowlist. A refused request has used up its budget too.
    ///
    /// # Errors
    /// [`Refusal::RateLimited`], [`Refusal::IpNotAllowed`].
    pub fn admit(self, now: Mono, gate: &mut Gate, setup: &Setup) -> Result<Admitted, Refusal> {
        let client = self.client(setup);
        if let Some(limiter) = &mut gate.by_address {
            limiter.admit(now, client.rate_key()).map_err(too_many)?;
        }
        if !setup.allowlist.allows(client) {
            return Err(Refusal::IpNotAllowed);
        }
        Ok(Admitted(self))
    }

    /// The client's address by the written trust rule.
    #[must_use]
    pub fn client(&self, setup: &Setup) -> ClientIp {
        client_ip(self.peer.ip(), &self.head.headers, &setup.trusted_proxies)
    }

    /// What is recorded about this request so far: nothing but who asked.
    #[must_use]
    pub fn trail(&self, now: Mono, setup: &Setup) -> Trail {
        let client = self.client(setup);
        Trail { id: self.id, peer: self.peer, client, since: now, events: Vec::new() }
    }
}

/// The counters that admission uses up.
pub struct Gate {
    /// Requests per client address.
    pub by_address: Option<RateLimiter<RateKey>>,
    /// Certificates per subject.
    pub by_subject: Option<RateLimiter<SubjectKey>>,
}

fn too_many(limited: RateLimited) -> Refusal {
    Refusal::RateLimited { retry_after_secs: limited.retry_after_secs }
}

/// A token that reads as one, and the key the certificate is wanted for.
pub struct Presented {
    token: ParsedToken,
    csr: Option<String>,
    seed: Entropy<32>,
    serial: Entropy<16>,
}

/// What the certificate is made with, besides the identity.
struct Seal {
    leaf: Leaf,
    serial: Entropy<16>,
}

/// The key of the certificate. A fresh one costs as much as a signature, so it stays a seed until
/// somebody has a right to it.
enum Leaf {
    Seed(Entropy<32>),
    Client(LeafKey),
}

/// Member limits of the request body: one flat object; foreign members may nest a little.
const BODY_LIMITS: Limits = Limits { bytes_max: 65_536, depth_max: 16 };

impl Admitted {
    /// Step 3 to 5: method, body, form of the token.
    ///
    /// # Errors
    /// The refusals of method, body and token form.
    pub fn present(self, setup: &Setup) -> Result<Presented, Refusal> {
        let Call { head, body, entropy, .. } = self.0;
        if head.method != Method::Post {
            return Err(Refusal::MethodNotAllowed);
        }
        let body = body.map_err(Refusal::Body)?;
        let object = match json::parse_object(&body, BODY_LIMITS) {
            Ok(object) => object,
            // For the decoder of the original this is an object without members.
            Err(_) if body.trim_ascii() == b"null" => return Err(Refusal::TokenMissing),
            Err(_) => return Err(Refusal::InvalidJson),
        };
        let token = match token_member(&object)? {
            None | Some(Value::Null) => return Err(Refusal::TokenMissing),
            Some(Value::String(token)) if token.is_empty() => return Err(Refusal::TokenMissing),
            Some(Value::String(token)) => token,
            Some(
                Value::Bool(_)
                | Value::Int(_)
                | Value::Float(_)
                | Value::Array(_)
                | Value::Object(_),
            ) => return Err(Refusal::InvalidJson),
        };
        if head.headers.get_all("authorization").any(is_bearer) {
            return Err(Refusal::AmbiguousToken);
        }
        let (seed, serial) = split(entropy);
        let csr = match object.get("csr") {
            None | Some(Value::Null) if setup.require_csr => return Err(Refusal::CsrRequired),
            None | Some(Value::Null) => None,
            Some(Value::String(pem)) => Some(pem.clone()),
            Some(
                Value::Bool(_)
                | Value::Int(_)
                | Value::Float(_)
                | Value::Array(_)
                | Value::Object(_),
            ) => return Err(Refusal::InvalidJson),
        };
        let token = ParsedToken::parse(token).map_err(Refusal::Token)?;
        Ok(Presented { token, csr, seed, serial })
    }
}

/// The member with the token. Its name counts in any case, as with the decoder of the original; two
/// of them are a name that occurs twice.
fn token_member(object: &Object) -> Result<Option<&Value>, Refusal> {
    let mut found = object.iter().filter(|(name, _)| name.eq_ignore_ascii_case("id_token"));
    match (found.next(), found.next()) {
        (token, None) => Ok(token.map(|(_, value)| value)),
        (_, Some(_)) => Err(Refusal::InvalidJson),
    }
}

/// Whether an `Authorization` value carries a token (RFC 6750 section 2.1).
fn is_bearer(value: &[u8]) -> bool {
    value.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer "))
}

/// Deals the randomness of a request out to its uses.
fn split(entropy: Entropy<ENTROPY_BYTES>) -> (Entropy<32>, Entropy<16>) {
    let bytes = entropy.into_bytes();
    let (mut seed, mut serial) = ([0; 32], [0; 16]);
    for (to, from) in seed.iter_mut().zip(bytes.iter()) {
        *to = *from;
    }
    for (to, from) in serial.iter_mut().zip(bytes.iter().skip(32)) {
        *to = *from;
    }
    (Entropy::new(seed), Entropy::new(serial))
}

/// A token whose claims fit; its signature is still to be checked.
pub struct Checked {
    token: CheckedToken,
    seal: Seal,
}

impl Presented {
    /// Everything about the token that needs no key (OpenID Connect Core 1.0, 3.1.3.7), then the
    /// request for the client's own key, whose signature is only worth checking behind it.
    ///
    /// # Errors
    /// [`Refusal::Token`], [`Refusal::Csr`].
    pub fn check(self, now: UnixTime, setup: &Setup) -> Result<Checked, Refusal> {
        let Self { token, csr, seed, serial } = self;
        let token = token.check(now, &setup.expect).map_err(Refusal::Token)?;
        let leaf = match csr {
            Some(pem) => Leaf::Client(LeafKey::from_csr(pem.as_bytes()).map_err(Refusal::Csr)?),
            None => Leaf::Seed(seed),
        };
        Ok(Checked { token, seal: Seal { leaf, serial } })
    }
}

/// A token that the provider signed for us.
pub struct Verified {
    token: VerifiedToken,
    holder: Holder,
    seal: Seal,
}

impl Checked {
    /// The token, for choosing its key.
    #[must_use]
    pub const fn token(&self) -> &CheckedToken {
        &self.token
    }

    /// The signature. Records `auth_success`.
    ///
    /// # Errors
    /// [`Refusal::Token`].
    pub fn verify(
        self,
        now: UnixTime,
        key: &VerifyKey,
        trail: &mut Trail,
    ) -> Result<Verified, Refusal> {
        let token = self.token.verify(key).map_err(Refusal::Token)?;
        let holder = Holder {
            subject: token.subject().into(),
            email: token.email().map(Arc::from),
            email_doubted: token.email_doubted(),
        };
        let event = AuditEvent {
            subject: Some(Arc::clone(&holder.subject)),
            email: holder.email.clone(),
            issuer: Some(token.issuer().into()),
            ..trail.event(now, EventType::AuthSuccess)
        };
        trail.events.push(event);
        Ok(Verified { token, holder, seal: self.seal })
    }
}

/// An identity with at least one role. Only the rules make one.
pub struct Grant {
    holder: Holder,
    roles: RoleSet,
    seal: Seal,
}

impl Verified {
    /// Step 6: the limit per subject, then claims to roles.
    ///
    /// # Errors
    /// [`Refusal::RateLimited`], [`Refusal::Denied`].
    pub fn grant(
        self,
        now: Now,
        gate: &mut Gate,
        setup: &Setup,
        explained: &mut Vec<String>,
    ) -> Result<Grant, Refusal> {
        if let Some(limiter) = &mut gate.by_subject {
            limiter.admit(now.mono, SubjectKey::of(self.token.subject())).map_err(too_many)?;
        }
        let decision = if setup.debug {
            let explanation = setup.roles.explain(self.token.claims());
            *explained = explanation.lines;
            explanation.decision
        } else {
            setup.roles.decide(self.token.claims())
        };
        let roles = match decision {
            Decision::Granted(roles) => roles,
            Decision::Denied(reason) => return Err(Refusal::Denied(reason)),
        };
        Ok(Grant { holder: self.holder, roles, seal: self.seal })
    }
}

impl Grant {
    /// Step 7: the certificate, up to the signature.
    ///
    /// # Errors
    /// [`Refusal::Issue`].
    pub fn draft(self, now: UnixTime, setup: &Setup) -> Result<(Draft, Holder), Refusal> {
        let Holder { subject, email, email_doubted } = &self.holder;
        // An address that anybody may claim must not stand for somebody else in the logs of Talos.
        let name = email
            .as_deref()
            .filter(|_| !email_doubted)
            .and_then(CommonName::from_identity)
            .or_else(|| CommonName::from_identity(subject));
        let leaf = match self.seal.leaf {
            Leaf::Client(key) => key,
            Leaf::Seed(seed) => LeafKey::from_seed(seed).map_err(|_| Refusal::SignerFailed)?,
        };
        let draft = Draft::new(
            &setup.ca,
            &self.roles,
            name.as_ref(),
            setup.ttl,
            now,
            leaf,
            self.seal.serial,
        )
        .map_err(Refusal::Issue)?;
        Ok((draft, self.holder))
    }
}

/// Whom a certificate in the making is for.
#[derive(Clone, Debug)]
pub struct Holder {
    /// `sub`.
    pub subject: Arc<str>,
    /// `email`.
    pub email: Option<Arc<str>>,
    /// Whether the provider says that it has not verified the address.
    pub email_doubted: bool,
}

impl Trail {
    /// Records `cert_issued`.
    pub fn issued(&mut self, now: UnixTime, holder: &Holder, issued: &Issued) {
        let lifetime = issued.ttl_secs();
        let event = AuditEvent {
            subject: Some(Arc::clone(&holder.subject)),
            email: holder.email.clone(),
            issuer: self.identity().and_then(|event| event.issuer.clone()),
            roles: issued.roles().as_slice().to_vec(),
            ttl: Ttl::from_secs(lifetime).ok(),
            expiry: Some(issued.not_after()),
            serial: Some(issued.serial_hex().into()),
            fingerprint: Some(issued.fingerprint_sha256().into()),
            ..self.event(now, EventType::CertIssued)
        };
        self.events.push(event);
    }
}
