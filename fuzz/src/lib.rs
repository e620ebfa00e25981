//! Fuzz targets as plain functions: `cargo test` calls them on stable Rust with the vectors and
//! with mutations of them, the programs in `fuzz_targets/` hand them to libFuzzer.
//!
//! A target panics when something that must always hold does not: that is a finding, and its input
//! becomes a vector.

mod audit;
mod fixed;
mod http;
mod login_script;
pub mod mutate;
mod network;
mod pki;
mod provider;
pub mod seeds;
mod server_script;
mod settings;
mod talosconfig;
mod tokens;

pub use audit::audit_line;
pub use http::{callback, http_head, token_response};
pub use login_script::login_script;
pub use network::{cidr, forwarded_for, go_duration};
pub use pki::{ca_pem, csr, sign_roundtrip};
pub use server_script::server_script;
pub use settings::config;
pub use talosconfig::talosconfig;
pub use tokens::{claims, discovery, jwks, token};

/// One fuzz target.
pub struct Target {
    /// Name of the function, of the program in `fuzz_targets/` and of the corpus folder.
    pub name: &'static str,
    /// What is called with each input.
    pub run: fn(&[u8]),
    /// File in `dict/` without its ending.
    pub dict: &'static str,
    /// Inputs made of the vectors.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target { name: "token", run: token, dict: "jwt", seeds: seeds::token },
    Target { name: "jwks", run: jwks, dict: "jwt", seeds: seeds::jwks },
    Target { name: "discovery", run: discovery, dict: "jwt", seeds: seeds::discovery },
    Target { name: "claims", run: claims, dict: "jwt", seeds: seeds::claims },
    Target { name: "callback", run: callback, dict: "http", seeds: seeds::callback },
    Target { name: "token_response", run: token_response, dict: "http", seeds: seeds::replies },
    Target { name: "cidr", run: cidr, dict: "text", seeds: seeds::cidr },
    Target { name: "forwarded_for", run: forwarded_for, dict: "text", seeds: seeds::forwarded_for },
    Target { name: "go_duration", run: go_duration, dict: "text", seeds: seeds::go_duration },
    Target { name: "config", run: config, dict: "yaml", seeds: seeds::config },
    Target { name: "ca_pem", run: ca_pem, dict: "pem", seeds: seeds::pem },
    Target { name: "csr", run: csr, dict: "pem", seeds: seeds::csr },
    Target { name: "http_head", run: http_head, dict: "http", seeds: seeds::http },
    Target { name: "audit_line", run: audit_line, dict: "jwt", seeds: seeds::audit },
    Target { name: "sign_roundtrip", run: sign_roundtrip, dict: "text", seeds: seeds::noise },
    Target { name: "talosconfig", run: talosconfig, dict: "yaml", seeds: seeds::talosconfig },
    Target { name: "login_script", run: login_script, dict: "text", seeds: seeds::noise },
    Target { name: "server_script", run: server_script, dict: "text", seeds: seeds::noise },
];

/// Makes a program in `fuzz_targets/` of a target. Without cargo-fuzz it is an empty program, so
/// that everything here builds on stable Rust.
#[macro_export]
macro_rules! fuzz_program {
    ($target:ident) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|data: &[u8]| $crate::$target(data));
        #[cfg(not(fuzzing))]
        fn main() {}
    };
}
