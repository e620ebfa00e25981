//! The server in its world: requests in, orders carried out, every answer held against the model.

use exchange_core::http::{FetchError, FetchReply, Headers, Response};
use exchange_core::login::Input as ToClient;
use exchange_core::machine::Machine as _;
use exchange_core::pki::ClientCertificate;
use exchange_core::server::audit::AuditEvent;
use exchange_core::server::{Input as ToServer, Output as FromServer};
use serde_json::{Value, json};

use crate::counts::Kind;
use crate::host;
use crate::model::Request;
use crate::plant::Plant;
use crate::provider::{ISSUER, Provider};
use crate::tape;
use crate::vector::Fault;
use crate::world::{Event, Peer, Who, World};

impl World {
    pub(crate) fn start_server(&mut self) {
        self.tell(|| "the server starts".into());
        let now = self.server_now();
        if self.host.run > 0 {
            self.counts.add(Kind::Restarted);
        }
        match self.model.restarted(self.millis, now.wall.secs()) {
            Some(true) => self.counts.add(Kind::KeysKept),
            Some(false) => self.counts.add(Kind::KeysTooOld),
            None => {}
        }
        if self.plant == Plant::SavedKeysFresh {
            self.host.date_saved_keys(now.wall);
        }
        let first = self.host.start(now);
        if let Some(tapes) = &mut self.tapes {
            tapes.start(Who::Server, self.host.settings(), self.millis);
            tapes.hear(Who::Server, now, None);
        }
        self.drain_server();
        if let Some(input) = first {
            self.feed_server(input);
        }
    }

    pub(crate) fn arrive(&mut self, peer: Peer, address: u8, body: Vec<u8>) {
        if self.host.server.is_none() {
            return self.reply(peer, Err(FetchError::Connect), 5);
        }
        let value: Value = serde_json::from_slice(&body).unwrap();
        let wall = self.server_now().wall.secs();
        let request = Request {
            token: value["id_token"].as_str().unwrap().into(),
            address,
            arrived: self.millis,
            walls: (wall, wall),
            narrow: vec![self.host.narrow],
        };
        let id = self.requests;
        self.requests += 1;
        self.host.open.insert(id, (peer, request));
        let call = host::call(id, address, body, self.dice.entropy());
        self.feed_server(ToServer::Request(Box::new(call)));
    }

    pub(crate) fn feed_server(&mut self, input: ToServer) {
        let word = self.tapes.is_some().then(|| tape::to_server(&input, &self.host, &self.model));
        self.drive_server(input, word);
    }

    fn drive_server(&mut self, input: ToServer, word: Option<Value>) {
        let now = self.server_now();
        let Some(server) = &mut self.host.server else { return };
        self.at_work = Some(Who::Server);
        if let Some(tapes) = &mut self.tapes {
            tapes.hear(Who::Server, now, word);
        }
        match (self.plant, &input) {
            (Plant::ReloadIgnored, ToServer::Reload(_)) => {}
            (Plant::NoSignaturePanic, ToServer::Signed { result: Err(_), .. }) => {
                panic!("no signature, as planted")
            }
            _ => server.handle(now, input),
        }
        self.at_work = None;
        self.drain_server();
    }

    pub(crate) fn time_passes_at_server(&mut self) {
        let now = self.server_now();
        let Some(server) = &mut self.host.server else { return };
        self.at_work = Some(Who::Server);
        if let Some(tapes) = &mut self.tapes {
            tapes.hear(Who::Server, now, None);
        }
        server.handle_timeout(now);
        self.at_work = None;
        self.drain_server();
    }

    fn drain_server(&mut self) {
        let Some(server) = &mut self.host.server else { return };
        let outputs: Vec<FromServer> = std::iter::from_fn(|| server.poll_output()).collect();
        if let Some(tapes) = &mut self.tapes {
            outputs.iter().for_each(|output| tapes.server_says(output));
        }
        let run = self.host.run;
        for output in outputs {
            if run == self.host.run {
                self.perform_for_server(run, output);
            }
        }
    }

    fn perform_for_server(&mut self, run: u64, output: FromServer) {
        match output {
            FromServer::Fetch { effect, request } => {
                let keys = request.url.as_str() == format!("{ISSUER}/keys");
                let document = if keys {
                    let ignored = self.plant == Plant::RotationIgnored;
                    self.provider.jwks(if ignored { 0 } else { self.provider.key })
                } else {
                    Provider::metadata()
                };
                let (mut delay, mut result) = (self.dice.roll(2000), Ok(ok(200, document)));
                if !self.provider.up {
                    self.counts.add(Kind::ProviderDown);
                    result = Err(FetchError::Connect);
                } else if self.loses(4) {
                    (delay, result) = (10_000, Err(FetchError::Timeout));
                }
                let key = (keys && result.is_ok()).then_some(self.provider.key);
                let input = ToServer::Fetched { effect, result };
                self.send(delay, Event::Server { run, input, key });
            }
            FromServer::Sign { effect, tbs, .. } => {
                if !self.host.signer_works {
                    self.counts.add(Kind::SignerFailed);
                }
                let input = self.host.sign(effect, &tbs);
                let slow = self.lossy && self.dice.once_in(10);
                let delay = self.dice.roll(if slow { 12_000 } else { 20 });
                self.later(delay, Event::Server { run, input, key: None });
            }
            FromServer::Respond { id, audit, response } => self.respond(id.0, audit, &response),
            FromServer::SaveKeys(bytes) => self.host.disk.keys = Some(bytes),
            FromServer::Note(note) => self.tell(|| note.text),
        }
    }

    fn respond(&mut self, id: u64, events: Vec<AuditEvent>, response: &Response) {
        self.see_walls();
        let Some((peer, request)) = self.host.open.remove(&id) else {
            return self.accuse(id, "answered twice, or never asked".into());
        };
        self.tell(|| {
            let errors: Vec<_> = events.iter().filter_map(|event| event.error.as_deref()).collect();
            format!("answer {} to {peer:?}: {errors:?}", response.status)
        });
        self.count_answer(response.status, &events);
        if response.status != 429
            && let Err(fault) = self.model.admitted(&request)
        {
            self.accuse(id, fault);
        }
        let good = response.status == 200;
        let keep = match self.plant {
            Plant::AuditDropped => !good,
            Plant::LineLost => good,
            _ => true,
        };
        if !self.host.record(&events, keep) {
            self.counts.add(Kind::LogFull);
            let body = json!({"error": "audit log", "code": "audit.not_writable"}).to_string();
            return self.reply(peer, Ok(ok(503, body)), 5);
        }
        if good {
            self.judge(id, &request, response);
        }
        let word = Some(json!({ "recorded": id }));
        self.drive_server(ToServer::Recorded(events), word);
        if !self.calm && self.dice.once_in(40) {
            self.counts.add(Kind::Cut);
            self.reply(peer, Err(FetchError::Protocol), 5);
            return self.crash_server();
        }
        let mut headers = Headers::default();
        response.headers.iter().for_each(|(name, value)| headers.push(name, value.as_bytes()));
        let body = response.body.to_vec().into();
        let reply = FetchReply { status: response.status, headers, body };
        let delay = self.distance();
        self.reply(peer, Ok(reply), delay);
    }

    /// A certificate leaves: it must be one that the model allows, written down, and new.
    fn judge(&mut self, id: u64, request: &Request, response: &Response) {
        let body: Value = serde_json::from_slice(&response.body).unwrap();
        let certificate = match ClientCertificate::parse(body["cert"].as_str().unwrap()) {
            Ok(certificate) => certificate,
            Err(error) => return self.accuse(id, error.to_string()),
        };
        if let Err(fault) = self.model.judge(request, &certificate, self.millis) {
            self.accuse(id, fault);
        }
        let admin = certificate.roles().iter().any(|role| role == "os:admin");
        self.counts.add(if admin { Kind::Admin } else { Kind::Reader });
        let serial = certificate.serial_hex().to_owned();
        let written =
            |line: &&String| line.contains("\"type\":\"cert_issued\"") && line.contains(&serial);
        if self.host.disk.log.iter().rev().find(written).is_none() {
            self.blame(Err(format!("no audit line for {serial}")));
        }
        if !self.issued.insert(serial) {
            self.blame(Err("a serial number twice".into()));
        }
    }

    /// The machine said something that the model forbids.
    fn accuse(&mut self, id: u64, fault: String) {
        if let Some(tapes) = &self.tapes
            && self.accused.is_none()
        {
            self.accused = tapes.answer(id).map(|order| (Who::Server, Fault::Order(order)));
        }
        self.blame(Err(fault));
    }

    fn count_answer(&mut self, status: u16, events: &[AuditEvent]) {
        let known = events.iter().any(|event| event.kind.as_str() == "auth_success");
        match (status, known) {
            (429, false) => self.counts.add(Kind::LimitedAddress),
            (429, true) => self.counts.add(Kind::LimitedSubject),
            (401, _) => self.counts.add(Kind::Unauthorized),
            (403, _) => self.counts.add(Kind::Denied),
            _ => {}
        }
    }

    /// An answer on its way to a client; it may be lost.
    pub(crate) fn reply(&mut self, peer: Peer, result: Result<FetchReply, FetchError>, delay: u64) {
        let Peer::Client { index, run, effect } = peer else { return };
        if self.loses(8) {
            return;
        }
        let input = ToClient::Fetched { effect, result };
        self.send(delay, Event::Client { index, run, input, byte: 0 });
    }
}

pub fn ok(status: u16, body: String) -> FetchReply {
    let mut headers = Headers::default();
    headers.push("content-type", b"application/json");
    FetchReply { status, headers, body: body.into_bytes().into() }
}
