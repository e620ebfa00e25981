//! Bytes to a parsed token: shape, header and claims are readable, nothing is believed.

use super::{Alg, Jws, TokenError, jws};
use crate::json::Object;
use crate::types::Kid;

/// A token whose parts and JSON are well-formed. Its claims are what a stranger wrote.
#[derive(Debug)]
pub struct ParsedToken {
    pub(super) jws: Jws,
    pub(super) claims: Object,
}

impl ParsedToken {
    /// Takes a compact token apart.
    ///
    /// # Errors
    /// [`TokenError`], from `TooLarge` to `BadKid`.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let mut jws = Jws::parse(text)?;
        // Tokens wait for keys: what has been read need not wait with them.
        let claims = jws::object(&jws.take_payload(), TokenError::BadClaims)?;
        Ok(Self { jws, claims })
    }

    /// The claims as a stranger wrote them, for explanations only: no signature was checked.
    #[must_use]
    pub fn into_unverified_claims(self) -> Object {
        self.claims
    }

    /// Algorithm named by the header.
    #[must_use]
    pub fn alg(&self) -> Alg {
        self.jws.alg()
    }

    /// Key identifier named by the header.
    #[must_use]
    pub fn kid(&self) -> Option<&Kid> {
        self.jws.kid()
    }
}
