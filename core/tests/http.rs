//! The cases of `vectors/http`: what comes out of the codecs, however the bytes are cut into reads.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failing test should stop at the line that failed"
)]

mod vectors;

use std::collections::BTreeSet;

use exchange_core::http::{
    After, ClientCodec, ClientEvent, Limits, Phase, Refusal, Response, ServerCodec, ServerEvent,
};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[serde(rename = "comment")]
    _comment: String,
    #[serde(rename = "source")]
    _source: String,
    side: Side,
    #[serde(default)]
    head: bool,
    #[serde(default)]
    close: bool,
    chunks: Vec<Chunk>,
    expect: Vec<Expect>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Side {
    Server,
    Client,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Chunk {
    Text(String),
    Hex(Hex),
    Repeat(Repeat),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hex {
    hex: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Repeat {
    repeat: String,
    times: usize,
}

impl Default for Chunk {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

impl Chunk {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.clone().into_bytes(),
            Self::Hex(Hex { hex }) => {
                let digits: Vec<_> = hex.chars().map(|c| c.to_digit(16).unwrap()).collect();
                let pairs = digits.chunks(2);
                pairs.map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap()).collect()
            }
            Self::Repeat(Repeat { repeat, times }) => repeat.repeat(*times).into_bytes(),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum Expect {
    Request(ExpectRequest),
    Continue(bool),
    Refuse(ExpectRefusal),
    Closed(bool),
    Need(String),
    Reply(ExpectReply),
    Failed(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectRequest {
    method: String,
    target: String,
    #[serde(default)]
    body: Chunk,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectRefusal {
    status: u16,
    code: String,
    /// What was asked, where the head was good.
    request: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectReply {
    status: u16,
    #[serde(default)]
    body: Chunk,
}

/// What came out, or what should have.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Request { method: String, target: String, body: String },
    Continue,
    Refuse { status: u16, code: String, request: Option<String> },
    Closed,
    Need(String),
    Reply { status: u16, body: String },
    Failed(String),
}

/// Bodies as text, so that a failure can be read.
fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

impl From<&Expect> for Outcome {
    fn from(expect: &Expect) -> Self {
        match expect {
            Expect::Request(ExpectRequest { method, target, body }) => Self::Request {
                method: method.clone(),
                target: target.clone(),
                body: text(&body.bytes()),
            },
            Expect::Continue(yes) => {
                assert!(yes, "`continue` is only ever true");
                Self::Continue
            }
            Expect::Refuse(ExpectRefusal { status, code, request }) => {
                Self::Refuse { status: *status, code: code.clone(), request: request.clone() }
            }
            Expect::Closed(yes) => {
                assert!(yes, "`closed` is only ever true");
                Self::Closed
            }
            Expect::Need(phase) => Self::Need(phase.clone()),
            Expect::Reply(ExpectReply { status, body }) => {
                Self::Reply { status: *status, body: text(&body.bytes()) }
            }
            Expect::Failed(code) => Self::Failed(code.clone()),
        }
    }
}

/// Sizes of the reads: a fixed one, or changing ones from a seed.
#[derive(Clone, Copy, Debug)]
struct Cuts {
    fixed: Option<usize>,
    seed: u64,
}

impl Cuts {
    fn next(&mut self) -> usize {
        self.fixed.unwrap_or_else(|| {
            // xorshift; small reads are the interesting ones.
            self.seed ^= self.seed << 13;
            self.seed ^= self.seed >> 7;
            self.seed ^= self.seed << 17;
            let bits = usize::try_from(self.seed >> 40).unwrap();
            1 + bits % (1 << (bits >> 16 & 15))
        })
    }
}

fn answer(codec: &mut ServerCodec, response: &Response) -> After {
    let mut out = Vec::new();
    let after = codec.respond(response, &mut out);
    assert!(out.starts_with(format!("HTTP/1.1 {} ", response.status).as_bytes()));
    after
}

fn serve(bytes: &[u8], mut cuts: Cuts) -> Vec<Outcome> {
    let mut codec = ServerCodec::new(Limits::SERVER);
    let (mut seen, mut rest) = (Vec::new(), bytes);
    loop {
        match codec.poll() {
            ServerEvent::NeedBytes { phase } if rest.is_empty() => {
                let phase = match phase {
                    Phase::Idle => "idle",
                    Phase::Head => "head",
                    Phase::Body => "body",
                };
                seen.push(Outcome::Need(phase.into()));
                return seen;
            }
            ServerEvent::NeedBytes { .. } => {
                let read = cuts.next().min(codec.wants_bytes()).min(rest.len());
                assert!(read > 0, "bytes are needed and none are wanted");
                assert_eq!(codec.receive(&rest[..read]), read);
                rest = &rest[read..];
            }
            ServerEvent::SendContinue => seen.push(Outcome::Continue),
            ServerEvent::Request(request) => {
                let (method, target) = (request.head.method.as_str(), &*request.head.target);
                let body = match request.body {
                    Ok(body) => body,
                    Err(fault) => {
                        let asked = format!("{method} {target}");
                        return refused(codec, fault.refusal(), Some(asked), seen);
                    }
                };
                let (method, target) = (method.into(), target.into());
                seen.push(Outcome::Request { method, target, body: text(&body) });
                if answer(&mut codec, &Response::json(200, "{}".into())) == After::Close {
                    seen.push(Outcome::Closed);
                    return seen;
                }
            }
            ServerEvent::Refuse(refusal) => return refused(codec, refusal, None, seen),
            ServerEvent::Answering | ServerEvent::Closed => panic!("nothing is open"),
        }
    }
}

/// A refusal, with its answer and the end of the connection behind it.
fn refused(
    mut codec: ServerCodec,
    refusal: Refusal,
    request: Option<String>,
    mut seen: Vec<Outcome>,
) -> Vec<Outcome> {
    let (status, code) = (refusal.status(), refusal.code().into());
    seen.push(Outcome::Refuse { status, code, request });
    assert_eq!(answer(&mut codec, &refusal.response()), After::Close);
    assert!(matches!(codec.poll(), ServerEvent::Closed));
    seen
}

fn fetch(case: &Case, bytes: &[u8], mut cuts: Cuts) -> Vec<Outcome> {
    let mut codec = ClientCodec::new(Limits::client(65_536), case.head);
    let (mut rest, mut closed) = (bytes, !case.close);
    loop {
        match codec.poll() {
            ClientEvent::NeedBytes if rest.is_empty() && closed => {
                return vec![Outcome::Need("reply".into())];
            }
            ClientEvent::NeedBytes if rest.is_empty() => {
                closed = true;
                codec.finish();
            }
            ClientEvent::NeedBytes => {
                let read = cuts.next().min(codec.wants_bytes()).min(rest.len());
                assert!(read > 0, "bytes are needed and none are wanted");
                assert_eq!(codec.receive(&rest[..read]), read);
                rest = &rest[read..];
            }
            ClientEvent::Reply(reply) => {
                return vec![Outcome::Reply { status: reply.status, body: text(&reply.body) }];
            }
            ClientEvent::Failed(error) => return vec![Outcome::Failed(error.code().into())],
            ClientEvent::Done => panic!("done before a reply"),
        }
    }
}

#[test]
fn every_case_comes_out_as_written_however_it_is_cut() {
    let mut failures = Vec::new();
    for (name, case) in vectors::cases::<Case>("http", 200) {
        let bytes: Vec<u8> = case.chunks.iter().flat_map(Chunk::bytes).collect();
        let expected: Vec<Outcome> = case.expect.iter().map(Outcome::from).collect();
        let fixed = [usize::MAX, 1, 2, 1460].map(|size| Cuts { fixed: Some(size), seed: 0 });
        let random = (1..=8).map(|seed: u64| Cuts { fixed: None, seed: seed << 32 | 0x9e37_79b9 });
        for cuts in fixed.into_iter().chain(random) {
            let got = match case.side {
                Side::Server => serve(&bytes, cuts),
                Side::Client => fetch(&case, &bytes, cuts),
            };
            if got != expected {
                failures.push(format!("{name}, {cuts:?}: {:.300}", format!("{got:?}")));
                break;
            }
        }
    }
    assert!(failures.is_empty(), "{} differ:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_refusal_that_bytes_can_cause_has_a_case() {
    let mut codes = BTreeSet::new();
    for (_, case) in vectors::cases::<Case>("http", 200) {
        for outcome in case.expect.iter().map(Outcome::from) {
            if let Outcome::Refuse { code, .. } | Outcome::Failed(code) = outcome {
                codes.insert(code);
            }
        }
    }
    let expected = [
        "fetch.protocol",
        "fetch.too_large",
        "http.body_too_large",
        "http.chunk",
        "http.coding_in_http10",
        "http.content_length",
        "http.expectation",
        "http.field",
        "http.head_too_large",
        "http.host",
        "http.length_and_coding",
        "http.line_end",
        "http.method",
        "http.request_line",
        "http.target",
        "http.tls_on_plain_port",
        "http.too_many_fields",
        "http.transfer_coding",
        "http.version",
    ];
    assert_eq!(codes.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}
