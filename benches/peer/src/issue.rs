//! Certificates by rcgen.

use std::path::Path;

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ED25519,
};
use time::{Duration, OffsetDateTime};

pub(crate) struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// What a client gets.
pub(crate) struct Issued {
    pub(crate) cert: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn load(cert: &Path, key: &Path) -> Result<Self, Box<dyn std::error::Error>> {
        let pem = std::fs::read_to_string(cert)?;
        let key = KeyPair::from_pem(&std::fs::read_to_string(key)?)?;
        let issuer = Issuer::from_ca_cert_pem(&pem, key)?;
        Ok(Self { pem, issuer })
    }

    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// A key and a client certificate whose organisations are the roles.
    pub(crate) fn issue(
        &self,
        sub: &str,
        roles: &[String],
        ttl: i64,
    ) -> Result<Issued, rcgen::Error> {
        let key = KeyPair::generate_for(&PKCS_ED25519)?;
        let mut params = CertificateParams::default();
        let mut name = DistinguishedName::new();
        for role in roles {
            name.push(DnType::OrganizationName, role.as_str());
        }
        name.push(DnType::CommonName, sub);
        params.distinguished_name = name;
        let now = OffsetDateTime::now_utc();
        params.not_before = now - Duration::seconds(60);
        params.not_after = now + Duration::seconds(ttl);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let cert = params.signed_by(&key, &self.issuer)?;
        Ok(Issued { cert: cert.pem(), key: key.serialize_pem() })
    }
}

/// The server's own certificate: ECDSA P-256, as ours makes it.
pub(crate) fn server_identity() -> Result<(String, String), rcgen::Error> {
    let key = KeyPair::generate()?;
    let params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    let cert = params.self_signed(&key)?;
    Ok((cert.pem(), key.serialize_pem()))
}
