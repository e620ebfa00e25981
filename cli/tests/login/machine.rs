//! A home of its own for each test, the program run in it, and a person with a browser.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::stub::{Stub, random};

/// A temporary home.
pub struct Home {
    pub path: PathBuf,
}

/// What a program that ended said.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// A program under way.
pub struct Running {
    pub child: Child,
    lines: Receiver<String>,
    seen: String,
    out: JoinHandle<String>,
}

impl Home {
    pub fn new() -> Self {
        let path = std::env::temp_dir().join(format!("talosctl-oidc-test-{}", random()));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&path).unwrap();
        Self { path }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub fn talosconfig(&self) -> PathBuf {
        self.file(".talos/config")
    }

    pub fn tokens(&self) -> PathBuf {
        self.file(".config/talosctl-oidc/tokens.json")
    }

    pub fn write(&self, path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// The program, in this home and with nothing of the real environment.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_talosctl-oidc"));
        command.env_clear().env("HOME", &self.path).env("PATH", "/usr/bin:/bin");
        command.env("SSL_CERT_FILE", "/dev/null");
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn run(&self, args: &[&str]) -> Ended {
        ended(self.command(args).output().unwrap())
    }

    /// `login` at that stub, by hand.
    pub fn login(&self, stub: &Stub, more: &[&str]) -> Command {
        let mut args = vec!["login", &stub.url, "--insecure", "--skip-open-browser"];
        args.extend(["--token-store", "file", "--callback-port", "0"]);
        args.extend(more);
        self.command(&args)
    }

    /// Logs in from beginning to end, with a person at it if one is needed.
    pub fn log_in(&self, stub: &Stub, more: &[&str]) -> Ended {
        let mut running = Running::start(self.login(stub, more));
        if let Some(url) = running.login_url() {
            let _ = browse(&url);
        }
        running.end()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

pub fn ended(output: std::process::Output) -> Ended {
    Ended {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Running {
    pub fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let (send, lines) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let _ = send.send(line);
            }
        });
        let mut stdout = child.stdout.take().unwrap();
        let out = thread::spawn(move || {
            let mut text = String::new();
            stdout.read_to_string(&mut text).unwrap();
            text
        });
        Self { child, lines, seen: String::new(), out }
    }

    /// Waits for a line of standard error; `None` when the program ends without one.
    pub fn wait_for(&mut self, wanted: impl Fn(&str) -> bool) -> Option<String> {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    self.seen.push_str(&line);
                    self.seen.push('\n');
                    if wanted(&line) {
                        return Some(line);
                    }
                }
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return None,
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                    panic!("nothing after 60 s; so far:\n{}", self.seen)
                }
            }
        }
    }

    /// The address that a person is asked to open.
    pub fn login_url(&mut self) -> Option<String> {
        let line = self.wait_for(|line| line.contains("/authorize?"))?;
        Some(line.trim().to_owned())
    }

    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }

    pub fn end(mut self) -> Ended {
        let until = Instant::now() + Duration::from_secs(60);
        let code = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status.code(),
                None if Instant::now() > until => {
                    self.child.kill().unwrap();
                    panic!("still running after 60 s; so far:\n{}", self.seen);
                }
                None => thread::sleep(Duration::from_millis(10)),
            }
        };
        let mut err = self.seen;
        while let Ok(line) = self.lines.recv() {
            err.push_str(&line);
            err.push('\n');
        }
        Ended { code, out: self.out.join().unwrap(), err }
    }
}

/// Follows a login page to its end, as a browser does. Gives status and text of the last page.
pub fn browse(url: &str) -> (u16, String) {
    let mut url = url.to_owned();
    for _ in 0..5 {
        let (status, location, body) = get(&url);
        match location {
            Some(location) if (300..400).contains(&status) => url = location,
            _ => return (status, body),
        }
    }
    panic!("too many redirects")
}

/// One request: status, where it leads, body.
pub fn get(url: &str) -> (u16, Option<String>, String) {
    let rest = url.strip_prefix("http://").unwrap();
    let (authority, target) = rest.split_once('/').unwrap();
    let mut tcp = TcpStream::connect(authority).unwrap();
    let head = format!("GET /{target} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n\r\n");
    tcp.write_all(head.as_bytes()).unwrap();
    let mut text = String::new();
    tcp.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let location = head.lines().find_map(|line| line.strip_prefix("location: "));
    (status, location.map(str::to_owned), body.to_owned())
}
