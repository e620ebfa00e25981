//! What the server machine orders, done.

use std::sync::Arc;

use exchange_core::http::FetchError;
use exchange_core::machine::{EffectId, Machine, RequestId};
use exchange_core::pki::CaKey;
use exchange_core::server::{Input, Output, Server, SignError};
use exchange_smol::desk::Desk;
use exchange_smol::driver::Hands;
use exchange_smol::executor::spawn;
use exchange_smol::fetch::Fetcher;
use exchange_smol::{entropy, files};
use smol::channel::Sender;

use super::scribe::Order;
use super::{load, log};

/// Signing keys that are remembered: that of the present configuration, and of the last ones for
/// certificates that were begun under them.
const SIGNERS_MAX: usize = 16;

/// The parts that a reload exchanges.
pub(super) struct Tools {
    /// Makes requests to the provider.
    pub(super) fetcher: Fetcher,
    /// Signing keys by the generation of their configuration, the newest last.
    signers: Vec<(u64, Arc<CaKey>)>,
}

impl Tools {
    /// Tools of a first configuration.
    pub(super) fn new(fetcher: Fetcher, generation: u64, signer: CaKey) -> Self {
        Self { fetcher, signers: vec![(generation, Arc::new(signer))] }
    }

    /// Takes over what a new configuration brings, before the machine hears of it.
    pub(super) fn renew(&mut self, fetcher: Fetcher, generation: u64, signer: CaKey) {
        self.fetcher = fetcher;
        self.signers.push((generation, Arc::new(signer)));
        if self.signers.len() > SIGNERS_MAX {
            self.signers.remove(0);
        }
    }

    fn signer(&self, generation: u64) -> Option<Arc<CaKey>> {
        self.signers.iter().find(|(of, _)| *of == generation).map(|(_, key)| Arc::clone(key))
    }
}

/// Marks the number of a request that came in by the metrics listener: both count from 1.
pub(super) const BY_METRICS: u64 = 1 << 63;

/// Performs outputs of the machine; each answer comes as an input.
pub(super) struct ServeHands {
    /// Shared with the reload task.
    pub(super) tools: Arc<std::sync::Mutex<Tools>>,
    /// To the machine.
    pub(super) inputs: Sender<Input>,
    /// To the audit log.
    pub(super) scribe: Sender<Order>,
    /// To the connections.
    pub(super) desk: Arc<Desk<Input>>,
    /// To the connections of the metrics listener.
    pub(super) metrics_desk: Arc<Desk<Input>>,
    /// Where keys are kept for the next start.
    pub(super) keys_file: Option<std::path::PathBuf>,
}

impl ServeHands {
    fn tools(&self) -> std::sync::MutexGuard<'_, Tools> {
        self.tools.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn sign(&self, effect: EffectId, generation: u64, tbs: Vec<u8>) {
        let (signer, inputs) = (self.tools().signer(generation), self.inputs.clone());
        let slow = signer.as_ref().is_some_and(|signer| signer.is_slow());
        let work = move || {
            let signed = signer.and_then(|key| key.sign(&entropy::generator(), &tbs).ok());
            Input::Signed { effect, result: signed.ok_or(SignError) }
        };
        if !slow {
            let _ = inputs.try_send(work());
            return;
        }
        // An RSA signature takes milliseconds, in which nobody else would be served.
        spawn(async move {
            let _ = inputs.send(smol::unblock(work).await).await;
        })
        .detach();
    }
}

impl Hands<Server> for ServeHands {
    fn start(&mut self, output: <Server as Machine>::Output) {
        match output {
            Output::Fetch { effect, request } => {
                log::debug(format_args!("[OIDC] {request:?}"));
                let (fetcher, inputs) = (self.tools().fetcher.clone(), self.inputs.clone());
                spawn(async move {
                    let result = fetcher.fetch(request).await;
                    match &result {
                        Ok(reply) => log::debug(format_args!("[OIDC] {reply:?}")),
                        Err(error) => {
                            log::debug(format_args!("[OIDC] {error}"));
                            if *error == FetchError::UntrustedCertificate
                                && fetcher.provider().found_no_roots()
                            {
                                load::warn_of_no_authorities();
                            }
                        }
                    }
                    let _ = inputs.send(Input::Fetched { effect, result }).await;
                })
                .detach();
            }
            Output::Sign { effect, tbs, generation, .. } => self.sign(effect, generation, tbs),
            Output::Respond { id, audit, response } if audit.is_empty() => {
                match id.0.checked_sub(BY_METRICS) {
                    Some(own) => self.metrics_desk.answer(RequestId(own), response),
                    None => self.desk.answer(id, response),
                };
            }
            Output::Respond { id, audit, response } => {
                let order = Order::Answer { id, events: audit, response };
                // The queue holds more than the requests that can be waiting.
                if self.scribe.try_send(order).is_err() {
                    log::error("the audit log does not keep up");
                }
            }
            Output::SaveKeys(saved) => {
                if let Some(path) = self.keys_file.clone() {
                    spawn(smol::unblock(move || {
                        if let Err(error) = files::write_atomic(&path, &saved, 0o600) {
                            log::warn(&format!("keys of the provider: {error}"));
                        }
                    }))
                    .detach();
                }
            }
            Output::Note(note) => log::note(&note),
        }
    }
}
