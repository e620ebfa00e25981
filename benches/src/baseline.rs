//! The regression gate: instructions of ours without those of the floor, against `baseline.json`.
//!
//! What the cryptography costs depends on the processor valgrind runs on; what we add to it hardly
//! does, so only that is compared.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Map, Value};

use crate::table::Measured;

/// Growth that is let pass: allocators and system libraries differ a little.
const TOLERANCE: f64 = 1.05;

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("baseline.json")
}

fn own_share(measured: &Measured) -> f64 {
    measured.ours - measured.floor.unwrap_or(0.0)
}

/// Takes what was counted as the new measure.
pub fn write(counted: &[Measured]) -> ExitCode {
    let own = counted.iter().map(|m| (m.name.to_owned(), own_share(m).round().into()));
    let mut known = read().unwrap_or_default();
    known.extend(own);
    let text = serde_json::to_string_pretty(&Value::Object(known)).expect("numbers are JSON");
    match std::fs::write(file(), text + "\n") {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", file().display());
            ExitCode::FAILURE
        }
    }
}

/// Fails where something grew beyond the tolerance.
pub fn check(counted: &[Measured]) -> ExitCode {
    let Some(known) = read() else {
        eprintln!("{} cannot be read: make it with --accept", file().display());
        return ExitCode::FAILURE;
    };
    let mut verdict = ExitCode::SUCCESS;
    for measured in counted {
        let own = own_share(measured);
        match known.get(measured.name).and_then(Value::as_f64) {
            Some(before) if own <= before * TOLERANCE => {}
            Some(before) => {
                eprintln!(
                    "{}: {own:.0} instructions of our own, {before:.0} before",
                    measured.name
                );
                verdict = ExitCode::FAILURE;
            }
            None => {
                eprintln!("{}: not in baseline.json", measured.name);
                verdict = ExitCode::FAILURE;
            }
        }
    }
    verdict
}

fn read() -> Option<Map<String, Value>> {
    let text = std::fs::read_to_string(file()).ok()?;
    serde_json::from_str(&text).ok()
}
