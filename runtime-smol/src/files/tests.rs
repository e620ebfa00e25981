use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::thread;
use std::time::{Duration, SystemTime};

use super::*;

/// A directory of its own for one test, removed at its end.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        let name = u64::from_le_bytes(*crate::entropy::draw::<8>().unwrap().into_bytes());
        let path = std::env::temp_dir().join(format!("exchange-smol-{name:016x}"));
        create_private_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_new_file_gets_the_mode_and_an_old_one_keeps_its_own() {
    let dir = Scratch::new();
    let path = dir.path("config");
    write_atomic(&path, b"one", 0o600).unwrap();
    assert_eq!(mode(&path), 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    write_atomic(&path, b"two", 0o600).unwrap();
    assert_eq!((mode(&path), fs::read(&path).unwrap()), (0o640, b"two".to_vec()));
    for (open, wanted, left) in
        [(0o644, 0o600, 0o600), (0o644, 0o644, 0o644), (0o400, 0o644, 0o400)]
    {
        fs::set_permissions(&path, fs::Permissions::from_mode(open)).unwrap();
        write_atomic(&path, b"two", wanted).unwrap();
        assert_eq!(mode(&path), left, "{open:o} where {wanted:o} is wanted");
    }
    let change = |old: Option<&[u8]>| {
        Ok::<_, FileError>(Some(Zeroizing::new([old.unwrap_or_default(), b"!"].concat())))
    };
    for kept in [0o644, 0o660, 0o400] {
        fs::set_permissions(&path, fs::Permissions::from_mode(kept)).unwrap();
        assert!(update(&path, Update::default(), change).unwrap());
        assert_eq!(mode(&path), kept, "an update is of somebody else's file");
    }
    fs::remove_file(&path).unwrap();
    assert!(update(&path, Update::default(), change).unwrap());
    assert_eq!(mode(&path), 0o600);
    fs::remove_file(sibling(&path, ".lock").unwrap()).unwrap();
    assert_eq!(names(&dir.path("")), ["config"]);
}

#[test]
fn the_file_behind_a_link_is_replaced_and_the_link_stays() {
    let dir = Scratch::new();
    create_private_dir(&dir.path("repo")).unwrap();
    let real = dir.path("repo/config");
    fs::write(&real, "old").unwrap();
    let (link, second) = (dir.path("link"), dir.path("second"));
    symlink("repo/config", &link).unwrap();
    symlink("link", &second).unwrap();
    write_atomic(&second, b"new", 0o600).unwrap();
    assert_eq!(fs::read(&real).unwrap(), b"new");
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    let dangling = dir.path("dangling");
    symlink("repo/absent", &dangling).unwrap();
    write_atomic(&dangling, b"made", 0o600).unwrap();
    assert_eq!(fs::read(dir.path("repo/absent")).unwrap(), b"made");
    let circle = dir.path("circle");
    symlink("circle", &circle).unwrap();
    assert_eq!(write_atomic(&circle, b"x", 0o600).unwrap_err().problem, FileProblem::LinkLoop);
}

#[test]
fn what_cannot_be_written_is_named_and_nothing_is_left() {
    let dir = Scratch::new();
    let path = dir.path("");
    let error = write_atomic(&dir.path("absent/config"), b"x", 0o600).unwrap_err();
    assert_eq!((error.problem, error.code()), (FileProblem::NotFound, "file.not_found"));
    create_private_dir(&dir.path("config")).unwrap();
    let error = write_atomic(&dir.path("config"), b"x", 0o600).unwrap_err();
    assert_eq!((error.problem, error.code()), (FileProblem::NotAFile, "file.not_writable"));
    assert!(error.to_string().contains("config"));
    assert_eq!(names(&path), ["config"]);
}

#[test]
fn readers_never_see_a_mixture() {
    let dir = Scratch::new();
    let path = dir.path("config");
    let content = |letter: u8| vec![letter; 20_000];
    write_atomic(&path, &content(b'a'), 0o600).unwrap();
    thread::scope(|scope| {
        for letter in *b"bcde" {
            let path = &path;
            scope.spawn(move || {
                for _ in 0..20 {
                    write_atomic(path, &content(letter), 0o600).unwrap();
                }
            });
        }
        for _ in 0..200 {
            let seen = fs::read(&path).unwrap();
            assert_eq!(seen, content(seen[0]));
        }
    });
    assert_eq!(names(&dir.path("")), ["config"]);
}

#[test]
fn updates_of_parallel_writers_all_count() {
    let dir = Scratch::new();
    let path = dir.path("counter");
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..10 {
                    let options = Update { lock_millis: 60_000, ..Update::default() };
                    update::<FileError>(&path, options, |old| {
                        let count = old.map_or(0, <[u8]>::len);
                        Ok(Some(Zeroizing::new(vec![b'x'; count + 1])))
                    })
                    .unwrap();
                }
            });
        }
    });
    assert_eq!(fs::read(&path).unwrap().len(), 80);
    let unchanged = update::<FileError>(&path, Update::default(), |_| Ok(None)).unwrap();
    assert!(!unchanged);
}

#[test]
fn a_lock_excludes_until_dropped() {
    let dir = Scratch::new();
    let path = dir.path("config");
    let first = FileLock::acquire(&path, 0).unwrap();
    let error = FileLock::acquire(&path, 30).unwrap_err();
    assert_eq!((error.problem, error.code()), (FileProblem::Busy { millis: 30 }, "file.locked"));
    drop(first);
    FileLock::acquire(&path, 0).unwrap();
}

#[test]
fn a_lock_is_not_taken_through_a_link() {
    let dir = Scratch::new();
    let (path, elsewhere) = (dir.path("file"), dir.path("elsewhere"));
    std::os::unix::fs::symlink(&elsewhere, dir.path(".file.lock")).unwrap();
    assert_eq!(FileLock::acquire(&path, 0).unwrap_err().code(), "file.not_writable");
    assert!(!elsewhere.exists());
}

#[test]
fn a_try_leaves_nothing_behind() {
    let dir = Scratch::new();
    let path = dir.path("file");
    try_room(&path, 100_000).unwrap();
    assert!(names(&dir.path("")).is_empty());
    write_atomic(&path, b"x", 0o600).unwrap();
    try_room(&path, 100_000).unwrap();
    assert_eq!(names(&dir.path("")), ["file"]);
    let nowhere = try_room(&dir.path("absent/file"), 1).unwrap_err();
    assert_eq!((nowhere.problem, nowhere.action), (FileProblem::NotFound, FileAction::Write));
}

#[test]
fn reading_has_a_cap() {
    let dir = Scratch::new();
    let path = dir.path("file");
    fs::write(&path, [0; 100]).unwrap();
    assert_eq!(read(&path, 100).unwrap().len(), 100);
    let error = read(&path, 99).unwrap_err();
    assert_eq!(error.problem, FileProblem::TooLarge { bytes_max: 99 });
    assert_eq!(read(&dir.path(""), 9).unwrap_err().problem, FileProblem::NotAFile);
    assert_eq!(read_if_there(&dir.path("absent"), 9), Ok(None));
    // Endless, and without a length to look at.
    assert_eq!(read(Path::new("/dev/zero"), 10).unwrap_err().code(), "file.too_large");
}

#[test]
fn a_set_is_written_whole_or_not_at_all() {
    let dir = Scratch::new();
    let path = dir.path("");
    create_private_dir(&dir.path("taken")).unwrap();
    let bad = write_set(&path, &[("one", b"1", 0o600), ("taken", b"2", 0o600)]);
    assert_eq!(bad.unwrap_err().problem, FileProblem::NotAFile);
    assert_eq!(names(&path), ["taken"]);
    write_set(&path, &[("one", b"1", 0o600), ("two", b"2", 0o644)]).unwrap();
    assert_eq!(names(&path), ["one", "taken", "two"]);
    assert_eq!((mode(&dir.path("one")), mode(&dir.path("two"))), (0o600, 0o644));
}

#[test]
fn leftovers_of_killed_writers_go_after_an_hour() {
    let dir = Scratch::new();
    let old = dir.path(".config.0123456789abcdef.tmp");
    let young = dir.path(".config.fedcba9876543210.tmp");
    let foreign = dir.path(".config.mine.tmp");
    for path in [&old, &young, &foreign] {
        fs::write(path, "secret").unwrap();
    }
    let long_ago = SystemTime::now() - Duration::from_secs(7200);
    for path in [&old, &foreign] {
        File::options().write(true).open(path).unwrap().set_modified(long_ago).unwrap();
    }
    write_atomic(&dir.path("config"), b"x", 0o600).unwrap();
    assert!(!old.exists() && young.exists() && foreign.exists());
}

#[test]
fn the_open_ones_are_told() {
    let dir = Scratch::new();
    let path = dir.path("key");
    write_atomic(&path, b"x", 0o600).unwrap();
    assert_eq!(open_to_others(&path), None);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(open_to_others(&path), Some(0o644));
    assert!(fs::metadata(&path).unwrap().uid() == fs::metadata(dir.path("")).unwrap().uid());
}
