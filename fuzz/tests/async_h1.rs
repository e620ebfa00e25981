//! Why async-h1 is a peer here and not a part of the program: each claim as a test that fails once
//! async-h1 behaves, with our own codec on the same bytes beside it.
#![allow(clippy::unwrap_used, reason = "a failing test should stop at the line that failed")]

mod peers;

use std::pin::Pin;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use exchange_core::http::{Limits, Refusal, ServerCodec, ServerEvent};
use peers::{Seen, Wire, async_h1, ours};
use smol::io::{AsyncRead, AsyncWrite};

/// One header value that is valid UTF-8 and legal in HTTP (obs-text), and not ASCII.
const BEYOND_ASCII: &[u8] = "GET / HTTP/1.1\r\nHost: a.example\r\nX: \u{e9}\r\n\r\n".as_bytes();

const CHILD: &str = "EXCHANGE_FUZZ_CHILD";

fn seen(method: &str, target: &str, body: &str) -> Seen {
    Seen { method: method.into(), target: target.into(), body: body.into() }
}

#[test]
fn async_h1_crash_by_one_header_beyond_ascii() {
    let reading = async_h1(&Wire::new(&[BEYOND_ASCII]));
    assert!(reading.panicked, "async-h1 no longer panics: {reading:?}");
    assert_eq!(ours(BEYOND_ASCII).requests, [seen("GET", "/", "")]);
}

/// With `panic = "abort"`, as the product is built, the panic is the end of the process. The child
/// stands for such a server: it is this test, with a hook that aborts.
#[test]
fn async_h1_crash_kills_the_process_under_abort() {
    if std::env::var_os(CHILD).is_some() {
        std::panic::set_hook(Box::new(|_| std::process::abort()));
        async_h1(&Wire::new(&[BEYOND_ASCII]));
        std::process::exit(0);
    }
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "async_h1_crash_kills_the_process_under_abort", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    assert!(!child.status.success(), "async-h1 survived");
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt as _;
        assert_eq!(child.status.signal(), Some(6), "SIGABRT");
    }
}

/// A peer that sends `left` bytes of one header line and never its end.
#[derive(Clone)]
struct EndlessLine {
    left: Arc<AtomicUsize>,
}

const LINE_BYTES: usize = 64 << 20;

impl AsyncRead for EndlessLine {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        to: &mut [u8],
    ) -> Poll<std::io::Result<usize>> {
        let left = self.left.load(Ordering::SeqCst);
        let now = left.min(to.len());
        to[..now].fill(b'a');
        self.left.store(left - now, Ordering::SeqCst);
        Poll::Ready(Ok(now))
    }
}

impl AsyncWrite for EndlessLine {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Largest resident memory of this process so far, in bytes.
fn peak_memory() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: usize = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kib * 1024)
}

#[test]
fn async_h1_holds_a_line_without_end_in_memory() {
    let before = peak_memory();
    let line = EndlessLine { left: Arc::new(AtomicUsize::new(LINE_BYTES)) };
    let handler = |_| async { Ok(http_types::Response::new(200)) };
    let _ = smol::block_on(async_h1::accept(line.clone(), handler));
    assert_eq!(line.left.load(Ordering::SeqCst), 0, "async-h1 stopped reading by itself");
    if let (Some(before), Some(after)) = (before, peak_memory()) {
        assert!(after - before > LINE_BYTES / 2, "it grew by {} bytes only", after - before);
    }

    let mut codec = ServerCodec::new(Limits::SERVER);
    let mut taken = 0;
    let refusal = loop {
        match codec.poll() {
            ServerEvent::NeedBytes { .. } => taken += codec.receive(&[b'a'; 4096]),
            ServerEvent::Refuse(refusal) => break refusal,
            other => panic!("{other:?}"),
        }
    };
    assert!(taken <= Limits::SERVER.head_bytes_max);
    assert_eq!((refusal, refusal.status()), (Refusal::HeadTooLarge, 431));
}

/// The body is thought to be empty, and its bytes are served as the next request: behind a proxy
/// that is request smuggling. (What shares a read with the head is lost instead, hence two reads.)
#[test]
fn async_h1_serves_the_body_of_another_coding_as_a_request() {
    let head =
        b"POST /a HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2d\r\n";
    let body = b"GET /smuggled HTTP/1.1\r\nHost: a.example\r\n\r\n\r\n0\r\n\r\n";
    let reading = async_h1(&Wire::new(&[head, body]));
    let (first, smuggled) = (seen("POST", "/a", ""), seen("GET", "/smuggled", ""));
    assert_eq!(reading.requests, [first, smuggled], "async-h1 reads it otherwise now");

    let reading = ours(&[&head[..], body].concat());
    assert!(reading.refused && reading.requests.is_empty(), "{reading:?}");
}

#[test]
fn async_h1_takes_the_last_of_two_lengths() {
    let bytes =
        b"POST /a HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\nContent-Length: 2\r\n\r\nhi";
    let reading = async_h1(&Wire::new(&[bytes]));
    assert_eq!(reading.requests, [seen("POST", "/a", "hi")]);
    let reading = ours(bytes);
    assert!(reading.refused && reading.requests.is_empty(), "{reading:?}");
}

#[test]
fn async_h1_loses_the_second_of_two_requests_in_one_read() {
    let bytes =
        b"GET /1 HTTP/1.1\r\nHost: a.example\r\n\r\nGET /2 HTTP/1.1\r\nHost: a.example\r\n\r\n";
    assert_eq!(async_h1(&Wire::new(&[bytes])).requests, [seen("GET", "/1", "")]);
    assert_eq!(ours(bytes).requests, [seen("GET", "/1", ""), seen("GET", "/2", "")]);
}

#[test]
fn async_h1_lets_the_host_choose_the_path() {
    let bytes = b"GET /healthz HTTP/1.1\r\nHost: x/admin?\r\n\r\n";
    assert_eq!(async_h1(&Wire::new(&[bytes])).requests, [seen("GET", "/admin?/healthz", "")]);
    let reading = ours(bytes);
    assert!(reading.refused && reading.requests.is_empty(), "{reading:?}");
}

#[test]
fn async_h1_says_nothing_about_a_malformed_request() {
    let bytes = b"GET / HTTP/1.1\r\n\r\n";
    let wire = Wire::new(&[bytes]);
    assert!(async_h1(&wire).refused);
    assert!(wire.written().is_empty());
}
