//! The last good keys as bytes, so that a restart while the provider is down is no outage.

use alloc::format;
use alloc::vec::Vec;
use core::fmt;

use super::{KeyCache, Keys, TTL_SECS_MIN};
use crate::machine::{Now, UnixTime};
use crate::oidc::jwks::{JwksError, KeySet};

/// First line of the bytes; another format gets another number.
const MAGIC: &str = "talosctl-oidc keys 1";

/// Why exported keys are not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportError {
    /// Not what [`KeyCache::export`] writes.
    Format,
    /// Keys of another issuer.
    OtherIssuer,
    /// Older than the hard limit, or from the future, so of unknown age.
    TooOld,
    /// The key set is refused, or none of its keys is usable.
    Jwks(Option<JwksError>),
    /// There are keys already: fetched ones are never replaced.
    HaveKeys,
}

impl ImportError {
    /// Stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Format => "keys.import_format",
            Self::OtherIssuer => "keys.import_other_issuer",
            Self::TooOld => "keys.import_too_old",
            Self::Jwks(_) => "keys.import_jwks",
            Self::HaveKeys => "keys.import_have_keys",
        }
    }
}

impl fmt::Display for ImportError {
    /// Said of saved keys that are not used.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Format => "they cannot be read: delete the file, it is only a cache",
            Self::OtherIssuer => "they belong to another issuer",
            Self::TooOld => "they are too old, or dated in the future",
            Self::Jwks(_) => "the set is not usable: delete the file, it is only a cache",
            Self::HaveKeys => "keys have been fetched already",
        })
    }
}

impl KeyCache {
    /// The last good keys with issuer and age. Whoever can write these bytes can make tokens:
    /// keep them where only the server may write.
    #[must_use]
    pub fn export(&self) -> Option<Vec<u8>> {
        let keys = self.keys.as_ref()?;
        let head = format!("{MAGIC}\n{}\n{}\n", self.issuer, keys.fetched_wall.secs());
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&keys.document);
        Some(bytes)
    }

    /// Takes exported keys, as old as they are; the provider is asked for newer ones at once.
    ///
    /// # Errors
    /// [`ImportError`]; nothing has changed then.
    pub fn import(&mut self, now: Now, bytes: &[u8]) -> Result<(), ImportError> {
        if self.keys.is_some() {
            return Err(ImportError::HaveKeys);
        }
        let mut lines = bytes.splitn(4, |byte| *byte == b'\n');
        let mut line = || lines.next().ok_or(ImportError::Format);
        if line()? != MAGIC.as_bytes() {
            return Err(ImportError::Format);
        }
        let issuer = line()?;
        let fetched = core::str::from_utf8(line()?).map_err(|_| ImportError::Format)?;
        let fetched_wall = UnixTime::from_secs(fetched.parse().map_err(|_| ImportError::Format)?);
        let document = line()?;
        if issuer != self.issuer.as_str().as_bytes() {
            return Err(ImportError::OtherIssuer);
        }
        let age = now.wall.since(fetched_wall);
        if fetched_wall > now.wall || age > u64::from(self.config.hard_limit_secs) {
            return Err(ImportError::TooOld);
        }
        let set = KeySet::parse(document).map_err(|error| ImportError::Jwks(Some(error)))?;
        if set.is_empty() {
            return Err(ImportError::Jwks(None));
        }
        self.keys = Some(Keys {
            set,
            document: document.into(),
            fetched_wall,
            since: now.mono,
            age_before_secs: age,
            ttl_secs: TTL_SECS_MIN,
        });
        self.wanted = true;
        Ok(())
    }
}
