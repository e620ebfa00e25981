//! The line that says what a login waits for, on terminals only.

use std::sync::{Arc, Mutex, PoisonError};

use exchange_core::http::Trust;
use exchange_core::login::{Notice, Output};
use exchange_smol::clock;
use exchange_smol::executor::spawn;
use smol::Task;

use crate::terminal;

const FRAMES: [char; 4] = ['|', '/', '-', '\\'];
const FRAME_MILLIS: u64 = 120;
/// What is over before this is not worth a line that flickers.
const PATIENCE_MILLIS: u64 = 400;

/// What is waited for, and since when.
type Waiting = Arc<Mutex<Option<(&'static str, u64)>>>;

/// The line. Gone from the screen when dropped.
pub(crate) struct Spinner {
    waiting: Waiting,
    /// Whether somebody may type into the terminal, where a line that is redrawn would be in the
    /// way.
    is_typed_in: bool,
    _task: Option<Task<()>>,
}

impl Spinner {
    /// A line, where `wanted` and where standard error can show one.
    pub(crate) fn start(wanted: bool, is_typed_in: bool) -> Self {
        let waiting = Waiting::default();
        let shown = wanted && terminal::can_redraw();
        let task = shown.then(|| spawn(turn(Arc::clone(&waiting))));
        Self { waiting, is_typed_in, _task: task }
    }

    /// Follows what the login does.
    pub(crate) fn follow(&self, output: &Output) {
        match output {
            Output::Lock { .. } => self.wait_for(Some("another login of this context")),
            Output::Fetch { request, .. } => match request.trust {
                Trust::Server => self.wait_for(Some("the exchange server")),
                // Between two polls of a device login it is the person who is waited for.
                Trust::Provider if !self.waits_for(CODE) => self.wait_for(Some("the provider")),
                Trust::Provider => {}
            },
            Output::Tell(Notice::OpenUrl { .. }) if self.is_typed_in => self.wait_for(None),
            Output::Tell(Notice::OpenUrl { .. }) => self.wait_for(Some("the login in the browser")),
            Output::Tell(Notice::DeviceCode { .. }) => self.wait_for(Some(CODE)),
            Output::Tell(Notice::NextRenewal { .. } | Notice::RenewalFailed { .. })
            | Output::Finished(_)
            | Output::Failed(_) => self.wait_for(None),
            Output::LoadState { .. }
            | Output::ReadIdToken { .. }
            | Output::ReleaseLock
            | Output::Listen { .. }
            | Output::StopListening
            | Output::OpenBrowser { .. }
            | Output::Tell(_)
            | Output::Answer { .. }
            | Output::SaveTokens { .. }
            | Output::DrawSeed { .. }
            | Output::ForgetTokens
            | Output::WriteTalosconfig { .. } => {}
        }
    }

    fn wait_for(&self, what: Option<&'static str>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        *waiting = what.map(|what| (what, clock::mono().millis()));
    }

    fn waits_for(&self, what: &str) -> bool {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.is_some_and(|(now, _)| now == what)
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        terminal::end_waiting();
    }
}

const CODE: &str = "the code to be entered";

async fn turn(waiting: Waiting) {
    for frame in FRAMES.iter().cycle() {
        clock::sleep(FRAME_MILLIS).await;
        let now = *waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((what, since)) = now else {
            terminal::end_waiting();
            continue;
        };
        let millis = clock::mono().millis().saturating_sub(since);
        if millis >= PATIENCE_MILLIS {
            terminal::wait_line(&format!("{frame} Waiting for {what} ({} s)", millis / 1000));
        }
    }
}
