//! The command `exec`: runs another program with a talosconfig that exists for it alone.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, ErrorKind};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};

use exchange_smol::entropy::draw;
use exchange_smol::executor;
use exchange_smol::files::{create_private_dir, write_atomic};
use exchange_smol::signals::{Signal, Signals};
use smol::future;

use crate::args;
use crate::exit::{Class, Failure};
use crate::login;
use crate::terminal;

/// What shells say when a command cannot be started, and when there is none.
const CANNOT_START: u8 = 126;
const NOT_FOUND: u8 = 127;

/// Runs the command.
pub(crate) fn run(args: &args::Exec) -> Result<ExitCode, Failure> {
    if args.login.watch {
        let text = "--watch belongs to login: exec renews when it starts";
        return Err(Failure::new(Class::Other, "usage.invalid", text));
    }
    let text = executor::run(NonZeroUsize::MIN, login::for_command(&args.login, args.ephemeral))?;
    let Some((program, rest)) = args.command.split_first() else {
        return Err(Failure::new(Class::Other, "usage.missing", "no command behind --"));
    };
    let mut command = Command::new(program);
    command.args(rest);
    #[cfg(target_os = "linux")]
    match memory::talosconfig(&text) {
        Ok((file, path)) => {
            use std::os::unix::process::CommandExt as _;
            command.env("TALOSCONFIG", path);
            // From here on this process is the command: terminal, signals and exit code are its
            // own, and the file ends with it.
            let error = command.exec();
            drop(file);
            return Ok(not_started(program, &error));
        }
        Err(_) => {
            // No memory files here, as in some sandboxes.
        }
    }
    let folder = Folder::with(text.as_bytes())?;
    command.env("TALOSCONFIG", folder.talosconfig());
    match executor::run(NonZeroUsize::MIN, attend(command)) {
        Ok(status) => Ok(code_of(status)),
        Err(error) => Ok(not_started(program, &error)),
    }
}

fn not_started(program: &OsStr, error: &io::Error) -> ExitCode {
    let program = program.to_string_lossy();
    let (code, why) = if error.kind() == ErrorKind::NotFound {
        (NOT_FOUND, "no such command".to_owned())
    } else {
        (CANNOT_START, error.kind().to_string())
    };
    terminal::error_line(&format!("Error: cannot run {program}: {why} [exec.not_started]"));
    ExitCode::from(code)
}

#[cfg(target_os = "linux")]
mod memory {
    use std::fs::{File, Permissions};
    use std::io::{self, Write as _};
    use std::os::fd::AsRawFd as _;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::PathBuf;

    use rustix::fs::{MemfdFlags, memfd_create};

    /// A file without a name on any disk. It stays open across `exec`; the path goes by the number
    /// of this process, as programs started by the command do not inherit its open files.
    pub(super) fn talosconfig(text: &str) -> io::Result<(File, PathBuf)> {
        let mut file = File::from(memfd_create("talosconfig", MemfdFlags::empty())?);
        // Nobody else can follow the path, but such a file begins as everybody's.
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.write_all(text.as_bytes())?;
        let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
        // Without /proc nobody could open it.
        File::open(&path)?;
        Ok((file, path.into()))
    }
}

/// A folder of this run, where there is no memory file. Removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn with(text: &[u8]) -> Result<Self, Failure> {
        let failed = |text: String| Failure::local("file.not_writable", text);
        let unique = draw::<8>().map_err(|error| failed(error.to_string()))?.into_bytes();
        let unique = u64::from_le_bytes(*unique);
        let folder = Self(std::env::temp_dir().join(format!("talosctl-oidc-{unique:016x}")));
        create_private_dir(&folder.0).map_err(|error| failed(error.to_string()))?;
        write_atomic(&folder.talosconfig(), text, 0o600)
            .map_err(|error| failed(error.to_string()))?;
        Ok(folder)
    }

    fn talosconfig(&self) -> PathBuf {
        Path::new(&self.0).join("config")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs `command` to its end, and outlives it, so that there is somebody left to clean up.
async fn attend(command: Command) -> io::Result<ExitStatus> {
    let mut signals = Signals::listen(false)?;
    let mut child = smol::process::Command::from(command).spawn()?;
    loop {
        let ended = async { Err(child.status().await) };
        let signal = async { Ok(signals.next().await) };
        match future::or(ended, signal).await {
            Err(status) => return status,
            // The terminal sends it to the command too, which may have other plans than to end.
            Ok(Some(Signal::Interrupt | Signal::Reload)) => {}
            Ok(Some(Signal::Terminate)) => terminate(&mut child),
            Ok(None) => return child.status().await,
        }
    }
}

#[cfg(unix)]
fn terminate(child: &mut smol::process::Child) {
    use rustix::process::{Pid, Signal, kill_process};
    let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if id.is_none_or(|id| kill_process(id, Signal::TERM).is_err()) {
        let _ = child.kill();
    }
}

#[cfg(not(unix))]
fn terminate(child: &mut smol::process::Child) {
    let _ = child.kill();
}

#[cfg(unix)]
fn code_of(status: ExitStatus) -> ExitCode {
    use std::os::unix::process::ExitStatusExt as _;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

#[cfg(not(unix))]
fn code_of(status: ExitStatus) -> ExitCode {
    ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}
