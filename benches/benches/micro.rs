//! The same closures under divan, for its statistics: `cargo bench --manifest-path benches/Cargo.toml`.

use divan::Bencher;
use exchange_bench::{BENCHES, Bench};

fn main() {
    divan::main();
}

fn names() -> impl Iterator<Item = &'static str> {
    BENCHES.iter().map(|(name, _)| *name)
}

fn make(name: &str) -> Bench {
    let found = BENCHES.iter().find(|(known, _)| *known == name);
    found.map(|(_, make)| make()).expect("a name of the list")
}

#[divan::bench(args = names())]
fn ours(bencher: Bencher, name: &str) {
    bencher.bench_local(make(name).ours);
}

#[divan::bench(args = names().filter(|name| make(name).floor.is_some()))]
fn floor(bencher: Bencher, name: &str) {
    bencher.bench_local(make(name).floor.expect("those with a floor"));
}
