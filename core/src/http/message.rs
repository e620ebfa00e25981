//! Requests and responses as values.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::buffer::append_wiping;
use crate::types::Wiped;

/// Request method (RFC 9110 section 9); case-sensitive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Method {
    /// `GET`
    Get,
    /// `HEAD`
    Head,
    /// `POST`
    Post,
    /// `OPTIONS`
    Options,
    /// Any other token.
    Other(Box<str>),
}

impl Method {
    /// The method as it stands on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Options => "OPTIONS",
            Self::Other(name) => name,
        }
    }

    /// The method of that exact name.
    #[must_use]
    pub fn from_token(token: &str) -> Self {
        match token {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "OPTIONS" => Self::Options,
            other => Self::Other(other.into()),
        }
    }
}

/// Protocol version of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

/// Header fields in order. Names are lower case; values are bytes (obs-text is legal) and wiped on
/// drop, as some of them are credentials.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers {
    /// All names, then all values, each without separators: two allocations whatever the number.
    names: String,
    values: Wiped,
    /// Where each name and value ends.
    ends: Vec<(usize, usize)>,
}

impl Headers {
    /// No fields, with room for that many and for that many bytes of names and of values.
    pub(super) fn with_capacity(fields: usize, name_bytes: usize, value_bytes: usize) -> Self {
        Self {
            names: String::with_capacity(name_bytes),
            values: Wiped::new(Vec::with_capacity(value_bytes)),
            ends: Vec::with_capacity(fields),
        }
    }

    /// Adds a field. The name is lowered; nothing is checked, as the codec checks both sides.
    pub fn push(&mut self, name: &str, value: &[u8]) {
        let start = self.names.len();
        self.names.push_str(name);
        if let Some(added) = self.names.get_mut(start..) {
            added.make_ascii_lowercase();
        }
        append_wiping(&mut self.values, value, usize::MAX);
        self.ends.push((self.names.len(), self.values.len()));
    }

    /// First value of the field of that lower-case name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// First value of the field if it is UTF-8.
    #[must_use]
    pub fn get_str(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(|value| core::str::from_utf8(value).ok())
    }

    /// All values of the field, in order.
    pub fn get_all<'a>(&'a self, name: &'a str) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        self.iter().filter(move |(key, _)| *key == name).map(|(_, value)| value)
    }

    /// All fields, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&str, &[u8])> {
        (0..self.len()).filter_map(|index| {
            let (name_start, value_start) = match index.checked_sub(1) {
                Some(before) => *self.ends.get(before)?,
                None => (0, 0),
            };
            let (name_end, value_end) = *self.ends.get(index)?;
            let value = self.values.get(value_start..value_end)?;
            Some((self.names.get(name_start..name_end)?, value))
        })
    }

    /// Number of fields.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names only: values are cookies and bearer tokens.
        f.debug_list().entries(self.iter().map(|(name, _)| name)).finish()
    }
}

/// Head of one request, as received.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestHead {
    /// Method.
    pub method: Method,
    /// Request target as sent: origin form, or `*` with OPTIONS. Never decoded or normalised.
    pub target: Box<str>,
    /// Version.
    pub version: Version,
    /// Fields.
    pub headers: Headers,
}

impl RequestHead {
    /// Raw target before `?`.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// Raw target behind the first `?`.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.target.split_once('?').map(|(_, query)| query)
    }
}

impl fmt::Debug for RequestHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The query of a callback is a secret.
        let (method, path) = (self.method.as_str(), self.path());
        write!(f, "RequestHead({method} {path} {:?} {:?})", self.version, self.headers)
    }
}

/// A complete response. The body is wiped on drop, as it may hold a private key.
pub struct Response {
    /// Status code, 200 to 599.
    pub status: u16,
    /// Fields besides `content-length`, `date` and `connection`, which the codec writes.
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    /// Body.
    pub body: Wiped,
}

impl Response {
    /// A response with that status and body.
    #[must_use]
    pub fn new(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        // Room for what most answers add.
        let mut headers = Vec::with_capacity(4);
        headers.push(("content-type", Cow::Borrowed(content_type)));
        Self { status, headers, body: Wiped::new(body) }
    }

    /// A response whose body is JSON text.
    #[must_use]
    pub fn json(status: u16, body: String) -> Self {
        Self::new(status, "application/json", body.into_bytes())
    }

    /// The same response with one more field.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// First value of the field of that lower-case name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| &**value)
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Response({}, {} bytes)", self.status, self.body.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_order_and_lose_their_case() {
        let mut headers = Headers::default();
        for (name, value) in [("Accept", "a"), ("X", ""), ("COOKIE", "b"), ("cookie", "c")] {
            headers.push(name, value.as_bytes());
        }
        headers.push("raw", &[0xff]);
        let fields: Vec<_> = headers.iter().collect();
        let expected: [(&str, &[u8]); 5] =
            [("accept", b"a"), ("x", b""), ("cookie", b"b"), ("cookie", b"c"), ("raw", &[0xff])];
        assert_eq!(fields, expected);
        assert_eq!(headers.get_str("cookie"), Some("b"));
        assert_eq!(headers.get("x"), Some(&b""[..]));
        assert_eq!(headers.get_all("cookie").next_back(), Some(&b"c"[..]));
        assert_eq!((headers.get("absent"), headers.get_str("raw")), (None, None));
        assert_eq!((headers.len(), headers.is_empty()), (5, false));
    }

    #[test]
    fn prints_no_values() {
        let mut headers = Headers::default();
        headers.push("authorization", b"secret");
        let head = RequestHead {
            method: Method::Get,
            target: "/callback?code=secret".into(),
            version: Version::Http11,
            headers,
        };
        assert_eq!(
            alloc::format!("{head:?}"),
            "RequestHead(GET /callback Http11 [\"authorization\"])"
        );
    }
}
