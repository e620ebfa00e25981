//! The cached login of one context: one JSON text in the keychain, or one member of `tokens.json`.
//!
//! The members are those of the original program, so that a person who moves over keeps the login:
//! `access_token` (always empty here, nothing uses it), `refresh_token`, `id_token`, `expires_at`,
//! `issuer`, `client_id`. Three are ours and optional, and the original passes over them: `scopes`,
//! `server`, which names the exchange server whose certificate stands in the context, and `sub`, the
//! person whose login it is, also while there is no ID token.

use alloc::boxed::Box;
use alloc::string::{String, ToString as _};
use core::fmt;

use zeroize::Zeroizing;

use crate::json::{self, Limits};
use crate::machine::UnixTime;
use crate::oidc::scopes::Scopes;
use crate::types::{ClientId, Issuer, Rfc3339, Secret};

/// Largest entry we read or write, in bytes.
pub const ENTRY_BYTES_MAX: usize = 256 * 1024;

const LIMITS: Limits = Limits { bytes_max: ENTRY_BYTES_MAX, depth_max: 16 };

/// What is kept between two runs for one context.
pub struct CacheEntry {
    /// Refresh token, if the provider gave one.
    pub refresh_token: Option<Secret>,
    /// Last ID token.
    pub id_token: Option<Secret>,
    /// When the ID token ends, by its own `exp`. Entries of the original program hold the end of
    /// the access token here, so readers look into the ID token again.
    pub expires_at: Option<UnixTime>,
    /// Issuer the tokens are of.
    pub issuer: Box<str>,
    /// Client they were given to; refreshing needs the same one.
    pub client_id: Box<str>,
    /// Scopes that were asked for; `None` in entries of the original program.
    pub scopes: Option<Scopes>,
    /// Exchange server whose certificate stands in the talosconfig context.
    pub server: Option<Box<str>>,
    /// `sub` of the last ID token that was checked; `None` in entries of the original program.
    pub subject: Option<Box<str>>,
}

/// Why a text is no cache entry, or no tokens file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheError {
    /// Not a strict JSON object within the size.
    Json,
    /// No `issuer` or no `client_id`: nobody can say whose tokens these are.
    Member,
}

impl fmt::Display for CacheError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json => "the cached login is not valid JSON: run `logout`, then log in again",
            Self::Member => "the cached login is incomplete: run `logout`, then log in again",
        })
    }
}

impl fmt::Debug for CacheEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheEntry")
            .field("issuer", &self.issuer)
            .field("client_id", &self.client_id)
            .field("refresh_token", &self.refresh_token.is_some())
            .field("id_token", &self.id_token.is_some())
            .finish_non_exhaustive()
    }
}

impl CacheEntry {
    /// Reads an entry, ours or the original program's. Unknown members are ignored.
    ///
    /// # Errors
    /// [`CacheError`].
    pub fn parse(text: &[u8]) -> Result<Self, CacheError> {
        let object = json::parse_object(text, LIMITS).map_err(|_| CacheError::Json)?;
        let member = |name| object.get_str(name).filter(|text| !text.is_empty());
        let secret = |name| member(name).map(|text| Secret::from(text.to_string()));
        Ok(Self {
            refresh_token: secret("refresh_token"),
            id_token: secret("id_token"),
            expires_at: member("expires_at")
                .and_then(|text| text.parse::<Rfc3339>().ok())
                .map(|at| at.0),
            issuer: member("issuer").ok_or(CacheError::Member)?.into(),
            client_id: member("client_id").ok_or(CacheError::Member)?.into(),
            scopes: member("scopes").and_then(|text| Scopes::parse([text]).ok()),
            server: member("server").map(Box::from),
            subject: member("sub").map(Box::from),
        })
    }

    /// The JSON text of the entry, in the order of the original program.
    #[must_use]
    pub fn to_json(&self) -> Zeroizing<String> {
        let mut out = Zeroizing::new(String::from("{\"access_token\":\"\""));
        let secret = |token: &Option<Secret>| {
            let text = token.as_ref().and_then(Secret::expose_str).unwrap_or_default();
            Zeroizing::new(String::from(text))
        };
        member(&mut out, "refresh_token", &secret(&self.refresh_token));
        member(&mut out, "id_token", &secret(&self.id_token));
        let expires = Rfc3339(self.expires_at.unwrap_or_default()).to_string();
        member(&mut out, "expires_at", &expires);
        member(&mut out, "issuer", &self.issuer);
        member(&mut out, "client_id", &self.client_id);
        if let Some(scopes) = &self.scopes {
            member(&mut out, "scopes", &scopes.to_string());
        }
        if let Some(server) = &self.server {
            member(&mut out, "server", server);
        }
        if let Some(subject) = &self.subject {
            member(&mut out, "sub", subject);
        }
        out.push('}');
        out
    }

    /// Whether these tokens are of that issuer and client and were asked for with those scopes.
    ///
    /// An entry without scopes fits any. A login whose scopes lack only `offline_access` fits as
    /// well: that is what a provider which refuses this scope leaves behind.
    #[must_use]
    pub fn fits(&self, issuer: &Issuer, client_id: &ClientId, scopes: &Scopes) -> bool {
        *self.issuer == *issuer.as_str()
            && *self.client_id == *client_id.as_str()
            && self
                .scopes
                .as_ref()
                .is_none_or(|ours| ours.same_as(scopes) || ours.same_as(&scopes.without_offline()))
    }

    /// A deliberate second copy: one to store, one to go on with.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self {
            refresh_token: self.refresh_token.as_ref().map(Secret::duplicate),
            id_token: self.id_token.as_ref().map(Secret::duplicate),
            expires_at: self.expires_at,
            issuer: self.issuer.clone(),
            client_id: self.client_id.clone(),
            scopes: self.scopes.clone(),
            server: self.server.clone(),
            subject: self.subject.clone(),
        }
    }
}

fn member(out: &mut String, name: &str, value: &str) {
    out.push_str(",\"");
    out.push_str(name);
    out.push_str("\":");
    json::write_string(out, value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use proptest::prelude::*;

    fn entry() -> CacheEntry {
        CacheEntry {
            refresh_token: Some(Secret::new(*b"r\"1")),
            id_token: Some(Secret::new(*b"a.b.c")),
            expires_at: Some(UnixTime::from_secs(1_771_338_600)),
            issuer: "https://idp.example".into(),
            client_id: "cli".into(),
            scopes: Some(Scopes::default()),
            server: Some("https://exchange.example".into()),
            subject: Some("alice".into()),
        }
    }

    #[test]
    fn writes_the_members_of_the_original() {
        assert_eq!(
            entry().to_json().as_str(),
            "{\"access_token\":\"\",\"refresh_token\":\"r\\\"1\",\"id_token\":\"a.b.c\",\
             \"expires_at\":\"2026-02-17T14:30:00Z\",\"issuer\":\"https://idp.example\",\
             \"client_id\":\"cli\",\"scopes\":\"openid profile email offline_access\",\
             \"server\":\"https://exchange.example\",\"sub\":\"alice\"}"
        );
    }

    #[test]
    fn reads_an_entry_of_the_original() {
        let text = br#"{"access_token":"AT","refresh_token":"RT","id_token":"a.b.c",
            "expires_at":"2026-02-17T15:30:00.123456789+01:00",
            "issuer":"https://idp.example","client_id":"cli"}"#;
        let read = CacheEntry::parse(text).unwrap();
        assert_eq!(read.refresh_token.as_ref().unwrap().expose(), b"RT");
        assert_eq!(read.expires_at, Some(UnixTime::from_secs(1_771_338_600)));
        assert_eq!((read.scopes.as_ref(), read.server.as_ref()), (None, None));
        assert_eq!(read.subject, None);
        let (issuer, client) = ("https://idp.example".parse().unwrap(), "cli".parse().unwrap());
        assert!(read.fits(&issuer, &client, &Scopes::default()));
        assert!(!read.to_json().contains("AT\""));
    }

    #[test]
    fn tokens_of_another_login_do_not_fit() {
        let fits = |issuer: &str, client: &str, scopes: &str| {
            entry().fits(
                &issuer.parse().unwrap(),
                &client.parse().unwrap(),
                &Scopes::parse([scopes]).unwrap(),
            )
        };
        let scopes = "openid profile email offline_access";
        assert!(fits("https://idp.example", "cli", scopes));
        assert!(!fits("https://idp.example/", "cli", scopes));
        assert!(!fits("https://idp.example", "Cli", scopes));
        assert!(!fits("https://idp.example", "cli", "openid profile email offline_access groups"));
        let mut without = entry();
        without.scopes = Some(Scopes::default().without_offline());
        let (issuer, client) = ("https://idp.example".parse().unwrap(), "cli".parse().unwrap());
        assert!(without.fits(&issuer, &client, &Scopes::default()));
    }

    #[test]
    fn prints_no_token() {
        assert!(!format!("{:?}", entry()).contains("a.b.c"));
    }

    #[test]
    fn refuses_what_belongs_to_nobody() {
        let error = |text: &str| CacheEntry::parse(text.as_bytes()).unwrap_err();
        assert_eq!(error("[]"), CacheError::Json);
        assert_eq!(error(r#"{"issuer":"a","issuer":"b"}"#), CacheError::Json);
        assert_eq!(error(r#"{"issuer":"https://a"}"#), CacheError::Member);
        assert_eq!(error(r#"{"issuer":"https://a","client_id":1}"#), CacheError::Member);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(refresh in any::<Option<String>>(), issuer in ".{1,20}", at in 0u64..4_000_000_000) {
            let refresh = refresh.filter(|text| !text.is_empty());
            let mut written = entry();
            written.refresh_token = refresh.clone().map(Secret::from);
            written.issuer = issuer.as_str().into();
            written.expires_at = Some(UnixTime::from_secs(at));
            let read = CacheEntry::parse(written.to_json().as_bytes()).unwrap();
            prop_assert_eq!(read.refresh_token.map(|t| t.expose().to_vec()), refresh.map(String::into_bytes));
            prop_assert_eq!(&*read.issuer, issuer.as_str());
            prop_assert_eq!(read.expires_at, written.expires_at);
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = CacheEntry::parse(&bytes);
        }
    }
}
