//! Strict YAML reading with positions: text in, a tree out whose every node knows its bytes.
//!
//! The only module that names the YAML crate. It takes that crate's events and builds its own
//! tree, because values must keep their raw text (`0123`, `1.10` and `yes` are what was written)
//! and because every growth needs a cap: text, depth, nodes. Aliases are never expanded, so a
//! small file cannot become a large tree. Equal keys in one mapping are an error.

mod build;
mod error;

pub use build::{DEPTH_MAX, NODES_MAX, TEXT_BYTES_MAX, parse, parse_all};
pub use error::{YamlError, YamlFault};

use core::ops::Range;

use alloc::string::String;
use alloc::vec::Vec;

use zeroize::Zeroizing;

/// Where a node stands in the text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Its bytes. Of a block collection: from its first key or dash to the end of its last child;
    /// of a block scalar: its lines without the header; of text with an anchor or tag: with them.
    pub bytes: Range<usize>,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// One value and where it stands.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it is.
    pub value: Value,
    /// Where it stands.
    pub place: Place,
    /// Whether `&name` precedes it.
    pub anchored: bool,
    /// Whether `!tag` precedes it.
    pub tagged: bool,
}

/// What a node is.
#[derive(Clone, Debug)]
pub enum Value {
    /// Text of any style.
    Scalar(Scalar),
    /// A list.
    Seq(Seq),
    /// A mapping.
    Map(Map),
    /// `*name`: a reference that is not followed.
    Alias,
}

/// Text as it was written, quotes and escapes resolved. Wiped on drop: it may be a key.
#[derive(Clone, PartialEq, Eq)]
pub struct Scalar {
    /// The text; of a plain scalar exactly the characters in the file.
    pub text: Zeroizing<String>,
    /// Whether it stands without quotes, so that `null`, `true` and numbers mean themselves.
    pub plain: bool,
}

impl core::fmt::Debug for Scalar {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Scalar({} bytes)", self.text.len())
    }
}

/// A list.
#[derive(Clone, Debug)]
pub struct Seq {
    /// Its items in order.
    pub items: Vec<Node>,
    /// Whether it is written `[a, b]`.
    pub flow: bool,
}

/// A mapping; no two keys are equal.
#[derive(Clone, Debug)]
pub struct Map {
    /// Its pairs in the order of the text. Every key is a scalar.
    pub pairs: Vec<Pair>,
    /// Whether it is written `{a: b}`.
    pub flow: bool,
}

/// One pair of a mapping.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The key's text.
    pub key: Scalar,
    /// Where the key stands.
    pub key_place: Place,
    /// The value; null with an empty place when nothing is written.
    pub value: Node,
}

impl Map {
    /// The pair of that key.
    #[must_use]
    pub fn pair(&self, key: &str) -> Option<&Pair> {
        self.pairs.iter().find(|pair| *pair.key.text == key)
    }

    /// Whether another mapping is merged into this one; a quoted `<<` is a key like any other.
    #[must_use]
    pub fn merges(&self) -> bool {
        self.pairs.iter().any(|pair| pair.key.plain && *pair.key.text == "<<")
    }

    /// The value of that key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.pair(key).map(|pair| &pair.value)
    }
}

impl Scalar {
    /// Whether this is YAML's null: plain and empty, `~` or `null` (YAML 1.2.2 section 10.3.2).
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.plain && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }
}

impl Node {
    /// Whether nothing, `~` or `null` is written.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.scalar().is_some_and(Scalar::is_null)
    }

    /// The text, when this is a scalar.
    #[must_use]
    pub const fn scalar(&self) -> Option<&Scalar> {
        match &self.value {
            Value::Scalar(scalar) => Some(scalar),
            Value::Seq(_) | Value::Map(_) | Value::Alias => None,
        }
    }

    /// The text of a scalar that is not null.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        self.scalar().filter(|scalar| !scalar.is_null()).map(|scalar| scalar.text.as_str())
    }

    /// The mapping, when this is one.
    #[must_use]
    pub const fn map(&self) -> Option<&Map> {
        match &self.value {
            Value::Map(map) => Some(map),
            Value::Scalar(_) | Value::Seq(_) | Value::Alias => None,
        }
    }

    /// The list, when this is one.
    #[must_use]
    pub const fn seq(&self) -> Option<&Seq> {
        match &self.value {
            Value::Seq(seq) => Some(seq),
            Value::Scalar(_) | Value::Map(_) | Value::Alias => None,
        }
    }

    /// What this is, for messages.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::Scalar(scalar) if scalar.is_null() => "nothing",
            Value::Scalar(_) => "a single value",
            Value::Seq(_) => "a list",
            Value::Map(_) => "a mapping",
            Value::Alias => "an alias",
        }
    }

    /// The first anchor, alias or tag in this node, itself included.
    #[must_use]
    pub fn first_reference(&self) -> Option<&Place> {
        if self.anchored || self.tagged {
            return Some(&self.place);
        }
        match &self.value {
            Value::Scalar(_) => None,
            Value::Alias => Some(&self.place),
            Value::Seq(seq) => seq.items.iter().find_map(Self::first_reference),
            Value::Map(map) => map.pairs.iter().find_map(|pair| pair.value.first_reference()),
        }
    }

    /// Whether two trees say the same: styles, comments and places do not count, the order of
    /// pairs does not either; a plain scalar differs from a quoted one only where quoting changes
    /// its meaning.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        match (&self.value, &other.value) {
            (Value::Scalar(a), Value::Scalar(b)) => {
                *a.text == *b.text && (a.plain == b.plain || !a.is_word() && !b.is_word())
            }
            (Value::Seq(a), Value::Seq(b)) => {
                a.items.len() == b.items.len()
                    && a.items.iter().zip(&b.items).all(|(a, b)| a.same(b))
            }
            (Value::Map(a), Value::Map(b)) => {
                a.pairs.len() == b.pairs.len()
                    && a.pairs
                        .iter()
                        .all(|pair| b.get(&pair.key.text).is_some_and(|v| v.same(&pair.value)))
            }
            (Value::Alias, Value::Alias) => true,
            (Value::Scalar(_) | Value::Seq(_) | Value::Map(_) | Value::Alias, _) => false,
        }
    }
}

/// Words that some YAML reader takes for a boolean or a null when they stand plain.
const WORDS: [&str; 13] =
    ["", "~", "null", "true", "false", "yes", "no", "on", "off", "y", "n", "<<", "="];

impl Scalar {
    /// Whether quotes would change what some YAML reader makes of it: null, boolean, number, date.
    fn is_word(&self) -> bool {
        let text = self.text.as_str();
        let host = text.split_once(':').map_or(text, |(host, _)| host);
        if host.parse::<core::net::Ipv4Addr>().is_ok() {
            return false;
        }
        WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
            || text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.'))
    }
}

/// `text` as a YAML scalar on one line: plain where every reader takes it as that text, else in
/// double quotes.
#[must_use]
pub fn quote(text: &str) -> String {
    let scalar = Scalar { text: Zeroizing::new(text.into()), plain: true };
    let plain = !scalar.is_word()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./:@+=".contains(&b))
        && text.starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '/'))
        && !text.ends_with(':');
    if plain {
        return text.into();
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            ' '..='~' => out.push(c),
            c if c.is_alphanumeric() => out.push(c),
            c => {
                out.push_str("\\U");
                for shift in (0..8).rev() {
                    let digit = u32::from(c) >> (shift * 4) & 0xf;
                    out.push(char::from_digit(digit, 16).unwrap_or('0'));
                }
            }
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests;
