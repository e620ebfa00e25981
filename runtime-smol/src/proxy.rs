//! Which proxy a request goes through, as the usual environment variables say.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use exchange_core::http::form::percent_decode;
use exchange_core::policy::{Cidr, ClientIp};
use exchange_core::types::Url;
use zeroize::Zeroizing;

/// An HTTP proxy.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    url: Url,
    authorization: Option<Zeroizing<String>>,
}

impl Proxy {
    /// Host without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.url.host()
    }

    /// Port; 80 if none is given.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.url.port()
    }

    /// Value of `proxy-authorization`, if the proxy's URL has a user name.
    #[must_use]
    pub fn authorization(&self) -> Option<&Zeroizing<String>> {
        self.authorization.as_ref()
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({}:{})", self.host(), self.port())
    }
}

/// How a request travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// Straight to its host.
    Direct,
    /// Through this proxy.
    Through(&'a Proxy),
    /// A proxy is wanted that cannot be used. Going around it would be wrong: the network may
    /// exist to be gone through.
    Unusable,
}

/// What the environment says about proxies.
#[derive(Clone, Debug, Default)]
pub struct ProxySettings {
    https: Choice,
    http: Choice,
    except: Vec<Exception>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Choice {
    #[default]
    Direct,
    Through(Proxy),
    Unusable,
}

/// One entry of `NO_PROXY`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Exception {
    Everything,
    /// A host and everything below it, maybe at one port only.
    Domain(String, Option<u16>),
    Network(Cidr, Option<u16>),
}

impl ProxySettings {
    /// Everything goes straight.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Reads `https_proxy`, `http_proxy`, `all_proxy` and `no_proxy`, each also in capitals, where
    /// the small letters win. `HTTP_PROXY` does not count in a CGI program, whose clients can set
    /// it by a header (`httpoxy`). `variable` reads the environment.
    #[must_use]
    pub fn from_env(variable: impl Fn(&str) -> Option<String>) -> Self {
        let read = |names: &[&str]| {
            names.iter().find_map(|name| variable(name).filter(|value| !value.trim().is_empty()))
        };
        let is_cgi = variable("REQUEST_METHOD").is_some();
        let http: &[&str] = if is_cgi {
            &["http_proxy", "all_proxy", "ALL_PROXY"]
        } else {
            &["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]
        };
        let https = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
        Self {
            https: choice(read(&https).as_deref()),
            http: choice(read(http).as_deref()),
            except: read(&["no_proxy", "NO_PROXY"]).as_deref().map_or_else(Vec::new, exceptions),
        }
    }

    /// Whether a proxy is named that cannot be used: not `http://`, or not a URL.
    #[must_use]
    pub fn has_unusable(&self) -> bool {
        self.https == Choice::Unusable || self.http == Choice::Unusable
    }

    /// How a request for `url` travels. Never through a proxy to this very host.
    #[must_use]
    pub fn route(&self, url: &Url) -> Route<'_> {
        let choice = if url.is_https() { &self.https } else { &self.http };
        if url.is_loopback() || self.except.iter().any(|exception| exception.holds(url)) {
            return Route::Direct;
        }
        match choice {
            Choice::Direct => Route::Direct,
            Choice::Through(proxy) => Route::Through(proxy),
            Choice::Unusable => Route::Unusable,
        }
    }
}

impl Exception {
    fn holds(&self, url: &Url) -> bool {
        let at = |port: &Option<u16>| port.is_none_or(|port| port == url.port());
        match self {
            Self::Everything => true,
            Self::Network(network, port) => {
                url.host().parse::<ClientIp>().is_ok_and(|ip| network.contains(ip)) && at(port)
            }
            Self::Domain(domain, port) => {
                let host = url.host().to_ascii_lowercase();
                let host = host.strip_suffix('.').unwrap_or(&host);
                let below = host.strip_suffix(domain.as_str());
                below.is_some_and(|rest| rest.is_empty() || rest.ends_with('.')) && at(port)
            }
        }
    }
}

fn choice(value: Option<&str>) -> Choice {
    match value {
        None => Choice::Direct,
        Some(value) => proxy(value.trim()).map_or(Choice::Unusable, Choice::Through),
    }
}

/// `[http://][user[:password]@]host[:port][/]`, user and password percent-encoded.
fn proxy(value: &str) -> Option<Proxy> {
    let rest = match value.split_once("://") {
        None => value,
        Some((scheme, rest)) => scheme.eq_ignore_ascii_case("http").then_some(rest)?,
    };
    let (credentials, address) = match rest.rsplit_once('@') {
        None => (None, rest),
        Some((credentials, address)) => (Some(credentials), address),
    };
    let address = address.strip_suffix('/').unwrap_or(address);
    let url: Url = format!("http://{address}").parse().ok()?;
    let authorization = match credentials {
        None => None,
        Some(credentials) => {
            let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
            let (user, password) = (percent_decode(user).ok()?, percent_decode(password).ok()?);
            let pair = Zeroizing::new(format!("{}:{}", *user, *password));
            Some(Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes()))))
        }
    };
    (url.target() == "/").then_some(Proxy { url, authorization })
}

fn exceptions(list: &str) -> Vec<Exception> {
    list.split([',', ' ']).filter(|entry| !entry.is_empty()).filter_map(exception).collect()
}

/// `*`, `example.com`, `.example.com`, `192.0.2.1`, `192.0.2.0/24`, `[2001:db8::1]`, each but the
/// first and the networks also with a port. Anything else excepts nothing.
fn exception(entry: &str) -> Option<Exception> {
    if entry == "*" {
        return Some(Exception::Everything);
    }
    if let Ok(network) = entry.parse::<Cidr>() {
        return Some(Exception::Network(network, None));
    }
    let (host, port) = match entry.rsplit_once(':') {
        Some((host, port)) => (host, Some(port.parse().ok()?)),
        None => (entry, None),
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if let Ok(network) = bare.parse::<Cidr>() {
        return Some(Exception::Network(network, port));
    }
    let domain = host.strip_prefix("*.").or(host.strip_prefix('.')).unwrap_or(host);
    let domain = domain.strip_suffix('.').unwrap_or(domain).to_ascii_lowercase();
    (!domain.is_empty()).then_some(Exception::Domain(domain, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> ProxySettings {
        ProxySettings::from_env(|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    /// `host:port` of the proxy for that URL, `-` for none, `!` for an unusable one.
    fn route(settings: &ProxySettings, url: &str) -> String {
        match settings.route(&url.parse().unwrap()) {
            Route::Direct => "-".to_owned(),
            Route::Through(proxy) => format!("{}:{}", proxy.host(), proxy.port()),
            Route::Unusable => "!".to_owned(),
        }
    }

    #[test]
    fn each_scheme_has_its_variable_and_small_letters_win() {
        let both = settings(&[
            ("HTTPS_PROXY", "http://big:1"),
            ("https_proxy", "http://small:2/"),
            ("HTTP_PROXY", "plain:3"),
        ]);
        assert_eq!(route(&both, "https://idp.example/"), "small:2");
        assert_eq!(route(&both, "http://idp.example/"), "plain:3");
        let all = settings(&[("ALL_PROXY", "http://all"), ("https_proxy", " ")]);
        assert_eq!(route(&all, "https://idp.example/"), "all:80");
        assert_eq!(route(&all, "http://idp.example/"), "all:80");
        assert_eq!(route(&ProxySettings::none(), "https://idp.example/"), "-");
        let cgi = settings(&[("HTTP_PROXY", "http://evil:1"), ("REQUEST_METHOD", "GET")]);
        assert_eq!(route(&cgi, "http://idp.example/"), "-");
    }

    #[test]
    fn credentials_become_a_field_and_are_not_printed() {
        let set = settings(&[("https_proxy", "http://us%40er:p%3Aw@proxy:3128")]);
        let url = "https://idp.example/".parse().unwrap();
        let Route::Through(proxy) = set.route(&url) else { panic!("no proxy") };
        // base64 of `us@er:p:w`
        assert_eq!(proxy.authorization().unwrap().as_str(), "Basic dXNAZXI6cDp3");
        assert!(!format!("{set:?}").contains("dXNA"));
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_not_gone_around() {
        for value in ["socks5://proxy:1080", "https://proxy", "http://", "http://a b", "x/y"] {
            let set = settings(&[("https_proxy", value)]);
            assert!(set.has_unusable());
            assert_eq!(route(&set, "https://idp.example/"), "!", "{value}");
            assert_eq!(route(&set, "https://127.0.0.1/"), "-", "{value}");
        }
    }

    #[test]
    fn exceptions_are_hosts_domains_networks_and_ports() {
        let with = |list: &str| settings(&[("ALL_PROXY", "p:1"), ("NO_PROXY", list)]);
        for (list, url, expected) in [
            ("example.com", "https://example.com/", "-"),
            ("example.com", "https://EXAMPLE.com./", "-"),
            ("example.com", "https://a.example.com/", "-"),
            ("example.com", "https://notexample.com/", "p:1"),
            (".example.com", "https://a.example.com/", "-"),
            ("*.example.com", "https://a.example.com/", "-"),
            ("a.test, example.com", "https://example.com/", "-"),
            ("a.test example.com", "https://example.com/", "-"),
            ("*", "https://anything.test/", "-"),
            ("example.com:8443", "https://example.com:8443/", "-"),
            ("example.com:8443", "https://example.com/", "p:1"),
            ("10.0.0.0/8", "https://10.1.2.3/", "-"),
            ("10.0.0.0/8", "https://11.1.2.3/", "p:1"),
            ("10.0.0.0/8", "https://10.example/", "p:1"),
            ("192.0.2.1", "https://192.0.2.1/", "-"),
            ("192.0.2.1:8443", "https://192.0.2.1/", "p:1"),
            ("2001:db8::/32", "https://[2001:db8::7]/", "-"),
            ("[2001:db8::7]:8443", "https://[2001:db8::7]:8443/", "-"),
            (",,", "https://example.com/", "p:1"),
        ] {
            assert_eq!(route(&with(list), url), expected, "{list} {url}");
        }
        // This very host, always.
        for url in ["http://localhost:9/", "https://127.0.0.1/", "https://[::1]/"] {
            assert_eq!(route(&with(""), url), "-", "{url}");
        }
    }
}
