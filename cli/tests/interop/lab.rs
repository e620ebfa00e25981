//! Hosts and people of a test: network namespaces joined by a cable, users of this system, an SSH
//! server with keys of its own. All of it is gone when the test is.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, id};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::Duration;

use super::parts::{SOON, openssl};
use super::process::{Folder, Process, clean, done, found, run, shell_script, text};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A number that nothing else on this machine has in its name.
fn number() -> String {
    format!("{}-{}", id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

fn ip(words: &[&str]) -> Result<(), String> {
    let program = found("ip").ok_or("no ip")?;
    let output = run(Command::new(program).args(words));
    if output.status.success() { Ok(()) } else { Err(text(&output.stderr)) }
}

/// Whether this system gives us namespaces.
pub(crate) fn try_namespace() -> Result<(), String> {
    Namespace::make().map(drop)
}

/// A network of one host.
pub(crate) struct Namespace(pub(crate) String);

impl Namespace {
    pub(crate) fn make() -> Result<Self, String> {
        let made = Self(format!("talosctl-oidc-{}", number()));
        ip(&["netns", "add", &made.0])?;
        ip(&["-n", &made.0, "link", "set", "lo", "up"])?;
        Ok(made)
    }

    /// A cable between two hosts, with those addresses at its ends.
    pub(crate) fn join(&self, own: &str, other: &Self, its: &str) {
        let cable = ["link", "add", "cable", "netns", &self.0, "type", "veth"];
        ip(&[&cable[..], &["peer", "name", "cable", "netns", &other.0]].concat()).unwrap();
        for (host, address) in [(self, own), (other, its)] {
            ip(&["-n", &host.0, "address", "add", &format!("{address}/24"), "dev", "cable"])
                .unwrap();
            ip(&["-n", &host.0, "link", "set", "cable", "up"]).unwrap();
        }
    }

    /// The same command of `clean`, on this host.
    pub(crate) fn command(&self, program: impl AsRef<Path>, folder: &Folder) -> Command {
        let mut command = Command::new(found("ip").unwrap());
        command.args(["netns", "exec", &self.0]).arg(program.as_ref());
        command.env_clear().current_dir(folder.path()).stdin(std::process::Stdio::null());
        command.envs(clean("true", folder).get_envs().filter_map(|(k, v)| Some((k, v?))));
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = ip(&["netns", "delete", &self.0]);
    }
}

/// A user of this system with a home.
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) home: PathBuf,
    pub(crate) uid: u32,
}

impl User {
    pub(crate) fn make(folder: &Folder, short: &str) -> Self {
        // One at a time: the user database has one lock.
        static DATABASE: Mutex<()> = Mutex::new(());
        let name = format!("{short}-{}", number());
        let home = folder.file(&format!("home-{short}"));
        fs::create_dir(&home).unwrap();
        let make = || {
            let _one = DATABASE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let mut add = Command::new(found("useradd").unwrap());
            // The password is one that nobody can type, and the account is not locked.
            add.args(["--no-log-init", "-M", "-s", "/bin/sh", "-p", "*", "-d"]).arg(&home);
            run(add.arg(&name))
        };
        let mut made = make();
        for _ in 0..100 {
            // Another process may have the lock.
            if made.status.success() || !text(&made.stderr).contains("lock") {
                break;
            }
            sleep(Duration::from_millis(100));
            made = make();
        }
        assert!(made.status.success(), "useradd: {}", text(&made.stderr));
        let uid: u32 = done(Command::new("id").args(["-u", &name])).trim().parse().unwrap();
        let gid: u32 = done(Command::new("id").args(["-g", &name])).trim().parse().unwrap();
        chown(&home, Some(uid), Some(gid)).unwrap();
        // Nobody is kept out by the home itself.
        fs::set_permissions(&home, fs::Permissions::from_mode(0o755)).unwrap();
        Self { name, home, uid }
    }

    /// A command of this user, in the namespace of the folder and with nothing of the environment.
    pub(crate) fn command(&self, folder: &Folder, program: &Path) -> Command {
        let mut command = clean("setpriv", folder);
        command.args(["--reuid", &self.name, "--regid", &self.name, "--clear-groups"]);
        command.arg(program).env("HOME", &self.home).env("USER", &self.name);
        command.current_dir("/").env("PATH", "/usr/bin:/bin");
        command
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let remove = || run(Command::new(found("userdel").unwrap()).arg("-f").arg(&self.name));
        for _ in 0..50 {
            if remove().status.code() != Some(1) {
                return;
            }
            sleep(Duration::from_millis(100));
        }
    }
}

/// The program where every user can run it.
pub(crate) fn program_for_all(folder: &Folder) -> PathBuf {
    let program = folder.file("talosctl-oidc");
    fs::copy(env!("CARGO_BIN_EXE_talosctl-oidc"), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    program
}

/// Certificate and key of a web site at that address, signed by itself.
pub(crate) fn site_pair(folder: &Folder, address: &str) -> (PathBuf, PathBuf) {
    let (cert, key) = (folder.file("site.crt"), folder.file("site.key"));
    let mut make = openssl(folder);
    make.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
    make.args(["-noenc", "-days", "2", "-subj", "/CN=site", "-addext"]);
    make.arg(format!("subjectAltName=IP:{address}"));
    make.args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"]).arg(&key);
    done(make.arg("-out").arg(&cert));
    (cert, key)
}

/// An SSH server for one user, and a client that knows both.
pub(crate) struct Ssh {
    pub(crate) server: Process,
    /// Folder with the client as `ssh`, to be put first in `PATH`.
    pub(crate) client: PathBuf,
}

impl Ssh {
    /// Starts it in the namespace of the folder.
    pub(crate) fn start(folder: &Folder, address: &str, port: u16) -> Self {
        for name in ["host_key", "laptop_key"] {
            let mut make = clean("ssh-keygen", folder);
            done(make.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(folder.file(name)));
        }
        fs::copy(folder.file("laptop_key.pub"), folder.file("authorized_keys")).unwrap();
        let path = |name: &str| folder.file(name).display().to_string();
        // The server gives up root rights in this folder.
        fs::create_dir_all("/run/sshd").unwrap();
        let config = format!(
            "Port {port}\nListenAddress {address}\nHostKey {}\nPidFile none\nUsePAM no\n\
             AuthorizedKeysFile {}\nStrictModes no\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nAllowTcpForwarding yes\nLogLevel VERBOSE\n",
            path("host_key"),
            path("authorized_keys")
        );
        let mut server = clean(found("sshd").unwrap(), folder);
        server.args(["-D", "-e", "-f"]).arg(folder.write("sshd_config", config));
        let server = Process::start("sshd", &mut server);
        server.line_with(&format!("Server listening on {address} port {port}"), SOON);

        let host = folder.read("host_key.pub");
        folder.write("known_hosts", format!("[{address}]:{port} {host}{address} {host}"));
        let config = folder.write(
            "ssh_config",
            format!(
                "Host *\n  IdentityFile {}\n  IdentitiesOnly yes\n  UserKnownHostsFile {}\n  \
                 GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking yes\n  BatchMode yes\n",
                path("laptop_key"),
                path("known_hosts")
            ),
        );
        let client = folder.file("laptop-bin");
        fs::create_dir(&client).unwrap();
        let lines =
            format!("exec {} -F {} \"$@\"", found("ssh").unwrap().display(), config.display());
        shell_script(&client.join("ssh"), &lines);
        Self { server, client }
    }
}
