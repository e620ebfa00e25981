//! Reads `vectors/cidr`: allowlists, addresses, and whether these may pass.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing case should name its file")]

use std::fs;
use std::path::PathBuf;

use exchange_core::policy::{Allowlist, CidrError, ClientIp, ListError};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[serde(rename = "comment")]
    _comment: String,
    #[serde(rename = "source")]
    _source: String,
    list: Vec<String>,
    address: String,
    expect: Expect,
}

#[derive(Deserialize, PartialEq, Debug)]
#[serde(untagged)]
enum Expect {
    Allowed(bool),
    Error(String),
}

fn cases() -> Vec<(String, Case)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../vectors/cidr");
    let mut cases = Vec::new();
    for file in fs::read_dir(&folder).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).unwrap();
            let case = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
            cases.push((name, case));
        }
    }
    assert!(cases.len() >= 60, "only {} cases in {}", cases.len(), folder.display());
    cases.sort_by(|(a, _), (b, _)| a.cmp(b));
    cases
}

fn outcome(case: &Case) -> Result<bool, &'static str> {
    let list = Allowlist::read(&case.list).map_err(ListError::code)?;
    let client: ClientIp = case.address.parse().map_err(CidrError::code)?;
    Ok(list.allows(client))
}

#[test]
fn every_list_admits_whom_it_must() {
    let cases = cases();
    let wrong: Vec<_> = cases
        .iter()
        .map(|(name, case)| {
            let found =
                outcome(case).map_or_else(|code| Expect::Error(code.into()), Expect::Allowed);
            (name, found, &case.expect)
        })
        .filter(|(_, found, expected)| found != *expected)
        .collect();
    assert!(wrong.is_empty(), "(file, found, expected): {wrong:#?}");
}
