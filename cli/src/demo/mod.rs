//! The command `demo`: the whole way on one machine.

mod browser;
mod ca;
mod methods;
mod node;
mod page;
mod provider;
mod wire;

use std::process::ExitCode;

use crate::exit::{Class, Failure};

/// Runs the command.
pub(crate) fn run(_: &crate::args::Demo) -> Result<ExitCode, Failure> {
    Err(Failure::new(Class::Other, "command.absent", "this build has no demo yet"))
}
