//! What a person does with a browser: opens the login page, chooses who to be, follows the way back.

use exchange_core::http::FetchReply;
use exchange_core::http::form::encode_form;
use exchange_core::types::Url;

use super::wire::{Trouble, request};

const FORM: &str = "application/x-www-form-urlencoded";

/// Opens the page at `authorize` and clicks on `user`. The URL the provider sends the browser to.
pub(crate) async fn choose(authorize: &Url, user: &str) -> Result<Url, Trouble> {
    let page = request(authorize, None, &[], None).await?;
    let text = String::from_utf8_lossy(&page.body);
    if page.status != 200 || !text.contains(&format!("value=\"{user}\"")) {
        return Err(format!("the login page (status {}) does not offer {user}", page.status));
    }
    let asked = between(&text, "name=\"request\" value=\"", "\"")
        .ok_or_else(|| "the login page has no form".to_owned())?;
    let form = encode_form([("request", unescape(asked).as_str()), ("user", user)]);
    let target: Url = format!("{}/authorize", authorize.origin())
        .parse()
        .map_err(|_| "the provider has no address".to_owned())?;
    let answer = request(&target, Some((FORM, &form)), &[], None).await?;
    let location = answer.headers.get_str("location").unwrap_or_default();
    match location.parse() {
        Ok(location) if answer.status == 303 => Ok(location),
        Ok(_) | Err(_) => Err(format!("the provider answered {} to the choice", answer.status)),
    }
}

/// Follows the way back to the waiting login and reads the page it shows.
pub(crate) async fn come_back(callback: &Url) -> Result<FetchReply, Trouble> {
    request(callback, None, &[], None).await
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    text.split_once(start)?.1.split_once(end).map(|(found, _)| found)
}

/// What the page escapes, in reverse.
fn unescape(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&amp;", "&")
}
