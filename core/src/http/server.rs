//! The server's side of one connection: bytes in, requests or refusals out, responses in, bytes out.

use alloc::vec::Vec;
use core::fmt::{self, Write as _};
use core::mem;

use super::buffer::{Buffer, append_wiping, reserve_wiping};
use super::chunked::{ChunkDecoder, ChunkError, is_text, is_token};
use super::head::{self, Framing, HeadScanner, Scan};
use super::{BodyFault, Limits, Method, Refusal, RequestHead, Response, Version};
use crate::machine::UnixTime;
use crate::types::{HttpDate, Wiped};

/// What a runtime writes for [`ServerEvent::SendContinue`].
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Which deadline runs while bytes are awaited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// No byte of a next request is there: keep-alive time. Closing now offends nobody.
    Idle,
    /// A head has begun.
    Head,
    /// The head is accepted, its body is not complete.
    Body,
}

/// A request. The body is wiped on drop, as it may hold a token.
pub struct Request {
    /// Head.
    pub head: RequestHead,
    /// Body, chunks joined; or why there is none, which is judged behind the head.
    pub body: Result<Wiped, BodyFault>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { head, body } = self;
        let (method, path) = (head.method.as_str(), head.path());
        match body {
            Ok(body) => write!(f, "Request({method} {path}, {} bytes)", body.len()),
            Err(fault) => write!(f, "Request({method} {path}, {fault:?})"),
        }
    }
}

/// What the connection needs next.
#[derive(Debug)]
pub enum ServerEvent {
    /// Read at most [`ServerCodec::wants_bytes`] bytes and call [`ServerCodec::receive`].
    NeedBytes {
        /// Which deadline runs meanwhile.
        phase: Phase,
    },
    /// Write [`CONTINUE`]; the client holds the body back until then. Then poll again.
    SendContinue,
    /// Answer it with [`ServerCodec::respond`]. No further request comes out before that.
    Request(Request),
    /// No request at all. Answer with [`Refusal::response`] through [`ServerCodec::respond`],
    /// which closes.
    Refuse(Refusal),
    /// A request is out and not yet answered.
    Answering,
    /// Nothing more will come of this connection: close it.
    Closed,
}

/// What to do with the connection once the response has been written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// Poll for the next request.
    KeepAlive,
    /// Close. Unread bytes should be drained for a moment first, or the peer may lose the answer.
    Close,
}

enum State {
    Head,
    Length { left: usize },
    Chunks(ChunkDecoder),
    Flawed(BodyFault),
    Answering,
    Closed,
}

/// What the answer needs to know of the request.
#[derive(Clone, Copy, Default)]
struct Exchange {
    head_only: bool,
    http10: bool,
    keep_alive: bool,
}

/// One connection's HTTP/1.1 server codec (RFC 9112).
///
/// Holds at most `head_bytes_max` unparsed bytes and one body, whatever the peer sends. How bytes
/// are cut into reads never changes what comes out.
pub struct ServerCodec {
    limits: Limits,
    buffer: Buffer,
    scanner: HeadScanner,
    blank_line_seen: bool,
    state: State,
    exchange: Exchange,
    head: Option<RequestHead>,
    body: Wiped,
    last: bool,
    date: Option<UnixTime>,
}

impl ServerCodec {
    /// A codec for a fresh connection. Nothing is allocated until bytes come.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            buffer: Buffer::new(limits.head_bytes_max),
            scanner: HeadScanner::default(),
            blank_line_seen: false,
            state: State::Head,
            exchange: Exchange::default(),
            head: None,
            body: Wiped::default(),
            last: false,
            date: None,
        }
    }

    /// How many bytes may be read now. Zero while a request is being answered: what a client
    /// pipelines beyond the buffer waits in the socket.
    #[must_use]
    pub fn wants_bytes(&self) -> usize {
        match self.state {
            State::Head | State::Length { .. } | State::Chunks(_) => self.buffer.room(),
            State::Flawed(_) | State::Answering | State::Closed => 0,
        }
    }

    /// Takes received bytes and returns how many it took: all, unless they are more than
    /// [`Self::wants_bytes`]. Poll before offering the others again.
    #[must_use = "bytes that were not taken must be offered again"]
    pub fn receive(&mut self, bytes: &[u8]) -> usize {
        if self.wants_bytes() == 0 { 0 } else { self.buffer.take_in(bytes) }
    }

    /// What to do next. `NeedBytes` repeats until bytes come.
    pub fn poll(&mut self) -> ServerEvent {
        loop {
            match &mut self.state {
                State::Head => {
                    if let Some(event) = self.poll_head() {
                        return event;
                    }
                }
                State::Length { left } => {
                    let here = self.buffer.rest();
                    let here = here.get(..*left).unwrap_or(here);
                    append_wiping(&mut self.body, here, self.limits.body_bytes_max);
                    let taken = here.len();
                    *left -= taken;
                    let complete = *left == 0;
                    self.buffer.consume_wiping(taken);
                    return self.body_event(complete);
                }
                State::Chunks(decoder) => {
                    let pushed = decoder.push(self.buffer.rest(), &mut self.body);
                    return match pushed {
                        Ok((taken, complete)) => {
                            self.buffer.consume_wiping(taken);
                            self.body_event(complete)
                        }
                        Err(error) => self.without_body(match error {
                            ChunkError::Malformed => BodyFault::Chunk,
                            ChunkError::BodyTooLarge => BodyFault::TooLarge,
                            ChunkError::OverheadTooLarge => BodyFault::Overhead,
                        }),
                    };
                }
                State::Flawed(fault) => {
                    let fault = *fault;
                    return self.without_body(fault);
                }
                State::Answering => return ServerEvent::Answering,
                State::Closed => return ServerEvent::Closed,
            }
        }
    }

    /// Waits no longer: what has come so far, judged. A head that is complete makes a request
    /// without a body, anything less is refused.
    pub fn give_up(&mut self, fault: BodyFault) -> ServerEvent {
        self.without_body(fault)
    }

    /// Makes the next response the last one of this connection (shutdown, request count).
    pub fn close_after_response(&mut self) {
        self.last = true;
    }

    /// Says what time it is, for the `date` field of the next responses (RFC 9110 section 6.6.1).
    /// Without it they have none.
    pub fn set_date(&mut self, now: UnixTime) {
        self.date = Some(now);
    }

    /// Appends head and body of the response to `out`, for one write. `out` should be wiped after
    /// use. Before a request is complete this answers in the client's stead (time-out, overload)
    /// and closes. A response with control characters in a field, a field the codec owns, or a
    /// status outside 200 to 599 goes out as [`Refusal::Unsendable`].
    pub fn respond(&mut self, response: &Response, out: &mut Vec<u8>) -> After {
        let complete = matches!(self.state, State::Answering);
        let sendable = is_sendable(response);
        let keep = complete && sendable && self.exchange.keep_alive && !self.last;
        if sendable {
            write_response(response, self.exchange, keep, self.date, out);
        } else {
            let fault = Refusal::Unsendable.response();
            write_response(&fault, self.exchange, keep, self.date, out);
        }
        self.body = Wiped::default();
        self.head = None;
        if !keep {
            self.state = State::Closed;
            return After::Close;
        }
        self.state = State::Head;
        self.scanner = HeadScanner::default();
        self.blank_line_seen = false;
        self.exchange = Exchange::default();
        self.buffer.rest_idle();
        After::KeepAlive
    }

    /// One step towards a complete head; `None` when the state has changed.
    fn poll_head(&mut self) -> Option<ServerEvent> {
        let bytes = self.buffer.rest();
        // A TLS record of type handshake: without this, its sender waits for the head's deadline.
        if bytes.first() == Some(&0x16) {
            return Some(self.refuse(Refusal::Tls));
        }
        match self.scanner.scan(bytes, self.limits.head_bytes_max) {
            Scan::More => {
                let phase = if bytes.is_empty() { Phase::Idle } else { Phase::Head };
                Some(ServerEvent::NeedBytes { phase })
            }
            Scan::LineEnd => Some(self.refuse(Refusal::LineEnd)),
            Scan::TooLarge => Some(self.refuse(Refusal::HeadTooLarge)),
            // RFC 9112 section 2.2: one empty line before a request is forgiven.
            Scan::End(2) if !self.blank_line_seen => {
                self.blank_line_seen = true;
                self.scanner = HeadScanner::default();
                self.buffer.consume(2);
                None
            }
            Scan::End(length) => {
                let head = bytes.get(..length).unwrap_or_default();
                match head::request(head, &self.limits) {
                    Ok(accepted) => {
                        self.buffer.consume(length);
                        self.accept(accepted)
                    }
                    Err(refusal) => Some(self.refuse(refusal)),
                }
            }
        }
    }

    fn accept(&mut self, accepted: head::Accepted) -> Option<ServerEvent> {
        self.exchange = Exchange {
            head_only: accepted.head.method == Method::Head,
            http10: accepted.head.version == Version::Http10,
            keep_alive: accepted.keep_alive,
        };
        self.head = Some(accepted.head);
        self.state = match accepted.framing {
            Framing::Absent => State::Length { left: 0 },
            Framing::Length(bytes) if bytes > self.limits.body_bytes_max => {
                State::Flawed(BodyFault::TooLarge)
            }
            Framing::Length(left) => State::Length { left },
            Framing::Chunked => State::Chunks(ChunkDecoder::new(&self.limits)),
        };
        accepted.expects_continue.then_some(ServerEvent::SendContinue)
    }

    fn body_event(&mut self, complete: bool) -> ServerEvent {
        match self.head.take() {
            Some(head) if complete => {
                self.state = State::Answering;
                ServerEvent::Request(Request { head, body: Ok(mem::take(&mut self.body)) })
            }
            waiting => {
                self.head = waiting;
                ServerEvent::NeedBytes { phase: Phase::Body }
            }
        }
    }

    /// The request as far as it is known, with the fault in the place of its body.
    fn without_body(&mut self, fault: BodyFault) -> ServerEvent {
        self.body = Wiped::default();
        match self.head.take() {
            Some(head) => {
                // Where a next request would begin is not known, or not worth waiting for.
                self.exchange.keep_alive = false;
                self.state = State::Answering;
                ServerEvent::Request(Request { head, body: Err(fault) })
            }
            None => self.refuse(fault.refusal()),
        }
    }

    fn refuse(&mut self, refusal: Refusal) -> ServerEvent {
        self.exchange.head_only = self.buffer.rest().starts_with(b"HEAD ");
        self.state = State::Closed;
        ServerEvent::Refuse(refusal)
    }

    /// Memory held for unparsed bytes and for the body.
    #[cfg(test)]
    pub(super) fn held(&self) -> (usize, usize) {
        (self.buffer.capacity(), self.body.capacity())
    }
}

/// Whether every byte of the head may go onto the wire.
fn is_sendable(response: &Response) -> bool {
    (200..600).contains(&response.status)
        && response.headers.iter().all(|(name, value)| {
            let owned = ["content-length", "transfer-encoding", "connection", "date"];
            !name.is_empty()
                && name.bytes().all(is_token)
                && value.bytes().all(is_text)
                && !owned.iter().any(|field| field.eq_ignore_ascii_case(name))
        })
}

fn write_response(
    response: &Response,
    exchange: Exchange,
    keep: bool,
    date: Option<UnixTime>,
    out: &mut Vec<u8>,
) {
    let has_body = !matches!(response.status, 204 | 304);
    let fields: usize =
        response.headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    reserve_wiping(out, 192 + fields + response.body.len(), usize::MAX);
    let mut text = Ascii(out);
    // Writing to a vector cannot fail.
    let _ = write!(text, "HTTP/1.1 {} {}\r\n", response.status, reason(response.status));
    for (name, value) in &response.headers {
        for part in [name, ": ", value, "\r\n"] {
            text.0.extend_from_slice(part.as_bytes());
        }
    }
    if let Some(now) = date {
        let _ = write!(text, "date: {}\r\n", HttpDate(now));
    }
    if has_body {
        let _ = write!(text, "content-length: {}\r\n", response.body.len());
    }
    if !keep {
        text.0.extend_from_slice(b"connection: close\r\n");
    } else if exchange.http10 {
        text.0.extend_from_slice(b"connection: keep-alive\r\n");
    }
    text.0.extend_from_slice(b"\r\n");
    if has_body && !exchange.head_only {
        text.0.extend_from_slice(&response.body);
    }
}

/// Lets `write!` append to bytes.
struct Ascii<'a>(&'a mut Vec<u8>);

impl core::fmt::Write for Ascii<'_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// Reason phrases of the codes this program sends; clients ignore them.
const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

#[cfg(test)]
mod tests;
