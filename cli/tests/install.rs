//! `install.sh` against releases in a folder: what it installs, and what it refuses to.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failing test should stop at the line that failed"
)]
#![allow(clippy::print_stderr, reason = "a skipped test has to say so")]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

use ring::digest::{SHA256, digest};

/// Stands for the program: all the script asks of it is `version`.
const PROGRAM: &str = "#!/bin/sh\necho \"talosctl-oidc v9.9.9 ($*)\"\n";
const TOOLS: [&str; 12] =
    ["sh", "curl", "uname", "mktemp", "mkdir", "cp", "mv", "rm", "chmod", "awk", "cut", "sed"];

fn find(name: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).map(|dir| dir.join(name)).find(|path| path.is_file())
}

fn asset() -> String {
    let os = match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("talosctl-oidc-{os}-{arch}")
}

fn sha256(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A folder with a release in it, and an empty place to install to.
struct Site(PathBuf);

impl Site {
    /// A good release as `latest` and as `v9.9.9`; `None` where the script's tools are missing.
    fn new() -> Option<Self> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        if let Some(missing) = TOOLS.into_iter().find(|tool| find(tool).is_none()) {
            eprintln!("skipped: install.sh: {missing} is not installed");
            return None;
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let root = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("install-{}-{number}", std::process::id()));
        let site = Self(root);
        for folder in ["latest/download", "download/v9.9.9"] {
            site.write(&format!("{folder}/{}", asset()), PROGRAM);
            let sums = format!("{}  {}\n", sha256(PROGRAM.as_bytes()), asset());
            site.write(&format!("{folder}/checksums.txt"), &sums);
        }
        Some(site)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.join("releases").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn checksums(&self, text: &str) {
        self.write("latest/download/checksums.txt", text);
    }

    fn installed(&self) -> PathBuf {
        self.0.join("bin/talosctl-oidc")
    }

    fn run(&self, env: &[(&str, &str)]) -> Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../install.sh");
        Command::new("sh")
            .arg(script)
            .env_remove("VERSION")
            .env("RELEASES_URL", format!("file://{}/releases", self.0.display()))
            .env("INSTALL_DIR", self.0.join("bin"))
            .envs(env.iter().copied())
            .output()
            .unwrap()
    }

    /// Runs and wants a refusal that says `why` and leaves nothing behind.
    #[track_caller]
    fn refused(&self, env: &[(&str, &str)], why: &str) {
        let output = self.run(env);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "it went on");
        assert!(said.contains(why), "{said}");
        let left = fs::read_dir(self.0.join("bin")).map_or(0, Iterator::count);
        assert_eq!(left, 0, "something was installed");
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn installs_what_matches_its_checksum() {
    let Some(site) = Site::new() else { return };
    for env in [&[][..], &[("VERSION", "v9.9.9")]] {
        let output = site.run(env);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(said.contains("talosctl-oidc v9.9.9 (version)"), "{said}");
        assert!(said.contains("to your PATH"), "{said}");
        let mode = fs::metadata(site.installed()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755);
        assert_eq!(fs::read_dir(site.0.join("bin")).unwrap().count(), 1, "a temporary file stayed");
    }
    let output = site.run(&[("BINARY_NAME", "other")]);
    assert!(output.status.success() && site.0.join("bin/other").is_file());
}

/// D26: the original only warned in these cases.
#[test]
fn d26_refuses_what_it_cannot_check() {
    let Some(site) = Site::new() else { return };
    let (name, hash) = (asset(), sha256(PROGRAM.as_bytes()));
    for (sums, why) in [
        (format!("{}  {name}\n", sha256(b"another")), "was expected"),
        (format!("{hash}  {name}.sig\n{hash}  x{name}\n"), "no entry"),
        (format!("{hash}  {name}\n{}  {name}\n", sha256(b"another")), "no entry"),
        (format!("{}  {name}\n", &hash[..40]), "no entry"),
        (String::new(), "no entry"),
        ("<html>404</html>\n".into(), "no entry"),
    ] {
        site.checksums(&sums);
        site.refused(&[], why);
    }
    fs::remove_file(site.0.join("releases/latest/download/checksums.txt")).unwrap();
    site.refused(&[], "no checksums.txt");
    site.refused(&[("VERSION", "v0.0.1")], "there is no");
    let output = site.run(&[("INSECURE_SKIP_CHECKSUM", "yes")]);
    assert!(output.status.success() && site.installed().is_file());
    assert!(String::from_utf8_lossy(&output.stderr).contains("not checked"));
}

#[test]
fn refuses_without_a_program_that_hashes() {
    let Some(site) = Site::new() else { return };
    let tools = site.0.join("tools");
    fs::create_dir_all(&tools).unwrap();
    for tool in TOOLS {
        symlink(find(tool).unwrap(), tools.join(tool)).unwrap();
    }
    site.refused(&[("PATH", tools.to_str().unwrap())], "is needed to check");
}

#[test]
fn what_does_not_run_replaces_nothing() {
    let Some(site) = Site::new() else { return };
    assert!(site.run(&[]).status.success());
    let broken = "#!/bin/sh\nexit 1\n";
    site.write(&format!("latest/download/{}", asset()), broken);
    site.checksums(&format!("{}  {}\n", sha256(broken.as_bytes()), asset()));
    let output = site.run(&[]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("does not run"));
    assert_eq!(fs::read_to_string(site.installed()).unwrap(), PROGRAM);
    assert_eq!(fs::read_dir(site.0.join("bin")).unwrap().count(), 1, "a temporary file stayed");
}
