//! Flags of the commands around a login that is there.
#![allow(
    rustdoc::bare_urls,
    rustdoc::broken_intra_doc_links,
    rustdoc::invalid_html_tags,
    reason = "doc comments of arguments are help texts, read in a terminal"
)]

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::login::Login;
use super::reading::switch;
use crate::exit::{Class, Failure};

/// Flags of `exec`.
#[derive(Args, Debug)]
#[command(mut_arg("watch", |arg| arg.hide(true)))]
#[command(override_usage = "talosctl-oidc exec [OPTIONS] [SERVER] -- COMMAND [ARGUMENT]...")]
#[command(after_help = "The exit code is the command's; 126 when it cannot be started, 127 when \
                        there is no such command, and that of `login` when the login fails.")]
pub(crate) struct Exec {
    /// Those of `login`.
    #[command(flatten)]
    pub(crate) login: Login,
    /// Get a certificate for this command alone; no talosconfig is written
    #[arg(long, env = "TALOSCTL_OIDC_LOGIN_EPHEMERAL", value_parser = switch)]
    pub(crate) ephemeral: bool,
    /// The command and its arguments, behind --
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<std::ffi::OsString>,
}

/// Flags of `logout`.
#[derive(Args, Debug)]
pub(crate) struct Logout {
    /// Which login.
    #[command(flatten)]
    pub(crate) target: Target,
    /// Also tell the provider to end the refresh token (RFC 7009); a client that has a secret shows
    /// it as for login
    #[arg(long)]
    pub(crate) revoke: bool,
    /// How this client proves who it is.
    #[command(flatten)]
    pub(crate) client: Client,
    /// PEM file of an authority to trust for the provider, besides the system's
    #[arg(long, value_name = "PATH", env = "TALOSCTL_OIDC_LOGIN_PROVIDER_CA")]
    pub(crate) provider_ca: Option<PathBuf>,
}

/// How a client that has a secret proves to the provider who it is.
#[derive(Args, Debug)]
pub(crate) struct Client {
    /// OIDC client secret; visible to other users of this machine, so prefer the next two
    #[arg(
        long,
        value_name = "SECRET",
        env = "TALOSCTL_OIDC_LOGIN_CLIENT_SECRET",
        hide_env_values = true
    )]
    pub(crate) client_secret: Option<String>,
    /// File that holds the OIDC client secret; - reads standard input
    #[arg(long, value_name = "PATH", env = "TALOSCTL_OIDC_LOGIN_CLIENT_SECRET_FILE")]
    pub(crate) client_secret_file: Option<PathBuf>,
    /// How the client secret is sent: auto, basic or post
    #[arg(
        long,
        value_name = "METHOD",
        default_value = "auto",
        env = "TALOSCTL_OIDC_LOGIN_CLIENT_AUTH"
    )]
    pub(crate) client_auth: String,
}

/// Flags of `status`.
#[derive(Args, Debug)]
#[command(after_help = "Exit code: 0, whatever there is; with --check 0 when the context has a \
                        certificate that is valid now, its key and its authority, and 2 when not.")]
pub(crate) struct Status {
    /// Which login.
    #[command(flatten)]
    pub(crate) target: Target,
    /// How to print it
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    pub(crate) output: Format,
    /// Say by the exit code whether the certificate is usable now
    #[arg(long)]
    pub(crate) check: bool,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Lines for people
    Text,
    /// One JSON object
    Json,
    /// YAML
    Yaml,
}

/// Which login a command is about.
#[derive(Args, Debug)]
pub(crate) struct Target {
    /// Name of the talosconfig context
    #[arg(
        long,
        value_name = "NAME",
        default_value = "oidc",
        env = "TALOSCTL_OIDC_LOGIN_CONTEXT_NAME"
    )]
    pub(crate) context_name: String,
    /// Path of the talosconfig [default: as talosctl has it: $TALOSCONFIG, $TALOS_HOME/config,
    /// ~/.talos/config, the first that exists]
    #[arg(long, value_name = "PATH", env = "TALOSCTL_OIDC_LOGIN_TALOSCONFIG")]
    pub(crate) talosconfig: Option<PathBuf>,
    /// Where tokens are kept
    #[arg(long, value_enum, default_value_t = Store::Auto, env = "TALOSCTL_OIDC_LOGIN_TOKEN_STORE")]
    pub(crate) token_store: Store,
}

impl Target {
    /// The name of the context, checked.
    pub(crate) fn context_name(&self) -> Result<exchange_core::types::ContextName, Failure> {
        self.context_name.parse().map_err(|error| {
            Failure::new(Class::Other, "usage.invalid", format!("--context-name: {error}"))
        })
    }
}

/// Where tokens are kept between runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Store {
    /// The system keychain, or a file of mode 0600 where there is none
    Auto,
    /// The system keychain only
    Keychain,
    /// A file of mode 0600 in the user's configuration folder
    File,
    /// Nowhere: every login opens the browser
    None,
}
