//! The server's own log: one line a note on standard error, with date and time in front.
//!
//! Audit lines go elsewhere; nothing here is secret, and text of other parties cannot break the
//! line or move a cursor.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use exchange_core::server::{Level, Note};
use exchange_core::types::Rfc3339;
use exchange_smol::clock;

use crate::terminal;

static DEBUG: AtomicBool = AtomicBool::new(false);

/// Turns debug lines on or off.
pub(crate) fn set_debug(on: bool) {
    DEBUG.store(on, Ordering::Relaxed);
}

/// Whether debug lines are on.
pub(crate) fn debug_on() -> bool {
    DEBUG.load(Ordering::Relaxed)
}

/// Writes a note.
pub(crate) fn note(note: &Note) {
    match note.level {
        Level::Debug => debug(format_args!("{}", note.text)),
        Level::Info => info(&note.text),
        Level::Warn => warn(&note.text),
        Level::Error => error(&note.text),
    }
}

/// The normal course of things.
pub(crate) fn info(text: &str) {
    line("", text);
}

/// Somebody should look.
pub(crate) fn warn(text: &str) {
    line("WARNING: ", text);
}

/// Something does not work.
pub(crate) fn error(text: &str) {
    line("ERROR: ", text);
}

/// What happens inside; only with `DEBUG`.
pub(crate) fn debug(text: fmt::Arguments<'_>) {
    if debug_on() {
        line("[DEBUG] ", &text.to_string());
    }
}

fn line(mark: &str, text: &str) {
    let at = Rfc3339(clock::now().wall).to_string();
    let text = terminal::printable(text).replace('\n', "\u{23ce}");
    terminal::error_line(&format!("{at} {mark}{text}"));
}

/// PEM text as plain lines of its own, for people who copy it from the log.
pub(crate) fn plain(text: &str) {
    terminal::error_line(text.trim_end());
}
