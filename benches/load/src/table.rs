//! Servers side by side.

use std::time::Duration;

use crate::run::Outcome;

/// What was measured of one server.
pub struct Measured {
    /// Its name.
    pub name: &'static str,
    /// Size of its program in bytes.
    pub bytes: u64,
    /// The first start: keys and certificates are made and kept.
    pub first: Duration,
    /// Further starts with the provider down, sorted.
    pub ready: Vec<Duration>,
    /// Resident memory in kB: idle, under load, with idle connections.
    pub resident_kb: [u64; 3],
    /// Logins over connections that are kept.
    pub keep_alive: Outcome,
    /// Logins over a connection each.
    pub new_each: Outcome,
    /// Nanoseconds of core time of a login in each round: connection kept, and a new one.
    pub rounds: Vec<(f64, f64)>,
}

/// The floor in nanoseconds, round by round.
#[derive(Default)]
pub struct Floors {
    /// With the core of the load at rest.
    pub alone: Vec<FloorNanos>,
    /// With the core of the load at work, as it is when servers are measured.
    pub in_company: Vec<FloorNanos>,
}

/// The floor in nanoseconds.
#[derive(Clone, Copy)]
pub struct FloorNanos {
    /// Of one login.
    pub login: f64,
    /// Of one handshake.
    pub handshake: f64,
}

impl FloorNanos {
    fn keep_alive(&self) -> f64 {
        self.login
    }

    fn new_each(&self) -> f64 {
        self.login + self.handshake
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// The share of the floor that a server reaches: the middle one of all rounds, each compared with
/// the floor of its own.
fn of_floor(
    floors: &[FloorNanos],
    floor: fn(&FloorNanos) -> f64,
    rounds: &[(f64, f64)],
    ours: fn(&(f64, f64)) -> f64,
) -> f64 {
    median(floors.iter().zip(rounds).map(|(one, round)| floor(one) / ours(round)).collect())
}

fn row(label: &str, cells: impl IntoIterator<Item = String>) {
    print!("{label:<44}");
    for cell in cells {
        print!("{cell:>16}");
    }
    println!();
}

fn micros(value: u32) -> String {
    format!("{:.2} ms", f64::from(value) / 1000.0)
}

fn megabytes(kb: u64) -> String {
    format!("{:.2} MB", kb as f64 * 1024.0 / 1e6)
}

/// Prints everything; `idle` is how many idle connections were held.
pub fn print(all: &[Measured], floors: &Floors, idle: usize) {
    let each = |cell: &dyn Fn(&Measured) -> String| all.iter().map(cell).collect::<Vec<_>>();
    row("", each(&|m| m.name.into()));
    row("size of the program", each(&|m| megabytes(m.bytes / 1024)));
    row(
        "first start to first answer, provider down",
        each(&|m| format!("{:.1} ms", m.first.as_secs_f64() * 1e3)),
    );
    row(
        "further starts, median",
        each(&|m| {
            let middle = m.ready.get(m.ready.len() / 2).copied().unwrap_or_default();
            format!("{:.1} ms", middle.as_secs_f64() * 1e3)
        }),
    );
    row(
        "  the best of them",
        each(&|m| {
            let best = m.ready.first().copied().unwrap_or_default();
            format!("{:.1} ms", best.as_secs_f64() * 1e3)
        }),
    );
    row("resident, idle", each(&|m| megabytes(m.resident_kb[0])));
    row("resident, after load", each(&|m| megabytes(m.resident_kb[1])));
    row(&format!("resident, {idle} idle connections"), each(&|m| megabytes(m.resident_kb[2])));
    type Of = fn(&Measured) -> &Outcome;
    type OfFloor = fn(&FloorNanos) -> f64;
    type OfRound = fn(&(f64, f64)) -> f64;
    let kinds: [(&str, Of, OfFloor, OfRound); 2] = [
        ("keep-alive", |m| &m.keep_alive, FloorNanos::keep_alive, |round| round.0),
        ("new connection each", |m| &m.new_each, FloorNanos::new_each, |round| round.1),
    ];
    for (title, of, floor, round) in kinds {
        let us = |floors: &[FloorNanos]| median(floors.iter().map(floor).collect()) / 1e3;
        let (alone, company) = (us(&floors.alone), us(&floors.in_company));
        println!("\n{title}; floor {company:.1} us ({alone:.1} us with the other core at rest)");
        row("  logins a second", each(&|m| format!("{:.0}", of(m).rate())));
        row("  median", each(&|m| micros(of(m).quantile(0.5))));
        row("  99 of 100 under", each(&|m| micros(of(m).quantile(0.99))));
        row("  core time a login", each(&|m| format!("{:.1} us", of(m).cpu_nanos() / 1e3)));
        row("  logins a second of core time", each(&|m| format!("{:.0}", 1e9 / of(m).cpu_nanos())));
        let share = |floors: &[FloorNanos], m: &Measured| {
            format!("{:.2}", of_floor(floors, floor, &m.rounds, round))
        };
        row("  of the floor, by core time", each(&|m| share(&floors.in_company, m)));
        row("  of that with the other core at rest", each(&|m| share(&floors.alone, m)));
        row("  unexpected answers", each(&|m| of(m).unexpected.to_string()));
    }
}

/// The aims of the project with what came of them: met or not.
pub fn print_aims(all: &[Measured], floors: &Floors) {
    let [ours, peers @ ..] = all else { return };
    let by_core = |floor, round| of_floor(&floors.in_company, floor, &ours.rounds, round);
    let mut lines = vec![
        (
            "keep-alive at least 0.8 of the floor (core time)",
            by_core(FloorNanos::keep_alive, |round| round.0),
            ">=",
            0.8,
        ),
        (
            "new connections at least 0.8 of theirs (core time)",
            by_core(FloorNanos::new_each, |round| round.1),
            ">=",
            0.8,
        ),
        ("resident, idle, under 6 MB", ours.resident_kb[0] as f64 * 1024.0 / 1e6, "<", 6.0),
        (
            "resident, idle connections, under 150 MB",
            ours.resident_kb[2] as f64 * 1024.0 / 1e6,
            "<",
            150.0,
        ),
        (
            "start to ready under 15 ms",
            ours.ready.get(ours.ready.len() / 2).map_or(0.0, |t| t.as_secs_f64() * 1e3),
            "<",
            15.0,
        ),
    ];
    for peer in peers {
        let memory = ours.resident_kb[1] as f64 / peer.resident_kb[1] as f64;
        lines.push((
            "against the axum peer: keep-alive",
            peer.keep_alive.cpu_nanos() / ours.keep_alive.cpu_nanos(),
            ">=",
            1.0,
        ));
        lines.push((
            "against the axum peer: new connections",
            peer.new_each.cpu_nanos() / ours.new_each.cpu_nanos(),
            ">=",
            1.0,
        ));
        lines.push(("against the axum peer: memory after load", memory, "<=", 0.5));
    }
    println!("\naims");
    for (what, value, relation, aim) in lines {
        let met = match relation {
            ">=" => value >= aim,
            "<=" => value <= aim,
            _ => value < aim,
        };
        let verdict = if met { "met" } else { "MISSED" };
        println!("  {what:<54}{value:>8.2} {relation:>2} {aim:<6} {verdict}");
    }
}
