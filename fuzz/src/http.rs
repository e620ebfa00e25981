//! HTTP/1.1 on both sides, and what is read out of its messages.

use exchange_core::http::form::Form;
use exchange_core::http::{
    After, ClientCodec, ClientEvent, ConnectCodec, ConnectEvent, FetchReply, Headers, Limits,
    Request, Response, ServerCodec, ServerEvent,
};
use exchange_core::oidc::callback::{CallbackVerdict, ExpectedCallback, judge};
use exchange_core::oidc::{device, token_endpoint};

use crate::fixed::ISSUER;
use crate::mutate::Rng;

/// `state` of the login that the callbacks answer; the vectors have the same one.
pub const STATE: &str = "c3RhdGUtc3RhdGUtc3RhdGUtc3RhdGUtc3RhdGUtc3Rh";

/// One connection through the server's codec, the same bytes through the client's. How they are
/// cut into reads must not matter.
pub fn http_head(data: &[u8]) {
    let mut rng = Rng::new(data.iter().fold(7, |sum, b| sum * 31 % 1_000_003 + u64::from(*b)));
    let whole = serve(data, || usize::MAX);
    assert_eq!(serve(data, || 1 + rng.below(40)), whole);
    for is_head in [false, true] {
        let whole = receive(data, is_head, || usize::MAX);
        assert_eq!(receive(data, is_head, || 1 + rng.below(40)), whole);
    }
    let mut tunnel = ConnectCodec::new(Limits::client(0));
    let mut rest = data;
    while tunnel.poll() == ConnectEvent::NeedBytes && !rest.is_empty() {
        rest = &rest[tunnel.receive(rest)..];
    }
    tunnel.finish();
    assert_ne!(tunnel.poll(), ConnectEvent::NeedBytes);
    if let Ok(form) = Form::parse_bytes(data) {
        for (name, _) in form.iter() {
            let _ = form.get(name);
        }
    }
}

/// What came out of a connection, as text that can be compared and read.
fn serve(data: &[u8], mut cut: impl FnMut() -> usize) -> Vec<String> {
    let mut codec = ServerCodec::new(Limits::SERVER);
    let (mut seen, mut rest) = (Vec::new(), data);
    loop {
        assert!(codec.wants_bytes() <= Limits::SERVER.head_bytes_max, "bounded memory");
        match codec.poll() {
            ServerEvent::NeedBytes { phase } if rest.is_empty() => {
                seen.push(format!("{phase:?}"));
                return seen;
            }
            ServerEvent::NeedBytes { .. } => {
                let taken = codec.receive(&rest[..cut().min(rest.len())]);
                assert!(taken > 0, "bytes are needed and none are taken");
                rest = &rest[taken..];
            }
            ServerEvent::SendContinue => seen.push("continue".into()),
            ServerEvent::Request(Request { head, body }) => {
                assert!(head.headers.len() <= Limits::SERVER.fields_max);
                assert!(head.target.bytes().all(|b| b.is_ascii_graphic()), "{:?}", head.target);
                let fields: Vec<_> = head.headers.iter().collect();
                let (method, target) = (head.method.as_str(), &head.target);
                seen.push(format!("{method} {target} {fields:?} {:?}", body.as_deref()));
                assert!(!body.as_ref().is_ok_and(|b| b.len() > Limits::SERVER.body_bytes_max));
                let is_head = method == "HEAD";
                let after = answer(&mut codec, &Response::json(200, "{}".into()), is_head);
                assert!(body.is_ok() || after == After::Close, "its end is not known");
                if after == After::Close {
                    return seen;
                }
            }
            ServerEvent::Refuse(refusal) => {
                seen.push(refusal.code().into());
                let mut out = Vec::new();
                assert_eq!(codec.respond(&refusal.response(), &mut out), After::Close);
                assert!(out.starts_with(format!("HTTP/1.1 {} ", refusal.status()).as_bytes()));
                return seen;
            }
            ServerEvent::Answering | ServerEvent::Closed => panic!("nothing is open"),
        }
    }
}

/// Writes an answer and reads it back with the client's codec.
fn answer(codec: &mut ServerCodec, response: &Response, is_head: bool) -> After {
    let mut out = Vec::new();
    let after = codec.respond(response, &mut out);
    let mut client = ClientCodec::new(Limits::client(1024), is_head);
    assert_eq!(client.receive(&out), out.len());
    match client.poll() {
        ClientEvent::Reply(reply) => {
            assert_eq!(reply.status, response.status);
            assert!(is_head || *reply.body == *response.body);
        }
        other => panic!("our own answer is not read: {other:?}"),
    }
    after
}

fn receive(data: &[u8], is_head: bool, mut cut: impl FnMut() -> usize) -> String {
    let mut codec = ClientCodec::new(Limits::client(4096), is_head);
    let mut rest = data;
    loop {
        match codec.poll() {
            ClientEvent::NeedBytes if rest.is_empty() => codec.finish(),
            ClientEvent::NeedBytes => {
                let taken = codec.receive(&rest[..cut().min(rest.len())]);
                assert!(taken > 0, "bytes are needed and none are taken");
                rest = &rest[taken..];
            }
            ClientEvent::Reply(FetchReply { status, headers, body }) => {
                assert!(body.len() <= 4096 && (200..=999).contains(&status));
                let fields: Vec<_> = headers.iter().collect();
                return format!("{status} {fields:?} {body:?}");
            }
            ClientEvent::Failed(error) => return error.code().into(),
            ClientEvent::Done => panic!("done before a reply"),
        }
    }
}

/// A request at the loopback listener of a login, as bytes of HTTP.
pub fn callback(data: &[u8]) {
    let mut codec = ServerCodec::new(Limits::SERVER);
    let mut rest = data;
    let (head, body) = loop {
        match codec.poll() {
            ServerEvent::NeedBytes { .. } if rest.is_empty() => return,
            ServerEvent::NeedBytes { .. } => rest = &rest[codec.receive(rest)..],
            ServerEvent::SendContinue => {}
            ServerEvent::Request(Request { head, body: Ok(body) }) => break (head, body),
            ServerEvent::Request(_) => return,
            ServerEvent::Refuse(_) | ServerEvent::Answering | ServerEvent::Closed => return,
        }
    };
    let issuer = ISSUER.parse().expect("a valid issuer");
    for (iss_required, form_post) in [(false, false), (true, false), (false, true)] {
        let expected = ExpectedCallback {
            path: "/callback",
            port: 8900,
            authority: None,
            state: STATE,
            issuer: &issuer,
            iss_required,
            form_post,
        };
        match judge(&head, &body, &expected) {
            CallbackVerdict::Code(code) => {
                assert!(!code.is_empty() && head.path() == "/callback");
                let host = head.headers.get_str("host").expect("checked").to_ascii_lowercase();
                let ours = ["127.0.0.1:8900", "localhost:8900", "[::1]:8900"];
                assert!(ours.contains(&host.as_str()), "{host}");
                let text = match head.method.as_str() {
                    "GET" => head.query().unwrap_or_default().as_bytes(),
                    "POST" if form_post => &body,
                    other => panic!("{other} must not count"),
                };
                let form = Form::parse_bytes(text).expect("a form that counted");
                assert_eq!(form.get("state"), Ok(Some(STATE)));
                // RFC 6749 section 3.1: a parameter without a value counts as absent.
                match form.get("iss").expect("once at most").filter(|iss| !iss.is_empty()) {
                    Some(iss) => assert_eq!(iss, ISSUER),
                    None => assert!(!iss_required),
                }
            }
            CallbackVerdict::Fail(failure) => {
                assert!(!failure.to_string().chars().any(char::is_control));
            }
            CallbackVerdict::Wait { page, .. } => {
                let response = page.response();
                assert_eq!(response.status, page.status());
                let mut out = Vec::new();
                codec.respond(&response, &mut out);
            }
        }
    }
}

/// An answer of the token endpoint or of the device endpoint: a line with the status and the
/// content type, then the body.
pub fn token_response(data: &[u8]) {
    let line_end = data.iter().position(|b| *b == b'\n').unwrap_or(0);
    let (line, body) = (&data[..line_end], data.get(line_end + 1..).unwrap_or(data));
    let line = String::from_utf8_lossy(line);
    let (status, content_type) = line.split_once(' ').unwrap_or((&line, "application/json"));
    let mut headers = Headers::default();
    headers.push("content-type", content_type.as_bytes());
    let status = status.parse().unwrap_or(200_u16);
    let reply = FetchReply { status, headers, body: body.to_vec().into() };
    match token_endpoint::read_answer(&reply) {
        Ok(answer) => {
            assert!((200..300).contains(&status));
            assert!(!answer.access_token.is_empty());
            assert!(answer.id_token.is_none_or(|token| !token.is_empty()));
        }
        Err(error) => assert!(!error.to_string().chars().any(char::is_control), "{error}"),
    }
    if let Ok(grant) = device::read_grant(&reply) {
        assert!((1..=64).contains(&grant.user_code.chars().count()));
        assert!((1..=60).contains(&grant.interval_secs));
        assert!((30..=1800).contains(&grant.expires_secs));
        assert!(!grant.user_code.chars().any(char::is_control));
    }
}
