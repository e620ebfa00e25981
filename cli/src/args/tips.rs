//! What else there is to say about a command line of the client that is wrong.

use std::ffi::{OsStr, OsString};

use clap::error::{ContextKind, ContextValue, ErrorKind};

const BEHIND: &str = "the command goes behind --: talosctl-oidc exec -- talosctl version";

/// Says what the error does not: that a value is from a variable, and where the command of `exec`
/// belongs.
pub(super) fn with_tip(mut error: clap::Error, program: &clap::Command) -> clap::Error {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    let tip = variable_of(&error, program, &words)
        .map(|name| format!("this value is from the environment variable {name}"))
        .or_else(|| {
            let name = unreadable_variable(&error)?;
            Some(format!("the environment variable {name} is no UTF-8"))
        })
        .or_else(|| has_lost_its_command(&error, &words).then(|| BEHIND.to_owned()));
    if let Some(tip) = tip {
        let mut tips = Vec::new();
        if let Some(ContextValue::StyledStrs(own)) = error.remove(ContextKind::Suggested) {
            tips = own;
        }
        tips.push(tip.into());
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
    }
    error
}

/// Whether this is `exec` without the `--` that its command stands behind.
fn has_lost_its_command(error: &clap::Error, words: &[OsString]) -> bool {
    let kinds = [ErrorKind::UnknownArgument, ErrorKind::MissingRequiredArgument];
    words.first().is_some_and(|word| word == "exec")
        && kinds.contains(&error.kind())
        && !words.iter().any(|word| word == "--")
}

/// The first of our variables that is no text, where the error is about that.
fn unreadable_variable(error: &clap::Error) -> Option<String> {
    if error.kind() != ErrorKind::InvalidUtf8 {
        return None;
    }
    let ours =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
    let mut ours = ours.filter(|(name, _)| name.starts_with("TALOSCTL_OIDC_"));
    ours.find(|(_, value)| value.to_str().is_none()).map(|(name, _)| name)
}

/// The variable that a refused value is from, if it was not typed.
fn variable_of(error: &clap::Error, program: &clap::Command, words: &[OsString]) -> Option<String> {
    let (ContextValue::String(shown), ContextValue::String(value)) =
        (error.get(ContextKind::InvalidArg)?, error.get(ContextKind::InvalidValue)?)
    else {
        return None;
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let long = shown.split(|c| !is_name(c)).next().filter(|long| long.starts_with("--"))?;
    let is_typed = |word: &OsString| {
        let bytes = word.as_encoded_bytes();
        bytes.strip_prefix(long.as_bytes()).is_some_and(|rest| matches!(rest, [] | [b'=', ..]))
    };
    if words.iter().any(is_typed) {
        return None;
    }
    let holds = |name: &OsStr| {
        let text = std::env::var_os(name).map(|text| text.to_string_lossy().into_owned());
        text.is_some_and(|text| text.split(',').any(|part| part == value) || text == *value)
    };
    let command = program.find_subcommand(words.first()?)?;
    let arg = command.get_arguments().find(|arg| arg.get_long() == long.strip_prefix("--"))?;
    arg.get_env().filter(|name| holds(name)).map(|name| name.to_string_lossy().into_owned())
}
