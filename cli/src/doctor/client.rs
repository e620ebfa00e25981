//! Checks of our client at the provider: what its metadata promises, and whether it knows us.

use exchange_core::http::Trust;
use exchange_core::http::form::Form;
use exchange_core::login::{BrowserSettings, Flow};
use exchange_core::oidc::authorize::AuthorizationRequest;
use exchange_core::oidc::discovery::Metadata;
use exchange_core::oidc::pkce::{OneTime, Verifier};
use exchange_core::oidc::scopes::Scopes;
use exchange_core::types::{ClientId, Issuer};
use exchange_smol::entropy::draw;

use super::finding::Findings;
use super::network::get;
use crate::exit::Class;
use crate::login::requests::Requests;

/// Answers to a request without a page that only a provider which accepts client and redirect URI
/// gives (OpenID Connect Core 1.0 section 3.1.2.6).
const WANTS_A_PERSON: [&str; 4] =
    ["login_required", "interaction_required", "consent_required", "account_selection_required"];

/// What the metadata says about logins of our kind.
pub(super) fn metadata(
    found: &mut Findings,
    metadata: &Metadata,
    issuer: &Issuer,
    scopes: &Scopes,
    flow: Option<&Flow>,
) {
    const CHECK: &str = "capabilities";
    let lacks = |list: &Option<Vec<Box<str>>>, wanted: &str| {
        list.as_ref().is_some_and(|list| !list.iter().any(|item| **item == *wanted))
    };
    let mut is_fine = true;
    let mut warn = |code: &str, text: &str, fix: &str| {
        is_fine = false;
        found.warning(CHECK, code, text, fix);
    };
    let wanted = scopes.for_issuer(issuer);
    // Google gives refresh tokens by another parameter, which login sends.
    if *scopes == wanted && !scopes.has_offline() {
        warn(
            "scopes.no_offline_access",
            "offline_access is not asked for, so logins cannot be refreshed and --watch ends with the ID token",
            "add offline_access to --scopes, or to the scopes that the server tells",
        );
    } else if wanted.has_offline() && lacks(&metadata.scopes, "offline_access") {
        warn(
            "provider.no_offline_access",
            "the provider does not list the scope offline_access: there may be no refresh token",
            "allow offline_access for this client at the provider",
        );
    }
    if lacks(&metadata.grant_types, "refresh_token") {
        warn(
            "provider.no_refresh",
            "the provider does not list the grant refresh_token",
            "allow refresh tokens for this client at the provider",
        );
    }
    if lacks(&metadata.code_challenge_methods, "S256") {
        warn(
            "provider.no_pkce",
            "the provider does not list PKCE with S256, which login always sends",
            "switch PKCE (S256) on for this client",
        );
    }
    if !metadata.id_token_signing_algs.is_empty() && metadata.checkable_algs().is_empty() {
        warn(
            "provider.no_usable_algorithm",
            "the provider lists no algorithm that the server can check",
            "let the provider sign with ES256, EdDSA or RS256",
        );
    }
    let device = metadata.device_authorization_endpoint.is_some();
    match flow {
        Some(Flow::Device) if !device => warn(
            "provider.no_device_flow",
            "the provider has no device flow, which --device-code wants",
            "leave --device-code out, or allow the device flow at the provider",
        ),
        Some(Flow::DeviceOr(_)) if !device => warn(
            "provider.no_device_flow",
            "there is no browser here and no device flow at the provider: login prints an ssh -L line, and takes a pasted address",
            "allow the device flow at the provider",
        ),
        Some(Flow::Device | Flow::DeviceOr(_) | Flow::Browser(_)) | None => {}
    }
    if metadata.require_pushed_authorization_requests {
        warn(
            "login.pushed_requests_only",
            "the provider takes pushed authorization requests only (RFC 9126)",
            "switch that off for this client, or log in with --device-code",
        );
    }
    if is_fine {
        found.ok(CHECK, "refresh, PKCE and signatures are as login wants them");
    }
}

/// Asks for a login without a page (`prompt=none`): the answer tells whether the provider knows
/// this client with this redirect URI. Nobody is logged in or out by it.
pub(super) async fn redirect(
    found: &mut Findings,
    requests: &Requests,
    metadata: &Metadata,
    who: (&Issuer, &ClientId, &Scopes),
    browser: &BrowserSettings,
    port: u16,
) {
    const CHECK: &str = "redirect";
    let (issuer, client_id, scopes) = who;
    let Some(endpoint) = &metadata.authorization_endpoint else {
        return found.error(
            CHECK,
            Class::Unavailable,
            "discovery.endpoint_missing",
            "the provider has no authorization_endpoint",
            "log in with --device-code",
        );
    };
    let redirect_uri = browser.redirect_uri(port);
    let (Ok(state), Ok(nonce), Ok(verifier), Ok(silent)) =
        (draw(), draw(), draw(), "prompt=none".parse())
    else {
        return;
    };
    let extra = [silent];
    let request = AuthorizationRequest {
        issuer,
        endpoint,
        client_id,
        redirect_uri: &redirect_uri,
        scopes,
        state: &OneTime::new(state),
        nonce: &OneTime::new(nonce),
        verifier: &Verifier::new(verifier),
        consent: false,
        form_post: false,
        extra: &extra,
    };
    let url = match request.url() {
        Ok(url) => url,
        Err(error) => {
            let fix = "see the message";
            return found.error(CHECK, Class::Local, "config.invalid", error.to_string(), fix);
        }
    };
    let register = format!(
        "register exactly {redirect_uri} as redirect URI of client {:?} at the provider",
        client_id.as_str()
    );
    let answer = match get(requests, url, Trust::Provider).await {
        Ok(answer) => answer.reply,
        Err(error) => {
            let text = format!("the login page of the provider: {error}");
            return found.warning(CHECK, error.code(), text, "try it in a browser");
        }
    };
    let location = answer.headers.get_str("location").unwrap_or_default();
    match (answer.status, location.strip_prefix(redirect_uri.as_str())) {
        (300..=399, Some(rest)) => {
            let query = rest.split_once('?').map_or("", |(_, query)| query);
            let error = Form::parse(query)
                .ok()
                .and_then(|form| form.get("error").ok().flatten().map(str::to_owned));
            match error.as_deref() {
                Some(error) if WANTS_A_PERSON.contains(&error) => {
                    found.ok(CHECK, format!("the provider knows {redirect_uri}"));
                }
                None => found.ok(CHECK, format!("the provider knows {redirect_uri}")),
                Some(error) => {
                    let text = format!("the provider refuses logins of this client: {error}");
                    let code = "redirect.client_refused";
                    found.error(
                        CHECK,
                        Class::LoginIncomplete,
                        code,
                        text,
                        "correct the client at the provider: flow, grants and scopes",
                    );
                }
            }
        }
        (400..=499, _) => found.error(
            CHECK,
            Class::LoginIncomplete,
            "redirect.refused",
            format!(
                "the provider refuses client or redirect URI (HTTP {}) before anybody logs in",
                answer.status
            ),
            register,
        ),
        (status, _) if names_redirect(&answer.body) && status == 200 => found.error(
            CHECK,
            Class::LoginIncomplete,
            "redirect.refused",
            "the provider's page complains about the redirect URI",
            register,
        ),
        (200 | 300..=399, _) => found.note(
            CHECK,
            "redirect.unknown",
            format!("the provider shows a page of its own; {redirect_uri} must be registered"),
        ),
        (status, _) => {
            let text = format!("the login page of the provider answers {status}");
            found.warning(CHECK, "redirect.unknown", text, "try it in a browser");
        }
    }
}

/// Whether a page talks about the redirect URI as an error does.
fn names_redirect(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body).to_ascii_lowercase();
    ["redirect_uri", "redirect uri", "redirect url"].iter().any(|words| {
        text.find(words).is_some_and(|at| {
            let around = text.get(at.saturating_sub(80)..).unwrap_or_default();
            let around: String = around.chars().take(240).collect();
            ["invalid", "mismatch", "not match", "not registered", "unregistered", "not allowed"]
                .iter()
                .any(|word| around.contains(word))
        })
    })
}
