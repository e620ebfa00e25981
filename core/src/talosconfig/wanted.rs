//! The values that will be written, as Talos writes them.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::layout::{always_quoted, block_list, flow_list, is_hollow};
use super::{NewContext, Nodes, TalosconfigError};
use crate::yaml::{Node, quote};

const NODES: &str = "nodes";

/// The values that will be written.
pub(super) struct Wanted<'a> {
    pub(super) endpoints: &'a [String],
    nodes: Nodes<'a>,
    /// `ca`, `crt`, `key` in base64, in the order Talos writes them.
    pub(super) texts: [(&'static str, Zeroizing<String>); 3],
}

impl<'a> Wanted<'a> {
    pub(super) fn new(new: &NewContext<'a>) -> Result<Self, TalosconfigError> {
        let encode = |key: &'static str, pem: &str| {
            if !pem.contains("-----BEGIN ") {
                return Err(TalosconfigError::NotPem { key });
            }
            // Talos encodes the whole file: the last line has its end.
            let pem = Zeroizing::new(format!("{}\n", pem.trim()));
            Ok((key, Zeroizing::new(STANDARD.encode(pem.as_bytes()))))
        };
        let key = new.key_pem.expose_str().ok_or(TalosconfigError::NotPem { key: "key" })?;
        Ok(Self {
            endpoints: new.endpoints,
            nodes: new.nodes,
            texts: [encode("ca", new.ca_pem)?, encode("crt", new.crt_pem)?, encode("key", key)?],
        })
    }

    /// The lists in the order Talos writes them, before the texts.
    pub(super) fn lists(&self) -> [(&'static str, &'a [String]); 2] {
        let (Nodes::Fill(nodes) | Nodes::Set(nodes)) = self.nodes;
        [("endpoints", self.endpoints), (NODES, nodes)]
    }

    /// Whether the list that stands under `key` stays, whatever is wanted there.
    pub(super) fn stays(&self, key: &str, old: &Node) -> bool {
        key == NODES && matches!(self.nodes, Nodes::Fill(_)) && !is_hollow(old)
    }

    /// Lines of a whole new body, the keys at `indent`.
    pub(super) fn block_body(&self, indent: usize, dash: usize, eol: &str) -> Zeroizing<String> {
        let mut out = Zeroizing::new(String::new());
        for (key, items) in self.lists() {
            if !items.is_empty() {
                *out += &format!("{:indent$}{key}:{eol}", "");
                *out += &block_list(items, indent.saturating_add(dash), eol);
            } else if key == "endpoints" {
                *out += &format!("{:indent$}endpoints: []{eol}", "");
            }
        }
        for (key, value) in &self.texts {
            *out += &format!("{:indent$}{key}: {}{eol}", "", quote(value));
        }
        out
    }

    /// A whole new body as `{…}`.
    pub(super) fn flow_body(&self) -> Zeroizing<String> {
        let mut parts = Vec::new();
        for (key, items) in self.lists() {
            if !items.is_empty() || key == "endpoints" {
                parts.push(Zeroizing::new(format!("\"{key}\": {}", flow_list(items))));
            }
        }
        for (key, value) in &self.texts {
            parts.push(Zeroizing::new(format!("\"{key}\": {}", always_quoted(value))));
        }
        let joined: Vec<&str> = parts.iter().map(|part| part.as_str()).collect();
        Zeroizing::new(format!("{{{}}}", joined.join(", ")))
    }
}
