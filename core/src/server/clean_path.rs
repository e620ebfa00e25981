//! Detours to an endpoint, sent the straight way as Go's multiplexer does.

use alloc::string::String;
use alloc::vec::Vec;

use super::refusal::guarded;
use crate::http::{RequestHead, Response};

/// The endpoints that are one path each; below `/admin/` every path is one.
const PLACES: [&str; 7] = [
    "/exchange",
    "/healthz",
    "/readyz",
    "/ca",
    "/metrics",
    "/admin",
    "/.well-known/talosctl-oidc-configuration",
];

/// A redirect to the endpoint that `//`, `/./` or `/../` in the path lead to, with the query.
///
/// 307, as after a 301 clients would send a GET to `/exchange`. Other paths are left alone: what
/// a client writes never becomes a place outside this server.
pub(super) fn redirect(head: &RequestHead) -> Option<Response> {
    let place = straightened(head.path())?;
    if !PLACES.contains(&place.as_str()) && !place.starts_with("/admin/") {
        return None;
    }
    let location = match head.query() {
        Some(query) => place + "?" + query,
        None => place,
    };
    let answer = Response::new(307, "text/plain; charset=utf-8", "see the clean path\n");
    Some(guarded(answer).with("location", location))
}

/// The path without empty, `.` and `..` segments; `None` where it has none.
fn straightened(path: &str) -> Option<String> {
    if !path.contains("//") && !path.contains("/.") {
        return None;
    }
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            name => kept.push(name),
        }
    }
    let mut clean = String::with_capacity(path.len());
    for segment in &kept {
        clean.push('/');
        clean.push_str(segment);
    }
    if clean.is_empty() || path.ends_with('/') {
        clean.push('/');
    }
    (clean != path).then_some(clean)
}

#[cfg(test)]
mod tests {
    use super::straightened;

    /// What `cleanPath` of Go's `net/http` makes of the same paths.
    #[test]
    fn paths_are_cleaned_as_go_does() {
        for (path, clean) in [
            ("//exchange", Some("/exchange")),
            ("/./exchange", Some("/exchange")),
            ("/a/../exchange", Some("/exchange")),
            ("/../../exchange", Some("/exchange")),
            ("/exchange/.", Some("/exchange")),
            ("/exchange//", Some("/exchange/")),
            ("/exchange/..", Some("/")),
            ("/admin/../exchange", Some("/exchange")),
            ("///", Some("/")),
            ("//evil.example/..", Some("/")),
            ("/exchange", None),
            ("/exchange/", None),
            ("/...", None),
            ("/.well-known/talosctl-oidc-configuration", None),
            ("*", None),
        ] {
            assert_eq!(straightened(path).as_deref(), clean, "{path}");
        }
    }
}
