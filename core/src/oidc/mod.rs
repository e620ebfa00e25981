//! OpenID Connect: metadata, keys and their cache, PKCE, authorization and token endpoint.
