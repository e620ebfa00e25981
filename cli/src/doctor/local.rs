//! Checks of this machine: files, tokens, the context. Nothing is made and nothing is changed.

use std::path::Path;

use exchange_core::jwt::client::read_id_token;
use exchange_core::login::cache::CacheEntry;
use exchange_core::machine::UnixTime;
use exchange_core::pki::{CaCert, ClientCertificate};
use exchange_core::talosconfig::{Context, TalosconfigError};
use exchange_core::types::{ContextName, Rfc3339, Secret};
use exchange_smol::files::{self, FileLock};
use serde_json::Value;

use super::finding::Findings;
use crate::args;
use crate::exit::Class;
use crate::login::context;
use crate::login::paths::{Places, Talosconfig};
use crate::login::store::{Found, StoreError, TokenStore};
use crate::login::watcher;

const AGAIN: &str = "run `login` again";

/// The file that is written and the one that `talosctl` reads. Gives the first.
pub(super) fn talosconfig(
    found: &mut Findings,
    places: &Places,
    flag: Option<&Path>,
) -> Option<Talosconfig> {
    const CHECK: &str = "talosconfig";
    let ours = match places.talosconfig(flag) {
        Ok(ours) => ours,
        Err(failure) => {
            let fix = "set HOME, or pass --talosconfig";
            found.error(CHECK, failure.class, failure.code, failure.message, fix);
            return None;
        }
    };
    let shown = ours.path.display();
    if let Ok(theirs) = places.talosconfig(None)
        && theirs != ours
    {
        found.warning(
            CHECK,
            "talosconfig.elsewhere",
            format!("login writes {shown}, but talosctl reads {}", theirs.path.display()),
            format!("set TALOSCONFIG={shown}, or pass --talosconfig to talosctl too"),
        );
    } else if let Some(named) = places.talosconfig_variable()
        && flag.is_none()
        && named != ours.path
    {
        found.warning(
            CHECK,
            "talosconfig.elsewhere",
            format!("TALOSCONFIG names {}, which does not exist: {shown} is used", named.display()),
            "unset TALOSCONFIG, or correct it",
        );
    }
    if !ours.writable {
        let text = format!("{shown} was made by Kubernetes and cannot be written to");
        found.error(CHECK, Class::Local, "file.not_writable", text, "pass --talosconfig");
    } else if let Err(text) = writable(&ours.path) {
        let fix = "correct owner and mode, or pass another --talosconfig";
        found.error(CHECK, Class::Local, "file.not_writable", text, fix);
    }
    if let Some(mode) = files::open_to_others(&ours.path) {
        found.warning(
            CHECK,
            "talosconfig.open_to_others",
            format!("{shown} holds private keys and is open to others (mode {mode:o})"),
            format!("chmod 600 {shown}"),
        );
    }
    if FileLock::is_held(&ours.path) {
        let text = format!("another process holds the lock of {shown} now");
        found.note(CHECK, "file.locked", text);
    }
    Some(ours)
}

/// Whether this process could replace the file. Asked, not tried.
fn writable(path: &Path) -> Result<(), String> {
    let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    // What is missing would be made in the first folder above that is there.
    let Some(folder) = real.ancestors().skip(1).find(|above| above.exists()) else {
        return Ok(());
    };
    if !folder.is_dir() {
        return Err(format!("{} is no folder", folder.display()));
    }
    #[cfg(unix)]
    if let Err(error) =
        rustix::fs::access(folder, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK)
    {
        return Err(format!("cannot write to {}: {}", folder.display(), error.kind()));
    }
    Ok(())
}

/// The context: whole, fitting, and good for how long.
pub(super) fn context(found: &mut Findings, path: &Path, name: &ContextName, now: UnixTime) {
    const CHECK: &str = "context";
    let config = match context::read(path) {
        Ok(Some(config)) => config,
        Ok(None) => {
            let text = format!("{} does not exist yet: login makes it", path.display());
            return found.note("talosconfig", "talosconfig.absent", text);
        }
        Err(error) => {
            let fix =
                "repair the file, or name another one with --talosconfig: it is never overwritten";
            return found.error("talosconfig", Class::Local, error.code(), error.to_string(), fix);
        }
    };
    found.ok("talosconfig", format!("{} reads well", path.display()));
    let shown = name.as_str();
    let Some(context) = config.context(shown) else {
        let text = format!("there is no context {shown:?} yet: login makes it");
        return found.note(CHECK, "context.absent", text);
    };
    if config.current.as_deref() != Some(shown) {
        let current = config.current.as_deref().unwrap_or_default();
        let text = format!(
            "the current context is {current:?}: use talosctl --context {shown}, or talosctl \
             config context {shown}"
        );
        found.note(CHECK, "context.not_current", text);
    }
    if context.endpoints.is_empty() {
        found.error(
            CHECK,
            Class::Local,
            "context.no_endpoints",
            "the context has no endpoints, so talosctl knows no node to call",
            format!("talosctl --context {shown} config endpoint <address>, or have `endpoints` set at the server"),
        );
    }
    if context.nodes.is_empty() {
        let text =
            "the context has no nodes: talosctl wants --nodes each time, login takes --nodes";
        found.note(CHECK, "context.no_nodes", text);
    }
    if let Some(certificate) = certificate(found, context, now) {
        let until = Rfc3339(certificate.not_after());
        found.ok(CHECK, format!("the certificate fits key and CA and is good until {until}"));
    }
}

fn certificate(
    found: &mut Findings,
    context: &Context,
    now: UnixTime,
) -> Option<ClientCertificate> {
    const CHECK: &str = "context";
    let mut wrong = |code: &str, text: String| {
        found.error(CHECK, Class::Local, code, text, AGAIN);
        None
    };
    let undecoded = |error: TalosconfigError| (error.code(), error.to_string());
    let parts = context.crt_pem().and_then(|crt| Ok((crt, context.key_pem()?, context.ca_pem()?)));
    let (crt, key, ca) = match parts.map_err(undecoded) {
        Ok((Some(crt), Some(key), Some(ca))) => (crt, key, ca),
        Ok((None, None, None)) => {
            return wrong("context.incomplete", "the context has no certificate".to_owned());
        }
        Ok((crt, key, ca)) => {
            let has = [("crt", crt.is_some()), ("key", key.is_some()), ("ca", ca.is_some())];
            let missing: Vec<&str> =
                has.iter().filter(|(_, there)| !there).map(|(name, _)| *name).collect();
            let text = format!("the context is half written: {} missing", missing.join(" and "));
            return wrong("context.incomplete", text);
        }
        Err((code, text)) => return wrong(code, text),
    };
    let certificate = match ClientCertificate::parse(&crt) {
        Ok(certificate) => certificate,
        Err(error) => return wrong(error.code(), error.to_string()),
    };
    if certificate.matches_key(key.expose_str().unwrap_or_default()).is_err() {
        let text = "the private key of the context belongs to another certificate".to_owned();
        return wrong("context.key_mismatch", text);
    }
    if !certificate.is_issued_by(&ca) {
        if CaCert::parse(&ca, now).is_err() {
            let text = "the CA of the context is none that certificates come from".to_owned();
            return wrong("context.ca_mismatch", text);
        }
        found.note(
            CHECK,
            "context.other_ca",
            "the CA of the context is another than the one that issued its certificate: right only \
             where nodes show another (talos_ca of the server), else log in again",
        );
    }
    if certificate.not_after() <= now {
        let text = format!("the certificate has ended at {}", Rfc3339(certificate.not_after()));
        found.warning(
            CHECK,
            "context.expired",
            text,
            "run `login`, or leave `login --watch` running",
        );
        return None;
    }
    if certificate.check_dates(now).is_err() {
        let text = format!("the certificate begins at {}", Rfc3339(certificate.not_before()));
        let fix = "the clock of this machine is behind: set it";
        found.error(CHECK, Class::Local, "context.not_yet_valid", text, fix);
        return None;
    }
    Some(certificate)
}

/// What is stored of the login. Gives it.
pub(super) fn tokens(
    found: &mut Findings,
    loaded: Result<Found, StoreError>,
    store: &TokenStore,
    now: UnixTime,
) -> Option<CacheEntry> {
    const CHECK: &str = "tokens";
    let entry = match loaded {
        Ok(Found { entry, unread, .. }) => {
            if let Some(error) = unread {
                let fix = "until then the file stands in; --token-store file leaves it at that";
                found.warning(CHECK, error.code(), error.to_string(), fix);
            }
            if let Some(exposed) = store.exposed() {
                let fix = "run that, and log out and in again if somebody may have read it";
                found.warning(CHECK, "file.unsafe_permissions", exposed, fix);
            }
            let Some(entry) = entry else {
                let text = if store.is_nowhere() {
                    "no login is kept (--token-store none)"
                } else {
                    "no login is stored yet"
                };
                found.note(CHECK, "tokens.absent", text);
                return None;
            };
            entry
        }
        Err(error) => {
            let fix = "follow the message; `logout` removes what cannot be read, --token-store file goes without a keychain";
            found.error(CHECK, Class::Local, error.code(), error.to_string(), fix);
            return None;
        }
    };
    let token = entry.id_token.as_ref().and_then(Secret::expose_str);
    let until = token.and_then(|token| read_id_token(token).ok()).map(|facts| facts.expires_at);
    let fresh = until.is_some_and(|until| until > now);
    match (entry.refresh_token.is_some(), fresh) {
        (true, _) => found.ok(CHECK, "a login is stored and can be refreshed"),
        (false, true) => found.warning(
            CHECK,
            "tokens.no_refresh_token",
            "the stored login has no refresh token: it ends with its ID token",
            "allow offline_access for this client at the provider, then log in again; some providers want --auth-param prompt=consent",
        ),
        (false, false) => found.warning(
            CHECK,
            "tokens.ended",
            "the stored login has ended and has no refresh token",
            AGAIN,
        ),
    }
    Some(entry)
}

/// A watch that runs, or one that was killed.
pub(super) fn watch(found: &mut Findings, path: &Path, name: &ContextName) {
    const CHECK: &str = "watch";
    let facts = watcher::look(path, name);
    let running = facts.get("running") == Some(&Value::Bool(true));
    let Some(pid) = facts.get("pid").and_then(Value::as_u64) else { return };
    let error = facts.pointer("/last_error/message").and_then(Value::as_str);
    match (running, error) {
        (true, None) => found.ok(CHECK, format!("login --watch runs (pid {pid})")),
        (true, Some(error)) => found.warning(
            CHECK,
            "watch.failing",
            format!("login --watch runs (pid {pid}), and failed last: {error}"),
            "see the other findings",
        ),
        (false, _) => found.warning(
            CHECK,
            "watch.killed",
            format!("login --watch (pid {pid}) ended without a word"),
            "start it again",
        ),
    }
}

/// The token that is given from outside, if one is.
pub(super) fn given_token(found: &mut Findings, token: Result<Secret, String>, now: UnixTime) {
    const CHECK: &str = "token";
    let fix = "fetch a new token";
    let token = match token {
        Ok(token) => token,
        Err(text) => {
            let fix = "say where the token is: --id-token-file or --id-token-env";
            return found.error(CHECK, Class::Local, "file.not_readable", text, fix);
        }
    };
    let text = token.expose_str().unwrap_or_default().trim();
    match read_id_token(text) {
        Ok(facts) if facts.expires_at > now => {
            let until = Rfc3339(facts.expires_at);
            found.ok(CHECK, format!("the given ID token is good until {until}"));
        }
        Ok(facts) => {
            let text = format!("the given ID token has ended at {}", Rfc3339(facts.expires_at));
            found.error(CHECK, Class::LoginIncomplete, "token.expired", text, fix);
        }
        Err(error) => {
            let text = format!("the given ID token is not usable: {error}");
            found.error(CHECK, Class::LoginIncomplete, error.code(), text, fix);
        }
    }
}

/// Variables that change what happens, by name only.
pub(super) fn environment(found: &mut Findings) {
    let mut names: Vec<String> = std::env::vars_os()
        .filter(|(_, value)| !value.is_empty())
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(|name| name.starts_with("TALOSCTL_OIDC_LOGIN_"))
        .collect();
    if !names.is_empty() {
        names.sort_unstable();
        let text = format!("these variables stand for flags: {}", names.join(", "));
        found.note("environment", "environment.set", text);
    }
}

/// Whether the callback server could listen, by listening for a moment.
pub(super) fn callback(found: &mut Findings, args: &args::Login, ports: &[u16], free: Option<u16>) {
    const CHECK: &str = "callback";
    match free {
        Some(port) if Some(&port) == ports.first() => {
            found.ok(CHECK, format!("port {port} is free"));
        }
        Some(port) => found.note(
            CHECK,
            "callback.other_port",
            format!("the first port is taken, {port} is free and must be registered as well"),
        ),
        None => {
            let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
            let way = if args.device_code { "" } else { ", or --device-code" };
            found.error(
                CHECK,
                Class::Local,
                "login.listen_failed",
                format!("no callback port is free ({}): something listens there", ports.join(", ")),
                format!("end it, or pass another --callback-port that is registered at the provider{way}"),
            );
        }
    }
}
