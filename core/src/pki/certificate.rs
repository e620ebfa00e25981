//! What we look at in any certificate, borrowed from its DER.

use alloc::vec::Vec;

use der::asn1::ObjectIdentifier;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate, X509Name};

use super::asn1::{
    AUTHORITY_KEY_ID, BASIC_CONSTRAINTS, COMMON_NAME, EXT_KEY_USAGE, KEY_USAGE, ORGANIZATION,
    SUBJECT_ALT_NAME, SUBJECT_KEY_ID, Signed,
};
use super::error::KeyError;
use super::public_key::{PublicKey, SignatureAlgorithm};
use crate::machine::UnixTime;

/// The extensions that are looked at.
const KNOWN: [ObjectIdentifier; 6] = [
    AUTHORITY_KEY_ID,
    BASIC_CONSTRAINTS,
    EXT_KEY_USAGE,
    KEY_USAGE,
    SUBJECT_ALT_NAME,
    SUBJECT_KEY_ID,
];

/// The parsed fields of one certificate.
pub(super) struct Certificate<'a> {
    /// `Name` as DER.
    pub(super) subject: &'a [u8],
    /// `Name` as DER.
    pub(super) issuer: &'a [u8],
    /// Content octets of the INTEGER.
    pub(super) serial: &'a [u8],
    pub(super) not_before: UnixTime,
    pub(super) not_after: UnixTime,
    /// O values of the subject in order of occurrence.
    pub(super) organizations: Vec<&'a str>,
    /// CN values of the subject in order of occurrence.
    pub(super) common_names: Vec<&'a str>,
    /// `SubjectPublicKeyInfo` as DER.
    pub(super) spki: &'a [u8],
    /// basicConstraints CA:TRUE.
    pub(super) ca: bool,
    pub(super) key_usage: Option<KeyUsage>,
    pub(super) ext_key_usage: Option<ExtKeyUsage>,
    pub(super) subject_key_id: Option<&'a [u8]>,
    pub(super) authority_key_id: Option<&'a [u8]>,
    /// DNS names of the subjectAltName.
    pub(super) dns_names: Vec<&'a str>,
    /// Addresses of the subjectAltName, 4 or 16 bytes.
    pub(super) addresses: Vec<&'a [u8]>,
    signed: Signed<'a>,
    algorithm: Option<SignatureAlgorithm>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeyUsage {
    pub(super) critical: bool,
    pub(super) cert_sign: bool,
    /// digitalSignature and nothing else.
    pub(super) digital_signature_only: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ExtKeyUsage {
    /// clientAuth or anyExtendedKeyUsage.
    pub(super) allows_client: bool,
    /// clientAuth and nothing else.
    pub(super) client_only: bool,
}

impl<'a> Certificate<'a> {
    /// Reads a certificate that fills `der` completely; `None` when it does not parse, repeats an
    /// extension, or has one of the extensions above in a form that does not parse.
    pub(super) fn parse(der: &'a [u8]) -> Option<Self> {
        let (rest, cert) = X509Certificate::from_der(der).ok()?;
        if !rest.is_empty() {
            return None;
        }
        let signed = Signed::from_der(der)?;
        let tbs = cert.tbs_certificate;
        // RFC 5280 section 4.1.1.2: inner and outer algorithm are the same.
        let algorithm = SignatureAlgorithm::from_identifier(signed.algorithm)
            .filter(|_| tbs.signature == cert.signature_algorithm);
        let mut out = Certificate {
            subject: tbs.subject.as_raw(),
            issuer: tbs.issuer.as_raw(),
            serial: tbs.raw_serial(),
            not_before: moment(tbs.validity.not_before),
            not_after: moment(tbs.validity.not_after),
            organizations: texts(&tbs.subject, &ORGANIZATION),
            common_names: texts(&tbs.subject, &COMMON_NAME),
            spki: tbs.subject_pki.raw,
            ca: false,
            key_usage: None,
            ext_key_usage: None,
            subject_key_id: None,
            authority_key_id: None,
            dns_names: Vec::new(),
            addresses: Vec::new(),
            signed,
            algorithm,
        };
        for extension in tbs.iter_extensions() {
            if tbs.get_extension_unique(&extension.oid).is_err() {
                return None;
            }
            let known = KNOWN.iter().any(|oid| oid.as_bytes() == extension.oid.as_bytes());
            if known {
                out.take(extension.critical, extension.parsed_extension())?;
            }
        }
        Some(out)
    }

    /// Keeps what is needed of one extension; `None` when it did not parse.
    #[expect(clippy::wildcard_enum_match_arm, reason = "whatever else a known OID gave is damage")]
    fn take(&mut self, critical: bool, extension: &ParsedExtension<'a>) -> Option<()> {
        match extension {
            ParsedExtension::BasicConstraints(constraints) => self.ca = constraints.ca,
            ParsedExtension::KeyUsage(usage) => {
                self.key_usage = Some(KeyUsage {
                    critical,
                    cert_sign: usage.key_cert_sign(),
                    digital_signature_only: usage.flags == 1,
                });
            }
            ParsedExtension::ExtendedKeyUsage(usage) => {
                let others = usage.any
                    || usage.server_auth
                    || usage.code_signing
                    || usage.email_protection
                    || usage.time_stamping
                    || usage.ocsp_signing
                    || !usage.other.is_empty();
                self.ext_key_usage = Some(ExtKeyUsage {
                    allows_client: usage.client_auth || usage.any,
                    client_only: usage.client_auth && !others,
                });
            }
            ParsedExtension::SubjectKeyIdentifier(id) => self.subject_key_id = Some(id.0),
            ParsedExtension::AuthorityKeyIdentifier(id) => {
                self.authority_key_id = id.key_identifier.as_ref().map(|id| id.0);
            }
            ParsedExtension::SubjectAlternativeName(names) => {
                for name in &names.general_names {
                    match name {
                        GeneralName::DNSName(name) => self.dns_names.push(name),
                        GeneralName::IPAddress(address) => self.addresses.push(address),
                        // Other kinds name nothing that a TLS client looks for.
                        _ => {}
                    }
                }
            }
            _ => return None,
        }
        Some(())
    }

    /// The public key, where it is of a kind known here.
    pub(super) fn public_key(&self) -> Result<PublicKey, KeyError> {
        PublicKey::from_spki(self.spki)
    }

    /// Whether issuer and subject are the same name, as in a root.
    pub(super) fn is_self_issued(&self) -> bool {
        self.subject == self.issuer
    }

    /// Whether `key` made the signature.
    pub(super) fn is_signed_by(&self, key: &PublicKey) -> bool {
        self.algorithm
            .is_some_and(|with| key.verifies(with, self.signed.message, self.signed.signature))
    }
}

/// Dates before 1970 count as 1970.
fn moment(time: ASN1Time) -> UnixTime {
    UnixTime::from_secs(u64::try_from(time.timestamp()).unwrap_or(0))
}

/// The values of one attribute type, in order; values that are not text are left out.
fn texts<'a>(name: &X509Name<'a>, oid: &ObjectIdentifier) -> Vec<&'a str> {
    name.iter_attributes()
        .filter(|attribute| attribute.attr_type().as_bytes() == oid.as_bytes())
        .filter_map(|attribute| attribute.as_str().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Certificate::parse(&bytes).is_none());
        }
    }
}
