//! Certificates: CA loading, the client profile, encoding, signing in memory, re-parsing.
//!
//! | step | type |
//! |---|---|
//! | the operator's CA | [`CaCert`], [`CaKey`] |
//! | a key for the client | [`LeafKey`], fresh or from a certificate request |
//! | what will be signed | [`Draft`] |
//! | what was signed, checked again | [`Issued`] |
//! | what somebody else issued | [`ClientCertificate`] |
//! | the server's own TLS pair | [`TlsIdentity`] |

use alloc::string::String;

use crate::types::hex;

mod asn1;
mod base64;
mod ca;
mod certificate;
mod csr;
mod error;
mod inspect;
mod issue;
mod leaf;
mod name;
pub mod pem;
mod private_key;
mod profile;
mod public_key;
mod read_back;
mod san;
mod signer;
mod tls_identity;
mod write;

pub use ca::{CaCert, Component};
pub use csr::{CSR_BYTES_MAX, CsrError};
pub use error::{CaError, KeyError};
pub use inspect::{ClientCertificate, InspectError};
pub use issue::{BACKDATED_SECS, Draft, Field, IssueError, Issued, SignerTrust};
pub use leaf::LeafKey;
pub use name::CommonName;
pub use private_key::PrivateKey;
pub use public_key::{KeyAlgorithm, PublicKey, SignatureAlgorithm};
pub use san::{San, SanError};
pub use signer::CaKey;
pub use tls_identity::{Renewal, TlsFile, TlsIdentity, TlsIdentityError};

/// SHA-256 of a DER certificate, as `openssl x509 -fingerprint -sha256` without the colons.
fn fingerprint(der: &[u8]) -> String {
    hex(ring::digest::digest(&ring::digest::SHA256, der).as_ref())
}
