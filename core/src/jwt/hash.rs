//! Hashes that tie a token to what was handed out with it (OpenID Connect Core 1.0 section 3.1.3.6).

use alloc::string::String;

use ring::digest::{SHA256, SHA384, SHA512, digest};

use super::{Alg, base64url};

/// `at_hash` of an access token for an ID token signed with `alg`: the left half of the hash the
/// algorithm uses, in base64url. Ed25519 uses SHA-512.
#[must_use]
pub fn at_hash(alg: Alg, access_token: &str) -> String {
    let hash = match alg {
        Alg::Rs256 | Alg::Ps256 | Alg::Es256 | Alg::Hs256 => &SHA256,
        Alg::Rs384 | Alg::Ps384 | Alg::Es384 | Alg::Hs384 => &SHA384,
        Alg::Rs512 | Alg::Ps512 | Alg::Hs512 | Alg::EdDsa => &SHA512,
    };
    let hash = digest(hash, access_token.as_bytes());
    let half = hash.as_ref().get(..hash.as_ref().len() / 2).unwrap_or_default();
    base64url::encode(half)
}
