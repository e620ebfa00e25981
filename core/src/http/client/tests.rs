use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec;

use proptest::prelude::*;

use super::*;
use crate::http::{After, Response, ServerCodec, ServerEvent};

/// The end of what a peer sends, bytes cut at `cuts`, then closed or not.
fn outcome(bytes: &[u8], cuts: &[usize], close: bool, is_head: bool) -> String {
    let mut codec = ClientCodec::new(Limits::client(1000), is_head);
    let mut cuts = cuts.iter().copied().cycle();
    let (mut rest, mut closed) = (bytes, !close);
    loop {
        assert!(codec.buffer.capacity() <= 32 * 1024 && codec.body.capacity() <= 1024);
        match codec.poll() {
            ClientEvent::NeedBytes if !rest.is_empty() => {
                let size = cuts.next().unwrap_or(usize::MAX).clamp(1, rest.len());
                let taken = codec.receive(&rest[..size]);
                assert!(taken > 0);
                rest = &rest[taken..];
            }
            ClientEvent::NeedBytes if !closed => {
                closed = true;
                codec.finish();
            }
            ClientEvent::NeedBytes => return "waiting".into(),
            ClientEvent::Reply(reply) => {
                assert!(matches!(codec.poll(), ClientEvent::Done));
                let fields: Vec<_> = reply.headers.iter().collect();
                return format!("{} {fields:?} {:?}", reply.status, reply.body);
            }
            ClientEvent::Failed(error) => {
                assert!(matches!(codec.poll(), ClientEvent::Failed(same) if same == error));
                assert_eq!(codec.receive(b"x"), 0);
                return error.code().into();
            }
            ClientEvent::Done => panic!("done before a reply"),
        }
    }
}

fn connect(parts: &[&str], close: bool) -> ConnectEvent {
    let mut codec = ConnectCodec::new(Limits::client(0));
    for part in parts {
        assert_eq!(codec.poll(), ConnectEvent::NeedBytes);
        assert_eq!(codec.receive(part.as_bytes()), part.len());
    }
    if close {
        codec.finish();
    }
    codec.poll()
}

#[test]
fn a_proxy_opens_a_tunnel_or_fails() {
    let refused = ConnectEvent::Failed(FetchError::Proxy);
    for (parts, expected) in [
        (&["HTTP/1.1 200 Connection established\r\n\r\n"][..], ConnectEvent::Established),
        (&["HTTP/1.0 200\r\n", "\r", "\n"], ConnectEvent::Established),
        (&["HTTP/1.1 204 x\r\nContent-Length: 5\r\n\r\n"], ConnectEvent::Established),
        (&["HTTP/1.1 100 x\r\n\r\nHTTP/1.1 200 x\r\n\r\n"], ConnectEvent::Established),
        (&["HTTP/1.1 200 x\r\n\r\n\x16\x03"], refused),
        (&["HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"], refused),
        (&["HTTP/1.1 302 Found\r\nLocation: http://portal/\r\n\r\n"], refused),
        (&["SSH-2.0-x\r\n\r\n"], refused),
        (&["HTTP/1.1 200 x\n\n"], refused),
    ] {
        assert_eq!(connect(parts, false), expected, "{parts:?}");
    }
    assert_eq!(connect(&["HTTP/1.1 200 x\r\n"], true), refused);
    assert_eq!(connect(&["HTTP/1.1 200 x\r\n"], false), ConnectEvent::NeedBytes);
}

#[test]
fn a_reply_to_head_has_no_body() {
    let bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n";
    assert!(outcome(bytes, &[1], false, true).starts_with("200 "));
    assert_eq!(outcome(bytes, &[1], false, false), "waiting");
}

fn replyish() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        3 => Just(&b"HTTP/1.1 200 OK\r\n"[..]),
        1 => Just(&b"HTTP/1.0 404 \r\n"[..]),
        1 => Just(&b"HTTP/1.1 100 Continue\r\n\r\n"[..]),
        1 => Just(&b"HTTP/1.1 204 x\r\n\r\n"[..]),
        2 => Just(&b"content-length: 3\r\n"[..]),
        1 => Just(&b"content-length: 1001\r\n"[..]),
        2 => Just(&b"transfer-encoding: chunked\r\n"[..]),
        1 => Just(&b"content-encoding: gzip\r\n"[..]),
        4 => Just(&b"\r\n"[..]),
        2 => Just(&b"3\r\nabc\r\n"[..]),
        2 => Just(&b"0\r\n\r\n"[..]),
        1 => Just(&b"3e8\r\n"[..]),
        1 => Just(&b"\n"[..]),
        1 => Just(&[b'a'; 600][..]),
    ];
    let pieces = prop::collection::vec(piece, 0..10).prop_map(|pieces| pieces.concat());
    prop_oneof![4 => pieces, 1 => prop::collection::vec(any::<u8>(), 0..300)]
}

proptest! {
    #[test]
    fn reads_cut_anywhere_mean_the_same(
        bytes in replyish(),
        cuts in prop::collection::vec(1_usize..600, 1..8),
        close: bool,
        is_head: bool,
    ) {
        let whole = outcome(&bytes, &[usize::MAX], close, is_head);
        prop_assert_eq!(&whole, &outcome(&bytes, &cuts, close, is_head));
        prop_assert_eq!(&whole, &outcome(&bytes, &[1], close, is_head));
    }

    #[test]
    fn what_the_server_writes_the_client_reads(
        status in 200_u16..600,
        value in "[ -~\u{e9}]{0,30}",
        body in prop::collection::vec(any::<u8>(), 0..900),
        http10: bool,
        cuts in prop::collection::vec(1_usize..200, 1..4),
    ) {
        let mut server = ServerCodec::new(Limits::SERVER);
        let request: &[u8] =
            if http10 { b"GET / HTTP/1.0\r\n\r\n" } else { b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" };
        prop_assert_eq!(server.receive(request), request.len());
        prop_assert!(matches!(server.poll(), ServerEvent::Request(_)));
        let response =
            Response::new(status, "text/plain", body.clone()).with("x-v", Cow::Owned(value.clone()));
        let mut out = Vec::new();
        let after = server.respond(&response, &mut out);
        prop_assert_eq!(after == After::Close, http10);

        let mut client = ClientCodec::new(Limits::client(1000), false);
        let mut cuts = cuts.into_iter().cycle();
        let mut rest = out.as_slice();
        let reply = loop {
            match client.poll() {
                ClientEvent::NeedBytes => {
                    let size = cuts.next().unwrap_or(1).min(rest.len());
                    prop_assert!(size > 0, "the reply is complete without a close");
                    let taken = client.receive(&rest[..size]);
                    rest = &rest[taken..];
                }
                ClientEvent::Reply(reply) => break reply,
                other @ (ClientEvent::Failed(_) | ClientEvent::Done) => panic!("{other:?}"),
            }
        };
        prop_assert_eq!(reply.status, status);
        prop_assert_eq!(reply.headers.get("x-v"), Some(value.trim_matches(' ').as_bytes()));
        let expected = if matches!(status, 204 | 304) { Vec::new() } else { body };
        prop_assert_eq!(&*reply.body, &expected);
        prop_assert!(rest.is_empty());
    }
}
