//! OpenID Connect: metadata, keys and their cache, PKCE, authorization and token endpoint.

pub mod authorize;
pub mod callback;
pub mod callback_page;
pub mod device;
pub mod discovery;
pub mod foreign;
pub mod jwks;
pub mod key_cache;
pub mod oauth_error;
pub mod pkce;
pub mod scopes;
pub mod token_endpoint;
mod unknown_kids;
