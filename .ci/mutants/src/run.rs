//! Runs the tests with one mutant alive.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::list::Mutant;

/// How long one program may take: far longer than it does, as the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy)]
pub enum Verdict {
    Caught,
    Timeout,
    Unviable,
    Missed,
    Left,
}

/// A test program, and for which folder of the sources it is asked.
pub struct Program {
    pub name: String,
    pub path: PathBuf,
}

/// Test programs in the order in which they are asked about a file of that folder.
const ASKED: [(&str, &[&str]); 3] = [
    ("jwt", &["lib", "jwt", "wycheproof", "jwks", "rfc", "server_world"]),
    ("policy", &["lib", "cidr", "rbac", "server_world"]),
    ("pki", &["lib", "cert", "server_world"]),
];

/// What the tests say of a mutant.
pub fn judge(programs: &[Program], mutant: &Mutant) -> Verdict {
    let Some((folder, names)) =
        ASKED.iter().find(|(folder, _)| mutant.file.contains(&format!("/src/{folder}/")))
    else {
        return Verdict::Left;
    };
    for name in *names {
        let Some(program) = programs.iter().find(|program| program.name == *name) else { continue };
        // The unit tests of the module, which are the quickest to notice, then of the folder.
        let filters = if *name == "lib" {
            vec![Some(module(&mutant.file)), Some(format!("{folder}::"))]
        } else {
            vec![None]
        };
        for filter in filters {
            match passes(program, filter, mutant.number) {
                Some(true) => {}
                Some(false) => return Verdict::Caught,
                None => return Verdict::Timeout,
            }
        }
    }
    Verdict::Missed
}

/// `policy::rate::` of `core/src/policy/rate/mod.rs`.
fn module(file: &str) -> String {
    let path = file.split_once("/src/").map_or(file, |(_, path)| path);
    let path = path.trim_end_matches(".rs").trim_end_matches("/mod");
    path.split('/').map(|part| format!("{part}::")).collect()
}

/// Whether the program's tests pass; `None` when they do not end.
pub fn passes(program: &Program, filter: Option<String>, mutant: usize) -> Option<bool> {
    let mut child = Command::new(&program.path)
        .args(filter)
        .current_dir(program.path.ancestors().nth(4)?.join("tree/core"))
        .env("MUTANT", mutant.to_string())
        .env("PROPTEST_CASES", "48")
        .env("PROPTEST_FAILURE_PERSISTENCE", "off")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let started = Instant::now();
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status.success());
        }
        if started.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        sleep(Duration::from_millis(10));
    }
}
