//! One validated type per domain value: who holds one need not look again.

mod decimal;
mod duration;
mod hex;
mod http_date;
mod identity;
mod role;
mod secret;
mod timestamp;
mod url;
mod wiped;

pub(crate) use decimal::push_decimal;
pub use duration::{DurationError, GoDuration, Ttl, TtlError};
pub(crate) use hex::hex;
pub use http_date::HttpDate;
pub use identity::{ClientId, ContextName, Issuer, IssuerError, Kid, NameError};
pub use role::{Role, RoleError, RoleSet};
pub use secret::Secret;
pub use timestamp::Rfc3339;
pub(crate) use timestamp::{digits, seconds};
pub use url::{Url, UrlError};
pub(crate) use wiped::wipe_all;
pub use wiped::{Wiped, wipe};
