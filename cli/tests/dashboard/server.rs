//! The program under test: `serve` as a process of its own, self-signed, on a port it chooses.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use exchange_core::http::{FetchRequest, Trust};
use exchange_smol::fetch::Fetcher;
use exchange_smol::proxy::ProxySettings;
use exchange_smol::tls::{ClientOptions, ClientRoots, ClientTls};
use serde_json::json;
use zeroize::Zeroizing;

use crate::provider::{CLIENT_ID, Provider};

/// A running server; it ends with this value.
pub(crate) struct Server {
    process: Child,
    url: String,
    fetcher: Fetcher,
    dir: PathBuf,
}

impl Server {
    /// Starts `serve` and waits until it listens.
    pub(crate) fn start(provider: &Provider, admin_token: &str) -> Self {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("dashboard-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime-smol/tests/fixtures");
        // JSON is YAML, so no path needs quoting by hand.
        let config = json!({
            "issuer_url": provider.issuer(),
            "client_id": CLIENT_ID,
            "listen": "127.0.0.1:0",
            "endpoints": ["10.0.0.1"],
            "ca_cert": fixtures.join("ca.crt"),
            "ca_key": fixtures.join("ca.key"),
            "data_dir": dir.join("data"),
            "audit_log": dir.join("audit.log"),
            "admin_token": admin_token,
            "cert_ttl": "30m",
            "roles": [],
            "rbac": { "rules": [
                { "claim": "groups", "value": "admins", "roles": ["os:admin", "os:etcd:backup"] },
                { "claim": "groups", "value": "readers", "roles": ["os:reader"] },
            ] },
        });
        let path = dir.join("config.yaml");
        fs::write(&path, config.to_string()).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_talosctl-oidc"))
            .args(["serve".as_ref(), "--config".as_ref(), path.as_os_str()])
            .env_clear()
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let url = listening(BufReader::new(process.stderr.take().unwrap()));
        let ca = fs::read(dir.join("data/ca.crt")).unwrap();
        let options = ClientOptions { roots: ClientRoots::Only(&ca), ..ClientOptions::default() };
        let tls = ClientTls::new(options).unwrap();
        let fetcher = Fetcher::new(tls.clone(), tls, ProxySettings::from_env(|_| None), "test");
        Self { process, url, fetcher, dir }
    }

    /// Its address, without a final slash.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Hands a token in and gives the status.
    pub(crate) fn exchange(&self, token: &str) -> u16 {
        let body = json!({ "id_token": token }).to_string().into_bytes();
        let request = FetchRequest {
            url: format!("{}/exchange", self.url).parse().unwrap(),
            post: Some(("application/json", Zeroizing::new(body))),
            headers: Vec::new(),
            trust: Trust::Server,
            body_bytes_max: 65_536,
            timeout_millis: 30_000,
        };
        smol::block_on(self.fetcher.fetch(request)).unwrap().status
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// The first address the log names. The log is read to its end, so that nobody waits for us.
fn listening(log: impl BufRead + Send + 'static) -> String {
    let (found, address) = mpsc::channel();
    let reader = thread::spawn(move || {
        let mut said = Vec::new();
        for line in log.lines().map_while(Result::ok) {
            if let Some((_, url)) = line.split_once("listening on ") {
                let _ = found.send(url.to_owned());
            }
            said.push(line);
        }
        said
    });
    address.recv_timeout(Duration::from_secs(30)).unwrap_or_else(|_| {
        let ended = reader.is_finished().then(|| reader.join().unwrap_or_default());
        panic!("the server does not listen: {ended:?}")
    })
}
