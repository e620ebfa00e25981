//! Protocol core of talosctl-oidc: pure state machines that decide, and nothing that does.
//!
//! There is no clock, socket, file, environment, thread, log or random source in this crate.
//! Time and randomness are arguments; everything to be done leaves as a value. A runtime
//! performs it and reports back. `#![no_std]` makes the compiler check the rule.
//!
//! | module | what it decides |
//! |---|---|
//! | [`machine`] | the vocabulary both machines share |
//! | [`types`] | one validated type per domain value |
//! | [`json`], [`yaml`] | strict readers with caps |
//! | [`http`] | HTTP/1.1 as bytes in, messages out |
//! | [`jwt`], [`oidc`] | tokens, keys, discovery, flows |
//! | [`policy`] | allowlist, rate limit, claims to roles |
//! | [`pki`] | CA loading, certificates, requests |
//! | [`server`] | the exchange machine |
//! | [`login`] | the client machine |
//! | [`talosconfig`] | surgical edits of a talosconfig |
//! | [`config`] | file and environment to validated settings |
#![no_std]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        clippy::as_conversions,
        clippy::panic,
        reason = "a failing test should stop at the line that failed"
    )
)]

extern crate alloc;

pub mod config;
pub mod http;
pub mod json;
pub mod jwt;
pub mod login;
pub mod machine;
pub mod oidc;
pub mod pki;
pub mod policy;
mod scan;
pub mod server;
pub mod talosconfig;
pub mod types;
pub mod yaml;
