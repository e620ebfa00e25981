//! What a client certificate says: the profile that apid accepts.
//!
//! Subject: one O for each role, then the CN. Extensions, in this order: keyUsage (critical,
//! digitalSignature alone), extendedKeyUsage (clientAuth alone: apid refuses any other set),
//! authorityKeyIdentifier (the CA's own subjectKeyIdentifier value, which is random bytes on new
//! clusters and so must be copied). No basicConstraints, no subjectAltName.

use alloc::vec::Vec;

use der::Encode;
use der::asn1::OctetStringRef;

use super::asn1::tag::{CONTEXT_3, INTEGER, SEQUENCE};
use super::asn1::{
    AUTHORITY_KEY_ID, AuthorityKeyIdentifier, COMMON_NAME, EXT_KEY_USAGE, Extension, KEY_USAGE,
    ORGANIZATION,
};
use super::name::CommonName;
use super::public_key::SignatureAlgorithm;
use super::write;
use crate::machine::UnixTime;
use crate::types::RoleSet;

/// `[0] EXPLICIT INTEGER` 2, which is version 3.
const VERSION_3: [u8; 5] = [0xa0, 0x03, 0x02, 0x01, 0x02];
/// `BIT STRING` digitalSignature, RFC 5280 section 4.2.1.3.
pub(super) const DIGITAL_SIGNATURE: [u8; 4] = [0x03, 0x02, 0x07, 0x80];
/// `SEQUENCE OF` clientAuth, RFC 5280 section 4.2.1.12.
pub(super) const CLIENT_AUTH: [u8; 12] =
    [0x30, 0x0a, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02];
/// Room for a usual certificate, so that it does not move while it grows.
const TBS_BYTES: usize = 640;

/// What all certificates of one CA have in common, encoded once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Repeated {
    /// `AlgorithmIdentifier` of the CA's signatures.
    pub(super) algorithm: Vec<u8>,
    /// The list of extensions with its tag.
    extensions: Vec<u8>,
}

impl Repeated {
    /// For a CA that signs with `algorithm` and has that subjectKeyIdentifier.
    pub(super) fn new(algorithm: SignatureAlgorithm, key_id: Option<&[u8]>) -> der::Result<Self> {
        let key_id = key_id.map(authority_key_id).transpose()?;
        let mut list = Vec::with_capacity(3);
        list.push(Extension::new(KEY_USAGE, true, &DIGITAL_SIGNATURE)?);
        list.push(Extension::new(EXT_KEY_USAGE, false, &CLIENT_AUTH)?);
        if let Some(key_id) = &key_id {
            list.push(Extension::new(AUTHORITY_KEY_ID, false, key_id)?);
        }
        let list = list.to_der()?;
        let mut extensions = Vec::with_capacity(list.len() + 4);
        write::primitive(&mut extensions, CONTEXT_3, &list).ok_or(der::ErrorKind::Overlength)?;
        Ok(Self { algorithm: algorithm.identifier().to_der()?, extensions })
    }
}

/// What goes into one client certificate.
pub(super) struct Client<'a> {
    pub(super) serial: [u8; 16],
    /// `Name` of the issuer as DER.
    pub(super) issuer: &'a [u8],
    pub(super) roles: &'a RoleSet,
    pub(super) common_name: Option<&'a CommonName>,
    pub(super) not_before: UnixTime,
    pub(super) not_after: UnixTime,
    /// `SubjectPublicKeyInfo` as DER.
    pub(super) spki: &'a [u8],
    pub(super) repeated: &'a Repeated,
}

impl Client<'_> {
    /// The bytes that the CA signs (`TBSCertificate`, RFC 5280 section 4.1); `None` when they
    /// cannot be written down.
    pub(super) fn tbs(&self) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(TBS_BYTES);
        write::element(&mut out, SEQUENCE, |out| {
            out.extend_from_slice(&VERSION_3);
            write::primitive(out, INTEGER, &self.serial)?;
            out.extend_from_slice(&self.repeated.algorithm);
            out.extend_from_slice(self.issuer);
            write::element(out, SEQUENCE, |out| {
                write::time(out, self.not_before)?;
                write::time(out, self.not_after)
            })?;
            write::element(out, SEQUENCE, |out| self.subject(out))?;
            out.extend_from_slice(self.spki);
            out.extend_from_slice(&self.repeated.extensions);
            Some(())
        })?;
        Some(out)
    }

    fn subject(&self, out: &mut Vec<u8>) -> Option<()> {
        for role in self.roles {
            write::attribute(out, ORGANIZATION.as_bytes(), role.as_str())?;
        }
        match self.common_name {
            Some(name) => write::attribute(out, COMMON_NAME.as_bytes(), name.as_str()),
            None => Some(()),
        }
    }
}

/// The extension value that names a key by its identifier.
pub(super) fn authority_key_id(key_id: &[u8]) -> der::Result<Vec<u8>> {
    AuthorityKeyIdentifier { key_id: Some(<&OctetStringRef>::try_from(key_id)?) }.to_der()
}
