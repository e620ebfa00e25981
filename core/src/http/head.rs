//! From the bytes of a head to a judged request: line ends, fields, message length.

use httparse::{EMPTY_HEADER, Error, Header, Status};

use super::chunked::is_token;
use super::{Headers, Limits, Method, Refusal, RequestHead, Version};
use crate::scan::within_line;

/// Finds the end of a head without looking at any byte twice.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HeadScanner {
    at: usize,
    line_start: usize,
}

/// What the bytes so far amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scan {
    /// No end yet.
    More,
    /// The first `n` bytes end with an empty line.
    End(usize),
    /// A line feed without carriage return or the other way round.
    LineEnd,
    /// No end within the cap.
    TooLarge,
}

impl HeadScanner {
    /// Goes on where the last call stopped; `bytes` is the whole message from its first byte.
    pub(super) fn scan(&mut self, bytes: &[u8], max: usize) -> Scan {
        let bytes = bytes.get(..max).unwrap_or(bytes);
        loop {
            let tail = bytes.get(self.at..).unwrap_or_default();
            let end = self.at + within_line(tail);
            self.at = end;
            match bytes.get(end..).unwrap_or_default() {
                [] | [b'\r'] if bytes.len() >= max => return Scan::TooLarge,
                [] | [b'\r'] => return Scan::More,
                [b'\r', b'\n', ..] => {
                    self.at = end + 2;
                    if end == self.line_start {
                        return Scan::End(self.at);
                    }
                    self.line_start = self.at;
                }
                _ => return Scan::LineEnd,
            }
        }
    }
}

/// How long the body is (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// Nothing says that there is a body.
    Absent,
    /// That many bytes.
    Length(usize),
    /// Chunks.
    Chunked,
}

/// Why the length of a body cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FramingError {
    /// `Content-Length` is no plain number, or two of them differ.
    Length,
    /// `Content-Length` beside `Transfer-Encoding`.
    Both,
    /// `Transfer-Encoding` in HTTP/1.0.
    CodingInHttp10,
    /// A `Transfer-Encoding` other than `chunked` alone.
    Coding,
}

/// The fields that decide how a message is read, gathered in one pass.
#[derive(Default)]
pub(super) struct Facts<'a> {
    host: Option<&'a [u8]>,
    hosts: usize,
    length: Option<&'a [u8]>,
    lengths_differ: bool,
    coding: Option<&'a [u8]>,
    codings: usize,
    close: bool,
    keep_alive: bool,
    expect: Option<&'a [u8]>,
    expects: usize,
}

impl<'a> Facts<'a> {
    pub(super) fn of(fields: &[Header<'a>]) -> Self {
        let mut facts = Self::default();
        for field in fields {
            let (name, value) = (field.name, field.value);
            if name.eq_ignore_ascii_case("host") {
                facts.host = Some(value);
                facts.hosts += 1;
            } else if name.eq_ignore_ascii_case("content-length") {
                facts.lengths_differ |= facts.length.is_some_and(|known| known != value);
                facts.length = Some(value);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                facts.coding = Some(value);
                facts.codings += 1;
            } else if name.eq_ignore_ascii_case("connection") {
                for option in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
                    facts.close |= option.eq_ignore_ascii_case(b"close");
                    facts.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            } else if name.eq_ignore_ascii_case("expect") {
                facts.expect = Some(value);
                facts.expects += 1;
            }
        }
        facts
    }

    pub(super) fn framing(&self, version: Version) -> Result<Framing, FramingError> {
        let Some(coding) = self.coding else {
            return match self.length {
                None => Ok(Framing::Absent),
                Some(_) if self.lengths_differ => Err(FramingError::Length),
                Some(digits) => length(digits).map(Framing::Length).ok_or(FramingError::Length),
            };
        };
        if self.length.is_some() {
            Err(FramingError::Both)
        } else if version == Version::Http10 {
            Err(FramingError::CodingInHttp10)
        } else if self.codings == 1 && coding.eq_ignore_ascii_case(b"chunked") {
            Ok(Framing::Chunked)
        } else {
            Err(FramingError::Coding)
        }
    }
}

/// Digits and nothing else; a number beyond `usize` counts as the largest one.
pub(super) fn length(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_usize, |sum, &digit| {
        let value = char::from(digit).to_digit(10)?;
        Some(sum.saturating_mul(10).saturating_add(usize::try_from(value).ok()?))
    })
}

/// A request whose head has been accepted.
pub(super) struct Accepted {
    pub(super) head: RequestHead,
    pub(super) framing: Framing,
    /// The client waits for `100 Continue` before it sends the body.
    pub(super) expects_continue: bool,
    /// The connection may serve another request.
    pub(super) keep_alive: bool,
}

/// Judges a complete request head, from the first byte to its empty line.
pub(super) fn request(bytes: &[u8], limits: &Limits) -> Result<Accepted, Refusal> {
    let (line, rest) = split_line(bytes).ok_or(Refusal::RequestLine)?;
    let (method, target, version) = request_line(line, limits)?;
    let mut table = [EMPTY_HEADER; Limits::FIELDS_MAX];
    let fields = fields(rest, &mut table, limits).map_err(|error| match error {
        FieldsError::TooMany => Refusal::TooManyFields,
        FieldsError::Malformed => Refusal::Field,
    })?;
    let facts = Facts::of(fields);
    let host_ok = match (facts.hosts, facts.host) {
        (0, _) => version == Version::Http10,
        (1, Some(host)) => is_host(host),
        _ => false,
    };
    if !host_ok {
        return Err(Refusal::Host);
    }
    let framing = facts.framing(version).map_err(|error| match error {
        FramingError::Length => Refusal::ContentLength,
        FramingError::Both => Refusal::LengthAndCoding,
        FramingError::CodingInHttp10 => Refusal::CodingInHttp10,
        FramingError::Coding => Refusal::TransferCoding,
    })?;
    // A body that is not going to be read is not invited either.
    let has_body = match framing {
        Framing::Absent => false,
        Framing::Length(bytes) => (1..=limits.body_bytes_max).contains(&bytes),
        Framing::Chunked => true,
    };
    let expects_continue = match facts.expect {
        // RFC 9110 section 10.1.1: to be ignored in HTTP/1.0, and without a body.
        Some(_) if version == Version::Http10 => false,
        Some(value) if facts.expects == 1 && value.eq_ignore_ascii_case(b"100-continue") => {
            has_body
        }
        Some(_) => return Err(Refusal::Expectation),
        None => false,
    };
    let keep_alive = !facts.close
        && match version {
            Version::Http10 => facts.keep_alive,
            Version::Http11 => true,
        };
    let head = RequestHead { method, target: target.into(), version, headers: own(fields) };
    Ok(Accepted { head, framing, expects_continue, keep_alive })
}

/// `method SP request-target SP HTTP-version`, single blanks, RFC 9112 section 3.
fn request_line<'a>(
    line: &'a [u8],
    limits: &Limits,
) -> Result<(Method, &'a str, Version), Refusal> {
    let mut parts = line.split(|&byte| byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Refusal::RequestLine);
    };
    let version = match version {
        b"HTTP/1.1" => Version::Http11,
        b"HTTP/1.0" => Version::Http10,
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            return Err(Refusal::Version);
        }
        _ => return Err(Refusal::RequestLine),
    };
    if method.is_empty()
        || method.len() > limits.method_bytes_max
        || !method.iter().all(|&byte| is_token(byte))
    {
        return Err(Refusal::Method);
    }
    let method = Method::from_token(core::str::from_utf8(method).map_err(|_| Refusal::Method)?);
    // A space cannot be in it any more; `#` would be a fragment, which is never sent.
    let clean = target.iter().all(|&byte| byte.is_ascii_graphic() && byte != b'#');
    let known_form = target.starts_with(b"/") || (target == b"*" && method == Method::Options);
    if !clean || !known_form {
        return Err(Refusal::Target);
    }
    let target = core::str::from_utf8(target).map_err(|_| Refusal::Target)?;
    Ok((method, target, version))
}

/// `uri-host [ ":" port ]` of RFC 9110 section 7.2, without the percent forms nobody sends.
fn is_host(value: &[u8]) -> bool {
    let (host_ok, port) = match value {
        [b'[', inner @ ..] => match inner.iter().position(|&byte| byte == b']') {
            Some(at) => {
                let (address, after) = inner.split_at(at);
                let address_ok = core::str::from_utf8(address)
                    .is_ok_and(|text| text.parse::<core::net::Ipv6Addr>().is_ok());
                (address_ok, after.get(1..).unwrap_or_default())
            }
            None => return false,
        },
        name => {
            let at = name.iter().position(|&byte| byte == b':').unwrap_or(name.len());
            let (name, port) = name.split_at(at);
            let known = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
            ((1..=255).contains(&name.len()) && name.iter().all(known), port)
        }
    };
    let port_ok = match port {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    host_ok && port_ok
}

/// Why field lines are refused.
pub(super) enum FieldsError {
    TooMany,
    Malformed,
}

/// Field lines up to the empty line. The scanner has already refused bare line ends; httparse
/// refuses folding, blanks before the colon, and control characters.
pub(super) fn fields<'table, 'bytes>(
    bytes: &'bytes [u8],
    table: &'table mut [Header<'bytes>; Limits::FIELDS_MAX],
    limits: &Limits,
) -> Result<&'table [Header<'bytes>], FieldsError> {
    let max = limits.fields_max.min(Limits::FIELDS_MAX);
    let table = table.get_mut(..max).unwrap_or_default();
    match httparse::parse_headers(bytes, table) {
        Ok(Status::Complete((used, fields))) if used == bytes.len() => Ok(fields),
        Ok(Status::Complete(_) | Status::Partial) => Err(FieldsError::Malformed),
        Err(Error::TooManyHeaders) => Err(FieldsError::TooMany),
        Err(
            Error::HeaderName
            | Error::HeaderValue
            | Error::NewLine
            | Error::Status
            | Error::Token
            | Error::Version,
        ) => Err(FieldsError::Malformed),
    }
}

pub(super) fn own(fields: &[Header<'_>]) -> Headers {
    let names = fields.iter().map(|field| field.name.len()).sum();
    let values = fields.iter().map(|field| field.value.len()).sum();
    let mut headers = Headers::with_capacity(fields.len(), names, values);
    for field in fields {
        headers.push(field.name, field.value);
    }
    headers
}

pub(super) fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    // The scanner let no carriage return and no line feed pass but both together.
    let at = within_line(bytes);
    Some((bytes.get(..at)?, bytes.get(at + 2..)?))
}
