//! `talosctl-oidc`: OIDC logins for Talos Linux.

mod args;
#[cfg(feature = "server")]
mod audit;
#[cfg(feature = "demo")]
mod demo;
#[cfg(feature = "client")]
mod doctor;
#[cfg(feature = "client")]
mod exec;
mod exit;
#[cfg(feature = "client")]
mod login;
#[cfg(feature = "client")]
mod logout;
#[cfg(feature = "manual")]
mod manual;
#[cfg(feature = "server")]
mod rbac;
#[cfg(feature = "server")]
mod serve;
#[cfg(feature = "client")]
mod status;
mod terminal;
mod version;

use std::process::ExitCode;

use args::{Cli, Command};

fn main() -> ExitCode {
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers, not errors; everything else is wrong usage.
            let code = u8::from(error.use_stderr());
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let outcome = match cli.command {
        #[cfg(feature = "server")]
        Command::Serve(args) => serve::run(&args),
        #[cfg(feature = "client")]
        Command::Login(args) => login::run(&args),
        #[cfg(feature = "client")]
        Command::Exec(args) => exec::run(&args),
        #[cfg(feature = "client")]
        Command::Logout(args) => logout::run(&args),
        #[cfg(feature = "client")]
        Command::Status(args) => status::run(&args),
        #[cfg(feature = "client")]
        Command::Doctor(args) => doctor::run(&args),
        Command::Version => {
            terminal::line(version::text().trim_end());
            Ok(ExitCode::SUCCESS)
        }
        #[cfg(feature = "demo")]
        Command::Demo(args) => demo::run(&args),
        #[cfg(feature = "server")]
        Command::Rbac { command: args::Rbac::Explain(args) } => rbac::explain(&args),
        #[cfg(feature = "server")]
        Command::Audit { command: args::Audit::Verify(args) } => audit::verify(&args),
        #[cfg(feature = "manual")]
        Command::Completion { shell } => Ok(manual::completion(shell)),
        #[cfg(feature = "manual")]
        Command::Man { folder } => manual::write(&folder),
    };
    outcome
        .and_then(|code| terminal::all_written().map(|()| code))
        .unwrap_or_else(|failure| failure.report())
}
