//! Checks of both other ends. Each request has a deadline, and none of them changes anything.

use exchange_core::http::{FetchError, FetchReply, FetchRequest, Trust};
use exchange_core::json::{self, Limits, Value};
use exchange_core::login::LoginError;
use exchange_core::machine::UnixTime;
use exchange_core::oidc::discovery::{
    DiscoveryPolicy, METADATA_BYTES_MAX, Metadata, MetadataError,
};
use exchange_core::oidc::jwks::KeySet;
use exchange_core::types::{ClientId, HttpDate, Issuer, Url};
use exchange_smol::clock;
use exchange_smol::proxy::Route;

use super::finding::Findings;
use crate::exit::Class;
use crate::login::failure;
use crate::login::requests::Requests;
use crate::login::server_says::{self, ServerSays};

/// Longest time for one answer.
const MILLIS: u64 = 10_000;
/// Metadata is the largest of what is read.
const BYTES_MAX: usize = METADATA_BYTES_MAX;
const LIMITS: Limits = Limits { bytes_max: BYTES_MAX, depth_max: 8 };
/// Clocks that differ by less need no word: the answer's own way takes some of it.
const SKEW_NOTED_SECS: u64 = 10;
/// From here on tokens and certificates are refused.
const SKEW_SECS: u64 = 60;

/// An answer and the time at its sender when it came.
pub(super) struct Answer {
    pub(super) reply: FetchReply,
    their_time: Option<UnixTime>,
    ours: UnixTime,
}

/// The time at another end, and here at the same moment.
pub(super) type Clocks = Option<(UnixTime, UnixTime)>;

pub(super) async fn get(requests: &Requests, url: Url, trust: Trust) -> Result<Answer, FetchError> {
    let request = FetchRequest {
        url,
        post: None,
        headers: Vec::new(),
        trust,
        body_bytes_max: BYTES_MAX,
        timeout_millis: MILLIS,
    };
    let reply = requests.fetch(request).await?;
    let date = reply.headers.get_str("date").and_then(|text| text.parse::<HttpDate>().ok());
    Ok(Answer { their_time: date.map(|date| date.0), ours: clock::now().wall, reply })
}

/// How requests travel, where not straight.
pub(super) fn proxies(found: &mut Findings, requests: &Requests, peers: &[(&str, Option<&Url>)]) {
    const CHECK: &str = "proxy";
    for (name, url) in peers.iter().filter_map(|(name, url)| Some((name, (*url)?))) {
        match requests.route(url) {
            Route::Direct => {}
            Route::Through(proxy) => found.note(
                CHECK,
                "proxy.in_use",
                format!(
                    "the {name} is asked through the proxy {}:{} (NO_PROXY={} goes around it)",
                    proxy.host(),
                    proxy.port(),
                    url.host()
                ),
            ),
            Route::Unusable => found.error(
                CHECK,
                Class::Local,
                "proxy.unusable",
                format!("the proxy variable for the {name} holds no http:// URL"),
                "correct HTTPS_PROXY or HTTP_PROXY, or set NO_PROXY",
            ),
        }
    }
}

/// The server: there, trusted, ready, and what it says. Also its clock.
pub(super) async fn server(
    found: &mut Findings,
    requests: &Requests,
    server: &Url,
) -> (Option<ServerSays>, Clocks) {
    const CHECK: &str = "server";
    let base = server.as_str().trim_end_matches('/');
    let at = |path: &str| format!("{base}{path}").parse::<Url>();
    let Ok(url) = at(server_says::PATH) else {
        let text = format!("{base} is no URL of a server");
        found.error(CHECK, Class::Other, "usage.invalid", text, "check --server");
        return (None, None);
    };
    let answer = match get(requests, url, Trust::Server).await {
        Ok(answer) => answer,
        Err(error) => {
            let (code, fix) = (error.code(), server_fix(error));
            let text = format!("{base}: {error}");
            found.error(CHECK, Class::Unavailable, code, text, fix);
            return (None, None);
        }
    };
    found.ok(CHECK, format!("{base} answers and is trusted"));
    let clocks = answer.their_time.map(|theirs| (theirs, answer.ours));
    let says = match answer.reply.status {
        200 => match server_says::read(&answer.reply.body) {
            Ok(says) => Some(says),
            Err(what) => {
                let text = format!("what it says of itself is not usable: {what}");
                let fix = "check --server: something else may answer there";
                found.error(CHECK, Class::Unavailable, "server.answer", text, fix);
                None
            }
        },
        404 => {
            let text = "the server does not say which provider it uses: --provider and --client-id are needed";
            found.note(CHECK, "server.silent", text);
            None
        }
        status => {
            let text = format!("it answers {status} at {}", server_says::PATH);
            let fix = "check --server and what stands in front of it";
            found.error(CHECK, Class::Unavailable, "server.answer", text, fix);
            None
        }
    };
    if let Ok(url) = at("/readyz") {
        readiness(found, get(requests, url, Trust::Server).await);
    }
    (says, clocks)
}

const fn server_fix(error: FetchError) -> &'static str {
    match error {
        FetchError::Resolve => "check the host name in --server, DNS and VPN",
        FetchError::Connect | FetchError::Timeout => {
            "check --server, its port, VPN and firewall, and that `serve` runs"
        }
        FetchError::UntrustedCertificate => {
            "pass its own authority as --server-ca (the server prints it, and offers it at /ca), or the right #sha256= behind the URL"
        }
        FetchError::WrongName => {
            "use a name that the certificate has, or add this one to tls_sans of the server"
        }
        FetchError::ExpiredCertificate => {
            "set the clock of this machine; if it is right, the server needs a new certificate"
        }
        FetchError::Tls => "check that --server is https on that port and no proxy is between",
        FetchError::TooLarge | FetchError::Protocol => {
            "check --server: something else answers there"
        }
        FetchError::Proxy => "check HTTPS_PROXY, or add the host to NO_PROXY",
    }
}

fn readiness(found: &mut Findings, answer: Result<Answer, FetchError>) {
    const CHECK: &str = "readiness";
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            let fix = server_fix(error);
            let text = format!("/readyz: {error}");
            return found.error(CHECK, Class::Unavailable, error.code(), text, fix);
        }
    };
    match answer.reply.status {
        200 => found.ok(CHECK, "the server is ready"),
        404 => found.note(CHECK, "server.no_readiness", "the server has no /readyz"),
        status => {
            let object = json::parse_object(&answer.reply.body, LIMITS).ok();
            let reasons = object.as_ref().and_then(|object| object.get("reasons"));
            let reasons = reasons.and_then(Value::as_array).unwrap_or_default();
            let reasons: Vec<&str> = reasons.iter().filter_map(Value::as_str).take(16).collect();
            let shown =
                if reasons.is_empty() { "no reason given".into() } else { reasons.join(", ") };
            found.error(
                CHECK,
                Class::Unavailable,
                "server.not_ready",
                format!("the server is not ready (HTTP {status}): {shown}"),
                "tell whoever runs it; docs/operations.md says what each reason means",
            );
        }
    }
}

/// Whether flags and server mean the same provider and client.
pub(super) fn agreement(
    found: &mut Findings,
    says: &ServerSays,
    issuer: Option<&Issuer>,
    client_id: Option<&ClientId>,
) {
    const CHECK: &str = "agreement";
    let mut agree = true;
    if let Some(issuer) = issuer.filter(|issuer| **issuer != says.issuer) {
        agree = false;
        let hint = if issuer.differs_by_slash_only(says.issuer.as_str()) {
            " (the last slash counts)"
        } else {
            ""
        };
        found.error(
            CHECK,
            Class::Local,
            "server.other_issuer",
            format!("you log in at {issuer}, the server takes tokens of {}{hint}", says.issuer),
            format!("pass --provider {}, or leave --provider out", says.issuer),
        );
    }
    if let Some(client_id) = client_id.filter(|client_id| **client_id != says.client_id) {
        agree = false;
        let (ours, theirs) = (client_id.as_str(), says.client_id.as_str());
        found.error(
            CHECK,
            Class::Local,
            "server.other_client_id",
            format!("you log in as client {ours:?}, the server takes tokens for {theirs:?}"),
            format!("pass --client-id {theirs}, or leave --client-id out"),
        );
    }
    if agree {
        found.ok(CHECK, format!("the server takes tokens of {}", says.issuer));
    }
}

/// The provider: there, itself, and with keys. Also its clock.
pub(super) async fn provider(
    found: &mut Findings,
    requests: &Requests,
    issuer: &Issuer,
    policy: DiscoveryPolicy,
) -> (Option<Metadata>, Clocks) {
    const CHECK: &str = "provider";
    let unusable = |found: &mut Findings, error: MetadataError| {
        let slash = matches!(&error, MetadataError::IssuerMismatch { configured, found }
            if configured.differs_by_slash_only(found.as_str()));
        let fix = if slash {
            "write the issuer exactly so, at the server too: the last slash counts"
        } else {
            "write --provider, and issuer_url of the server, exactly as the provider spells itself"
        };
        // The message and the class are those of a login that fails for it.
        let failure = failure(&LoginError::Discovery(error));
        found.error(CHECK, failure.class, failure.code, failure.message, fix);
    };
    let url = match policy.discovery_url(issuer) {
        Ok(url) => url,
        Err(error) => {
            unusable(found, error);
            return (None, None);
        }
    };
    let shown = url.clone();
    let answer = match get(requests, url, Trust::Provider).await {
        Ok(answer) => answer,
        Err(error) => {
            let text = format!("{issuer}: {error}");
            found.error(CHECK, Class::Unavailable, error.code(), text, provider_fix(error));
            return (None, None);
        }
    };
    let clocks = answer.their_time.map(|theirs| (theirs, answer.ours));
    if answer.reply.status != 200 {
        let text = format!("{} answers {}", shown.as_str(), answer.reply.status);
        let fix = "check the path of --provider: the issuer, without /.well-known/…";
        found.error(CHECK, Class::Unavailable, "discovery.status", text, fix);
        return (None, clocks);
    }
    let metadata = match Metadata::parse(&answer.reply.body, issuer, &policy) {
        Ok(metadata) => metadata,
        Err(error) => {
            unusable(found, error);
            return (None, clocks);
        }
    };
    found.ok(CHECK, format!("{issuer} answers and calls itself so"));
    match metadata.require(&metadata.jwks_uri, "jwks_uri") {
        Ok(url) => keys(found, get(requests, url.clone(), Trust::Provider).await),
        Err(error) => unusable(found, error),
    }
    (Some(metadata), clocks)
}

const fn provider_fix(error: FetchError) -> &'static str {
    match error {
        FetchError::UntrustedCertificate => {
            "pass its authority as --provider-ca, or add it to the system's list (SSL_CERT_FILE)"
        }
        FetchError::WrongName => "use the host name that its certificate has, in --provider too",
        FetchError::ExpiredCertificate => {
            "set the clock of this machine; if it is right, the provider needs a new certificate"
        }
        FetchError::Proxy => "check HTTPS_PROXY, or add the host to NO_PROXY",
        FetchError::Resolve
        | FetchError::Connect
        | FetchError::Timeout
        | FetchError::Tls
        | FetchError::TooLarge
        | FetchError::Protocol => "check --provider, DNS, VPN, firewall and proxy variables",
    }
}

fn keys(found: &mut Findings, answer: Result<Answer, FetchError>) {
    const CHECK: &str = "keys";
    let fix = "the server cannot check tokens without them: tell whoever runs the provider";
    match answer {
        Ok(answer) if answer.reply.status == 200 => match KeySet::parse(&answer.reply.body) {
            Ok(set) if set.is_empty() => found.error(
                CHECK,
                Class::Unavailable,
                "jwks.no_usable_keys",
                "none of the provider's keys can check a signature here",
                "let the provider sign with ES256, EdDSA or RS256",
            ),
            Ok(set) => found.ok(CHECK, format!("the provider has {} usable key(s)", set.len())),
            Err(error) => {
                let text = format!("the provider's keys do not read: {error}");
                found.error(CHECK, Class::Unavailable, error.code(), text, fix);
            }
        },
        Ok(answer) => {
            let text = format!("the provider's keys: HTTP {}", answer.reply.status);
            found.error(CHECK, Class::Unavailable, "jwks.status", text, fix);
        }
        Err(error) => {
            let text = format!("the provider's keys: {error}");
            found.error(CHECK, Class::Unavailable, error.code(), text, provider_fix(error));
        }
    }
}

/// Whose clock is wrong, if any is.
pub(super) fn clocks(found: &mut Findings, server: Clocks, provider: Clocks) {
    const CHECK: &str = "clock";
    let mut seen = 0_u32;
    let mut worst = 0;
    for (name, clocks) in [("server", server), ("provider", provider)] {
        let Some((theirs, ours)) = clocks else { continue };
        seen += 1;
        let secs = theirs.since(ours).max(ours.since(theirs));
        worst = worst.max(secs);
        if secs < SKEW_NOTED_SECS {
            continue;
        }
        let way = if theirs > ours { "behind" } else { "ahead of" };
        let text = format!("the clock of this machine is {secs} s {way} the {name}'s");
        let fix = "set the clock (timedatectl set-ntp true); if this one is right, theirs";
        if secs < SKEW_SECS {
            found.warning(CHECK, "clock.skew", text, fix);
        } else {
            found.error(CHECK, Class::Local, "clock.skew", text, fix);
        }
    }
    if seen > 0 && worst < SKEW_NOTED_SECS {
        found.ok(CHECK, format!("within {SKEW_NOTED_SECS} s of the other end's"));
    }
}
