//! Reads a folder of cases, one a file, and tells every case that fails, by its name.
#![allow(
    dead_code,
    clippy::print_stderr,
    clippy::indexing_slicing,
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

/// Every case of `area`, by the name of its file.
///
/// # Panics
/// When fewer than `least` cases are there, or a file is not of the area's format, which knows no
/// other members than its own.
pub(crate) fn cases<C: DeserializeOwned>(area: &str, least: usize) -> Vec<(String, C)> {
    let folder = root().join(area);
    let mut paths: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .collect();
    paths.sort();
    assert!(paths.len() >= least, "{}: {} cases, {least} expected", folder.display(), paths.len());
    let read = |path: PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).unwrap();
        let case = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut odd: serde_json::Value = serde_json::from_str(&text).unwrap();
        odd["of_a_later_version"] = true.into();
        assert!(serde_json::from_value::<C>(odd).is_err(), "{name}: any member would pass");
        (name, case)
    };
    paths.into_iter().map(read).collect()
}

/// Runs `check` on every case of `area`.
///
/// # Panics
/// As [`cases`], and when a case fails.
pub(crate) fn each<C: DeserializeOwned>(
    area: &str,
    least: usize,
    check: impl Fn(&C) -> Result<(), String>,
) {
    let cases = cases::<C>(area, least);
    let failed: Vec<String> = cases
        .iter()
        .filter_map(|(name, case)| check(case).err().map(|why| format!("{area}/{name}: {why}")))
        .collect();
    assert!(failed.is_empty(), "{} of {} cases:\n{}", failed.len(), cases.len(), failed.join("\n"));
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

/// Holds what an error says against the rules for it: one line of readable text that shows nothing of
/// `hidden`.
///
/// # Errors
/// The text, where it breaks one.
pub(crate) fn clear(text: &str, hidden: &str) -> Result<(), String> {
    let readable = text.chars().all(|c| !c.is_control()) && (10..=500).contains(&text.len());
    let shows = hidden.split(['.', '\n']).any(|part| part.len() > 8 && text.contains(part));
    if readable && !shows && text.trim() == text {
        Ok(())
    } else {
        Err(format!("this is no clear message: {text:?}"))
    }
}
