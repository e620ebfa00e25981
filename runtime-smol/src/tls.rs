//! TLS for both sides. The only module that names the TLS library, which changes its API often.

mod client;
mod error;
mod pem;
mod server;
mod stream;
mod verify;

pub use client::{ClientOptions, ClientRoots, ClientTls, Identity, Verification};
pub use error::{TlsError, fetch_error};
pub use server::{ServerTls, ServerTlsOptions};
pub use stream::Stream;

use std::sync::Arc;

use futures_rustls::rustls::crypto::{CryptoProvider, ring};

/// The protocol name of HTTP/1.1 (RFC 7301).
pub const HTTP_1_1: &[u8] = b"http/1.1";

/// The protocol name of HTTP/2 over TLS.
pub const HTTP_2: &[u8] = b"h2";

/// Named at every use: a process-wide default could be another one, or absent.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

#[cfg(test)]
mod tests;
