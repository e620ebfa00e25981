//! What a diagnosis found, for people and for scripts.

use std::process::ExitCode;

use serde_json::{Value, json};

use crate::args::Format;
use crate::exit::Class;
use crate::status::yaml;
use crate::terminal::{self, Colour};

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// As it should be.
    Ok,
    /// Good to know.
    Note,
    /// Will be in the way one day.
    Warning,
    /// In the way, and of which class for the exit code.
    Error(Class),
}

/// One result of one check.
#[derive(Debug)]
pub(super) struct Finding {
    /// Stable name of the check.
    check: &'static str,
    level: Level,
    /// Stable code of the result.
    code: String,
    message: String,
    /// What to do.
    fix: Option<String>,
}

/// All that was found so far.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    /// As it should be.
    pub(super) fn ok(&mut self, check: &'static str, message: impl Into<String>) {
        self.push(check, Level::Ok, "ok", message, None);
    }

    /// Good to know.
    pub(super) fn note(
        &mut self,
        check: &'static str,
        code: impl Into<String>,
        message: impl Into<String>,
    ) {
        self.push(check, Level::Note, code, message, None);
    }

    /// Will be in the way one day.
    pub(super) fn warning(
        &mut self,
        check: &'static str,
        code: impl Into<String>,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) {
        self.push(check, Level::Warning, code, message, Some(fix.into()));
    }

    /// In the way.
    pub(super) fn error(
        &mut self,
        check: &'static str,
        class: Class,
        code: impl Into<String>,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) {
        self.push(check, Level::Error(class), code, message, Some(fix.into()));
    }

    /// Takes over those of a check that ran beside.
    pub(super) fn append(&mut self, mut others: Self) {
        self.0.append(&mut others.0);
    }

    fn push(
        &mut self,
        check: &'static str,
        level: Level,
        code: impl Into<String>,
        message: impl Into<String>,
        fix: Option<String>,
    ) {
        let (code, message) = (code.into(), message.into());
        self.0.push(Finding { check, level, code, message, fix });
    }

    /// Prints them; with `quiet` only what needs something done. The exit code is that of the first
    /// error.
    pub(super) fn report(&self, format: Format, quiet: bool) -> ExitCode {
        match format {
            Format::Text => self.lines(quiet),
            Format::Json => terminal::line(&format!("{:#}", self.value())),
            Format::Yaml => terminal::line(yaml(&self.value()).trim_end()),
        }
        let class = self.0.iter().find_map(|finding| match finding.level {
            Level::Error(class) => Some(class),
            Level::Ok | Level::Note | Level::Warning => None,
        });
        class.map_or(ExitCode::SUCCESS, |class| ExitCode::from(class.code()))
    }

    fn count(&self, wanted: impl Fn(Level) -> bool) -> usize {
        self.0.iter().filter(|finding| wanted(finding.level)).count()
    }

    fn lines(&self, quiet: bool) {
        for finding in &self.0 {
            let (colour, word) = match finding.level {
                Level::Ok | Level::Note if quiet => continue,
                Level::Ok => (Colour::Green, "ok"),
                Level::Note => (Colour::Green, "note"),
                Level::Warning => (Colour::Yellow, "warning"),
                Level::Error(_) => (Colour::Red, "error"),
            };
            let code = if finding.level == Level::Ok {
                String::new()
            } else {
                format!(" [{}]", finding.code)
            };
            let gap = 8_usize.saturating_sub(word.len());
            let rest = format!("{:gap$}{:<12} {}{code}", "", finding.check, finding.message);
            terminal::marked_line(colour, word, &rest);
            if let Some(fix) = &finding.fix {
                terminal::line(&format!("{:21}-> {fix}", ""));
            }
        }
        let errors = self.count(|level| matches!(level, Level::Error(_)));
        let warnings = self.count(|level| level == Level::Warning);
        if !quiet || errors + warnings > 0 {
            terminal::line(&format!("{errors} error(s), {warnings} warning(s)"));
        }
    }

    fn value(&self) -> Value {
        let checks: Vec<Value> = self
            .0
            .iter()
            .map(|finding| {
                let level = match finding.level {
                    Level::Ok => "ok",
                    Level::Note => "note",
                    Level::Warning => "warning",
                    Level::Error(_) => "error",
                };
                json!({
                    "check": finding.check,
                    "level": level,
                    "code": finding.code,
                    "message": finding.message,
                    "fix": finding.fix,
                })
            })
            .collect();
        json!({
            "checks": checks,
            "errors": self.count(|level| matches!(level, Level::Error(_))),
            "warnings": self.count(|level| level == Level::Warning),
        })
    }
}
