//! What a running `login --watch` leaves for `status` to see.
//!
//! That one runs is told by a lock which it holds and which ends with it, however it ends; a number
//! in a file would outlive a kill. What it does stands in a file beside, without secrets.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use exchange_core::login::{LoginError, Notice};
use exchange_core::machine::UnixTime;
use exchange_core::types::{ContextName, Rfc3339};
use exchange_smol::clock;
use exchange_smol::executor::spawn;
use exchange_smol::files::{self, FileLock, write_atomic};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

/// A status that looks at the lock holds it for a moment.
const LOCK_MILLIS: u64 = 500;
const BYTES_MAX: usize = 64 * 1024;

/// Where watchers of one context of one talosconfig leave word.
struct Place {
    /// Its neighbour is locked.
    lock: PathBuf,
    facts: PathBuf,
}

impl Place {
    /// Beside the talosconfig, where a watcher must be able to write anyway.
    fn new(talosconfig: &Path, context: &ContextName) -> Self {
        // Through links, so that each way to the file leads to the same word.
        let real = std::fs::canonicalize(talosconfig);
        let path = real.unwrap_or_else(|_| talosconfig.to_path_buf());
        let file = path.file_name().unwrap_or_default().as_encoded_bytes();
        let hash = digest(&SHA256, &[file, b"\0", context.as_str().as_bytes()].concat());
        let short: String =
            hash.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let name = format!("talosctl-oidc-watch-{short}");
        Self {
            facts: path.with_file_name(format!(".{name}.json")),
            lock: path.with_file_name(name),
        }
    }
}

/// The word of a running watcher. Taken back when closed.
pub(crate) struct Mark(Arc<Inner>);

struct Inner {
    place: Place,
    _lock: FileLock,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    since: UnixTime,
    last_renewal: Option<UnixTime>,
    next_renewal: Option<UnixTime>,
    last_error: Option<(UnixTime, &'static str, String)>,
    is_over: bool,
}

impl Mark {
    /// Says that this process watches `context`. `None` where another one does already, or where
    /// no lock can be had; the watch works without.
    pub(crate) fn leave(talosconfig: &Path, context: &ContextName) -> Option<Self> {
        let place = Place::new(talosconfig, context);
        let lock = FileLock::acquire(&place.lock, LOCK_MILLIS).ok()?;
        // What is there is of one that was killed.
        let _ = std::fs::remove_file(&place.facts);
        let told = Mutex::new(Told { since: clock::now().wall, ..Told::default() });
        let mark = Self(Arc::new(Inner { place, _lock: lock, told }));
        mark.0.write();
        Some(mark)
    }

    /// Passes on what `status` may want to know.
    pub(crate) fn note(&self, notice: &Notice) {
        let now = clock::now().wall;
        if !self.0.told.lock().unwrap_or_else(PoisonError::into_inner).take_in(notice, now) {
            return;
        }
        let inner = Arc::clone(&self.0);
        spawn(async move { smol::unblock(move || inner.write()).await }).detach();
    }

    /// Takes the word back: this was an orderly end.
    pub(crate) fn close(self) {
        let mut told = self.0.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.is_over = true;
        let _ = std::fs::remove_file(&self.0.place.facts);
    }
}

impl Told {
    /// Whether there is something new.
    fn take_in(&mut self, notice: &Notice, now: UnixTime) -> bool {
        let error = |error: &LoginError| Some((now, error.code(), error.to_string()));
        match notice {
            Notice::Written { .. } => {
                self.last_renewal = Some(now);
                self.last_error = None;
            }
            Notice::NextRenewal { at } => self.next_renewal = Some(*at),
            Notice::RenewalFailed { error: why, retry_secs } => {
                self.last_error = error(why);
                self.next_renewal = Some(now.plus_secs(*retry_secs));
            }
            Notice::RefreshPutOff(why) => self.last_error = error(why),
            Notice::UsingCachedToken
            | Notice::Refreshing
            | Notice::LoginNeeded(_)
            | Notice::RefreshRefused(_)
            | Notice::OpenUrl { .. }
            | Notice::BrowserNotStarted
            | Notice::DeviceCode { .. }
            | Notice::UnprovenError(_)
            | Notice::StrayAnswer
            | Notice::WithoutOfflineAccess
            | Notice::TokenRefusedByServer
            | Notice::TokensNotStored(_)
            | Notice::NoLock
            | Notice::NoRefreshToken
            | Notice::ClockBehind { .. } => return false,
        }
        true
    }
}

impl Inner {
    fn write(&self) {
        // Held while writing, so that what was said last is what stands there.
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_over {
            return;
        }
        let text = |at: Option<UnixTime>| at.map(|at| Rfc3339(at).to_string());
        let error = told.last_error.as_ref().map(|(at, code, message)| {
            json!({"at": Rfc3339(*at).to_string(), "code": code, "message": message})
        });
        let facts = json!({
            "pid": std::process::id(),
            "since": Rfc3339(told.since).to_string(),
            "last_renewal": text(told.last_renewal),
            "next_renewal": text(told.next_renewal),
            "last_error": error,
        });
        // Whether it can be written is of no matter to the watch.
        let _ = write_atomic(&self.place.facts, facts.to_string().as_bytes(), 0o600);
    }
}

/// Whether a watch of `context` runs.
pub(crate) fn is_running(talosconfig: &Path, context: &ContextName) -> bool {
    FileLock::is_held(&Place::new(talosconfig, context).lock)
}

/// What there is to say about the watcher of `context`: `running`, and what the last one told.
/// Makes no file.
pub(crate) fn look(talosconfig: &Path, context: &ContextName) -> Value {
    let place = Place::new(talosconfig, context);
    let running = FileLock::is_held(&place.lock);
    let facts = files::read_if_there(&place.facts, BYTES_MAX).ok().flatten();
    let facts = facts.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    let mut value = facts.filter(Value::is_object).unwrap_or_else(|| json!({}));
    if let Some(object) = value.as_object_mut() {
        object.insert("running".to_owned(), running.into());
    }
    value
}
