//! The two pages: login and dashboard. Everything inline, nothing from elsewhere, every value
//! escaped; style and script are allowed by their hash only.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::digest::{SHA256, digest};

use super::ledger::{Listed, Totals};
use crate::http::Response;
use crate::http::form::encode_form;
use crate::machine::{Now, UnixTime};
use crate::server::refusal::guarded;
use crate::types::{GoDuration, Rfc3339};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// What the dashboard shows.
pub(super) struct View<'a> {
    pub(super) now: Now,
    pub(super) started: Now,
    pub(super) totals: Totals,
    pub(super) active: usize,
    pub(super) found: usize,
    pub(super) rows: Vec<&'a Listed>,
    pub(super) search: &'a str,
    pub(super) offset: usize,
    pub(super) page_rows: usize,
}

/// The login page, with a message when a try went wrong.
pub(super) fn login(status: u16, message: Option<&str>) -> Response {
    let message = message
        .map(|text| format!("<p class=\"bad\" role=\"alert\">{}</p>", escape(text)))
        .unwrap_or_default();
    html(
        status,
        &format!(
            "<main class=\"login\"><h1>talosctl-oidc <span>Admin Dashboard</span></h1>{message}\
             <form method=\"post\" action=\"/admin/login\">\
             <label for=\"token\">Admin token</label>\
             <input id=\"token\" name=\"token\" type=\"password\" required autofocus \
             autocomplete=\"current-password\"><button>Log in</button></form></main>"
        ),
        false,
    )
}

/// The dashboard; `part` gives what the refreshing script replaces.
pub(super) fn dashboard(view: &View<'_>, part: bool) -> Response {
    let inner = inner(view);
    if part {
        return guarded(Response::new(200, "text/html; charset=utf-8", inner));
    }
    html(
        200,
        &format!(
            "<header><h1>talosctl-oidc <span>Admin Dashboard</span></h1><nav>\
             <label class=\"auto\" hidden><input type=\"checkbox\" id=\"auto\"> Auto-refresh</label>\
             <a class=\"button\" id=\"refresh\" href=\"/admin/{0}\">Refresh</a>\
             <form method=\"post\" action=\"/admin/logout\"><button>Logout</button></form>\
             </nav></header>\
             <form class=\"search\" method=\"get\" action=\"/admin/\" role=\"search\">\
             <label for=\"q\">Search</label><input id=\"q\" name=\"q\" type=\"search\" value=\"{1}\" \
             placeholder=\"subject, e-mail, role, address\"><button>Find</button>\
             <a class=\"button\" href=\"/admin/export?format=csv&amp;{2}\">CSV</a>\
             <a class=\"button\" href=\"/admin/export?{2}\">JSON</a></form>\
             <p id=\"note\" class=\"bad\" role=\"status\"></p><main id=\"live\">{inner}</main>",
            escape(&query(view.search, view.offset)),
            escape(view.search),
            escape(&encode_form([("q", view.search)])),
        ),
        true,
    )
}

fn inner(view: &View<'_>) -> String {
    let uptime = view.now.mono.since(view.started.mono) / 1000;
    let uptime = GoDuration::from_secs(u32::try_from(uptime).unwrap_or(u32::MAX)).to_string();
    let cards = [
        ("Uptime", uptime),
        ("Active Sessions", view.active.to_string()),
        ("Total Certs Issued", view.totals.certs_issued.to_string()),
        ("Auth Successes", view.totals.auth_successes.to_string()),
        ("Auth Failures", view.totals.auth_failures.to_string()),
        ("Access Denied", view.totals.access_denied.to_string()),
        ("Cert Errors", view.totals.cert_errors.to_string()),
    ];
    let mut out = String::from("<dl class=\"cards\">");
    for (name, value) in cards {
        out.push_str(&format!("<div><dt>{name}</dt><dd>{value}</dd></div>"));
    }
    out.push_str("</dl><h2>Active Sessions</h2>");
    if view.rows.is_empty() {
        out.push_str(if view.search.is_empty() {
            "<p class=\"empty\">No active sessions. A certificate shows up here when it is issued.</p>"
        } else {
            "<p class=\"empty\">No active session matches the search.</p>"
        });
    } else {
        table(&mut out, view);
    }
    pages(&mut out, view);
    out.push_str(&format!(
        "<footer><span>Started {}</span><span>Updated {}</span><span>All times are UTC</span></footer>",
        Rfc3339(view.started.wall),
        Rfc3339(view.now.wall)
    ));
    out
}

fn table(out: &mut String, view: &View<'_>) {
    out.push_str(
        "<div class=\"wide\" id=\"table\" tabindex=\"0\" role=\"region\" aria-label=\"Active sessions\">\
         <table><thead><tr><th scope=\"col\">Subject<th scope=\"col\">Email<th scope=\"col\">Roles\
         <th scope=\"col\">Client IP<th scope=\"col\">Issued<th scope=\"col\">Expires\
         <th scope=\"col\">TTL<th scope=\"col\">Status</tr></thead><tbody>",
    );
    for row in &view.rows {
        let roles: Vec<String> = row
            .roles
            .iter()
            .map(|role| format!("<code>{}</code>", escape(role.as_str())))
            .collect();
        out.push_str(&format!(
            "<tr><td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td><b>Active</b></tr>",
            escape(&row.subject),
            escape(&row.email),
            roles.join(" "),
            escape(&row.client_ip),
            clock(row.issued_at, view.now.wall),
            clock(row.expires_at, view.now.wall),
            row.ttl()
        ));
    }
    out.push_str("</tbody></table></div>");
}

/// A moment as the time of day, with the date in front when it is another day than today.
fn clock(at: UnixTime, now: UnixTime) -> String {
    let (full, today) = (Rfc3339(at).to_string(), Rfc3339(now).to_string());
    let (date, time) = (full.get(..10).unwrap_or_default(), full.get(11..19).unwrap_or_default());
    let shown = if today.starts_with(date) { time.into() } else { format!("{date} {time}") };
    format!("<time datetime=\"{full}\" title=\"{full}\">{shown}</time>")
}

fn pages(out: &mut String, view: &View<'_>) {
    if view.found <= view.page_rows && view.offset == 0 {
        return;
    }
    let last = view.offset.saturating_add(view.rows.len());
    out.push_str("<nav class=\"pages\" aria-label=\"Pages\">");
    if view.offset > 0 {
        let back = view.offset.saturating_sub(view.page_rows);
        let href = escape(&query(view.search, back));
        out.push_str(&format!("<a class=\"button\" id=\"newer\" href=\"/admin/{href}\">Newer</a>"));
    }
    out.push_str(&format!(
        "<span>{} to {last} of {}</span>",
        view.offset.saturating_add(1).min(last),
        view.found
    ));
    if last < view.found {
        let href = escape(&query(view.search, last));
        out.push_str(&format!("<a class=\"button\" id=\"older\" href=\"/admin/{href}\">Older</a>"));
    }
    out.push_str("</nav>");
}

fn query(search: &str, offset: usize) -> String {
    let offset = offset.to_string();
    match (search.is_empty(), offset == "0") {
        (true, true) => String::new(),
        (true, false) => format!("?{}", *encode_form([("offset", offset.as_str())])),
        (false, true) => format!("?{}", *encode_form([("q", search)])),
        (false, false) => {
            format!("?{}", *encode_form([("q", search), ("offset", offset.as_str())]))
        }
    }
}

fn html(status: u16, body: &str, live: bool) -> Response {
    // Without script the page still refreshes, as a whole.
    let (script, fallback) = if live {
        (
            format!("<script>{SCRIPT}</script>"),
            "<noscript><meta http-equiv=\"refresh\" content=\"10\"></noscript>",
        )
    } else {
        (String::new(), "")
    };
    let page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>talosctl-oidc Admin Dashboard</title><link rel=\"icon\" href=\"data:,\">{fallback}\
         <style>{STYLE}</style></head><body>{body}{script}</body></html>"
    );
    let csp = format!(
        "default-src 'none'; style-src '{}'; script-src '{}'; connect-src 'self'; img-src data:; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        source(STYLE),
        source(SCRIPT)
    );
    guarded(Response::new(status, "text/html; charset=utf-8", page))
        .with("content-security-policy", csp)
        .with("x-frame-options", "DENY")
        .with("referrer-policy", "no-referrer")
}

/// A CSP hash source.
fn source(text: &str) -> String {
    format!("sha256-{}", BASE64_STANDARD.encode(digest(&SHA256, text.as_bytes())))
}

/// Escapes text for element content and quoted attributes.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A time of day alone would hide that a certificate ends tomorrow.
    #[test]
    fn another_day_is_named() {
        let now = UnixTime::from_secs(1_771_338_600);
        assert!(clock(now, now).ends_with(">14:30:00</time>"));
        assert!(clock(now.plus_secs(86_400), now).ends_with(">2026-02-18 14:30:00</time>"));
    }

    #[test]
    fn nothing_escapes_the_escaping() {
        assert_eq!(
            escape("<a href='x' b=\"&\">\u{0}"),
            "&lt;a href=&#39;x&#39; b=&quot;&amp;&quot;&gt;\u{fffd}"
        );
    }
}
