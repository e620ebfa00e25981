//! The ASN.1 types of RFC 5280 and RFC 5958 that we write or take apart ourselves.
//!
//! `der` does tags and lengths; each struct stands under its section.

use alloc::vec::Vec;
use core::time::Duration;

use der::asn1::{
    AnyRef, BitStringRef, GeneralizedTime, Ia5StringRef, ObjectIdentifier, OctetStringRef,
    PrintableStringRef, SetOfVec, UintRef, UtcTime, Utf8StringRef,
};
use der::{Choice, Decode, Encode, Reader, Sequence, SliceReader, Tag, Tagged, ValueOrd};

use crate::machine::UnixTime;

const fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}

pub(super) const ED25519: ObjectIdentifier = oid("1.3.101.112");
pub(super) const EC_PUBLIC_KEY: ObjectIdentifier = oid("1.2.840.10045.2.1");
pub(super) const P256: ObjectIdentifier = oid("1.2.840.10045.3.1.7");
pub(super) const P384: ObjectIdentifier = oid("1.3.132.0.34");
pub(super) const RSA_ENCRYPTION: ObjectIdentifier = oid("1.2.840.113549.1.1.1");
pub(super) const ECDSA_SHA256: ObjectIdentifier = oid("1.2.840.10045.4.3.2");
pub(super) const ECDSA_SHA384: ObjectIdentifier = oid("1.2.840.10045.4.3.3");
pub(super) const RSA_SHA256: ObjectIdentifier = oid("1.2.840.113549.1.1.11");
pub(super) const RSA_SHA384: ObjectIdentifier = oid("1.2.840.113549.1.1.12");
pub(super) const RSA_SHA512: ObjectIdentifier = oid("1.2.840.113549.1.1.13");
pub(super) const ORGANIZATION: ObjectIdentifier = oid("2.5.4.10");
pub(super) const COMMON_NAME: ObjectIdentifier = oid("2.5.4.3");
pub(super) const SUBJECT_KEY_ID: ObjectIdentifier = oid("2.5.29.14");
pub(super) const KEY_USAGE: ObjectIdentifier = oid("2.5.29.15");
pub(super) const SUBJECT_ALT_NAME: ObjectIdentifier = oid("2.5.29.17");
pub(super) const BASIC_CONSTRAINTS: ObjectIdentifier = oid("2.5.29.19");
pub(super) const AUTHORITY_KEY_ID: ObjectIdentifier = oid("2.5.29.35");
pub(super) const EXT_KEY_USAGE: ObjectIdentifier = oid("2.5.29.37");

/// Identifier octets (X.690 section 8.1.2) of what client certificates are made of.
pub(super) mod tag {
    pub(in super::super) const BOOLEAN: u8 = 0x01;
    pub(in super::super) const INTEGER: u8 = 0x02;
    pub(in super::super) const BIT_STRING: u8 = 0x03;
    pub(in super::super) const OCTET_STRING: u8 = 0x04;
    pub(in super::super) const OBJECT_IDENTIFIER: u8 = 0x06;
    pub(in super::super) const UTF8_STRING: u8 = 0x0c;
    pub(in super::super) const PRINTABLE_STRING: u8 = 0x13;
    pub(in super::super) const UTC_TIME: u8 = 0x17;
    pub(in super::super) const GENERALIZED_TIME: u8 = 0x18;
    pub(in super::super) const SEQUENCE: u8 = 0x30;
    pub(in super::super) const SET: u8 = 0x31;
    pub(in super::super) const CONTEXT_0_PRIMITIVE: u8 = 0x80;
    pub(in super::super) const CONTEXT_0: u8 = 0xa0;
    pub(in super::super) const CONTEXT_3: u8 = 0xa3;
}

/// `AlgorithmIdentifier`, RFC 5280 section 4.1.1.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Sequence)]
pub(super) struct AlgorithmIdentifier<'a> {
    pub(super) algorithm: ObjectIdentifier,
    pub(super) parameters: Option<AnyRef<'a>>,
}

/// `SubjectPublicKeyInfo`, RFC 5280 section 4.1.2.7.
#[derive(Clone, Copy, Debug, Sequence)]
pub(super) struct SubjectPublicKeyInfo<'a> {
    pub(super) algorithm: AlgorithmIdentifier<'a>,
    pub(super) key: BitStringRef<'a>,
}

/// `RSAPublicKey`, RFC 8017 appendix A.1.1.
#[derive(Clone, Copy, Debug, Sequence)]
pub(super) struct RsaPublicKey<'a> {
    pub(super) modulus: UintRef<'a>,
    pub(super) exponent: UintRef<'a>,
}

/// `ECPrivateKey`, RFC 5915 section 3.
#[derive(Clone, Copy, Sequence)]
pub(super) struct EcPrivateKey<'a> {
    pub(super) version: u8,
    pub(super) scalar: &'a OctetStringRef,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    pub(super) curve: Option<ObjectIdentifier>,
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", optional = "true")]
    pub(super) public: Option<BitStringRef<'a>>,
}

/// `Time`, RFC 5280 section 4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050.
#[derive(Clone, Copy, Choice)]
pub(super) enum Time {
    #[asn1(type = "UTCTime")]
    Utc(UtcTime),
    #[asn1(type = "GeneralizedTime")]
    General(GeneralizedTime),
}

impl Time {
    pub(super) fn at(at: UnixTime) -> der::Result<Self> {
        let since_epoch = Duration::from_secs(at.secs());
        UtcTime::from_unix_duration(since_epoch)
            .map(Self::Utc)
            .or_else(|_| GeneralizedTime::from_unix_duration(since_epoch).map(Self::General))
    }
}

/// `Validity`, RFC 5280 section 4.1.2.5. Both ends belong to it.
#[derive(Clone, Copy, Sequence)]
pub(super) struct Validity {
    pub(super) not_before: Time,
    pub(super) not_after: Time,
}

/// `AttributeTypeAndValue`, RFC 5280 section 4.1.2.4.
#[derive(Clone, Copy, Sequence, ValueOrd)]
pub(super) struct Attribute<'a> {
    oid: ObjectIdentifier,
    value: AnyRef<'a>,
}

impl<'a> Attribute<'a> {
    /// PrintableString where the text allows it, as Go writes it; UTF8String otherwise.
    pub(super) fn text(oid: ObjectIdentifier, text: &'a str) -> der::Result<Self> {
        let value = match PrintableStringRef::new(text) {
            Ok(printable) => printable.into(),
            Err(_) => Utf8StringRef::new(text)?.into(),
        };
        Ok(Self { oid, value })
    }
}

/// A distinguished name with one attribute in each RDN, in the given order. Readers collect the
/// attributes of all RDNs in order; within one RDN, DER would sort them.
pub(super) fn name<'a>(
    attributes: impl IntoIterator<Item = der::Result<Attribute<'a>>>,
) -> der::Result<Vec<u8>> {
    let mut rdns: Vec<SetOfVec<Attribute<'a>>> = Vec::new();
    for attribute in attributes {
        let mut rdn = SetOfVec::new();
        rdn.insert(attribute?)?;
        rdns.push(rdn);
    }
    rdns.to_der()
}

/// `Extension`, RFC 5280 section 4.1.
#[derive(Clone, Copy, Sequence)]
pub(super) struct Extension<'a> {
    pub(super) oid: ObjectIdentifier,
    #[asn1(default = "Default::default")]
    pub(super) critical: bool,
    pub(super) value: &'a OctetStringRef,
}

impl<'a> Extension<'a> {
    pub(super) fn new(oid: ObjectIdentifier, critical: bool, value: &'a [u8]) -> der::Result<Self> {
        Ok(Self { oid, critical, value: OctetStringRef::new(value)? })
    }
}

/// `AuthorityKeyIdentifier`, RFC 5280 section 4.2.1.1, with the key identifier alone.
#[derive(Clone, Copy, Sequence)]
pub(super) struct AuthorityKeyIdentifier<'a> {
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    pub(super) key_id: Option<&'a OctetStringRef>,
}

/// `GeneralName`, RFC 5280 section 4.2.1.6, the two kinds a TLS server has.
#[derive(Clone, Copy, Choice)]
pub(super) enum GeneralName<'a> {
    #[asn1(context_specific = "2", tag_mode = "IMPLICIT", type = "IA5String")]
    Dns(Ia5StringRef<'a>),
    #[asn1(context_specific = "7", tag_mode = "IMPLICIT", type = "OCTET STRING")]
    Ip(&'a OctetStringRef),
}

/// `TBSCertificate`, RFC 5280 section 4.1, with the fields our profiles use.
#[derive(Sequence)]
pub(super) struct TbsCertificate<'a> {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    pub(super) version: u8,
    pub(super) serial: UintRef<'a>,
    pub(super) signature: AlgorithmIdentifier<'a>,
    pub(super) issuer: AnyRef<'a>,
    pub(super) validity: Validity,
    pub(super) subject: AnyRef<'a>,
    pub(super) public_key: AnyRef<'a>,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT")]
    pub(super) extensions: Vec<Extension<'a>>,
}

/// `Certificate`, RFC 5280 section 4.1.
#[derive(Sequence)]
pub(super) struct Certificate<'a> {
    pub(super) tbs: AnyRef<'a>,
    pub(super) algorithm: AlgorithmIdentifier<'a>,
    pub(super) signature: BitStringRef<'a>,
}

/// Puts a certificate together from its signed part and the signature.
pub(super) fn certificate(
    tbs: &[u8],
    algorithm: AlgorithmIdentifier<'_>,
    signature: &[u8],
) -> der::Result<Vec<u8>> {
    let signature = BitStringRef::from_bytes(signature)?;
    Certificate { tbs: tbs.try_into()?, algorithm, signature }.to_der()
}

/// The outer shape that certificates and requests share: what is signed, how, and the signature.
pub(super) struct Signed<'a> {
    pub(super) message: &'a [u8],
    pub(super) algorithm: AlgorithmIdentifier<'a>,
    pub(super) signature: &'a [u8],
}

impl<'a> Signed<'a> {
    /// Takes apart what fills `der` completely.
    pub(super) fn from_der(der: &'a [u8]) -> Option<Self> {
        let mut reader = sequence(der)?;
        let message = reader.tlv_bytes().ok()?;
        let algorithm = AlgorithmIdentifier::decode(&mut reader).ok()?;
        let signature = BitStringRef::decode(&mut reader).ok()?.as_bytes()?;
        reader.finish().ok()?;
        Some(Self { message, algorithm, signature })
    }
}

/// A reader of the elements of a SEQUENCE that fills `der` completely.
pub(super) fn sequence(der: &[u8]) -> Option<SliceReader<'_>> {
    let outer = AnyRef::from_der(der).ok().filter(|outer| outer.tag() == Tag::Sequence)?;
    SliceReader::new(outer.value()).ok()
}

/// A serial number of RFC 5280 section 4.1.2.2 from 16 random bytes: positive, 16 octets long.
/// The top bit is cleared for the sign and the next one set, so no leading zero is ever dropped.
pub(super) fn serial(mut random: [u8; 16]) -> [u8; 16] {
    if let Some(first) = random.first_mut() {
        *first = (*first & 0x7f) | 0x40;
    }
    random
}
