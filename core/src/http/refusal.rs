//! Requests that end at the codec: what was wrong and how the client is told.

use alloc::format;
use alloc::string::ToString as _;
use core::fmt;

use super::Response;
use crate::json;

/// Why the bytes of a client are no request. After the answer the connection closes, because
/// nobody can tell where a next request would start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Head over its cap, or no end of it within the cap.
    HeadTooLarge,
    /// More header fields than allowed.
    TooManyFields,
    /// Body over its cap, by its announced length or as counted.
    BodyTooLarge,
    /// A line feed without carriage return, or the other way round.
    LineEnd,
    /// Not `method SP target SP version`.
    RequestLine,
    /// Method is no token or too long.
    Method,
    /// Target in absolute or authority form, with a fragment, or not printable ASCII.
    Target,
    /// HTTP, but neither 1.0 nor 1.1.
    Version,
    /// Malformed field: no token as name, blank before the colon, folding, control character.
    Field,
    /// `Host` absent in HTTP/1.1, there twice, or no host.
    Host,
    /// `Content-Length` is no plain number, or two of them differ.
    ContentLength,
    /// `Content-Length` beside `Transfer-Encoding`: the classic smuggled request.
    LengthAndCoding,
    /// `Transfer-Encoding` in HTTP/1.0.
    CodingInHttp10,
    /// A `Transfer-Encoding` other than `chunked` alone.
    TransferCoding,
    /// Malformed chunk.
    Chunk,
    /// `Expect` asks for something other than `100-continue`.
    Expectation,
    /// A TLS handshake where HTTP was expected.
    Tls,
    /// The request was not complete in time. Only a runtime can tell.
    Timeout,
    /// The client ended its side before the request was complete. Only a runtime can tell.
    Incomplete,
    /// A response that must not be written: our own mistake, never the client's.
    Unsendable,
}

/// Why a request whose head is good has no body to go with it.
///
/// Whoever serves the request says how it is answered, as there may be another reason to refuse it
/// that comes first. The connection closes behind any answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFault {
    /// Over its cap, by its announced length or as counted.
    TooLarge,
    /// A malformed chunk.
    Chunk,
    /// Extensions and trailers of its chunks over the cap of a head.
    Overhead,
    /// Not complete in time. Only a runtime can tell.
    Late,
    /// The client ended its side before. Only a runtime can tell.
    Cut,
}

impl BodyFault {
    /// What the client is told where nothing else is wrong.
    #[must_use]
    pub const fn refusal(self) -> Refusal {
        match self {
            Self::TooLarge => Refusal::BodyTooLarge,
            Self::Chunk => Refusal::Chunk,
            Self::Overhead => Refusal::HeadTooLarge,
            Self::Late => Refusal::Timeout,
            Self::Cut => Refusal::Incomplete,
        }
    }
}

impl Refusal {
    /// Status code of the answer.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::LineEnd
            | Self::RequestLine
            | Self::Method
            | Self::Target
            | Self::Field
            | Self::Host
            | Self::ContentLength
            | Self::LengthAndCoding
            | Self::CodingInHttp10
            | Self::Chunk
            | Self::Incomplete
            | Self::Tls => 400,
            Self::Timeout => 408,
            Self::BodyTooLarge => 413,
            Self::Expectation => 417,
            Self::HeadTooLarge | Self::TooManyFields => 431,
            Self::Unsendable => 500,
            Self::TransferCoding => 501,
            Self::Version => 505,
        }
    }

    /// Stable code: part of the public contract.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::HeadTooLarge => "http.head_too_large",
            Self::TooManyFields => "http.too_many_fields",
            Self::BodyTooLarge => "http.body_too_large",
            Self::LineEnd => "http.line_end",
            Self::RequestLine => "http.request_line",
            Self::Method => "http.method",
            Self::Target => "http.target",
            Self::Version => "http.version",
            Self::Field => "http.field",
            Self::Host => "http.host",
            Self::ContentLength => "http.content_length",
            Self::LengthAndCoding => "http.length_and_coding",
            Self::CodingInHttp10 => "http.coding_in_http10",
            Self::TransferCoding => "http.transfer_coding",
            Self::Chunk => "http.chunk",
            Self::Expectation => "http.expectation",
            Self::Tls => "http.tls_on_plain_port",
            Self::Timeout => "http.timeout",
            Self::Incomplete => "http.incomplete",
            Self::Unsendable => "http.unsendable",
        }
    }

    /// What whoever sent it does next.
    #[must_use]
    pub const fn hint(self) -> &'static str {
        match self {
            Self::HeadTooLarge | Self::TooManyFields => "send fewer or shorter headers",
            Self::BodyTooLarge => "send one token and nothing else",
            Self::LineEnd => "end every line with CR LF",
            Self::RequestLine => "send `METHOD /path HTTP/1.1`",
            Self::Method => "send GET, HEAD or POST",
            Self::Target => "send it as /path?query",
            Self::Version => "send HTTP/1.1",
            Self::Field => "send `name: value` without control characters or folded lines",
            Self::Host => "send Host: <name>:<port> once",
            Self::ContentLength => "send the length in digits, once",
            Self::LengthAndCoding => "send one of them",
            Self::CodingInHttp10 => "send Content-Length",
            Self::TransferCoding => "send Content-Length, or chunked alone",
            Self::Chunk => "send each chunk with its length in hexadecimal before it",
            Self::Expectation => "leave Expect out",
            Self::Tls => "use http:// instead of https://",
            Self::Timeout => "send it again, faster",
            Self::Incomplete => "send all of it before you close the connection",
            Self::Unsendable => "report this as a fault of the server",
        }
    }

    /// The answer: `{"error": sentence, "code": code, "hint": next step}` and a newline.
    #[must_use]
    pub fn response(self) -> Response {
        let mut body = "{\"error\":".to_string();
        json::write_string(&mut body, &self.to_string());
        body.push_str(&format!(",\"code\":\"{}\",\"hint\":", self.code()));
        json::write_string(&mut body, self.hint());
        body.push_str("}\n");
        Response::json(self.status(), body)
            .with("cache-control", "no-store")
            .with("x-content-type-options", "nosniff")
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HeadTooLarge => "the request head is too large",
            Self::TooManyFields => "the request has too many header fields",
            // The words of the original, which scripts of its users know.
            Self::BodyTooLarge => "request body too large or unreadable",
            Self::LineEnd => "every line of a request head must end with CR LF",
            Self::RequestLine => "the request line is not `method target HTTP/1.1`",
            Self::Method => "the method is not a token of at most 32 characters",
            Self::Target => "the request target must be a plain path",
            Self::Version => "this server speaks HTTP/1.1 and HTTP/1.0 only",
            Self::Field => "a header field is malformed",
            Self::Host => "a request needs exactly one valid Host field",
            Self::ContentLength => "Content-Length must be one plain number",
            Self::LengthAndCoding => "Content-Length and Transfer-Encoding exclude each other",
            Self::CodingInHttp10 => "HTTP/1.0 has no Transfer-Encoding",
            Self::TransferCoding => "the only Transfer-Encoding accepted is chunked",
            Self::Chunk => "the chunked body is malformed",
            Self::Expectation => "the only expectation met is 100-continue",
            Self::Tls => "this port speaks plain HTTP",
            Self::Timeout => "the request was not complete in time",
            Self::Incomplete => "the request ended before it was complete",
            Self::Unsendable => "the answer could not be written",
        })
    }
}
