//! What is around the login machine: clocks, what is open, and who answers.

use exchange_core::http::form::Form;
use exchange_core::http::{FetchError, FetchRequest};
use exchange_core::jwt::client::read_id_token;
use exchange_core::login::{
    AuthorizationEntropy, ExistingContext, FileTrouble, Input, ListenTrouble, LoginMachine,
    LoginSettings,
};
use exchange_core::machine::{EffectId, Machine, Mono, Now, RequestId};
use exchange_core::pki::LeafKey;
use exchange_core::types::Secret;

use super::Start;
use super::parties::{self, Answer, Flaw, OAUTH_CODES, Stored, Token, Visit};
use super::watch::Watch;
use crate::fixed::{ISSUER, NOW, entropy};
use crate::provider;

/// What was ordered and is not answered.
#[derive(Clone)]
pub(crate) enum Open {
    Load,
    ReadToken,
    Lock,
    Fetch { url: String, form: Vec<(String, String)>, body: String },
    Listen,
    Save,
    Seed,
    Write,
}

impl Open {
    pub(crate) fn fetch(request: &FetchRequest) -> Self {
        let body =
            request.post.as_ref().map(|(_, body)| String::from_utf8_lossy(body).into_owned());
        let body = body.unwrap_or_default();
        let form = Form::parse(&body).ok();
        let pairs = form.iter().flat_map(Form::iter);
        let form = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self::Fetch { url: request.url.as_str().into(), form, body }
    }
}

pub(crate) struct World {
    prompt: LoginMachine,
    late: LoginMachine,
    now: Now,
    watch: Watch,
    given: Option<String>,
    stored: Option<(Stored, String, Option<String>)>,
    context: Option<(String, String)>,
    draws: u64,
    requests: u64,
    over: Option<(EffectId, Open)>,
}

impl World {
    pub(crate) fn new(prompt: LoginSettings, late: LoginSettings, start: &Start) -> Self {
        let machine = |settings| LoginMachine::new(settings).expect("an https server");
        let mut world = Self {
            prompt: machine(prompt),
            late: machine(late),
            now: Now { mono: Mono::from_millis(1000), wall: NOW },
            watch: Watch::new(start),
            given: None,
            stored: None,
            context: start.context.and_then(|(age, life)| {
                let leaf = LeafKey::from_seed(entropy(11)).expect("any seed is a key");
                let began = NOW.minus_secs(u64::from(age) * 10);
                parties::issue(leaf, began, u64::from(life) * 10)
            }),
            draws: 0,
            requests: 0,
            over: None,
        };
        world.given = start.given.map(|stored| world.old_token(stored));
        world.stored = start.stored.map(|(stored, refresh)| {
            let token = world.old_token(stored);
            (stored, token, refresh.then(|| world.watch.refresh_token()))
        });
        world.feed(|| Input::Start { jitter: entropy(1) });
        world
    }

    fn old_token(&mut self, stored: Stored) -> String {
        let age = 600_u64.saturating_sub(u64::from(stored.life) * 10);
        let kind = if stored.foreign { Token::OtherIssuer } else { Token::Good };
        let (began, number) = (self.now.wall.minus_secs(age), self.watch.number());
        let token = parties::id_token(kind, None, began, number);
        self.watch.minted(&token, true);
        token
    }

    /// Feeds both machines and looks at what the prompt one says.
    fn feed(&mut self, input: impl Fn() -> Input) {
        self.prompt.handle(self.now, input());
        self.drain();
        self.late.handle(self.now, input());
        if self.prompt.poll_timeout().is_none_or(|due| due > self.now.mono) {
            self.prompt.handle_timeout(self.now);
            assert!(self.prompt.poll_output().is_none(), "an early time-out does something");
        }
    }

    fn drain(&mut self) {
        let mut count = 0;
        while let Some(output) = self.prompt.poll_output() {
            count += 1;
            assert!(count <= 16, "one input makes many outputs");
            self.watch.look_at(self.now, output);
        }
        let ended = self.watch.ended;
        assert!(!ended || self.prompt.poll_timeout().is_none(), "a timer after the end");
    }

    pub(crate) fn pass(&mut self, millis: u64, secs: i64) {
        self.now.mono = self.now.mono.plus_millis(millis);
        let wall = self.now.wall.secs().saturating_add_signed(secs);
        self.now.wall = exchange_core::machine::UnixTime::from_secs(wall);
        self.prompt.handle_timeout(self.now);
        self.drain();
        self.late.handle_timeout(self.now);
        self.late.handle_timeout(self.now);
        assert_eq!(self.late.poll_timeout(), self.prompt.poll_timeout());
    }

    /// Both clocks go to the next timer, if one runs.
    fn pass_to_timer(&mut self) {
        if let Some(due) = self.prompt.poll_timeout() {
            let millis = due.since(self.now.mono);
            self.pass(millis, i64::try_from(millis / 1000).expect("no long time"));
        }
    }

    /// The next thing as it should be: an answer, the person's browser, or the time that passes.
    pub(crate) fn go(&mut self) {
        let certificate = Answer::Certificate { life: 30, flaw: Flaw::None };
        let tokens = Answer::Tokens { token: Token::Good, refresh: true, id: true };
        match &self.watch.open {
            Some((_, Open::Fetch { url, .. })) if url.ends_with("/exchange") => {
                self.answer(&certificate);
            }
            Some(_) => self.answer(&tokens),
            None if self.watch.listening => self.visit(&Visit::Right { iss: true }),
            None => self.pass_to_timer(),
        }
    }

    pub(crate) fn answer(&mut self, answer: &Answer) {
        let Some((effect, open)) = self.watch.open.take() else { return };
        self.respond(effect, &open, answer);
        self.over = Some((effect, open));
    }

    pub(crate) fn stale(&mut self, answer: &Answer) {
        let Some((effect, open)) = self.over.clone() else { return };
        let before = self.watch.said.len();
        let held = (self.watch.locked, self.watch.listening, self.watch.knows_subject);
        self.respond(effect, &open, answer);
        assert_eq!(self.watch.said.len(), before, "an answer counts twice");
        // Nothing was taken a second time either.
        (self.watch.locked, self.watch.listening, self.watch.knows_subject) = held;
    }

    fn respond(&mut self, effect: EffectId, open: &Open, answer: &Answer) {
        let fails = matches!(answer, Answer::Failed);
        let trouble = || FileTrouble { text: "disk full".into() };
        match open {
            Open::Load => {
                self.watch.knows_subject = has_token(&self.stored) && !fails;
                let (stored, context) = (self.stored.clone(), self.context.clone());
                self.feed(|| Input::Loaded {
                    effect,
                    entry: entry(&stored).filter(|_| !fails),
                    context: context.clone().map(|(certificate, key)| ExistingContext {
                        certificate,
                        key: Secret::from(key),
                    }),
                });
            }
            Open::ReadToken => {
                let given = self.given.clone().filter(|_| !fails);
                self.feed(|| {
                    let token = given.clone().map(Secret::from).ok_or_else(trouble);
                    Input::IdTokenGiven { effect, token }
                });
            }
            Open::Lock if fails => {
                let busy = self.requests.is_multiple_of(2);
                self.feed(|| Input::LockFailed { effect, busy });
            }
            Open::Lock => {
                self.watch.locked = self.watch.is_awaited();
                self.watch.knows_subject = has_token(&self.stored);
                let stored = self.stored.clone();
                self.feed(|| Input::Locked { effect, entry: entry(&stored) });
            }
            Open::Fetch { url, form, body } => self.fetched(effect, url, form, body, answer),
            Open::Listen if fails => {
                self.feed(|| Input::ListenFailed { effect, why: ListenTrouble::InUse });
            }
            Open::Listen => {
                self.watch.listening = self.watch.is_awaited();
                let draw = self.draw();
                self.feed(|| Input::Listening { effect, port: 8900, entropy: draws(draw) });
            }
            Open::Save if fails => {
                self.feed(|| Input::SaveFailed { effect, trouble: trouble() });
            }
            Open::Save => {
                let saved = self.watch.saved.clone();
                self.watch.knows_subject =
                    saved.as_ref().is_some_and(|(token, _)| !token.is_empty());
                let stored = Stored { life: 60, foreign: false };
                self.stored = saved.map(|(token, refresh)| (stored, token, refresh));
                self.feed(|| Input::Saved { effect });
            }
            Open::Seed => {
                self.draws += 1;
                let draw = self.draws;
                self.feed(|| Input::Seeded { effect, seed: entropy(draw) });
            }
            Open::Write if fails => {
                self.feed(|| Input::WriteFailed { effect, trouble: trouble() });
            }
            Open::Write => self.feed(|| Input::Written { effect }),
        }
    }

    fn fetched(
        &mut self,
        effect: EffectId,
        url: &str,
        form: &[(String, String)],
        sent: &str,
        answer: &Answer,
    ) {
        let (status, body, retry) = match answer {
            Answer::Failed => {
                return self.feed(|| Input::Fetched { effect, result: Err(FetchError::Timeout) });
            }
            Answer::Bytes { status, body } => (*status, body.0.clone(), None),
            Answer::Status { which, retry } => {
                let status = [400, 401, 403, 404, 429, 500, 503, 302][usize::from(*which % 8)];
                (status, b"{\"code\":\"a.b\",\"error\":\"\\u001b[2J no\"}".to_vec(), *retry)
            }
            Answer::OAuth { which } => {
                let code = OAUTH_CODES[usize::from(*which) % OAUTH_CODES.len()];
                (400, serde_json::json!({ "error": code }).to_string().into_bytes(), None)
            }
            Answer::Certificate { .. } | Answer::Tokens { .. }
                if url.ends_with("configuration") =>
            {
                (200, provider::metadata(ISSUER).into_bytes(), None)
            }
            Answer::Certificate { .. } | Answer::Tokens { .. } if url.ends_with("/device") => {
                (200, parties::device_answer().to_string().into_bytes(), None)
            }
            Answer::Certificate { life, flaw } if url.ends_with("/exchange") => {
                let life = 10 + u64::from(*life) * 10;
                let (status, body) = parties::certificate(sent, self.now.wall, life, *flaw);
                (status, body.into_bytes(), None)
            }
            Answer::Tokens { token, refresh, id } => {
                (200, self.tokens(form, *token, *refresh, *id).into_bytes(), None)
            }
            Answer::Certificate { .. } => (200, b"{}".to_vec(), None),
        };
        self.feed(|| Input::Fetched { effect, result: Ok(parties::reply(status, &body, retry)) });
    }

    /// An answer of the token endpoint. Notes which token may be kept.
    fn tokens(
        &mut self,
        form: &[(String, String)],
        kind: Token,
        refresh: bool,
        id: bool,
    ) -> String {
        let grant = form.iter().find(|(name, _)| name == "grant_type");
        let grant = grant.map(|(_, value)| value.as_str()).unwrap_or_default();
        let by_browser = grant == "authorization_code";
        let nonce = self.watch.asked("nonce").filter(|_| by_browser);
        let number = self.watch.number();
        let token = parties::id_token(kind, nonce.as_deref(), self.now.wall, number);
        let good = match kind {
            Token::Good | Token::Short => true,
            Token::NoNonce | Token::OtherNonce => !by_browser,
            // Whose login it was is not known where its last token was lost.
            Token::OtherSubject => grant != "refresh_token" || !self.watch.knows_subject,
            Token::OtherIssuer | Token::OtherAudience | Token::OtherAtHash | Token::Expired => {
                false
            }
        };
        self.watch.minted(&token, good);
        let mut answer = serde_json::json!({
            "access_token": "access", "token_type": "Bearer", "expires_in": 60, "id_token": token,
        });
        if refresh {
            answer["refresh_token"] = self.watch.refresh_token().into();
        }
        if !id {
            answer.as_object_mut().expect("an object").remove("id_token");
        }
        answer.to_string()
    }

    fn draw(&mut self) -> u64 {
        self.draws += 3;
        self.watch.drawn(draws(self.draws).verifier);
        self.draws
    }

    pub(crate) fn visit(&mut self, visit: &Visit) {
        let asked =
            Form::parse(&self.watch.query).unwrap_or_else(|_| Form::parse("a=b").expect("a form"));
        let head = parties::visit(visit, &asked);
        let (draw, request) = (self.draw(), self.requests);
        self.requests += 1;
        self.watch.unanswered.insert(request);
        self.watch.right_visit |= matches!(visit, Visit::Right { .. });
        self.feed(|| Input::Callback {
            request: RequestId(request),
            head: head.clone(),
            body: Vec::new().into(),
            entropy: draws(draw),
        });
        assert!(self.watch.unanswered.len() <= 1, "more than one browser waits");
    }

    pub(crate) fn browser_failed(&mut self) {
        self.feed(|| Input::BrowserFailed);
    }

    pub(crate) fn interrupt(&mut self) {
        self.watch.interrupted = true;
        self.feed(|| Input::Interrupt);
    }

    /// Another process has stored a login.
    pub(crate) fn rival(&mut self, stored: &Stored) {
        let token = self.old_token(*stored);
        let refresh = self.watch.refresh_token();
        self.stored = Some((*stored, token, Some(refresh)));
    }

    /// Nobody answers any more: it ends by itself, or a watch when it is told to.
    pub(crate) fn end(mut self) -> usize {
        if matches!(self.watch.open, Some((_, Open::Load))) {
            self.go();
        }
        for _ in 0..8 {
            if self.watch.ended || self.watch.watches {
                break;
            }
            self.pass_to_timer();
        }
        if self.watch.watches {
            self.interrupt();
            self.interrupt();
        }
        assert!(self.watch.ended, "it never ends");
        assert!(self.watch.unanswered.is_empty() && !self.watch.locked && !self.watch.listening);
        assert!(format!("{:?}", self.prompt).len() < 256 * 1024, "it keeps what is over");
        let mut late = Vec::new();
        while let Some(output) = self.late.poll_output() {
            late.push(super::watch::words(&output));
        }
        assert_eq!(late, self.watch.said, "when outputs are taken changes them");
        self.watch.written
    }
}

fn entry(
    stored: &Option<(Stored, String, Option<String>)>,
) -> Option<exchange_core::login::cache::CacheEntry> {
    let (stored, token, refresh) = stored.as_ref()?;
    assert!(token.is_empty() || read_id_token(token).is_ok());
    let mut entry = parties::entry(*stored, token, refresh.as_deref());
    entry.id_token = entry.id_token.filter(|token| !token.is_empty());
    Some(entry)
}

fn has_token(stored: &Option<(Stored, String, Option<String>)>) -> bool {
    stored.as_ref().is_some_and(|(_, token, _)| !token.is_empty())
}

fn draws(number: u64) -> AuthorizationEntropy {
    AuthorizationEntropy {
        state: entropy(number),
        nonce: entropy(number + 1),
        verifier: entropy(number + 2),
    }
}
