//! The regression gate: instructions of our own against `baseline.json`.
//!
//! What the cryptography and the C library cost depends on the processor and the system valgrind
//! runs on; what we do around them does not, so only that is compared.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Map, Value};

/// Growth that is let pass: another compiler arranges things a little differently.
const TOLERANCE: f64 = 1.03;
/// And for pieces of a few hundred instructions, that many of them.
const SLACK: f64 = 50.0;

/// The piece that is made slower on purpose, to see that the gate notices.
pub const TRIAL: &str = "refuse_expired";

/// Instructions of our own for one call, by the name of the piece.
pub type Own = Vec<(&'static str, f64)>;

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("baseline.json")
}

/// Takes what was counted as the new measure.
pub fn write(counted: &Own) -> ExitCode {
    let mut known = read().unwrap_or_default();
    known.extend(counted.iter().map(|(name, own)| ((*name).to_owned(), own.round().into())));
    let text = serde_json::to_string_pretty(&Value::Object(known)).expect("numbers are JSON");
    match std::fs::write(file(), text + "\n") {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", file().display());
            ExitCode::FAILURE
        }
    }
}

/// Whether this is more than the tolerance lets pass; so is what no baseline is known of.
fn has_grown(own: f64, before: Option<f64>) -> bool {
    !before.is_some_and(|before| own <= before * TOLERANCE + SLACK)
}

/// Fails where something grew beyond the tolerance, and where it would not notice: `slowed` is what
/// [`TRIAL`] takes when one call in ten is made twice.
pub fn check(counted: &Own, slowed: f64) -> ExitCode {
    let Some(known) = read() else {
        eprintln!("{} cannot be read: make it with --accept", file().display());
        return ExitCode::FAILURE;
    };
    let mut verdict = ExitCode::SUCCESS;
    println!("{:<24} {:>12} {:>12} {:>8}", "piece", "instructions", "baseline", "ratio");
    for (name, own) in counted {
        let before = known.get(*name).and_then(Value::as_f64);
        let told = before.map_or("-".into(), |before| format!("{:.3}", own / before));
        println!("{name:<24} {own:>12.0} {:>12.0} {told:>8}", before.unwrap_or(0.0));
        if has_grown(*own, before) {
            eprintln!("{name}: costs more than baseline.json says. If that is wanted: --accept");
            verdict = ExitCode::FAILURE;
        }
    }
    let before = known.get(TRIAL).and_then(Value::as_f64);
    if before.is_some() && has_grown(slowed, before) {
        println!("{TRIAL}, a tenth slower on purpose ({slowed:.0}): noticed");
    } else {
        eprintln!("{TRIAL}, a tenth slower on purpose ({slowed:.0}): NOT noticed. Use --accept");
        verdict = ExitCode::FAILURE;
    }
    verdict
}

fn read() -> Option<Map<String, Value>> {
    let text = std::fs::read_to_string(file()).ok()?;
    serde_json::from_str(&text).ok()
}
