//! What goes wrong in a world by itself, and what the adversary does.

use exchange_core::http::FetchError;
use exchange_core::server::Input as ToServer;
use serde_json::json;

use crate::counts::Kind;
use crate::model::{Facts, KEYS_SECS};
use crate::plant::Plant;
use crate::provider::{self, ADVERSARY};
use crate::world::{Event, Peer, World};

const STRANGER: u8 = 200;

impl World {
    pub(crate) fn trouble(&mut self) {
        let index = self.dice.roll(self.clients.len() as u64) as usize;
        let kind = self.dice.roll(13);
        self.tell(|| format!("trouble {kind} (client {index})"));
        match kind {
            0 => self.provider.up = !self.provider.up,
            1 if self.provider.key + 1 < ADVERSARY => self.rotate(),
            2 => self.crash_server(),
            3 => self.kill_client(index),
            4 => self.host.disk.full = !self.host.disk.full,
            5 => self.clients[index].disk_full = !self.clients[index].disk_full,
            6 => {
                let clock = self.dice.roll(600) as i64 - 300;
                self.counts.add(Kind::ServerClock);
                self.set_server_clock(clock);
            }
            7 => {
                self.clients[index].clock = (self.dice.roll(7200) as i64) - 3600;
                self.clients[index].in_step = false;
                self.counts.add(Kind::ClientClock);
            }
            8 => {
                self.counts.add(Kind::Reloaded);
                self.reload(!self.host.narrow);
            }
            9 => {
                self.counts.add(Kind::Revoked);
                self.provider.revoke(index);
            }
            10 => {
                self.provider.barred[index] = !self.provider.barred[index];
                self.provider.revoke(index);
            }
            11 => {
                let group = self.dice.roll(3) as usize;
                if group != self.provider.groups[index] {
                    self.counts.add(Kind::GroupChanged);
                }
                self.provider.groups[index] = group;
            }
            _ => self.host.signer_works = !self.host.signer_works,
        }
    }

    /// Keys are withdrawn because somebody has stolen them.
    fn rotate(&mut self) {
        self.counts.add(Kind::Rotated);
        for secs in [self.dice.roll(60), KEYS_SECS + 30] {
            self.stolen += 1;
            self.later(secs * 1000, Event::Stolen(self.provider.key));
        }
        self.provider.key += 1;
    }

    pub(crate) fn calm_down(&mut self) {
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
            client.in_step = false;
            client.disk_full = false;
        }
        if self.dice.once_in(3) {
            let held = self.clients.iter().map(|client| client.held.as_ref());
            let serial = held.map(|held| held.map(|held| held.certificate.serial_hex().to_owned()));
            self.stale = Some(serial.collect());
        }
    }

    fn set_server_clock(&mut self, clock: i64) {
        self.see_walls();
        self.host.clock = clock;
        self.see_walls();
    }

    pub(crate) fn see_walls(&mut self) {
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
        let setup = Box::new(self.host.setup());
        self.feed_server(ToServer::Reload(setup));
    }

    pub(crate) fn crash_server(&mut self) {
        for peer in self.host.stop() {
            self.counts.add(Kind::Cut);
            self.reply(peer, Err(FetchError::Protocol), 5);
        }
        let down = 500 + self.dice.roll(20_000);
        self.later(down, Event::StartServer);
    }

    pub(crate) fn kill_client(&mut self, index: usize) {
        self.counts.add(Kind::ClientKilled);
        let down = 1000 + self.dice.roll(30_000);
        self.stop_client(index, down);
    }

    pub(crate) fn stop_client(&mut self, index: usize, down: u64) {
        self.clients[index].machine = None;
        self.later(down, Event::StartClient(index));
    }

    pub(crate) fn attack(&mut self) {
        let index = self.dice.roll(self.clients.len() as u64) as usize;
        let wall = self.wall();
        let mut facts = Facts { group: "admins", ..self.provider.facts(index, wall) };
        let kind = self.dice.roll(8);
        self.tell(|| format!("attack {kind} (client {index})"));
        let kind = match kind {
            0 => return self.replay(index),
            1 => {
                facts.key = ADVERSARY;
                Kind::Forged
            }
            2 if facts.key > 0 => {
                facts.key -= 1;
                Kind::Stolen
            }
            3 => {
                facts.ours = false;
                Kind::OthersToken
            }
            4 => {
                (facts.issued, facts.expires) = (wall - 2000, wall - 1000);
                Kind::OldToken
            }
            5 => {
                (facts.issued, facts.expires) = (wall + 2000, wall + 3000);
                Kind::EarlyToken
            }
            6 => {
                for _ in 0..8 {
                    self.counts.add(Kind::Unsigned);
                    self.ask("eyJhbGciOiJub25lIn0.e30.");
                }
                return;
            }
            _ => {
                let target = "/callback?code=evil&state=wrong";
                return self.visit(index, target);
            }
        };
        self.counts.add(kind);
        self.forge(&facts);
    }

    /// A token that the server has seen already, once or until the limits hold.
    fn replay(&mut self, index: usize) {
        let Some(token) = self.clients[index].token.clone() else { return };
        for _ in 0..[1, 6][self.dice.roll(2) as usize] {
            self.counts.add(Kind::Replayed);
            self.ask(&token);
        }
    }

    pub(crate) fn use_stolen(&mut self, key: usize) {
        self.stolen -= 1;
        self.counts.add(Kind::Stolen);
        let mut facts = self.provider.facts(0, self.wall());
        (facts.key, facts.group) = (key, "admins");
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
        self.send(delay, Event::Arrive { peer: Peer::Stranger, address: STRANGER, body });
    }
}
