//! Reads `vectors/audit`: the files of a log, and what `audit verify` says of them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failing test should stop at the line that failed"
)]

mod vectors;

use exchange_core::server::audit_verify::{Finding, Summary, Verifier, VerifierKey};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[serde(rename = "comment")]
    _comment: String,
    #[serde(rename = "source")]
    _source: String,
    keys: Vec<String>,
    files: Vec<String>,
    expect: Expect,
}

#[derive(Deserialize, Debug, PartialEq)]
#[serde(untagged, deny_unknown_fields)]
enum Expect {
    Fits { ok: Facts },
    Found { line: u64, error: String },
}

#[derive(Deserialize, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
struct Facts {
    lines: u64,
    first: Option<u64>,
    last: Option<u64>,
    unchained: u64,
    checkpoints: u64,
    checkpoints_proven: u64,
    proven_to: u64,
}

/// As the command reads them: line by line, one file after the other.
fn verify(case: &Case) -> Result<Summary, Finding> {
    let keys = case.keys.iter().map(|key| key.parse::<VerifierKey>().unwrap());
    let mut verifier = Verifier::new(keys);
    for file in &case.files {
        for line in file.split_terminator('\n') {
            verifier.line(line.as_bytes())?;
        }
    }
    Ok(verifier.finish())
}

#[test]
fn logs_are_judged_as_the_vectors_say() {
    vectors::each("audit", 40, |case: &Case| {
        let found = match verify(case) {
            Ok(summary) => {
                let Summary { lines, first, last, unchained, .. } = summary;
                let Summary { checkpoints, checkpoints_proven, proven_to, .. } = summary;
                Expect::Fits {
                    ok: Facts {
                        lines,
                        first,
                        last,
                        unchained,
                        checkpoints,
                        checkpoints_proven,
                        proven_to,
                    },
                }
            }
            Err(finding) => {
                Expect::Found { line: finding.line, error: finding.fault.code().into() }
            }
        };
        vectors::same(&found, &case.expect)
    });
}
