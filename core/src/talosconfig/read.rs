//! What a talosconfig says.

use alloc::string::String;
use alloc::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::TalosconfigError;
use super::edit::ours;
use crate::types::Secret;
use crate::yaml::{Map, Node, Value, parse_all};

/// The first document of a talosconfig.
#[derive(Debug, Default)]
pub struct Talosconfig {
    /// Name of the current context; `None` when empty or absent.
    pub current: Option<String>,
    /// The contexts in the order of the file.
    pub contexts: Vec<Context>,
}

/// One context. Values are decoded when asked for, so that one damaged context does not hide the
/// others.
#[derive(Debug, Default)]
pub struct Context {
    /// Its name.
    pub name: String,
    /// Endpoints; the deprecated `target` comes last, as Talos adds it.
    pub endpoints: Vec<String>,
    /// Default nodes.
    pub nodes: Vec<String>,
    ca: Field,
    crt: Field,
    key: Field,
}

/// A base64 value as written.
#[derive(Debug, Default)]
enum Field {
    #[default]
    Absent,
    Text(Secret),
    Wrong(TalosconfigError),
}

impl Talosconfig {
    /// Reads a text; an empty one, or one with only comments, holds no contexts.
    ///
    /// # Errors
    /// [`TalosconfigError`] when it is not YAML, when the file or `contexts` is no mapping, or when
    /// it is a mapping of other things. A context that is null is read as an empty one.
    pub fn parse(text: &str) -> Result<Self, TalosconfigError> {
        let documents = parse_all(text).map_err(TalosconfigError::Yaml)?;
        let Some(root) = documents.first().filter(|root| !root.is_null()) else {
            return Ok(Self::default());
        };
        let root =
            root.map().ok_or(TalosconfigError::NotAMapping { part: "the first document" })?;
        ours(root)?;
        let current = match root.get("context") {
            None => None,
            Some(node) if node.is_null() => None,
            Some(node) => {
                let name = node.text().ok_or(TalosconfigError::WrongKind { key: "context" })?;
                Some(String::from(name)).filter(|name| !name.is_empty())
            }
        };
        let mut contexts = Vec::new();
        if let Some(node) = root.get("contexts").filter(|node| !node.is_null()) {
            let map = node.map().ok_or(TalosconfigError::NotAMapping { part: "contexts" })?;
            contexts.extend(map.pairs.iter().map(|p| Context::read(&p.key.text, &p.value)));
        }
        Ok(Self { current, contexts })
    }

    /// The context of that name.
    #[must_use]
    pub fn context(&self, name: &str) -> Option<&Context> {
        self.contexts.iter().find(|context| context.name == name)
    }
}

impl Context {
    fn read(name: &str, node: &Node) -> Self {
        let name = String::from(name);
        if node.is_null() {
            return Self { name, ..Self::default() };
        }
        let wrong = match &node.value {
            Value::Map(map) => {
                let mut endpoints = texts(map, "endpoints");
                endpoints.extend(map.get("target").and_then(Node::text).map(String::from));
                let nodes = texts(map, "nodes");
                let field = |key| Field::read(map, key);
                let (ca, crt, key) = (field("ca"), field("crt"), field("key"));
                return Self { name, endpoints, nodes, ca, crt, key };
            }
            // What an alias stands for is not looked up; asking for a value says so.
            Value::Alias => TalosconfigError::Reference,
            Value::Scalar(_) | Value::Seq(_) => {
                TalosconfigError::NotAMapping { part: "the context" }
            }
        };
        let wrong = || Field::Wrong(wrong);
        Self { name, ca: wrong(), crt: wrong(), key: wrong(), ..Self::default() }
    }

    /// CA certificates in PEM; `None` when the context has none.
    ///
    /// # Errors
    /// [`TalosconfigError`] when the value does not decode.
    pub fn ca_pem(&self) -> Result<Option<String>, TalosconfigError> {
        Ok(self.ca.pem("ca")?.map(|pem| pem.as_str().into()))
    }

    /// Client certificate in PEM, leaf first; `None` when the context has none.
    ///
    /// # Errors
    /// [`TalosconfigError`] when the value does not decode.
    pub fn crt_pem(&self) -> Result<Option<String>, TalosconfigError> {
        Ok(self.crt.pem("crt")?.map(|pem| pem.as_str().into()))
    }

    /// Private key in PEM; `None` when the context has none.
    ///
    /// # Errors
    /// [`TalosconfigError`] when the value does not decode.
    pub fn key_pem(&self) -> Result<Option<Secret>, TalosconfigError> {
        Ok(self.key.pem("key")?.map(|pem| Secret::new(pem.as_bytes())))
    }
}

/// The texts of a list; whatever is none is left out.
fn texts(map: &Map, key: &str) -> Vec<String> {
    let items = map.get(key).and_then(Node::seq).map(|list| list.items.as_slice());
    items.unwrap_or_default().iter().filter_map(Node::text).map(String::from).collect()
}

impl Field {
    fn read(map: &Map, key: &'static str) -> Self {
        match map.get(key) {
            None if map.merges() => Self::Wrong(TalosconfigError::Reference),
            None => Self::Absent,
            Some(node) if node.is_null() => Self::Absent,
            Some(node) => match node.text() {
                Some("") => Self::Absent,
                Some(text) => Self::Text(Secret::new(text)),
                None if matches!(node.value, Value::Alias) => {
                    Self::Wrong(TalosconfigError::Reference)
                }
                None => Self::Wrong(TalosconfigError::WrongKind { key }),
            },
        }
    }

    /// Decodes as Go's standard base64 does: CR and LF inside do not count, blanks are errors.
    fn pem(&self, key: &'static str) -> Result<Option<Zeroizing<String>>, TalosconfigError> {
        let text = match self {
            Self::Absent => return Ok(None),
            Self::Wrong(error) => return Err(*error),
            Self::Text(text) => text,
        };
        let refused = TalosconfigError::Base64 { key };
        let mut packed = Zeroizing::new(Vec::with_capacity(text.len()));
        packed.extend(text.expose().iter().copied().filter(|b| !matches!(b, b'\r' | b'\n')));
        let bytes = Zeroizing::new(STANDARD.decode(packed.as_slice()).map_err(|_| refused)?);
        let pem = core::str::from_utf8(&bytes).map_err(|_| refused)?;
        if !pem.contains("-----BEGIN ") {
            return Err(TalosconfigError::NotPem { key });
        }
        Ok(Some(Zeroizing::new(pem.into())))
    }
}
