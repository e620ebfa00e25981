//! One request read and its answer written, on a connection that is kept.

use std::hint::black_box;

use exchange_core::http::{Limits, Response, ServerCodec, ServerEvent};

use crate::exchange::request_bytes;
use crate::fixed::token;
use crate::{Bench, Run, peers};

pub fn request() -> Bench {
    let bytes = request_bytes(&token!("rs256"));
    let body = serde_json::json!({ "cert": "x".repeat(2000) }).to_string();
    let peers = peers::http(bytes.clone(), body.clone());
    Bench { name: "http_request", ours: ours(bytes, body), floor: None, peers, aim: None }
}

fn ours(bytes: Vec<u8>, body: String) -> Run {
    let mut codec = ServerCodec::new(Limits::SERVER);
    let mut out = Vec::new();
    Box::new(move || {
        let taken = codec.receive(black_box(&bytes));
        assert_eq!(taken, bytes.len());
        let ServerEvent::Request(request) = codec.poll() else { panic!("one whole request") };
        black_box(&request);
        out.clear();
        codec.respond(&Response::json(200, body.clone()), &mut out);
        black_box(&out);
    })
}
