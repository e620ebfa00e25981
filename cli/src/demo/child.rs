//! This program again, as a process of its own: `serve` and `login` as everybody runs them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use exchange_smol::executor::{spawn, within};
use smol::channel::{Receiver, unbounded};
use smol::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use smol::process::{Child, Command};
use smol::stream::StreamExt as _;

use super::wire::Trouble;

/// Time to come up, and time for everything a login does.
const PATIENCE_MILLIS: u64 = 15_000;
/// Lines kept of what a process says.
const LINES_MAX: usize = 1000;

/// How to start this program so that nothing of the caller's own setup shows through.
pub(crate) struct Program {
    path: PathBuf,
    home: PathBuf,
}

impl Program {
    /// The running program; `home` takes the place of the user's own folder.
    pub(crate) fn this(home: &Path) -> Result<Self, Trouble> {
        let path = std::env::current_exe().map_err(|error| format!("this program: {error}"))?;
        Ok(Self { path, home: home.to_owned() })
    }

    /// Starts it. It is killed when the handle is dropped.
    pub(crate) fn start(
        &self,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Result<Process, Trouble> {
        let mut command = Command::new(&self.path);
        for (name, _) in std::env::vars_os() {
            if is_foreign(&name.to_string_lossy()) {
                command.env_remove(name);
            }
        }
        command
            .args(arguments)
            .env("HOME", &self.home)
            .env("XDG_CONFIG_HOME", self.home.join("config"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| format!("{error}"))?;
        let (sender, said) = unbounded();
        let (out, err) = (child.stdout.take(), child.stderr.take());
        if let (Some(out), Some(err)) = (out, err) {
            let other = sender.clone();
            spawn(async move { forward(out, &sender).await }).detach();
            spawn(async move { forward(err, &other).await }).detach();
        }
        Ok(Process { child, said, lines: Vec::new() })
    }
}

/// Settings of this program, proxies, and what would make a child speak differently.
fn is_foreign(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    upper.starts_with("TALOSCTL_OIDC_")
        || upper.ends_with("_PROXY")
        || ["TALOSCONFIG", "TALOS_HOME", "DEBUG", "BROWSER"].contains(&upper.as_str())
}

/// Passes on each line of a pipe until it ends or nobody listens.
async fn forward(pipe: impl AsyncRead + Unpin, to: &smol::channel::Sender<String>) {
    let mut lines = BufReader::new(pipe).lines();
    while let Some(Ok(line)) = lines.next().await {
        if to.send(line).await.is_err() {
            return;
        }
    }
}

/// A running child.
pub(crate) struct Process {
    child: Child,
    said: Receiver<String>,
    /// What it has said.
    lines: Vec<String>,
}

impl Process {
    /// Waits for the first line in which `find` finds something. `None` when the child ends
    /// without it.
    pub(crate) async fn wait_for<T>(
        &mut self,
        find: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Trouble> {
        let search = async {
            while let Ok(line) = self.said.recv().await {
                let found = find(&line);
                if self.lines.len() < LINES_MAX {
                    self.lines.push(line);
                }
                if found.is_some() {
                    return found;
                }
            }
            None
        };
        within(PATIENCE_MILLIS, search).await.ok_or_else(|| "it says nothing".to_owned())
    }

    /// Waits for its end: the exit code, or that a signal ended it.
    pub(crate) async fn end(&mut self) -> Result<Option<i32>, Trouble> {
        self.wait_for(|_| None::<()>).await?;
        let status = within(PATIENCE_MILLIS, self.child.status()).await;
        let status = status.ok_or_else(|| "it does not end".to_owned())?;
        Ok(status.map_err(|error| error.to_string())?.code())
    }

    /// The last line that is not empty.
    pub(crate) fn last_words(&self) -> &str {
        self.lines.iter().rev().map(|line| line.trim()).find(|line| !line.is_empty()).unwrap_or("")
    }
}
