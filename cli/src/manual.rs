//! Completion scripts and manual pages, from the same table as `--help`.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use clap::{Command, CommandFactory as _};
use clap_complete::Shell;

use crate::args::Cli;
use crate::exit::Failure;
use crate::terminal;

/// Prints the completion script of `shell`.
pub(crate) fn completion(shell: Shell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "talosctl-oidc", &mut script);
    terminal::line(String::from_utf8_lossy(&script).trim_end());
    ExitCode::SUCCESS
}

/// Writes one page for the program and one for each command, at whatever depth, into `folder`.
pub(crate) fn write(folder: &Path) -> Result<ExitCode, Failure> {
    if !folder.is_dir() {
        let text = format!("{} is no folder: make the folder first", folder.display());
        return Err(Failure::local("file.not_found", text));
    }
    let mut program = Cli::command();
    program.build();
    let mut pages = Vec::new();
    collect(&program, &mut pages);
    for command in pages {
        let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
        let mut page = Vec::new();
        let path = folder.join(format!("{name}.1"));
        clap_mangen::Man::new(command)
            .render(&mut page)
            .and_then(|()| fs::write(&path, page))
            .map_err(|error| {
                let text = format!("cannot write {}: {}", path.display(), error.kind());
                Failure::local("file.not_writable", text)
            })?;
    }
    Ok(ExitCode::SUCCESS)
}

/// `command` and those below it, but for `help`, which is the same in another place.
fn collect(command: &Command, pages: &mut Vec<Command>) {
    pages.push(command.clone());
    for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
        collect(below, pages);
    }
}
