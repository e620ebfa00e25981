//! A laptop with a browser and a jump host without: two network namespaces, a real SSH session
//! between them. `login` on the jump host finds the way by itself.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::desk::{TOOLS, certificate};
use super::exchange::ED25519;
use super::lab::{Namespace, Ssh, User, program_for_all, site_pair};
use super::parts::{Ca, Provider, RULES, SOON, Serve, secrets_of};
use super::process::{Folder, Process, Tool, done, have, programs, run, text};

const LAPTOP: &str = "192.0.2.7";
const JUMP_HOST: &str = "192.0.2.1";

/// Both hosts. Provider and exchange server run on the jump host; the laptop reaches the provider.
struct Hosts {
    ssh: Ssh,
    port: u16,
    user: User,
    laptop: Namespace,
    serve: Serve,
    provider: Provider,
    program: PathBuf,
    site: PathBuf,
    folder: Folder,
    _jump_host: Namespace,
}

impl Hosts {
    fn new(port: u16, provider_flags: &[&str]) -> Self {
        let (laptop, jump_host) = (Namespace::make().unwrap(), Namespace::make().unwrap());
        laptop.join(LAPTOP, &jump_host, JUMP_HOST);
        let folder = Folder::shared(&jump_host.0);
        let (site, key) = site_pair(&folder, JUMP_HOST);
        let tls = ["--tls-cert", site.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
        let flags = [&["--host", JUMP_HOST][..], &tls, provider_flags].concat();
        let provider = Provider::start(&folder, &flags);
        let ca = Ca::make(&folder, ED25519);
        let config = format!("idp_ca: {}\n{RULES}", site.display());
        let serve = Serve::start(&folder, &provider, &ca, &config);
        let ssh = Ssh::start(&folder, JUMP_HOST, port);
        let (user, program) = (User::make(&folder, "ann"), program_for_all(&folder));
        Self {
            ssh,
            port,
            user,
            laptop,
            serve,
            provider,
            program,
            site,
            folder,
            _jump_host: jump_host,
        }
    }

    /// A command of the laptop.
    fn on_laptop(&self, program: impl AsRef<std::path::Path>) -> Command {
        let mut command = self.laptop.command(program, &self.folder);
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", self.ssh.client.display()));
        command.env("SSL_CERT_FILE", &self.site);
        command
    }

    /// The laptop's browser, with alice at it.
    fn browser(&self, address: &str) -> Command {
        let mut browser = self.on_laptop(programs().join("browser.py"));
        browser.arg(address).env("INTEROP_ACCOUNT", "alice");
        browser
    }

    /// `login` in an SSH session, without a word about how.
    fn login(&self, terminal: &str) -> Process {
        let line = format!(
            "DEBUG=1 {} login {} --server-ca {} --provider-ca {} --scopes \
             openid,profile,email,groups,offline_access --token-store file",
            self.program.display(),
            self.serve.url,
            self.serve.own_ca.display(),
            self.site.display(),
        );
        let mut ssh = self.on_laptop("ssh");
        ssh.args([terminal, "-p", &self.port.to_string()]);
        ssh.arg(format!("{}@{JUMP_HOST}", self.user.name)).arg(line);
        Process::start("login over SSH", ssh.env("TERM", "xterm-256color").stdin(Stdio::piped()))
    }

    /// Whether somebody listens on the callback port of the laptop.
    fn reaches_callback(&self, tries: u32) -> bool {
        let script = format!(
            "for n in $(seq {tries}); do (exec 3<>/dev/tcp/127.0.0.1/8900) 2>/dev/null && exit 0; \
             sleep 0.1; done; exit 1"
        );
        run(self.on_laptop("bash").args(["-c", &script])).status.success()
    }

    /// Ends the session: it must have gone well, and alice has her certificate.
    fn has_certificate(&self, mut session: Process) -> String {
        assert!(session.ended(SOON).success(), "{}", session.printed());
        let said = session.printed();
        assert!(said.contains("Context \"oidc\" written to "), "{said}");
        let written = fs::read_to_string(self.user.home.join(".talos/config")).unwrap();
        let got = certificate(&written);
        assert_eq!(got.common_name(), Some("alice@example.com"));
        assert!(!self.provider.process.printed().contains("Error"));
        said
    }
}

fn can_play() -> bool {
    have(TOOLS) && have(&[Tool::Namespaces, Tool::Users, Tool::Ssh])
}

#[test]
fn a_code_where_the_provider_has_device_flow() {
    if !can_play() {
        return;
    }
    let hosts = Hosts::new(22, &["--alg", "ES256"]);
    let session = hosts.login("-tt");
    let page = session.line_with("user_code=", SOON);
    let code = page.trim().rsplit_once("user_code=").unwrap().1.to_owned();
    // As the person compares it: on a line of its own.
    let typed: String = code.chars().filter(char::is_ascii_alphanumeric).collect();
    session.line_with("The code is good for", SOON);
    let shown = session.printed();
    let is_code =
        |line: &str| line.chars().filter(char::is_ascii_alphanumeric).collect::<String>() == typed;
    assert!(shown.lines().any(is_code), "{code}: {shown}");
    let short = format!("{}/device", hosts.provider.issuer);
    assert!(shown.lines().any(|line| line.trim() == short), "{short}: {shown}");
    assert!(shown.contains('\u{2588}'), "no picture for a telephone: {shown}");
    done(&mut hosts.browser(page.trim()));
    let said = hosts.has_certificate(session);
    assert!(!said.contains("ssh -N -L"), "{said}");
    let secrets = secrets_of(&hosts.folder, &[]);
    secrets.assert_absent("login", &said);
}

#[test]
fn the_printed_tunnel_where_it_has_none() {
    if !can_play() {
        return;
    }
    let hosts = Hosts::new(2222, &["--alg", "ES256", "--no-device"]);
    let session = hosts.login("-T");
    let page = session.line_with("/auth?", SOON);
    let tunnel = session.line_with("ssh -N -L ", SOON);
    let expected = format!("ssh -N -L 8900:127.0.0.1:8900 -p 2222 {}@{JUMP_HOST}", hosts.user.name);
    assert_eq!(tunnel.trim(), expected);
    assert!(!hosts.reaches_callback(1), "the laptop has a network of its own");
    // The line as it stands, in the laptop's shell.
    let mut shell = hosts.on_laptop("sh");
    let mut running = Process::start("the tunnel", shell.args(["-c", &format!("exec {tunnel}")]));
    assert!(hosts.reaches_callback(300), "{}", running.printed());
    let printed = done(&mut hosts.browser(page.trim()));
    assert_eq!(printed.trim(), "200 /callback");
    let said = hosts.has_certificate(session);
    assert!(!said.contains("paste"), "nobody can type here: {said}");
    running.kill();
    let secrets = secrets_of(&hosts.folder, &[]);
    secrets.assert_absent("login", &said);
    assert!(hosts.ssh.server.printed().contains("Accepted publickey for"));
}

#[test]
fn the_pasted_address_where_nobody_can_tunnel() {
    if !can_play() {
        return;
    }
    let hosts = Hosts::new(22, &["--alg", "ES256", "--no-device"]);
    let mut session = hosts.login("-tt");
    let page = session.line_with("/auth?", SOON);
    let tunnel = session.line_with("ssh -N -L ", SOON);
    let expected = format!("ssh -N -L 8900:127.0.0.1:8900 {}@{JUMP_HOST}", hosts.user.name);
    assert_eq!(tunnel.trim(), expected, "port 22 goes without saying");
    session.line_with("paste its address here", SOON);
    let output = run(hosts.browser(page.trim()).env("INTEROP_ADDRESS", "1"));
    let printed = text(&output.stdout);
    let address = printed.trim().strip_prefix("0 ").unwrap();
    assert!(address.starts_with("http://127.0.0.1:8900/callback?"), "the last page is not there");
    // First what a person may paste by mistake, then the right line.
    session.type_line(page.trim());
    session.line_with("That is not the answer to this login", SOON);
    session.type_line(address);
    let said = hosts.has_certificate(session);
    assert!(said.contains("There is no browser here."), "{said}");
}
