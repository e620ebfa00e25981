//! The audit log as a chain: each line carries its number and the hash of the line before, and
//! signed checkpoints pin the whole (C2SP tlog-checkpoint over an RFC 6962 Merkle tree).
//!
//! A line that is changed, removed, moved or inserted no longer fits its neighbours. Cutting the
//! tail off is seen against the last checkpoint that somebody keeps elsewhere.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::digest::{SHA256, digest};
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use crate::json;
use crate::machine::UnixTime;
use crate::types::{Rfc3339, hex, push_decimal};

/// A SHA-256 value.
pub type Hash = [u8; 32];

/// SHA-256 of the concatenation of `parts`.
pub(super) fn sha256(parts: &[&[u8]]) -> Hash {
    let mut context = ring::digest::Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// Reads 64 hexadecimal characters.
pub(super) fn unhex(text: &str) -> Option<Hash> {
    let mut hash = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (n, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * n..2 * n + 2)?, 16).ok()?;
    }
    Some(hash)
}

/// The complete subtrees of a Merkle tree that grows at its right end (RFC 6962 section 2.1):
/// as many hashes as the size has one-bits, the largest subtree first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// Adds one leaf.
    pub fn push(&mut self, line: &[u8]) {
        let mut hash = sha256(&[&[0], line]);
        // Every trailing one-bit of the old size is a subtree of that height to merge with.
        let mut merges = self.size.trailing_ones();
        while merges > 0 {
            if let Some(left) = self.peaks.pop() {
                hash = sha256(&[&[1], &left, &hash]);
            }
            merges -= 1;
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// Root hash; of no leaves, the hash of nothing.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        let Some(last) = peaks.next() else { return sha256(&[]) };
        peaks.fold(*last, |right, left| sha256(&[&[1], left, &right]))
    }

    /// Leaves so far.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }
}

/// Where a chain stands: what the next line must carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    next: u64,
    previous: Hash,
    tree: Frontier,
}

/// What stands for the hash of the line before the first.
const NOTHING: Hash = [0; 32];

impl Default for Chain {
    fn default() -> Self {
        Self { next: 1, previous: NOTHING, tree: Frontier::default() }
    }
}

impl Chain {
    /// Number the next line will carry; the first is 1.
    #[must_use]
    pub const fn next_number(&self) -> u64 {
        self.next
    }

    /// Lines since the chain began.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.next - 1
    }

    /// Whether no line was written yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.next == 1
    }

    /// Whether the last line of this chain has this number and hash.
    pub(super) fn ends_with(&self, number: u64, hash: &Hash) -> bool {
        number.checked_add(1) == Some(self.next) && *hash == self.previous
    }

    /// Finishes an open line (`{"a":1` without its brace) and appends it to `out` with a line end.
    pub fn seal(&mut self, mut open: String, out: &mut String) {
        open.push_str(",\"seq\":");
        push_decimal(&mut open, self.next);
        for part in [",\"prev\":\"", &hex(&self.previous), "\"}"] {
            open.push_str(part);
        }
        self.follow(open.as_bytes());
        out.push_str(&open);
        out.push('\n');
    }

    /// Takes a line of this chain (without its line end) that is already written.
    pub fn follow(&mut self, line: &[u8]) {
        self.previous = sha256(&[line]);
        self.tree.push(line);
        self.next += 1;
    }

    /// An open line that holds a signed checkpoint over all lines so far.
    #[must_use]
    pub fn checkpoint(&self, at: UnixTime, key: &CheckpointKey) -> String {
        let mut open = format!("{{\"timestamp\":\"{}\",\"type\":\"checkpoint\"", Rfc3339(at));
        open.push_str(",\"checkpoint\":");
        json::write_string(&mut open, &key.sign(self.tree.size(), &self.tree.root()));
        open
    }

    /// The state as JSON text, to be kept beside the log for the next start.
    #[must_use]
    pub fn state(&self) -> String {
        let peaks: Vec<String> =
            self.tree.peaks.iter().map(|peak| format!("\"{}\"", hex(peak))).collect();
        format!(
            "{{\"next\":{},\"prev\":\"{}\",\"peaks\":[{}]}}\n",
            self.next,
            hex(&self.previous),
            peaks.join(",")
        )
    }

    /// Reads [`Chain::state`] back; `None` when it is not one.
    #[must_use]
    pub fn from_state(text: &str) -> Option<Self> {
        let limits = json::Limits { bytes_max: 16_384, depth_max: 3 };
        let object = json::parse_object(text.as_bytes(), limits).ok()?;
        let next = match object.get("next")? {
            json::Value::Int(next) => u64::try_from(*next).ok().filter(|next| *next > 0)?,
            json::Value::Null
            | json::Value::Bool(_)
            | json::Value::Float(_)
            | json::Value::String(_)
            | json::Value::Array(_)
            | json::Value::Object(_) => return None,
        };
        let peaks: Vec<Hash> = object
            .get("peaks")?
            .as_array()?
            .iter()
            .map(|peak| peak.as_str().and_then(unhex))
            .collect::<Option<_>>()?;
        let size = next - 1;
        if u64::try_from(peaks.len()) != Ok(u64::from(size.count_ones())) {
            return None;
        }
        let previous = object.get_str("prev").and_then(unhex)?;
        Some(Self { next, previous, tree: Frontier { size, peaks } })
    }
}

/// The Ed25519 key that signs checkpoints, and the name it signs under.
pub struct CheckpointKey {
    name: String,
    pair: Ed25519KeyPair,
}

impl CheckpointKey {
    /// A key from its 32-byte seed. `name` has no blank, `+` or control character (C2SP
    /// signed-note); others are replaced by `-`.
    #[must_use]
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Option<Self> {
        let name = name
            .chars()
            .map(|c| if c.is_whitespace() || c.is_control() || c == '+' { '-' } else { c })
            .collect();
        Some(Self { name, pair: Ed25519KeyPair::from_seed_unchecked(seed).ok()? })
    }

    /// The verifier key as C2SP writes it: `name+hash+key`.
    #[must_use]
    pub fn verifier(&self) -> String {
        let public = self.pair.public_key().as_ref();
        let mut encoded = Vec::from([ED25519]);
        encoded.extend_from_slice(public);
        let id = key_id(&self.name, public);
        format!("{}+{}+{}", self.name, hex(&id), BASE64_STANDARD.encode(encoded))
    }

    fn sign(&self, size: u64, root: &Hash) -> String {
        let body = format!("{}\n{size}\n{}\n", self.name, BASE64_STANDARD.encode(root));
        let mut signature = Vec::from(key_id(&self.name, self.pair.public_key().as_ref()));
        signature.extend_from_slice(self.pair.sign(body.as_bytes()).as_ref());
        format!("{body}\n\u{2014} {} {}\n", self.name, BASE64_STANDARD.encode(signature))
    }
}

/// Signature type of Ed25519 in C2SP signed-note.
pub(super) const ED25519: u8 = 1;

/// First four bytes of SHA-256 over name, line end, type and key (C2SP signed-note).
pub(super) fn key_id(name: &str, public: &[u8]) -> [u8; 4] {
    let hash = digest(&SHA256, &[name.as_bytes(), b"\n", &[ED25519], public].concat());
    let mut id = [0; 4];
    for (to, from) in id.iter_mut().zip(hash.as_ref()) {
        *to = *from;
    }
    id
}
