//! Edits of a talosconfig: what is not ours stays, byte for byte.

use exchange_core::talosconfig::{
    Context, MakeCurrent, NewContext, Nodes, Talosconfig, remove_context, set_context,
};
use exchange_core::types::{ContextName, Secret};
use exchange_core::yaml::{self, Map, Node};

const CA: &str = "-----BEGIN CERTIFICATE-----\nQQ==\n-----END CERTIFICATE-----\n";
const CRT: &str = "-----BEGIN CERTIFICATE-----\nQg==\n-----END CERTIFICATE-----\n";
const KEY: &str = "-----BEGIN ED25519 PRIVATE KEY-----\nQw==\n-----END ED25519 PRIVATE KEY-----\n";

/// One edit, as the first line of an input says it: `set NAME yes|create|no ENDPOINTS NODES` or
/// `remove NAME`, lists with commas, `-` for an empty one.
struct Order {
    name: ContextName,
    set: Option<(MakeCurrent, Vec<String>, Vec<String>)>,
}

impl Order {
    fn read(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let (verb, name) = (words.next()?, words.next()?.parse().ok()?);
        if verb == "remove" {
            return Some(Self { name, set: None });
        }
        let current = match words.next()? {
            "yes" => MakeCurrent::Yes,
            "create" => MakeCurrent::OnCreate,
            _ => MakeCurrent::No,
        };
        let mut list = || {
            let items = words.next().unwrap_or("-").split(',').filter(|item| *item != "-");
            items.map(String::from).collect::<Vec<_>>()
        };
        Some(Self { name, set: Some((current, list(), list())) })
    }

    /// The text afterwards: `None` for a refusal, and where there is nothing to remove.
    fn edit(&self, text: &str) -> Option<String> {
        let Some((current, endpoints, nodes)) = &self.set else {
            let edited = remove_context(text, &self.name);
            return edited.unwrap_or_else(refused).map(|text| text.as_str().into());
        };
        let new = NewContext {
            endpoints,
            nodes: Nodes::Fill(nodes),
            ca_pem: CA,
            crt_pem: CRT,
            key_pem: &Secret::new(KEY),
        };
        let edited = set_context(text, &self.name, &new, *current).map(Some);
        edited.unwrap_or_else(refused).map(|text| text.as_str().into())
    }
}

fn refused<T>(error: exchange_core::talosconfig::TalosconfigError) -> Option<T> {
    assert!(!error.to_string().chars().any(char::is_control), "{error}");
    None
}

/// A line with an edit, then the file.
pub fn talosconfig(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some((line, before)) = text.split_once('\n') else { return };
    let Some(order) = Order::read(line) else { return };
    let documents = yaml::parse_all(before);
    let Some(after) = order.edit(before) else { return };
    let documents = documents.expect("a file that does not read is never edited");
    let old = Talosconfig::parse(before).expect("it was edited");
    let new = Talosconfig::parse(&after).expect("what was written reads");
    let name = order.name.as_str();
    same_others(&old, &new, name);
    lines_stay(before, &after, &ours(&documents, name));
    match &order.set {
        Some((current, endpoints, nodes)) => {
            let context = new.context(name).expect("it was set");
            assert_eq!(context.ca_pem(), Ok(Some(CA.into())));
            assert_eq!(context.crt_pem(), Ok(Some(CRT.into())));
            let key = context.key_pem().expect("readable").expect("a key");
            assert_eq!(key.expose(), KEY.as_bytes());
            let kept = old.context(name);
            if !endpoints.is_empty() {
                assert!(context.endpoints.starts_with(endpoints));
            } else if let Some(kept) = kept {
                assert_eq!(context.endpoints, kept.endpoints);
            }
            match kept.filter(|kept| !kept.nodes.is_empty()) {
                Some(kept) => assert_eq!(context.nodes, kept.nodes, "nodes belong to the user"),
                None if nodes.is_empty() => assert!(context.nodes.is_empty()),
                None => {}
            }
            let switched = match current {
                MakeCurrent::Yes => true,
                MakeCurrent::OnCreate => kept.is_none(),
                MakeCurrent::No => false,
            };
            let current = if switched { Some(name) } else { old.current.as_deref() };
            assert_eq!(new.current.as_deref(), current);
            assert_eq!(order.edit(&after).as_deref(), Some(after.as_str()), "a second time");
        }
        None => {
            assert!(new.context(name).is_none());
            assert_eq!(new.current, old.current.filter(|current| current != name));
            assert_eq!(order.edit(&after), None, "a second time");
        }
    }
}

/// The other contexts say what they said, in their order.
fn same_others(old: &Talosconfig, new: &Talosconfig, name: &str) {
    let all = |file: &Talosconfig| -> Vec<String> {
        let others = file.contexts.iter().filter(|context| context.name != name);
        others.map(says).collect()
    };
    assert_eq!(all(old), all(new));
}

fn says(context: &Context) -> String {
    let key = context.key_pem().map(|key| key.map(|key| key.expose().to_vec()));
    let Context { name, endpoints, nodes, .. } = context;
    format!(
        "{name:?} {endpoints:?} {nodes:?} {:?} {:?} {key:?}",
        context.ca_pem(),
        context.crt_pem()
    )
}

/// Where an edit of `name` may change the text: its own context, the name of the current one, and
/// what stands for no contexts at all.
fn ours(documents: &[Node], name: &str) -> Vec<std::ops::Range<usize>> {
    let Some(root) = documents.first() else { return Vec::new() };
    let span = |map: &Map, key: &str| {
        let pair = map.pair(key)?;
        Some(
            pair.key_place.bytes.start
                ..pair.value.place.bytes.end.max(pair.key_place.bytes.end + 1),
        )
    };
    let whole = std::iter::once(root.place.bytes.clone());
    let Some(map) = root.map().filter(|map| !map.flow && !map.pairs.is_empty()) else {
        return whole.collect();
    };
    let contexts = map.get("contexts").and_then(Node::map);
    let own = match contexts.filter(|map| !map.flow && !map.pairs.is_empty()) {
        // The last of several is replaced by `{}` behind the colon of `contexts`.
        Some(contexts) if contexts.pairs.len() > 1 => span(contexts, name),
        Some(contexts) if contexts.pair(name).is_none() => None,
        Some(_) | None => span(map, "contexts"),
    };
    own.into_iter().chain(span(map, "context")).collect()
}

/// Every line of `before` that touches none of `ours` is in `after`, in the same order.
fn lines_stay(before: &str, after: &str, ours: &[std::ops::Range<usize>]) {
    let mut rest = after.trim_start_matches('\u{feff}').split_inclusive('\n');
    let mut at = 0;
    for line in before.split_inclusive('\n') {
        let (start, end) = (at, at + line.len());
        at = end;
        if ours.iter().any(|range| range.start < end && start <= range.end) {
            continue;
        }
        // A line may come to stand before this one, behind the mark of the byte order.
        let line = if start == 0 { line.trim_start_matches('\u{feff}') } else { line };
        // The last line may have had no end.
        let ended = |other: &str| matches!(other.strip_prefix(line), Some("" | "\n" | "\r\n"));
        let kept = rest.any(|other| other == line || end == before.len() && ended(other));
        assert!(kept, "lost {line:?} of {before:?}, now {after:?}");
    }
}
