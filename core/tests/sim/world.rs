//! One seeded world: a queue of what is to happen, a network that delays and loses, and trouble
//! until the calm.

use std::collections::{BTreeMap, BTreeSet};

use exchange_core::http::form::Form;
use exchange_core::http::{
    FetchError, FetchReply, Headers, Method, RequestHead, Response, Version,
};
use exchange_core::login::{
    AuthorizationEntropy, FileTrouble, Input as ToClient, ListenTrouble, Output as FromClient,
};
use exchange_core::machine::{EffectId, Machine as _, Mono, Now, RequestId, UnixTime};
use exchange_core::pki::ClientCertificate;
use exchange_core::server::audit::AuditEvent;
use exchange_core::server::{Input as ToServer, Output as FromServer};
use serde_json::{Value, json};

use crate::client::{Client, SERVER};
use crate::dice::Dice;
use crate::host::{self, Host};
use crate::model::{self, Facts, Model, Request};
use crate::provider::{self, ADVERSARY, ISSUER, Provider};

pub const EPOCH: u64 = 1_800_000_000;
/// Longest time after the calm until everybody must be served, in milliseconds.
const PATIENCE: u64 = 1_800_000;
const LIMIT: (u32, u64) = (6, 60_000);
const STRANGER: u8 = 200;

/// A fault of the world around the core, to prove that it would be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    None,
    AuditDropped,
    LineLost,
    ModelOfAnotherTtl,
    RotationIgnored,
    ReloadIgnored,
    LimitOff,
    TornWrite,
    NeverCalm,
}

#[derive(Clone, Copy, Debug)]
pub enum Peer {
    Client { index: usize, run: u64, effect: EffectId },
    Stranger,
}

enum Event {
    Arrive {
        peer: Peer,
        address: u8,
        body: Vec<u8>,
    },
    Server {
        run: u64,
        input: ToServer,
    },
    Client {
        index: usize,
        run: u64,
        input: ToClient,
    },
    Click {
        index: usize,
        run: u64,
    },
    StartServer,
    StartClient(usize),
    Trouble,
    Attack,
    /// A withdrawn key in the adversary's hands.
    Stolen(usize),
    Calm,
}

pub struct World {
    pub told: bool,
    dice: Dice,
    plant: Plant,
    millis: u64,
    sequence: u64,
    queue: BTreeMap<(u64, u64), Event>,
    host: Host,
    provider: Provider,
    clients: Vec<Client>,
    model: Model,
    calm: bool,
    lossy: bool,
    /// Tokens by stolen keys that are still to come.
    stolen: u64,
    requests: u64,
    issued: BTreeSet<String>,
    /// Serial that each client held at the calm: another one is wanted.
    stale: Option<Vec<Option<String>>>,
    fault: Option<String>,
}

impl World {
    pub fn new(seed: u64, plant: Plant) -> Self {
        let mut dice = Dice(seed);
        let people = 1 + dice.roll(3) as usize;
        let groups = (0..people).map(|_| [0, 0, 1, 1, 2][dice.roll(5) as usize]).collect();
        let ttl = 60 + 60 * dice.roll(5);
        let life = 120 + dice.roll(600);
        let limit = (plant != Plant::LimitOff).then_some(LIMIT);
        let model_ttl = if plant == Plant::ModelOfAnotherTtl { ttl / 2 } else { ttl };
        let mut world = Self {
            told: false,
            plant,
            millis: 0,
            sequence: 0,
            queue: BTreeMap::new(),
            host: Host::new(ttl, limit),
            provider: Provider::new(groups, life),
            clients: (0..people).map(|_| Client::new()).collect(),
            model: Model::new(model_ttl, LIMIT.0 as usize, LIMIT.1),
            calm: false,
            lossy: dice.once_in(2),
            stolen: 0,
            requests: 0,
            issued: BTreeSet::new(),
            stale: None,
            fault: None,
            dice,
        };
        let end = 60_000 + world.dice.roll(400_000);
        world.at(0, Event::StartServer);
        for index in 0..people {
            let at = world.dice.roll(20_000);
            world.at(at, Event::StartClient(index));
        }
        for _ in 0..2 + world.dice.roll(10) {
            let at = world.dice.roll(end);
            let event = if world.dice.once_in(2) { Event::Trouble } else { Event::Attack };
            world.at(at, event);
        }
        world.at(end, Event::Calm);
        world
    }

    fn at(&mut self, millis: u64, event: Event) {
        self.sequence += 1;
        self.queue.insert((millis, self.sequence), event);
    }

    fn later(&mut self, millis: u64, event: Event) {
        self.at(self.millis + millis, event);
    }

    fn tell(&self, what: impl FnOnce() -> String) {
        if self.told {
            println!("{:>9} ms  {}", self.millis, what());
        }
    }

    fn blame(&mut self, result: Result<(), String>) {
        if let Err(fault) = result {
            self.fault.get_or_insert(fault);
        }
    }

    fn wall(&self) -> u64 {
        EPOCH + self.millis / 1000
    }

    fn now(&self, clock: i64) -> Now {
        let wall = UnixTime::from_secs(self.wall().saturating_add_signed(clock));
        Now { mono: Mono::from_millis(self.millis), wall }
    }

    fn server_now(&self) -> Now {
        self.now(self.host.clock)
    }

    /// Runs to the end: how many certificates were given out, or what is wrong.
    pub fn run(mut self) -> Result<u64, String> {
        let mut calm_since = None;
        for _ in 0..50_000 {
            if let Some(fault) = self.fault {
                return Err(fault);
            }
            let missing = self.missing();
            if self.calm && missing.is_none() && self.stolen == 0 {
                let now = self.server_now().wall;
                self.host.verify(now)?;
                return Ok(self.issued.len() as u64);
            }
            if self.calm
                && missing.is_some()
                && self.millis > *calm_since.get_or_insert(self.millis) + PATIENCE
            {
                return Err(format!("client {missing:?} never got a certificate"));
            }
            self.step();
        }
        Err("the world never ends, and somebody never got a certificate".into())
    }

    /// A client that may have a certificate and has none that is valid, or an old one.
    fn missing(&self) -> Option<usize> {
        if !self.calm {
            return Some(0);
        }
        (0..self.clients.len()).find(|index| {
            let group = provider::GROUPS[self.provider.groups[*index]];
            let held = self.clients[*index].certificate();
            let stale = self.stale.as_ref().and_then(|stale| stale[*index].clone());
            Model::roles(group, false).is_some()
                && !held.is_some_and(|certificate| {
                    certificate.not_after().secs() > self.wall() + 5
                        && Some(certificate.serial_hex()) != stale.as_deref()
                })
        })
    }

    fn step(&mut self) {
        let timers = self.clients.iter().map(|client| client.machine.as_ref()?.poll_timeout());
        let server = self.host.server.as_ref().and_then(|server| server.poll_timeout());
        let timer = timers.flatten().chain(server).min().map(Mono::millis);
        let due = self.queue.keys().next().map(|(at, _)| *at);
        let Some(at) = timer.into_iter().chain(due).min() else {
            return self.blame(Err("nothing ever happens again: somebody never got it".into()));
        };
        self.millis = self.millis.max(at);
        if due.is_some_and(|due| timer.is_none_or(|timer| due <= timer)) {
            if let Some((_, event)) = self.queue.pop_first() {
                self.happen(event);
            }
            return;
        }
        let now = self.server_now();
        if let Some(server) = &mut self.host.server {
            server.handle_timeout(now);
        }
        self.drain_server();
        for index in 0..self.clients.len() {
            let now = self.now(self.clients[index].clock);
            if let Some(machine) = &mut self.clients[index].machine {
                machine.handle_timeout(now);
            }
            self.drain_client(index);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrive { peer, address, body } => self.arrive(peer, address, body),
            Event::Server { run, input } if run == self.host.run => self.feed_server(input),
            Event::Client { index, run, input } if run == self.clients[index].run => {
                self.feed_client(index, input);
            }
            Event::Server { .. } | Event::Client { .. } => {}
            Event::Click { index, run } => self.click(index, run),
            // After two crashes in a row there are two starts.
            Event::StartServer if self.host.server.is_some() => {}
            Event::StartServer => {
                self.tell(|| "the server starts".into());
                let first = self.host.start(self.server_now());
                self.drain_server();
                if let Some(input) = first {
                    self.feed_server(input);
                }
            }
            Event::StartClient(index) => {
                if self.clients[index].machine.is_none() {
                    self.clients[index].start();
                    let jitter = self.dice.entropy();
                    self.feed_client(index, ToClient::Start { jitter });
                }
            }
            Event::Trouble if !self.calm => self.trouble(),
            Event::Attack if !self.calm => self.attack(),
            Event::Trouble | Event::Attack => {}
            Event::Stolen(key) => {
                self.stolen -= 1;
                let mut facts = self.provider.facts(0, self.wall());
                (facts.key, facts.group) = (key, "admins");
                self.forge(&facts);
            }
            Event::Calm => self.calm_down(),
        }
    }

    fn trouble(&mut self) {
        let index = self.dice.roll(self.clients.len() as u64) as usize;
        let kind = self.dice.roll(13);
        self.tell(|| format!("trouble {kind} (client {index})"));
        match kind {
            0 => self.provider.up = !self.provider.up,
            1 if self.provider.key + 1 < ADVERSARY => {
                self.model.withdrawn.insert(self.provider.key, self.millis);
                // Keys are withdrawn because somebody has stolen them.
                for secs in [self.dice.roll(60), model::KEYS_SECS + 30] {
                    self.stolen += 1;
                    self.later(secs * 1000, Event::Stolen(self.provider.key));
                }
                self.provider.key += 1;
            }
            2 => self.crash_server(),
            3 => self.kill_client(index),
            4 => self.host.disk.full = !self.host.disk.full,
            5 => self.clients[index].disk_full = !self.clients[index].disk_full,
            6 => {
                let clock = self.dice.roll(600) as i64 - 300;
                self.set_server_clock(clock);
            }
            7 => self.clients[index].clock = (self.dice.roll(7200) as i64) - 3600,
            8 => self.reload(!self.host.narrow),
            9 => self.provider.revoke(index),
            10 => {
                self.provider.barred[index] = !self.provider.barred[index];
                self.provider.revoke(index);
            }
            11 => self.provider.groups[index] = self.dice.roll(3) as usize,
            _ => self.host.signer_works = !self.host.signer_works,
        }
    }

    fn calm_down(&mut self) {
        self.tell(|| "calm".into());
        self.calm = true;
        if self.plant == Plant::NeverCalm {
            self.provider.up = false;
            self.crash_server();
            return self.queue.retain(|_, event| !matches!(event, Event::StartServer));
        }
        self.lossy = false;
        self.provider.up = true;
        self.provider.barred.fill(false);
        self.host.disk.full = false;
        self.host.signer_works = true;
        self.set_server_clock(0);
        self.reload(false);
        for client in &mut self.clients {
            client.clock = 0;
            client.disk_full = false;
        }
        if self.dice.once_in(3) {
            let serial = |client: &Client| client.certificate().map(|c| c.serial_hex().to_owned());
            self.stale = Some(self.clients.iter().map(serial).collect());
        }
    }

    fn set_server_clock(&mut self, clock: i64) {
        // Saved keys are as old as the wall clock says.
        self.model.keys_by_wall |= clock != self.host.clock;
        self.see_walls();
        self.host.clock = clock;
        self.see_walls();
    }

    fn see_walls(&mut self) {
        let wall = self.server_now().wall.secs();
        for (_, request) in self.host.open.values_mut() {
            request.walls = (request.walls.0.min(wall), request.walls.1.max(wall));
        }
    }

    fn reload(&mut self, narrow: bool) {
        self.host.narrow = narrow;
        for (_, request) in self.host.open.values_mut() {
            request.narrow.push(narrow);
        }
        if self.plant != Plant::ReloadIgnored {
            let setup = Box::new(self.host.setup());
            self.feed_server(ToServer::Reload(setup));
        }
    }

    fn crash_server(&mut self) {
        for peer in self.host.stop() {
            self.reply(peer, Err(FetchError::Protocol), 5);
        }
        self.model.restarted();
        let down = 500 + self.dice.roll(20_000);
        self.later(down, Event::StartServer);
    }

    fn kill_client(&mut self, index: usize) {
        self.clients[index].machine = None;
        let down = 1000 + self.dice.roll(30_000);
        self.later(down, Event::StartClient(index));
    }

    fn attack(&mut self) {
        let index = self.dice.roll(self.clients.len() as u64) as usize;
        let wall = self.wall();
        let mut facts = Facts { group: "admins", ..self.provider.facts(index, wall) };
        let kind = self.dice.roll(8);
        self.tell(|| format!("attack {kind} (client {index})"));
        match kind {
            0 => {
                let Some(token) = self.clients[index].token.clone() else { return };
                return self.ask(&token);
            }
            1 => facts.key = ADVERSARY,
            2 => facts.key = facts.key.saturating_sub(1),
            3 => facts.ours = false,
            4 => (facts.issued, facts.expires) = (wall - 2000, wall - 1000),
            5 => (facts.issued, facts.expires) = (wall + 2000, wall + 3000),
            6 => {
                for _ in 0..8 {
                    self.ask("eyJhbGciOiJub25lIn0.e30.");
                }
                return;
            }
            _ => {
                let target = "/callback?code=evil&state=wrong";
                return self.visit(index, target);
            }
        }
        self.forge(&facts);
    }

    fn forge(&mut self, facts: &Facts) {
        let number = self.dice.next();
        let token = provider::mint(facts, None, number, &mut self.model);
        self.ask(&token);
    }

    fn ask(&mut self, token: &str) {
        let delay = self.dice.roll(300);
        let body = json!({ "id_token": token }).to_string().into_bytes();
        self.later(delay, Event::Arrive { peer: Peer::Stranger, address: STRANGER, body });
    }

    fn arrive(&mut self, peer: Peer, address: u8, body: Vec<u8>) {
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

    fn feed_server(&mut self, input: ToServer) {
        let now = self.server_now();
        if let Some(server) = &mut self.host.server {
            server.handle(now, input);
        }
        self.drain_server();
    }

    fn drain_server(&mut self) {
        while let Some(output) = self.host.server.as_mut().and_then(|server| server.poll_output()) {
            let run = self.host.run;
            match output {
                FromServer::Fetch { effect, request } => {
                    let document = if request.url.as_str() == format!("{ISSUER}/keys") {
                        let ignored = self.plant == Plant::RotationIgnored;
                        self.provider.jwks(if ignored { 0 } else { self.provider.key })
                    } else {
                        Provider::metadata()
                    };
                    let (mut delay, mut result) = (self.dice.roll(2000), Ok(ok(200, document)));
                    if !self.provider.up {
                        result = Err(FetchError::Connect);
                    } else if self.lossy && self.dice.once_in(4) {
                        (delay, result) = (10_000, Err(FetchError::Timeout));
                    }
                    self.later(
                        delay,
                        Event::Server { run, input: ToServer::Fetched { effect, result } },
                    );
                }
                FromServer::Sign { effect, tbs, .. } => {
                    let input = self.host.sign(effect, &tbs);
                    let slow = self.lossy && self.dice.once_in(10);
                    let delay = self.dice.roll(if slow { 12_000 } else { 20 });
                    self.later(delay, Event::Server { run, input });
                }
                FromServer::Respond { id, audit, response } => self.respond(id.0, audit, &response),
                FromServer::SaveKeys(bytes) => self.host.disk.keys = Some(bytes),
                FromServer::Note(note) => self.tell(|| note.text),
            }
        }
    }

    fn respond(&mut self, id: u64, events: Vec<AuditEvent>, response: &Response) {
        self.see_walls();
        let Some((peer, request)) = self.host.open.remove(&id) else {
            return self.blame(Err("answered twice, or never asked".into()));
        };
        self.tell(|| {
            let errors: Vec<_> = events.iter().filter_map(|event| event.error.as_deref()).collect();
            format!("answer {} to {peer:?}: {errors:?}", response.status)
        });
        if response.status != 429 {
            let admitted = self.model.admitted(&request);
            self.blame(admitted);
        }
        let good = response.status == 200;
        let keep = match self.plant {
            Plant::AuditDropped => !good,
            Plant::LineLost => good,
            _ => true,
        };
        if !self.host.record(&events, keep) {
            let body = json!({"error": "audit log", "code": "audit.not_writable"}).to_string();
            return self.reply(peer, Ok(ok(503, body)), 5);
        }
        if good {
            let body: Value = serde_json::from_slice(&response.body).unwrap();
            let cert = body["cert"].as_str().unwrap();
            let verdict = self.model.judge(&request, cert, self.millis);
            self.blame(verdict);
            let serial = ClientCertificate::parse(cert).unwrap().serial_hex().to_owned();
            let written = |line: &&String| {
                line.contains("\"type\":\"cert_issued\"") && line.contains(&serial)
            };
            if self.host.disk.log.iter().rev().find(written).is_none() {
                self.blame(Err(format!("no audit line for {serial}")));
            }
            if !self.issued.insert(serial) {
                self.blame(Err("a serial number twice".into()));
            }
        }
        self.feed_recorded(events);
        if !self.calm && self.dice.once_in(40) {
            self.reply(peer, Err(FetchError::Protocol), 5);
            return self.crash_server();
        }
        let mut headers = Headers::default();
        response.headers.iter().for_each(|(name, value)| headers.push(name, value.as_bytes()));
        let body = response.body.to_vec().into();
        let reply = FetchReply { status: response.status, headers, body };
        let delay = self.dice.roll(500);
        self.reply(peer, Ok(reply), delay);
    }

    fn feed_recorded(&mut self, events: Vec<AuditEvent>) {
        let now = self.server_now();
        if let Some(server) = &mut self.host.server {
            server.handle(now, ToServer::Recorded(events));
        }
    }

    /// An answer of the server on its way; it may be lost.
    fn reply(&mut self, peer: Peer, result: Result<FetchReply, FetchError>, delay: u64) {
        let Peer::Client { index, run, effect } = peer else { return };
        if self.lossy && self.dice.once_in(8) {
            return;
        }
        let input = ToClient::Fetched { effect, result };
        self.later(delay, Event::Client { index, run, input });
    }

    fn feed_client(&mut self, index: usize, input: ToClient) {
        let now = self.now(self.clients[index].clock);
        if let Some(machine) = &mut self.clients[index].machine {
            machine.handle(now, input);
        }
        self.drain_client(index);
    }

    fn drain_client(&mut self, index: usize) {
        while let Some(output) =
            self.clients[index].machine.as_mut().and_then(|machine| machine.poll_output())
        {
            self.perform(index, output);
        }
    }

    fn soon(&mut self, index: usize, input: ToClient) {
        let (run, delay) = (self.clients[index].run, self.dice.roll(20));
        self.later(delay, Event::Client { index, run, input });
    }

    fn perform(&mut self, index: usize, output: FromClient) {
        let trouble = FileTrouble { text: "disk full".into() };
        let full = self.clients[index].disk_full;
        match output {
            FromClient::LoadState { effect } => {
                let (entry, context) = (self.clients[index].entry(), self.clients[index].context());
                self.soon(index, ToClient::Loaded { effect, entry, context });
            }
            FromClient::Lock { effect } => {
                let entry = self.clients[index].entry();
                self.soon(index, ToClient::Locked { effect, entry });
            }
            FromClient::DrawSeed { effect } => {
                let seed = self.dice.entropy();
                self.soon(index, ToClient::Seeded { effect, seed });
            }
            FromClient::Listen { effect, .. } if !self.calm && self.dice.once_in(10) => {
                self.soon(index, ToClient::ListenFailed { effect, why: ListenTrouble::InUse });
            }
            FromClient::Listen { effect, .. } => {
                let entropy = self.draws();
                self.soon(index, ToClient::Listening { effect, port: 8900, entropy });
            }
            FromClient::OpenBrowser { url } => {
                let query = url.as_str().split_once('?').unwrap().1;
                self.clients[index].shown = Some(query.to_owned());
                let (run, delay) = (self.clients[index].run, 1000 + self.dice.roll(20_000));
                self.later(delay, Event::Click { index, run });
            }
            FromClient::Fetch { effect, request } => self.fetch(index, effect, &request),
            FromClient::SaveTokens { effect, .. } if full => {
                self.soon(index, ToClient::SaveFailed { effect, trouble });
            }
            FromClient::SaveTokens { effect, entry } => {
                self.clients[index].store = Some(entry.to_json().to_string());
                self.soon(index, ToClient::Saved { effect });
            }
            FromClient::ForgetTokens => self.clients[index].store = None,
            FromClient::WriteTalosconfig { effect, .. } if full => {
                self.soon(index, ToClient::WriteFailed { effect, trouble });
            }
            FromClient::WriteTalosconfig { effect, write } => {
                let mut edited = self.clients[index].edited(&write);
                if !self.calm && self.dice.once_in(20) {
                    // Killed on the way: before the rename or behind it.
                    if self.plant == Plant::TornWrite {
                        edited.truncate(edited.len() / 2);
                    }
                    if self.dice.once_in(2) {
                        self.clients[index].talosconfig = edited;
                    }
                    self.kill_client(index);
                } else {
                    self.clients[index].talosconfig = edited;
                    self.soon(index, ToClient::Written { effect });
                }
                let whole = self.clients[index].check();
                self.blame(whole);
                let held = self.clients[index].certificate().map(|c| c.serial_hex().to_owned());
                if held.is_some_and(|serial| !self.issued.contains(&serial)) {
                    self.blame(Err("a certificate that the server never gave out".into()));
                }
            }
            FromClient::Failed(error) => {
                self.tell(|| format!("client {index} ends: {error}"));
                self.kill_client(index);
            }
            FromClient::Finished(_) => self.kill_client(index),
            FromClient::Tell(notice) => self.tell(|| format!("client {index}: {notice:?}")),
            FromClient::ReadIdToken { .. }
            | FromClient::ReleaseLock
            | FromClient::StopListening
            | FromClient::Answer { .. } => {}
        }
    }

    fn fetch(
        &mut self,
        index: usize,
        effect: EffectId,
        request: &exchange_core::http::FetchRequest,
    ) {
        let run = self.clients[index].run;
        let late = ToClient::Fetched { effect, result: Err(FetchError::Timeout) };
        self.later(request.timeout_millis, Event::Client { index, run, input: late });
        let body = request.post.as_ref().map(|(_, body)| body.to_vec()).unwrap_or_default();
        let (url, delay) = (request.url.as_str(), self.dice.roll(500));
        if self.lossy && self.dice.once_in(8) {
            return;
        }
        if url == format!("{SERVER}/exchange") {
            let value: Value = serde_json::from_slice(&body).unwrap();
            self.clients[index].token = value["id_token"].as_str().map(String::from);
            let peer = Peer::Client { index, run, effect };
            return self.later(delay, Event::Arrive { peer, address: index as u8 + 1, body });
        }
        let result = if !self.provider.up {
            Err(FetchError::Connect)
        } else if url.ends_with("/token") {
            let form = Form::parse_bytes(&body).unwrap();
            let (status, body) = self.provider.token(&form, self.wall(), &mut self.model);
            Ok(ok(status, body))
        } else {
            Ok(ok(200, Provider::metadata()))
        };
        // The answer may be lost when the refresh token is used up already.
        let peer = Peer::Client { index, run, effect };
        self.reply(peer, result, delay);
    }

    fn draws(&mut self) -> AuthorizationEntropy {
        AuthorizationEntropy {
            state: self.dice.entropy(),
            nonce: self.dice.entropy(),
            verifier: self.dice.entropy(),
        }
    }

    /// The person logs in and is sent back to the listener.
    fn click(&mut self, index: usize, run: u64) {
        let Some(shown) = self.clients[index].shown.clone() else { return };
        if run != self.clients[index].run || !self.calm && self.dice.once_in(6) {
            return;
        }
        let asked = Form::parse(&shown).unwrap();
        let Some(code) = self.provider.authorize(index, &asked) else { return };
        let state = asked.get("state").unwrap().unwrap().to_owned();
        self.visit(index, &format!("/callback?code={code}&state={state}"));
    }

    fn visit(&mut self, index: usize, target: &str) {
        let mut headers = Headers::default();
        headers.push("host", b"127.0.0.1:8900");
        let head = RequestHead {
            method: Method::Get,
            target: target.into(),
            version: Version::Http11,
            headers,
        };
        self.requests += 1;
        let (request, entropy) = (RequestId(self.requests), self.draws());
        let body = Vec::new().into();
        self.feed_client(index, ToClient::Callback { request, head, body, entropy });
    }
}

fn ok(status: u16, body: String) -> FetchReply {
    let mut headers = Headers::default();
    headers.push("content-type", b"application/json");
    FetchReply { status, headers, body: body.into_bytes().into() }
}
