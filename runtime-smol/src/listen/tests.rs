use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use smol::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::clock::mono;
use crate::executor::run;
use crate::tls::{ClientOptions, ClientRoots, ClientTls, ServerTlsOptions, Stream};

/// Answers with what it was asked, after as many milliseconds as a number in the path says.
#[derive(Default)]
struct Echo {
    notices: Mutex<Vec<Notice>>,
    begun: AtomicUsize,
}

impl Service for Echo {
    async fn call(&self, peer: Peer, request: Request) -> Response {
        self.begun.fetch_add(1, Ordering::Relaxed);
        let path = request.head.path().trim_start_matches('/');
        if let Ok(millis) = path.parse() {
            clock::sleep(millis).await;
        }
        let scheme = if peer.tls { "https" } else { "http" };
        match request.body {
            Ok(body) => {
                let text = format!("{scheme} {} {}", request.head.target, body.len());
                Response::new(200, "text/plain", text)
            }
            Err(fault) => fault.refusal().response(),
        }
    }

    fn notice(&self, notice: Notice) {
        self.notices.lock().unwrap().push(notice);
    }
}

impl Echo {
    /// Whether a notice comes. It may be a moment later than what the client sees.
    async fn heard(&self, wanted: impl Fn(&Notice) -> bool) -> bool {
        let comes = async {
            while !self.notices.lock().unwrap().iter().any(&wanted) {
                clock::sleep(5).await;
            }
        };
        within(20_000, comes).await.is_some()
    }

    /// Waits until so many requests have been given to the service.
    async fn has_begun(&self, count: usize) {
        while self.begun.load(Ordering::Relaxed) < count {
            clock::sleep(5).await;
        }
    }
}

/// A running listener; tests say when it stops.
struct Running {
    address: SocketAddr,
    echo: Arc<Echo>,
    load: Arc<Load>,
    stop: smol::channel::Sender<()>,
    served: smol::Task<Drained>,
}

impl Running {
    fn start(limits: ListenLimits, tls: Option<ServerTls>) -> Self {
        let listener = Listener::bind("127.0.0.1:0").unwrap();
        let address = listener.addresses()[0];
        let (echo, load) = (Arc::new(Echo::default()), Arc::new(Load::default()));
        let (stop, stopped) = smol::channel::bounded::<()>(1);
        let until = async move {
            let _ = stopped.recv().await;
        };
        let serve =
            listener.serve(Arc::clone(&echo), tls.map(Arc::new), limits, Arc::clone(&load), until);
        Self { address, echo, load, stop, served: spawn(serve) }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Stops and returns how that went and how long it took.
    async fn stop(self) -> (Drained, u64) {
        let start = mono();
        drop(self.stop);
        let drained = self.served.await;
        (drained, mono().since(start))
    }
}

/// Nothing ends by itself while a test runs, on however busy a machine: each test shortens what it
/// is about, and nothing else.
const CALM: ListenLimits = ListenLimits {
    head_millis: 60_000,
    request_millis: 60_000,
    handshake_millis: 60_000,
    idle_millis: 60_000,
    answer_millis: 60_000,
    write_millis: 60_000,
    drain_millis: 60_000,
    ..ListenLimits::SERVER
};
/// Well before anything of [`CALM`] ends, in milliseconds.
const SOON: u64 = 30_000;

/// Runs a test that must not hang.
fn test(body: impl Future<Output = ()>) {
    run(NonZeroUsize::MIN, async {
        assert!(within(50_000, body).await.is_some(), "hangs");
    });
}

async fn read_all(stream: &mut (impl smol::io::AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8(bytes).unwrap()
}

/// Reads one answer and returns its first line and body.
async fn read_one(stream: &mut (impl smol::io::AsyncRead + Unpin)) -> (String, String) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).await.unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.split("content-length: ").nth(1).unwrap();
    let length = length.split('\r').next().unwrap().parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    (head.lines().next().unwrap().to_owned(), String::from_utf8(body).unwrap())
}

async fn ask(running: &Running, bytes: &[u8]) -> String {
    let mut stream = running.connect().await;
    stream.write_all(bytes).await.unwrap();
    read_all(&mut stream).await
}

const GET: &[u8] = b"GET /a HTTP/1.1\r\nhost: x\r\n\r\n";

#[test]
fn keeps_the_connection_and_answers_in_order() {
    test(async {
        let running = Running::start(CALM, None);
        let mut stream = running.connect().await;
        for _ in 0..3 {
            stream.write_all(GET).await.unwrap();
            let ok = ("HTTP/1.1 200 OK".to_owned(), "http /a 0".to_owned());
            assert_eq!(read_one(&mut stream).await, ok);
        }
        // Three at once, the second with a body, the first the slowest to answer.
        let pipeline = "GET /100 HTTP/1.1\r\nhost: x\r\n\r\n\
             POST /b HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello\
             GET /c HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        stream.write_all(pipeline.as_bytes()).await.unwrap();
        let mut bodies = Vec::new();
        for _ in 0..3 {
            bodies.push(read_one(&mut stream).await.1);
        }
        assert_eq!(bodies, ["http /100 0", "http /b 5", "http /c 0"]);
        assert_eq!(read_all(&mut stream).await, "");
    });
}

#[test]
fn a_slow_head_or_body_gets_408() {
    test(async {
        for (begun, limits, late) in [
            (
                &b"GET /a HTTP/1.1\r\nhost"[..],
                ListenLimits { head_millis: 200, ..CALM },
                Phase::Head,
            ),
            (
                b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf",
                ListenLimits { request_millis: 200, ..CALM },
                Phase::Body,
            ),
        ] {
            let running = Running::start(limits, None);
            let start = mono();
            let answer = ask(&running, begun).await;
            assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
            assert!(answer.contains("http.timeout") && answer.contains("connection: close"));
            let took = mono().since(start);
            assert!((200..SOON).contains(&took), "{took}");
            let told = |n: &Notice| matches!(n, Notice::Late { phase, .. } if *phase == late);
            assert!(running.echo.heard(told).await);
        }
    });
}

#[test]
fn drips_do_not_extend_a_deadline() {
    test(async {
        let running = Running::start(ListenLimits { head_millis: 200, ..CALM }, None);
        let mut stream = running.connect().await;
        let start = mono();
        let mut writer = stream.clone();
        let drip = async {
            for byte in b"GET /a HTTP/1.1\r\nx: ".iter().chain([b'y'; 4000].iter()) {
                if writer.write_all(&[*byte]).await.is_err() {
                    return;
                }
                clock::sleep(20).await;
            }
        };
        let answer = future::or(async { read_all(&mut stream).await }, async {
            drip.await;
            String::new()
        })
        .await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        assert!(mono().since(start) < SOON);
    });
}

#[test]
fn silence_is_closed_without_an_answer() {
    test(async {
        let running = Running::start(ListenLimits { idle_millis: 300, ..CALM }, None);
        let start = mono();
        assert_eq!(ask(&running, b"").await, "");
        assert!((300..SOON).contains(&mono().since(start)));
    });
}

#[test]
fn half_closed_sockets_still_get_their_answer() {
    test(async {
        let running = Running::start(CALM, None);
        let mut stream = running.connect().await;
        stream.write_all(b"GET /50 HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        stream.close().await.unwrap();
        assert!(read_all(&mut stream).await.ends_with("http /50 0"));
        // Half a request and no more to come needs no deadline.
        for half in
            [&b"GET /50 HTT"[..], b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n"]
        {
            let mut stream = running.connect().await;
            stream.write_all(half).await.unwrap();
            stream.close().await.unwrap();
            let answer = read_all(&mut stream).await;
            assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
            assert!(answer.contains("http.incomplete") && answer.contains("connection: close"));
        }
    });
}

#[test]
fn what_is_no_request_is_answered_and_counted() {
    test(async {
        let running = Running::start(CALM, None);
        for (bytes, status) in [
            (&b"\x00\x01\x02\r\n\r\n"[..], "400"),
            (b"GET /a HTTP/1.1\r\n\r\n", "400"),
            (b"GET /a HTTP/2.0\r\nhost: x\r\n\r\n", "505"),
            (b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999\r\n\r\n", "413"),
            (b"POST /a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip\r\n\r\n", "501"),
        ] {
            let answer = ask(&running, bytes).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        }
        let refused =
            |n: &Notice| matches!(n, Notice::Refused { refusal: Refusal::TransferCoding, .. });
        assert!(running.echo.heard(refused).await);
    });
}

#[test]
fn a_refused_upload_can_read_why() {
    test(async {
        let running = Running::start(CALM, None);
        let mut stream = running.connect().await;
        let head = b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 8000000\r\n\r\n";
        stream.write_all(head).await.unwrap();
        // A client that does not look before it has sent everything.
        for _ in 0..80 {
            stream.write_all(&[b'x'; 100_000]).await.unwrap();
        }
        let answer = read_all(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    });
}

#[test]
fn continue_is_said_before_the_body() {
    test(async {
        let running = Running::start(CALM, None);
        let mut stream = running.connect().await;
        let head =
            b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\nexpect: 100-continue\r\n\r\n";
        stream.write_all(head).await.unwrap();
        let mut interim = [0; 25];
        stream.read_exact(&mut interim).await.unwrap();
        assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
        stream.write_all(b"body").await.unwrap();
        assert_eq!(read_one(&mut stream).await.1, "http /a 4");
    });
}

#[test]
fn a_service_that_does_not_answer_is_503() {
    test(async {
        let running = Running::start(ListenLimits { answer_millis: 300, ..CALM }, None);
        let mut stream = running.connect().await;
        stream.write_all(b"GET /60000 HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let (line, body) = read_one(&mut stream).await;
        assert_eq!(line, "HTTP/1.1 503 Service Unavailable");
        assert!(body.contains("server.overloaded"));
        assert!(running.echo.heard(|n| matches!(n, Notice::Unanswered { .. })).await);
    });
}

#[test]
fn idle_and_slow_connections_delay_nobody() {
    test(async {
        let running = Running::start(CALM.with_connections(128), None);
        let mut held = Vec::new();
        for n in 0..300 {
            let mut stream = running.connect().await;
            if n % 3 == 0 {
                stream.write_all(b"GET /a HT").await.unwrap();
            }
            held.push(stream);
        }
        let start = mono();
        for _ in 0..10 {
            let mut stream = running.connect().await;
            stream.write_all(GET).await.unwrap();
            assert_eq!(read_one(&mut stream).await.1, "http /a 0");
        }
        assert!(mono().since(start) < SOON);
        assert!(running.load.open() <= 128 && running.load.evicted() > 100);
    });
}

#[test]
fn stopping_finishes_what_was_begun() {
    test(async {
        let running = Running::start(CALM, None);
        let address = running.address;
        let mut busy = running.connect().await;
        busy.write_all(b"GET /1500 HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut idle = running.connect().await;
        idle.write_all(GET).await.unwrap();
        read_one(&mut idle).await;
        running.echo.has_begun(2).await;
        let answer = spawn(async move { read_all(&mut busy).await });
        let (drained, took) = running.stop().await;
        assert_eq!(drained, Drained { left: 0 });
        assert!((100..SOON).contains(&took), "{took}");
        let answer = answer.await;
        assert!(answer.ends_with("http /1500 0") && answer.contains("connection: close"));
        assert_eq!(read_all(&mut idle).await, "");
        assert!(TcpStream::connect(address).await.is_err());
        Listener::bind_all(&[address]).unwrap();
    });
}

#[test]
fn stopping_does_not_wait_for_ever() {
    test(async {
        let running = Running::start(ListenLimits { drain_millis: 200, ..CALM }, None);
        let mut busy = running.connect().await;
        busy.write_all(b"GET /60000 HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        running.echo.has_begun(1).await;
        let (drained, took) = running.stop().await;
        assert_eq!(drained, Drained { left: 1 });
        assert!((200..SOON).contains(&took), "{took}");
    });
}

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../../tests/fixtures/", $name))
    };
}

fn server_tls() -> ServerTls {
    let options = ServerTlsOptions::default();
    ServerTls::new(fixture!("server.crt"), fixture!("server.key"), options).unwrap()
}

async fn connect_tls(running: &Running) -> Stream {
    let roots = ClientRoots::Only(fixture!("ca.crt"));
    let client = ClientTls::new(ClientOptions { roots, ..ClientOptions::default() }).unwrap();
    client.connect("localhost", running.connect().await).await.unwrap()
}

#[test]
fn the_same_inside_tls() {
    test(async {
        let running = Running::start(CALM, Some(server_tls()));
        let mut stream = connect_tls(&running).await;
        for _ in 0..2 {
            stream.write_all(GET).await.unwrap();
            assert_eq!(read_one(&mut stream).await.1, "https /a 0");
        }
        stream.write_all(b"GET /a HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        assert_eq!(read_one(&mut stream).await.1, "https /a 0");
        // An orderly end: without close_notify this would be an error.
        let mut rest = Vec::new();
        assert_eq!(stream.read_to_end(&mut rest).await.unwrap(), 0);
        let limits = ListenLimits { head_millis: 200, ..CALM };
        let running = Running::start(limits, Some(server_tls()));
        let mut stream = connect_tls(&running).await;
        stream.write_all(b"GET /a HT").await.unwrap();
        assert!(read_all(&mut stream).await.starts_with("HTTP/1.1 408 "));
    });
}

#[test]
fn a_handshake_that_stalls_is_cut() {
    test(async {
        let limits = ListenLimits { handshake_millis: 300, ..CALM };
        let running = Running::start(limits, Some(server_tls()));
        let start = mono();
        assert_eq!(ask(&running, b"").await, "");
        let mut stream = running.connect().await;
        stream.write_all(&[0x16, 3, 1, 2, 0, 1]).await.unwrap();
        assert_eq!(read_all(&mut stream).await, "");
        assert!(mono().since(start) < SOON);
        let timed_out =
            |n: &Notice| matches!(n, Notice::Handshake { kind: io::ErrorKind::TimedOut, .. });
        assert!(running.echo.heard(timed_out).await);
    });
}

#[test]
fn plain_http_on_a_tls_port_is_told_so() {
    test(async {
        let running = Running::start(CALM, Some(server_tls()));
        let answer = ask(&running, GET).await;
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("use https://"), "{answer}");
        let running = Running::start(CALM, None);
        let answer = ask(&running, &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc]).await;
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("use http://"), "{answer}");
    });
}

#[test]
fn addresses_are_bound_as_written() {
    let any = Listener::bind(":0").unwrap();
    let port = any.addresses()[0].port();
    let std_connect = |host: &str| std::net::TcpStream::connect((host, port));
    assert!(std_connect("127.0.0.1").is_ok());
    // Where IPv6 is switched off both families can be listened to, and nobody has an address of it.
    let has_ipv6 = std::net::TcpListener::bind("[::1]:0").is_ok();
    if any.addresses()[0].is_ipv6() && has_ipv6 {
        assert!(std_connect("::1").is_ok());
    }
    let taken = Listener::bind(&format!("127.0.0.1:{port}")).unwrap_err();
    assert_eq!((taken.problem, taken.code()), (BindProblem::InUse, "listen.in_use"));
    assert!(taken.to_string().starts_with("failed to listen on 127.0.0.1:"));
    for wrong in ["8443", ":70000", "host", "", "[::1]", "127.0.0.1:"] {
        assert_eq!(Listener::bind(wrong).unwrap_err().problem, BindProblem::Address, "{wrong}");
    }
    let foreign = Listener::bind("192.0.2.1:0").unwrap_err();
    assert_eq!(foreign.problem, BindProblem::NotOurs);
    let both = Listener::bind_loopback(0, true).unwrap().addresses();
    assert!(both.iter().all(|address| address.ip().is_loopback()));
    assert!(both.iter().all(|address| address.port() == both[0].port()));
    assert!(raise_open_files().is_none_or(|limit| limit > 64));
}
