//! Why a text is no YAML of ours.

use core::fmt;

/// What is wrong with the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum YamlFault {
    /// Over [`super::TEXT_BYTES_MAX`] bytes.
    TooLarge,
    /// Nested deeper than [`super::DEPTH_MAX`].
    TooDeep,
    /// Over [`super::NODES_MAX`] values.
    TooMany,
    /// Not YAML.
    Syntax,
    /// The same key twice in one mapping.
    DuplicateKey,
    /// A key that is a list, a mapping or an alias.
    KeyNotText,
    /// More than one document where one is expected.
    SecondDocument,
}

/// A fault and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct YamlError {
    /// What is wrong.
    pub fault: YamlFault,
    /// Line from 1; 0 when it concerns the whole text.
    pub line: usize,
    /// Column from 1; 0 when it concerns the whole text.
    pub column: usize,
}

impl YamlError {
    /// Stable name of this error.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self.fault {
            YamlFault::TooLarge => "yaml.too_large",
            YamlFault::TooDeep => "yaml.too_deep",
            YamlFault::TooMany => "yaml.too_many",
            YamlFault::Syntax => "yaml.syntax",
            YamlFault::DuplicateKey => "yaml.duplicate_key",
            YamlFault::KeyNotText => "yaml.key_not_text",
            YamlFault::SecondDocument => "yaml.second_document",
        }
    }
}

impl fmt::Display for YamlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {}, column {}: ", self.line, self.column)?;
        }
        f.write_str(match self.fault {
            YamlFault::TooLarge => "the file is larger than 1 MiB",
            YamlFault::TooDeep => "nested deeper than 32 levels",
            YamlFault::TooMany => "more than 100000 values",
            YamlFault::Syntax => "not valid YAML here; look at indentation, colons and quotes",
            YamlFault::DuplicateKey => "this key is there twice; remove one",
            YamlFault::KeyNotText => "a key must be plain text",
            YamlFault::SecondDocument => "a second document begins; only one is expected",
        })
    }
}
