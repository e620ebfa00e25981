//! What the exchange server tells a client that knows nothing but its URL.

use exchange_core::http::{FetchRequest, Trust};
use exchange_core::json::{self, Limits, Value};
use exchange_core::login::LoginSettings;
use exchange_core::login::renew::is_fresh;
use exchange_core::oidc::scopes::Scopes;
use exchange_core::pki::ClientCertificate;
use exchange_core::types::{ClientId, Issuer};
use exchange_smol::clock;

use super::context::Destination;
use super::requests::Requests;
use super::store::TokenStore;
use crate::exit::{Class, Failure};

const BYTES_MAX: usize = 256 * 1024;
const LIMITS: Limits = Limits { bytes_max: BYTES_MAX, depth_max: 8 };
/// Where it says so.
pub(crate) const PATH: &str = "/.well-known/talosctl-oidc-configuration";

/// The answers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ServerSays {
    /// The provider.
    pub(crate) issuer: Issuer,
    /// Our client there.
    pub(crate) client_id: ClientId,
    /// Scopes to ask for.
    pub(crate) scopes: Option<Scopes>,
}

/// What it said last time, where that is all a login needs: the context has a fresh certificate of
/// this server. Whenever there is something to do, the server is asked again, as it may have moved
/// to another provider.
pub(crate) fn remembered(
    settings: &LoginSettings,
    store: &TokenStore,
    destination: &Destination,
) -> Option<ServerSays> {
    let entry = store.load(&settings.context).ok()??;
    if settings.force || entry.server.as_deref() != Some(settings.server.as_str()) {
        return None;
    }
    let context = destination.existing(&settings.context)?;
    let certificate = ClientCertificate::parse(&context.certificate).ok()?;
    let (from, to) = (certificate.not_before(), certificate.not_after());
    is_fresh(from, to, clock::now().wall).then_some(())?;
    Some(ServerSays {
        issuer: entry.issuer.parse().ok()?,
        client_id: entry.client_id.parse().ok()?,
        scopes: entry.scopes,
    })
}

/// Asks the server of `settings`.
pub(crate) async fn ask(
    requests: &Requests,
    settings: &LoginSettings,
) -> Result<ServerSays, Failure> {
    let server = settings.server.as_str().trim_end_matches('/');
    let url = format!("{server}{PATH}").parse().map_err(|error| {
        Failure::new(Class::Other, "usage.invalid", format!("--server: {error}"))
    })?;
    let request = FetchRequest {
        url,
        post: None,
        headers: Vec::new(),
        trust: Trust::Server,
        body_bytes_max: BYTES_MAX,
        timeout_millis: 15_000,
    };
    let reply = requests.fetch(request).await.map_err(|error| {
        let error = exchange_core::login::LoginError::ServerUnreachable(error);
        super::failure(&error)
    })?;
    let unusable = |what: String| {
        Failure::new(
            Class::Unavailable,
            "server.answer",
            format!("{what}: pass --provider and --client-id, or check --server"),
        )
    };
    match reply.status {
        200 => read(&reply.body).map_err(|what| unusable(format!("{server}{PATH}: {what}"))),
        404 => Err(unusable("the server does not say which provider it uses".to_owned())),
        status => Err(unusable(format!("the server answered {status} at {PATH}"))),
    }
}

/// Reads its answer.
pub(crate) fn read(body: &[u8]) -> Result<ServerSays, String> {
    let object = json::parse_object(body, LIMITS).map_err(|_| "not JSON".to_owned())?;
    let text = |name: &str| {
        object.get_str(name).filter(|text| !text.is_empty()).ok_or(format!("no `{name}`"))
    };
    let scopes = match object.get("scopes").and_then(Value::as_array) {
        Some(list) if !list.is_empty() => {
            let parsed = Scopes::parse(list.iter().filter_map(Value::as_str));
            Some(parsed.map_err(|error| format!("`scopes`: {error}"))?)
        }
        Some(_) | None => None,
    };
    Ok(ServerSays {
        issuer: text("issuer")?.parse().map_err(|error| format!("`issuer`: {error}"))?,
        client_id: text("client_id")?.parse().map_err(|error| format!("`client_id`: {error}"))?,
        scopes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_is_checked() {
        let full = read(
            br#"{"issuer":"https://idp.example","client_id":"cli","scopes":["openid","groups"],"x":1}"#,
        );
        let full = full.expect("a good answer");
        assert_eq!(full.issuer.as_str(), "https://idp.example");
        assert_eq!(full.scopes.map(|scopes| scopes.to_string()), Some("openid groups".to_owned()));
        let bare = read(br#"{"issuer":"https://idp.example","client_id":"cli","scopes":[]}"#);
        assert_eq!(bare.expect("a good answer").scopes, None);
        for bad in [
            "[]",
            r#"{"client_id":"cli"}"#,
            r#"{"issuer":"https://i","client_id":""}"#,
            r#"{"issuer":"ftp://i","client_id":"cli"}"#,
            r#"{"issuer":"https://i","client_id":"cli","scopes":["a\"b"]}"#,
        ] {
            assert!(read(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
