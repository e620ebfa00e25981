//! Who may hold which roles until when: written from the manual, without the core's policy code.

use std::collections::BTreeMap;

use exchange_core::pki::ClientCertificate;

use crate::provider::ADVERSARY;

/// Tolerance for the clocks of provider and server, in seconds.
const SKEW: u64 = 60;
/// Seconds that keys are believed.
pub const KEYS_SECS: u64 = 300;
/// Longest time from the check of a token to the answer, in milliseconds: a signature, and the
/// second that an age is rounded by.
const ANSWER_MILLIS: u64 = 11_000;

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

/// So many in so many milliseconds.
#[derive(Clone, Copy)]
pub struct Limit(pub usize, pub u64);

impl Limit {
    fn holds(self, times: &[u64]) -> bool {
        let fits = |end: &u64| {
            let inside = |at: &&u64| **at <= *end && **at + self.1 > *end;
            times.iter().filter(inside).count() <= self.0
        };
        times.iter().all(fits)
    }
}

pub struct Model {
    pub ttl: u64,
    pub by_address: Limit,
    pub by_subject: Limit,
    pub tokens: BTreeMap<String, Facts>,
    /// Until when the server may believe each key, in milliseconds.
    believed: BTreeMap<usize, u64>,
    /// Key and wall clock of the document that the server saved last.
    saved: Option<(usize, u64)>,
    admitted: BTreeMap<u8, Vec<u64>>,
    given: BTreeMap<String, Vec<u64>>,
}

impl Model {
    pub fn new(ttl: u64, by_address: Limit, by_subject: Limit) -> Self {
        let (tokens, believed, admitted, given) = Default::default();
        Self { ttl, by_address, by_subject, tokens, believed, saved: None, admitted, given }
    }

    /// The server has read that this key is the provider's, and no other.
    pub fn learned(&mut self, key: usize, millis: u64, wall: u64) {
        self.believed.values_mut().for_each(|until| *until = millis.min(*until));
        self.believed.insert(key, millis + KEYS_SECS * 1000);
        self.saved = Some((key, wall));
    }

    /// Limits live in the memory of the server; keys on its disk are as old as its clock says.
    /// Whether they count.
    pub fn restarted(&mut self, millis: u64, wall: u64) -> Option<bool> {
        self.admitted.clear();
        self.given.clear();
        self.believed.clear();
        let (key, at) = self.saved?;
        let age = wall.checked_sub(at).filter(|age| *age <= KEYS_SECS);
        if let Some(age) = age {
            self.believed.insert(key, millis + (KEYS_SECS - age) * 1000);
        }
        Some(age.is_some())
    }

    /// A request was not refused for coming too often.
    pub fn admitted(&mut self, request: &Request) -> Result<(), String> {
        let times = self.admitted.entry(request.address).or_default();
        times.push(request.arrived);
        if self.by_address.holds(times) {
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
    pub fn judge(
        &mut self,
        request: &Request,
        certificate: &ClientCertificate,
        millis: u64,
    ) -> Result<(), String> {
        let facts = self.tokens.get(&request.token).ok_or("a token that nobody made")?;
        if facts.key == ADVERSARY || !facts.ours {
            return Err(format!("a token that does not count: {facts:?}"));
        }
        let until = self.believed.get(&facts.key).ok_or("a key that was withdrawn long ago")?;
        if millis > until + ANSWER_MILLIS {
            return Err(format!("a key that was withdrawn or too old {} ms ago", millis - until));
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
        // Counted when the token was checked, which is somewhat before the answer.
        let Limit(count, window) = self.by_subject;
        let times = self.given.entry(facts.subject.clone()).or_default();
        times.push(millis);
        if Limit(count, window - ANSWER_MILLIS).holds(times) {
            return Ok(());
        }
        Err(format!("too many certificates of {} in a window", facts.subject))
    }
}
