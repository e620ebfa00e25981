//! One seeded world: a queue of what is to happen, and trouble until the calm.

use std::collections::{BTreeMap, BTreeSet};

use exchange_core::login::Input as ToClient;
use exchange_core::machine::{EffectId, Mono, Now, UnixTime};
use exchange_core::server::Input as ToServer;

use crate::client::{Client, Way};
use crate::counts::{Counts, Kind};
use crate::dice::Dice;
use crate::host::Host;
use crate::model::{Limit, Model};
use crate::plant::Plant;
use crate::provider::{GROUPS, Provider};
use crate::tape::Tapes;
use crate::vector::Fault;

pub const EPOCH: u64 = 1_800_000_000;
/// Longest time after the calm until everybody must be served, in milliseconds.
const PATIENCE: u64 = 1_800_000;
pub const BY_ADDRESS: Limit = Limit(6, 60_000);
pub const BY_SUBJECT: Limit = Limit(4, 60_000);

#[derive(Clone, Copy, Debug)]
pub enum Peer {
    Client { index: usize, run: u64, effect: EffectId },
    Stranger,
}

/// One of the machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Server,
    Client(usize),
}

pub enum Event {
    Arrive {
        peer: Peer,
        address: u8,
        body: Vec<u8>,
    },
    Server {
        run: u64,
        input: ToServer,
        /// The provider's key, where this says which it is.
        key: Option<usize>,
    },
    Client {
        index: usize,
        run: u64,
        input: ToClient,
        /// What its randomness is made of.
        byte: u8,
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
    pub tapes: Option<Tapes>,
    pub counts: Counts,
    pub plant: Plant,
    /// The machine that is at work: a panic is its own.
    pub at_work: Option<Who>,
    /// Which machine ordered what against the model.
    pub accused: Option<(Who, Fault)>,
    pub(crate) dice: Dice,
    pub(crate) millis: u64,
    sequence: u64,
    /// The latest sent of the messages that have come.
    newest: u64,
    pub(crate) queue: BTreeMap<(u64, u64), Event>,
    pub(crate) host: Host,
    pub(crate) provider: Provider,
    pub(crate) clients: Vec<Client>,
    pub(crate) model: Model,
    pub(crate) calm: bool,
    pub(crate) lossy: bool,
    /// Tokens by stolen keys that are still to come.
    pub(crate) stolen: u64,
    pub(crate) requests: u64,
    /// Bytes drawn for state, nonce and verifier.
    pub(crate) drawn: u8,
    pub(crate) issued: BTreeSet<String>,
    /// Serial that each client held at the calm: another one is wanted.
    pub(crate) stale: Option<Vec<Option<String>>>,
    fault: Option<String>,
}

impl World {
    pub fn new(seed: u64, plant: Plant) -> Self {
        let mut dice = Dice(seed);
        let people = 1 + dice.roll(3) as usize;
        let groups = (0..people).map(|_| [0, 0, 1, 1, 2][dice.roll(5) as usize]).collect();
        let ttl = 60 + 60 * dice.roll(5);
        let life = 120 + dice.roll(600);
        let by_address = (plant != Plant::LimitOff).then_some(BY_ADDRESS);
        let by_subject = (plant != Plant::SubjectLimitOff).then_some(BY_SUBJECT);
        let model_ttl = if plant == Plant::ModelOfAnotherTtl { ttl / 2 } else { ttl };
        let ways = [Way::Browser, Way::Browser, Way::Device, Way::DeviceOrBrowser];
        let clients = (0..people).map(|_| Client::new(ways[dice.roll(4) as usize])).collect();
        let mut world = Self {
            told: false,
            tapes: None,
            counts: Counts::none(),
            plant,
            at_work: None,
            accused: None,
            millis: 0,
            sequence: 0,
            newest: 0,
            queue: BTreeMap::new(),
            host: Host::new(ttl, by_address, by_subject),
            provider: Provider::new(groups, life),
            clients,
            model: Model::new(model_ttl, BY_ADDRESS, BY_SUBJECT),
            calm: false,
            lossy: dice.once_in(2),
            stolen: 0,
            requests: 0,
            drawn: 0,
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

    pub(crate) fn later(&mut self, millis: u64, event: Event) {
        self.at(self.millis + millis, event);
    }

    /// As [`Self::later`], for what goes over the network.
    pub(crate) fn send(&mut self, millis: u64, event: Event) {
        if millis >= 1000 {
            self.counts.add(Kind::Delayed);
        }
        self.later(millis, event);
    }

    /// How long a message takes.
    pub(crate) fn distance(&mut self) -> u64 {
        let slow = self.lossy && self.dice.once_in(10);
        self.dice.roll(if slow { 8000 } else { 500 })
    }

    /// Whether a message gets lost.
    pub(crate) fn loses(&mut self, once_in: u64) -> bool {
        let lost = self.lossy && self.dice.once_in(once_in);
        if lost {
            self.counts.add(Kind::Lost);
        }
        lost
    }

    pub(crate) fn tell(&self, what: impl FnOnce() -> String) {
        if self.told {
            println!("{:>9} ms  {}", self.millis, what());
        }
    }

    pub(crate) fn blame(&mut self, result: Result<(), String>) {
        if let Err(fault) = result {
            self.fault.get_or_insert(fault);
        }
    }

    pub(crate) fn wall(&self) -> u64 {
        EPOCH + self.millis / 1000
    }

    pub(crate) fn now(&self, clock: i64) -> Now {
        let wall = UnixTime::from_secs(self.wall().saturating_add_signed(clock));
        Now { mono: Mono::from_millis(self.millis), wall }
    }

    pub(crate) fn server_now(&self) -> Now {
        self.now(self.host.clock)
    }

    /// Runs to the end: how many certificates were given out, or what is wrong.
    pub fn run(&mut self) -> Result<u64, String> {
        let mut calm_since = None;
        for _ in 0..50_000 {
            if let Some(fault) = self.fault.take() {
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
            let group = GROUPS[self.provider.groups[*index]];
            let held = self.clients[*index].held.as_ref().map(|held| &held.certificate);
            let stale = self.stale.as_ref().and_then(|stale| stale[*index].as_deref());
            Model::roles(group, false).is_some()
                && !held.is_some_and(|certificate| {
                    certificate.not_after().secs() > self.wall() + 5
                        && Some(certificate.serial_hex()) != stale
                })
        })
    }

    fn step(&mut self) {
        let timer = self.timers().min().map(Mono::millis);
        let due = self.queue.keys().next().map(|(at, _)| *at);
        let Some(at) = timer.into_iter().chain(due).min() else {
            return self.blame(Err("nothing ever happens again: somebody never got it".into()));
        };
        self.millis = self.millis.max(at);
        if due.is_some_and(|due| timer.is_none_or(|timer| due <= timer)) {
            if let Some(((_, sent), event)) = self.queue.pop_first() {
                self.count_order(sent, &event);
                self.happen(event);
            }
            return;
        }
        // Those whose time has not come are told as well: that must change nothing.
        self.time_passes_at_server();
        (0..self.clients.len()).for_each(|index| self.time_passes_at_client(index));
    }

    fn count_order(&mut self, sent: u64, event: &Event) {
        let message = match event {
            Event::Arrive { .. } => true,
            Event::Server { input: ToServer::Fetched { result, .. }, .. }
            | Event::Client { input: ToClient::Fetched { result, .. }, .. } => result.is_ok(),
            _ => false,
        };
        if message && sent < self.newest {
            self.counts.add(Kind::Reordered);
        }
        if message {
            self.newest = self.newest.max(sent);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrive { peer, address, body } => self.arrive(peer, address, body),
            Event::Server { run, input, key } if run == self.host.run => {
                if let Some(key) = key.filter(|_| self.host.server.is_some()) {
                    self.model.learned(key, self.millis, self.server_now().wall.secs());
                }
                self.feed_server(input);
            }
            Event::Client { index, run, input, byte } if run == self.clients[index].run => {
                self.feed_client(index, input, byte);
            }
            Event::Server { .. } | Event::Client { .. } => {}
            Event::Click { index, run } => self.click(index, run),
            // After two crashes in a row there are two starts.
            Event::StartServer if self.host.server.is_some() => {}
            Event::StartServer => self.start_server(),
            Event::StartClient(index) if self.clients[index].machine.is_none() => {
                self.start_client(index);
            }
            Event::StartClient(_) => {}
            Event::Trouble if !self.calm => self.trouble(),
            Event::Attack if !self.calm => self.attack(),
            Event::Trouble | Event::Attack => {}
            Event::Stolen(key) => self.use_stolen(key),
            Event::Calm => self.calm_down(),
        }
    }
}
