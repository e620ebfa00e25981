//! Files that survive a crash at any moment: read with a cap, replaced whole, locked.
//!
//! Everything here blocks. Inside the executor call it through `smol::unblock`.

mod error;
mod lock;
mod replace;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Read;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

pub use error::{FileAction, FileError, FileProblem};
pub use lock::FileLock;
pub use replace::{try_room, write_atomic, write_set};

/// Links followed before a chain counts as a loop, as Linux does.
const LINKS_MAX: usize = 40;

/// Reads a whole file of at most `bytes_max` bytes. Follows links; wiped on drop, as it may be a
/// key.
///
/// # Errors
/// [`FileError`] when it cannot be read, is a directory or is larger.
pub fn read(path: &Path, bytes_max: usize) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let fail = |error: &std::io::Error| FileError::io(FileAction::Read, path, error);
    let mut file = File::open(path).map_err(|e| fail(&e))?;
    read_open(&mut file, path, bytes_max)
}

/// Reads what is left of an open file, at most `bytes_max` bytes.
pub(crate) fn read_open(
    file: &mut File,
    path: &Path,
    bytes_max: usize,
) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let fail = |error: &std::io::Error| FileError::io(FileAction::Read, path, error);
    let meta = file.metadata().map_err(|e| fail(&e))?;
    if meta.is_dir() {
        return Err(FileError::new(FileAction::Read, path, FileProblem::NotAFile));
    }
    // Sized up front: a vector that grows would leave copies of a key behind.
    let expected = usize::try_from(meta.len()).unwrap_or(usize::MAX).min(bytes_max);
    let mut bytes = Zeroizing::new(Vec::with_capacity(expected.saturating_add(1)));
    let cap = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    file.take(cap).read_to_end(&mut bytes).map_err(|e| fail(&e))?;
    if bytes.len() > bytes_max {
        return Err(FileError::new(FileAction::Read, path, FileProblem::TooLarge { bytes_max }));
    }
    Ok(bytes)
}

/// Like [`read`], but a file that does not exist is `None`, and nothing but a file is read: this is
/// for files of ours, and a pipe in the place of one would have us wait for ever.
///
/// # Errors
/// [`FileError`] when it exists and cannot be read, is no file or is larger.
pub fn read_if_there(
    path: &Path,
    bytes_max: usize,
) -> Result<Option<Zeroizing<Vec<u8>>>, FileError> {
    if fs::metadata(path).is_ok_and(|meta| !meta.is_file()) {
        return Err(FileError::new(FileAction::Read, path, FileProblem::NotAFile));
    }
    match read(path, bytes_max) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.problem == FileProblem::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Permission bits if the file can be read by its group or by others; `None` where it cannot,
/// where it does not exist, or where the system has no such bits.
#[must_use]
pub fn open_to_others(path: &Path) -> Option<u32> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(path).ok()?.permissions().mode() & 0o777;
        (mode & 0o077 != 0).then_some(mode)
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        None
    }
}

/// Makes a directory and its missing parents, each with mode 0700. One that exists stays as it is.
///
/// # Errors
/// [`FileError`] when it cannot be made or is no directory.
pub fn create_private_dir(path: &Path) -> Result<(), FileError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(path).map_err(|e| FileError::io(FileAction::CreateDir, path, &e))
}

/// Where `path` leads after following links at its end, also when nothing is there yet.
///
/// People keep their configuration in a repository and link to it; replacing the link by a file
/// would cut that off.
pub(crate) fn follow(path: &Path) -> Result<PathBuf, FileError> {
    let mut at = path.to_path_buf();
    for _ in 0..LINKS_MAX {
        match fs::read_link(&at) {
            Ok(next) => at = parent(&at).join(next),
            // Not a link, or nothing there: this is the place.
            Err(_) => return Ok(at),
        }
    }
    Err(FileError::new(FileAction::Write, path, FileProblem::LinkLoop))
}

/// The directory a file is in; `.` for a bare name.
pub(crate) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        Some(_) | None => Path::new("."),
    }
}

/// A hidden sibling of `path` with that ending.
pub(crate) fn sibling(path: &Path, ending: &str) -> Result<PathBuf, FileError> {
    let Some(name) = path.file_name() else {
        return Err(FileError::new(FileAction::Write, path, FileProblem::NotAFile));
    };
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(ending);
    Ok(parent(path).join(hidden))
}

/// Options for a new file that only its owner may read.
pub(crate) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600)
    }
    #[cfg(not(unix))]
    options
}

/// How [`update`] reads, waits and writes.
#[derive(Clone, Copy, Debug)]
pub struct Update {
    /// Largest file it reads.
    pub bytes_max: usize,
    /// Permission bits of a file that did not exist.
    pub mode: u32,
    /// How long to wait for other processes that update the same file.
    pub lock_millis: u64,
}

impl Default for Update {
    fn default() -> Self {
        Self { bytes_max: 4 * 1024 * 1024, mode: 0o600, lock_millis: 10_000 }
    }
}

/// Reads a file, lets `change` make a new content of it, and replaces the file by that, all under
/// a lock that every other `update` of the same file respects. `change` gets `None` when there is
/// no file and returns `None` to leave everything as it is. Returns whether it wrote. A file that
/// exists keeps its permission bits, whatever they are.
///
/// # Errors
/// What `change` returns, or [`FileError`] of lock, read or write.
pub fn update<E: From<FileError>>(
    path: &Path,
    options: Update,
    change: impl FnOnce(Option<&[u8]>) -> Result<Option<Zeroizing<Vec<u8>>>, E>,
) -> Result<bool, E> {
    let target = follow(path)?;
    let _lock = FileLock::acquire(&target, options.lock_millis)?;
    let before = read_if_there(&target, options.bytes_max)?;
    match change(before.as_deref().map(Vec::as_slice))? {
        None => Ok(false),
        Some(after) if before.as_deref() == Some(&*after) => Ok(false),
        Some(after) => {
            replace::rewrite(&target, &after, options.mode)?;
            Ok(true)
        }
    }
}

#[cfg(all(test, unix))]
pub(crate) mod tests;
