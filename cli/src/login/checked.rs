//! The flags of a login, each checked, and all that is wrong with them collected.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use exchange_core::login::{BrowserSettings, Flow, LoopbackHost};
use exchange_core::oidc::authorize::AuthParam;
use exchange_core::oidc::scopes::Scopes;
use exchange_core::oidc::token_endpoint::ClientAuth;
use exchange_core::types::{Secret, Url};
use exchange_smol::files;
use exchange_smol::tls::{ServerTls, ServerTlsOptions};

use super::callback::Reach;
use super::client;
use super::context::NamedNodes;
use super::given::{BYTES_MAX, Source, is_stdin, one_of};
use super::paths::Places;
use super::requests::Peer;
use super::store::TokenStore;
use super::surroundings::Surroundings;
use crate::args;
use crate::exit::{Class, Failure};
use crate::terminal;

/// Flags that parsed, and what was wrong with the others.
pub(crate) struct Checked<'a> {
    pub(crate) args: &'a args::Login,
    pub(crate) places: Places,
    pub(crate) store: TokenStore,
    problems: Vec<Problem>,
}

/// How a person logs in.
pub(crate) struct PersonWay {
    pub(crate) flow: Flow,
    /// Callback ports, the first free one is used.
    pub(crate) ports: Vec<u16>,
    /// How the callback server is reached.
    pub(crate) reach: Reach,
}

/// Something that is wrong.
struct Problem {
    class: Class,
    code: &'static str,
    text: String,
}

impl<'a> Checked<'a> {
    /// Nothing checked yet.
    pub(crate) fn new(args: &'a args::Login) -> Self {
        Self {
            args,
            places: Places::of_process(),
            store: TokenStore::nowhere(),
            problems: Vec::new(),
        }
    }

    /// All that was wrong so far, as one failure. Flags weigh more than files.
    pub(crate) fn verdict(&mut self) -> Result<(), Failure> {
        let problems = std::mem::take(&mut self.problems);
        let text = problems.iter().map(|problem| problem.text.as_str()).collect::<Vec<_>>();
        let text = text.join("\n       ");
        match problems.as_slice() {
            [] => Ok(()),
            [only] => Err(Failure::new(only.class, only.code, text)),
            several if several.iter().all(|problem| problem.class == Class::Local) => {
                Err(Failure::local("config.invalid", text))
            }
            _ => Err(Failure::new(Class::Other, "usage.invalid", text)),
        }
    }

    fn problem(&mut self, text: impl Into<String>) {
        self.push(Class::Other, "usage.invalid", text);
    }

    fn push(&mut self, class: Class, code: &'static str, text: impl Into<String>) {
        self.problems.push(Problem { class, code, text: text.into() });
    }

    fn noted<T>(&mut self, result: Result<T, String>) -> Option<T> {
        result.map_err(|problem| self.problem(problem)).ok()
    }

    /// The same for what the flag is right about and a file, a variable or a pipe is not.
    pub(super) fn noted_local<T>(
        &mut self,
        result: Result<T, (&'static str, String)>,
    ) -> Option<T> {
        result.map_err(|(code, text)| self.push(Class::Local, code, text)).ok()
    }

    fn noted_failure<T>(&mut self, result: Result<T, Failure>) -> Option<T> {
        result.map_err(|failure| self.push(failure.class, failure.code, failure.message)).ok()
    }

    pub(crate) fn parsed<T: FromStr>(&mut self, flag: &str, text: &str) -> Option<T>
    where
        T::Err: std::fmt::Display,
    {
        self.noted(text.parse().map_err(|error| format!("{flag}: {error}")))
    }

    /// Empty counts as absent: that is what an unset variable looks like to many programs.
    pub(crate) fn parsed_if<T: FromStr>(&mut self, flag: &str, text: Option<&str>) -> Option<T>
    where
        T::Err: std::fmt::Display,
    {
        text.filter(|text| !text.is_empty()).and_then(|text| self.parsed(flag, text))
    }

    fn file(&mut self, flag: &str, path: Option<&PathBuf>) -> Option<Vec<u8>> {
        let path = path.filter(|path| !path.as_os_str().is_empty())?;
        let path = self.places.expand(path);
        let read = files::read(&path, BYTES_MAX).map(|bytes| bytes.to_vec());
        self.noted_local(read.map_err(|error| (error.code(), format!("{flag}: {error}"))))
    }

    /// The given ID token, if any: of several, a flag wins over a variable.
    pub(crate) fn given_source(&mut self) -> Option<Source> {
        let args = self.args;
        let path = args.id_token_file.as_deref();
        let given = [
            ("--id-token", args.id_token.as_deref().map(OsStr::new)),
            ("--id-token-file", path.map(Path::as_os_str)),
            ("--id-token-env", args.id_token_env.as_deref().map(OsStr::new)),
        ];
        match self.one_of(&given)? {
            "--id-token" => args.id_token.clone().map(Source::Text),
            "--id-token-file" if path.is_some_and(is_stdin) => Some(Source::Stdin),
            "--id-token-file" => path.map(|path| Source::File(self.places.expand(path))),
            _ => args.id_token_env.clone().map(Source::Variable),
        }
    }

    fn one_of(&mut self, given: &[(&'static str, Option<&OsStr>)]) -> Option<&'static str> {
        let (counted, problem) = one_of(given);
        if let Some(problem) = problem {
            self.problem(problem);
        }
        counted
    }

    /// The server and, behind `#sha256=`, the authority it must have. What is missing altogether
    /// is named in one sentence.
    pub(crate) fn server(
        &mut self,
        is_given: bool,
    ) -> Result<(Option<Url>, Option<[u8; 32]>), Failure> {
        let args = self.args;
        let is_set = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        let named = [
            ("SERVER", args.server_url.as_deref().map(OsStr::new)),
            ("--server", args.server.as_deref().map(OsStr::new)),
        ];
        let text = match self.one_of(&named) {
            Some("SERVER") => args.server_url.clone(),
            Some(_) => args.server.clone(),
            None => None,
        };
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
        if !text.contains("://") {
            self.problem(format!(
                "--server: {text:?} is no URL, which starts with https:// (or http://): write \
                 https://{text}"
            ));
            return Ok((None, None));
        }
        Ok((self.parsed("--server", text.trim_end_matches('/')), pin))
    }

    /// The server of the last login of this context.
    pub(crate) fn last_server(&self) -> Option<String> {
        let context = self.args.target.context_name.parse().ok()?;
        let entry = self.store.load(&context).ok()??;
        entry.server.map(String::from)
    }

    pub(crate) fn scopes(&mut self) -> Option<Scopes> {
        let lists: Vec<&str> =
            self.args.scopes.iter().map(String::as_str).filter(|list| !list.is_empty()).collect();
        if lists.is_empty() {
            return None;
        }
        self.noted(Scopes::parse(lists).map_err(|error| format!("--scopes: {error}")))
    }

    /// Nodes that are named, if they are host names or addresses.
    pub(super) fn nodes(&mut self) -> NamedNodes {
        let nodes = self.args.nodes.iter().map(|node| node.trim());
        let list: Vec<String> = nodes.filter(|node| !node.is_empty()).map(str::to_owned).collect();
        if let Some(bad) = list.iter().find(|node| !node.bytes().all(|b| b.is_ascii_graphic())) {
            self.problem(format!(
                "--nodes: {bad:?} is no host name or address: write commas between several"
            ));
        }
        NamedNodes { list, is_default: self.args.has_default_nodes }
    }

    pub(super) fn client_auth(&mut self) -> ClientAuth {
        self.noted_failure(client::auth(&self.args.client)).unwrap_or_default()
    }

    pub(super) fn client_secret(&mut self) -> Option<Secret> {
        self.noted_failure(client::secret(&self.args.client, &self.places)).flatten()
    }

    /// Whom to trust as provider and as server.
    pub(crate) fn peers(&mut self, pin: Option<[u8; 32]>) -> (Peer, Peer) {
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
            let checked = peer.check().map_err(|error| (error.code(), format!("{flag}: {error}")));
            self.noted_local(checked);
        }
        (provider, server)
    }

    /// How a person logs in, and the ports to try.
    pub(crate) fn flow(&mut self, surroundings: &Surroundings) -> Option<PersonWay> {
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
        let tls = self.local_server();
        let redirect_uri = self.parsed_if("--oidc-redirect-url", args.oidc_redirect_url.as_deref());
        let ports =
            if args.callback_port.is_empty() { vec![8900] } else { args.callback_port.clone() };
        let headless = surroundings.headless && !args.skip_open_browser;
        let is_https = tls.is_some();
        let reach = Reach { tls, is_behind_proxy: redirect_uri.is_some() };
        let browser = BrowserSettings {
            port: ports.first().copied().unwrap_or(8900),
            host: host?,
            listen: args.listen_address.clone(),
            redirect_uri,
            https: is_https,
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
        Some(PersonWay { flow, ports, reach })
    }

    /// TLS of the callback server, where `--local-server-cert` and `--local-server-key` ask for it.
    fn local_server(&mut self) -> Option<Arc<ServerTls>> {
        let args = self.args;
        let is_set =
            |path: &Option<PathBuf>| path.as_ref().is_some_and(|path| !path.as_os_str().is_empty());
        if is_set(&args.local_server_cert) != is_set(&args.local_server_key) {
            self.problem("--local-server-cert and --local-server-key go together: give both");
            return None;
        }
        let chain = self.file("--local-server-cert", args.local_server_cert.as_ref());
        let key = self.file("--local-server-key", args.local_server_key.as_ref());
        let (chain, key) = (chain?, Secret::new(key?));
        let tls = ServerTls::new(&chain, key.expose(), ServerTlsOptions::default());
        let tls = tls.map_err(|error| (error.code(), format!("--local-server-cert: {error}")));
        self.noted_local(tls).map(Arc::new)
    }

    /// What is allowed and not good.
    pub(super) fn warn(&self) {
        if self.args.insecure && self.args.server_ca.is_none() {
            terminal::error_line(
                "warning: --insecure: anybody on the way to the server can take this login",
            );
        }
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
