//! How this file is indented, so that what is added looks like the rest.

use alloc::format;
use alloc::string::String;

use super::patch::Patch;
use crate::yaml::{Map, Node, quote};

/// Indentation of one file, in blanks.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    /// A child under its key.
    pub(super) step: usize,
    /// A list's dash under its key: `step`, or 0 where lists are not indented.
    pub(super) dash: usize,
}

/// Talos's own: four, lists indented too.
pub(super) const TALOS: Layout = Layout { step: 4, dash: 4 };

/// Indentation as found at the first nested mapping and the first list of `contexts`.
pub(super) fn of(patch: &Patch<'_>, contexts: Option<&Map>) -> Layout {
    let Some(contexts) = contexts.filter(|map| !map.flow) else { return TALOS };
    let indent = |at: usize| patch.indent(at).ok();
    let step = contexts.pairs.first().and_then(|pair| indent(pair.key_place.bytes.start));
    let step = step.filter(|step| (1..=8).contains(step)).unwrap_or(TALOS.step);
    let dash = contexts.pairs.iter().filter_map(|pair| pair.value.map()).find_map(dash_of);
    Layout { step, dash: dash.unwrap_or(step) }
}

/// How far the first list of a mapping stands from its key.
pub(super) fn dash_of(map: &Map) -> Option<usize> {
    map.pairs.iter().find_map(|pair| {
        pair.value.seq().filter(|list| !list.flow)?;
        pair.value.place.column.checked_sub(pair.key_place.column)
    })
}

/// Lines of a block list, each with its line end, the dashes at `indent`.
pub(super) fn block_list(items: &[String], indent: usize, eol: &str) -> String {
    items.iter().map(|item| format!("{:indent$}- {}{eol}", "", quote(item))).collect()
}

/// `["a", "b"]`.
pub(super) fn flow_list(items: &[String]) -> String {
    let items: alloc::vec::Vec<String> = items.iter().map(|item| always_quoted(item)).collect();
    format!("[{}]", items.join(", "))
}

/// Text in double quotes, which is JSON as well.
pub(super) fn always_quoted(text: &str) -> String {
    let quoted = quote(text);
    if quoted.starts_with('"') { quoted } else { format!("\"{quoted}\"") }
}

/// Whether a node is absent in all but name: null, or an empty list or mapping.
pub(super) fn is_hollow(node: &Node) -> bool {
    node.is_null()
        || node.seq().is_some_and(|list| list.items.is_empty())
        || node.map().is_some_and(|map| map.pairs.is_empty())
}
