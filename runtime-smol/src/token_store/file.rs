//! The file that keeps sign-ins where no keychain does.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::files::{
    self, FileAction, FileError, FileLock, FileProblem, create_private_dir, parent, write_atomic,
};

/// Largest token file. An entry with three tokens of a talkative provider has some 10 kB.
const BYTES_MAX: usize = 4 * 1024 * 1024;
const LOCK_MILLIS: u64 = 10_000;

/// `<configuration directory>/talosctl-oidc/tokens.json`: directory 0700, file 0600.
#[derive(Clone, Debug)]
pub struct TokenFile {
    path: PathBuf,
}

impl TokenFile {
    /// The token file below the user's configuration directory.
    #[must_use]
    pub fn below(config_dir: &Path) -> Self {
        Self { path: config_dir.join("talosctl-oidc").join("tokens.json") }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The content; `None` when there is no file.
    ///
    /// # Errors
    /// [`FileError`]: besides what any file can have, a link in its place, another owner, or a
    /// mode that lets others write. Such a file is not read: who could write it could sign us in
    /// as somebody else. What others could read is read; see [`TokenFile::open_to_others`].
    pub fn load(&self) -> Result<Option<Zeroizing<String>>, FileError> {
        let Some((mut file, path)) = self.open()? else { return Ok(None) };
        let bytes = files::read_open(&mut file, path, BYTES_MAX)?;
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| FileError::new(FileAction::Read, path, FileProblem::NotText))?;
        Ok(Some(Zeroizing::new(text.to_owned())))
    }

    /// Replaces the content by what `change` makes of it, safe against other processes that do
    /// the same. `None` from `change` leaves it as it is.
    ///
    /// # Errors
    /// What `change` returns, or [`FileError`] as for [`TokenFile::load`].
    pub fn update<E: From<FileError>>(
        &self,
        change: impl FnOnce(Option<&str>) -> Result<Option<Zeroizing<String>>, E>,
    ) -> Result<(), E> {
        let dir = parent(&self.path);
        create_private_dir(dir)?;
        make_private(dir)?;
        let _lock = FileLock::acquire(&self.path, LOCK_MILLIS)?;
        let before = self.load()?;
        if before.is_some() {
            make_private_file(&self.path)?;
        }
        if let Some(after) = change(before.as_ref().map(|text| text.as_str()))? {
            write_atomic(&self.path, after.as_bytes(), 0o600)?;
        }
        Ok(())
    }

    /// Permission bits of the file where others could read it. The next [`TokenFile::update`] ends
    /// that.
    #[must_use]
    pub fn open_to_others(&self) -> Option<u32> {
        files::open_to_others(&self.path)
    }

    fn open(&self) -> Result<Option<(File, &Path)>, FileError> {
        let path = self.path.as_path();
        let mut options = OpenOptions::new();
        options.read(true);
        #[cfg(unix)]
        {
            use rustix::fs::OFlags;
            use std::os::unix::fs::OpenOptionsExt;
            // Not through a link, and not waiting for whoever put a pipe there.
            let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC).bits();
            options.custom_flags(i32::try_from(flags).unwrap_or_default());
        }
        match options.open(path) {
            Ok(file) => {
                check_private(&file, path)?;
                Ok(Some((file, path)))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(_) if path.is_symlink() => {
                Err(FileError::new(FileAction::Read, path, FileProblem::NotAFile))
            }
            Err(error) => Err(FileError::io(FileAction::Read, path, &error)),
        }
    }
}

/// Refuses what others could have written.
#[cfg(unix)]
fn check_private(file: &File, path: &Path) -> Result<(), FileError> {
    use std::os::unix::fs::MetadataExt;
    let problem = |problem| Err(FileError::new(FileAction::Read, path, problem));
    let meta = file.metadata().map_err(|e| FileError::io(FileAction::Read, path, &e))?;
    if !meta.is_file() {
        return problem(FileProblem::NotAFile);
    }
    if meta.uid() != rustix::process::geteuid().as_raw() {
        return problem(FileProblem::ForeignOwner { uid: meta.uid() });
    }
    if meta.mode() & 0o022 != 0 {
        return problem(FileProblem::OpenToOthers { mode: meta.mode() & 0o777 });
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_private(_: &File, _: &Path) -> Result<(), FileError> {
    Ok(())
}

/// Closes our own file to others.
#[cfg(unix)]
fn make_private_file(path: &Path) -> Result<(), FileError> {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    if files::open_to_others(path).is_some() {
        fs::set_permissions(path, Permissions::from_mode(0o600))
            .map_err(|e| FileError::io(FileAction::Write, path, &e))?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn make_private_file(_: &Path) -> Result<(), FileError> {
    Ok(())
}

/// Closes our own directory to others; refuses a foreign one.
#[cfg(unix)]
fn make_private(dir: &Path) -> Result<(), FileError> {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let fail = |error: &std::io::Error| FileError::io(FileAction::Write, dir, error);
    let meta = fs::metadata(dir).map_err(|e| fail(&e))?;
    if meta.uid() != rustix::process::geteuid().as_raw() {
        let problem = FileProblem::ForeignOwner { uid: meta.uid() };
        return Err(FileError::new(FileAction::Write, dir, problem));
    }
    if meta.mode() & 0o077 != 0 {
        fs::set_permissions(dir, Permissions::from_mode(0o700)).map_err(|e| fail(&e))?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn make_private(_: &Path) -> Result<(), FileError> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::files::tests::Scratch;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn set(store: &TokenFile, text: &str) -> Result<(), FileError> {
        store.update(|_| Ok(Some(Zeroizing::new(text.to_owned()))))
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn keeps_text_for_its_owner_only() {
        let dir = Scratch::new();
        let store = TokenFile::below(&dir.path("config"));
        assert_eq!(store.load().unwrap(), None);
        set(&store, "{}").unwrap();
        assert_eq!(store.load().unwrap().unwrap().as_str(), "{}");
        assert_eq!((mode(store.path()), mode(parent(store.path()))), (0o600, 0o700));
        store
            .update::<FileError>(|old| {
                assert_eq!(old, Some("{}"));
                Ok(None)
            })
            .unwrap();
        assert_eq!(store.load().unwrap().unwrap().as_str(), "{}");
    }

    #[test]
    fn what_others_could_read_is_closed_and_what_they_could_write_refused() {
        let dir = Scratch::new();
        let store = TokenFile::below(&dir.path(""));
        set(&store, "{}").unwrap();
        fs::set_permissions(parent(store.path()), Permissions::from_mode(0o755)).unwrap();
        set(&store, "{\"a\":1}").unwrap();
        assert_eq!(mode(parent(store.path())), 0o700);
        for open in [0o640, 0o604, 0o644] {
            fs::set_permissions(store.path(), Permissions::from_mode(open)).unwrap();
            assert_eq!(store.load().unwrap().unwrap().as_str(), "{\"a\":1}");
            assert_eq!(store.open_to_others(), Some(open));
            set(&store, "{\"a\":1}").unwrap();
            assert_eq!((mode(store.path()), store.open_to_others()), (0o600, None));
        }
        for open in [0o620, 0o602, 0o666] {
            fs::set_permissions(store.path(), Permissions::from_mode(open)).unwrap();
            let error = store.load().unwrap_err();
            assert_eq!(error.problem, FileProblem::OpenToOthers { mode: open });
            assert_eq!(error.code(), "file.unsafe_permissions");
            assert!(set(&store, "x").is_err());
        }
    }

    #[test]
    fn what_is_no_file_of_ours_is_refused() {
        let dir = Scratch::new();
        let store = TokenFile::below(&dir.path(""));
        set(&store, "{}").unwrap();
        let other = dir.path("other");
        fs::rename(store.path(), &other).unwrap();
        symlink(&other, store.path()).unwrap();
        assert_eq!(store.load().unwrap_err().problem, FileProblem::NotAFile);
        fs::remove_file(store.path()).unwrap();
        create_private_dir(store.path()).unwrap();
        assert_eq!(store.load().unwrap_err().problem, FileProblem::NotAFile);
        fs::remove_dir(store.path()).unwrap();
        fs::write(&other, [0xff, 0xfe]).unwrap();
        fs::rename(&other, store.path()).unwrap();
        assert_eq!(store.load().unwrap_err().problem, FileProblem::NotText);
    }

    #[test]
    fn parallel_processes_lose_no_entry() {
        let dir = Scratch::new();
        let store = TokenFile::below(&dir.path(""));
        std::thread::scope(|scope| {
            for n in 0..8 {
                let store = store.clone();
                scope.spawn(move || {
                    store
                        .update::<FileError>(|old| {
                            let old = old.unwrap_or_default();
                            Ok(Some(Zeroizing::new(format!("{old}{n}"))))
                        })
                        .unwrap();
                });
            }
        });
        let mut seen: Vec<_> = store.load().unwrap().unwrap().chars().collect();
        seen.sort_unstable();
        assert_eq!(seen, ['0', '1', '2', '3', '4', '5', '6', '7']);
    }
}
