//! The command line as one table: parsing, `--help`, completions and man pages come from here.
#![allow(
    rustdoc::bare_urls,
    rustdoc::broken_intra_doc_links,
    rustdoc::invalid_html_tags,
    reason = "doc comments of arguments are help texts, read in a terminal"
)]

use std::path::PathBuf;

#[cfg(feature = "client")]
use clap::ValueEnum;
use clap::error::ErrorKind;
use clap::{ArgAction, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

#[cfg(feature = "client")]
use crate::exit::{Class, Failure};

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

impl Cli {
    /// The command line of this process, with its variables. An empty variable counts as unset:
    /// that is what many programs make of one.
    pub(crate) fn read() -> Result<Self, clap::Error> {
        let program = without_empty_variables(Self::command());
        let matches = as_scripts_write_them(program.clone()).try_get_matches();
        match matches.and_then(|matches| Self::from_arg_matches(&matches)) {
            // Shown is the table, without the ways of writing that are taken besides.
            Err(error) if error.kind() == ErrorKind::DisplayHelp => {
                let shown = program.try_get_matches().err();
                Err(shown.filter(|shown| shown.kind() == ErrorKind::DisplayHelp).unwrap_or(error))
            }
            read => read,
        }
    }
}

/// Takes flags as programs in Go do, for which scripts may be written: `--switch=false`, and of a
/// repeated flag the last one.
fn as_scripts_write_them(command: clap::Command) -> clap::Command {
    let taken = |arg: clap::Arg| {
        if !matches!(arg.get_action(), ArgAction::SetTrue) {
            return arg;
        }
        arg.action(ArgAction::Set)
            .num_args(0..=1)
            .require_equals(true)
            .value_parser(switch)
            .default_missing_value("true")
            .default_value("false")
    };
    command.args_override_self(true).mut_args(taken).mut_subcommands(as_scripts_write_them)
}

fn without_empty_variables(command: clap::Command) -> clap::Command {
    let is_empty = |arg: &clap::Arg| {
        let value = arg.get_env().and_then(std::env::var_os);
        value.is_some_and(|value| value.is_empty())
    };
    command
        .mut_args(
            |arg| if is_empty(&arg) { arg.env(clap::builder::Resettable::Reset) } else { arg },
        )
        .mut_subcommands(without_empty_variables)
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

/// Flags of `serve`.
#[derive(Args, Debug)]
#[cfg(feature = "server")]
pub(crate) struct Serve {
    /// YAML configuration file; environment variables TALOSCTL_OIDC_* win over it, key by key
    #[arg(short, long, value_name = "PATH", env = "TALOSCTL_OIDC_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Validate configuration, CA and TLS files, say what would be served, and exit
    #[arg(long)]
    pub(crate) check: bool,
}

#[cfg(feature = "server")]
/// What `rbac` can do.
#[derive(Subcommand, Debug)]
pub(crate) enum Rbac {
    /// Say rule by rule which roles the claims of a token give, and why
    ///
    /// Exit code 0 when there are roles, 3 when the request would be denied.
    Explain(Explain),
}

#[cfg(feature = "server")]
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

#[cfg(feature = "server")]
/// What `audit` can do.
#[derive(Subcommand, Debug)]
pub(crate) enum Audit {
    /// Name the first line that was changed, removed, moved or inserted
    ///
    /// Works offline. Exit code 0 when all lines fit, 1 when one does not, 2 when a file cannot be
    /// read.
    Verify(Verify),
}

#[cfg(feature = "server")]
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

/// Flags of `exec`.
#[derive(Args, Debug)]
#[command(after_help = "The exit code is the command's; 126 when it cannot be started, 127 when \
                        there is no such command, and that of `login` when the login fails.")]
#[cfg(feature = "client")]
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
#[cfg(feature = "client")]
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
#[cfg(feature = "client")]
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
#[cfg(feature = "client")]
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
#[cfg(feature = "client")]
pub(crate) enum Format {
    /// Lines for people
    Text,
    /// One JSON object
    Json,
    /// YAML
    Yaml,
}

/// Which login `logout` and `status` are about.
#[derive(Args, Debug)]
#[cfg(feature = "client")]
pub(crate) struct Target {
    /// Name of the talosconfig context
    #[arg(
        long,
        value_name = "NAME",
        default_value = "oidc",
        env = "TALOSCTL_OIDC_LOGIN_CONTEXT_NAME"
    )]
    pub(crate) context_name: String,
    /// Path of the talosconfig [default: $TALOSCONFIG, else ~/.talos/config]
    #[arg(long, value_name = "PATH", env = "TALOSCTL_OIDC_LOGIN_TALOSCONFIG")]
    pub(crate) talosconfig: Option<PathBuf>,
    /// Where tokens are kept
    #[arg(long, value_enum, default_value_t = Store::Auto, env = "TALOSCTL_OIDC_LOGIN_TOKEN_STORE")]
    pub(crate) token_store: Store,
}

#[cfg(feature = "client")]
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
#[cfg(feature = "client")]
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

/// Flags of `login`.
#[derive(Args, Debug)]
#[cfg(feature = "client")]
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
    /// pins the authority of its certificate by the SHA-256 of its DER
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
        default_value = "8900",
        env = "TALOSCTL_OIDC_LOGIN_CALLBACK_PORT"
    )]
    pub(crate) callback_port: Vec<u16>,
    /// Name of the talosconfig context to write
    #[arg(
        long,
        value_name = "NAME",
        default_value = "oidc",
        env = "TALOSCTL_OIDC_LOGIN_CONTEXT_NAME"
    )]
    pub(crate) context_name: String,
    /// Path of the talosconfig [default: $TALOSCONFIG, else ~/.talos/config]
    #[arg(long, value_name = "PATH", env = "TALOSCTL_OIDC_LOGIN_TALOSCONFIG")]
    pub(crate) talosconfig: Option<PathBuf>,
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
    /// Use this ID token; no browser, no cache
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
    /// Nodes for the context, separated by commas, in place of those it has [default: those it has,
    /// else what the server says]
    #[arg(long, value_name = "NODES", value_delimiter = ',', env = "TALOSCTL_OIDC_LOGIN_NODES")]
    pub(crate) nodes: Vec<String>,
    /// Where tokens are kept
    #[arg(long, value_enum, default_value_t = Store::Auto, env = "TALOSCTL_OIDC_LOGIN_TOKEN_STORE")]
    pub(crate) token_store: Store,
}

/// Flags of `demo`.
#[derive(Args, Debug)]
#[cfg(feature = "demo")]
pub(crate) struct Demo {
    /// Keep everything up, print commands to try, and use the real browser
    #[arg(long)]
    pub(crate) stay: bool,
}

/// A switch in an environment variable or behind `=`. Empty counts as unset; what is neither yes
/// nor no is an error, as a mistyped word must not switch a protection off.
fn switch(text: &str) -> Result<bool, &'static str> {
    match text.trim().to_ascii_lowercase().as_str() {
        "1" | "true" | "t" | "yes" | "y" | "on" => Ok(true),
        "" | "0" | "false" | "f" | "no" | "n" | "off" => Ok(false),
        _ => Err("write true or false"),
    }
}

#[cfg(all(test, feature = "client"))]
mod tests {
    use super::*;

    #[test]
    fn every_flag_of_login_has_its_variable() {
        let mut program = Cli::command();
        program.build();
        for name in ["login", "exec"] {
            let command = program.find_subcommand(name).expect("there is one");
            let named = command.get_arguments().filter(|arg| !arg.is_positional());
            let mut count = 0;
            for arg in named.filter(|arg| arg.get_id() != "help") {
                let long = arg.get_long().expect("each has a long form");
                let expected =
                    format!("TALOSCTL_OIDC_LOGIN_{}", long.to_uppercase().replace('-', "_"));
                assert_eq!(arg.get_env().and_then(|env| env.to_str()), Some(&*expected), "{long}");
                count += 1;
            }
            assert!(count > 30, "{count}");
        }
    }

    #[test]
    fn the_table_is_sound() {
        Cli::command().debug_assert();
        as_scripts_write_them(Cli::command()).debug_assert();
    }

    #[test]
    fn flags_are_taken_as_programs_in_go_take_them() {
        let read = |args: &[&str]| {
            let words = [&["talosctl-oidc", "login"], args].concat();
            let matches = as_scripts_write_them(Cli::command()).try_get_matches_from(words)?;
            let Command::Login(login) = Cli::from_arg_matches(&matches)?.command else {
                return Err(clap::Error::new(ErrorKind::InvalidSubcommand));
            };
            Ok(*login)
        };
        let insecure = |args: &[&str]| read(args).map(|login| login.insecure).ok();
        assert_eq!(insecure(&[]), Some(false));
        assert_eq!(insecure(&["--insecure"]), Some(true));
        assert_eq!(insecure(&["--insecure=true"]), Some(true));
        assert_eq!(insecure(&["--insecure=1"]), Some(true));
        assert_eq!(insecure(&["--insecure=false"]), Some(false));
        assert_eq!(insecure(&["--insecure", "--insecure=false"]), Some(false));
        assert_eq!(insecure(&["--insecure=flase"]), None, "a mistyped word is no answer");
        let login = read(&["--insecure", "https://a.example"]).expect("both are taken");
        assert_eq!(login.server_url.as_deref(), Some("https://a.example"), "not its value");
        let login = read(&["-qo", "json", "-o", "yaml"]).expect("shorts are taken");
        assert!(login.quiet && login.output == Format::Yaml);
        let twice = ["--client-id", "a", "--client-id", "b", "--scopes", "x", "--scopes", "y,z"];
        let login = read(&twice).expect("a repeated flag is taken");
        assert_eq!(login.client_id.as_deref(), Some("b"));
        assert_eq!(login.scopes, ["x", "y", "z"]);
    }
}
