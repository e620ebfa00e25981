//! Instructions of one call, counted by valgrind: the difference between many calls and few, so
//! that what comes before and after them does not count.

use std::process::{Command, ExitCode};

use exchange_bench::{BENCHES, Make, Run};

use crate::table::Measured;

/// First argument of the program when valgrind runs it: `--count NAME INDEX CALLS`.
pub const CHILD: &str = "--count";

const FEW: u64 = 3;
const MANY: u64 = 13;

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
    let each = |index: usize| {
        let (few, many) = (instructions(name, index, FEW)?, instructions(name, index, MANY)?);
        let calls = u32::try_from(MANY - FEW).map_err(|error| error.to_string())?;
        Ok::<_, String>((many - few) / f64::from(calls))
    };
    let ours = each(0)?;
    let floor = bench.floor.is_some().then(|| each(1)).transpose()?;
    let first_peer = 1 + usize::from(floor.is_some());
    let labels = bench.peers.iter().map(|(label, _)| *label).enumerate();
    let peers: Result<Vec<_>, String> =
        labels.map(|(at, label)| Ok((label, each(first_peer + at)?))).collect();
    Ok(Measured { name, ours, floor, peers: peers?, aim: bench.aim })
}

fn instructions(name: &str, index: usize, calls: u64) -> Result<f64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args([CHILD, name, &index.to_string(), &calls.to_string()])
        .output()
        .map_err(|error| format!("valgrind does not start ({error}): install it"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    let counted = text.lines().find_map(|line| line.split_once("Collected :"));
    counted
        .and_then(|(_, count)| count.trim().parse().ok())
        .ok_or_else(|| format!("valgrind counted nothing for {name}:\n{text}"))
}
