//! The server as its users meet it: the built program, real sockets, real files, signals.
//!
//! Names of tests that begin with `d` and a number are the rows of the list of defects that the
//! original had; those that begin with `s` and a number name the section of the compatibility
//! specification whose rule they hold.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    clippy::print_stderr,
    reason = "a failing test should stop at the line that failed"
)]

mod client;
mod provider;
mod token;
mod world;

mod abuse;
mod admin;
mod audit;
mod config;
mod exchange;
mod faults;
mod lifecycle;
mod load;
mod tls;
