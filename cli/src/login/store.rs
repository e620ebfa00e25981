//! The tokens between two runs: in the keychain, in a file, in either, or nowhere.

use std::path::PathBuf;
use std::sync::Arc;

use exchange_core::login::cache::{CacheEntry, CacheError};
use exchange_core::login::tokens_file::TokensFile;
use exchange_core::types::ContextName;
use exchange_smol::files::{FileError, FileLock, FileProblem, create_private_dir};
use exchange_smol::token_store::{Keychain, KeychainError, Prompt, TokenFile};
use ring::digest::{SHA256, digest};
use zeroize::Zeroizing;

use crate::args::Store;
use crate::exit::Failure;

/// Where the tokens of this run are kept. Without either, nowhere.
#[derive(Clone, Debug)]
pub(crate) struct TokenStore {
    keychain: Option<Arc<Keychain>>,
    file: Option<TokenFile>,
    /// Where locks are made. Both stores need them: a refresh token may be good for one use only.
    folder: Option<PathBuf>,
}

/// A place that holds a login, or would.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The keychain of the system.
    Keychain,
    /// This file.
    File(PathBuf),
    /// None.
    Nowhere,
}

/// What there is for one context.
#[derive(Debug)]
pub(crate) struct Found {
    /// The login.
    pub(crate) entry: Option<CacheEntry>,
    /// Where it is, or where it would be.
    pub(crate) place: Place,
    /// Why a keychain that is there could not be read, so that there may be more in it.
    pub(crate) unread: Option<StoreError>,
}

/// Why a store did not do what it was asked.
#[derive(Debug)]
pub(crate) enum StoreError {
    /// The keychain.
    Keychain(KeychainError),
    /// The file.
    File(FileError),
    /// What is in it.
    Content(CacheError),
}

impl From<KeychainError> for StoreError {
    fn from(error: KeychainError) -> Self {
        Self::Keychain(error)
    }
}

impl From<FileError> for StoreError {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}

impl From<CacheError> for StoreError {
    fn from(error: CacheError) -> Self {
        Self::Content(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::local(error.code(), error.to_string())
    }
}

impl StoreError {
    /// Stable code.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Keychain(error) => error.code(),
            Self::File(error) => error.code(),
            Self::Content(_) => "cache.invalid",
        }
    }
}

impl StoreError {
    /// Whether it only says that there is no keychain.
    const fn is_absence(&self) -> bool {
        match self {
            Self::Keychain(error) => error.is_absent(),
            Self::File(_) | Self::Content(_) => false,
        }
    }
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Keychain(error) => write!(f, "{error}: {}", next_step(error)),
            Self::File(error) => error.fmt(f),
            Self::Content(error) => error.fmt(f),
        }
    }
}

/// What to do when the keychain does not serve.
const fn next_step(error: &KeychainError) -> &'static str {
    match error {
        KeychainError::NotBuiltIn | KeychainError::TooLarge => "pass --token-store file",
        KeychainError::Unavailable(_) => {
            "start a Secret Service such as gnome-keyring in this session, or pass \
             --token-store file"
        }
        KeychainError::TimedOut => "restart the keychain service, or pass --token-store file",
        KeychainError::Locked => {
            "unlock it (on a desktop, by signing in or with its keyring manager), or pass \
             --token-store file"
        }
        KeychainError::NoKeyring => {
            "make a default keyring with a keyring manager, or pass --token-store file"
        }
        KeychainError::Refused(_) => {
            "look into the keychain service's log, or pass --token-store file"
        }
    }
}

impl TokenStore {
    /// The store of that choice. With [`Prompt::Once`] the person may be asked to unlock a
    /// keychain.
    pub(crate) fn open(choice: Store, prompt: Prompt) -> Result<Self, Failure> {
        let keychain = match choice {
            Store::None => return Ok(Self::nowhere()),
            Store::Auto | Store::Keychain => Some(Arc::new(Keychain::new(prompt))),
            Store::File => None,
        };
        let config = dirs::config_dir();
        let file = config.as_deref().map(TokenFile::below).filter(|_| choice != Store::Keychain);
        if choice == Store::File && file.is_none() {
            return Err(Failure::local(
                "config.invalid",
                "no configuration directory is known: set HOME, or pass --token-store none",
            ));
        }
        let folder = config.or_else(dirs::runtime_dir).map(|dir| dir.join("talosctl-oidc"));
        Ok(Self { keychain, file, folder })
    }

    /// The store that keeps nothing.
    pub(crate) const fn nowhere() -> Self {
        Self { keychain: None, file: None, folder: None }
    }

    /// Whether nothing is kept.
    pub(crate) const fn is_nowhere(&self) -> bool {
        self.keychain.is_none() && self.file.is_none()
    }

    /// Says now what [`TokenStore::save`] would say in the end, where there is one store only.
    pub(crate) fn rehearse(&self, context: &ContextName) -> Result<(), StoreError> {
        match (&self.keychain, &self.file) {
            (Some(keychain), None) => Ok(keychain.check(context.as_str())?),
            (_, Some(_)) | (None, None) => Ok(()),
        }
    }

    /// The stored login of `context`.
    pub(crate) fn load(&self, context: &ContextName) -> Result<Option<CacheEntry>, StoreError> {
        self.find(context).map(|found| found.entry)
    }

    /// The stored login of `context`, and where it is.
    ///
    /// The keychain comes first. Where both have a login, the file stood in while the keychain was
    /// locked, so its login is the later one unless it ends sooner.
    pub(crate) fn find(&self, context: &ContextName) -> Result<Found, StoreError> {
        let kept = self.keychain.as_ref().map(|keychain| in_keychain(keychain, context));
        let Some(file) = &self.file else {
            return match kept {
                Some(kept) => Ok(Found { entry: kept?, place: Place::Keychain, unread: None }),
                None => Ok(Found { entry: None, place: Place::Nowhere, unread: None }),
            };
        };
        let filed = in_file(file, context);
        let in_keychain = |entry| Ok(Found { entry, place: Place::Keychain, unread: None });
        let in_file = |entry, unread| {
            let place = Place::File(file.path().to_path_buf());
            Ok(Found { entry, place, unread })
        };
        match (kept, filed) {
            (Some(Ok(Some(kept))), Ok(Some(filed))) => {
                if filed.expires_at >= kept.expires_at {
                    in_file(Some(filed), None)
                } else {
                    in_keychain(Some(kept))
                }
            }
            (Some(Ok(Some(kept))), _) => in_keychain(Some(kept)),
            (_, Err(error)) => Err(error),
            // A keychain that cannot be had is no trouble, as the file stands in. An entry that
            // nobody can read is.
            (Some(Err(error @ StoreError::Content(_))), Ok(None)) => Err(error),
            (Some(Err(error)), Ok(filed)) => {
                in_file(filed, Some(error).filter(|error| !error.is_absence()))
            }
            (None, Ok(filed)) => in_file(filed, None),
            (Some(Ok(None)), Ok(Some(filed))) => in_file(Some(filed), None),
            (Some(Ok(None)), Ok(None)) => in_keychain(None),
        }
    }

    /// What to say where others could read the file.
    pub(crate) fn exposed(&self) -> Option<String> {
        let file = self.file.as_ref()?;
        let (mode, path) = (file.open_to_others()?, file.path().display());
        Some(format!("{path} can be read by other users (mode {mode:o}): chmod 600 {path}"))
    }

    /// Stores a login. Returns a warning when a file stands in for the keychain, unless it did so
    /// the last time.
    pub(crate) fn save(
        &self,
        context: &ContextName,
        entry: &CacheEntry,
    ) -> Result<Option<String>, StoreError> {
        let Some(keychain) = &self.keychain else {
            return match &self.file {
                Some(file) => into_file(file, context, entry).map(|_| None),
                None => Ok(None),
            };
        };
        let refused = keychain.set(context.as_str(), &entry.to_json()).err();
        let Some(file) = &self.file else {
            return refused.map_or(Ok(None), |error| Err(error.into()));
        };
        let Some(refused) = refused else {
            // What stood in would outlive the next logout of another program.
            out_of_file(file, context)?;
            return Ok(None);
        };
        let is_new = into_file(file, context, entry)?;
        if !refused.is_absent() {
            // It may hold an older login. Where it is locked, it goes on to.
            let _ = keychain.delete(context.as_str());
        }
        Ok(is_new.then(|| {
            format!(
                "the tokens are kept in {}, readable for you alone, as {refused} \
                 (--token-store file: no warning, none: keep nothing) [{}]",
                file.path().display(),
                refused.code()
            )
        }))
    }

    /// Deletes the stored login of `context` wherever it is. Says whether there was one.
    pub(crate) fn forget(&self, context: &ContextName) -> Result<bool, StoreError> {
        let kept = self.keychain.as_ref().map(|keychain| keychain.delete(context.as_str()));
        let filed = self.file.as_ref().map_or(Ok(false), |file| out_of_file(file, context))?;
        match kept {
            Some(Err(error)) if !(error.is_absent() && self.file.is_some()) => Err(error.into()),
            Some(Ok(kept)) => Ok(kept || filed),
            Some(Err(_)) | None => Ok(filed),
        }
    }

    /// Takes the lock of one login, waiting at most `millis`: one process at a time refreshes.
    pub(crate) fn lock(
        &self,
        context: &ContextName,
        millis: u64,
    ) -> Result<Option<FileLock>, FileError> {
        let Some(folder) = self.folder.as_ref().filter(|_| !self.is_nowhere()) else {
            return Ok(None);
        };
        create_private_dir(folder)?;
        // A context may be called anything, also what is no file name.
        let hash = digest(&SHA256, context.as_str().as_bytes());
        let short: String =
            hash.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        FileLock::acquire(&folder.join(format!("login-{short}")), millis).map(Some)
    }
}

fn in_keychain(
    keychain: &Keychain,
    context: &ContextName,
) -> Result<Option<CacheEntry>, StoreError> {
    match keychain.get(context.as_str())? {
        Some(text) => Ok(Some(CacheEntry::parse(text.as_bytes())?)),
        None => Ok(None),
    }
}

fn in_file(file: &TokenFile, context: &ContextName) -> Result<Option<CacheEntry>, StoreError> {
    match file.load()? {
        Some(text) => Ok(TokensFile::parse(text.as_bytes())?.get(context)?),
        None => Ok(None),
    }
}

/// Says whether there was none before.
fn into_file(
    file: &TokenFile,
    context: &ContextName,
    entry: &CacheEntry,
) -> Result<bool, StoreError> {
    let mut is_new = false;
    file.update::<StoreError>(|old| {
        let mut tokens = TokensFile::parse(old.unwrap_or_default().as_bytes())?;
        is_new = !matches!(tokens.get(context), Ok(Some(_)));
        tokens.set(context, entry);
        Ok(Some(Zeroizing::new(tokens.as_str().to_owned())))
    })?;
    Ok(is_new)
}

/// Says whether there was one.
fn out_of_file(file: &TokenFile, context: &ContextName) -> Result<bool, StoreError> {
    if file.load().is_ok_and(|text| text.is_none()) {
        // Nothing to forget, so nothing is made.
        return Ok(false);
    }
    let mut found = false;
    file.update::<StoreError>(|old| {
        let Ok(mut tokens) = TokensFile::parse(old.unwrap_or_default().as_bytes()) else {
            // Nobody can read it any more, and nobody could log in with it in the way.
            found = true;
            return Ok(Some(Zeroizing::new("{}\n".to_owned())));
        };
        found = tokens.remove(context);
        Ok(found.then(|| Zeroizing::new(tokens.as_str().to_owned())))
    })?;
    Ok(found)
}

/// Whether the lock is in use, rather than impossible to have.
pub(crate) fn is_busy(error: &FileError) -> bool {
    matches!(error.problem, FileProblem::Busy { .. })
}
