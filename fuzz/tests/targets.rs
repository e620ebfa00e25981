//! Every target over its seeds and a few thousand mutations of them, on stable Rust.
//!
//! `EXCHANGE_FUZZ_ROUNDS` changes how many; `EXCHANGE_FUZZ_SEED` which. Where `EXCHANGE_FUZZ_CORPUS`
//! is set, what libFuzzer kept in `corpus/` is called first.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use exchange_fuzz::mutate::{Rng, dictionary, mutate};
use exchange_fuzz::{TARGETS, Target};

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn run(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let words = std::fs::read_to_string(root.join(format!("dict/{}.dict", target.dict)));
    let words = dictionary(&words.expect("its dictionary"));
    let seeds = (target.seeds)();
    assert!(!seeds.is_empty(), "{name} has no seeds");
    for seed in &seeds {
        call(target, seed);
    }
    if std::env::var_os("EXCHANGE_FUZZ_CORPUS").is_some() {
        for file in std::fs::read_dir(root.join("corpus").join(name)).into_iter().flatten() {
            call(target, &std::fs::read(file.expect("an entry").path()).expect("readable"));
        }
    }
    let mut rng = Rng::new(number("EXCHANGE_FUZZ_SEED", 1));
    for _ in 0..number("EXCHANGE_FUZZ_ROUNDS", 3000) {
        let seed = &seeds[rng.below(seeds.len())];
        call(target, &mutate(&mut rng, seed, &words, &seeds));
    }
}

/// Calls a target; where it panics, keeps the input as a file that libFuzzer replays too.
fn call(target: &Target, data: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| (target.run)(data))).is_err() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("artifacts").join(target.name);
        std::fs::create_dir_all(&folder).expect("a folder for the input");
        let file = folder.join(format!(
            "test-{:x}",
            data.iter().fold(0_u64, |sum, b| { sum.wrapping_mul(0x100_0000_01b3) ^ u64::from(*b) })
        ));
        std::fs::write(&file, data).expect("a file for the input");
        panic!("{} fails on {}: {:.300}", target.name, file.display(), data.escape_ascii());
    }
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            run(stringify!($name));
        })*

        #[test]
        fn every_target_has_a_test_and_a_program() {
            assert_eq!(TARGETS.iter().map(|t| t.name).collect::<Vec<_>>(), [$(stringify!($name)),*]);
            for target in TARGETS {
                let file = format!("fuzz_targets/{}.rs", target.name);
                assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(&file).is_file(), "{file}");
            }
        }
    };
}

targets! {
    token jwks discovery claims callback token_response cidr forwarded_for go_duration config
    ca_pem csr http_head audit_line sign_roundtrip talosconfig login_script
    server_script
}
