//! Percent-encoding, `application/x-www-form-urlencoded`, and client credentials built on it.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::types::Secret;

/// Most pairs of one form or query; honest ones have about ten.
pub const PAIRS_MAX: usize = 64;

/// Why text is no form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormError {
    /// `%` without two hexadecimal digits behind it.
    Percent,
    /// The decoded bytes are not UTF-8.
    Utf8,
    /// A character that must have been encoded: blank, control or non-ASCII.
    Character,
    /// More than [`PAIRS_MAX`] pairs.
    TooMany,
    /// A name that must stand once is there twice (RFC 6749 section 3.1).
    Repeated,
}

impl FormError {
    /// Stable code: part of the public contract.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Percent => "form.percent",
            Self::Utf8 => "form.utf8",
            Self::Character => "form.character",
            Self::TooMany => "form.too_many",
            Self::Repeated => "form.repeated",
        }
    }
}

impl fmt::Display for FormError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Percent => "a percent sign is not followed by two hexadecimal digits",
            Self::Utf8 => "the decoded text is not UTF-8",
            Self::Character => "a character had to be percent-encoded",
            Self::TooMany => "there are too many parameters",
            Self::Repeated => "a parameter is there twice",
        })
    }
}

/// A decoded form or query: names and values in order, wiped on drop.
#[derive(Default)]
pub struct Form(Vec<(Zeroizing<String>, Zeroizing<String>)>);

impl Form {
    /// Decodes `a=b&c=d`, `+` meaning a blank. A pair without `=` has an empty value; empty pairs
    /// are skipped. Everything in doubt is refused, as two readers could differ about it.
    pub fn parse(text: &str) -> Result<Self, FormError> {
        let mut pairs = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            if pairs.len() >= PAIRS_MAX {
                return Err(FormError::TooMany);
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            pairs.push((decode(name, true)?, decode(value, true)?));
        }
        Ok(Self(pairs))
    }

    /// [`Self::parse`] for bytes, as a body has them.
    pub fn parse_bytes(bytes: &[u8]) -> Result<Self, FormError> {
        Self::parse(core::str::from_utf8(bytes).map_err(|_| FormError::Utf8)?)
    }

    /// The value of that name; `None` if it is absent.
    ///
    /// A name that is there twice is [`FormError::Repeated`]: which one counts would be a guess.
    pub fn get(&self, name: &str) -> Result<Option<&str>, FormError> {
        let mut values = self.iter().filter(|(known, _)| *known == name).map(|(_, value)| value);
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            (_, Some(_)) => Err(FormError::Repeated),
        }
    }

    /// All pairs in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Number of pairs.
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

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values are codes, tokens and passwords; names come from strangers.
        write!(f, "Form({} pairs)", self.len())
    }
}

/// Pairs as a form body or query: `a=b&c=d`, a blank as `+`.
#[must_use]
pub fn encode_form<'a>(
    pairs: impl IntoIterator<Item = (&'a str, &'a str), IntoIter: Clone>,
) -> Zeroizing<String> {
    let pairs = pairs.into_iter();
    // Room for the longest form of it: growing would leave copies of secrets behind.
    let room = pairs.clone().map(|(name, value)| 3 * (name.len() + value.len()) + 2).sum();
    let mut out = Zeroizing::new(String::with_capacity(room));
    for (name, value) in pairs {
        if !out.is_empty() {
            out.push('&');
        }
        encode(&mut out, name, true);
        out.push('=');
        encode(&mut out, value, true);
    }
    out
}

/// The text with everything but `A-Z a-z 0-9 - . _ ~` as `%XX`, for one segment of a path or one
/// value of a query.
#[must_use]
pub fn percent_encode(text: &str) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::with_capacity(3 * text.len()));
    encode(&mut out, text, false);
    out
}

/// Undoes [`percent_encode`]; `+` stands for itself.
pub fn percent_decode(text: &str) -> Result<Zeroizing<String>, FormError> {
    decode(text, false)
}

/// Value of `authorization` for client authentication: each half form-encoded first, which plain
/// Basic authentication does not do (RFC 6749 section 2.3.1 and Appendix B).
#[must_use]
pub fn basic_authorization(client_id: &str, secret: &Secret) -> Option<Zeroizing<String>> {
    let secret = secret.expose_str()?;
    let mut pair = Zeroizing::new(String::with_capacity(3 * (client_id.len() + secret.len()) + 1));
    encode(&mut pair, client_id, true);
    pair.push(':');
    encode(&mut pair, secret, true);
    let mut out = Zeroizing::new(String::with_capacity(8 + 4 * pair.len().div_ceil(3)));
    out.push_str("Basic ");
    STANDARD.encode_string(pair.as_bytes(), &mut out);
    Some(out)
}

fn encode(out: &mut String, text: &str, plus: bool) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |value: u8| HEX.get(usize::from(value)).map_or('0', |&hex| char::from(hex));
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            b' ' if plus => out.push('+'),
            _ => out.extend(['%', digit(byte >> 4), digit(byte & 15)]),
        }
    }
}

fn decode(text: &str, plus: bool) -> Result<Zeroizing<String>, FormError> {
    let mut out = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' if plus => b' ',
            b'%' => {
                let high = bytes.next().and_then(nibble).ok_or(FormError::Percent)?;
                let low = bytes.next().and_then(nibble).ok_or(FormError::Percent)?;
                high << 4 | low
            }
            _ if byte.is_ascii_graphic() => byte,
            _ => return Err(FormError::Character),
        });
    }
    match String::from_utf8(core::mem::take(&mut *out)) {
        Ok(text) => Ok(Zeroizing::new(text)),
        Err(error) => {
            drop(Zeroizing::new(error.into_bytes()));
            Err(FormError::Utf8)
        }
    }
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString as _;
    use proptest::prelude::*;

    #[test]
    fn encodes_as_rfc_6749_appendix_b() {
        assert_eq!(*encode_form([("a", " %&+\u{a3}\u{20ac}")]), "a=+%25%26%2B%C2%A3%E2%82%AC");
        assert_eq!(*encode_form([("a", "b"), ("c", ""), ("d e", "~*")]), "a=b&c=&d+e=~%2A");
        assert_eq!(*percent_encode("a b+/\u{e9}"), "a%20b%2B%2F%C3%A9");
        let none: [(&str, &str); 0] = [];
        assert_eq!(*encode_form(none), "");
    }

    #[test]
    fn client_credentials_follow_rfc_6749_section_2_3_1() {
        for (id, secret, expected) in [
            ("s6BhdRkqt3", "gX1fBat3bV", "Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW"),
            (
                "my client:id",
                "p@ss+w%rd/=\u{e9}",
                "Basic bXkrY2xpZW50JTNBaWQ6cCU0MHNzJTJCdyUyNXJkJTJGJTNEJUMzJUE5",
            ),
        ] {
            let value = basic_authorization(id, &Secret::from(secret.to_string())).unwrap();
            assert_eq!(*value, expected);
            // The capacity was enough, so no copy was left behind by growing.
            assert!(value.capacity() <= 8 + 4 * value.len());
        }
        assert!(basic_authorization("a", &Secret::new([0xff])).is_none());
    }

    #[test]
    fn reads_pairs() {
        let form = Form::parse("code=a%2Fb+c&state=&flag&&x=1=2&x=3").unwrap();
        assert_eq!(form.get("code"), Ok(Some("a/b c")));
        assert_eq!(form.get("state"), Ok(Some("")));
        assert_eq!(form.get("flag"), Ok(Some("")));
        assert_eq!(form.get("absent"), Ok(None));
        assert_eq!(form.get("x"), Err(FormError::Repeated));
        assert_eq!(form.iter().last(), Some(("x", "3")));
        assert_eq!(format!("{form:?}"), "Form(5 pairs)");
        assert!(Form::parse("").unwrap().is_empty());
    }

    #[test]
    fn refuses_what_readers_disagree_on() {
        for (text, error) in [
            ("a=%", FormError::Percent),
            ("a=%2", FormError::Percent),
            ("a=%zz", FormError::Percent),
            ("a=%+1", FormError::Percent),
            ("a=%ff", FormError::Utf8),
            ("a=%ed%a0%80", FormError::Utf8),
            ("a=b c", FormError::Character),
            ("a=\u{e9}", FormError::Character),
            ("a=\r\n", FormError::Character),
            ("a=\0", FormError::Character),
        ] {
            assert_eq!(Form::parse(text).map(|_| ()), Err(error), "{text:?}");
        }
        assert_eq!(Form::parse_bytes(b"\xff").map(|_| ()), Err(FormError::Utf8));
        let most = "a&".repeat(PAIRS_MAX);
        assert_eq!(Form::parse(&most).unwrap().len(), PAIRS_MAX);
        assert_eq!(Form::parse(&(most + "a")).map(|_| ()), Err(FormError::TooMany));
        assert_eq!(*percent_decode("a+b%20c").unwrap(), "a+b c");
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes(pairs in prop::collection::vec((".{1,9}", ".{0,9}"), 0..9)) {
            let text = encode_form(pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())));
            prop_assert!(text.bytes().all(|b| b.is_ascii_graphic()));
            let form = Form::parse(&text).unwrap();
            let back: Vec<_> = form.iter().map(|(n, v)| (n.into(), v.into())).collect();
            prop_assert_eq!(&back, &pairs);
            for (name, value) in &pairs {
                for text in [name, value] {
                    prop_assert_eq!(&*percent_decode(&percent_encode(text)).unwrap(), text);
                }
            }
        }

        #[test]
        fn no_text_panics(text in "[%a-f0-9&=+ -~\u{e9}]{0,40}") {
            let _ = Form::parse(&text);
            let _ = percent_decode(&text);
        }
    }
}
