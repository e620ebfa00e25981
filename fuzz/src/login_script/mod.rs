//! The login machine under a script of inputs, with what must hold after each of them.
//!
//! Two machines get the same inputs: the outputs of one are taken at once, those of the other at
//! the end, and time-outs come to it twice. They must say the same.

mod parties;
mod watch;
mod world;

use arbitrary::{Arbitrary, Unstructured};
use exchange_core::login::{
    BrowserSettings, Flow, LoginSettings, ProviderSettings, StorePolicy, TokenSource,
};
use exchange_core::oidc::scopes::Scopes;
use exchange_core::types::Secret;

use crate::fixed::{AUDIENCE, ISSUER};
use parties::{Answer, Stored, Visit};
use world::World;

pub(crate) const CLIENT_SECRET: &str = "the secret of the client of the fuzzer";
pub(crate) const SERVER: &str = "https://exchange.example.com";
const STEPS_MAX: usize = 48;

/// How the login is called and what it finds.
#[derive(Arbitrary, Debug)]
pub(crate) struct Start {
    pub(crate) given: Option<Stored>,
    pub(crate) interactive: bool,
    pub(crate) watch: bool,
    force: bool,
    pub(crate) ephemeral: bool,
    flow: u8,
    pub(crate) open_browser: bool,
    secret: bool,
    pub(crate) stored: Option<(Stored, bool)>,
    /// Age and life of the certificate in the context, in units of ten seconds.
    pub(crate) context: Option<(u8, u8)>,
}

#[derive(Arbitrary, Debug)]
enum Step {
    /// What is open is done as it should be, and what follows, up to that many times.
    Go(u8),
    /// What is open is answered like this.
    Answer(Answer),
    /// An answer to something that is over.
    Stale(Answer),
    /// A browser comes to the listener.
    Visit(Visit),
    BrowserFailed,
    Interrupt,
    /// Another process has logged in meanwhile.
    Rival(Stored),
    Time {
        millis: u32,
        secs: i16,
    },
}

impl Start {
    fn settings(&self) -> LoginSettings {
        let browser =
            || BrowserSettings { open_browser: self.open_browser, ..BrowserSettings::default() };
        let provider = || ProviderSettings {
            issuer: ISSUER.parse().expect("an issuer"),
            client_id: AUDIENCE.parse().expect("a client"),
            client_secret: self.secret.then(|| Secret::new(CLIENT_SECRET)),
            client_auth: Default::default(),
            scopes: Scopes::default(),
            policy: Default::default(),
            skew_secs: 60,
            flow: match self.flow % 4 {
                0 => Flow::Device,
                1 => Flow::DeviceOr(browser()),
                _ => Flow::Browser(browser()),
            },
        };
        let source = match &self.given {
            Some(_) => TokenSource::Given,
            None => TokenSource::Provider(Box::new(provider())),
        };
        LoginSettings {
            context: "oidc".parse().expect("a name"),
            server: SERVER.parse().expect("a URL"),
            plain_http: false,
            source,
            interactive: self.interactive,
            watch: self.watch,
            force: self.force,
            store: if self.ephemeral { StorePolicy::Ephemeral } else { StorePolicy::Keep },
        }
    }
}

/// Runs a script; see the head of this file.
pub fn login_script(data: &[u8]) {
    play(data);
}

/// Plays a script to its end and says how many certificates were written.
fn play(data: &[u8]) -> usize {
    let mut input = Unstructured::new(data);
    let Ok(start) = Start::arbitrary(&mut input) else { return 0 };
    let settings = || start.settings();
    let mut world = World::new(settings(), settings(), &start);
    for _ in 0..STEPS_MAX {
        if input.is_empty() {
            break;
        }
        let Ok(step) = Step::arbitrary(&mut input) else { break };
        match step {
            Step::Go(times) => {
                for _ in 0..=times % 16 {
                    world.go();
                }
            }
            Step::Answer(answer) => world.answer(&answer),
            Step::Stale(answer) => world.stale(&answer),
            Step::Visit(visit) => world.visit(&visit),
            Step::BrowserFailed => world.browser_failed(),
            Step::Interrupt => world.interrupt(),
            Step::Rival(stored) => world.rival(&stored),
            Step::Time { millis, secs } => world.pass(u64::from(millis) % 400_000, secs.into()),
        }
    }
    world.end()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutate::Rng;

    /// A target that reaches nothing finds nothing.
    #[test]
    fn scripts_reach_certificates() {
        let mut rng = Rng::new(3);
        let written: usize = (0..1000).map(|_| play(&rng.bytes(300))).sum();
        assert!(written > 200, "{written} certificates only");
    }
}
