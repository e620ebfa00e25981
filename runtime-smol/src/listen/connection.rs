//! One connection from its handshake to its end.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};

use exchange_core::http::{
    After, BodyFault, CONTINUE, Phase, Refusal, Request, Response, ServerCodec, ServerEvent,
};
use exchange_core::machine::Mono;
use exchange_core::types::{Wiped, wipe};
use smol::future;
use smol::io::{AsyncRead, AsyncWriteExt};
use smol::net::TcpStream;

use super::registry::{Ticket, Waited, Waiting};
use super::{ListenLimits, Notice, Peer, Service};
use crate::clock::{mono, wall};
use crate::executor::within;
use crate::tls::{ServerTls, Stream};

/// First byte of a TLS connection: a record of type handshake (RFC 8446 section 5.1).
const TLS_HANDSHAKE: u8 = 0x16;
/// For the orderly end of a TLS stream.
const CLOSE_MILLIS: u64 = 2_000;
/// Reads in a row before others get a turn.
const READ_BURST: u32 = 16;
/// Size of the buffer that all connections of a thread read into.
const SCRATCH: usize = 16 * 1024;

thread_local! {
    // An idle connection owns no read buffer: bytes go through this one into its codec.
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH].into_boxed_slice());
}

/// What all connections of a listener have in common.
pub(super) struct Shared<S> {
    pub(super) service: Arc<S>,
    pub(super) tls: Option<Arc<ServerTls>>,
    pub(super) limits: ListenLimits,
}

/// Serves one connection until it ends.
pub(super) async fn serve<S: Service>(
    tcp: TcpStream,
    address: SocketAddr,
    ticket: Ticket,
    shared: Arc<Shared<S>>,
) {
    let peer = Peer { address, tls: shared.tls.is_some() };
    let limits = shared.limits;
    let stream = match &shared.tls {
        None => Some(Stream::plain(tcp)),
        // Boxed, so that an idle connection does not keep the room of its handshake.
        Some(tls) => Box::pin(handshake(tcp, peer, tls, &ticket, &shared)).await,
    };
    let Some(stream) = stream else { return };
    let codec = ServerCodec::new(limits.http);
    let mut connection = Connection { stream, codec, peer, ticket, shared: &shared };
    connection.run().await;
}

/// Waits for a first byte, then does the handshake within its deadline.
async fn handshake<S: Service>(
    tcp: TcpStream,
    peer: Peer,
    tls: &ServerTls,
    ticket: &Ticket,
    shared: &Shared<S>,
) -> Option<Stream> {
    let limits = &shared.limits;
    let mut first = [0];
    let deadline = mono().plus_millis(limits.handshake_millis);
    match ticket.wait(Waiting::Idle, deadline, tcp.peek(&mut first)).await {
        Waited::Done(Ok(1)) => {}
        // Nothing was said, so nothing is owed.
        Waited::Done(_) | Waited::Late | Waited::Evicted => return None,
    }
    if first != [TLS_HANDSHAKE] {
        let notice = Notice::Handshake { peer, kind: io::ErrorKind::InvalidData };
        shared.service.notice(notice);
        Box::pin(tell_to_use_tls(tcp, ticket, limits)).await;
        return None;
    }
    let deadline = mono().plus_millis(limits.handshake_millis);
    let kind = match ticket.wait(Waiting::Busy, deadline, tls.accept(tcp)).await {
        Waited::Done(Ok(stream)) => return Some(stream),
        Waited::Done(Err(error)) => error.kind(),
        Waited::Late => io::ErrorKind::TimedOut,
        Waited::Evicted => return None,
    };
    shared.service.notice(Notice::Handshake { peer, kind });
    None
}

/// Plain HTTP on a TLS port is the commonest mistake of all; a reset would not explain it.
async fn tell_to_use_tls(tcp: TcpStream, ticket: &Ticket, limits: &ListenLimits) {
    let body = "{\"error\":\"this port speaks HTTPS: use https:// instead of http://\",\
                \"code\":\"http.plain_on_tls_port\",\
                \"hint\":\"use https:// instead of http://\"}\n";
    let mut codec = ServerCodec::new(limits.http);
    let mut out = Vec::new();
    codec.set_date(wall());
    codec.respond(&Response::json(400, body.to_owned()), &mut out);
    let mut stream = Stream::plain(tcp);
    if let Some(Ok(())) = within(limits.write_millis, stream.write_all(&out)).await {
        finish(&mut stream, ticket, limits).await;
    }
}

struct Connection<'a, S> {
    stream: Stream,
    codec: ServerCodec,
    peer: Peer,
    ticket: Ticket,
    shared: &'a Shared<S>,
}

impl<S: Service> Connection<'_, S> {
    async fn run(&mut self) {
        let limits = self.shared.limits;
        // Since when nothing has come, and since when the current request comes.
        let mut quiet = mono();
        let mut begun: Option<Mono> = None;
        loop {
            match self.codec.poll() {
                ServerEvent::NeedBytes { phase } => {
                    let deadline = match phase {
                        Phase::Idle => quiet.plus_millis(limits.idle_millis),
                        Phase::Head => {
                            begun.get_or_insert_with(mono).plus_millis(limits.head_millis)
                        }
                        Phase::Body => {
                            begun.get_or_insert_with(mono).plus_millis(limits.request_millis)
                        }
                    };
                    match self.read(phase, deadline).await {
                        Waited::Done(Ok(1..)) => {}
                        Waited::Done(Ok(0)) if phase == Phase::Idle => {
                            return Box::pin(self.close()).await;
                        }
                        Waited::Done(Ok(0)) if phase != Phase::Idle => {
                            return Box::pin(self.give_up(phase, BodyFault::Cut)).await;
                        }
                        Waited::Late if phase != Phase::Idle => {
                            return Box::pin(self.give_up(phase, BodyFault::Late)).await;
                        }
                        Waited::Late | Waited::Evicted => return Box::pin(self.close()).await,
                        Waited::Done(Ok(_) | Err(_)) => return,
                    }
                }
                ServerEvent::SendContinue => {
                    if !Box::pin(self.write(CONTINUE)).await {
                        return;
                    }
                }
                ServerEvent::Request(request) => {
                    // Boxed like all that is rare: an idle connection keeps no room for it.
                    match Box::pin(self.serve_request(request)).await {
                        Some(After::KeepAlive) => (quiet, begun) = (mono(), None),
                        Some(After::Close) => return Box::pin(self.finish()).await,
                        None => return,
                    }
                }
                ServerEvent::Refuse(refusal) => {
                    self.notice(Notice::Refused { peer: self.peer, refusal });
                    return Box::pin(self.refuse(refusal)).await;
                }
                ServerEvent::Answering | ServerEvent::Closed => return,
            }
        }
    }

    /// Reads once into the codec.
    async fn read(&mut self, phase: Phase, deadline: Mono) -> Waited<io::Result<usize>> {
        let Self { stream, codec, ticket, .. } = self;
        let what = if phase == Phase::Idle { Waiting::Idle } else { Waiting::Busy };
        let read = poll_fn(|cx| {
            BUFFER.with_borrow_mut(|buffer| {
                let wanted = codec.wants_bytes().min(SCRATCH);
                let Some(buffer @ [_, ..]) = buffer.get_mut(..wanted) else {
                    return Poll::Ready(Err(io::ErrorKind::OutOfMemory.into()));
                };
                let count = ready!(Pin::new(&mut *stream).poll_read(cx, buffer))?;
                let bytes = buffer.get_mut(..count).unwrap_or_default();
                let taken = codec.receive(bytes);
                debug_assert_eq!(taken, count, "the codec takes what it wants");
                wipe(bytes);
                Poll::Ready(Ok(count))
            })
        });
        ticket.wait(what, deadline, read).await
    }

    async fn serve_request(&mut self, request: Request) -> Option<After> {
        let response = self.answer(request).await;
        if self.ticket.is_draining() {
            self.codec.close_after_response();
        }
        self.respond(&response).await
    }

    async fn answer(&self, request: Request) -> Response {
        let call = self.shared.service.call(self.peer, request);
        match within(self.shared.limits.answer_millis, call).await {
            Some(response) => response,
            None => {
                self.notice(Notice::Unanswered { peer: self.peer });
                overloaded()
            }
        }
    }

    /// Writes head and body with one call. `None` when the client did not take them.
    async fn respond(&mut self, response: &Response) -> Option<After> {
        let mut out = Wiped::default();
        self.codec.set_date(wall());
        let after = self.codec.respond(response, &mut out);
        self.write(&out).await.then_some(after)
    }

    async fn write(&mut self, bytes: &[u8]) -> bool {
        let stream = &mut self.stream;
        let write = async {
            stream.write_all(bytes).await?;
            stream.flush().await
        };
        let written = within(self.shared.limits.write_millis, write).await;
        let taken = matches!(written, Some(Ok(())));
        if !taken {
            self.notice(Notice::NotTaken { peer: self.peer });
        }
        taken
    }

    /// Answers what will not be complete any more, and ends.
    async fn give_up(&mut self, phase: Phase, fault: BodyFault) {
        self.notice(Notice::Late { peer: self.peer, phase });
        match self.codec.give_up(fault) {
            ServerEvent::Request(request) => {
                if self.serve_request(request).await.is_some() {
                    self.finish().await;
                }
            }
            ServerEvent::Refuse(refusal) => self.refuse(refusal).await,
            ServerEvent::NeedBytes { .. }
            | ServerEvent::SendContinue
            | ServerEvent::Answering
            | ServerEvent::Closed => {}
        }
    }

    async fn refuse(&mut self, refusal: Refusal) {
        if self.respond(&refusal.response()).await.is_some() {
            self.finish().await;
        }
    }

    async fn finish(&mut self) {
        finish(&mut self.stream, &self.ticket, &self.shared.limits).await;
    }

    /// Ends a connection on which nothing is under way.
    async fn close(&mut self) {
        let _ = within(CLOSE_MILLIS, self.stream.close()).await;
    }

    fn notice(&self, notice: Notice) {
        self.shared.service.notice(notice);
    }
}

/// Closes our side and reads on for a moment. Closing a socket with unread bytes resets the
/// connection, and the reset may overtake the answer (RFC 9112 section 9.6).
async fn finish(stream: &mut Stream, ticket: &Ticket, limits: &ListenLimits) {
    if !matches!(within(CLOSE_MILLIS, stream.close()).await, Some(Ok(()))) {
        return;
    }
    // Below TLS, as nothing of it is going to be understood any more.
    let mut tcp = stream.tcp().clone();
    let drain = async {
        let (mut total, mut burst) = (0_usize, 0_u32);
        while total < limits.linger_bytes_max {
            let read = poll_fn(|cx| {
                BUFFER.with_borrow_mut(|buffer| {
                    let count = ready!(Pin::new(&mut tcp).poll_read(cx, buffer))?;
                    wipe(buffer.get_mut(..count).unwrap_or_default());
                    Poll::Ready(Ok::<_, io::Error>(count))
                })
            });
            match read.await {
                Ok(count @ 1..) => total = total.saturating_add(count),
                Ok(_) | Err(_) => return,
            }
            burst = burst.wrapping_add(1);
            if burst.is_multiple_of(READ_BURST) {
                future::yield_now().await;
            }
        }
    };
    let deadline = mono().plus_millis(limits.linger_millis);
    let _ = ticket.wait(Waiting::Busy, deadline, drain).await;
}

/// The answer when there is nobody to give one.
#[must_use]
pub fn overloaded() -> Response {
    let body = "{\"error\":\"server overloaded\",\"code\":\"server.overloaded\",\
                \"hint\":\"the login is fine; try again after the seconds in Retry-After\"}\n";
    Response::json(503, body.to_owned())
        .with("retry-after", "5")
        .with("cache-control", "no-store")
        .with("x-content-type-options", "nosniff")
}
