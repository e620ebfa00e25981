//! Changes inside the file: values, lines and pairs.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use zeroize::Zeroizing;

use super::TalosconfigError;
use super::check::says;
use super::edit::{CONTEXT, plain};
use super::layout::{self, Layout, always_quoted, block_list, flow_list, is_hollow};
use super::patch::Patch;
use super::wanted::Wanted;
use crate::yaml::{Map, Pair, quote};

/// Changes the values of a context that is there.
pub(super) fn set_own(
    patch: &mut Patch<'_>,
    contexts: &Map,
    own: &Pair,
    wanted: &Wanted<'_>,
    layout: Layout,
) -> Result<(), TalosconfigError> {
    if own.value.first_reference().is_some() {
        return Err(TalosconfigError::Reference);
    }
    let map = match own.value.map() {
        Some(map) => {
            plain(&own.value, map)?;
            map
        }
        None if own.value.is_null() => &Map { pairs: Vec::new(), flow: true },
        None => return Err(TalosconfigError::NotAMapping { part: "the context" }),
    };
    if map.pairs.is_empty() {
        if contexts.flow {
            let value = patch.value(own)?;
            let body = wanted.flow_body();
            patch.replace(value.clone(), spaced(value.is_empty(), body.as_str().into()));
            return Ok(());
        }
        let indent = patch.indent(own.key_place.bytes.start)?.saturating_add(layout.step);
        let body = wanted.block_body(indent, layout.dash, patch.eol);
        return put_under(patch, own, &body);
    }
    let dash = layout::dash_of(map).unwrap_or(layout.dash);
    let indent = match map.pairs.first() {
        Some(first) if !map.flow => patch.indent(first.key_place.bytes.start)?,
        Some(_) | None => 0,
    };
    let mut added = Zeroizing::new(String::new());
    for (key, items) in wanted.lists() {
        if items.is_empty() {
            continue;
        }
        match map.pair(key) {
            Some(pair) if wanted.stays(key, &pair.value) => {}
            Some(pair) if says(&pair.value, items) => {}
            Some(pair) => set_list(patch, pair, items, map.flow, dash)?,
            None if map.flow => *added += &format!(", \"{key}\": {}", flow_list(items)),
            None => {
                *added += &format!("{:indent$}{key}:{}", "", patch.eol);
                *added += &block_list(items, indent.saturating_add(dash), patch.eol);
            }
        }
    }
    for (key, value) in &wanted.texts {
        match map.pair(key) {
            Some(pair) if pair.value.text() == Some(value.as_str()) => {}
            Some(pair) => set_text(patch, pair, value, map.flow)?,
            None if map.flow => *added += &format!(", \"{key}\": {}", always_quoted(value)),
            None => *added += &format!("{:indent$}{key}: {}{}", "", quote(value), patch.eol),
        }
    }
    if added.is_empty() {
        Ok(())
    } else if map.flow {
        insert_flow(patch, map, added.trim_start_matches(", "))
    } else {
        add_lines(patch, map, &added)
    }
}

/// A blank in front where the value would touch its colon.
pub(super) fn spaced(blank: bool, value: String) -> String {
    if blank { format!(" {value}") } else { value }
}

fn set_text(
    patch: &mut Patch<'_>,
    pair: &Pair,
    value: &str,
    flow: bool,
) -> Result<(), TalosconfigError> {
    let range = patch.value(pair)?;
    let value = if flow { always_quoted(value) } else { quote(value) };
    patch.replace(range.clone(), spaced(range.is_empty(), value));
    Ok(())
}

/// Replaces a list in its own style. An empty one becomes a block list where nothing else stands
/// on its line.
fn set_list(
    patch: &mut Patch<'_>,
    pair: &Pair,
    items: &[String],
    in_flow: bool,
    dash: usize,
) -> Result<(), TalosconfigError> {
    let range = patch.value(pair)?;
    let block = pair.value.seq().is_some_and(|list| !list.flow);
    if block {
        let indent = patch.indent(range.start)?;
        let lines = block_list(items, indent, patch.eol);
        patch.replace(range, lines.trim());
        return Ok(());
    }
    let hollow = is_hollow(&pair.value);
    if !in_flow && hollow && patch.rest_is_empty(range.end) {
        let indent = patch.indent(pair.key_place.bytes.start)?.saturating_add(dash);
        let lines = block_list(items, indent, patch.eol);
        let colon = patch.after_colon(pair)?;
        patch.replace(colon..range.end, format!("{}{}", patch.eol, lines.trim_end()));
        return Ok(());
    }
    patch.replace(range.clone(), spaced(range.is_empty(), flow_list(items)));
    Ok(())
}

/// Puts lines under a key whose value is null or empty, which they replace.
pub(super) fn put_under(
    patch: &mut Patch<'_>,
    pair: &Pair,
    lines: &str,
) -> Result<(), TalosconfigError> {
    let colon = patch.after_colon(pair)?;
    let end = patch.value(pair)?.end;
    if !patch.rest_is_blank(end) {
        return Err(TalosconfigError::Layout);
    }
    patch.replace(colon..end, "");
    let at = patch.next_line(end);
    put_lines(patch, at, lines);
    Ok(())
}

/// Adds lines behind the last pair of a block mapping.
pub(super) fn add_lines(
    patch: &mut Patch<'_>,
    map: &Map,
    lines: &str,
) -> Result<(), TalosconfigError> {
    let last = map.pairs.last().ok_or(TalosconfigError::Layout)?;
    let end = patch.value(last)?.end;
    let at = patch.next_line(end);
    put_lines(patch, at, lines);
    Ok(())
}

/// Lines at the start of a line, or at the end of a text whose last line has no end.
fn put_lines(patch: &mut Patch<'_>, at: usize, lines: &str) {
    let open = at == patch.text.len() && !patch.text.is_empty() && !patch.text.ends_with('\n');
    let gap = if open { patch.eol } else { "" };
    patch.replace(at..at, format!("{gap}{lines}"));
}

/// Adds a pair to a flow mapping that has others.
pub(super) fn insert_flow(
    patch: &mut Patch<'_>,
    map: &Map,
    pair: &str,
) -> Result<(), TalosconfigError> {
    let last = map.pairs.last().ok_or(TalosconfigError::Layout)?;
    let at = patch.value(last)?.end;
    patch.replace(at..at, format!(", {pair}"));
    Ok(())
}

/// Sets the top-level `context`.
pub(super) fn set_current(
    patch: &mut Patch<'_>,
    root: &Map,
    name: &str,
) -> Result<(), TalosconfigError> {
    let value = if root.flow { always_quoted(name) } else { quote(name) };
    match root.pair(CONTEXT) {
        Some(pair) if pair.value.text() == Some(name) => Ok(()),
        Some(pair) => {
            if pair.value.first_reference().is_some() {
                return Err(TalosconfigError::Reference);
            }
            if pair.value.scalar().is_none() {
                return Err(TalosconfigError::WrongKind { key: CONTEXT });
            }
            set_text(patch, pair, name, root.flow)
        }
        None if root.flow => {
            let first = root.pairs.first().ok_or(TalosconfigError::Layout)?;
            let at = first.key_place.bytes.start;
            patch.replace(at..at, format!("\"{CONTEXT}\": {value}, "));
            Ok(())
        }
        None => {
            let first = root.pairs.first().ok_or(TalosconfigError::Layout)?;
            let at = first.key_place.bytes.start;
            patch.indent(at)?;
            patch.replace(at..at, format!("{CONTEXT}: {value}{}", patch.eol));
            Ok(())
        }
    }
}
