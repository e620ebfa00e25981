//! Reads a folder of cases, one a file, and tells every case that fails, by its name.

use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};

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

/// Compares what came out with what the case says.
///
/// # Errors
/// Both, where they differ.
pub(crate) fn same<T: PartialEq + Debug>(found: &T, expected: &T) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{found:?}, expected {expected:?}")) }
}
