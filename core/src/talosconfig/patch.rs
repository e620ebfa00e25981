//! Replacements in a text, and where they may go.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use zeroize::Zeroizing;

use super::TalosconfigError;
use crate::yaml::Pair;

/// Replacements to make in one text. They are collected by position and applied at once.
pub(super) struct Patch<'t> {
    pub(super) text: &'t str,
    /// Line end of the file: that of its first line.
    pub(super) eol: &'static str,
    changes: Vec<(Range<usize>, Zeroizing<String>)>,
}

impl<'t> Patch<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let first = text.find('\n').and_then(|at| text.get(..at));
        let eol = if first.is_some_and(|line| line.ends_with('\r')) { "\r\n" } else { "\n" };
        Self { text, eol, changes: Vec::new() }
    }

    pub(super) fn replace(&mut self, range: Range<usize>, with: impl Into<String>) {
        self.changes.push((range, Zeroizing::new(with.into())));
    }

    /// The text with all changes made; unchanged when there are none.
    pub(super) fn apply(mut self) -> Result<Zeroizing<String>, TalosconfigError> {
        // Stable: insertions at one place keep their order.
        self.changes.sort_by_key(|(range, _)| range.start);
        let room = self.changes.iter().map(|(_, with)| with.len()).sum::<usize>();
        let mut out = Zeroizing::new(String::with_capacity(self.text.len().saturating_add(room)));
        let mut done = 0;
        for (range, with) in &self.changes {
            out.push_str(self.text.get(done..range.start).ok_or(TalosconfigError::Layout)?);
            out.push_str(with);
            done = range.end;
        }
        out.push_str(self.text.get(done..).ok_or(TalosconfigError::Layout)?);
        Ok(out)
    }

    /// Bytes from `at` on.
    fn from(&self, at: usize) -> &'t str {
        self.text.get(at..).unwrap_or_default()
    }

    /// Bytes before `at`.
    fn upto(&self, at: usize) -> &'t str {
        self.text.get(..at).unwrap_or_default()
    }

    /// Start of the line that holds `at`.
    pub(super) fn line_start(&self, at: usize) -> usize {
        self.upto(at).rfind('\n').map_or(0, |newline| newline.saturating_add(1))
    }

    /// Start of the line after the one that holds `at`, or the end of the text.
    pub(super) fn next_line(&self, at: usize) -> usize {
        self.from(at)
            .find('\n')
            .map_or(self.text.len(), |newline| at.saturating_add(newline).saturating_add(1))
    }

    /// `at` without the blanks and line ends before it.
    pub(super) fn trimmed(&self, at: usize) -> usize {
        self.upto(at).trim_end().len()
    }

    /// Whether nothing but blanks, and a comment perhaps, follows `at` on its line.
    pub(super) fn rest_is_blank(&self, at: usize) -> bool {
        let line = self.from(at).lines().next().unwrap_or_default();
        let rest = line.trim_start();
        rest.is_empty() || rest.starts_with('#') && rest.len() < line.len()
    }

    /// Whether the same holds without a comment.
    pub(super) fn rest_is_empty(&self, at: usize) -> bool {
        self.from(at).lines().next().unwrap_or_default().trim().is_empty()
    }

    /// Width of the blanks before `at` on its line; an error when anything else is there (such as
    /// `? ` before an explicit key).
    pub(super) fn indent(&self, at: usize) -> Result<usize, TalosconfigError> {
        let before = self.upto(at).get(self.line_start(at)..).unwrap_or_default();
        let before = before.trim_start_matches('\u{feff}');
        if before.bytes().all(|b| b == b' ') {
            Ok(before.len())
        } else {
            Err(TalosconfigError::Layout)
        }
    }

    /// Byte behind the `:` of a key.
    pub(super) fn after_colon(&self, pair: &Pair) -> Result<usize, TalosconfigError> {
        let end = pair.key_place.bytes.end;
        let rest = self.from(end);
        let blanks = rest.len().saturating_sub(rest.trim_start_matches([' ', '\t']).len());
        let colon = end.saturating_add(blanks);
        if self.from(colon).starts_with(':') {
            Ok(colon.saturating_add(1))
        } else {
            Err(TalosconfigError::Layout)
        }
    }

    /// The bytes of a value, the header of a block text included; empty and behind the colon when
    /// nothing is written.
    pub(super) fn value(&self, pair: &Pair) -> Result<Range<usize>, TalosconfigError> {
        let colon = self.after_colon(pair)?;
        let place = &pair.value.place.bytes;
        let end = self.trimmed(place.end).max(colon);
        let rest = self.from(colon);
        let blanks = rest.len().saturating_sub(rest.trim_start_matches([' ', '\t']).len());
        let start = colon.saturating_add(blanks);
        if self.from(start).starts_with(['|', '>']) {
            return Ok(start..end.max(start));
        }
        let empty = place.is_empty() || place.start < colon;
        Ok(if empty { colon..colon } else { place.start..end.max(place.start) })
    }
}
