//! What the person's browser gets to see: static pages into which nothing is ever put.

use alloc::format;
use alloc::string::String;

use crate::http::Response;
use crate::types::Url;

/// A page of the loopback listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// The certificate has been written.
    Success,
    /// The login has failed; the terminal says why.
    Failed,
    /// The provider, or the person there, said no.
    Declined,
    /// The code has arrived, but the outcome takes longer than a browser likes to wait.
    Pending,
    /// The code had arrived already.
    AlreadyDone,
    /// An error nobody can vouch for.
    Unproven,
    /// Not an answer to this login.
    Rejected,
    /// A look ahead of the browser; it asks again when the person opens the page.
    NotYet,
    /// Not the callback path.
    NotFound,
    /// A method other than that of the answer.
    MethodNotAllowed,
    /// Nothing to say to HEAD and OPTIONS.
    Empty,
}

/// What a page shows at a glance. Never the only thing that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    Done,
    Wait,
    Stop,
}

impl Sign {
    /// Class of the page and line of the drawing.
    const fn drawing(self) -> (&'static str, &'static str) {
        match self {
            Self::Done => ("done", "M15 25l7 7 12-14"),
            Self::Wait => ("wait", "M24 14v11l7 4"),
            Self::Stop => ("stop", "M24 13v14m0 7v.1"),
        }
    }
}

/// Takes the code out of the address bar and the history. Its digest is in [`CSP`].
const SCRIPT: &str = "history.replaceState(null,'','/done')";

/// Nothing may be loaded, framed, sent or run but [`SCRIPT`]. The empty icon keeps browsers from
/// asking for one.
const CSP: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; \
     script-src 'sha256-OSlSk+Ff+azA9khlYm/0XQEUPB9sIEOZSQBQ59cax98='; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#59636e;--back:#f6f8fa;--card:#fff;\
--line:#d1d9e0;--done:#1a7f37;--wait:#7d4e00;--stop:#c4221f}\
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9198a1;--back:#0d1117;\
--card:#151b23;--line:#3d444d;--done:#3fb950;--wait:#d29922;--stop:#ff7b72}}\
body{margin:0;min-height:100vh;display:grid;place-items:center;background:var(--back);\
color:var(--ink);font:1rem/1.5 system-ui,sans-serif}\
main{box-sizing:border-box;width:min(30rem,calc(100vw - 2rem));margin:1rem;padding:2.5rem 2rem;\
border:1px solid var(--line);border-radius:.75rem;background:var(--card);text-align:center}\
svg{width:4rem;fill:none;stroke-width:3;stroke-linecap:round;stroke-linejoin:round}\
.done svg{stroke:var(--done)}.wait svg{stroke:var(--wait)}.stop svg{stroke:var(--stop)}\
h1{font-size:1.5rem;line-height:1.25;margin:1rem 0 .5rem}p{margin:0;text-wrap:balance}\
small{display:block;margin-top:2rem;color:var(--soft)}";

impl Page {
    /// Status of the answer.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Success | Self::Pending => 200,
            Self::Empty => 204,
            Self::Failed | Self::Declined | Self::Unproven | Self::Rejected => 400,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::AlreadyDone => 409,
            Self::NotYet => 503,
        }
    }

    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Success => (
                "Login complete",
                "Your certificate is ready. You can close this page and go back to the terminal.",
            ),
            Self::Failed => ("Login failed", "The terminal says why. You can close this page."),
            Self::Declined => (
                "Login declined",
                "You or the provider said no, so nothing was changed. The terminal says more. You \
                 can close this page.",
            ),
            Self::Pending => (
                "Almost done",
                "The certificate is being fetched; the terminal shows the outcome. You can close \
                 this page.",
            ),
            Self::AlreadyDone => (
                "Already received",
                "This login has been answered before; the terminal shows its outcome.",
            ),
            Self::Unproven => (
                "Login failed at the provider",
                "The terminal shows what it said. The login there still waits: try again, or stop \
                 it with Ctrl-C.",
            ),
            Self::Rejected => (
                "Not an answer to this login",
                "Perhaps this is an old page. Open the address that the terminal shows.",
            ),
            Self::NotYet => ("Not yet", "Open this page to continue."),
            Self::NotFound => ("Nothing here", "This address only receives a login."),
            Self::MethodNotAllowed => ("Not allowed", "This address only receives a login."),
            Self::Empty => ("", ""),
        }
    }

    const fn sign(self) -> Sign {
        match self {
            Self::Success => Sign::Done,
            Self::Pending | Self::AlreadyDone | Self::NotYet => Sign::Wait,
            Self::Failed
            | Self::Declined
            | Self::Unproven
            | Self::Rejected
            | Self::NotFound
            | Self::MethodNotAllowed
            | Self::Empty => Sign::Stop,
        }
    }

    /// The complete answer.
    #[must_use]
    pub fn response(self) -> Response {
        let body = match self {
            Self::Empty => String::new(),
            Self::Success
            | Self::Failed
            | Self::Declined
            | Self::Pending
            | Self::AlreadyDone
            | Self::Unproven
            | Self::Rejected
            | Self::NotYet
            | Self::NotFound
            | Self::MethodNotAllowed => {
                let ((title, text), (class, line)) = (self.words(), self.sign().drawing());
                format!(
                    "<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>\
                     <meta name=viewport content=\"width=device-width\">\
                     <link rel=icon href=\"data:,\"><style>{STYLE}</style><main class={class}>\
                     <svg viewBox=\"0 0 48 48\" aria-hidden=true><circle cx=24 cy=24 r=21 />\
                     <path d=\"{line}\" /></svg><h1>{title}</h1><p>{text}</p>\
                     <small>talosctl-oidc</small></main><script>{SCRIPT}</script></html>\n"
                )
            }
        };
        let response = hardened(Response::new(self.status(), "text/html; charset=utf-8", body));
        match self {
            Self::MethodNotAllowed | Self::Empty => response.with("allow", "GET"),
            Self::Success
            | Self::Failed
            | Self::Declined
            | Self::Pending
            | Self::AlreadyDone
            | Self::Unproven
            | Self::Rejected
            | Self::NotYet
            | Self::NotFound => response,
        }
    }
}

/// Sends the browser that is already here to the provider once more.
#[must_use]
pub fn again(url: &Url) -> Response {
    hardened(Response::new(303, "text/html; charset=utf-8", ""))
        .with("location", String::from(url.as_str()))
}

/// For a user of this machine whose login it is not.
#[must_use]
pub fn stranger() -> Response {
    Response { status: 403, ..Page::Rejected.response() }
}

fn hardened(response: Response) -> Response {
    response
        .with("content-security-policy", CSP)
        .with("x-content-type-options", "nosniff")
        .with("x-frame-options", "DENY")
        .with("referrer-policy", "no-referrer")
        .with("cache-control", "no-store")
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use ring::digest::{SHA256, digest};

    const ALL: [Page; 11] = [
        Page::Success,
        Page::Failed,
        Page::Declined,
        Page::Pending,
        Page::AlreadyDone,
        Page::Unproven,
        Page::Rejected,
        Page::NotYet,
        Page::NotFound,
        Page::MethodNotAllowed,
        Page::Empty,
    ];

    #[test]
    fn the_policy_admits_exactly_our_script() {
        let hash = STANDARD.encode(digest(&SHA256, SCRIPT.as_bytes()));
        assert!(CSP.contains(&format!("'sha256-{hash}'")), "{hash}");
    }

    #[test]
    fn every_page_is_locked_down() {
        for page in ALL {
            let response = page.response();
            assert_eq!(response.status, page.status());
            for (name, value) in [
                ("x-content-type-options", "nosniff"),
                ("x-frame-options", "DENY"),
                ("referrer-policy", "no-referrer"),
                ("cache-control", "no-store"),
                ("content-type", "text/html; charset=utf-8"),
            ] {
                assert_eq!(response.header(name), Some(value), "{page:?}");
            }
            assert!(
                response
                    .header("content-security-policy")
                    .unwrap()
                    .starts_with("default-src 'none'")
            );
            assert_eq!(response.body.is_empty(), page == Page::Empty);
        }
    }

    #[test]
    fn only_one_page_speaks_of_success() {
        for page in ALL {
            let text = String::from_utf8(page.response().body.to_vec()).unwrap();
            assert_eq!(text.contains("complete"), page == Page::Success, "{page:?}");
        }
    }
}
