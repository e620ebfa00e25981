//! The ways of judging a server that the library does not bring along.

use std::fmt::Debug;
use std::sync::Arc;

use futures_rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use futures_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use futures_rustls::rustls::client::{WebPkiServerVerifier, verify_server_name};
use futures_rustls::rustls::crypto::{
    CryptoProvider, verify_tls12_signature, verify_tls13_signature,
};
use futures_rustls::rustls::server::ParsedCertificate;
use futures_rustls::rustls::{
    CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use ring::digest::{SHA256, digest};

use super::provider;

/// What a server shows in the handshake.
pub(super) struct Shown<'a> {
    end_entity: &'a CertificateDer<'a>,
    intermediates: &'a [CertificateDer<'a>],
    name: &'a ServerName<'a>,
    ocsp_response: &'a [u8],
    now: UnixTime,
}

/// Whom to trust.
pub(super) trait Judge: Debug + Send + Sync {
    fn judge(&self, shown: &Shown<'_>) -> Result<(), Error>;
}

/// Leaves to a judge whom to trust. Whoever it is has to own the key of the certificate it shows,
/// so that the connection is at least one connection.
#[derive(Debug)]
pub(super) struct Verifier<J> {
    judge: J,
    provider: Arc<CryptoProvider>,
}

impl<J: Judge> Verifier<J> {
    pub(super) fn new(judge: J) -> Self {
        Self { judge, provider: provider() }
    }
}

impl<J: Judge> ServerCertVerifier for Verifier<J> {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.judge.judge(&Shown { end_entity, intermediates, name, ocsp_response, now })?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Trusts authorities, and a server whose own certificate was given among them: one that signed
/// itself and calls itself an authority, as `openssl req -x509` makes it, is server and authority
/// in one, which the library refuses. Name, dates and the proof of the key count all the same.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) authorities: Arc<WebPkiServerVerifier>,
    pub(super) given: Vec<CertificateDer<'static>>,
}

impl Judge for Given {
    fn judge(&self, shown: &Shown<'_>) -> Result<(), Error> {
        let Shown { end_entity, intermediates, name, ocsp_response, now } = *shown;
        let judged = self.authorities.verify_server_cert(
            end_entity,
            intermediates,
            name,
            ocsp_response,
            now,
        );
        match judged {
            Err(error) if self.given.contains(end_entity) && is_about_the_chain(&error) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, name)
            }
            judged => judged.map(|_| ()),
        }
    }
}

/// Whether all that is wrong is who signed it. The library looks at the dates before.
fn is_about_the_chain(error: &Error) -> bool {
    #[expect(clippy::wildcard_enum_match_arm, reason = "a foreign, non-exhaustive enum")]
    match error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => true,
        Error::InvalidCertificate(CertificateError::Other(other)) => matches!(
            other.0.downcast_ref::<webpki::Error>(),
            Some(webpki::Error::CaUsedAsEndEntity)
        ),
        _ => false,
    }
}

/// Trusts one authority, known by the SHA-256 of its certificate, when the server sends it along.
#[derive(Debug)]
pub(super) struct PinnedAuthority {
    pub(super) sha256: [u8; 32],
}

impl Judge for PinnedAuthority {
    fn judge(&self, shown: &Shown<'_>) -> Result<(), Error> {
        let unknown = || Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let mut sent = shown.intermediates.iter().chain([shown.end_entity]);
        let pinned = sent
            .find(|der| digest(&SHA256, der).as_ref() == self.sha256)
            .ok_or_else(unknown)?
            .clone()
            .into_owned();
        let mut roots = RootCertStore::empty();
        roots.add(pinned.clone())?;
        let authorities = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .map_err(|_| unknown())?;
        Given { authorities, given: vec![pinned] }.judge(shown)
    }
}

/// Takes whoever answers for the server: `--insecure`.
#[derive(Debug)]
pub(super) struct AcceptAnything;

impl Judge for AcceptAnything {
    fn judge(&self, _: &Shown<'_>) -> Result<(), Error> {
        Ok(())
    }
}
