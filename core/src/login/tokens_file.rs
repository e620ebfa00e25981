//! `tokens.json`, the file that stands in for a keychain: a JSON object from context name to entry.
//!
//! Editing works on the text: only the one member changes, so that entries of other contexts, also
//! those a newer version wrote, stay as they are byte for byte.

use alloc::string::String;
use core::ops::Range;

use zeroize::Zeroizing;

use super::cache::{CacheEntry, CacheError};
use crate::json::{self, Limits};
use crate::types::ContextName;

/// Largest file we read, in bytes.
pub const FILE_BYTES_MAX: usize = 4 * 1024 * 1024;

const LIMITS: Limits = Limits { bytes_max: FILE_BYTES_MAX, depth_max: 16 };

/// The text of a tokens file, known to be one strict JSON object.
pub struct TokensFile(Zeroizing<String>);

impl TokensFile {
    /// Reads the file's text; blank text is a file without entries.
    ///
    /// # Errors
    /// [`CacheError::Json`].
    pub fn parse(text: &[u8]) -> Result<Self, CacheError> {
        let text = core::str::from_utf8(text).map_err(|_| CacheError::Json)?;
        if text.trim().is_empty() {
            return Ok(Self(Zeroizing::new(String::from("{}\n"))));
        }
        json::parse_object(text.as_bytes(), LIMITS).map_err(|_| CacheError::Json)?;
        Ok(Self(Zeroizing::new(text.into())))
    }

    /// The text to write.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The entry of `context`, if there is one.
    ///
    /// # Errors
    /// [`CacheError`] of the entry itself.
    pub fn get(&self, context: &ContextName) -> Result<Option<CacheEntry>, CacheError> {
        let Some(found) = self.members().find(|member| self.names(member, context)) else {
            return Ok(None);
        };
        let text = self.0.get(found.value).unwrap_or_default();
        CacheEntry::parse(text.as_bytes()).map(Some)
    }

    /// Sets the entry of `context`.
    pub fn set(&mut self, context: &ContextName, entry: &CacheEntry) {
        let value = entry.to_json();
        let found = self.members().find(|member| self.names(member, context));
        let (at, text) = match found {
            Some(member) => (member.value, value),
            None => {
                let last = self.members().last();
                let mut text =
                    Zeroizing::new(String::from(if last.is_some() { ",\n  " } else { "\n  " }));
                json::write_string(&mut text, context.as_str());
                text.push_str(": ");
                text.push_str(&value);
                let at = match last {
                    Some(last) => last.value.end,
                    None => {
                        text.push('\n');
                        self.0.find('{').map_or(0, |at| at + 1)
                    }
                };
                (at..at, text)
            }
        };
        self.replace(at, &text);
    }

    /// Removes the entry of `context`; says whether there was one.
    pub fn remove(&mut self, context: &ContextName) -> bool {
        let Some(at) = self.place(context) else {
            return false;
        };
        self.replace(at, "");
        true
    }

    /// What to cut out to remove a member: one comma goes along, the one in front, or else the one
    /// behind.
    fn place(&self, context: &ContextName) -> Option<Range<usize>> {
        let mut before: Option<Member> = None;
        let mut members = self.members();
        while let Some(member) = members.next() {
            if self.names(&member, context) {
                return Some(match (before, members.next()) {
                    (Some(before), _) => before.value.end..member.value.end,
                    (None, Some(next)) => member.name.start..next.name.start,
                    (None, None) => member.name.start..member.value.end,
                });
            }
            before = Some(member);
        }
        None
    }

    /// A new buffer, so that no stale copy of a token stays behind in a reallocated one.
    fn replace(&mut self, at: Range<usize>, with: &str) {
        let (head, tail) = (self.0.get(..at.start), self.0.get(at.end..));
        if let (Some(head), Some(tail)) = (head, tail) {
            let mut text =
                Zeroizing::new(String::with_capacity(head.len() + with.len() + tail.len()));
            text.push_str(head);
            text.push_str(with);
            text.push_str(tail);
            self.0 = text;
        }
    }

    fn names(&self, member: &Member, context: &ContextName) -> bool {
        let name = self.0.get(member.name.clone()).unwrap_or_default();
        json::parse(name.as_bytes(), LIMITS)
            .is_ok_and(|value| value.as_str() == Some(context.as_str()))
    }

    /// The members of the one object. The text is valid JSON, so strings and nesting suffice.
    fn members(&self) -> impl Iterator<Item = Member> {
        let bytes = self.0.as_bytes();
        let mut at = self.0.find('{').map_or(bytes.len(), |at| at + 1);
        core::iter::from_fn(move || {
            at = skip(bytes, at, |b| b.is_ascii_whitespace() || b == b',');
            let name_end = string_end(bytes, at)?;
            let value = skip(bytes, name_end, |b| b.is_ascii_whitespace() || b == b':');
            let name = at..name_end;
            at = value_end(bytes, value);
            Some(Member { name, value: value..at })
        })
    }
}

/// Where a member stands: its name with the quotes, and its value.
struct Member {
    name: Range<usize>,
    value: Range<usize>,
}

fn skip(bytes: &[u8], mut at: usize, what: impl Fn(u8) -> bool) -> usize {
    while bytes.get(at).is_some_and(|b| what(*b)) {
        at += 1;
    }
    at
}

/// Behind the closing quote of the string that starts at `at`; `None` when none does.
fn string_end(bytes: &[u8], at: usize) -> Option<usize> {
    if bytes.get(at) != Some(&b'"') {
        return None;
    }
    let mut at = at + 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Behind the value that starts at `at`.
fn value_end(bytes: &[u8], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at = string_end(bytes, at).unwrap_or(bytes.len()),
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' if depth > 0 => {
                depth -= 1;
                at += 1;
            }
            // The end of the value, unless it stands inside it.
            b',' | b'}' | b']' if depth == 0 => break,
            b if b.is_ascii_whitespace() && depth == 0 => break,
            _ => at += 1,
        }
        if depth == 0 && matches!(byte, b'"' | b'}' | b']') {
            break;
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Secret;
    use alloc::format;
    use alloc::string::ToString as _;
    use proptest::prelude::*;

    fn name(text: &str) -> ContextName {
        text.parse().unwrap()
    }

    fn entry(issuer: &str) -> CacheEntry {
        CacheEntry {
            refresh_token: Some(Secret::new(*b"r")),
            id_token: None,
            expires_at: None,
            issuer: issuer.into(),
            client_id: "cli".into(),
            scopes: None,
            server: None,
            subject: None,
        }
    }

    const FOREIGN: &str = "{\n  \"prod\" : {\"issuer\":\"a,}\\\"\",\"client_id\":\"b\",\"x\":[1e3,{}]},\n\t\"n\":12 ,\"last\":null\n}\n";

    #[test]
    fn other_entries_stay_byte_for_byte() {
        let mut file = TokensFile::parse(FOREIGN.as_bytes()).unwrap();
        assert_eq!(&*file.get(&name("prod")).unwrap().unwrap().issuer, "a,}\"");
        file.set(&name("new \"one\""), &entry("https://i"));
        assert!(file.as_str().starts_with(&FOREIGN[..FOREIGN.len() - 3]));
        assert_eq!(&*file.get(&name("new \"one\"")).unwrap().unwrap().issuer, "https://i");
        assert!(file.remove(&name("new \"one\"")));
        assert_eq!(file.as_str(), FOREIGN);
        assert!(!file.remove(&name("new \"one\"")));
    }

    #[test]
    fn any_member_can_go() {
        for (context, left) in [
            ("prod", "{\n  \"n\":12 ,\"last\":null\n}\n"),
            (
                "last",
                "{\n  \"prod\" : {\"issuer\":\"a,}\\\"\",\"client_id\":\"b\",\"x\":[1e3,{}]},\n\t\"n\":12\n}\n",
            ),
        ] {
            let mut file = TokensFile::parse(FOREIGN.as_bytes()).unwrap();
            assert!(file.remove(&name(context)));
            assert_eq!(file.as_str(), left);
        }
    }

    #[test]
    fn an_empty_file_is_a_file_without_entries() {
        for text in ["", " \n", "{}", "{ }"] {
            let mut file = TokensFile::parse(text.as_bytes()).unwrap();
            assert!(file.get(&name("a")).unwrap().is_none());
            file.set(&name("a"), &entry("https://i"));
            file.set(&name("a"), &entry("https://j"));
            assert_eq!(&*file.get(&name("a")).unwrap().unwrap().issuer, "https://j", "{text:?}");
            assert!(file.remove(&name("a")));
            assert!(json::parse_object(file.as_str().as_bytes(), LIMITS).unwrap().is_empty());
        }
        for text in ["[]", "{", "{\"a\":1,\"a\":2}"] {
            assert_eq!(TokensFile::parse(text.as_bytes()).err(), Some(CacheError::Json));
        }
    }

    proptest! {
        #[test]
        fn edits_keep_a_model(steps in proptest::collection::vec(("[a-c\\\\\"{}, ]{1,3}", any::<bool>()), 0..12)) {
            let mut model = alloc::collections::BTreeMap::new();
            let mut file = TokensFile::parse(b"").unwrap();
            for (step, (context, keep)) in steps.into_iter().enumerate() {
                let Ok(context) = context.parse::<ContextName>() else { continue };
                if keep {
                    let issuer = format!("https://i{step}");
                    file.set(&context, &entry(&issuer));
                    model.insert(context.clone(), issuer);
                } else {
                    prop_assert_eq!(file.remove(&context), model.remove(&context).is_some());
                }
                file = TokensFile::parse(file.as_str().as_bytes()).unwrap();
                for (context, issuer) in &model {
                    let found = file.get(context).unwrap().unwrap().issuer.to_string();
                    prop_assert_eq!(&found, issuer);
                }
                let members = json::parse_object(file.as_str().as_bytes(), LIMITS).unwrap().len();
                prop_assert_eq!(members, model.len());
            }
        }

        #[test]
        fn no_text_panics(text in "[{}\\[\\]\",:a\\\\ 1]{0,40}") {
            if let Ok(mut file) = TokensFile::parse(text.as_bytes()) {
                file.set(&name("a"), &entry("https://i"));
                prop_assert!(file.get(&name("a")).unwrap().is_some());
                prop_assert!(TokensFile::parse(file.as_str().as_bytes()).is_ok());
            }
        }
    }
}
