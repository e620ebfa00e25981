//! The authorization request: the URL that the person's browser opens (OpenID Connect Core
//! 3.1.2.1, RFC 6749 section 4.1.1, RFC 7636 section 4.3).

use alloc::boxed::Box;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use super::pkce::{OneTime, Verifier};
use super::scopes::{Scopes, is_google};
use crate::http::form::{Form, encode_form};
use crate::types::{ClientId, Issuer, Url};

/// Parameters that this program sets itself. `request`, `request_uri` and `registration` could
/// replace them from the side, and a fragment answer never reaches the loopback listener.
const RESERVED: [&str; 13] = [
    "response_type",
    "response_mode",
    "client_id",
    "client_secret",
    "redirect_uri",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "request",
    "request_uri",
    "registration",
];

/// One extra parameter of the authorization request, as in `--auth-param audience=x`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthParam {
    name: Box<str>,
    value: Box<str>,
}

/// Why there is no such parameter, or no such URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthorizeError {
    /// Not `name=value` with a name of 1 to 64 and a value of at most 1024 characters.
    Syntax,
    /// A parameter that protects the login, or that this program sets from its own options.
    Reserved,
    /// The endpoint of the provider's metadata holds such a parameter in its query.
    EndpointQuery,
    /// The whole URL is over 4096 bytes.
    TooLong,
}

impl fmt::Display for AuthorizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Syntax => "write an extra parameter as name=value, for example prompt=login",
            Self::Reserved => {
                "this parameter belongs to the login itself and cannot be set from outside; \
                 scopes go into --scopes"
            }
            Self::EndpointQuery => {
                "the provider's authorization endpoint already sets a parameter of the login: \
                 correct its metadata"
            }
            Self::TooLong => "the login URL is too long: pass fewer scopes or extra parameters",
        })
    }
}

impl AuthParam {
    /// Name of the parameter.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl FromStr for AuthParam {
    type Err = AuthorizeError;

    fn from_str(text: &str) -> Result<Self, AuthorizeError> {
        let (name, value) = text.split_once('=').ok_or(AuthorizeError::Syntax)?;
        let sound = (1..=64).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
            && value.len() <= 1024
            && !value.chars().any(char::is_control);
        if !sound {
            return Err(AuthorizeError::Syntax);
        }
        if is_reserved(name) {
            return Err(AuthorizeError::Reserved);
        }
        Ok(Self { name: name.into(), value: value.into() })
    }
}

/// Names are case-sensitive on the wire, but a sloppy provider may not care.
fn is_reserved(name: &str) -> bool {
    RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(name))
}

/// What an authorization request says.
#[derive(Debug)]
pub struct AuthorizationRequest<'a> {
    /// The provider, for its one special case.
    pub issuer: &'a Issuer,
    /// `authorization_endpoint` of the metadata; a query in it is kept.
    pub endpoint: &'a Url,
    /// Our client.
    pub client_id: &'a ClientId,
    /// Redirect URI, the same text as later in the token request.
    pub redirect_uri: &'a str,
    /// Scopes.
    pub scopes: &'a Scopes,
    /// `state`.
    pub state: &'a OneTime,
    /// `nonce`.
    pub nonce: &'a OneTime,
    /// Verifier whose challenge is sent.
    pub verifier: &'a Verifier,
    /// Ask for consent and offline access again; always done at Google, which gives a refresh
    /// token under no other condition. Elsewhere it costs a screen at each login.
    pub consent: bool,
    /// Ask for the answer as a POST, `response_mode=form_post`.
    pub form_post: bool,
    /// More parameters; a later one of the same name as one of ours is impossible.
    pub extra: &'a [AuthParam],
}

impl AuthorizationRequest<'_> {
    /// The URL to open.
    ///
    /// # Errors
    /// [`AuthorizeError::EndpointQuery`] and [`AuthorizeError::TooLong`].
    pub fn url(&self) -> Result<Url, AuthorizeError> {
        let endpoint = self.endpoint.as_str();
        let (base, query) = match endpoint.split_once('?') {
            Some((base, query)) => (base, query),
            None => (endpoint, ""),
        };
        // Pair by pair, so that an oddity in one does not hide another.
        let names_ours = query.split('&').any(|pair| {
            Form::parse(pair).is_ok_and(|form| form.iter().any(|(name, _)| is_reserved(name)))
        });
        if names_ours {
            return Err(AuthorizeError::EndpointQuery);
        }
        let scope = self.scopes.to_string();
        let challenge = self.verifier.challenge();
        let mut pairs: Vec<(&str, &str)> = Vec::from([
            ("response_type", "code"),
            ("client_id", self.client_id.as_str()),
            ("redirect_uri", self.redirect_uri),
            ("scope", &scope),
            ("state", self.state.expose()),
            ("nonce", self.nonce.expose()),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]);
        if self.form_post {
            pairs.push(("response_mode", "form_post"));
        }
        let given = |name: &str| self.extra.iter().any(|param| *param.name == *name);
        if self.consent || is_google(self.issuer) {
            for (name, value) in [("access_type", "offline"), ("prompt", "consent")] {
                if !given(name) {
                    pairs.push((name, value));
                }
            }
        }
        pairs.extend(self.extra.iter().map(|param| (&*param.name, &*param.value)));
        let mut text = String::from(base);
        text.push('?');
        if !query.is_empty() {
            text.push_str(query);
            text.push('&');
        }
        text.push_str(&encode_form(pairs));
        text.parse().map_err(|_| AuthorizeError::TooLong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Entropy;

    fn query(
        issuer: &str,
        endpoint: &str,
        consent: bool,
        extra: &[AuthParam],
    ) -> Result<Vec<(String, String)>, AuthorizeError> {
        let request = AuthorizationRequest {
            issuer: &issuer.parse().unwrap(),
            endpoint: &endpoint.parse().unwrap(),
            client_id: &"talos cli".parse().unwrap(),
            redirect_uri: "http://127.0.0.1:8900/callback",
            scopes: &Scopes::default(),
            state: &OneTime::new(Entropy::new([1; 32])),
            nonce: &OneTime::new(Entropy::new([2; 32])),
            verifier: &Verifier::new(Entropy::new([3; 32])),
            consent,
            form_post: false,
            extra,
        };
        request.url().map(|url| {
            let form = Form::parse(url.as_str().split_once('?').unwrap().1).unwrap();
            form.iter().map(|(name, value)| (name.into(), value.into())).collect()
        })
    }

    fn value<'a>(pairs: &'a [(String, String)], name: &str) -> Vec<&'a str> {
        pairs.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str()).collect()
    }

    #[test]
    fn state_nonce_and_challenge_are_always_there_once() {
        let pairs = query("https://idp.example", "https://idp.example/auth", false, &[]).unwrap();
        for (name, expected) in [
            ("response_type", "code"),
            ("client_id", "talos cli"),
            ("redirect_uri", "http://127.0.0.1:8900/callback"),
            ("scope", "openid profile email offline_access"),
            ("code_challenge_method", "S256"),
        ] {
            assert_eq!(value(&pairs, name), [expected], "{name}");
        }
        for name in ["state", "nonce", "code_challenge"] {
            assert_eq!(value(&pairs, name)[0].len(), 43, "{name}");
        }
        assert_ne!(value(&pairs, "state"), value(&pairs, "nonce"));
        assert!(value(&pairs, "prompt").is_empty() && value(&pairs, "access_type").is_empty());
    }

    #[test]
    fn a_query_of_the_endpoint_stays() {
        let pairs =
            query("https://idp.example", "https://idp.example/auth?tenant=a&x=%20", false, &[])
                .unwrap();
        assert_eq!(value(&pairs, "tenant"), ["a"]);
        assert_eq!(value(&pairs, "x"), [" "]);
        assert_eq!(
            query("https://idp.example", "https://idp.example/auth?%73tate=a", false, &[]),
            Err(AuthorizeError::EndpointQuery)
        );
    }

    #[test]
    fn consent_is_forced_at_google_only_or_when_asked() {
        let google = "https://accounts.google.com";
        let endpoint = "https://accounts.google.com/o/oauth2/v2/auth";
        let pairs = query(google, endpoint, false, &[]).unwrap();
        assert_eq!(value(&pairs, "access_type"), ["offline"]);
        assert_eq!(value(&pairs, "prompt"), ["consent"]);
        let pairs = query("https://idp.example", "https://idp.example/a", true, &[]).unwrap();
        assert_eq!(value(&pairs, "prompt"), ["consent"]);
        let login = "prompt=select_account".parse::<AuthParam>().unwrap();
        let pairs = query(google, endpoint, false, &[login]).unwrap();
        assert_eq!(value(&pairs, "prompt"), ["select_account"]);
    }

    #[test]
    fn extra_parameters_cannot_weaken_the_login() {
        for text in ["state=x", "NONCE=x", "code_challenge_method=plain", "request=x", "scope=a"] {
            assert_eq!(text.parse::<AuthParam>(), Err(AuthorizeError::Reserved), "{text}");
        }
        for text in ["", "x", "=x", "a b=c", "a=\n", "a&state=x"] {
            assert_eq!(text.parse::<AuthParam>(), Err(AuthorizeError::Syntax), "{text}");
        }
        let injected = "hd=x&state=evil".parse::<AuthParam>().unwrap();
        let pairs = query("https://idp.example", "https://idp.example/a", false, &[injected]);
        let pairs = pairs.unwrap();
        assert_eq!(value(&pairs, "hd"), ["x&state=evil"]);
        assert_eq!(value(&pairs, "state").len(), 1);
    }

    #[test]
    fn a_url_has_a_length() {
        let extra = ["a", "b", "c", "d"].map(|name| {
            let value = "v".repeat(1024);
            alloc::format!("{name}={value}").parse::<AuthParam>().unwrap()
        });
        assert_eq!(
            query("https://idp.example", "https://idp.example/a", false, &extra),
            Err(AuthorizeError::TooLong)
        );
    }
}
