//! From flags to a login: everything that can be wrong is said before anything happens.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use exchange_core::login::{
    BrowserSettings, Flow, LoginSettings, LoopbackHost, ProviderSettings, StorePolicy, TokenSource,
};
use exchange_core::oidc::authorize::AuthParam;
use exchange_core::oidc::discovery::DiscoveryPolicy;
use exchange_core::oidc::scopes::Scopes;
use exchange_core::oidc::token_endpoint::ClientAuth;
use exchange_core::types::{ClientId, ContextName, Issuer, Secret, Url};
use exchange_smol::files;

use super::context::Destination;
use super::paths::Places;
use super::requests::{Peer, Requests};
use super::server_says::{self, ServerSays};
use super::store::TokenStore;
use super::surroundings::Surroundings;
use crate::args;
use crate::exit::{Class, Failure};
use crate::terminal;

/// Largest file with a secret, a token or certificates.
const BYTES_MAX: usize = 1024 * 1024;
/// Tolerance for `exp` of tokens that just came, in seconds.
const SKEW_SECS: u32 = 60;

/// A login ready to run.
pub(crate) struct Plan {
    /// For the machine.
    pub(crate) settings: LoginSettings,
    /// What the machine's requests go through.
    pub(crate) requests: Requests,
    /// Callback ports, the first free one is used.
    pub(crate) ports: Vec<u16>,
    /// Where the certificate goes.
    pub(crate) destination: Destination,
    /// Tokens between runs.
    pub(crate) store: TokenStore,
    /// Where a given ID token is read.
    pub(crate) given: Option<Given>,
    /// Nodes that the flag names.
    pub(crate) nodes: Vec<String>,
    /// Commands that open a URL, as in `$BROWSER`.
    pub(crate) browser: Option<String>,
    /// What is known of this machine.
    pub(crate) surroundings: Surroundings,
}

/// Where a given ID token is read, anew for each renewal: workload tokens are replaced in place.
#[derive(Debug)]
pub(crate) enum Given {
    /// Here: from a flag or standard input, which can be read once.
    Token(Secret),
    /// In a file.
    File(PathBuf),
    /// In an environment variable.
    Variable(String),
}

/// Flags that parsed, and what was wrong with the others.
struct Checked<'a> {
    args: &'a args::Login,
    places: Places,
    problems: Vec<String>,
}

/// Checks the flags, asks the server where they leave a question, and gives the whole. With
/// `in_memory` no talosconfig is touched.
pub(crate) async fn of(args: &args::Login, in_memory: bool) -> Result<Plan, Failure> {
    let mut checked = Checked { args, places: Places::of_process(), problems: Vec::new() };
    let given = checked.given_source();
    let (server, pin) = checked.server(given.is_some())?;
    let context: Option<ContextName> = checked.parsed("--context-name", &args.context_name);
    let issuer: Option<Issuer> = checked.parsed_if("--provider", args.provider.as_deref());
    let client_id: Option<ClientId> = checked.parsed_if("--client-id", args.client_id.as_deref());
    let scopes = checked.scopes();
    let client_auth = checked.client_auth();
    let surroundings = Surroundings::of_process();
    let flow = checked.flow(&surroundings);
    let (provider_peer, server_peer) = checked.peers(pin);
    let secret = checked.client_secret();
    let given = given.map(Source::read).transpose();
    let given = checked.noted(given).flatten();
    let (Some(server), Some(context), Some((flow, ports)), []) =
        (server, context, flow, checked.problems.as_slice())
    else {
        return Err(Failure::new(
            Class::Other,
            "usage.invalid",
            checked.problems.join("\n       "),
        ));
    };
    let destination = if in_memory {
        Destination::Memory(Arc::default())
    } else {
        let path = checked.places.talosconfig(args.talosconfig.as_deref())?.writable()?;
        Destination::File(path)
    };
    destination.rehearse(&context)?;
    let store =
        if given.is_some() { TokenStore::Nowhere } else { TokenStore::open(args.token_store)? };
    let requests = Requests::new(provider_peer, server_peer);
    let interactive = given.is_none() && surroundings.is_somebody_there(args);
    let mut settings = LoginSettings {
        context,
        server,
        plain_http: args.insecure,
        source: TokenSource::Given,
        interactive,
        watch: args.watch,
        force: args.force,
        store: if matches!(store, TokenStore::Nowhere) {
            StorePolicy::Ephemeral
        } else {
            StorePolicy::Keep
        },
    };
    // Said before anything goes over the network.
    settings.exchange_url().map_err(|error| super::failure(&error))?;
    checked.warn();
    if given.is_none() {
        let (issuer, client_id, said) = match (issuer, client_id) {
            (Some(issuer), Some(client_id)) => (issuer, client_id, None),
            (issuer, client_id) => {
                let said = match server_says::remembered(&settings, &store, &destination) {
                    Some(said) => said,
                    None => server_says::ask(&requests, &settings).await?,
                };
                let ServerSays { issuer: its, client_id: id, scopes } = said;
                (issuer.unwrap_or(its), client_id.unwrap_or(id), scopes)
            }
        };
        settings.source = TokenSource::Provider(Box::new(ProviderSettings {
            issuer,
            client_id,
            client_secret: secret,
            client_auth,
            scopes: scopes.or(said).unwrap_or_default(),
            policy: DiscoveryPolicy { allow_http: args.insecure, slash_tolerant: false },
            skew_secs: SKEW_SECS,
            flow,
        }));
    }
    let browser = args.browser_command.clone().filter(|command| !command.trim().is_empty());
    Ok(Plan {
        settings,
        requests,
        ports,
        destination,
        store,
        given,
        nodes: args.nodes.iter().filter(|node| !node.is_empty()).cloned().collect(),
        browser: browser.or_else(|| std::env::var("BROWSER").ok()),
        surroundings,
    })
}

/// A given ID token before it is read.
enum Source {
    Text(String),
    Stdin,
    File(PathBuf),
    Variable(String),
}

impl Source {
    /// Reads what can be read once only.
    fn read(self) -> Result<Given, String> {
        match self {
            Self::Text(token) => Ok(Given::Token(Secret::from(token))),
            Self::Stdin => stdin("--id-token-file").map(Given::Token),
            Self::File(path) => Ok(Given::File(path)),
            Self::Variable(name) => Ok(Given::Variable(name)),
        }
    }
}

impl Given {
    /// The token as it is now, or why there is none.
    pub(crate) fn read(&self) -> Result<Secret, String> {
        match self {
            Self::Token(token) => Ok(token.duplicate()),
            Self::File(path) => match files::read(path, BYTES_MAX) {
                Ok(bytes) => Ok(Secret::new(bytes.as_slice())),
                Err(error) => Err(error.to_string()),
            },
            Self::Variable(name) => match std::env::var(name) {
                Ok(token) if !token.trim().is_empty() => Ok(Secret::from(token)),
                Ok(_) | Err(_) => {
                    Err(format!("the environment variable {name} is not set: check --id-token-env"))
                }
            },
        }
    }
}

impl Checked<'_> {
    fn problem(&mut self, text: impl Into<String>) {
        self.problems.push(text.into());
    }

    fn noted<T>(&mut self, result: Result<T, String>) -> Option<T> {
        result.map_err(|problem| self.problem(problem)).ok()
    }

    fn parsed<T: FromStr>(&mut self, flag: &str, text: &str) -> Option<T>
    where
        T::Err: std::fmt::Display,
    {
        self.noted(text.parse().map_err(|error| format!("{flag}: {error}")))
    }

    /// Empty counts as absent: that is what an unset variable looks like to many programs.
    fn parsed_if<T: FromStr>(&mut self, flag: &str, text: Option<&str>) -> Option<T>
    where
        T::Err: std::fmt::Display,
    {
        text.filter(|text| !text.is_empty()).and_then(|text| self.parsed(flag, text))
    }

    fn file(&mut self, flag: &str, path: Option<&PathBuf>) -> Option<Vec<u8>> {
        let path = path.filter(|path| !path.as_os_str().is_empty())?;
        let path = self.places.expand(path);
        let read = files::read(&path, BYTES_MAX).map(|bytes| bytes.to_vec());
        self.noted(read.map_err(|error| format!("{flag}: {error}")))
    }

    fn given_source(&self) -> Option<Source> {
        let args = self.args;
        let file = args.id_token_file.as_ref().filter(|path| !path.as_os_str().is_empty());
        if let Some(token) = args.id_token.as_ref().filter(|token| !token.is_empty()) {
            Some(Source::Text(token.clone()))
        } else if let Some(path) = file {
            Some(if is_stdin(path) {
                Source::Stdin
            } else {
                Source::File(self.places.expand(path))
            })
        } else {
            args.id_token_env.clone().map(Source::Variable)
        }
    }

    /// The server and, behind `#sha256=`, the authority it must have. What is missing altogether
    /// is named in one sentence.
    fn server(&mut self, is_given: bool) -> Result<(Option<Url>, Option<[u8; 32]>), Failure> {
        let args = self.args;
        let is_set = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        let text = args.server.as_ref().or(args.server_url.as_ref());
        let text = text.filter(|text| !text.is_empty()).cloned();
        let text = text.or_else(|| if is_given { None } else { self.last_server() });
        let Some(text) = text.as_deref() else {
            let mut missing = vec!["--server"];
            if !is_given {
                missing.extend((!is_set(&args.provider)).then_some("--provider"));
                missing.extend((!is_set(&args.client_id)).then_some("--client-id"));
            }
            let message = format!(
                "missing: {}. The server alone is enough where it tells the rest: \
                 talosctl-oidc login https://oidc.example.com:8443",
                missing.join(", ")
            );
            return Err(Failure::new(Class::Other, "usage.missing", message));
        };
        let (text, pin) = match text.split_once("#sha256=") {
            Some((text, hex)) => match sha256(hex) {
                Some(pin) => (text, Some(pin)),
                None => {
                    self.problem("--server: behind #sha256= belong 64 hexadecimal digits");
                    return Ok((None, None));
                }
            },
            None => (text, None),
        };
        if pin.is_some() && args.server_ca.is_some() {
            self.problem("--server-ca and #sha256= both name the server's authority: give one");
        }
        Ok((self.parsed("--server", text.trim_end_matches('/')), pin))
    }

    /// The server of the last login of this context.
    fn last_server(&self) -> Option<String> {
        let context = self.args.context_name.parse().ok()?;
        let entry = TokenStore::open(self.args.token_store).ok()?.load(&context).ok()??;
        entry.server.map(String::from)
    }

    fn scopes(&mut self) -> Option<Scopes> {
        let lists: Vec<&str> =
            self.args.scopes.iter().map(String::as_str).filter(|list| !list.is_empty()).collect();
        if lists.is_empty() {
            return None;
        }
        self.noted(Scopes::parse(lists).map_err(|error| format!("--scopes: {error}")))
    }

    fn client_auth(&mut self) -> ClientAuth {
        let parsed = self.args.client_auth.parse();
        self.noted(parsed.map_err(|()| "--client-auth: write auto, basic or post".to_owned()))
            .unwrap_or_default()
    }

    fn client_secret(&mut self) -> Option<Secret> {
        let args = self.args;
        if let Some(secret) = args.client_secret.as_ref().filter(|secret| !secret.is_empty()) {
            return Some(Secret::from(secret.clone()));
        }
        let path = args.client_secret_file.as_ref().filter(|path| !path.as_os_str().is_empty())?;
        let read = if is_stdin(path) {
            stdin("--client-secret-file")
        } else {
            files::read(&self.places.expand(path), BYTES_MAX)
                .map(|bytes| Secret::new(bytes.as_slice()))
                .map_err(|error| format!("--client-secret-file: {error}"))
        };
        let secret = self.noted(read)?;
        // Editors and echo end a file with a line feed that is no part of the secret.
        let trimmed = secret.expose().trim_ascii();
        if trimmed.is_empty() {
            self.problem("--client-secret-file: nothing in it");
            return None;
        }
        Some(Secret::new(trimmed))
    }

    /// Whom to trust as provider and as server.
    fn peers(&mut self, pin: Option<[u8; 32]>) -> (Peer, Peer) {
        let provider = self.file("--provider-ca", self.args.provider_ca.as_ref());
        let provider = provider.map_or(Peer::System, Peer::SystemPlus);
        let only = self.file("--server-ca", self.args.server_ca.as_ref());
        let server = match (only, pin) {
            (Some(pem), _) => Peer::Only(pem),
            (None, Some(pin)) => Peer::Pinned(pin),
            (None, None) if self.args.insecure => Peer::Anybody,
            (None, None) => Peer::System,
        };
        for (flag, peer) in [("--provider-ca", &provider), ("--server-ca", &server)] {
            let checked = peer.check().map_err(|error| format!("{flag}: {error}"));
            self.noted(checked);
        }
        (provider, server)
    }

    /// How a person logs in, and the ports to try.
    fn flow(&mut self, surroundings: &Surroundings) -> Option<(Flow, Vec<u16>)> {
        let args = self.args;
        let host = match args.redirect_host.trim_matches(['[', ']']) {
            "127.0.0.1" | "" => Some(LoopbackHost::V4),
            "::1" => Some(LoopbackHost::V6),
            "localhost" => Some(LoopbackHost::Name),
            _ => {
                self.problem("--redirect-host: write 127.0.0.1, localhost or [::1]");
                None
            }
        };
        let mut auth_params = Vec::new();
        for text in &args.auth_param {
            let parsed: Option<AuthParam> = self.parsed("--auth-param", text);
            auth_params.extend(parsed);
        }
        let redirect_uri = self.parsed_if("--oidc-redirect-url", args.oidc_redirect_url.as_deref());
        let ports =
            if args.callback_port.is_empty() { vec![8900] } else { args.callback_port.clone() };
        let headless = surroundings.headless && !args.skip_open_browser;
        let browser = BrowserSettings {
            port: ports.first().copied().unwrap_or(8900),
            host: host?,
            listen: args.listen_address.clone(),
            redirect_uri,
            open_browser: !args.skip_open_browser && (!headless || args.browser_command.is_some()),
            auth_params,
            ..BrowserSettings::default()
        };
        let asks_for_browser = args.skip_open_browser || args.browser_command.is_some();
        let flow = if args.device_code {
            Flow::Device
        } else if headless && !asks_for_browser {
            Flow::DeviceOr(browser)
        } else {
            Flow::Browser(browser)
        };
        Some((flow, ports))
    }

    /// What is allowed and not good.
    fn warn(&self) {
        if self.args.insecure && self.args.server_ca.is_none() {
            terminal::error_line(
                "warning: --insecure: anybody on the way to the server can take this login",
            );
        }
    }
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn stdin(flag: &str) -> Result<Secret, String> {
    use std::io::Read as _;
    let cap = u64::try_from(BYTES_MAX).unwrap_or(u64::MAX);
    let mut bytes = zeroize::Zeroizing::new(Vec::with_capacity(4096));
    match std::io::stdin().lock().take(cap).read_to_end(&mut bytes) {
        Ok(_) if bytes.trim_ascii().is_empty() => Err(format!("{flag}: nothing came from stdin")),
        Ok(_) => Ok(Secret::new(bytes.trim_ascii())),
        Err(error) => Err(format!("{flag}: cannot read stdin: {}", error.kind())),
    }
}

/// 64 hexadecimal digits, with or without colons between pairs.
fn sha256(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b':').collect();
    let mut out = [0; 32];
    let pairs = digits.chunks_exact(2);
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in out.iter_mut().zip(pairs) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(out)
}
