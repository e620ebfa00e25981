//! HTTP/1.1 without I/O (RFC 9110, RFC 9112): bytes in, complete messages or refusals out.

mod buffer;
mod chunked;
mod client;
mod fetch;
pub mod form;
mod head;
mod limits;
mod message;
mod refusal;
mod reply;
mod request;
mod server;

pub use client::{ClientCodec, ClientEvent, ConnectCodec, ConnectEvent};
pub use fetch::{FetchError, FetchReply, FetchRequest, Trust};
pub use limits::Limits;
pub use message::{Headers, Method, RequestHead, Response, Version};
pub use refusal::{BodyFault, Refusal};
pub use request::{encode_connect, encode_request};
pub use server::{After, CONTINUE, Phase, Request, ServerCodec, ServerEvent};
