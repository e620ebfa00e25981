use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::files::tests::Scratch;

fn sink(path: &Path) -> AuditSink {
    AuditSink::open(AuditTarget::File { path: path.to_path_buf(), durable: false }).unwrap()
}

fn write(sink: &AuditSink, lines: &str) -> Result<(), AuditError> {
    smol::block_on(sink.write_lines(lines.as_bytes().to_vec()))
}

#[test]
fn lines_are_there_when_the_call_returns() {
    let dir = Scratch::new();
    let path = dir.path("audit.log");
    assert_eq!(AuditSink::last_line(&path).unwrap(), None);
    let sink = sink(&path);
    write(&sink, "one\n").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "one\n");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    write(&sink, "two\nthree\n").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\nthree\n");
    assert_eq!(AuditSink::last_line(&path).unwrap().unwrap(), b"three");
}

#[test]
fn parallel_requests_lose_and_mix_nothing() {
    let dir = Scratch::new();
    let path = dir.path("audit.log");
    let sink = sink(&path);
    thread::scope(|scope| {
        for n in 0..8 {
            let sink = sink.clone();
            scope.spawn(move || {
                for m in 0..100 {
                    write(&sink, &format!("{n} {m} a\n{n} {m} b\n")).unwrap();
                }
            });
        }
    });
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 1600);
    for pair in lines.chunks(2) {
        assert_eq!(pair[0].strip_suffix('a'), pair[1].strip_suffix('b'));
    }
}

#[test]
fn a_reopened_file_is_the_new_one() {
    let dir = Scratch::new();
    let (path, old) = (dir.path("audit.log"), dir.path("audit.log.1"));
    let sink = sink(&path);
    write(&sink, "before\n").unwrap();
    fs::rename(&path, &old).unwrap();
    write(&sink, "between\n").unwrap();
    smol::block_on(sink.reopen()).unwrap();
    write(&sink, "after\n").unwrap();
    assert_eq!(fs::read_to_string(&old).unwrap(), "before\nbetween\n");
    assert_eq!(fs::read_to_string(&path).unwrap(), "after\n");
    // Where nothing can be opened, the old file goes on, as long as it has a name.
    fs::rename(&path, dir.path("audit.log.2")).unwrap();
    fs::create_dir(&path).unwrap();
    assert_eq!(smol::block_on(sink.reopen()).unwrap_err().code(), "file.not_writable");
    assert_eq!(write(&sink, "still\n"), Ok(()));
}

#[test]
fn no_line_goes_to_a_file_without_a_name() {
    let dir = Scratch::new();
    let (path, old) = (dir.path("audit.log"), dir.path("audit.log.1"));
    let sink = sink(&path);
    let standing = || smol::block_on(sink.standing());
    let begin = |lines: &str| {
        let lines = lines.as_bytes().to_vec();
        smol::block_on(async { sink.begin(lines).await?.done().await })
    };
    assert_eq!((begin("one\n"), standing()), (Ok(Written::Behind), Standing::Named));
    fs::remove_file(&path).unwrap();
    assert_eq!(standing(), Standing::Deleted);
    assert_eq!((begin("two\n"), standing()), (Ok(Written::InNewFile), Standing::Named));
    assert_eq!(begin("three\n"), Ok(Written::Behind));
    assert_eq!(fs::read_to_string(&path).unwrap(), "two\nthree\n");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    // A renamed one still has a name, and waits for its signal.
    fs::rename(&path, &old).unwrap();
    assert_eq!((begin("four\n"), standing()), (Ok(Written::Behind), Standing::Moved));
    fs::write(&path, "").unwrap();
    assert_eq!(standing(), Standing::Moved);
    smol::block_on(sink.reopen()).unwrap();
    assert_eq!((begin("five\n"), standing()), (Ok(Written::Behind), Standing::Named));
    assert_eq!(fs::read_to_string(&old).unwrap(), "two\nthree\nfour\n");
    // Where no new one can be made, nothing counts as written.
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(matches!(begin("six\n"), Err(AuditError::Write(_))));
}

#[test]
fn a_torn_line_of_a_crash_stays_alone() {
    let dir = Scratch::new();
    let path = dir.path("audit.log");
    fs::write(&path, "whole\ntor").unwrap();
    assert_eq!(AuditSink::last_line(&path).unwrap().unwrap(), b"whole");
    write(&sink(&path), "next\n").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "whole\ntor\nnext\n");
}

#[test]
fn the_last_line_of_a_large_file_is_found() {
    let dir = Scratch::new();
    let path = dir.path("audit.log");
    let line = "x".repeat(999);
    fs::write(&path, format!("{line}\n").repeat(200)).unwrap();
    assert_eq!(AuditSink::last_line(&path).unwrap().unwrap(), line.as_bytes());
    fs::write(&path, format!("{}\n", "y".repeat(70_000))).unwrap();
    assert_eq!(AuditSink::last_line(&path).unwrap(), None);
}

#[test]
fn a_full_disk_is_reported() {
    if !cfg!(target_os = "linux") {
        eprintln!("skipped: only Linux has /dev/full");
        return;
    }
    let sink = sink(Path::new("/dev/full"));
    let error = write(&sink, "one\n").unwrap_err();
    assert_eq!(
        (error, error.code()),
        (AuditError::Write(io::ErrorKind::StorageFull), "audit.not_writable")
    );
}

/// A file whose disk has room for so many bytes.
struct Small(LogFile, u64);

impl LineWriter for Small {
    fn write(&mut self, lines: &[u8]) -> io::Result<Written> {
        let used = self.0.file.metadata()?.len();
        let room = usize::try_from(self.1.saturating_sub(used)).unwrap();
        if room >= lines.len() {
            return self.0.write(lines);
        }
        // What the kernel does: some of it, then the error.
        self.0.file.write_all(&lines[..room])?;
        self.0.file.set_len(used)?;
        Err(io::ErrorKind::StorageFull.into())
    }

    fn reopen(&mut self) -> Result<(), FileError> {
        self.0.reopen()
    }
}

#[test]
fn after_a_full_disk_the_next_line_is_whole() {
    let dir = Scratch::new();
    let path = dir.path("audit.log");
    let (orders, inbox) = bounded(4);
    let writer = Small(LogFile::open(path.clone(), true).unwrap(), 10);
    let thread = thread::spawn(move || serve(Box::new(writer), &inbox));
    let sink = AuditSink(orders);
    assert_eq!(write(&sink, "1234567\n"), Ok(()));
    assert_eq!(write(&sink, "too long\n"), Err(AuditError::Write(io::ErrorKind::StorageFull)));
    assert_eq!(write(&sink, "9\n"), Ok(()));
    drop(sink);
    thread.join().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "1234567\n9\n");
}
