//! `/admin/*` and `/metrics`: who gets in, what is shown, what stays bounded.

use serde_json::{Value, json};

use crate::client::Reply;
use crate::provider::Provider;
use crate::token::Key;
use crate::world::{Config, Server};

const TOKEN: &str = "an-admin-token-of-some-length";
const DISABLED: &str = "admin API is disabled (no TALOSCTL_OIDC_ADMIN_TOKEN configured)";

fn get(server: &Server, path: &str, authorization: &str) -> Reply {
    server.open().request("GET", path, &[("authorization", authorization)], b"")
}

fn good(server: &Server, path: &str) -> Reply {
    get(server, path, &format!("Bearer {TOKEN}"))
}

fn login(server: &Server, form: &str) -> Reply {
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    server.open().request("POST", "/admin/login", &headers, form.as_bytes())
}

/// Waits until the statistics have caught up with the audit log.
fn stats_when(server: &Server, name: &str, value: u64) -> Value {
    server.settle(name, || good(server, "/admin/stats").json()[name] == value);
    good(server, "/admin/stats").json()
}

/// Section 2.4 and the README: everything under `/admin` is closed without a token.
#[test]
fn s24_without_an_admin_token_everything_is_403() {
    let provider = Provider::start();
    let server = Config::new(&provider).start();
    for path in [
        "/admin",
        "/admin/",
        "/admin/stats",
        "/admin/certs",
        "/admin/login",
        "/admin/x",
        "/metrics",
    ] {
        for method in ["GET", "POST"] {
            let headers = [("authorization", "Bearer x")];
            let reply = server.open().request(method, path, &headers, b"");
            assert_eq!((reply.status, &*reply.error()), (403, DISABLED), "{method} {path}");
        }
    }
}

/// The checks of the two API paths, in their order, with the texts of the original.
#[test]
fn s24_the_api_checks_in_order() {
    let provider = Provider::start();
    let server = Config::new(&provider).set("admin_token", TOKEN).start();
    for path in ["/admin/stats", "/admin/certs", "/metrics"] {
        // The method is looked at last.
        let missing = server.open().request("POST", path, &[], b"");
        assert_eq!((missing.status, &*missing.error()), (401, "missing Authorization header"));
        for value in ["Basic eDp5", "Bearer", TOKEN] {
            let reply = get(&server, path, value);
            let text = "invalid Authorization header (expected Bearer token)";
            assert_eq!((reply.status, &*reply.error()), (401, text), "{value}");
        }
        let wrong = get(&server, path, "Bearer wrong");
        assert_eq!((wrong.status, &*wrong.error()), (403, "invalid admin token"));
        let headers = [("authorization", &*format!("Bearer {TOKEN}"))];
        let method = server.open().request("POST", path, &headers, b"");
        assert_eq!((method.status, &*method.error()), (405, "method not allowed"), "{path}");
        assert!(method.header("allow").unwrap().starts_with("GET"));
        assert_eq!(get(&server, path, &format!("bearer {TOKEN}")).status, 200);
    }
}

/// Names, types and meaning of what the two API paths tell; which refusals count.
#[test]
fn s24_stats_and_certs_have_the_members_of_the_original() {
    let provider = Provider::start();
    let config =
        Config::new(&provider).set("admin_token", TOKEN).set("roles", "[os:reader, os:operator]");
    let server = config.start().ready();
    assert_eq!(good(&server, "/admin/certs").text(), "[]\n");
    let alice = server.post(&provider.body("alice", json!({"email": "a@example.com"})));
    assert_eq!(alice.status, 200);
    server.post(&provider.body("bob", json!({})));
    server.post(b"{\"id_token\":\"a.b.c\"}");
    server.post(b"not counted");
    let stats = stats_when(&server, "total_auth_failures", 1);
    assert_eq!(stats["total_certs_issued"], 2);
    assert_eq!(stats["active_certs"], 2);
    assert_eq!(stats["total_auth_successes"], 2);
    assert_eq!(stats["total_cert_errors"], 0);
    let started = stats["started_at"].as_str().unwrap();
    assert!(started.len() == 20 && started.ends_with('Z'), "{started}");
    let uptime = stats["uptime"].as_str().unwrap();
    assert!(uptime.ends_with('s') && uptime.as_bytes()[0].is_ascii_digit(), "{uptime}");
    let certs = good(&server, "/admin/certs");
    assert_eq!(certs.header("content-type"), Some("application/json"));
    let list = certs.json();
    let found = list.as_array().unwrap().iter().find(|row| row["subject"] == "alice").unwrap();
    assert_eq!(found["email"], "a@example.com");
    assert_eq!(found["roles"], json!(["os:reader", "os:operator"]));
    assert_eq!(found["ttl"], "5m0s");
    assert!(found["client_ip"].as_str().unwrap().starts_with("127.0.0.1:"));
    assert_eq!(found["fingerprint"].as_str().unwrap().len(), 64);
    for at in ["issued_at", "expires_at"] {
        assert!(found[at].as_str().unwrap().ends_with('Z'), "{found}");
    }
    let bob = list.as_array().unwrap().iter().find(|row| row["subject"] == "bob").unwrap();
    assert_eq!(bob["email"], "");
    // Search, paging, CSV.
    assert_eq!(good(&server, "/admin/certs?q=ALICE").json().as_array().unwrap().len(), 1);
    assert_eq!(good(&server, "/admin/certs?limit=1").json().as_array().unwrap().len(), 1);
    assert_eq!(good(&server, "/admin/certs?offset=2").text(), "[]\n");
    let csv = good(&server, "/admin/certs?format=csv");
    assert!(csv.header("content-type").unwrap().starts_with("text/csv"));
    assert_eq!(csv.text().lines().count(), 3);
}

/// D16: expired certificates leave the list by themselves.
#[test]
fn d16_expired_certificates_leave_the_list() {
    let provider = Provider::start();
    let config = Config::new(&provider).set("admin_token", TOKEN).set("cert_ttl", "2s");
    let server = config.start().ready();
    assert_eq!(server.post(&provider.body("alice", json!({}))).status, 200);
    stats_when(&server, "total_certs_issued", 1);
    server.settle("an empty list", || good(&server, "/admin/certs").text() == "[]\n");
    let stats = good(&server, "/admin/stats").json();
    assert_eq!((&stats["active_certs"], &stats["total_certs_issued"]), (&json!(0), &json!(1)));
}

/// Lists and counters come back from the audit log, each event once.
#[test]
fn s24_counters_and_list_survive_a_restart() {
    let provider = Provider::start();
    let server = Config::new(&provider).set("admin_token", TOKEN).start().ready();
    for name in ["alice", "bob", "carol"] {
        assert_eq!(server.post(&provider.body(name, json!({}))).status, 200);
    }
    server.post(b"{\"id_token\":\"a.b.c\"}");
    let server = server.stop().start().ready();
    for _ in 0..5 {
        assert_eq!(server.post(&provider.body("dave", json!({}))).status, 200);
    }
    let stats = stats_when(&server, "total_certs_issued", 8);
    assert_eq!(stats["total_auth_failures"], 1);
    assert_eq!(stats["active_certs"], 8);
    // Nothing more arrives late and counts twice.
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert_eq!(good(&server, "/admin/stats").json()["total_certs_issued"], 8);
}

/// Section 2.5: page, login, cookie, session, logout.
#[test]
fn s25_login_makes_a_session_and_logout_ends_it() {
    let provider = Provider::start();
    let server = Config::new(&provider).set("admin_token", TOKEN).start().ready();
    let slashless = server.get("/admin");
    assert_eq!((slashless.status, slashless.header("location")), (301, Some("/admin/")));
    let page = server.get("/admin/");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(page.text().contains("type=\"password\"") && page.text().contains("name=\"token\""));
    for header in ["content-security-policy", "x-frame-options", "referrer-policy", "cache-control"]
    {
        assert!(page.header(header).is_some(), "{header}");
    }
    let wrong = login(&server, "token=wrong");
    assert_eq!(wrong.status, 401);
    assert!(wrong.text().contains("Invalid admin token"));
    assert_eq!(wrong.header("set-cookie"), None);
    let by_get = server.get(&format!("/admin/login?token={TOKEN}"));
    assert_eq!((by_get.status, by_get.header("allow")), (405, Some("POST")));
    // A token in the query is none.
    let in_query = server.open().request("POST", &format!("/admin/login?token={TOKEN}"), &[], b"");
    assert_eq!(in_query.status, 401);
    let garbled = login(&server, "token=%zz");
    assert_eq!((garbled.status, garbled.header("location")), (303, Some("/admin/")));
    let right = login(&server, &format!("token={TOKEN}"));
    assert_eq!((right.status, right.header("location")), (303, Some("/admin/")));
    let cookie = right.header("set-cookie").unwrap().to_owned();
    let (pair, attributes) = cookie.split_once("; ").unwrap();
    let value = pair.strip_prefix("talosctl_oidc_admin_session=").unwrap();
    assert_eq!(value.len(), 44);
    assert_eq!(attributes, "Path=/admin/; Max-Age=86400; HttpOnly; SameSite=Strict");
    let with = |path: &str, method: &str| {
        server.open().request(method, path, &[("cookie", &format!("a=b; {pair}"))], b"")
    };
    server.post(&provider.body("<script>alert(1)</script>", json!({"email": "a@b.example"})));
    server.settle("a row", || with("/admin/", "GET").text().contains("a@b.example"));
    let page = with("/admin/anything", "GET").text();
    for word in [
        "Admin Dashboard",
        "Uptime",
        "Active Sessions",
        "Total Certs Issued",
        "Auth Successes",
        "Auth Failures",
        "Cert Errors",
        "Subject",
        "Email",
        "Roles",
        "Client IP",
        "Issued",
        "Expires",
        "TTL",
        "Status",
        "Refresh",
        "Logout",
    ] {
        assert!(page.contains(word), "{word}");
    }
    assert!(page.contains("&lt;script&gt;alert(1)") && !page.contains("<script>alert"), "{page}");
    // A session opens the page, not the API.
    for path in ["/admin/stats", "/admin/certs"] {
        assert_eq!(with(path, "GET").error(), "missing Authorization header");
    }
    assert_eq!(with("/admin/logout", "GET").status, 405);
    let out = with("/admin/logout", "POST");
    assert_eq!((out.status, out.header("location")), (303, Some("/admin/")));
    assert!(out.header("set-cookie").unwrap().contains("Max-Age=0"));
    assert!(with("/admin/", "GET").text().contains("type=\"password\""));
}

/// The cookie is for TLS only wherever the browser speaks TLS, also through a trusted proxy.
#[test]
fn s25_the_cookie_is_secure_behind_a_tls_proxy() {
    let provider = Provider::start();
    let attempt = |server: &Server, proto: &str| {
        let headers = [("x-forwarded-proto", proto)];
        let body = format!("token={TOKEN}");
        let reply = server.open().request("POST", "/admin/login", &headers, body.as_bytes());
        reply.header("set-cookie").unwrap().contains("; Secure")
    };
    let config = Config::new(&provider).set("admin_token", TOKEN);
    let behind = config.set("trusted_proxies", "[127.0.0.1]").start();
    for (proto, secure) in
        [("https", true), ("HTTPS", true), ("https, http", true), ("http, https", false)]
    {
        assert_eq!(attempt(&behind, proto), secure, "{proto}");
    }
    assert!(!attempt(&Config::new(&provider).set("admin_token", TOKEN).start(), "https"));
}

/// D28: five wrong tokens lock the address out, however they came; the right one no longer helps.
#[test]
fn d28_form_and_bearer_share_one_lock_out() {
    let provider = Provider::start();
    let server = Config::new(&provider).set("admin_token", TOKEN).start();
    for n in 0..5 {
        if n % 2 == 0 {
            assert_eq!(get(&server, "/admin/stats", "Bearer wrong").status, 403);
        } else {
            assert_eq!(login(&server, "token=wrong").status, 401);
        }
    }
    let form = login(&server, &format!("token={TOKEN}"));
    assert_eq!(form.status, 429);
    assert!(form.text().contains("15 minutes"), "{}", form.text());
    let wait: u64 = form.header("retry-after").unwrap().parse().unwrap();
    assert!((890..=900).contains(&wait), "{wait}");
    for path in ["/admin/stats", "/admin/certs", "/metrics"] {
        assert_eq!(good(&server, path).status, 429, "{path}");
    }
    // The exchange has nothing to do with it.
    assert_eq!(server.get("/healthz").status, 200);
}

/// A success clears the count.
#[test]
fn s25_the_right_token_clears_the_count() {
    let provider = Provider::start();
    let server = Config::new(&provider).set("admin_token", TOKEN).start();
    for _ in 0..3 {
        for _ in 0..4 {
            assert_eq!(login(&server, "token=wrong").status, 401);
        }
        assert_eq!(good(&server, "/admin/stats").status, 200);
    }
}

/// D1 again: a header of anybody neither evades the lock-out nor locks somebody else out.
#[test]
fn d1_the_lock_out_is_of_the_peer_and_not_of_a_header() {
    let provider = Provider::start();
    let server = Config::new(&provider).set("admin_token", TOKEN).start();
    let attempt = |server: &Server, from: &str, token: &str| {
        let headers = [("x-forwarded-for", from), ("authorization", &format!("Bearer {token}"))];
        server.open().request("GET", "/admin/stats", &headers, b"").status
    };
    for n in 0..5 {
        assert_eq!(attempt(&server, &format!("10.0.0.{n}"), "wrong"), 403);
    }
    assert_eq!(attempt(&server, "10.0.0.99", TOKEN), 429);
    drop(server);
    let config = Config::new(&provider).set("admin_token", TOKEN);
    let server = config.set("trusted_proxies", "[127.0.0.1]").start();
    for _ in 0..5 {
        assert_eq!(attempt(&server, "203.0.113.9", "wrong"), 403);
    }
    assert_eq!(attempt(&server, "203.0.113.9", TOKEN), 429);
    assert_eq!(attempt(&server, "203.0.113.10", TOKEN), 200);
}

/// Every sample follows the type of its family and has a name that this type allows; families
/// come once, and buckets never fall.
fn is_openmetrics(text: &str) {
    let mut families = std::collections::BTreeMap::new();
    let (mut family, mut bucket) = ("", 0_u64);
    for line in text.lines().take_while(|line| *line != "# EOF") {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(families.insert(name, kind), None, "{line}");
            (family, bucket) = (name, 0);
        } else if let Some(rest) = line.strip_prefix("# HELP ") {
            assert!(rest.starts_with(&format!("{family} ")), "{line}");
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            let suffix = name.strip_prefix(family).unwrap_or_else(|| panic!("{family}: {line}"));
            let allowed: &[&str] = match families[family] {
                "counter" => &["_total"],
                "gauge" => &[""],
                "info" => &["_info"],
                "histogram" => &["_bucket", "_sum", "_count"],
                other => panic!("{other}"),
            };
            assert!(allowed.contains(&suffix), "{line}");
            assert!(value.parse::<f64>().unwrap() >= 0.0, "{line}");
            if suffix == "_bucket" || suffix == "_count" {
                let count = value.parse().unwrap();
                assert!(count >= bucket, "{line}");
                bucket = count;
            }
        }
    }
    assert!(families.len() >= 10, "{families:?}");
}

/// The series do not grow with what strangers send.
#[test]
fn s2_metrics_have_no_series_of_strangers() {
    let provider = Provider::start();
    let config =
        Config::new(&provider).set("admin_token", TOKEN).set("metrics_listen", "127.0.0.2:0");
    let server = config.start().ready();
    let line = server.log.wait("metrics on ");
    let address = line.split("http://").nth(1).unwrap().split('/').next().unwrap().parse().unwrap();
    let scrape = || {
        let reply = crate::client::Conn::open(address).request("GET", "/metrics", &[], b"");
        assert_eq!(reply.status, 200);
        assert!(reply.header("content-type").unwrap().starts_with("application/openmetrics-text"));
        reply.text()
    };
    let stranger = Key::ed25519("x", 99);
    let mut conn = server.open();
    let mut ask = |n: usize| {
        let sub = format!("subject-{n}");
        let own = provider.body(&sub, json!({"email": format!("{n}@x.example")}));
        let claims = crate::token::claims(&provider.issuer(), &sub, json!({}));
        let header = json!({"alg": "EdDSA", "kid": format!("kid-{n}")});
        let forged = stranger.sign_with_header(&header, &claims);
        let forged = json!({ "id_token": forged }).to_string();
        assert_eq!(conn.request("POST", "/exchange", &[], &own).status, 200);
        assert_eq!(conn.request("POST", "/exchange", &[], forged.as_bytes()).status, 401);
        let agent = format!("agent-{n}");
        let headers = [("user-agent", &*agent)];
        conn.request("POST", &format!("/path-{n}"), &headers, b"");
    };
    ask(0);
    let series = |text: &str| text.lines().filter(|line| !line.starts_with('#')).count();
    let before = series(&scrape());
    (1..150).for_each(&mut ask);
    let text = scrape();
    assert_eq!(series(&text), before, "{text}");
    assert!(!text.contains("subject-") && !text.contains("kid-") && !text.contains("agent-"));
    assert!(
        text.contains("talosctl_oidc_exchanges_total{status=\"200\",code=\"ok\"} 150\n"),
        "{text}"
    );
    assert!(text.contains("code=\"token.unknown_key\"} 150\n"), "{text}");
    for name in [
        "exchange_seconds_bucket",
        "keys_age_seconds",
        "fetches_total",
        "active_certificates",
        "connections",
        "connections_ended_total",
        "build_info",
    ] {
        assert!(text.contains(&format!("talosctl_oidc_{name}")), "{name}");
    }
    assert!(text.ends_with("# EOF\n"));
    is_openmetrics(&text);
    // The metrics listener serves metrics and probes, and nothing else.
    let mut conn = crate::client::Conn::open(address);
    assert_eq!(conn.request("POST", "/exchange", &[], b"{}").status, 404);
    assert_eq!(conn.request("GET", "/admin/", &[], b"").status, 404);
    assert_eq!(good(&server, "/metrics").status, 200);
}
