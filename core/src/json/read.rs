//! The reader (RFC 8259): from the first byte to the last, once.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use super::{JsonError, Limits, Name, Object, Value};
use crate::scan::inside_string;

/// Most members of one object: looking for repeated names costs n², and no honest object of ours
/// comes near this.
const MEMBERS_MAX: usize = 2048;

/// Reads one JSON value that fills `bytes` completely.
///
/// # Errors
/// [`JsonError`], the first that applies.
pub fn parse(bytes: &[u8], limits: Limits) -> Result<Value, JsonError> {
    if bytes.len() > limits.bytes_max {
        return Err(JsonError::TooLarge);
    }
    // What stands before a byte that is no UTF-8 may hold an error that says more.
    let (text, is_whole) = match core::str::from_utf8(bytes) {
        Ok(text) => (text, true),
        Err(error) => {
            let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
            (core::str::from_utf8(valid).unwrap_or_default(), false)
        }
    };
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(limits.depth_max)?;
    reader.skip_blanks();
    if is_whole && reader.at == text.len() { Ok(value) } else { Err(JsonError::Syntax) }
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

/// A text and how far it has been read.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth_left: u32) -> Result<Value, JsonError> {
        self.skip_blanks();
        match self.peek() {
            Some(b'"') => {
                self.at += 1;
                self.string().map(|text| Value::String(text.into_owned()))
            }
            Some(b'{') => {
                self.at += 1;
                let depth_left = depth_left.checked_sub(1).ok_or(JsonError::TooDeep)?;
                self.object(depth_left).map(Value::Object)
            }
            Some(b'[') => {
                self.at += 1;
                let depth_left = depth_left.checked_sub(1).ok_or(JsonError::TooDeep)?;
                self.array(depth_left).map(Value::Array)
            }
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            Some(_) | None => Err(JsonError::Syntax),
        }
    }

    /// Members up to the closing brace.
    fn object(&mut self, depth_left: u32) -> Result<Object, JsonError> {
        let mut members: Vec<(Name, Value)> = Vec::new();
        self.skip_blanks();
        if self.eat(b'}') {
            return Ok(Object(members));
        }
        members.reserve(self.members_likely());
        loop {
            self.skip_blanks();
            self.expect(b'"')?;
            let name = self.string()?;
            if members.iter().any(|(known, _)| *known == name) {
                return Err(JsonError::DuplicateName);
            }
            if members.len() >= MEMBERS_MAX {
                return Err(JsonError::TooLarge);
            }
            self.skip_blanks();
            self.expect(b':')?;
            let value = self.value(depth_left)?;
            members.push((known_name(name), value));
            self.skip_blanks();
            if self.eat(b'}') {
                return Ok(Object(members));
            }
            self.expect(b',')?;
        }
    }

    /// Elements up to the closing bracket.
    fn array(&mut self, depth_left: u32) -> Result<Vec<Value>, JsonError> {
        let mut items = Vec::new();
        self.skip_blanks();
        if self.eat(b']') {
            return Ok(items);
        }
        loop {
            items.push(self.value(depth_left)?);
            self.skip_blanks();
            if self.eat(b']') {
                return Ok(items);
            }
            self.expect(b',')?;
        }
    }

    /// The rest of a string behind its opening quote.
    fn string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        let text = self.plain();
        if self.eat(b'"') {
            return Ok(Cow::Borrowed(text));
        }
        let mut out = String::from(text);
        while self.eat(b'\\') {
            out.push(self.escape()?);
            out.push_str(self.plain());
        }
        self.expect(b'"')?;
        Ok(Cow::Owned(out))
    }

    /// What stands as it is, up to a quote, a backslash or what a string may not hold.
    fn plain(&mut self) -> &'a str {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let plain = rest.get(..inside_string(rest.as_bytes())).unwrap_or_default();
        self.at += plain.len();
        plain
    }

    /// The character behind a backslash.
    fn escape(&mut self) -> Result<char, JsonError> {
        let escape = self.peek().ok_or(JsonError::Syntax)?;
        self.at += 1;
        Ok(match escape {
            b'"' | b'\\' | b'/' => char::from(escape),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let unit = self.four_digits()?;
                // Both halves of a pair, or none.
                let tail = match unit {
                    0xd800..0xdc00 => {
                        self.expect(b'\\')?;
                        self.expect(b'u')?;
                        Some(self.four_digits()?)
                    }
                    _ => None,
                };
                let mut characters = char::decode_utf16([unit].into_iter().chain(tail));
                characters.next().and_then(Result::ok).ok_or(JsonError::Syntax)?
            }
            _ => return Err(JsonError::Syntax),
        })
    }

    fn four_digits(&mut self) -> Result<u16, JsonError> {
        let digits = self.text.get(self.at..self.at + 4).ok_or(JsonError::Syntax)?;
        // `from_str_radix` would take a sign.
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(JsonError::Syntax);
        }
        self.at += 4;
        u16::from_str_radix(digits, 16).map_err(|_| JsonError::Syntax)
    }

    fn number(&mut self) -> Result<Value, JsonError> {
        let start = self.at;
        let is_negative = self.eat(b'-');
        let mut whole = Some(0_u64);
        if !self.eat(b'0') {
            whole = self.digits()?;
        }
        let mut is_whole = true;
        if self.eat(b'.') {
            is_whole = false;
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            is_whole = false;
            let _ = self.eat(b'+') || self.eat(b'-');
            self.digits()?;
        }
        let whole = whole.filter(|_| is_whole).map(i128::from);
        let signed = whole.map(|whole| if is_negative { -whole } else { whole });
        match signed.and_then(|signed| i64::try_from(signed).ok()) {
            // Minus zero is no integer.
            Some(0) if is_negative => Ok(Value::Float(-0.0)),
            Some(whole) => Ok(Value::Int(whole)),
            // Beyond 64 bits it is only ever compared, as a date far away.
            None => {
                let float = self.text.get(start..self.at).and_then(|text| text.parse::<f64>().ok());
                float.filter(|float| float.is_finite()).map(Value::Float).ok_or(JsonError::Syntax)
            }
        }
    }

    /// At least one digit, and the number they make unless it is too large.
    fn digits(&mut self) -> Result<Option<u64>, JsonError> {
        let start = self.at;
        let mut number = Some(0_u64);
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            let tens = number.and_then(|number| number.checked_mul(10));
            number = tens.and_then(|tens| tens.checked_add(u64::from(digit - b'0')));
            self.at += 1;
        }
        if self.at > start { Ok(number) } else { Err(JsonError::Syntax) }
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, JsonError> {
        if !self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            return Err(JsonError::Syntax);
        }
        self.at += word.len();
        Ok(value)
    }

    #[inline(always)]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Takes that byte, if it is the next.
    #[inline(always)]
    fn eat(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        if is_next {
            self.at += 1;
        }
        is_next
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.eat(byte) { Ok(()) } else { Err(JsonError::Syntax) }
    }

    fn skip_blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// How many members an object of the length that is left has, so that most never move.
    fn members_likely(&self) -> usize {
        ((self.text.len() - self.at) / 24).clamp(1, 16)
    }
}

/// A name as it is kept.
fn known_name(name: Cow<'_, str>) -> Name {
    // RFC 7519 section 4.1, RFC 7515 section 4.1, OpenID Connect Core 1.0 sections 2 and 5.1.
    Cow::Borrowed(match &*name {
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
        _ => return Cow::Owned(name.into_owned()),
    })
}
