//! Logs in over TLS against `serve` and against a peer of the same job, each on one core with the
//! load on another, and prints them side by side with what the bare cryptography would allow.
//!
//! ```text
//! end-to-end                     the table; builds what it needs first
//! end-to-end --plots             how cost grows, as SVG in target/plots
//! end-to-end --must-show         the load that serve must stand, at full length
//!   --skip-build                 what is built is good
//!   --aws-lc                     also the peer on aws-lc
//!   --rounds N --seconds S       of the table: N rounds of S seconds each (5, 2)
//!   --ours-only                  without peers
//! ```

mod client;
mod floor;
mod machine;
mod must_show;
mod plot;
mod provider;
mod run;
mod sweep;
mod table;
mod world;

use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_rustls::rustls::client::ClientConfig;

use provider::Provider;
use run::{Ask, Kind, Outcome};
use table::{Floors, Measured};
use world::{Program, Served, Wish};

/// Users of the load; each has a token of its own.
const USERS: usize = 512;
/// Connections of the load.
const CLIENTS: usize = 64;
/// Connections that do nothing, for the figure of memory.
const IDLE: usize = 10_000;
/// Starts that are timed.
const STARTS: usize = 15;

struct Options {
    plots: bool,
    must_show: bool,
    skip_build: bool,
    aws_lc: bool,
    ours_only: bool,
    rounds: u32,
    time: Duration,
}

fn options() -> Result<Options, String> {
    let mut options = Options {
        plots: false,
        must_show: false,
        skip_build: false,
        aws_lc: false,
        ours_only: false,
        rounds: 5,
        time: Duration::from_secs(2),
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut number = || {
            let text = args.next().and_then(|text| text.parse::<f64>().ok());
            text.filter(|n| *n > 0.0).ok_or(format!("{arg} wants a number"))
        };
        match arg.as_str() {
            "--plots" => options.plots = true,
            "--must-show" => options.must_show = true,
            "--skip-build" => options.skip_build = true,
            "--aws-lc" => options.aws_lc = true,
            "--ours-only" => options.ours_only = true,
            "--rounds" => options.rounds = number()? as u32,
            "--seconds" => options.time = Duration::from_secs_f64(number()?),
            other => return Err(format!("unknown: {other}")),
        }
    }
    Ok(options)
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    if !options.skip_build {
        eprintln!("building what is measured");
        if let Err(error) = world::build(options.aws_lc) {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    }
    let files = machine::raise_open_files();
    if machine::cores() < 2 {
        eprintln!("one core only: load and server take it from each other");
    }
    machine::pin(machine::load_core());
    let mut programs = world::programs(options.aws_lc);
    if options.ours_only {
        programs.truncate(1);
    }
    let idle = IDLE.min(usize::try_from(files / 2).unwrap_or(IDLE));
    let tls = client::tls_config();
    if options.must_show {
        return must_show::run(&programs[0], must_show::Lengths::FULL, &tls);
    }
    if options.plots {
        return match sweep::run(&programs, &tls, options.time, idle) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("target/plots: {error}");
                ExitCode::FAILURE
            }
        };
    }
    compare(&options, &programs, idle, &tls);
    ExitCode::SUCCESS
}

/// What of one server is measured in rounds.
struct Bench {
    program: Program,
    served: Served,
    cold: Duration,
    ready: Vec<Duration>,
    idle_kb: u64,
    keep_alive: Outcome,
    new_each: Outcome,
    /// Core time of a login in each round: connection kept, and a new one.
    rounds: Vec<(f64, f64)>,
}

fn compare(options: &Options, programs: &[Program], idle: usize, tls: &Arc<ClientConfig>) {
    let provider = Provider::start(0);
    let bodies = provider.bodies(USERS);
    let asks = |close: bool| {
        let ask = |body: &Vec<u8>| Ask { bytes: client::exchange(body, close), status: 200 };
        Rc::new(bodies.iter().map(ask).collect::<Vec<_>>())
    };
    let (kept, closed) = (asks(false), asks(true));
    let mut benches: Vec<Bench> =
        programs.iter().map(|program| Bench::start(program, &provider, &kept[0], tls)).collect();
    let identity = benches[0].served.folder.path("data");
    let read =
        |name: &str| std::fs::read(identity.join(name)).expect("serve keeps its certificate");
    let floor = floor::Floor::new(&bodies[0], &read("server.crt"), &read("server.key"));
    let mut floors = Floors::default();
    for round in 1..=options.rounds {
        eprintln!("round {round} of {}", options.rounds);
        machine::pin(machine::SERVER_CORE);
        let slice = options.time / 4;
        let (alone, company) = (floor.alone(slice), floor.in_company(slice));
        machine::pin(machine::load_core());
        floors.alone.push(alone);
        floors.in_company.push(company);
        for bench in &mut benches {
            let run = |kind, asks| run::load(&bench.served, tls, kind, CLIENTS, options.time, asks);
            let (kept, closed) = (run(Kind::KeepAlive, &kept), run(Kind::NewEach, &closed));
            bench.rounds.push((kept.cpu_nanos(), closed.cpu_nanos()));
            bench.keep_alive.merge(kept);
            bench.new_each.merge(closed);
        }
    }
    let measured: Vec<Measured> =
        benches.into_iter().map(|bench| bench.finish(tls, idle)).collect();
    table::print(&measured, &floors, idle);
    table::print_aims(&measured, &floors);
    for one in &measured {
        for outcome in [&one.keep_alive, &one.new_each] {
            if let Some(what) = &outcome.first_unexpected {
                println!("{}: {what}", one.name);
            }
        }
    }
}

impl Bench {
    fn start(program: &Program, provider: &Provider, first: &Ask, tls: &Arc<ClientConfig>) -> Self {
        let away = Wish::of(&format!("http://127.0.0.1:{}", world::free_port()));
        let mut served = Served::start(program, &away, tls);
        let cold = served.ready;
        let mut ready = Vec::new();
        for _ in 0..STARTS {
            served = served.again(program, tls);
            ready.push(served.ready);
        }
        ready.sort_unstable();
        drop(served);
        let served = Served::start(program, &Wish::of(&provider.issuer), tls);
        std::thread::sleep(Duration::from_secs(2));
        let idle_kb = served.resident_kb();
        served.until_working(&first.bytes, tls);
        let (keep_alive, new_each) = (Outcome::default(), Outcome::default());
        Self {
            program: program.clone(),
            served,
            cold,
            ready,
            idle_kb,
            keep_alive,
            new_each,
            rounds: Vec::new(),
        }
    }

    fn finish(self, tls: &Arc<ClientConfig>, idle: usize) -> Measured {
        let loaded_kb = self.served.resident_kb();
        let held = run::idle(&self.served, tls, idle);
        let crowded_kb = self.served.resident_kb();
        drop(held);
        Measured {
            name: self.program.name,
            bytes: std::fs::metadata(&self.program.path).map_or(0, |meta| meta.len()),
            first: self.cold,
            ready: self.ready,
            resident_kb: [self.idle_kb, loaded_kb, crowded_kb],
            keep_alive: self.keep_alive,
            new_each: self.new_each,
            rounds: self.rounds,
        }
    }
}
