//! Runs the machines of `exchange-core` over smol: sockets, TLS, files, clocks and signals.
//!
//! Nothing here decides anything about tokens, certificates or policy; it moves bytes, holds
//! deadlines and reports what happened.
//!
//! | module | what it does |
//! |---|---|
//! | [`executor`] | the one executor and its threads |
//! | [`driver`] | the task that owns a machine |
//! | `deadlines` | all deadlines of the process in one queue |
//! | [`clock`], [`entropy`], [`signals`] | time, randomness and signals of the operating system |
//! | [`systemd`] | readiness and sockets of the service manager |
//! | [`names`] | how this machine is called |
//! | [`neighbours`] | whose the other end of a loopback connection is |
//! | [`listen`] | accept loop, connection count, deadlines, answers |
//! | [`desk`] | hands requests of connections to a machine and its answers back |
//! | [`fetch`], [`proxy`] | one outbound request |
//! | [`tls`] | both sides of TLS; the only module that names the TLS library |
//! | [`files`], [`token_store`], [`audit_sink`] | what is on disk, crash-safe |
//! | [`browser`] | opens a login page |
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        clippy::as_conversions,
        clippy::panic,
        clippy::print_stderr,
        reason = "a failing test should stop at the line that failed"
    )
)]

pub mod audit_sink;
pub mod browser;
pub mod clock;
mod deadlines;
pub mod desk;
pub mod driver;
pub mod entropy;
pub mod executor;
pub mod fetch;
pub mod files;
pub mod listen;
pub mod names;
pub mod neighbours;
pub mod proxy;
pub mod signals;
pub mod systemd;
pub mod tls;
pub mod token_store;
