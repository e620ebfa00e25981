//! What the admin pages show: counters and the certificates that are still good.
//!
//! Fed by audit events only, live ones after they were written and old ones from the log at
//! start, so both tell the same story.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::Write as _;

use crate::json::{self, Object, Value};
use crate::machine::UnixTime;
use crate::server::audit::{AuditEvent, EventType, write_peer};
use crate::types::{GoDuration, Rfc3339, Role};

/// Certificates that are listed at most; beyond it those that end first are left out.
pub const LISTED_MAX: usize = 10_000;

/// A certificate that was issued and has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// `sub`.
    pub subject: Arc<str>,
    /// `email`, or empty.
    pub email: Arc<str>,
    /// When it was issued.
    pub issued_at: UnixTime,
    /// When it ends.
    pub expires_at: UnixTime,
    /// Peer address with port.
    pub client_ip: Box<str>,
    /// Roles in the order of the certificate.
    pub roles: Box<[Role]>,
    /// SHA-256 of the DER, lower-case hexadecimal, or empty.
    pub fingerprint: Box<str>,
}

/// Counters over all events the ledger has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// `cert_issued`
    pub certs_issued: u64,
    /// `auth_success`
    pub auth_successes: u64,
    /// `auth_failure`
    pub auth_failures: u64,
    /// `cert_error`
    pub cert_errors: u64,
    /// `access_denied`
    pub access_denied: u64,
    /// `request_refused`
    pub requests_refused: u64,
    /// `provider_unavailable`
    pub provider_unavailable: u64,
}

/// Counters and list.
#[derive(Debug, Default)]
pub struct Ledger {
    totals: Totals,
    /// By end, then by order of arrival, so that pruning looks at the front only; with the number
    /// of their arrival. Nearly all go behind the last one, where a tree would keep its nodes half empty.
    listed: VecDeque<(u64, Listed)>,
    arrived: u64,
}

impl Ledger {
    /// Counts an event that was written.
    pub fn record(&mut self, event: AuditEvent) {
        self.count(event.kind);
        let client_ip = || {
            let mut text = String::new();
            write_peer(&mut text, event.peer);
            text.into()
        };
        if event.kind == EventType::CertIssued
            && let Some(expires_at) = event.expiry
        {
            self.list(
                event.at,
                Listed {
                    subject: event.subject.unwrap_or_default(),
                    email: event.email.unwrap_or_default(),
                    issued_at: event.at,
                    expires_at,
                    client_ip: client_ip(),
                    roles: event.roles.into(),
                    fingerprint: event.fingerprint.unwrap_or_default(),
                },
            );
        }
    }

    /// Counts an event of the past by its line in the log; other lines change nothing.
    pub fn replay(&mut self, now: UnixTime, line: &Object) {
        let Some(kind) = line.get_str("type").and_then(EventType::from_name) else { return };
        self.count(kind);
        let time = |name: &str| {
            line.get_str(name).and_then(|text| text.parse::<Rfc3339>().ok()).map(|at| at.0)
        };
        if kind == EventType::CertIssued
            && let (Some(issued_at), Some(expires_at)) = (time("timestamp"), time("cert_expiry"))
        {
            let text = |name: &str| line.get_str(name).unwrap_or_default();
            let roles = line.get("roles").and_then(Value::as_array).unwrap_or_default();
            self.list(
                now,
                Listed {
                    subject: text("subject").into(),
                    email: text("email").into(),
                    issued_at,
                    expires_at,
                    client_ip: text("client_ip").into(),
                    roles: roles.iter().filter_map(|role| role.as_str()?.parse().ok()).collect(),
                    fingerprint: text("cert_fingerprint").into(),
                },
            );
        }
    }

    fn count(&mut self, kind: EventType) {
        let counter = match kind {
            EventType::AuthSuccess => &mut self.totals.auth_successes,
            EventType::AuthFailure => &mut self.totals.auth_failures,
            EventType::CertIssued => &mut self.totals.certs_issued,
            EventType::CertError => &mut self.totals.cert_errors,
            EventType::AccessDenied => &mut self.totals.access_denied,
            EventType::RequestRefused => &mut self.totals.requests_refused,
            EventType::ProviderUnavailable => &mut self.totals.provider_unavailable,
        };
        *counter = counter.saturating_add(1);
    }

    fn list(&mut self, now: UnixTime, listed: Listed) {
        self.prune(now);
        if listed.expires_at <= now {
            return;
        }
        self.arrived += 1;
        let place = self.listed.partition_point(|(_, other)| other.expires_at <= listed.expires_at);
        self.listed.insert(place, (self.arrived, listed));
        if self.listed.len() > LISTED_MAX {
            self.listed.pop_front();
        }
    }

    /// Drops what has ended.
    pub fn prune(&mut self, now: UnixTime) {
        while self.listed.front().is_some_and(|(_, first)| first.expires_at <= now) {
            self.listed.pop_front();
        }
    }

    /// The counters.
    #[must_use]
    pub const fn totals(&self) -> Totals {
        self.totals
    }

    /// How many certificates are good at `now`.
    #[must_use]
    pub fn active(&self, now: UnixTime) -> usize {
        self.good(now).count()
    }

    /// Certificates good at `now`, the newest first, that contain `search` in subject, e-mail,
    /// role, address or fingerprint (any case; empty finds all).
    pub fn find<'a>(
        &'a self,
        now: UnixTime,
        search: &'a str,
    ) -> impl Iterator<Item = &'a Listed> + 'a {
        let mut found: Vec<&(u64, Listed)> =
            self.good(now).filter(|(_, listed)| listed.contains(search)).collect();
        found.sort_by_key(|(arrived, _)| core::cmp::Reverse(*arrived));
        found.into_iter().map(|(_, listed)| listed)
    }

    fn good(&self, now: UnixTime) -> impl Iterator<Item = &(u64, Listed)> {
        self.listed.range(self.listed.partition_point(|(_, one)| one.expires_at <= now)..)
    }
}

impl Listed {
    fn contains(&self, search: &str) -> bool {
        if search.is_empty() {
            return true;
        }
        let search = search.to_lowercase();
        let has = |text: &str| text.to_lowercase().contains(&search);
        has(&self.subject)
            || has(&self.email)
            || has(&self.client_ip)
            || has(&self.fingerprint)
            || self.roles.iter().any(|role| has(role.as_str()))
    }

    /// Lifetime from issue to end, as Go prints it.
    #[must_use]
    pub fn ttl(&self) -> String {
        let secs = self.expires_at.since(self.issued_at);
        GoDuration::from_secs(u32::try_from(secs).unwrap_or(u32::MAX)).to_string()
    }

    /// Writes the members of the original's `/admin/certs`, then the fingerprint.
    pub fn write_json(&self, out: &mut String) {
        out.push_str("{\"subject\":");
        json::write_string(out, &self.subject);
        out.push_str(",\"email\":");
        json::write_string(out, &self.email);
        // Writing to a String cannot fail.
        let _ = write!(
            out,
            ",\"issued_at\":\"{}\",\"expires_at\":\"{}\",\"client_ip\":",
            Rfc3339(self.issued_at),
            Rfc3339(self.expires_at)
        );
        json::write_string(out, &self.client_ip);
        out.push_str(",\"roles\":[");
        for (n, role) in self.roles.iter().enumerate() {
            if n > 0 {
                out.push(',');
            }
            json::write_string(out, role.as_str());
        }
        let _ = write!(out, "],\"ttl\":\"{}\"", self.ttl());
        if !self.fingerprint.is_empty() {
            out.push_str(",\"fingerprint\":");
            json::write_string(out, &self.fingerprint);
        }
        out.push('}');
    }

    /// Writes one CSV record (RFC 4180). Cells that a spreadsheet would run as a formula get a
    /// leading apostrophe, as subject and e-mail come from other people.
    pub fn write_csv(&self, out: &mut String) {
        let roles: Vec<&str> = self.roles.iter().map(Role::as_str).collect();
        let cells: [&str; 8] = [
            &self.subject,
            &self.email,
            &Rfc3339(self.issued_at).to_string(),
            &Rfc3339(self.expires_at).to_string(),
            &self.client_ip,
            &roles.join(" "),
            &self.ttl(),
            &self.fingerprint,
        ];
        for (n, cell) in cells.iter().enumerate() {
            if n > 0 {
                out.push(',');
            }
            let risky = cell.starts_with(FORMULA_BEGINS);
            let cell = if risky { alloc::format!("'{cell}") } else { (*cell).into() };
            if cell.contains(['"', ',', '\n', '\r']) {
                out.push('"');
                out.push_str(&cell.replace('"', "\"\""));
                out.push('"');
            } else {
                out.push_str(&cell);
            }
        }
        out.push_str("\r\n");
    }
}

/// How cells begin that a spreadsheet may take for a formula, in the wide forms as well.
const FORMULA_BEGINS: [char; 11] =
    ['=', '+', '-', '@', '\t', '\r', '\n', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];

/// Header record of the CSV export.
pub(super) const CSV_HEADER: &str =
    "subject,email,issued_at,expires_at,client_ip,roles,ttl,fingerprint\r\n";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::RequestId;

    fn issued(subject: &str, at: u64, ttl: u64) -> AuditEvent {
        AuditEvent {
            subject: Some(subject.into()),
            email: Some("<b>a@example.com</b>".into()),
            roles: Vec::from(["os:reader".parse().unwrap()]),
            expiry: Some(UnixTime::from_secs(at + ttl)),
            ..AuditEvent::new(
                UnixTime::from_secs(at),
                EventType::CertIssued,
                RequestId(1),
                "10.0.0.1:5".parse().unwrap(),
            )
        }
    }

    /// D16: memory stays bounded with nobody looking.
    #[test]
    fn d16_the_list_is_pruned_on_insert_and_bounded() {
        let mut ledger = Ledger::default();
        for n in 0..30_000 {
            ledger.record(issued("x", 1000, 300 + n));
        }
        assert_eq!(ledger.listed.len(), LISTED_MAX);
        ledger.record(issued("late", 100_000, 10));
        assert_eq!(ledger.listed.len(), 1);
        assert_eq!(ledger.totals().certs_issued, 30_001);
    }

    #[test]
    fn the_log_rebuilds_the_list() {
        let (mut live, mut replayed) = (Ledger::default(), Ledger::default());
        for event in [issued("alice", 1000, 300), issued("bob", 1001, 5)] {
            let mut line = String::new();
            event.write_open(&mut line);
            live.record(event);
            line.push('}');
            let limits = json::Limits { bytes_max: 4096, depth_max: 3 };
            let object = json::parse_object(line.as_bytes(), limits).unwrap();
            replayed.replay(UnixTime::from_secs(1100), &object);
        }
        let now = UnixTime::from_secs(1100);
        assert_eq!(live.totals(), replayed.totals());
        assert!(live.find(now, "").eq(replayed.find(now, "")));
        assert_eq!(live.find(now, "ALICE").count(), 1);
        assert_eq!(live.find(now, "bob").count(), 0);
    }

    #[test]
    fn exports_are_safe_to_open() {
        for (subject, cell) in [
            ("=cmd|'/c calc'!A1", "'=cmd|'/c calc'!A1,"),
            ("\n=1", "\"'\n=1\","),
            ("\u{ff1d}1", "'\u{ff1d}1,"),
            ("a=1", "a=1,"),
        ] {
            let mut ledger = Ledger::default();
            ledger.record(issued(subject, 1000, 300));
            let now = UnixTime::from_secs(1000);
            let listed = ledger.find(now, "").next().unwrap();
            let (mut csv, mut json) = (String::new(), String::new());
            listed.write_csv(&mut csv);
            listed.write_json(&mut json);
            assert!(csv.starts_with(cell), "{csv}");
            assert!(json.contains("\"ttl\":\"5m0s\""), "{json}");
        }
    }
}
