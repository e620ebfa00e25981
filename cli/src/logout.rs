//! The command `logout`.

use std::num::NonZeroUsize;
use std::process::ExitCode;

use exchange_core::http::{FetchRequest, Trust};
use exchange_core::login::cache::CacheEntry;
use exchange_core::oidc::discovery::{DiscoveryPolicy, METADATA_BYTES_MAX, Metadata};
use exchange_core::oidc::token_endpoint::{Client, ClientAuth};
use exchange_core::types::{ClientId, ContextName, Issuer, Secret};
use exchange_smol::executor;
use exchange_smol::files;

use crate::args;
use crate::exit::{Class, Failure};
use crate::login::paths::Places;
use crate::login::requests::{Peer, Requests};
use crate::login::store::TokenStore;
use crate::login::surroundings::Surroundings;
use crate::login::{client, context, watcher};
use crate::terminal;

/// A watcher that is refreshing gets this long to finish.
const LOCK_MILLIS: u64 = 10_000;
const CA_BYTES_MAX: usize = 1024 * 1024;

/// Runs the command: each part is tried whatever became of the others.
pub(crate) fn run(args: &args::Logout) -> Result<ExitCode, Failure> {
    let target = &args.target;
    let name = target.context_name()?;
    let places = Places::of_process();
    // Who logs out sits here, and a keychain may be locked.
    let store = TokenStore::open(target.token_store, Surroundings::of_process().prompt(true))?;
    let path = places.talosconfig(target.talosconfig.as_deref())?.writable()?;
    let revocation = if args.revoke { Some(Revocation::new(args, &places)?) } else { None };
    // Without the lock it works as well; a refresh elsewhere might then store its tokens after us.
    let is_there = store.load(&name).map_or(true, |entry| entry.is_some());
    let _lock = is_there.then(|| store.lock(&name, LOCK_MILLIS));
    let revoked = match &revocation {
        Some(revocation) => revocation.run(&store, &name),
        None => Ok(()),
    };
    let forgotten = forget(&store, &name);
    let removed = remove(&path, &name);
    warn_of_watch(&path, &name);
    forgotten.and(removed).and(revoked).map(|()| ExitCode::SUCCESS)
}

fn forget(store: &TokenStore, name: &ContextName) -> Result<(), Failure> {
    match store.forget(name) {
        Ok(true) => terminal::line("Cached token cleared."),
        Ok(false) => {
            terminal::line(&format!("No cached token for context \"{}\".", name.as_str()));
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

fn remove(path: &std::path::Path, name: &ContextName) -> Result<(), Failure> {
    let (name, shown) = (name, path.display());
    if context::remove(path, name)? {
        terminal::line(&format!("Context \"{}\" removed from {shown}.", name.as_str()));
    } else {
        terminal::line(&format!("No context \"{}\" in {shown}.", name.as_str()));
    }
    Ok(())
}

/// A watch has its ID token in memory and knows nothing of this.
fn warn_of_watch(path: &std::path::Path, name: &ContextName) {
    if !watcher::is_running(path, name) {
        return;
    }
    let pid = watcher::look(path, name).get("pid").and_then(serde_json::Value::as_u64);
    let pid = pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default();
    terminal::error_line(&format!(
        "warning: a login --watch of this context is running{pid} and writes it again when it \
         renews: end it too"
    ));
}

/// What it takes to have the provider end the refresh token (RFC 7009), and with it what was made
/// from it.
struct Revocation {
    requests: Requests,
    secret: Option<Secret>,
    auth: ClientAuth,
}

impl Revocation {
    fn new(args: &args::Logout, places: &Places) -> Result<Self, Failure> {
        let auth = client::auth(&args.client)?;
        let requests = requests(args, places)?;
        let secret = client::secret(&args.client, places)?;
        Ok(Self { requests, secret, auth })
    }

    fn run(&self, store: &TokenStore, name: &ContextName) -> Result<(), Failure> {
        let Some(entry) = store.load(name)? else { return Ok(()) };
        if entry.refresh_token.is_none() {
            terminal::line("There is no refresh token to revoke.");
            return Ok(());
        }
        executor::run(NonZeroUsize::MIN, self.ask_provider(&entry))?;
        terminal::line("Refresh token revoked at the provider.");
        Ok(())
    }

    async fn ask_provider(&self, entry: &CacheEntry) -> Result<(), Failure> {
        let failed = |text: String| {
            let text = format!(
                "the provider did not revoke the refresh token: {text}. It is deleted here; end the \
                 session at the provider"
            );
            Failure::new(Class::Unavailable, "logout.not_revoked", text)
        };
        let issuer: Issuer = entry.issuer.parse().map_err(|_| failure_of_entry())?;
        let client_id: ClientId = entry.client_id.parse().map_err(|_| failure_of_entry())?;
        let policy = DiscoveryPolicy { allow_http: issuer.is_plain_http(), slash_tolerant: false };
        let url = policy.discovery_url(&issuer).map_err(|error| failed(error.to_string()))?;
        let request = FetchRequest {
            url,
            post: None,
            headers: Vec::new(),
            trust: Trust::Provider,
            body_bytes_max: METADATA_BYTES_MAX,
            timeout_millis: 15_000,
        };
        let reply =
            self.requests.fetch(request).await.map_err(|error| failed(error.to_string()))?;
        let metadata = Metadata::parse(&reply.body, &issuer, &policy)
            .map_err(|error| failed(error.to_string()))?;
        let endpoint = metadata
            .revocation_endpoint
            .as_ref()
            .ok_or_else(|| failed("it has no revocation endpoint".to_owned()))?;
        let Some(token) = &entry.refresh_token else { return Ok(()) };
        let listed = metadata.revocation_endpoint_auth_methods.as_deref();
        let auth = self.auth.settled(listed.or(metadata.token_endpoint_auth_methods.as_deref()));
        let client = Client { id: &client_id, secret: self.secret.as_ref(), auth };
        let reply = self.requests.fetch(client.revoke(endpoint, token)).await;
        match reply.map_err(|error| failed(error.to_string()))?.status {
            200..=299 => Ok(()),
            400 | 401 if self.secret.is_none() => Err(failed(
                "it refused this client, which may need its secret: --client-secret-file"
                    .to_owned(),
            )),
            status => Err(failed(format!("it answered {status}"))),
        }
    }
}

fn requests(args: &args::Logout, places: &Places) -> Result<Requests, Failure> {
    let wrong = |error: String| Failure::local("config.invalid", format!("--provider-ca: {error}"));
    let peer = match args.provider_ca.as_ref().filter(|path| !path.as_os_str().is_empty()) {
        None => Peer::System,
        Some(path) => {
            let pem = files::read(&places.expand(path), CA_BYTES_MAX)
                .map_err(|error| wrong(error.to_string()))?;
            Peer::SystemPlus(pem.to_vec())
        }
    };
    peer.check().map_err(|error| wrong(error.to_string()))?;
    Ok(Requests::new(peer, Peer::System))
}

fn failure_of_entry() -> Failure {
    Failure::local("cache.invalid", "the cached login names no usable provider")
}
