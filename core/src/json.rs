//! Strict JSON: one parse, sized and shallow, in which no member name occurs twice.
//!
//! Two readers that disagree on a repeated name are a hole (RFC 8725 section 3.10 and RFC 7519
//! section 4), so a repeated name is an error at any depth, and nobody parses the bytes again.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::Cell;
use core::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

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
    /// Arrays and objects inside each other; 1 is a flat object.
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

/// Reads one JSON value that fills `bytes` completely.
///
/// # Errors
/// [`JsonError`], the first that applies.
pub fn parse(bytes: &[u8], limits: Limits) -> Result<Value, JsonError> {
    if bytes.len() > limits.bytes_max {
        return Err(JsonError::TooLarge);
    }
    let verdict = Cell::new(JsonError::Syntax);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let seed = Seed { depth_left: limits.depth_max, verdict: &verdict };
    let value = seed.deserialize(&mut reader).map_err(|_| verdict.get())?;
    reader.end().map_err(|_| JsonError::Syntax)?;
    Ok(value)
}

/// Reads one JSON object that fills `bytes` completely.
///
/// # Errors
/// [`JsonError`]; [`JsonError::Syntax`] when it is another kind of value.
pub fn parse_object(bytes: &[u8], limits: Limits) -> Result<Object, JsonError> {
    match parse(bytes, limits)? {
        Value::Object(object) => Ok(object),
        Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::String(_)
        | Value::Array(_) => Err(JsonError::Syntax),
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

/// Writes `text` as a JSON string with its quotes. Control characters, DEL, U+2028 and U+2029 are
/// escaped, so that one event stays one line in every viewer.
pub fn write_string(out: &mut String, text: &str) {
    use fmt::Write as _;
    out.push('"');
    let mut rest = text;
    loop {
        // What needs no look is copied in one piece: most of what is written is PEM text.
        let (plain, tail) = rest.split_at_checked(plain_len(rest.as_bytes())).unwrap_or((rest, ""));
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
    while let Some(tail) = rest.get(plain_len(rest)..).and_then(<[u8]>::split_first) {
        most = most.saturating_add(5);
        rest = tail.1;
    }
    most
}

/// How many bytes at the front need no look, eight at a time.
fn plain_len(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const TOPS: u64 = 0x80 * ONES;
    let (words, rest) = bytes.as_chunks::<8>();
    for (n, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        // In each byte the top bit, where the byte is below the bound (or, by a borrow, behind a
        // byte that is): the lowest bit set is always right.
        let below = |word: u64, bound: u64| word.wrapping_sub(bound * ONES) & !word;
        let equal = |byte: u8| below(word ^ (u64::from(byte) * ONES), 1);
        let del_and_above = word | ((word & !TOPS) + ONES);
        let found = (below(word, b' '.into()) | equal(b'"') | equal(b'\\') | del_and_above) & TOPS;
        if found != 0 {
            return 8 * n + usize::try_from(found.trailing_zeros() / 8).unwrap_or(0);
        }
    }
    let tail = rest.iter().position(|byte| needs_look(*byte)).unwrap_or(rest.len());
    8 * words.len() + tail
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

/// Whether a byte is escaped, or begins a character that may be.
const fn needs_look(byte: u8) -> bool {
    matches!(byte, ..b' ' | b'"' | b'\\' | 0x7f..)
}

#[derive(Clone, Copy)]
struct Seed<'a> {
    depth_left: u32,
    verdict: &'a Cell<JsonError>,
}

impl Seed<'_> {
    fn fail<E: de::Error>(&self, why: JsonError) -> E {
        self.verdict.set(why);
        E::custom("refused")
    }

    fn inner<E: de::Error>(self) -> Result<Self, E> {
        match self.depth_left.checked_sub(1) {
            Some(depth_left) => Ok(Self { depth_left, ..self }),
            None => Err(self.fail(JsonError::TooDeep)),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        match i64::try_from(value) {
            Ok(value) => Ok(Value::Int(value)),
            // 2^63 and above are only ever compared, as a date far away.
            #[expect(clippy::as_conversions, reason = "no lossless way; the loss is wanted")]
            Err(_) => Ok(Value::Float(value as f64)),
        }
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.into()))
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(inner)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut members: Vec<(Name, Value)> = Vec::new();
        while let Some(name) = map.next_key_seed(NameSeed)? {
            if members.iter().any(|(known, _)| *known == name) {
                return Err(self.fail(JsonError::DuplicateName));
            }
            // The look above costs n^2; no honest object of ours comes near this.
            if members.len() >= 2048 {
                return Err(self.fail(JsonError::TooLarge));
            }
            members.push((name, map.next_value_seed(inner)?));
        }
        Ok(Value::Object(Object(members)))
    }
}

/// Reads the name of a member.
struct NameSeed;

impl<'de> DeserializeSeed<'de> for NameSeed {
    type Value = Name;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Name, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NameSeed {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a member")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Name, E> {
        // RFC 7519 section 4.1, RFC 7515 section 4.1, OpenID Connect Core 1.0 sections 2 and 5.1.
        Ok(Cow::Borrowed(match name {
            "alg" => "alg",
            "at_hash" => "at_hash",
            "aud" => "aud",
            "auth_time" => "auth_time",
            "azp" => "azp",
            "email" => "email",
            "email_verified" => "email_verified",
            "exp" => "exp",
            "groups" => "groups",
            "iat" => "iat",
            "id_token" => "id_token",
            "iss" => "iss",
            "jti" => "jti",
            "kid" => "kid",
            "name" => "name",
            "nbf" => "nbf",
            "nonce" => "nonce",
            "preferred_username" => "preferred_username",
            "sid" => "sid",
            "sub" => "sub",
            "typ" => "typ",
            other => return Ok(Cow::Owned(other.into())),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits { bytes_max: 4096, depth_max: 4 };

    #[test]
    fn refuses_what_parsers_disagree_on() {
        for (text, error) in [
            (r#"{"a":1,"a":2}"#, JsonError::DuplicateName),
            (r#"{"x":{"a":1,"\u0061":2}}"#, JsonError::DuplicateName),
            (r#"{"a":1} x"#, JsonError::Syntax),
            ("\u{feff}{}", JsonError::Syntax),
            (r#""\ud800""#, JsonError::Syntax),
            ("1e400", JsonError::Syntax),
            ("[[[[[1]]]]]", JsonError::TooDeep),
            ("", JsonError::Syntax),
        ] {
            assert_eq!(parse(text.as_bytes(), LIMITS), Err(error), "{text}");
        }
        assert_eq!(parse(b"\"\xff\"", LIMITS), Err(JsonError::Syntax));
        assert_eq!(parse(&[b' '; 5000], LIMITS), Err(JsonError::TooLarge));
        assert_eq!(parse(&[b'['; 4000], LIMITS), Err(JsonError::TooDeep));
    }

    #[test]
    fn reads_values() {
        let object = parse_object(br#"{"s":"x","i":-1,"f":1.5,"a":[null,true]}"#, LIMITS).unwrap();
        assert_eq!(object.get_str("s"), Some("x"));
        assert_eq!(object.get("i"), Some(&Value::Int(-1)));
        assert_eq!(object.get("f"), Some(&Value::Float(1.5)));
        assert_eq!(object.get("a"), Some(&Value::Array([Value::Null, Value::Bool(true)].into())));
        assert_eq!(object.get("S"), None);
    }

    #[test]
    fn names_are_what_was_written() {
        let names = [
            "alg",
            "at_hash",
            "aud",
            "auth_time",
            "azp",
            "email",
            "email_verified",
            "exp",
            "groups",
            "iat",
            "id_token",
            "iss",
            "jti",
            "kid",
            "name",
            "nbf",
            "nonce",
            "preferred_username",
            "sid",
            "sub",
            "typ",
            "",
            "Sub",
            "subs",
        ];
        for name in names {
            let text = alloc::format!("{{{name:?}:1}}");
            let object = parse_object(text.as_bytes(), LIMITS).unwrap();
            assert_eq!(object.iter().map(|(name, _)| name).collect::<Vec<_>>(), [name]);
        }
    }

    #[test]
    fn every_byte_after_every_run_of_plain_ones() {
        for plain in 0..20 {
            for byte in 0..=u8::MAX {
                let mut bytes = Vec::from([b'a'; 24]);
                bytes[plain] = byte;
                let expected = if needs_look(byte) { plain } else { bytes.len() };
                assert_eq!(plain_len(&bytes), expected, "{byte} behind {plain}");
            }
        }
        assert_eq!(JsonText::from("a\"b").as_str(), r#""a\"b""#);
    }

    proptest! {
        #[test]
        fn strings_survive_writing(text in any::<String>()) {
            let mut out = String::new();
            write_string(&mut out, &text);
            prop_assert!(out.len() <= string_bytes_max(&text));
            let one_line = !out.contains(['\n', '\r', '\u{2028}']);
            prop_assert!(one_line);
            prop_assert_eq!(parse(out.as_bytes(), Limits { bytes_max: 1 << 20, depth_max: 1 }), Ok(Value::String(text)));
        }

        #[test]
        fn what_needs_a_look_is_found_anywhere(bytes in proptest::collection::vec(0x18_u8..=0xff, 0..40)) {
            let first = bytes.iter().position(|byte| needs_look(*byte));
            prop_assert_eq!(plain_len(&bytes), first.unwrap_or(bytes.len()));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes, LIMITS);
        }
    }
}
