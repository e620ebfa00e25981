//! The command `login`.

use std::process::ExitCode;

use crate::exit::{Class, Failure};

/// Runs the command.
pub(crate) fn run(_: &crate::args::Login) -> Result<ExitCode, Failure> {
    Err(Failure::new(Class::Other, "command.absent", "this build has no login yet"))
}
