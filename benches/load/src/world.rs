//! Servers under test: built, configured, started on a core of their own.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_rustls::rustls::client::ClientConfig;
use serde_json::{Value, json};

use crate::client::{self, Conn};
use crate::machine;
use crate::provider::{CLIENT_ID, GROUP};

/// How long a start, or an answer that is awaited, may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A program to be measured.
#[derive(Clone)]
pub struct Program {
    /// What it is called in the tables.
    pub name: &'static str,
    /// The executable.
    pub path: PathBuf,
    /// Whether it is our server and not the peer.
    pub is_ours: bool,
}

/// What a server is to do.
#[derive(Clone)]
pub struct Wish {
    /// Issuer of the tokens.
    pub issuer: String,
    /// Rules that match nobody, before the one that does.
    pub idle_rules: usize,
    /// Lines that the audit log holds at the start.
    pub audit_lines: usize,
}

impl Wish {
    /// One rule, an empty log.
    pub fn of(issuer: &str) -> Self {
        Self { issuer: issuer.to_owned(), idle_rules: 0, audit_lines: 0 }
    }
}

/// A folder that goes away.
pub struct Folder(PathBuf);

impl Folder {
    /// A new one, of this process.
    pub fn new() -> Self {
        static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("end-to-end-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn write(&self, name: &str, text: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).expect("a file in a temporary folder");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("our own file");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A running server. Killed when dropped.
pub struct Served {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its files.
    pub folder: Arc<Folder>,
    config: PathBuf,
    /// From the start of the process to the first answer over TLS.
    pub ready: Duration,
}

const CA: (&[u8], &[u8]) = (
    include_bytes!("../../../vectors/cert/ca/ed25519.crt"),
    include_bytes!("../../../vectors/cert/ca/ed25519.key"),
);

/// A port that is free now.
pub fn free_port() -> u16 {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
    socket.local_addr().expect("an address").port()
}

impl Served {
    /// Starts `program` and waits until it answers.
    pub fn start(program: &Program, wish: &Wish, tls: &Arc<ClientConfig>) -> Self {
        let folder = Folder::new();
        folder.write("ca.crt", CA.0);
        folder.write("ca.key", CA.1);
        if wish.audit_lines > 0 {
            folder.write("audit.log", old_lines(wish.audit_lines).as_bytes());
        }
        let port = free_port();
        let config = if program.is_ours { our_config } else { peer_config };
        let config = config(&folder, wish, port);
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        Self::launch(program, Arc::new(folder), config, address, tls)
    }

    /// Kills it and starts it again where it left off.
    pub fn again(self, program: &Program, tls: &Arc<ClientConfig>) -> Self {
        let (folder, config) = (Arc::clone(&self.folder), self.config.clone());
        let address = self.address;
        drop(self);
        Self::launch(program, folder, config, address, tls)
    }

    fn launch(
        program: &Program,
        folder: Arc<Folder>,
        config: PathBuf,
        address: SocketAddr,
        tls: &Arc<ClientConfig>,
    ) -> Self {
        let mut command = Command::new(&program.path);
        if program.is_ours {
            command.args(["serve", "--config"]);
        }
        command.arg(&config);
        let log = File::create(folder.path("log")).expect("a file in a temporary folder");
        command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        // A child runs where its parent does.
        machine::pin(machine::SERVER_CORE);
        let started = Instant::now();
        let child = command.spawn().expect("the program can be started");
        machine::pin(machine::load_core());
        let mut new = Self { child, address, folder, config, ready: Duration::ZERO };
        smol::block_on(new.until_healthy(started, tls));
        new.ready = started.elapsed();
        new
    }

    async fn until_healthy(&mut self, started: Instant, tls: &Arc<ClientConfig>) {
        let request = client::request("GET", "/healthz", false, b"");
        loop {
            if let Ok(mut conn) = Conn::open(self.address, tls).await
                && conn.ask(&request).await.is_ok_and(|answer| answer.status == 200)
            {
                return;
            }
            let ended = self.child.try_wait().ok().flatten();
            let waited = started.elapsed();
            if ended.is_some() || waited > PATIENCE {
                let log = fs::read_to_string(self.folder.path("log")).unwrap_or_default();
                panic!("the server did not come up ({ended:?}):\n{log}");
            }
            smol::Timer::after(Duration::from_micros(200)).await;
        }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until a login works, once the keys of the provider are there, and looks at what it
    /// gives.
    pub fn until_working(&self, request: &[u8], tls: &Arc<ClientConfig>) {
        let until = Instant::now() + PATIENCE;
        smol::block_on(async {
            loop {
                let mut conn = Conn::open(self.address, tls).await.expect("it listens");
                let answer = conn.ask(request).await.expect("it answers");
                if answer.status == 200 {
                    return is_login(conn.body(&answer));
                }
                let text = String::from_utf8_lossy(conn.body(&answer)).into_owned();
                assert!(Instant::now() < until, "no login works: {} {text}", answer.status);
                smol::Timer::after(Duration::from_millis(50)).await;
            }
        });
    }

    /// Resident memory in kB.
    pub fn resident_kb(&self) -> u64 {
        machine::resident_kb(self.pid())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether this is the answer to a login: a key, and a certificate with the role.
fn is_login(body: &[u8]) {
    let answer: Value = serde_json::from_slice(body).expect("JSON");
    assert!(answer["key"].as_str().is_some_and(|key| key.contains("PRIVATE KEY")));
    let pem = answer["cert"].as_str().expect("a certificate");
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).expect("PEM");
    let cert = pem.parse_x509().expect("a certificate");
    let roles: Vec<&str> =
        cert.subject().iter_organization().filter_map(|role| role.as_str().ok()).collect();
    assert_eq!(roles, ["os:admin"]);
}

fn our_config(folder: &Folder, wish: &Wish, port: u16) -> PathBuf {
    let path = |name: &str| folder.path(name).display().to_string();
    let mut text = format!(
        "issuer_url: {}\nclient_id: {CLIENT_ID}\nlisten: 127.0.0.1:{port}\n\
         endpoints: [10.0.0.1, 10.0.0.2]\nca_cert: {}\nca_key: {}\ndata_dir: {}\naudit_log: {}\n\
         max_connections: 16384\nroles: []\nrbac:\n  rules:\n",
        wish.issuer,
        path("ca.crt"),
        path("ca.key"),
        path("data"),
        path("audit.log"),
    );
    for n in 0..wish.idle_rules {
        let _ = writeln!(text, "    - {{ claim: groups, value: team-{n}, roles: [os:reader] }}");
    }
    let _ = writeln!(text, "    - {{ claim: groups, value: {GROUP}, roles: [os:admin] }}");
    folder.write("config.yaml", text.as_bytes())
}

fn peer_config(folder: &Folder, wish: &Wish, port: u16) -> PathBuf {
    let mut groups = serde_json::Map::new();
    for n in 0..wish.idle_rules {
        groups.insert(format!("team-{n}"), json!(["os:reader"]));
    }
    groups.insert(GROUP.to_owned(), json!(["os:admin"]));
    let text = json!({
        "issuer": wish.issuer, "client_id": CLIENT_ID, "listen": format!("127.0.0.1:{port}"),
        "endpoints": ["10.0.0.1", "10.0.0.2"], "ca_cert": folder.path("ca.crt"),
        "ca_key": folder.path("ca.key"), "audit_log": folder.path("audit.log"),
        "ttl_seconds": 300, "groups": groups,
    });
    folder.write("config.json", text.to_string().as_bytes())
}

/// Audit lines as an older server left them: the chain begins behind them.
fn old_lines(count: usize) -> String {
    let mut text = String::new();
    for n in 0..count {
        let _ = writeln!(
            text,
            "{{\"time\":\"2027-01-15T08:00:00Z\",\"type\":\"cert_issued\",\"sub\":\"user-{n}\",\
             \"email\":\"user-{n}@example.com\",\"roles\":[\"os:admin\"],\
             \"serial\":\"{n:032x}\",\"not_after\":\"2027-01-15T08:05:00Z\",\
             \"remote_addr\":\"127.0.0.1:50000\"}}"
        );
    }
    text
}

/// Builds the programs: ours as it is released, the peer as its friends would build it.
pub fn build(with_aws_lc: bool) -> Result<(), String> {
    let root = root();
    let benches = root.join("benches");
    let cargo = |folder: &Path, arguments: &[&str]| {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.current_dir(folder).args(["build", "--locked", "--quiet"]).args(arguments);
        match command.status() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("cargo build {}: {status}", arguments.join(" "))),
            Err(error) => Err(format!("cargo: {error}")),
        }
    };
    cargo(&root, &["--release", "-p", "talosctl-oidc"])?;
    cargo(&benches, &["--profile", "peer", "-p", "exchange-peer"])?;
    if with_aws_lc {
        let more = ["--no-default-features", "--features", "aws-lc", "--target-dir", AWS_LC];
        cargo(&benches, &[&["--profile", "peer", "-p", "exchange-peer"][..], &more].concat())?;
    }
    Ok(())
}

const AWS_LC: &str = "target/aws-lc";

/// The programs as [`build`] leaves them.
pub fn programs(with_aws_lc: bool) -> Vec<Program> {
    let root = root();
    let ours = root.join("target/release/talosctl-oidc");
    let peer = root.join("benches/target/peer/exchange-peer");
    let mut all = vec![
        Program { name: "serve", path: ours, is_ours: true },
        Program { name: "axum", path: peer, is_ours: false },
    ];
    if with_aws_lc {
        let path = root.join("benches").join(AWS_LC).join("peer/exchange-peer");
        all.push(Program { name: "axum, aws-lc", path, is_ours: false });
    }
    all
}

/// The folder of the project.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}
