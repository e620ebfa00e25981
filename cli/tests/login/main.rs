//! `login`, `logout` and `status` as processes, against a stub of provider and server.
#![cfg(all(unix, feature = "client", feature = "server", feature = "manual"))]
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    unreachable_pub,
    reason = "a failing test should stop at the line that failed; the parts are this test's own"
)]

mod at_length;
mod callback;
mod crash;
mod doctor;
mod exec;
mod flags;
mod keychain;
mod machine;
mod manners;
mod person;
mod provider_errors;
mod refusals;
mod renewal;
mod status;
mod stub;
mod surroundings;
mod tls;
