//! JSON Web Tokens: bytes to a parsed token, claims and signature checked in the order of the OIDC text.

mod alg;
pub(crate) mod base64url;
mod claims;
pub mod client;
mod curve;
mod error;
mod hash;
mod jws;
mod key;
mod parse;
mod verify;

pub use alg::{Alg, AlgSet, ForeignAlg};
pub use error::TokenError;
pub use hash::at_hash;
pub use jws::{HEADER_BYTES_MAX, Jws, TOKEN_BYTES_MAX};
pub use key::{KeyError, VerifyKey};
pub use parse::ParsedToken;
pub use verify::{CheckedToken, Expectations, VerifiedToken};
