//! Strings as JSON.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt::Write as _;

use crate::scan::written_plainly;

/// Writes `text` as a JSON string with its quotes. Control characters, DEL, U+2028 and U+2029 are
/// escaped, so that one event stays one line in every viewer.
pub fn write_string(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    loop {
        // What needs no look is copied in one piece: most of what is written is PEM text.
        let plain = written_plainly(rest.as_bytes());
        let (plain, tail) = rest.split_at_checked(plain).unwrap_or((rest, ""));
        out.push_str(plain);
        let mut chars = tail.chars();
        match chars.next() {
            None => break,
            Some('"') => out.push_str("\\\""),
            Some('\\') => out.push_str("\\\\"),
            Some('\n') => out.push_str("\\n"),
            Some('\r') => out.push_str("\\r"),
            Some('\t') => out.push_str("\\t"),
            Some(c) if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            Some(c) => out.push(c),
        }
        rest = chars.as_str();
    }
    out.push('"');
}

/// Most bytes that [`write_string`] writes for `text`. A buffer that has room for a secret never
/// grows, and so leaves no copy of it behind.
#[must_use]
pub fn string_bytes_max(text: &str) -> usize {
    let mut most = text.len().saturating_add(2);
    let mut rest = text.as_bytes();
    while let Some(tail) = rest.get(written_plainly(rest)..).and_then(<[u8]>::split_first) {
        most = most.saturating_add(5);
        rest = tail.1;
    }
    most
}

/// A text that is already written as a JSON string, for what every answer repeats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonText(Box<str>);

impl JsonText {
    /// The string with its quotes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<T: AsRef<str>> From<T> for JsonText {
    fn from(text: T) -> Self {
        let mut out = String::new();
        write_string(&mut out, text.as_ref());
        Self(out.into())
    }
}
