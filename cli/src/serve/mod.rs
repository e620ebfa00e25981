//! The command `serve`: the exchange server on its sockets.

mod front;
mod hands;
mod journal;
pub(crate) mod load;
pub(crate) mod log;
mod reload;
mod scribe;
mod tls;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use exchange_core::config::{AuditLog, Settings};
use exchange_core::pki::KeyAlgorithm;
use exchange_core::server::audit_chain::Chain;
use exchange_core::server::{Door, Input, Server};
use exchange_smol::audit_sink::{AuditSink, AuditTarget};
use exchange_smol::driver::drive;
use exchange_smol::executor::{self, spawn};
use exchange_smol::files::FileLock;
use exchange_smol::listen::{ListenLimits, Listener, Load, raise_open_files};
use exchange_smol::signals::{Signal, Signals};
use exchange_smol::systemd::{self, Manager, State};
use exchange_smol::{clock, files};
use smol::channel::{Sender, bounded, unbounded};

use crate::args;
use crate::exit::Failure;
use front::{Front, GivenSocket, listeners};
use hands::{ServeHands, Tools};
use load::{Loaded, in_data_dir, refused};
use scribe::{Order, Scribe};

/// Open files that are kept for other things than connections.
const FILES_ELSEWHERE: usize = 64;

/// Runs the command.
pub(crate) fn run(args: &args::Serve) -> Result<ExitCode, Failure> {
    // Descriptors are known by number, so before any is opened.
    let given = if args.check { Ok(Vec::new()) } else { systemd::sockets() };
    log::set_debug(std::env::var_os("DEBUG").is_some_and(|value| !value.is_empty()));
    let config = args.config.as_deref();
    if args.check {
        return check(config);
    }
    let loaded = load::load(config, 0, tls::check_pair)?;
    let threads = usize::try_from(loaded.settings.threads).unwrap_or(1);
    let threads = NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN);
    let given = given.map_err(|error| refused("listen.not_given", error.to_string()))?;
    executor::run(threads, serve(loaded, config.map(Path::to_path_buf), given))?;
    Ok(ExitCode::SUCCESS)
}

/// `--check`: reads everything, and says what is wrong or what would be served.
fn check(config: Option<&Path>) -> Result<ExitCode, Failure> {
    let loaded = load::load(config, 0, |settings, problems| {
        front::check(settings, problems);
        tls::check(settings, problems);
        if let AuditLog::File(path) = &settings.audit_log {
            problems.keep(journal::writable(Path::new(path)));
        }
    })?;
    if !loaded.settings.issuer.is_plain_http() && loaded.fetcher.provider().root_count() == 0 {
        load::warn_of_no_authorities();
    }
    for line in loaded.settings.describe() {
        crate::terminal::line(&line);
    }
    crate::terminal::line(&format!(
        "signing CA: {} sha256:{}",
        key_name(loaded.setup.ca.key_algorithm()),
        loaded.setup.ca.fingerprint_sha256()
    ));
    crate::terminal::line("configuration is valid");
    Ok(ExitCode::SUCCESS)
}

/// What the signing key is, for people.
fn key_name(algorithm: KeyAlgorithm) -> String {
    match algorithm {
        KeyAlgorithm::Ed25519 => "Ed25519".into(),
        KeyAlgorithm::P256 => "ECDSA P-256".into(),
        KeyAlgorithm::P384 => "ECDSA P-384".into(),
        KeyAlgorithm::Rsa { bits } => format!("RSA {bits}"),
    }
}

/// Binds, prints where, and serves until a signal.
async fn serve(
    loaded: Loaded,
    config: Option<PathBuf>,
    given: Vec<GivenSocket>,
) -> Result<(), Failure> {
    let Loaded { settings, mut setup, signer, fetcher } = loaded;
    // Before anybody can know that we run: a signal that comes at once must not cut us off.
    let signals = Signals::listen(true)
        .map_err(|error| refused("signals.unavailable", format!("signals: {error}")))?;
    let material = tls::Material::load(&settings, tls::Keep::InDataDir)?;
    let server_tls = material.as_ref().map(tls::Material::server).transpose()?;
    setup.served_ca = material.as_ref().and_then(|material| material.own_ca.clone());
    let (listener, metrics) = listeners(&settings, given)?;
    let (chain, target, _lock) = audit(&settings)?;
    let sink = AuditSink::open(target.clone())
        .map_err(|error| refused(error.code(), format!("audit_log: {error}")))?;
    let key = journal::checkpoint_key(in_data_dir(&settings, "audit.key").as_deref())?;

    announce(&settings, material.as_ref(), &listener, metrics.as_ref());
    log::info(&format!("audit checkpoints are signed by {}", key.verifier()));

    // Bounded where requests come in; a bounded channel would keep room for its worst moment.
    let (inputs, inbox) = unbounded::<Input>();
    // Bounded by the requests that wait for an answer, which the machine bounds.
    let (scribe_orders, scribe_inbox) = unbounded::<Order>();
    let front = Arc::new(Front::default());
    let connections = connections_max(&settings);
    setup.waiting_max = connections;
    let desk = front.desk(&inputs, &scribe_orders, Door::Main, connections);
    let tools = Arc::new(Mutex::new(Tools::new(fetcher, setup.generation, signer)));
    let keys_file = in_data_dir(&settings, "provider-keys");
    let metrics_desk = front.desk(&inputs, &scribe_orders, Door::Metrics, connections);
    let scribe = Scribe {
        orders: scribe_inbox,
        kept: None,
        sink,
        chain,
        key,
        interval_millis: settings.audit_checkpoint_ms,
        state: target_path(&target).and_then(|path| journal::state_of(&path)),
        desk: Arc::clone(&desk),
        inputs: inputs.clone(),
        faulty: false,
        pinned: 0,
        renamed: None,
        withheld: 0,
    };
    let scribe = spawn(scribe.work());
    let hands = ServeHands {
        tools: Arc::clone(&tools),
        inputs: inputs.clone(),
        scribe: scribe_orders.clone(),
        desk: Arc::clone(&desk),
        metrics_desk: Arc::clone(&metrics_desk),
        keys_file: keys_file.clone(),
    };
    let machine = Server::new(setup, clock::now())
        .map_err(|error| refused(error.code(), format!("issuer_url: {error}")))?;
    if let Some(saved) = keys_file.and_then(|path| files::read_if_there(&path, 2 << 20).ok()?) {
        let _ = inputs.try_send(Input::SavedKeys(saved.to_vec()));
    }
    if let Some(path) = target_path(&target) {
        journal::replay(&path, inputs.clone());
    }
    let machine = spawn(drive(machine, inbox, hands));

    let limits = ListenLimits::SERVER.with_connections(connections);
    let (stop, stopped) = bounded::<()>(1);
    if let Some(metrics) = metrics {
        let (stopped, small) = (stopped.clone(), ListenLimits::SERVER.with_connections(64));
        let until = async move {
            let _ = stopped.recv().await;
        };
        let own_load = Arc::new(Load::default());
        spawn(metrics.serve(metrics_desk, None, small, own_load, until)).detach();
    }
    let (tls, load) = (server_tls.clone(), Arc::clone(&front.load));
    let serving = spawn(listener.serve(desk, tls, limits, load, async move {
        let _ = stopped.recv().await;
    }));
    let reloader = reload::Reloader::new(
        config,
        settings,
        material.and_then(|material| material.own_ca),
        reload::Running { tools, server_tls, inputs, scribe: scribe_orders.clone(), connections },
    );
    let manager = Manager::at(std::env::var_os("NOTIFY_SOCKET").as_deref());
    manager.tell(State::Ready);
    until_told(signals, reloader, &manager).await;
    manager.tell(State::Stopping);
    log::info("stopping: finishing requests under way");
    drop(stop);
    let drained = serving.await;
    if drained.left > 0 {
        log::warn(&format!("{} connections were cut", drained.left));
    }
    finish(&scribe_orders).await;
    drop((scribe, machine));
    log::info("stopped");
    Ok(())
}

/// Connections at one time: as configured, but leaving open files for everything else.
fn connections_max(settings: &Settings) -> usize {
    let wanted = usize::try_from(settings.max_connections).unwrap_or(usize::MAX);
    let files = raise_open_files().and_then(|files| usize::try_from(files).ok());
    let possible = files.unwrap_or(usize::MAX).saturating_sub(FILES_ELSEWHERE).max(1);
    if possible < wanted {
        log::warn(&format!(
            "max_connections is {wanted}, but only {possible} are possible: raise the limit of \
             open files (LimitNOFILE, ulimit -n)"
        ));
    }
    wanted.min(possible)
}

/// Waits for SIGTERM or SIGINT; SIGHUP and changed files reload meanwhile.
async fn until_told(mut signals: Signals, mut reloader: reload::Reloader, manager: &Manager) {
    loop {
        let signal = async { Some(signals.next().await) };
        let look = async {
            clock::sleep(reload::LOOK_MILLIS).await;
            None
        };
        match smol::future::or(signal, look).await {
            Some(Some(Signal::Terminate | Signal::Interrupt) | None) => return,
            Some(Some(Signal::Reload)) => {
                manager.tell(State::Reloading);
                reloader.reload("SIGHUP").await;
                manager.tell(State::Ready);
            }
            None => reloader.look().await,
        }
    }
}

/// Lets the scribe write what it has and a last checkpoint.
async fn finish(orders: &Sender<Order>) {
    let (done, finished) = bounded(1);
    if orders.try_send(Order::Finish(done)).is_ok() {
        let _ = executor::within(5_000, finished.recv()).await;
    }
}

/// Where the audit log goes, where its chain stands, and the right to go on with it.
fn audit(settings: &Settings) -> Result<(Chain, AuditTarget, Option<FileLock>), Failure> {
    Ok(match &settings.audit_log {
        AuditLog::Stdout => (Chain::default(), AuditTarget::Stdout, None),
        AuditLog::File(path) => {
            let path = PathBuf::from(path);
            let lock = journal::lock(&path)?;
            (journal::chain(&path)?, AuditTarget::File { path, durable: false }, lock)
        }
    })
}

fn target_path(target: &AuditTarget) -> Option<PathBuf> {
    match target {
        AuditTarget::Stdout => None,
        AuditTarget::File { path, .. } => Some(path.clone()),
    }
}

/// Says what is served where, with the authority to trust.
fn announce(
    settings: &Settings,
    material: Option<&tls::Material>,
    listener: &Listener,
    metrics: Option<&Listener>,
) {
    log::info(&format!("talosctl-oidc {} exchange server", crate::version::VERSION));
    for line in settings.describe() {
        log::debug(format_args!("[CONFIG] {line}"));
    }
    let scheme = if material.is_some() { "https" } else { "http" };
    if material.is_none() {
        log::warn("insecure: plain HTTP; anybody on the way can read tokens and keys");
    }
    if let Some(material) = material
        && let (Some(pem), Some(print)) = (&material.own_ca, &material.fingerprint)
    {
        log::info(&format!(
            "self-signed TLS authority sha256:{print}; give clients this as --server-ca:"
        ));
        log::plain(pem);
    }
    for address in listener.addresses() {
        log::info(&format!("listening on {scheme}://{address}"));
    }
    for address in metrics.iter().flat_map(|listener| listener.addresses()) {
        log::info(&format!("metrics on http://{address}/metrics"));
    }
}
