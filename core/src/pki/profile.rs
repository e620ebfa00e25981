//! What a client certificate says: the profile that apid accepts.
//!
//! Subject: one O for each role, then the CN. Extensions, in this order: keyUsage (critical,
//! digitalSignature alone), extendedKeyUsage (clientAuth alone: apid refuses any other set),
//! authorityKeyIdentifier (the CA's own subjectKeyIdentifier value, which is random bytes on new
//! clusters and so must be copied). No basicConstraints, no subjectAltName.

use alloc::vec::Vec;

use der::Encode;
use der::asn1::{OctetStringRef, UintRef};

use super::asn1::{
    AUTHORITY_KEY_ID, Attribute, AuthorityKeyIdentifier, COMMON_NAME, EXT_KEY_USAGE, Extension,
    KEY_USAGE, ORGANIZATION, TbsCertificate, Time, Validity, name,
};
use super::ca::CaCert;
use super::name::CommonName;
use crate::machine::UnixTime;
use crate::types::RoleSet;

/// `BIT STRING` digitalSignature, RFC 5280 section 4.2.1.3.
pub(super) const DIGITAL_SIGNATURE: [u8; 4] = [0x03, 0x02, 0x07, 0x80];
/// `SEQUENCE OF` clientAuth, RFC 5280 section 4.2.1.12.
const CLIENT_AUTH: [u8; 12] =
    [0x30, 0x0a, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02];

/// What goes into one client certificate.
pub(super) struct Client<'a> {
    pub(super) serial: [u8; 16],
    pub(super) roles: &'a RoleSet,
    pub(super) common_name: Option<&'a CommonName>,
    pub(super) not_before: UnixTime,
    pub(super) not_after: UnixTime,
    /// `SubjectPublicKeyInfo` as DER.
    pub(super) spki: &'a [u8],
}

impl Client<'_> {
    /// The bytes that `ca` signs.
    pub(super) fn tbs(&self, ca: &CaCert) -> der::Result<Vec<u8>> {
        let roles = self.roles.iter().map(|role| Attribute::text(ORGANIZATION, role.as_str()));
        let who = self.common_name.map(|cn| Attribute::text(COMMON_NAME, cn.as_str()));
        let subject = name(roles.chain(who))?;
        let key_id = ca.subject_key_id().map(authority_key_id).transpose()?;
        let mut extensions = Vec::with_capacity(3);
        extensions.push(Extension::new(KEY_USAGE, true, &DIGITAL_SIGNATURE)?);
        extensions.push(Extension::new(EXT_KEY_USAGE, false, &CLIENT_AUTH)?);
        if let Some(key_id) = &key_id {
            extensions.push(Extension::new(AUTHORITY_KEY_ID, false, key_id)?);
        }
        TbsCertificate {
            version: 2,
            serial: UintRef::new(&self.serial)?,
            signature: ca.signature_algorithm().identifier(),
            issuer: ca.subject_der().try_into()?,
            validity: Validity {
                not_before: Time::at(self.not_before)?,
                not_after: Time::at(self.not_after)?,
            },
            subject: subject.as_slice().try_into()?,
            public_key: self.spki.try_into()?,
            extensions,
        }
        .to_der()
    }
}

/// The extension value that names a key by its identifier.
pub(super) fn authority_key_id(key_id: &[u8]) -> der::Result<Vec<u8>> {
    AuthorityKeyIdentifier { key_id: Some(<&OctetStringRef>::try_from(key_id)?) }.to_der()
}
