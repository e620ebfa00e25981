//! Both machines, a provider, disks, clocks, several clients and an adversary in one seeded world.
//!
//! A model that shares no code with the core's policy says who may hold which roles until when;
//! every certificate is held against it, the audit log on the fake disk is read, and when the
//! faults stop everybody who may must end with a valid certificate.
//!
//! ```sh
//! SIMULATION_SEEDS=100000 cargo test --profile sim -p exchange-core --test sim nobody
//! SIMULATION_SEED=17 cargo test -p exchange-core --test sim one -- --nocapture   # one again, told
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::wildcard_enum_match_arm,
    clippy::print_stdout,
    unreachable_pub,
    missing_docs,
    reason = "a failing test should stop at the line that failed"
)]

mod client;
mod dice;
mod host;
mod model;
mod provider;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use world::{Plant, World};

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs a world; what is wrong with it, if anything.
fn run(seed: u64, plant: Plant) -> Result<u64, String> {
    let world = || World::new(seed, plant).run();
    catch_unwind(AssertUnwindSafe(world)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(text.unwrap_or_else(|| "a panic".into()))
    })
}

#[test]
fn nobody_holds_what_the_model_does_not_allow() {
    let seeds = number("SIMULATION_SEEDS").unwrap_or(300);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (next, issued, failed) = (AtomicU64::new(0), AtomicU64::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds || !failed.lock().unwrap().is_empty() {
                        return;
                    }
                    match run(seed, Plant::None) {
                        Ok(count) => drop(issued.fetch_add(count, Ordering::Relaxed)),
                        Err(fault) => failed.lock().unwrap().push((seed, fault)),
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(
        failed.is_empty(),
        "{failed:?}: again with SIMULATION_SEED={} cargo test -p exchange-core --test sim one -- --nocapture",
        failed[0].0
    );
    let issued = issued.into_inner();
    println!("{seeds} worlds, {issued} certificates");
    assert!(issued > seeds, "worlds in which nothing happens prove nothing: {issued}");
}

/// One world, told step by step.
#[test]
fn one() {
    let seed = number("SIMULATION_SEED").unwrap_or(0);
    let mut world = World::new(seed, Plant::None);
    world.told = number("SIMULATION_SEED").is_some();
    let first = world.run();
    assert!(first.is_ok(), "seed {seed}: {first:?}");
    assert_eq!(run(seed, Plant::None), first, "the same seed is the same world");
}

/// A simulation that finds nothing may be one that cannot: each planted fault must be found.
#[test]
fn planted_faults_are_found() {
    for (plant, telling) in [
        (Plant::AuditDropped, "no audit line"),
        (Plant::LineLost, "audit chain"),
        (Plant::ModelOfAnotherTtl, "lives too long"),
        (Plant::RotationIgnored, "key that was withdrawn"),
        (Plant::ReloadIgnored, "roles"),
        (Plant::LimitOff, "too many"),
        (Plant::TornWrite, "torn"),
        (Plant::NeverCalm, "never got"),
    ] {
        let found = (0..1000).find_map(|seed| run(seed, plant).err());
        assert!(
            found.as_ref().is_some_and(|fault| fault.contains(telling)),
            "{plant:?}: {found:?}"
        );
    }
}
