//! Reads a folder of cases, one a file, and tells every case that fails, by its name.
#![allow(
    dead_code,
    clippy::print_stderr,
    reason = "each test uses its part of it, and says what it skipped"
)]

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use serde::de::DeserializeOwned;

/// The folder `vectors/`.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors")
}

/// Runs `check` on every case of `area`.
///
/// # Panics
/// When fewer than `least` cases are there, a file is not of the area's format, or a case fails.
pub(crate) fn each<C: DeserializeOwned>(
    area: &str,
    least: usize,
    check: impl Fn(&C) -> Result<(), String>,
) {
    let folder = root().join(area);
    let mut paths: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.ends_with("README.md"))
        .collect();
    paths.sort();
    assert!(paths.len() >= least, "{}: {} cases, {least} expected", folder.display(), paths.len());
    let mut failed = Vec::new();
    for path in &paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        assert!(name.ends_with(".json"), "{area}/{name} is no case");
        let verdict = fs::read_to_string(path)
            .map_err(|error| error.to_string())
            .and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string()))
            .and_then(|case| check(&case));
        if let Err(why) = verdict {
            failed.push(format!("{area}/{name}: {why}"));
        }
    }
    assert!(failed.is_empty(), "{} of {} cases:\n{}", failed.len(), paths.len(), failed.join("\n"));
}

/// Runs `check` on cases of `area` that `vectors/alter.py` has altered at random and judged: two
/// implementations on input that nobody has thought of. `VECTOR_SEED` and `VECTOR_COUNT` choose
/// others and more.
///
/// # Panics
/// When a case fails, or Python is not there in continuous integration.
pub(crate) fn altered<C: DeserializeOwned>(area: &str, check: impl Fn(&C) -> Result<(), String>) {
    let has = |code| {
        let python = Command::new("python3").args(["-c", code]).output();
        python.is_ok_and(|output| output.status.success())
    };
    if !has("import cryptography") {
        assert!(env::var("CI").as_deref() != Ok("true"), "python3 has no cryptography");
        eprintln!("skipped: python3 with its package cryptography not installed");
        return;
    }
    let setting = |name, usual: &str| env::var(name).unwrap_or_else(|_| usual.to_owned());
    let (seed, count) = (setting("VECTOR_SEED", "1"), setting("VECTOR_COUNT", "2000"));
    let made = Command::new("python3")
        .arg(root().join("alter.py"))
        .args([area, &seed, &count])
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let text = String::from_utf8(made.stdout).unwrap();
    let failed: Vec<String> = text
        .lines()
        .filter_map(|line| {
            let case = serde_json::from_str(line).map_err(|error| error.to_string());
            case.and_then(|case| check(&case)).err().map(|why| format!("{why}\n  {line:.3000}"))
        })
        .collect();
    assert_eq!(text.lines().count().to_string(), count);
    assert!(failed.is_empty(), "{} of {count}:\n{}", failed.len(), failed.join("\n"));
}

/// Compares what came out with what the case says.
///
/// # Errors
/// Both, where they differ.
pub(crate) fn same<T: PartialEq + Debug>(found: &T, expected: &T) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{found:?}, expected {expected:?}")) }
}
