//! Killed at any moment, a login leaves the old talosconfig or the new one.

use std::fs;
use std::time::{Duration, Instant};

use exchange_core::pki::ClientCertificate;
use exchange_core::talosconfig::{Context, Talosconfig};

use crate::machine::{Home, Running};
use crate::stub::Stub;

const KILLS: u32 = 80;

/// Certificate, key and CA of a context belong together.
pub fn is_whole(context: &Context) {
    let pem = context.crt_pem().unwrap().unwrap();
    let certificate = ClientCertificate::parse(&pem).unwrap();
    let key = context.key_pem().unwrap().unwrap();
    certificate.matches_key(key.expose_str().unwrap()).unwrap();
    assert!(certificate.is_issued_by(&context.ca_pem().unwrap().unwrap()));
    assert_eq!(context.endpoints, ["10.0.0.1", "10.0.0.2"]);
}

#[test]
fn killed_at_any_moment() {
    let (home, stub) = (Home::new(), Stub::start());
    let own = "# mine\ncontext: prod\ncontexts:\n  prod:\n    endpoints: [a]\n";
    home.write(&home.talosconfig(), own);
    let token = stub.id_token();
    let login = || Running::start(home.login(&stub, &["--id-token", &token]));
    let start = Instant::now();
    assert_eq!(login().end().code, Some(0));
    // Where the writing is, found by getting closer: on a busy machine it moves.
    let mut aim = start.elapsed();
    let mut last = fs::read_to_string(home.talosconfig()).unwrap();
    let (mut old, mut new) = (0_u32, 0_u32);
    for n in 0..KILLS {
        let mut running = login();
        let spread = 0.7 + 0.6 * f64::from(n % 7) / 6.0;
        std::thread::sleep(aim.mul_f64(spread).min(Duration::from_secs(5)));
        running.child.kill().unwrap();
        running.child.wait().unwrap();
        let text = fs::read_to_string(home.talosconfig()).unwrap();
        if text == last {
            old += 1;
            aim = aim.mul_f64(1.1);
        } else {
            new += 1;
            aim = aim.mul_f64(0.9);
        }
        assert!(text.starts_with("# mine\ncontext: "), "{text}");
        assert!(text.contains("  prod:\n    endpoints: [a]\n"), "{text}");
        let config = Talosconfig::parse(&text).unwrap();
        assert_eq!(config.contexts.len(), 2);
        is_whole(config.context("oidc").unwrap());
        last = text;
    }
    assert!(old >= 10 && new >= 10, "the kills missed the moment: {old} before, {new} after");
    // Nothing of a killed process is in the way of the next one.
    assert_eq!(login().end().code, Some(0));
}
