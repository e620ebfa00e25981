//! HTTP/1.1 without I/O (RFC 9110, RFC 9112): bytes in, complete messages or refusals out.

mod buffer;
mod chunked;
mod fetch;
mod head;
mod limits;
mod message;
mod refusal;
mod server;

pub use fetch::{FetchError, FetchReply, FetchRequest, Trust};
pub use limits::Limits;
pub use message::{Headers, Method, RequestHead, Response, Version};
pub use refusal::Refusal;
pub use server::{After, CONTINUE, Phase, Request, ServerCodec, ServerEvent};
