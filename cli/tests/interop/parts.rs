//! The provider, the exchange server, and what a client gets from them.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::process::{Folder, Process, clean, done, programs, run, text};
use super::secrets::Secrets;

/// Patience with a program that starts or ends on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(30);

pub(crate) const HS256_SECRET: &str = "the-hmac-secret-of-this-test-is-long-enough-for-hs256";

/// `oidc-provider` on loopback.
pub(crate) struct Provider {
    pub(crate) issuer: String,
    pub(crate) process: Process,
}

impl Provider {
    /// Starts it; the codes and tokens that pass are written to `provider.secrets`.
    pub(crate) fn start(folder: &Folder, flags: &[&str]) -> Self {
        let mut command = clean("node", folder);
        command.arg(programs().join("provider/provider.mjs")).args(flags);
        command.arg("--record").arg(folder.file("provider.secrets")).arg("--exit-with-stdin");
        let process = Process::start("oidc-provider", command.stdin(Stdio::piped()));
        let line = process.line_with("\"issuer\"", SOON);
        let said: Value = serde_json::from_str(&line).unwrap();
        Self { issuer: said["issuer"].as_str().unwrap().to_owned(), process }
    }

    pub(crate) fn port(&self) -> &str {
        self.issuer.rsplit_once(':').unwrap().1
    }

    /// Signs somebody in by the code flow, without any code of ours. The provider's answer.
    pub(crate) fn sign_in(
        &self,
        folder: &Folder,
        account: &str,
        client: &str,
        secret: &str,
    ) -> Value {
        let mut flow = clean("python3", folder);
        flow.arg(programs().join("code_flow.py")).args(["--issuer", &self.issuer]);
        flow.args(["--client-id", client]);
        if !secret.is_empty() {
            flow.args(["--client-secret", secret]);
        }
        serde_json::from_str(&done(flow.env("INTEROP_ACCOUNT", account))).unwrap()
    }

    /// The ID token of the public client.
    pub(crate) fn id_token(&self, folder: &Folder, account: &str) -> String {
        let answer = self.sign_in(folder, account, "talosctl", "");
        answer["id_token"].as_str().unwrap().to_owned()
    }
}

/// A signing CA as Talos makes it.
pub(crate) struct Ca {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

/// What Talos puts into the certificate of its API CA.
const CA_EXTENSIONS: [&str; 3] = [
    "basicConstraints=critical,CA:TRUE",
    "keyUsage=critical,digitalSignature,keyCertSign",
    "extendedKeyUsage=serverAuth,clientAuth",
];

impl Ca {
    pub(crate) fn make(folder: &Folder, algorithm: &[&str]) -> Self {
        let (cert, key) = (folder.file("ca.crt"), folder.file("ca.key"));
        done(openssl(folder).args(["genpkey", "-quiet"]).args(algorithm).arg("-out").arg(&key));
        let mut req = openssl(folder);
        req.args(["req", "-x509", "-new", "-subj", "/O=talos", "-days", "2", "-key"]).arg(&key);
        for extension in CA_EXTENSIONS {
            req.args(["-addext", extension]);
        }
        done(req.arg("-out").arg(&cert));
        Self { cert, key }
    }
}

pub(crate) fn openssl(folder: &Folder) -> Command {
    let mut command = clean("openssl", folder);
    // Without the system's openssl.cnf there is no default section to trip over.
    command.env("OPENSSL_CONF", empty_config(folder));
    command
}

fn empty_config(folder: &Folder) -> PathBuf {
    let path = folder.file("openssl.cnf");
    if !path.exists() {
        fs::write(&path, "[req]\ndistinguished_name = n\n[n]\n").unwrap();
    }
    path
}

/// `talosctl-oidc serve`, at debug level.
pub(crate) struct Serve {
    pub(crate) url: String,
    pub(crate) own_ca: PathBuf,
    pub(crate) process: Process,
}

/// Rules that fit the provider's accounts.
pub(crate) const RULES: &str = "\
rbac:
  rules:
    - { claim: groups, value: platform-admins, roles: [os:operator, os:admin] }
    - { claim: groups, value: staff, roles: [os:etcd:backup] }
    - { claim: groups, value: developers, roles: [os:reader] }
";

impl Serve {
    /// Starts it with `config` added to what every server needs.
    pub(crate) fn start(folder: &Folder, provider: &Provider, ca: &Ca, config: &str) -> Self {
        Self::start_for("talosctl", folder, provider, ca, config)
    }

    /// The same for tokens of that client.
    pub(crate) fn start_for(
        client: &str,
        folder: &Folder,
        provider: &Provider,
        ca: &Ca,
        config: &str,
    ) -> Self {
        let mut file = String::new();
        let data = folder.file("data");
        fs::create_dir_all(&data).unwrap();
        let _ = write!(
            file,
            "issuer_url: {}\nclient_id: {client}\nlisten: 127.0.0.1:0\nendpoints: [127.0.0.1]\n\
             nodes: [127.0.0.1]\nca_cert: {}\nca_key: {}\ndata_dir: {}\naudit_log: {}\n\
             admin_token: {ADMIN_TOKEN}\n{config}",
            provider.issuer,
            ca.cert.display(),
            ca.key.display(),
            data.display(),
            folder.file("audit.log").display(),
        );
        let config = folder.write("config.yaml", file);
        let mut command = clean(env!("CARGO_BIN_EXE_talosctl-oidc"), folder);
        command.arg("serve").arg("--config").arg(config).env("DEBUG", "1");
        let process = Process::start("serve", &mut command);
        let line = process.line_with("listening on https://", SOON);
        let url = line.split_once("listening on ").unwrap().1.trim().to_owned();
        let own_ca = folder.file("server-ca.pem");
        let found = done(clean("curl", folder).args(["-sSfk", &format!("{url}/ca")]));
        fs::write(&own_ca, found).unwrap();
        Self { url, own_ca, process }
    }

    /// A request by curl, which checks the server's certificate. Status and body.
    pub(crate) fn ask(&self, folder: &Folder, path: &str, body: Option<&[u8]>) -> (u16, String) {
        let mut curl = clean("curl", folder);
        curl.args(["-sS", "--max-time", "20", "-w", "\n%{http_code}", "--cacert"]);
        curl.arg(&self.own_ca).arg(format!("{}{path}", self.url));
        if let Some(body) = body {
            let sent = folder.write("request.json", body);
            curl.arg("--data-binary").arg(format!("@{}", sent.display()));
        }
        let printed = done(&mut curl);
        let (body, status) = printed.rsplit_once('\n').unwrap();
        (status.parse().unwrap(), body.to_owned())
    }

    /// Changes an ID token into a certificate. Status and answer.
    pub(crate) fn exchange(&self, folder: &Folder, id_token: &str) -> (u16, Value) {
        let body = serde_json::json!({ "id_token": id_token }).to_string();
        let (status, body) = self.ask(folder, "/exchange", Some(body.as_bytes()));
        (status, serde_json::from_str(&body).unwrap_or_else(|_| panic!("{status}: {body}")))
    }

    /// The same where a certificate must come; writes it to files of that name.
    pub(crate) fn certificate(&self, folder: &Folder, id_token: &str, name: &str) -> Credential {
        let (status, answer) = self.exchange(folder, id_token);
        assert_eq!(status, 200, "{}", answer["code"]);
        let pem = |member: &str| answer[member].as_str().unwrap().to_owned();
        Credential {
            ca: folder.write(&format!("{name}.ca.crt"), pem("ca")),
            cert: folder.write(&format!("{name}.crt"), pem("cert")),
            key: folder.write(&format!("{name}.key"), pem("key")),
        }
    }
}

pub(crate) const ADMIN_TOKEN: &str = "the-admin-token-of-this-test-only";

/// A certificate from the exchange, as files.
#[derive(Clone)]
pub(crate) struct Credential {
    pub(crate) ca: PathBuf,
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

/// Everything that must not be printed after what happened in `folder` so far.
pub(crate) fn secrets_of(folder: &Folder, issued: &[&Credential]) -> Secrets {
    let mut secrets = Secrets::default();
    for line in folder.read("provider.secrets").lines() {
        secrets.add(&serde_json::from_str::<String>(line).unwrap());
    }
    secrets.add(ADMIN_TOKEN);
    secrets.add_key(&folder.read("ca.key"));
    for credential in issued {
        secrets.add_key(&fs::read_to_string(&credential.key).unwrap());
    }
    for entry in fs::read_dir(folder.file("data")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "key") {
            match String::from_utf8(fs::read(path).unwrap()) {
                Ok(pem) if pem.contains("-----BEGIN") => secrets.add_key(&pem),
                Ok(other) => secrets.add_bytes(other.as_bytes()),
                Err(raw) => secrets.add_bytes(raw.as_bytes()),
            }
        }
    }
    secrets
}

/// Whether the chain of `cert` ends at `ca` for a TLS client, as OpenSSL sees it.
pub(crate) fn openssl_verifies(folder: &Folder, ca: &Path, cert: &Path) -> Result<(), String> {
    let mut verify = openssl(folder);
    verify.args(["verify", "-x509_strict", "-purpose", "sslclient", "-CAfile"]).arg(ca).arg(cert);
    let output = run(&mut verify);
    let said = text(&output.stdout) + &text(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(said) }
}
