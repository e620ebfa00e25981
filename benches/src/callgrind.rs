//! Instructions of one call, counted by valgrind: the difference between many calls and few, so
//! that what comes before and after them does not count.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use exchange_bench::{BENCHES, Make, Run};

use crate::table::{Beside, Measured};

/// First argument of the program when valgrind runs it: `--count NAME INDEX CALLS`.
pub const CHILD: &str = "--count";

const FEW: u64 = 3;
const MANY: u64 = 13;

/// Instructions of one run or one call.
#[derive(Clone, Copy, Default)]
pub struct Counts {
    /// All of them.
    pub all: f64,
    /// Those of this program outside ring: what another processor or another C library, for which
    /// other code is chosen at run time, does not change.
    pub own: f64,
}

/// Ours, floor and peers in order.
fn runs(make: Make) -> Vec<Run> {
    let bench = make();
    let peers = bench.peers.into_iter().map(|(_, run)| run);
    [bench.ours].into_iter().chain(bench.floor).chain(peers).collect()
}

/// Under valgrind: calls one closure.
pub fn child() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(2).collect();
    let [name, index, calls] = args.as_slice() else { return ExitCode::from(2) };
    let make = BENCHES.iter().find(|(known, _)| known == name).map(|(_, make)| *make);
    let (Some(make), Ok(index), Ok(calls)) = (make, index.parse(), calls.parse::<u64>()) else {
        return ExitCode::from(2);
    };
    let Some(mut run) = runs(make).into_iter().nth(index) else { return ExitCode::from(2) };
    for _ in 0..calls {
        run();
    }
    ExitCode::SUCCESS
}

/// Counts every closure of a piece.
pub fn count(name: &'static str, make: Make) -> Result<Measured, String> {
    let bench = make();
    let ours = ours(name)?.all;
    let beside = |index| {
        each(name, index).map(|Counts { all, .. }| Beside { cost: all, of_ours: all / ours })
    };
    let floor = bench.floor.is_some().then(|| beside(1)).transpose()?;
    let first_peer = 1 + usize::from(floor.is_some());
    let labels = bench.peers.iter().map(|(label, _)| *label).enumerate();
    let peers: Result<Vec<_>, String> =
        labels.map(|(at, label)| Ok((label, beside(first_peer + at)?))).collect();
    Ok(Measured { name, ours, floor, peers: peers?, aim: bench.aim })
}

/// Instructions of one call of ours.
pub fn ours(name: &str) -> Result<Counts, String> {
    each(name, 0)
}

/// The same when one call in ten is made twice: what the gate has to notice.
pub fn a_tenth_slower(name: &str) -> Result<Counts, String> {
    between(name, 0, MANY + (MANY - FEW) / 10)
}

fn each(name: &str, index: usize) -> Result<Counts, String> {
    between(name, index, MANY)
}

/// By call, where `made` calls pass for [`MANY`].
fn between(name: &str, index: usize, made: u64) -> Result<Counts, String> {
    let (few, many) = (instructions(name, index, FEW)?, instructions(name, index, made)?);
    let calls = f64::from(u32::try_from(MANY - FEW).map_err(|error| error.to_string())?);
    Ok(Counts { all: (many.all - few.all) / calls, own: (many.own - few.own) / calls })
}

fn instructions(name: &str, index: usize, calls: u64) -> Result<Counts, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let profile = Temporary::new();
    let output = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", profile.0.display()))
        .arg(&program)
        .args([CHILD, name, &index.to_string(), &calls.to_string()])
        .output()
        .map_err(|error| format!("valgrind does not start ({error}): install it"))?;
    let counts = std::fs::read_to_string(&profile.0).map(|text| sum(&text, &program));
    counts.ok().filter(|counts| counts.all > 0.0).ok_or_else(|| {
        format!("valgrind counted nothing for {name}:\n{}", String::from_utf8_lossy(&output.stderr))
    })
}

/// A file that goes with the value.
struct Temporary(PathBuf);

impl Temporary {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("exchange-bench.{}.callgrind", std::process::id())))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Adds up a profile (format: valgrind manual, "Callgrind Format Specification"): lines of object,
/// file and function, then costs. A name is given once with a number, later by its number alone.
fn sum(profile: &str, program: &Path) -> Counts {
    let program = program.display().to_string();
    let (mut objects, mut files) = (Names::default(), Names::default());
    let mut functions = Names::default();
    let (mut in_program, mut ring_file, mut ring_function) = (false, false, false);
    let (mut counts, mut of_call) = (Counts::default(), false);
    for line in profile.lines() {
        match line.split_once('=') {
            Some(("ob", name)) => in_program = objects.resolve(name) == program,
            // `fi` and `fe`: code of another file, inlined; the function stays the same.
            Some(("fl" | "fi" | "fe", name)) => ring_file = is_ring(&files.resolve(name)),
            Some(("fn", name)) => ring_function = is_ring(&functions.resolve(name)),
            Some(("cob", name)) => drop(objects.resolve(name)),
            Some(("cfi" | "cfl", name)) => drop(files.resolve(name)),
            Some(("cfn", name)) => drop(functions.resolve(name)),
            // The next line is what the called function costs, which is counted there.
            Some(("calls", _)) => of_call = true,
            Some(_) => {}
            None if line
                .starts_with(['+', '-', '*', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']) =>
            {
                let cost = line.split(' ').nth(1).and_then(|cost| cost.parse::<f64>().ok());
                if let (Some(cost), false) = (cost, of_call) {
                    counts.all += cost;
                    if in_program && !ring_file && !ring_function {
                        counts.own += cost;
                    }
                }
                of_call = false;
            }
            None => {}
        }
    }
    counts
}

/// Whether this is a file or a function of ring.
fn is_ring(name: &str) -> bool {
    name.contains("/ring-0.") || name.contains("ring::") || name.contains("ring_core_")
}

/// Names by number.
#[derive(Default)]
struct Names(HashMap<String, String>);

impl Names {
    /// `(3) name` is remembered, `(3)` is looked up.
    fn resolve(&mut self, text: &str) -> String {
        match text.split_once(' ') {
            Some((number, name)) if number.starts_with('(') => {
                self.0.insert(number.to_owned(), name.to_owned());
                name.to_owned()
            }
            _ => self.0.get(text).cloned().unwrap_or_else(|| text.to_owned()),
        }
    }
}
