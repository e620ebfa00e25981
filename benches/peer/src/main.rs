//! The same job as `talosctl-oidc serve`, written the way one would today: axum on tokio and rustls,
//! jsonwebtoken for the token, rcgen for the certificate, reqwest for the provider.
//!
//! It keeps keys, checks signature, issuer, audience and times, maps groups to roles, makes a key
//! and a client certificate, and writes one audit line before it answers. It does no more than that:
//! no limits, no deadlines, no chain in the log, no second look at what it signed.
//!
//! ```text
//! exchange-peer CONFIG.json
//! ```

mod issue;
mod keys;

#[cfg(not(feature = "aws-lc"))]
use jsonwebtoken_9 as jsonwebtoken;
#[cfg(feature = "aws-lc")]
use jsonwebtoken_11 as jsonwebtoken;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use axum::extract::{ConnectInfo, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use axum_server::tls_rustls::RustlsConfig;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

#[derive(Deserialize)]
struct Config {
    issuer: String,
    client_id: String,
    listen: SocketAddr,
    endpoints: Vec<String>,
    ca_cert: PathBuf,
    ca_key: PathBuf,
    audit_log: PathBuf,
    ttl_seconds: i64,
    /// Roles by group.
    groups: BTreeMap<String, Vec<String>>,
}

struct Server {
    config: Config,
    keys: keys::Keys,
    authority: issue::Authority,
    audit: Mutex<File>,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    email: Option<String>,
    #[serde(default)]
    groups: Vec<String>,
}

#[derive(Deserialize)]
struct Ask {
    id_token: String,
}

#[derive(Serialize)]
struct Answer<'a> {
    ca: &'a str,
    cert: String,
    key: String,
    endpoints: &'a [String],
    ttl_seconds: i64,
}

#[derive(Serialize)]
struct AuditLine<'a> {
    timestamp: String,
    r#type: &'static str,
    sub: Option<&'a str>,
    email: Option<&'a str>,
    roles: &'a [String],
    remote_addr: String,
    error: Option<&'a str>,
}

enum Failure {
    Unauthorized(String),
    Forbidden(&'static str),
    Internal(String),
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (status, text) = match self {
            Self::Unauthorized(text) => (StatusCode::UNAUTHORIZED, text),
            Self::Forbidden(text) => (StatusCode::FORBIDDEN, text.to_owned()),
            Self::Internal(text) => (StatusCode::INTERNAL_SERVER_ERROR, text),
        };
        (status, Json(serde_json::json!({ "error": text }))).into_response()
    }
}

impl Server {
    fn write_audit(&self, line: &AuditLine<'_>) -> Result<(), Failure> {
        let mut text = serde_json::to_vec(line).map_err(|e| Failure::Internal(e.to_string()))?;
        text.push(b'\n');
        let mut file = self.audit.lock().expect("nobody panics with the log");
        file.write_all(&text).map_err(|e| Failure::Internal(e.to_string()))
    }
}

async fn exchange(
    State(server): State<Arc<Server>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Json(ask): Json<Ask>,
) -> Response {
    match answer(&server, peer, &ask.id_token).await {
        Ok(response) => response,
        Err(failure) => {
            let error = match &failure {
                Failure::Unauthorized(text) | Failure::Internal(text) => text.as_str(),
                Failure::Forbidden(text) => text,
            };
            let line = AuditLine {
                timestamp: now(),
                r#type: "auth_failure",
                sub: None,
                email: None,
                roles: &[],
                remote_addr: peer.to_string(),
                error: Some(error),
            };
            match server.write_audit(&line) {
                Ok(()) => failure.into_response(),
                Err(unwritten) => unwritten.into_response(),
            }
        }
    }
}

async fn answer(server: &Server, peer: SocketAddr, token: &str) -> Result<Response, Failure> {
    let claims = server.keys.verify(token).await.map_err(Failure::Unauthorized)?;
    let mut roles: Vec<String> = Vec::new();
    for role in claims.groups.iter().filter_map(|group| server.config.groups.get(group)).flatten() {
        if !roles.contains(role) {
            roles.push(role.clone());
        }
    }
    if roles.is_empty() {
        return Err(Failure::Forbidden("no role"));
    }
    let issued = server
        .authority
        .issue(&claims.sub, &roles, server.config.ttl_seconds)
        .map_err(|e| Failure::Internal(e.to_string()))?;
    server.write_audit(&AuditLine {
        timestamp: now(),
        r#type: "cert_issued",
        sub: Some(&claims.sub),
        email: claims.email.as_deref(),
        roles: &roles,
        remote_addr: peer.to_string(),
        error: None,
    })?;
    let answer = Answer {
        ca: server.authority.pem(),
        cert: issued.cert,
        key: issued.key,
        endpoints: &server.config.endpoints,
        ttl_seconds: server.config.ttl_seconds,
    };
    Ok(Json(answer).into_response())
}

fn now() -> String {
    OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    #[cfg(feature = "aws-lc")]
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    #[cfg(not(feature = "aws-lc"))]
    let provider = rustls::crypto::ring::default_provider();
    let _ = provider.install_default();
    let path = std::env::args().nth(1).ok_or("usage: exchange-peer CONFIG.json")?;
    let config: Config = serde_json::from_slice(&std::fs::read(path)?)?;
    let authority = issue::Authority::load(&config.ca_cert, &config.ca_key)?;
    let audit = OpenOptions::new().append(true).create(true).open(&config.audit_log)?;
    let keys = keys::Keys::new(&config.issuer, &config.client_id)?;
    let (cert, key) = issue::server_identity()?;
    let tls = RustlsConfig::from_pem(cert.into_bytes(), key.into_bytes()).await?;
    let listen = config.listen;
    let server = Arc::new(Server { config, keys, authority, audit: Mutex::new(audit) });
    let first = Arc::clone(&server);
    // A provider that is down is asked again by the first login.
    tokio::spawn(async move { first.keys.fetch().await.ok() });
    let app = Router::new()
        .route("/exchange", post(exchange))
        .route("/healthz", get(|| async { "ok" }))
        .with_state(server);
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    axum_server::bind_rustls(listen, tls).serve(service).await?;
    Ok(())
}
