//! Where the audit log stood: the chain is continued, and the admin pages are rebuilt.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use exchange_core::json::{self, Limits, Object};
use exchange_core::server::Input;
use exchange_core::server::audit_chain::{Chain, CheckpointKey};
use exchange_core::server::audit_verify::{LINE_BYTES_MAX, Links, resume};
use exchange_smol::files::{FileError, FileLock, FileProblem};
use exchange_smol::{entropy, files};
use smol::channel::Sender;

use super::load::refused;
use super::log;
use crate::audit::next_line;
use crate::exit::Failure;

/// Bytes of the log that are read at one time.
const READ_BYTES: usize = 65_536;
/// Lines handed to the machine at one time.
const REPLAY_LINES: usize = 256;
/// Inputs that wait for the machine while more lines are handed to it: it has requests to answer,
/// and a log may be larger than memory.
const REPLAY_WAITING: usize = 4;
/// How long the reader then waits.
const REPLAY_PAUSE: Duration = Duration::from_millis(1);

/// Path of the chain's state beside the log.
fn state_path(log: &Path) -> PathBuf {
    let mut name = log.file_name().unwrap_or_default().to_owned();
    name.push(".chain");
    log.with_file_name(name)
}

/// Whether the log is a file that can be read back. Pipes and devices cannot: reading one would
/// wait for ever, take lines away from whoever reads it, or never end.
fn is_kept(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| meta.is_file())
}

/// How long a start waits for another server that ends: its time to drain, and some.
const HANDOVER_MILLIS: u64 = 15_000;

/// The right to be the only one that writes this log: two chains in one file fit nowhere.
///
/// A folder in which no lock can be made is no reason not to start.
pub(super) fn lock(path: &Path) -> Result<Option<FileLock>, Failure> {
    if path.exists() && !is_kept(path) {
        return Ok(None);
    }
    let is_busy = |error: &FileError| matches!(error.problem, FileProblem::Busy { .. });
    let mut got = FileLock::acquire(path, 0);
    if got.as_ref().is_err_and(is_busy) {
        log::info("another server writes this audit log: waiting for its end");
        got = FileLock::acquire(path, HANDOVER_MILLIS);
    }
    match got {
        Ok(lock) => Ok(Some(lock)),
        Err(error) if is_busy(&error) => {
            let path = path.display();
            let text = format!("another server writes {path}: give each its own audit_log");
            Err(refused("audit.in_use", text))
        }
        Err(_) => Ok(None),
    }
}

/// Where the chain's state is kept; `None` for a log that is no file.
pub(super) fn state_of(log: &Path) -> Option<PathBuf> {
    is_kept(log).then(|| state_path(log))
}

/// Whether lines can be appended, as far as that shows without making or changing anything.
pub(super) fn writable(path: &Path) -> Result<(), Failure> {
    let fail = |why: &str| {
        let text = format!("audit_log: cannot write {}: {why}", path.display());
        Err(refused("file.not_writable", text))
    };
    match std::fs::metadata(path) {
        Ok(meta) if meta.is_dir() => fail("it is a folder: give the path of a file"),
        Ok(meta) if meta.is_file() => match OpenOptions::new().append(true).open(path) {
            Ok(_) => refuse_foreign(path).or_else(|error| fail(&error.to_string())),
            Err(error) => fail(&error.to_string()),
        },
        Ok(_) => Ok(()),
        Err(_) => match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
                fail("its folder does not exist: make it")
            }
            Some(_) | None => Ok(()),
        },
    }
}

/// How every line begins that this program or the original wrote.
const LINE_BEGIN: &[u8] = b"{\"";

/// Refuses a file that holds something else than an audit log: its end would be taken for a torn
/// line and cut off.
fn refuse_foreign(path: &Path) -> std::io::Result<()> {
    let mut begin = Vec::new();
    File::open(path)?.take(2).read_to_end(&mut begin)?;
    if LINE_BEGIN.starts_with(&begin) {
        return Ok(());
    }
    Err(std::io::Error::other("it holds no audit log: give the path of another file"))
}

/// Takes back a line that a killed process left half written: its answer never left.
fn mend(path: &Path) -> std::io::Result<()> {
    let Ok(mut file) = OpenOptions::new().read(true).write(true).open(path) else { return Ok(()) };
    refuse_foreign(path)?;
    let length = file.metadata()?.len();
    let window = length.min(u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX));
    file.seek(SeekFrom::Start(length - window))?;
    let mut tail = Vec::new();
    file.take(window).read_to_end(&mut tail)?;
    let file = OpenOptions::new().write(true).open(path)?;
    let whole = match tail.iter().rposition(|byte| *byte == b'\n') {
        Some(at) => at + 1,
        // Longer than any line of ours, so nobody knows what it is: it stays.
        None if window < length => return Ok(()),
        None => 0,
    };
    let torn = tail.len() - whole;
    if torn > 0 {
        let torn = u64::try_from(torn).unwrap_or_default();
        file.set_len(length - torn)?;
        log::warn(&format!("audit log: {torn} bytes of a line that was never finished removed"));
    }
    Ok(())
}

/// Where the chain of this log stands.
///
/// Only complete lines count. A log that does not fit its state starts a chain of its own, which
/// `audit verify` will show.
pub(super) fn chain(path: &Path) -> Result<Chain, Failure> {
    let fail = |error: &std::io::Error| {
        refused("audit.not_readable", format!("audit_log {}: {error}", path.display()))
    };
    if path.exists() && !is_kept(path) {
        return Ok(Chain::default());
    }
    mend(path).map_err(|error| fail(&error))?;
    let state = files::read_if_there(&state_path(path), 16_384)
        .ok()
        .flatten()
        .and_then(|bytes| Chain::from_state(std::str::from_utf8(&bytes).ok()?));
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(state.unwrap_or_default());
        }
        Err(error) => return Err(fail(&error)),
    };
    let mut file = BufReader::with_capacity(READ_BYTES, file);
    if let Some(state) = &state
        && !is_as_written(&mut file, state).map_err(|error| fail(&error))?
    {
        file.rewind().map_err(|error| fail(&error))?;
    }
    let mut chain = state.unwrap_or_default();
    let mut line = Vec::new();
    while next_line(&mut file, &mut line).map_err(|error| fail(&error))? {
        match resume(Some(chain), &[&line]) {
            Some(further) => chain = further,
            None => {
                log::error(
                    "the audit log does not continue where its state says: lines are missing or \
                     changed; a new chain begins (talosctl-oidc audit verify says where)",
                );
                return Ok(Chain::default());
            }
        }
    }
    Ok(chain)
}

/// Whether the lines up to `state` are those that were written; `file` then stands behind them.
/// Most starts find it so, and a log may have millions of lines.
fn is_as_written(file: &mut BufReader<File>, state: &Chain) -> std::io::Result<bool> {
    let (mut links, mut line) = (Links::new(state), Vec::new());
    while !links.arrived() {
        if !next_line(file, &mut line)? || !links.follow(&line) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Reads the log again for the admin pages, in the background. Only what is there now: what this
/// run writes is counted as it is written.
pub(super) fn replay(path: &Path, inputs: Sender<Input>) {
    if !is_kept(path) {
        return;
    }
    let Ok(file) = File::open(path) else { return };
    let Ok(length) = file.metadata().map(|meta| meta.len()) else { return };
    let work = move || {
        let mut batch: Vec<Object> = Vec::new();
        let (mut file, mut line) = (BufReader::new(file.take(length)), Vec::new());
        while next_line(&mut file, &mut line).unwrap_or(false) {
            let limits = Limits { bytes_max: LINE_BYTES_MAX, depth_max: 4 };
            if let Ok(object) = json::parse_object(&line, limits) {
                batch.push(object);
            }
            if batch.len() >= REPLAY_LINES {
                let full = std::mem::take(&mut batch);
                while inputs.len() > REPLAY_WAITING && !inputs.is_closed() {
                    std::thread::sleep(REPLAY_PAUSE);
                }
                if inputs.send_blocking(Input::Replay(full)).is_err() {
                    return;
                }
            }
        }
        let _ = inputs.send_blocking(Input::Replay(batch));
    };
    exchange_smol::executor::spawn(smol::unblock(work)).detach();
}

/// The key that signs checkpoints: kept in `data_dir`, else of this run only.
pub(super) fn checkpoint_key(kept: Option<&Path>) -> Result<CheckpointKey, Failure> {
    let none = || refused("entropy.unavailable", "the operating system gives no randomness");
    let fresh = || entropy::draw::<32>().map_err(|_| none());
    let seed = match kept {
        None => fresh()?.into_bytes(),
        Some(path) => match files::read_if_there(path, 64) {
            Ok(Some(bytes)) => {
                let seed: [u8; 32] = bytes.as_slice().try_into().map_err(|_| {
                    let text = format!("{} is not a 32-byte key: remove it", path.display());
                    refused("audit.key", text)
                })?;
                zeroize::Zeroizing::new(seed)
            }
            Ok(None) => {
                let seed = fresh()?.into_bytes();
                let dir = path.parent().unwrap_or(Path::new("."));
                let written = files::create_private_dir(dir)
                    .and_then(|()| files::write_atomic(path, seed.as_slice(), 0o600));
                if let Err(error) = written {
                    log::warn(&format!("audit key: {error}; this run signs with a key of its own"));
                }
                seed
            }
            Err(error) => return Err(refused(error.code(), format!("data_dir: {error}"))),
        },
    };
    let key = CheckpointKey::from_seed("talosctl-oidc", &seed).ok_or_else(none)?;
    if let Some(path) = kept {
        publish(&key, &path.with_extension("pub"));
    }
    Ok(key)
}

/// Keeps the half that everybody may know, for `audit verify --key-file`.
fn publish(key: &CheckpointKey, path: &Path) {
    let line = format!("{}\n", key.verifier());
    let known = files::read_if_there(path, 4096).ok().flatten();
    if known.is_none_or(|known| *known != line.as_bytes())
        && let Err(error) = files::write_atomic(path, line.as_bytes(), 0o644)
    {
        log::warn(&format!("audit key: {error}"));
    }
}
