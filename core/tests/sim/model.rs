//! Who may hold which roles until when: written from the manual, without the core's policy code.

use std::collections::BTreeMap;

use exchange_core::pki::ClientCertificate;

use crate::provider::ADVERSARY;

/// Tolerance for the clocks of provider and server, in seconds.
const SKEW: u64 = 60;
/// Seconds that keys are believed, and what a fetch may take on top.
pub const KEYS_SECS: u64 = 300;
const FETCH_SECS: u64 = 15;

/// What a token says, and who signed it.
#[derive(Clone, Debug)]
pub struct Facts {
    pub subject: String,
    pub group: &'static str,
    pub expires: u64,
    pub issued: u64,
    pub key: usize,
    pub ours: bool,
}

/// A request from its arrival on.
pub struct Request {
    pub token: String,
    pub address: u8,
    pub arrived: u64,
    /// Earliest and latest that the server's wall clock has shown meanwhile.
    pub walls: (u64, u64),
    /// Configurations that were in force meanwhile.
    pub narrow: Vec<bool>,
}

pub struct Model {
    pub ttl: u64,
    pub limit: usize,
    pub window_millis: u64,
    pub tokens: BTreeMap<String, Facts>,
    /// When each key was withdrawn, in milliseconds; absent while it is published.
    pub withdrawn: BTreeMap<usize, u64>,
    /// Whether the server's wall clock was set: it decides how old saved keys are.
    pub keys_by_wall: bool,
    admitted: BTreeMap<u8, Vec<u64>>,
}

impl Model {
    pub fn new(ttl: u64, limit: usize, window_millis: u64) -> Self {
        let (tokens, withdrawn, admitted) = Default::default();
        let keys_by_wall = false;
        Self { ttl, limit, window_millis, tokens, withdrawn, keys_by_wall, admitted }
    }

    /// Limits live in the memory of the server.
    pub fn restarted(&mut self) {
        self.admitted.clear();
    }

    /// A request was not refused for coming too often.
    pub fn admitted(&mut self, request: &Request) -> Result<(), String> {
        let times = self.admitted.entry(request.address).or_default();
        times.push(request.arrived);
        let window = self.window_millis;
        let fits = |end: &u64| {
            let inside = |at: &&u64| **at <= *end && **at + window > *end;
            times.iter().filter(inside).count() <= self.limit
        };
        if times.iter().all(fits) {
            return Ok(());
        }
        Err(format!("too many requests of {} in a window", request.address))
    }

    /// What members of a group get.
    pub fn roles(group: &str, narrow: bool) -> Option<&'static str> {
        match (group, narrow) {
            ("admins", false) => Some("os:admin"),
            ("admins", true) | ("readers", false) => Some("os:reader"),
            _ => None,
        }
    }

    /// Whether this certificate may have been given out, at that millisecond.
    pub fn judge(&self, request: &Request, cert: &str, millis: u64) -> Result<(), String> {
        let certificate = ClientCertificate::parse(cert).map_err(|error| error.to_string())?;
        let facts = self.tokens.get(&request.token).ok_or("a token that nobody made")?;
        if facts.key == ADVERSARY || !facts.ours {
            return Err(format!("a token that does not count: {facts:?}"));
        }
        if let Some(at) = self.withdrawn.get(&facts.key)
            && !self.keys_by_wall
            && millis > at + (KEYS_SECS + FETCH_SECS) * 1000
        {
            return Err(format!("a key that was withdrawn {} ms ago", millis - at));
        }
        let (first, last) = request.walls;
        if first >= facts.expires + SKEW || facts.issued > last + SKEW {
            return Err(format!("the token is not good at {first}..{last}: {facts:?}"));
        }
        let wanted = |narrow: &bool| Self::roles(facts.group, *narrow);
        let found: Vec<&str> = certificate.roles().iter().map(String::as_str).collect();
        if !request.narrow.iter().filter_map(wanted).any(|role| found == [role]) {
            return Err(format!("roles {found:?} for {facts:?} under {:?}", request.narrow));
        }
        if certificate.common_name() != Some(facts.subject.as_str()) {
            return Err(format!("another name: {:?}", certificate.common_name()));
        }
        if certificate.not_after().secs() > last + self.ttl {
            let over = certificate.not_after().secs() - last - self.ttl;
            return Err(format!("lives too long, by {over} s"));
        }
        Ok(())
    }
}
