//! The words of the login machine: what it is told and what it orders.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::SocketAddr;

use zeroize::Zeroizing;

use super::cache::CacheEntry;
use super::error::{FileTrouble, ListenTrouble, LoginError, WhyInteractive};
use super::exchange::CertificateFacts;
use crate::http::{FetchError, FetchReply, FetchRequest, RequestHead, Response};
use crate::machine::{EffectId, Entropy, RequestId, UnixTime};
use crate::oidc::oauth_error::OAuthError;
use crate::types::{ContextName, Secret, Url};

/// Answer of any status, or why there is none.
pub type FetchResult = Result<FetchReply, FetchError>;

/// Fresh randomness for one authorization request.
#[derive(Debug)]
pub struct AuthorizationEntropy {
    /// Becomes `state`.
    pub state: Entropy<32>,
    /// Becomes `nonce`.
    pub nonce: Entropy<32>,
    /// Becomes the PKCE verifier.
    pub verifier: Entropy<32>,
}

/// What stands in the talosconfig context at the start.
#[derive(Debug)]
pub struct ExistingContext {
    /// Client certificate, PEM.
    pub certificate: String,
    /// Private key, PEM.
    pub key: Secret,
}

/// What may happen to a login. Answers to unknown or finished effects are ignored.
#[derive(Debug)]
pub enum Input {
    /// Begin. Comes once.
    Start {
        /// Spreads renewals and pauses of many clients.
        jitter: Entropy<8>,
    },
    /// Answer to [`Output::LoadState`].
    Loaded {
        /// Which effect.
        effect: EffectId,
        /// The cached login; `None` also when it could not be read.
        entry: Option<CacheEntry>,
        /// The context, if it is there.
        context: Option<ExistingContext>,
    },
    /// Answer to [`Output::ReadIdToken`].
    IdTokenGiven {
        /// Which effect.
        effect: EffectId,
        /// The token; blanks around it do not matter.
        token: Result<Secret, FileTrouble>,
    },
    /// Answer to [`Output::Lock`]: this process alone may refresh now.
    Locked {
        /// Which effect.
        effect: EffectId,
        /// The cached login, read again under the lock.
        entry: Option<CacheEntry>,
    },
    /// Answer to [`Output::Lock`] when there is no lock to be had.
    LockFailed {
        /// Which effect.
        effect: EffectId,
        /// Another process has held it all the time that a refresh can take. Otherwise the system
        /// has no lock for us, and the login goes on without.
        busy: bool,
    },
    /// Answer to [`Output::Fetch`].
    Fetched {
        /// Which effect.
        effect: EffectId,
        /// The answer.
        result: FetchResult,
    },
    /// Answer to [`Output::Listen`].
    Listening {
        /// Which effect.
        effect: EffectId,
        /// The port of the first address.
        port: u16,
        /// For the authorization request that follows.
        entropy: AuthorizationEntropy,
    },
    /// Answer to [`Output::Listen`].
    ListenFailed {
        /// Which effect.
        effect: EffectId,
        /// Why.
        why: ListenTrouble,
    },
    /// One complete request at the listener. Each gets one [`Output::Answer`].
    Callback {
        /// Which request.
        request: RequestId,
        /// Its head.
        head: RequestHead,
        /// Its body, at most 64 KiB.
        body: Zeroizing<Vec<u8>>,
        /// In case the provider must be asked once more.
        entropy: AuthorizationEntropy,
    },
    /// No browser could be started. Never fatal: the address is on the terminal.
    BrowserFailed,
    /// Answer to [`Output::SaveTokens`].
    Saved {
        /// Which effect.
        effect: EffectId,
    },
    /// Answer to [`Output::SaveTokens`]. The login goes on; the next run must log in again.
    SaveFailed {
        /// Which effect.
        effect: EffectId,
        /// Why.
        trouble: FileTrouble,
    },
    /// Answer to [`Output::DrawSeed`].
    Seeded {
        /// Which effect.
        effect: EffectId,
        /// Becomes the private key of the next certificate.
        seed: Entropy<32>,
    },
    /// Answer to [`Output::WriteTalosconfig`].
    Written {
        /// Which effect.
        effect: EffectId,
    },
    /// Answer to [`Output::WriteTalosconfig`].
    WriteFailed {
        /// Which effect.
        effect: EffectId,
        /// Why.
        trouble: FileTrouble,
    },
    /// Ctrl-C, SIGTERM, SIGHUP. A refresh under way is stored first; a second one does not wait.
    Interrupt,
}

/// What a login may ask for.
#[derive(Debug)]
pub enum Output {
    /// Read the cached login and the context of the talosconfig.
    LoadState {
        /// Echo it.
        effect: EffectId,
    },
    /// Read the given ID token.
    ReadIdToken {
        /// Echo it.
        effect: EffectId,
    },
    /// Take the lock of this context's login, then read the cached login again.
    Lock {
        /// Echo it.
        effect: EffectId,
    },
    /// Give the lock back.
    ReleaseLock,
    /// Make a request.
    Fetch {
        /// Echo it.
        effect: EffectId,
        /// The request.
        request: FetchRequest,
    },
    /// Listen. The first address must work, with its port; the others are tried.
    Listen {
        /// Echo it.
        effect: EffectId,
        /// Addresses, at least one.
        addresses: Vec<SocketAddr>,
    },
    /// Stop listening once all answers have been sent.
    StopListening,
    /// Open this address in a browser: one argument of a program, never a line for a shell.
    OpenBrowser {
        /// The address.
        url: Url,
    },
    /// Tell the person at the terminal.
    Tell(Notice),
    /// Answer a request at the listener.
    Answer {
        /// Which request.
        request: RequestId,
        /// The answer.
        response: Response,
    },
    /// Store the login, safely on disk before the answer.
    SaveTokens {
        /// Echo it.
        effect: EffectId,
        /// What to store.
        entry: CacheEntry,
    },
    /// Draw fresh randomness for a private key.
    DrawSeed {
        /// Echo it.
        effect: EffectId,
    },
    /// Delete the stored login. No answer.
    ForgetTokens,
    /// Set the context in the talosconfig.
    WriteTalosconfig {
        /// Echo it.
        effect: EffectId,
        /// What to write.
        write: ContextWrite,
    },
    /// Over, and well. Nothing follows.
    Finished(Outcome),
    /// Over. Nothing follows.
    Failed(LoginError),
}

/// What to write into the talosconfig.
#[derive(Debug)]
pub struct ContextWrite {
    /// Which context.
    pub context: ContextName,
    /// Endpoints; an empty list leaves those of the context as they are.
    pub endpoints: Vec<String>,
    /// Nodes from the server; `None` leaves those of the context as they are.
    pub nodes: Option<Vec<String>>,
    /// CA certificates, PEM.
    pub ca: String,
    /// Client certificate, PEM.
    pub certificate: String,
    /// Private key, PEM.
    pub key: Secret,
    /// Whether to make this the current context. When not, it becomes current only where it is
    /// new: a silent renewal must not take the person's choice away.
    pub make_current: bool,
}

/// How a login ended well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A certificate was written.
    Written(CertificateFacts),
    /// The certificate in the context is fresh: nothing was done.
    StillFresh(CertificateFacts),
    /// A watch was stopped.
    Stopped,
}

/// What the person at the terminal is told. All foreign text in it is sanitised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The cached ID token is still good.
    UsingCachedToken,
    /// The login is refreshed without a browser.
    Refreshing,
    /// A person must log in, and why.
    LoginNeeded(WhyInteractive),
    /// The provider refused to refresh, in its own words.
    RefreshRefused(OAuthError),
    /// Open this address.
    OpenUrl {
        /// The address.
        url: Url,
        /// Whether a browser is being started too.
        browser: bool,
    },
    /// No browser could be started: open the address by hand.
    BrowserNotStarted,
    /// Open this page and compare or type the code. Approve only a login you started yourself.
    DeviceCode {
        /// The page.
        page: Url,
        /// The page with the code in it.
        complete: Option<Url>,
        /// The code.
        user_code: Box<str>,
        /// Seconds it is good for.
        expires_secs: u64,
    },
    /// The provider's error came without proof that it belongs to this login; it goes on.
    UnprovenError(OAuthError),
    /// An answer with another `state` came; it does not count, and the login goes on.
    StrayAnswer,
    /// The provider refuses `offline_access`: asked again without, so there will be no refresh.
    WithoutOfflineAccess,
    /// The server refused the cached token; another is fetched.
    TokenRefusedByServer,
    /// Tokens could not be stored: the next run must log in again.
    TokensNotStored(FileTrouble),
    /// A watch wanted to refresh in good time and could not; what is cached still serves.
    RefreshPutOff(LoginError),
    /// No lock to be had: another process refreshing at once could end the login.
    NoLock,
    /// The provider gave no refresh token: a watch ends with the ID token.
    NoRefreshToken,
    /// The clock of this machine is behind the certificate's beginning.
    ClockBehind {
        /// Seconds.
        secs: u64,
    },
    /// The talosconfig has a new certificate.
    Written {
        /// Which context.
        context: ContextName,
        /// What the certificate says.
        facts: CertificateFacts,
    },
    /// When a watch renews next.
    NextRenewal {
        /// By the wall clock.
        at: UnixTime,
    },
    /// A renewal failed; the watch goes on.
    RenewalFailed {
        /// Why.
        error: LoginError,
        /// Seconds to the next attempt.
        retry_secs: u64,
    },
}
