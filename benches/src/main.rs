//! Measures every piece beside its floor and its peers, all in one run, and prints the ratios.
//!
//! ```text
//! exchange-bench [--rounds N] [NAME…]        wall time, best of N interleaved rounds (200)
//! exchange-bench --callgrind [NAME…]         instructions through valgrind
//! exchange-bench --callgrind --check         fails where our own instructions grew (baseline.json)
//! exchange-bench --callgrind --accept        writes baseline.json anew
//! ```

mod baseline;
mod callgrind;
mod table;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use exchange_bench::{BENCHES, Bench, Make, Run};
use table::{Beside, Measured, Unit};

/// How long one closure runs in one round: short, so that some rounds meet no interruption.
const SLICE: Duration = Duration::from_millis(1);

struct Options {
    rounds: usize,
    callgrind: bool,
    check: bool,
    accept: bool,
    names: Vec<String>,
}

fn options() -> Result<Options, String> {
    let mut options =
        Options { rounds: 200, callgrind: false, check: false, accept: false, names: vec![] };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--rounds" => {
                let count = args.next().and_then(|count| count.parse().ok());
                options.rounds = count.filter(|n| *n > 0).ok_or("--rounds wants a number")?;
            }
            "--callgrind" => options.callgrind = true,
            "--check" => options.check = true,
            "--accept" => options.accept = true,
            name if BENCHES.iter().any(|(known, _)| *known == name) => options.names.push(arg),
            other => return Err(format!("unknown: {other}")),
        }
    }
    if (options.check || options.accept) && !options.callgrind {
        return Err("--check and --accept are for --callgrind".into());
    }
    Ok(options)
}

fn main() -> ExitCode {
    // What valgrind runs: one closure, that many times.
    if std::env::args().nth(1).as_deref() == Some(callgrind::CHILD) {
        return callgrind::child();
    }
    let options = match options() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let wanted = |name: &str| options.names.is_empty() || options.names.iter().any(|n| n == name);
    let chosen: Vec<_> = BENCHES.iter().filter(|(name, _)| wanted(name)).collect();
    if !options.callgrind {
        let measured: Vec<Measured> =
            chosen.iter().map(|(_, make)| wall_time(*make, options.rounds)).collect();
        table::print(&measured, Unit::Nanoseconds);
        return ExitCode::SUCCESS;
    }
    let done = if options.check || options.accept {
        let own = chosen.iter().map(|(name, _)| Ok((*name, callgrind::ours(name)?.own)));
        let own = own.collect::<Result<baseline::Own, String>>();
        if options.accept {
            own.map(|own| baseline::write(&own))
        } else {
            let slowed = callgrind::a_tenth_slower(baseline::TRIAL).map(|slowed| slowed.own);
            own.and_then(|own| Ok(baseline::check(&own, slowed?)))
        }
    } else {
        let counted = chosen.iter().map(|(name, make)| callgrind::count(name, *make));
        counted.collect::<Result<Vec<Measured>, String>>().map(|counted| {
            table::print(&counted, Unit::Instructions);
            ExitCode::SUCCESS
        })
    };
    done.unwrap_or_else(|error| {
        eprintln!("{error}");
        ExitCode::FAILURE
    })
}

/// Best nanoseconds of each closure over interleaved rounds. Ratios are made within each round,
/// where what the machine does meets all of them alike, and their median counts.
fn wall_time(make: Make, rounds: usize) -> Measured {
    let Bench { name, ours, floor, peers, aim } = make();
    let labels: Vec<&str> = peers.iter().map(|(label, _)| *label).collect();
    let has_floor = floor.is_some();
    let mut runs: Vec<Run> =
        [ours].into_iter().chain(floor).chain(peers.into_iter().map(|(_, run)| run)).collect();
    let batches: Vec<u32> = runs.iter_mut().map(batch).collect();
    let mut times = vec![Vec::with_capacity(rounds); runs.len()];
    for _ in 0..rounds {
        for (run, (batch, times)) in runs.iter_mut().zip(batches.iter().zip(&mut times)) {
            times.push(time(run, *batch));
        }
    }
    let best = |times: &[f64]| times.iter().copied().fold(f64::INFINITY, f64::min);
    let (ours, others) = times.split_first().expect("ours is always there");
    let mut others = others.iter().map(|times| {
        let ratios = times.iter().zip(ours).map(|(other, ours)| other / ours).collect();
        Beside { cost: best(times), of_ours: median(ratios) }
    });
    let floor = if has_floor { others.next() } else { None };
    let peers = labels.into_iter().zip(others).collect();
    Measured { name, ours: best(ours), floor, peers, aim }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Nanoseconds a call.
fn time(run: &mut Run, calls: u32) -> f64 {
    let start = Instant::now();
    for _ in 0..calls {
        run();
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(calls)
}

/// How many calls fill a slice.
fn batch(run: &mut Run) -> u32 {
    let mut calls = 1;
    loop {
        let start = Instant::now();
        time(run, calls);
        if start.elapsed() * 2 > SLICE || calls > 1 << 24 {
            return calls;
        }
        calls *= 2;
    }
}
