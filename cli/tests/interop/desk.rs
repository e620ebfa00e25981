//! Somebody at a machine, with all the parts to log in to.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use exchange_core::pki::ClientCertificate;
use exchange_core::talosconfig::Talosconfig;
use serde_json::Value;

use super::exchange::ED25519;
use super::parts::{Ca, Credential, Provider, RULES, SOON, Serve, secrets_of};
use super::process::{Folder, Tool, clean, programs, run, text};
use super::secrets::Secrets;

pub(crate) const TOOLS: &[Tool] = &[Tool::Provider, Tool::Python, Tool::Curl, Tool::OpenSsl];

/// What a person had in the talosconfig before.
pub(crate) const BEFORE: &str =
    "# mine\ncontext: home\ncontexts:\n    home: # keep\n        endpoints: [10.5.0.2]\n";

/// Somebody at a machine, with all the parts to log in to.
pub(crate) struct Desk {
    pub(crate) folder: Folder,
    pub(crate) provider: Provider,
    pub(crate) ca: Ca,
    pub(crate) serve: Serve,
    pub(crate) client: &'static str,
    /// All that commands printed, with their command lines.
    pub(crate) printed: String,
    pub(crate) seen: Vec<Credential>,
}

impl Desk {
    pub(crate) fn new(provider_flags: &[&str], client: &'static str, config: &str) -> Self {
        let folder = Folder::new();
        let provider = Provider::start(&folder, provider_flags);
        let ca = Ca::make(&folder, ED25519);
        let serve = Serve::start_for(client, &folder, &provider, &ca, &format!("{config}{RULES}"));
        let printed = String::new();
        Self { folder, provider, ca, serve, client, printed, seen: Vec::new() }
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = clean(env!("CARGO_BIN_EXE_talosctl-oidc"), &self.folder);
        command.args(words).arg("--talosconfig").arg(self.config()).env("DEBUG", "1");
        command.args(["--token-store", "file"]);
        command
    }

    /// A login in which only the scripted browser acts for a person.
    pub(crate) fn login(&self, account: &str, flags: &[&str]) -> Command {
        let mut command = self.command(&["login", "--server", &self.serve.url]);
        command.arg("--server-ca").arg(&self.serve.own_ca);
        command.args(["--provider", &self.provider.issuer, "--client-id", self.client]);
        command.args(["--scopes", "openid,profile,email,groups,offline_access"]);
        command.args(["--callback-port", "0"]).args(flags);
        command.env("BROWSER", programs().join("browser.py")).env("INTEROP_ACCOUNT", account);
        command.env("INTEROP_LOG", self.folder.file("browser.log"));
        command
    }

    /// Runs it; keeps what it printed. Exit code and output.
    pub(crate) fn run(&mut self, command: &mut Command) -> (i32, String) {
        let output = run(command);
        let printed = text(&output.stdout) + &text(&output.stderr);
        self.printed.push_str(&printed);
        (output.status.code().unwrap_or(-1), printed)
    }

    /// Runs it; it must succeed.
    pub(crate) fn done(&mut self, command: &mut Command) -> String {
        let (code, printed) = self.run(command);
        assert_eq!(code, 0, "{command:?}\n{printed}");
        printed
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.folder.file("talosconfig")
    }

    /// The credential in the talosconfig now.
    pub(crate) fn credential(&mut self) -> Credential {
        let name = format!("login-{}", self.seen.len());
        let (ca, cert, key) = context(&self.folder.read("talosconfig")).unwrap();
        let credential = Credential {
            ca: self.folder.write(&format!("{name}.ca.crt"), ca),
            cert: self.folder.write(&format!("{name}.crt"), cert),
            key: self.folder.write(&format!("{name}.key"), key),
        };
        self.seen.push(credential.clone());
        credential
    }

    pub(crate) fn tokens(&self) -> PathBuf {
        self.folder.file(".config/talosctl-oidc/tokens.json")
    }

    /// Ends the server and looks for secrets in everything that was printed.
    pub(crate) fn assert_nothing_leaked(mut self) {
        self.serve.process.terminate(SOON);
        let issued: Vec<&Credential> = self.seen.iter().collect();
        let mut secrets: Secrets = secrets_of(&self.folder, &issued);
        if self.tokens().exists() {
            let kept: Value =
                serde_json::from_str(&fs::read_to_string(self.tokens()).unwrap()).unwrap();
            tokens_in(&kept, &mut secrets);
        }
        assert!(self.printed.contains("[DEBUG]"), "not at debug level");
        secrets.assert_absent("login", &self.printed);
        secrets.assert_absent("serve", &self.serve.process.printed());
        secrets.assert_absent("the audit log", &self.folder.read("audit.log"));
    }
}

/// Adds whatever is called a token in the token file.
pub(crate) fn tokens_in(value: &Value, secrets: &mut Secrets) {
    let Value::Object(members) = value else { return };
    for (name, value) in members {
        match value.as_str().filter(|token| !token.is_empty() && name.ends_with("_token")) {
            Some(token) => secrets.add(token),
            None => tokens_in(value, secrets),
        }
    }
}

/// CA, certificate and key of the context `oidc`, where it is there.
pub(crate) fn context(text: &str) -> Option<(String, String, String)> {
    let config = Talosconfig::parse(text).unwrap_or_else(|error| panic!("torn: {error}\n{text}"));
    let context = config.context("oidc")?;
    let key = context.key_pem().unwrap().unwrap();
    Some((
        context.ca_pem().unwrap().unwrap(),
        context.crt_pem().unwrap().unwrap(),
        key.expose_str().unwrap().to_owned(),
    ))
}

pub(crate) fn certificate(text: &str) -> ClientCertificate {
    let (ca, certificate, key) = context(text).unwrap();
    let certificate = ClientCertificate::parse(&certificate).unwrap();
    certificate.matches_key(&key).unwrap();
    assert!(certificate.is_issued_by(&ca));
    certificate
}

/// The same command where no browser can be started.
pub(crate) fn without_browser(mut command: Command) -> Command {
    command.env_remove("BROWSER");
    command
}
