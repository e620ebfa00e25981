//! The client's side of one connection: one request went out, bytes come in, one reply comes out.

use alloc::vec::Vec;
use core::mem;

use zeroize::Zeroizing;

use super::buffer::{Buffer, append_wiping};
use super::chunked::{ChunkDecoder, ChunkError};
use super::head::{Framing, HeadScanner, Scan};
use super::reply::{ReplyHead, reply};
use super::{FetchError, FetchReply, Headers, Limits};

/// What the connection needs next.
#[derive(Debug)]
pub enum ClientEvent {
    /// Read at most `wants_bytes` bytes and call `receive`, or `finish` at their end.
    NeedBytes,
    /// The complete answer. It comes once; what the peer sends behind it is never read.
    Reply(FetchReply),
    /// There is no usable answer; the same again at each poll.
    Failed(FetchError),
    /// The answer has been handed out.
    Done,
}

enum State {
    Head {
        interim: u32,
    },
    Length {
        left: usize,
    },
    Chunks(ChunkDecoder),
    /// The body ends with the connection.
    UntilClose,
    Failed(FetchError),
    Done,
}

/// Reads the one reply to a request written by [`super::encode_request`].
///
/// Interim (1xx) answers are skipped. A body that is shorter than announced, two lengths, a coding
/// but `chunked`, a content coding that nobody asked for, and bare line ends are
/// [`FetchError::Protocol`]; a head or body over its cap is [`FetchError::TooLarge`]. Redirects
/// are replies like any other. How bytes are cut into reads never changes what comes out.
pub struct ClientCodec {
    limits: Limits,
    buffer: Buffer,
    scanner: HeadScanner,
    state: State,
    head_only: bool,
    ended: bool,
    status: u16,
    headers: Headers,
    body: Zeroizing<Vec<u8>>,
}

impl ClientCodec {
    /// A codec for the reply to a request just written. `is_head`: the request was HEAD, so that
    /// its reply has no body whatever it announces.
    #[must_use]
    pub fn new(limits: Limits, is_head: bool) -> Self {
        Self {
            limits,
            buffer: Buffer::new(limits.head_bytes_max),
            scanner: HeadScanner::default(),
            state: State::Head { interim: 0 },
            head_only: is_head,
            ended: false,
            status: 0,
            headers: Headers::default(),
            body: Zeroizing::default(),
        }
    }

    /// How many bytes may be read now.
    #[must_use]
    pub fn wants_bytes(&self) -> usize {
        match self.state {
            State::Head { .. } | State::Length { .. } | State::Chunks(_) | State::UntilClose => {
                self.buffer.room()
            }
            State::Failed(_) | State::Done => 0,
        }
    }

    /// Takes received bytes and returns how many it took: all, unless they are more than
    /// [`Self::wants_bytes`]. Poll before offering the others again.
    #[must_use = "bytes that were not taken must be offered again"]
    pub fn receive(&mut self, bytes: &[u8]) -> usize {
        if self.wants_bytes() == 0 { 0 } else { self.buffer.take_in(bytes) }
    }

    /// The peer has closed its side in order. Over TLS that is a close_notify; an abrupt end must
    /// be reported as a failure instead, because a body may run until the close.
    pub fn finish(&mut self) {
        self.ended = true;
    }

    /// What to do next. `NeedBytes` repeats until bytes or the end come.
    pub fn poll(&mut self) -> ClientEvent {
        match self.step() {
            Ok(Progress::Complete) => {
                self.state = State::Done;
                ClientEvent::Reply(FetchReply {
                    status: self.status,
                    headers: mem::take(&mut self.headers),
                    body: mem::take(&mut self.body),
                })
            }
            Ok(Progress::Done) => ClientEvent::Done,
            Ok(Progress::Waiting) if !self.ended => ClientEvent::NeedBytes,
            Ok(Progress::Waiting) => self.fail(FetchError::Protocol),
            Err(error) => self.fail(error),
        }
    }

    fn fail(&mut self, error: FetchError) -> ClientEvent {
        self.state = State::Failed(error);
        ClientEvent::Failed(error)
    }

    fn step(&mut self) -> Result<Progress, FetchError> {
        while let State::Head { interim } = self.state {
            let Some(head) = read_head(&mut self.scanner, &mut self.buffer, &self.limits)? else {
                return Ok(Progress::Waiting);
            };
            match head.status {
                // Nobody asked for another protocol.
                101 => return Err(FetchError::Protocol),
                100..200 if interim >= self.limits.interim_max => {
                    return Err(FetchError::Protocol);
                }
                100..200 => self.state = State::Head { interim: interim + 1 },
                _ => self.accept(head)?,
            }
        }
        match &mut self.state {
            State::Length { left } => {
                let here = self.buffer.rest();
                let here = here.get(..*left).unwrap_or(here);
                append_wiping(&mut self.body, here, self.limits.body_bytes_max);
                *left -= here.len();
                let complete = *left == 0;
                let taken = here.len();
                self.buffer.consume_wiping(taken);
                Ok(if complete { Progress::Complete } else { Progress::Waiting })
            }
            State::Chunks(decoder) => {
                let (taken, complete) = decoder.push(self.buffer.rest(), &mut self.body).map_err(
                    |error| match error {
                        ChunkError::Malformed => FetchError::Protocol,
                        ChunkError::BodyTooLarge | ChunkError::OverheadTooLarge => {
                            FetchError::TooLarge
                        }
                    },
                )?;
                self.buffer.consume_wiping(taken);
                Ok(if complete { Progress::Complete } else { Progress::Waiting })
            }
            State::UntilClose => {
                let here = self.buffer.rest();
                if here.len() > self.limits.body_bytes_max.saturating_sub(self.body.len()) {
                    return Err(FetchError::TooLarge);
                }
                append_wiping(&mut self.body, here, self.limits.body_bytes_max);
                let taken = here.len();
                self.buffer.consume_wiping(taken);
                Ok(if self.ended { Progress::Complete } else { Progress::Waiting })
            }
            State::Failed(error) => Err(*error),
            State::Head { .. } | State::Done => Ok(Progress::Done),
        }
    }

    /// RFC 9112 section 6.3, in its order.
    fn accept(&mut self, head: ReplyHead) -> Result<(), FetchError> {
        let no_body = self.head_only || matches!(head.status, 204 | 304);
        let identity = head
            .headers
            .get_all("content-encoding")
            .all(|coding| coding.eq_ignore_ascii_case(b"identity"));
        self.state = match head.framing {
            _ if no_body => State::Length { left: 0 },
            _ if !identity => return Err(FetchError::Protocol),
            Framing::Length(left) if left > self.limits.body_bytes_max => {
                return Err(FetchError::TooLarge);
            }
            Framing::Length(left) => State::Length { left },
            Framing::Chunked => State::Chunks(ChunkDecoder::new(&self.limits)),
            Framing::Absent => State::UntilClose,
        };
        self.status = head.status;
        self.headers = head.headers;
        Ok(())
    }
}

enum Progress {
    Waiting,
    Complete,
    Done,
}

/// The next head in the buffer, if it is complete; the scanner starts anew behind it.
fn read_head(
    scanner: &mut HeadScanner,
    buffer: &mut Buffer,
    limits: &Limits,
) -> Result<Option<ReplyHead>, FetchError> {
    // Another protocol may never send the end of a line: say so at once, not at the deadline.
    if buffer.rest().iter().zip(b"HTTP/1.").any(|(got, wanted)| got != wanted) {
        return Err(FetchError::Protocol);
    }
    match scanner.scan(buffer.rest(), limits.head_bytes_max) {
        Scan::More => Ok(None),
        Scan::LineEnd => Err(FetchError::Protocol),
        Scan::TooLarge => Err(FetchError::TooLarge),
        Scan::End(length) => {
            let head = reply(buffer.rest().get(..length).unwrap_or_default(), limits)?;
            buffer.consume(length);
            *scanner = HeadScanner::default();
            Ok(Some(head))
        }
    }
}

/// What a tunnel needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectEvent {
    /// Read at most `wants_bytes` bytes and call `receive`, or `finish` at their end.
    NeedBytes,
    /// The tunnel stands: the next bytes in either direction are the server's own.
    Established,
    /// The proxy said no ([`FetchError::Proxy`]), or no HTTP.
    Failed(FetchError),
}

/// Reads a proxy's answer to [`super::encode_connect`] (RFC 9110 section 9.3.6).
///
/// Any 2xx opens the tunnel and has no body, whatever it announces. All else is
/// [`FetchError::Proxy`], and so are bytes sent along with the answer: in TLS the client speaks
/// first, so they would be the proxy's own words in the server's mouth.
pub struct ConnectCodec {
    limits: Limits,
    buffer: Buffer,
    scanner: HeadScanner,
    interim: u32,
    ended: bool,
    outcome: Option<ConnectEvent>,
}

impl ConnectCodec {
    /// A codec for the answer to the order just written.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            buffer: Buffer::new(limits.head_bytes_max),
            scanner: HeadScanner::default(),
            interim: 0,
            ended: false,
            outcome: None,
        }
    }

    /// How many bytes may be read now.
    #[must_use]
    pub fn wants_bytes(&self) -> usize {
        if self.outcome.is_none() { self.buffer.room() } else { 0 }
    }

    /// Takes received bytes and returns how many it took; see [`ClientCodec::receive`].
    #[must_use = "bytes that were not taken must be offered again"]
    pub fn receive(&mut self, bytes: &[u8]) -> usize {
        if self.wants_bytes() == 0 { 0 } else { self.buffer.take_in(bytes) }
    }

    /// The proxy has closed the connection.
    pub fn finish(&mut self) {
        self.ended = true;
    }

    /// What to do next.
    pub fn poll(&mut self) -> ConnectEvent {
        if let Some(outcome) = self.outcome {
            return outcome;
        }
        let outcome = loop {
            match read_head(&mut self.scanner, &mut self.buffer, &self.limits) {
                Ok(None) if self.ended => break ConnectEvent::Failed(FetchError::Proxy),
                Ok(None) => return ConnectEvent::NeedBytes,
                Ok(Some(head)) => match head.status {
                    100..200 if self.interim < self.limits.interim_max => self.interim += 1,
                    200..300 if self.buffer.rest().is_empty() => break ConnectEvent::Established,
                    _ => break ConnectEvent::Failed(FetchError::Proxy),
                },
                Err(_) => break ConnectEvent::Failed(FetchError::Proxy),
            }
        };
        self.outcome = Some(outcome);
        outcome
    }
}

#[cfg(test)]
mod tests;
