//! The folder of one demo.

use std::path::{Path, PathBuf};

use exchange_smol::files::{FileError, create_private_dir, write_atomic};
use ring::rand::{SecureRandom, generate};

use super::wire::Trouble;

/// A folder for the owner alone, removed with everything in it when dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// A new one in the system's folder for temporary files.
    pub(crate) fn new(rng: &dyn SecureRandom) -> Result<Self, Trouble> {
        let random = generate::<[u8; 8]>(rng).map_err(|_| "no randomness".to_owned())?.expose();
        let name = format!("talosctl-oidc-demo-{:016x}", u64::from_be_bytes(random));
        let path = std::env::temp_dir().join(name);
        create_private_dir(&path).map_err(told)?;
        Ok(Self(path))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// A place in it.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file for the owner alone.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, Trouble> {
        let path = self.join(name);
        write_atomic(&path, bytes, 0o600).map_err(told)?;
        Ok(path)
    }
}

fn told(error: FileError) -> Trouble {
    error.to_string()
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
