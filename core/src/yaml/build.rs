//! From the parser's events to the tree.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span};
use zeroize::Zeroizing;

use super::{Map, Node, Pair, Place, Scalar, Seq, Value, YamlError, YamlFault};

/// Largest text in bytes.
pub const TEXT_BYTES_MAX: usize = 1 << 20;
/// Deepest nesting of lists and mappings.
pub const DEPTH_MAX: usize = 32;
/// Most scalars, lists, mappings and aliases in one text.
pub const NODES_MAX: usize = 100_000;

/// Reads a text of at most one document; `None` when it holds none (empty, or comments only).
///
/// # Errors
/// [`YamlError`] with the place; [`YamlFault::SecondDocument`] when there are more.
pub fn parse(text: &str) -> Result<Option<Node>, YamlError> {
    let mut documents = parse_all(text)?.into_iter();
    let first = documents.next();
    match documents.next() {
        None => Ok(first),
        Some(second) => Err(YamlError {
            fault: YamlFault::SecondDocument,
            line: second.place.line,
            column: second.place.column,
        }),
    }
}

/// Reads every document of a text.
///
/// # Errors
/// [`YamlError`] with the place.
pub fn parse_all(text: &str) -> Result<Vec<Node>, YamlError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(YamlError { fault: YamlFault::TooLarge, line: 0, column: 0 });
    }
    let mut builder = Builder {
        text,
        offsets: Offsets::new(text),
        open: Vec::new(),
        documents: Vec::new(),
        nodes: 0,
    };
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| at(YamlFault::Syntax, *error.marker()))?;
        builder.event(event, span)?;
    }
    Ok(builder.documents)
}

fn at(fault: YamlFault, marker: Marker) -> YamlError {
    YamlError { fault, line: marker.line(), column: marker.col().saturating_add(1) }
}

/// Turns the parser's positions, which count characters, into bytes.
struct Offsets {
    /// Byte of each character; empty when the text is ASCII and both counts agree.
    table: Vec<usize>,
    len: usize,
}

impl Offsets {
    fn new(text: &str) -> Self {
        let table = if text.is_ascii() {
            Vec::new()
        } else {
            text.char_indices().map(|(byte, _)| byte).collect()
        };
        Self { table, len: text.len() }
    }

    fn byte(&self, marker: Marker) -> usize {
        let index = marker.index();
        if self.table.is_empty() {
            index.min(self.len)
        } else {
            self.table.get(index).copied().unwrap_or(self.len)
        }
    }

    fn place(&self, span: Span) -> Place {
        let start = self.byte(span.start);
        Place {
            bytes: start..self.byte(span.end).max(start),
            line: span.start.line(),
            column: span.start.col().saturating_add(1),
        }
    }
}

/// A collection whose end has not come yet.
enum Open {
    Seq { items: Vec<Node>, frame: Frame },
    Map { pairs: Vec<Pair>, key: Option<(Scalar, Place)>, seen: BTreeSet<String>, frame: Frame },
}

struct Frame {
    place: Place,
    anchored: bool,
    tagged: bool,
    /// Whether it began with a bracket.
    flow: bool,
}

struct Builder<'a> {
    text: &'a str,
    offsets: Offsets,
    open: Vec<Open>,
    documents: Vec<Node>,
    nodes: usize,
}

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), YamlError> {
        match event {
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
            Event::Alias(_) => {
                let place = self.offsets.place(span);
                self.insert(
                    Node { value: Value::Alias, place, anchored: false, tagged: false },
                    span,
                )
            }
            Event::Scalar(text, style, anchor, tag) => {
                let scalar = Scalar {
                    text: Zeroizing::new(text.into_owned()),
                    plain: style == ScalarStyle::Plain,
                };
                let mut place = self.offsets.place(span);
                self.tidy(&mut place, style, &scalar.text);
                let node = Node {
                    value: Value::Scalar(scalar),
                    place,
                    anchored: anchor > 0,
                    tagged: tag.is_some(),
                };
                self.insert(node, span)
            }
            Event::SequenceStart(anchor, tag) => {
                let frame = self.frame(span, anchor, tag.is_some())?;
                self.open.push(Open::Seq { items: Vec::new(), frame });
                Ok(())
            }
            Event::MappingStart(anchor, tag) => {
                let frame = self.frame(span, anchor, tag.is_some())?;
                let seen = BTreeSet::new();
                self.open.push(Open::Map { pairs: Vec::new(), key: None, seen, frame });
                Ok(())
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
        }
    }

    fn frame(&self, span: Span, anchor: usize, tagged: bool) -> Result<Frame, YamlError> {
        if self.open.len() >= DEPTH_MAX {
            return Err(at(YamlFault::TooDeep, span.start));
        }
        let mut place = self.offsets.place(span);
        let rest = self.text.get(place.bytes.start..).unwrap_or_default();
        let bracket = rest.len() - without_properties(rest).len();
        // No key is a collection here, so a block never begins with a bracket.
        let flow =
            !span.is_empty() && rest.get(bracket..).is_some_and(|r| r.starts_with(['{', '[']));
        if flow {
            place.bytes.start = place.bytes.start.saturating_add(bracket);
        }
        Ok(Frame { place, anchored: anchor > 0, tagged, flow })
    }

    /// Ends the innermost collection. Only a flow collection ends with a character of its own.
    fn close(&mut self, span: Span) -> Result<(), YamlError> {
        let end = self.offsets.byte(span.start);
        let (value, frame, first, last) = match self.open.pop() {
            None => return Err(at(YamlFault::Syntax, span.start)),
            Some(Open::Seq { items, frame }) => {
                let flow = frame.flow;
                let last = items.last().map(|node| node.place.bytes.end);
                let first = items.first().and_then(|node| self.dash_before(&node.place));
                (Value::Seq(Seq { items, flow }), frame, first, last)
            }
            Some(Open::Map { pairs, frame, .. }) => {
                let flow = frame.flow;
                let first = pairs.first().map(|pair| pair.key_place.clone());
                let last = pairs
                    .last()
                    .map(|pair| pair.value.place.bytes.end.max(pair.key_place.bytes.end));
                (Value::Map(Map { pairs, flow }), frame, first, last)
            }
        };
        let mut place = frame.place;
        if frame.flow {
            place.bytes.end = self.behind_bracket(end);
        } else {
            // The event stands before an anchor or tag, and of a list that is not indented behind
            // the first dash; the first key or dash is where the block begins.
            if let Some(first) = first {
                place = first;
            }
            place.bytes.end = last.unwrap_or(place.bytes.start).max(place.bytes.start);
        }
        let node = Node { value, place, anchored: frame.anchored, tagged: frame.tagged };
        self.insert(node, span)
    }

    /// Byte behind the bracket that closes at or after `at`: behind a last comma the event stands
    /// too early.
    fn behind_bracket(&self, mut at: usize) -> usize {
        loop {
            let rest = self.text.get(at..).unwrap_or_default();
            let skipped = rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n', ',']).len();
            at = at.saturating_add(skipped);
            match rest.get(skipped..).and_then(|rest| rest.strip_prefix('#')) {
                Some(comment) => {
                    let line = comment.find('\n').unwrap_or(comment.len());
                    at = at.saturating_add(1).saturating_add(line);
                }
                None => return at.saturating_add(1).min(self.text.len()),
            }
        }
    }

    /// Where the `-` of a list's item stands, if only blanks are between.
    fn dash_before(&self, item: &Place) -> Option<Place> {
        let before = self.text.get(..item.bytes.start)?;
        let blanks = before.len() - before.trim_end_matches([' ', '\t']).len();
        let start = item.bytes.start.checked_sub(blanks.checked_add(1)?)?;
        let column = item.column.checked_sub(blanks.checked_add(1)?)?;
        (self.text.as_bytes().get(start) == Some(&b'-')).then_some(Place {
            bytes: start..item.bytes.end,
            line: item.line,
            column,
        })
    }

    /// Takes blanks and comments off the end that the parser counts in.
    fn tidy(&self, place: &mut Place, style: ScalarStyle, text: &str) {
        let raw = self.text.get(place.bytes.clone()).unwrap_or_default();
        let len = match style {
            ScalarStyle::Plain if text.is_empty() => 0,
            ScalarStyle::Plain => raw.trim_end().len(),
            ScalarStyle::SingleQuoted => quoted_len(raw, b'\''),
            ScalarStyle::DoubleQuoted => quoted_len(raw, b'"'),
            ScalarStyle::Literal | ScalarStyle::Folded => raw.len(),
        };
        place.bytes.end = place.bytes.start.saturating_add(len);
    }

    fn insert(&mut self, node: Node, span: Span) -> Result<(), YamlError> {
        self.nodes = self.nodes.saturating_add(1);
        if self.nodes > NODES_MAX {
            return Err(at(YamlFault::TooMany, span.start));
        }
        match self.open.last_mut() {
            None => self.documents.push(node),
            Some(Open::Seq { items, .. }) => items.push(node),
            Some(Open::Map { pairs, key, seen, .. }) => match key.take() {
                Some((key, key_place)) => pairs.push(Pair { key, key_place, value: node }),
                None => {
                    let refused = |fault| YamlError {
                        fault,
                        line: node.place.line,
                        column: node.place.column,
                    };
                    let Value::Scalar(scalar) = &node.value else {
                        return Err(refused(YamlFault::KeyNotText));
                    };
                    if node.anchored || node.tagged {
                        return Err(refused(YamlFault::KeyNotText));
                    }
                    if !seen.insert(scalar.text.as_str().into()) {
                        return Err(refused(YamlFault::DuplicateKey));
                    }
                    *key = Some((scalar.clone(), node.place));
                }
            },
        }
        Ok(())
    }
}

/// Length of the quoted text at the start of `raw`, quotes included; all of it where an anchor or
/// tag stands first.
fn quoted_len(raw: &str, quote: u8) -> usize {
    let mut bytes = raw.bytes().enumerate();
    if bytes.next().is_none_or(|(_, first)| first != quote) {
        return raw.len();
    }
    while let Some((at, byte)) = bytes.next() {
        if byte == b'\\' && quote == b'"' {
            bytes.next();
        } else if byte == quote {
            // Two single quotes are one inside.
            if quote == b'\'' && raw.as_bytes().get(at.saturating_add(1)) == Some(&quote) {
                bytes.next();
            } else {
                return at.saturating_add(1);
            }
        }
    }
    raw.len()
}

/// What follows the anchor and the tag, if there are any.
fn without_properties(mut rest: &str) -> &str {
    while rest.starts_with(['&', '!']) {
        rest = rest.trim_start_matches(|c: char| !c.is_whitespace()).trim_start();
    }
    rest
}
