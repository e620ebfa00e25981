//! The client's side: whom to trust, and how to show who we are.

use std::fmt;
use std::io;
use std::sync::Arc;

use futures_rustls::TlsConnector;
use futures_rustls::pki_types::ServerName;
use futures_rustls::rustls::RootCertStore;
use futures_rustls::rustls::client::WebPkiServerVerifier;
use futures_rustls::rustls::client::danger::ServerCertVerifier;
use futures_rustls::rustls::client::{ClientConfig, Resumption};
use futures_rustls::rustls::version::{TLS12, TLS13};
use smol::net::TcpStream;

use super::stream::Inner;
use super::verify::{AcceptAnything, PinnedAuthority};
use super::{HTTP_1_1, Stream, TlsError, pem, provider};

/// Which authorities decide about a server.
#[derive(Clone, Copy, Debug)]
pub enum ClientRoots<'a> {
    /// The system's bundle, or what `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
    System,
    /// The system's bundle and these, in PEM.
    SystemPlus(&'a [u8]),
    /// These in PEM, and nothing else.
    Only(&'a [u8]),
}

/// How a server's certificate is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verification {
    /// Chain to a root, name, validity.
    Full,
    /// Chain to the authority with this SHA-256 of its DER, which the server has to send along;
    /// name and validity as usual. The roots count for nothing.
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
pub struct ClientTls {
    config: Arc<ClientConfig>,
    roots: usize,
}

impl ClientTls {
    /// A client of that kind. Reading the system's bundle takes some milliseconds and blocks.
    ///
    /// # Errors
    /// [`TlsError`] when given PEM does not parse. An unreadable system bundle is no error here:
    /// see [`ClientTls::root_count`].
    pub fn new(options: ClientOptions<'_>) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        let (system, more) = match options.roots {
            ClientRoots::System => (true, None),
            ClientRoots::SystemPlus(pem) => (true, Some(pem)),
            ClientRoots::Only(pem) => (false, Some(pem)),
        };
        if system && options.verification == Verification::Full {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        if let Some(pem) = more {
            for authority in pem::certificates(pem)? {
                roots.add(authority).map_err(|_| TlsError::BadCertificate)?;
            }
        }
        let count = roots.len();
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|_| TlsError::BadKey)?;
        let builder = match verifier(options.verification) {
            Some(verifier) => builder.dangerous().with_custom_certificate_verifier(verifier),
            None if count == 0 => builder.with_root_certificates(roots),
            None => {
                let verifier =
                    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
                        .build()
                        .map_err(|_| TlsError::BadCertificate)?;
                builder.with_webpki_verifier(verifier)
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
        Ok(Self { config: Arc::new(config), roots: count })
    }

    /// How many authorities are trusted. Zero with [`ClientRoots::System`] means that the system
    /// has no bundle, and every `https` request will fail as untrusted.
    #[must_use]
    pub const fn root_count(&self) -> usize {
        self.roots
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
        let connector = TlsConnector::from(Arc::clone(&self.config));
        Ok(Stream(Inner::Client(Box::new(connector.connect(name, tcp).await?))))
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientTls({} roots)", self.roots)
    }
}

fn verifier(verification: Verification) -> Option<Arc<dyn ServerCertVerifier>> {
    match verification {
        Verification::Full => None,
        Verification::PinnedAuthority(sha256) => Some(Arc::new(PinnedAuthority::new(sha256))),
        Verification::InsecureAcceptAnything => Some(Arc::new(AcceptAnything::new())),
    }
}
