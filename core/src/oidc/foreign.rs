//! Text that another party wrote, made fit for a terminal line and a log.

use alloc::boxed::Box;
use alloc::string::String;

/// Characters kept of a description at most.
pub const FOREIGN_CHARS_MAX: usize = 500;

/// `text` on one line, without anything a terminal would act on, cut at `chars_max` characters.
///
/// Control characters (so escape sequences lose their ESC), line and paragraph separators and
/// the characters that reverse or hide text become one blank; the ends are trimmed.
#[must_use]
pub fn sanitise(text: &str, chars_max: usize) -> Box<str> {
    let mut out = String::new();
    let mut blank = true;
    let mut cut = false;
    for (count, c) in text.chars().enumerate() {
        // A text of invisible characters only must not make us walk megabytes.
        if count >= chars_max.saturating_mul(4) || out.chars().count() >= chars_max {
            cut = true;
            break;
        }
        if c.is_whitespace() || c.is_control() || is_deceptive(c) {
            if !blank {
                out.push(' ');
            }
            blank = true;
        } else {
            out.push(c);
            blank = false;
        }
    }
    let mut kept = String::from(out.trim_end());
    if cut {
        kept.push('\u{2026}');
    }
    kept.into_boxed_str()
}

/// Bidirectional controls, zero-width and other invisible format characters: with them a foreign
/// name can pass for another one.
pub(crate) fn is_deceptive(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    #[test]
    fn a_terminal_sees_only_text() {
        for (text, clean) in [
            ("User  did\r\nnot consent", "User did not consent"),
            ("\u{1b}[2J\u{1b}]0;owned\u{7}", "[2J ]0;owned"),
            ("a\u{202e}gnp.exe", "a gnp.exe"),
            ("\u{9b}31mred", "31mred"),
            ("  \u{0} ", ""),
            ("caf\u{e9} \u{1f600}", "caf\u{e9} \u{1f600}"),
        ] {
            assert_eq!(&*sanitise(text, 500), clean);
        }
        assert_eq!(&*sanitise("abcdef", 3), "abc\u{2026}");
        assert_eq!(&*sanitise("abc", 3), "abc");
    }

    proptest! {
        #[test]
        fn nothing_gets_through(text in any::<String>()) {
            let clean = sanitise(&text, 20).to_string();
            prop_assert!(clean.chars().count() <= 21);
            prop_assert!(!clean.chars().any(|c| c.is_control() || is_deceptive(c)));
        }
    }
}
