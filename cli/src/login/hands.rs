//! Does what the login machine orders.

use std::net::SocketAddr;
use std::sync::Arc;

use exchange_core::http::Response;
use exchange_core::login::{
    ContextWrite, FileTrouble, Input, LoginError, LoginMachine, Notice, Outcome, Output,
};
use exchange_core::machine::{EffectId, RequestId};
use exchange_smol::browser;
use exchange_smol::clock;
use exchange_smol::desk::Desk;
use exchange_smol::driver::Hands;
use exchange_smol::entropy::{NoEntropy, draw};
use exchange_smol::executor::spawn;
use smol::channel::Sender;

use super::callback::{self, Callback, Reach};
use super::context::NamedNodes;
use super::given::Given;
use super::keeper::{Job, Keeper};
use super::requests::Requests;
use super::spinner::Spinner;
use super::surroundings::Surroundings;
use super::tell::Voice;
use super::watcher::Mark;
use super::{Place, trace};

/// All that a login has at hand.
pub(crate) struct LoginHands {
    pub(crate) inputs: Sender<Input>,
    pub(crate) place: Arc<Place>,
    pub(crate) given: Option<Arc<Given>>,
    pub(crate) requests: Requests,
    pub(crate) ports: Vec<u16>,
    pub(crate) reach: Reach,
    pub(crate) nodes: NamedNodes,
    pub(crate) browser: Option<String>,
    pub(crate) surroundings: Surroundings,
    pub(crate) voice: Voice,
    pub(crate) spinner: Spinner,
    pub(crate) debug: bool,
    pub(crate) mark: Option<Mark>,
    pub(crate) keeper: Keeper,
    pub(crate) desk: Arc<Desk<Input>>,
    pub(crate) callback: Option<Callback>,
    pub(crate) closing: Vec<smol::Task<()>>,
    pub(crate) listening: Option<SocketAddr>,
    pub(crate) reads_pasted: bool,
    pub(crate) no_entropy: Option<NoEntropy>,
    pub(crate) ended: Option<Result<Outcome, LoginError>>,
}

impl Hands<LoginMachine> for LoginHands {
    fn start(&mut self, output: Output) {
        if self.debug
            && let Some(text) = trace::output(&output)
        {
            trace::line(true, || text);
        }
        self.spinner.follow(&output);
        match output {
            Output::LoadState { effect } => self.load(effect),
            Output::ReadIdToken { effect } => self.read_id_token(effect),
            Output::Lock { effect } => self.keeper.order(Job::Lock(effect)),
            Output::ReleaseLock => self.keeper.order(Job::Release),
            Output::SaveTokens { effect, entry } => {
                self.keeper.order(Job::Save(effect, Box::new(entry)));
            }
            Output::ForgetTokens => self.keeper.order(Job::Forget),
            Output::Fetch { effect, request } => {
                let (requests, inputs, debug) =
                    (self.requests.clone(), self.inputs.clone(), self.debug);
                spawn(async move {
                    let start = clock::mono();
                    let result = requests.fetch(request).await;
                    trace::line(debug, || trace::answered(&result, clock::mono().since(start)));
                    let _ = inputs.send(Input::Fetched { effect, result }).await;
                })
                .detach();
            }
            Output::Listen { effect, addresses } => self.listen(effect, &addresses),
            Output::StopListening => {
                if let Some(callback) = self.callback.take() {
                    self.closing.push(spawn(callback.close()));
                }
            }
            Output::OpenBrowser { url } => {
                let (list, inputs) = (self.browser.clone(), self.inputs.clone());
                spawn(async move {
                    let opened = smol::unblock(move || browser::open(&url, list.as_deref())).await;
                    if opened.is_err() {
                        let _ = inputs.send(Input::BrowserFailed).await;
                    }
                })
                .detach();
            }
            Output::DrawSeed { effect } => match draw() {
                Ok(seed) => self.send(Input::Seeded { effect, seed }),
                Err(error) => self.no_entropy = Some(error),
            },
            Output::Answer { request, response } => self.answer(request, response),
            Output::WriteTalosconfig { effect, write } => self.write(effect, write),
            Output::Tell(notice) => self.tell(&notice),
            Output::Finished(outcome) => self.ended = Some(Ok(outcome)),
            Output::Failed(error) => self.ended = Some(Err(error)),
        }
    }

    fn finished(&self) -> bool {
        self.ended.is_some() || self.no_entropy.is_some()
    }
}

impl LoginHands {
    /// Waits for what is still under way: the last page in the browser, tokens to be deleted.
    pub(crate) async fn close(self) -> Option<Result<Outcome, LoginError>> {
        if let Some(callback) = self.callback {
            callback.close().await;
        }
        for task in self.closing {
            task.await;
        }
        self.keeper.close().await;
        if let Some(mark) = self.mark {
            mark.close();
        }
        self.ended
    }

    fn send(&self, input: Input) {
        let inputs = self.inputs.clone();
        spawn(async move {
            let _ = inputs.send(input).await;
        })
        .detach();
    }

    /// Where the answer is pasted in any case, it needs no port of this machine.
    fn listen(&mut self, effect: EffectId, addresses: &[SocketAddr]) {
        let entropy = match callback::authorization_entropy() {
            Ok(entropy) => entropy,
            Err(error) => {
                self.no_entropy = Some(error);
                return;
            }
        };
        let opened = Callback::open(addresses, &self.ports, &self.reach, &self.desk);
        let port = match opened {
            Ok((callback, at)) => {
                self.callback = Some(callback);
                self.listening = Some(at);
                at.port()
            }
            Err(why) => match self.ports.iter().copied().find(|port| *port != 0) {
                Some(port) if self.surroundings.headless && self.surroundings.can_type => {
                    self.listening = None;
                    port
                }
                Some(_) | None => return self.send(Input::ListenFailed { effect, why }),
            },
        };
        self.send(Input::Listening { effect, port, entropy });
    }

    fn load(&self, effect: EffectId) {
        let (place, inputs) = (Arc::clone(&self.place), self.inputs.clone());
        spawn(async move {
            let (entry, exposed, context) = smol::unblock(move || {
                let entry = place.store.load(&place.context);
                (entry, place.store.exposed(), place.destination.existing(&place.context))
            })
            .await;
            if let Some(exposed) = exposed {
                crate::terminal::error_line(&format!("warning: {exposed}"));
            }
            let entry = entry.unwrap_or_else(|error| {
                crate::terminal::error_line(&format!("warning: {error}"));
                None
            });
            let _ = inputs.send(Input::Loaded { effect, entry, context }).await;
        })
        .detach();
    }

    fn read_id_token(&self, effect: EffectId) {
        let (given, inputs) = (self.given.clone(), self.inputs.clone());
        spawn(async move {
            let token = smol::unblock(move || match given {
                Some(given) => given.read(),
                None => Err("no ID token was given".to_owned()),
            });
            let token = token.await.map_err(|text| FileTrouble { text: text.into() });
            let _ = inputs.send(Input::IdTokenGiven { effect, token }).await;
        })
        .detach();
    }

    fn write(&self, effect: EffectId, write: ContextWrite) {
        let (place, inputs) = (Arc::clone(&self.place), self.inputs.clone());
        let named = self.nodes.clone();
        spawn(async move {
            let written = smol::unblock(move || place.destination.write(&write, &named));
            let input = match written.await {
                Ok(()) => Input::Written { effect },
                Err(error) => {
                    let trouble = FileTrouble { text: error.to_string().into() };
                    Input::WriteFailed { effect, trouble }
                }
            };
            let _ = inputs.send(input).await;
        })
        .detach();
    }

    fn answer(&self, request: RequestId, response: Response) {
        if !callback::is_pasted(request) {
            self.desk.answer(request, response);
        } else if response.status >= 400 {
            self.voice.attention(NOT_THIS_LOGIN);
        }
    }

    fn read_pasted(&mut self) {
        if self.surroundings.can_type && !self.reads_pasted {
            self.reads_pasted = true;
            let voice = self.voice.clone();
            callback::read_pasted(self.inputs.clone(), move || voice.attention(NOT_THIS_LOGIN));
        }
    }

    fn tell(&mut self, notice: &Notice) {
        let now = clock::now().wall;
        self.voice.notice(notice, &self.surroundings, self.listening, now);
        if let Some(mark) = &self.mark {
            mark.note(notice);
        }
        match notice {
            Notice::Written { context, facts } => {
                // From here on they are the user's: renewals of a watch leave them alone.
                self.nodes = NamedNodes::default();
                self.voice.result(true, context, &self.place.destination, facts, now);
                if !self.voice.no_result {
                    let remarks = self.place.destination.remarks(context);
                    remarks.iter().for_each(|remark| self.voice.progress(remark));
                }
            }
            Notice::OpenUrl { browser, .. }
                if self.surroundings.headless && (!browser || self.listening.is_none()) =>
            {
                self.read_pasted();
            }
            Notice::BrowserNotStarted if self.surroundings.is_remote => self.read_pasted(),
            Notice::OpenUrl { .. }
            | Notice::UsingCachedToken
            | Notice::Refreshing
            | Notice::LoginNeeded(_)
            | Notice::RefreshRefused(_)
            | Notice::BrowserNotStarted
            | Notice::DeviceCode { .. }
            | Notice::UnprovenError(_)
            | Notice::StrayAnswer
            | Notice::WithoutOfflineAccess
            | Notice::TokenRefusedByServer
            | Notice::TokensNotStored(_)
            | Notice::RefreshPutOff(_)
            | Notice::NoLock
            | Notice::NoRefreshToken
            | Notice::ClockBehind { .. }
            | Notice::NextRenewal { .. }
            | Notice::RenewalFailed { .. } => {}
        }
    }
}

const NOT_THIS_LOGIN: &str = "That is not the answer to this login: copy the whole address from \
                              the browser's address bar.";
