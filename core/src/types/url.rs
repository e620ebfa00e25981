//! The URLs this program requests: `http` and `https`, ASCII hosts, nothing resolved or rewritten.

use alloc::boxed::Box;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

/// An absolute `http` or `https` URL (RFC 3986), kept as the text it was read from.
///
/// Refused: other schemes, user information, fragments, blanks and control characters,
/// non-ASCII hosts (write the `xn--` form), over 4096 bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    text: Box<str>,
    https: bool,
    host: Box<str>,
    port: Option<u16>,
    target_at: usize,
}

/// Why a text is no URL of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlError {
    /// Not `https://` or `http://`.
    Scheme,
    /// No host, or one with characters outside letters, digits, `.`, `-`, `_` and `[v6]`.
    Host,
    /// Port not a number from 1 to 65535.
    Port,
    /// `user@host`: credentials do not belong in a URL.
    UserInfo,
    /// `#…`: means nothing to a server.
    Fragment,
    /// Blank, control or non-ASCII character, or over 4096 bytes.
    Character,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "a URL starts with https:// (or http://)",
            Self::Host => "the URL has no valid host",
            Self::Port => "the port of the URL is not a number from 1 to 65535",
            Self::UserInfo => "the URL must not hold a user name or password",
            Self::Fragment => "the URL must not have a #fragment",
            Self::Character => "the URL has a blank, control or non-ASCII character or is too long",
        })
    }
}

impl Url {
    /// The URL as it was read.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is `https`.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// Host without brackets, for name resolution and certificate checks.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Port as given or the scheme's default.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(if self.https { 443 } else { 80 })
    }

    /// `host[:port]` as a `Host` header says it: brackets kept, default port left out if absent.
    #[must_use]
    pub fn authority(&self) -> &str {
        let after_scheme = self.text.find("://").map_or(0, |at| at + 3);
        self.text.get(after_scheme..self.target_at).unwrap_or_default()
    }

    /// Path and query, at least `/`.
    #[must_use]
    pub fn target(&self) -> &str {
        match self.text.get(self.target_at..) {
            None | Some("") => "/",
            Some(target) => target,
        }
    }

    /// Scheme, host and port: `https://host:port` without anything behind it.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.text.get(..self.target_at).unwrap_or_default()
    }

    /// Whether the host is `localhost` or a loopback address literal.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.host.eq_ignore_ascii_case("localhost")
            || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

/// Whether `host` is a name or IPv4 literal that a certificate or resolver could know.
fn is_reg_name(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    !name.is_empty()
        && name.len() <= 253
        && name.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        })
        // A last label of digits only is an IPv4 address or nothing (WHATWG and RFC 3986 agree).
        && (name.parse::<Ipv4Addr>().is_ok()
            || !name.rsplit('.').next().is_some_and(|l| l.bytes().all(|b| b.is_ascii_digit())))
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
        let https = match scheme {
            s if s.eq_ignore_ascii_case("https") => true,
            s if s.eq_ignore_ascii_case("http") => false,
            _ => return Err(UrlError::Scheme),
        };
        if text.len() > 4096
            || !text
                .bytes()
                .all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'<' | b'>' | b'\\'))
        {
            return Err(UrlError::Character);
        }
        if rest.contains('#') {
            return Err(UrlError::Fragment);
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, _) = rest.split_at(end);
        if authority.contains('@') {
            return Err(UrlError::UserInfo);
        }
        let target_at = text.len() - rest.len() + end;
        let (host, port) = match authority.strip_prefix('[') {
            Some(inner) => {
                let (host, after) = inner.split_once(']').ok_or(UrlError::Host)?;
                host.parse::<Ipv6Addr>().map_err(|_| UrlError::Host)?;
                match after.strip_prefix(':') {
                    Some(port) => (host, Some(port)),
                    None if after.is_empty() => (host, None),
                    None => return Err(UrlError::Host),
                }
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        if !host.contains(':') && !is_reg_name(host) {
            return Err(UrlError::Host);
        }
        let port = match port {
            None => None,
            Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => match port.parse::<u16>() {
                Ok(port @ 1..) => Some(port),
                Ok(0) | Err(_) => return Err(UrlError::Port),
            },
            Some(_) => return Err(UrlError::Port),
        };
        Ok(Self { text: text.into(), https, host: host.into(), port, target_at })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The query of an authorization URL holds state and nonce.
        write!(f, "Url({})", self.text.split('?').next().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    #[test]
    fn takes_urls_apart() {
        let url: Url = "https://idp.example:8443/a/b?x=1".parse().unwrap();
        assert_eq!((url.host(), url.port(), url.target()), ("idp.example", 8443, "/a/b?x=1"));
        assert_eq!(
            (url.authority(), url.origin()),
            ("idp.example:8443", "https://idp.example:8443")
        );
        let url: Url = "http://[::1]".parse().unwrap();
        assert_eq!((url.host(), url.port(), url.target()), ("::1", 80, "/"));
        assert!(url.is_loopback() && !url.is_https());
        let url: Url = "https://a.example?q".parse().unwrap();
        assert_eq!(url.target(), "?q");
    }

    #[test]
    fn refuses_what_it_would_have_to_guess() {
        for (text, error) in [
            ("file:///etc/passwd", UrlError::Scheme),
            ("javascript:alert(1)", UrlError::Scheme),
            ("https://", UrlError::Host),
            ("https://a b", UrlError::Character),
            ("https://u:p@host/", UrlError::UserInfo),
            ("https://host/#x", UrlError::Fragment),
            ("https://host:0/", UrlError::Port),
            ("https://host:65536/", UrlError::Port),
            ("https://host:/", UrlError::Port),
            ("https://[::1/", UrlError::Host),
            ("https://1.2.3/", UrlError::Host),
            ("https://ho\u{e9}st/", UrlError::Character),
        ] {
            assert_eq!(text.parse::<Url>(), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_parses_prints_itself(text in "https?://[a-z]{1,5}(:[0-9]{1,6})?[/?]?[a-z/?=&]{0,8}") {
            if let Ok(url) = text.parse::<Url>() {
                prop_assert_eq!(url.to_string(), text);
            }
        }

        #[test]
        fn no_text_panics(text in ".{0,60}") {
            let _ = text.parse::<Url>();
        }
    }
}
