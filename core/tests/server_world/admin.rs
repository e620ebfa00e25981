//! The pages under `/admin/`, asked as a browser and a script ask.

use std::net::SocketAddr;

use exchange_core::http::{Headers, Method, RequestHead, Response, Version};
use exchange_core::machine::{Entropy, Mono, Now, RequestId, UnixTime};
use exchange_core::server::admin::Admin;
use exchange_core::server::audit::{AuditEvent, EventType};
use exchange_core::server::{Call, Connections, Door, Setup};
use exchange_core::types::Secret;

use crate::world::{EPOCH, setup};

const TOKEN: &str = "the-admin-token-of-these-tests";
const HOSTILE: &str = "=<img src=x onerror=\"a()\">,'&";

struct Office {
    admin: Admin,
    setup: Setup,
    millis: u64,
    cookie: String,
}

impl Office {
    fn new() -> Self {
        let setup = Setup { admin_token: Some(Secret::from(TOKEN.to_owned())), ..setup() };
        Self { admin: Admin::new(at(0)), setup, millis: 1000, cookie: String::new() }
    }

    /// A certificate for five minutes.
    fn issued(&mut self, subject: &str) {
        let now = at(self.millis).wall;
        let peer = SocketAddr::from(([192, 0, 2, 7], 50_000));
        let mut event = AuditEvent::new(now, EventType::CertIssued, RequestId(1), peer);
        event.subject = Some(subject.into());
        event.roles = vec!["os:reader".parse().unwrap()];
        event.expiry = Some(now.plus_secs(300));
        self.admin.ledger.record(event);
    }

    fn ask(&mut self, method: Method, target: &str, header: (&str, &str), body: &str) -> Response {
        let mut headers = Headers::default();
        headers.push(header.0, header.1.as_bytes());
        let call = Call {
            id: RequestId(self.millis),
            peer: SocketAddr::from(([198, 51, 100, 9], 40_000)),
            tls: true,
            door: Door::Main,
            connections: Connections::default(),
            head: RequestHead { method, target: target.into(), version: Version::Http11, headers },
            body: Ok(body.as_bytes().to_vec().into()),
            entropy: Entropy::new(std::array::from_fn(|n| n as u8)),
        };
        self.admin.answer(at(self.millis), call, &self.setup)
    }

    fn log_in(&mut self, token: &str) -> Response {
        let answer =
            self.ask(Method::Post, "/admin/login", ("x-a", "b"), &format!("token={token}"));
        if let Some(cookie) = answer.header("set-cookie") {
            self.cookie = cookie.split(';').next().unwrap().to_owned();
        }
        answer
    }

    /// A page in the browser.
    fn page(&mut self, target: &str) -> String {
        let cookie = self.cookie.clone();
        text(&self.ask(Method::Get, target, ("cookie", &cookie), ""))
    }
}

fn at(millis: u64) -> Now {
    let wall = UnixTime::from_secs(EPOCH + millis / 1000);
    Now { mono: Mono::from_millis(millis), wall }
}

fn text(response: &Response) -> String {
    String::from_utf8(response.body.to_vec()).unwrap()
}

#[test]
fn a_stranger_sees_a_form_and_no_names() {
    let mut office = Office::new();
    office.issued("ana");
    let page = office.page("/admin/");
    assert!(page.contains("name=\"token\"") && !page.contains("ana"), "{page}");
    assert!(!office.page("/admin/export").contains("ana"));
    // The script that refreshes a page learns that the session is over.
    assert_eq!(office.ask(Method::Get, "/admin/?part=1", ("x-a", "b"), "").status, 401);
    assert_eq!(office.ask(Method::Get, "/admin/login", ("x-a", "b"), "").status, 405);
    assert_eq!(office.ask(Method::Get, "/admin/logout", ("x-a", "b"), "").status, 405);
    let without = Setup { admin_token: None, ..setup() };
    office.setup = without;
    assert_eq!(office.ask(Method::Get, "/admin/", ("x-a", "b"), "").status, 403);
}

#[test]
fn a_session_lasts_from_login_to_logout() {
    let mut office = Office::new();
    office.issued("ana");
    let answer = office.log_in(TOKEN);
    assert_eq!((answer.status, answer.header("location")), (303, Some("/admin/")));
    let cookie = answer.header("set-cookie").unwrap();
    for word in ["HttpOnly", "SameSite=Strict", "; Secure", "Path=/admin/"] {
        assert!(cookie.contains(word), "{cookie}");
    }
    let page = office.page("/admin/");
    assert!(page.contains("<td>ana<td>") && page.contains("<code>os:reader</code>"), "{page}");
    assert!(page.contains("<dt>Total Certs Issued</dt><dd>1</dd>"), "{page}");
    // The part alone, for the script.
    let part = office.page("/admin/?part=1");
    assert!(part.starts_with("<dl") && part.contains("ana"), "{part}");
    let cookie = office.cookie.clone();
    let answer = office.ask(Method::Post, "/admin/logout", ("cookie", &cookie), "");
    assert!(answer.header("set-cookie").unwrap().contains("Max-Age=0"));
    assert!(!office.page("/admin/").contains("ana"));
    // And a day at most.
    office.log_in(TOKEN);
    office.millis += 24 * 3_600_000;
    office.issued("ana");
    assert!(!office.page("/admin/").contains("ana"));
}

#[test]
fn what_others_chose_is_text_everywhere() {
    let mut office = Office::new();
    office.issued(HOSTILE);
    office.log_in(TOKEN);
    let page = office.page("/admin/");
    assert!(!page.contains("<img"), "{page}");
    assert!(page.contains("&lt;img src=x onerror=&quot;a()&quot;&gt;,&#39;&amp;"), "{page}");
    let search = office.page("/admin/?q=%3Cimg");
    assert!(!search.contains("<img") && search.contains("value=\"&lt;img\""), "{search}");
    let csv = office.page("/admin/export?format=csv");
    // No formula for a spreadsheet, and one cell.
    let cell = "\r\n\"'=<img src=x onerror=\"\"a()\"\">,'&\",";
    assert!(csv.contains(cell) || csv.contains(&cell.replace('\r', "")), "{csv}");
    let json = office.page("/admin/export");
    let rows: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(rows[0]["subject"], HOSTILE);
}

#[test]
fn the_list_is_searched_and_paged() {
    let mut office = Office::new();
    office.log_in(TOKEN);
    assert!(office.page("/admin/").contains("No active sessions."));
    for n in 0..120 {
        office.issued(&format!("user-{n:03}"));
    }
    let first = office.page("/admin/");
    assert!(first.contains("1 to 50 of 120") && first.contains("user-119"), "{first}");
    assert!(first.contains("href=\"/admin/?offset=50\">Older") && !first.contains("Newer"));
    let second = office.page("/admin/?offset=50");
    assert!(second.contains("51 to 100 of 120") && second.contains("href=\"/admin/\">Newer"));
    let last = office.page("/admin/?offset=100");
    assert!(last.contains("101 to 120 of 120") && !last.contains("Older"), "{last}");
    let found = office.page("/admin/?q=USER-00");
    assert!(found.contains("user-007") && !found.contains("user-010"), "{found}");
    let paged = office.page("/admin/?q=user&offset=100");
    assert!(paged.contains("href=\"/admin/?q=user&amp;offset=50\">Newer"), "{paged}");
    assert!(office.page("/admin/?q=nobody").contains("No active session matches the search."));
    // Five minutes later all have ended.
    office.millis += 300_000;
    assert!(office.page("/admin/").contains("No active sessions."));
}

#[test]
fn a_script_asks_with_the_token() {
    let mut office = Office::new();
    office.issued("ana");
    office.issued("ben");
    let bearer = format!("Bearer {TOKEN}");
    let mut get = |header: (&str, &str), target: &str| {
        let answer = office.ask(Method::Get, target, header, "");
        (answer.status, text(&answer))
    };
    let (status, stats) = get(("authorization", &bearer), "/admin/stats");
    let stats: serde_json::Value = serde_json::from_str(&stats).unwrap();
    assert_eq!(status, 200);
    assert!(stats["total_certs_issued"] == 2 && stats["active_certs"] == 2, "{stats}");
    let (_, certs) = get(("authorization", &bearer), "/admin/certs?limit=1");
    assert!(certs.contains("ben") && !certs.contains("ana"), "{certs}");
    let (_, certs) = get(("authorization", &bearer), "/admin/certs?offset=1");
    assert!(certs.contains("ana") && !certs.contains("ben"), "{certs}");
    for (header, status, code) in [
        (("x-a", "b"), 401, "admin.token_missing"),
        (("authorization", "Basic YTpi"), 401, "admin.not_bearer"),
        (("authorization", "Bearer wrong"), 403, "admin.token_invalid"),
    ] {
        for target in ["/admin/stats", "/admin/certs"] {
            let (found, body) = get(header, target);
            assert!(found == status && body.contains(code), "{found} {body}");
        }
    }
    let answer = office.ask(Method::Post, "/admin/stats", ("authorization", &bearer), "");
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")));
}

/// Whichever way the tries come, they count together, and the right token is no way out.
#[test]
fn five_wrong_tokens_lock_an_address_out() {
    let mut office = Office::new();
    for _ in 0..3 {
        assert_eq!(office.log_in("wrong").status, 401);
    }
    for _ in 0..2 {
        let header = ("authorization", "Bearer wrong");
        assert_eq!(office.ask(Method::Get, "/admin/stats", header, "").status, 403);
    }
    let locked = office.log_in(TOKEN);
    assert_eq!((locked.status, locked.header("retry-after")), (429, Some("900")));
    assert!(text(&locked).contains("Try again in 15 minutes."));
    office.millis += 14 * 60_000 + 1;
    let bearer = format!("Bearer {TOKEN}");
    let header = ("authorization", bearer.as_str());
    let locked = office.ask(Method::Get, "/admin/stats", header, "");
    assert_eq!((locked.status, locked.header("retry-after")), (429, Some("60")));
    assert!(text(&office.log_in(TOKEN)).contains("Try again in 1 minute."));
    office.millis += 60_000;
    assert_eq!(office.log_in(TOKEN).status, 303);
}
