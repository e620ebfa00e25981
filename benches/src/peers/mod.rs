//! What others offer for the same jobs.

mod http;
mod issue;
mod policy;
mod tokens;

pub use http::http;
pub use issue::issue;
pub use policy::{allowlist, limiter};
pub use tokens::{eddsa, es256, rs256};
