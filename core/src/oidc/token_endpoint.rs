//! The token endpoint: requests of the three grants we use, and the strict reading of answers
//! (RFC 6749 sections 4.1.3, 5 and 6; RFC 8628 section 3.4; RFC 7009).

use alloc::boxed::Box;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use zeroize::Zeroizing;

use super::foreign::sanitise;
use super::oauth_error::OAuthError;
use crate::http::form::{basic_authorization, encode_form};
use crate::http::{FetchReply, FetchRequest, Trust};
use crate::json::{self, Limits, Object};
use crate::types::{ClientId, Secret, Url};

/// Largest answer we read: tokens of people in a thousand groups are some 60 KiB.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// Whole time for one request.
const TIMEOUT_MILLIS: u64 = 30_000;

/// How the client proves who it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// `client_secret_basic` where the provider lists it or lists nothing, else
    /// `client_secret_post`; without a secret always `none`, as Dex, Authentik and Rauthy serve
    /// public clients although they do not list `none`.
    #[default]
    Auto,
    /// `client_secret_basic`
    Basic,
    /// `client_secret_post`: for servers that do not form-decode the Basic credentials.
    Post,
}

impl FromStr for ClientAuth {
    type Err = ();

    /// Reads `auto`, `basic`, `post`, or the full names of the metadata.
    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "auto" => Ok(Self::Auto),
            "basic" | "client_secret_basic" => Ok(Self::Basic),
            "post" | "client_secret_post" => Ok(Self::Post),
            _ => Err(()),
        }
    }
}

impl ClientAuth {
    /// The method to use where the metadata lists `listed` (`None`: says nothing, which means
    /// `client_secret_basic`, OpenID Connect Discovery 3).
    #[must_use]
    pub fn settled(self, listed: Option<&[Box<str>]>) -> Self {
        let lists = |name: &str| listed.is_some_and(|l| l.iter().any(|method| **method == *name));
        match self {
            Self::Basic | Self::Post => self,
            Self::Auto if lists("client_secret_post") && !lists("client_secret_basic") => {
                Self::Post
            }
            Self::Auto => Self::Basic,
        }
    }
}

/// Our client at the provider.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    /// `client_id`
    pub id: &'a ClientId,
    /// `client_secret`; a public client has none.
    pub secret: Option<&'a Secret>,
    /// Settled method; only looked at where there is a secret.
    pub auth: ClientAuth,
}

/// What is turned into tokens.
#[derive(Clone, Copy, Debug)]
pub enum Grant<'a> {
    /// RFC 6749 section 4.1.3 with RFC 7636 section 4.5.
    AuthorizationCode {
        /// The code of the callback.
        code: &'a Secret,
        /// The identical text as in the authorization request.
        redirect_uri: &'a str,
        /// The PKCE verifier.
        verifier: &'a str,
    },
    /// RFC 6749 section 6. No scope is sent: the answer keeps that of the login.
    RefreshToken(&'a Secret),
    /// RFC 8628 section 3.4.
    DeviceCode(&'a Secret),
}

impl Client<'_> {
    /// A POST of `pairs` to `endpoint` with this client's authentication.
    #[must_use]
    pub fn post<'a>(&'a self, endpoint: &Url, mut pairs: Vec<(&'a str, &'a str)>) -> FetchRequest {
        let mut headers = Vec::from([("accept", Zeroizing::new(String::from("application/json")))]);
        match (self.secret, self.auth) {
            (Some(secret), ClientAuth::Basic | ClientAuth::Auto) => {
                // A secret is text: settings come from text. Without one the provider refuses.
                if let Some(value) = basic_authorization(self.id.as_str(), secret) {
                    headers.push(("authorization", value));
                }
            }
            (Some(secret), ClientAuth::Post) => {
                pairs.push(("client_id", self.id.as_str()));
                pairs.push(("client_secret", secret.expose_str().unwrap_or_default()));
            }
            (None, _) => pairs.push(("client_id", self.id.as_str())),
        }
        FetchRequest {
            url: endpoint.clone(),
            post: Some((
                "application/x-www-form-urlencoded",
                Zeroizing::new(core::mem::take(&mut *encode_form(pairs)).into_bytes()),
            )),
            headers,
            trust: Trust::Provider,
            body_bytes_max: ANSWER_BYTES_MAX,
            timeout_millis: TIMEOUT_MILLIS,
        }
    }

    /// The request that redeems `grant` at the token endpoint.
    #[must_use]
    pub fn redeem(&self, endpoint: &Url, grant: Grant<'_>) -> FetchRequest {
        let text = |secret| Secret::expose_str(secret).unwrap_or_default();
        let pairs = match grant {
            Grant::AuthorizationCode { code, redirect_uri, verifier } => Vec::from([
                ("grant_type", "authorization_code"),
                ("code", text(code)),
                ("redirect_uri", redirect_uri),
                ("code_verifier", verifier),
            ]),
            Grant::RefreshToken(token) => {
                Vec::from([("grant_type", "refresh_token"), ("refresh_token", text(token))])
            }
            Grant::DeviceCode(code) => Vec::from([
                ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
                ("device_code", text(code)),
            ]),
        };
        self.post(endpoint, pairs)
    }

    /// The request that revokes a refresh token (RFC 7009 section 2.1). Any 200 is success, also
    /// for a token the provider does not know.
    #[must_use]
    pub fn revoke(&self, endpoint: &Url, refresh_token: &Secret) -> FetchRequest {
        let token = refresh_token.expose_str().unwrap_or_default();
        self.post(endpoint, Vec::from([("token", token), ("token_type_hint", "refresh_token")]))
    }
}

/// Tokens as received. The access token serves to check `at_hash` and is then dropped.
#[derive(Debug)]
pub struct TokenAnswer {
    /// Missing in many refresh answers.
    pub id_token: Option<Secret>,
    /// Replaces the old one; absent means that the old one stays.
    pub refresh_token: Option<Secret>,
    /// For `at_hash`.
    pub access_token: Secret,
}

/// Why there are no tokens. No variant holds a byte of an answer but the cleaned OAuth error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnswerError {
    /// The provider said no in the standard way.
    OAuth(OAuthError),
    /// A redirect, which would resend credentials elsewhere (RFC 9700 section 4.12).
    Redirect {
        /// Status code.
        status: u16,
    },
    /// A 5xx, or 429, without an OAuth error: the provider is not available.
    Unavailable {
        /// Status code.
        status: u16,
    },
    /// Not JSON: a proxy's page, or not a token endpoint at all.
    NotJson {
        /// Status code.
        status: u16,
        /// Content type, sanitised.
        content_type: Box<str>,
    },
    /// JSON without the members the standard demands, or of a wrong kind.
    Member {
        /// Which member.
        name: &'static str,
    },
    /// A `token_type` other than `Bearer` and `DPoP`.
    TokenType,
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OAuth(error) => error.fmt(f),
            Self::Redirect { status } => write!(
                f,
                "the provider redirects (HTTP {status}) where it must not: check --provider"
            ),
            Self::Unavailable { status } => {
                write!(f, "the provider is not available (HTTP {status}): try again later")
            }
            Self::NotJson { status, content_type } if content_type.contains("json") => write!(
                f,
                "the provider answered HTTP {status} with JSON that is damaged or no object: check \
                 --provider and proxies on the way"
            ),
            Self::NotJson { status, content_type } => write!(
                f,
                "the provider answered HTTP {status} with `{content_type}` instead of JSON: check \
                 --provider and proxies on the way"
            ),
            Self::Member { name } => write!(
                f,
                "the provider's answer has no usable `{name}`: check that it is an OpenID Connect \
                 provider"
            ),
            Self::TokenType => f.write_str(
                "the provider gives tokens of a type we do not know: configure bearer tokens",
            ),
        }
    }
}

impl AnswerError {
    /// Whether the same request may succeed later without anybody changing anything.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        match self {
            Self::OAuth(error) => error.code.is_passing(),
            Self::Unavailable { .. } => true,
            Self::Redirect { .. }
            | Self::NotJson { .. }
            | Self::Member { .. }
            | Self::TokenType => false,
        }
    }
}

/// The JSON object of a successful answer; every other answer is an error, also a 200 that holds
/// an `error` member.
///
/// # Errors
/// [`AnswerError`], never [`AnswerError::TokenType`].
pub fn read_object(reply: &FetchReply) -> Result<Object, AnswerError> {
    let status = reply.status;
    if (300..400).contains(&status) {
        return Err(AnswerError::Redirect { status });
    }
    let limits = Limits { bytes_max: ANSWER_BYTES_MAX, depth_max: 16 };
    let Ok(object) = json::parse_object(&reply.body, limits) else {
        if status >= 500 || status == 429 {
            return Err(AnswerError::Unavailable { status });
        }
        let kind = reply.headers.get_str("content-type").unwrap_or("no content type");
        return Err(AnswerError::NotJson { status, content_type: sanitise(kind, 80) });
    };
    if let Some(error) = object.get_str("error").filter(|error| !error.is_empty()) {
        let description = object.get_str("error_description");
        return Err(AnswerError::OAuth(OAuthError::new(error, description)));
    }
    match status {
        200..=299 => Ok(object),
        429 | 500.. => Err(AnswerError::Unavailable { status }),
        _ => Err(AnswerError::Member { name: "error" }),
    }
}

/// Reads the answer to a token request (RFC 6749 section 5.1, OpenID Connect Core 3.1.3.3).
///
/// # Errors
/// [`AnswerError`], the first that applies.
pub fn read_answer(reply: &FetchReply) -> Result<TokenAnswer, AnswerError> {
    let object = read_object(reply)?;
    let member = |name| {
        let text = object.get_str(name).filter(|text| !text.is_empty());
        text.map(|text| Secret::from(text.to_string()))
    };
    let token_type = object.get_str("token_type").ok_or(AnswerError::Member { name: "token_type" });
    if !["bearer", "dpop"]
        .iter()
        .any(|known| token_type.as_ref().is_ok_and(|t| t.eq_ignore_ascii_case(known)))
    {
        return Err(token_type.err().unwrap_or(AnswerError::TokenType));
    }
    Ok(TokenAnswer {
        id_token: member("id_token"),
        refresh_token: member("refresh_token"),
        access_token: member("access_token").ok_or(AnswerError::Member { name: "access_token" })?,
    })
}

#[cfg(test)]
mod tests;
