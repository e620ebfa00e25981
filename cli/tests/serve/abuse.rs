//! Strangers on the socket: what they cost, and that nobody else notices.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::Conn;
use crate::provider::Provider;
use crate::world::Config;

/// 72 MB without the end of a line: an answer or a close, and under 1 MB of memory.
#[test]
fn s2_a_line_without_end_costs_no_memory() {
    let provider = Provider::start();
    let server = Config::new(&provider).start().ready();
    // What the first requests allocate is not at question.
    assert_eq!(server.post(&provider.body("alice", json!({}))).status, 200);
    let mut warm = server.open();
    warm.send(b"x\r\n\r\n");
    assert_eq!(warm.reply(false).unwrap().status, 400);
    let before = server.resident_kb();
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(40))).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nx: ").unwrap();
    let block = vec![b'y'; 256 * 1024];
    let mut peak = before;
    for _ in 0..288 {
        if stream.write_all(&block).is_err() {
            break;
        }
        peak = peak.max(server.resident_kb());
    }
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431 "), "{answer:?}");
    eprintln!("a line without end: {} kB", peak - before);
    assert!(peak - before < 1024, "{before} kB before, {peak} kB at most");
    assert_eq!(server.post(&provider.body("alice", json!({}))).status, 200);
}

/// 2,000 idle connections and 200 that send a byte now and then: an exchange takes no more than
/// twice its time, and memory stays under 64 MB.
#[test]
fn s2_slow_and_idle_connections_delay_nobody() {
    // Own descriptors, and room for the server to have as many.
    assert!(exchange_smol::listen::raise_open_files().is_none_or(|files| files > 5000));
    let provider = Provider::start();
    let server = Config::new(&provider).start().ready();
    // Without the crowd, asked in turns with the other: what else the machine does meets both.
    let quiet = Config::new(&provider).start().ready();
    let good = provider.body("alice", json!({}));
    let mut conns = [quiet.open(), server.open()];
    let mut medians = |count: usize| {
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..count {
            for (conn, times) in conns.iter_mut().zip(&mut times) {
                let started = Instant::now();
                assert_eq!(conn.request("POST", "/exchange", &[], &good).status, 200);
                times.push(started.elapsed());
            }
        }
        times.map(|mut times| {
            times.sort();
            times[count / 2]
        })
    };
    medians(50);
    let idle: Vec<TcpStream> =
        (0..2000).map(|_| TcpStream::connect(server.address).unwrap()).collect();
    let mut slow: Vec<TcpStream> =
        (0..200).map(|_| TcpStream::connect(server.address).unwrap()).collect();
    let head = b"POST /exchange HTTP/1.1\r\nhost: a\r\ncontent-length: 40000\r\n\r\n";
    // Some rounds, as one may meet bad luck; slowness of ours stays.
    let mut seen = [Duration::MAX, Duration::MAX];
    for round in 0..10 {
        for (n, stream) in slow.iter_mut().enumerate() {
            let byte = head[(round + n) % head.len()];
            let _ = stream.write_all(&[byte]);
        }
        seen = medians(100);
        if round >= 2 && seen[1] <= seen[0] * 2 {
            break;
        }
        std::thread::sleep(Duration::from_millis(300));
    }
    let (resident, [alone, crowded]) = (server.resident_kb(), seen);
    eprintln!("exchange alone {alone:?}, in the crowd {crowded:?}, {resident} kB resident");
    assert!(crowded <= alone * 2, "{alone:?} became {crowded:?}");
    assert!(resident < 64 * 1024, "{resident} kB");
    drop((idle, slow));
}

/// The bytes of one of the chunks of a case of `vectors/http`.
fn bytes(chunk: &Value) -> Vec<u8> {
    if let Some(text) = chunk.as_str() {
        return text.as_bytes().to_vec();
    }
    if let Some(hex) = chunk["hex"].as_str() {
        let pair = |n: usize| u8::from_str_radix(&hex[2 * n..2 * n + 2], 16).unwrap();
        return (0..hex.len() / 2).map(pair).collect();
    }
    let times = chunk["times"].as_u64().unwrap();
    chunk["repeat"].as_str().unwrap().repeat(times.try_into().unwrap()).into_bytes()
}

/// Every case of `vectors/http` through a real socket: as many answers as requests were meant, and
/// behind a refusal its answer and the end of the connection. Smuggled requests would show as one
/// answer more.
#[test]
fn s2_no_request_is_smuggled_through_the_socket() {
    let provider = Provider::start();
    let server = Config::new(&provider).start().ready();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../vectors/http");
    let mut cases = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.starts_with("server-") {
            continue;
        }
        let case: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let expect = case["expect"].as_array().unwrap();
        let sent: Vec<u8> = case["chunks"].as_array().unwrap().iter().flat_map(bytes).collect();
        // The embedding application closed there of its own will.
        if case["close"] == true {
            continue;
        }
        let mut conn = Conn::open(server.address);
        let _ = conn.stream.write_all(&sent);
        let mut refused = None;
        let mut waits = false;
        for step in expect {
            let step = step.as_object().unwrap();
            let (kind, value) = step.iter().next().unwrap();
            match kind.as_str() {
                "request" => {
                    let head = value["method"] == "HEAD";
                    let reply = conn.reply(head).unwrap_or_else(|| panic!("{name}: no answer"));
                    let body = String::from_utf8_lossy(&reply.body).into_owned();
                    assert!(!body.contains("\"http."), "{name}: refused: {body}");
                }
                "refuse" => refused = Some(value.clone()),
                "need" => waits = true,
                "continue" | "closed" => {}
                other => panic!("{name}: {other}"),
            }
        }
        if let Some(value) = refused {
            let asked = value["request"].as_str().unwrap_or("POST /exchange");
            let reply = conn.reply(asked.starts_with("HEAD "));
            let reply = reply.unwrap_or_else(|| panic!("{name}: no answer"));
            assert_eq!(reply.header("connection"), Some("close"), "{name}");
            // Another method or place is answered before a body that does not read.
            if asked == "POST /exchange" {
                assert_eq!(reply.status, value["status"].as_u64().unwrap() as u16, "{name}");
                assert_eq!(reply.code(), value["code"].as_str().unwrap(), "{name}");
                assert!(reply.json()["hint"].is_string(), "{name}");
            }
            assert!(conn.reply(false).is_none(), "{name}: one answer too many");
        } else if !waits {
            // Nothing more comes by itself.
            let brief = Some(Duration::from_millis(20));
            conn.stream.set_read_timeout(brief).unwrap();
            assert!(conn.reply(false).is_none(), "{name}: one answer too many");
        }
        cases += 1;
    }
    assert!(cases > 80, "{cases} cases");
    // The classic, with a certificate as the prize: the second request must not exist.
    let inner = provider.body("alice", json!({}));
    let smuggled =
        format!("POST /exchange HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", inner.len());
    let smuggled = [smuggled.as_bytes(), &inner].concat();
    let before = server.audit().len();
    for outer in [
        format!(
            "POST /exchange HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            smuggled.len() + 5
        ),
        "POST /exchange HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\ncontent-length: 5\r\n\r\n"
            .into(),
        "POST /exchange HTTP/1.1\r\nhost: a\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n".into(),
        "POST /exchange HTTP/1.1\r\nhost: a\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n".into(),
    ] {
        let mut conn = server.open();
        conn.send(&[outer.as_bytes(), &smuggled].concat());
        let reply = conn.reply(false).unwrap();
        assert!(matches!(reply.status, 400 | 501), "{outer}: {}", reply.status);
        assert!(conn.reply(false).is_none(), "{outer}");
    }
    assert_eq!(server.audit().len(), before);
}

/// Requests sent in one go are answered one by one, in their order.
#[test]
fn s2_pipelined_requests_are_answered_in_order() {
    let provider = Provider::start();
    let server = Config::new(&provider).start().ready();
    let good = provider.body("alice", json!({}));
    let mut all = Vec::new();
    for n in 0..20 {
        let body: &[u8] = if n % 2 == 0 { &good } else { b"{}" };
        let head =
            format!("POST /exchange HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.len());
        all.extend_from_slice(head.as_bytes());
        all.extend_from_slice(body);
    }
    let mut conn = server.open();
    conn.send(&all);
    for n in 0..20 {
        assert_eq!(conn.reply(false).unwrap().status, if n % 2 == 0 { 200 } else { 400 });
    }
}

/// A head that does not end is answered after five seconds, also when bytes keep coming.
#[test]
fn s2_a_head_has_five_seconds() {
    let provider = Provider::start();
    let server = Config::new(&provider).start();
    let mut conn = server.open();
    let started = Instant::now();
    conn.send(b"GET /healthz HTTP/1.1\r\nx: ");
    let mut drip = conn.stream.try_clone().unwrap();
    std::thread::spawn(move || {
        while drip.write_all(b"y").is_ok() {
            std::thread::sleep(Duration::from_millis(300));
        }
    });
    let reply = conn.reply(false).unwrap();
    assert_eq!((reply.status, &*reply.code()), (408, "http.timeout"));
    let took = started.elapsed();
    // Bytes come until it is answered: without a deadline of its own it never would be.
    assert!((4800..20_000).contains(&took.as_millis()), "{took:?}");
}
