//! A file of `vectors/script`.

use serde::Deserialize;

use crate::words::{self, Step};
use crate::{login, server};

/// A script of exactly one of the machines.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    #[serde(rename = "comment")]
    _comment: String,
    #[serde(rename = "source")]
    _source: String,
    server: Option<One<server::Settings, server::Word>>,
    login: Option<One<login::Settings, login::Word>>,
}

/// One machine, its settings, and its steps.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct One<S, W> {
    settings: S,
    steps: Vec<Step<W>>,
}

impl Case {
    /// Plays the script.
    ///
    /// # Errors
    /// The step at which the machine orders something else.
    pub(crate) fn check(&self) -> Result<(), String> {
        match (&self.server, &self.login) {
            (Some(one), None) => words::play(&server::Play::new(&one.settings), &one.steps),
            (None, Some(one)) => words::play(&login::Play::new(&one.settings), &one.steps),
            _ => Err("exactly one of server and login belongs here".into()),
        }
    }
}
