//! What a login says: progress on standard error, the result on standard output.

use std::net::SocketAddr;

use exchange_core::login::{CertificateFacts, Notice};
use exchange_core::machine::UnixTime;
use exchange_core::types::{ContextName, GoDuration, Rfc3339};

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

use super::context::Destination;
use super::surroundings::Surroundings;
use crate::args::Format;
use crate::terminal;

/// Longest address that is drawn: some 45 columns wide.
const ADDRESS_BYTES_MAX: usize = 200;

/// What to do where nobody can listen for the answer.
const PASTE_ONLY: &str = "The callback port is in use here or cannot be had, so the last page does \
                          not load: copy its whole address from the browser's address bar and \
                          paste it here.";

/// Who speaks, and how much.
#[derive(Clone, Debug)]
pub(crate) struct Voice {
    /// Only errors, warnings, and what a person must do.
    pub(crate) quiet: bool,
    /// How results are printed.
    pub(crate) format: Format,
    /// Whether standard output belongs to somebody else.
    pub(crate) no_result: bool,
}

impl Voice {
    /// Something that a person may want to follow.
    pub(crate) fn progress(&self, text: &str) {
        if !self.quiet {
            terminal::error_line(text);
        }
    }

    /// Something that a person should know or must do.
    pub(crate) fn attention(&self, text: &str) {
        terminal::error_line(text);
    }

    /// Passes a notice on. `listening` is where the callback server is, if there is one.
    pub(crate) fn notice(
        &self,
        notice: &Notice,
        surroundings: &Surroundings,
        listening: Option<SocketAddr>,
        now: UnixTime,
    ) {
        match notice {
            Notice::UsingCachedToken => self.progress("Using the cached login."),
            Notice::Refreshing => self.progress("Refreshing the cached login."),
            Notice::LoginNeeded(why) => self.progress(&format!("Login needed: {why}.")),
            Notice::RefreshRefused(error) => {
                self.progress(&format!("The provider refused to refresh the login: {error}"));
            }
            Notice::OpenUrl { url, browser } => {
                let how = if *browser {
                    "Opening the login page in a browser. If none appears, open"
                } else {
                    "Open this address to log in"
                };
                self.attention(&format!("{how}:\n\n  {}\n", url.as_str()));
                match listening {
                    None => self.attention(PASTE_ONLY),
                    Some(at) if surroundings.headless && !browser => {
                        let way = elsewhere(surroundings, at);
                        self.attention(&format!("There is no browser here. {way}"));
                    }
                    Some(_) => {}
                }
            }
            Notice::BrowserNotStarted => {
                self.attention("No browser could be started: open the address above by hand.");
                if surroundings.is_remote
                    && let Some(at) = listening
                {
                    self.attention(&elsewhere(surroundings, at));
                }
            }
            Notice::DeviceCode { page, complete, user_code, expires_secs } => {
                let short = page.as_str();
                self.attention(&format!(
                    "To log in, open on any device\n\n  {short}\n\nand enter the code\n\n  \
                     {user_code}\n"
                ));
                if let Some(complete) = complete {
                    self.attention(&format!("or open\n\n  {}\n", complete.as_str()));
                }
                if surroundings.shows_pictures
                    && let Some(picture) = picture(complete.as_ref().unwrap_or(page).as_str())
                {
                    self.attention(&picture);
                }
                let minutes = expires_secs.div_ceil(60);
                self.attention(&format!(
                    "The code is good for {minutes} min. Enter it only if you started this login \
                     yourself."
                ));
            }
            Notice::UnprovenError(error) => self.progress(&format!(
                "An error came back that may not belong to this login ({error}); still waiting."
            )),
            Notice::StrayAnswer => self.progress(
                "state mismatch: an answer came that belongs to another login, perhaps from an \
                 old page; still waiting.",
            ),
            Notice::WithoutOfflineAccess => self.progress(
                "The provider refuses the scope offline_access: asking again without it. The \
                 login cannot be refreshed.",
            ),
            Notice::TokenRefusedByServer => {
                self.progress("The server refused the cached login; getting another one.");
            }
            Notice::TokensNotStored(trouble) => self.attention(&format!(
                "warning: the tokens were not stored, so the next run must log in again: {}",
                trouble.text
            )),
            Notice::RefreshPutOff(error) => self.attention(&format!(
                "warning: the login could not be refreshed in good time; going on with the cached \
                 one: {error} [{}]",
                error.code()
            )),
            Notice::NoLock => self.attention(
                "warning: no lock can be had for the stored login: run one login at a time",
            ),
            Notice::NoRefreshToken => self.attention(
                "warning: the provider gave no refresh token: renewals end with the ID token: \
                 allow offline_access for this client, or try --auth-param prompt=consent",
            ),
            Notice::ClockBehind { secs } => self.attention(&format!(
                "warning: the clock of this machine is {secs} s behind the server's: set it right"
            )),
            // The result says it.
            Notice::Written { .. } => {}
            Notice::NextRenewal { at } => self.progress(&format!(
                "Next renewal at {} (in {}).",
                Rfc3339(*at),
                span(at.since(now))
            )),
            Notice::RenewalFailed { error, retry_secs } => self.attention(&format!(
                "warning: the renewal failed, next attempt in {}: {error} [{}]",
                span(*retry_secs),
                error.code()
            )),
        }
    }

    /// The result: what is in the context now.
    pub(crate) fn result(
        &self,
        written: bool,
        context: &ContextName,
        destination: &Destination,
        facts: &CertificateFacts,
        now: UnixTime,
    ) {
        if self.no_result {
            return;
        }
        let (name, path) = (context.as_str(), destination.to_string());
        let until = Rfc3339(facts.not_after).to_string();
        if self.format == Format::Text {
            let span = span(facts.not_after.since(now));
            let roles = facts.roles.join(", ");
            let first = if written {
                format!("Context \"{name}\" written to {path}.")
            } else {
                format!(
                    "The certificate of context \"{name}\" is still good: no renewal needed \
                     (--force renews)."
                )
            };
            terminal::line(&first);
            terminal::line(&format!("Certificate valid until {until} ({span}), roles: {roles}"));
            return;
        }
        let object = serde_json::json!({
            "outcome": if written { "written" } else { "still_fresh" },
            "context": name,
            "talosconfig": path,
            "not_before": Rfc3339(facts.not_before).to_string(),
            "not_after": until,
            "roles": facts.roles,
        });
        match self.format {
            Format::Json | Format::Text => terminal::line(&object.to_string()),
            Format::Yaml => terminal::line(&crate::status::yaml(&object)),
        }
    }
}

/// A span of seconds as Go prints it: `4m30s`.
pub(crate) fn span(secs: u64) -> String {
    GoDuration::from_secs(u32::try_from(secs).unwrap_or(u32::MAX)).to_string()
}

/// The address for the camera of a telephone. Terminals are mostly dark, so what is light in the
/// picture is written; `None` when the address is too long for a screen.
fn picture(address: &str) -> Option<String> {
    if address.len() > ADDRESS_BYTES_MAX {
        return None;
    }
    let code = QrCode::with_error_correction_level(address, EcLevel::L).ok()?;
    let drawn =
        code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build();
    Some(format!("{drawn}\n"))
}

/// What to do where the browser is on another machine.
fn elsewhere(surroundings: &Surroundings, at: SocketAddr) -> String {
    let mut text = format!(
        "On the machine that has one, run this first and leave it running:\n\n  {}\n",
        surroundings.tunnel(at)
    );
    if surroundings.can_type {
        text.push_str(
            "\nOr log in without: the last page does not load then; paste its address here.",
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_square_and_fits_a_terminal() {
        let drawn = picture("https://idp.example/device?user_code=WDJB-MJHT").expect("short");
        let lines: Vec<usize> = drawn.lines().map(|line| line.chars().count()).collect();
        assert!(lines.iter().all(|width| Some(width) == lines.first() && *width < 60), "{drawn}");
        assert_eq!(drawn.lines().filter(|line| line.contains('\u{2588}')).count(), lines.len() - 1);
        assert!(picture(&"a".repeat(201)).is_none());
    }

    /// What is dark in the code is dark in a terminal that is dark, and all around it is light.
    #[test]
    fn a_picture_is_the_code() {
        let address = "https://idp.example/device?user_code=WDJB-MJHT";
        let drawn = picture(address).expect("short");
        let mut seen = Vec::new();
        for line in drawn.lines().filter(|line| !line.is_empty()) {
            let rows: [&[char]; 2] = [&['\u{2588}', '\u{2580}'], &['\u{2588}', '\u{2584}']];
            for light in rows {
                seen.extend(line.chars().map(|drawing| light.contains(&drawing)));
            }
        }
        let code = QrCode::with_error_correction_level(address, EcLevel::L).expect("short");
        let (quiet, width) = (4, code.width());
        let whole = width + 2 * quiet;
        let is_inside = |at: usize| (quiet..quiet + width).contains(&at);
        let mut modules = code.to_colors().into_iter().map(|color| color == qrcode::Color::Light);
        let places = (0..whole * whole).map(|n| is_inside(n / whole) && is_inside(n % whole));
        let expected: Vec<bool> = places
            .map(|inside| if inside { modules.next().expect("a module") } else { true })
            .collect();
        assert_eq!(seen.get(..whole * whole), Some(expected.as_slice()));
    }
}
