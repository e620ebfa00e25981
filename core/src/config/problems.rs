//! What is wrong with a configuration, all of it at once.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::Key;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The file of this name; line and column count from 1.
    File {
        /// As the caller named it.
        name: String,
        /// Line.
        line: usize,
        /// Column in characters.
        column: usize,
    },
    /// An environment variable.
    Environment,
    /// Nobody gave one.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { name, line, column } => write!(f, "{name}:{line}:{column}"),
            Self::Environment => f.write_str("environment"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// `config.missing`, `config.invalid`, `config.conflict` or `config.unreadable`.
    pub code: &'static str,
    /// The setting, `file_key / ENV_NAME`; empty when it is the file as a whole.
    pub label: String,
    /// Where the value stands.
    pub origin: Origin,
    /// The value in quotes; `None` for secrets and where there is none.
    pub value: Option<String>,
    /// What would be right.
    pub advice: Cow<'static, str>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.origin != Origin::Default {
            write!(f, "{}: ", self.origin)?;
        }
        if !self.label.is_empty() {
            write!(f, "{}: ", self.label)?;
        }
        if let Some(value) = &self.value {
            write!(f, "{value}: ")?;
        }
        f.write_str(&self.advice)
    }
}

/// Everything that is wrong. Never empty as an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    /// Settings that must be given and are not, as `file_key / ENV_NAME`.
    pub missing: Vec<String>,
    /// Everything else, in the order of reading.
    pub found: Vec<Problem>,
    /// What would have been warned about: an unknown key is often the cause of a missing one.
    pub warnings: Vec<Warning>,
}

impl Problems {
    /// Stable name of the error as a whole.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        "config.invalid"
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.found.is_empty()
    }
}

impl fmt::Display for Problems {
    /// One line each; the first begins `required configuration not set: ` when something is
    /// missing, which scripts look for.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.missing.is_empty() {
            write!(f, "required configuration not set: {}", self.missing.join(", "))?;
        }
        for (at, problem) in self.found.iter().enumerate() {
            if at > 0 || !self.missing.is_empty() {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

/// Something an operator should know that does not stop the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Stable name, such as `config.unknown_key`.
    pub code: &'static str,
    /// The sentence.
    pub text: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A value as messages show it: in quotes, escaped, cut after 60 characters; never a secret.
pub(super) fn shown(key: &Key, text: &str) -> Option<String> {
    use super::Kind;
    match key.kind {
        _ if key.secret => None,
        Kind::Pem => None,
        Kind::Text
        | Kind::Path
        | Kind::Listen
        | Kind::Duration { .. }
        | Kind::Flag
        | Kind::Number { .. }
        | Kind::Choice(_)
        | Kind::List
        | Kind::Rules => Some(quoted(text)),
    }
}

/// Text in quotes, escaped, cut after 60 characters.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for (at, c) in text.chars().enumerate() {
        if at == 60 {
            out.push_str("...");
            break;
        }
        // Go and shell users expect plain letters as they are, whatever their script.
        if c.is_control() || matches!(c, '"' | '\\') || !c.is_ascii() && !c.is_alphanumeric() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out.push('"');
    out
}
