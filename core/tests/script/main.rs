//! Reads `vectors/script`: what happens to one of the two machines, when, and what it orders.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_docs_in_private_items,
    reason = "a failing test should stop at the line that failed"
)]

mod case;
mod login;
mod server;
#[path = "../vectors/mod.rs"]
mod vectors;
mod words;

use std::path::Path;

use case::Case;

/// `SCRIPT` names one file, from anywhere, to be played instead of those of the folder.
#[test]
fn machines_order_what_the_scripts_say() {
    let Some(path) = std::env::var_os("SCRIPT") else {
        return vectors::each("script", 90, Case::check);
    };
    // Tests run in the folder of their package.
    let text = std::fs::read_to_string(&path)
        .or_else(|_| std::fs::read_to_string(Path::new("..").join(&path)))
        .unwrap();
    let case: Case = serde_json::from_str(&text).unwrap();
    case.check().unwrap();
}
