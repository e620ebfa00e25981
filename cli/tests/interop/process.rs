//! Programs that a test starts, and the folder they share. Both are gone when the test is.

use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};
use std::{env, fs, process};

/// A program of other people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    Provider,
    Python,
    Curl,
    OpenSsl,
    Go,
    XdgOpen,
    Chromium,
    Ssh,
    Users,
    Namespaces,
}

/// Whether all of them are here; says which are not. In CI each must be, unless `ALLOW_SKIP`
/// names it.
pub(crate) fn have(tools: &[Tool]) -> bool {
    let missing = |tool: &&Tool| match tool {
        Tool::Provider => {
            !answers("node", "--version") || !programs().join("provider/node_modules").exists()
        }
        Tool::Python => !answers("python3", "--version"),
        Tool::Curl => !answers("curl", "--version"),
        Tool::OpenSsl => !answers("openssl", "version"),
        Tool::Go => go().is_none(),
        Tool::XdgOpen => found("xdg-open").is_none() || found("xdg-mime").is_none(),
        Tool::Chromium => {
            found("chromium").is_none()
                || !answers("node", "--version")
                || !scripts().join("node_modules/playwright-core").exists()
        }
        Tool::Ssh => ["sshd", "ssh", "ssh-keygen"].iter().any(|name| found(name).is_none()),
        Tool::Users => {
            !is_root() || ["useradd", "userdel", "setpriv"].iter().any(|name| found(name).is_none())
        }
        Tool::Namespaces => !is_root() || super::lab::try_namespace().is_err(),
    };
    let named = |tool: &Tool| match tool {
        Tool::Provider => "oidc-provider (node, and npm ci in cli/tests/interop/provider)",
        Tool::Python => "python3",
        Tool::Curl => "curl",
        Tool::OpenSsl => "openssl",
        Tool::Go => "go",
        Tool::XdgOpen => "xdg-open (xdg-utils)",
        Tool::Chromium => "chromium (and node, and npm ci in cli/tests/browser)",
        Tool::Ssh => "sshd (openssh-server, openssh-client)",
        Tool::Users => "useradd (as root, with passwd and util-linux)",
        Tool::Namespaces => "namespaces (as root, with iproute2, where the system permits them)",
    };
    let missing: Vec<&str> = tools.iter().filter(missing).map(named).collect();
    missing.iter().for_each(|name| skipped(name, "which CI must have"));
    missing.is_empty()
}

/// Says that a test does not run for want of `what`; in CI that is allowed only by `ALLOW_SKIP`.
pub(crate) fn skipped(what: &str, why: &str) {
    let allowed = env::var("ALLOW_SKIP").unwrap_or_default();
    let allowed = allowed.contains(what.split(' ').next().unwrap());
    assert!(env::var_os("CI").is_none() || allowed, "no {what}, {why}");
    println!("skipped: no {what}, {why}");
}

/// Where a program is. The system's own ones are not in everybody's `PATH`.
pub(crate) fn found(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let folders = env::split_paths(&path).chain(system);
    folders.map(|folder| folder.join(program)).find(|path| path.is_file())
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

fn answers(program: &str, flag: &str) -> bool {
    let quiet =
        Command::new(program).arg(flag).stdout(Stdio::null()).stderr(Stdio::null()).status();
    quiet.is_ok_and(|status| status.success())
}

/// The programs of this folder.
pub(crate) fn programs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop")
}

/// The scripts for a real browser.
pub(crate) fn scripts() -> PathBuf {
    programs().with_file_name("browser")
}

/// The Go program, built once.
pub(crate) fn go() -> Option<&'static Path> {
    static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
    let build = || {
        if !answers("go", "version") {
            return None;
        }
        let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join("interop-go");
        let built = Command::new("go")
            .args(["build", "-buildvcs=false", "-o"])
            .arg(&to)
            .arg(".")
            .current_dir(programs().join("go"))
            .output()
            .unwrap();
        assert!(built.status.success(), "go build: {}", text(&built.stderr));
        Some(to)
    };
    BUILT.get_or_init(build).as_deref()
}

/// A folder of one test.
pub(crate) struct Folder {
    path: PathBuf,
    /// Network namespace in which the test's programs run, where they have one of their own.
    namespace: Option<String>,
}

impl Folder {
    pub(crate) fn new() -> Self {
        Self::within(Path::new(env!("CARGO_TARGET_TMPDIR")), None)
    }

    /// A folder that every user of this machine can reach, for programs in that namespace.
    pub(crate) fn shared(namespace: &str) -> Self {
        Self::within(&env::temp_dir(), Some(namespace.to_owned()))
    }

    fn within(parent: &Path, namespace: Option<String>) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("talosctl-oidc-{}-{number}", process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self { path, namespace }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.file(name);
        fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn read(&self, name: &str) -> String {
        let path = self.file(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }
}

/// Writes a program for the shell; `$1` and so on are what it is called with.
pub(crate) fn shell_script(path: &Path, lines: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::write(path, format!("#!/bin/sh\n{lines}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// A command that sees nothing of this machine's settings: no proxy, no variable of ours.
pub(crate) fn clean(program: impl AsRef<Path>, folder: &Folder) -> Command {
    let mut command = match &folder.namespace {
        None => Command::new(program.as_ref()),
        Some(namespace) => {
            let mut enter = Command::new(found("ip").unwrap());
            enter.args(["netns", "exec", namespace]).arg(program.as_ref());
            enter
        }
    };
    command.env_clear().current_dir(&folder.path).env("HOME", &folder.path);
    for name in ["PATH", "LANG", "TMPDIR", "PYENV_ROOT", "PYENV_VERSION"] {
        if let Some(value) = env::var_os(name) {
            command.env(name, value);
        }
    }
    command.env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::null());
    command
}

/// Runs it to its end.
pub(crate) fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Runs it and takes what it printed; it must succeed.
pub(crate) fn done(command: &mut Command) -> String {
    let output = run(command);
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What a program printed so far, both streams in the order of arrival.
#[derive(Default)]
struct Printed {
    bytes: Mutex<Vec<u8>>,
    more: Condvar,
}

/// A running program.
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    printed: Arc<Printed>,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    pub(crate) fn start(name: &'static str, command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let printed = Arc::new(Printed::default());
        let readers = vec![
            follow(child.stdout.take().unwrap(), &printed),
            follow(child.stderr.take().unwrap(), &printed),
        ];
        Self { name, child, printed, readers }
    }

    pub(crate) fn printed(&self) -> String {
        text(&self.printed.bytes.lock().unwrap())
    }

    /// Waits for a finished line with these words, and returns it.
    pub(crate) fn line_with(&self, words: &str, patience: Duration) -> String {
        self.nth_line_with(words, 1, patience)
    }

    /// Waits for the `n`th such line.
    pub(crate) fn nth_line_with(&self, words: &str, n: usize, patience: Duration) -> String {
        let end = Instant::now() + patience;
        let mut bytes = self.printed.bytes.lock().unwrap();
        loop {
            let so_far = text(&bytes);
            let finished = so_far.rsplit_once('\n').map_or("", |(lines, _)| lines);
            if let Some(line) = finished.lines().filter(|line| line.contains(words)).nth(n - 1) {
                return line.to_owned();
            }
            let left = end.saturating_duration_since(Instant::now());
            let over = left.is_zero() || self.readers.iter().all(JoinHandle::is_finished);
            assert!(!over, "{}: no {words:?} in\n{so_far}", self.name);
            let left = left.min(Duration::from_millis(200));
            bytes = self.printed.more.wait_timeout(bytes, left).unwrap().0;
        }
    }

    /// Types a line, where standard input is a pipe.
    pub(crate) fn type_line(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().unwrap();
        stdin.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Ends its standard input, where that is a pipe.
    pub(crate) fn close_stdin(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Asks it to end and waits for that.
    pub(crate) fn terminate(&mut self, patience: Duration) -> ExitStatus {
        let asked = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(asked.success());
        self.ended(patience)
    }

    /// Ends it at once, as a power cut would.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits until it ends by itself and everything it printed has arrived.
    pub(crate) fn ended(&mut self, patience: Duration) -> ExitStatus {
        let end = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                self.readers.drain(..).for_each(|reader| reader.join().unwrap());
                return status;
            }
            assert!(Instant::now() < end, "{} does not end:\n{}", self.name, self.printed());
            sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn follow(mut stream: impl Read + Send + 'static, printed: &Arc<Printed>) -> JoinHandle<()> {
    let printed = Arc::clone(printed);
    spawn(move || {
        let mut chunk = [0; 4096];
        while let Ok(n @ 1..) = stream.read(&mut chunk) {
            printed.bytes.lock().unwrap().extend_from_slice(&chunk[..n]);
            printed.more.notify_all();
        }
    })
}
