//! What the scripts of both machines have in common: time, answers from elsewhere, and the
//! comparison step by step.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as B64;
use exchange_core::http::{FetchError, FetchReply, Headers};
use exchange_core::machine::{EffectId, EffectIds, Machine, Mono, Now, UnixTime};
use ring::signature::Ed25519KeyPair;
use serde::Deserialize;
use serde_json::Value;

use crate::vectors;

/// Wall clock at the start of every script.
pub(crate) const EPOCH: u64 = 1_800_000_000;
pub(crate) const ISSUER: &str = "https://idp.example.com/realms/talos";

/// One input, when it comes, and what must come of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step<W> {
    /// Milliseconds since the start.
    pub(crate) at: u64,
    /// The wall clock, where it does not run with `at`.
    wall: Option<u64>,
    /// What happens; nothing but time where it is absent.
    pub(crate) input: Option<W>,
    /// The orders in brief.
    expect: Option<Vec<String>>,
    /// Or orders that must not be among them: of a fault that is known by them alone.
    never: Option<Vec<String>>,
}

impl<W> Step<W> {
    pub(crate) fn now(&self) -> Now {
        let wall = self.wall.unwrap_or(EPOCH + self.at / 1000);
        Now { mono: Mono::from_millis(self.at), wall: UnixTime::from_secs(wall) }
    }

    fn judge(&self, found: &Vec<String>) -> Result<(), String> {
        match (&self.expect, &self.never) {
            (Some(expect), None) => vectors::same(found, expect),
            (None, Some(never)) => match found.iter().find(|order| never.contains(order)) {
                Some(order) => Err(format!("{order:?}, which must not be")),
                None => Ok(()),
            },
            _ => Err("exactly one of expect and never belongs here".into()),
        }
    }
}

/// One kind of machine: how it is made, how a word becomes an input, how an order is told.
pub(crate) trait Player {
    type Machine: Machine;
    type Word;
    /// What was ordered and is needed for answers.
    type Memory: Default;
    fn machine(&self, now: Now) -> Self::Machine;
    fn input(
        &self,
        now: Now,
        word: &Self::Word,
        memory: &Self::Memory,
    ) -> <Self::Machine as Machine>::Input;
    fn brief(output: &<Self::Machine as Machine>::Output, memory: &mut Self::Memory) -> String;
}

/// Plays the steps on two machines: the orders of one are taken after each step and compared, those
/// of the other at the end, where they must be the same.
pub(crate) fn play<P: Player>(player: &P, steps: &[Step<P::Word>]) -> Result<(), String> {
    let start = Now { mono: Mono::from_millis(0), wall: UnixTime::from_secs(EPOCH) };
    let (mut prompt, mut late) = (player.machine(start), player.machine(start));
    let (mut memory, mut said) = (P::Memory::default(), Vec::new());
    for (number, step) in steps.iter().enumerate() {
        let now = step.now();
        for machine in [&mut prompt, &mut late] {
            match &step.input {
                Some(word) => machine.handle(now, player.input(now, word, &memory)),
                None => machine.handle_timeout(now),
            }
        }
        let found: Vec<String> = std::iter::from_fn(|| prompt.poll_output())
            .map(|output| P::brief(&output, &mut memory))
            .collect();
        step.judge(&found).map_err(|why| format!("step {}: {why}", number + 1))?;
        said.extend(found);
    }
    let mut memory = P::Memory::default();
    let late: Vec<String> = std::iter::from_fn(|| late.poll_output())
        .map(|output| P::brief(&output, &mut memory))
        .collect();
    vectors::same(&late, &said).map_err(|why| format!("taken at the end: {why}"))
}

/// The effect of that number, whether or not it was ever ordered.
pub(crate) fn effect(number: u64) -> EffectId {
    let mut ids = EffectIds::default();
    let mut id = ids.mint();
    for _ in 1..number {
        id = ids.mint();
    }
    id
}

/// `[seed; N]`: what stands for randomness in a script.
pub(crate) const fn random<const N: usize>(seed: u8) -> [u8; N] {
    [seed; N]
}

/// A token: as it is, or claims that key `key` signs.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum Token {
    Text(String),
    Signed(Signed),
}

/// Claims, signed with the Ed25519 key whose seed is 32 times `key`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Signed {
    key: u8,
    kid: String,
    claims: Value,
}

impl Token {
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Signed(Signed { key, kid, claims }) => {
                let header = format!(r#"{{"alg":"EdDSA","kid":"{kid}"}}"#);
                let signing = format!("{}.{}", B64.encode(header), B64.encode(claims.to_string()));
                let pair = Ed25519KeyPair::from_seed_unchecked(&random::<32>(*key)).unwrap();
                format!("{signing}.{}", B64.encode(pair.sign(signing.as_bytes())))
            }
        }
    }
}

/// What came of a fetch: a code, or status (200 where it is absent), fields and body.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reply {
    error: Option<String>,
    status: Option<u16>,
    #[serde(default)]
    headers: Vec<(String, String)>,
    text: Option<String>,
    json: Option<Value>,
}

impl Reply {
    pub(crate) fn result(&self) -> Result<FetchReply, FetchError> {
        if let Some(code) = &self.error {
            return Err(fetch_error(code));
        }
        let body = match (&self.text, &self.json) {
            (Some(text), None) => text.clone(),
            (None, Some(json)) => with_tokens(json.clone()).to_string(),
            (None, None) => String::new(),
            (Some(_), Some(_)) => panic!("a reply has either text or json"),
        };
        Ok(self.with_body(body))
    }

    pub(crate) fn with_body(&self, body: String) -> FetchReply {
        let mut headers = Headers::default();
        headers.push("content-type", b"application/json");
        self.headers.iter().for_each(|(name, value)| headers.push(name, value.as_bytes()));
        FetchReply { status: self.status.unwrap_or(200), headers, body: body.into_bytes().into() }
    }
}

/// An `id_token` that is described becomes the token.
pub(crate) fn with_tokens(mut json: Value) -> Value {
    if let Some(token) = json.get_mut("id_token").filter(|token| token.is_object()) {
        let signed: Signed = serde_json::from_value(token.clone()).unwrap();
        *token = Token::Signed(signed).text().into();
    }
    json
}

fn fetch_error(code: &str) -> FetchError {
    use FetchError::{
        Connect, ExpiredCertificate, Protocol, Proxy, Resolve, Timeout, Tls, TooLarge,
        UntrustedCertificate, WrongName,
    };
    let all = [
        Resolve,
        Connect,
        UntrustedCertificate,
        WrongName,
        ExpiredCertificate,
        Tls,
        Timeout,
        TooLarge,
        Protocol,
        Proxy,
    ];
    all.into_iter().find(|error| error.code() == code).unwrap_or_else(|| panic!("{code}"))
}

/// A file of `vectors/cert`.
pub(crate) fn cert_file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors/cert").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
