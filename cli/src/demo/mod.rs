//! The command `demo`: the whole way on one machine.

mod methods;
mod page;
mod provider;

use std::process::ExitCode;

use crate::exit::{Class, Failure};

/// Runs the command.
pub(crate) fn run(_: &crate::args::Demo) -> Result<ExitCode, Failure> {
    Err(Failure::new(Class::Other, "command.absent", "this build has no demo yet"))
}
