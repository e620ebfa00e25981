//! The login machine in a blocking world: it runs without smol, threads or sleeping.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    unreachable_pub,
    missing_docs,
    reason = "a failing test should stop at the line that failed"
)]

mod attacks;
mod browser;
mod device;
mod exchange;
mod properties;
mod silent;
mod watch;
mod world;
