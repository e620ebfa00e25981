//! Replacing a file whole: who reads it sees the old content or the new one, never a mixture.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{FileAction, FileError, FileProblem, follow, parent, private, sibling};

/// Ending of a file being written. What a killed process leaves of them is removed an hour later.
const ENDING: &str = ".tmp";
const STALE: Duration = Duration::from_secs(3600);

/// Replaces `path` by `bytes`. A final link is followed, and the file it leads to is replaced.
///
/// A file that exists keeps its permission bits and, where the system permits, its owner; a new
/// one gets `mode`, and so does one that is open to everybody where `mode` is not: it is ours, so
/// it was left so and not made so, and a private key may be on its way in. When this returns, the
/// new content is on disk; after a crash at any moment the path holds the old content or the new
/// one.
///
/// # Errors
/// [`FileError`]; the old content is then still in place.
pub fn write_atomic(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
    replace(path, bytes, Mode::Ours(mode))
}

/// The same for a file of the user's: its permission bits are his, also where it is open to all.
pub(super) fn rewrite(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
    replace(path, bytes, Mode::OfNew(mode))
}

/// Permission bits of what is written.
#[derive(Clone, Copy)]
#[cfg_attr(not(unix), expect(dead_code, reason = "only Unix has these bits"))]
enum Mode {
    /// For a new file, and for one that was open to everybody where these bits are not.
    Ours(u32),
    /// For a new file only.
    OfNew(u32),
}

fn replace(path: &Path, bytes: &[u8], mode: Mode) -> Result<(), FileError> {
    let target = follow(path)?;
    let staged = Staged::write(&target, bytes, mode)?;
    staged.commit()?;
    sync_dir(&target)?;
    sweep(&target);
    Ok(())
}

/// Says now whether [`write_atomic`] of that many bytes would have the right and the room, as far
/// as that can be known beforehand. Leaves nothing behind.
///
/// # Errors
/// [`FileError`], as the write would return it.
pub fn try_room(path: &Path, bytes: usize) -> Result<(), FileError> {
    let target = follow(path)?;
    let fail = |error: &io::Error| FileError::io(FileAction::Write, &target, error);
    let (mut file, temp) = create_beside(&target)?;
    let staged = Staged { temp, target: target.clone(), committed: false };
    let written = file.write_all(&vec![0; bytes]).map_err(|e| fail(&e));
    drop(staged);
    written
}

/// Replaces several files of one directory: all contents are on disk before the first name
/// changes, so a full disk changes nothing. A crash between two renames can leave old and new
/// files side by side; who reads the set checks that its parts belong together.
///
/// # Errors
/// [`FileError`]; unless it was a rename that failed, everything is as before.
pub fn write_set(dir: &Path, files: &[(&str, &[u8], u32)]) -> Result<(), FileError> {
    let mut staged = Vec::with_capacity(files.len());
    for (name, bytes, mode) in files {
        staged.push(Staged::write(&follow(&dir.join(name))?, bytes, Mode::Ours(*mode))?);
    }
    for file in staged {
        let target = file.target.clone();
        file.commit()?;
        sync_dir(&target)?;
    }
    Ok(())
}

/// A complete new content beside its target. Removed on drop unless committed.
struct Staged {
    temp: PathBuf,
    target: PathBuf,
    committed: bool,
}

impl Staged {
    fn write(target: &Path, bytes: &[u8], mode: Mode) -> Result<Self, FileError> {
        let existing = match fs::metadata(target) {
            Ok(meta) if !meta.is_file() => {
                return Err(FileError::new(FileAction::Write, target, FileProblem::NotAFile));
            }
            Ok(meta) => Some(meta),
            Err(_) => None,
        };
        let fail = |error: &io::Error| FileError::io(FileAction::Write, target, error);
        let (mut file, temp) = create_beside(target)?;
        // From here on the temporary file is removed whatever happens.
        let staged = Self { temp, target: target.to_path_buf(), committed: false };
        file.write_all(bytes).map_err(|e| fail(&e))?;
        permissions(&file, existing.as_ref(), mode).map_err(|e| fail(&e))?;
        file.sync_all().map_err(|e| fail(&e))?;
        Ok(staged)
    }

    fn commit(mut self) -> Result<(), FileError> {
        fs::rename(&self.temp, &self.target)
            .map_err(|e| FileError::io(FileAction::Write, &self.target, &e))?;
        self.committed = true;
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.committed {
            let _ = fs::remove_file(&self.temp);
        }
    }
}

/// Creates a file that nobody else has, in the directory of `target`.
fn create_beside(target: &Path) -> Result<(File, PathBuf), FileError> {
    let fail = |error: &io::Error| FileError::io(FileAction::Write, target, error);
    for _ in 0..8 {
        let unique = crate::entropy::draw::<8>()
            .map_err(|_| fail(&io::Error::from(io::ErrorKind::Unsupported)))?
            .into_bytes();
        let unique = u64::from_le_bytes(*unique);
        let temp = sibling(target, &format!(".{unique:016x}{ENDING}"))?;
        let mut options = OpenOptions::new();
        match private(options.write(true).create_new(true)).open(&temp) {
            Ok(file) => return Ok((file, temp)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(fail(&error)),
        }
    }
    Err(fail(&io::Error::from(io::ErrorKind::AlreadyExists)))
}

/// Gives the new file the owner of the old one, and its mode as [`Mode`] says. A foreign owner can
/// be kept only with privileges; without them the file becomes ours, as with any editor.
#[cfg(unix)]
fn permissions(file: &File, existing: Option<&fs::Metadata>, mode: Mode) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
    let mode = match existing {
        None => match mode {
            Mode::Ours(mode) | Mode::OfNew(mode) => mode,
        },
        Some(old) => {
            let new = file.metadata()?;
            if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
                let owner = (old.uid() != new.uid()).then_some(old.uid());
                if fchown(file, owner, Some(old.gid())).is_err() {
                    let _ = fchown(file, None, Some(old.gid()));
                }
            }
            match mode {
                Mode::Ours(mode) if old.mode() & 0o007 & !mode != 0 => mode,
                Mode::Ours(_) | Mode::OfNew(_) => old.mode(),
            }
        }
    };
    file.set_permissions(fs::Permissions::from_mode(mode & 0o7777))
}

#[cfg(not(unix))]
fn permissions(_: &File, _: Option<&fs::Metadata>, _: Mode) -> io::Result<()> {
    Ok(())
}

/// Makes the rename itself survive a power cut.
fn sync_dir(target: &Path) -> Result<(), FileError> {
    #[cfg(unix)]
    {
        let dir = parent(target);
        match File::open(dir).and_then(|dir| dir.sync_all()) {
            Ok(()) => Ok(()),
            // Some network file systems cannot, and some directories may be written but not read.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::InvalidInput
                        | io::ErrorKind::Unsupported
                        | io::ErrorKind::PermissionDenied
                ) =>
            {
                Ok(())
            }
            Err(error) => Err(FileError::io(FileAction::Write, dir, &error)),
        }
    }
    #[cfg(not(unix))]
    {
        let _ = parent(target);
        Ok(())
    }
}

/// Removes what killed processes left beside `target`. It may hold secrets.
fn sweep(target: &Path) {
    let Some(name) = target.file_name().and_then(|name| name.to_str()) else { return };
    let Ok(entries) = fs::read_dir(parent(target)) else { return };
    for entry in entries.flatten() {
        let file_name = entry.file_name();
        let unique = file_name
            .to_str()
            .and_then(|text| text.strip_prefix('.'))
            .and_then(|text| text.strip_prefix(name))
            .and_then(|text| text.strip_prefix('.'))
            .and_then(|text| text.strip_suffix(ENDING));
        let ours =
            unique.is_some_and(|u| u.len() == 16 && u.bytes().all(|b| b.is_ascii_hexdigit()));
        let age = entry
            .metadata()
            .and_then(|meta| meta.modified())
            .ok()
            .and_then(|at| SystemTime::now().duration_since(at).ok());
        if ours && age.is_some_and(|age| age > STALE) {
            let _ = fs::remove_file(entry.path());
        }
    }
}
