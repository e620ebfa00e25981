//! The pages of the development provider.

use exchange_core::http::Response;

use super::provider::USERS;

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#59636e;--line:#d1d9e0;--paper:#fff;--hover:#f3f5f7}\
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9198a1;--line:#3d444d;--paper:#151b23;--hover:#212830}}\
body{margin:0;min-height:100vh;display:grid;place-items:center;background:var(--paper);color:var(--ink);\
font:16px/1.5 system-ui,sans-serif}\
main{width:min(26rem,calc(100vw - 2rem))}\
h1{font-size:1.35rem;margin:0 0 .25rem}p{margin:.25rem 0 1.25rem;color:var(--soft)}\
button{display:block;width:100%;margin:.5rem 0;padding:.7rem 1rem;border:1px solid var(--line);\
border-radius:.5rem;background:none;color:inherit;font:inherit;text-align:left;cursor:pointer}\
button:hover,button:focus-visible{background:var(--hover)}\
button b{display:block}button span{color:var(--soft);font-size:.9rem}\
.no{text-align:center;border-color:transparent;color:var(--soft)}";

/// The page that asks who is there.
pub(super) fn login(request: &str) -> Response {
    let mut users = String::new();
    for user in USERS {
        users.push_str(&format!(
            "<button name=\"user\" value=\"{0}\"><b>{0}</b><span>{1}, group {2}</span></button>",
            user.name,
            user.about,
            user.groups.join(", ")
        ));
    }
    html(
        200,
        "Log in to the demo",
        &format!(
            "<h1>Who is logging in?</h1>\
             <p>This provider is part of the demo: it runs on this machine only and asks for no \
             password.</p><form method=\"post\" action=\"/authorize\">\
             <input type=\"hidden\" name=\"request\" value=\"{}\">{users}\
             <button class=\"no\" name=\"user\" value=\"\">Cancel</button></form>",
            escape(request)
        ),
    )
}

/// The page for a request that cannot be sent back to a client.
pub(super) fn refused(why: &str) -> Response {
    html(400, "Not possible", &format!("<h1>That is not possible</h1><p>{}</p>", escape(why)))
}

fn html(status: u16, title: &str, main: &str) -> Response {
    Response::new(
        status,
        "text/html; charset=utf-8",
        format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
             <link rel=\"icon\" href=\"data:,\"><style>{STYLE}</style><main>{main}</main></html>"
        ),
    )
    .with("cache-control", "no-store")
    .with("referrer-policy", "no-referrer")
    .with("x-content-type-options", "nosniff")
    .with(
        "content-security-policy",
        // The form's answer leads back to the client, perhaps at [::1], which no narrower word
        // can name; the provider itself lets only loopback addresses through.
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; \
         form-action http:",
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}
