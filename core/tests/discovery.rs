//! Reads `vectors/discovery`: a configured issuer, what its metadata says, and the verdict.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failing test should stop at the line that failed"
)]

mod vectors;

use exchange_core::oidc::discovery::{DiscoveryPolicy, Metadata, MetadataError};
use exchange_core::types::Issuer;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[serde(rename = "comment")]
    _comment: String,
    #[serde(rename = "source")]
    _source: String,
    issuer: String,
    document: String,
    #[serde(default)]
    allow_http: bool,
    #[serde(default)]
    slash_tolerant: bool,
    expect: Expect,
}

#[derive(Deserialize, Debug, PartialEq)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Expect {
    Ok(Found),
    Error(String),
}

#[derive(Deserialize, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
struct Found {
    discovery_url: String,
    issuer: String,
    jwks_uri: String,
}

fn outcome(case: &Case) -> Result<Found, MetadataError> {
    let policy =
        DiscoveryPolicy { allow_http: case.allow_http, slash_tolerant: case.slash_tolerant };
    let issuer: Issuer = case.issuer.parse().unwrap();
    let discovery_url = policy.discovery_url(&issuer)?;
    let metadata = Metadata::parse(case.document.as_bytes(), &issuer, &policy)?;
    let jwks_uri = metadata.require(&metadata.jwks_uri, "jwks_uri")?;
    Ok(Found {
        discovery_url: discovery_url.as_str().into(),
        issuer: metadata.issuer.as_str().into(),
        jwks_uri: jwks_uri.as_str().into(),
    })
}

#[test]
fn metadata_is_judged_as_the_vectors_say() {
    vectors::each("discovery", 60, |case: &Case| {
        let found = match outcome(case) {
            Ok(found) => Expect::Ok(found),
            Err(error) => Expect::Error(error.code().into()),
        };
        vectors::same(&found, &case.expect)
    });
}
