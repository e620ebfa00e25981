//! From the bytes of a reply head to its status, fields and message length.

use httparse::EMPTY_HEADER;

use super::chunked::is_text;
use super::head::{self, Facts, FieldsError, Framing};
use super::{FetchError, Headers, Limits, Version};

/// A reply whose head has been understood.
pub(super) struct ReplyHead {
    pub(super) status: u16,
    pub(super) headers: Headers,
    pub(super) framing: Framing,
}

/// Reads a complete reply head, from the first byte to its empty line. Two lengths, a length
/// beside chunks, and any coding but `chunked` alone are [`FetchError::Protocol`].
pub(super) fn reply(bytes: &[u8], limits: &Limits) -> Result<ReplyHead, FetchError> {
    let (line, rest) = head::split_line(bytes).ok_or(FetchError::Protocol)?;
    let (version, status) = status_line(line).ok_or(FetchError::Protocol)?;
    let mut table = [EMPTY_HEADER; Limits::FIELDS_MAX];
    let fields = head::fields(rest, &mut table, limits).map_err(|error| match error {
        FieldsError::TooMany => FetchError::TooLarge,
        FieldsError::Malformed => FetchError::Protocol,
    })?;
    let framing = Facts::of(fields).framing(version).map_err(|_| FetchError::Protocol)?;
    Ok(ReplyHead { status, headers: head::own(fields), framing })
}

/// `HTTP-version SP status [ SP reason ]`; the reason means nothing (RFC 9112 section 4).
fn status_line(line: &[u8]) -> Option<(Version, u16)> {
    let (version, rest) = line.split_at_checked(9)?;
    let version = match version {
        b"HTTP/1.1 " => Version::Http11,
        b"HTTP/1.0 " => Version::Http10,
        _ => return None,
    };
    let (digits, reason) = rest.split_at_checked(3)?;
    let reason_ok =
        matches!(reason.first(), None | Some(b' ')) && reason.iter().all(|&byte| is_text(byte));
    let status = u16::try_from(head::length(digits)?).ok()?;
    (reason_ok && (100..600).contains(&status)).then_some((version, status))
}
