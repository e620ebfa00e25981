//! Mutation of what decides, in minutes: the mutants of cargo-mutants, woven into one build.
//!
//! ```text
//! cargo run --release --manifest-path .ci/mutants/Cargo.toml [-- [--again] [PATTERN…]]
//! ```
//!
//! `cargo mutants` builds the crate once for each of a thousand mutants, which takes hours. This
//! takes its list (and its exclusions, from `.cargo/mutants.toml`), builds once, and runs the
//! tests with one mutant alive after the other. What cannot be woven, such as constants, is named
//! at the end with the command that runs it. `--again` runs only what survived the last time.

mod build;
mod list;
mod run;
mod weave;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use list::Mutant;
use run::Verdict;

fn main() -> ExitCode {
    match work() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

/// Whether every mutant was noticed.
fn work() -> Result<bool, String> {
    let mut patterns: Vec<String> = std::env::args().skip(1).collect();
    let again = patterns.iter().position(|arg| arg == "--again").map(|at| patterns.remove(at));
    let root = root()?;
    let folder = root.join("target/mutants");
    let mutants = list::list(&root)?;
    let survived = folder.join("survived");
    if again.is_some() {
        let text = std::fs::read_to_string(&survived).map_err(|error| error.to_string())?;
        patterns.extend(text.lines().map(str::to_owned));
    }
    let built = build::build(&root, &folder, &mutants)?;
    let wanted = |mutant: &&Mutant| {
        patterns.is_empty() || patterns.iter().any(|pattern| mutant.name.contains(pattern.as_str()))
    };
    let chosen: Vec<&Mutant> = mutants.iter().filter(wanted).collect();
    let count = chosen.len();
    println!(
        "{count} of {} mutants ({} of all do not compile, {} are not woven), {} test programs",
        mutants.len(),
        built.unviable.len(),
        built.left.len(),
        built.programs.len()
    );
    let mut counts = [0_usize; 5];
    let (mut missed, mut left) = (vec![], vec![]);
    for (at, mutant) in chosen.into_iter().enumerate() {
        let verdict = if built.unviable.contains(&mutant.number) {
            Verdict::Unviable
        } else if built.left.contains(&mutant.number) {
            left.push(mutant);
            Verdict::Left
        } else {
            run::judge(&built.programs, mutant)
        };
        counts[verdict as usize] += 1;
        if matches!(verdict, Verdict::Missed) {
            println!("MISSED {} of {count}: {}", at + 1, mutant.name);
            missed.push(mutant.name.as_str());
        } else if matches!(verdict, Verdict::Timeout) {
            println!("time-out: {}", mutant.name);
        }
    }
    std::fs::write(&survived, missed.join("\n")).map_err(|error| error.to_string())?;
    let [caught, timeouts, unviable, ..] = counts;
    println!(
        "caught {caught}, timeouts {timeouts}, unviable {unviable}, missed {}, not woven {}",
        missed.len(),
        left.len()
    );
    for mutant in &left {
        println!(
            "not woven, run it alone: cargo mutants --workspace --re '{}'",
            mutant.plain_name()
        );
    }
    Ok(missed.is_empty())
}

fn root() -> Result<PathBuf, String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.join("../..").canonicalize().map_err(|error| error.to_string())
}
