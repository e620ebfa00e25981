//! The client's side: whom to trust, and how to show who we are.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_rustls::TlsConnector;
use futures_rustls::pki_types::{CertificateDer, ServerName};
use futures_rustls::rustls::RootCertStore;
use futures_rustls::rustls::client::WebPkiServerVerifier;
use futures_rustls::rustls::client::danger::ServerCertVerifier;
use futures_rustls::rustls::client::{ClientConfig, Resumption};
use futures_rustls::rustls::version::{TLS12, TLS13};
use smol::net::TcpStream;

use super::stream::Inner;
use super::verify::{AcceptAnything, Given, PinnedAuthority, Verifier};
use super::{HTTP_1_1, Stream, TlsError, pem, provider};

/// Which authorities decide about a server.
#[derive(Clone, Copy, Debug)]
pub enum ClientRoots<'a> {
    /// The system's bundle, or what `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
    System,
    /// The system's bundle and these, in PEM: authorities, or the server's own certificate.
    SystemPlus(&'a [u8]),
    /// These in PEM, and nothing else.
    Only(&'a [u8]),
}

/// How a server's certificate is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verification {
    /// Chain to a root, name, validity.
    Full,
    /// Chain to the authority with this SHA-256 of its DER, which the server has to send along, or
    /// the server's own certificate; name and validity as usual. The roots count for nothing.
    PinnedAuthority([u8; 32]),
    /// Anybody may be the server: `--insecure`, for tests only.
    InsecureAcceptAnything,
}

/// Certificate chain and key of the client, both PEM.
#[derive(Clone, Copy)]
pub struct Identity<'a> {
    /// Chain, the client's own certificate first.
    pub chain: &'a [u8],
    /// Private key.
    pub key: &'a [u8],
}

impl fmt::Debug for Identity<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(redacted)")
    }
}

/// All that a client may choose.
#[derive(Clone, Copy, Debug)]
pub struct ClientOptions<'a> {
    /// Which authorities decide.
    pub roots: ClientRoots<'a>,
    /// What is checked.
    pub verification: Verification,
    /// Who we are, if the server asks.
    pub identity: Option<Identity<'a>>,
    /// Application protocols, best first.
    pub protocols: &'a [&'a [u8]],
}

impl Default for ClientOptions<'_> {
    fn default() -> Self {
        Self {
            roots: ClientRoots::System,
            verification: Verification::Full,
            identity: None,
            protocols: &[HTTP_1_1],
        }
    }
}

/// TLS 1.2 and 1.3 of a client. Cheap to clone.
#[derive(Clone)]
pub struct ClientTls(Arc<Kind>);

enum Kind {
    /// All is there.
    Ready { config: Arc<ClientConfig>, roots: usize },
    /// The system's bundle is read for each connection and forgotten again.
    OnDemand(OnDemand),
}

struct OnDemand {
    /// PEM of authorities besides those of the system.
    more: Vec<u8>,
    /// Whether the last look found no authority at all.
    found_none: AtomicBool,
}

impl ClientTls {
    /// A client of that kind. Reading the system's bundle takes some milliseconds and blocks.
    ///
    /// # Errors
    /// [`TlsError`] when given PEM does not parse. An unreadable system bundle is no error here:
    /// see [`ClientTls::root_count`].
    pub fn new(options: ClientOptions<'_>) -> Result<Self, TlsError> {
        let (config, roots) = build(options)?;
        Ok(Self(Arc::new(Kind::Ready { config: Arc::new(config), roots })))
    }

    /// A client that trusts the system's bundle and the authorities in `more`, in PEM, and reads
    /// the bundle when it connects: for a process that lives long, connects seldom, and has to be
    /// small in between and quick to start. New authorities of the system count at once.
    ///
    /// # Errors
    /// [`TlsError`] when `more` is there and does not parse.
    pub fn on_demand(more: Option<&[u8]>) -> Result<Self, TlsError> {
        if let Some(pem) = more {
            // Only to see that each of them is one.
            add(&mut RootCertStore::empty(), pem)?;
        }
        let more = more.unwrap_or_default().to_vec();
        Ok(Self(Arc::new(Kind::OnDemand(OnDemand { more, found_none: AtomicBool::new(false) }))))
    }

    /// How many authorities are trusted. Zero with [`ClientRoots::System`] means that the system
    /// has no bundle, and every `https` request will fail as untrusted.
    #[must_use]
    pub fn root_count(&self) -> usize {
        match &*self.0 {
            Kind::Ready { roots, .. } => *roots,
            Kind::OnDemand(source) => source.build().map_or(0, |(_, roots)| roots),
        }
    }

    /// Whether a client on demand found no authority when it last connected, so that no server
    /// could be trusted.
    #[must_use]
    pub fn found_no_roots(&self) -> bool {
        match &*self.0 {
            Kind::Ready { roots, .. } => *roots == 0,
            Kind::OnDemand(source) => source.found_none.load(Ordering::Relaxed),
        }
    }

    async fn config(&self) -> io::Result<Arc<ClientConfig>> {
        if let Kind::Ready { config, .. } = &*self.0 {
            return Ok(Arc::clone(config));
        }
        let this = self.clone();
        // Some milliseconds, in which nobody else would be served.
        smol::unblock(move || match &*this.0 {
            Kind::Ready { config, .. } => Ok(Arc::clone(config)),
            Kind::OnDemand(source) => {
                let (config, _) = source.build().map_err(io::Error::other)?;
                Ok(Arc::new(config))
            }
        })
        .await
    }

    /// Does the handshake with `host`, a name or an address literal without brackets. Waits as
    /// long as the peer does: call it under a deadline.
    ///
    /// # Errors
    /// The connection's or the handshake's; [`super::fetch_error`] says what it means.
    pub async fn connect(&self, host: &str, tcp: TcpStream) -> io::Result<Stream> {
        let name = host.strip_suffix('.').unwrap_or(host).to_owned();
        let name = ServerName::try_from(name)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "no certificate has it"))?;
        let connector = TlsConnector::from(self.config().await?);
        Ok(Stream(Inner::Client(Box::new(connector.connect(name, tcp).await?))))
    }
}

impl OnDemand {
    fn build(&self) -> Result<(ClientConfig, usize), TlsError> {
        let roots = match self.more.as_slice() {
            [] => ClientRoots::System,
            more => ClientRoots::SystemPlus(more),
        };
        let built = build(ClientOptions { roots, ..ClientOptions::default() })?;
        self.found_none.store(built.1 == 0, Ordering::Relaxed);
        Ok(built)
    }
}

fn add(roots: &mut RootCertStore, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let authorities = pem::certificates(pem)?;
    for authority in &authorities {
        roots.add(authority.clone()).map_err(|_| TlsError::BadCertificate)?;
    }
    Ok(authorities)
}

/// The library's settings, and how many authorities they trust.
fn build(options: ClientOptions<'_>) -> Result<(ClientConfig, usize), TlsError> {
    let mut roots = RootCertStore::empty();
    let (system, more) = match options.roots {
        ClientRoots::System => (true, None),
        ClientRoots::SystemPlus(pem) => (true, Some(pem)),
        ClientRoots::Only(pem) => (false, Some(pem)),
    };
    if system && options.verification == Verification::Full {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let given = match more {
        Some(pem) => add(&mut roots, pem)?,
        None => Vec::new(),
    };
    let count = roots.len();
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(|_| TlsError::BadKey)?;
    let builder = match verifier(options.verification) {
        Some(verifier) => builder.dangerous().with_custom_certificate_verifier(verifier),
        None if count == 0 => builder.with_root_certificates(roots),
        None => {
            let authorities =
                WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
                    .build()
                    .map_err(|_| TlsError::BadCertificate)?;
            if given.is_empty() {
                builder.with_webpki_verifier(authorities)
            } else {
                let verifier = Arc::new(Verifier::new(Given { authorities, given }));
                builder.dangerous().with_custom_certificate_verifier(verifier)
            }
        }
    };
    let mut config = match options.identity {
        None => builder.with_no_client_auth(),
        Some(identity) => builder
            .with_client_auth_cert(pem::certificates(identity.chain)?, pem::key(identity.key)?)
            .map_err(|error| TlsError::of_setup(&error))?,
    };
    config.alpn_protocols = options.protocols.iter().map(|name| name.to_vec()).collect();
    // Connections are rare; tickets would only be kept.
    config.resumption = Resumption::disabled();
    Ok((config, count))
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Kind::Ready { roots, .. } => write!(f, "ClientTls({roots} roots)"),
            Kind::OnDemand(_) => f.write_str("ClientTls(on demand)"),
        }
    }
}

fn verifier(verification: Verification) -> Option<Arc<dyn ServerCertVerifier>> {
    match verification {
        Verification::Full => None,
        Verification::PinnedAuthority(sha256) => {
            Some(Arc::new(Verifier::new(PinnedAuthority { sha256 })))
        }
        Verification::InsecureAcceptAnything => Some(Arc::new(Verifier::new(AcceptAnything))),
    }
}
