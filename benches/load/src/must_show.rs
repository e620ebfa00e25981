//! The load that `serve` must stand, at full length, against the program as it is released.

use std::fs;
use std::process::{Command, ExitCode};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use futures_rustls::rustls::client::ClientConfig;
use smol::Timer;

use crate::client::{self, Conn};
use crate::machine;
use crate::provider::Provider;
use crate::run::{self, Ask, Kind, Outcome};
use crate::world::{Program, Served, Wish};

/// What must hold, and whether it did.
struct Verdicts(bool);

impl Verdicts {
    fn say(&mut self, holds: bool, what: &str) {
        println!("  {} {what}", if holds { "ok     " } else { "MISSED " });
        self.0 &= holds;
    }
}

/// How long each part takes.
#[derive(Clone, Copy)]
pub struct Lengths {
    /// Mixed load.
    pub mixed: Duration,
    /// Idle and slow connections.
    pub crowd: Duration,
    /// Reloads.
    pub reloads: Duration,
    /// Bytes of the line without an end.
    pub line_bytes: usize,
}

impl Lengths {
    /// As the project's aims say.
    pub const FULL: Self = Self {
        mixed: Duration::from_secs(30),
        crowd: Duration::from_secs(20),
        reloads: Duration::from_secs(60),
        line_bytes: 400_000_000,
    };
}

/// Runs all of it.
pub fn run(program: &Program, lengths: Lengths, tls: &Arc<ClientConfig>) -> ExitCode {
    let provider = Provider::start(0);
    let users = provider.bodies(64);
    let good: Vec<Ask> = users
        .iter()
        .map(|body| Ask { bytes: client::exchange(body, false), status: 200 })
        .collect();
    let mut verdicts = Verdicts(true);
    let start = || {
        let served = Served::start(program, &Wish::of(&provider.issuer), tls);
        served.until_working(&good[0].bytes, tls);
        served
    };
    mixed(start(), &provider, &good, lengths.mixed, tls, &mut verdicts);
    crowd(&start(), &good, lengths.crowd, tls, &mut verdicts);
    endless_line(&start(), &good[0], lengths.line_bytes, tls, &mut verdicts);
    reloads(&start(), Rc::new(good.clone()), lengths.reloads, tls, &mut verdicts);
    if verdicts.0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Certificates that the admin pages list at most.
const LISTED: u64 = 10_000;

/// Resident memory of a process, looked at every now and then.
struct Watch {
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<Vec<u64>>,
}

impl Watch {
    fn start(pid: u32, every: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let ours = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut seen = vec![machine::resident_kb(pid)];
            while !ours.load(Ordering::Relaxed) {
                thread::sleep(every);
                seen.push(machine::resident_kb(pid));
            }
            seen
        });
        Self { stop, thread }
    }

    fn end(self) -> Vec<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the watch does not panic")
    }
}

fn tell(outcome: &Outcome) {
    println!(
        "  {:.0} answers a second, median {:.2} ms, 99 of 100 under {:.2} ms, {:.1} us of a core each",
        outcome.rate(),
        f64::from(outcome.quantile(0.5)) / 1e3,
        f64::from(outcome.quantile(0.99)) / 1e3,
        outcome.cpu_nanos() / 1e3
    );
    if let Some(what) = &outcome.first_unexpected {
        println!("  the first unexpected answer: {what}");
    }
}

/// 500 clients that keep their connections, with good tokens and bad ones.
fn mixed(
    served: Served,
    provider: &Provider,
    good: &[Ask],
    time: Duration,
    tls: &Arc<ClientConfig>,
    verdicts: &mut Verdicts,
) {
    println!("500 clients for {} s, good and bad tokens mixed", time.as_secs());
    let ask = |body: &[u8], status| Ask { bytes: client::exchange(body, false), status };
    let (forged, expired) = (provider.forged(), provider.expired());
    let mut asks = Vec::new();
    for pair in good.chunks(2) {
        asks.extend_from_slice(&pair[..1]);
        asks.push(ask(&forged, 401));
        asks.extend_from_slice(&pair[1..]);
        asks.push(ask(&expired, 401));
        asks.push(ask(b"no request", 400));
    }
    let (log, asks) = (served.folder.path("audit.log"), Rc::new(asks));
    // The list of the admin pages grows until it is full; what grows after that would be a leak.
    while counted(&log).0 < LISTED {
        run::load(&served, tls, Kind::KeepAlive, 500, time / 15, &asks);
    }
    let before = counted(&log);
    let watch = Watch::start(served.pid(), time / 60);
    let outcome = run::load(&served, tls, Kind::KeepAlive, 500, time, &asks);
    let memory = watch.end();
    tell(&outcome);
    let (issued, refused) = counted(&log);
    let (issued, refused) = (issued - before.0, refused - before.1);
    let bad = outcome.of_status(401) + outcome.of_status(400);
    verdicts.say(outcome.unexpected == 0, &format!("{} unexpected answers", outcome.unexpected));
    verdicts.say(
        (issued, refused) == (outcome.of_status(200), bad),
        &format!(
            "{} certificates and {bad} refusals answered, {issued} and {refused} on record",
            outcome.of_status(200)
        ),
    );
    let third = memory[memory.len() / 3];
    let most = memory[memory.len() / 3..].iter().copied().max().unwrap_or(0);
    verdicts.say(
        most <= third + third / 8,
        &format!("memory flat: {third} kB after a third of the time, never over {most} kB then"),
    );
}

/// Certificates and refusals in an audit log.
fn counted(log: &std::path::Path) -> (u64, u64) {
    let text = fs::read_to_string(log).unwrap_or_default();
    let (mut issued, mut refused) = (0, 0);
    for line in text.lines() {
        issued += u64::from(line.contains("\"type\":\"cert_issued\""));
        refused += u64::from(
            line.contains("\"type\":\"auth_failure\"")
                || line.contains("\"type\":\"request_refused\""),
        );
    }
    (issued, refused)
}

/// 2,000 connections that do nothing and 200 that send a byte a second.
fn crowd(
    served: &Served,
    good: &[Ask],
    time: Duration,
    tls: &Arc<ClientConfig>,
    verdicts: &mut Verdicts,
) {
    println!("2,000 idle connections, 200 that send a byte a second, {} s", time.as_secs());
    let one = Rc::new(good.to_vec());
    run::load(served, tls, Kind::KeepAlive, 1, time / 10, &one);
    let alone = run::load(served, tls, Kind::KeepAlive, 1, time / 4, &one);
    let idle = run::idle(served, tls, 2000);
    // The slow ones live in a thread of their own, on the core of the load.
    let (address, tls_of_slow) = (served.address, Arc::clone(tls));
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let slow = thread::spawn(move || {
        let executor = smol::LocalExecutor::new();
        smol::block_on(executor.run(async {
            let sent = Rc::new(std::cell::Cell::new(0_u64));
            let tasks: Vec<_> = (0..200_u64)
                .map(|n| {
                    let (tls, stop, sent) =
                        (Arc::clone(&tls_of_slow), Arc::clone(&stopped), Rc::clone(&sent));
                    executor.spawn(async move {
                        Timer::after(Duration::from_millis(n * 5)).await;
                        while !stop.load(Ordering::Relaxed) {
                            slow_connection(address, &tls, &stop, &sent).await;
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await;
            }
            sent.get()
        }))
    });
    thread::sleep(Duration::from_secs(2));
    let crowded = run::load(served, tls, Kind::KeepAlive, 1, time, &one);
    let resident = served.resident_kb();
    stop.store(true, Ordering::Relaxed);
    let sent = slow.join().expect("the slow ones do not panic");
    drop(idle);
    let (before, after) = (alone.quantile(0.5), crowded.quantile(0.5));
    verdicts.say(crowded.unexpected == 0, &format!("{} unexpected answers", crowded.unexpected));
    verdicts.say(
        after <= before * 2,
        &format!(
            "median of a login: {before} us alone, {after} us in the crowd ({sent} slow bytes)"
        ),
    );
    println!(
        "          99 of 100 under {} us alone, {} us in the crowd",
        alone.quantile(0.99),
        crowded.quantile(0.99)
    );
    verdicts.say(resident < 64_000_000 / 1024, &format!("{resident} kB resident, under 64 MB"));
}

/// Sends a request byte by byte until the server has had enough of it.
async fn slow_connection(
    address: std::net::SocketAddr,
    tls: &Arc<ClientConfig>,
    stop: &AtomicBool,
    sent: &std::cell::Cell<u64>,
) {
    let Ok(mut conn) = Conn::open(address, tls).await else { return };
    for byte in b"POST /exchange HTTP/1.1\r\nhost: localhost\r\n" {
        if stop.load(Ordering::Relaxed) || conn.send(&[*byte]).await.is_err() {
            return;
        }
        sent.set(sent.get() + 1);
        Timer::after(Duration::from_secs(1)).await;
    }
}

/// One connection that sends a line without an end.
fn endless_line(
    served: &Served,
    good: &Ask,
    bytes: usize,
    tls: &Arc<ClientConfig>,
    verdicts: &mut Verdicts,
) {
    println!("one connection that sends {} MB without a line end", bytes / 1_000_000);
    smol::block_on(async {
        // What a first refusal allocates is not at question.
        let mut warm = Conn::open(served.address, tls).await.expect("it listens");
        let _ = warm.ask(b"x\r\n\r\n").await;
        warm.until_closed().await;
        Timer::after(Duration::from_millis(300)).await;
        let before = served.resident_kb();
        let watch = Watch::start(served.pid(), Duration::from_millis(5));
        let mut conn = Conn::open(served.address, tls).await.expect("it listens");
        let _ = conn.send(b"GET /healthz HTTP/1.1\r\nx: ").await;
        let block = vec![b'y'; 256 * 1024];
        let (started, mut taken) = (Instant::now(), 0);
        while taken < bytes && conn.send(&block).await.is_ok() {
            taken += block.len();
        }
        let answer = conn.ask(b"").await;
        let end = match &answer {
            Ok(answer) => format!("status {}", answer.status),
            Err(error) => format!("a close ({error})"),
        };
        let most = watch.end().into_iter().max().unwrap_or(0);
        let cost = most.saturating_sub(before);
        verdicts.say(
            answer.is_err() || answer.is_ok_and(|answer| (400..500).contains(&answer.status)),
            &format!("{taken} bytes taken in {:.1} s, then {end}", started.elapsed().as_secs_f64()),
        );
        verdicts.say(cost < 1024, &format!("{cost} kB more resident at most, under 1 MB"));
        let mut next = Conn::open(served.address, tls).await.expect("it listens");
        let answer = next.ask(&good.bytes).await;
        verdicts.say(answer.is_ok_and(|answer| answer.status == 200), "the next login works");
    });
}

/// A new configuration every 100 ms.
fn reloads(
    served: &Served,
    good: Rc<Vec<Ask>>,
    time: Duration,
    tls: &Arc<ClientConfig>,
    verdicts: &mut Verdicts,
) {
    println!("a reload every 100 ms under load for {} s", time.as_secs());
    let config = served.folder.path("config.yaml");
    let text = fs::read_to_string(&config).expect("we wrote it");
    let (pid, stop) = (served.pid().to_string(), Arc::new(AtomicBool::new(false)));
    let stopped = Arc::clone(&stop);
    let next = served.folder.path("config.next");
    let reloader = thread::spawn(move || {
        let mut count = 0;
        while !stopped.load(Ordering::Relaxed) {
            let ttl = if count % 2 == 0 { "4m" } else { "6m" };
            fs::write(&next, format!("{text}cert_ttl: {ttl}\n")).expect("a file of ours");
            fs::rename(&next, &config).expect("a file of ours");
            let _ = Command::new("kill").args(["-s", "HUP", &pid]).status();
            count += 1;
            thread::sleep(Duration::from_millis(100));
        }
        count
    });
    let outcome = run::load(served, tls, Kind::KeepAlive, 64, time, &good);
    stop.store(true, Ordering::Relaxed);
    let count = reloader.join().expect("the reloader does not panic");
    tell(&outcome);
    let log = fs::read_to_string(served.folder.path("log")).unwrap_or_default();
    let seen = log.lines().filter(|line| line.contains("reloaded")).count();
    verdicts.say(
        outcome.unexpected == 0,
        &format!(
            "{} answers, {} of them failed, {count} orders to reload, {seen} reloads in the log",
            outcome.answers() + outcome.unexpected,
            outcome.unexpected
        ),
    );
    verdicts.say(seen * 2 >= count, "the reloads were carried out");
}
