//! OpenID Provider metadata (OpenID Connect Discovery 1.0 sections 3 and 4).

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use crate::json::{self, JsonError, Limits, Object, Value};
use crate::jwt::{Alg, AlgSet};
use crate::types::{Issuer, Url};

/// Largest metadata document in bytes.
pub const METADATA_BYTES_MAX: usize = 256 * 1024;

const DEPTH_MAX: u32 = 16;
/// Entries kept of a list; no provider has more than two dozen.
const LIST_MAX: usize = 128;

/// What the configuration lets a provider do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiscoveryPolicy {
    /// Whether an `http` issuer beyond loopback, and its `http` endpoints, are accepted.
    pub allow_http: bool,
    /// Whether one slash at the end of the issuer makes no difference; the metadata's form is
    /// then the one to use.
    pub slash_tolerant: bool,
}

impl DiscoveryPolicy {
    /// Where the metadata of `issuer` is.
    ///
    /// # Errors
    /// [`MetadataError::InsecureIssuer`], [`MetadataError::IssuerInvalid`].
    pub fn discovery_url(self, issuer: &Issuer) -> Result<Url, MetadataError> {
        let url: Url = issuer.discovery_url().parse().map_err(|_| MetadataError::IssuerInvalid)?;
        if self.accepts(&url, issuer) { Ok(url) } else { Err(MetadataError::InsecureIssuer) }
    }

    fn accepts(self, url: &Url, issuer: &Issuer) -> bool {
        url.is_https() || url.is_loopback() || (self.allow_http && issuer.is_plain_http())
    }
}

/// What an issuer says about itself. Endpoints are `https`, or as the policy allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// The issuer, in the form its tokens carry.
    pub issuer: Issuer,
    /// `jwks_uri`
    pub jwks_uri: Option<Url>,
    /// `authorization_endpoint`; may have a query, which is to be kept.
    pub authorization_endpoint: Option<Url>,
    /// `token_endpoint`
    pub token_endpoint: Option<Url>,
    /// `userinfo_endpoint`
    pub userinfo_endpoint: Option<Url>,
    /// `device_authorization_endpoint` (RFC 8628 section 4)
    pub device_authorization_endpoint: Option<Url>,
    /// `revocation_endpoint` (RFC 8414 section 2)
    pub revocation_endpoint: Option<Url>,
    /// `end_session_endpoint` (RP-Initiated Logout 1.0 section 2.1)
    pub end_session_endpoint: Option<Url>,
    /// `pushed_authorization_request_endpoint` (RFC 9126 section 5)
    pub pushed_authorization_request_endpoint: Option<Url>,
    /// Endpoints that are there and unusable: left out above, with the reason.
    pub refused: Vec<(&'static str, EndpointFault)>,
    /// `require_pushed_authorization_requests`; absent is `false`.
    pub require_pushed_authorization_requests: bool,
    /// `authorization_response_iss_parameter_supported` (RFC 9207 section 3); absent is `false`.
    pub authorization_response_iss_parameter_supported: bool,
    /// `request_parameter_supported`; absent is `false`.
    pub request_parameter_supported: bool,
    /// `id_token_signing_alg_values_supported`
    pub id_token_signing_algs: Vec<Box<str>>,
    /// `code_challenge_methods_supported`; absent says nothing, PKCE is sent anyway.
    pub code_challenge_methods: Option<Vec<Box<str>>>,
    /// `token_endpoint_auth_methods_supported`; absent means `client_secret_basic`.
    pub token_endpoint_auth_methods: Option<Vec<Box<str>>>,
    /// `revocation_endpoint_auth_methods_supported` (RFC 8414 section 2)
    pub revocation_endpoint_auth_methods: Option<Vec<Box<str>>>,
    /// `grant_types_supported`; absent means `authorization_code` and `implicit`.
    pub grant_types: Option<Vec<Box<str>>>,
    /// `scopes_supported`
    pub scopes: Option<Vec<Box<str>>>,
    /// `response_modes_supported`
    pub response_modes: Option<Vec<Box<str>>>,
    /// `prompt_values_supported`
    pub prompt_values: Option<Vec<Box<str>>>,
    /// `dpop_signing_alg_values_supported` (RFC 9449 section 5.1)
    pub dpop_signing_algs: Option<Vec<Box<str>>>,
}

/// Why an endpoint cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointFault {
    /// Not a URL of ours, or not text.
    NotAUrl,
    /// `http` beyond loopback.
    Insecure,
}

/// Why metadata is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetadataError {
    /// Not a JSON object within the limits.
    Json(JsonError),
    /// The configured issuer is `http` beyond loopback.
    InsecureIssuer,
    /// `issuer` is missing or not a URL.
    IssuerInvalid,
    /// `issuer` is a template such as `…/{tenantid}/v2.0`, valid for any tenant.
    IssuerTemplate,
    /// `issuer` is another one (OpenID Connect Discovery 1.0 section 4.3).
    IssuerMismatch {
        /// As configured.
        configured: Issuer,
        /// As the provider says.
        found: Issuer,
    },
    /// An endpoint that is needed is missing; its name.
    EndpointMissing(&'static str),
    /// An endpoint that is needed cannot be used; its name and why.
    EndpointRefused(&'static str, EndpointFault),
}

impl MetadataError {
    /// Stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Json(_) => "discovery.not_json",
            Self::InsecureIssuer => "discovery.insecure_issuer",
            Self::IssuerInvalid => "discovery.issuer_invalid",
            Self::IssuerTemplate => "discovery.issuer_template",
            Self::IssuerMismatch { .. } => "discovery.issuer_mismatch",
            Self::EndpointMissing(_) => "discovery.endpoint_missing",
            Self::EndpointRefused(_, EndpointFault::NotAUrl) => "discovery.endpoint_invalid",
            Self::EndpointRefused(_, EndpointFault::Insecure) => "discovery.endpoint_insecure",
        }
    }
}

impl fmt::Display for MetadataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => write!(
                f,
                "the answer of the discovery endpoint is not provider metadata: {error}; \
                 check issuer_url"
            ),
            Self::InsecureIssuer => f.write_str(
                "the issuer is http: use https, as anyone on the way could replace the keys",
            ),
            Self::IssuerInvalid => f.write_str("the provider metadata has no valid issuer"),
            Self::IssuerTemplate => f.write_str(
                "the provider metadata is for any tenant: \
                 configure the issuer_url of one tenant instead of common or organizations",
            ),
            Self::IssuerMismatch { configured, found } => {
                let hint = if configured.differs_by_slash_only(found.as_str()) {
                    ", or issuer_trailing_slash to ignore"
                } else {
                    " if that is your provider"
                };
                write!(
                    f,
                    "the configured issuer is {configured}, the provider calls itself {found}: \
                     set issuer_url to {found}{hint}"
                )
            }
            Self::EndpointMissing(name) => {
                write!(f, "the provider metadata has no {name}: check issuer_url")
            }
            Self::EndpointRefused(name, EndpointFault::NotAUrl) => {
                write!(f, "the {name} of the provider is not a usable URL")
            }
            Self::EndpointRefused(name, EndpointFault::Insecure) => write!(
                f,
                "the {name} of the provider is http: set the public https URL at the provider"
            ),
        }
    }
}

impl Metadata {
    /// Reads the metadata that the discovery URL of `configured` answered with.
    ///
    /// # Errors
    /// [`MetadataError`] for what no one could use; an unusable endpoint is only an error for
    /// who needs it: see [`Metadata::require`].
    pub fn parse(
        bytes: &[u8],
        configured: &Issuer,
        policy: &DiscoveryPolicy,
    ) -> Result<Self, MetadataError> {
        let limits = Limits { bytes_max: METADATA_BYTES_MAX, depth_max: DEPTH_MAX };
        let document = json::parse_object(bytes, limits).map_err(MetadataError::Json)?;
        let issuer = issuer(&document, configured, *policy)?;
        let mut refused = Vec::new();
        let mut url = |name: &'static str| match endpoint(&document, name, configured, *policy) {
            Ok(url) => url,
            Err(fault) => {
                refused.push((name, fault));
                None
            }
        };
        Ok(Self {
            jwks_uri: url("jwks_uri"),
            authorization_endpoint: url("authorization_endpoint"),
            token_endpoint: url("token_endpoint"),
            userinfo_endpoint: url("userinfo_endpoint"),
            device_authorization_endpoint: url("device_authorization_endpoint"),
            revocation_endpoint: url("revocation_endpoint"),
            end_session_endpoint: url("end_session_endpoint"),
            pushed_authorization_request_endpoint: url("pushed_authorization_request_endpoint"),
            refused,
            require_pushed_authorization_requests: flag(
                &document,
                "require_pushed_authorization_requests",
            ),
            authorization_response_iss_parameter_supported: flag(
                &document,
                "authorization_response_iss_parameter_supported",
            ),
            request_parameter_supported: flag(&document, "request_parameter_supported"),
            id_token_signing_algs: list(&document, "id_token_signing_alg_values_supported")
                .unwrap_or_default(),
            code_challenge_methods: list(&document, "code_challenge_methods_supported"),
            token_endpoint_auth_methods: list(&document, "token_endpoint_auth_methods_supported"),
            revocation_endpoint_auth_methods: list(
                &document,
                "revocation_endpoint_auth_methods_supported",
            ),
            grant_types: list(&document, "grant_types_supported"),
            scopes: list(&document, "scopes_supported"),
            response_modes: list(&document, "response_modes_supported"),
            prompt_values: list(&document, "prompt_values_supported"),
            dpop_signing_algs: list(&document, "dpop_signing_alg_values_supported"),
            issuer,
        })
    }

    /// The URL in `field`, whose name in the document is `name`.
    ///
    /// # Errors
    /// [`MetadataError::EndpointRefused`] where it was there and unusable, else
    /// [`MetadataError::EndpointMissing`].
    pub fn require<'a>(
        &self,
        field: &'a Option<Url>,
        name: &'static str,
    ) -> Result<&'a Url, MetadataError> {
        let fault = self.refused.iter().find(|(refused, _)| *refused == name);
        field.as_ref().ok_or(match fault {
            Some((_, fault)) => MetadataError::EndpointRefused(name, *fault),
            None => MetadataError::EndpointMissing(name),
        })
    }

    /// Algorithms the provider says it signs with, as far as they can be checked here. Such lists
    /// are incomplete in the wild: good for a warning, not for a decision.
    #[must_use]
    pub fn checkable_algs(&self) -> AlgSet {
        self.id_token_signing_algs.iter().filter_map(|name| Alg::from_name(name)).collect()
    }
}

fn issuer(
    document: &Object,
    configured: &Issuer,
    policy: DiscoveryPolicy,
) -> Result<Issuer, MetadataError> {
    let found = document.get_str("issuer").ok_or(MetadataError::IssuerInvalid)?;
    if found == configured.as_str() {
        return Ok(configured.clone());
    }
    if found.contains(['{', '}']) {
        return Err(MetadataError::IssuerTemplate);
    }
    let found: Issuer = found.parse().map_err(|_| MetadataError::IssuerInvalid)?;
    if policy.slash_tolerant && configured.differs_by_slash_only(found.as_str()) {
        return Ok(found);
    }
    Err(MetadataError::IssuerMismatch { configured: configured.clone(), found })
}

fn endpoint(
    document: &Object,
    name: &str,
    issuer: &Issuer,
    policy: DiscoveryPolicy,
) -> Result<Option<Url>, EndpointFault> {
    let text = match document.get(name) {
        // Some providers write what they do not have as null or as an empty text.
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value.as_str().ok_or(EndpointFault::NotAUrl)?,
    };
    if text.is_empty() {
        return Ok(None);
    }
    let url: Url = text.parse().map_err(|_| EndpointFault::NotAUrl)?;
    if policy.accepts(&url, issuer) { Ok(Some(url)) } else { Err(EndpointFault::Insecure) }
}

fn flag(document: &Object, name: &str) -> bool {
    document.get(name) == Some(&Value::Bool(true))
}

fn list(document: &Object, name: &str) -> Option<Vec<Box<str>>> {
    let items = document.get(name)?.as_array()?;
    Some(items.iter().filter_map(Value::as_str).take(LIST_MAX).map(Into::into).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString;
    use proptest::prelude::*;

    const STRICT: DiscoveryPolicy = DiscoveryPolicy { allow_http: false, slash_tolerant: false };

    fn parse(
        text: &str,
        configured: &str,
        policy: DiscoveryPolicy,
    ) -> Result<Metadata, MetadataError> {
        Metadata::parse(text.as_bytes(), &configured.parse().unwrap(), &policy)
    }

    fn with_jwks(url: &str, policy: DiscoveryPolicy) -> Result<Url, MetadataError> {
        let text = format!(r#"{{"issuer":"https://idp.example","jwks_uri":{url}}}"#);
        let metadata = parse(&text, "https://idp.example", policy)?;
        metadata.require(&metadata.jwks_uri, "jwks_uri").cloned()
    }

    #[test]
    fn reads_what_is_there() {
        let metadata = parse(
            r#"{"issuer":"https://idp.example/a","jwks_uri":"https://keys.example/k",
                "authorization_endpoint":"https://idp.example/auth?x=1","token_endpoint":"https://idp.example/t",
                "end_session_endpoint":null,"revocation_endpoint":"",
                "require_pushed_authorization_requests":true,"request_parameter_supported":"true",
                "id_token_signing_alg_values_supported":["ES512","RS256",7],
                "grant_types_supported":["authorization_code"],"unknown":{"x":[1]}}"#,
            "https://idp.example/a",
            STRICT,
        )
        .unwrap();
        assert_eq!(metadata.jwks_uri.as_ref().unwrap().host(), "keys.example");
        assert_eq!(metadata.authorization_endpoint.as_ref().unwrap().target(), "/auth?x=1");
        assert_eq!((&metadata.end_session_endpoint, &metadata.revocation_endpoint), (&None, &None));
        assert!(metadata.refused.is_empty());
        assert!(metadata.require_pushed_authorization_requests);
        assert!(!metadata.request_parameter_supported);
        assert_eq!(metadata.checkable_algs().to_string(), "RS256");
        assert_eq!(metadata.grant_types.as_deref().unwrap().len(), 1);
        assert_eq!(metadata.scopes, None);
    }

    #[test]
    fn the_issuer_must_be_the_configured_one() {
        for (issuer, code) in [
            (r#""https://idp.example/""#, "discovery.issuer_mismatch"),
            (r#""https://evil.example""#, "discovery.issuer_mismatch"),
            (r#""https://idp.example/{tenantid}/v2.0""#, "discovery.issuer_template"),
            (r#""idp.example""#, "discovery.issuer_invalid"),
            ("7", "discovery.issuer_invalid"),
            ("null", "discovery.issuer_invalid"),
        ] {
            let text = format!(r#"{{"issuer":{issuer}}}"#);
            assert_eq!(parse(&text, "https://idp.example", STRICT).unwrap_err().code(), code);
        }
        assert_eq!(
            parse("{}", "https://idp.example", STRICT).unwrap_err(),
            MetadataError::IssuerInvalid
        );
        let text = r#"{"issuer":"https://idp.example/"}"#;
        let error = parse(text, "https://idp.example", STRICT).unwrap_err().to_string();
        assert!(
            error.contains("configured issuer is https://idp.example, the provider calls itself")
                && error.contains("set issuer_url to https://idp.example/, or"),
            "{error}"
        );
        let tolerant = DiscoveryPolicy { slash_tolerant: true, ..STRICT };
        let adopted = parse(text, "https://idp.example", tolerant).unwrap();
        assert_eq!(adopted.issuer.as_str(), "https://idp.example/");
        let text = r#"{"issuer":"https://idp.example//"}"#;
        assert!(parse(text, "https://idp.example", tolerant).is_err());
    }

    #[test]
    fn endpoints_are_https() {
        assert!(with_jwks(r#""https://other.example/k""#, STRICT).is_ok());
        assert!(with_jwks(r#""http://127.0.0.1:8080/k""#, STRICT).is_ok());
        let http = DiscoveryPolicy { allow_http: true, ..STRICT };
        for (url, code) in [
            (r#""http://idp.example/k""#, "discovery.endpoint_insecure"),
            (r#""file:///etc/passwd""#, "discovery.endpoint_invalid"),
            (r#""javascript:alert(1)""#, "discovery.endpoint_invalid"),
            (r#""https://u:p@idp.example/k""#, "discovery.endpoint_invalid"),
            (r##""https://idp.example/k#f""##, "discovery.endpoint_invalid"),
            ("7", "discovery.endpoint_invalid"),
            ("null", "discovery.endpoint_missing"),
        ] {
            assert_eq!(with_jwks(url, STRICT).unwrap_err().code(), code, "{url}");
            // An https issuer with http endpoints is a mistake, whatever is allowed.
            assert_eq!(with_jwks(url, http).unwrap_err().code(), code, "{url}");
        }
        let text = r#"{"issuer":"http://idp.example","jwks_uri":"http://idp.example/k"}"#;
        let refused = |policy| parse(text, "http://idp.example", policy).unwrap().refused.len();
        assert_eq!((refused(STRICT), refused(http)), (1, 0));
        let issuer = "http://idp.example".parse().unwrap();
        assert_eq!(STRICT.discovery_url(&issuer), Err(MetadataError::InsecureIssuer));
        assert!(http.discovery_url(&issuer).is_ok());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Metadata::parse(&bytes, &"https://idp.example".parse().unwrap(), &STRICT);
        }
    }
}
