//! From flags to a login: everything that can be wrong is said before anything happens.

use std::sync::Arc;

use exchange_core::login::{
    LoginSettings, ProviderSettings, StorePolicy, TokenSource, has_nothing_to_do,
};
use exchange_core::oidc::discovery::DiscoveryPolicy;
use exchange_core::types::{ClientId, ContextName, Issuer};
use exchange_smol::clock;

use super::callback::Reach;
use super::checked::{Checked, PersonWay};
use super::context::{Destination, NamedNodes};
use super::given::{Given, Source};
use super::requests::Requests;
use super::server_says::{self, ServerSays};
use super::store::TokenStore;
use super::surroundings::Surroundings;
use crate::args;
use crate::exit::{Class, Failure};
use crate::terminal;

/// Tolerance for `exp` of tokens that just came, in seconds.
const SKEW_SECS: u32 = 60;

/// A login ready to run.
pub(crate) struct Plan {
    /// For the machine.
    pub(crate) settings: LoginSettings,
    /// What the machine's requests go through.
    pub(crate) requests: Requests,
    /// Callback ports, the first free one is used.
    pub(crate) ports: Vec<u16>,
    /// How the callback server is reached.
    pub(crate) reach: Reach,
    /// Where the certificate goes.
    pub(crate) destination: Destination,
    /// Tokens between runs.
    pub(crate) store: TokenStore,
    /// Where a given ID token is read.
    pub(crate) given: Option<Given>,
    /// Nodes that the flag or its variable names.
    pub(crate) nodes: NamedNodes,
    /// Commands that open a URL, as in `$BROWSER`.
    pub(crate) browser: Option<String>,
    /// What is known of this machine.
    pub(crate) surroundings: Surroundings,
}

/// Checks the flags, asks the server where they leave a question, and gives the whole. With
/// `in_memory` no talosconfig is touched.
pub(crate) async fn of(args: &args::Login, in_memory: bool) -> Result<Plan, Failure> {
    let mut checked = Checked::new(args);
    let given = checked.given_source();
    let surroundings = Surroundings::of_process();
    let interactive = given.is_none() && surroundings.is_somebody_there(args);
    if given.is_none() {
        checked.store =
            TokenStore::open(args.target.token_store, surroundings.prompt(interactive))?;
    }
    let (server, pin) = checked.server(given.is_some())?;
    let context: Option<ContextName> = checked.parsed("--context-name", &args.target.context_name);
    let issuer: Option<Issuer> = checked.parsed_if("--provider", args.provider.as_deref());
    let client_id: Option<ClientId> = checked.parsed_if("--client-id", args.client_id.as_deref());
    let scopes = checked.scopes();
    let client_auth = checked.client_auth();
    let nodes = checked.nodes();
    let way = checked.flow(&surroundings);
    let (provider_peer, server_peer) = checked.peers(pin);
    let secret = checked.client_secret();
    let given = given.map(Source::read).transpose();
    let given = checked.noted_local(given.map_err(|text| ("file.not_readable", text))).flatten();
    checked.verdict()?;
    let (Some(server), Some(context), Some(PersonWay { flow, ports, reach })) =
        (server, context, way)
    else {
        return Err(Failure::new(Class::Other, "usage.invalid", "the flags do not fit together"));
    };
    let destination = if in_memory {
        Destination::Memory(Arc::default())
    } else {
        let path = checked.places.talosconfig(args.target.talosconfig.as_deref())?.writable()?;
        Destination::File(path)
    };
    // Where nothing need be written, it is no matter that it could not be.
    let mut unwritable = destination.rehearse(&context).err();
    checked.warn();
    let store = checked.store;
    let is_to_change = destination.has_other_nodes(&context, &nodes);
    store.rehearse(&context)?;
    let requests = Requests::new(provider_peer, server_peer);
    let mut settings = LoginSettings {
        context,
        server,
        plain_http: args.insecure,
        source: TokenSource::Given,
        interactive,
        watch: args.watch,
        force: args.force || is_to_change,
        store: if store.is_nowhere() { StorePolicy::Ephemeral } else { StorePolicy::Keep },
    };
    // Said before anything goes over the network.
    settings.exchange_url().map_err(|error| super::failure(&error))?;
    if given.is_none() {
        let (issuer, client_id, said) = match (issuer, client_id) {
            (Some(issuer), Some(client_id)) => (issuer, client_id, None),
            (issuer, client_id) => {
                let said = match server_says::remembered(&settings, &store, &destination) {
                    Some(said) => said,
                    // There is something to do, so what is wrong is said before the server is asked.
                    None => match unwritable.take() {
                        Some(failure) => return Err(failure),
                        None => server_says::ask(&requests, &settings).await?,
                    },
                };
                let ServerSays { issuer: its, client_id: id, scopes } = said;
                (issuer.unwrap_or(its), client_id.unwrap_or(id), scopes)
            }
        };
        settings.source = TokenSource::Provider(Box::new(ProviderSettings {
            issuer,
            client_id,
            client_secret: secret,
            client_auth,
            scopes: scopes.or(said).unwrap_or_default(),
            policy: DiscoveryPolicy { allow_http: args.insecure, slash_tolerant: false },
            skew_secs: SKEW_SECS,
            flow,
        }));
    }
    if let Some(failure) = unwritable {
        let entry = store.load(&settings.context).ok().flatten();
        let context = destination.existing(&settings.context);
        let now = clock::now().wall;
        if !has_nothing_to_do(&settings, entry.as_ref(), context.as_ref(), now) {
            return Err(failure);
        }
        terminal::error_line(&format!(
            "warning: {}. The certificate in it is still good, so nothing is written now [{}]",
            failure.message, failure.code
        ));
    }
    let browser = args.browser_command.clone().filter(|command| !command.trim().is_empty());
    Ok(Plan {
        settings,
        requests,
        ports,
        reach,
        destination,
        store,
        given,
        nodes,
        browser: browser.or_else(|| std::env::var("BROWSER").ok()),
        surroundings,
    })
}
