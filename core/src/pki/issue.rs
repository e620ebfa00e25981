//! From roles to a certificate, each step taking the one before.
//!
//! Whoever signs, in this process or elsewhere, what comes back is parsed again by code that did
//! not write it and compared part by part, so that nothing but the agreed profile leaves.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::asn1;
use super::ca::CaCert;
use super::leaf::LeafKey;
use super::name::CommonName;
use super::pem::{self, Label};
use super::profile::Client;
use super::public_key::SignatureAlgorithm;
use super::read_back::{Order, Signed};
use super::write;
use crate::machine::{Entropy, UnixTime};
use crate::types::{Rfc3339, RoleSet, Secret, Ttl, hex};

/// How far notBefore lies in the past: a node whose clock is a little behind must not refuse.
pub const BACKDATED_SECS: u64 = 60;

/// Whether the signature itself has to be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignerTrust {
    /// [`CaKey`](super::CaKey) signed, which was checked against the certificate when loaded.
    InProcess,
    /// A key store, a command or a service signed: verify with the CA's public key.
    External,
}

/// A part of a certificate, in messages about a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// Not a certificate at all, or not version 3.
    Structure,
    /// Serial number.
    Serial,
    /// Signature algorithm.
    Algorithm,
    /// Issuer name.
    Issuer,
    /// notBefore, notAfter.
    Validity,
    /// Roles and their order.
    Roles,
    /// Common name.
    CommonName,
    /// Public key.
    PublicKey,
    /// keyUsage.
    KeyUsage,
    /// extendedKeyUsage.
    ExtKeyUsage,
    /// authorityKeyIdentifier.
    AuthorityKeyId,
    /// An extension that the profile does not have.
    Extension,
}

impl Field {
    const fn name(self) -> &'static str {
        match self {
            Self::Structure => "structure",
            Self::Serial => "serial number",
            Self::Algorithm => "signature algorithm",
            Self::Issuer => "issuer",
            Self::Validity => "validity",
            Self::Roles => "roles",
            Self::CommonName => "common name",
            Self::PublicKey => "public key",
            Self::KeyUsage => "key usage",
            Self::ExtKeyUsage => "extended key usage",
            Self::AuthorityKeyId => "authority key identifier",
            Self::Extension => "list of extensions",
        }
    }
}

/// Why no certificate was issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IssueError {
    /// The CA ended, so nothing it signs would be accepted.
    CaExpired {
        /// Last second of the CA.
        not_after: UnixTime,
        /// The clock's reading.
        now: UnixTime,
    },
    /// The certificate could not be written down, such as for a date beyond the year 9999.
    Encoding,
    /// The signer gave no signature.
    SignerFailed,
    /// The signature is not the CA's.
    BadSignature,
    /// The finished certificate does not say what was asked for.
    Mismatch(Field),
}

impl IssueError {
    /// Stable code for logs, metrics and scripts.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::CaExpired { .. } => "issue.ca_expired",
            Self::Encoding => "issue.encoding",
            Self::SignerFailed => "issue.signer_failed",
            Self::BadSignature => "issue.bad_signature",
            Self::Mismatch(_) => "issue.mismatch",
        }
    }
}

impl fmt::Display for IssueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CaExpired { not_after, now } => write!(
                f,
                "the CA expired at {} (now {}): rotate it (talosctl rotate-ca) or set the clock",
                Rfc3339(*not_after),
                Rfc3339(*now)
            ),
            Self::Encoding => f.write_str("the certificate cannot be encoded: check the clock"),
            Self::SignerFailed => {
                f.write_str("the signer gave no signature: check the key store and try again")
            }
            Self::BadSignature => f.write_str(
                "the signature is not the CA's: check that the signer uses the key of ca_cert",
            ),
            Self::Mismatch(field) => write!(
                f,
                "the finished certificate differs from the order in its {}: it was not handed out",
                field.name()
            ),
        }
    }
}

/// A certificate waiting for its signature.
#[derive(Debug)]
pub struct Draft {
    tbs: Vec<u8>,
    algorithm: SignatureAlgorithm,
    roles: RoleSet,
    common_name: Option<CommonName>,
    serial: [u8; 16],
    issued_at: UnixTime,
    not_before: UnixTime,
    not_after: UnixTime,
    leaf: LeafKey,
}

impl Draft {
    /// Writes down what is to be signed. The certificate begins a minute before `now` and ends
    /// `ttl` after it, or with the CA if that is sooner.
    ///
    /// # Errors
    /// [`IssueError::CaExpired`], [`IssueError::Encoding`].
    pub fn new(
        ca: &CaCert,
        roles: &RoleSet,
        common_name: Option<&CommonName>,
        ttl: Ttl,
        now: UnixTime,
        leaf: LeafKey,
        serial: Entropy<16>,
    ) -> Result<Self, IssueError> {
        if ca.not_after() <= now {
            return Err(IssueError::CaExpired { not_after: ca.not_after(), now });
        }
        let serial = asn1::serial(*serial.into_bytes());
        let not_before = now.minus_secs(BACKDATED_SECS);
        let not_after = now.plus_secs(ttl.secs().into()).min(ca.not_after());
        let profile = Client {
            serial,
            issuer: ca.subject_der(),
            roles,
            common_name,
            not_before,
            not_after,
            spki: leaf.public().spki(),
            repeated: ca.repeated(),
        };
        let tbs = profile.tbs().ok_or(IssueError::Encoding)?;
        Ok(Self {
            tbs,
            algorithm: ca.signature_algorithm(),
            roles: roles.clone(),
            common_name: common_name.cloned(),
            serial,
            issued_at: now,
            not_before,
            not_after,
            leaf,
        })
    }

    /// The bytes to sign (`TBSCertificate`).
    #[must_use]
    pub fn tbs(&self) -> &[u8] {
        &self.tbs
    }

    /// How they must be signed.
    #[must_use]
    pub const fn signature_algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    /// Puts signature and draft together and checks the result.
    ///
    /// # Errors
    /// [`IssueError::Mismatch`] when the certificate does not read back as ordered or `ca` is not
    /// the one the draft was made for; [`IssueError::BadSignature`] from an external signer;
    /// [`IssueError::Encoding`].
    pub fn finish(
        self,
        signature: &[u8],
        ca: &CaCert,
        trust: SignerTrust,
    ) -> Result<Issued, IssueError> {
        let der = write::certificate(&self.tbs, &ca.repeated().algorithm, signature)
            .ok_or(IssueError::Encoding)?;
        let Signed { message, signature } =
            self.order(ca).compare(&der).map_err(IssueError::Mismatch)?;
        let verifies = || ca.public_key().verifies(ca.signature_algorithm(), message, signature);
        match trust {
            SignerTrust::InProcess => {}
            SignerTrust::External if verifies() => {}
            SignerTrust::External => return Err(IssueError::BadSignature),
        }
        let mut cert_pem = pem::encode(Label::Certificate, &der).ok_or(IssueError::Encoding)?;
        cert_pem.push_str(ca.chain_pem());
        let key_pem = self.leaf.private_pem();
        if key_pem.is_some() != self.leaf.has_private() {
            return Err(IssueError::Encoding);
        }
        Ok(Issued {
            cert_pem,
            key_pem,
            serial: self.serial,
            issued_at: self.issued_at,
            not_before: self.not_before,
            not_after: self.not_after,
            roles: self.roles,
            common_name: self.common_name,
            der,
        })
    }

    /// What the finished certificate has to say when `ca` is its issuer.
    fn order<'a>(&'a self, ca: &'a CaCert) -> Order<'a> {
        Order {
            serial: &self.serial,
            algorithm: &ca.repeated().algorithm,
            issuer: ca.subject_der(),
            not_before: self.not_before,
            not_after: self.not_after,
            roles: &self.roles,
            common_name: self.common_name.as_ref(),
            spki: self.leaf.public().spki(),
            key_id: ca.subject_key_id(),
        }
    }
}

/// A certificate that was signed and read back.
#[derive(Debug)]
pub struct Issued {
    cert_pem: String,
    key_pem: Option<Secret>,
    der: Vec<u8>,
    serial: [u8; 16],
    issued_at: UnixTime,
    not_before: UnixTime,
    not_after: UnixTime,
    roles: RoleSet,
    common_name: Option<CommonName>,
}

impl Issued {
    /// The certificate as PEM, followed by the CA's chain when the CA is an intermediate.
    #[must_use]
    pub fn cert_pem(&self) -> &str {
        &self.cert_pem
    }

    /// The private key as PEM; `None` when the client kept it and sent a request.
    #[must_use]
    pub fn key_pem(&self) -> Option<&Secret> {
        self.key_pem.as_ref()
    }

    /// The certificate as DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The serial number: 32 lower-case hexadecimal digits.
    #[must_use]
    pub fn serial_hex(&self) -> String {
        hex(&self.serial)
    }

    /// SHA-256 of the DER, lower-case hexadecimal.
    #[must_use]
    pub fn fingerprint_sha256(&self) -> String {
        super::fingerprint(&self.der)
    }

    /// First second.
    #[must_use]
    pub fn not_before(&self) -> UnixTime {
        self.not_before
    }

    /// Last second.
    #[must_use]
    pub fn not_after(&self) -> UnixTime {
        self.not_after
    }

    /// Seconds from the order to the end: the ordered lifetime, or less when the CA ends sooner.
    #[must_use]
    pub fn ttl_secs(&self) -> u64 {
        self.not_after.since(self.issued_at)
    }

    /// The roles in it, in order.
    #[must_use]
    pub fn roles(&self) -> &RoleSet {
        &self.roles
    }

    /// The readable name in it.
    #[must_use]
    pub fn common_name(&self) -> Option<&CommonName> {
        self.common_name.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;

    #[test]
    fn a_difference_is_named() {
        for (field, name) in [(Field::Roles, "its roles:"), (Field::Issuer, "its issuer:")] {
            let told = IssueError::Mismatch(field).to_string();
            assert!(told.contains(name) && told.ends_with("it was not handed out"), "{told}");
        }
    }
}
