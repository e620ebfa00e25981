//! The server's own TLS pair: a private CA that clients pin, and a certificate under it.
//!
//! P-256 throughout: a handshake costs what Ed25519 does and every client takes it.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use der::Encode;
use der::asn1::{BitStringRef, OctetStringRef, UintRef};
use ring::rand::{SecureRandom, generate};
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use zeroize::Zeroizing;

use super::asn1::{
    self, AUTHORITY_KEY_ID, Attribute, BASIC_CONSTRAINTS, COMMON_NAME, EXT_KEY_USAGE, EcPrivateKey,
    Extension, KEY_USAGE, ORGANIZATION, SUBJECT_ALT_NAME, SUBJECT_KEY_ID, TbsCertificate, Time,
    Validity,
};
use super::certificate::Certificate;
use super::error::KeyError;
use super::pem::{self, Label};
use super::private_key::{Kind, PrivateKey};
use super::profile::{DIGITAL_SIGNATURE, authority_key_id};
use super::public_key::PublicKey;
use super::san::{self, San};
use super::signer::CaKey;
use crate::machine::UnixTime;
use crate::types::Secret;

const DAY_SECS: u64 = 86_400;
/// Both certificates live for ten years of 365 days.
const LIFETIME_SECS: u64 = 3650 * DAY_SECS;
/// The certificate is renewed that long before its end.
const RENEW_SECS: u64 = 30 * DAY_SECS;
/// Most names in one certificate.
const NAMES_MAX: usize = 128;
/// `BIT STRING` keyCertSign, cRLSign.
const SIGNS_CERTS_AND_CRLS: [u8; 4] = [0x03, 0x02, 0x01, 0x06];
/// `BasicConstraints` CA:TRUE.
const IS_CA: [u8; 5] = [0x30, 0x03, 0x01, 0x01, 0xff];
/// `SEQUENCE OF` serverAuth.
const SERVER_AUTH: [u8; 12] =
    [0x30, 0x0a, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];

/// CA and server certificate with their keys, as the four files of `data_dir` hold them.
#[derive(Debug)]
pub struct TlsIdentity {
    ca_cert: String,
    ca_key: Secret,
    cert: String,
    key: Secret,
    ca_fingerprint: String,
    ca_not_after: UnixTime,
    not_after: UnixTime,
    names: Vec<San>,
}

/// The files of `data_dir`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFile {
    /// `ca.crt`
    CaCert,
    /// `ca.key`
    CaKey,
    /// `server.crt`
    Cert,
    /// `server.key`
    Key,
}

impl TlsFile {
    /// The file's name within `data_dir`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CaCert => "ca.crt",
            Self::CaKey => "ca.key",
            Self::Cert => "server.crt",
            Self::Key => "server.key",
        }
    }
}

/// What must be made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// Nothing.
    Nothing,
    /// The server certificate, under the same CA: [`TlsIdentity::renew`]. Clients notice nothing.
    Certificate,
    /// The CA ends within a day: [`TlsIdentity::generate`]. Clients must fetch the new CA.
    Everything,
}

/// Why there is no TLS pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsIdentityError {
    /// A certificate file does not hold a certificate of its kind.
    Certificate(TlsFile),
    /// A key file does not hold the key of its certificate.
    Key(TlsFile, KeyError),
    /// `server.crt` was not issued by `ca.crt`.
    NotIssuedByCa,
    /// No name, or more than 128.
    Names,
    /// The random source failed or the clock is beyond the year 9999.
    Generate,
}

impl TlsIdentityError {
    /// Stable code for logs, metrics and scripts.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Certificate(_) => "tls.certificate_malformed",
            Self::Key(..) => "tls.key",
            Self::NotIssuedByCa => "tls.not_issued_by_ca",
            Self::Names => "tls.names",
            Self::Generate => "tls.generate",
        }
    }
}

impl fmt::Display for TlsIdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const REMEDY: &str = "restore it, or delete all four files to have them made anew";
        match self {
            Self::Certificate(file) => {
                write!(f, "{} holds no such certificate: {REMEDY}", file.name())
            }
            Self::Key(file, error) => write!(f, "{}: {error}; {REMEDY}", file.name()),
            Self::NotIssuedByCa => write!(f, "server.crt was not issued by ca.crt: {REMEDY}"),
            Self::Names => f.write_str("a server certificate needs 1 to 128 names: set tls_sans"),
            Self::Generate => {
                f.write_str("the TLS certificate cannot be made: check clock and random source")
            }
        }
    }
}

impl TlsIdentity {
    /// A fresh CA and a server certificate for `names`, valid from a minute before `now`.
    ///
    /// # Errors
    /// [`TlsIdentityError::Names`], [`TlsIdentityError::Generate`].
    pub fn generate(
        names: &[San],
        now: UnixTime,
        rng: &dyn SecureRandom,
    ) -> Result<Self, TlsIdentityError> {
        let names = checked(names)?;
        let (ca_public, ca_private) = new_key(rng).ok_or(TlsIdentityError::Generate)?;
        let ca = new_ca(&ca_public, &ca_private, now, rng).ok_or(TlsIdentityError::Generate)?;
        let ca_key = key_pem(&ca_private).ok_or(TlsIdentityError::Generate)?;
        Self::with_server(&ca, &ca_private, ca_key, &names, now, rng)
    }

    /// Another server key and certificate under the same CA.
    ///
    /// # Errors
    /// [`TlsIdentityError::Names`], [`TlsIdentityError::Generate`].
    pub fn renew(
        &self,
        names: &[San],
        now: UnixTime,
        rng: &dyn SecureRandom,
    ) -> Result<Self, TlsIdentityError> {
        let key = self.ca_key.expose_str().unwrap_or_default();
        Self::under(&self.ca_cert, key, names, now, rng)
    }

    /// A server key and certificate under the CA of these two files, where the others are lost.
    ///
    /// # Errors
    /// [`TlsIdentityError`], naming the file.
    pub fn under(
        ca_cert: &str,
        ca_key: &str,
        names: &[San],
        now: UnixTime,
        rng: &dyn SecureRandom,
    ) -> Result<Self, TlsIdentityError> {
        let names = checked(names)?;
        let der = certificate(ca_cert, TlsFile::CaCert)?;
        let ca = authority(&der)?;
        belongs(&ca, ca_key, TlsFile::CaKey, rng)?;
        let ca_private = private(ca_key, TlsFile::CaKey)?;
        let mut new = Self::with_server(&der, &ca_private, Secret::new(ca_key), &names, now, rng)?;
        // The file's own text, so that what clients pinned by bytes stays the same.
        new.ca_cert = ca_cert.into();
        Ok(new)
    }

    /// Takes the texts of the four files, which the Go original may have written.
    ///
    /// # Errors
    /// [`TlsIdentityError`], naming the file.
    pub fn parse(
        ca_cert: &str,
        ca_key: &str,
        cert: &str,
        key: &str,
        rng: &dyn SecureRandom,
    ) -> Result<Self, TlsIdentityError> {
        let ca_der = certificate(ca_cert, TlsFile::CaCert)?;
        let ca = authority(&ca_der)?;
        let ca_public = belongs(&ca, ca_key, TlsFile::CaKey, rng)?;
        let der = certificate(cert, TlsFile::Cert)?;
        let server = Certificate::parse(&der)
            .filter(|server| !server.ca)
            .ok_or(TlsIdentityError::Certificate(TlsFile::Cert))?;
        belongs(&server, key, TlsFile::Key, rng)?;
        if server.issuer != ca.subject || !server.is_signed_by(&ca_public) {
            return Err(TlsIdentityError::NotIssuedByCa);
        }
        Ok(Self {
            ca_cert: ca_cert.into(),
            ca_key: Secret::new(ca_key),
            cert: cert.into(),
            key: Secret::new(key),
            ca_fingerprint: super::fingerprint(&ca_der),
            ca_not_after: ca.not_after,
            not_after: server.not_after,
            names: san::of(&server),
        })
    }

    /// What is due at `now` when the server wants to be known by `wanted`. Names beyond those do
    /// no harm.
    #[must_use]
    pub fn needs_renewal(&self, now: UnixTime, wanted: &[San]) -> Renewal {
        if self.ca_not_after <= now.plus_secs(DAY_SECS) {
            return Renewal::Everything;
        }
        let ends_soon = self.not_after <= now.plus_secs(RENEW_SECS);
        // A certificate that already ends with its CA would gain nothing.
        let can_gain = self.not_after < self.ca_not_after;
        let lacks_name = wanted.iter().any(|name| !self.names.contains(name));
        if lacks_name || (ends_soon && can_gain) { Renewal::Certificate } else { Renewal::Nothing }
    }

    /// The CA certificate as PEM, for `/ca` and the log.
    #[must_use]
    pub fn ca_cert_pem(&self) -> &str {
        &self.ca_cert
    }

    /// SHA-256 of the CA certificate's DER, lower-case hexadecimal.
    #[must_use]
    pub fn ca_fingerprint_sha256(&self) -> &str {
        &self.ca_fingerprint
    }

    /// The server certificate as PEM.
    #[must_use]
    pub fn cert_pem(&self) -> &str {
        &self.cert
    }

    /// The server's key as PEM.
    #[must_use]
    pub fn key_pem(&self) -> &Secret {
        &self.key
    }

    /// The names in the server certificate.
    #[must_use]
    pub fn names(&self) -> &[San] {
        &self.names
    }

    /// Last second of the server certificate.
    #[must_use]
    pub fn not_after(&self) -> UnixTime {
        self.not_after
    }

    /// What to write where; all four or none, each readable by the owner only.
    #[must_use]
    pub fn files(&self) -> [(TlsFile, &[u8]); 4] {
        [
            (TlsFile::CaCert, self.ca_cert.as_bytes()),
            (TlsFile::CaKey, self.ca_key.expose()),
            (TlsFile::Cert, self.cert.as_bytes()),
            (TlsFile::Key, self.key.expose()),
        ]
    }

    fn with_server(
        ca_der: &[u8],
        ca_private: &PrivateKey,
        ca_key: Secret,
        names: &[San],
        now: UnixTime,
        rng: &dyn SecureRandom,
    ) -> Result<Self, TlsIdentityError> {
        let failed = TlsIdentityError::Generate;
        let ca =
            Certificate::parse(ca_der).ok_or(TlsIdentityError::Certificate(TlsFile::CaCert))?;
        let (public, private) = new_key(rng).ok_or(failed)?;
        let der = new_server(&ca, ca_private, &public, names, now, rng).ok_or(failed)?;
        Ok(Self {
            ca_cert: pem::encode(Label::Certificate, ca_der).ok_or(failed)?,
            ca_key,
            cert: pem::encode(Label::Certificate, &der).ok_or(failed)?,
            key: key_pem(&private).ok_or(failed)?,
            ca_fingerprint: super::fingerprint(ca_der),
            ca_not_after: ca.not_after,
            not_after: Certificate::parse(&der).ok_or(failed)?.not_after,
            names: names.into(),
        })
    }
}

/// Sorted and without repetitions.
fn checked(names: &[San]) -> Result<Vec<San>, TlsIdentityError> {
    let mut names: Vec<San> = names.into();
    names.sort();
    names.dedup();
    if (1..=NAMES_MAX).contains(&names.len()) { Ok(names) } else { Err(TlsIdentityError::Names) }
}

/// The first certificate of a PEM text.
fn certificate(text: &str, file: TlsFile) -> Result<Zeroizing<Vec<u8>>, TlsIdentityError> {
    let blocks = pem::blocks(text).map_err(|_| TlsIdentityError::Certificate(file))?;
    let mut certificates = blocks.into_iter().filter(|block| block.label == Label::Certificate);
    certificates.next().map(|block| block.der).ok_or(TlsIdentityError::Certificate(file))
}

/// A certificate that may be `ca.crt`.
fn authority(der: &[u8]) -> Result<Certificate<'_>, TlsIdentityError> {
    Certificate::parse(der).filter(|ca| ca.ca).ok_or(TlsIdentityError::Certificate(TlsFile::CaCert))
}

fn private(text: &str, file: TlsFile) -> Result<PrivateKey, TlsIdentityError> {
    PrivateKey::parse_pem(text).map_err(|error| TlsIdentityError::Key(file, error))
}

/// Checks that the key of the text is the certificate's, computing the public half.
fn belongs(
    cert: &Certificate<'_>,
    text: &str,
    file: TlsFile,
    rng: &dyn SecureRandom,
) -> Result<PublicKey, TlsIdentityError> {
    let public = cert.public_key().map_err(|error| TlsIdentityError::Key(file, error))?;
    CaKey::new(&private(text, file)?, &public, rng)
        .map_err(|error| TlsIdentityError::Key(file, error))?;
    Ok(public)
}

/// A fresh P-256 key.
fn new_key(rng: &dyn SecureRandom) -> Option<(PublicKey, PrivateKey)> {
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, rng).ok()?;
    let private = PrivateKey::parse_der(document.as_ref()).ok()?;
    let Kind::Ec { public: Some(point), .. } = &private.0 else {
        return None;
    };
    Some((PublicKey::p256(point)?, private))
}

/// SEC1 with curve and public half: what OpenSSL, Go and rustls all read.
fn key_pem(key: &PrivateKey) -> Option<Secret> {
    let Kind::Ec { scalar, public: Some(point), .. } = &key.0 else {
        return None;
    };
    let sec1 = EcPrivateKey {
        version: 1,
        scalar: OctetStringRef::new(scalar).ok()?,
        curve: Some(asn1::P256),
        public: Some(BitStringRef::from_bytes(point).ok()?),
    };
    let der = Zeroizing::new(sec1.to_der().ok()?);
    pem::encode(Label::EcPrivateKey, &der).map(Secret::from)
}

/// RFC 7093 section 2 method 1: the first 20 octets of the key's SHA-256, as an OCTET STRING.
fn key_id(public: &PublicKey) -> Option<Vec<u8>> {
    let digest = ring::digest::digest(&ring::digest::SHA256, public.key_bytes());
    OctetStringRef::new(digest.as_ref().get(..20)?).ok()?.to_der().ok()
}

fn subject(common_name: &str) -> Option<Vec<u8>> {
    let attributes = [(ORGANIZATION, "talosctl-oidc"), (COMMON_NAME, common_name)];
    asn1::name(attributes.map(|(oid, text)| Attribute::text(oid, text))).ok()
}

fn new_ca(
    public: &PublicKey,
    private: &PrivateKey,
    now: UnixTime,
    rng: &dyn SecureRandom,
) -> Option<Vec<u8>> {
    let name = subject("talosctl-oidc self-signed CA")?;
    let key_id = key_id(public)?;
    let extensions = [
        Extension::new(BASIC_CONSTRAINTS, true, &IS_CA).ok()?,
        Extension::new(KEY_USAGE, true, &SIGNS_CERTS_AND_CRLS).ok()?,
        Extension::new(SUBJECT_KEY_ID, false, &key_id).ok()?,
    ];
    let signer = CaKey::new(private, public, rng).ok()?;
    let not_after = now.plus_secs(LIFETIME_SECS);
    sign(&signer, &name, &name, public, (now, not_after), &extensions, rng)
}

fn new_server(
    ca: &Certificate<'_>,
    ca_private: &PrivateKey,
    public: &PublicKey,
    names: &[San],
    now: UnixTime,
    rng: &dyn SecureRandom,
) -> Option<Vec<u8>> {
    let name = subject("talosctl-oidc server")?;
    let own_id = key_id(public)?;
    let ca_id = ca.subject_key_id.map(authority_key_id).transpose().ok()?;
    let alt_names = san::extension(names).ok()?;
    let mut extensions = Vec::with_capacity(5);
    extensions.push(Extension::new(KEY_USAGE, true, &DIGITAL_SIGNATURE).ok()?);
    extensions.push(Extension::new(EXT_KEY_USAGE, false, &SERVER_AUTH).ok()?);
    extensions.push(Extension::new(SUBJECT_KEY_ID, false, &own_id).ok()?);
    if let Some(ca_id) = &ca_id {
        extensions.push(Extension::new(AUTHORITY_KEY_ID, false, ca_id).ok()?);
    }
    extensions.push(Extension::new(SUBJECT_ALT_NAME, false, &alt_names).ok()?);
    let signer = CaKey::new(ca_private, &ca.public_key().ok()?, rng).ok()?;
    let not_after = now.plus_secs(LIFETIME_SECS).min(ca.not_after);
    sign(&signer, ca.subject, &name, public, (now, not_after), &extensions, rng)
}

fn sign(
    signer: &CaKey,
    issuer: &[u8],
    subject: &[u8],
    public: &PublicKey,
    (now, not_after): (UnixTime, UnixTime),
    extensions: &[Extension<'_>],
    rng: &dyn SecureRandom,
) -> Option<Vec<u8>> {
    let serial = asn1::serial(generate::<[u8; 16]>(rng).ok()?.expose());
    let algorithm = signer.algorithm().identifier();
    let tbs = TbsCertificate {
        version: 2,
        serial: UintRef::new(&serial).ok()?,
        signature: algorithm,
        issuer: issuer.try_into().ok()?,
        validity: Validity {
            not_before: Time::at(now.minus_secs(60)).ok()?,
            not_after: Time::at(not_after).ok()?,
        },
        subject: subject.try_into().ok()?,
        public_key: public.spki().try_into().ok()?,
        extensions: extensions.into(),
    };
    let tbs = tbs.to_der().ok()?;
    asn1::certificate(&tbs, algorithm, &signer.sign(rng, &tbs).ok()?).ok()
}

#[cfg(test)]
mod tests;
