//! The clients in their world, and the people before them.

use exchange_core::http::form::Form;
use exchange_core::http::{FetchError, FetchRequest, Headers, Method, RequestHead, Version};
use exchange_core::login::{
    AuthorizationEntropy, FileTrouble, Input as ToClient, ListenTrouble, Notice,
    Output as FromClient,
};
use exchange_core::machine::{EffectId, Entropy, Machine as _, Mono, RequestId};
use serde_json::Value;

use crate::client::SERVER;
use crate::counts::Kind;
use crate::plant::Plant;
use crate::provider::Provider;
use crate::serving::ok;
use crate::tape;
use crate::world::{Event, Peer, Who, World};

impl World {
    pub(crate) fn timers(&self) -> impl Iterator<Item = Mono> {
        let clients = self.clients.iter().map(|client| client.machine.as_ref()?.poll_timeout());
        let server = self.host.server.as_ref().and_then(|server| server.poll_timeout());
        clients.flatten().chain(server)
    }

    pub(crate) fn start_client(&mut self, index: usize) {
        self.clients[index].start(self.plant == Plant::NeverFresh);
        if let Some(tapes) = &mut self.tapes {
            let settings = tape::login_settings(self.clients[index].way);
            tapes.start(Who::Client(index), settings, self.millis);
        }
        let byte = self.dice.byte();
        self.feed_client(index, ToClient::Start { jitter: Entropy::new([byte; 8]) }, byte);
    }

    pub(crate) fn feed_client(&mut self, index: usize, input: ToClient, byte: u8) {
        let now = self.now(self.clients[index].clock);
        let Some(machine) = &mut self.clients[index].machine else { return };
        self.at_work = Some(Who::Client(index));
        if let Some(tapes) = &mut self.tapes {
            let word = tape::to_client(&input, byte, now, self.host.ttl, &self.model);
            tapes.hear(Who::Client(index), now, Some(word));
        }
        if self.plant == Plant::PortTakenPanic && matches!(input, ToClient::ListenFailed { .. }) {
            panic!("no port, as planted")
        }
        machine.handle(now, input);
        self.at_work = None;
        self.drain_client(index);
    }

    pub(crate) fn time_passes_at_client(&mut self, index: usize) {
        let now = self.now(self.clients[index].clock);
        let Some(machine) = &mut self.clients[index].machine else { return };
        self.at_work = Some(Who::Client(index));
        if let Some(tapes) = &mut self.tapes {
            tapes.hear(Who::Client(index), now, None);
        }
        machine.handle_timeout(now);
        self.at_work = None;
        self.drain_client(index);
    }

    fn drain_client(&mut self, index: usize) {
        let Some(machine) = &mut self.clients[index].machine else { return };
        let outputs: Vec<FromClient> = std::iter::from_fn(|| machine.poll_output()).collect();
        if let Some(tapes) = &mut self.tapes {
            outputs.iter().for_each(|output| tapes.client_says(index, output));
        }
        for output in outputs {
            if self.clients[index].machine.is_some() {
                self.perform(index, output);
            }
        }
    }

    fn soon(&mut self, index: usize, input: ToClient, byte: u8) {
        let (run, delay) = (self.clients[index].run, self.dice.roll(20));
        self.later(delay, Event::Client { index, run, input, byte });
    }

    fn perform(&mut self, index: usize, output: FromClient) {
        let trouble = FileTrouble { text: "disk full".into() };
        let full = self.clients[index].disk_full;
        match output {
            FromClient::LoadState { effect } => {
                let (entry, context) = (self.clients[index].entry(), self.clients[index].context());
                self.soon(index, ToClient::Loaded { effect, entry, context }, 0);
            }
            FromClient::Lock { effect } => {
                let entry = self.clients[index].entry();
                self.soon(index, ToClient::Locked { effect, entry }, 0);
            }
            FromClient::DrawSeed { effect } => {
                let byte = self.dice.byte();
                let seed = Entropy::new([byte; 32]);
                self.soon(index, ToClient::Seeded { effect, seed }, byte);
            }
            FromClient::Listen { effect, .. } if !self.calm && self.dice.once_in(10) => {
                self.counts.add(Kind::PortTaken);
                let why = ListenTrouble::InUse;
                self.soon(index, ToClient::ListenFailed { effect, why }, 0);
            }
            FromClient::Listen { effect, .. } => {
                let (entropy, byte) = self.draws();
                self.soon(index, ToClient::Listening { effect, port: 8900, entropy }, byte);
            }
            FromClient::OpenBrowser { url } => {
                let query = url.as_str().split_once('?').unwrap().1;
                self.show(index, query.to_owned());
            }
            FromClient::Tell(Notice::DeviceCode { user_code, .. }) => {
                self.show(index, user_code.into());
            }
            FromClient::Fetch { effect, request } => self.fetch(index, effect, &request),
            FromClient::SaveTokens { effect, .. } if full => {
                self.counts.add(Kind::ClientFull);
                self.soon(index, ToClient::SaveFailed { effect, trouble }, 0);
            }
            FromClient::SaveTokens { effect, entry } => {
                self.clients[index].store = Some(entry.to_json().to_string());
                self.soon(index, ToClient::Saved { effect }, 0);
            }
            FromClient::ForgetTokens => self.clients[index].store = None,
            FromClient::WriteTalosconfig { effect, .. } if full => {
                self.counts.add(Kind::ClientFull);
                self.soon(index, ToClient::WriteFailed { effect, trouble }, 0);
            }
            FromClient::WriteTalosconfig { effect, write } => {
                let edited = self.clients[index].edited(&write);
                self.write(index, effect, edited);
            }
            FromClient::Failed(error) => {
                self.tell(|| format!("client {index} ends: {error}"));
                self.counts.add(Kind::ClientFailed);
                // The person reads what it says, and tries again.
                let down = 10_000 + self.dice.roll(80_000);
                self.stop_client(index, down);
            }
            // A watch ends with an error, or when it is told to.
            FromClient::Finished(outcome) => {
                self.blame(Err(format!("client {index} ended by itself: {outcome:?}")));
            }
            FromClient::Tell(notice) => self.tell(|| format!("client {index}: {notice:?}")),
            FromClient::ReadIdToken { .. }
            | FromClient::ReleaseLock
            | FromClient::StopListening
            | FromClient::Answer { .. } => {}
        }
    }

    fn write(&mut self, index: usize, effect: EffectId, mut edited: String) {
        if !self.calm && self.dice.once_in(20) {
            // Killed on the way: before the rename or behind it.
            self.counts.add(Kind::KilledWriting);
            if self.plant == Plant::TornWrite {
                edited.truncate(edited.len() / 2);
            }
            if self.dice.once_in(2) {
                let whole = self.clients[index].replace(edited);
                self.blame(whole);
            }
            self.kill_client(index);
        } else {
            let whole = self.clients[index].replace(edited);
            self.blame(whole);
            self.soon(index, ToClient::Written { effect }, 0);
        }
        // One that lives as the server says, by this client's clock, was made by the same clock.
        let (wall, ttl) =
            (self.wall().saturating_add_signed(self.clients[index].clock), self.host.ttl);
        let client = &mut self.clients[index];
        let end = client.held.as_ref().map_or(0, |held| held.certificate.not_after().secs());
        client.in_step = client.clock == self.host.clock && (wall + ttl).abs_diff(end + 30) <= 30;
        let held = self.clients[index].held.as_ref();
        if held.is_some_and(|held| !self.issued.contains(held.certificate.serial_hex())) {
            self.blame(Err("a certificate that the server never gave out".into()));
        }
    }

    fn fetch(&mut self, index: usize, effect: EffectId, request: &FetchRequest) {
        let run = self.clients[index].run;
        let late = ToClient::Fetched { effect, result: Err(FetchError::Timeout) };
        let timeout = request.timeout_millis;
        self.later(timeout, Event::Client { index, run, input: late, byte: 0 });
        let body = request.post.as_ref().map(|(_, body)| body.to_vec()).unwrap_or_default();
        let (url, delay) = (request.url.as_str(), self.distance());
        if self.loses(8) {
            return;
        }
        let peer = Peer::Client { index, run, effect };
        if url == format!("{SERVER}/exchange") {
            self.judge_haste(index, effect);
            let value: Value = serde_json::from_slice(&body).unwrap();
            self.clients[index].token = value["id_token"].as_str().map(String::from);
            return self.send(delay, Event::Arrive { peer, address: index as u8 + 1, body });
        }
        let result = if !self.provider.up {
            self.counts.add(Kind::ProviderDown);
            Err(FetchError::Connect)
        } else if url.ends_with("/token") {
            let form = Form::parse_bytes(&body).unwrap();
            let wall = self.wall();
            let (status, body) =
                self.provider.token(&form, wall, &mut self.model, &mut self.counts);
            Ok(ok(status, body))
        } else if url.ends_with("/device") && !self.calm && self.dice.once_in(6) {
            self.counts.add(Kind::Refused);
            Ok(ok(400, r#"{"error":"unauthorized_client"}"#.into()))
        } else if url.ends_with("/device") {
            Ok(ok(200, self.provider.device()))
        } else {
            Ok(ok(200, Provider::metadata()))
        };
        // The answer may be lost when the refresh token is used up already.
        self.reply(peer, result, delay);
    }

    /// Nobody asks again while half of the life of what he has is left.
    fn judge_haste(&mut self, index: usize, effect: EffectId) {
        let wall = self.wall().saturating_add_signed(self.clients[index].clock);
        let Some((left, life)) = self.clients[index].life(wall) else { return };
        if left * 2 <= life {
            return;
        }
        let who = Who::Client(index);
        if let Some(tapes) = &self.tapes
            && self.accused.is_none()
        {
            let fault = tapes.order(who, effect.get());
            self.accused = fault.map(|fault| (who, fault));
        }
        self.blame(Err(format!("client {index} asks again with {left} of {life} s left")));
    }

    /// Randomness of one authorization request, and the byte it is made of.
    fn draws(&mut self) -> (AuthorizationEntropy, u8) {
        let byte = self.drawn;
        self.drawn = if byte > 240 { 0 } else { byte + 3 };
        let entropy = AuthorizationEntropy {
            state: Entropy::new([byte; 32]),
            nonce: Entropy::new([byte + 1; 32]),
            verifier: Entropy::new([byte + 2; 32]),
        };
        (entropy, byte)
    }

    /// The person sees an address or a code, and takes some time.
    fn show(&mut self, index: usize, what: String) {
        self.clients[index].shown = Some(what);
        let (run, delay) = (self.clients[index].run, 1000 + self.dice.roll(20_000));
        self.later(delay, Event::Click { index, run });
    }

    /// The person logs in: agrees to the code, or is sent back to the listener.
    pub(crate) fn click(&mut self, index: usize, run: u64) {
        let Some(shown) = self.clients[index].shown.clone() else { return };
        if run != self.clients[index].run || !self.calm && self.dice.once_in(6) {
            return;
        }
        if self.provider.barred[index] {
            self.counts.add(Kind::Refused);
        }
        if shown.starts_with("device-") {
            return self.provider.approve(index, &shown);
        }
        let asked = Form::parse(&shown).unwrap();
        let Some(code) = self.provider.authorize(index, &asked) else { return };
        let state = asked.get("state").unwrap().unwrap().to_owned();
        self.visit(index, &format!("/callback?code={code}&state={state}"));
    }

    pub(crate) fn visit(&mut self, index: usize, target: &str) {
        if self.clients[index].machine.is_none() {
            return;
        }
        if target.contains("evil") {
            self.counts.add(Kind::FalseCallback);
        }
        let mut headers = Headers::default();
        headers.push("host", b"127.0.0.1:8900");
        let head = RequestHead {
            method: Method::Get,
            target: target.into(),
            version: Version::Http11,
            headers,
        };
        self.requests += 1;
        let request = RequestId(self.requests);
        let (entropy, byte) = self.draws();
        let body = Vec::new().into();
        self.feed_client(index, ToClient::Callback { request, head, body, entropy }, byte);
    }
}
