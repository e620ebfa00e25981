//! Reading the result of an edit again, so that nothing is lost unseen.

use alloc::string::String;
use alloc::vec::Vec;

use super::TalosconfigError;
use super::edit::{CONTEXT, CONTEXTS, Edit, MakeCurrent, wants_current};
use super::layout::is_hollow;
use super::wanted::Wanted;
use crate::yaml::{Map, Node, parse_all};

impl Edit<'_> {
    /// Reads the result again: everything but our own keys says what it said, and those say what
    /// was wanted.
    pub(super) fn check_set(
        &self,
        result: &str,
        wanted: &Wanted<'_>,
        make_current: MakeCurrent,
    ) -> Result<(), TalosconfigError> {
        let new = self.reread(result)?;
        let old_root = self.root()?;
        let old_contexts = match old_root {
            Some(root) => self.contexts(root)?.and_then(|(_, map)| map),
            None => None,
        };
        let old_own = old_contexts.and_then(|map| map.get(self.name));
        let root = new.first().and_then(Node::map).ok_or(TalosconfigError::Layout)?;
        let contexts = root.get(CONTEXTS).and_then(Node::map).ok_or(TalosconfigError::Layout)?;
        expect(others_same(old_root, root, &[CONTEXT, CONTEXTS]))?;
        expect(others_same(old_contexts, contexts, &[self.name]))?;
        let own = contexts.get(self.name).and_then(Node::map).ok_or(TalosconfigError::Layout)?;
        let old_own_map = old_own.and_then(Node::map);
        expect(others_same(old_own_map, own, &["endpoints", "nodes", "ca", "crt", "key"]))?;
        for (key, value) in &wanted.texts {
            expect(own.get(key).and_then(Node::text) == Some(value.as_str()))?;
        }
        for (key, items) in wanted.lists() {
            let old = old_own_map.and_then(|map| map.get(key));
            let keep = items.is_empty() || old.is_some_and(|node| wanted.stays(key, node));
            expect(match (keep, old, own.get(key)) {
                (true, Some(old), Some(new)) => old.same(new),
                (true, None, None) => true,
                (true, None, Some(new)) => is_hollow(new),
                (true, Some(_), None) => false,
                (false, _, new) => new.is_some_and(|node| says(node, items)),
            })?;
        }
        let old_current = old_root.and_then(|root| root.get(CONTEXT));
        let current = root.get(CONTEXT);
        if wants_current(make_current, old_own.is_none()) {
            expect(current.and_then(Node::text) == Some(self.name))
        } else {
            expect(match (old_current, current) {
                (Some(old), Some(new)) => old.same(new),
                (None, None) => true,
                (None, Some(new)) => old_root.is_none() && new.text() == Some(""),
                (Some(_), None) => false,
            })
        }
    }

    /// The same after a removal.
    pub(super) fn check_removed(&self, result: &str) -> Result<(), TalosconfigError> {
        let new = self.reread(result)?;
        let old_root = self.root()?.ok_or(TalosconfigError::Layout)?;
        let old_contexts = self.contexts(old_root)?.and_then(|(_, map)| map);
        let root = new.first().and_then(Node::map).ok_or(TalosconfigError::Layout)?;
        let contexts = root.get(CONTEXTS).and_then(Node::map).ok_or(TalosconfigError::Layout)?;
        expect(others_same(Some(old_root), root, &[CONTEXT, CONTEXTS]))?;
        expect(others_same(old_contexts, contexts, &[self.name]))?;
        expect(contexts.get(self.name).is_none())?;
        let (old, new) = (old_root.get(CONTEXT), root.get(CONTEXT));
        expect(match (old, new) {
            (Some(old), Some(new)) if old.text() == Some(self.name) => new.text() == Some(""),
            (Some(old), Some(new)) => old.same(new),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        })
    }

    /// The documents of the result; all but the first must be as they were.
    fn reread(&self, result: &str) -> Result<Vec<Node>, TalosconfigError> {
        let new = parse_all(result).map_err(|_| TalosconfigError::Layout)?;
        let rest = |all: &[Node]| all.len().saturating_sub(1);
        let same = self.old.iter().skip(1).zip(new.iter().skip(1)).all(|(old, new)| old.same(new));
        if same && rest(self.old) == rest(&new) { Ok(new) } else { Err(TalosconfigError::Layout) }
    }
}

const fn expect(holds: bool) -> Result<(), TalosconfigError> {
    if holds { Ok(()) } else { Err(TalosconfigError::Layout) }
}

/// Whether `new` has the pairs of `old` and no more, the `own` keys aside.
fn others_same(old: Option<&Map>, new: &Map, own: &[&str]) -> bool {
    let others =
        |map: &Map| map.pairs.iter().filter(|pair| !own.contains(&pair.key.text.as_str())).count();
    let Some(old) = old else { return others(new) == 0 };
    others(old) == others(new)
        && old
            .pairs
            .iter()
            .filter(|pair| !own.contains(&pair.key.text.as_str()))
            .all(|pair| new.get(&pair.key.text).is_some_and(|value| value.same(&pair.value)))
}

/// Whether a node is the list of these texts.
pub(super) fn says(node: &Node, items: &[String]) -> bool {
    node.seq().is_some_and(|list| {
        list.items.len() == items.len()
            && list.items.iter().zip(items).all(|(node, item)| node.text() == Some(item.as_str()))
    })
}
