//! One request read and its answer written, on a connection that is kept.

use std::hint::black_box;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use exchange_core::http::{Limits, Response, ServerCodec, ServerEvent};
use smol::io::{AsyncRead, AsyncWrite};

use crate::exchange::request_bytes;
use crate::fixed::token;
use crate::{Bench, Run};

pub fn request() -> Bench {
    let bytes = request_bytes(&token!("rs256"));
    let body = serde_json::json!({ "cert": "x".repeat(2000) }).to_string();
    let peers = vec![("async-h1", async_h1(bytes.clone(), body.clone()))];
    Bench { name: "http_request", ours: ours(bytes, body), floor: None, peers, aim: None }
}

fn ours(bytes: Vec<u8>, body: String) -> Run {
    let mut codec = ServerCodec::new(Limits::SERVER);
    let mut out = Vec::new();
    Box::new(move || {
        let taken = codec.receive(black_box(&bytes));
        assert_eq!(taken, bytes.len());
        let ServerEvent::Request(request) = codec.poll() else { panic!("one whole request") };
        black_box(&request);
        out.clear();
        codec.respond(&Response::json(200, body.clone()), &mut out);
        black_box(&out);
    })
}

/// Bytes in memory that come as one read, and a place for what is written.
#[derive(Clone)]
struct Wire(Arc<Mutex<(Vec<u8>, usize, Vec<u8>)>>);

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        to: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut ends = self.0.lock().expect("one thread");
        let start = ends.1;
        let count = to.len().min(ends.0.len() - start);
        to[..count].copy_from_slice(&ends.0[start..start + count]);
        ends.1 += count;
        Poll::Ready(Ok(count))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.lock().expect("one thread").2.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Its decoder and encoder, without the connection loop around them, which has a timer.
fn async_h1(bytes: Vec<u8>, body: String) -> Run {
    let wire = Wire(Arc::new(Mutex::new((bytes, 0, Vec::new()))));
    Box::new(move || {
        {
            let mut ends = wire.0.lock().expect("one thread");
            ends.1 = 0;
            ends.2.clear();
        }
        smol::block_on(async {
            let decoded = async_h1::server::decode(wire.clone()).await.expect("a request");
            let (mut request, _) = decoded.expect("a request");
            black_box(request.body_bytes().await.expect("a body"));
            let mut response = http_types::Response::new(200);
            response.insert_header("content-type", "application/json");
            response.set_body(body.clone());
            let mut encoder = async_h1::server::Encoder::new(response, http_types::Method::Post);
            smol::io::copy(&mut encoder, &mut wire.clone()).await.expect("written");
        });
    })
}
