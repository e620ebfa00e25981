//! The audit file: lines are written before the answer they belong to leaves.
//!
//! One thread owns the file. Lines of requests that run side by side are written together, each
//! request learns whether its own are in the file, and a failed write leaves no torn line. A file
//! that was deleted meanwhile is made anew, so that no line goes to a file without a name.

use std::fmt;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::thread;

use smol::channel::{Receiver, Sender, bounded};

use crate::executor::within;
use crate::files::{FileAction, FileError, private};

/// Orders waiting for the disk at once; who has more to give waits.
const QUEUE: usize = 64;
/// Lines written with one system call.
const BATCH_BYTES: usize = 256 * 1024;
/// Longest line that [`AuditSink::last_line`] finds.
const LINE_BYTES_MAX: u64 = 64 * 1024;
/// How long an answer waits for its line before it is replaced by 503.
const PATIENCE_MILLIS: u64 = 5_000;

/// Where audit lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditTarget {
    /// Standard output, which nothing else writes to.
    Stdout,
    /// A file, made with mode 0600 if need be, appended to.
    File {
        /// Its path.
        path: PathBuf,
        /// Whether each batch also has to survive a power cut (`fdatasync`). Without, it survives
        /// the end of the process by any means.
        durable: bool,
    },
}

/// Why lines are not in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditError {
    /// The write failed; what had been written of it was taken back.
    Write(io::ErrorKind),
    /// The disk did not keep up.
    Overloaded,
    /// The writing thread has ended.
    Closed,
}

impl AuditError {
    /// Stable code: part of the public contract.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Write(_) => "audit.not_writable",
            Self::Overloaded => "audit.overloaded",
            Self::Closed => "audit.closed",
        }
    }
}

impl fmt::Display for AuditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(kind) => write!(
                f,
                "the audit log cannot be written ({kind}): nothing is issued until it can; check \
                 the disk and the mode of the file"
            ),
            Self::Overloaded => f.write_str("the audit log does not keep up: check the disk"),
            Self::Closed => f.write_str("the audit log is closed"),
        }
    }
}

impl std::error::Error for AuditError {}

/// Where lines went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// Behind the lines before them.
    Behind,
    /// Into a new file under the old path: the one before had been deleted.
    InNewFile,
}

/// What has become of the file that lines go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its path leads to it, or it is none that could be lost.
    Named,
    /// It has another name now, or another file has its path.
    Moved,
    /// It has no name any more: what is written to it is lost with the process.
    Deleted,
}

enum Order {
    Write(Vec<u8>, Sender<Result<Written, AuditError>>),
    Reopen(Sender<Result<(), FileError>>),
    Look(Sender<Standing>),
}

/// Handle to the writing thread. Cheap to clone; the thread ends with the last one.
#[derive(Clone)]
pub struct AuditSink(Sender<Order>);

impl AuditSink {
    /// Opens the target and starts the thread. Blocks for the time of an open.
    ///
    /// # Errors
    /// [`FileError`] when the file cannot be opened for appending.
    pub fn open(target: AuditTarget) -> Result<Self, FileError> {
        let writer: Box<dyn LineWriter> = match target {
            AuditTarget::Stdout => Box::new(Stdout),
            AuditTarget::File { path, durable } => Box::new(LogFile::open(path, durable)?),
        };
        let (orders, inbox) = bounded(QUEUE);
        let path = Path::new("audit");
        thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || serve(writer, &inbox))
            .map_err(|error| FileError::io(FileAction::Write, path, &error))?;
        Ok(Self(orders))
    }

    /// Writes whole lines, each with its line feed. When this returns `Ok`, they are with the
    /// operating system, and killing the process loses none of them.
    ///
    /// # Errors
    /// [`AuditError`]: none of them is in the file, except that after [`AuditError::Overloaded`]
    /// they may still arrive.
    pub async fn write_lines(&self, lines: Vec<u8>) -> Result<(), AuditError> {
        let write = async { self.begin(lines).await?.done().await };
        within(PATIENCE_MILLIS, write).await.unwrap_or(Err(AuditError::Overloaded)).map(drop)
    }

    /// Hands whole lines to the thread; the outcome comes by [`Writing::done`], however long the
    /// disk takes.
    ///
    /// # Errors
    /// [`AuditError::Closed`].
    pub async fn begin(&self, lines: Vec<u8>) -> Result<Writing, AuditError> {
        let (reply, answer) = bounded(1);
        self.0.send(Order::Write(lines, reply)).await.map_err(|_| AuditError::Closed)?;
        Ok(Writing(answer))
    }

    /// Opens the file again, after it has been renamed away. Lines before this call are in the
    /// old file, lines after it in the new one.
    ///
    /// # Errors
    /// [`FileError`]; lines then go on to the old file.
    pub async fn reopen(&self) -> Result<(), FileError> {
        let closed = || {
            let error = io::Error::from(io::ErrorKind::BrokenPipe);
            FileError::io(FileAction::Write, Path::new("audit"), &error)
        };
        let (reply, answer) = bounded(1);
        self.0.send(Order::Reopen(reply)).await.map_err(|_| closed())?;
        answer.recv().await.unwrap_or_else(|_| Err(closed()))
    }

    /// What has become of the file. Waits for writes before it.
    pub async fn standing(&self) -> Standing {
        let (reply, answer) = bounded(1);
        match self.0.send(Order::Look(reply)).await {
            Ok(()) => answer.recv().await.unwrap_or(Standing::Named),
            Err(_) => Standing::Named,
        }
    }

    /// The last complete line of an audit file without its line feed, to continue from. `None`
    /// when there is no file, no complete line, or only a longer one than 64 KiB.
    ///
    /// # Errors
    /// [`FileError`] when the file is there and cannot be read.
    pub fn last_line(path: &Path) -> Result<Option<Vec<u8>>, FileError> {
        let fail = |error: &io::Error| FileError::io(FileAction::Read, path, error);
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(fail(&error)),
        };
        let length = file.metadata().map_err(|e| fail(&e))?.len();
        let from = length.saturating_sub(LINE_BYTES_MAX);
        file.seek(SeekFrom::Start(from)).map_err(|e| fail(&e))?;
        let mut tail = Vec::new();
        file.take(LINE_BYTES_MAX).read_to_end(&mut tail).map_err(|e| fail(&e))?;
        let mut lines = tail.rsplit(|byte| *byte == b'\n');
        // What follows the last line feed is nothing or a torn line.
        let _torn = lines.next();
        let is_first_of_file = |rest: &mut dyn Iterator<Item = &[u8]>| rest.next().is_none();
        Ok(lines.next().map(<[u8]>::to_vec).filter(|_| from == 0 || !is_first_of_file(&mut lines)))
    }
}

/// Lines on their way into the file.
#[derive(Debug)]
pub struct Writing(Receiver<Result<Written, AuditError>>);

impl Writing {
    /// Waits until the lines are in the file, or surely not. May be called again after it was
    /// dropped half-way.
    ///
    /// # Errors
    /// [`AuditError::Write`], [`AuditError::Closed`]: none of the lines is in the file.
    pub async fn done(&self) -> Result<Written, AuditError> {
        self.0.recv().await.unwrap_or(Err(AuditError::Closed))
    }
}

impl fmt::Debug for AuditSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuditSink")
    }
}

/// The writing thread.
fn serve(mut writer: Box<dyn LineWriter>, inbox: &Receiver<Order>) {
    let mut next = inbox.recv_blocking().ok();
    while let Some(order) = next.take() {
        match order {
            Order::Reopen(reply) => {
                let _ = reply.try_send(writer.reopen());
            }
            Order::Look(reply) => {
                let _ = reply.try_send(writer.standing());
            }
            Order::Write(mut batch, reply) => {
                let mut replies = vec![reply];
                // All that has queued up meanwhile goes with the same write.
                while batch.len() < BATCH_BYTES {
                    match inbox.try_recv() {
                        Ok(Order::Write(lines, reply)) => {
                            batch.extend_from_slice(&lines);
                            replies.push(reply);
                        }
                        Ok(order @ (Order::Reopen(_) | Order::Look(_))) => {
                            next = Some(order);
                            break;
                        }
                        Err(_) => break,
                    }
                }
                let outcome = writer.write(&batch).map_err(|e| AuditError::Write(e.kind()));
                for reply in replies {
                    let _ = reply.try_send(outcome);
                }
            }
        }
        if next.is_none() {
            next = inbox.recv_blocking().ok();
        }
    }
}

/// Where the thread writes to. A trait, so that tests can have a disk that fills up.
trait LineWriter: Send {
    /// Writes all of it or, as far as the target permits, nothing.
    fn write(&mut self, lines: &[u8]) -> io::Result<Written>;
    fn reopen(&mut self) -> Result<(), FileError>;
    fn standing(&self) -> Standing {
        Standing::Named
    }
}

struct Stdout;

impl LineWriter for Stdout {
    fn write(&mut self, lines: &[u8]) -> io::Result<Written> {
        let mut out = io::stdout().lock();
        out.write_all(lines)?;
        out.flush()?;
        Ok(Written::Behind)
    }

    fn reopen(&mut self) -> Result<(), FileError> {
        Ok(())
    }
}

struct LogFile {
    path: PathBuf,
    durable: bool,
    file: File,
    /// The file does not end with a line feed: the next line must not be glued to a torn one.
    torn: bool,
}

impl LogFile {
    fn open(path: PathBuf, durable: bool) -> Result<Self, FileError> {
        let opened = open_append(&path);
        let (file, torn) =
            opened.map_err(|error| FileError::io(FileAction::Write, &path, &error))?;
        Ok(Self { path, durable, file, torn })
    }

    fn write_whole(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.torn {
            self.file.write_all(b"\n")?;
            self.torn = false;
        }
        self.file.write_all(lines)?;
        if self.durable { self.file.sync_data() } else { Ok(()) }
    }
}

impl LineWriter for LogFile {
    fn write(&mut self, lines: &[u8]) -> io::Result<Written> {
        let mut meta = self.file.metadata()?;
        let mut written = Written::Behind;
        if is_nameless(&meta) {
            (self.file, self.torn) = open_append(&self.path)?;
            meta = self.file.metadata()?;
            written = Written::InNewFile;
        }
        let before = meta.is_file().then_some(meta.len());
        let torn_before = self.torn;
        self.write_whole(lines).inspect_err(|_| {
            // Takes back what a full disk let through of it. Devices and pipes cannot.
            self.torn = match before.map(|length| self.file.set_len(length)) {
                Some(Ok(())) => torn_before,
                Some(Err(_)) | None => true,
            };
        })?;
        Ok(written)
    }

    fn reopen(&mut self) -> Result<(), FileError> {
        let opened = open_append(&self.path);
        (self.file, self.torn) =
            opened.map_err(|error| FileError::io(FileAction::Write, &self.path, &error))?;
        Ok(())
    }

    fn standing(&self) -> Standing {
        let Ok(ours) = self.file.metadata() else { return Standing::Named };
        if is_nameless(&ours) {
            return Standing::Deleted;
        }
        match std::fs::metadata(&self.path) {
            _ if !ours.is_file() => Standing::Named,
            Ok(there) if !is_same(&ours, &there) => Standing::Moved,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Standing::Moved,
            // A folder that cannot be looked into says nothing about the file.
            Ok(_) | Err(_) => Standing::Named,
        }
    }
}

/// Whether a file was deleted while it is open.
fn is_nameless(meta: &Metadata) -> bool {
    #[cfg(unix)]
    let links = std::os::unix::fs::MetadataExt::nlink(meta);
    #[cfg(not(unix))]
    let links = 1;
    meta.is_file() && links == 0
}

/// Whether both are of one file.
fn is_same(one: &Metadata, other: &Metadata) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        (one.dev(), one.ino()) == (other.dev(), other.ino())
    }
    #[cfg(not(unix))]
    {
        let _ = (one, other);
        true
    }
}

/// Opens for appending and tells whether the file ends within a line.
fn open_append(path: &Path) -> io::Result<(File, bool)> {
    let mut options = OpenOptions::new();
    let file = private(options.append(true).create(true)).open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() || meta.len() == 0 {
        return Ok((file, false));
    }
    // A file that may be written but not read is taken to be whole.
    let mut last = [b'\n'];
    if let Ok(mut reader) = File::open(path) {
        let _ = reader.seek(SeekFrom::End(-1)).and_then(|_| reader.read(&mut last));
    }
    Ok((file, last != *b"\n"))
}

#[cfg(all(test, unix))]
mod tests;
