//! The certificate authority that Talos accepts clients from.

use alloc::string::String;
use alloc::vec::Vec;

use super::certificate::Certificate;
use super::error::CaError;
use super::pem::{self, Label};
use super::profile::Repeated;
use super::public_key::{KeyAlgorithm, PublicKey, SignatureAlgorithm};
use crate::machine::UnixTime;

/// Longest chain above a client certificate that is sent along.
const CHAIN_MAX: usize = 4;

/// Parts of a cluster whose CA is sometimes taken for the Talos one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Component {
    /// `cluster.ca`, subject `O=kubernetes`.
    Kubernetes,
    /// `cluster.etcd.ca`, subject `O=etcd`.
    Etcd,
    /// `cluster.aggregatorCA`, subject `CN=front-proxy` or, as Talos generates it, empty.
    Aggregator,
}

impl Component {
    /// For messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kubernetes => "Kubernetes",
            Self::Etcd => "etcd",
            Self::Aggregator => "Kubernetes aggregator (front-proxy)",
        }
    }
}

/// A CA certificate that passed every check: it may sign client certificates and is in date.
#[derive(Clone, Debug)]
pub struct CaCert {
    bundle: String,
    der: Vec<u8>,
    chain: String,
    subject: Vec<u8>,
    subject_key_id: Option<Vec<u8>>,
    public_key: PublicKey,
    repeated: Repeated,
    not_before: UnixTime,
    not_after: UnixTime,
}

impl CaCert {
    /// Takes the first certificate of the text that is a usable CA.
    ///
    /// # Errors
    /// [`CaError`]: of the first CA in the text when none is usable, [`CaError::NotACa`] when
    /// there is no CA at all.
    pub fn parse(text: &str, now: UnixTime) -> Result<Self, CaError> {
        Self::parse_all(text, now)?.into_iter().next().ok_or(CaError::NotACa)
    }

    /// Every usable CA of the text, at least one, in order. A text with the old and the new CA is
    /// what clients need while the CA is being rotated; the key tells which of them signs.
    ///
    /// # Errors
    /// As [`CaCert::parse`].
    pub fn parse_all(text: &str, now: UnixTime) -> Result<Vec<Self>, CaError> {
        let blocks = pem::blocks(text)?;
        if blocks.iter().any(|block| block.label.is_private_key()) {
            return Err(CaError::PrivateKeyInside);
        }
        let ders: Vec<&[u8]> = blocks
            .iter()
            .filter(|block| block.label == Label::Certificate)
            .map(|block| block.der.as_slice())
            .collect();
        if ders.is_empty() {
            return Err(CaError::NoCertificate);
        }
        let mut usable = Vec::new();
        let mut first_refusal = None;
        for der in &ders {
            match Self::load(text, der, &ders, now) {
                Ok(ca) => usable.push(ca),
                // Says less than any other refusal, so it must not hide one.
                Err(CaError::NotACa) => {}
                Err(error) => {
                    first_refusal.get_or_insert(error);
                }
            }
        }
        if usable.is_empty() {
            return Err(first_refusal.unwrap_or(CaError::NotACa));
        }
        Ok(usable)
    }

    fn load(text: &str, der: &[u8], all: &[&[u8]], now: UnixTime) -> Result<Self, CaError> {
        let cert = Certificate::parse(der).ok_or(CaError::Malformed)?;
        if !cert.ca {
            return Err(CaError::NotACa);
        }
        if let Some(component) = other_component(&cert) {
            return Err(CaError::WrongCa(component));
        }
        // RFC 5280 section 4.2.1.3: an absent extension restricts nothing.
        if cert.key_usage.is_some_and(|usage| !usage.cert_sign) {
            return Err(CaError::KeyUsage);
        }
        // Go wants clientAuth at every level that has the extension.
        if cert.ext_key_usage.is_some_and(|usage| !usage.allows_client) {
            return Err(CaError::NotForClients);
        }
        let public_key = cert.public_key().map_err(|_| CaError::UnsupportedKey)?;
        // The last second still belongs to the certificate.
        if cert.not_after < now {
            return Err(CaError::Expired { not_after: cert.not_after, now });
        }
        let algorithm = public_key.algorithm().signs_with();
        let repeated =
            Repeated::new(algorithm, cert.subject_key_id).map_err(|_| CaError::Malformed)?;
        Ok(Self {
            bundle: text.into(),
            der: der.into(),
            chain: chain(&cert, der, all).ok_or(CaError::Malformed)?,
            subject: cert.subject.into(),
            subject_key_id: cert.subject_key_id.map(Into::into),
            public_key,
            repeated,
            not_before: cert.not_before,
            not_after: cert.not_after,
        })
    }

    /// The operator's text, byte for byte: what clients get as `ca`.
    #[must_use]
    pub fn bundle_text(&self) -> &str {
        &self.bundle
    }

    /// The certificate as DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// PEM that must follow a client certificate: empty below a root, else this certificate and
    /// the intermediates above it that stand in the same text.
    #[must_use]
    pub fn chain_pem(&self) -> &str {
        &self.chain
    }

    /// The subject `Name` as DER. An issuer must be these bytes; a rebuilt name is another one.
    #[must_use]
    pub fn subject_der(&self) -> &[u8] {
        &self.subject
    }

    /// The value of the subjectKeyIdentifier, where there is one.
    #[must_use]
    pub fn subject_key_id(&self) -> Option<&[u8]> {
        self.subject_key_id.as_deref()
    }

    /// The key that checks what the CA signs.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// What all certificates have in common that it signs.
    pub(super) const fn repeated(&self) -> &Repeated {
        &self.repeated
    }

    /// Kind of that key.
    #[must_use]
    pub fn key_algorithm(&self) -> KeyAlgorithm {
        self.public_key.algorithm()
    }

    /// How the CA signs.
    #[must_use]
    pub fn signature_algorithm(&self) -> SignatureAlgorithm {
        self.key_algorithm().signs_with()
    }

    /// First second of the CA. It may lie ahead when clocks differ; nodes decide by their own.
    #[must_use]
    pub fn not_before(&self) -> UnixTime {
        self.not_before
    }

    /// Last second of the CA.
    #[must_use]
    pub fn not_after(&self) -> UnixTime {
        self.not_after
    }

    /// SHA-256 of the DER, lower-case hexadecimal.
    #[must_use]
    pub fn fingerprint_sha256(&self) -> String {
        super::fingerprint(&self.der)
    }
}

/// Which other CA of the cluster this is, by the names that Talos and kubeadm give.
fn other_component(cert: &Certificate<'_>) -> Option<Component> {
    let called = |names: &[&str]| {
        let mut values = cert.organizations.iter().chain(&cert.common_names);
        values.any(|value| names.contains(value))
    };
    // An empty SEQUENCE. Talos' own CA is always O=talos or what an operator chose.
    if cert.subject == [0x30, 0] || called(&["front-proxy", "front-proxy-ca"]) {
        Some(Component::Aggregator)
    } else if called(&["etcd", "etcd-ca"]) {
        Some(Component::Etcd)
    } else if called(&["kubernetes", "kubernetes-ca"]) {
        Some(Component::Kubernetes)
    } else {
        None
    }
}

/// What must stand between a client certificate and the root; `None` never in practice.
fn chain(cert: &Certificate<'_>, der: &[u8], all: &[&[u8]]) -> Option<String> {
    let mut text = String::new();
    if cert.is_self_issued() {
        return Some(text);
    }
    text.push_str(&pem::encode(Label::Certificate, der)?);
    let mut issuer = cert.issuer;
    for _ in 1..CHAIN_MAX {
        let mut others = all.iter().filter_map(|der| Some((der, Certificate::parse(der)?)));
        let Some((der, above)) = others.find(|(_, other)| other.subject == issuer) else {
            break;
        };
        if above.is_self_issued() {
            break;
        }
        text.push_str(&pem::encode(Label::Certificate, der)?);
        issuer = above.issuer;
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::asn1::{
        self, Attribute, BASIC_CONSTRAINTS, COMMON_NAME, Extension, TbsCertificate, Time, Validity,
    };
    use der::Encode as _;
    use der::asn1::UintRef;

    const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

    fn name(text: &str) -> Vec<u8> {
        asn1::name([Attribute::text(COMMON_NAME, text)]).unwrap()
    }

    /// A CA certificate as PEM; nobody looks at its signature here.
    fn authority(subject: &str, issuer: &str) -> String {
        let (subject, issuer) = (name(subject), name(issuer));
        let key = PublicKey::ed25519(&[7; 32]).unwrap();
        let (not_before, not_after) = (NOW.minus_secs(100), NOW.plus_secs(1000));
        let algorithm = SignatureAlgorithm::Ed25519.identifier();
        // TRUE, and an extension that nobody here knows.
        let is_ca = [0x30, 0x03, 0x01, 0x01, 0xff];
        let unknown = der::asn1::ObjectIdentifier::new_unwrap("1.2.3.4");
        let tbs = TbsCertificate {
            version: 2,
            serial: UintRef::new(&[1]).unwrap(),
            signature: algorithm,
            issuer: issuer.as_slice().try_into().unwrap(),
            validity: Validity {
                not_before: Time::at(not_before).unwrap(),
                not_after: Time::at(not_after).unwrap(),
            },
            subject: subject.as_slice().try_into().unwrap(),
            public_key: key.spki().try_into().unwrap(),
            extensions: Vec::from([
                Extension::new(BASIC_CONSTRAINTS, true, &is_ca).unwrap(),
                Extension::new(unknown, false, b"anything").unwrap(),
            ]),
        };
        let der = asn1::certificate(&tbs.to_der().unwrap(), algorithm, &[9; 64]).unwrap();
        pem::encode(Label::Certificate, &der).unwrap()
    }

    #[test]
    fn a_chain_goes_up_to_below_the_root() {
        let lower = authority("lower", "upper");
        let (other, upper) = (authority("other", "elsewhere"), authority("upper", "root"));
        let root = authority("root", "root");
        let chain = |text: &str| CaCert::parse(text, NOW).unwrap().chain;
        assert_eq!(
            chain(&[&*lower, &*other, &*root, &*upper].concat()),
            [&*lower, &*upper].concat()
        );
        assert_eq!(chain(&[&*lower, &*other].concat()), lower);
        assert_eq!(chain(&root), "");
        // A loop ends where the longest chain does.
        let (a, b) = (authority("a", "b"), authority("b", "a"));
        let looped = chain(&[&*a, &*b].concat());
        assert_eq!(looped.matches("BEGIN").count(), CHAIN_MAX);
    }

    #[test]
    fn a_ca_tells_what_it_is() {
        let text = authority("talos", "talos");
        let ca = CaCert::parse(&text, NOW).unwrap();
        assert_eq!((ca.not_before(), ca.not_after()), (NOW.minus_secs(100), NOW.plus_secs(1000)));
        let digest = ring::digest::digest(&ring::digest::SHA256, ca.der());
        assert_eq!(ca.fingerprint_sha256(), crate::types::hex(digest.as_ref()));
        assert_eq!(Component::Kubernetes.name(), "Kubernetes");
        assert_eq!(Component::Etcd.name(), "etcd");
        assert!(Component::Aggregator.name().contains("front-proxy"));
        let told = alloc::string::ToString::to_string(&CaError::WrongCa(Component::Etcd));
        assert!(told.contains("the etcd CA"), "{told}");
        let told = alloc::string::ToString::to_string(&crate::pki::KeyError::Mismatch);
        assert!(told.contains("key"), "{told}");
    }
}
