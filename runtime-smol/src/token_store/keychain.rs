//! The keychain of the system, under the names that the original program uses.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::system;

/// A keychain that did not answer is left alone for this long.
const REST: Duration = Duration::from_secs(60);

/// Whether the person may be asked to unlock the keychain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prompt {
    /// Once in the life of this process.
    Once,
    /// Nobody would see the question.
    Never,
}

/// Why the keychain did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeychainError {
    /// This build has no support for one.
    NotBuiltIn,
    /// There is none, or nobody can reach it.
    Unavailable(Box<str>),
    /// It did not answer in time.
    TimedOut,
    /// It is locked, and nobody was there to unlock it, or nobody did.
    Locked,
    /// It is there and has no keyring to put something into.
    NoKeyring,
    /// The entry is larger than the keychain takes.
    TooLarge,
    /// It said no, in these words.
    Refused(Box<str>),
}

impl KeychainError {
    /// Stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotBuiltIn => "keychain.not_built_in",
            Self::Unavailable(_) => "keychain.unavailable",
            Self::TimedOut => "keychain.timed_out",
            Self::Locked => "keychain.locked",
            Self::NoKeyring => "keychain.no_keyring",
            Self::TooLarge => "keychain.too_large",
            Self::Refused(_) => "keychain.refused",
        }
    }

    /// Whether there is nothing here that could hold a login, as opposed to one that cannot be
    /// had now.
    #[must_use]
    pub const fn is_absent(&self) -> bool {
        matches!(self, Self::NotBuiltIn | Self::Unavailable(_))
    }
}

impl fmt::Display for KeychainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotBuiltIn => f.write_str("this build cannot use a keychain"),
            Self::Unavailable(why) => write!(f, "there is no keychain here ({why})"),
            Self::TimedOut => f.write_str("the keychain did not answer in time"),
            Self::Locked => f.write_str("the keychain is locked and was not unlocked"),
            Self::NoKeyring => {
                f.write_str("the keychain service has no default keyring to store in")
            }
            Self::TooLarge => f.write_str("the tokens are larger than the keychain takes"),
            Self::Refused(why) => write!(f, "the keychain refused: {why}"),
        }
    }
}

/// The keychain of the system: Secret Service on Linux and its kin, Keychain on macOS, Credential
/// Manager on Windows. The service is `talosctl-oidc`, the account a context name.
#[derive(Debug)]
pub struct Keychain {
    prompt: Prompt,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Nobody is asked twice.
    asked: bool,
    /// What it said when it last failed altogether, and when that was.
    failed: Option<(Instant, KeychainError)>,
}

/// One thing to do, for whatever keychain this system has.
#[cfg_attr(not(feature = "keychain"), expect(dead_code, reason = "there is nobody to ask"))]
pub(super) struct Order<'a> {
    /// The context.
    pub(super) account: &'a str,
    /// Whether to ask for the keychain to be unlocked. Set to `false` once that was done.
    #[cfg_attr(
        all(feature = "keychain", any(target_os = "macos", windows)),
        expect(dead_code, reason = "these systems ask by themselves")
    )]
    pub(super) may_ask: &'a mut bool,
}

impl Keychain {
    /// The keychain of this user; nothing is done yet.
    #[must_use]
    pub fn new(prompt: Prompt) -> Self {
        Self { prompt, state: Mutex::default() }
    }

    /// The entry of `account`.
    ///
    /// # Errors
    /// [`KeychainError`].
    pub fn get(&self, account: &str) -> Result<Option<Zeroizing<String>>, KeychainError> {
        self.perform(account, system::get)
    }

    /// Stores the entry of `account` in place of the one before.
    ///
    /// # Errors
    /// [`KeychainError`].
    pub fn set(&self, account: &str, text: &str) -> Result<(), KeychainError> {
        self.perform(account, |order| system::set(order, text))
    }

    /// Deletes the entry of `account`. Says whether there was one.
    ///
    /// # Errors
    /// [`KeychainError`].
    pub fn delete(&self, account: &str) -> Result<bool, KeychainError> {
        self.perform(account, system::delete)
    }

    /// Makes sure, as far as that can be known, that an entry of `account` could be stored now.
    ///
    /// # Errors
    /// [`KeychainError`].
    pub fn check(&self, account: &str) -> Result<(), KeychainError> {
        self.perform(account, system::check)
    }

    fn perform<T>(
        &self,
        account: &str,
        work: impl FnOnce(&mut Order<'_>) -> Result<T, KeychainError>,
    ) -> Result<T, KeychainError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((when, error)) = &state.failed
            && when.elapsed() < REST
        {
            return Err(error.clone());
        }
        let mut may_ask = self.prompt == Prompt::Once && !state.asked;
        let done = work(&mut Order { account, may_ask: &mut may_ask });
        state.asked |= self.prompt == Prompt::Once && !may_ask;
        state.failed = match &done {
            Err(error @ (KeychainError::Unavailable(_) | KeychainError::TimedOut)) => {
                Some((Instant::now(), error.clone()))
            }
            Ok(_) | Err(_) => None,
        };
        done
    }
}
