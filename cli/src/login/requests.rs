//! Requests to provider and server, each with the authorities that decide about it.

use std::sync::{Arc, OnceLock};

use exchange_core::http::{FetchError, FetchReply, FetchRequest, Trust};
use exchange_core::types::Url;
use exchange_smol::fetch::Fetcher;
use exchange_smol::proxy::{ProxySettings, Route};
use exchange_smol::tls::{ClientOptions, ClientRoots, ClientTls, TlsError, Verification};

use crate::terminal;

/// Whom to trust as one of the two peers.
#[derive(Clone, Debug)]
pub(crate) enum Peer {
    /// Whom the system trusts.
    System,
    /// Whom the system trusts, and this authority (PEM).
    SystemPlus(Vec<u8>),
    /// This authority alone (PEM).
    Only(Vec<u8>),
    /// The authority whose certificate has this SHA-256.
    Pinned([u8; 32]),
    /// Anybody.
    Anybody,
}

/// Makes requests. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Requests(Arc<Inner>);

struct Inner {
    provider: Side,
    server: Side,
    proxies: ProxySettings,
}

/// One of the two. Reading the system's authorities takes milliseconds, so only who is asked for
/// something gets a client.
struct Side {
    peer: Peer,
    made: OnceLock<Result<Fetcher, TlsError>>,
}

impl Requests {
    /// Requests to these two.
    pub(crate) fn new(provider: Peer, server: Peer) -> Self {
        let proxies = ProxySettings::from_env(|name| std::env::var(name).ok());
        let side = |peer| Side { peer, made: OnceLock::new() };
        Self(Arc::new(Inner { provider: side(provider), server: side(server), proxies }))
    }

    /// How a request for `url` would travel.
    pub(crate) fn route(&self, url: &Url) -> Route<'_> {
        self.0.proxies.route(url)
    }

    /// Makes one.
    pub(crate) async fn fetch(&self, request: FetchRequest) -> Result<FetchReply, FetchError> {
        let inner = Arc::clone(&self.0);
        let trust = request.trust;
        let fetcher = smol::unblock(move || match trust {
            Trust::Provider => inner.provider.fetcher(&inner.proxies),
            Trust::Server => inner.server.fetcher(&inner.proxies),
        })
        .await;
        fetcher.map_err(|_| FetchError::Tls)?.fetch(request).await
    }
}

impl Side {
    fn fetcher(&self, proxies: &ProxySettings) -> Result<Fetcher, TlsError> {
        self.made
            .get_or_init(|| {
                let tls = self.peer.client()?;
                let agent = format!("talosctl-oidc/{}", crate::version::VERSION);
                Ok(Fetcher::new(tls.clone(), tls, proxies.clone(), agent))
            })
            .clone()
    }
}

impl Peer {
    /// Says what is wrong with the given PEM, if anything is.
    pub(crate) fn check(&self) -> Result<(), TlsError> {
        match self {
            Self::SystemPlus(pem) | Self::Only(pem) => Self::Only(pem.clone()).client().map(|_| ()),
            Self::System | Self::Pinned(_) | Self::Anybody => Ok(()),
        }
    }

    fn client(&self) -> Result<ClientTls, TlsError> {
        let (roots, verification) = match self {
            Self::System => (ClientRoots::System, Verification::Full),
            Self::SystemPlus(pem) => (ClientRoots::SystemPlus(pem), Verification::Full),
            Self::Only(pem) => (ClientRoots::Only(pem), Verification::Full),
            Self::Pinned(sha256) => (ClientRoots::System, Verification::PinnedAuthority(*sha256)),
            Self::Anybody => (ClientRoots::System, Verification::InsecureAcceptAnything),
        };
        let tls = ClientTls::new(ClientOptions { roots, verification, ..Default::default() })?;
        if verification == Verification::Full && tls.root_count() == 0 {
            terminal::error_line(
                "warning: this system has no list of trusted authorities: install \
                 ca-certificates, or set SSL_CERT_FILE",
            );
        }
        Ok(tls)
    }
}
