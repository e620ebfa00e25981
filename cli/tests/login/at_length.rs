//! A watch of two minutes over certificates of ten seconds: in peace, through an outage of the
//! provider, and with a clock that leaps. The name of this file has it begin first: all else fits
//! beside it.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use exchange_core::machine::UnixTime;
use exchange_core::pki::ClientCertificate;
use exchange_core::talosconfig::Talosconfig;

use crate::machine::{Ended, Home, Running};
use crate::stub::{Stub, now};

const LENGTH: Duration = Duration::from_secs(120);
const CERT_SECS: u64 = 10;

/// A watch under way, and what was seen of its certificates.
struct Watched<'a> {
    home: &'a Home,
    stub: &'a Stub,
    running: Running,
    start: Instant,
    /// Seconds since the start at which there was no valid certificate.
    gaps: Vec<f64>,
}

impl<'a> Watched<'a> {
    fn start(home: &'a Home, stub: &'a Stub, set: &[(&str, String)]) -> Self {
        stub.state().cert_secs = CERT_SECS;
        assert_eq!(home.log_in(stub, &[]).code, Some(0));
        stub.state().exchanged_at.clear();
        let mut command = home.login(stub, &["--watch", "--force", "--non-interactive"]);
        command.envs(set.iter().map(|(name, value)| (name, value)));
        let mut running = Running::start(command);
        running.wait_for(|line| line.starts_with("Next renewal at ")).unwrap();
        Self { home, stub, running, start: Instant::now(), gaps: Vec::new() }
    }

    /// Looks at the talosconfig until so many seconds after the start.
    fn until(&mut self, secs: u64) {
        while self.start.elapsed() < Duration::from_secs(secs).min(LENGTH) {
            let text = fs::read_to_string(self.home.talosconfig()).unwrap();
            let config = Talosconfig::parse(&text).unwrap();
            let context = config.context("oidc").unwrap();
            let certificate = ClientCertificate::parse(&context.crt_pem().unwrap().unwrap());
            if certificate.unwrap().check_dates(UnixTime::from_secs(now())).is_err() {
                self.gaps.push(self.start.elapsed().as_secs_f64());
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Seconds since the start at which certificates were asked for.
    fn renewals(&self) -> Vec<f64> {
        let state = self.stub.state();
        let since = |at: &Instant| at.saturating_duration_since(self.start).as_secs_f64();
        state.exchanged_at.iter().map(since).collect()
    }

    /// The pauses between renewals that both lie in that span.
    fn pauses(&self, from: f64, to: f64) -> Vec<f64> {
        let times: Vec<f64> =
            self.renewals().into_iter().filter(|at| (from..to).contains(at)).collect();
        times.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    fn end(self) -> (Ended, Vec<f64>) {
        self.running.signal("-INT");
        (self.running.end(), self.gaps)
    }
}

/// Half to four fifths of ten seconds, and what a busy machine adds.
fn in_time(name: &str, pauses: &[f64]) {
    let mean = pauses.iter().sum::<f64>() / pauses.iter().map(|_| 1.0).sum::<f64>();
    let least = pauses.iter().copied().fold(f64::INFINITY, f64::min);
    let most = pauses.iter().copied().fold(0.0, f64::max);
    eprintln!(
        "{name}: {} pauses of {least:.2} to {most:.2} s, {mean:.2} s on average",
        pauses.len()
    );
    assert!(least >= 5.0 && most <= 9.5 && mean <= 8.0, "{name}: {pauses:?}");
}

fn in_peace() {
    let (home, stub) = (Home::new(), Stub::start());
    stub.state().token_secs = 60;
    let mut watched = Watched::start(&home, &stub, &[]);
    watched.until(120);
    let pauses = watched.pauses(0.0, 120.0);
    let (ended, gaps) = watched.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(gaps.is_empty(), "no valid certificate at {gaps:?}: {ended:?}");
    in_time("in peace", &pauses);
    assert!((12..=24).contains(&pauses.len()), "{pauses:?}");
    // Tokens of a minute: one is fetched whenever two fifths are left.
    assert!((2..=4).contains(&stub.count("token refresh_token")), "{ended:?}");
    assert_eq!(stub.count("authorize"), 1, "nobody was asked again");
    assert!(!ended.err.contains("warning: the"), "{ended:?}");
}

fn through_an_outage() {
    let (home, stub) = (Home::new(), Stub::start());
    {
        // With 96 of 240 s left, the watch wants another token: from the 44th second on.
        let mut state = stub.state();
        (state.token_secs, state.token_age) = (140, 100);
    }
    let mut watched = Watched::start(&home, &stub, &[]);
    watched.until(40);
    stub.state().provider_is_down = true;
    watched.until(70);
    stub.state().provider_is_down = false;
    watched.until(120);
    let pauses = watched.pauses(0.0, 120.0);
    let (ended, gaps) = watched.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(gaps.is_empty(), "no valid certificate at {gaps:?}: {ended:?}");
    in_time("through an outage", &pauses);
    let put_off = ended.err.matches("could not be refreshed in good time").count();
    assert!((2..=6).contains(&put_off), "{put_off}: {ended:?}");
    assert!((2..=6).contains(&stub.count("down")), "one look at the provider for each renewal");
    assert!(stub.count("token refresh_token") >= 1, "{ended:?}");
    assert_eq!(stub.count("authorize"), 1);
}

/// The wall clock of the watch alone, by libfaketime, which leaves its other clock as it is; and
/// the watch as a whole, as if the machine slept.
fn with_a_clock_that_leaps() {
    let Some(library) = faketime() else {
        eprintln!("skipped: libfaketime is not installed");
        return;
    };
    let (home, stub) = (Home::new(), Stub::start());
    let leaps = home.file("leaps");
    let leap = |by: &str| {
        let part = home.file("leaps.part");
        fs::write(&part, by).unwrap();
        fs::rename(&part, &leaps).unwrap();
    };
    leap("+0");
    let set = [
        ("LD_PRELOAD", library.display().to_string()),
        ("FAKETIME_TIMESTAMP_FILE", leaps.display().to_string()),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("DONT_FAKE_MONOTONIC", "1".to_owned()),
    ];
    let mut watched = Watched::start(&home, &stub, &set);
    watched.until(20);
    leap("-3600");
    watched.until(45);
    leap("+5");
    watched.until(65);
    watched.running.signal("-STOP");
    watched.until(80);
    let before = watched.renewals().len();
    watched.running.signal("-CONT");
    let woken = Instant::now();
    while watched.renewals().len() == before && woken.elapsed() < Duration::from_secs(60) {
        thread::sleep(Duration::from_millis(50));
    }
    let woken = woken.elapsed();
    watched.until(95);
    leap("+3600");
    watched.until(105);
    leap("+0");
    watched.until(120);
    let (early, renewals) = (watched.pauses(0.0, 65.0), watched.renewals());
    let late = watched.pauses(80.0, 95.0);
    let (ended, gaps) = watched.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    in_time("with a clock that leaps", &early);
    assert!(early.len() >= 6, "{early:?}");
    assert!(woken < Duration::from_secs(5), "renewed {woken:?} after it woke");
    assert!(late.iter().all(|pause| *pause >= 5.0), "{late:?}");
    // An hour ahead every token that comes seems to have ended: said, waited out, and not in a
    // storm.
    let failed = ended.err.matches("the renewal failed").count();
    assert!((1..=5).contains(&failed), "{failed}: {ended:?}");
    assert!(ended.err.contains("s behind the server's: set it right"), "{ended:?}");
    assert!(renewals.last().unwrap() > &105.0, "{renewals:?}: {ended:?}");
    let unexplained: Vec<_> = gaps
        .iter()
        .filter(|at| !(65.0..86.0).contains(*at) && !(95.0..118.0).contains(*at))
        .collect();
    assert!(unexplained.is_empty(), "no valid certificate at {unexplained:?}: {ended:?}");
    assert!(renewals.len() <= 26 && stub.count("token refresh_token") <= 8, "{renewals:?}");
    assert_eq!(stub.count("authorize"), 1);
}

pub fn faketime() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path());
    let library = |folder: PathBuf| folder.join("faketime/libfaketimeMT.so.1");
    folders.map(library).find(|library| library.exists())
}

#[test]
fn three_watches_of_two_minutes() {
    thread::scope(|scope| {
        let all =
            [in_peace, through_an_outage, with_a_clock_that_leaps].map(|run| scope.spawn(run));
        let failed = all.map(|run| run.join().is_err());
        assert!(!failed.contains(&true), "see above which");
    });
}
