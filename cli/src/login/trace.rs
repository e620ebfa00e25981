//! What `DEBUG` shows: what happens, never with what secret.

use exchange_core::http::FetchRequest;
use exchange_core::login::{FetchResult, Notice, Outcome, Output};
use exchange_core::types::Url;

use crate::terminal;

/// Whether `DEBUG` is set, to whatever.
pub(crate) fn is_on() -> bool {
    std::env::var_os("DEBUG").is_some_and(|value| !value.is_empty())
}

/// Writes one line if `on`; `text` is only made then.
pub(crate) fn line(on: bool, text: impl FnOnce() -> String) {
    if on {
        terminal::error_line(&format!("[DEBUG] {}", text()));
    }
}

/// What the machine ordered; `None` for what shows by itself.
pub(crate) fn output(output: &Output) -> Option<String> {
    let text = match output {
        Output::LoadState { .. } => "reading tokens and context".to_owned(),
        Output::ReadIdToken { .. } => "reading the given ID token".to_owned(),
        Output::DrawSeed { .. } => "making a private key".to_owned(),
        Output::Lock { .. } => "waiting for the lock of this login".to_owned(),
        Output::ReleaseLock => "giving the lock back".to_owned(),
        Output::Fetch { request, .. } => sent(request),
        Output::Listen { addresses, .. } => format!("listening on {addresses:?}"),
        Output::StopListening => "closing the callback server".to_owned(),
        Output::OpenBrowser { url } => format!("starting a browser for {}", place(url)),
        Output::Answer { request, response } => {
            format!("callback {}: answered {}", request.0, response.status)
        }
        Output::SaveTokens { entry, .. } => format!("storing {entry:?}"),
        Output::ForgetTokens => "deleting the stored tokens".to_owned(),
        Output::WriteTalosconfig { write, .. } => format!(
            "writing context {:?}: {} endpoints, CA {} bytes, certificate {} bytes",
            write.context.as_str(),
            write.endpoints.len(),
            write.ca.len(),
            write.certificate.len()
        ),
        Output::Tell(Notice::RenewalFailed { error, .. }) => format!("failed: {}", error.code()),
        Output::Tell(_) => return None,
        Output::Finished(outcome) => match outcome {
            Outcome::Written(_) => "done: written".to_owned(),
            Outcome::StillFresh(_) => "done: still fresh".to_owned(),
            Outcome::Stopped => "done: stopped".to_owned(),
        },
        Output::Failed(error) => format!("failed: {}", error.code()),
    };
    Some(text)
}

/// An answer to a request.
pub(crate) fn answered(result: &FetchResult, millis: u64) -> String {
    match result {
        Ok(reply) => {
            format!("answer {}, {} bytes, after {millis} ms", reply.status, reply.body.len())
        }
        Err(error) => format!("no answer: {} after {millis} ms", error.code()),
    }
}

fn sent(request: &FetchRequest) -> String {
    let place = place(&request.url);
    match &request.post {
        Some((kind, body)) => format!("POST {place}, {} bytes of {kind}", body.len()),
        None => format!("GET {place}"),
    }
}

/// The URL without its query, which may hold anything.
fn place(url: &Url) -> &str {
    url.as_str().split('?').next().unwrap_or_default()
}
