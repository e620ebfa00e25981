//! What the demo needs around it: provider, authority, exchange server and node, all on loopback.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use exchange_core::json;
use exchange_core::talosconfig::Talosconfig;
use exchange_core::types::Url;
use exchange_smol::{clock, executor, files};
use ring::rand::SystemRandom;
use smol::Task;

use super::browser;
use super::ca::{Authority, Order, Purpose};
use super::child::{Process, Program};
use super::folder::Folder;
use super::node::{Access, Node};
use super::provider::{CLIENT_ID, Provider};
use super::wire::{self, Trouble};

/// A day is more than anybody stays.
const NODE_SECS: u64 = 86_400;
/// Largest talosconfig that is read.
const FILE_BYTES_MAX: usize = 1024 * 1024;
/// Which group gets which role.
const RULES: [(&str, &str); 3] = [
    ("platform-admins", "os:admin"),
    ("developers", "os:reader"),
    ("backup-operators", "os:etcd:backup"),
];

/// Everything that runs. Dropping it ends the processes first and removes the folder last.
pub(crate) struct Stage {
    /// Issuer of the development provider.
    pub(crate) issuer: String,
    /// `host:port` of the node.
    pub(crate) node: String,
    /// The authority whose clients the node takes.
    pub(crate) authority: Authority,
    /// Randomness.
    pub(crate) rng: SystemRandom,
    program: Program,
    _tasks: [Task<()>; 2],
    /// Where all files are.
    pub(crate) folder: Folder,
}

/// An exchange server that runs as a process.
pub(crate) struct Exchange {
    /// Its address, `https` and a port the system chose.
    pub(crate) url: String,
    /// The authority of its own certificate.
    pub(crate) ca: PathBuf,
    /// Its configuration.
    pub(crate) config: PathBuf,
    /// Its audit log.
    pub(crate) audit: PathBuf,
    /// What the checkpoints in its audit log are verified with.
    pub(crate) verifier: String,
    _process: Process,
}

/// How a login ended.
pub(crate) struct Login {
    /// Exit code; `None` after a signal.
    pub(crate) code: Option<i32>,
    /// Whether it wanted a browser.
    pub(crate) browser: bool,
    /// The last it said.
    pub(crate) last_words: String,
}

impl Stage {
    /// Starts provider and node.
    pub(crate) async fn new() -> Result<Self, Trouble> {
        let rng = SystemRandom::new();
        let randomness = || "the system gives no randomness".to_owned();
        let folder = Folder::new(&rng)?;
        let now = clock::wall();
        let authority = Authority::new(now, &rng).ok_or_else(randomness)?;
        folder.write("talos-ca.crt", authority.pair.cert.as_bytes())?;
        folder.write("talos-ca.key", authority.pair.key.expose())?;

        let listener = wire::listen(0).await.map_err(told)?;
        let issuer = format!("http://{}", listener.local_addr().map_err(told)?);
        let provider = Provider::new(issuer.clone()).map_err(|_| randomness())?;
        let provider = executor::spawn(wire::serve(listener, None, Arc::new(provider)));

        let order = Order {
            organizations: &[],
            common_name: "demo-node",
            purposes: &[Purpose::Server],
            loopback: true,
            validity: (now, now.plus_secs(NODE_SECS)),
        };
        let own = authority.issue(&order, &rng).ok_or_else(randomness)?;
        let tls = Node::tls(&own, &authority.pair.cert).map_err(|error| error.to_string())?;
        let listener = wire::listen(0).await.map_err(told)?;
        let node = listener.local_addr().map_err(told)?.to_string();
        let serving = executor::spawn(wire::serve(listener, Some(tls), Arc::new(Node)));
        let program = Program::this(folder.path())?;
        Ok(Self { issuer, node, authority, rng, program, _tasks: [provider, serving], folder })
    }

    /// Starts `serve` with certificates that live for `ttl` and waits until it listens.
    pub(crate) async fn exchange(&self, name: &str, ttl: &str) -> Result<Exchange, Trouble> {
        let (data, audit) = (format!("{name}-data"), format!("{name}-audit.log"));
        let config = self.config(ttl, &data, &audit);
        let config = self.folder.write(&format!("{name}.yaml"), config.as_bytes())?;
        let arguments = ["serve".as_ref(), "--config".as_ref(), config.as_os_str()];
        let mut process = self.program.start(arguments)?;
        let url = process.wait_for(|line| after(line, "listening on ")).await?;
        let verifier = process.wait_for(|line| after(line, "are signed by ")).await?;
        let (Some(url), Some(verifier)) = (url, verifier) else {
            return Err(format!("serve ended: {}", process.last_words()));
        };
        let ca = self.folder.join(&data).join("ca.crt");
        let audit = self.folder.join(&audit);
        Ok(Exchange { url, ca, config, audit, verifier, _process: process })
    }

    /// The configuration file of an exchange server.
    fn config(&self, ttl: &str, data: &str, audit: &str) -> String {
        let mut text = String::new();
        let mut set = |key: &str, value: &str| {
            text.push_str(key);
            text.push_str(": ");
            // A JSON text is a YAML text.
            json::write_string(&mut text, value);
            text.push('\n');
        };
        let at = |name: &str| self.folder.join(name).to_string_lossy().into_owned();
        set("issuer_url", &self.issuer);
        set("client_id", CLIENT_ID);
        set("ca_cert", &at("talos-ca.crt"));
        set("ca_key", &at("talos-ca.key"));
        set("cluster_name", "demo");
        set("cert_ttl", ttl);
        set("listen", "127.0.0.1:0");
        set("data_dir", &at(data));
        set("audit_log", &at(audit));
        set("audit_checkpoint_interval", "1s");
        text.push_str(&format!("endpoints: [\"{}\"]\n", self.node));
        text.push_str("nodes: [\"127.0.0.1\"]\nroles: []\nrbac:\n  rules:\n");
        for (group, role) in RULES {
            text.push_str(&format!(
                "    - claim: groups\n      value: {group}\n      roles: [\"{role}\"]\n"
            ));
        }
        text
    }

    /// Runs `login` for `user` into the context of the same name, being the browser if it wants
    /// one.
    pub(crate) async fn login(
        &self,
        exchange: &Exchange,
        user: &str,
        context: &str,
        more: &[&str],
    ) -> Result<Login, Trouble> {
        // Taken and given back: the login binds it in a moment.
        let free = wire::listen(0).await.map_err(told)?.local_addr().map_err(told)?.port();
        let (ca, talosconfig) = (exchange.ca.display().to_string(), self.talosconfig());
        let port = free.to_string();
        let talosconfig = talosconfig.display().to_string();
        let arguments = [
            "login",
            &exchange.url,
            "--server-ca",
            &ca,
            "--talosconfig",
            &talosconfig,
            "--context-name",
            context,
            "--callback-port",
            &port,
            "--skip-open-browser",
        ];
        let mut process = self.program.start(arguments.iter().chain(more))?;
        let page = format!("{}/authorize?", self.issuer);
        let page = process.wait_for(|line| url_in(line, &page)).await?;
        if let Some(page) = &page {
            let back = browser::choose(page, user).await?;
            browser::come_back(&back).await?;
        }
        let code = process.end().await?;
        let words = process.last_words();
        let last_words = words.strip_prefix("Error: ").unwrap_or(words).to_owned();
        Ok(Login { code, browser: page.is_some(), last_words })
    }

    /// The talosconfig that logins write.
    pub(crate) fn talosconfig(&self) -> PathBuf {
        self.folder.join("talosconfig")
    }

    /// What one context of the talosconfig gives access to; `None` when it is not there.
    pub(crate) fn access(&self, context: &str) -> Result<Option<Access>, Trouble> {
        let Some(text) = files::read_if_there(&self.talosconfig(), FILE_BYTES_MAX)
            .map_err(|error| error.to_string())?
        else {
            return Ok(None);
        };
        let text = std::str::from_utf8(&text).map_err(|error| error.to_string())?;
        let config = Talosconfig::parse(text).map_err(|error| error.to_string())?;
        let Some(context) = config.context(context) else { return Ok(None) };
        let parts = (context.ca_pem(), context.crt_pem(), context.key_pem());
        let (Ok(Some(ca)), Ok(Some(cert)), Ok(Some(key))) = parts else {
            return Err("the context has no certificate".to_owned());
        };
        let endpoint = context.endpoints.first().cloned().unwrap_or_default();
        Ok(Some(Access { endpoint, ca, cert, key }))
    }
}

fn told(error: io::Error) -> Trouble {
    error.to_string()
}

/// The word behind `mark`.
fn after(line: &str, mark: &str) -> Option<String> {
    line.split_once(mark)?.1.split_whitespace().next().map(str::to_owned)
}

/// The URL in a line that begins like that.
fn url_in(line: &str, start: &str) -> Option<Url> {
    let at = line.find(start)?;
    line.get(at..)?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_urls_are_found_in_what_a_process_says() {
        let line = "2026-01-01T00:00:00Z listening on https://127.0.0.1:1 (TLS)";
        assert_eq!(after(line, "listening on ").as_deref(), Some("https://127.0.0.1:1"));
        assert_eq!(after(line, "signed by "), None);
        let start = "http://127.0.0.1:1/authorize?";
        let found = url_in("  http://127.0.0.1:1/authorize?a=b&c=d ", start);
        assert_eq!(found.expect("a URL").target(), "/authorize?a=b&c=d");
        assert!(url_in("http://127.0.0.1:2/authorize?a=b", start).is_none());
    }
}
