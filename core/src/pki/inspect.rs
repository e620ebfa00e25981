//! Client certificates that somebody issued: for `status`, and before one is written to disk.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::certificate::Certificate;
use super::error::KeyError;
use super::pem::{self, Label, PemError};
use super::private_key::PrivateKey;
use super::public_key::PublicKey;
use crate::machine::UnixTime;
use crate::types::{Rfc3339, hex};

/// What a client certificate says of itself. Nothing here was checked against a CA but by
/// [`ClientCertificate::is_issued_by`].
#[derive(Clone, Debug)]
pub struct ClientCertificate {
    der: Vec<u8>,
    roles: Vec<String>,
    common_name: Option<String>,
    serial_hex: String,
    authority_key_id: Option<Vec<u8>>,
    not_before: UnixTime,
    not_after: UnixTime,
    client_auth_only: bool,
    chain: usize,
}

/// Why a certificate is of no use to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InspectError {
    /// The text around it.
    Pem(PemError),
    /// No certificate block in the text.
    NoCertificate,
    /// Not an X.509 certificate, or damaged.
    Malformed,
    /// Something with the private key, such as that it belongs to another certificate.
    Key(KeyError),
    /// Past its end.
    Expired {
        /// Last second of the certificate.
        not_after: UnixTime,
        /// The clock's reading.
        now: UnixTime,
    },
    /// Before its beginning: clocks differ.
    NotYetValid {
        /// First second of the certificate.
        not_before: UnixTime,
        /// The clock's reading.
        now: UnixTime,
    },
}

impl InspectError {
    /// Stable code for logs, metrics and scripts.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Pem(error) => error.code(),
            Self::NoCertificate => "pki.no_certificate",
            Self::Malformed => "pki.certificate_malformed",
            Self::Key(error) => error.code(),
            Self::Expired { .. } => "pki.certificate_expired",
            Self::NotYetValid { .. } => "pki.certificate_not_yet_valid",
        }
    }
}

impl From<PemError> for InspectError {
    fn from(error: PemError) -> Self {
        Self::Pem(error)
    }
}

impl fmt::Display for InspectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pem(error) => error.fmt(f),
            Self::NoCertificate => {
                f.write_str("no certificate in the text: expected a block CERTIFICATE")
            }
            Self::Malformed => f.write_str("the certificate is damaged: run `login` again"),
            Self::Key(error) => error.fmt(f),
            Self::Expired { not_after, now } => write!(
                f,
                "the certificate expired at {} (now {}): run `login` again",
                Rfc3339(*not_after),
                Rfc3339(*now)
            ),
            Self::NotYetValid { not_before, now } => write!(
                f,
                "the certificate begins at {} (now {}): set the clock of this machine",
                Rfc3339(*not_before),
                Rfc3339(*now)
            ),
        }
    }
}

impl ClientCertificate {
    /// Reads the first certificate of a PEM text; what follows it is its chain.
    ///
    /// # Errors
    /// [`InspectError`].
    pub fn parse(text: &str) -> Result<Self, InspectError> {
        let blocks = pem::blocks(text)?;
        let mut certificates = blocks.iter().filter(|block| block.label == Label::Certificate);
        let leaf = certificates.next().ok_or(InspectError::NoCertificate)?;
        let cert = Certificate::parse(&leaf.der).ok_or(InspectError::Malformed)?;
        Ok(Self {
            roles: cert.organizations.iter().map(|role| (*role).into()).collect(),
            common_name: cert.common_names.first().map(|name| (*name).into()),
            serial_hex: hex(cert.serial),
            authority_key_id: cert.authority_key_id.map(Into::into),
            not_before: cert.not_before,
            not_after: cert.not_after,
            client_auth_only: cert.ext_key_usage.is_some_and(|usage| usage.client_only),
            chain: certificates.count(),
            der: leaf.der.to_vec(),
        })
    }

    /// The O values, in order, as they stand there: text of whoever issued it.
    #[must_use]
    pub fn roles(&self) -> &[String] {
        &self.roles
    }

    /// The first CN.
    #[must_use]
    pub fn common_name(&self) -> Option<&str> {
        self.common_name.as_deref()
    }

    /// The serial number's octets in lower-case hexadecimal.
    #[must_use]
    pub fn serial_hex(&self) -> &str {
        &self.serial_hex
    }

    /// The issuer's key identifier in lower-case hexadecimal. Old and new CA have the same name,
    /// so this is what tells them apart.
    #[must_use]
    pub fn issuer_key_id(&self) -> Option<String> {
        self.authority_key_id.as_deref().map(hex)
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

    /// Whether the extended key usage is clientAuth alone, without which apid refuses it.
    #[must_use]
    pub fn is_client_auth_only(&self) -> bool {
        self.client_auth_only
    }

    /// Certificates that follow it in the text.
    #[must_use]
    pub fn chain_len(&self) -> usize {
        self.chain
    }

    /// SHA-256 of the DER, lower-case hexadecimal.
    #[must_use]
    pub fn fingerprint_sha256(&self) -> String {
        super::fingerprint(&self.der)
    }

    /// The public key, which a request for it must have held.
    ///
    /// # Errors
    /// [`KeyError::Unsupported`] for a kind that is not known here.
    pub fn public_key(&self) -> Result<PublicKey, KeyError> {
        Certificate::parse(&self.der).ok_or(KeyError::Malformed)?.public_key()
    }

    /// Seconds left; zero when it ended.
    #[must_use]
    pub fn remaining_secs(&self, now: UnixTime) -> u64 {
        self.not_after.since(now)
    }

    /// Checks that `now` lies between beginning and end, both included.
    ///
    /// # Errors
    /// [`InspectError::Expired`], [`InspectError::NotYetValid`].
    pub fn check_dates(&self, now: UnixTime) -> Result<(), InspectError> {
        if self.not_after < now {
            return Err(InspectError::Expired { not_after: self.not_after, now });
        }
        if self.not_before > now {
            return Err(InspectError::NotYetValid { not_before: self.not_before, now });
        }
        Ok(())
    }

    /// Checks that the PEM private key belongs to it. Labels do not matter: old servers write
    /// Ed25519 keys as `PRIVATE KEY`, the Talos API writes EC and RSA keys in their own forms.
    ///
    /// # Errors
    /// [`KeyError::Mismatch`] within [`InspectError::Key`], or what is wrong with the key.
    pub fn matches_key(&self, key_pem: &str) -> Result<(), InspectError> {
        let key = PrivateKey::parse_pem(key_pem).map_err(InspectError::Key)?;
        let public = self.public_key().map_err(InspectError::Key)?;
        match key.matches(&public).map_err(InspectError::Key)? {
            true => Ok(()),
            false => Err(InspectError::Key(KeyError::Mismatch)),
        }
    }

    /// Whether a certificate of the PEM text `ca` signed it. Dates are not looked at.
    #[must_use]
    pub fn is_issued_by(&self, ca: &str) -> bool {
        let Ok(blocks) = pem::blocks(ca) else {
            return false;
        };
        let Some(leaf) = Certificate::parse(&self.der) else {
            return false;
        };
        blocks.iter().filter(|block| block.label == Label::Certificate).any(|block| {
            Certificate::parse(&block.der).is_some_and(|ca| {
                ca.ca
                    && ca.subject == leaf.issuer
                    && ca.public_key().is_ok_and(|key| leaf.is_signed_by(&key))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;

    #[test]
    fn what_is_wrong_is_told_with_the_next_step() {
        let at = UnixTime::from_secs;
        let (ended, now) = (at(1_800_000_000), at(1_800_000_060));
        for (error, told) in [
            (
                InspectError::Expired { not_after: ended, now },
                "the certificate expired at 2027-01-15T08:00:00Z (now 2027-01-15T08:01:00Z): run \
                 `login` again",
            ),
            (
                InspectError::NotYetValid { not_before: now, now: ended },
                "the certificate begins at 2027-01-15T08:01:00Z (now 2027-01-15T08:00:00Z): set \
                 the clock of this machine",
            ),
        ] {
            assert_eq!(error.to_string(), told);
        }
        let of_key = InspectError::Key(KeyError::Mismatch);
        assert_eq!(of_key.to_string(), KeyError::Mismatch.to_string());
    }
}
