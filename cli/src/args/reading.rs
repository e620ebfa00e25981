//! How the command line of a process is read: its variables, and the ways of writing that are taken
//! besides the table's.

use clap::error::ErrorKind;
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
            #[cfg(feature = "client")]
            Err(error) => Err(super::tips::with_tip(error, &program)),
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
