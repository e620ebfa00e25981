//! Requests of our own, written out.

use alloc::vec::Vec;

use zeroize::Zeroizing;

use super::buffer::reserve_wiping;
use super::chunked::{is_text, is_token};
use super::{FetchError, FetchRequest};
use crate::types::Url;

/// Appends the request: GET or POST in HTTP/1.1, one request a connection, no coding accepted.
/// With `proxy_absolute` the target is the whole URL, as a proxy wants it for plain `http`.
///
/// A field with control characters, or one that this function writes itself, is
/// [`FetchError::Protocol`]: it could end the head early and start another request.
pub fn encode_request(
    request: &FetchRequest,
    user_agent: &str,
    proxy_absolute: bool,
    out: &mut Zeroizing<Vec<u8>>,
) -> Result<(), FetchError> {
    let owned =
        ["host", "user-agent", "connection", "content-length", "content-type", "transfer-encoding"];
    let fields_ok = request.headers.iter().all(|(name, value)| {
        is_name(name)
            && is_value(value)
            && !owned.iter().any(|field| field.eq_ignore_ascii_case(name))
    });
    let content_type = request.post.as_ref().map(|(content_type, _)| *content_type);
    if !fields_ok || !is_value(user_agent) || !content_type.is_none_or(is_value) {
        return Err(FetchError::Protocol);
    }
    let url = &request.url;
    let body = request.post.as_ref().map(|(_, body)| body.as_slice());
    // Room for all of it at once: growing later would copy secrets.
    let fields: usize = request.headers.iter().map(|(n, v)| n.len() + v.len() + 4).sum();
    let line = url.as_str().len() * 2 + user_agent.len() + content_type.map_or(0, str::len);
    reserve_wiping(out, 256 + fields + line + body.map_or(0, <[u8]>::len), usize::MAX);

    put(out, &[if body.is_some() { "POST " } else { "GET " }]);
    if proxy_absolute {
        put(out, &[url.origin()]);
    }
    // RFC 9112 section 3.2.1: an empty path is sent as `/`, also before a query.
    put(out, &[if url.target().starts_with('/') { "" } else { "/" }, url.target()]);
    put(out, &[" HTTP/1.1\r\nhost: ", url.authority(), "\r\n"]);
    put(out, &["user-agent: ", user_agent, "\r\naccept-encoding: identity\r\n"]);
    for (name, value) in &request.headers {
        put(out, &[name, ": ", value, "\r\n"]);
    }
    if let (Some(content_type), Some(body)) = (content_type, body) {
        put(out, &["content-type: ", content_type, "\r\ncontent-length: "]);
        put(out, &[&alloc::format!("{}", body.len()), "\r\n"]);
    }
    put(out, &["connection: close\r\n\r\n"]);
    out.extend_from_slice(body.unwrap_or_default());
    Ok(())
}

/// Appends `CONNECT host:port`, the order to a proxy for a tunnel to the URL's server
/// (RFC 9110 section 9.3.6). `authorization` is the whole value of `proxy-authorization`.
///
/// A value with control characters is [`FetchError::Proxy`].
pub fn encode_connect(
    url: &Url,
    user_agent: &str,
    authorization: Option<&str>,
    out: &mut Zeroizing<Vec<u8>>,
) -> Result<(), FetchError> {
    if !is_value(user_agent) || !authorization.is_none_or(is_value) {
        return Err(FetchError::Proxy);
    }
    let bracket = url.host().contains(':');
    let (open, close) = if bracket { ("[", "]") } else { ("", "") };
    let port = alloc::format!("{}", url.port());
    let peer = [open, url.host(), close, ":", &port];
    let extra = authorization.map_or(0, str::len) + user_agent.len() + url.host().len() * 2;
    reserve_wiping(out, 128 + extra, usize::MAX);
    put(out, &["CONNECT "]);
    put(out, &peer);
    put(out, &[" HTTP/1.1\r\nhost: "]);
    put(out, &peer);
    put(out, &["\r\nuser-agent: ", user_agent, "\r\n"]);
    if let Some(value) = authorization {
        put(out, &["proxy-authorization: ", value, "\r\n"]);
    }
    put(out, &["\r\n"]);
    Ok(())
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(is_token)
}

fn is_value(value: &str) -> bool {
    value.bytes().all(is_text)
}

fn put(out: &mut Vec<u8>, parts: &[&str]) {
    for part in parts {
        out.extend_from_slice(part.as_bytes());
    }
}

#[cfg(test)]
mod tests;
