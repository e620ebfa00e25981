//! What can be wrong with a file, said so that the next step is clear.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// What was being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileAction {
    /// Reading a file.
    Read,
    /// Writing a file, its temporary neighbour or its directory.
    Write,
    /// Making a directory.
    CreateDir,
    /// Waiting for a lock.
    Lock,
}

/// What was wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileProblem {
    /// Nothing is there.
    NotFound,
    /// The operating system does not permit it.
    Denied,
    /// A directory or device where a file should be, or a path without a name.
    NotAFile,
    /// A link that leads to itself.
    LinkLoop,
    /// No space, or over the quota.
    Full,
    /// The file system cannot be written to.
    ReadOnly,
    /// Larger than allowed.
    TooLarge {
        /// The limit.
        bytes_max: usize,
    },
    /// Another process held the lock the whole time.
    Busy {
        /// How long was waited.
        millis: u64,
    },
    /// Group or others may read or write it.
    OpenToOthers {
        /// Its permission bits.
        mode: u32,
    },
    /// It belongs to another user.
    ForeignOwner {
        /// That user.
        uid: u32,
    },
    /// Not UTF-8.
    NotText,
    /// Anything else the operating system says.
    Other(io::ErrorKind),
}

/// One thing that could not be done with one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileError {
    /// What was being done.
    pub action: FileAction,
    /// With which path.
    pub path: PathBuf,
    /// What was wrong.
    pub problem: FileProblem,
}

impl FileError {
    /// That problem with that path.
    #[must_use]
    pub fn new(action: FileAction, path: &Path, problem: FileProblem) -> Self {
        Self { action, path: path.to_path_buf(), problem }
    }

    /// The operating system's error with that path.
    #[must_use]
    pub fn io(action: FileAction, path: &Path, error: &io::Error) -> Self {
        #[expect(clippy::wildcard_enum_match_arm, reason = "the enum belongs to std and grows")]
        let problem = match error.kind() {
            io::ErrorKind::NotFound => FileProblem::NotFound,
            io::ErrorKind::PermissionDenied => FileProblem::Denied,
            io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory => FileProblem::NotAFile,
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => FileProblem::Full,
            io::ErrorKind::ReadOnlyFilesystem => FileProblem::ReadOnly,
            kind => FileProblem::Other(kind),
        };
        Self::new(action, path, problem)
    }

    /// Stable code: part of the public contract.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match (self.problem, self.action) {
            (FileProblem::NotFound, _) => "file.not_found",
            (FileProblem::TooLarge { .. }, _) => "file.too_large",
            (FileProblem::Busy { .. }, _) => "file.locked",
            (FileProblem::OpenToOthers { .. } | FileProblem::ForeignOwner { .. }, _) => {
                "file.unsafe_permissions"
            }
            (FileProblem::NotText, _) => "file.not_text",
            (FileProblem::Full, _) => "file.no_space",
            (
                FileProblem::Denied
                | FileProblem::NotAFile
                | FileProblem::LinkLoop
                | FileProblem::ReadOnly
                | FileProblem::Other(_),
                FileAction::Read,
            ) => "file.not_readable",
            (
                FileProblem::Denied
                | FileProblem::NotAFile
                | FileProblem::LinkLoop
                | FileProblem::ReadOnly
                | FileProblem::Other(_),
                FileAction::Write | FileAction::CreateDir | FileAction::Lock,
            ) => "file.not_writable",
        }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let action = match self.action {
            FileAction::Read => "read",
            FileAction::Write => "write",
            FileAction::CreateDir => "make the directory",
            FileAction::Lock => "lock",
        };
        let path = self.path.display();
        write!(f, "cannot {action} {path}: ")?;
        match self.problem {
            FileProblem::NotFound => f.write_str("it does not exist: check the path"),
            FileProblem::Denied => {
                f.write_str("permission denied: check owner and mode of the file and its directory")
            }
            FileProblem::NotAFile => {
                f.write_str("it is not a regular file: give the path of a file")
            }
            FileProblem::LinkLoop => f.write_str("its links lead in a circle: remove the link"),
            FileProblem::Full => f.write_str("no space is left: free some and try again"),
            FileProblem::ReadOnly => {
                f.write_str("the file system is read-only: choose a path that can be written")
            }
            FileProblem::TooLarge { bytes_max } => {
                write!(f, "it is larger than {bytes_max} bytes: this is not the file meant")
            }
            FileProblem::Busy { millis } => write!(
                f,
                "another process kept it locked for {millis} ms: end that process or wait for it"
            ),
            FileProblem::OpenToOthers { mode } => write!(
                f,
                "its mode {mode:04o} lets other users in: run chmod go-rwx on it after making \
                 sure that nobody has changed it"
            ),
            FileProblem::ForeignOwner { uid } => {
                write!(f, "it belongs to user {uid}: remove it or change its owner")
            }
            FileProblem::NotText => f.write_str("it is not UTF-8 text: check the file"),
            FileProblem::Other(io::ErrorKind::AlreadyExists) => {
                f.write_str("something else stands in its place: choose another path")
            }
            FileProblem::Other(io::ErrorKind::ResourceBusy) => f.write_str(
                "it is in use as a mount point, so it cannot be replaced: mount its directory \
                 instead, or choose another path",
            ),
            FileProblem::Other(kind) => write!(f, "{kind}"),
        }
    }
}

impl std::error::Error for FileError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_name_here_has_a_next_step_all_the_same() {
        for (kind, step) in [
            (io::ErrorKind::ResourceBusy, "mount its directory instead"),
            (io::ErrorKind::AlreadyExists, "choose another path"),
        ] {
            let error = FileError::io(FileAction::Write, Path::new("/x"), &io::Error::from(kind));
            assert_eq!(error.code(), "file.not_writable");
            assert!(error.to_string().contains(step), "{error}");
        }
    }
}
