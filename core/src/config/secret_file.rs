//! The client secret and the HMAC algorithms it allows.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::keys;
use super::problems::{Origin, Problem, Problems, Warning};
use super::settings::Settings;
use crate::jwt::{Alg, AlgSet};
use crate::types::Secret;

/// What is accepted, and what was asked for.
pub(super) struct Hmac {
    pub(super) algs: AlgSet,
    pub(super) configured: Option<AlgSet>,
}

/// The outcome of [`settle`].
pub(super) struct Settled {
    pub(super) hmac: Hmac,
    pub(super) problem: Option<Cow<'static, str>>,
    pub(super) warning: Option<Warning>,
}

const ANYONE: &str = "whoever knows client_secret can make tokens for anybody; never give it to users, or set allowed_algs without HS256, HS384 and HS512";

/// Which algorithms hold: as configured, else all asymmetric ones and those HMAC ones whose hash
/// is no longer than the secret (RFC 7518 section 3.2). `pending` says that the secret is in a
/// file not read yet; HMAC is decided when it is.
pub(super) fn settle(
    configured: Option<AlgSet>,
    secret: Option<&Secret>,
    pending: bool,
) -> Settled {
    let fits = |alg: Alg| secret.is_some_and(|s| s.len() >= alg.hmac_secret_bytes_min());
    let wanted =
        configured.unwrap_or(if secret.is_some() { AlgSet::ALL } else { AlgSet::ASYMMETRIC });
    let algs: AlgSet = wanted.iter().filter(|alg| !alg.is_hmac() || fits(*alg)).collect();
    let dropped = wanted.iter().find(|alg| !algs.contains(*alg));
    let mut settled = Settled { hmac: Hmac { algs, configured }, problem: None, warning: None };
    match (configured, dropped) {
        (Some(_), Some(_)) if pending => {}
        (Some(_), Some(alg)) if secret.is_none() => {
            settled.problem =
                Some(format!("{alg} needs client_secret or client_secret_file").into());
        }
        (Some(_), Some(alg)) => {
            let bytes = alg.hmac_secret_bytes_min();
            let advice = format!(
                "{alg} needs a client_secret of at least {bytes} bytes, and this one is shorter"
            );
            settled.problem = Some(advice.into());
        }
        (Some(_) | None, _) => {}
    }
    let hmac: Vec<&str> = algs.iter().filter(|alg| alg.is_hmac()).map(Alg::name).collect();
    if !hmac.is_empty() {
        let text = format!("tokens signed with {} are accepted: {ANYONE}", hmac.join(", "));
        settled.warning = Some(Warning { code: "config.hmac_secret", text });
    } else if configured.is_none() && secret.is_some() {
        let text = String::from(
            "client_secret is shorter than 32 bytes, so tokens signed with HS256 are refused",
        );
        settled.warning = Some(Warning { code: "config.short_client_secret", text });
    }
    settled
}

impl Settings {
    /// Takes the content of `client_secret_file`: blanks and line ends around it do not count.
    ///
    /// # Errors
    /// [`Problems`] when nothing is left, when it is over 4096 bytes, or when `allowed_algs`
    /// names an HMAC algorithm that needs a longer secret.
    pub fn client_secret_read(&mut self, content: &Secret) -> Result<Vec<Warning>, Problems> {
        let secret = Secret::new(content.expose().trim_ascii());
        let settled = settle(self.algs_configured, Some(&secret), false);
        let advice = match secret.len() {
            0 => Some("the file holds no secret".into()),
            1..=4096 => settled.problem,
            _ => Some("the file is over 4096 bytes; is it the right one?".into()),
        };
        if let Some(advice) = advice {
            let problem = Problem {
                code: "config.invalid",
                label: keys::CLIENT_SECRET_FILE.label(),
                origin: Origin::Default,
                value: None,
                advice,
            };
            return Err(Problems { found: [problem].into(), ..Problems::default() });
        }
        self.allowed_algs = settled.hmac.algs;
        self.client_secret = Some(secret);
        Ok(settled.warning.into_iter().collect())
    }
}
