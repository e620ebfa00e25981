//! Strict JSON: one parse, sized and shallow, in which no member name occurs twice.
//!
//! Two readers that disagree on a repeated name are a hole (RFC 8725 section 3.10 and RFC 7519
//! section 4), so a repeated name is an error at any depth, and nobody parses the bytes again.

mod read;
mod write;

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

pub use read::{parse, parse_object};
pub use write::{JsonText, string_bytes_max, write_string};

/// A JSON value. Objects keep their order and hold each name once.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// An integer that fits 64 signed bits.
    Int(i64),
    /// Any other finite number.
    Float(f64),
    /// Text.
    String(String),
    /// `[…]`
    Array(Vec<Self>),
    /// `{…}`
    Object(Object),
}

/// The members of a JSON object, in order, each name once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object(Vec<(Name, Value)>);

/// The name of a member. Those that nearly every token has are not allocated.
type Name = Cow<'static, str>;

/// What a reader accepts at most.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Length of the text in bytes.
    pub bytes_max: usize,
    /// Arrays and objects inside each other; 1 is a flat object. The reader goes as deep on the
    /// stack.
    pub depth_max: u32,
}

/// Why bytes are not the JSON we accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonError {
    /// Longer than the limit.
    TooLarge,
    /// Nested deeper than the limit.
    TooDeep,
    /// A member name occurs twice in one object.
    DuplicateName,
    /// Not JSON, not UTF-8, a lone surrogate, a number out of range, or bytes after the value.
    Syntax,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "the JSON text is too large",
            Self::TooDeep => "the JSON text is nested too deeply",
            Self::DuplicateName => "a JSON member name occurs twice",
            Self::Syntax => "not valid JSON",
        })
    }
}

impl Object {
    /// The member of that exact name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// The member of that name if it is text.
    #[must_use]
    pub fn get_str(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }

    /// Members in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(key, value)| (&**key, value))
    }

    /// How many members there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Value {
    /// The text, if it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    /// The elements, if it is an array.
    #[must_use]
    pub fn as_array(&self) -> Option<&[Self]> {
        if let Self::Array(items) = self { Some(items) } else { None }
    }

    /// The object, if it is one.
    #[must_use]
    pub fn as_object(&self) -> Option<&Object> {
        if let Self::Object(object) = self { Some(object) } else { None }
    }

    /// What kind of value it is, for messages.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Int(_) | Self::Float(_) => "number",
            Self::String(_) => "string",
            Self::Array(_) => "array",
            Self::Object(_) => "object",
        }
    }
}

#[cfg(test)]
mod tests;
