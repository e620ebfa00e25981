//! async-h1 on the same bytes.

use std::hint::black_box;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use smol::io::{AsyncRead, AsyncWrite};

use crate::{Peers, Run};

/// What is read, how far, and what was written.
type Held = (Vec<u8>, usize, Vec<u8>);

/// Bytes in memory that come as one read, and a place for what is written.
#[derive(Clone)]
struct Wire(Arc<Mutex<Held>>);

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
pub fn http(bytes: Vec<u8>, body: String) -> Peers {
    let wire = Wire(Arc::new(Mutex::new((bytes, 0, Vec::new()))));
    let run: Run = Box::new(move || {
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
    });
    vec![("async-h1", run)]
}
