//! What a person reads of a login that ended: what was wrong, and the next step.

use core::fmt;

use super::{ListenTrouble, LoginError};
use crate::http::FetchError;
use crate::jwt::TokenError;
use crate::oidc::discovery::MetadataError;
use crate::pki::{InspectError, KeyError};
use crate::types::Rfc3339;

const PROXY: &str = "check HTTPS_PROXY, HTTP_PROXY and ALL_PROXY, or add the host to NO_PROXY";

impl fmt::Display for LoginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PlainHttp => f.write_str(
                "the server's URL is http://, so the key would travel in the clear: use https://, \
                 or pass --insecure on a network you trust",
            ),
            Self::ServerUrl => {
                f.write_str("the server's URL must not have a query: check --server")
            }
            Self::Authorize(error) => error.fmt(f),
            Self::TimedOut => f.write_str(
                "nobody completed the login in time: run `login` again and open the shown address",
            ),
            Self::StateMismatch => f.write_str(
                "state mismatch: the only answers that came belong to another login; close old \
                 login pages, then run `login` again",
            ),
            Self::Interrupted => f.write_str("interrupted: run `login` again"),
            Self::InteractionRequired(why) => {
                write!(f, "{why}, and nobody is there to log in: run `login` at a terminal")
            }
            Self::Callback(failure) => failure.fmt(f),
            // The settings that the error names elsewhere are the server's.
            Self::Discovery(MetadataError::IssuerMismatch { configured, found }) => write!(
                f,
                "the login is for the provider {configured}, which calls itself {found}: pass \
                 --provider {found} if that is yours; the server must have it as issuer_url too"
            ),
            Self::Discovery(MetadataError::Json(error)) => write!(
                f,
                "the answer of the discovery endpoint is not provider metadata: {error}: check \
                 --provider"
            ),
            Self::Discovery(MetadataError::IssuerTemplate) => f.write_str(
                "the provider metadata is for any tenant: pass the address of one tenant as \
                 --provider instead of that of common or organizations",
            ),
            Self::Discovery(MetadataError::EndpointMissing("device_authorization_endpoint")) => f
                .write_str(
                    "the provider offers no login with a code on another device \
                     (device_authorization_endpoint): leave --device-code out",
                ),
            Self::Discovery(MetadataError::EndpointMissing(name)) => {
                write!(f, "the provider metadata has no {name}: check --provider")
            }
            Self::Discovery(MetadataError::InsecureIssuer) => f.write_str(
                "the provider's address is http://, so anybody on the way could take the login: \
                 pass https:// to --provider, or --insecure on a network you trust",
            ),
            Self::Discovery(error @ MetadataError::IssuerInvalid) => {
                write!(f, "{error}: check --provider")
            }
            Self::Discovery(error @ MetadataError::EndpointRefused(..)) => {
                write!(f, "{error}: check --provider, and the provider's settings")
            }
            Self::PushedRequestsOnly => f.write_str(
                "the provider demands pushed authorization requests (RFC 9126): switch that off \
                 for this client, or log in with --device-code",
            ),
            Self::ProviderUnreachable(step, error @ FetchError::UntrustedCertificate) => {
                write!(f, "{step}: {error}: pass its authority as --provider-ca")
            }
            Self::ProviderUnreachable(step, error @ FetchError::Proxy) => {
                write!(f, "{step}: {error}: {PROXY}")
            }
            Self::ProviderUnreachable(step, error) => {
                write!(f, "{step}: {error}: check --provider, the network and proxies")
            }
            Self::Provider(step, error) => write!(f, "{step}: {error}"),
            Self::IdToken(error) => {
                f.write_str("the ID token of the provider is not usable: ")?;
                id_token(f, error)
            }
            Self::NoIdToken => f.write_str(
                "the provider sent no ID token: is the `openid` scope allowed for this client?",
            ),
            Self::SubjectChanged => f.write_str(
                "the provider refreshed the login with a token of somebody else, so it was \
                 dropped: run `login` again",
            ),
            Self::GivenToken(trouble) => {
                write!(f, "cannot read the given ID token: {}", trouble.text)
            }
            Self::GivenTokenUnusable(error) => write!(
                f,
                "the given ID token is not usable: {error}: check --id-token, --id-token-file or \
                 --id-token-env"
            ),
            Self::GivenTokenExpired { expires_at } => write!(
                f,
                "the given ID token has ended at {}: fetch a new one",
                Rfc3339(*expires_at)
            ),
            Self::Listen { port, why: ListenTrouble::InUse } => write!(
                f,
                "failed to listen: port {port} is in use, perhaps by a login of somebody else on \
                 this machine: wait for its end, log in with --device-code, or pass another \
                 --callback-port that is registered as redirect URI"
            ),
            Self::Listen { port, why: ListenTrouble::Denied } => write!(
                f,
                "failed to listen: the system forbids port {port}: pass a --callback-port over \
                 1023 and register the matching redirect URI"
            ),
            Self::Listen { port, why: ListenTrouble::Other } => write!(
                f,
                "failed to listen on port {port}: check --callback-port and --listen-address, or \
                 log in with --device-code"
            ),
            Self::Busy => f.write_str(
                "another process is refreshing the login of this context: try again in a moment",
            ),
            Self::ServerUnreachable(error @ FetchError::UntrustedCertificate) => write!(
                f,
                "the exchange server is not trusted: {error}: pass its authority as --server-ca, \
                 or the right #sha256=<hex> behind the URL; its log shows both"
            ),
            Self::ServerUnreachable(error) => write!(
                f,
                "the exchange server does not answer: {error}: {}",
                match error {
                    FetchError::Proxy => PROXY,
                    FetchError::UntrustedCertificate
                    | FetchError::WrongName
                    | FetchError::ExpiredCertificate
                    | FetchError::Tls => "check --server and --server-ca",
                    FetchError::Resolve | FetchError::Connect | FetchError::Timeout => {
                        "check --server, the network, VPN and proxies"
                    }
                    FetchError::TooLarge | FetchError::Protocol => {
                        "check --server, and what stands between"
                    }
                }
            ),
            Self::ServerRefused(refusal) => refusal.fmt(f),
            Self::ServerAnswer(problem) => problem.fmt(f),
            Self::Certificate(InspectError::Key(KeyError::Mismatch)) => f.write_str(
                "the certificate that the server sent is not usable: the key is of another \
                 certificate; tell whoever runs the server",
            ),
            Self::Certificate(InspectError::Expired { not_after, now }) => write!(
                f,
                "the certificate that the server sent is not usable: it ended at {} and now is {}: \
                 is the clock of this machine right?",
                Rfc3339(*not_after),
                Rfc3339(*now)
            ),
            Self::Certificate(error) => {
                write!(f, "the certificate that the server sent is not usable: {error}")
            }
            Self::NotWritten(trouble) => {
                write!(f, "cannot write the talosconfig: {}", trouble.text)
            }
        }
    }
}

/// What is wrong with an ID token that has just come. The settings that [`TokenError`] names are the
/// server's; here it was compared with flags.
fn id_token(f: &mut fmt::Formatter<'_>, error: &TokenError) -> fmt::Result {
    use TokenError as E;
    if matches!(error, E::IssuerMismatch | E::IssuerSlash { .. }) {
        return f.write_str(
            "it is from another issuer than the provider's metadata: check --provider, and the \
             provider's settings",
        );
    }
    if matches!(error, E::AudienceMismatch | E::AzpMissing | E::AzpMismatch) {
        return f.write_str("it is for another client: check --client-id");
    }
    write!(f, "{error}")?;
    f.write_str(if matches!(error, E::NonceMismatch | E::AtHashMismatch) {
        ": log in again, and do not continue if it repeats"
    } else if matches!(error, E::Expired { .. }) {
        ", and set the clock of this machine right"
    } else {
        ": look into the settings of this client at the provider"
    })
}

#[cfg(test)]
mod tests {
    use super::super::Step;
    use super::*;
    use crate::json::JsonError;
    use alloc::string::ToString as _;

    /// The next step is one of this program: settings of the server are not the user's to change.
    #[test]
    fn hints_are_for_the_client() {
        let provider_untrusted =
            LoginError::ProviderUnreachable(Step::Discovery, FetchError::UntrustedCertificate);
        let missing = |name| LoginError::Discovery(MetadataError::EndpointMissing(name));
        for (error, hint) in [
            (LoginError::Discovery(MetadataError::Json(JsonError::TooLarge)), "check --provider"),
            (LoginError::Discovery(MetadataError::IssuerTemplate), "as --provider"),
            (missing("token_endpoint"), "check --provider"),
            (LoginError::Discovery(MetadataError::IssuerInvalid), "check --provider"),
            (LoginError::Discovery(MetadataError::InsecureIssuer), "--insecure"),
            (LoginError::ServerUnreachable(FetchError::Proxy), "NO_PROXY"),
            (LoginError::ProviderUnreachable(Step::Token, FetchError::Proxy), "NO_PROXY"),
            (LoginError::ServerUnreachable(FetchError::Resolve), "the network"),
            (LoginError::ServerUnreachable(FetchError::WrongName), "--server-ca"),
            (missing("device_authorization_endpoint"), "leave --device-code out"),
            (provider_untrusted, "--provider-ca"),
            (LoginError::Certificate(InspectError::Key(KeyError::Mismatch)), "runs the server"),
            (LoginError::Certificate(InspectError::Malformed), "damaged"),
            (LoginError::IdToken(TokenError::IssuerMismatch), "check --provider"),
            (LoginError::IdToken(TokenError::AudienceMismatch), "check --client-id"),
            (LoginError::IdToken(TokenError::AzpMismatch), "check --client-id"),
            (LoginError::IdToken(TokenError::NonceMismatch), "log in again"),
            (LoginError::IdToken(TokenError::ExpMissing), "at the provider"),
            (LoginError::GivenTokenUnusable(TokenError::BadBase64), "--id-token-file"),
        ] {
            let text = error.to_string();
            assert!(text.contains(hint), "{text}");
            for other in ["issuer_url", "client_id", "machine.ca", "clock"] {
                assert!(!text.contains(other), "{text}");
            }
        }
    }
}
