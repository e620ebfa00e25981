//! Why a talosconfig is not read or not edited.

use core::fmt;

use crate::yaml::YamlError;

/// Why a talosconfig is refused. The file is left as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TalosconfigError {
    /// Not YAML, or too large.
    Yaml(YamlError),
    /// This part is something else than a mapping of keys.
    NotAMapping {
        /// Which part: the file, `contexts` or the context.
        part: &'static str,
    },
    /// A mapping of other things, such as a machine configuration.
    NotATalosconfig,
    /// The part to edit or read has an anchor, an alias, a tag or a merge key.
    Reference,
    /// A value that is neither text nor, where one belongs, a list of texts.
    WrongKind {
        /// Which key.
        key: &'static str,
    },
    /// A value is not standard base64, as Go reads it.
    Base64 {
        /// `ca`, `crt` or `key`.
        key: &'static str,
    },
    /// A value holds no PEM.
    NotPem {
        /// `ca`, `crt` or `key`.
        key: &'static str,
    },
    /// Written in a way that cannot be edited without touching something else.
    Layout,
}

impl TalosconfigError {
    /// Stable name of this error.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Yaml(_) => "talosconfig.yaml",
            Self::NotAMapping { .. } => "talosconfig.not_a_mapping",
            Self::NotATalosconfig => "talosconfig.not_a_talosconfig",
            Self::Reference => "talosconfig.reference",
            Self::WrongKind { .. } => "talosconfig.wrong_kind",
            Self::Base64 { .. } => "talosconfig.base64",
            Self::NotPem { .. } => "talosconfig.not_pem",
            Self::Layout => "talosconfig.layout",
        }
    }
}

impl fmt::Display for TalosconfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Yaml(error) => write!(f, "the talosconfig does not read: {error}"),
            Self::NotAMapping { part } => {
                write!(f, "{part} of the talosconfig is not a mapping; repair it, or use another file with --talosconfig")
            }
            Self::NotATalosconfig => f.write_str(
                "the file is no talosconfig: it has no `contexts` and holds something else, such as a machine configuration; name another file with --talosconfig",
            ),
            Self::Reference => f.write_str(
                "the context is written with anchors, aliases, tags or merge keys; write it out, or choose another name with --context-name",
            ),
            Self::WrongKind { key } => {
                write!(f, "{key} in the talosconfig is not of the kind that belongs there; repair it")
            }
            Self::Base64 { key } => write!(f, "{key} of the context is not base64; log in again"),
            Self::NotPem { key } => write!(f, "{key} holds no PEM; log in again"),
            Self::Layout => f.write_str(
                "the talosconfig is laid out in a way that cannot be edited safely; run `talosctl config context` once, which writes it anew",
            ),
        }
    }
}
