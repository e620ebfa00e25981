//! The audit log: what stands there, when, and what becomes of a log that was touched.

use std::fs;
use std::io::Read as _;
use std::process::Command;
use std::time::Duration;

use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use crate::provider::Provider;
use crate::token::Key;
use crate::world::{Config, Server, events, mode, program};

fn parse(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

/// Whether the members stand in the line in this order, and nothing but these.
fn has_in_order(line: &str, names: &[&str]) {
    let places: Vec<usize> = names
        .iter()
        .map(|name| line.find(&format!("\"{name}\":")).unwrap_or_else(|| panic!("{name}: {line}")))
        .collect();
    assert!(places.is_sorted(), "{names:?}: {line}");
    assert_eq!(parse(line).as_object().unwrap().len(), names.len(), "{line}");
}

fn verify(arguments: &[&str]) -> (Option<i32>, String) {
    let output = program(&[&["audit", "verify"], arguments].concat());
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

/// Section 9: the members of the original in their order, ours behind them, empty ones left out.
#[test]
fn s9_lines_have_the_members_of_the_original_in_order() {
    let provider = Provider::start();
    let server = Config::new(&provider).start().ready();
    assert_eq!(mode(&server.config.audit_log()), 0o600);
    let mail = json!({"email": "user@example.com"});
    assert_eq!(server.post(&provider.body("abc123", mail)).status, 200);
    server.post(b"{\"id_token\":\"a.b.c\"}");
    let lines = server.audit();
    has_in_order(
        &lines[0],
        &["timestamp", "type", "subject", "email", "issuer", "client_ip", "request", "seq", "prev"],
    );
    has_in_order(
        &lines[1],
        &[
            "timestamp",
            "type",
            "subject",
            "email",
            "issuer",
            "client_ip",
            "roles",
            "cert_ttl",
            "cert_expiry",
            "cert_serial",
            "cert_fingerprint",
            "request",
            "seq",
            "prev",
        ],
    );
    has_in_order(
        &lines[2],
        &["timestamp", "type", "client_ip", "error", "code", "request", "seq", "prev"],
    );
    let kinds: Vec<Value> = lines.iter().map(|line| parse(line)["type"].clone()).collect();
    assert_eq!(kinds, ["auth_success", "cert_issued", "auth_failure"]);
    let issued = parse(&lines[1]);
    assert_eq!((&issued["subject"], &issued["roles"]), (&json!("abc123"), &json!(["os:reader"])));
    assert_eq!(
        (&issued["cert_ttl"], &issued["issuer"]),
        (&json!("5m0s"), &json!(provider.issuer()))
    );
    for line in &lines {
        let at = parse(line)["timestamp"].as_str().unwrap().to_owned();
        assert!(at.len() == 20 && at.ends_with('Z'), "{at}");
        assert!(!line.contains("0001-01-01"), "{line}");
    }
}

/// D15: each line carries the hash of the one before; the line is there when the answer is.
#[test]
fn d15_lines_are_chained_and_written_before_the_answer() {
    let provider = Provider::start();
    let server = Config::new(&provider).start().ready();
    let mut previous = "0".repeat(64);
    for n in 1..=20_usize {
        assert_eq!(server.post(&provider.body(&format!("u{n}"), json!({}))).status, 200);
        // No waiting: the answer is here, so the lines are there.
        assert_eq!(server.audit().len(), 2 * n);
    }
    for (n, line) in (1..).zip(server.audit()) {
        let event = parse(&line);
        assert_eq!((&event["seq"], &event["prev"]), (&json!(n), &json!(previous)));
        let hash = digest(&SHA256, line.as_bytes());
        previous = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    }
}

/// D15: a full disk means no certificate, never one without a trace; and it heals.
#[test]
fn d15_no_trace_no_certificate() {
    let provider = Provider::start();
    let config = Config::new(&provider).set("admin_token", "an-admin-token-of-some-length");
    let (path, real) = (config.audit_log(), config.folder.path("real.log"));
    std::os::unix::fs::symlink("/dev/full", &path).unwrap();
    let server = config.start().ready();
    for _ in 0..3 {
        let reply = server.post(&provider.body("alice", json!({})));
        assert_eq!((reply.status, &*reply.error()), (503, "audit log unavailable"));
        assert_eq!(reply.code(), "audit.not_writable");
        assert!(reply.header("retry-after").is_some());
        assert!(!reply.text().contains("BEGIN"), "{}", reply.text());
    }
    // A refusal leaves no trace either, so it is not told.
    assert_eq!(server.post(b"{}").status, 503);
    server.settle("unreadiness", || server.get("/readyz").status == 503);
    assert_eq!(server.get("/readyz").json()["reasons"], json!(["audit.not_writable"]));
    assert_eq!(server.get("/healthz").status, 200);
    let log = server.log.all();
    let told = log.iter().filter(|line| line.contains("cannot be written")).count();
    assert_eq!(told, 1, "{log:?}");
    let metrics = || {
        let headers = [("authorization", "Bearer an-admin-token-of-some-length")];
        server.open().request("GET", "/metrics", &headers, b"").text()
    };
    let text = metrics();
    assert!(text.contains("talosctl_oidc_audit_writable 0\n"), "{text}");
    assert!(text.contains("talosctl_oidc_answers_withheld_total 4\n"), "{text}");
    // Room again.
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink(&real, &path).unwrap();
    server.signal("HUP");
    server.log.wait("audit log opened again");
    assert_eq!(server.post(&provider.body("alice", json!({}))).status, 200);
    server.settle("readiness", || server.get("/readyz").status == 200);
    let text = metrics();
    assert!(text.contains("talosctl_oidc_audit_writable 1\n"), "{text}");
    assert!(text.contains("talosctl_oidc_answers_withheld_total 4\n"), "{text}");
    let lines = events(&real);
    assert_eq!((parse(&lines[0])["seq"].clone(), lines.len()), (json!(1), 2));
}

/// A disk that hangs: answers become 503 in time, nothing piles up, and the chain stays whole.
#[test]
fn d15_a_log_that_hangs_refuses_and_goes_on_whole() {
    let provider = Provider::start();
    let config = Config::new(&provider);
    let pipe = config.audit_log();
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // A reader that lets the pipe fill up.
    let reader = {
        let pipe = pipe.clone();
        std::thread::spawn(move || fs::File::open(pipe).unwrap())
    };
    let server = config.start().ready();
    let mut reader = reader.join().unwrap();
    let mut conn = server.open();
    let good = provider.body(&"x".repeat(200), json!({}));
    let mut answered = 0;
    let refused = loop {
        let reply = conn.request("POST", "/exchange", &[], &good);
        if reply.status != 200 {
            break reply;
        }
        answered += 1;
        assert!(answered < 500, "the pipe never fills");
    };
    assert_eq!((refused.status, &*refused.error()), (503, "audit log unavailable"));
    // While it hangs others do not wait: the best of some, as the machine may be slow as well.
    let quickest = (0..3)
        .map(|_| {
            let started = std::time::Instant::now();
            assert_eq!(server.post(&good).status, 503);
            started.elapsed()
        })
        .min();
    assert!(quickest < Some(Duration::from_secs(4)), "{quickest:?}");
    // The reader reads again.
    let text = std::thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text
    });
    server.settle("service again", || server.post(&good).status == 200);
    server.stop();
    let text = text.join().unwrap();
    for (n, line) in (1..).zip(text.lines()) {
        assert_eq!(parse(line)["seq"], n, "{line}");
    }
    let config = Config::with_issuer("https://idp.example.com");
    let file = config.folder.write("read.log", &text);
    let (code, said) = verify(&[file.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{said}");
}

/// A disk that hangs when a checkpoint is written refuses as well: nobody waits for it, and what
/// was refused is never issued behind it.
#[cfg(target_os = "linux")]
#[test]
fn d15_a_checkpoint_that_hangs_holds_nobody_up() {
    use std::io::Write as _;
    let provider = Provider::start();
    let config = Config::new(&provider).set("audit_checkpoint_interval", "200ms");
    let pipe = config.audit_log();
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let reader = {
        let pipe = pipe.clone();
        std::thread::spawn(move || fs::File::open(pipe).unwrap())
    };
    let server = config.start().ready();
    let mut reader = reader.join().unwrap();
    // Sixteen pages, of which 400 bytes are left: room for the line of a refusal, and not for the
    // checkpoint behind it.
    let mut filler = fs::OpenOptions::new().append(true).open(&pipe).unwrap();
    filler.write_all(&[b'\n'; 16 * 4096 - 400]).unwrap();
    drop(filler);
    assert_eq!(server.post(b"{}").status, 400);
    // Nobody asks for anything now, so it is the checkpoint that finds the disk hanging.
    server.settle("unreadiness", || server.get("/readyz").status == 503);
    let good = provider.body("alice", json!({}));
    let quickest = (0..3)
        .map(|_| {
            let started = std::time::Instant::now();
            let reply = server.post(&good);
            assert_eq!((reply.status, &*reply.code()), (503, "audit.not_writable"));
            started.elapsed()
        })
        .min();
    assert!(quickest < Some(Duration::from_secs(4)), "{quickest:?}");
    let text = std::thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text
    });
    server.settle("service again", || server.post(&good).status == 200);
    server.stop();
    let text = text.join().unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    assert!(lines[1].contains("\"checkpoint\""), "{text}");
    for (n, line) in (1..).zip(&lines) {
        assert_eq!(parse(line)["seq"], n, "{line}");
    }
    assert_eq!(text.matches("cert_issued").count(), 1, "{text}");
}

/// Claims of strangers stay inside their line.
#[test]
fn s9_hostile_claims_stay_on_one_line() {
    let provider = Provider::start();
    let server = Config::new(&provider).start().ready();
    let subject = "a\n{\"type\":\"cert_issued\"}\r\u{2028}\u{0}\u{1b}[2J\"";
    let mail = "x\"}\n{\"type\":\"auth_success\"@example.com";
    server.post(&provider.body(subject, json!({"email": mail})));
    let text = fs::read_to_string(server.config.audit_log()).unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.bytes().all(|byte| byte == b'\n' || byte >= b' '), "{text:?}");
    assert!(!text.contains('\u{2028}'));
    assert_eq!(parse(text.lines().next().unwrap())["subject"], subject);
    assert!(server.log.all().iter().all(|line| !line.contains('\u{1b}')));
}

/// D24: standard output holds audit lines and nothing else, also with DEBUG, which tells no secret.
#[test]
fn d24_debug_goes_to_stderr_and_is_redacted() {
    let provider = Provider::start();
    let rules = "\n  rules:\n    - { claim: groups, value: admins, roles: [os:admin] }\n    \
                 - { claim: groups, value: dev, roles: [os:reader] }";
    let secret = "the-client-secret-of-thirty-two-bytes";
    let config = Config::new(&provider)
        .set("audit_log", "'-'")
        .set("rbac", rules)
        .set("admin_token", "the-admin-token-itself")
        .set("client_secret", secret)
        .env("DEBUG", "0");
    let server = config.start().ready();
    let body = provider.body("alice", json!({"groups": ["dev", "ops"]}));
    let reply = server.post(&body);
    let headers = [("authorization", "Bearer the-admin-token-itself")];
    server.open().request("GET", "/admin/stats", &headers, b"");
    server.out.wait("cert_issued");
    let out = server.out.all();
    assert_eq!(out.len(), 2, "{out:?}");
    out.iter().for_each(|line| assert!(parse(line)["type"].is_string()));
    let log = server.log.all().join("\n");
    for part in [
        "[DEBUG] [RBAC] Evaluating 2 RBAC rules against claims",
        "[DEBUG] [RBAC] Rule 1: checking claim 'groups' = '[dev ops]' against expected value 'admins'",
        "[DEBUG] [RBAC] Rule 2: MATCH! Assigning roles: [os:reader]",
        "[DEBUG] [RBAC] RBAC evaluation complete. Assigned roles: [os:reader]",
    ] {
        assert!(log.contains(part), "no {part:?} in\n{log}");
    }
    let body: Value = serde_json::from_slice(&body).unwrap();
    let token = body["id_token"].as_str().unwrap();
    let signature = token.rsplit('.').next().unwrap();
    let key = reply.json()["key"].as_str().unwrap().lines().nth(1).unwrap().to_owned();
    for hidden in [signature, secret, "the-admin-token-itself", &key] {
        assert!(!log.contains(hidden), "{hidden} in\n{log}");
    }
    drop(server);
    // Without DEBUG nothing of it; empty counts as unset.
    let server = Config::new(&provider).set("rbac", rules).env("DEBUG", "").start().ready();
    server.post(&provider.body("alice", json!({"groups": ["dev"]})));
    assert!(!server.log.has("[DEBUG]"));
}

fn exchange(server: &Server, provider: &Provider, count: usize) {
    let mut conn = server.open();
    for n in 0..count {
        let body = provider.body(&format!("u{n}"), json!({}));
        assert_eq!(conn.request("POST", "/exchange", &[], &body).status, 200);
    }
}

/// Rotation by rename and SIGHUP, a restart and a kill between: one chain over all files.
#[test]
fn d15_the_chain_holds_over_rotation_restart_and_kill() {
    let provider = Provider::start();
    let config = Config::new(&provider);
    let data = config.folder.path("data").display().to_string();
    let server = config.set("data_dir", &data).start().ready();
    let path = server.config.audit_log();
    let rotated = |n: u32| path.with_extension(format!("log.{n}"));
    exchange(&server, &provider, 10);
    // Lines between rename and signal go to the old file.
    fs::rename(&path, rotated(3)).unwrap();
    exchange(&server, &provider, 5);
    server.signal("HUP");
    server.log.wait("audit log opened again");
    exchange(&server, &provider, 10);
    assert_eq!((events(&rotated(3)).len(), events(&path).len()), (30, 20));
    let server = server.stop().start().ready();
    exchange(&server, &provider, 10);
    // Killed after the answers: each of them is on record.
    let server = server.kill().start().ready();
    assert_eq!(events(&path).len(), 40);
    exchange(&server, &provider, 5);
    fs::rename(&path, rotated(2)).unwrap();
    server.signal("HUP");
    server.log.wait("audit log opened again");
    exchange(&server, &provider, 5);
    let config = server.stop();
    let key = config.folder.path("data/audit.pub");
    let files = [rotated(3), rotated(2), path.clone()];
    let names: Vec<&str> = files.iter().map(|path| path.to_str().unwrap()).collect();
    let key = key.to_str().unwrap();
    let (code, said) = verify(&[&["--key-file", key], &*names].concat());
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("none changed, removed, moved or inserted"), "{said}");
    assert!(said.contains("checked against the key") && !said.contains("NOT checked"), "{said}");
    // Without the oldest file the rest still fits together, and it is said what that is worth.
    let (code, said) = verify(&names[1..]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("NOT checked") && said.contains("name the older files first"), "{said}");
    // In the wrong order it does not.
    let (code, said) = verify(&[names[1], names[0]]);
    assert_eq!(code, Some(1), "{said}");
    // A line that a killed process left half written is taken back at the next start.
    let whole = fs::read(&path).unwrap();
    fs::write(&path, [&whole[..], b"{\"timestamp\":\"2026-"].concat()).unwrap();
    let server = config.start().ready();
    server.log.wait("of a line that was never finished removed");
    exchange(&server, &provider, 1);
    let _folder = server.stop();
    let (code, said) = verify(&[&["--key-file", key], &*names].concat());
    assert_eq!(code, Some(0), "{said}");
}

/// What a start makes of older lines that are not as they were written: those that still read do
/// not break the chain, which `audit verify` judges; one that does not read begins a new one.
#[test]
fn d15_a_start_goes_on_behind_lines_that_were_changed() {
    let provider = Provider::start();
    let server = Config::new(&provider).start().ready();
    let path = server.config.audit_log();
    exchange(&server, &provider, 3);
    let config = server.stop();
    let seqs = || -> Vec<u64> {
        let text = fs::read_to_string(&path).unwrap();
        let all = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        all.map(|line| line["seq"].as_u64().unwrap()).collect()
    };
    let change = |from: &str, to: &str| {
        let text = fs::read_to_string(&path).unwrap();
        let changed = text.replacen(from, to, 1);
        assert_ne!(text, changed);
        fs::write(&path, changed).unwrap();
    };
    let written = seqs();
    change("auth_success", "auth_succesS");
    let server = config.start().ready();
    exchange(&server, &provider, 1);
    let config = server.stop();
    let further = seqs();
    assert!(further.len() > written.len() && further.iter().copied().eq(1..=further.len() as u64));
    change("{\"timestamp\"", "{\"timestamp\"x");
    let server = config.start().ready();
    server.log.wait("the audit log does not continue where its state says");
    exchange(&server, &provider, 1);
    let _folder = server.stop();
    change("{\"timestamp\"x", "{\"timestamp\"");
    let all = seqs();
    let (old, new) = all.split_at(further.len());
    assert!(old == further && new.iter().copied().eq(1..=new.len() as u64), "{all:?}");
}

/// A start takes back what a killed process left half written, and nothing else: what is longer than
/// any line of ours stays, and costs no memory to speak of.
#[test]
fn d15_a_start_leaves_a_line_that_is_not_ours() {
    let provider = Provider::start();
    let config = Config::new(&provider);
    let path = config.audit_log();
    let endless = format!("{{\"{}", "x".repeat(40_000_000));
    fs::write(&path, &endless).unwrap();
    let server = config.start().ready();
    let resident = server.resident_kb();
    assert!(resident < 32 * 1024, "{resident} kB");
    exchange(&server, &provider, 1);
    let config = server.stop();
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with(&endless));
    let (_, ours) = text.split_at(endless.len());
    assert!(ours.starts_with("\n{\"timestamp\""), "{ours:.80}");
    // Half a line of ours goes.
    fs::write(&path, format!("{}{{\"timestamp\":\"20", ours.trim_start())).unwrap();
    let server = config.start().ready();
    server.log.wait("of a line that was never finished removed");
    exchange(&server, &provider, 1);
    assert!(server.audit().iter().all(|line| parse(line)["seq"].is_u64()));
}

/// Checkpoints come by themselves while lines are written, also while requests never pause, and
/// not for nothing.
#[test]
fn d15_checkpoints_come_at_intervals() {
    let provider = Provider::start();
    let server = Config::new(&provider).set("audit_checkpoint_interval", "500ms").start().ready();
    let path = server.config.audit_log();
    let text = || fs::read_to_string(&path).unwrap();
    let checkpoints = || text().matches("\"type\":\"checkpoint\"").count();
    let mut conn = server.open();
    let body = provider.body("alice", json!({}));
    server.settle("three checkpoints under load", || {
        assert_eq!(conn.request("POST", "/exchange", &[], &body).status, 200);
        checkpoints() >= 3
    });
    server.settle("the last one", || text().lines().last().unwrap().contains("\"checkpoint\""));
    let before = checkpoints();
    std::thread::sleep(Duration::from_millis(1200));
    assert_eq!(checkpoints(), before, "nothing new, nothing to sign");
    let (code, said) = verify(&[path.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(&format!("{before} signed checkpoints")), "{said}");
}

/// A log that loses its name is noticed: no line goes where nobody can read it.
#[test]
fn d15_a_log_that_was_deleted_or_renamed_is_begun_anew() {
    let provider = Provider::start();
    let config = Config::new(&provider);
    let data = config.folder.path("data").display().to_string();
    let server = config.set("data_dir", &data).start().ready();
    let path = server.config.audit_log();
    exchange(&server, &provider, 3);
    // Deleted: the next line is in a new file before its answer leaves.
    fs::remove_file(&path).unwrap();
    exchange(&server, &provider, 2);
    let lines = events(&path);
    assert_eq!((lines.len(), &parse(&lines[0])["seq"]), (4, &json!(7)));
    assert_eq!(mode(&path), 0o600);
    let said = server.log.wait("the audit log was deleted");
    assert!(said.contains("ERROR") && said.contains("line number 7"), "{said}");
    // The chain goes on at the next start as well.
    let server = server.kill().start().ready();
    assert!(!server.log.has("a new chain begins"));
    exchange(&server, &provider, 1);
    assert_eq!(parse(&events(&path)[4])["seq"], json!(11));
    // Deleted while nobody asks.
    let second = path.with_extension("log.2");
    fs::copy(&path, &second).unwrap();
    fs::remove_file(&path).unwrap();
    server.settle("a new file", || path.exists());
    server.log.wait("the audit log was deleted");
    exchange(&server, &provider, 1);
    // Renamed without a signal: written on under the new name, and not for ever.
    let first = path.with_extension("log.1");
    fs::rename(&path, &first).unwrap();
    exchange(&server, &provider, 1);
    assert_eq!(events(&first).len(), 4);
    server.log.wait("no SIGHUP followed");
    server.log.wait("audit log opened again");
    exchange(&server, &provider, 1);
    assert_eq!((events(&first).len(), events(&path).len()), (4, 2));
    let config = server.stop();
    let key = config.folder.path("data/audit.pub").display().to_string();
    let names = [&second, &first, &path].map(|path| path.to_str().unwrap());
    // What was deleted is missed, and what is there fits together.
    let (code, said) = verify(&[&["--key-file", &*key], &names[..]].concat());
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("lines before number 7 are elsewhere"), "{said}");
    let (code, said) = verify(&[&["--key-file", &*key], &[names[0], names[2]][..]].concat());
    assert_eq!(code, Some(1), "{said}");
}

/// The README's promise: whatever is done to the log afterwards is named by file and line.
#[test]
fn d15_tampering_is_named_by_file_and_line() {
    let provider = Provider::start();
    let config = Config::new(&provider);
    let data = config.folder.path("data").display().to_string();
    let server = config.set("data_dir", &data).start().ready();
    let path = server.config.audit_log();
    exchange(&server, &provider, 5);
    let old = path.with_extension("old");
    fs::rename(&path, &old).unwrap();
    server.signal("HUP");
    server.log.wait("audit log opened again");
    exchange(&server, &provider, 5);
    let config = server.stop();
    let good: Vec<String> = [&old, &path]
        .iter()
        .flat_map(|path| {
            fs::read_to_string(path).unwrap().lines().map(String::from).collect::<Vec<_>>()
        })
        .collect();
    let first = fs::read_to_string(&old).unwrap().lines().count();
    let key = config.folder.path("data/audit.pub").display().to_string();
    let check = |lines: &[String], at: usize| {
        let text =
            |lines: &[String]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        let (a, b) = (config.folder.path("a.log"), config.folder.path("b.log"));
        fs::write(&a, text(&lines[..at])).unwrap();
        fs::write(&b, text(&lines[at..])).unwrap();
        verify(&["--key-file", &key, a.to_str().unwrap(), b.to_str().unwrap()])
    };
    let (code, said) = check(&good, first);
    assert_eq!(code, Some(0), "{said}");
    let mut changed = good.clone();
    changed[3] = changed[3].replace("os:reader", "os:admin");
    let (code, said) = check(&changed, first);
    assert_eq!(code, Some(1));
    assert!(said.contains("a.log:4: the line was changed"), "{said}");
    let mut removed = good.clone();
    removed.remove(first + 1);
    let (code, said) = check(&removed, first);
    assert_eq!(code, Some(1));
    assert!(said.contains("b.log:2: seq"), "{said}");
    let mut last_of_first = good.clone();
    last_of_first[first - 1] = last_of_first[first - 1].replace("checkpoint", "Checkpoint");
    let (code, said) = check(&last_of_first, first);
    assert_eq!(code, Some(1));
    assert!(said.contains(&format!("a.log:{first}: ")), "{said}");
    let mut moved = good.clone();
    moved.swap(0, 1);
    assert_eq!(check(&moved, first).0, Some(1));
    let mut inserted = good.clone();
    inserted.insert(2, "{\"timestamp\":\"2026-01-01T00:00:00Z\",\"type\":\"auth_success\"}".into());
    assert!(check(&inserted, first).1.contains("a.log:3: "));
    // A key that is another server's.
    let other = Config::new(&provider);
    let data = other.folder.path("data").display().to_string();
    let config = other.set("data_dir", &data).start().stop();
    let foreign = config.folder.path("data/audit.pub").display().to_string();
    let both = verify(&["--key-file", &foreign, old.to_str().unwrap(), path.to_str().unwrap()]);
    assert_eq!(both.0, Some(1), "{}", both.1);
    assert!(both.1.contains("not signed by a given key"), "{}", both.1);
    assert_eq!(verify(&["/nowhere"]).0, Some(2));
    assert_eq!(verify(&["--key", "x", old.to_str().unwrap()]).0, Some(2));
    assert_eq!(verify(&[]).0, Some(1));
}

/// Lines of the original stand before the chain and stay there.
#[test]
fn s9_a_log_of_the_original_is_continued() {
    let provider = Provider::start();
    let config = Config::new(&provider).set("admin_token", "an-admin-token-of-some-length");
    let old = "{\"timestamp\":\"2026-02-17T14:30:00.123456789Z\",\"type\":\"auth_success\",\
               \"subject\":\"abc\",\"client_ip\":\"10.0.0.1:1\",\"cert_expiry\":\"0001-01-01T00:00:00Z\"}\n";
    fs::write(config.audit_log(), old.repeat(3)).unwrap();
    let server = config.start().ready();
    exchange(&server, &provider, 2);
    let path = server.config.audit_log();
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with(&old.repeat(3)));
    assert_eq!(parse(text.lines().nth(3).unwrap())["seq"], 1);
    let headers = [("authorization", "Bearer an-admin-token-of-some-length")];
    server.settle("old lines counted", || {
        let stats = server.open().request("GET", "/admin/stats", &headers, b"").json();
        stats["total_auth_successes"] == 5
    });
    let (code, said) = verify(&[path.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("3 lines are older than the chain"), "{said}");
}

/// `rbac explain` runs the server's own decision over a token or a file of claims.
#[test]
fn s8_rbac_explain_says_rule_by_rule() {
    let provider = Provider::start();
    let rules = "\n  rules:\n    - { claim: groups, value: admins, roles: [os:admin] }\n    \
                 - { claim: groups, value: banned, deny: true }";
    let config = Config::new(&provider).set("rbac", rules).set("roles", "[]");
    let (path, folder) = (config.save(), &config.folder);
    let explain = |arguments: &[&str]| {
        let config = ["rbac", "explain", "--config", path.to_str().unwrap()];
        let output = program(&[&config, arguments].concat());
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let claims = folder.write("claims.json", r#"{"groups":["admins","x"]}"#);
    let (code, said) = explain(&["--claims", claims.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("Rule 1: MATCH! Assigning roles: [os:admin]"), "{said}");
    assert!(said.ends_with("RBAC evaluation complete. Assigned roles: [os:admin]\n"), "{said}");
    let claims = folder.write("claims.json", r#"{"groups":["admins","banned"]}"#);
    let (code, said) = explain(&["--claims", claims.to_str().unwrap()]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("Rule 2: MATCH! Denying the request"), "{said}");
    let token = provider.token("alice", json!({"groups": "admins other"}));
    let (code, said) = explain(&["--token", &token]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("the signature of the token was not checked"), "{said}");
    assert!(!said.contains("refuses this token"), "{said}");
    // It also says when roles would not even be looked at.
    let foreign = crate::token::claims("https://other.example", "a", json!({"groups": ["admins"]}));
    let (code, said) = explain(&["--token", &Key::ed25519("x", 3).sign(&foreign)]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("refuses this token") && said.contains("token.issuer_mismatch"),
        "{said}"
    );
    assert_eq!(explain(&["--token", "a.b"]).0, Some(3));
    let broken = folder.write("claims.json", "[]");
    assert_eq!(explain(&["--claims", broken.to_str().unwrap()]).0, Some(2));
    assert_eq!(explain(&[]).0, Some(1));
}

/// One log, one writer: a second server waits for the first one's end.
#[test]
fn s9_two_servers_do_not_write_one_log() {
    let provider = Provider::start();
    let first = Config::new(&provider).start().ready();
    let log = first.config.audit_log();
    exchange(&first, &provider, 3);
    let second = Config::new(&provider).set("audit_log", log.to_str().unwrap());
    let second = second.launch();
    second.0.log.wait("another server writes this audit log");
    exchange(&first, &provider, 3);
    assert!(!second.0.log.has("listening on "));
    let _folder = first.stop();
    let second = second.listening().ready();
    exchange(&second, &provider, 3);
    drop(second);
    assert_eq!(events(&log).len(), 18);
    let (code, said) = verify(&[log.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{said}");
    // Rotated files are often compressed: the verifier reads standard input as well.
    let text = fs::File::open(&log).unwrap();
    let piped = Command::new(env!("CARGO_BIN_EXE_talosctl-oidc"))
        .args(["audit", "verify", "-"])
        .stdin(text)
        .output()
        .unwrap();
    assert!(piped.status.success(), "{piped:?}");
    // Whoever names the compressed file itself is told so.
    let compressed = log.with_file_name("audit.log.1.gz");
    fs::write(&compressed, b"\x1f\x8b\x08\x00").unwrap();
    let (code, text) = verify(&[compressed.to_str().unwrap()]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("is compressed: unpack it") && text.contains("[audit.compressed]"));
    let (code, text) = verify(&["/nowhere/audit.log"]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("does not exist: check the path [file.not_found]"), "{text}");
}
