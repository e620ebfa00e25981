//! Setting and removing one context.

use alloc::format;
use alloc::string::String;

use zeroize::Zeroizing;

use super::TalosconfigError;
use super::layout::{self, Layout, always_quoted};
use super::own::{add_lines, insert_flow, put_under, set_current, set_own, spaced};
use super::patch::Patch;
use super::wanted::Wanted;
use crate::types::{ContextName, Secret};
use crate::yaml::{Map, Node, Pair, parse_all, quote};

/// Whether the context becomes the current one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MakeCurrent {
    /// Yes: somebody logged in just now.
    Yes,
    /// Only when it is new: a silent renewal must not take the user's choice away.
    OnCreate,
    /// No.
    No,
}

/// Nodes of a context. An empty list leaves it as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nodes<'a> {
    /// For a context that has none: nodes that are there belong to the user and stay.
    Fill(&'a [String]),
    /// In place of those that are there: the user names these.
    Set(&'a [String]),
}

/// What is to stand in a context.
#[derive(Debug)]
pub struct NewContext<'a> {
    /// Endpoints; an empty list leaves those that are there.
    pub endpoints: &'a [String],
    /// Nodes.
    pub nodes: Nodes<'a>,
    /// CA certificates in PEM.
    pub ca_pem: &'a str,
    /// Client certificate in PEM, leaf first.
    pub crt_pem: &'a str,
    /// Private key in PEM.
    pub key_pem: &'a Secret,
}

pub(super) const CONTEXT: &str = "context";
pub(super) const CONTEXTS: &str = "contexts";

/// Sets the context of that name and gives the whole new text; the same text when nothing differs.
/// An empty text makes a new file.
///
/// # Errors
/// [`TalosconfigError`]; the old text holds then. [`TalosconfigError::NotPem`] also when a value
/// of `new` is empty or no PEM: a context without a certificate would only lock its user out.
pub fn set_context(
    text: &str,
    name: &ContextName,
    new: &NewContext<'_>,
    make_current: MakeCurrent,
) -> Result<Zeroizing<String>, TalosconfigError> {
    let wanted = Wanted::new(new)?;
    let documents = parse_all(text).map_err(TalosconfigError::Yaml)?;
    let edit = Edit { name: name.as_str(), old: &documents };
    let result = edit.set(text, &wanted, make_current)?;
    edit.check_set(&result, &wanted, make_current)?;
    Ok(result)
}

/// Removes the context of that name and gives the whole new text; `None` when there is no such
/// context. If it was the current one, none is afterwards.
///
/// # Errors
/// [`TalosconfigError`]; the old text holds then.
pub fn remove_context(
    text: &str,
    name: &ContextName,
) -> Result<Option<Zeroizing<String>>, TalosconfigError> {
    let documents = parse_all(text).map_err(TalosconfigError::Yaml)?;
    let edit = Edit { name: name.as_str(), old: &documents };
    let Some(result) = edit.remove(text)? else { return Ok(None) };
    edit.check_removed(&result)?;
    Ok(Some(result))
}

/// One edit: the name it is about and the documents of the text before.
pub(super) struct Edit<'a> {
    pub(super) name: &'a str,
    pub(super) old: &'a [Node],
}

impl Edit<'_> {
    /// The mapping of the first document; `None` when it says nothing, `{}` included.
    pub(super) fn root(&self) -> Result<Option<&Map>, TalosconfigError> {
        let Some(root) = self.old.first() else { return Ok(None) };
        // An anchor or a tag would come to stand before the keys that are added.
        if root.anchored || root.tagged {
            return Err(TalosconfigError::Reference);
        }
        if root.is_null() {
            return Ok(None);
        }
        let map = root.map().ok_or(TalosconfigError::NotAMapping { part: "the first document" })?;
        plain(root, map)?;
        ours(map)?;
        // Nobody could read the file afterwards, this program included.
        let current = map.get(CONTEXT).filter(|node| node.scalar().is_none());
        if let Some(current) = current {
            return Err(match current.first_reference() {
                Some(_) => TalosconfigError::Reference,
                None => TalosconfigError::WrongKind { key: CONTEXT },
            });
        }
        Ok(Some(map).filter(|map| !map.pairs.is_empty()))
    }

    /// The pair `contexts`, and its mapping when it holds one.
    pub(super) fn contexts<'m>(
        &self,
        root: &'m Map,
    ) -> Result<Option<(&'m Pair, Option<&'m Map>)>, TalosconfigError> {
        let Some(pair) = root.pair(CONTEXTS) else { return Ok(None) };
        if pair.value.is_null() {
            return Ok(Some((pair, None)));
        }
        let map = pair.value.map().ok_or(TalosconfigError::NotAMapping { part: CONTEXTS })?;
        plain(&pair.value, map)?;
        Ok(Some((pair, Some(map))))
    }

    fn set(
        &self,
        text: &str,
        wanted: &Wanted<'_>,
        make_current: MakeCurrent,
    ) -> Result<Zeroizing<String>, TalosconfigError> {
        let mut patch = Patch::new(text);
        let Some(root) = self.root()? else {
            return self.fresh(patch, wanted, make_current);
        };
        let found = self.contexts(root)?;
        let contexts = found.and_then(|(_, map)| map);
        let own = contexts.and_then(|map| map.pair(self.name));
        let layout = layout::of(&patch, contexts);
        match (found, own) {
            (Some((_, Some(map))), Some(own)) => {
                set_own(&mut patch, map, own, wanted, layout)?;
            }
            (Some((_, Some(map))), None) if !map.pairs.is_empty() => {
                self.add_context(&mut patch, map, wanted, layout)?;
            }
            (Some((pair, _)), None | Some(_)) if root.flow => {
                let body = wanted.flow_body();
                let value = patch.value(pair)?;
                let map = format!("{{{}: {}}}", always_quoted(self.name), *body);
                patch.replace(value.clone(), spaced(value.is_empty(), map));
            }
            (Some((pair, _)), None | Some(_)) => {
                let indent = patch.indent(pair.key_place.bytes.start)?;
                let lines =
                    self.new_context(indent.saturating_add(layout.step), wanted, layout, patch.eol);
                put_under(&mut patch, pair, &lines)?;
            }
            (None, _) if root.flow => {
                let body = wanted.flow_body();
                let map = format!("\"{CONTEXTS}\": {{{}: {}}}", always_quoted(self.name), *body);
                insert_flow(&mut patch, root, &map)?;
            }
            (None, _) => {
                let lines = self.new_context(layout.step, wanted, layout, patch.eol);
                let lines = format!("{CONTEXTS}:{}{}", patch.eol, *lines);
                add_lines(&mut patch, root, &lines)?;
            }
        }
        if wants_current(make_current, own.is_none()) {
            set_current(&mut patch, root, self.name)?;
        }
        patch.apply()
    }

    /// A text that said nothing: what is in it stays in front.
    fn fresh(
        &self,
        mut patch: Patch<'_>,
        wanted: &Wanted<'_>,
        make_current: MakeCurrent,
    ) -> Result<Zeroizing<String>, TalosconfigError> {
        let eol = patch.eol;
        let current =
            if wants_current(make_current, true) { quote(self.name) } else { "\"\"".into() };
        let body = self.new_context(layout::TALOS.step, wanted, layout::TALOS, eol);
        let lines = Zeroizing::new(format!("{CONTEXT}: {current}{eol}{CONTEXTS}:{eol}{}", *body));
        let root = self.old.first().map(|root| root.place.bytes.clone());
        if let Some(written) = root.filter(|bytes| !bytes.is_empty()) {
            patch.replace(written, lines.trim_end());
            return patch.apply();
        }
        let at = patch.text.len();
        let gap = if at == 0 || patch.text.ends_with('\n') { "" } else { eol };
        patch.replace(at..at, format!("{gap}{}", *lines));
        patch.apply()
    }

    /// Lines of a whole new context, its name at `indent`.
    fn new_context(
        &self,
        indent: usize,
        wanted: &Wanted<'_>,
        layout: Layout,
        eol: &str,
    ) -> Zeroizing<String> {
        let body = wanted.block_body(indent.saturating_add(layout.step), layout.dash, eol);
        Zeroizing::new(format!("{:indent$}{}:{eol}{}", "", quote(self.name), *body))
    }

    /// Adds to a `contexts` that has others.
    fn add_context(
        &self,
        patch: &mut Patch<'_>,
        contexts: &Map,
        wanted: &Wanted<'_>,
        layout: Layout,
    ) -> Result<(), TalosconfigError> {
        let Some(first) = contexts.pairs.first() else { return Err(TalosconfigError::Layout) };
        if contexts.flow {
            let body = wanted.flow_body();
            return insert_flow(
                patch,
                contexts,
                &format!("{}: {}", always_quoted(self.name), *body),
            );
        }
        let indent = patch.indent(first.key_place.bytes.start)?;
        let lines = self.new_context(indent, wanted, layout, patch.eol);
        add_lines(patch, contexts, &lines)
    }

    fn remove(&self, text: &str) -> Result<Option<Zeroizing<String>>, TalosconfigError> {
        let Some(root) = self.root()? else { return Ok(None) };
        let Some((pair, Some(contexts))) = self.contexts(root)? else { return Ok(None) };
        let Some(at) = contexts.pairs.iter().position(|pair| *pair.key.text == *self.name) else {
            return Ok(None);
        };
        let Some(own) = contexts.pairs.get(at) else { return Ok(None) };
        if own.value.first_reference().is_some() {
            return Err(TalosconfigError::Reference);
        }
        let mut patch = Patch::new(text);
        if contexts.flow {
            let end = patch.value(own)?.end;
            let before = at.checked_sub(1).and_then(|before| contexts.pairs.get(before));
            let after = contexts.pairs.get(at.saturating_add(1));
            let range = match (before, after) {
                (_, Some(after)) => own.key_place.bytes.start..after.key_place.bytes.start,
                (Some(before), None) => patch.value(before)?.end..end,
                (None, None) => own.key_place.bytes.start..end,
            };
            patch.replace(range, "");
        } else {
            patch.indent(own.key_place.bytes.start)?;
            let start = patch.line_start(own.key_place.bytes.start);
            let end = patch.next_line(patch.value(own)?.end);
            patch.replace(start..end, "");
            if contexts.pairs.len() == 1 {
                let colon = patch.after_colon(pair)?;
                patch.replace(colon..colon, " {}");
            }
        }
        if root.get(CONTEXT).and_then(Node::text) == Some(self.name) {
            set_current(&mut patch, root, "")?;
        }
        patch.apply().map(Some)
    }
}

pub(super) const fn wants_current(make_current: MakeCurrent, created: bool) -> bool {
    match make_current {
        MakeCurrent::Yes => true,
        MakeCurrent::OnCreate => created,
        MakeCurrent::No => false,
    }
}

/// Refuses a mapping that has keys of something else and no `contexts`: adding to it would spoil
/// another program's file.
pub(super) fn ours(root: &Map) -> Result<(), TalosconfigError> {
    let foreign = root.pairs.iter().any(|pair| *pair.key.text != *CONTEXT);
    if foreign && root.pair(CONTEXTS).is_none() {
        return Err(TalosconfigError::NotATalosconfig);
    }
    Ok(())
}

/// Refuses a mapping that is anchored, tagged, or merges another one into itself.
pub(super) fn plain(node: &Node, map: &Map) -> Result<(), TalosconfigError> {
    if node.anchored || node.tagged || map.merges() {
        return Err(TalosconfigError::Reference);
    }
    Ok(())
}
