//! A folder of its own, a configuration, and the built program running with it.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client::{Conn, Reply};
use crate::provider::Provider;
use crate::token::CLIENT_ID;

const PROGRAM: &str = env!("CARGO_BIN_EXE_talosctl-oidc");
/// How long anything may take on a machine that has much else to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A file of the certificate vectors.
pub(crate) fn vector(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors/cert").join(name)
}

/// A folder that goes away with the test, unless the test fails.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("serve-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Copies a file of the vectors, readable by its owner only.
    pub(crate) fn copy(&self, from: &str, name: &str) -> PathBuf {
        let path = self.write(name, fs::read(vector(from)).unwrap());
        chmod(&path, 0o600);
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !thread::panicking() {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

pub(crate) fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

pub(crate) fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// A configuration in the making: keys with their YAML values, and the environment.
pub(crate) struct Config {
    pub(crate) folder: Folder,
    keys: Vec<(String, String)>,
    env: Vec<(String, String)>,
}

impl Config {
    /// Plain HTTP on a free port, an Ed25519 CA, everybody is `os:reader`.
    pub(crate) fn new(provider: &Provider) -> Self {
        Self::with_issuer(&provider.issuer())
    }

    pub(crate) fn with_issuer(issuer: &str) -> Self {
        let folder = Folder::new();
        let (cert, key) =
            (folder.copy("ca/ed25519.crt", "ca.crt"), folder.copy("ca/ed25519.key", "ca.key"));
        let audit = folder.path("audit.log");
        let new = Self { folder, keys: Vec::new(), env: Vec::new() };
        new.set("issuer_url", issuer)
            .set("client_id", CLIENT_ID)
            .set("endpoints", "[10.0.0.2, 10.0.0.1]")
            .set("ca_cert", &cert.display().to_string())
            .set("ca_key", &key.display().to_string())
            .set("listen", "127.0.0.1:0")
            .set("insecure", "true")
            .set("audit_log", &audit.display().to_string())
            .set("roles", "[os:reader]")
    }

    pub(crate) fn set(mut self, key: &str, value: &str) -> Self {
        self.put(key, value);
        self
    }

    pub(crate) fn put(&mut self, key: &str, value: &str) {
        self.keys.retain(|(name, _)| name != key);
        self.keys.push((key.into(), value.into()));
    }

    pub(crate) fn unset(mut self, key: &str) -> Self {
        self.keys.retain(|(name, _)| name != key);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    pub(crate) fn text(&self) -> String {
        self.keys.iter().map(|(key, value)| format!("{key}: {value}\n")).collect()
    }

    /// Writes the file where a running server finds it again.
    pub(crate) fn save(&self) -> PathBuf {
        self.folder.write("config.yaml", self.text())
    }

    pub(crate) fn audit_log(&self) -> PathBuf {
        self.folder.path("audit.log")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).arg("--config").arg(self.save());
        command.env_clear().envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Starts the server and waits until it listens.
    pub(crate) fn start(self) -> Server {
        self.launch().listening()
    }

    /// Starts the server and waits for nothing.
    pub(crate) fn launch(self) -> Launched {
        let child = self.command(&["serve"]).spawn().unwrap();
        Launched::of(child, self)
    }

    /// Starts the server on a socket that somebody else listens on, as a service manager does.
    pub(crate) fn start_on(self, socket: std::net::TcpListener) -> Server {
        let mut command = Command::new("/bin/sh");
        // A shell that becomes the program keeps its process number.
        let script = "exec 3<&0 0</dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\"";
        command.args(["-c", script, PROGRAM, "serve", "--config"]).arg(self.save());
        command.env_clear().envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::from(std::os::fd::OwnedFd::from(socket)));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Launched::of(command.spawn().unwrap(), self).listening()
    }

    /// Starts what cannot start: exit status and both outputs.
    pub(crate) fn fails(&self) -> (ExitStatus, String) {
        let output = run_to_end(self.command(&["serve"]));
        (output.status, String::from_utf8(output.stderr).unwrap())
    }

    /// `serve --check`.
    pub(crate) fn check(&self) -> (ExitStatus, String, String) {
        let output = run_to_end(self.command(&["serve", "--check"]));
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status, text(output.stdout), text(output.stderr))
    }
}

/// Runs another sub-command to its end.
pub(crate) fn program(arguments: &[&str]) -> Output {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).env_clear().stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    run_to_end(command)
}

fn run_to_end(mut command: Command) -> Output {
    let mut child = command.spawn().unwrap();
    let until = Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > until {
            child.kill().unwrap();
            panic!("does not end: {:?}", child.wait_with_output());
        }
        thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().unwrap()
}

/// Lines of a stream, as they come.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// Lines so far, and whether the stream has ended.
    read: Mutex<(Vec<String>, bool)>,
    more: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, (Vec<String>, bool)> {
        // A test that fails while it looks must still be able to print what there is.
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    fn read(stream: impl std::io::Read + Send + 'static) -> Self {
        let lines = Self::default();
        let ours = lines.clone();
        thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                ours.0.lock().0.push(String::from_utf8_lossy(&line).into_owned());
                ours.0.more.notify_all();
            }
            ours.0.lock().1 = true;
            ours.0.more.notify_all();
        });
        lines
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().0.clone()
    }

    /// The first line that holds `needle`, when it comes.
    pub(crate) fn wait(&self, needle: &str) -> String {
        self.wait_nth(needle, 1)
    }

    /// The `n`th line that holds `needle`, when it comes.
    pub(crate) fn wait_nth(&self, needle: &str, n: usize) -> String {
        let until = Instant::now() + PATIENCE;
        let mut guard = self.0.lock();
        loop {
            let found = guard.0.iter().filter(|line| line.contains(needle)).nth(n - 1);
            if let Some(line) = found {
                return line.clone();
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero() && !guard.1, "no {needle:?} in:\n{}", guard.0.join("\n"));
            guard = self.0.more.wait_timeout(guard, left).unwrap().0;
        }
    }

    /// Whether some line holds `needle`.
    pub(crate) fn has(&self, needle: &str) -> bool {
        self.0.lock().0.iter().any(|line| line.contains(needle))
    }
}

/// A running server. Killed with the test.
pub(crate) struct Server {
    child: Child,
    pub(crate) log: Lines,
    pub(crate) out: Lines,
    pub(crate) address: SocketAddr,
    pub(crate) config: Config,
}

/// A server that may not listen yet.
pub(crate) struct Launched(pub(crate) Server);

impl Launched {
    fn of(mut child: Child, config: Config) -> Self {
        let log = Lines::read(child.stderr.take().unwrap());
        let out = Lines::read(child.stdout.take().unwrap());
        let address = SocketAddr::from(([0, 0, 0, 0], 0));
        Self(Server { child, log, out, address, config })
    }

    /// Waits until it listens.
    pub(crate) fn listening(self) -> Server {
        let Self(mut server) = self;
        let line = server.log.wait("listening on ");
        server.address = line.rsplit("://").next().unwrap().trim().parse().unwrap();
        if server.address.ip().is_unspecified() {
            // A machine whose IPv6 is switched off still lets both families be listened to.
            server.address.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        server
    }
}

impl Server {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn open(&self) -> Conn {
        Conn::open(self.address)
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.open().request("GET", path, &[], b"")
    }

    pub(crate) fn post(&self, body: &[u8]) -> Reply {
        self.open().request("POST", "/exchange", &[("content-type", "application/json")], body)
    }

    /// Waits until the keys of the provider are there, fetched or kept.
    pub(crate) fn ready(self) -> Self {
        let plain = self.log.has("listening on http://");
        self.settle("keys", || {
            self.log.has("usable keys") || plain && self.get("/readyz").status == 200
        });
        self
    }

    /// Waits until something holds.
    pub(crate) fn settle(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let until = Instant::now() + PATIENCE;
        while !holds() {
            assert!(Instant::now() < until, "{what}: not within {PATIENCE:?}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let done = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status();
        assert!(done.unwrap().success());
    }

    /// Waits for the end; gives back the folder and its configuration.
    pub(crate) fn wait(mut self) -> (ExitStatus, Config) {
        let until = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < until, "the server does not end");
            thread::sleep(Duration::from_millis(10));
        };
        let empty = Config { folder: Folder::new(), keys: Vec::new(), env: Vec::new() };
        (status, std::mem::replace(&mut self.config, empty))
    }

    /// Ends it as a service manager does.
    pub(crate) fn stop(self) -> Config {
        self.signal("TERM");
        let (status, config) = self.wait();
        assert_eq!(status.code(), Some(0));
        config
    }

    /// Ends it as a power cut does.
    pub(crate) fn kill(self) -> Config {
        self.signal("KILL");
        self.wait().1
    }

    /// Lines of the audit log but checkpoints.
    pub(crate) fn audit(&self) -> Vec<String> {
        events(&self.config.audit_log())
    }

    /// The last event of the audit log.
    pub(crate) fn last_event(&self) -> Value {
        let lines = self.audit();
        serde_json::from_str(lines.last().expect("an event")).unwrap()
    }

    /// A number of `/proc/PID/status` in kB.
    pub(crate) fn resident_kb(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let log: VecDeque<String> = self.log.all().into();
            eprintln!("--- log of the server ---");
            log.iter().rev().take(60).rev().for_each(|line| eprintln!("{line}"));
        }
    }
}

/// Events of an audit file, without its checkpoints.
pub(crate) fn events(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let is_event = |line: &&str| !line.contains("\"type\":\"checkpoint\"");
    text.lines().filter(is_event).map(str::to_owned).collect()
}
