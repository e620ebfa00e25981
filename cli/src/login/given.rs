//! Secrets that come from elsewhere: a file, a variable, standard input.

use std::path::{Path, PathBuf};

use exchange_core::types::Secret;
use exchange_smol::files;

/// Largest file with a secret, a token or certificates.
pub(super) const BYTES_MAX: usize = 1024 * 1024;

/// Where a given ID token is read, anew for each renewal: workload tokens are replaced in place.
#[derive(Debug)]
pub(crate) enum Given {
    /// Here: from a flag or standard input, which can be read once.
    Token(Secret),
    /// In a file.
    File(PathBuf),
    /// In an environment variable.
    Variable(String),
}

/// A given ID token before it is read.
pub(crate) enum Source {
    Text(String),
    Stdin,
    File(PathBuf),
    Variable(String),
}

impl Source {
    /// Reads what can be read once only.
    pub(crate) fn read(self) -> Result<Given, String> {
        match self {
            Self::Text(token) => Ok(Given::Token(Secret::from(token))),
            Self::Stdin => stdin("--id-token-file").map(Given::Token),
            Self::File(path) => Ok(Given::File(path)),
            Self::Variable(name) => Ok(Given::Variable(name)),
        }
    }
}

impl Given {
    /// The token as it is now, or why there is none.
    pub(crate) fn read(&self) -> Result<Secret, String> {
        match self {
            Self::Token(token) => Ok(token.duplicate()),
            Self::File(path) => match files::read(path, BYTES_MAX) {
                Ok(bytes) => Ok(Secret::new(bytes.as_slice())),
                Err(error) => Err(error.to_string()),
            },
            Self::Variable(name) => match std::env::var(name) {
                Ok(token) if !token.trim().is_empty() => Ok(Secret::from(token)),
                Ok(_) | Err(_) => {
                    Err(format!("the environment variable {name} is not set: check --id-token-env"))
                }
            },
        }
    }
}

/// Whether the path stands for standard input.
pub(super) fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// All of standard input, without blanks around it. `flag` asked for it.
pub(super) fn stdin(flag: &str) -> Result<Secret, String> {
    use std::io::Read as _;
    let cap = u64::try_from(BYTES_MAX).unwrap_or(u64::MAX);
    let mut bytes = zeroize::Zeroizing::new(Vec::with_capacity(4096));
    match std::io::stdin().lock().take(cap).read_to_end(&mut bytes) {
        Ok(_) if bytes.trim_ascii().is_empty() => Err(format!("{flag}: nothing came from stdin")),
        Ok(_) => Ok(Secret::new(bytes.trim_ascii())),
        Err(error) => Err(format!("{flag}: cannot read stdin: {}", error.kind())),
    }
}
