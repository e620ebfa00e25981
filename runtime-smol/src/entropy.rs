//! Randomness of the operating system.

use std::fmt;

use exchange_core::machine::Entropy;
use ring::rand::{SecureRandom, SystemRandom};

/// The operating system gave no randomness. Nothing secret can be made without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoEntropy;

impl fmt::Display for NoEntropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the operating system gives no random bytes: check that getrandom is allowed")
    }
}

impl std::error::Error for NoEntropy {}

/// `N` fresh bytes for one use.
///
/// # Errors
/// [`NoEntropy`] when the operating system refuses, as under a wrong seccomp profile.
pub fn draw<const N: usize>() -> Result<Entropy<N>, NoEntropy> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| NoEntropy)?;
    Ok(Entropy::new(bytes))
}

/// The generator itself, for signatures that draw their own (ECDSA, RSA).
#[must_use]
pub fn generator() -> SystemRandom {
    SystemRandom::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_draws_differ() {
        let (a, b) = (draw::<32>().unwrap().into_bytes(), draw::<32>().unwrap().into_bytes());
        assert_ne!(*a, *b);
        assert_ne!(*a, [0; 32]);
    }
}
