//! Writing to the terminal: a closed pipe is no error, foreign text cannot move the cursor.

use std::io::Write as _;

/// Writes one line to standard output. A reader that went away is not our trouble.
pub(crate) fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{}", printable(text)).and_then(|()| out.flush());
}

/// Writes one line to standard error.
pub(crate) fn error_line(text: &str) {
    let mut out = std::io::stderr().lock();
    let _ = writeln!(out, "{}", printable(text)).and_then(|()| out.flush());
}

/// Replaces control characters except line feed and tab, so that text of another party cannot
/// play with the terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() && !matches!(c, '\n' | '\t') { '\u{fffd}' } else { c })
        .collect()
}
