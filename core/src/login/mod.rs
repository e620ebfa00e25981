//! The client: from nothing, a cached login or a given token to a certificate in the talosconfig.
//!
//! | state | waits for | goes on to |
//! |---|---|---|
//! | loading | `Loaded` | exchanging a cached token, refreshing, or a person |
//! | discovering | provider metadata | locking or a person |
//! | locking, refreshing, storing | lock, token endpoint, store | exchanging; a person when refused |
//! | listening, authorising, redeeming | listener, callback with our `state`, token endpoint | storing |
//! | device code | token endpoint, again and again | storing |
//! | exchanging | a seed for the key, then `POST /exchange` | writing; once more with a refreshed token after a 401 |
//! | writing | `Written` | the end, or resting with `--watch` |
//! | resting | time | a renewal |
//!
//! Invariants: at most one effect is under way; nothing opens a browser or waits for a code unless
//! a person is there; the private key is made here and sent nowhere; a refresh happens under the lock, with the tokens read again under it, and
//! the answer is stored before the lock is given back; the browser hears of success only after the
//! certificate is written; each callback is answered exactly once.

pub mod cache;
mod certificate;
pub mod error;
pub mod exchange;
mod machine;
mod own_key;
mod person;
pub mod renew;
mod settings;
mod state;
mod tokens;
pub mod tokens_file;
mod words;

pub use error::{
    ErrorClass, FileTrouble, ListenTrouble, LoginError, Patience, Step, WhyInteractive,
};
pub use exchange::{CertificateFacts, Refusal, RefusalKind};
pub use machine::LoginMachine;
pub use settings::{
    BrowserSettings, Flow, LoginSettings, LoopbackHost, ProviderSettings, StorePolicy, TokenSource,
};
pub use tokens::has_nothing_to_do;
pub use words::{
    AuthorizationEntropy, ContextWrite, ExistingContext, FetchResult, Input, Notice, Outcome,
    Output,
};
