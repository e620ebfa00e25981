//! The same bytes as three HTTP/1.1 servers read them: ours, async-h1 and hyper.
//!
//! Every server gets the bytes through memory, answers each request with an empty 200, and then
//! sees the end of the connection.
#![allow(dead_code, reason = "each test uses its part of it")]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use exchange_core::http::{After, Limits, Request, Response, ServerCodec, ServerEvent};
use http_body_util::{BodyExt as _, Empty};
use smol::io::{AsyncRead, AsyncWrite};

/// How long a server may take over bytes that are all there.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a server made of the bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Complete requests, as the application behind the server got them.
    pub requests: Vec<Seen>,
    /// Whether the server said no: an answer of 400 or more, or an error of its own that is not
    /// just the early end of the bytes.
    pub refused: bool,
    /// Whether the server panicked.
    pub panicked: bool,
    /// Whether it waits for ever although nothing more can come.
    pub hung: bool,
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub method: String,
    pub target: String,
    pub body: Vec<u8>,
}

/// A connection in memory: what the peer sends, read by read, and what it got.
#[derive(Clone, Default)]
pub struct Wire(Arc<Mutex<Ends>>);

#[derive(Default)]
struct Ends {
    to_read: VecDeque<Vec<u8>>,
    written: Vec<u8>,
}

impl Wire {
    /// Each segment answers one read; then the connection ends.
    pub fn new(segments: &[&[u8]]) -> Self {
        let to_read = segments.iter().filter(|s| !s.is_empty()).map(|s| s.to_vec()).collect();
        Self(Arc::new(Mutex::new(Ends { to_read, written: Vec::new() })))
    }

    /// What the server has written.
    pub fn written(&self) -> Vec<u8> {
        self.0.lock().unwrap().written.clone()
    }

    fn take(&self, room: usize) -> Vec<u8> {
        let mut ends = self.0.lock().unwrap();
        let Some(mut segment) = ends.to_read.pop_front() else {
            return Vec::new();
        };
        if segment.len() > room {
            ends.to_read.push_front(segment.split_off(room));
        }
        segment
    }

    fn put(&self, bytes: &[u8]) -> usize {
        self.0.lock().unwrap().written.extend_from_slice(bytes);
        bytes.len()
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        to: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let bytes = self.take(to.len());
        to[..bytes.len()].copy_from_slice(&bytes);
        Poll::Ready(Ok(bytes.len()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(self.put(bytes)))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Read for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut to: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        to.put_slice(&self.take(to.remaining()));
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(self.put(bytes)))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Our codec.
pub fn ours(bytes: &[u8]) -> Reading {
    let mut codec = ServerCodec::new(Limits::SERVER);
    let (mut reading, mut rest, mut out) = (Reading::default(), bytes, Vec::new());
    loop {
        let after = match codec.poll() {
            ServerEvent::NeedBytes { .. } if rest.is_empty() => return reading,
            ServerEvent::NeedBytes { .. } => {
                rest = &rest[codec.receive(rest)..];
                continue;
            }
            ServerEvent::SendContinue => continue,
            ServerEvent::Request(Request { body: Err(fault), .. }) => {
                reading.refused = true;
                codec.respond(&fault.refusal().response(), &mut out)
            }
            ServerEvent::Request(Request { head, body: Ok(body) }) => {
                reading.requests.push(Seen {
                    method: head.method.as_str().into(),
                    target: head.target.into(),
                    body: body.to_vec(),
                });
                codec.respond(&Response::new(200, "text/plain", ""), &mut out)
            }
            ServerEvent::Refuse(refusal) => {
                reading.refused = true;
                codec.respond(&refusal.response(), &mut out)
            }
            ServerEvent::Answering | ServerEvent::Closed => panic!("nothing is open"),
        };
        if after == After::Close {
            return reading;
        }
    }
}

/// async-h1, through its `accept`, as its documentation shows it.
pub fn async_h1(wire: &Wire) -> Reading {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let handler = |mut request: http_types::Request| {
        let seen = seen.clone();
        async move {
            let body = request.body_bytes().await?;
            let url = request.url();
            let target = match url.query() {
                Some(query) => format!("{}?{query}", url.path()),
                None => url.path().to_owned(),
            };
            let method = request.method().to_string();
            seen.lock().unwrap().push(Seen { method, target, body });
            Ok(http_types::Response::new(200))
        }
    };
    let served = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        smol::block_on(smol::future::or(
            async { Some(async_h1::accept(wire.clone(), handler).await) },
            async {
                smol::Timer::after(PATIENCE).await;
                None
            },
        ))
    }));
    let requests = seen.lock().unwrap().clone();
    Reading {
        requests,
        refused: matches!(&served, Ok(Some(Err(_)))) || refusal_in(&wire.written()),
        panicked: served.is_err(),
        hung: matches!(&served, Ok(None)),
    }
}

/// hyper, through its HTTP/1 connection; but for the peer's early close, with default settings.
pub fn hyper(wire: &Wire) -> Reading {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let bad_body = Rc::new(Cell::new(false));
    let service = hyper::service::service_fn(|request: hyper::Request<hyper::body::Incoming>| {
        let (seen, bad_body) = (seen.clone(), bad_body.clone());
        async move {
            let (head, body) = request.into_parts();
            match body.collect().await {
                Ok(body) => seen.borrow_mut().push(Seen {
                    method: head.method.to_string(),
                    target: head.uri.to_string(),
                    body: body.to_bytes().to_vec(),
                }),
                Err(error) => bad_body.set(bad_body.get() || !is_early_end(&error)),
            }
            Ok::<_, Infallible>(hyper::Response::new(Empty::<hyper::body::Bytes>::new()))
        }
    });
    let mut connection = hyper::server::conn::http1::Builder::new();
    // The end of the bytes is not the end of our interest in the answers.
    connection.half_close(true);
    let served = smol::block_on(connection.serve_connection(wire.clone(), service));
    let requests = seen.borrow().clone();
    let refused = served.is_err_and(|error| !is_early_end(&error)) || bad_body.get();
    Reading { requests, refused: refused || refusal_in(&wire.written()), ..Reading::default() }
}

/// Whether nothing is wrong but that the bytes end.
fn is_early_end(error: &hyper::Error) -> bool {
    use std::error::Error as _;
    let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    error.is_incomplete_message()
        || source.is_some_and(|source| source.kind() == io::ErrorKind::UnexpectedEof)
}

/// Whether one of the answers refuses. Bodies of answers are empty or plain words here.
fn refusal_in(written: &[u8]) -> bool {
    String::from_utf8_lossy(written).lines().any(|line| {
        line.strip_prefix("HTTP/1.1 ").is_some_and(|status| status.starts_with(['4', '5']))
    })
}
