//! What a login is asked to do.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::error::LoginError;
use super::exchange::exchange_url;
use crate::oidc::authorize::AuthParam;
use crate::oidc::discovery::DiscoveryPolicy;
use crate::oidc::scopes::Scopes;
use crate::oidc::token_endpoint::ClientAuth;
use crate::types::{ClientId, ContextName, Issuer, Secret, Url};

/// What a login is asked to do.
#[derive(Debug)]
pub struct LoginSettings {
    /// Context of the talosconfig to write, and key of the token cache.
    pub context: ContextName,
    /// The exchange server, without `/exchange`.
    pub server: Url,
    /// Whether the server may be `http://` (`--insecure`).
    pub plain_http: bool,
    /// Where the ID token comes from.
    pub source: TokenSource,
    /// Whether a person is there to log in. Without, nothing ever waits for a browser or a code.
    pub interactive: bool,
    /// Keep the certificate fresh until interrupted.
    pub watch: bool,
    /// Renew also when the certificate is fresh.
    pub force: bool,
    /// What is kept between runs.
    pub store: StorePolicy,
}

/// Where the ID token comes from.
#[derive(Debug)]
pub enum TokenSource {
    /// From a provider: cache, refresh, browser or device code.
    Provider(Box<ProviderSettings>),
    /// Given from outside (`--id-token`): a file or a variable that the runtime reads anew for
    /// each renewal, as workload tokens are replaced in place.
    Given,
}

/// The provider and our client there.
#[derive(Debug)]
pub struct ProviderSettings {
    /// `--provider`
    pub issuer: Issuer,
    /// `--client-id`
    pub client_id: ClientId,
    /// Client secret; public clients have none.
    pub client_secret: Option<Secret>,
    /// `--client-auth`
    pub client_auth: ClientAuth,
    /// `--scopes`
    pub scopes: Scopes,
    /// What the provider may do.
    pub policy: DiscoveryPolicy,
    /// Tolerance for `exp` of a token that just came, in seconds.
    pub skew_secs: u32,
    /// How a person logs in.
    pub flow: Flow,
}

/// How a person logs in.
#[derive(Debug)]
pub enum Flow {
    /// Authorization code with PKCE, answered to a loopback listener.
    Browser(BrowserSettings),
    /// Device code, shown on the terminal.
    Device,
    /// Device code where the provider offers it to this client, else the browser flow: for
    /// machines without a browser.
    DeviceOr(BrowserSettings),
}

/// The browser flow.
#[derive(Debug)]
pub struct BrowserSettings {
    /// `--callback-port`; 0 lets the system choose, which few providers allow.
    pub port: u16,
    /// Host of the redirect URI.
    pub host: LoopbackHost,
    /// `--listen-address`: instead of the addresses that follow from `host`.
    pub listen: Vec<IpAddr>,
    /// `--oidc-redirect-url`: instead of `http://<host>:<port>/callback`, for a proxy in front. Its
    /// path is the one that is answered.
    pub redirect_uri: Option<Url>,
    /// Whether the listener speaks TLS (`--local-server-cert`), for providers that register no
    /// `http` redirect URI.
    pub https: bool,
    /// Whether to start a browser; the address is shown in any case.
    pub open_browser: bool,
    /// Ask for consent and offline access again, as Google needs it (there always done).
    pub consent: bool,
    /// Ask for the answer as a form.
    pub form_post: bool,
    /// `--auth-param`
    pub auth_params: Vec<AuthParam>,
}

impl Default for BrowserSettings {
    /// `http://127.0.0.1:8900/callback`, as providers are commonly set up for.
    fn default() -> Self {
        Self {
            port: 8900,
            host: LoopbackHost::V4,
            listen: Vec::new(),
            redirect_uri: None,
            https: false,
            open_browser: true,
            consent: false,
            form_post: false,
            auth_params: Vec::new(),
        }
    }
}

/// Host of the redirect URI (RFC 8252 sections 7.3 and 8.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoopbackHost {
    /// `127.0.0.1`
    V4,
    /// `[::1]`
    V6,
    /// `localhost`, where a provider insists. Browsers may try either address, so both listen.
    Name,
}

/// What is kept between runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorePolicy {
    /// Tokens are read from and written to the store.
    Keep,
    /// The store is neither read nor written: tokens live as long as the process.
    Ephemeral,
}

impl BrowserSettings {
    /// Addresses to listen on. The first must work; the others are a convenience.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let (v4, v6) = (IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST));
        let hosts = match self.host {
            _ if !self.listen.is_empty() => self.listen.clone(),
            LoopbackHost::V4 => Vec::from([v4]),
            LoopbackHost::V6 => Vec::from([v6]),
            LoopbackHost::Name => Vec::from([v4, v6]),
        };
        hosts.into_iter().map(|ip| SocketAddr::new(ip, self.port)).collect()
    }

    /// The redirect URI where the listener has `port`.
    #[must_use]
    pub fn redirect_uri(&self, port: u16) -> String {
        let host = match (&self.redirect_uri, self.host) {
            (Some(uri), _) => return uri.as_str().into(),
            (None, LoopbackHost::V4) => "127.0.0.1",
            (None, LoopbackHost::V6) => "[::1]",
            (None, LoopbackHost::Name) => "localhost",
        };
        let scheme = if self.https { "https" } else { "http" };
        format!("{scheme}://{host}:{port}/callback")
    }

    /// The path that is answered.
    #[must_use]
    pub fn path(&self) -> &str {
        self.redirect_uri
            .as_ref()
            .map_or("/callback", |uri| uri.target().split('?').next().unwrap_or("/"))
    }
}

impl LoginSettings {
    /// The provider, unless the token is given.
    #[must_use]
    pub const fn provider(&self) -> Option<&ProviderSettings> {
        match &self.source {
            TokenSource::Provider(provider) => Some(provider),
            TokenSource::Given => None,
        }
    }

    /// The URL of the exchange.
    ///
    /// # Errors
    /// [`LoginError::PlainHttp`], [`LoginError::ServerUrl`]: said before anything else happens.
    pub fn exchange_url(&self) -> Result<Url, LoginError> {
        if !self.server.is_https() && !self.plain_http {
            return Err(LoginError::PlainHttp);
        }
        exchange_url(&self.server).ok_or(LoginError::ServerUrl)
    }
}
