//! Against a bus and a service of our own, that can do what a real one does on a bad day. The real
//! one is in the tests of the program.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex};
use std::thread;

use super::super::dbus::wire::{self, Kind};
use super::*;
use crate::files::tests::Scratch;

const SHORT: Limits =
    Limits { call: Duration::from_millis(300), prompt: Duration::from_millis(300) };
const LONG: Limits = Limits { call: Duration::from_secs(60), prompt: Duration::from_secs(60) };

/// What the person does who is asked.
#[derive(Clone, Copy, PartialEq)]
enum Person {
    Unlocks,
    Dismisses,
    IsAway,
}

struct Service {
    /// Path, account, secret.
    items: Vec<(String, String, Vec<u8>)>,
    collections: Vec<&'static str>,
    default: &'static str,
    locked: bool,
    person: Person,
    /// A member that is never answered, and one that is answered with nonsense.
    hangs: &'static str,
    babbles: &'static str,
    refuses: (&'static str, &'static str),
    seen: Vec<String>,
}

struct Fake {
    _folder: Scratch,
    address: String,
    service: Arc<Mutex<Service>>,
}

impl Fake {
    fn start() -> Self {
        let folder = Scratch::new();
        let path = folder.path("bus");
        let listener = UnixListener::bind(&path).unwrap();
        let service = Arc::new(Mutex::new(Service {
            items: Vec::new(),
            collections: vec![LOGIN],
            default: LOGIN,
            locked: false,
            person: Person::IsAway,
            hangs: "",
            babbles: "",
            refuses: ("", ""),
            seen: Vec::new(),
        }));
        let shared = Arc::clone(&service);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = Arc::clone(&shared);
                thread::spawn(move || serve(stream.unwrap(), &shared));
            }
        });
        let address = format!("unix:path={}", path.display());
        Self { _folder: folder, address, service }
    }

    fn with(&self, change: impl FnOnce(&mut Service)) -> &Self {
        change(&mut self.service.lock().unwrap());
        self
    }

    fn open(&self, limits: Limits) -> Result<Secrets, KeychainError> {
        let variable = |name: &str| name.contains("ADDRESS").then(|| self.address.clone());
        Secrets::open(variable, limits)
    }

    fn get(&self, may_ask: bool, limits: Limits) -> Result<Option<String>, KeychainError> {
        let mut may_ask = may_ask;
        let got = self.open(limits)?.get(&mut Order { account: "oidc", may_ask: &mut may_ask })?;
        Ok(got.map(|text| text.to_string()))
    }

    fn set(&self, text: &str) -> Result<(), KeychainError> {
        self.open(LONG)?.set(&mut Order { account: "oidc", may_ask: &mut false }, text)
    }

    fn count(&self, member: &str) -> usize {
        self.service.lock().unwrap().seen.iter().filter(|seen| *seen == member).count()
    }
}

/// One connection: the handshake, then calls one after the other.
fn serve(stream: UnixStream, service: &Mutex<Service>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut out = stream;
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert!(line.starts_with("\0AUTH EXTERNAL "), "{line:?}");
    out.write_all(b"OK 0123456789abcdef\r\n").unwrap();
    line.clear();
    reader.read_line(&mut line).unwrap();
    assert_eq!(line, "BEGIN\r\n");
    loop {
        let mut bytes = vec![0; wire::HEAD_BYTES];
        if reader.read_exact(&mut bytes).is_err() {
            return;
        }
        let serial = u32::from_le_bytes(bytes[8..12].try_into().unwrap());
        let rest = wire::length_after(bytes.as_slice().try_into().unwrap()).unwrap();
        bytes.resize(wire::HEAD_BYTES + rest, 0);
        reader.read_exact(&mut bytes[wire::HEAD_BYTES..]).unwrap();
        let call = wire::message(&bytes).unwrap();
        assert_eq!(call.kind, Kind::Call);
        let member = call.member.as_deref().unwrap();
        let mut service = service.lock().unwrap();
        service.seen.push(member.to_owned());
        if service.hangs == member {
            continue;
        }
        if service.babbles == member {
            out.write_all(&[b'x'; 64]).unwrap();
            continue;
        }
        // What a client must not take for its answer.
        let noise = reply(serial.wrapping_add(7), &Writer::default());
        out.write_all(&noise).unwrap();
        out.write_all(&completed("/not/ours", false)).unwrap();
        let answer = if service.refuses.0 == member {
            let fields = |fields: &mut Writer| {
                fields.field(wire::FIELD_ERROR, "s", service.refuses.1);
                reply_to(fields, serial);
            };
            wire::encode(3, 1, fields, &Writer::default()).unwrap().to_vec()
        } else {
            reply(serial, &service.answer(member, &call))
        };
        // The answer of the person may overtake that of the service.
        if member == "Prompt" && service.person != Person::IsAway {
            service.locked = service.person == Person::Dismisses;
            out.write_all(&completed("/prompt", service.locked)).unwrap();
        }
        out.write_all(&answer).unwrap();
    }
}

fn reply(serial: u32, body: &Writer) -> Vec<u8> {
    wire::encode(2, 1, |fields| reply_to(fields, serial), body).unwrap().to_vec()
}

fn reply_to(fields: &mut Writer, serial: u32) {
    fields.begin();
    fields.byte(wire::FIELD_REPLY_TO);
    fields.signature("u");
    fields.u32(serial);
}

fn completed(path: &str, dismissed: bool) -> Vec<u8> {
    let mut body = Writer::default();
    body.bool(dismissed);
    body.signature("s");
    body.string("");
    let fields = |fields: &mut Writer| {
        fields.field(wire::FIELD_PATH, "o", path);
        fields.field(wire::FIELD_INTERFACE, "s", "org.freedesktop.Secret.Prompt");
        fields.field(wire::FIELD_MEMBER, "s", "Completed");
    };
    wire::encode(4, 1, fields, &body).unwrap().to_vec()
}

impl Service {
    fn answer(&mut self, member: &str, call: &Message) -> Writer {
        let mut body = Writer::default();
        let path = call.path.as_deref().unwrap_or_default();
        let mut read = call.body();
        match member {
            "OpenSession" => {
                assert_eq!(read.string(), Ok("plain"));
                body.signature("s");
                body.string("");
                body.string("/session");
            }
            "SearchItems" => {
                let _length = read.u32();
                let pair = |read: &mut wire::Reader<'_>| {
                    read.begin().unwrap();
                    (read.string().unwrap().to_owned(), read.string().unwrap().to_owned())
                };
                assert_eq!(pair(&mut read), ("service".into(), "talosctl-oidc".into()));
                let (name, account) = pair(&mut read);
                assert_eq!(name, "username");
                let found: Vec<_> = self.items.iter().filter(|item| item.1 == account).collect();
                let none = Vec::new();
                let (open, locked) = if self.locked { (&none, &found) } else { (&found, &none) };
                for list in [open, locked] {
                    body.array(4, |body| list.iter().for_each(|item| body.string(&item.0)));
                }
            }
            "Get" => {
                read.string().unwrap();
                if read.string().unwrap() == "Locked" {
                    body.signature("b");
                    body.bool(self.locked);
                } else {
                    body.signature("ao");
                    body.array(4, |body| self.collections.iter().for_each(|one| body.string(one)));
                }
            }
            "ReadAlias" => body.string(self.default),
            "Unlock" => {
                body.array(4, |_| {});
                body.string(if self.locked { "/prompt" } else { "/" });
            }
            "GetSecret" => {
                let item = self.items.iter().find(|item| item.0 == path).unwrap();
                body.begin();
                body.string("/session");
                body.bytes(&[]);
                body.bytes(&item.2);
                body.string("text/plain");
            }
            "CreateItem" => {
                // Of all that there is in it, only the secret is of interest here.
                let bytes = read.rest();
                let at = bytes.windows(5).position(|part| part == b"text:").unwrap();
                let end = at + bytes[at..].iter().position(|byte| *byte == 0).unwrap();
                let item = format!("{path}/new");
                self.items.retain(|old| old.0 != item);
                self.items.push((item.clone(), "oidc".into(), bytes[at..end].to_vec()));
                body.string(&item);
                body.string("/");
            }
            "Delete" => {
                self.items.retain(|item| item.0 != path);
                body.string("/");
            }
            _ => {}
        }
        body
    }
}

fn item(path: &str, secret: &str) -> (String, String, Vec<u8>) {
    (path.to_owned(), "oidc".to_owned(), secret.as_bytes().to_vec())
}

#[test]
fn stores_reads_and_deletes() {
    let fake = Fake::start();
    assert_eq!(fake.get(false, LONG), Ok(None));
    fake.set("text:1").unwrap();
    assert_eq!(fake.get(false, LONG).unwrap().as_deref(), Some("text:1"));
    let long = format!("text:{}", "x".repeat(100_000));
    fake.set(&long).unwrap();
    assert_eq!(fake.get(false, LONG).unwrap(), Some(long));
    let delete = |may_ask: &mut bool| {
        fake.open(LONG).unwrap().delete(&mut Order { account: "oidc", may_ask })
    };
    assert_eq!((delete(&mut false), delete(&mut false)), (Ok(true), Ok(false)));
}

#[test]
fn reads_where_the_original_reads_and_leaves_one_entry() {
    let fake = Fake::start();
    let (other, own) = ("/org/freedesktop/secrets/collection/other/1", format!("{LOGIN}/2"));
    fake.with(|service| service.items = vec![item(other, "other"), item(&own, "own")]);
    assert_eq!(fake.get(false, LONG).unwrap().as_deref(), Some("own"));
    fake.with(|service| service.items = vec![item(other, "a"), item("/elsewhere/1", "b")]);
    assert_eq!(fake.get(false, LONG).unwrap().as_deref(), Some("a"), "better than none");
    fake.set("text:1").unwrap();
    assert_eq!(fake.service.lock().unwrap().items.len(), 1);
    // Without a collection of that name, the default one.
    fake.with(|service| {
        service.items.clear();
        service.collections = vec!["/org/freedesktop/secrets/collection/kdewallet"];
        service.default = "/org/freedesktop/secrets/collection/kdewallet";
    });
    fake.set("text:2").unwrap();
    assert!(fake.service.lock().unwrap().items[0].0.contains("/kdewallet/"));
    fake.with(|service| (service.collections, service.default) = (Vec::new(), "/"));
    assert_eq!(fake.set("text:3"), Err(KeychainError::NoKeyring));
}

#[test]
fn a_locked_keychain_asks_once_or_not_at_all() {
    let fake = Fake::start();
    let own = format!("{LOGIN}/1");
    let lock = |person| {
        fake.with(|service| {
            service.items = vec![item(&own, "own")];
            (service.locked, service.person) = (true, person);
            service.seen.clear();
        });
    };
    lock(Person::Unlocks);
    assert_eq!(fake.get(false, LONG), Err(KeychainError::Locked));
    assert_eq!((fake.count("Prompt"), fake.count("Dismiss")), (0, 1));
    assert_eq!(fake.get(true, LONG).unwrap().as_deref(), Some("own"));
    assert_eq!(fake.count("Prompt"), 1);
    lock(Person::Dismisses);
    assert_eq!(fake.get(true, LONG), Err(KeychainError::Locked));
    lock(Person::IsAway);
    assert_eq!(fake.get(true, Limits { prompt: SHORT.prompt, ..LONG }), Err(KeychainError::Locked));
    assert_eq!((fake.count("Prompt"), fake.count("Dismiss")), (1, 1));
    lock(Person::Unlocks);
    fake.open(LONG)
        .unwrap()
        .set(&mut Order { account: "oidc", may_ask: &mut true }, "text:1")
        .unwrap();
    lock(Person::Unlocks);
    let mut may_ask = true;
    let mut order = Order { account: "oidc", may_ask: &mut may_ask };
    assert_eq!(fake.open(LONG).unwrap().delete(&mut order), Ok(true));
    assert!(!may_ask, "nobody is asked twice");
}

#[test]
fn every_call_has_an_end() {
    let fake = Fake::start();
    fake.with(|service| service.items = vec![item(&format!("{LOGIN}/1"), "own")]);
    for member in ["Hello", "OpenSession", "SearchItems", "GetSecret"] {
        fake.with(|service| service.hangs = member);
        assert_eq!(fake.get(false, SHORT), Err(KeychainError::TimedOut), "{member}");
    }
    fake.with(|service| service.hangs = "");
    for member in ["Hello", "OpenSession", "SearchItems", "GetSecret"] {
        fake.with(|service| service.babbles = member);
        assert!(matches!(fake.get(false, LONG), Err(KeychainError::Refused(_))), "{member}");
    }
}

#[test]
fn refusals_are_told_apart() {
    let fake = Fake::start();
    for (member, name, code) in [
        ("OpenSession", "org.freedesktop.DBus.Error.ServiceUnknown", "keychain.unavailable"),
        ("OpenSession", "org.freedesktop.DBus.Error.Spawn.ChildExited", "keychain.unavailable"),
        ("SearchItems", "org.freedesktop.Secret.Error.IsLocked", "keychain.locked"),
        ("SearchItems", "org.freedesktop.DBus.Error.Failed", "keychain.refused"),
    ] {
        fake.with(|service| service.refuses = (member, name));
        assert_eq!(fake.get(true, LONG).unwrap_err().code(), code, "{name}");
    }
}
