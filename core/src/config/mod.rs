//! File and environment to validated settings; every value remembers where it came from.
//!
//! One table ([`KEYS`]) names every key with its environment variable, kind, range, default and
//! meaning; reading, messages, suggestions and documentation all go by it. The environment wins
//! over the file key by key; an empty variable is as good as none. Everything that is wrong is
//! reported at once ([`Problems`]).

mod ca_source;
mod describe;
mod keys;
mod names;
mod problems;
mod rules;
mod secret_file;
mod settings;
mod sources;
mod values;

pub use ca_source::{CaDocumentError, CaPair, CaSource, PemSource, from_document};
pub use describe::Shown;
pub use keys::{ENV_CONFIG, ENV_PREFIX, KEYS, Key, Kind};
pub use problems::{Origin, Problem, Problems, Warning};
pub use settings::{AuditLog, Loaded, Settings, TlsMode, TrailingSlash};
pub use values::{AddressError, Endpoint, ListenAddr, SanName};

#[cfg(test)]
mod tests;
