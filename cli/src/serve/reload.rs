//! A new configuration without a stop: checked as a whole first, then taken over as a whole.
//!
//! What is wrong is said and changes nothing. Sockets, audit log and threads stay as they were at
//! the start.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use exchange_core::config::{CaSource, Settings, TlsMode};
use exchange_core::machine::Mono;
use exchange_core::server::Input;
use exchange_smol::clock;
use exchange_smol::tls::ServerTls;
use smol::channel::Sender;

use super::hands::Tools;
use super::load::{Loaded, load};
use super::log;
use super::scribe::Order;
use super::tls::{self, Keep, Material};
use crate::exit::Failure;

/// How often files are looked at for changes.
pub(super) const LOOK_MILLIS: u64 = 2_000;
/// How often a self-made certificate is looked at, so that it is renewed in time.
const CERTIFY_MILLIS: u64 = 24 * 60 * 60 * 1000;

/// What tells one state of a file from another: also a link that now leads elsewhere, as mounted
/// secrets change.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    modified: Option<SystemTime>,
    length: u64,
    inode: u64,
}

fn see(path: &Path) -> Option<Seen> {
    let meta = std::fs::metadata(path).ok()?;
    #[cfg(unix)]
    let inode = std::os::unix::fs::MetadataExt::ino(&meta);
    #[cfg(not(unix))]
    let inode = 0;
    Some(Seen { modified: meta.modified().ok(), length: meta.len(), inode })
}

/// The parts of a running server that a reload reaches.
pub(super) struct Running {
    /// Fetcher and signing keys.
    pub(super) tools: Arc<Mutex<Tools>>,
    /// The listener's certificate; `None` with plain HTTP.
    pub(super) server_tls: Option<Arc<ServerTls>>,
    /// To the machine.
    pub(super) inputs: Sender<Input>,
    /// To the audit log.
    pub(super) scribe: Sender<Order>,
    /// How many connections there may be, until a restart.
    pub(super) connections: usize,
}

/// Takes new configurations over.
pub(super) struct Reloader {
    config: Option<PathBuf>,
    settings: Arc<Settings>,
    /// Those of the start, which only a restart changes.
    started: Arc<Settings>,
    running: Running,
    seen: Vec<(PathBuf, Option<Seen>)>,
    generation: u64,
    certified: Mono,
    /// What `/ca` answers, while the listener keeps its certificate.
    served_ca: Option<String>,
}

impl Reloader {
    /// A reloader for a server that runs with `settings` and offers `served_ca`.
    pub(super) fn new(
        config: Option<PathBuf>,
        settings: Settings,
        served_ca: Option<String>,
        running: Running,
    ) -> Self {
        let settings = Arc::new(settings);
        let mut new = Self {
            config,
            started: Arc::clone(&settings),
            settings,
            running,
            seen: Vec::new(),
            generation: 0,
            certified: clock::mono(),
            served_ca,
        };
        new.seen = new.watched();
        new
    }

    /// Files whose change means a reload, as they are now.
    fn watched(&self) -> Vec<(PathBuf, Option<Seen>)> {
        let settings = &self.settings;
        let mut paths: Vec<PathBuf> = self.config.iter().cloned().collect();
        let mut add = |path: &str| paths.push(PathBuf::from(path));
        match &settings.ca {
            CaSource::Pem { cert, key } => {
                cert.path().into_iter().chain(key.path()).for_each(&mut add);
            }
            CaSource::TalosConfig { path } => add(path),
        }
        if let TlsMode::Files { cert, key } = &settings.tls {
            add(cert);
            add(key);
        }
        let more = [&settings.client_secret_file, &settings.idp_ca, &settings.talos_ca];
        more.into_iter().flatten().for_each(|path| add(path));
        paths.into_iter().map(|path| (path.clone(), see(&path))).collect()
    }

    /// Reloads if a file has changed and has stopped changing.
    pub(super) async fn look(&mut self) {
        let paths: Vec<PathBuf> = self.seen.iter().map(|(path, _)| path.clone()).collect();
        let now = smol::unblock(move || {
            paths.into_iter().map(|path| (path.clone(), see(&path))).collect::<Vec<_>>()
        })
        .await;
        if now != self.seen {
            self.reload("changed files").await;
        } else if self.settings.tls == TlsMode::SelfSigned
            && clock::mono().since(self.certified) > CERTIFY_MILLIS
        {
            self.reload("daily look at the server certificate").await;
        }
    }

    /// Loads everything again and takes it over, or says why not.
    pub(super) async fn reload(&mut self, why: &str) {
        let _ = self.running.scribe.try_send(Order::Reopen);
        self.generation += 1;
        let (config, generation) = (self.config.clone(), self.generation);
        let work = move || -> Result<(Loaded, Option<Material>), Failure> {
            let loaded = load(config.as_deref(), generation, tls::check_pair)?;
            let material = Material::load(&loaded.settings, Keep::InDataDir)?;
            Ok((loaded, material))
        };
        match smol::unblock(work).await {
            Ok((loaded, material)) => match self.take_over(loaded, material).await {
                Ok(()) => log::info(&format!("configuration reloaded: {why}")),
                Err(failure) => refuse(&failure, why),
            },
            Err(failure) => refuse(&failure, why),
        }
        self.certified = clock::mono();
        self.seen = self.watched();
    }

    async fn take_over(
        &mut self,
        loaded: Loaded,
        material: Option<Material>,
    ) -> Result<(), Failure> {
        let Loaded { settings, mut setup, signer, fetcher } = loaded;
        self.warn_of_restart(&settings);
        setup.waiting_max = self.running.connections;
        match (&self.running.server_tls, &material) {
            (Some(server), Some(material)) => {
                material.replace_in(server)?;
                self.served_ca.clone_from(&material.own_ca);
                setup.served_ca.clone_from(&material.own_ca);
            }
            (None, None) => {}
            (Some(_), None) | (None, Some(_)) => {
                log::warn("insecure or TLS was switched: restart to change it");
                setup.served_ca.clone_from(&self.served_ca);
            }
        }
        self.running.tools.lock().unwrap_or_else(PoisonError::into_inner).renew(
            fetcher,
            setup.generation,
            signer,
        );
        let _ = self.running.inputs.send(Input::Reload(Box::new(setup))).await;
        self.settings = Arc::new(settings);
        Ok(())
    }

    /// Names the settings that only a restart changes.
    fn warn_of_restart(&self, new: &Settings) {
        let old = &self.started;
        let changed = [
            ("listen", old.listen != new.listen),
            ("metrics_listen", old.metrics_listen != new.metrics_listen),
            ("audit_log", old.audit_log != new.audit_log),
            ("audit_checkpoint_interval", old.audit_checkpoint_ms != new.audit_checkpoint_ms),
            ("data_dir", old.data_dir != new.data_dir),
            ("threads", old.threads != new.threads),
            ("max_connections", old.max_connections != new.max_connections),
        ];
        for (name, _) in changed.iter().filter(|(_, changed)| *changed) {
            log::warn(&format!("{name} has changed: restart to make it count"));
        }
    }
}

fn refuse(failure: &Failure, why: &str) {
    log::error(&format!(
        "{why}: the new configuration is refused and the old one goes on: {} [{}]",
        failure.message, failure.code
    ));
}
