//! HTTP/1.1 without I/O (RFC 9110, RFC 9112): bytes in, complete messages or refusals out.

mod fetch;
mod message;

pub use fetch::{FetchError, FetchReply, FetchRequest, Trust};
pub use message::{Headers, Method, RequestHead, Response, Version};
