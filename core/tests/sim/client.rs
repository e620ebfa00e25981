//! The host of one login client: machine, token store, talosconfig, and a person.

use exchange_core::login::cache::CacheEntry;
use exchange_core::login::{
    BrowserSettings, ContextWrite, ExistingContext, Flow, LoginMachine, LoginSettings,
    ProviderSettings, StorePolicy, TokenSource,
};
use exchange_core::oidc::scopes::Scopes;
use exchange_core::pki::ClientCertificate;
use exchange_core::talosconfig::{MakeCurrent, NewContext, Nodes, Talosconfig, set_context};
use exchange_core::types::Secret;

use crate::provider::{AUDIENCE, ISSUER};

pub const SERVER: &str = "https://oidc.example.com";
/// What the person had before, and must still have.
const OWN: &str = "# mine\ncontext: other\ncontexts:\n    other:\n        nodes: [10.9.9.9]\n";

/// How the person of a client logs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Browser,
    Device,
    DeviceOrBrowser,
}

/// The context in the file, as it was read when it was written.
pub struct Held {
    pub certificate: ClientCertificate,
    crt: String,
    key: String,
}

pub struct Client {
    pub machine: Option<LoginMachine>,
    /// Counts starts: answers to an earlier run are lost.
    pub run: u64,
    pub clock: i64,
    pub disk_full: bool,
    pub store: Option<String>,
    pub way: Way,
    pub held: Option<Held>,
    /// Whether its clock has been the server's since the certificate was given out.
    pub in_step: bool,
    talosconfig: String,
    /// Parameters of the address that the person was shown, or the code.
    pub shown: Option<String>,
    pub token: Option<String>,
}

impl Client {
    pub fn new(way: Way) -> Self {
        Self {
            machine: None,
            run: 0,
            clock: 0,
            disk_full: false,
            store: None,
            way,
            held: None,
            in_step: false,
            talosconfig: OWN.into(),
            shown: None,
            token: None,
        }
    }

    pub fn start(&mut self, force: bool) {
        self.run += 1;
        self.shown = None;
        let provider = ProviderSettings {
            issuer: ISSUER.parse().unwrap(),
            client_id: AUDIENCE.parse().unwrap(),
            client_secret: None,
            client_auth: Default::default(),
            scopes: Scopes::default(),
            policy: Default::default(),
            skew_secs: 60,
            flow: match self.way {
                Way::Browser => Flow::Browser(BrowserSettings::default()),
                Way::Device => Flow::Device,
                Way::DeviceOrBrowser => Flow::DeviceOr(BrowserSettings::default()),
            },
        };
        let settings = LoginSettings {
            context: "oidc".parse().unwrap(),
            server: SERVER.parse().unwrap(),
            plain_http: false,
            source: TokenSource::Provider(Box::new(provider)),
            interactive: true,
            watch: true,
            force,
            store: StorePolicy::Keep,
        };
        self.machine = Some(LoginMachine::new(settings).unwrap());
    }

    pub fn entry(&self) -> Option<CacheEntry> {
        self.store.as_ref().and_then(|text| CacheEntry::parse(text.as_bytes()).ok())
    }

    pub fn context(&self) -> Option<ExistingContext> {
        let held = self.held.as_ref()?;
        Some(ExistingContext { certificate: held.crt.clone(), key: Secret::from(held.key.clone()) })
    }

    /// Seconds left of the certificate and of its whole life, where this client may know them.
    pub fn life(&self, wall: u64) -> Option<(u64, u64)> {
        let entry = self.entry()?;
        let known = self.in_step && entry.server.as_deref() == Some(SERVER);
        let certificate = &self.held.as_ref().filter(|_| known)?.certificate;
        let end = certificate.not_after().secs();
        Some((end.saturating_sub(wall), end - certificate.not_before().secs()))
    }

    /// The file with the new certificate in it.
    pub fn edited(&self, write: &ContextWrite) -> String {
        let new = NewContext {
            endpoints: &write.endpoints,
            nodes: Nodes::Fill(write.nodes.as_deref().unwrap_or_default()),
            ca_pem: &write.ca,
            crt_pem: &write.certificate,
            key_pem: &write.key,
        };
        let current = if write.make_current { MakeCurrent::Yes } else { MakeCurrent::OnCreate };
        set_context(&self.talosconfig, &write.context, &new, current).unwrap().to_string()
    }

    /// Puts this text in the place of the file.
    pub fn replace(&mut self, text: String) -> Result<(), String> {
        self.held = read(&text).map_err(|why| format!("the talosconfig is torn: {why}"))?;
        self.talosconfig = text;
        Ok(())
    }
}

/// The file reads, key and certificate belong together, and what is not ours is there.
fn read(text: &str) -> Result<Option<Held>, &'static str> {
    let file = Talosconfig::parse(text).map_err(|_| "unreadable")?;
    let other = file.context("other").is_some_and(|other| other.nodes == ["10.9.9.9"]);
    if !other || !text.starts_with("# mine\n") {
        return Err("what belongs to its user is gone");
    }
    let Some(context) = file.context("oidc") else { return Ok(None) };
    let (Ok(Some(crt)), Ok(Some(key))) = (context.crt_pem(), context.key_pem()) else {
        return Err("half a context");
    };
    let key = key.expose_str().unwrap().to_owned();
    let certificate = ClientCertificate::parse(&crt).map_err(|_| "no certificate")?;
    certificate.matches_key(&key).map_err(|_| "key and certificate differ")?;
    Ok(Some(Held { certificate, crt, key }))
}
