//! The provider's keys, and tokens checked with them.

use std::collections::HashMap;

use serde::Deserialize;
use tokio::sync::RwLock;

use crate::Claims;
use crate::jsonwebtoken::jwk::JwkSet;
use crate::jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};

const RSA: [Algorithm; 6] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];
const CURVES: [Algorithm; 3] = [Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA];

#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
}

pub(crate) struct Keys {
    client: reqwest::Client,
    issuer: String,
    client_id: String,
    known: RwLock<HashMap<String, DecodingKey>>,
    validations: HashMap<Algorithm, Validation>,
}

impl Keys {
    pub(crate) fn new(issuer: &str, client_id: &str) -> reqwest::Result<Self> {
        let validations = RSA.into_iter().chain(CURVES).map(|algorithm| {
            let mut validation = Validation::new(algorithm);
            validation.set_issuer(&[issuer]);
            validation.set_audience(&[client_id]);
            validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
            validation.validate_nbf = true;
            (algorithm, validation)
        });
        Ok(Self {
            client: reqwest::Client::builder().build()?,
            issuer: issuer.to_owned(),
            client_id: client_id.to_owned(),
            known: RwLock::default(),
            validations: validations.collect(),
        })
    }

    /// Fetches metadata and keys.
    pub(crate) async fn fetch(&self) -> Result<(), String> {
        let text = |error: reqwest::Error| error.to_string();
        let url = format!("{}/.well-known/openid-configuration", self.issuer);
        let metadata: Metadata =
            self.client.get(url).send().await.map_err(text)?.json().await.map_err(text)?;
        if metadata.issuer != self.issuer {
            return Err(format!("the issuer of {} is {}", self.client_id, metadata.issuer));
        }
        let set: JwkSet = self
            .client
            .get(metadata.jwks_uri)
            .send()
            .await
            .map_err(text)?
            .json()
            .await
            .map_err(text)?;
        let fresh = set
            .keys
            .iter()
            .filter_map(|jwk| Some((jwk.common.key_id.clone()?, DecodingKey::from_jwk(jwk).ok()?)));
        *self.known.write().await = fresh.collect();
        Ok(())
    }

    pub(crate) async fn verify(&self, token: &str) -> Result<Claims, String> {
        let header = decode_header(token).map_err(|error| error.to_string())?;
        let kid = header.kid.ok_or("no kid")?;
        let validation = self.validations.get(&header.alg).ok_or("algorithm not accepted")?;
        if !self.known.read().await.contains_key(&kid) {
            self.fetch().await?;
        }
        let known = self.known.read().await;
        let key = known.get(&kid).ok_or("unknown kid")?;
        let data = decode::<Claims>(token, key, validation).map_err(|error| error.to_string())?;
        Ok(data.claims)
    }
}
