use alloc::string::String;
use alloc::vec;

use proptest::prelude::*;

use super::*;

fn feed(codec: &mut ServerCodec, mut bytes: &[u8]) -> Vec<ServerEvent> {
    let mut events = Vec::new();
    loop {
        match codec.poll() {
            ServerEvent::NeedBytes { .. } if !bytes.is_empty() => {
                let taken = codec.receive(bytes);
                assert!(taken > 0, "a codec that needs bytes takes some");
                bytes = &bytes[taken..];
            }
            ServerEvent::SendContinue => events.push(ServerEvent::SendContinue),
            last @ (ServerEvent::NeedBytes { .. }
            | ServerEvent::Request(_)
            | ServerEvent::Refuse(_)
            | ServerEvent::Answering
            | ServerEvent::Closed) => {
                events.push(last);
                return events;
            }
        }
    }
}

fn request(bytes: &[u8]) -> (ServerCodec, Request) {
    let mut codec = ServerCodec::new(Limits::SERVER);
    match feed(&mut codec, bytes).pop() {
        Some(ServerEvent::Request(request)) => (codec, request),
        other => panic!("{other:?}"),
    }
}

fn answer(request_bytes: &[u8], response: &Response) -> (String, After) {
    let (mut codec, _) = request(request_bytes);
    let mut out = Vec::new();
    let after = codec.respond(response, &mut out);
    (String::from_utf8(out).unwrap(), after)
}

#[test]
fn writes_head_and_body_at_once() {
    let (text, after) = answer(
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        &Response::json(200, "{}".into()).with("x-a", "b"),
    );
    assert_eq!(
        text,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-a: b\r\ncontent-length: 2\r\n\r\n{}"
    );
    assert_eq!(after, After::KeepAlive);
}

#[test]
fn head_gets_the_length_and_no_body() {
    let (text, after) =
        answer(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", &Response::new(200, "text/plain", "body"));
    assert!(text.contains("content-length: 4\r\n") && text.ends_with("\r\n\r\n"), "{text}");
    assert_eq!(after, After::KeepAlive);
}

#[test]
fn no_content_and_not_modified_have_neither_length_nor_body() {
    for status in [204, 304] {
        let response = Response { status, headers: Vec::new(), body: Vec::from(*b"x").into() };
        let (text, _) = answer(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", &response);
        assert!(!text.contains("content-length") && text.ends_with("\r\n\r\n"), "{text}");
    }
}

#[test]
fn version_and_connection_options_decide_about_keeping_alive() {
    let response = Response::json(200, "{}".into());
    for (head, field, after) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "", After::KeepAlive),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, CLOSE\r\n\r\n", "close", After::Close),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n",
            "close",
            After::Close,
        ),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: closed\r\n\r\n", "", After::KeepAlive),
        ("GET / HTTP/1.0\r\n\r\n", "close", After::Close),
        ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "keep-alive", After::KeepAlive),
    ] {
        let (text, got) = answer(head.as_bytes(), &response);
        let line = if field.is_empty() { None } else { Some(field) };
        let sent = text.lines().find_map(|line| line.strip_prefix("connection: "));
        assert_eq!((sent, got), (line, after), "{head}");
    }
}

#[test]
fn the_last_response_says_close() {
    let (mut codec, _) = request(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    codec.close_after_response();
    let mut out = Vec::new();
    assert_eq!(codec.respond(&Response::json(200, "{}".into()), &mut out), After::Close);
    assert!(String::from_utf8(out).unwrap().contains("connection: close\r\n"));
    assert!(matches!(codec.poll(), ServerEvent::Closed));
    assert_eq!(codec.receive(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 0);
}

#[test]
fn fields_cannot_split_the_response() {
    for response in [
        Response::json(200, "{}".into()).with("location", "/a\r\nset-cookie: b"),
        Response::json(200, "{}".into()).with("location", "/a\0"),
        Response::json(200, "{}".into()).with("a b", "c"),
        Response::json(200, "{}".into()).with("Content-Length", "9"),
        Response::json(200, "{}".into()).with("transfer-encoding", "chunked"),
        Response::json(101, "{}".into()),
    ] {
        let (text, after) = answer(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", &response);
        assert!(text.starts_with("HTTP/1.1 500 ") && text.contains("http.unsendable"), "{text}");
        assert_eq!(after, After::Close);
    }
}

#[test]
fn a_response_before_the_request_is_complete_closes() {
    let mut codec = ServerCodec::new(Limits::SERVER);
    let events = feed(&mut codec, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab");
    assert!(matches!(events[..], [ServerEvent::NeedBytes { phase: Phase::Body }]));
    let mut out = Vec::new();
    assert_eq!(codec.respond(&Refusal::Timeout.response(), &mut out), After::Close);
    let text = String::from_utf8(out).unwrap();
    assert!(text.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{text}");
    assert!(text.contains("\"code\":\"http.timeout\","), "{text}");
}

/// Whoever serves it may refuse a request for another reason, but not keep its connection.
#[test]
fn a_request_without_its_body_is_the_last_one() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\n";
    for (rest, fault) in [
        ("Content-Length: 65537\r\n\r\n", BodyFault::TooLarge),
        ("Expect: 100-continue\r\nContent-Length: 65537\r\n\r\n", BodyFault::TooLarge),
        ("Transfer-Encoding: chunked\r\n\r\n10001\r\n", BodyFault::TooLarge),
        ("Transfer-Encoding: chunked\r\n\r\nx", BodyFault::Chunk),
    ] {
        let bytes = alloc::format!("{head}{rest}");
        let (mut codec, request) = request(bytes.as_bytes());
        assert_eq!(request.body.as_ref().err(), Some(&fault), "{rest}");
        assert_eq!((codec.wants_bytes(), codec.held().1), (0, 0));
        let mut out = Vec::new();
        assert_eq!(codec.respond(&Response::json(403, "{}".into()), &mut out), After::Close);
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("HTTP/1.1 403 ") && text.contains("connection: close\r\n"));
        assert!(matches!(codec.poll(), ServerEvent::Closed));
    }
}

#[test]
fn who_is_given_up_has_asked_if_the_head_was_there() {
    let mut codec = ServerCodec::new(Limits::SERVER);
    feed(&mut codec, b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab");
    let ServerEvent::Request(request) = codec.give_up(BodyFault::Cut) else { panic!("it asked") };
    assert_eq!(request.head.path(), "/a");
    assert_eq!(request.body.err(), Some(BodyFault::Cut));
    assert_eq!(codec.respond(&Refusal::Incomplete.response(), &mut Vec::new()), After::Close);
    let mut codec = ServerCodec::new(Limits::SERVER);
    feed(&mut codec, b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Len");
    assert!(matches!(codec.give_up(BodyFault::Late), ServerEvent::Refuse(Refusal::Timeout)));
}

#[test]
fn a_refused_head_request_gets_no_body() {
    let mut codec = ServerCodec::new(Limits::SERVER);
    let events = feed(&mut codec, b"HEAD / HTTP/1.1\r\n\r\n");
    assert!(matches!(events[..], [ServerEvent::Refuse(Refusal::Host)]));
    let mut out = Vec::new();
    assert_eq!(codec.respond(&Refusal::Host.response(), &mut out), After::Close);
    assert!(out.ends_with(b"\r\n\r\n"));
}

#[test]
fn pipelined_requests_wait_for_the_answer() {
    let two = b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n";
    let (mut codec, first) = request(two);
    assert_eq!(&*first.head.target, "/1");
    assert!(matches!(codec.poll(), ServerEvent::Answering));
    assert_eq!((codec.wants_bytes(), codec.receive(b"GET")), (0, 0));
    assert_eq!(codec.respond(&Response::json(200, "{}".into()), &mut Vec::new()), After::KeepAlive);
    assert!(matches!(codec.poll(), ServerEvent::Request(second) if &*second.head.target == "/2"));
}

#[test]
fn prints_no_body_and_no_query() {
    let (_, request) =
        request(b"POST /a?code=secret HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nsecret");
    assert_eq!(alloc::format!("{request:?}"), "Request(POST /a, 6 bytes)");
    let request = Request { body: Err(BodyFault::TooLarge), ..request };
    assert_eq!(alloc::format!("{request:?}"), "Request(POST /a, TooLarge)");
}

#[test]
fn an_idle_connection_gives_its_buffer_back() {
    let field = "x".repeat(8000);
    let text = alloc::format!("GET / HTTP/1.1\r\nHost: a\r\nX: {field}\r\n\r\n");
    let (mut codec, _) = request(text.as_bytes());
    assert!(codec.held().0 >= text.len());
    let _ = codec.respond(&Response::json(200, "{}".into()), &mut Vec::new());
    assert_eq!(codec.held(), (0, 0));
}

/// Text that looks enough like requests to reach every state.
fn requestish() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(&b"GET / HTTP/1.1\r\n"[..]),
        Just(&b"POST /x?y HTTP/1.1\r\nHost: a\r\n"[..]),
        Just(&b"HTTP/1.0\r\n"[..]),
        Just(&b"Host: a\r\n"[..]),
        Just(&b"Content-Length: 3\r\n"[..]),
        Just(&b"Content-Length: 70000\r\n"[..]),
        Just(&b"Transfer-Encoding: chunked\r\n"[..]),
        Just(&b"Expect: 100-continue\r\n"[..]),
        Just(&b"\r\n"[..]),
        Just(&b"3\r\nabc\r\n"[..]),
        Just(&b"ffff\r\n"[..]),
        Just(&b"1;e=f\r\nz\r\n0\r\n\r\n"[..]),
        Just(&b"0\r\nt: u\r\n\r\n"[..]),
        Just(&b"\r"[..]),
        Just(&b"\n"[..]),
        Just(&b"abc"[..]),
        Just(&[b'a'; 9000][..]),
        Just(&[0x16, 0, 0xff, b' ', b':'][..]),
    ];
    let pieces = prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat());
    prop_oneof![4 => pieces, 1 => prop::collection::vec(any::<u8>(), 0..300)]
}

/// What a peer sees and the server does, as text, for bytes cut at `cuts`.
fn outcome(bytes: &[u8], cuts: &[usize]) -> (Vec<String>, (usize, usize)) {
    let limits = Limits { body_bytes_max: 1000, ..Limits::SERVER };
    let mut codec = ServerCodec::new(limits);
    let (mut seen, mut most) = (Vec::new(), (0, 0));
    let mut rest = bytes;
    let mut cuts = cuts.iter().copied().cycle();
    loop {
        let held = codec.held();
        most = (most.0.max(held.0), most.1.max(held.1));
        match codec.poll() {
            ServerEvent::NeedBytes { phase } => {
                if rest.is_empty() {
                    seen.push(alloc::format!("{phase:?}"));
                    return (seen, most);
                }
                let size = cuts.next().unwrap_or(usize::MAX).clamp(1, rest.len());
                let taken = codec.receive(&rest[..size]);
                assert!(taken > 0, "a codec that needs bytes takes some");
                rest = &rest[taken..];
            }
            ServerEvent::Request(request) => {
                let fields: Vec<_> = request.head.headers.iter().collect();
                let (head, body) = (&request.head, request.body.as_deref());
                seen.push(alloc::format!("{head:?} {fields:?} {body:?}"));
                let mut out = vec![];
                let after = codec.respond(&Response::json(200, "{}".into()), &mut out);
                seen.push(alloc::format!("{after:?} {}", String::from_utf8(out).unwrap()));
            }
            ServerEvent::Refuse(refusal) => {
                let mut out = vec![];
                assert_eq!(codec.respond(&refusal.response(), &mut out), After::Close);
                seen.push(String::from_utf8(out).unwrap());
            }
            ServerEvent::SendContinue => seen.push("continue".into()),
            ServerEvent::Closed => return (seen, most),
            ServerEvent::Answering => panic!("nothing is unanswered"),
        }
    }
}

proptest! {
    #[test]
    fn reads_cut_anywhere_mean_the_same(
        bytes in requestish(),
        cuts in prop::collection::vec(1_usize..3000, 1..8),
    ) {
        let (whole, most) = outcome(&bytes, &[usize::MAX]);
        prop_assert!(most.0 <= Limits::SERVER.head_bytes_max && most.1 <= 1024, "{:?}", most);
        let (cut, most) = outcome(&bytes, &cuts);
        prop_assert!(most.0 <= Limits::SERVER.head_bytes_max && most.1 <= 1024, "{:?}", most);
        prop_assert_eq!(&whole, &cut);
        if bytes.len() < 600 {
            let (single, _) = outcome(&bytes, &[1]);
            prop_assert_eq!(&whole, &single);
        }
    }
}
