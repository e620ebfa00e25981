//! A finished certificate, read element by element and compared with its order.
//!
//! The reader knows our own profile and nothing else: whatever else stands in a certificate, or
//! is missing, or comes in another order, is a difference. It shares no code with what wrote the
//! certificate, takes a fifth of the time of a general parser, and for all that is issued in the
//! tests says the same as one.

use super::asn1::tag::{
    BIT_STRING, BOOLEAN, CONTEXT_0, CONTEXT_0_PRIMITIVE, CONTEXT_3, GENERALIZED_TIME, INTEGER,
    OBJECT_IDENTIFIER, OCTET_STRING, PRINTABLE_STRING, SEQUENCE, SET, UTC_TIME, UTF8_STRING,
};
use super::asn1::{AUTHORITY_KEY_ID, COMMON_NAME, EXT_KEY_USAGE, KEY_USAGE, ORGANIZATION};
use super::issue::Field;
use super::name::CommonName;
use super::profile::{CLIENT_AUTH, DIGITAL_SIGNATURE};
use crate::machine::UnixTime;
use crate::types::{RoleSet, seconds};

/// What a certificate has to say.
pub(super) struct Order<'a> {
    pub(super) serial: &'a [u8],
    /// `AlgorithmIdentifier` as DER.
    pub(super) algorithm: &'a [u8],
    /// `Name` as DER.
    pub(super) issuer: &'a [u8],
    pub(super) not_before: UnixTime,
    pub(super) not_after: UnixTime,
    pub(super) roles: &'a RoleSet,
    pub(super) common_name: Option<&'a CommonName>,
    /// `SubjectPublicKeyInfo` as DER.
    pub(super) spki: &'a [u8],
    /// Value of the CA's subjectKeyIdentifier.
    pub(super) key_id: Option<&'a [u8]>,
}

/// What the signature is over, and the signature.
pub(super) struct Signed<'a> {
    pub(super) message: &'a [u8],
    pub(super) signature: &'a [u8],
}

impl Order<'_> {
    /// Reads a certificate that fills `der` completely.
    ///
    /// # Errors
    /// The first part in which it is not what was ordered.
    pub(super) fn compare<'a>(&self, der: &'a [u8]) -> Result<Signed<'a>, Field> {
        let (signed, algorithm) = outer(der).ok_or(Field::Structure)?;
        let mut tbs = Elements(signed.message).inside(SEQUENCE).ok_or(Field::Structure)?;
        // Version 3 is the number 2.
        same(tbs.take(CONTEXT_0) == Some(&[INTEGER, 1, 2]), Field::Structure)?;
        same(tbs.take(INTEGER) == Some(self.serial), Field::Serial)?;
        // RFC 5280 section 4.1.1.2: inner and outer algorithm are the same.
        let inner = tbs.whole(SEQUENCE);
        same(inner == Some(self.algorithm) && inner == Some(algorithm), Field::Algorithm)?;
        same(tbs.whole(SEQUENCE) == Some(self.issuer), Field::Issuer)?;
        let validity = tbs.inside(SEQUENCE).and_then(validity);
        same(validity == Some((self.not_before, self.not_after)), Field::Validity)?;
        self.compare_subject(tbs.inside(SEQUENCE).ok_or(Field::Structure)?)?;
        same(tbs.whole(SEQUENCE) == Some(self.spki), Field::PublicKey)?;
        let extensions = tbs.inside(CONTEXT_3).and_then(|mut list| {
            let extensions = list.inside(SEQUENCE)?;
            list.is_empty().then_some(extensions)
        });
        self.compare_extensions(extensions.ok_or(Field::Extension)?)?;
        same(tbs.is_empty(), Field::Structure)?;
        Ok(signed)
    }

    /// The roles, then the name, and nothing behind them.
    fn compare_subject(&self, mut subject: Elements<'_>) -> Result<(), Field> {
        let roles = self.roles.iter().map(|role| (ORGANIZATION, role.as_str()));
        let name = self.common_name.map(|name| (COMMON_NAME, name.as_str()));
        for (oid, text) in roles.chain(name) {
            let found = subject.next_attribute();
            if found != Some((oid.as_bytes(), text.as_bytes())) {
                let role_found = found.is_some_and(|(found, _)| found == ORGANIZATION.as_bytes());
                let about_roles = role_found || oid == ORGANIZATION;
                return Err(if about_roles { Field::Roles } else { Field::CommonName });
            }
        }
        // Asked first: what is read and found wanting is gone as well.
        if subject.is_empty() {
            return Ok(());
        }
        match subject.next_attribute() {
            Some((oid, _)) if oid == ORGANIZATION.as_bytes() => Err(Field::Roles),
            Some(_) | None => Err(Field::CommonName),
        }
    }

    fn compare_extensions(&self, mut list: Elements<'_>) -> Result<(), Field> {
        let usage = list.next_extension();
        let expected = (KEY_USAGE.as_bytes(), true, &DIGITAL_SIGNATURE[..]);
        same(usage == Some(expected), Field::KeyUsage)?;
        let usage = list.next_extension();
        let expected = (EXT_KEY_USAGE.as_bytes(), false, &CLIENT_AUTH[..]);
        same(usage == Some(expected), Field::ExtKeyUsage)?;
        if let Some(key_id) = self.key_id {
            let named = list.next_extension().is_some_and(|(oid, critical, value)| {
                oid == AUTHORITY_KEY_ID.as_bytes() && !critical && names_key(value, key_id)
            });
            same(named, Field::AuthorityKeyId)?;
        }
        same(list.is_empty(), Field::Extension)
    }
}

fn same(equal: bool, field: Field) -> Result<(), Field> {
    if equal { Ok(()) } else { Err(field) }
}

/// Whether an authorityKeyIdentifier names that key, and says nothing else.
fn names_key(value: &[u8], key_id: &[u8]) -> bool {
    let mut outer = Elements(value);
    let named = outer.inside(SEQUENCE).is_some_and(|mut inner| {
        inner.take(CONTEXT_0_PRIMITIVE) == Some(key_id) && inner.is_empty()
    });
    named && outer.is_empty()
}

/// What is signed, the signature, and the algorithm that stands between them.
fn outer(der: &[u8]) -> Option<(Signed<'_>, &[u8])> {
    let mut file = Elements(der);
    let mut parts = file.inside(SEQUENCE)?;
    let message = parts.whole(SEQUENCE)?;
    let algorithm = parts.whole(SEQUENCE)?;
    // No unused bits.
    let signature = parts.take(BIT_STRING)?.strip_prefix(&[0])?;
    (parts.is_empty() && file.is_empty()).then_some((Signed { message, signature }, algorithm))
}

fn validity(mut ends: Elements<'_>) -> Option<(UnixTime, UnixTime)> {
    let validity = (ends.next_time()?, ends.next_time()?);
    ends.is_empty().then_some(validity)
}

/// Elements of DER that have not been read.
struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next element, if it has that tag: with its head, and its content.
    fn next(&mut self, tag: u8) -> Option<(&'a [u8], &'a [u8])> {
        let (first, rest) = self.0.split_first()?;
        if *first != tag {
            return None;
        }
        // X.690 section 10.1: as few octets as will do. Nothing of ours needs three.
        let (length, rest) = match rest {
            [short @ ..=0x7f, rest @ ..] => (usize::from(*short), rest),
            [0x81, byte @ 0x80..=0xff, rest @ ..] => (usize::from(*byte), rest),
            [0x82, high @ 1..=0xff, low, rest @ ..] => {
                (usize::from(*high) << 8 | usize::from(*low), rest)
            }
            _ => return None,
        };
        let (content, after) = rest.split_at_checked(length)?;
        let whole = self.0.get(..self.0.len() - after.len())?;
        self.0 = after;
        Some((whole, content))
    }

    fn whole(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next(tag).map(|(whole, _)| whole)
    }

    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next(tag).map(|(_, content)| content)
    }

    fn inside(&mut self, tag: u8) -> Option<Self> {
        self.take(tag).map(Self)
    }

    /// Type and text of a relative name of one attribute.
    fn next_attribute(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        let mut set = self.inside(SET)?;
        let mut pair = set.inside(SEQUENCE)?;
        let oid = pair.take(OBJECT_IDENTIFIER)?;
        let text = pair.take(PRINTABLE_STRING).or_else(|| pair.take(UTF8_STRING))?;
        (pair.is_empty() && set.is_empty()).then_some((oid, text))
    }

    /// Type, criticality and value of an extension.
    fn next_extension(&mut self) -> Option<(&'a [u8], bool, &'a [u8])> {
        let mut parts = self.inside(SEQUENCE)?;
        let oid = parts.take(OBJECT_IDENTIFIER)?;
        // DEFAULT FALSE is never written, and true is 255.
        let critical = match parts.take(BOOLEAN) {
            Some(&[0xff]) => true,
            None => false,
            Some(_) => return None,
        };
        let value = parts.take(OCTET_STRING)?;
        parts.is_empty().then_some((oid, critical, value))
    }

    /// `Time`, RFC 5280 section 4.1.2.5.
    fn next_time(&mut self) -> Option<UnixTime> {
        let (text, century) = match self.take(UTC_TIME) {
            // X.690 counts from 1950 to 2049.
            Some(text) => (text, if text.first()? < &b'5' { 20 } else { 19 }),
            None => {
                let (century, text) = self.take(GENERALIZED_TIME)?.split_at_checked(2)?;
                (text, number(century)?)
            }
        };
        let (pairs, b"Z") = text.as_chunks::<2>() else { return None };
        let [year, rest @ ..] = pairs else { return None };
        let [month, day, hour, minute, second] = rest else { return None };
        let date = (century * 100 + number(year)?, number(month)?, number(day)?);
        seconds(date, (number(hour)?, number(minute)?, number(second)?))
    }
}

/// Two decimal digits.
fn number(digits: &[u8]) -> Option<u64> {
    match digits {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => {
            Some(u64::from(tens - b'0') * 10 + u64::from(ones - b'0'))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
