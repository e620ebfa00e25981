use std::num::NonZeroUsize;

use smol::net::TcpListener;

use super::*;
use crate::clock::{mono, sleep};
use crate::executor::{run, spawn};
use crate::tls::{ClientOptions, ClientRoots, ServerTls, ServerTlsOptions};

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../../tests/fixtures/", $name))
    };
}

/// Runs a test that must not hang.
fn test(body: impl Future<Output = ()>) {
    run(NonZeroUsize::MIN, async {
        assert!(within(50_000, body).await.is_some(), "hangs");
    });
}

fn client(roots: &[u8]) -> ClientTls {
    let roots = ClientRoots::Only(roots);
    ClientTls::new(ClientOptions { roots, ..ClientOptions::default() }).unwrap()
}

fn fetcher_with(proxies: ProxySettings) -> Fetcher {
    let (ours, other) = (client(fixture!("ca.crt")), client(fixture!("other-ca.crt")));
    Fetcher::new(ours, other, proxies, "test/1")
}

fn fetcher() -> Fetcher {
    fetcher_with(ProxySettings::none())
}

fn get(url: &str) -> FetchRequest {
    FetchRequest {
        url: url.parse().unwrap(),
        post: None,
        headers: Vec::new(),
        trust: Trust::Provider,
        body_bytes_max: 1000,
        timeout_millis: 30_000,
    }
}

/// What a server does after it has read the request's head.
#[derive(Clone, Copy)]
enum Play {
    /// Writes this and closes.
    Say(&'static [u8]),
    /// Writes this and stays silent.
    Stall(&'static [u8]),
    /// Writes this again and again.
    Repeat(&'static [u8], &'static [u8]),
}

/// Reads up to an empty line.
async fn read_head(stream: &mut (impl smol::io::AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).await.is_ok() {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

async fn act(mut stream: Stream, play: Play) -> String {
    let head = read_head(&mut stream).await;
    match play {
        Play::Say(answer) => {
            let _ = stream.write_all(answer).await;
            let _ = stream.flush().await;
            let _ = stream.close().await;
        }
        Play::Stall(answer) => {
            let _ = stream.write_all(answer).await;
            let _ = stream.flush().await;
            sleep(60_000).await;
        }
        Play::Repeat(first, again) => {
            let _ = stream.write_all(first).await;
            while stream.write_all(again).await.is_ok() {}
        }
    }
    head
}

/// A server for one connection; gives its port and, at its end, the head it has read.
async fn server(tls: Option<(&[u8], &[u8])>, play: Play) -> (u16, smol::Task<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let tls =
        tls.map(|(chain, key)| ServerTls::new(chain, key, ServerTlsOptions::default()).unwrap());
    let task = spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        let stream = match tls {
            None => Stream::plain(tcp),
            Some(tls) => match tls.accept(tcp).await {
                Ok(stream) => stream,
                Err(_) => return String::new(),
            },
        };
        act(stream, play).await
    });
    (port, task)
}

const OK: Play = Play::Say(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi");
const SERVER: (&[u8], &[u8]) = (fixture!("server.crt"), fixture!("server.key"));

#[test]
fn asks_and_reads() {
    test(async {
        let (port, seen) = server(None, OK).await;
        let reply = fetcher().fetch(get(&format!("http://127.0.0.1:{port}/a?b"))).await.unwrap();
        assert_eq!((reply.status, reply.body.as_slice()), (200, b"hi".as_slice()));
        let seen = seen.await;
        assert!(seen.starts_with("GET /a?b HTTP/1.1\r\n"), "{seen}");
        assert!(seen.contains(&format!("host: 127.0.0.1:{port}\r\n")), "{seen}");
        assert!(seen.contains("user-agent: test/1\r\n"), "{seen}");
        let (port, seen) = server(Some(SERVER), OK).await;
        let mut request = get(&format!("https://localhost:{port}/token"));
        request.post = Some(("application/json", Zeroizing::new(b"{}".to_vec())));
        request.headers.push(("authorization", Zeroizing::new("Basic x".to_owned())));
        assert_eq!(fetcher().fetch(request).await.unwrap().body.as_slice(), b"hi");
        let seen = seen.await;
        assert!(seen.starts_with("POST /token HTTP/1.1\r\n"), "{seen}");
        assert!(seen.contains("authorization: Basic x\r\n"), "{seen}");
    });
}

#[test]
fn redirects_and_refusals_are_answers() {
    test(async {
        let moved = Play::Say(b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\n\r\n");
        let (port, _seen) = server(None, moved).await;
        let reply = fetcher().fetch(get(&format!("http://127.0.0.1:{port}/"))).await.unwrap();
        assert_eq!(reply.status, 302);
        assert_eq!(reply.headers.get_str("location"), Some("http://127.0.0.1:1/"));
    });
}

#[test]
fn trust_decides_whose_certificate_counts() {
    test(async {
        let (port, _seen) = server(Some(SERVER), OK).await;
        let mut request = get(&format!("https://localhost:{port}/"));
        request.trust = Trust::Server;
        let error = fetcher().fetch(request).await.unwrap_err();
        assert_eq!(error, FetchError::UntrustedCertificate);
        let (port, _seen) = server(Some(SERVER), OK).await;
        let error = fetcher().fetch(get(&format!("https://127.0.0.2:{port}/"))).await;
        assert!(matches!(error, Err(FetchError::WrongName | FetchError::Connect)), "{error:?}");
        let expired: (&[u8], &[u8]) = (fixture!("expired.crt"), fixture!("expired.key"));
        let (port, _seen) = server(Some(expired), OK).await;
        let error = fetcher().fetch(get(&format!("https://localhost:{port}/"))).await.unwrap_err();
        assert_eq!(error, FetchError::ExpiredCertificate);
        // Somebody who speaks no TLS.
        let (port, _seen) = server(None, OK).await;
        let mut request = get(&format!("https://localhost:{port}/"));
        request.timeout_millis = 500;
        let error = fetcher().fetch(request).await.unwrap_err();
        assert!(matches!(error, FetchError::Tls | FetchError::Timeout), "{error:?}");
    });
}

#[test]
fn size_is_counted_while_reading() {
    test(async {
        for play in [
            Play::Stall(b"HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n"),
            Play::Repeat(b"HTTP/1.1 200 OK\r\n\r\n", &[b'x'; 500]),
            Play::Repeat(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
            Play::Repeat(b"HTTP/1.1 200 OK\r\nx: ", &[b'x'; 500]),
        ] {
            let (port, _seen) = server(None, play).await;
            let error = fetcher().fetch(get(&format!("http://127.0.0.1:{port}/"))).await;
            assert_eq!(error.unwrap_err(), FetchError::TooLarge);
        }
    });
}

#[test]
fn time_is_over_whatever_is_being_waited_for() {
    test(async {
        for (tls, play) in [
            (None, Play::Stall(b"")),
            (None, Play::Stall(b"HTTP/1.1 200")),
            (None, Play::Stall(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhalf")),
            (None, Play::Stall(b"HTTP/1.1 100 Continue\r\n\r\n")),
            (Some(SERVER), Play::Stall(b"HTTP/1.1 200 OK\r\n\r\n")),
        ] {
            let (port, _seen) = server(tls, play).await;
            let scheme = if tls.is_some() { "https://localhost" } else { "http://127.0.0.1" };
            let mut request = get(&format!("{scheme}:{port}/"));
            request.timeout_millis = 300;
            let start = mono();
            assert_eq!(fetcher().fetch(request).await.unwrap_err(), FetchError::Timeout);
            assert!((300..30_000).contains(&mono().since(start)));
        }
        // A listener that accepts and never shakes hands.
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut request =
            get(&format!("https://localhost:{}/", silent.local_addr().unwrap().port()));
        request.timeout_millis = 300;
        assert_eq!(fetcher().fetch(request).await.unwrap_err(), FetchError::Timeout);
    });
}

#[test]
fn answers_cut_short_are_no_answers() {
    test(async {
        for (tls, answer) in [
            (None, &b""[..]),
            (None, b"HTTP/1.1 200 OK\r\n"),
            (None, b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhalf"),
            (None, b"nonsense\r\n\r\n"),
            (Some(SERVER), b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhalf"),
        ] {
            let (port, _seen) = server(tls, Play::Say(answer)).await;
            let scheme = if tls.is_some() { "https://localhost" } else { "http://127.0.0.1" };
            let error = fetcher().fetch(get(&format!("{scheme}:{port}/"))).await.unwrap_err();
            assert_eq!(error, FetchError::Protocol);
        }
        // Without a length the end of the stream is the end of the body, if it is orderly.
        for tls in [None, Some(SERVER)] {
            let (port, _seen) = server(tls, Play::Say(b"HTTP/1.1 200 OK\r\n\r\nall")).await;
            let scheme = if tls.is_some() { "https://localhost" } else { "http://127.0.0.1" };
            let reply = fetcher().fetch(get(&format!("{scheme}:{port}/"))).await.unwrap();
            assert_eq!(reply.body.as_slice(), b"all");
        }
    });
}

#[test]
fn nobody_there_is_told_apart_from_no_such_name() {
    test(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let error = fetcher().fetch(get(&format!("http://127.0.0.1:{port}/"))).await.unwrap_err();
        assert_eq!(error, FetchError::Connect);
        let error = fetcher().fetch(get("http://no-such-host.invalid/")).await.unwrap_err();
        assert!(matches!(error, FetchError::Resolve | FetchError::Timeout), "{error:?}");
    });
}

#[test]
fn the_next_address_does_not_wait_for_a_dead_one() {
    test(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let live = listener.local_addr().unwrap();
        let dead = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let tcp = connect_any(vec![dead, dead, live]).await.unwrap();
        assert_eq!(tcp.peer_addr().unwrap(), live);
        assert_eq!(connect_any(vec![dead, dead]).await.unwrap_err(), FetchError::Connect);
        assert_eq!(connect_any(Vec::new()).await.unwrap_err(), FetchError::Connect);
    });
}

/// A proxy for one connection: reads an order, answers, and passes bytes on if it says yes.
async fn proxy(answer: &'static [u8], target: u16) -> (u16, smol::Task<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let order = read_head(&mut client).await;
        client.write_all(answer).await.unwrap();
        if answer.starts_with(b"HTTP/1.1 200") && order.starts_with("CONNECT") {
            let server = TcpStream::connect(("127.0.0.1", target)).await.unwrap();
            let up = smol::io::copy(client.clone(), server.clone());
            let down = smol::io::copy(server, client);
            let _ = smol::future::or(up, down).await;
        }
        order
    });
    (port, task)
}

fn through(port: u16) -> Fetcher {
    fetcher_with(ProxySettings::from_env(|name| {
        (name == "ALL_PROXY").then(|| format!("http://user:pass@127.0.0.1:{port}"))
    }))
}

#[test]
fn https_goes_through_a_tunnel() {
    test(async {
        let (target, seen) = server(Some(SERVER), OK).await;
        let (port, order) = proxy(b"HTTP/1.1 200 Established\r\n\r\n", target).await;
        // The proxy knows the host; the certificate does not, and TLS is with the server.
        let error = through(port).fetch(get("https://idp.example:8443/x")).await.unwrap_err();
        assert_eq!(error, FetchError::WrongName);
        let order = order.await;
        assert!(order.starts_with("CONNECT idp.example:8443 HTTP/1.1\r\n"), "{order}");
        assert!(order.contains("proxy-authorization: Basic dXNlcjpwYXNz\r\n"), "{order}");
        assert_eq!(seen.await, "");
    });
}

#[test]
fn plain_http_asks_the_proxy_itself() {
    test(async {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
        let (port, order) = proxy(answer, 0).await;
        let reply = through(port).fetch(get("http://idp.example/x")).await.unwrap();
        assert_eq!(reply.body.as_slice(), b"hi");
        let order = order.await;
        assert!(order.starts_with("GET http://idp.example/x HTTP/1.1\r\n"), "{order}");
        assert!(order.contains("proxy-authorization: Basic dXNlcjpwYXNz\r\n"), "{order}");
    });
}

#[test]
fn a_proxy_that_refuses_is_not_gone_around() {
    test(async {
        for answer in [&b"HTTP/1.1 407 No\r\n\r\n"[..], b"nonsense\r\n\r\n"] {
            let (port, _order) = proxy(answer, 0).await;
            let error = through(port).fetch(get("https://idp.example/")).await.unwrap_err();
            assert_eq!(error, FetchError::Proxy);
        }
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let error = through(closed.port()).fetch(get("https://idp.example/")).await.unwrap_err();
        assert_eq!(error, FetchError::Proxy);
        let socks = ProxySettings::from_env(|name| {
            (name == "ALL_PROXY").then(|| "socks5://127.0.0.1:1".to_owned())
        });
        let error = fetcher_with(socks).fetch(get("http://idp.example/")).await.unwrap_err();
        assert_eq!(error, FetchError::Proxy);
    });
}
