//! How a client that has a secret proves to the provider who it is.

use std::ffi::OsStr;
use std::path::Path;

use exchange_core::oidc::token_endpoint::ClientAuth;
use exchange_core::types::Secret;
use exchange_smol::files;

use super::given::{BYTES_MAX, is_stdin, one_of, stdin};
use super::paths::Places;
use crate::args;
use crate::exit::{Class, Failure};

/// The method that was asked for.
pub(crate) fn auth(flags: &args::Client) -> Result<ClientAuth, Failure> {
    let wrong = |()| {
        Failure::new(Class::Other, "usage.invalid", "--client-auth: write auto, basic or post")
    };
    flags.client_auth.parse().map_err(wrong)
}

/// The secret, if there is one: from a flag, a variable, a file or standard input.
pub(crate) fn secret(flags: &args::Client, places: &Places) -> Result<Option<Secret>, Failure> {
    let given = [
        ("--client-secret", flags.client_secret.as_deref().map(OsStr::new)),
        ("--client-secret-file", flags.client_secret_file.as_deref().map(Path::as_os_str)),
    ];
    let (counted, problem) = one_of(&given);
    if let Some(problem) = problem {
        return Err(Failure::new(Class::Other, "usage.invalid", problem));
    }
    match counted {
        None => return Ok(None),
        Some("--client-secret") => return Ok(flags.client_secret.clone().map(Secret::from)),
        Some(_) => {}
    }
    let Some(path) = &flags.client_secret_file else { return Ok(None) };
    let secret = if is_stdin(path) {
        stdin("--client-secret-file").map_err(|text| Failure::local("file.not_readable", text))?
    } else {
        let read = files::read(&places.expand(path), BYTES_MAX);
        let bytes = read.map_err(|error| {
            Failure::local(error.code(), format!("--client-secret-file: {error}"))
        })?;
        Secret::new(bytes.as_slice())
    };
    // Editors and echo end a file with a line feed that is no part of the secret.
    let trimmed = secret.expose().trim_ascii();
    if trimmed.is_empty() {
        return Err(Failure::local("file.empty", "--client-secret-file: nothing in it"));
    }
    Ok(Some(Secret::new(trimmed)))
}
