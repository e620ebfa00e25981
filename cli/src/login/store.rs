//! The tokens between two runs.

use std::path::PathBuf;

use exchange_core::login::cache::{CacheEntry, CacheError};
use exchange_core::login::tokens_file::TokensFile;
use exchange_core::types::ContextName;
use exchange_smol::files::{FileError, FileLock, FileProblem, create_private_dir};
use exchange_smol::token_store::TokenFile;
use ring::digest::{SHA256, digest};
use zeroize::Zeroizing;

use crate::args::Store;
use crate::exit::Failure;

/// Where the tokens of this run are kept.
#[derive(Clone, Debug)]
pub(crate) enum TokenStore {
    /// In this file. With the flag when it stands in for a keychain.
    File(TokenFile, bool),
    /// Nowhere.
    Nowhere,
}

/// Why a store did not do what it was asked.
#[derive(Debug)]
pub(crate) enum StoreError {
    /// The file.
    File(FileError),
    /// What is in it.
    Content(CacheError),
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

impl StoreError {
    /// Stable code.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::File(error) => error.code(),
            Self::Content(_) => "cache.invalid",
        }
    }
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(error) => error.fmt(f),
            Self::Content(error) => error.fmt(f),
        }
    }
}

impl TokenStore {
    /// The store of that choice.
    pub(crate) fn open(choice: Store) -> Result<Self, Failure> {
        let stands_in = match choice {
            Store::None => return Ok(Self::Nowhere),
            Store::Keychain => {
                return Err(Failure::local(
                    "config.invalid",
                    "this build cannot use a keychain: pass --token-store file",
                ));
            }
            Store::Auto => true,
            Store::File => false,
        };
        match dirs::config_dir() {
            Some(dir) => Ok(Self::File(TokenFile::below(&dir), stands_in)),
            None if stands_in => Ok(Self::Nowhere),
            None => Err(Failure::local(
                "config.invalid",
                "no configuration directory is known: set HOME, or pass --token-store none",
            )),
        }
    }

    /// The file, if it is one.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        match self {
            Self::File(file, _) => Some(file.path().to_path_buf()),
            Self::Nowhere => None,
        }
    }

    /// The stored login of `context`.
    pub(crate) fn load(&self, context: &ContextName) -> Result<Option<CacheEntry>, StoreError> {
        let Self::File(file, _) = self else { return Ok(None) };
        match file.load()? {
            Some(text) => Ok(TokensFile::parse(text.as_bytes())?.get(context)?),
            None => Ok(None),
        }
    }

    /// Stores a login. Returns a warning the first time a file stands in for a keychain.
    pub(crate) fn save(
        &self,
        context: &ContextName,
        entry: &CacheEntry,
    ) -> Result<Option<String>, StoreError> {
        let Self::File(file, stands_in) = self else { return Ok(None) };
        let mut is_new = false;
        file.update::<StoreError>(|old| {
            let mut tokens = TokensFile::parse(old.unwrap_or_default().as_bytes())?;
            is_new = !matches!(tokens.get(context), Ok(Some(_)));
            tokens.set(context, entry);
            Ok(Some(Zeroizing::new(tokens.as_str().to_owned())))
        })?;
        Ok((is_new && *stands_in).then(|| {
            format!(
                "the tokens are kept in {}, readable for you alone, as there is no keychain here \
                 (--token-store file: no warning, none: keep nothing)",
                file.path().display()
            )
        }))
    }

    /// Deletes the stored login of `context`. Says whether there was one.
    pub(crate) fn forget(&self, context: &ContextName) -> Result<bool, StoreError> {
        let Self::File(file, _) = self else { return Ok(false) };
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

    /// Takes the lock of one login, waiting at most `millis`. A refresh token may be good for one
    /// use only, so one process at a time refreshes.
    pub(crate) fn lock(
        &self,
        context: &ContextName,
        millis: u64,
    ) -> Result<Option<FileLock>, FileError> {
        let Self::File(file, _) = self else { return Ok(None) };
        let folder = file.path().parent().map(PathBuf::from).unwrap_or_default();
        create_private_dir(&folder)?;
        // A context may be called anything, also what is no file name.
        let hash = digest(&SHA256, context.as_str().as_bytes());
        let short: String =
            hash.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        FileLock::acquire(&folder.join(format!("login-{short}")), millis).map(Some)
    }
}

/// Whether the lock is in use, rather than impossible to have.
pub(crate) fn is_busy(error: &FileError) -> bool {
    matches!(error.problem, FileProblem::Busy { .. })
}
