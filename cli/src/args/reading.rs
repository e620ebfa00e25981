//! How the command line of a process is read: its variables, the ways of writing that are taken
//! besides the table's, and what else there is to say where it is wrong.

use std::ffi::OsStr;

use clap::error::{ContextKind, ContextValue, ErrorKind};
#[cfg(feature = "client")]
use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, CommandFactory as _, FromArgMatches as _};

use super::Cli;
#[cfg(feature = "client")]
use super::Command;

impl Cli {
    /// The command line of this process, with its variables. An empty variable counts as unset:
    /// that is what many programs make of one.
    pub(crate) fn read() -> Result<Self, clap::Error> {
        let program = without_empty_variables(Self::command());
        let matches = as_scripts_write_them(program.clone()).try_get_matches();
        match matches.and_then(|matches| Self::of(&matches)) {
            // Shown is the table, without the ways of writing that are taken besides.
            Err(error) if error.kind() == ErrorKind::DisplayHelp => {
                let shown = program.try_get_matches().err();
                Err(shown.filter(|shown| shown.kind() == ErrorKind::DisplayHelp).unwrap_or(error))
            }
            Err(error) => Err(with_tip(error, &program)),
            read => read,
        }
    }

    fn of(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let cli = Self::from_arg_matches(matches)?;
        #[cfg(feature = "client")]
        let cli = cli.with_sources(matches);
        Ok(cli)
    }

    /// Notes what is from a variable where that makes a difference.
    #[cfg(feature = "client")]
    fn with_sources(mut self, matches: &ArgMatches) -> Self {
        let login = match &mut self.command {
            Command::Login(login) | Command::Doctor(login) => login,
            Command::Exec(exec) => &mut exec.login,
            Command::Logout(_) | Command::Status(_) | Command::Version => return self,
            #[cfg(feature = "server")]
            Command::Serve(_) | Command::Rbac { .. } | Command::Audit { .. } => return self,
            #[cfg(feature = "demo")]
            Command::Demo(_) => return self,
            #[cfg(feature = "manual")]
            Command::Completion { .. } | Command::Man { .. } => return self,
        };
        let flags = matches.subcommand().map(|(_, flags)| flags);
        let source = flags.and_then(|flags| flags.value_source("nodes"));
        login.has_default_nodes = source == Some(ValueSource::EnvVariable);
        self
    }
}

/// Takes flags as programs in Go do, for which scripts may be written: `--switch=false`, and of a
/// repeated flag the last one.
fn as_scripts_write_them(command: clap::Command) -> clap::Command {
    let taken = |arg: clap::Arg| {
        if !matches!(arg.get_action(), ArgAction::SetTrue) {
            return arg;
        }
        arg.action(ArgAction::Set)
            .num_args(0..=1)
            .require_equals(true)
            .value_parser(switch)
            .value_name("true|false")
            .default_missing_value("true")
            .default_value("false")
    };
    command.args_override_self(true).mut_args(taken).mut_subcommands(as_scripts_write_them)
}

fn without_empty_variables(command: clap::Command) -> clap::Command {
    let is_empty = |arg: &clap::Arg| {
        let value = arg.get_env().and_then(std::env::var_os);
        value.is_some_and(|value| value.is_empty())
    };
    command
        .mut_args(
            |arg| if is_empty(&arg) { arg.env(clap::builder::Resettable::Reset) } else { arg },
        )
        .mut_subcommands(without_empty_variables)
}

const BEHIND: &str = "the command goes behind --: talosctl-oidc exec -- talosctl version";

/// Says what the error does not: that a value is from a variable, and where the command of `exec`
/// belongs.
fn with_tip(mut error: clap::Error, program: &clap::Command) -> clap::Error {
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
fn has_lost_its_command(error: &clap::Error, words: &[std::ffi::OsString]) -> bool {
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
fn variable_of(
    error: &clap::Error,
    program: &clap::Command,
    words: &[std::ffi::OsString],
) -> Option<String> {
    let (ContextValue::String(shown), ContextValue::String(value)) =
        (error.get(ContextKind::InvalidArg)?, error.get(ContextKind::InvalidValue)?)
    else {
        return None;
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let long = shown.split(|c| !is_name(c)).next().filter(|long| long.starts_with("--"))?;
    let is_typed = |word: &std::ffi::OsString| {
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

/// A port of the callback server.
#[cfg(feature = "client")]
pub(super) fn port(text: &str) -> Result<u16, &'static str> {
    text.trim().parse().map_err(|_| "write a port, 1 to 65535, or 0 for any that is free")
}

/// A switch in an environment variable or behind `=`. Empty counts as unset; what is neither yes
/// nor no is an error, as a mistyped word must not switch a protection off.
pub(super) fn switch(text: &str) -> Result<bool, &'static str> {
    match text.trim().to_ascii_lowercase().as_str() {
        "1" | "true" | "t" | "yes" | "y" | "on" => Ok(true),
        "" | "0" | "false" | "f" | "no" | "n" | "off" => Ok(false),
        _ => Err("write true or false"),
    }
}

#[cfg(all(test, feature = "client"))]
mod tests {
    use super::*;
    use crate::args::Format;

    #[test]
    fn every_flag_of_login_has_its_variable() {
        let mut program = Cli::command();
        program.build();
        for name in ["login", "exec"] {
            let command = program.find_subcommand(name).expect("there is one");
            let named = command.get_arguments().filter(|arg| !arg.is_positional());
            let mut count = 0;
            for arg in named.filter(|arg| arg.get_id() != "help") {
                let long = arg.get_long().expect("each has a long form");
                let expected =
                    format!("TALOSCTL_OIDC_LOGIN_{}", long.to_uppercase().replace('-', "_"));
                assert_eq!(arg.get_env().and_then(|env| env.to_str()), Some(&*expected), "{long}");
                count += 1;
            }
            assert!(count > 30, "{count}");
        }
    }

    #[test]
    fn the_table_is_sound() {
        Cli::command().debug_assert();
        as_scripts_write_them(Cli::command()).debug_assert();
    }

    #[test]
    fn flags_are_taken_as_programs_in_go_take_them() {
        let read = |args: &[&str]| {
            let words = [&["talosctl-oidc", "login"], args].concat();
            let matches = as_scripts_write_them(Cli::command()).try_get_matches_from(words)?;
            let Command::Login(login) = Cli::of(&matches)?.command else {
                return Err(clap::Error::new(ErrorKind::InvalidSubcommand));
            };
            Ok(*login)
        };
        let insecure = |args: &[&str]| read(args).map(|login| login.insecure).ok();
        assert_eq!(insecure(&[]), Some(false));
        assert_eq!(insecure(&["--insecure"]), Some(true));
        assert_eq!(insecure(&["--insecure=true"]), Some(true));
        assert_eq!(insecure(&["--insecure=1"]), Some(true));
        assert_eq!(insecure(&["--insecure=false"]), Some(false));
        assert_eq!(insecure(&["--insecure", "--insecure=false"]), Some(false));
        assert_eq!(insecure(&["--insecure=flase"]), None, "a mistyped word is no answer");
        let login = read(&["--insecure", "https://a.example"]).expect("both are taken");
        assert_eq!(login.server_url.as_deref(), Some("https://a.example"), "not its value");
        let login = read(&["-qo", "json", "-o", "yaml"]).expect("shorts are taken");
        assert!(login.quiet && login.output == Format::Yaml);
        let twice = ["--client-id", "a", "--client-id", "b", "--scopes", "x", "--scopes", "y,z"];
        let login = read(&twice).expect("a repeated flag is taken");
        assert_eq!(login.client_id.as_deref(), Some("b"));
        assert_eq!(login.scopes, ["x", "y", "z"]);
    }
}
