//! Reads `vectors/cidr`: allowlists, addresses, and whether these may pass.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing case should name its file")]

mod vectors;

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

fn outcome(case: &Case) -> Result<bool, &'static str> {
    let list = Allowlist::read(&case.list).map_err(ListError::code)?;
    let client: ClientIp = case.address.parse().map_err(CidrError::code)?;
    Ok(list.allows(client))
}

fn check(case: &Case) -> Result<(), String> {
    let found = outcome(case).map_or_else(|code| Expect::Error(code.into()), Expect::Allowed);
    vectors::same(&found, &case.expect)
}

#[test]
fn every_list_admits_whom_it_must() {
    vectors::each("cidr", 60, check);
}

#[test]
fn altered_lists_admit_as_another_implementation_says() {
    vectors::altered("cidr", check);
}
