//! The names a TLS server answers to.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;
use core::str::FromStr;

use der::Encode;
use der::asn1::{Ia5StringRef, OctetStringRef};

use super::asn1::GeneralName;
use super::certificate::Certificate;

/// One subject alternative name.
///
/// A DNS name is lower-case ASCII without a final dot, at most 253 characters, and may begin with
/// `*.`. An address never is a DNS name: TLS clients look for it among the addresses only.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum San {
    /// A host name.
    Dns(Box<str>),
    /// An address.
    Ip(IpAddr),
}

/// A text that is neither host name nor address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SanError;

impl fmt::Display for SanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a host name or IP address, without port and scheme")
    }
}

impl FromStr for San {
    type Err = SanError;

    fn from_str(text: &str) -> Result<Self, SanError> {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Ok(Self::Ip(address));
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let labels = name.strip_prefix("*.").unwrap_or(&name);
        let valid = name.len() <= 253
            && labels.split('.').all(|label| {
                (1..=63).contains(&label.len())
                    && !label.starts_with('-')
                    && !label.ends_with('-')
                    && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
            })
            // `1.2.3` and `300.1.1.1` are mistyped addresses.
            && labels.rsplit('.').next().is_some_and(|last| !last.bytes().all(|b| b.is_ascii_digit()));
        if valid { Ok(Self::Dns(name.into())) } else { Err(SanError) }
    }
}

impl fmt::Display for San {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name),
            Self::Ip(address) => address.fmt(f),
        }
    }
}

/// The value of the subjectAltName extension.
pub(super) fn extension(names: &[San]) -> der::Result<Vec<u8>> {
    let octets: Vec<Vec<u8>> = names
        .iter()
        .map(|name| match name {
            San::Dns(name) => name.as_bytes().into(),
            San::Ip(IpAddr::V4(address)) => address.octets().into(),
            San::Ip(IpAddr::V6(address)) => address.octets().into(),
        })
        .collect();
    let mut list = Vec::with_capacity(names.len());
    for (name, octets) in names.iter().zip(&octets) {
        list.push(match name {
            San::Dns(_) => GeneralName::Dns(Ia5StringRef::new(octets)?),
            San::Ip(_) => GeneralName::Ip(OctetStringRef::new(octets)?),
        });
    }
    list.to_der()
}

/// The names in a certificate; entries that are neither kind are left out.
pub(super) fn of(cert: &Certificate<'_>) -> Vec<San> {
    let dns = cert.dns_names.iter().filter_map(|name| match name.parse::<San>() {
        Ok(San::Dns(name)) => Some(San::Dns(name)),
        Ok(San::Ip(_)) | Err(SanError) => None,
    });
    let ips = cert.addresses.iter().filter_map(|octets| {
        let address: IpAddr = match octets.len() {
            4 => <[u8; 4]>::try_from(*octets).ok()?.into(),
            16 => <[u8; 16]>::try_from(*octets).ok()?.into(),
            _ => return None,
        };
        Some(San::Ip(address))
    });
    dns.chain(ips).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    #[test]
    fn tells_names_from_addresses() {
        for (text, printed) in [
            ("localhost", "localhost"),
            ("Talos.Example.", "talos.example"),
            ("*.example.org", "*.example.org"),
            ("a_b.c", "a_b.c"),
            ("10.0.0.1", "10.0.0.1"),
            ("[::1]", "::1"),
            ("fe80::1", "fe80::1"),
        ] {
            assert_eq!(text.parse::<San>().unwrap().to_string(), printed);
        }
        for text in [
            "",
            ".",
            "a..b",
            "-a",
            "a-",
            "a b",
            "host:8443",
            "https://a",
            "1.2.3",
            "300.1.1.1",
            "a.*",
        ] {
            assert_eq!(text.parse::<San>(), Err(SanError), "{text}");
        }
        let told = SanError.to_string();
        assert!(told.contains("without port and scheme"), "{told}");
    }

    proptest! {
        #[test]
        fn what_parses_prints_itself(text in "[a-z0-9.:*_-]{0,20}") {
            if let Ok(san) = text.parse::<San>() {
                prop_assert_eq!(san.to_string().parse(), Ok(san));
            }
        }
    }
}
