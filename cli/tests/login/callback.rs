//! The callback server of a running login: what a browser, its helpers, other pages and other
//! programs may ask of it, and what becomes of it (compat.md 10.5, D13; attacks 111 to 119).

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::machine::{Home, Running, get};
use crate::stub::Stub;

/// A login that waits for its callback.
struct Waiting {
    home: Home,
    stub: Stub,
    running: Running,
    /// Where the callback server is.
    authority: String,
    /// What the provider sends the browser back with.
    answer: String,
}

/// An answer as it came.
struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Waiting {
    fn new() -> Self {
        let (home, stub) = (Home::new(), Stub::start());
        let mut command = home.login(&stub, &[]);
        command.env("DEBUG", "1");
        let mut running = Running::start(command);
        let url = running.login_url().unwrap();
        let (_, location, _) = get(&url);
        let location = location.unwrap();
        let (authority, target) =
            location.strip_prefix("http://").unwrap().split_once('/').unwrap();
        let (path, answer) = target.split_once('?').unwrap();
        assert_eq!(path, "callback");
        let (authority, answer) = (authority.to_owned(), answer.to_owned());
        Self { home, stub, running, authority, answer }
    }

    fn member(&self, name: &str) -> &str {
        let pairs = self.answer.split('&').filter_map(|pair| pair.split_once('='));
        pairs.into_iter().find(|(known, _)| *known == name).unwrap().1
    }

    /// Sends these bytes and reads to the end.
    fn send(&self, bytes: &[u8]) -> Reply {
        let mut tcp = TcpStream::connect(&self.authority).unwrap();
        tcp.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        tcp.write_all(bytes).unwrap();
        let mut raw = Vec::new();
        tcp.read_to_end(&mut raw).unwrap();
        let text = String::from_utf8(raw).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Reply { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    fn ask(&self, method: &str, target: &str, headers: &str) -> Reply {
        let host = if headers.to_ascii_lowercase().contains("host:") || headers == "-" {
            String::new()
        } else {
            format!("Host: {}\r\n", self.authority)
        };
        let headers = headers.trim_start_matches('-');
        let head =
            format!("{method} {target} HTTP/1.1\r\n{host}{headers}Connection: close\r\n\r\n");
        self.send(head.as_bytes())
    }

    /// The real answer comes at last.
    fn complete(self) -> String {
        let reply = self.ask("GET", &format!("/callback?{}", self.answer), "");
        assert_eq!(reply.status, 200, "{}", reply.body);
        assert!(reply.body.contains("Login complete"), "{}", reply.body);
        assert!(reply.head.contains("connection: close"), "{}", reply.head);
        let written = fs::read_to_string(self.home.talosconfig()).unwrap();
        assert!(written.contains("crt:"), "said before it was so");
        let ended = self.running.end();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        for secret in &self.stub.state().secrets {
            assert!(!ended.err.contains(secret.as_str()), "stderr has a secret: {}", ended.err);
        }
        ended.err
    }
}

#[test]
fn d13_what_does_not_belong_to_the_login_is_answered_and_forgotten() {
    let waiting = Waiting::new();
    let (code, state) = (waiting.member("code"), waiting.member("state"));
    let right = format!("/callback?{}", waiting.answer);
    let port = waiting.authority.rsplit_once(':').unwrap().1;
    let other_port = port.parse::<u16>().unwrap().wrapping_add(1).to_string();
    let cases = [
        // 111: another login's answer, or anybody's.
        ("state wrong", "GET", format!("/callback?code={code}&state=x{state}"), "", 400),
        ("state missing", "GET", format!("/callback?code={code}"), "", 400),
        ("state empty", "GET", format!("/callback?code={code}&state="), "", 400),
        ("state twice", "GET", format!("{right}&state={state}"), "", 400),
        ("state in another case", "GET", format!("/callback?code={code}&State={state}"), "", 400),
        // 112
        ("code twice", "GET", format!("{right}&code={code}"), "", 400),
        ("code and error", "GET", format!("{right}&error=access_denied"), "", 400),
        ("error twice", "GET", format!("/callback?state={state}&error=a&error=b"), "", 400),
        ("iss twice", "GET", format!("{right}&iss=a&iss=a"), "", 400),
        ("code empty", "GET", format!("/callback?code=&state={state}"), "", 400),
        ("nothing", "GET", "/callback".to_owned(), "", 400),
        ("JARM", "GET", format!("{right}&response=eyJ"), "", 400),
        ("ID token in the query", "GET", format!("{right}&id_token=eyJ"), "", 400),
        ("access token in the query", "GET", format!("{right}&access_token=x"), "", 400),
        ("not UTF-8", "GET", format!("{right}&x=%ff"), "", 400),
        // 115
        ("error without state", "GET", "/callback?error=access_denied".to_owned(), "", 400),
        ("error with another state", "GET", "/callback?error=x&state=y".to_owned(), "", 400),
        // 117
        ("favicon", "GET", "/favicon.ico".to_owned(), "", 404),
        ("icon", "GET", "/apple-touch-icon.png".to_owned(), "", 404),
        ("robots", "GET", "/robots.txt".to_owned(), "", 404),
        ("root", "GET", "/".to_owned(), "", 404),
        ("done", "GET", "/done".to_owned(), "", 404),
        ("other path", "GET", format!("/callback/?{}", waiting.answer), "", 404),
        ("path in another case", "GET", format!("/Callback?{}", waiting.answer), "", 404),
        ("path encoded", "GET", format!("/%63allback?{}", waiting.answer), "", 404),
        ("path doubled", "GET", format!("//callback?{}", waiting.answer), "", 404),
        ("HEAD", "HEAD", right.clone(), "", 204),
        ("OPTIONS", "OPTIONS", right.clone(), "", 204),
        (
            "preflight to a private network",
            "OPTIONS",
            right.clone(),
            "Origin: https://evil.test\r\nAccess-Control-Request-Method: GET\r\n\
             Access-Control-Request-Private-Network: true\r\n",
            204,
        ),
        ("POST", "POST", right.clone(), "Content-Length: 0\r\n", 405),
        ("PUT", "PUT", right.clone(), "Content-Length: 0\r\n", 405),
        ("prefetch", "GET", right.clone(), "Sec-Purpose: prefetch\r\n", 503),
        ("prerender", "GET", right.clone(), "Sec-Purpose: prefetch;prerender\r\n", 503),
        ("preview", "GET", right.clone(), "X-Purpose: preview\r\n", 503),
        ("old prefetch", "GET", right.clone(), "X-moz: prefetch\r\n", 503),
        // 118
        ("rebound name", "GET", right.clone(), "Host: evil.test\r\n", 400),
        ("rebound name, our port", "GET", right.clone(), "Host: evil.test:PORT\r\n", 400),
        ("name with ours in it", "GET", right.clone(), "Host: 127.0.0.1.evil.test:PORT\r\n", 400),
        ("another port", "GET", right.clone(), "Host: 127.0.0.1:OTHER\r\n", 400),
        ("another loopback address", "GET", right.clone(), "Host: 127.0.0.2:PORT\r\n", 400),
        ("no Host", "GET", right.clone(), "-", 400),
        ("two Hosts", "GET", right, "Host: 127.0.0.1:PORT\r\nHost: 127.0.0.1:PORT\r\n", 400),
    ];
    for (name, method, target, headers, status) in cases {
        let headers = headers.replace("PORT", port).replace("OTHER", &other_port);
        let reply = waiting.ask(method, &target, &headers);
        assert_eq!(reply.status, status, "{name}: {}", reply.head);
        assert!(!reply.head.contains("access-control"), "{name}: {}", reply.head);
        assert!(!reply.body.contains("Login complete"), "{name}");
        for shown in [code, state, "evil.test", "eyJ"] {
            assert!(!reply.body.contains(shown), "{name}: {shown} is echoed");
            assert!(!reply.head.contains(&shown.to_ascii_lowercase()), "{name}: {shown}");
        }
    }
    let said = waiting.complete();
    assert!(said.contains("An error came back that may not belong to this login"), "{said}");
}

/// 116, and the headers of every page.
#[test]
fn pages_hold_nothing_that_came_in_and_terminals_no_escapes() {
    let waiting = Waiting::new();
    let words = "%3Cscript%3Ealert(1)%3C/script%3E%1B%5B2J%1B%5D0;title%07%0d%0aError:%20fake";
    let target = format!("/callback?error=bad{words}&error_description={words}");
    let reply = waiting.ask("GET", &target, "");
    assert_eq!(reply.status, 400);
    assert!(!reply.body.contains("alert") && !reply.body.contains('\u{1b}'), "{}", reply.body);
    for header in [
        "content-security-policy: default-src 'none'",
        "x-content-type-options: nosniff",
        "x-frame-options: deny",
        "referrer-policy: no-referrer",
        "cache-control: no-store",
        "content-type: text/html; charset=utf-8",
    ] {
        assert!(reply.head.contains(header), "{header}: {}", reply.head);
    }
    let said = waiting.complete();
    assert!(!said.contains('\u{1b}') && !said.contains('\u{7}'), "{said:?}");
    assert!(!said.lines().any(|line| line.starts_with("Error: fake")), "{said}");
}

/// 113, 114: what does belong to the login ends it.
#[test]
fn an_answer_that_belongs_to_the_login_ends_it() {
    for (more, code, named) in [
        ("&iss=https%3A%2F%2Fevil.test", "[login.iss_mismatch]", "another provider"),
        ("", "[login.access_denied]", "`access_denied`"),
    ] {
        let waiting = Waiting::new();
        let target = if more.is_empty() {
            format!("/callback?error=access_denied&state={}", waiting.member("state"))
        } else {
            format!("/callback?{}{more}", waiting.answer)
        };
        let reply = waiting.ask("GET", &target, "");
        assert_eq!(reply.status, 400, "{}", reply.head);
        let title = if more.is_empty() { "Login declined" } else { "Login failed" };
        assert!(reply.body.contains(title), "{}", reply.body);
        let ended = waiting.running.end();
        assert_eq!(ended.code, Some(5), "{ended:?}");
        assert!(ended.err.contains(code) && ended.err.contains(named), "{ended:?}");
        assert!(!waiting.home.talosconfig().exists());
        assert_eq!(waiting.stub.count("token authorization_code"), 0, "no code was redeemed");
    }
}

/// The provider announces `iss` in its answers, and this one has none.
#[test]
fn an_answer_that_does_not_say_who_sent_it_ends_the_login_too() {
    let (home, stub) = (Home::new(), Stub::start());
    let more = ("authorization_response_iss_parameter_supported".to_owned(), true.into());
    stub.state().metadata.extend([more]);
    let ended = home.log_in(&stub, &[]);
    assert_eq!(ended.code, Some(5), "{ended:?}");
    assert!(ended.err.contains("[login.iss_missing]"), "{ended:?}");
}

/// 119: browsers open spare connections, and others are slow.
#[test]
fn silent_and_slow_connections_stand_in_nobodys_way() {
    let waiting = Waiting::new();
    let mut open = Vec::new();
    for n in 0..20 {
        let mut tcp = TcpStream::connect(&waiting.authority).unwrap();
        if n % 2 == 1 {
            tcp.write_all(b"GET /callback?code=").unwrap();
        }
        open.push(tcp);
    }
    // Not HTTP at all.
    assert_eq!(waiting.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n").status, 400);
    let long = format!("GET /callback?code={} HTTP/1.1\r\n\r\n", "a".repeat(20_000));
    assert_eq!(waiting.send(long.as_bytes()).status, 431);
    waiting.complete();
}

#[test]
fn no_page_speaks_of_success_when_nothing_was_written() {
    // The server refuses.
    let waiting = Waiting::new();
    waiting.stub.state().refusals = vec![(403, "no"), (403, "no")];
    let reply = waiting.ask("GET", &format!("/callback?{}", waiting.answer), "");
    assert_eq!(reply.status, 400);
    assert!(reply.body.contains("Login failed"), "{}", reply.body);
    assert_eq!(waiting.running.end().code, Some(3));
    assert!(!waiting.home.talosconfig().exists());

    // The place where it belongs is lost meanwhile.
    let waiting = Waiting::new();
    fs::create_dir(waiting.home.talosconfig()).unwrap();
    let reply = waiting.ask("GET", &format!("/callback?{}", waiting.answer), "");
    assert_eq!(reply.status, 400);
    assert!(reply.body.contains("Login failed"), "{}", reply.body);
    let ended = waiting.running.end();
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.err.contains("cannot write the talosconfig"), "{ended:?}");
}
