//! Reads `vectors/config`: a file and an environment, and the settings or the whole report; a
//! document of Talos, and the CA in it or why there is none.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failing test should stop at the line that failed"
)]

mod vectors;

use std::collections::BTreeMap;

use exchange_core::config::{
    AuditLog, CaDocumentError, CaSource, Loaded, Settings, TlsMode, TrailingSlash, from_document,
};
use exchange_core::policy::RateLimit;
use exchange_core::policy::rbac::Fallback;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[serde(rename = "comment")]
    _comment: String,
    #[serde(rename = "source")]
    _source: String,
    file: Option<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    expect: Expect,
    #[serde(default)]
    warnings: Vec<String>,
    document: Option<String>,
    document_times: Option<usize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Expect {
    Settings(BTreeMap<String, Value>),
    Problems(Vec<String>),
    Ca { crt: String, key: String },
    Error(String),
    Yaml(String),
}

/// The settings as the cases name them.
fn told(settings: &Settings) -> Value {
    let limit = |limit: Option<RateLimit>| limit.map(|l| json!([l.requests(), l.window_ms()]));
    let texts = |all: Vec<String>| json!(all);
    let rules = settings.roles.rules();
    json!({
        "issuer": settings.issuer.as_str(),
        "client_id": settings.client_id.as_str(),
        "endpoints": texts(settings.endpoints.iter().map(ToString::to_string).collect()),
        "nodes": texts(settings.nodes.iter().map(ToString::to_string).collect()),
        "cluster_name": settings.cluster_name.as_ref().map(ToString::to_string),
        "ca": match &settings.ca {
            CaSource::Pem { cert, key } => match (cert.path(), key.path()) {
                (Some(cert), Some(key)) => format!("files {cert} {key}"),
                (None, None) => "inline".into(),
                (cert, key) => format!("{} and {}", cert.unwrap_or("-"), key.unwrap_or("-")),
            },
            CaSource::TalosConfig { path } => format!("talos_config {path}"),
        },
        "secret": settings.client_secret.is_some(),
        "secret_file": settings.client_secret_file,
        "algs": settings.allowed_algs.to_string(),
        "clock_skew": settings.clock_skew_secs,
        "issuer_trailing_slash": match settings.issuer_trailing_slash {
            TrailingSlash::Exact => "exact",
            TrailingSlash::Ignore => "ignore",
        },
        "cert_ttl": settings.cert_ttl.secs(),
        "max_ttl": settings.max_ttl.secs(),
        "roles": match settings.roles.fallback() {
            Fallback::Static(roles) => texts(roles.iter().map(ToString::to_string).collect()),
            Fallback::Deny => Value::Null,
        },
        "rules": rules.len(),
        "first_value": rules.first().map(|rule| rule.value()),
        "require_csr": settings.require_csr,
        "bind_tokens": settings.bind_tokens,
        "listen": settings.listen.to_string(),
        "metrics_listen": settings.metrics_listen.as_ref().map(ToString::to_string),
        "tls": match &settings.tls {
            TlsMode::Files { cert, key } => format!("files {cert} {key}"),
            TlsMode::Plain => "plain".into(),
            TlsMode::SelfSigned => "self-signed".into(),
        },
        "tls_sans": texts(settings.tls_sans.iter().map(ToString::to_string).collect()),
        "threads": settings.threads,
        "max_connections": settings.max_connections,
        "audit_log": match &settings.audit_log {
            AuditLog::Stdout => "stdout",
            AuditLog::File(path) => path,
        },
        "audit_checkpoint_ms": settings.audit_checkpoint_ms,
        "admin": settings.admin_token.is_some(),
        "rate_limit": limit(settings.rate_limit),
        "rate_limit_subject": limit(settings.rate_limit_subject),
        "ip_allowlist": settings.ip_allowlist.is_on(),
    })
}

/// The document of a case, and the CA that is found in it.
fn check_document(text: &str, expected: &Expect) -> Result<(), String> {
    let found = from_document(text);
    if let Err(error) = &found {
        vectors::clear(&error.to_string(), text)?;
    }
    match (found, expected) {
        (Ok(pair), Expect::Ca { crt, key }) => {
            vectors::same(&pair.cert_pem, crt)?;
            vectors::same(&pair.key_pem.expose_str().unwrap_or_default(), &key.as_str())
        }
        (Err(error @ CaDocumentError::Yaml(why)), Expect::Yaml(code)) => {
            vectors::same(&(error.code(), why.code()), &("ca.yaml", code.as_str()))
        }
        (Err(error), Expect::Error(code)) => vectors::same(&error.code(), &code.as_str()),
        (Ok(_), _) => Err("a CA is found".into()),
        (Err(error), _) => Err(format!("{} {error}", error.code())),
    }
}

fn check(case: &Case) -> Result<(), String> {
    if let Some(document) = &case.document {
        let text = document.repeat(case.document_times.unwrap_or(1));
        return check_document(&text, &case.expect);
    }
    let env: Vec<(String, String)> = case.env.clone().into_iter().collect();
    let file = case.file.as_deref().map(|text| ("config.yaml", text));
    match (Settings::load(file, &env), &case.expect) {
        (Ok(Loaded { settings, warnings }), Expect::Settings(expected)) => {
            let told = told(&settings);
            for (name, value) in expected {
                let found = told.get(name).ok_or_else(|| format!("no such setting: {name}"))?;
                vectors::same(found, value).map_err(|why| format!("{name}: {why}"))?;
            }
            let codes: Vec<String> = warnings.iter().map(|w| w.code.to_owned()).collect();
            vectors::same(&codes, &case.warnings)
        }
        (Err(problems), Expect::Problems(fragments)) => {
            let report = problems.to_string();
            let fits = report.lines().count() == fragments.len()
                && report.lines().zip(fragments).all(|(line, part)| line.contains(part.as_str()));
            if fits {
                Ok(())
            } else {
                Err(format!("the report is\n{report}\nexpected {fragments:#?}"))
            }
        }
        (Ok(_), _) => Err("it loads".into()),
        (Err(problems), _) => Err(problems.to_string()),
    }
}

#[test]
fn files_and_environments_are_read_as_told() {
    vectors::each("config", 150, check);
}
