//! What the machines of a world are told and order, in the words of `vectors/script`.

use exchange_core::http::{FetchError, FetchReply};
use exchange_core::login::cache::CacheEntry;
use exchange_core::login::{ExistingContext, Input as ToClient, Output as FromClient};
use exchange_core::machine::Now;
use exchange_core::pki::ClientCertificate;
use exchange_core::server::{Input as ToServer, Output as FromServer};
use serde_json::{Value, json};

use crate::client::Way;
use crate::host::Host;
use crate::model::Model;
use crate::provider;
use crate::vector::Fault;
use crate::words::Player as _;
use crate::world::Who;
use crate::{login, server};

/// One input and what came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// Milliseconds since the machine was made.
    pub at: u64,
    pub wall: u64,
    /// Nothing but time where it is absent.
    pub input: Option<Value>,
    pub said: Vec<String>,
}

/// The present run of one machine.
#[derive(Clone, Default)]
pub struct Tape {
    pub settings: Value,
    pub steps: Vec<Told>,
    start: u64,
}

/// The tapes of all machines of a world.
#[derive(Default)]
pub struct Tapes {
    server: Tape,
    clients: Vec<Tape>,
    server_memory: server::Memory,
    client_memory: Vec<login::Memory>,
}

impl Tapes {
    pub fn new(clients: usize) -> Self {
        let client_memory = (0..clients).map(|_| Default::default()).collect();
        Self { clients: vec![Tape::default(); clients], client_memory, ..Self::default() }
    }

    pub fn of(&self, who: Who) -> &Tape {
        match who {
            Who::Server => &self.server,
            Who::Client(index) => &self.clients[index],
        }
    }

    fn of_mut(&mut self, who: Who) -> &mut Tape {
        match who {
            Who::Server => &mut self.server,
            Who::Client(index) => &mut self.clients[index],
        }
    }

    /// A new machine: the tape of the one before is gone.
    pub fn start(&mut self, who: Who, settings: Value, millis: u64) {
        *self.of_mut(who) = Tape { settings, steps: Vec::new(), start: millis };
        match who {
            Who::Server => self.server_memory = Default::default(),
            Who::Client(index) => self.client_memory[index] = Default::default(),
        }
    }

    pub fn hear(&mut self, who: Who, now: Now, input: Option<Value>) {
        let tape = self.of_mut(who);
        let (at, wall) = (now.mono.millis() - tape.start, now.wall.secs());
        tape.steps.push(Told { at, wall, input, said: Vec::new() });
    }

    pub fn server_says(&mut self, output: &FromServer) {
        let said = server::Play::brief(output, &mut self.server_memory);
        self.server.steps.last_mut().unwrap().said.push(said);
    }

    pub fn client_says(&mut self, index: usize, output: &FromClient) {
        let said = login::Play::brief(output, &mut self.client_memory[index]);
        self.clients[index].steps.last_mut().unwrap().said.push(said);
    }

    /// The answer to that request, as it was told last.
    pub fn answer(&self, id: u64) -> Option<String> {
        let mut said = self.server.steps.iter().flat_map(|step| &step.said);
        said.rfind(|said| said.starts_with(&format!("respond {id}: "))).cloned()
    }

    /// What that machine has just ordered under this number.
    pub fn order(&self, who: Who, number: u64) -> Option<Fault> {
        let step = self.of(who).steps.last()?;
        let has_it = |said: &&String| said.split(' ').nth(1) == Some(&*number.to_string());
        let order = step.said.iter().rfind(has_it)?;
        Some(Fault::OrderAt(numberless(order), step.at))
    }
}

/// An order without the number by which it is answered.
pub fn numberless(order: &str) -> String {
    let words: Vec<&str> = order.split(' ').filter(|word| word.parse::<u64>().is_err()).collect();
    words.join(" ")
}

pub fn login_settings(way: Way) -> Value {
    let flow = match way {
        Way::Browser => "browser",
        Way::Device => "device",
        Way::DeviceOrBrowser => "device_or_browser",
    };
    json!({ "flow": flow, "watch": true })
}

pub fn to_server(input: &ToServer, host: &Host, model: &Model) -> Value {
    match input {
        ToServer::Request(call) => {
            let body =
                with_described(serde_json::from_slice(call.body.as_ref().unwrap()).unwrap(), model);
            let (id, peer) = (call.id.0, call.peer.to_string());
            json!({ "request": { "id": id, "peer": peer, "json": body } })
        }
        ToServer::Fetched { effect, result } => {
            json!({ "fetched": { "effect": effect.get(), "reply": reply(result, model) } })
        }
        ToServer::Signed { effect, result } => {
            let signature = if result.is_ok() { "good" } else { "none" };
            json!({ "signed": { "effect": effect.get(), "signature": signature } })
        }
        ToServer::SavedKeys(bytes) => {
            json!({ "saved_keys": String::from_utf8(bytes.clone()).unwrap() })
        }
        ToServer::Reload(_) => json!({ "reload": host.settings() }),
        ToServer::Recorded(_) | ToServer::Replay(_) | ToServer::Health(_) => {
            panic!("not among the inputs of these worlds, or told elsewhere")
        }
    }
}

pub fn to_client(input: &ToClient, byte: u8, now: Now, ttl: u64, model: &Model) -> Value {
    match input {
        ToClient::Start { .. } => json!({ "start": { "jitter": byte } }),
        ToClient::Loaded { effect, entry, context } => {
            let context = context.as_ref().map(|ExistingContext { certificate, .. }| {
                life(&ClientCertificate::parse(certificate).unwrap(), now, ttl)
            });
            let entry = entry.as_ref().map(|entry| cached(entry, model));
            json!({ "loaded": { "effect": effect.get(), "entry": entry, "context": context } })
        }
        ToClient::Locked { effect, entry } => {
            let entry = entry.as_ref().map(|entry| cached(entry, model));
            json!({ "locked": { "effect": effect.get(), "entry": entry } })
        }
        ToClient::Fetched { effect, result } => {
            let body = result.as_ref().ok();
            let body = body.and_then(|reply| serde_json::from_slice::<Value>(&reply.body).ok());
            let cert = body.as_ref().and_then(|body| body["cert"].as_str());
            match cert.map(|pem| ClientCertificate::parse(pem).unwrap()) {
                Some(certificate) => json!({ "exchanged": {
                    "effect": effect.get(), "certificate": life(&certificate, now, ttl),
                } }),
                None => json!({ "fetched": {
                    "effect": effect.get(), "reply": reply(result, model),
                } }),
            }
        }
        ToClient::Listening { effect, port, .. } => {
            json!({ "listening": { "effect": effect.get(), "port": port, "entropy": byte } })
        }
        ToClient::ListenFailed { effect, .. } => {
            json!({ "listen_failed": { "effect": effect.get(), "why": "in_use" } })
        }
        ToClient::Callback { request, head, .. } => json!({ "callback": {
            "request": request.0, "target": &*head.target, "entropy": byte,
        } }),
        ToClient::Saved { effect } => json!({ "saved": { "effect": effect.get() } }),
        ToClient::SaveFailed { effect, .. } => {
            json!({ "save_failed": { "effect": effect.get() } })
        }
        ToClient::Seeded { effect, .. } => {
            json!({ "seeded": { "effect": effect.get(), "seed": byte } })
        }
        ToClient::Written { effect } => json!({ "written": { "effect": effect.get() } }),
        ToClient::WriteFailed { effect, .. } => {
            json!({ "write_failed": { "effect": effect.get() } })
        }
        ToClient::IdTokenGiven { .. }
        | ToClient::LockFailed { .. }
        | ToClient::BrowserFailed
        | ToClient::Interrupt => panic!("not among the inputs of these worlds"),
    }
}

/// When a certificate was made, counted back from now, and how long it lives.
fn life(certificate: &ClientCertificate, now: Now, ttl: u64) -> Value {
    let made = certificate.not_after().secs() - ttl;
    json!({ "age": now.wall.secs() as i64 - made as i64, "secs": ttl })
}

fn cached(entry: &CacheEntry, model: &Model) -> Value {
    with_described(serde_json::from_str(&entry.to_json()).unwrap(), model)
}

fn reply(result: &Result<FetchReply, FetchError>, model: &Model) -> Value {
    match result {
        Err(error) => json!({ "error": error.code() }),
        Ok(reply) => {
            let own = |name: &str| !name.eq_ignore_ascii_case("content-type");
            let headers: Vec<_> = reply
                .headers
                .iter()
                .filter(|(name, _)| own(name))
                .map(|(name, value)| (name, String::from_utf8_lossy(value)))
                .collect();
            let body = serde_json::from_slice(&reply.body).unwrap();
            let body = with_described(body, model);
            json!({ "status": reply.status, "headers": headers, "json": body })
        }
    }
}

/// An `id_token` that somebody made stands there as what it says.
fn with_described(mut json: Value, model: &Model) -> Value {
    if let Some(token) = json.get_mut("id_token")
        && let Some(described) = token.as_str().and_then(|text| provider::describe(text, model))
    {
        *token = described;
    }
    json
}
