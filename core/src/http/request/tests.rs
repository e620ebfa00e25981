use alloc::string::{String, ToString as _};
use alloc::vec;

use super::*;
use crate::http::{Limits, ServerCodec, ServerEvent, Trust};

fn fetch(url: &str) -> FetchRequest {
    FetchRequest {
        url: url.parse().unwrap(),
        post: None,
        headers: Vec::new(),
        trust: Trust::Provider,
        body_bytes_max: 1000,
        timeout_millis: 1000,
    }
}

fn text(request: &FetchRequest, proxy_absolute: bool) -> Result<String, FetchError> {
    let mut out = Zeroizing::new(Vec::new());
    encode_request(request, "t/1", proxy_absolute, &mut out)?;
    Ok(String::from_utf8(out.to_vec()).unwrap())
}

fn field(name: &'static str, value: &str) -> (&'static str, Zeroizing<String>) {
    (name, Zeroizing::new(value.to_string()))
}

#[test]
fn writes_get() {
    let mut request = fetch("https://idp.example:8443/a?b=c");
    request.headers.push(field("accept", "application/json"));
    assert_eq!(
        text(&request, false).unwrap(),
        "GET /a?b=c HTTP/1.1\r\nhost: idp.example:8443\r\nuser-agent: t/1\r\n\
         accept-encoding: identity\r\naccept: application/json\r\nconnection: close\r\n\r\n"
    );
}

#[test]
fn writes_post() {
    let mut request = fetch("https://idp.example/token");
    request.post = Some(("text/plain", Zeroizing::new(b"a=b".to_vec())));
    assert_eq!(
        text(&request, false).unwrap(),
        "POST /token HTTP/1.1\r\nhost: idp.example\r\nuser-agent: t/1\r\n\
         accept-encoding: identity\r\ncontent-type: text/plain\r\ncontent-length: 3\r\n\
         connection: close\r\n\r\na=b"
    );
}

#[test]
fn the_target_fits_the_receiver() {
    for (url, proxy, line) in [
        ("https://a.example", false, "GET / HTTP/1.1"),
        ("https://a.example?q", false, "GET /?q HTTP/1.1"),
        ("http://a.example:81/x", true, "GET http://a.example:81/x HTTP/1.1"),
        ("http://a.example?q", true, "GET http://a.example/?q HTTP/1.1"),
    ] {
        let text = text(&fetch(url), proxy).unwrap();
        assert_eq!(text.lines().next(), Some(line));
    }
}

#[test]
fn fields_cannot_start_another_request() {
    for (name, value) in [
        ("authorization", "Bearer a\r\nx: y"),
        ("authorization", "a\nb"),
        ("authorization", "a\0"),
        ("a b", "c"),
        ("", "c"),
        ("Host", "other"),
        ("transfer-encoding", "chunked"),
        ("content-length", "0"),
    ] {
        let mut request = fetch("https://a.example/");
        request.headers = vec![field(name, value)];
        assert_eq!(text(&request, false), Err(FetchError::Protocol), "{name}: {value:?}");
    }
    let mut out = Zeroizing::new(Vec::new());
    let got = encode_request(&fetch("https://a.example/"), "a\r\nb", false, &mut out);
    assert_eq!((got, out.len()), (Err(FetchError::Protocol), 0));
}

#[test]
fn secrets_are_written_without_growing() {
    let mut request = fetch("https://a.example/");
    request.post = Some(("text/plain", Zeroizing::new(vec![b'x'; 5000])));
    request.headers = vec![field("authorization", &"y".repeat(5000))];
    let mut out = Zeroizing::new(Vec::new());
    encode_request(&request, "t/1", true, &mut out).unwrap();
    assert!(out.capacity() < 10_600, "one allocation of about the right size");
}

#[test]
fn orders_a_tunnel() {
    let mut out = Zeroizing::new(Vec::new());
    let url: Url = "https://a.example/x".parse().unwrap();
    encode_connect(&url, "t/1", Some("Basic eA=="), &mut out).unwrap();
    assert_eq!(
        out.as_slice(),
        b"CONNECT a.example:443 HTTP/1.1\r\nhost: a.example:443\r\nuser-agent: t/1\r\n\
          proxy-authorization: Basic eA==\r\n\r\n"
    );
    out.clear();
    let url: Url = "https://[::1]:8443/x".parse().unwrap();
    encode_connect(&url, "t/1", None, &mut out).unwrap();
    assert!(out.starts_with(b"CONNECT [::1]:8443 HTTP/1.1\r\nhost: [::1]:8443\r\n"));
    assert_eq!(encode_connect(&url, "t/1", Some("a\r\n"), &mut out), Err(FetchError::Proxy));
}

#[test]
fn our_server_reads_our_requests() {
    let mut request = fetch("https://[::1]:8443?a");
    request.post = Some(("text/plain", Zeroizing::new(b"body".to_vec())));
    let bytes = text(&request, false).unwrap();
    let mut server = ServerCodec::new(Limits::SERVER);
    assert_eq!(server.receive(bytes.as_bytes()), bytes.len());
    let ServerEvent::Request(got) = server.poll() else { panic!("no request") };
    assert_eq!((got.head.method.as_str(), &*got.head.target), ("POST", "/?a"));
    assert_eq!(got.head.headers.get("host"), Some(&b"[::1]:8443"[..]));
    assert_eq!(got.body.unwrap().as_slice(), b"body");
}
