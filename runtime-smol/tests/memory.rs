//! What connections cost in memory. A process of its own, so that nothing else is measured.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "a failing test should stop at the line that failed"
)]

use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroUsize;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;

use exchange_core::http::{Request, Response};
use exchange_smol::executor::{run, spawn, within};
use exchange_smol::listen::{ListenLimits, Listener, Load, Peer, Service, raise_open_files};
use exchange_smol::tls::{ClientOptions, ClientRoots, ClientTls, ServerTls, ServerTlsOptions};

const KIND: &str = "MEMORY_TEST_CLIENT";
const ADDRESS: &str = "MEMORY_TEST_ADDRESS";
const CONNECTIONS: usize = 400;

struct Hello;

impl Service for Hello {
    async fn call(&self, _: Peer, _: Request) -> Response {
        Response::new(200, "text/plain", "hello")
    }
}

/// Resident memory of this process in kB.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn tls() -> ServerTls {
    let (chain, key) =
        (include_bytes!("fixtures/server.crt"), include_bytes!("fixtures/server.key"));
    ServerTls::new(chain, key, ServerTlsOptions::default()).unwrap()
}

/// Starts this very program again as a client, which says `ready` and waits for its input to end.
fn client(kind: &str, address: SocketAddr) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "client_process", "--nocapture"])
        .env(KIND, kind)
        .env(ADDRESS, address.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits for `ready`. What it returns keeps the pipe open that the client goes on writing to.
async fn until_ready(child: &mut Child) -> BufReader<ChildStdout> {
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let said = smol::unblock(move || {
        let mut line = String::new();
        while !line.contains("ready") {
            line.clear();
            assert_ne!(stdout.read_line(&mut line).unwrap(), 0, "the client gave up");
        }
        stdout
    });
    within(60_000, said).await.expect("a client that says something")
}

/// Not a test of its own: what the client process runs.
#[test]
fn client_process() {
    let Ok(kind) = env::var(KIND) else { return };
    let address: SocketAddr = env::var(ADDRESS).unwrap().parse().unwrap();
    let mut held = Vec::new();
    if kind == "flood" {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"GET /a HTTP/1.1\r\nx: ").unwrap();
        for _ in 0..1024 {
            stream.write_all(&[b'y'; 64 * 1024]).unwrap();
        }
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    } else {
        held = smol::block_on(idle(address));
    }
    // To the real output: the harness swallows what `print` says.
    writeln!(std::io::stdout(), "ready").unwrap();
    let _ = std::io::stdin().read(&mut [0]);
    drop(held);
}

async fn idle(address: SocketAddr) -> Vec<exchange_smol::tls::Stream> {
    use smol::io::{AsyncReadExt, AsyncWriteExt};
    let _ = raise_open_files();
    let roots = ClientRoots::Only(include_bytes!("fixtures/ca.crt"));
    let client = ClientTls::new(ClientOptions { roots, ..ClientOptions::default() }).unwrap();
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS {
        let tcp = smol::net::TcpStream::connect(address).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let mut stream = client.connect("localhost", tcp).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        stream.flush().await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
        held.push(stream);
    }
    held
}

#[test]
fn memory_is_bounded() {
    if env::var_os(KIND).is_some() {
        return;
    }
    let _ = raise_open_files();
    run(NonZeroUsize::MIN, async {
        let serve = |tls: Option<ServerTls>| {
            let listener = Listener::bind("127.0.0.1:0").unwrap();
            let address = listener.addresses()[0];
            let load = Arc::new(Load::default());
            let limits = ListenLimits::SERVER;
            let stop = std::future::pending();
            let tls = tls.map(Arc::new);
            let served = listener.serve(Arc::new(Hello), tls, limits, Arc::clone(&load), stop);
            spawn(served).detach();
            (address, load)
        };
        // 64 MB without a line end.
        let (plain, _) = serve(None);
        let mut warm = TcpStream::connect(plain).unwrap();
        warm.write_all(b"x\r\n\r\n").unwrap();
        exchange_smol::clock::sleep(100).await;
        let before = resident();
        let mut flood = client("flood", plain);
        let _pipe = until_ready(&mut flood).await;
        let grown = resident().saturating_sub(before);
        drop(flood.stdin.take());
        assert!(smol::unblock(move || flood.wait()).await.unwrap().success());
        eprintln!("64 MB without a line end: {grown} kB");
        assert!(grown < 1024, "{grown} kB");
        // Connections that have asked once and now do nothing.
        let (secure, load) = serve(Some(tls()));
        let before = resident();
        let mut idle = client("idle", secure);
        let _pipe = until_ready(&mut idle).await;
        assert_eq!(load.open(), CONNECTIONS);
        let each = resident().saturating_sub(before) * 1024 / CONNECTIONS;
        drop(idle.stdin.take());
        assert!(smol::unblock(move || idle.wait()).await.unwrap().success());
        eprintln!("an idle TLS connection: {each} bytes");
        assert!(each < 20_000, "{each} bytes");
    });
}
