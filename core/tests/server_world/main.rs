//! The exchange server driven without a runtime: a blocking loop, one fake clock, a provider and a
//! signer in memory. Shows that the machine needs neither smol nor a socket, and holds its promises
//! against a seeded world of delays, failures, rotations and forgeries.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    unreachable_pub,
    missing_docs,
    reason = "a failing test should stop at the line that failed"
)]

mod admin;
mod chain;
mod world;
