//! `talosctl-oidc`: OIDC logins for Talos Linux.
#![allow(dead_code, reason = "the commands that use it land next")]

mod args;
mod demo;
mod exit;
mod login;
mod logout;
mod manual;
mod serve;
mod status;
mod terminal;
mod version;

use std::process::ExitCode;

use args::{Cli, Command};
use clap::Parser as _;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers, not errors; everything else is wrong usage.
            let code = u8::from(error.use_stderr());
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let outcome = match cli.command {
        Command::Serve(args) => serve::run(&args),
        Command::Login(args) => login::run(&args),
        Command::Logout(args) => logout::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Version => {
            terminal::line(version::text().trim_end());
            Ok(ExitCode::SUCCESS)
        }
        Command::Demo(args) => demo::run(&args),
        Command::Completion { shell } => Ok(manual::completion(shell)),
        Command::Man { folder } => manual::write(&folder),
    };
    outcome.unwrap_or_else(|failure| failure.report())
}
