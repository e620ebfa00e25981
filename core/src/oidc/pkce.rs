//! Proof Key for Code Exchange (RFC 7636), and the other one-time values of a login.

use alloc::string::String;
use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use zeroize::{Zeroize as _, Zeroizing};

use crate::machine::Entropy;

/// Code verifier: 32 random octets as 43 characters of base64url (RFC 7636 section 4.1).
///
/// Only `S256` exists here; `plain` would hand the verifier to whoever sees the browser's URL
/// (section 7.2).
pub struct Verifier(Zeroizing<String>);

impl Verifier {
    /// A verifier of these octets, which serve no other purpose.
    #[must_use]
    pub fn new(entropy: Entropy<32>) -> Self {
        Self(encode(entropy))
    }

    /// The `code_challenge`: base64url of SHA-256 over the verifier's ASCII (section 4.2).
    #[must_use]
    pub fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest(&SHA256, self.0.as_bytes()))
    }

    /// The verifier, for the token request alone.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier(redacted)")
    }
}

/// A `state` or a `nonce`: 256 random bits as 43 characters, used once.
///
/// RFC 6749 section 10.10 asks for 2^-160 or better against guessing; Authelia refuses anything
/// under 8 characters.
pub struct OneTime(Zeroizing<String>);

impl OneTime {
    /// A value of these octets.
    #[must_use]
    pub fn new(entropy: Entropy<32>) -> Self {
        Self(encode(entropy))
    }

    /// The value as it travels.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for OneTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OneTime(redacted)")
    }
}

fn encode(entropy: Entropy<32>) -> Zeroizing<String> {
    let mut octets = entropy.into_bytes();
    let text = Zeroizing::new(URL_SAFE_NO_PAD.encode(*octets));
    octets.zeroize();
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    /// RFC 7636 appendix B.
    #[test]
    fn challenge_of_the_rfc() {
        let verifier = Verifier::new(Entropy::new([
            116, 24, 223, 180, 151, 153, 224, 37, 79, 250, 96, 125, 216, 173, 187, 186, 22, 212,
            37, 77, 105, 214, 191, 240, 91, 88, 5, 88, 83, 132, 141, 121,
        ]));
        assert_eq!(verifier.expose(), "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(verifier.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn prints_nothing_of_its_content() {
        assert_eq!(format!("{:?}", Verifier::new(Entropy::new([7; 32]))), "Verifier(redacted)");
        assert_eq!(format!("{:?}", OneTime::new(Entropy::new([7; 32]))), "OneTime(redacted)");
    }
}
