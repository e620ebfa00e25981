//! Load: so many clients for so long, and what came of it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_rustls::rustls::client::ClientConfig;
use smol::LocalExecutor;

use crate::client::{self, Conn};
use crate::machine;
use crate::world::{PATIENCE, Served};

/// Connections that are opened side by side.
const OPENERS: usize = 64;

/// Whether a client keeps its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One connection for all its logins.
    KeepAlive,
    /// A new one for each login.
    NewEach,
}

/// A request with the status that it must get.
#[derive(Clone)]
pub struct Ask {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The status.
    pub status: u16,
}

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Answers by the status that was asked for, in order of first appearance.
    pub good: Vec<(u16, u64)>,
    /// Answers with another status, and connections that broke.
    pub unexpected: u64,
    /// What the first of them was.
    pub first_unexpected: Option<String>,
    /// Wall time of the run.
    pub elapsed: Duration,
    /// Time of a core that the server took.
    pub server_cpu: Duration,
    /// Resident memory of the server at the end, connections still open, in kB.
    pub resident_kb: u64,
    /// Time of each answer in microseconds, sorted.
    pub micros: Vec<u32>,
}

impl Outcome {
    /// Answers as they should be.
    pub fn answers(&self) -> u64 {
        self.good.iter().map(|(_, count)| count).sum()
    }

    /// How many of them had that status.
    pub fn of_status(&self, status: u16) -> u64 {
        self.good.iter().filter(|(of, _)| *of == status).map(|(_, count)| count).sum()
    }

    /// Answers a second.
    pub fn rate(&self) -> f64 {
        self.answers() as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// Nanoseconds of a core that the server took for one answer.
    pub fn cpu_nanos(&self) -> f64 {
        self.server_cpu.as_nanos() as f64 / (self.answers() as f64).max(1.0)
    }

    /// The time under which that share of the answers came, in microseconds.
    pub fn quantile(&self, share: f64) -> u32 {
        let last = self.micros.len().saturating_sub(1);
        let at = ((last as f64) * share).round() as usize;
        self.micros.get(at).copied().unwrap_or(0)
    }

    /// This run and a further one of the same kind.
    pub fn merge(&mut self, other: Self) {
        for (status, count) in other.good {
            self.count(status, count);
        }
        self.unexpected += other.unexpected;
        self.first_unexpected = self.first_unexpected.take().or(other.first_unexpected);
        self.elapsed += other.elapsed;
        self.server_cpu += other.server_cpu;
        self.resident_kb = self.resident_kb.max(other.resident_kb);
        self.micros.extend(other.micros);
        self.micros.sort_unstable();
    }

    fn count(&mut self, status: u16, more: u64) {
        match self.good.iter_mut().find(|(of, _)| *of == status) {
            Some((_, count)) => *count += more,
            None => self.good.push((status, more)),
        }
    }

    fn wrong(&mut self, what: impl FnOnce() -> String) {
        self.unexpected += 1;
        if self.first_unexpected.is_none() {
            self.first_unexpected = Some(what());
        }
    }
}

/// Has `clients` ask in turn for `time`. All connections stand before the time begins.
pub fn load(
    served: &Served,
    tls: &Arc<ClientConfig>,
    kind: Kind,
    clients: usize,
    time: Duration,
    asks: &Rc<Vec<Ask>>,
) -> Outcome {
    let outcome = Rc::new(RefCell::new(Outcome::default()));
    let executor = LocalExecutor::new();
    smol::block_on(executor.run(async {
        let mut conns = Vec::new();
        while kind == Kind::KeepAlive && conns.len() < clients {
            // Some at a time, or the queue of the listener overflows.
            let opening: Vec<_> = (conns.len()..clients)
                .take(OPENERS)
                .map(|_| {
                    let (tls, address) = (Arc::clone(tls), served.address);
                    executor.spawn(async move { Conn::open(address, &tls).await })
                })
                .collect();
            for opened in opening {
                conns.push(Some(opened.await.expect("it listens")));
            }
        }
        conns.resize_with(clients, || None);
        let before = machine::cpu_nanos(served.pid());
        let started = Instant::now();
        let until = started + time;
        let tasks: Vec<_> = conns
            .into_iter()
            .enumerate()
            .map(|(n, conn)| {
                let (asks, outcome, tls) = (Rc::clone(asks), Rc::clone(&outcome), Arc::clone(tls));
                let address = served.address;
                executor.spawn(async move {
                    match conn {
                        Some(conn) => Some(keep_alive(conn, n, until, &asks, &outcome).await),
                        None => {
                            new_each(address, n, until, &asks, &outcome, &tls).await;
                            None
                        }
                    }
                })
            })
            .collect();
        let mut held = Vec::new();
        for task in tasks {
            held.push(task.await);
        }
        let mut outcome = outcome.borrow_mut();
        outcome.resident_kb = served.resident_kb();
        outcome.elapsed = started.elapsed();
        outcome.server_cpu =
            Duration::from_nanos(machine::cpu_nanos(served.pid()).saturating_sub(before));
        outcome.micros.sort_unstable();
    }));
    outcome.take()
}

/// Notes an answer. Returns whether the connection still lives.
fn note(
    outcome: &RefCell<Outcome>,
    ask: &Ask,
    answer: std::io::Result<client::Answer>,
    started: Instant,
) -> bool {
    let micros = u32::try_from(started.elapsed().as_micros()).unwrap_or(u32::MAX);
    let mut outcome = outcome.borrow_mut();
    match answer {
        Ok(answer) if answer.status == ask.status => {
            outcome.count(ask.status, 1);
            outcome.micros.push(micros);
            true
        }
        Ok(answer) => {
            outcome.wrong(|| format!("{} instead of {}", answer.status, ask.status));
            true
        }
        Err(error) => {
            outcome.wrong(|| format!("{error} instead of {}", ask.status));
            false
        }
    }
}

/// An answer, or an error after so long that nobody would wait for it.
async fn patiently(
    answer: impl Future<Output = std::io::Result<client::Answer>>,
) -> std::io::Result<client::Answer> {
    smol::future::or(answer, async {
        smol::Timer::after(PATIENCE).await;
        Err(std::io::ErrorKind::TimedOut.into())
    })
    .await
}

async fn keep_alive(
    mut conn: Conn,
    n: usize,
    until: Instant,
    asks: &[Ask],
    outcome: &RefCell<Outcome>,
) -> Conn {
    let mut turn = n;
    loop {
        let started = Instant::now();
        if started >= until {
            return conn;
        }
        let ask = &asks[turn % asks.len()];
        turn += 1;
        let answer = patiently(conn.ask(&ask.bytes)).await;
        if !note(outcome, ask, answer, started) {
            return conn;
        }
    }
}

async fn new_each(
    address: std::net::SocketAddr,
    n: usize,
    until: Instant,
    asks: &[Ask],
    outcome: &RefCell<Outcome>,
    tls: &Arc<ClientConfig>,
) {
    for turn in n.. {
        let started = Instant::now();
        if started >= until {
            return;
        }
        let ask = &asks[turn % asks.len()];
        let work = async {
            let mut conn = Conn::open(address, tls).await?;
            let answer = conn.ask(&ask.bytes).await?;
            Ok((answer, conn))
        };
        match work.await {
            Ok((answer, mut conn)) => {
                note(outcome, ask, Ok(answer), started);
                conn.close().await;
            }
            Err(error) => {
                note(outcome, ask, Err(error), started);
            }
        }
    }
}

/// Opens so many connections, each of which asks once for `/healthz` and then does nothing.
pub fn idle(served: &Served, tls: &Arc<ClientConfig>, count: usize) -> Vec<Conn> {
    let request: Rc<[u8]> = client::request("GET", "/healthz", false, b"").into();
    let executor = LocalExecutor::new();
    smol::block_on(executor.run(async {
        let (left, mut openers) = (Rc::new(Cell::new(count)), Vec::new());
        for _ in 0..OPENERS {
            let (left, request, tls) = (Rc::clone(&left), Rc::clone(&request), Arc::clone(tls));
            let address = served.address;
            openers.push(executor.spawn(async move {
                let mut held = Vec::new();
                while let Some(next) = left.get().checked_sub(1) {
                    left.set(next);
                    let mut conn = Conn::open(address, &tls).await.expect("it takes connections");
                    let answer = conn.ask(&request).await.expect("it answers");
                    assert_eq!(answer.status, 200);
                    held.push(conn);
                }
                held
            }));
        }
        let mut held = Vec::with_capacity(count);
        for opener in openers {
            held.append(&mut opener.await);
        }
        held
    }))
}
