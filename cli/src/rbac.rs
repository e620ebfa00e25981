//! The command `rbac`: which roles somebody would get, and why, by the code the server runs.

use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;

use exchange_core::json::{self, Limits, Object};
use exchange_core::jwt::ParsedToken;
use exchange_core::policy::rbac::Decision;
use exchange_smol::{clock, files};
use zeroize::Zeroizing;

use crate::args::Explain;
use crate::exit::{Class, Failure};
use crate::serve::load;
use crate::terminal;

/// Largest token or file of claims.
const INPUT_BYTES_MAX: usize = 256 * 1024;
/// Nesting of claims, as in a token.
const DEPTH_MAX: u32 = 16;

/// `rbac explain`.
pub(crate) fn explain(args: &Explain) -> Result<ExitCode, Failure> {
    let settings = load::settings(args.config.as_deref())?;
    let (claims, notes) = match (&args.token, &args.claims) {
        (Some(token), _) => {
            let token = if token == "-" { stdin()? } else { Zeroizing::new(token.clone()) };
            of_token(token.trim(), &settings)?
        }
        (None, Some(path)) => (of_file(path)?, Vec::new()),
        (None, None) => return Err(Failure::local("usage", "give --token or --claims")),
    };
    let explanation = settings.roles.explain(&claims);
    explanation.lines.iter().chain(&notes).for_each(|line| terminal::line(line));
    Ok(match explanation.decision {
        Decision::Granted(_) => ExitCode::SUCCESS,
        Decision::Denied(_) => ExitCode::from(Class::Refused.code()),
    })
}

/// Claims of a token, and what else the server would say to it.
fn of_token(
    token: &str,
    settings: &exchange_core::config::Settings,
) -> Result<(Object, Vec<String>), Failure> {
    let parse = || {
        ParsedToken::parse(token).map_err(|error| {
            Failure::new(Class::Refused, error.code(), format!("not an ID token: {error}"))
        })
    };
    let mut notes = vec![
        "NOTE: the signature of the token was not checked; the server gives roles only to tokens \
         that its provider signed"
            .to_owned(),
    ];
    let expect = load::expectations(settings)?;
    if let Err(error) = parse()?.check(clock::now().wall, &expect) {
        notes.push(format!(
            "NOTE: the server refuses this token before it looks at roles: {} [{}]",
            error.detail(&settings.issuer),
            error.code()
        ));
    }
    Ok((parse()?.into_unverified_claims(), notes))
}

fn of_file(path: &Path) -> Result<Object, Failure> {
    let bytes = if path == Path::new("-") {
        Zeroizing::new(stdin()?.as_bytes().to_vec())
    } else {
        files::read(path, INPUT_BYTES_MAX)
            .map_err(|error| Failure::local(error.code(), error.to_string()))?
    };
    let limits = Limits { bytes_max: INPUT_BYTES_MAX, depth_max: DEPTH_MAX };
    json::parse_object(&bytes, limits).map_err(|error| {
        let text = format!("{}: {error}; expected one JSON object of claims", path.display());
        Failure::local("rbac.bad_claims", text)
    })
}

fn stdin() -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(String::with_capacity(INPUT_BYTES_MAX));
    let cap = u64::try_from(INPUT_BYTES_MAX).unwrap_or(u64::MAX);
    std::io::stdin().lock().take(cap).read_to_string(&mut text).map_err(|error| {
        Failure::local("file.not_readable", format!("standard input: {}", error.kind()))
    })?;
    Ok(text)
}
