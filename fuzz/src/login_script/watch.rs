//! Looks at everything the login machine orders, and knows what it may order.

use std::collections::{BTreeMap, BTreeSet};

use exchange_core::login::{ContextWrite, LoginError, Notice, Output};
use exchange_core::machine::{EffectId, Entropy, Now};
use exchange_core::oidc::pkce::Verifier;
use exchange_core::pki::ClientCertificate;
use exchange_core::types::Secret;

use super::parties::{CODE, DEVICE_CODE};
use super::world::Open;
use super::{CLIENT_SECRET, Start};
use crate::fixed::{AUDIENCE, ISSUER};

pub(crate) struct Watch {
    pub(crate) said: Vec<String>,
    /// What is under way; never more than one thing.
    pub(crate) open: Option<(EffectId, Open)>,
    pub(crate) ended: bool,
    pub(crate) listening: bool,
    pub(crate) locked: bool,
    pub(crate) interrupted: bool,
    pub(crate) right_visit: bool,
    /// Requests of browsers without an answer.
    pub(crate) unanswered: BTreeSet<u64>,
    /// Parameters of the address shown last.
    pub(crate) query: String,
    /// Tokens of the entry stored last.
    pub(crate) saved: Option<(String, Option<String>)>,
    pub(crate) knows_subject: bool,
    pub(crate) written: usize,
    pub(crate) watches: bool,
    is_given: bool,
    interactive: bool,
    open_browser: bool,
    keeps: bool,
    /// Every ID token there is, and whether it may be kept and used.
    tokens: BTreeMap<String, bool>,
    refresh_tokens: BTreeSet<String>,
    challenges: BTreeMap<String, String>,
    secrets: Vec<String>,
    count: u32,
    browsers: u32,
    /// Whether what is under way was given up.
    given_up: bool,
    no_lock: bool,
}

impl Watch {
    pub(crate) fn new(start: &Start) -> Self {
        Self {
            said: Vec::new(),
            open: None,
            ended: false,
            listening: false,
            locked: false,
            interrupted: false,
            right_visit: false,
            unanswered: BTreeSet::new(),
            query: String::new(),
            saved: None,
            knows_subject: false,
            written: 0,
            watches: start.watch,
            is_given: start.given.is_some(),
            interactive: start.interactive,
            open_browser: start.open_browser,
            keeps: !start.ephemeral && start.given.is_none(),
            tokens: BTreeMap::new(),
            refresh_tokens: BTreeSet::new(),
            challenges: BTreeMap::new(),
            secrets: [CLIENT_SECRET, CODE, DEVICE_CODE].map(String::from).to_vec(),
            count: 0,
            browsers: 0,
            given_up: false,
            no_lock: false,
        }
    }

    pub(crate) fn number(&mut self) -> u32 {
        self.count += 1;
        self.count
    }

    pub(crate) fn refresh_token(&mut self) -> String {
        let token = format!("a-refresh-token-of-the-provider-{}", self.number());
        self.refresh_tokens.insert(token.clone());
        self.secrets.push(token.clone());
        token
    }

    /// A token came into the world.
    pub(crate) fn minted(&mut self, token: &str, good: bool) {
        self.tokens.insert(token.into(), good);
        let signature = token.rsplit('.').next().expect("three parts");
        self.secrets.push(signature.into());
    }

    /// A verifier was drawn.
    pub(crate) fn drawn(&mut self, verifier: Entropy<32>) {
        let verifier = Verifier::new(verifier);
        self.secrets.push(verifier.expose().into());
        self.challenges.insert(verifier.challenge(), verifier.expose().into());
    }

    /// Whether the answer that comes now was not given up.
    pub(crate) fn is_awaited(&self) -> bool {
        !self.ended && !self.given_up
    }

    /// A parameter of the address shown last.
    pub(crate) fn asked(&self, name: &str) -> Option<String> {
        let form = exchange_core::http::form::Form::parse(&self.query).ok()?;
        form.get(name).ok()?.map(String::from)
    }

    pub(crate) fn look_at(&mut self, now: Now, output: Output) {
        let words = words(&output);
        let shown = format!("{output:?}");
        let leaked = self.secrets.iter().find(|secret| shown.contains(*secret));
        assert!(leaked.is_none(), "{leaked:?} is shown in {shown}");
        assert!(shown.len() < 16 * 1024, "what is said has a bound");
        assert!(!self.ended || matches!(output, Output::Answer { .. }), "after the end: {shown}");
        self.said.push(words);
        match output {
            Output::LoadState { effect } => self.order(effect, Open::Load),
            Output::ReadIdToken { effect } => {
                assert!(self.is_given);
                self.order(effect, Open::ReadToken);
            }
            Output::Lock { effect } => {
                assert!(self.keeps && !self.locked);
                self.order(effect, Open::Lock);
            }
            Output::ReleaseLock => {
                assert!(std::mem::take(&mut self.locked), "a lock that is not ours");
            }
            Output::Fetch { effect, request } => {
                let open = Open::fetch(&request);
                self.check_request(&open);
                self.order(effect, open);
            }
            Output::Listen { effect, addresses } => {
                assert!(self.interactive && addresses.iter().all(|a| a.ip().is_loopback()));
                self.order(effect, Open::Listen);
            }
            Output::StopListening => assert!(std::mem::take(&mut self.listening)),
            Output::OpenBrowser { url } => {
                assert!(self.interactive && self.open_browser && url.is_https());
                self.browsers += 1;
                assert!(self.browsers <= 1, "a second browser");
            }
            Output::Tell(notice) => self.told(&notice),
            Output::Answer { request, response } => {
                assert!(self.unanswered.remove(&request.0), "answered twice, or never asked");
                let body = String::from_utf8_lossy(&response.body).into_owned();
                assert!(!self.secrets.iter().any(|secret| body.contains(secret)), "{body}");
                if let Some(url) = response.header("location") {
                    self.show(url);
                }
            }
            Output::SaveTokens { effect, entry } => {
                assert!(self.keeps);
                assert_eq!((&*entry.issuer, &*entry.client_id), (ISSUER, AUDIENCE));
                let text = |secret: &Secret| secret.expose_str().expect("text").to_owned();
                let token = entry.id_token.as_ref().map(text);
                let refresh = entry.refresh_token.as_ref().map(text);
                if let Some(token) = &token {
                    assert_eq!(self.tokens.get(token), Some(&true), "a token that was not checked");
                }
                assert!(refresh.as_ref().is_none_or(|token| self.refresh_tokens.contains(token)));
                self.saved = Some((token.unwrap_or_default(), refresh));
                self.order(effect, Open::Save);
            }
            Output::DrawSeed { effect } => self.order(effect, Open::Seed),
            Output::ForgetTokens => assert!(self.keeps),
            Output::WriteTalosconfig { effect, write } => {
                check_write(now, &write);
                self.order(effect, Open::Write);
            }
            Output::Finished(_) => self.ended = true,
            Output::Failed(error) => {
                let text = error.to_string();
                assert!(!text.chars().any(char::is_control), "{text:?}");
                assert!(!self.secrets.iter().any(|secret| text.contains(secret)), "{text}");
                assert!(error != LoginError::Interrupted || self.interrupted);
                self.ended = true;
            }
        }
        if self.ended {
            let left = (self.unanswered.len(), self.locked, self.listening);
            assert_eq!(left, (0, false, false), "unanswered, lock and listener that are left");
        }
    }

    fn order(&mut self, effect: EffectId, open: Open) {
        let given_up = std::mem::take(&mut self.given_up);
        assert!(self.open.is_none() || given_up, "more than one effect is under way");
        self.open = Some((effect, open));
    }

    fn told(&mut self, notice: &Notice) {
        match notice {
            Notice::OpenUrl { url, .. } => self.show(url.as_str()),
            Notice::NoLock => self.no_lock = true,
            Notice::RenewalFailed { .. } | Notice::NextRenewal { .. } => {
                self.given_up = true;
                self.browsers = 0;
                self.no_lock = false;
            }
            Notice::Written { .. } => self.written += 1,
            Notice::DeviceCode { user_code, .. } => {
                assert!(self.interactive && !user_code.is_empty());
            }
            _ => {}
        }
    }

    fn show(&mut self, url: &str) {
        assert!(self.interactive);
        self.query = url.split_once('?').expect("parameters").1.into();
        self.right_visit = false;
        let challenge = self.asked("code_challenge").expect("PKCE always");
        assert!(self.challenges.contains_key(&challenge));
        assert!(self.asked("state").is_some() && self.asked("nonce").is_some());
        assert_eq!(self.asked("code_challenge_method").as_deref(), Some("S256"));
    }

    /// A request that is being made: what is sent belongs to this login and goes where it should.
    fn check_request(&mut self, open: &Open) {
        let Open::Fetch { url, form, body } = open else { return };
        let field = |name: &str| {
            form.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
        };
        if url == &format!("{}/exchange", super::SERVER) {
            let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
            let token = body["id_token"].as_str().expect("a token");
            assert_eq!(self.tokens.get(token), Some(&true), "a token that was not checked is sent");
            return;
        }
        assert!(url.starts_with(ISSUER), "{url}");
        match field("grant_type") {
            Some("authorization_code") => {
                assert!(self.right_visit, "a code without the state of this login");
                assert_eq!(field("code"), Some(CODE));
                let challenge = self.asked("code_challenge").expect("it was shown");
                assert_eq!(field("code_verifier"), Some(self.challenges[&challenge].as_str()));
                assert_eq!(field("redirect_uri"), self.asked("redirect_uri").as_deref());
            }
            Some("refresh_token") => {
                assert!(!self.keeps || self.locked || self.no_lock, "a refresh without the lock");
                assert!(self.refresh_tokens.contains(field("refresh_token").expect("a token")));
            }
            Some(_) | None => {}
        }
    }
}

/// The heart of it: what is written serves.
fn check_write(now: Now, write: &ContextWrite) {
    assert_eq!(write.context.as_str(), "oidc");
    let certificate = ClientCertificate::parse(&write.certificate).expect("a certificate");
    let key = write.key.expose_str().expect("text");
    assert_eq!(certificate.matches_key(key), Ok(()));
    assert!(certificate.not_after() > now.wall, "an expired certificate");
    assert!(!write.ca.trim().is_empty());
}

/// Everything an output says, so that two can be compared.
pub(crate) fn words(output: &Output) -> String {
    match output {
        Output::Fetch { effect, request } => {
            let body = request.post.as_ref().map(|(_, body)| body.escape_ascii().to_string());
            format!("{effect:?} {request:?} {body:?} {:?}", request.headers)
        }
        Output::SaveTokens { effect, entry } => format!("{effect:?} {}", *entry.to_json()),
        Output::WriteTalosconfig { effect, write } => {
            format!("{effect:?} {write:?} {:?}", write.key.expose())
        }
        Output::Answer { request, response } => {
            format!("{request:?} {} {}", response.status, response.body.escape_ascii())
        }
        other => format!("{other:?}"),
    }
}
