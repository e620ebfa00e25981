//! The server's side: a certificate that can be exchanged while connections run.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use futures_rustls::TlsAcceptor;
use futures_rustls::rustls::crypto::ring::{Ticketer, sign};
use futures_rustls::rustls::server::{NoServerSessionStorage, ServerConfig, WebPkiClientVerifier};
use futures_rustls::rustls::version::{TLS12, TLS13};
use futures_rustls::rustls::{RootCertStore, SignatureAlgorithm, SupportedProtocolVersion};
use smol::net::TcpStream;

use super::stream::Inner;
use super::{HTTP_1_1, Stream, TlsError, pem, provider};

/// What a server may want beyond its certificate.
#[derive(Clone, Copy, Debug)]
pub struct ServerTlsOptions<'a> {
    /// PEM of the authorities whose clients are let in; nobody without a certificate is then.
    /// Such a server speaks TLS 1.3 only.
    pub client_authorities: Option<&'a [u8]>,
    /// Application protocols, best first.
    pub protocols: &'a [&'a [u8]],
}

impl Default for ServerTlsOptions<'_> {
    fn default() -> Self {
        Self { client_authorities: None, protocols: &[HTTP_1_1] }
    }
}

/// TLS 1.2 and 1.3 of a server. No early data, no stored sessions.
pub struct ServerTls {
    config: Mutex<Arc<ServerConfig>>,
}

impl ServerTls {
    /// A server with that certificate chain, leaf first, and key, both PEM.
    ///
    /// # Errors
    /// [`TlsError`] when either does not parse or they do not belong together.
    pub fn new(chain: &[u8], key: &[u8], options: ServerTlsOptions<'_>) -> Result<Self, TlsError> {
        Ok(Self { config: Mutex::new(Arc::new(config(chain, key, options)?)) })
    }

    /// Uses another certificate from the next handshake on. On error the old one stays.
    ///
    /// # Errors
    /// As for [`ServerTls::new`].
    pub fn replace(
        &self,
        chain: &[u8],
        key: &[u8],
        options: ServerTlsOptions<'_>,
    ) -> Result<(), TlsError> {
        let fresh = Arc::new(config(chain, key, options)?);
        *self.config.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// Does the handshake. Waits as long as the peer does: call it under a deadline.
    ///
    /// # Errors
    /// The connection's or the handshake's.
    pub async fn accept(&self, tcp: TcpStream) -> io::Result<Stream> {
        let config = Arc::clone(&self.config.lock().unwrap_or_else(PoisonError::into_inner));
        let tls = TlsAcceptor::from(config).accept(tcp).await?;
        Ok(Stream(Inner::Server(Box::new(tls))))
    }
}

impl std::fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServerTls")
    }
}

fn config(
    chain: &[u8],
    key: &[u8],
    options: ServerTlsOptions<'_>,
) -> Result<ServerConfig, TlsError> {
    const BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
    const NEWEST: &[&SupportedProtocolVersion] = &[&TLS13];
    let chain = pem::certificates(chain)?;
    let key = pem::key(key)?;
    let is_rsa = sign::any_supported_type(&key).map_err(|_| TlsError::BadKey)?.algorithm()
        == SignatureAlgorithm::RSA;
    let versions = if options.client_authorities.is_some() { NEWEST } else { BOTH };
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .map_err(|_| TlsError::BadKey)?;
    let builder = match options.client_authorities {
        None => builder.with_no_client_auth(),
        Some(authorities) => {
            let mut roots = RootCertStore::empty();
            for authority in pem::certificates(authorities)? {
                roots.add(authority).map_err(|_| TlsError::BadCertificate)?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
                .build()
                .map_err(|_| TlsError::BadCertificate)?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config =
        builder.with_single_cert(chain, key).map_err(|error| TlsError::of_setup(&error))?;
    config.alpn_protocols = options.protocols.iter().map(|name| name.to_vec()).collect();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    // With an elliptic key a resumed handshake is hardly cheaper than a full one; with RSA it
    // saves the signature, which is most of the cost. Tickets are kept by the client, not by us.
    if is_rsa {
        config.ticketer = Ticketer::new().map_err(|_| TlsError::NoEntropy)?;
        config.send_tls13_tickets = 1;
    } else {
        config.send_tls13_tickets = 0;
    }
    Ok(config)
}
