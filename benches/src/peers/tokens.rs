//! The same tokens decoded by three versions of jsonwebtoken, each on another provider.

use std::hint::black_box;

use serde::Deserialize;
use serde_json::Value;

use crate::fixed::{AUDIENCE, ISSUER};
use crate::{Peers, Run};

/// What a program that uses jsonwebtoken would read: the registered claims, and all others, as
/// rules may ask for any of them.
#[derive(Deserialize)]
struct Claims {
    #[serde(flatten)]
    _all: serde_json::Map<String, Value>,
}

/// The same verification by one version of jsonwebtoken.
macro_rules! peer {
    ($version:ident, $alg:ident, $key:expr, $text:expr) => {{
        let mut validation = $version::Validation::new($version::Algorithm::$alg);
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // It reads the clock, and the tokens are of one fixed time: 30 years of tolerance.
        validation.leeway = 1_000_000_000;
        let (key, text) = ($key, $text.to_owned());
        let run = move || $version::decode::<Claims>(black_box(&text), &key, &validation);
        run().expect("the peer takes the token");
        let run: Run = Box::new(move || {
            let _ = black_box(run());
        });
        run
    }};
}

macro_rules! peers {
    ($alg:ident, $text:expr, |$version:ident| $key:expr) => {{
        let nine = {
            use jsonwebtoken_9 as $version;
            peer!(jsonwebtoken_9, $alg, $key, $text)
        };
        let ten = {
            use jsonwebtoken_10 as $version;
            peer!(jsonwebtoken_10, $alg, $key, $text)
        };
        let eleven = {
            use jsonwebtoken_11 as $version;
            peer!(jsonwebtoken_11, $alg, $key, $text)
        };
        vec![
            ("jsonwebtoken 9, ring", nine),
            ("jsonwebtoken 10, pure Rust", ten),
            ("jsonwebtoken 11, aws-lc", eleven),
        ]
    }};
}

pub fn rs256(text: &str, n: &str, e: &str) -> Peers {
    peers!(RS256, text, |version| {
        version::DecodingKey::from_rsa_components(n, e).expect("a key")
    })
}

pub fn es256(text: &str, x: &str, y: &str) -> Peers {
    peers!(ES256, text, |version| version::DecodingKey::from_ec_components(x, y).expect("a key"))
}

pub fn eddsa(text: &str, x: &str) -> Peers {
    peers!(EdDSA, text, |version| version::DecodingKey::from_ed_components(x).expect("a key"))
}
