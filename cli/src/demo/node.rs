//! A stand-in for a Talos node: who may connect, with which roles, to do what.
//!
//! It takes TLS 1.3 only and clients of its own authority only, wants the extended key usage
//! clientAuth and no other, reads roles from the organizations of the client's certificate and
//! decides by the rule table of Talos. Two things differ from a node: the calls are plain HTTP/1.1
//! (a node speaks gRPC), and the key usage is refused by an answer (a node ends the handshake).
//! Nothing is done here, least of all a reboot.

use std::sync::Arc;

use exchange_core::http::{Method, Request, RequestHead, Response};
use exchange_core::json;
use exchange_core::pki::ClientCertificate;
use exchange_core::types::{Secret, Url};
use exchange_smol::tls::{
    ClientOptions, ClientRoots, ClientTls, Identity, ServerTls, ServerTlsOptions, TlsError,
};

use super::ca::{Pair, certificate_pem};
use super::methods::allowed_roles;
use super::wire::{Answer, request};

/// gRPC status codes.
const INVALID_ARGUMENT: u8 = 3;
const PERMISSION_DENIED: u8 = 7;
const UNAUTHENTICATED: u8 = 16;

/// The role that may take on any other for one call.
const IMPERSONATOR: &str = "os:impersonator";
/// Where it says which.
const ROLE_HEADER: &str = "talos-role";

/// The node.
pub(crate) struct Node;

impl Node {
    /// Its side of TLS: a certificate of its own, and clients of `authorities` only.
    pub(crate) fn tls(own: &Pair, authorities: &str) -> Result<Arc<ServerTls>, TlsError> {
        let options = ServerTlsOptions {
            client_authorities: Some(authorities.as_bytes()),
            ..ServerTlsOptions::default()
        };
        ServerTls::new(own.cert.as_bytes(), own.key.expose(), options).map(Arc::new)
    }
}

impl Answer for Node {
    fn answer(&self, request: &Request, certificates: &[Vec<u8>]) -> Response {
        let leaf = certificates.first().and_then(|der| certificate_pem(der));
        let Some(Ok(leaf)) = leaf.as_deref().map(ClientCertificate::parse) else {
            return status(401, UNAUTHENTICATED, "no readable certificate");
        };
        if !leaf.is_client_auth_only() {
            return status(401, UNAUTHENTICATED, "extended key usage is not clientAuth alone");
        }
        let method = request.head.path();
        if request.head.method != Method::Post {
            return status(400, INVALID_ARGUMENT, "methods are called by POST");
        }
        let roles = roles(&leaf, &request.head);
        if !allowed_roles(method).iter().any(|role| roles.iter().any(|held| held == role)) {
            return status(403, PERMISSION_DENIED, "not authorized");
        }
        let mut answer = String::from("{\"method\":");
        json::write_string(&mut answer, method);
        answer.push_str(",\"answer\":\"this is a stand-in: nothing was done\"}");
        Response::json(200, answer)
    }
}

/// The roles of the certificate, or those an impersonator asks for.
fn roles(leaf: &ClientCertificate, head: &RequestHead) -> Vec<String> {
    let held: Vec<String> = leaf.roles().iter().map(|role| role.trim().to_owned()).collect();
    let asked: Vec<String> = head
        .headers
        .get_all(ROLE_HEADER)
        .map(|role| String::from_utf8_lossy(role).trim().to_owned())
        .collect();
    if held.iter().any(|role| role == IMPERSONATOR) && !asked.is_empty() { asked } else { held }
}

fn status(http: u16, code: u8, message: &str) -> Response {
    Response::json(http, format!("{{\"code\":{code},\"message\":\"{message}\"}}"))
}

/// What a client needs to call a node: one context of a talosconfig.
pub(crate) struct Access {
    /// `host:port`.
    pub(crate) endpoint: String,
    /// Authorities of the node, PEM.
    pub(crate) ca: String,
    /// Certificate, PEM.
    pub(crate) cert: String,
    /// Private key, PEM.
    pub(crate) key: Secret,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The node did it.
    Done,
    /// The node knows the caller and refuses the call.
    Denied {
        /// gRPC status code.
        code: u8,
        /// What the node says.
        message: String,
    },
    /// There was no connection or no answer: TLS refused the certificate, or the node is away.
    NoAnswer(String),
}

impl Outcome {
    /// `PermissionDenied`: known, but not allowed.
    pub(crate) const fn is_permission_denied(&self) -> bool {
        matches!(self, Self::Denied { code: PERMISSION_DENIED, .. })
    }

    /// For people.
    pub(crate) fn told(&self) -> String {
        match self {
            Self::Done => "allowed".to_owned(),
            Self::Denied { code: PERMISSION_DENIED, message } => {
                format!("refused: PermissionDenied, {message}")
            }
            Self::Denied { message, .. } => format!("refused: {message}"),
            Self::NoAnswer(why) => match why.strip_prefix("received fatal alert: ") {
                Some(alert) => format!("refused in the handshake: {alert}"),
                None => format!("no answer: {why}"),
            },
        }
    }
}

/// Calls `method` on the node of `access`, taking on `roles` if there are any.
pub(crate) async fn call(access: &Access, method: &str, roles: &[&str]) -> Outcome {
    let options = ClientOptions {
        roots: ClientRoots::Only(access.ca.as_bytes()),
        identity: Some(Identity { chain: access.cert.as_bytes(), key: access.key.expose() }),
        ..ClientOptions::default()
    };
    let tls = match ClientTls::new(options) {
        Ok(tls) => tls,
        Err(error) => return Outcome::NoAnswer(error.to_string()),
    };
    let Ok(url) = format!("https://{}{method}", access.endpoint).parse::<Url>() else {
        return Outcome::NoAnswer("the endpoint is no address".to_owned());
    };
    let headers: Vec<_> = roles.iter().map(|role| (ROLE_HEADER, *role)).collect();
    let reply = match request(&url, Some(("application/json", "{}")), &headers, Some(&tls)).await {
        Ok(reply) => reply,
        Err(trouble) => return Outcome::NoAnswer(trouble),
    };
    if reply.status == 200 {
        return Outcome::Done;
    }
    let limits = json::Limits { bytes_max: 4096, depth_max: 2 };
    let told = json::parse_object(&reply.body, limits).ok();
    let message = told.as_ref().and_then(|told| told.get_str("message")).unwrap_or_default();
    let code = match reply.status {
        403 => PERMISSION_DENIED,
        401 => UNAUTHENTICATED,
        _ => INVALID_ARGUMENT,
    };
    Outcome::Denied { code, message: message.to_owned() }
}

#[cfg(test)]
mod tests;
