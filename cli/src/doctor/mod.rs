//! The command `doctor`: named diagnoses of this machine and both other ends, each with what to do.
//!
//! It looks and changes nothing: no file is made, no login is used up. Each request has a deadline.

mod client;
mod finding;
mod local;
mod network;

use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::process::ExitCode;

use exchange_core::login::cache::CacheEntry;
use exchange_core::login::{BrowserSettings, Flow};
use exchange_core::oidc::discovery::DiscoveryPolicy;
use exchange_core::oidc::scopes::Scopes;
use exchange_core::types::{ClientId, ContextName, Issuer, Url};
use exchange_smol::clock;
use exchange_smol::executor::{self, within};
use exchange_smol::token_store::Prompt;

use crate::args;
use crate::exit::{Class, Failure};
use crate::login::checked::{Checked, PersonWay};
use crate::login::given::Source;
use crate::login::requests::Requests;
use crate::login::store::TokenStore;
use crate::login::surroundings::Surroundings;
use finding::Findings;

/// A keychain may ask somebody who is not there.
const STORE_MILLIS: u64 = 20_000;

/// Runs the command.
pub(crate) fn run(args: &args::Login) -> Result<ExitCode, Failure> {
    let found = executor::run(NonZeroUsize::MIN, examine(args));
    Ok(found.report(args.output, args.quiet))
}

/// What the flags come to, as far as they are right.
struct Case {
    context: Option<ContextName>,
    server: Option<Url>,
    issuer: Option<Issuer>,
    client_id: Option<ClientId>,
    scopes: Option<Scopes>,
    way: Option<PersonWay>,
    requests: Requests,
    /// Whether there is a token, so that nobody logs in.
    is_given: bool,
}

async fn examine(args: &args::Login) -> Findings {
    let mut found = Findings::default();
    let mut checked = Checked::new(args);
    let surroundings = Surroundings::of_process();
    local::environment(&mut found);
    let given = checked.given_source();
    if given.is_none()
        && let Ok(store) = TokenStore::open(args.target.token_store, Prompt::Never)
    {
        checked.store = store;
    }
    let server = checked.server(given.is_some());
    let (server, pin) = match server {
        Ok(server) => server,
        Err(failure) => {
            let fix = "pass the server: talosctl-oidc doctor https://oidc.example.com:8443";
            found.error("flags", failure.class, failure.code, failure.message, fix);
            (None, None)
        }
    };
    let (provider_peer, server_peer) = checked.peers(pin);
    let case = Case {
        context: checked.parsed("--context-name", &args.target.context_name),
        server,
        issuer: checked.parsed_if("--provider", args.provider.as_deref()),
        client_id: checked.parsed_if("--client-id", args.client_id.as_deref()),
        scopes: checked.scopes(),
        way: checked.flow(&surroundings).filter(|_| given.is_none()),
        requests: Requests::new(provider_peer, server_peer),
        is_given: given.is_some(),
    };
    if let Err(failure) = checked.verdict() {
        let fix = "correct what the message names";
        found.error("flags", failure.class, failure.code, failure.message, fix);
    }
    if let Some(given) = given {
        // Standard input may be a terminal where nobody expects to be asked.
        match given {
            Source::Stdin => found.note("token", "token.stdin", "standard input is not read here"),
            Source::Text(_) | Source::File(_) | Source::Variable(_) => {
                let token = given.read().and_then(|given| given.read());
                local::given_token(&mut found, token, clock::now().wall);
            }
        }
    }
    let entry = machine(&mut found, args, &checked, &case).await;
    let port = callback(&mut found, args, &case, &surroundings);
    ends(&mut found, args, case, entry.as_ref(), port).await;
    found
}

/// Files and tokens of this machine. Gives the stored login.
async fn machine(
    found: &mut Findings,
    args: &args::Login,
    checked: &Checked<'_>,
    case: &Case,
) -> Option<CacheEntry> {
    let now = clock::now().wall;
    let ours = local::talosconfig(found, &checked.places, args.target.talosconfig.as_deref());
    let name = case.context.clone()?;
    if let Some(ours) = ours {
        local::context(found, &ours.path, &name, now);
        local::watch(found, &ours.path, &name);
    }
    if case.is_given {
        return None;
    }
    let store = match TokenStore::open(args.target.token_store, Prompt::Never) {
        Ok(store) => store,
        Err(failure) => {
            let fix = "pass --token-store file";
            found.error("tokens", failure.class, failure.code, failure.message, fix);
            return None;
        }
    };
    let (own, context) = (store.clone(), name);
    let loading = smol::unblock(move || own.find(&context));
    let Some(loaded) = within(STORE_MILLIS, loading).await else {
        found.error(
            "tokens",
            Class::Local,
            "tokens.no_answer",
            format!("the token store gives no answer within {} s", STORE_MILLIS / 1000),
            "unlock the keychain, or pass --token-store file",
        );
        return None;
    };
    local::tokens(found, loaded, &store, now)
}

/// Whether a person's browser could come back. Gives the port that it would come to.
fn callback(
    found: &mut Findings,
    args: &args::Login,
    case: &Case,
    surroundings: &Surroundings,
) -> Option<u16> {
    let way = case.way.as_ref()?;
    let browser = browser(&way.flow)?;
    if surroundings.headless {
        let text = "no browser would be seen here: login uses a device code, or prints what to do";
        found.note("browser", "browser.absent", text);
    }
    let address = browser.addresses().first().copied()?;
    let is_free = |port: &u16| TcpListener::bind(SocketAddr::new(address.ip(), *port)).is_ok();
    let free = way.ports.iter().copied().find(is_free);
    local::callback(found, args, &way.ports, free);
    free.or_else(|| way.ports.first().copied())
}

/// Both other ends, at the same time.
async fn ends(
    found: &mut Findings,
    args: &args::Login,
    case: Case,
    entry: Option<&CacheEntry>,
    port: Option<u16>,
) {
    let Case { server, issuer, client_id, scopes, way, requests, is_given, .. } = case;
    let policy = DiscoveryPolicy { allow_http: args.insecure, slash_tolerant: false };
    let mut of_server = Findings::default();
    let (says, server_clock) = match &server {
        Some(url) if url.is_https() || args.insecure => {
            network::proxies(&mut of_server, &requests, &[("server", Some(url))]);
            network::server(&mut of_server, &requests, url).await
        }
        Some(url) => {
            of_server.error(
                "server",
                Class::Local,
                "config.invalid",
                format!("{url} is http://, so the key would travel in the clear"),
                "use https://, or pass --insecure on a network you trust",
            );
            (None, None)
        }
        None => (None, None),
    };
    found.append(of_server);
    if let Some(says) = &says {
        network::agreement(found, says, issuer.as_ref(), client_id.as_ref());
    }
    // A flag first, then the server, then the login that is stored.
    let told = says.map(|says| (says.issuer, says.client_id, says.scopes));
    let stored = || Some((entry?.issuer.parse().ok()?, entry?.client_id.parse().ok()?, None));
    let (issuer, client_id, said) = match (issuer, client_id, told.or_else(stored)) {
        (issuer, client_id, Some((its, id, scopes))) => {
            (Some(issuer.unwrap_or(its)), Some(client_id.unwrap_or(id)), scopes)
        }
        (issuer, client_id, None) => (issuer, client_id, None),
    };
    let Some(issuer) = issuer else {
        let text = "which provider is not known, so it was not asked";
        return found.note("provider", "provider.unknown", text);
    };
    if let Ok(url) = policy.discovery_url(&issuer) {
        network::proxies(found, &requests, &[("provider", Some(&url))]);
    }
    let (metadata, provider_clock) = network::provider(found, &requests, &issuer, policy).await;
    network::clocks(found, server_clock, provider_clock);
    let scopes = scopes.or(said).unwrap_or_default();
    if let (Some(entry), Some(client_id)) = (entry, &client_id)
        && !entry.fits(&issuer, client_id, &scopes.for_issuer(&issuer))
    {
        found.warning(
            "tokens",
            "tokens.other_login",
            "the stored login is of another provider, client or scopes, and is not used",
            "log in once; --context-name keeps two logins apart",
        );
    }
    let Some(metadata) = metadata.filter(|_| !is_given) else { return };
    let flow = way.as_ref().map(|way| &way.flow);
    client::metadata(found, &metadata, &issuer, &scopes, flow);
    if let (Some(client_id), Some(browser), Some(port)) = (&client_id, flow.and_then(browser), port)
        && !metadata.require_pushed_authorization_requests
    {
        let who = (&issuer, client_id, &scopes);
        client::redirect(found, &requests, &metadata, who, browser, port).await;
    }
}

const fn browser(flow: &Flow) -> Option<&BrowserSettings> {
    match flow {
        Flow::Browser(browser) | Flow::DeviceOr(browser) => Some(browser),
        Flow::Device => None,
    }
}
