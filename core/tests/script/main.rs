//! Reads `vectors/script`: what happens to one of the two machines, when, and what it orders.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_docs_in_private_items,
    reason = "a failing test should stop at the line that failed"
)]

mod login;
mod server;
#[path = "../vectors/mod.rs"]
mod vectors;
mod words;

use serde::Deserialize;
use words::Step;

/// A script of exactly one of the machines.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[serde(rename = "comment")]
    _comment: String,
    #[serde(rename = "source")]
    _source: String,
    server: Option<One<server::Settings, server::Word>>,
    login: Option<One<login::Settings, login::Word>>,
}

/// One machine, its settings, and its steps.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct One<S, W> {
    settings: S,
    steps: Vec<Step<W>>,
}

#[test]
fn machines_order_what_the_scripts_say() {
    vectors::each("script", 90, |case: &Case| match (&case.server, &case.login) {
        (Some(one), None) => words::play(&server::Play::new(&one.settings), &one.steps),
        (None, Some(one)) => words::play(&login::Play::new(&one.settings), &one.steps),
        _ => Err("exactly one of server and login belongs here".into()),
    });
}
