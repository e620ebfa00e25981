//! Who may: allowlist, client address, rate limit, claims to roles.

mod allowlist;
mod cidr;
mod client_ip;
mod rate;
pub mod rbac;

pub use allowlist::Allowlist;
pub use cidr::{Cidr, CidrError, CidrList, ListError};
pub use client_ip::{ClientIp, RateKey, TrustedProxies, client_ip};
pub use rate::{
    Evictions, RateCaps, RateLimit, RateLimitError, RateLimited, RateLimiter, SubjectKey,
};
