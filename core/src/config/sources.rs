//! Looking a setting up: environment first, then the file, then the default.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::fmt;

use super::keys::{ENV_CONFIG, ENV_PREFIX, KEYS, Key, Kind};
use super::names::nearest;
use super::problems::{Origin, Problem, Problems, Warning, quoted, shown};
use crate::types::GoDuration;
use crate::yaml::{Map, Node, Pair, Place, YamlError, parse};

/// Both sources of one load, and what was found wrong so far.
pub(super) struct Sources<'a> {
    name: &'a str,
    file: Option<&'a Map>,
    env: &'a [(String, String)],
    pub(super) problems: Problems,
    pub(super) warnings: Vec<Warning>,
}

/// One value as it was written.
pub(super) struct One<'a> {
    pub(super) text: Cow<'a, str>,
    pub(super) origin: Origin,
}

/// The document of a file; an empty file holds none.
pub(super) fn read_file(name: &str, text: &str) -> Result<Option<Node>, Problems> {
    let at = |line, column| Origin::File { name: name.into(), line, column };
    let unreadable = |origin, advice: Cow<'static, str>| {
        let label = String::new();
        let problem = Problem { code: "config.unreadable", label, origin, value: None, advice };
        Problems { found: [problem].into(), ..Problems::default() }
    };
    let document = parse(text).map_err(|error: YamlError| {
        let bare = YamlError { line: 0, column: 0, ..error };
        unreadable(at(error.line, error.column), bare.to_string().into())
    })?;
    let Some(document) = document.filter(|node| !node.is_null()) else { return Ok(None) };
    if let Some(place) = document.first_reference() {
        let advice = "anchors, aliases and tags are not understood here; write the value out";
        return Err(unreadable(at(place.line, place.column), advice.into()));
    }
    if document.map().is_none() {
        let advice = format!("the file holds {}, not keys and values", document.kind());
        return Err(unreadable(at(document.place.line, document.place.column), advice.into()));
    }
    Ok(Some(document))
}

impl<'a> Sources<'a> {
    pub(super) fn new(name: &'a str, file: Option<&'a Node>, env: &'a [(String, String)]) -> Self {
        let file = file.and_then(Node::map);
        Self { name, file, env, problems: Problems::default(), warnings: Vec::new() }
    }

    pub(super) fn origin(&self, place: &Place) -> Origin {
        Origin::File { name: self.name.into(), line: place.line, column: place.column }
    }

    pub(super) fn problem(
        &mut self,
        key: &Key,
        origin: Origin,
        value: Option<String>,
        advice: impl Into<Cow<'static, str>>,
    ) {
        let label = key.label();
        let advice = advice.into();
        let problem = Problem { code: "config.invalid", label, origin, value, advice };
        self.problems.found.push(problem);
    }

    /// Two settings that cannot both hold.
    pub(super) fn conflict(&mut self, key: &Key, advice: impl Into<Cow<'static, str>>) {
        let problem = Problem {
            code: "config.conflict",
            label: key.label(),
            origin: self.given_at(key).unwrap_or(Origin::Default),
            value: None,
            advice: advice.into(),
        };
        self.problems.found.push(problem);
    }

    pub(super) fn missing(&mut self, key: &Key) {
        self.problems.missing.push(key.label());
    }

    pub(super) fn warn(&mut self, code: &'static str, text: impl Into<String>) {
        self.warnings.push(Warning { code, text: text.into() });
    }

    /// The variable of a key, unless it is unset or empty.
    fn env(&self, key: &Key) -> Option<&'a str> {
        let name = key.env?;
        let found = self.env.iter().rev().find(|(given, _)| given == name)?;
        Some(found.1.as_str()).filter(|value| !value.is_empty())
    }

    /// The pair of a key in the file, whatever its value.
    pub(super) fn file_pair(&self, key: &Key) -> Option<&'a Pair> {
        self.file.and_then(|map| map.pair(key.file))
    }

    /// The pair of that name in the file.
    pub(super) fn file_named(&self, name: &str) -> Option<&'a Pair> {
        self.file.and_then(|map| map.pair(name))
    }

    /// Where the value stands that counts.
    pub(super) fn given_at(&self, key: &Key) -> Option<Origin> {
        if self.env(key).is_some() {
            return Some(Origin::Environment);
        }
        self.file_pair(key).map(|pair| self.origin(&pair.key_place))
    }

    /// Whether somebody gave a value, right or wrong.
    pub(super) fn is_given(&self, key: &Key) -> bool {
        self.env(key).is_some()
            || self.file_pair(key).is_some_and(|pair| {
                !pair.value.is_null() && pair.value.scalar().is_none_or(|s| !s.text.is_empty())
            })
    }

    /// Whether a list is absent, null or `[]`; one that is there but wrong is not.
    pub(super) fn has_no_items(&self, key: &Key) -> bool {
        self.env(key).is_none()
            && self.file_pair(key).is_none_or(|pair| {
                pair.value.is_null() || pair.value.seq().is_some_and(|seq| seq.items.is_empty())
            })
    }

    /// The single value of a key; `None` when it has none or a wrong one.
    pub(super) fn one(&mut self, key: &Key) -> Option<One<'a>> {
        if let Some(text) = self.env(key) {
            return Some(One { text: text.into(), origin: Origin::Environment });
        }
        if self.is_given(key)
            && let Some(pair) = self.file_pair(key)
        {
            let origin = self.origin(&pair.value.place);
            if let Some(scalar) = pair.value.scalar() {
                return Some(One { text: scalar.text.as_str().into(), origin });
            }
            let advice = format!("{} is here, but one value is expected", pair.value.kind());
            self.problem(key, origin, None, advice);
            return None;
        }
        (!key.default.is_empty()).then(|| One { text: key.default.into(), origin: Origin::Default })
    }

    /// The value of a key read as `T`; `None` when it has none or a wrong one.
    pub(super) fn parse<T, E: fmt::Display>(
        &mut self,
        key: &Key,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let one = self.one(key)?;
        match read(&one.text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.problem(key, one.origin, shown(key, &one.text), error.to_string());
                None
            }
        }
    }

    /// The same, and absence is a problem.
    pub(super) fn required<T, E: fmt::Display>(
        &mut self,
        key: &Key,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        if !self.is_given(key) {
            self.missing(key);
            return None;
        }
        self.parse(key, read)
    }

    /// Text or a path, without control characters.
    pub(super) fn text(&mut self, key: &Key) -> Option<String> {
        self.parse(key, |text| {
            if text.chars().any(char::is_control) {
                Err("line ends and other control characters are not allowed")
            } else {
                Ok(String::from(text))
            }
        })
    }

    pub(super) fn flag(&mut self, key: &Key) -> bool {
        // The original's files know the words of YAML 1.1; its variables never did.
        let words = self.env(key).is_none();
        self.parse(key, |text| boolean(text, words)).unwrap_or(false)
    }

    /// A whole number in the range of its kind; below zero is zero where zero means "off".
    pub(super) fn number(&mut self, key: &Key) -> Option<u32> {
        let Kind::Number { min, max } = key.kind else { return None };
        let number = self.parse(key, |text| {
            let number: i64 = text
                .parse()
                .map_err(|_| format!("not a whole number; write one from {min} to {max}"))?;
            let number = if min == 0 { number.max(0) } else { number };
            u32::try_from(number)
                .ok()
                .filter(|number| (min..=max).contains(number))
                .ok_or_else(|| format!("must be from {min} to {max}"))
        })?;
        Some(number)
    }

    /// A duration in the range of its kind.
    pub(super) fn duration(&mut self, key: &Key) -> Option<GoDuration> {
        self.parse(key, |text| duration(key, text))
    }

    /// The same, but zero and below are the default as in the original, with a warning: the limit
    /// holds all the same.
    pub(super) fn window(&mut self, key: &Key) -> Option<GoDuration> {
        let mut replaced = None;
        let window = self.parse(key, |text| {
            let is_none = text.parse::<GoDuration>().is_ok_and(|window| window.nanos() <= 0);
            replaced = is_none.then(|| shown(key, text)).flatten();
            duration(key, if is_none { key.default } else { text })
        });
        if let Some(value) = replaced {
            let text = format!("{}: {value} is no time: {} holds", key.label(), key.default);
            self.warn("config.default", text);
        }
        window
    }

    /// One of the words of its kind.
    pub(super) fn choice(&mut self, key: &Key) -> Option<&'static str> {
        let Kind::Choice(words) = key.kind else { return None };
        self.parse(key, |text| {
            let found = words.iter().find(|word| **word == text);
            found.copied().ok_or_else(|| format!("must be one of: {}", words.join(", ")))
        })
    }

    /// The items of a list as written, with their places; `None` when the key is absent. A key
    /// without a value is an empty list.
    pub(super) fn items(&mut self, key: &Key) -> Option<Vec<One<'a>>> {
        let given = if let Some(text) = self.env(key) {
            let one = |text| One { text: Cow::Borrowed(text), origin: Origin::Environment };
            text.split(',').map(one).collect()
        } else {
            let pair = self.file_pair(key)?;
            match pair.value.seq() {
                Some(seq) => self.scalars(key, &seq.items),
                None if pair.value.is_null() => return Some(Vec::new()),
                None => {
                    let origin = self.origin(&pair.value.place);
                    let value = pair.value.text().and_then(|text| shown(key, text));
                    let advice = "a list is expected; write one item a line as `- item`, or [a, b]";
                    self.problem(key, origin, value, advice);
                    return Some(Vec::new());
                }
            }
        };
        let was_empty = given.is_empty();
        let kept: Vec<One<'a>> = given
            .into_iter()
            .map(|one| One { text: trimmed(one.text), origin: one.origin })
            .filter(|one| !one.text.is_empty())
            .collect();
        if kept.is_empty() && !was_empty {
            let origin = self.given_at(key).unwrap_or(Origin::Default);
            let advice = "nothing but blanks; name at least one item, or leave the key out";
            self.problem(key, origin, None, advice);
        }
        Some(kept)
    }

    /// The texts of the scalars among `nodes`; anything else is a problem of `key`.
    pub(super) fn scalars<'n>(&mut self, key: &Key, nodes: &'n [Node]) -> Vec<One<'n>> {
        let mut kept = Vec::new();
        for node in nodes {
            let origin = self.origin(&node.place);
            match node.scalar() {
                Some(scalar) if scalar.is_null() => kept.push(One { text: "".into(), origin }),
                Some(scalar) => kept.push(One { text: scalar.text.as_str().into(), origin }),
                None => {
                    let advice = format!("{} stands where an item is expected", node.kind());
                    self.problem(key, origin, None, advice);
                }
            }
        }
        kept
    }

    /// A list whose items read as `T`; wrong ones are problems and left out.
    pub(super) fn list<T, E: fmt::Display>(
        &mut self,
        key: &Key,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Vec<T>> {
        let items = self.items(key)?;
        let mut values = Vec::with_capacity(items.len());
        for item in items {
            match read(&item.text) {
                Ok(value) => values.push(value),
                Err(error) => {
                    self.problem(key, item.origin, shown(key, &item.text), error.to_string());
                }
            }
        }
        Some(values)
    }

    /// Warns about names that nobody reads.
    pub(super) fn warn_unknown(&mut self) {
        let top = || KEYS.iter().map(|key| key.file).filter(|file| !file.contains('.'));
        for pair in self.file.map(|map| map.pairs.as_slice()).unwrap_or_default() {
            let known = top().chain(["rbac"]);
            self.warn_unknown_pair(pair, "", known);
        }
        let names = || KEYS.iter().filter_map(|key| key.env).chain([ENV_CONFIG]);
        for (name, _) in self.env {
            let known = names().any(|known| known == name);
            if known || !name.starts_with(ENV_PREFIX) || is_service_link(name) {
                continue;
            }
            let short = name.strip_prefix(ENV_PREFIX).unwrap_or(name);
            let near = nearest(short, names().filter_map(|known| known.strip_prefix(ENV_PREFIX)));
            let meant =
                near.map(|near| format!("; did you mean {ENV_PREFIX}{near}?")).unwrap_or_default();
            self.warn(
                "config.unknown_key",
                format!("environment: unknown variable {}{meant}", quoted(name)),
            );
        }
    }

    /// Refuses names that were likely meant to say who gets what: without them everybody would be
    /// an administrator, which nobody wants who has written some.
    pub(super) fn refuse_misspelt_roles(&mut self) {
        let meant = |name: &str| nearest(name, ["roles", "rbac", "rbac_rules"].into_iter());
        let top = self.file.map(|map| map.pairs.as_slice()).unwrap_or_default();
        let inside = self.file_named("rbac").and_then(|pair| pair.value.map());
        let inside = inside.map(|map| map.pairs.as_slice()).unwrap_or_default();
        let known = |name: &str| KEYS.iter().any(|key| key.file == name) || name == "rbac";
        let top = top.iter().map(|pair| (pair, "")).filter(|(pair, _)| {
            let name = pair.key.text.as_str();
            !known(name) && meant(name).is_some()
        });
        let inside = inside
            .iter()
            .map(|pair| (pair, "rbac."))
            .filter(|(pair, _)| pair.key.text.as_str() != "rules");
        for (pair, before) in top.chain(inside) {
            let (origin, name) = (self.origin(&pair.key_place), quoted(&pair.key.text));
            self.misspelt(origin, format!("unknown key {before}{name}"));
        }
        for (name, value) in self.env {
            let Some(short) = name.strip_prefix(ENV_PREFIX) else { continue };
            let known = KEYS.iter().any(|key| key.env == Some(name.as_str()));
            if !known && !value.is_empty() && name != ENV_CONFIG && meant(short).is_some() {
                self.misspelt(Origin::Environment, format!("unknown variable {}", quoted(name)));
            }
        }
    }

    fn misspelt(&mut self, origin: Origin, what: String) {
        let problem = Problem {
            code: "config.unknown_key",
            label: String::new(),
            origin,
            value: Some(what),
            advice:
                "neither roles nor rbac.rules are set, so everybody would get os:admin; correct \
                     the name, or remove it"
                    .into(),
        };
        self.problems.found.push(problem);
    }

    /// Warns when the pair's key is not among `known`; `inside` ends with a dot or is empty.
    pub(super) fn warn_unknown_pair<'k>(
        &mut self,
        pair: &Pair,
        inside: &str,
        known: impl Iterator<Item = &'k str> + Clone,
    ) {
        let name = pair.key.text.as_str();
        if known.clone().any(|known| known == name) {
            return;
        }
        let meant = nearest(name, known)
            .map(|near| format!("; did you mean {inside}{near}?"))
            .unwrap_or_default();
        let origin = self.origin(&pair.key_place);
        let name = quoted(name);
        self.warn("config.unknown_key", format!("{origin}: unknown key {inside}{name}{meant}"));
    }
}

/// A boolean as it is written; with `words` also as YAML 1.1 has it.
pub(super) fn boolean(text: &str, words: bool) -> Result<bool, &'static str> {
    let is = |word: &str| text.eq_ignore_ascii_case(word);
    let (yes, no) =
        (["yes", "on", "y"].into_iter().any(is), ["no", "off", "n"].into_iter().any(is));
    if is("true") || text == "1" || words && yes {
        Ok(true)
    } else if is("false") || text == "0" || words && no {
        Ok(false)
    } else if yes || no {
        Err("yes, no, on and off are words here, not booleans; write true or false")
    } else {
        Err("write true or false")
    }
}

/// Kubernetes gives each pod variables named after every Service of its namespace, and a Service
/// called `talosctl-oidc` makes names that begin like ours.
fn is_service_link(name: &str) -> bool {
    let rest = name.strip_prefix(ENV_PREFIX).unwrap_or(name);
    rest == "PORT" || rest.starts_with("PORT_") || rest.starts_with("SERVICE_")
}

fn trimmed(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) => Cow::Owned(text.trim().into()),
    }
}

/// A duration in the range of the key's kind.
fn duration(key: &Key, text: &str) -> Result<GoDuration, String> {
    let Kind::Duration { min_ms, max_ms } = key.kind else { return Err("no duration".into()) };
    let duration: GoDuration = text.parse().map_err(|error| format!("{error}"))?;
    match duration.millis() {
        Some(ms) if (min_ms..=max_ms).contains(&ms) => Ok(duration),
        Some(_) | None => Err(format!("must be from {} to {}", go_text(min_ms), go_text(max_ms))),
    }
}

/// Milliseconds in the shortest of Go's words: `300s` reads better as `5m`.
fn go_text(ms: u64) -> String {
    if ms.is_multiple_of(3_600_000) && ms > 0 {
        format!("{}h", ms / 3_600_000)
    } else if ms.is_multiple_of(60_000) && ms > 0 {
        format!("{}m", ms / 60_000)
    } else if ms.is_multiple_of(1_000) {
        format!("{}s", ms / 1_000)
    } else {
        format!("{ms}ms")
    }
}
