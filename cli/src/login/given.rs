//! Secrets that come from elsewhere: a file, a variable, standard input.

use std::ffi::OsStr;
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
                Ok(bytes) if bytes.trim_ascii().is_empty() => {
                    Err(format!("{}: nothing in it", path.display()))
                }
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

/// Which of flags that exclude each other counts, and what is wrong with that. Empty counts as
/// absent, and what a variable says gives way to what was typed.
pub(super) fn one_of(
    given: &[(&'static str, Option<&OsStr>)],
) -> (Option<&'static str>, Option<String>) {
    let set = given.iter().filter_map(|(flag, value)| {
        let value = value.filter(|value| !value.is_empty())?;
        Some((*flag, std::env::var_os(variable_of(flag)).is_some_and(|v| v == *value)))
    });
    let (by_variable, typed): (Vec<_>, Vec<_>) = set.partition(|(_, by_variable)| *by_variable);
    let counted = if typed.is_empty() { by_variable } else { typed };
    let problem = match counted.as_slice() {
        [(one, _), (other, _), ..] => {
            Some(format!("{one} and {other} exclude each other: give one"))
        }
        [] | [_] => None,
    };
    (counted.first().map(|(flag, _)| *flag), problem)
}

/// The variable that stands for a flag. A test holds the table of flags to it.
fn variable_of(flag: &str) -> String {
    let name = flag.trim_start_matches('-').to_ascii_uppercase().replace('-', "_");
    format!("TALOSCTL_OIDC_LOGIN_{name}")
}
