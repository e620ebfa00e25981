//! What the demo says: steps, facts and checks, each within 100 columns.

use std::io::{IsTerminal as _, Write as _};

use crate::terminal::printable;

/// Columns of a line.
const WIDTH: usize = 100;
/// Columns of what was checked; what came of it stands behind.
const CHECK_WIDTH: usize = 42;
/// Columns of a fact's name.
const LABEL_WIDTH: usize = 13;

const BOLD: &str = "\u{1b}[1m";
const DIM: &str = "\u{1b}[2m";
const GREEN: &str = "\u{1b}[32m";
const RED: &str = "\u{1b}[31m";
const PLAIN: &str = "\u{1b}[0m";

/// Standard output, and what it said so far.
pub(crate) struct Show {
    colour: bool,
    steps: u32,
    checks: u32,
    wrong: Vec<String>,
}

impl Show {
    /// Colours only on a terminal, and not where `NO_COLOR` or a dumb terminal forbids them.
    pub(crate) fn new() -> Self {
        let forbidden = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        let colour = !forbidden && std::io::stdout().is_terminal();
        Self { colour, steps: 0, checks: 0, wrong: Vec::new() }
    }

    /// The next step.
    pub(crate) fn step(&mut self, title: &str) {
        self.steps += 1;
        let text = format!("{}. {}", self.steps, printable(title));
        emit(&format!("\n{}", self.painted(BOLD, &fitted(&text, WIDTH))));
    }

    /// Something to know.
    pub(crate) fn fact(&self, label: &str, text: &str) {
        let label = format!("{label:<LABEL_WIDTH$}");
        emit(&format!("   {} {}", self.painted(DIM, &label), printable(text)));
    }

    /// A line to copy or to read, as it is.
    pub(crate) fn line(&self, text: &str) {
        emit(&printable(text));
    }

    /// Something that had to come out in one way: whether it did, and what came.
    pub(crate) fn check(&mut self, what: &str, as_expected: bool, told: &str) {
        self.checks += 1;
        let (mark, paint) = if as_expected { ("\u{2713}", GREEN) } else { ("\u{2717}", RED) };
        let what = printable(what);
        let text = format!("{what:<CHECK_WIDTH$} {}", printable(told));
        emit(&format!("   {} {}", self.painted(paint, mark), fitted(text.trim_end(), WIDTH - 5)));
        if !as_expected {
            self.wrong.push(format!("step {}, {what}: {}", self.steps, printable(told)));
        }
    }

    /// How many checks there were, and those that came out differently.
    pub(crate) fn result(&self) -> (u32, &[String]) {
        (self.checks, &self.wrong)
    }

    fn painted(&self, paint: &str, text: &str) -> String {
        if self.colour { format!("{paint}{text}{PLAIN}") } else { text.to_owned() }
    }
}

/// The text, cut to that many characters.
fn fitted(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['\u{2026}']).collect()
}

/// A reader that went away is not our trouble.
fn emit(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_outcome_is_kept() {
        let mut show = Show { colour: false, steps: 0, checks: 0, wrong: Vec::new() };
        show.check("this", true, "fine");
        show.check("that", false, "not\u{7} fine");
        assert_eq!(show.result(), (2, ["step 0, that: not\u{fffd} fine".to_owned()].as_slice()));
    }

    #[test]
    fn long_lines_are_cut_by_characters() {
        assert_eq!(fitted("ärger", 5), "ärger");
        assert_eq!(fitted("ärgerlich", 5), "ärge\u{2026}");
    }
}
