//! The command line as one table: parsing, `--help`, completions and man pages come from here.
#![allow(
    rustdoc::bare_urls,
    rustdoc::broken_intra_doc_links,
    rustdoc::invalid_html_tags,
    reason = "doc comments of arguments are help texts, read in a terminal"
)]

#[cfg(feature = "client")]
mod client;
#[cfg(feature = "client")]
mod login;
mod reading;
#[cfg(feature = "server")]
mod server;
#[cfg(feature = "client")]
mod tips;

#[cfg(feature = "manual")]
use std::path::PathBuf;

#[cfg(feature = "demo")]
use clap::Args;
use clap::{Parser, Subcommand};

#[cfg(feature = "client")]
pub(crate) use client::{Client, Exec, Format, Logout, Status, Store};
#[cfg(feature = "client")]
pub(crate) use login::Login;
#[cfg(feature = "server")]
pub(crate) use server::{Audit, Explain, Rbac, Serve, Verify};

/// OIDC logins for Talos Linux: short-lived client certificates instead of long-lived keys.
#[derive(Parser, Debug)]
#[command(
    name = "talosctl-oidc",
    version = crate::version::VERSION,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 done, 1 usage or other error, 2 local file or configuration, \
                  3 refused by server or policy, 4 server or provider not available, \
                  5 login not completed.\nSet DEBUG=1 to trace what happens on stderr."
)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The sub-commands.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    #[cfg(feature = "server")]
    /// Run the certificate exchange server
    Serve(Serve),
    #[cfg(feature = "client")]
    /// Log in with OIDC and write a short-lived certificate into the talosconfig
    Login(Box<Login>),
    #[cfg(feature = "client")]
    /// Log in where needed, then run a command with a talosconfig that exists for it alone
    Exec(Box<Exec>),
    #[cfg(feature = "client")]
    /// Forget the cached tokens and remove the context from the talosconfig
    Logout(Logout),
    #[cfg(feature = "client")]
    /// Show the state of the cached tokens and of the context
    Status(Status),
    #[cfg(feature = "client")]
    /// Find out why a login does not work: checks of this machine, the server and the provider
    ///
    /// Takes the flags of `login`, with which it should be called. Looks and changes nothing.
    #[command(after_help = "Exit code: 0 without errors, else that of the first error: 2 on this \
                            machine, 4 server or provider, 5 the provider does not know this \
                            client, 1 the flags.")]
    Doctor(Box<Login>),
    /// Print version, commit and build date
    Version,
    #[cfg(feature = "demo")]
    /// Show the whole way on this machine: provider, server, node and three users
    Demo(Demo),
    #[cfg(feature = "server")]
    /// Look into the role rules of a server
    Rbac {
        /// What to do.
        #[command(subcommand)]
        command: Rbac,
    },
    #[cfg(feature = "server")]
    /// Work with the audit log of a server
    Audit {
        /// What to do.
        #[command(subcommand)]
        command: Audit,
    },
    #[cfg(feature = "manual")]
    /// Print the completion script of a shell
    Completion {
        /// Which shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    #[cfg(feature = "manual")]
    /// Write the manual pages into a folder, one for each command
    Man {
        /// The folder, which must exist
        #[arg(value_name = "FOLDER")]
        folder: PathBuf,
    },
}

/// Flags of `demo`.
#[derive(Args, Debug)]
#[cfg(feature = "demo")]
pub(crate) struct Demo {
    /// Keep everything up, print commands to try, and use the real browser
    #[arg(long)]
    pub(crate) stay: bool,
}
