//! Addresses as operators write them.

use alloc::boxed::Box;
use core::fmt;
use core::net::{IpAddr, Ipv6Addr};
use core::str::FromStr;

use crate::types::Url;

/// Why a text is no address of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressError {
    /// Only a port.
    BarePort,
    /// No port where one is needed.
    NoPort,
    /// Not a number from 0 to 65535.
    Port,
    /// IPv6 with a port needs brackets.
    Brackets,
    /// Neither a host name nor an address.
    Host,
    /// A URL with a path, a query, or a scheme other than http and https.
    Url,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BarePort => "only a port; write it with a colon, for example :8443",
            Self::NoPort => "no port; write for example :8443 or 10.0.0.1:8443",
            Self::Port => "the port is not a number from 0 to 65535",
            Self::Brackets => "an IPv6 address with a port needs brackets, for example [::1]:8443",
            Self::Host => {
                "not a host name or address; write for example 10.0.0.1 or talos.example.com"
            }
            Self::Url => {
                "a URL here has only scheme, host and port, for example https://talos.example.com"
            }
        })
    }
}

/// Whether `host` is a host name or IP address without brackets.
fn is_host(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok()
        || alloc::format!("https://{host}").parse::<Url>().is_ok_and(|url| {
            // A port, path or anything else that the URL could hold is no part of a host.
            url.host() == host
        })
}

/// `host:port`, `:port` or `[v6]:port` to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddr {
    host: Option<Box<str>>,
    port: u16,
}

impl ListenAddr {
    /// Host name or address without brackets; `None` is every address of the machine.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// Port; 0 lets the system choose.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for ListenAddr {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (host, port) = match text.strip_prefix('[') {
            Some(inner) => {
                let (host, after) = inner.split_once(']').ok_or(AddressError::Brackets)?;
                host.parse::<Ipv6Addr>().map_err(|_| AddressError::Host)?;
                (host, after.strip_prefix(':').ok_or(AddressError::NoPort)?)
            }
            None => {
                let Some((host, port)) = text.rsplit_once(':') else {
                    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
                    return Err(if digits { AddressError::BarePort } else { AddressError::NoPort });
                };
                if host.contains(':') {
                    return Err(AddressError::Brackets);
                }
                if !host.is_empty() && !is_host(host) {
                    return Err(AddressError::Host);
                }
                (host, port)
            }
        };
        if port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()) {
            return Err(AddressError::Port);
        }
        let port = port.parse().map_err(|_| AddressError::Port)?;
        Ok(Self { host: (!host.is_empty()).then(|| host.into()), port })
    }
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host() {
            None => write!(f, ":{}", self.port),
            Some(host) if host.contains(':') => write!(f, "[{host}]:{}", self.port),
            Some(host) => write!(f, "{host}:{}", self.port),
        }
    }
}

/// A Talos endpoint or node: host, `host:port`, IPv6 with or without brackets, or a URL without
/// path. Kept as written, since it goes into the user's talosconfig.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(Box<str>);

impl Endpoint {
    /// As configured.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Endpoint {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.contains("://") {
            let url: Url = text.parse().map_err(|_| AddressError::Url)?;
            if text.len() > url.origin().len() && url.target() != "/" {
                return Err(AddressError::Url);
            }
            return Ok(Self(text.into()));
        }
        if text.parse::<IpAddr>().is_ok() {
            return Ok(Self(text.into()));
        }
        let url: Url = alloc::format!("https://{text}").parse().map_err(|error| match error {
            crate::types::UrlError::Port => AddressError::Port,
            crate::types::UrlError::Scheme
            | crate::types::UrlError::Host
            | crate::types::UrlError::UserInfo
            | crate::types::UrlError::Fragment
            | crate::types::UrlError::Character => AddressError::Host,
        })?;
        if url.authority() != text {
            return Err(AddressError::Host);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A name for the server's own certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SanName {
    /// Host name; may begin with `*.`.
    Dns(Box<str>),
    /// Address.
    Ip(IpAddr),
}

impl FromStr for SanName {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
        if let Ok(ip) = bare.parse::<IpAddr>() {
            return Ok(Self::Ip(ip));
        }
        if is_host(text.strip_prefix("*.").unwrap_or(text)) {
            return Ok(Self::Dns(text.to_ascii_lowercase().into()));
        }
        Err(AddressError::Host)
    }
}

impl fmt::Display for SanName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name),
            Self::Ip(ip) => ip.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    #[test]
    fn listening_addresses() {
        for (text, host, port) in [
            (":8443", None, 8443),
            ("0.0.0.0:8443", Some("0.0.0.0"), 8443),
            ("[::1]:80", Some("::1"), 80),
            ("localhost:0", Some("localhost"), 0),
        ] {
            let addr: ListenAddr = text.parse().unwrap();
            assert_eq!((addr.host(), addr.port()), (host, port));
            assert_eq!(addr.to_string(), text);
        }
        for (text, error) in [
            ("8443", AddressError::BarePort),
            ("", AddressError::NoPort),
            ("localhost", AddressError::NoPort),
            ("::1:8443", AddressError::Brackets),
            ("[::1]", AddressError::NoPort),
            ("[::1", AddressError::Brackets),
            ("[x]:1", AddressError::Host),
            (":", AddressError::Port),
            (":65536", AddressError::Port),
            (":+1", AddressError::Port),
            ("a b:1", AddressError::Host),
            ("https://x:1", AddressError::Brackets),
        ] {
            assert_eq!(text.parse::<ListenAddr>(), Err(error), "{text}");
        }
    }

    #[test]
    fn endpoints() {
        for good in [
            "10.0.0.1",
            "10.0.0.1:50000",
            "talos.example.com",
            "2001:db8::1",
            "[2001:db8::1]:50000",
            "https://omni.example.com",
            "https://omni.example.com:443/",
        ] {
            assert_eq!(good.parse::<Endpoint>().unwrap().as_str(), good);
        }
        for (bad, error) in [
            ("10.0.0", AddressError::Host),
            ("a/b", AddressError::Host),
            ("a:0", AddressError::Port),
            ("a b", AddressError::Host),
            ("https://x/path", AddressError::Url),
            ("ftp://x", AddressError::Url),
            ("10.0.0.1,10.0.0.2", AddressError::Host),
        ] {
            assert_eq!(bad.parse::<Endpoint>(), Err(error), "{bad}");
        }
    }

    #[test]
    fn certificate_names() {
        assert_eq!("::1".parse(), Ok(SanName::Ip("::1".parse().unwrap())));
        assert_eq!("*.Example.com".parse(), Ok(SanName::Dns("*.example.com".into())));
        assert_eq!("a:1".parse::<SanName>(), Err(AddressError::Host));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[-a0-9:./\\[\\]*@ ]{0,20}") {
            let _ = text.parse::<Endpoint>();
            let _ = text.parse::<SanName>();
            if let Ok(addr) = text.parse::<ListenAddr>() {
                prop_assert_eq!(addr.to_string().parse::<ListenAddr>(), Ok(addr));
            }
        }
    }
}
