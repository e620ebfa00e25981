//! When keys are fetched, how long they are believed, and who waits for them.
//!
//! One request is under way at most: the metadata if it is needed, then the key set. Strangers
//! choose the `kid` of their tokens, so an unknown one may cause a fetch, but no more than one in
//! a pacing interval. Keys stay in use while the provider is down, up to a hard limit.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use zeroize::Zeroizing;

use super::discovery::{DiscoveryPolicy, METADATA_BYTES_MAX, Metadata, MetadataError};
use super::jwks::{JWKS_BYTES_MAX, JwksError, KeySet, Selection};
use super::unknown_kids::UnknownKids;
use crate::http::{FetchError, FetchReply, FetchRequest, Headers, Trust};
use crate::jwt::{Alg, TokenError, VerifyKey};
use crate::machine::{Mono, Now, UnixTime};
use crate::types::{Issuer, Kid, Url};

mod persist;

pub use persist::ImportError;

/// Settings of a [`KeyCache`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyCacheConfig {
    /// What the provider may do.
    pub policy: DiscoveryPolicy,
    /// Metadata from here instead of the issuer's well-known place; its `issuer` is checked alike.
    pub discovery_url: Option<Url>,
    /// Seconds between two fetches that unknown keys may cause.
    pub pacing_secs: u32,
    /// Seconds that keys are believed without a successful fetch.
    pub hard_limit_secs: u32,
}

impl Default for KeyCacheConfig {
    fn default() -> Self {
        Self {
            policy: DiscoveryPolicy::default(),
            discovery_url: None,
            pacing_secs: 30,
            hard_limit_secs: 24 * 3600,
        }
    }
}

/// Bounds and default of the time after which keys are fetched anew, in seconds. The default
/// stands where the answer has no `max-age`.
const TTL_SECS_MIN: u64 = 60;
const TTL_SECS_MAX: u64 = 3600;
const TTL_SECS_DEFAULT: u64 = 300;
/// Metadata is fetched anew after this time, and whenever the key set could not be had.
const METADATA_SECS_MAX: u64 = 24 * 3600;
/// Longest pause after failures: 1, 2, 4 and so on up to this, in seconds.
const BACKOFF_SECS_MAX: u64 = 30;
const FETCH_TIMEOUT_MILLIS: u64 = 10_000;

/// What is known about the key of a token.
#[derive(Debug)]
pub enum Lookup<'a> {
    /// The key to verify with.
    Found(&'a VerifyKey),
    /// A fetch is under way or about to start: ask again when [`KeyCache::fetched`] said that
    /// keys came or that the attempt failed.
    Wait,
    /// There is no such key, or not one key.
    Refused(TokenError),
    /// The provider cannot be asked now.
    Unavailable {
        /// Seconds until the next attempt, at least one.
        retry_after_secs: u64,
    },
}

/// What an answer changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// The metadata is there; the next order asks for the keys.
    Discovered,
    /// Keys came: look parked tokens up again.
    Keys {
        /// Whether the document differs from the one before.
        changed: bool,
    },
    /// The attempt failed: look parked tokens up again, none will wait longer.
    Failed(KeysError),
    /// Nothing had been asked for.
    Ignored,
}

/// Why keys could not be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeysError {
    /// No answer from the discovery URL.
    DiscoveryFetch(FetchError),
    /// The discovery URL answered with another status than 200.
    DiscoveryStatus(u16),
    /// The metadata is refused.
    Metadata(MetadataError),
    /// No answer from the `jwks_uri`.
    JwksFetch(FetchError),
    /// The `jwks_uri` answered with another status than 200.
    JwksStatus(u16),
    /// The key set is refused.
    Jwks(JwksError),
    /// The key set has no key that can verify ID tokens.
    NoUsableKeys,
}

impl KeysError {
    /// Stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::DiscoveryFetch(error) | Self::JwksFetch(error) => error.code(),
            Self::DiscoveryStatus(_) => "discovery.status",
            Self::Metadata(error) => error.code(),
            Self::JwksStatus(_) => "jwks.status",
            Self::Jwks(error) => error.code(),
            Self::NoUsableKeys => "jwks.no_usable_keys",
        }
    }
}

impl fmt::Display for KeysError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DiscoveryFetch(error) => {
                write!(f, "the provider metadata cannot be fetched: {error}; check issuer_url")
            }
            Self::DiscoveryStatus(status) => write!(
                f,
                "the discovery URL answered with status {status}: check the path of issuer_url"
            ),
            Self::Metadata(error) => error.fmt(f),
            Self::JwksFetch(error) => {
                write!(f, "the keys of the provider cannot be fetched: {error}")
            }
            Self::JwksStatus(status) => write!(f, "the jwks_uri answered with status {status}"),
            Self::Jwks(error) => error.fmt(f),
            Self::NoUsableKeys => f.write_str(
                "the provider publishes no key that can be checked here: \
                 set its signing key to ES256, EdDSA or RS256",
            ),
        }
    }
}

/// State of the keys, for readiness, metrics and the status page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeysStatus {
    /// Whether tokens can be verified now.
    pub usable: bool,
    /// Usable keys in the set.
    pub keys: usize,
    /// Entries of the set that are not used.
    pub skipped: usize,
    /// Seconds since the set was fetched; absent before the first.
    pub age_secs: Option<u64>,
    /// Whether the set is older than it should be, because the provider fails.
    pub stale: bool,
    /// Code of the last failure; absent after a success.
    pub last_error: Option<&'static str>,
    /// Successful fetches of a key set.
    pub fetches_ok: u64,
    /// Failed attempts.
    pub fetches_failed: u64,
}

/// The keys of one issuer as a state machine without clock or socket.
///
/// The owner performs what [`KeyCache::poll_fetch`] orders, hands every answer or failure to
/// [`KeyCache::fetched`], and calls [`KeyCache::handle_timeout`] at [`KeyCache::poll_timeout`].
#[derive(Debug)]
pub struct KeyCache {
    issuer: Issuer,
    discovery_url: Url,
    config: KeyCacheConfig,
    metadata: Option<(Metadata, Mono)>,
    keys: Option<Keys>,
    stage: Stage,
    next: Next,
    /// An unknown key, or an import, asks for a fetch before the set is due.
    wanted: bool,
    last_start: Option<Mono>,
    /// When an unknown key last caused a fetch. Others do not count: a provider may change its
    /// keys right after a scheduled one.
    last_unknown: Option<Mono>,
    failures: u32,
    retry_at: Mono,
    last_error: Option<KeysError>,
    unknown: UnknownKids,
    fetches_ok: u64,
    fetches_failed: u64,
}

#[derive(Debug)]
struct Keys {
    set: KeySet,
    /// The document, for persistence.
    document: Vec<u8>,
    fetched_wall: UnixTime,
    /// Moment of the last fetch; for imported keys the moment of the import.
    since: Mono,
    /// Age at `since`: zero unless imported.
    age_before_secs: u64,
    ttl_secs: u64,
}

impl Keys {
    fn age_secs(&self, now: Mono) -> u64 {
        self.age_before_secs.saturating_add(now.since(self.since) / 1000)
    }

    fn due_at(&self) -> Mono {
        self.since.plus_secs(self.ttl_secs.saturating_sub(self.age_before_secs))
    }
}

/// With what the next fetch begins, where metadata is known. After failures the two take turns:
/// the key set may have moved, and it may well be there while the metadata is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    ByAge,
    Discovery,
    Keys,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Idle,
    Discovering,
    /// Metadata has come, the keys are to be ordered next.
    Discovered,
    FetchingKeys,
}

impl KeyCache {
    /// A cache without keys; the first [`KeyCache::poll_fetch`] orders the metadata.
    ///
    /// # Errors
    /// [`MetadataError::InsecureIssuer`] when the issuer is `http` and must not be.
    pub fn new(issuer: Issuer, config: KeyCacheConfig) -> Result<Self, MetadataError> {
        let discovery_url = match &config.discovery_url {
            Some(url) => url.clone(),
            None => config.policy.discovery_url(&issuer)?,
        };
        Ok(Self {
            issuer,
            discovery_url,
            config,
            metadata: None,
            keys: None,
            stage: Stage::Idle,
            next: Next::ByAge,
            wanted: false,
            last_start: None,
            last_unknown: None,
            failures: 0,
            retry_at: Mono::default(),
            last_error: None,
            unknown: UnknownKids::default(),
            fetches_ok: 0,
            fetches_failed: 0,
        })
    }

    /// The key for a token with that algorithm and `kid`.
    pub fn lookup(&mut self, now: Now, alg: Alg, kid: Option<&Kid>) -> Lookup<'_> {
        if !self.usable(now.mono) {
            return self.without_keys(now.mono);
        }
        // Asked twice, as a borrow that may leave must not be held while the rest is decided.
        let set = self.keys.as_ref().map(|keys| &keys.set);
        if matches!(set.map(|set| set.select(alg, kid)), None | Some(Selection::Unknown)) {
            return self.unknown_key(now.mono, kid);
        }
        match self.keys.as_ref().map(|keys| keys.set.select(alg, kid)) {
            Some(Selection::Key(key)) => Lookup::Found(key),
            Some(Selection::Ambiguous) => Lookup::Refused(TokenError::AmbiguousKey),
            Some(Selection::Mismatch) => Lookup::Refused(TokenError::KeyMismatch),
            Some(Selection::Unknown) | None => Lookup::Refused(TokenError::UnknownKey),
        }
    }

    /// The fetch to make now, if one is due and none is under way.
    pub fn poll_fetch(&mut self, now: Now) -> Option<FetchRequest> {
        let (url, body_bytes_max, stage) = match self.stage {
            Stage::Discovering | Stage::FetchingKeys => return None,
            Stage::Discovered => self.keys_order()?,
            Stage::Idle if !self.due(now.mono) => return None,
            Stage::Idle => {
                self.wanted = false;
                self.last_start = Some(now.mono);
                if self.needs_discovery(now.mono) {
                    (self.discovery_url.clone(), METADATA_BYTES_MAX, Stage::Discovering)
                } else {
                    self.keys_order()?
                }
            }
        };
        self.stage = stage;
        let accept = String::from("application/json, application/jwk-set+json");
        Some(FetchRequest {
            url,
            post: None,
            headers: Vec::from([("accept", Zeroizing::new(accept))]),
            trust: Trust::Provider,
            body_bytes_max,
            timeout_millis: FETCH_TIMEOUT_MILLIS,
        })
    }

    /// Takes the outcome of the order that is under way.
    pub fn fetched(&mut self, now: Now, outcome: Result<FetchReply, FetchError>) -> Fetched {
        let result = match self.stage {
            Stage::Idle | Stage::Discovered => return Fetched::Ignored,
            Stage::Discovering => self.take_metadata(now, outcome),
            Stage::FetchingKeys => self.take_keys(now, outcome),
        };
        result.unwrap_or_else(|error| self.failed(now, error))
    }

    /// Forgets keys that are past the hard limit. Calling it early or twice changes nothing.
    pub fn handle_timeout(&mut self, now: Now) {
        if self.keys.is_some() && !self.usable(now.mono) {
            self.keys = None;
        }
    }

    /// Latest moment for [`KeyCache::handle_timeout`] and [`KeyCache::poll_fetch`]; `None` while
    /// an answer is awaited.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Mono> {
        match self.stage {
            Stage::Discovering | Stage::FetchingKeys => None,
            Stage::Discovered => Some(Mono::default()),
            Stage::Idle => {
                let due = match &self.keys {
                    Some(keys) if !self.wanted && self.failures == 0 => keys.due_at(),
                    Some(_) | None => Mono::default(),
                };
                Some(due.max(self.retry_at))
            }
        }
    }

    /// State of the keys.
    #[must_use]
    pub fn status(&self, now: Now) -> KeysStatus {
        let set = self.keys.as_ref().map(|keys| &keys.set);
        KeysStatus {
            usable: self.usable(now.mono),
            keys: set.map_or(0, KeySet::len),
            skipped: set.map_or(0, |set| set.skipped().len()),
            age_secs: self.keys.as_ref().map(|keys| keys.age_secs(now.mono)),
            stale: self.failures > 0
                && self.keys.as_ref().is_some_and(|keys| now.mono >= keys.due_at()),
            last_error: self.last_error.as_ref().map(KeysError::code),
            fetches_ok: self.fetches_ok,
            fetches_failed: self.fetches_failed,
        }
    }

    /// The keys in use, with the entries that are not.
    #[must_use]
    pub fn key_set(&self) -> Option<&KeySet> {
        self.keys.as_ref().map(|keys| &keys.set)
    }

    /// The metadata last read.
    #[must_use]
    pub fn metadata(&self) -> Option<&Metadata> {
        self.metadata.as_ref().map(|(metadata, _)| metadata)
    }

    /// The last failure, with its sentence; absent after a success.
    #[must_use]
    pub fn last_error(&self) -> Option<&KeysError> {
        self.last_error.as_ref()
    }

    fn usable(&self, now: Mono) -> bool {
        let limit = u64::from(self.config.hard_limit_secs);
        self.keys.as_ref().is_some_and(|keys| keys.age_secs(now) <= limit)
    }

    fn in_flight(&self) -> bool {
        self.stage != Stage::Idle
    }

    /// Whether a fetch should start now.
    fn due(&self, now: Mono) -> bool {
        let wanted = match &self.keys {
            Some(keys) => self.wanted || self.failures > 0 || now >= keys.due_at(),
            None => true,
        };
        wanted && now >= self.retry_at
    }

    fn without_keys(&self, now: Mono) -> Lookup<'static> {
        if self.in_flight() || now >= self.retry_at { Lookup::Wait } else { self.unavailable(now) }
    }

    fn unavailable(&self, now: Mono) -> Lookup<'static> {
        let secs = self.retry_at.since(now).div_ceil(1000);
        Lookup::Unavailable { retry_after_secs: secs.max(1) }
    }

    /// What a token gets whose key is not in a set that is otherwise good.
    fn unknown_key(&mut self, now: Mono, kid: Option<&Kid>) -> Lookup<'static> {
        let refused = Lookup::Refused(TokenError::UnknownKey);
        if self.unknown.is_settled(now, kid) {
            return refused;
        }
        if self.in_flight() || (self.wanted && now >= self.retry_at) {
            self.unknown.ask(now, kid);
            return Lookup::Wait;
        }
        if now < self.retry_at {
            // The provider fails: the key may be a new one, which we cannot know.
            return self.unavailable(now);
        }
        let pacing = u64::from(self.config.pacing_secs).saturating_mul(1000);
        if self.last_unknown.is_some_and(|last| now.since(last) < pacing) {
            return refused;
        }
        self.last_unknown = Some(now);
        self.unknown.ask(now, kid);
        self.wanted = true;
        Lookup::Wait
    }

    fn needs_discovery(&self, now: Mono) -> bool {
        match &self.metadata {
            None => true,
            Some((_, since)) => match self.next {
                Next::Discovery => true,
                Next::Keys => false,
                Next::ByAge => now.since(*since) >= METADATA_SECS_MAX.saturating_mul(1000),
            },
        }
    }

    fn keys_order(&self) -> Option<(Url, usize, Stage)> {
        let (metadata, _) = self.metadata.as_ref()?;
        Some((metadata.jwks_uri.clone()?, JWKS_BYTES_MAX, Stage::FetchingKeys))
    }

    fn take_metadata(
        &mut self,
        now: Now,
        outcome: Result<FetchReply, FetchError>,
    ) -> Result<Fetched, KeysError> {
        let reply = outcome.map_err(KeysError::DiscoveryFetch)?;
        if reply.status != 200 {
            return Err(KeysError::DiscoveryStatus(reply.status));
        }
        let metadata = Metadata::parse(&reply.body, &self.issuer, &self.config.policy)
            .map_err(KeysError::Metadata)?;
        metadata.require(&metadata.jwks_uri, "jwks_uri").map_err(KeysError::Metadata)?;
        self.metadata = Some((metadata, now.mono));
        self.stage = Stage::Discovered;
        Ok(Fetched::Discovered)
    }

    fn take_keys(
        &mut self,
        now: Now,
        outcome: Result<FetchReply, FetchError>,
    ) -> Result<Fetched, KeysError> {
        let reply = outcome.map_err(KeysError::JwksFetch)?;
        if reply.status != 200 {
            return Err(KeysError::JwksStatus(reply.status));
        }
        let set = KeySet::parse(&reply.body).map_err(KeysError::Jwks)?;
        if set.is_empty() {
            return Err(KeysError::NoUsableKeys);
        }
        let changed = self.keys.as_ref().is_none_or(|keys| keys.document != *reply.body);
        self.keys = Some(Keys {
            set,
            document: reply.body.to_vec(),
            fetched_wall: now.wall,
            since: now.mono,
            age_before_secs: 0,
            ttl_secs: ttl_secs(&reply.headers),
        });
        self.stage = Stage::Idle;
        self.next = Next::ByAge;
        self.wanted = false;
        self.failures = 0;
        self.retry_at = Mono::default();
        self.last_error = None;
        self.fetches_ok = self.fetches_ok.saturating_add(1);
        if let Some(start) = self.last_start {
            self.unknown.settle(start);
        }
        Ok(Fetched::Keys { changed })
    }

    fn failed(&mut self, now: Now, error: KeysError) -> Fetched {
        self.next = if self.stage == Stage::Discovering { Next::Keys } else { Next::Discovery };
        self.stage = Stage::Idle;
        self.wanted = false;
        let pause_secs = 1u64
            .checked_shl(self.failures)
            .map_or(BACKOFF_SECS_MAX, |secs| secs.min(BACKOFF_SECS_MAX));
        self.failures = self.failures.saturating_add(1);
        self.retry_at = now.mono.plus_secs(pause_secs);
        self.fetches_failed = self.fetches_failed.saturating_add(1);
        self.last_error = Some(error.clone());
        Fetched::Failed(error)
    }
}

/// `max-age` of the answer within our bounds (RFC 9111 section 5.2.2); the shortest time where
/// the answer must not be stored.
fn ttl_secs(headers: &Headers) -> u64 {
    let mut ttl = TTL_SECS_DEFAULT;
    for value in headers.get_all("cache-control") {
        for directive in core::str::from_utf8(value).unwrap_or_default().split(',') {
            let (name, argument) = directive.split_once('=').unwrap_or((directive, ""));
            let name = name.trim();
            if name.eq_ignore_ascii_case("no-store") || name.eq_ignore_ascii_case("no-cache") {
                return TTL_SECS_MIN;
            }
            if name.eq_ignore_ascii_case("max-age") {
                ttl = match argument.trim().trim_matches('"') {
                    digits if digits.bytes().all(|b| b.is_ascii_digit()) && !digits.is_empty() => {
                        digits.parse().unwrap_or(TTL_SECS_MAX)
                    }
                    _ => ttl,
                };
            }
        }
    }
    ttl.clamp(TTL_SECS_MIN, TTL_SECS_MAX)
}

#[cfg(test)]
mod tests;
