//! Advisory locks between processes that change the same file.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::{FileAction, FileError, FileProblem, follow, private, sibling};

/// Pause between two tries. Updates take milliseconds.
const PAUSE: Duration = Duration::from_millis(10);

/// The right to change one file, until dropped or until the process ends in whatever way.
///
/// The lock is on a neighbour `.name.lock`, as the file itself is replaced by each write. The
/// neighbour stays: removing it would let two processes lock two different files.
#[derive(Debug)]
pub struct FileLock {
    _file: File,
}

impl FileLock {
    /// Whether some process holds the lock of `path` now. Makes no file, and takes the lock for no
    /// longer than it takes to see.
    #[must_use]
    pub fn is_held(path: &Path) -> bool {
        let neighbour = follow(path).and_then(|path| sibling(&path, ".lock"));
        let file = neighbour.ok().and_then(|neighbour| File::open(neighbour).ok());
        file.is_some_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// Waits at most `millis` milliseconds for the right to change `path`. Blocks the thread.
    ///
    /// # Errors
    /// [`FileProblem::Busy`] when the time is over, or that the neighbour cannot be made.
    pub fn acquire(path: &Path, millis: u64) -> Result<Self, FileError> {
        let neighbour = sibling(&follow(path)?, ".lock")?;
        let fail = |error: &std::io::Error| FileError::io(FileAction::Lock, &neighbour, error);
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).read(true).write(true);
        not_through_a_link(&mut options);
        let file = private(&mut options).open(&neighbour).map_err(|e| fail(&e))?;
        let start = Instant::now();
        let patience = Duration::from_millis(millis);
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) if start.elapsed() < patience => {
                    thread::sleep(PAUSE);
                }
                Err(TryLockError::WouldBlock) => {
                    let problem = FileProblem::Busy { millis };
                    return Err(FileError::new(FileAction::Lock, path, problem));
                }
                Err(TryLockError::Error(error)) => return Err(fail(&error)),
            }
        }
    }
}

/// Where everybody may write, a link in the place of the lock would have us make a file somewhere
/// else, and a pipe would have us wait.
#[cfg_attr(
    not(unix),
    expect(clippy::needless_pass_by_ref_mut, reason = "only Unix has these flags")
)]
fn not_through_a_link(options: &mut OpenOptions) {
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        use std::os::unix::fs::OpenOptionsExt;
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
        options.custom_flags(i32::try_from(flags).unwrap_or_default());
    }
    #[cfg(not(unix))]
    let _ = options;
}
