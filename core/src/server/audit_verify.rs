//! Reads an audit log back and names the first line that does not fit.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::signature::{ED25519 as ED25519_VERIFY, UnparsedPublicKey};

use super::audit_chain::{Chain, ED25519, Frontier, Hash, key_id, sha256, unhex};
use crate::json::{self, Value};
use crate::types::hex;

/// Longest line that is read, in bytes.
pub const LINE_BYTES_MAX: usize = 262_144;

/// What does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The line is no JSON object, or cut short.
    Unreadable,
    /// A chained log holds a line without number or hash.
    Unchained,
    /// The number is not the one that follows.
    OutOfOrder {
        /// Number that should stand here.
        expected: u64,
        /// Number that does.
        found: u64,
    },
    /// The line before is not what it was when this one was written.
    Changed,
    /// The checkpoint's signature is not by a given key.
    BadSignature,
    /// The checkpoint is of another history than the lines before it.
    WrongRoot,
}

impl Fault {
    /// Stable code: part of the public contract.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unreadable => "audit.unreadable_line",
            Self::Unchained => "audit.unchained_line",
            Self::OutOfOrder { .. } => "audit.out_of_order",
            Self::Changed => "audit.changed",
            Self::BadSignature => "audit.bad_signature",
            Self::WrongRoot => "audit.wrong_root",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable => f.write_str("not a complete JSON line"),
            Self::Unchained => {
                f.write_str("no seq and prev: the line was not written by the server")
            }
            Self::OutOfOrder { expected, found } if found > expected => {
                write!(f, "seq {expected} to {} are missing before it", found - 1)
            }
            Self::OutOfOrder { expected, found } => {
                write!(f, "seq {found} stands where {expected} belongs: moved or repeated")
            }
            Self::Changed => f.write_str("the line was changed after it was written"),
            Self::BadSignature => f.write_str("the checkpoint is not signed by a given key"),
            Self::WrongRoot => {
                f.write_str("the signed checkpoint does not match the lines before it")
            }
        }
    }
}

/// A fault and the line it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Line number over all files read, from 1.
    pub line: u64,
    /// What does not fit.
    pub fault: Fault,
}

/// What a log that fits holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Lines read.
    pub lines: u64,
    /// Number of the first chained line; over 1 means that older lines are elsewhere.
    pub first: Option<u64>,
    /// Number of the last chained line.
    pub last: Option<u64>,
    /// Lines of a time before the log was chained.
    pub unchained: u64,
    /// Checkpoints seen.
    pub checkpoints: u64,
    /// Checkpoints whose signature and root were both checked.
    pub checkpoints_proven: u64,
    /// Number up to which a proven checkpoint vouches.
    pub proven_to: u64,
}

/// A verifier key in C2SP's form `name+hash+key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: [u8; 4],
    public: Vec<u8>,
}

impl core::str::FromStr for VerifierKey {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(());
        };
        let key = BASE64_STANDARD.decode(key).map_err(|_| ())?;
        let Some((&ED25519, public)) = key.split_first() else { return Err(()) };
        let expected = key_id(name, public);
        if public.len() != 32 || hex(&expected) != id {
            return Err(());
        }
        Ok(Self { name: name.into(), id: expected, public: public.into() })
    }
}

/// Checks lines in the order they were written, over any number of files.
pub struct Verifier {
    keys: Vec<VerifierKey>,
    expected: Option<(u64, Hash)>,
    tree: Option<Frontier>,
    summary: Summary,
}

impl Verifier {
    /// A verifier; without a key, signatures of checkpoints are counted but not checked. With
    /// several, each checkpoint must be signed by one of them.
    #[must_use]
    pub fn new(keys: impl IntoIterator<Item = VerifierKey>) -> Self {
        let keys = keys.into_iter().collect();
        Self { keys, expected: None, tree: None, summary: Summary::default() }
    }

    /// Checks the next line, given without its line end.
    ///
    /// # Errors
    /// The first [`Finding`]; after it the verifier is of no more use.
    pub fn line(&mut self, line: &[u8]) -> Result<(), Finding> {
        self.summary.lines += 1;
        let here = self.summary.lines;
        let at = |line: u64, fault: Fault| Finding { line, fault };
        let limits = json::Limits { bytes_max: LINE_BYTES_MAX, depth_max: 8 };
        let object = json::parse_object(line, limits).map_err(|_| at(here, Fault::Unreadable))?;
        let number = match object.get("seq") {
            Some(Value::Int(number)) => u64::try_from(*number).ok(),
            _ => None,
        };
        let previous = object.get_str("prev").and_then(unhex);
        let (Some(number), Some(previous)) = (number, previous) else {
            // Lines from before the chain are legal at the very beginning only.
            return if self.expected.is_none() && object.get("seq").is_none() {
                self.summary.unchained += 1;
                Ok(())
            } else {
                Err(at(here, Fault::Unchained))
            };
        };
        match self.expected {
            // Lines of a time before the chain are followed by its first line or by none: else a
            // damaged first line would pass as one of them.
            None if self.summary.unchained > 0 && number != 1 => {
                return Err(at(here, Fault::OutOfOrder { expected: 1, found: number }));
            }
            None => {
                self.summary.first = Some(number);
                self.tree = (number == 1).then(Frontier::default);
            }
            Some((expected, _)) if number != expected => {
                return Err(at(here, Fault::OutOfOrder { expected, found: number }));
            }
            Some((_, hash)) if hash != previous => return Err(at(here - 1, Fault::Changed)),
            Some(_) => {}
        }
        if object.get_str("type") == Some("checkpoint") {
            let note = object.get_str("checkpoint").unwrap_or_default();
            self.checkpoint(note, number).map_err(|fault| at(here, fault))?;
        }
        if let Some(tree) = &mut self.tree {
            tree.push(line);
        }
        self.expected = Some((number + 1, sha256(&[line])));
        self.summary.last = Some(number);
        Ok(())
    }

    /// What was read, when nothing was found.
    #[must_use]
    pub fn finish(self) -> Summary {
        self.summary
    }

    /// Checks a signed checkpoint that stands in line `number`, so covers `number - 1` lines.
    fn checkpoint(&mut self, note: &str, number: u64) -> Result<(), Fault> {
        self.summary.checkpoints += 1;
        let (body, signatures) = note.split_once("\n\n").ok_or(Fault::Unreadable)?;
        let mut fields = body.split('\n').skip(1);
        let (size, root) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        let text = [body, "\n"].concat();
        let mut lines = signatures.lines();
        let is_signed = |line| self.keys.iter().any(|key| signed_by(line, key, text.as_bytes()));
        if !self.keys.is_empty() && !lines.any(is_signed) {
            return Err(Fault::BadSignature);
        }
        if let Some(tree) = &self.tree {
            if size != tree.size().to_string() || root != BASE64_STANDARD.encode(tree.root()) {
                return Err(Fault::WrongRoot);
            }
            if !self.keys.is_empty() {
                self.summary.checkpoints_proven += 1;
                self.summary.proven_to = number - 1;
            }
        }
        Ok(())
    }
}

/// Whether a signature line of a signed note is a good one by `key`.
fn signed_by(line: &str, key: &VerifierKey, text: &[u8]) -> bool {
    let Some((name, signature)) =
        line.strip_prefix("\u{2014} ").and_then(|rest| rest.rsplit_once(' '))
    else {
        return false;
    };
    let Ok(bytes) = BASE64_STANDARD.decode(signature) else { return false };
    let Some((id, signature)) = bytes.split_at_checked(4) else { return false };
    name == key.name
        && id == key.id
        && UnparsedPublicKey::new(&ED25519_VERIFY, &key.public).verify(text, signature).is_ok()
}

/// Follows the lines up to a chain's state by their hashes alone, which is several times as fast as
/// reading each as JSON.
///
/// Lines that end where the state says are byte for byte those that were written, so nothing that
/// [`resume`] would look for is in them. Where one does not fit, [`resume`] has the word.
pub struct Links<'a> {
    state: &'a Chain,
    previous: Option<(u64, Hash)>,
}

impl<'a> Links<'a> {
    /// None followed yet.
    #[must_use]
    pub const fn new(state: &'a Chain) -> Self {
        Self { state, previous: None }
    }

    /// Takes the next line, given without its line end; `false` where it does not fit.
    pub fn follow(&mut self, line: &[u8]) -> bool {
        let Some((number, previous)) = sealed_end(line) else { return false };
        // Lines before the first one are in a file of their own.
        let fits = self.previous.is_none_or(|(before, hash)| {
            before.checked_add(1) == Some(number) && *previous == *hex(&hash).as_bytes()
        });
        self.previous = Some((number, sha256(&[line])));
        fits
    }

    /// Whether the last line is the last that the state knows of.
    #[must_use]
    pub fn arrived(&self) -> bool {
        self.previous.is_some_and(|(number, hash)| self.state.ends_with(number, &hash))
    }
}

/// Number and hash at the end of a line as [`Chain::seal`] writes it.
fn sealed_end(line: &[u8]) -> Option<(u64, &[u8; 64])> {
    let (rest, hash) = line.strip_suffix(b"\"}")?.split_last_chunk::<64>()?;
    let rest = rest.strip_suffix(b",\"prev\":\"")?;
    let digits = rest.rsplit(|byte| !byte.is_ascii_digit()).next()?;
    let open = rest.len().checked_sub(digits.len())?;
    rest.get(..open)?.strip_suffix(b",\"seq\":")?;
    let number = core::str::from_utf8(digits).ok()?.parse().ok()?;
    Some((number, hash))
}

/// Continues a chain from what is on disk: the state kept beside the log, then the lines written
/// after it. `None` when they do not fit together.
#[must_use]
pub fn resume(state: Option<Chain>, lines: &[&[u8]]) -> Option<Chain> {
    let mut chain = state.unwrap_or_default();
    for line in lines {
        let limits = json::Limits { bytes_max: LINE_BYTES_MAX, depth_max: 8 };
        let object = json::parse_object(line, limits).ok()?;
        let Some(Value::Int(number)) = object.get("seq") else { continue };
        match u64::try_from(*number).ok()?.cmp(&chain.next_number()) {
            core::cmp::Ordering::Less => {}
            core::cmp::Ordering::Equal => chain.follow(line),
            core::cmp::Ordering::Greater => return None,
        }
    }
    Some(chain)
}

#[cfg(test)]
mod tests {
    use super::super::audit_chain::CheckpointKey;
    use super::*;
    use crate::machine::UnixTime;
    use alloc::format;
    use proptest::prelude::*;

    fn key() -> CheckpointKey {
        CheckpointKey::from_seed("talosctl-oidc audit", &[7; 32]).unwrap()
    }

    /// A log of `n` events with a checkpoint after every fifth.
    fn log(n: u64) -> Vec<Vec<u8>> {
        let (mut chain, mut text) = (Chain::default(), String::new());
        for i in 1..=n {
            chain.seal(format!("{{\"type\":\"t\",\"n\":{i}"), &mut text);
            if i % 5 == 0 {
                let open = chain.checkpoint(UnixTime::from_secs(i), &key());
                chain.seal(open, &mut text);
            }
        }
        text.lines().map(|line| line.as_bytes().to_vec()).collect()
    }

    fn verify(lines: &[Vec<u8>]) -> Result<Summary, Finding> {
        let mut verifier = Verifier::new(Some(key().verifier().parse().unwrap()));
        for line in lines {
            verifier.line(line)?;
        }
        Ok(verifier.finish())
    }

    #[test]
    fn an_untouched_log_fits() {
        let summary = verify(&log(12)).unwrap();
        assert_eq!((summary.lines, summary.checkpoints_proven, summary.proven_to), (14, 2, 11));
    }

    #[test]
    fn names_the_line_that_was_changed_removed_or_moved() {
        let good = log(12);
        let mut changed = good.clone();
        changed[2] =
            String::from_utf8(changed[2].clone()).unwrap().replace("\"n\":3", "\"n\":9").into();
        assert_eq!(verify(&changed), Err(Finding { line: 3, fault: Fault::Changed }));
        let mut removed = good.clone();
        removed.remove(3);
        let fault = Fault::OutOfOrder { expected: 4, found: 5 };
        assert_eq!(verify(&removed), Err(Finding { line: 4, fault }));
        let mut moved = good.clone();
        moved.swap(1, 2);
        let fault = Fault::OutOfOrder { expected: 2, found: 3 };
        assert_eq!(verify(&moved), Err(Finding { line: 2, fault }));
        let mut inserted = good.clone();
        inserted.insert(4, b"{\"type\":\"t\"}".to_vec());
        assert_eq!(verify(&inserted), Err(Finding { line: 5, fault: Fault::Unchained }));
        let mut torn = good;
        torn[13].truncate(20);
        assert_eq!(verify(&torn), Err(Finding { line: 14, fault: Fault::Unreadable }));
    }

    /// Somebody who rewrites all hashes still cannot sign the checkpoint.
    #[test]
    fn a_rewritten_history_fails_at_the_checkpoint() {
        let (mut chain, mut text) = (Chain::default(), String::new());
        for (i, line) in log(5).iter().enumerate() {
            let line = String::from_utf8(line.clone()).unwrap();
            let open = line.split(",\"seq\"").next().unwrap();
            let open = if i == 1 { open.replace("\"n\":2", "\"n\":8") } else { open.into() };
            chain.seal(open, &mut text);
        }
        let lines: Vec<Vec<u8>> = text.lines().map(|line| line.as_bytes().to_vec()).collect();
        assert_eq!(verify(&lines), Err(Finding { line: 6, fault: Fault::WrongRoot }));
    }

    #[test]
    fn a_chain_resumes_from_state_and_lines() {
        let lines = log(12);
        let mut whole = Chain::default();
        lines.iter().for_each(|line| whole.follow(line));
        for cut in 0..lines.len() {
            let mut first = Chain::default();
            lines[..cut].iter().for_each(|line| first.follow(line));
            let state = Chain::from_state(&first.state()).unwrap();
            let rest: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
            assert_eq!(resume(Some(state), &rest), Some(whole.clone()));
        }
        let gap: Vec<&[u8]> = lines.iter().skip(3).map(Vec::as_slice).collect();
        assert_eq!(resume(None, &gap), None);
    }

    /// The links say yes only to what was written, line for line, from any line on.
    #[test]
    fn links_lead_to_the_state_or_say_no() {
        let lines = log(12);
        let mut state = Chain::default();
        lines.iter().for_each(|line| state.follow(line));
        let all = |lines: &[Vec<u8>]| {
            let mut links = Links::new(&state);
            lines.iter().all(|line| links.follow(line)) && links.arrived()
        };
        for first in 0..lines.len() {
            assert!(all(&lines[first..]), "from {first}");
        }
        assert!(!all(&[]) && !all(&lines[..13]), "it ends before the state");
        for n in 0..lines.len() {
            let mut other = lines.clone();
            let at = other[n].len() / 2;
            other[n][at] ^= 1;
            assert!(!all(&other), "line {n} changed");
            let mut other = lines.clone();
            other.insert(n, b"{\"type\":\"t\"}".to_vec());
            assert!(!all(&other), "before line {n}");
            if n > 0 && n + 1 < lines.len() {
                let mut other = lines.clone();
                other.remove(n);
                assert!(!all(&other), "line {n} removed");
            }
        }
        for line in ["", "{}", ",\"seq\":,\"prev\":\"\"}", "\"}"] {
            assert_eq!(sealed_end(line.as_bytes()), None, "{line}");
        }
        let end = format!(",\"prev\":\"{}\"}}", "0".repeat(64));
        for number in ["", "x", "-1", "99999999999999999999", "1 "] {
            assert_eq!(
                sealed_end(format!("{{,\"seq\":{number}{end}").as_bytes()),
                None,
                "{number}"
            );
        }
        assert_eq!(sealed_end(format!("7{end}").as_bytes()), None);
    }

    /// RFC 6962 section 2.1: the definition by halves, against the running frontier.
    #[test]
    fn the_frontier_is_the_merkle_tree() {
        fn root(leaves: &[Vec<u8>]) -> Hash {
            match leaves.len() {
                0 => sha256(&[]),
                1 => sha256(&[&[0], &leaves[0]]),
                n => {
                    let k = n.next_power_of_two() / 2;
                    sha256(&[&[1], &root(&leaves[..k]), &root(&leaves[k..])])
                }
            }
        }
        let leaves: Vec<Vec<u8>> = (0..40u8).map(|n| Vec::from([n])).collect();
        let mut tree = Frontier::default();
        for n in 0..leaves.len() {
            assert_eq!(tree.root(), root(&leaves[..n]), "{n} leaves");
            tree.push(&leaves[n]);
        }
    }

    proptest! {
        #[test]
        fn any_flipped_byte_is_found(at in 0usize..2000, flip in 1u8..=255) {
            let mut lines = log(10);
            let n = at % (lines.len() - 1);
            let column = at % lines[n].len();
            lines[n][column] ^= flip;
            let found = verify(&lines).unwrap_err();
            prop_assert!(found.line <= u64::try_from(n).unwrap() + 2);
        }

        #[test]
        fn no_line_panics(line in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = Verifier::new(None).line(&line);
        }
    }
}
