//! How cost grows with what a server has to deal with.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_rustls::rustls::client::ClientConfig;

use crate::client;
use crate::plot::{Line, Plot};
use crate::provider::Provider;
use crate::run::{self, Ask, Kind};
use crate::world::{self, Program, Served, Wish};

const CONNECTIONS: [usize; 9] = [1, 4, 16, 64, 256, 1000, 2000, 5000, 10_000];
const KEYS: [usize; 5] = [1, 4, 16, 64, 100];
const RULES: [usize; 4] = [1, 10, 100, 1000];
const AUDIT_LINES: [usize; 5] = [0, 1000, 10_000, 100_000, 300_000];
/// Clients where their number is not what is varied.
const CLIENTS: usize = 32;

/// What a run gives, by server.
struct Sweep<'a> {
    programs: &'a [Program],
    tls: &'a Arc<ClientConfig>,
    time: Duration,
}

/// One figure of each server for each value: names, and points of that name.
#[derive(Default)]
struct Lines(Vec<Line>);

impl Lines {
    fn add(&mut self, name: &str, x: usize, y: f64) {
        let line = match self.0.iter().position(|line| line.name == name) {
            Some(at) => &mut self.0[at],
            None => {
                self.0.push(Line { name: name.to_owned(), points: vec![] });
                self.0.last_mut().expect("just put there")
            }
        };
        line.points.push((x as f64, y));
    }
}

/// Measures everything and writes the pictures.
pub fn run(
    programs: &[Program],
    tls: &Arc<ClientConfig>,
    time: Duration,
    connections_max: usize,
) -> std::io::Result<()> {
    let sweep = Sweep { programs, tls, time };
    let folder = world::root().join("target/plots");
    let plot = |title: &str, x: &str, y: &str, lines: Lines| Plot {
        title: title.into(),
        x: x.into(),
        y: y.into(),
        lines: lines.0,
    };
    let (cost, time, memory) =
        ("core time of a login, us", "median of a login, ms", "resident, MB");
    let [by_cost, by_time, by_memory] = sweep.connections(connections_max);
    plot("Clients at once", "connections", cost, by_cost).write(&folder, "clients-cost.svg")?;
    plot("Clients at once", "connections", time, by_time).write(&folder, "clients-time.svg")?;
    plot("Clients at once", "connections", memory, by_memory)
        .write(&folder, "clients-memory.svg")?;
    let keys = sweep.vary(&KEYS, |n, wish| {
        let provider = Provider::start(n - 1);
        wish.issuer.clone_from(&provider.issuer);
        provider
    });
    plot("Keys of the provider", "keys", cost, keys).write(&folder, "keys.svg")?;
    let rules = sweep.vary(&RULES, |n, wish| {
        let provider = Provider::start(0);
        wish.issuer.clone_from(&provider.issuer);
        wish.idle_rules = n - 1;
        provider
    });
    plot("Rules", "rules, of which the last one matches", cost, rules)
        .write(&folder, "rules.svg")?;
    let [start, cost_lines, memory_lines] = sweep.audit();
    let x = "lines that the audit log holds at the start";
    plot("Length of the audit log", x, "start to first answer, ms", start)
        .write(&folder, "audit-start.svg")?;
    plot("Length of the audit log", x, cost, cost_lines).write(&folder, "audit-cost.svg")?;
    plot("Length of the audit log", x, memory, memory_lines).write(&folder, "audit-memory.svg")
}

impl Sweep<'_> {
    fn asks(&self, provider: &Provider) -> Rc<Vec<Ask>> {
        let bodies = provider.bodies(64);
        let ask = |body: &Vec<u8>| Ask { bytes: client::exchange(body, false), status: 200 };
        Rc::new(bodies.iter().map(ask).collect())
    }

    fn connections(&self, most: usize) -> [Lines; 3] {
        let provider = Provider::start(0);
        let asks = self.asks(&provider);
        let mut lines = <[Lines; 3]>::default();
        for program in self.programs {
            let served = Served::start(program, &Wish::of(&provider.issuer), self.tls);
            served.until_working(&asks[0].bytes, self.tls);
            for count in CONNECTIONS.into_iter().filter(|count| *count <= most) {
                let outcome =
                    run::load(&served, self.tls, Kind::KeepAlive, count, self.time, &asks);
                let [cost, time, memory] = &mut lines;
                cost.add(program.name, count, outcome.cpu_nanos() / 1e3);
                time.add(program.name, count, f64::from(outcome.quantile(0.5)) / 1e3);
                let kb = outcome.resident_kb;
                memory.add(program.name, count, kb as f64 * 1024.0 / 1e6);
                eprintln!("{} {count}: {} unexpected", program.name, outcome.unexpected);
            }
        }
        lines
    }

    /// Cost of a login for each value of something.
    fn vary(&self, values: &[usize], make: impl Fn(usize, &mut Wish) -> Provider) -> Lines {
        let mut lines = Lines::default();
        for value in values {
            let mut wish = Wish::of("");
            let provider = make(*value, &mut wish);
            let asks = self.asks(&provider);
            for program in self.programs {
                let served = Served::start(program, &wish, self.tls);
                served.until_working(&asks[0].bytes, self.tls);
                let outcome =
                    run::load(&served, self.tls, Kind::KeepAlive, CLIENTS, self.time, &asks);
                lines.add(program.name, *value, outcome.cpu_nanos() / 1e3);
            }
        }
        lines
    }

    /// Start, cost and memory by the length of the log.
    fn audit(&self) -> [Lines; 3] {
        let provider = Provider::start(0);
        let asks = self.asks(&provider);
        let mut lines = <[Lines; 3]>::default();
        for audit_lines in AUDIT_LINES {
            let wish = Wish { audit_lines, ..Wish::of(&provider.issuer) };
            for program in self.programs {
                let served = Served::start(program, &wish, self.tls);
                let [start, cost, memory] = &mut lines;
                start.add(program.name, audit_lines, served.ready.as_secs_f64() * 1e3);
                served.until_working(&asks[0].bytes, self.tls);
                // The log is read again for the admin pages.
                std::thread::sleep(Duration::from_secs(2));
                memory.add(program.name, audit_lines, served.resident_kb() as f64 * 1024.0 / 1e6);
                let outcome =
                    run::load(&served, self.tls, Kind::KeepAlive, CLIENTS, self.time, &asks);
                cost.add(program.name, audit_lines, outcome.cpu_nanos() / 1e3);
            }
        }
        lines
    }
}
