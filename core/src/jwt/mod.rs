//! JSON Web Tokens: bytes to a parsed token, claims and signature checked in the order of the OIDC text.

mod alg;
mod error;

pub use alg::{Alg, AlgSet, ForeignAlg};
pub use error::TokenError;
