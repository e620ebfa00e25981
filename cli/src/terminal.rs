//! Writing to the terminal: a closed pipe is no error, foreign text cannot move the cursor, and
//! colours are for terminals whose owner has not set `NO_COLOR`.

use std::io::{self, IsTerminal as _, Write};
use std::sync::OnceLock;
#[cfg(feature = "client")]
use std::sync::atomic::{AtomicBool, Ordering};

use crate::exit::Failure;

/// Why standard output did not take something, the first time.
static LOST: OnceLock<io::ErrorKind> = OnceLock::new();

/// Leaves the colour again.
const PLAIN: &str = "\x1b[0m";
/// Goes to the beginning of the line and empties it.
#[cfg(feature = "client")]
const EMPTY_LINE: &str = "\r\x1b[K";

/// What a word means, as a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colour {
    /// Good.
    #[cfg(feature = "client")]
    Green,
    /// To be looked at.
    Yellow,
    /// Wrong.
    Red,
}

impl Colour {
    const fn start(self) -> &'static str {
        match self {
            #[cfg(feature = "client")]
            Self::Green => "\x1b[32m",
            Self::Yellow => "\x1b[33m",
            Self::Red => "\x1b[1;31m",
        }
    }
}

/// Writes one line to standard output. A reader that went away is not our trouble.
pub(crate) fn line(text: &str) {
    #[cfg(feature = "client")]
    end_waiting();
    let mut out = std::io::stdout().lock();
    note(writeln!(out, "{}", printable(text)).and_then(|()| out.flush()));
}

fn note(written: io::Result<()>) {
    if let Err(error) = written
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        let _ = LOST.set(error.kind());
    }
}

/// Nothing, unless something that was to be on standard output is not.
pub(crate) fn all_written() -> Result<(), Failure> {
    LOST.get().map_or(Ok(()), |why| {
        let text =
            format!("standard output: {why}: what it was to hold is lost; write it elsewhere");
        Err(Failure::local("output.not_writable", text))
    })
}

/// Writes one line to standard output whose first word has a colour there.
#[cfg(feature = "client")]
pub(crate) fn marked_line(colour: Colour, word: &str, rest: &str) {
    static COLOURS: OnceLock<bool> = OnceLock::new();
    end_waiting();
    let mut out = std::io::stdout().lock();
    let (start, end) = if *COLOURS.get_or_init(|| has_colours(out.is_terminal())) {
        (colour.start(), PLAIN)
    } else {
        ("", "")
    };
    let line = writeln!(out, "{start}{}{end}{}", printable(word), printable(rest));
    note(line.and_then(|()| out.flush()));
}

/// Writes one line to standard error.
pub(crate) fn error_line(text: &str) {
    static COLOURS: OnceLock<bool> = OnceLock::new();
    #[cfg(feature = "client")]
    end_waiting();
    let mut out = std::io::stderr().lock();
    let text = printable(text);
    let colour = if text.starts_with("Error:") {
        Some(Colour::Red)
    } else if text.starts_with("warning:") {
        Some(Colour::Yellow)
    } else {
        None
    };
    let written = match (colour, text.split_once(':')) {
        (Some(colour), Some((word, rest)))
            if *COLOURS.get_or_init(|| has_colours(out.is_terminal())) =>
        {
            writeln!(out, "{}{word}:{PLAIN}{rest}", colour.start())
        }
        _ => writeln!(out, "{text}"),
    };
    let _ = written.and_then(|()| out.flush());
}

/// Whether a line of [`wait_line`] is on the screen.
#[cfg(feature = "client")]
static WAITS: AtomicBool = AtomicBool::new(false);

/// Shows what is waited for in a line that the next one replaces. For terminals only.
#[cfg(feature = "client")]
pub(crate) fn wait_line(text: &str) {
    let mut out = std::io::stderr().lock();
    WAITS.store(true, Ordering::Relaxed);
    let _ = write!(out, "{EMPTY_LINE}{}", printable(text)).and_then(|()| out.flush());
}

/// Takes that line away.
#[cfg(feature = "client")]
pub(crate) fn end_waiting() {
    if WAITS.swap(false, Ordering::Relaxed) {
        let mut out = std::io::stderr().lock();
        let _ = write!(out, "{EMPTY_LINE}").and_then(|()| out.flush());
    }
}

/// Whether standard error is a terminal that can go back in a line.
#[cfg(feature = "client")]
pub(crate) fn can_redraw() -> bool {
    std::io::stderr().is_terminal() && !is_dumb()
}

/// Colours for a stream: <https://no-color.org>.
fn has_colours(is_terminal: bool) -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    is_terminal && !refused && !is_dumb()
}

fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// Replaces control characters except line feed and tab, so that text of another party cannot
/// play with the terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() && !matches!(c, '\n' | '\t') { '\u{fffd}' } else { c })
        .collect()
}
