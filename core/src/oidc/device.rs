//! Device authorization (RFC 8628): for a terminal without a browser at hand.

use alloc::boxed::Box;
use alloc::string::ToString as _;
use alloc::vec::Vec;

use super::foreign::sanitise;
use super::scopes::Scopes;
use super::token_endpoint::{AnswerError, Client, read_object};
use crate::http::{FetchReply, FetchRequest};
use crate::json::{Object, Value};
use crate::machine::Mono;
use crate::types::{Secret, Url};

/// Longest code that a person is asked to type.
const USER_CODE_CHARS_MAX: usize = 64;
/// Seconds between polls where the provider names none (section 3.2).
const INTERVAL_SECS: u64 = 5;
/// Seconds a code lives where the provider names none.
const LIFE_SECS: u64 = 600;

/// The request for a device code (section 3.1).
#[must_use]
pub fn request(endpoint: &Url, client: &Client<'_>, scopes: &Scopes) -> FetchRequest {
    let scope = scopes.to_string();
    client.post(endpoint, Vec::from([("scope", scope.as_str())]))
}

/// What the provider gave (section 3.2).
#[derive(Debug)]
pub struct DeviceGrant {
    /// Secret half: for the token endpoint.
    pub device_code: Secret,
    /// Public half, sanitised: the person compares or types it. 1 to 64 characters.
    pub user_code: Box<str>,
    /// Page to open; `http` or `https` for certain.
    pub verification_uri: Url,
    /// The same with the code in it; the code is shown all the same (section 3.3.1).
    pub verification_uri_complete: Option<Url>,
    /// Life of both codes in seconds: 30 to 1800.
    pub expires_secs: u64,
    /// Seconds between polls: 1 to 60.
    pub interval_secs: u64,
}

/// Reads the answer to [`request`].
///
/// # Errors
/// [`AnswerError`]; also for a page that is not `http` or `https`.
pub fn read_grant(reply: &FetchReply) -> Result<DeviceGrant, AnswerError> {
    let object = read_object(reply)?;
    let text = |name: &'static str| {
        object.get_str(name).filter(|text| !text.is_empty()).ok_or(AnswerError::Member { name })
    };
    let user_code = sanitise(text("user_code")?, USER_CODE_CHARS_MAX);
    // A code that had to be cut is none that anybody could type.
    if user_code.is_empty() || user_code.chars().count() > USER_CODE_CHARS_MAX {
        return Err(AnswerError::Member { name: "user_code" });
    }
    // Google's first version said `verification_url`.
    let page =
        text("verification_uri").or_else(|error| text("verification_url").map_err(|_| error))?;
    let complete = object
        .get_str("verification_uri_complete")
        .or_else(|| object.get_str("verification_url_complete"));
    Ok(DeviceGrant {
        device_code: Secret::from(text("device_code")?.to_string()),
        user_code,
        verification_uri: page
            .parse()
            .map_err(|_| AnswerError::Member { name: "verification_uri" })?,
        // A convenience only: when unusable the short page does.
        verification_uri_complete: complete.and_then(|url| url.parse().ok()),
        expires_secs: seconds(&object, "expires_in", LIFE_SECS).clamp(30, 1800),
        interval_secs: seconds(&object, "interval", INTERVAL_SECS).clamp(1, 60),
    })
}

/// A number of seconds, which some providers send as text. Nonsense counts as the default.
fn seconds(object: &Object, name: &str, default: u64) -> u64 {
    match object.get(name) {
        Some(Value::Int(secs)) => u64::try_from(*secs).unwrap_or(0),
        Some(Value::Float(secs)) if *secs > 0.0 => u64::MAX,
        Some(Value::String(text)) => text.parse().unwrap_or(default),
        Some(
            Value::Float(_) | Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_),
        )
        | None => default,
    }
}

/// When to ask again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PollSchedule {
    interval_secs: u64,
    failures: u32,
    next: Mono,
    end: Mono,
}

impl PollSchedule {
    /// The schedule of `grant`, received at `now`: the first poll comes after one interval.
    #[must_use]
    pub const fn new(now: Mono, grant: &DeviceGrant) -> Self {
        Self {
            interval_secs: grant.interval_secs,
            failures: 0,
            next: now.plus_secs(grant.interval_secs),
            end: now.plus_secs(grant.expires_secs),
        }
    }

    /// When to poll next.
    #[must_use]
    pub const fn next(&self) -> Mono {
        self.next
    }

    /// When both codes are worthless.
    #[must_use]
    pub const fn end(&self) -> Mono {
        self.end
    }

    /// Seconds between polls at present.
    #[must_use]
    pub const fn interval_secs(&self) -> u64 {
        self.interval_secs
    }

    /// `authorization_pending`: the same interval again.
    pub const fn pending(&mut self, now: Mono) {
        self.failures = 0;
        self.next = now.plus_secs(self.interval_secs);
    }

    /// `slow_down`: five seconds more from here on (section 3.5).
    pub const fn slow_down(&mut self, now: Mono) {
        self.failures = 0;
        self.interval_secs = self.interval_secs.saturating_add(5);
        self.next = now.plus_secs(self.interval_secs);
    }

    /// No answer: the interval doubles with each failure in a row, up to a minute (section 3.5
    /// asks for exponential back-off).
    pub fn failed(&mut self, now: Mono) {
        self.failures = self.failures.saturating_add(1);
        let doubled = self.interval_secs.saturating_mul(1 << self.failures.min(6));
        self.next = now.plus_secs(doubled.min(60).max(self.interval_secs));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Headers;
    use alloc::format;
    use zeroize::Zeroizing;

    fn reply(status: u16, body: &str) -> FetchReply {
        FetchReply {
            status,
            headers: Headers::default(),
            body: Zeroizing::new(body.as_bytes().to_vec()),
        }
    }

    fn grant(more: &str) -> Result<DeviceGrant, AnswerError> {
        read_grant(&reply(
            200,
            &format!(
                r#"{{"device_code":"d","user_code":"WDJB-MJHT","verification_uri":"https://idp.example/device"{more}}}"#
            ),
        ))
    }

    #[test]
    fn numbers_are_clamped() {
        for (more, interval, life) in [
            ("", 5, 600),
            (r#","interval":0,"expires_in":0"#, 1, 30),
            (r#","interval":-1,"expires_in":-5"#, 1, 30),
            (r#","interval":1000000000,"expires_in":1e30"#, 60, 1800),
            (r#","interval":"7","expires_in":"900""#, 7, 900),
            (r#","interval":null,"expires_in":[]"#, 5, 600),
        ] {
            let grant = grant(more).unwrap();
            assert_eq!((grant.interval_secs, grant.expires_secs), (interval, life), "{more}");
        }
    }

    #[test]
    fn only_web_pages_are_shown() {
        for page in ["javascript:alert(1)", "file:///etc/passwd", "https://idp.example/\u{1b}[2J"] {
            let mut quoted = alloc::string::String::new();
            crate::json::write_string(&mut quoted, page);
            let body = format!(
                r#"{{"device_code":"d","user_code":"x","verification_uri":{quoted},"interval":5}}"#
            );
            let error = read_grant(&reply(200, &body)).unwrap_err();
            assert_eq!(error, AnswerError::Member { name: "verification_uri" }, "{page}");
        }
        let unusable = grant(r#","verification_uri_complete":"javascript:alert(1)""#).unwrap();
        assert_eq!(unusable.verification_uri_complete, None);
        let google = r#"{"device_code":"d","user_code":"a\u001b[2Jb","verification_url":"https://www.google.com/device"}"#;
        let google = read_grant(&reply(200, google)).unwrap();
        assert_eq!(&*google.user_code, "a [2Jb");
    }

    #[test]
    fn a_code_is_shown_whole_or_not_at_all() {
        let asked = |code: &str| {
            let page = "https://idp.example/device";
            read_grant(&reply(
                200,
                &format!(
                    r#"{{"device_code":"d","user_code":"{code}","verification_uri":"{page}"}}"#
                ),
            ))
        };
        assert_eq!(asked(&"e".repeat(64)).unwrap().user_code.len(), 64);
        for code in ["e".repeat(65), " ".repeat(3), alloc::string::String::new()] {
            assert_eq!(asked(&code).unwrap_err(), AnswerError::Member { name: "user_code" });
        }
    }

    #[test]
    fn slow_down_three_times_is_fifteen_seconds_more() {
        let mut schedule = PollSchedule::new(Mono::from_millis(0), &grant("").unwrap());
        assert_eq!(schedule.next(), Mono::from_millis(5_000));
        for _ in 0..3 {
            schedule.slow_down(Mono::from_millis(0));
        }
        assert_eq!((schedule.interval_secs(), schedule.next()), (20, Mono::from_millis(20_000)));
        schedule.pending(Mono::from_millis(0));
        assert_eq!(schedule.next(), Mono::from_millis(20_000));
        schedule.failed(Mono::from_millis(0));
        assert_eq!(schedule.next(), Mono::from_millis(40_000));
        for _ in 0..40 {
            schedule.failed(Mono::from_millis(0));
        }
        assert_eq!(schedule.next(), Mono::from_millis(60_000));
        assert_eq!(schedule.end(), Mono::from_millis(600_000));
    }
}
