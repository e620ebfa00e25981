//! The whole way with parts that we did not write: a certified OpenID provider (`oidc-provider`
//! from npm), curl and OpenSSL as clients, OpenSSL and Go as the servers that judge the
//! certificate. What each program is for stands in `interop/README.md`.
//!
//! Where one is not installed the test says `skipped: …` by its name.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a failing test should stop at the line that failed, and say what it skipped"
)]

#[path = "interop/chromium.rs"]
mod chromium;
#[path = "interop/desk.rs"]
mod desk;
#[path = "interop/exchange.rs"]
mod exchange;
#[path = "interop/jump_host.rs"]
mod jump_host;
#[path = "interop/lab.rs"]
mod lab;
#[path = "interop/logins.rs"]
mod logins;
#[path = "interop/node.rs"]
mod node;
#[path = "interop/opener.rs"]
mod opener;
#[path = "interop/parts.rs"]
mod parts;
#[path = "interop/process.rs"]
mod process;
#[path = "interop/secrets.rs"]
mod secrets;
#[path = "interop/shared_host.rs"]
mod shared_host;
