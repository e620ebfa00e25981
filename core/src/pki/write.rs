//! DER (X.690 section 10) of what differs from one client certificate to the next.
//!
//! Written front to back into one buffer. The parts that a CA always repeats are encoded once,
//! when it is loaded; `der`, which does that, measures each part before it writes it.

use alloc::vec::Vec;

use der::asn1::PrintableStringRef;

use super::asn1::tag::{
    BIT_STRING, GENERALIZED_TIME, OBJECT_IDENTIFIER, PRINTABLE_STRING, SEQUENCE, SET, UTC_TIME,
    UTF8_STRING,
};
use crate::machine::UnixTime;
use crate::types::digits;

/// Appends one element with what `content` appends; `None` when that gives it.
pub(super) fn element(
    out: &mut Vec<u8>,
    tag: u8,
    content: impl FnOnce(&mut Vec<u8>) -> Option<()>,
) -> Option<()> {
    out.push(tag);
    let at = out.len();
    out.push(0);
    content(out)?;
    let length = out.len() - at - 1;
    match u8::try_from(length) {
        Ok(short @ ..=0x7f) => *out.get_mut(at)? = short,
        Ok(byte) => drop(out.splice(at..=at, [0x81, byte])),
        Err(_) => {
            let [high, low] = u16::try_from(length).ok()?.to_be_bytes();
            drop(out.splice(at..=at, [0x82, high, low]));
        }
    }
    Some(())
}

/// Appends one element that holds these bytes.
pub(super) fn primitive(out: &mut Vec<u8>, tag: u8, content: &[u8]) -> Option<()> {
    element(out, tag, |out| {
        out.extend_from_slice(content);
        Some(())
    })
}

/// `Time`, RFC 5280 section 4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050; `None`
/// beyond the year 9999.
pub(super) fn time(out: &mut Vec<u8>, at: UnixTime) -> Option<()> {
    let digits = digits(at)?;
    let [century, year, ..] = digits;
    let in_utc_time = century == *b"19" || (century == *b"20" && year < *b"50");
    let (tag, digits) =
        if in_utc_time { (UTC_TIME, digits.get(1..)?) } else { (GENERALIZED_TIME, &digits[..]) };
    element(out, tag, |out| {
        out.extend_from_slice(digits.as_flattened());
        out.push(b'Z');
        Some(())
    })
}

/// A relative name of one attribute: PrintableString where the text allows it, as Go writes it;
/// UTF8String otherwise. Readers collect the attributes of all relative names in order; within
/// one, DER would sort them.
pub(super) fn attribute(out: &mut Vec<u8>, oid: &[u8], text: &str) -> Option<()> {
    let printable = PrintableStringRef::new(text).is_ok();
    element(out, SET, |out| {
        element(out, SEQUENCE, |out| {
            primitive(out, OBJECT_IDENTIFIER, oid)?;
            let tag = if printable { PRINTABLE_STRING } else { UTF8_STRING };
            primitive(out, tag, text.as_bytes())
        })
    })
}

/// `Certificate`, RFC 5280 section 4.1, from its encoded parts.
pub(super) fn certificate(tbs: &[u8], algorithm: &[u8], signature: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(tbs.len() + algorithm.len() + signature.len() + 16);
    element(&mut out, SEQUENCE, |out| {
        out.extend_from_slice(tbs);
        out.extend_from_slice(algorithm);
        element(out, BIT_STRING, |out| {
            // No unused bits.
            out.push(0);
            out.extend_from_slice(signature);
            Some(())
        })
    })?;
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::asn1::tag::OCTET_STRING;
    use crate::pki::asn1::{self, Attribute, COMMON_NAME, ORGANIZATION, Time};
    use crate::pki::public_key::SignatureAlgorithm;
    use alloc::vec;
    use der::Encode as _;
    use der::asn1::OctetStringRef;
    use proptest::prelude::*;

    #[test]
    fn lengths_are_as_short_as_they_can_be() {
        for length in [0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff] {
            let content = vec![7; length];
            let mut out = Vec::new();
            primitive(&mut out, OCTET_STRING, &content).unwrap();
            assert_eq!(out, OctetStringRef::new(&content).unwrap().to_der().unwrap(), "{length}");
        }
        assert_eq!(primitive(&mut Vec::new(), OCTET_STRING, &vec![7; 0x1_0000]), None);
        assert_eq!(element(&mut Vec::new(), SEQUENCE, |_| None), None);
    }

    #[test]
    fn years_choose_the_kind_of_time() {
        for secs in [0, 946_684_799, 946_684_800, 2_524_607_999, 2_524_608_000, 253_402_300_799] {
            let at = UnixTime::from_secs(secs);
            let mut out = Vec::new();
            time(&mut out, at).unwrap();
            assert_eq!(out, Time::at(at).unwrap().to_der().unwrap(), "{secs}");
        }
        assert_eq!(time(&mut Vec::new(), UnixTime::from_secs(253_402_300_800)), None);
    }

    proptest! {
        #[test]
        fn names_are_what_der_writes(texts in proptest::collection::vec(".{0,64}", 0..4)) {
            let oids = [ORGANIZATION, COMMON_NAME].into_iter().cycle();
            let pairs = || oids.clone().zip(&texts);
            let theirs = asn1::name(pairs().map(|(oid, text)| Attribute::text(oid, text)));
            let mut ours = Vec::new();
            element(&mut ours, SEQUENCE, |out| {
                pairs().try_for_each(|(oid, text)| attribute(out, oid.as_bytes(), text))
            }).unwrap();
            prop_assert_eq!(ours, theirs.unwrap());
        }

        #[test]
        fn certificates_are_what_der_writes(
            content in proptest::collection::vec(any::<u8>(), 0..600),
            signature in proptest::collection::vec(any::<u8>(), 0..600),
        ) {
            let mut tbs = Vec::new();
            primitive(&mut tbs, SEQUENCE, &content).unwrap();
            let algorithm = SignatureAlgorithm::RsaSha256.identifier();
            let ours = certificate(&tbs, &algorithm.to_der().unwrap(), &signature);
            prop_assert_eq!(ours.unwrap(), asn1::certificate(&tbs, algorithm, &signature).unwrap());
        }
    }
}
