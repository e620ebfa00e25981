//! Processes killed at any moment: what is on disk stays whole.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failing test should stop at the line that failed"
)]

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use exchange_smol::audit_sink::{AuditSink, AuditTarget};
use exchange_smol::files::{FileError, Update, create_private_dir, update, write_atomic};
use zeroize::Zeroizing;

const KIND: &str = "CRASH_TEST_KIND";
const PLACE: &str = "CRASH_TEST_PLACE";
const ROUNDS: u64 = 12;

fn scratch(name: &str) -> PathBuf {
    let dir = env::temp_dir().join(format!("exchange-smol-crash-{name}-{}", std::process::id()));
    create_private_dir(&dir).unwrap();
    dir
}

/// Runs this program again as a writer, kills it after a while, and gives the lines it had said.
fn killed(kind: &str, place: &Path, millis: u64) -> Vec<String> {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "writer_process", "--nocapture"])
        .env(KIND, kind)
        .env(PLACE, place)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let (say, started) = mpsc::channel();
    let lines = thread::spawn(move || {
        let mut lines = stdout.lines().map_while(Result::ok);
        // The harness says a word or two first.
        assert!(lines.any(|line| line.ends_with("started")), "the writer did not start");
        say.send(()).unwrap();
        lines.collect::<Vec<_>>()
    });
    started.recv_timeout(Duration::from_secs(60)).unwrap();
    thread::sleep(Duration::from_millis(10 + millis));
    child.kill().unwrap();
    child.wait().unwrap();
    lines.join().unwrap()
}

/// Not a test of its own: what the killed process runs.
#[test]
fn writer_process() {
    let Ok(kind) = env::var(KIND) else { return };
    let place = PathBuf::from(env::var_os(PLACE).unwrap());
    let mut out = std::io::stdout();
    writeln!(out, "started").unwrap();
    let sink =
        || AuditSink::open(AuditTarget::File { path: place.clone(), durable: false }).unwrap();
    match kind.as_str() {
        "replace" => loop {
            for letter in *b"ab" {
                write_atomic(&place, &vec![letter; 50_000], 0o600).unwrap();
            }
        },
        "update" => loop {
            update::<FileError>(&place, Update::default(), |old| {
                let count = old.map_or(0, <[u8]>::len);
                Ok(Some(Zeroizing::new(vec![b'x'; count + 1])))
            })
            .unwrap();
            writeln!(out, "+").unwrap();
        },
        _ => {
            let sink = sink();
            for number in 0_u64.. {
                let line = format!("{} {number} end\n", std::process::id());
                smol::block_on(sink.write_lines(line.clone().into_bytes())).unwrap();
                out.write_all(line.as_bytes()).unwrap();
            }
        }
    }
}

#[test]
fn a_replaced_file_is_old_or_new() {
    let dir = scratch("replace");
    let path = dir.join("file");
    for round in 0..ROUNDS {
        killed("replace", &path, round * 3);
        let Ok(bytes) = fs::read(&path) else { continue };
        assert_eq!(bytes.len(), 50_000);
        assert!(bytes.iter().all(|byte| *byte == bytes[0]));
    }
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_killed_updater_leaves_no_lock_and_loses_nothing_it_reported() {
    let dir = scratch("update");
    let path = dir.join("file");
    let mut reported = 0;
    for round in 0..ROUNDS {
        reported += killed("update", &path, round * 3).len();
        let there = fs::read(&path).map_or(0, |bytes| bytes.len());
        assert!(there >= reported, "{there} of {reported}");
    }
    assert!(reported > 0);
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn audit_lines_that_were_answered_are_there() {
    let dir = scratch("audit");
    let path = dir.join("audit.log");
    let mut answered = Vec::new();
    for round in 0..ROUNDS {
        let mut lines = killed("audit", &path, round * 3);
        // The last word on the pipe may be cut off.
        lines.retain(|line| line.ends_with("end"));
        answered.extend(lines);
    }
    assert!(!answered.is_empty());
    let text = fs::read_to_string(&path).unwrap();
    let there: std::collections::BTreeSet<_> = text.lines().collect();
    for line in &answered {
        assert!(there.contains(line.as_str()), "{line} is lost");
    }
    fs::remove_dir_all(dir).unwrap();
}
