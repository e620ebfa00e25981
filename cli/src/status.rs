//! The command `status`: what there is, for people, for scripts, and as an exit code.

use std::fmt::Write as _;
use std::process::ExitCode;

use exchange_core::jwt::client::read_id_token;
use exchange_core::machine::UnixTime;
use exchange_core::pki::{CaCert, ClientCertificate};
use exchange_core::talosconfig::Context;
use exchange_core::types::{ContextName, Rfc3339, Secret};
use exchange_smol::clock;
use exchange_smol::token_store::Prompt;
use serde_json::{Map, Value, json};

use crate::args::{self, Format};
use crate::exit::Failure;
use crate::login::context::{self, ContextError};
use crate::login::paths::Places;
use crate::login::store::{Found, Place, StoreError, TokenStore};
use crate::login::tell::span;
use crate::login::watcher;
use crate::terminal;

/// Exit code of `--check` when there is no usable certificate.
const NOT_USABLE: u8 = 2;

/// Runs the command.
pub(crate) fn run(args: &args::Status) -> Result<ExitCode, Failure> {
    let target = &args.target;
    let name = target.context_name()?;
    // Who only looks is asked nothing.
    let store = TokenStore::open(target.token_store, Prompt::Never)?;
    let path = Places::of_process().talosconfig(target.talosconfig.as_deref())?.path;
    let now = clock::now().wall;
    let mut report = Report::new(&name);
    report.tokens(&store.find(&name), store.exposed(), now);
    report.place("Path", "path", &path.display().to_string());
    let usable = match context::read(&path) {
        Ok(config) => {
            let config = config.unwrap_or_default();
            let found = config.context(name.as_str());
            report.context(found, config.current.as_deref(), &name, now)
        }
        Err(error) => {
            report.unreadable(&error);
            false
        }
    };
    report.watcher(watcher::look(&path, &name), now);
    match args.output {
        Format::Text => terminal::line(report.text.trim_end()),
        Format::Json => terminal::line(&format!("{:#}", report.value(usable))),
        Format::Yaml => terminal::line(yaml(&report.value(usable)).trim_end()),
    }
    if args.check && !usable {
        return Ok(ExitCode::from(NOT_USABLE));
    }
    Ok(ExitCode::SUCCESS)
}

/// The same facts as lines and as an object.
struct Report {
    text: String,
    context: String,
    token: Map<String, Value>,
    config: Map<String, Value>,
    watcher: Value,
}

impl Report {
    fn new(name: &ContextName) -> Self {
        Self {
            text: format!("Context: {}\n", name.as_str()),
            context: name.as_str().to_owned(),
            token: Map::new(),
            config: Map::new(),
            watcher: Value::Null,
        }
    }

    fn value(&self, usable: bool) -> Value {
        json!({
            "context": self.context,
            "token": self.token,
            "talosconfig": self.config,
            "watcher": self.watcher,
            "usable": usable,
        })
    }

    fn line(&mut self, label: &str, text: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{label}: {text}");
    }

    fn place(&mut self, label: &str, key: &str, text: &str) {
        if key == "path" {
            self.text.push_str("\n--- Talosconfig ---\n");
        }
        self.line(label, text);
        self.config.insert(key.to_owned(), text.into());
    }

    fn tokens(
        &mut self,
        found: &Result<Found, StoreError>,
        exposed: Option<String>,
        now: UnixTime,
    ) {
        self.text.push_str("\n--- OIDC Token ---\n");
        if let Some(exposed) = exposed {
            self.line("Warning", &exposed);
            self.token.insert("warning".to_owned(), exposed.into());
        }
        let (entry, shown) = match found {
            Ok(Found { entry, place, unread }) => {
                if let Some(error) = unread {
                    self.line("Keychain", &format!("{error} [{}]", error.code()));
                    self.token.insert("keychain".to_owned(), error.code().into());
                }
                let shown = match place {
                    Place::Keychain => Some("keychain".to_owned()),
                    Place::File(path) => Some(path.display().to_string()),
                    Place::Nowhere => None,
                };
                self.token.insert("store".to_owned(), json!(shown));
                let Some(entry) = entry else {
                    self.token.insert("status".to_owned(), "none".into());
                    self.text.push_str("No cached token.\n");
                    return;
                };
                (entry, shown)
            }
            Err(error) => {
                self.token.insert("store".to_owned(), Value::Null);
                self.token.insert("status".to_owned(), "unreadable".into());
                self.token.insert("error".to_owned(), error.to_string().into());
                self.token.insert("code".to_owned(), error.code().into());
                self.line("Status", &format!("error loading ({error})"));
                return;
            }
        };
        self.line("Issuer", &entry.issuer);
        self.line("Client ID", &entry.client_id);
        let expires = entry
            .id_token
            .as_ref()
            .and_then(Secret::expose_str)
            .and_then(|token| read_id_token(token).ok())
            .map(|facts| facts.expires_at)
            .or(entry.expires_at.filter(|_| entry.id_token.is_some()));
        let (status, line) = match expires {
            Some(at) if at > now => {
                ("valid", format!("valid (expires in {})", span(at.since(now))))
            }
            Some(at) => ("expired", format!("expired (at {})", Rfc3339(at))),
            None => ("none", "no ID token".to_owned()),
        };
        self.line("Status", &line);
        let refresh = entry.refresh_token.is_some();
        self.line("Refresh", if refresh { "available" } else { "not available" });
        if let Some(server) = &entry.server {
            self.line("Server", server);
        }
        if let Some(path) = &shown {
            self.line("Store", path);
        }
        let facts = json!({
            "issuer": entry.issuer,
            "client_id": entry.client_id,
            "status": status,
            "expires_at": expires.map(|at| Rfc3339(at).to_string()),
            "refresh": refresh,
            "scopes": entry.scopes.as_ref().map(ToString::to_string),
            "server": entry.server,
        });
        if let Value::Object(facts) = facts {
            self.token.extend(facts);
        }
    }

    fn unreadable(&mut self, error: &ContextError) {
        self.line("Status", &format!("error loading ({error})"));
        self.config.insert("status".to_owned(), "unreadable".into());
        self.config.insert("error".to_owned(), error.to_string().into());
    }

    /// What the context holds. Returns whether somebody could use it now.
    fn context(
        &mut self,
        found: Option<&Context>,
        current: Option<&str>,
        name: &ContextName,
        now: UnixTime,
    ) -> bool {
        let Some(found) = found else {
            self.line("Status", "context not found");
            self.config.insert("status".to_owned(), "not_found".into());
            return false;
        };
        self.line("Status", "context exists");
        self.config.insert("status".to_owned(), "exists".into());
        self.line("Endpoints", &format!("[{}]", found.endpoints.join(" ")));
        self.config.insert("endpoints".to_owned(), json!(found.endpoints));
        if !found.nodes.is_empty() {
            self.line("Nodes", &format!("[{}]", found.nodes.join(" ")));
        }
        self.config.insert("nodes".to_owned(), json!(found.nodes));
        let active = current == Some(name.as_str());
        let current = current.unwrap_or_default();
        let line = if active {
            "yes (current context)".to_owned()
        } else {
            format!("no (current context is \"{current}\")")
        };
        self.line("Active", &line);
        self.config.insert("active".to_owned(), active.into());
        self.config.insert("current_context".to_owned(), current.into());
        self.certificate(found, now)
    }

    fn certificate(&mut self, found: &Context, now: UnixTime) -> bool {
        let pem = match found.crt_pem() {
            Ok(Some(pem)) => pem,
            Ok(None) => {
                self.line("Client cert", "missing");
                self.config.insert("certificate".to_owned(), Value::Null);
                return false;
            }
            Err(error) => return self.broken(&error.to_string()),
        };
        let certificate = match ClientCertificate::parse(&pem) {
            Ok(certificate) => certificate,
            Err(error) => return self.broken(&error.to_string()),
        };
        self.line("Client cert", "present");
        let until = certificate.not_after();
        let (state, when) = match certificate.check_dates(now) {
            Ok(()) => ("valid", format!("in {}", span(until.since(now)))),
            Err(_) if until <= now => ("expired", "expired".to_owned()),
            Err(_) => {
                ("not_yet_valid", format!("not valid before {}", Rfc3339(certificate.not_before())))
            }
        };
        self.line("Expires", &format!("{} ({when})", Rfc3339(until)));
        self.line("Roles", &certificate.roles().join(", "));
        let subject = certificate.common_name().unwrap_or("-").to_owned();
        self.line("Subject", &subject);
        self.line("Serial", certificate.serial_hex());
        let issuer_key_id = certificate.issuer_key_id();
        self.line("Issuer key ID", issuer_key_id.as_deref().unwrap_or("-"));
        let problem = usability(found, &certificate, now);
        if let Some(problem) = problem {
            self.line("Problem", problem);
        }
        let ca = found.ca_pem().ok().flatten();
        let is_issued_by_ca = ca.is_some_and(|ca| certificate.is_issued_by(&ca));
        if problem.is_none() && !is_issued_by_ca {
            self.line("Note", "the CA of the context is another than the certificate's");
        }
        let facts = json!({
            "status": state,
            "not_before": Rfc3339(certificate.not_before()).to_string(),
            "not_after": Rfc3339(until).to_string(),
            "seconds_left": until.since(now),
            "roles": certificate.roles(),
            "common_name": certificate.common_name(),
            "serial": certificate.serial_hex(),
            "issuer_key_id": issuer_key_id,
            "issued_by_ca": is_issued_by_ca,
            "fingerprint_sha256": certificate.fingerprint_sha256(),
            "problem": problem,
        });
        self.config.insert("certificate".to_owned(), facts);
        state == "valid" && problem.is_none()
    }

    /// What a `login --watch` of this context does, or the last one did before it was killed.
    fn watcher(&mut self, facts: Value, now: UnixTime) {
        let text = |pointer: &str| facts.pointer(pointer).and_then(Value::as_str);
        let running = facts.get("running") == Some(&Value::Bool(true));
        let pid = facts.get("pid").and_then(Value::as_u64);
        if running || pid.is_some() {
            let pid = pid.map_or_else(|| "unknown".to_owned(), |pid| pid.to_string());
            self.text.push_str("\n--- Watcher ---\n");
            let since = text("/since").unwrap_or("-");
            let line = if running {
                format!("running (pid {pid}, since {since})")
            } else {
                format!("not running (the last one, pid {pid}, ended without a word)")
            };
            self.line("Status", &line);
            let renewal = text("/next_renewal").filter(|_| running);
            if let Some(at) = renewal.and_then(|at| at.parse::<Rfc3339>().ok()) {
                self.line("Next renewal", &format!("{at} (in {})", span(at.0.since(now))));
            }
            let error = (text("/last_error/at"), text("/last_error/code"));
            if let (Some(at), Some(code)) = error {
                let message = text("/last_error/message").unwrap_or_default();
                self.line("Last error", &format!("{message} [{code}] (at {at})"));
            }
        }
        self.watcher = facts;
    }

    fn broken(&mut self, error: &str) -> bool {
        self.line("Client cert", &format!("unreadable ({error})"));
        self.config
            .insert("certificate".to_owned(), json!({"status": "unreadable", "error": error}));
        false
    }
}

/// What keeps a certificate from working besides its dates.
fn usability(
    found: &Context,
    certificate: &ClientCertificate,
    now: UnixTime,
) -> Option<&'static str> {
    let key = found.key_pem().ok().flatten();
    let Some(key) = key.as_ref().and_then(Secret::expose_str) else {
        return Some("the private key is missing: log in again");
    };
    if certificate.matches_key(key).is_err() {
        return Some("the private key belongs to another certificate: log in again");
    }
    match found.ca_pem() {
        // Nodes may show another authority than the one that signs for clients (`talos_ca`).
        Ok(Some(ca)) if certificate.is_issued_by(&ca) || CaCert::parse(&ca, now).is_ok() => None,
        Ok(Some(_)) => Some("the CA of the context is none: log in again"),
        Ok(None) | Err(_) => Some("the CA is missing: log in again"),
    }
}

/// The value as YAML: block mappings, texts in double quotes as in JSON.
pub(crate) fn yaml(value: &Value) -> String {
    let mut out = String::new();
    write_yaml(&mut out, value, 0);
    out.trim_start_matches('\n').to_owned()
}

fn write_yaml(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                // Writing to a String cannot fail.
                let _ = write!(out, "\n{:indent$}{key}:", "");
                write_yaml(out, value, indent + 2);
            }
        }
        Value::Array(list) if !list.is_empty() => {
            for value in list {
                let _ = write!(out, "\n{:indent$}-", "");
                write_yaml(out, value, indent + 2);
            }
        }
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => {
            let _ = write!(out, " {value}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_says_what_json_says() {
        let value = json!({"a": {"b": ["x: y", 1, null], "c": {}}, "d": "\u{1b}\n", "e": []});
        assert_eq!(
            yaml(&value),
            "a:\n  b:\n    - \"x: y\"\n    - 1\n    - null\n  c: {}\nd: \"\\u001b\\n\"\ne: []"
        );
    }
}
