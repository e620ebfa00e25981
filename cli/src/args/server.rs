//! Flags of the commands around the server.
#![allow(
    rustdoc::bare_urls,
    rustdoc::broken_intra_doc_links,
    rustdoc::invalid_html_tags,
    reason = "doc comments of arguments are help texts, read in a terminal"
)]

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Flags of `serve`.
#[derive(Args, Debug)]
pub(crate) struct Serve {
    /// YAML configuration file; environment variables TALOSCTL_OIDC_* win over it, key by key
    #[arg(short, long, value_name = "PATH", env = "TALOSCTL_OIDC_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Validate configuration, CA and TLS files, say what would be served, and exit
    #[arg(long)]
    pub(crate) check: bool,
}

/// What `rbac` can do.
#[derive(Subcommand, Debug)]
pub(crate) enum Rbac {
    /// Say rule by rule which roles the claims of a token give, and why
    ///
    /// Exit code 0 when there are roles, 3 when the request would be denied.
    Explain(Explain),
}

/// Flags of `rbac explain`.
#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("whose").required(true))]
pub(crate) struct Explain {
    /// YAML configuration file of the server; TALOSCTL_OIDC_* win over it, key by key
    #[arg(short, long, value_name = "PATH", env = "TALOSCTL_OIDC_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// ID token; - reads it from standard input. Its signature is not checked
    #[arg(long, value_name = "TOKEN", group = "whose")]
    pub(crate) token: Option<String>,
    /// File with claims as a JSON object; - reads standard input
    #[arg(long, value_name = "PATH", group = "whose")]
    pub(crate) claims: Option<PathBuf>,
}

/// What `audit` can do.
#[derive(Subcommand, Debug)]
pub(crate) enum Audit {
    /// Name the first line that was changed, removed, moved or inserted
    ///
    /// Works offline. Exit code 0 when all lines fit, 1 when one does not, 2 when a file cannot be
    /// read.
    Verify(Verify),
}

/// Flags of `audit verify`.
#[derive(Args, Debug)]
pub(crate) struct Verify {
    /// Files in the order they were written, rotated ones first; - reads standard input
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Key that checkpoints are signed with, as the server prints it: NAME+HASH+KEY; may be
    /// repeated
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Vec<String>,
    /// File with such keys, one a line; the server writes data_dir/audit.pub
    #[arg(long, value_name = "PATH")]
    pub(crate) key_file: Vec<PathBuf>,
}
