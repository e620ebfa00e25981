//! The host of one login client: machine, token store, talosconfig, and a person.

use exchange_core::login::cache::CacheEntry;
use exchange_core::login::{
    BrowserSettings, ContextWrite, ExistingContext, Flow, LoginMachine, LoginSettings,
    ProviderSettings, StorePolicy, TokenSource,
};
use exchange_core::oidc::scopes::Scopes;
use exchange_core::pki::ClientCertificate;
use exchange_core::talosconfig::{MakeCurrent, NewContext, Talosconfig, set_context};

use crate::provider::{AUDIENCE, ISSUER};

pub const SERVER: &str = "https://exchange.example.com";
/// What the person had before, and must still have.
const OWN: &str = "# mine\ncontext: other\ncontexts:\n    other:\n        nodes: [10.9.9.9]\n";

pub struct Client {
    pub machine: Option<LoginMachine>,
    /// Counts starts: answers to an earlier run are lost.
    pub run: u64,
    pub clock: i64,
    pub disk_full: bool,
    pub store: Option<String>,
    pub talosconfig: String,
    /// Parameters of the address that the person was shown.
    pub shown: Option<String>,
    pub token: Option<String>,
}

impl Client {
    pub fn new() -> Self {
        Self {
            machine: None,
            run: 0,
            clock: 0,
            disk_full: false,
            store: None,
            talosconfig: OWN.into(),
            shown: None,
            token: None,
        }
    }

    pub fn start(&mut self) {
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
            flow: Flow::Browser(BrowserSettings::default()),
        };
        let settings = LoginSettings {
            context: "oidc".parse().unwrap(),
            server: SERVER.parse().unwrap(),
            plain_http: false,
            source: TokenSource::Provider(Box::new(provider)),
            interactive: true,
            watch: true,
            force: false,
            store: StorePolicy::Keep,
        };
        self.machine = Some(LoginMachine::new(settings).unwrap());
    }

    pub fn entry(&self) -> Option<CacheEntry> {
        self.store.as_ref().and_then(|text| CacheEntry::parse(text.as_bytes()).ok())
    }

    pub fn context(&self) -> Option<ExistingContext> {
        let file = Talosconfig::parse(&self.talosconfig).ok()?;
        let context = file.context("oidc")?;
        let (certificate, key) = (context.crt_pem().ok()??, context.key_pem().ok()??);
        Some(ExistingContext { certificate, key })
    }

    /// The file with the new certificate in it.
    pub fn edited(&self, write: &ContextWrite) -> String {
        let new = NewContext {
            endpoints: &write.endpoints,
            nodes: write.nodes.as_deref(),
            ca_pem: &write.ca,
            crt_pem: &write.certificate,
            key_pem: &write.key,
        };
        let current = if write.make_current { MakeCurrent::Yes } else { MakeCurrent::OnCreate };
        set_context(&self.talosconfig, &write.context, &new, current).unwrap().to_string()
    }

    /// The certificate in the file.
    pub fn certificate(&self) -> Option<ClientCertificate> {
        ClientCertificate::parse(&self.context()?.certificate).ok()
    }

    /// The file reads, key and certificate belong together, and what is not ours is there.
    pub fn check(&self) -> Result<(), String> {
        let torn = |why: &str| Err(format!("the talosconfig is torn: {why}"));
        let Ok(file) = Talosconfig::parse(&self.talosconfig) else { return torn("unreadable") };
        let other = file.context("other").is_some_and(|other| other.nodes == ["10.9.9.9"]);
        if !other || !self.talosconfig.starts_with("# mine\n") {
            return torn("what belongs to its user is gone");
        }
        let Some(context) = file.context("oidc") else { return Ok(()) };
        let (Ok(Some(crt)), Ok(Some(key))) = (context.crt_pem(), context.key_pem()) else {
            return torn("half a context");
        };
        let fits = ClientCertificate::parse(&crt)
            .is_ok_and(|crt| crt.matches_key(key.expose_str().unwrap()).is_ok());
        if fits { Ok(()) } else { torn("key and certificate differ") }
    }
}
