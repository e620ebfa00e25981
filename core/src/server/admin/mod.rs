//! The admin API and dashboard under `/admin/`. Closed, all of it, without an admin token.

mod guard;
mod ledger;
mod page;

use alloc::format;
use alloc::string::{String, ToString};
use core::fmt::Write as _;

use guard::{LockOut, SESSION_SECS, Sessions};
use ledger::CSV_HEADER;
pub use ledger::{LISTED_MAX, Ledger, Listed, Totals};

use super::chain::Call;
use super::refusal::{error, guarded};
use super::setup::Setup;
use crate::http::form::Form;
use crate::http::{Method, Response};
use crate::machine::{Entropy, Now, UnixTime};
use crate::types::{GoDuration, Rfc3339, Secret};

/// Rows of the table on one page of the dashboard.
const PAGE_ROWS: usize = 50;
/// Certificates in one answer of `/admin/certs`, unless `limit` says less.
const ANSWER_ROWS_MAX: usize = LISTED_MAX;
/// Name of the session cookie.
const COOKIE: &str = "talosctl_oidc_admin_session";

/// State behind `/admin/`.
#[derive(Debug)]
pub struct Admin {
    /// What is shown.
    pub ledger: Ledger,
    lock_out: LockOut,
    sessions: Sessions,
    started: Now,
}

/// What the query of an admin address asks for.
struct Asked {
    search: String,
    offset: usize,
    limit: usize,
    csv: bool,
    part: bool,
}

impl Asked {
    fn read(call: &Call) -> Self {
        let form = Form::parse(call.head.query().unwrap_or_default()).unwrap_or_default();
        let field = |name: &str| form.get(name).ok().flatten();
        let number = |name: &str| field(name).and_then(|text| text.parse::<usize>().ok());
        Self {
            search: field("q").unwrap_or_default().trim().chars().take(100).collect(),
            offset: number("offset").unwrap_or(0),
            limit: number("limit").unwrap_or(ANSWER_ROWS_MAX).min(ANSWER_ROWS_MAX),
            csv: field("format") == Some("csv"),
            part: field("part").is_some(),
        }
    }
}

impl Admin {
    /// Nothing seen yet, started at `now`.
    #[must_use]
    pub fn new(now: Now) -> Self {
        Self {
            ledger: Ledger::default(),
            lock_out: LockOut::default(),
            sessions: Sessions::default(),
            started: now,
        }
    }

    /// Answers a request whose path is `/admin` or below.
    pub fn answer(&mut self, now: Now, call: Call, setup: &Setup) -> Response {
        let Some(token) = &setup.admin_token else { return disabled() };
        self.ledger.prune(now.wall);
        match call.head.path() {
            "/admin" => guarded(Response::new(301, "text/plain; charset=utf-8", "see /admin/\n"))
                .with("location", "/admin/"),
            "/admin/stats" => match self.bearer(now, &call, setup, token) {
                Ok(()) => guarded(Response::json(200, self.stats(now))),
                Err(response) => *response,
            },
            "/admin/certs" => match self.bearer(now, &call, setup, token) {
                Ok(()) => self.certs(now.wall, &Asked::read(&call)),
                Err(response) => *response,
            },
            "/admin/login" => self.login(now, call, setup, token),
            "/admin/logout" => self.logout(&call),
            "/admin/export" if self.has_session(now, &call) => {
                self.certs(now.wall, &Asked::read(&call))
            }
            _ => self.page(now, &call),
        }
    }

    /// Whether the request carries the admin token, for pages outside `/admin/`.
    ///
    /// # Errors
    /// The answer to send instead.
    pub fn open_to(
        &mut self,
        now: Now,
        call: &Call,
        setup: &Setup,
    ) -> Result<(), alloc::boxed::Box<Response>> {
        match &setup.admin_token {
            Some(token) => self.bearer(now, call, setup, token),
            None => Err(disabled().into()),
        }
    }

    /// Opens the API to whoever knows the token, with the lock-out that the form has too.
    fn bearer(
        &mut self,
        now: Now,
        call: &Call,
        setup: &Setup,
        token: &Secret,
    ) -> Result<(), alloc::boxed::Box<Response>> {
        let who = call.client(setup).rate_key();
        if let Some(secs) = self.lock_out.locked(now.mono, who) {
            let locked = error(
                429,
                "too many failed attempts",
                "admin.locked_out",
                "wait for the seconds in Retry-After, then try again",
            );
            return Err(locked.with("retry-after", secs.to_string()).into());
        }
        let Some(header) = call.head.headers.get("authorization") else {
            let hint = "send Authorization: Bearer <admin token>";
            let missing = error(401, "missing Authorization header", "admin.token_missing", hint);
            return Err(missing.with("www-authenticate", "Bearer").into());
        };
        let candidate = header.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case(b"bearer "));
        let Some(candidate) = candidate.and(header.get(7..)) else {
            let text = "invalid Authorization header (expected Bearer token)";
            let hint = "send Authorization: Bearer <admin token>";
            return Err(error(401, text, "admin.not_bearer", hint)
                .with("www-authenticate", "Bearer")
                .into());
        };
        if !token.matches(candidate) {
            self.lock_out.wrong(now.mono, who);
            let hint = "use the value of admin_token";
            return Err(error(403, "invalid admin token", "admin.token_invalid", hint).into());
        }
        self.lock_out.right(who);
        if !matches!(call.head.method, Method::Get | Method::Head) {
            return Err(method_not_allowed("GET, HEAD").into());
        }
        Ok(())
    }

    fn stats(&self, now: Now) -> String {
        let totals = self.ledger.totals();
        let uptime = now.mono.since(self.started.mono) / 1000;
        let uptime = GoDuration::from_secs(u32::try_from(uptime).unwrap_or(u32::MAX));
        let mut out =
            format!("{{\"started_at\":\"{}\",\"uptime\":\"{uptime}\"", Rfc3339(self.started.wall));
        let counters = [
            ("total_certs_issued", totals.certs_issued),
            ("active_certs", u64::try_from(self.ledger.active(now.wall)).unwrap_or(u64::MAX)),
            ("total_auth_successes", totals.auth_successes),
            ("total_auth_failures", totals.auth_failures),
            ("total_cert_errors", totals.cert_errors),
            ("total_access_denied", totals.access_denied),
            ("total_requests_refused", totals.requests_refused),
            ("total_provider_unavailable", totals.provider_unavailable),
        ];
        for (name, value) in counters {
            // Writing to a String cannot fail.
            let _ = write!(out, ",\"{name}\":{value}");
        }
        out.push_str("}\n");
        out
    }

    fn certs(&self, now: UnixTime, asked: &Asked) -> Response {
        let rows = self.ledger.find(now, &asked.search).skip(asked.offset).take(asked.limit);
        if asked.csv {
            let mut out = String::from(CSV_HEADER);
            rows.for_each(|row| row.write_csv(&mut out));
            return guarded(Response::new(200, "text/csv; charset=utf-8", out))
                .with("content-disposition", "attachment; filename=\"certificates.csv\"");
        }
        let mut out = String::from("[");
        for (n, row) in rows.enumerate() {
            if n > 0 {
                out.push(',');
            }
            row.write_json(&mut out);
        }
        out.push_str("]\n");
        guarded(Response::json(200, out))
    }

    fn login(&mut self, now: Now, call: Call, setup: &Setup, token: &Secret) -> Response {
        if call.head.method != Method::Post {
            return method_not_allowed("POST");
        }
        let who = call.client(setup).rate_key();
        if let Some(secs) = self.lock_out.locked(now.mono, who) {
            let minutes = secs.div_ceil(60);
            let unit = if minutes == 1 { "minute" } else { "minutes" };
            let text = format!("Too many failed attempts. Try again in {minutes} {unit}.");
            return page::login(429, Some(&text)).with("retry-after", secs.to_string());
        }
        let body = match &call.body {
            Ok(body) => body,
            Err(fault) => return fault.refusal().response(),
        };
        let Ok(form) = Form::parse_bytes(body) else { return to_dashboard() };
        let Ok(candidate) = form.get("token") else { return to_dashboard() };
        if !token.matches(candidate.unwrap_or_default().as_bytes()) {
            self.lock_out.wrong(now.mono, who);
            return page::login(401, Some("Invalid admin token"));
        }
        self.lock_out.right(who);
        let secure = if is_https(&call, setup) { "; Secure" } else { "" };
        let session = self.sessions.begin(now.mono, session_entropy(call));
        to_dashboard().with(
            "set-cookie",
            format!(
                "{COOKIE}={session}; Path=/admin/; Max-Age={SESSION_SECS}; HttpOnly; \
                 SameSite=Strict{secure}"
            ),
        )
    }

    fn logout(&mut self, call: &Call) -> Response {
        if call.head.method != Method::Post {
            return method_not_allowed("POST");
        }
        if let Some(session) = session_of(call) {
            self.sessions.end(session);
        }
        to_dashboard().with(
            "set-cookie",
            format!("{COOKIE}=; Path=/admin/; Max-Age=0; HttpOnly; SameSite=Strict"),
        )
    }

    fn has_session(&self, now: Now, call: &Call) -> bool {
        session_of(call).is_some_and(|session| self.sessions.is_open(now.mono, session))
    }

    fn page(&self, now: Now, call: &Call) -> Response {
        let asked = Asked::read(call);
        if !self.has_session(now, call) {
            // The refreshing script must see that the session is over, not get a form to paste in.
            let status = if asked.part { 401 } else { 200 };
            return page::login(status, None);
        }
        page::dashboard(
            &page::View {
                now,
                started: self.started,
                totals: self.ledger.totals(),
                active: self.ledger.active(now.wall),
                found: self.ledger.find(now.wall, &asked.search).count(),
                rows: self
                    .ledger
                    .find(now.wall, &asked.search)
                    .skip(asked.offset)
                    .take(PAGE_ROWS)
                    .collect(),
                search: &asked.search,
                offset: asked.offset,
                page_rows: PAGE_ROWS,
            },
            asked.part,
        )
    }
}

fn disabled() -> Response {
    error(
        403,
        "admin API is disabled (no TALOSCTL_OIDC_ADMIN_TOKEN configured)",
        "admin.disabled",
        "set admin_token to open it",
    )
}

fn to_dashboard() -> Response {
    guarded(Response::new(303, "text/plain; charset=utf-8", "see /admin/\n"))
        .with("location", "/admin/")
}

fn method_not_allowed(allow: &'static str) -> Response {
    error(405, "method not allowed", "request.method_not_allowed", "use the method in Allow")
        .with("allow", allow)
}

/// The session token a request carries, if any.
fn session_of(call: &Call) -> Option<&str> {
    call.head
        .headers
        .get_all("cookie")
        .filter_map(|value| core::str::from_utf8(value).ok())
        .flat_map(|value| value.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

/// Whether the browser speaks TLS, with us or with a proxy whose word counts. Of a list, the first
/// is what the browser speaks: whoever sends another keeps his own session from himself.
fn is_https(call: &Call, setup: &Setup) -> bool {
    let forwarded = || {
        let said = call.head.headers.get_str("x-forwarded-proto").unwrap_or_default();
        said.split(',').next().unwrap_or_default().trim().eq_ignore_ascii_case("https")
    };
    call.tls || (setup.trusted_proxies.trusts(call.peer.ip().into()) && forwarded())
}

/// The part of a request's randomness that is for a session.
fn session_entropy(call: Call) -> Entropy<32> {
    let bytes = call.entropy.into_bytes();
    let mut token = [0; 32];
    for (to, from) in token.iter_mut().zip(bytes.iter().skip(48)) {
        *to = *from;
    }
    Entropy::new(token)
}
