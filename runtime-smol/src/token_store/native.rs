//! Keychain of macOS and Credential Manager of Windows, through the crates of keyring-core.
//!
//! These ask the person themselves, in a window of the system, and wait as the system waits.

#[cfg(windows)]
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use keyring_core::api::CredentialStoreApi as _;
use keyring_core::{Entry, Error};
use zeroize::Zeroizing;

use super::go;
use super::keychain::{KeychainError, Order};

const SERVICE: &str = "talosctl-oidc";
/// A person may have to be asked first.
const LIMIT: Duration = Duration::from_secs(60);

/// The entry of that account.
pub(super) fn get(order: &mut Order<'_>) -> Result<Option<Zeroizing<String>>, KeychainError> {
    in_time(order.account, |entry, _| match entry.get_secret() {
        Ok(secret) => go::plain(Zeroizing::new(secret))
            .map(Some)
            .ok_or_else(|| KeychainError::Refused("the entry is not text".into())),
        Err(Error::NoEntry) => Ok(None),
        Err(error) => Err(error.into()),
    })
}

/// Stores an entry in place of the one before.
#[expect(clippy::needless_pass_by_ref_mut, reason = "the stores of all systems are called alike")]
pub(super) fn set(order: &mut Order<'_>, text: &str) -> Result<(), KeychainError> {
    let text = Zeroizing::new(text.to_owned());
    in_time(order.account, move |entry, account| {
        entry.set_secret(text.as_bytes())?;
        label(entry, account)
    })
}

/// Deletes the entry of that account.
pub(super) fn delete(order: &mut Order<'_>) -> Result<bool, KeychainError> {
    in_time(order.account, |entry, _| match entry.delete_credential() {
        Ok(()) => Ok(true),
        Err(Error::NoEntry) => Ok(false),
        Err(error) => Err(error.into()),
    })
}

/// Whether there is a keychain: reading says so, whatever it finds.
pub(super) fn check(order: &mut Order<'_>) -> Result<(), KeychainError> {
    get(order).map(drop)
}

/// Does it on a thread of its own, as the system has no deadlines. A thread that waits for ever
/// ends with the process.
fn in_time<T: Send + 'static>(
    account: &str,
    work: impl FnOnce(&Entry, &str) -> Result<T, KeychainError> + Send + 'static,
) -> Result<T, KeychainError> {
    let account = account.to_owned();
    let (send, answer) = channel();
    let started = thread::Builder::new().name("keychain".into()).spawn(move || {
        let done = entry(&account).and_then(|entry| work(&entry, &account));
        let _ = send.send(done);
    });
    if started.is_err() {
        return Err(KeychainError::Unavailable("no thread can be started".into()));
    }
    match answer.recv_timeout(LIMIT) {
        Ok(done) => done,
        Err(RecvTimeoutError::Timeout) => Err(KeychainError::TimedOut),
        Err(RecvTimeoutError::Disconnected) => {
            Err(KeychainError::Unavailable("its thread ended".into()))
        }
    }
}

/// Service and account name the item.
#[cfg(target_os = "macos")]
fn entry(account: &str) -> Result<Entry, KeychainError> {
    let store: Arc<_> = apple_native_keyring_store::keychain::Store::new()?;
    Ok(store.build(SERVICE, account, None)?)
}

/// The original program joins service and account by a colon, and keeps the item on this machine.
#[cfg(windows)]
fn entry(account: &str) -> Result<Entry, KeychainError> {
    let target = format!("{SERVICE}:{account}");
    let modifiers = HashMap::from([("target", target.as_str()), ("persistence", "Local")]);
    let store: Arc<_> = windows_native_keyring_store::Store::new()?;
    Ok(store.build(SERVICE, account, Some(&modifiers))?)
}

#[cfg(target_os = "macos")]
fn label(_: &Entry, _: &str) -> Result<(), KeychainError> {
    Ok(())
}

/// The original program names the account as the user of the item.
#[cfg(windows)]
fn label(entry: &Entry, account: &str) -> Result<(), KeychainError> {
    Ok(entry.update_attributes(&HashMap::from([("username", account)]))?)
}

impl From<Error> for KeychainError {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "all others, and those to come, speak for themselves"
    )]
    fn from(error: Error) -> Self {
        match error {
            Error::TooLong(..) => Self::TooLarge,
            Error::NoStorageAccess(_) => Self::Locked,
            Error::NoDefaultStore | Error::NotSupportedByStore(_) => {
                Self::Unavailable("the system has none".into())
            }
            other => Self::Refused(other.to_string().into()),
        }
    }
}
