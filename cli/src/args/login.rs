//! Flags of `login`.
#![allow(
    rustdoc::bare_urls,
    rustdoc::broken_intra_doc_links,
    rustdoc::invalid_html_tags,
    reason = "doc comments of arguments are help texts, read in a terminal"
)]

use std::path::PathBuf;

use clap::Args;

use super::client::{Client, Format, Target};
use super::reading::{port, switch};

/// What to type, for those who have not done it before.
const EXAMPLES: &str = "Examples:
  talosctl-oidc login https://oidc.example.com:8443      the server says which provider it uses
  talosctl-oidc login                                    the same server as the last time
  talosctl-oidc login --watch                            and stay, and renew in time
  talosctl-oidc login --server-ca server-ca.pem https://oidc.example.com:8443
  talosctl-oidc login --id-token-file /run/token https://oidc.example.com:8443

Exit codes: 0 done, 1 usage or other error, 2 local file or configuration, 3 refused by server or
policy, 4 server or provider not available, 5 login not completed.";

/// Flags of `login`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Login {
    /// Exchange server; the same as --server
    #[arg(value_name = "SERVER")]
    pub(crate) server_url: Option<String>,
    /// OIDC issuer URL, exactly as the provider spells it [default: what the server says]
    #[arg(long, value_name = "URL", env = "TALOSCTL_OIDC_LOGIN_PROVIDER")]
    pub(crate) provider: Option<String>,
    /// OIDC client ID [default: what the server says]
    #[arg(long, value_name = "ID", env = "TALOSCTL_OIDC_LOGIN_CLIENT_ID")]
    pub(crate) client_id: Option<String>,
    /// Certificate exchange server, such as https://oidc.example.com:8443; #sha256=<hex> behind it
    /// pins the authority of its certificate by the SHA-256 of its DER [default: that of the last
    /// login of the context]
    #[arg(long, value_name = "URL", env = "TALOSCTL_OIDC_LOGIN_SERVER")]
    pub(crate) server: Option<String>,
    /// How this client proves who it is.
    #[command(flatten)]
    pub(crate) client: Client,
    /// OIDC scopes, separated by commas; may be repeated [default: what the server says where it
    /// is asked, else openid,profile,email,offline_access]
    #[arg(long, value_name = "SCOPES", value_delimiter = ',', env = "TALOSCTL_OIDC_LOGIN_SCOPES")]
    pub(crate) scopes: Vec<String>,
    /// Port of the local callback server; may be repeated, the first free one is used
    #[arg(
        long,
        value_name = "PORT",
        value_delimiter = ',',
        value_parser = port,
        default_value = "8900",
        env = "TALOSCTL_OIDC_LOGIN_CALLBACK_PORT"
    )]
    pub(crate) callback_port: Vec<u16>,
    /// Which login.
    #[command(flatten)]
    pub(crate) target: Target,
    /// PEM file of the only authority to trust for the exchange server, or of its own certificate
    #[arg(long, value_name = "PATH", env = "TALOSCTL_OIDC_LOGIN_SERVER_CA")]
    pub(crate) server_ca: Option<PathBuf>,
    /// PEM file of an authority to trust for the provider, besides the system's
    #[arg(long, value_name = "PATH", env = "TALOSCTL_OIDC_LOGIN_PROVIDER_CA")]
    pub(crate) provider_ca: Option<PathBuf>,
    /// Allow plain http to server and provider, and do not check the server's certificate unless
    /// --server-ca is given: anybody on the way can take your login
    #[arg(long, env = "TALOSCTL_OIDC_LOGIN_INSECURE", value_parser = switch)]
    pub(crate) insecure: bool,
    /// Stay in the foreground and renew the certificate before it ends
    #[arg(long, env = "TALOSCTL_OIDC_LOGIN_WATCH", value_parser = switch)]
    pub(crate) watch: bool,
    /// Get a new certificate even if the present one is still good
    #[arg(long, env = "TALOSCTL_OIDC_LOGIN_FORCE", value_parser = switch)]
    pub(crate) force: bool,
    /// Never ask a person: fail where only a browser or a code would help
    #[arg(long, env = "TALOSCTL_OIDC_LOGIN_NON_INTERACTIVE", value_parser = switch)]
    pub(crate) non_interactive: bool,
    /// Log in with a code on another device (RFC 8628)
    #[arg(long, env = "TALOSCTL_OIDC_LOGIN_DEVICE_CODE", value_parser = switch)]
    pub(crate) device_code: bool,
    /// Print the login URL without opening a browser
    #[arg(long, env = "TALOSCTL_OIDC_LOGIN_SKIP_OPEN_BROWSER", value_parser = switch)]
    pub(crate) skip_open_browser: bool,
    /// Command that opens a URL, before the system's: written like $BROWSER
    #[arg(long, value_name = "COMMAND", env = "TALOSCTL_OIDC_LOGIN_BROWSER_COMMAND")]
    pub(crate) browser_command: Option<String>,
    /// Host in the redirect URI: 127.0.0.1, localhost or [::1]
    #[arg(
        long,
        value_name = "HOST",
        default_value = "127.0.0.1",
        env = "TALOSCTL_OIDC_LOGIN_REDIRECT_HOST"
    )]
    pub(crate) redirect_host: String,
    /// Address the callback server listens on, instead of the redirect host's; may be repeated
    #[arg(
        long,
        value_name = "ADDRESS",
        value_delimiter = ',',
        env = "TALOSCTL_OIDC_LOGIN_LISTEN_ADDRESS"
    )]
    pub(crate) listen_address: Vec<std::net::IpAddr>,
    /// Whole redirect URI, where something stands in front of the callback server
    #[arg(long, value_name = "URL", env = "TALOSCTL_OIDC_LOGIN_OIDC_REDIRECT_URL")]
    pub(crate) oidc_redirect_url: Option<String>,
    /// PEM certificate chain of the callback server, for a provider that registers https redirect
    /// URIs only; the redirect URI becomes https://HOST:PORT/callback
    #[arg(long, value_name = "PATH", env = "TALOSCTL_OIDC_LOGIN_LOCAL_SERVER_CERT")]
    pub(crate) local_server_cert: Option<PathBuf>,
    /// PEM key of that certificate
    #[arg(long, value_name = "PATH", env = "TALOSCTL_OIDC_LOGIN_LOCAL_SERVER_KEY")]
    pub(crate) local_server_key: Option<PathBuf>,
    /// Extra parameter of the authorization request, KEY=VALUE; may be repeated
    #[arg(long, value_name = "KEY=VALUE", env = "TALOSCTL_OIDC_LOGIN_AUTH_PARAM")]
    pub(crate) auth_param: Vec<String>,
    /// Use this ID token; no browser, no cache; visible to other users of this machine, so prefer
    /// the next two
    #[arg(
        long,
        value_name = "TOKEN",
        env = "TALOSCTL_OIDC_LOGIN_ID_TOKEN",
        hide_env_values = true
    )]
    pub(crate) id_token: Option<String>,
    /// Use the ID token in this file; no browser, no cache
    #[arg(long, value_name = "PATH", env = "TALOSCTL_OIDC_LOGIN_ID_TOKEN_FILE")]
    pub(crate) id_token_file: Option<PathBuf>,
    /// Use the ID token in this environment variable; no browser, no cache
    #[arg(long, value_name = "NAME", env = "TALOSCTL_OIDC_LOGIN_ID_TOKEN_ENV")]
    pub(crate) id_token_env: Option<String>,
    /// Only errors, warnings and the result
    #[arg(short, long, env = "TALOSCTL_OIDC_LOGIN_QUIET", value_parser = switch)]
    pub(crate) quiet: bool,
    /// How to print the result
    #[arg(
        short,
        long,
        value_enum,
        value_name = "FORMAT",
        default_value_t = Format::Text,
        env = "TALOSCTL_OIDC_LOGIN_OUTPUT"
    )]
    pub(crate) output: Format,
    /// Nodes for the context, separated by commas, in place of those it has; those of the variable
    /// only go into a context without any [default: those it has, else what the server says]
    #[arg(long, value_name = "NODES", value_delimiter = ',', env = "TALOSCTL_OIDC_LOGIN_NODES")]
    pub(crate) nodes: Vec<String>,
    /// Whether they are from the variable.
    #[arg(skip)]
    pub(crate) has_default_nodes: bool,
}
