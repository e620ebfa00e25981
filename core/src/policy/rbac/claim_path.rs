//! Where in a token a rule looks: decided when the configuration is loaded, never per token.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use crate::json::{Object, Value};

/// Address of one claim.
///
/// | written | means |
/// |---|---|
/// | `realm_access.roles`, `https://example.com/roles` | the top-level member of exactly that name |
/// | `/realm_access/roles` | JSON Pointer (RFC 6901): `~1` is `/`, `~0` is `~` |
/// | a list of names | member by member, nothing escaped |
///
/// There is no second guess: were a nested claim tried after a literal one, whoever controls one
/// top-level claim could stand in for it. Only objects are entered, never arrays by index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPath(Box<[Box<str>]>);

/// Why an address is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimError {
    /// No name at all, or an empty one in the path.
    Empty,
    /// A control character.
    Character,
    /// Over 256 bytes in a name, or over 8 names.
    TooLong,
    /// A JSON Pointer with `~` before anything but `0` or `1`.
    Pointer,
    /// `iss`, `aud`, `exp`, `nbf` or `iat`: they say for whom and when a token is, not what its
    /// bearer may.
    Reserved,
}

impl ClaimError {
    /// Stable name of this error.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Empty => "rbac.empty_claim",
            Self::Character => "rbac.claim_character",
            Self::TooLong => "rbac.claim_too_long",
            Self::Pointer => "rbac.bad_pointer",
            Self::Reserved => "rbac.reserved_claim",
        }
    }
}

impl fmt::Display for ClaimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the claim has an empty name: write for example groups or /realm_access/roles",
            Self::Character => "the claim has a control character in its name",
            Self::TooLong => "the claim has over 256 bytes in a name, or over 8 names",
            Self::Pointer => {
                "the claim starts with / and is therefore a JSON Pointer, where ~ is written ~0 and / is ~1"
            }
            Self::Reserved => "iss, aud, exp, nbf and iat say nothing about roles: name another claim",
        })
    }
}

const RESERVED: [&str; 5] = ["iss", "aud", "exp", "nbf", "iat"];
/// Claims that are lists by nature, so that a string in them is a list written with blanks.
const LISTS: [&str; 3] = ["groups", "roles", "scope"];
const NAME_BYTES_MAX: usize = 256;
const NAMES_MAX: usize = 8;

impl ClaimPath {
    /// The claim reached by these names, outermost first. One name is a top-level claim.
    ///
    /// # Errors
    /// [`ClaimError`], the first that applies.
    pub fn from_names<T: AsRef<str>>(
        names: impl IntoIterator<Item = T>,
    ) -> Result<Self, ClaimError> {
        let mut kept: Vec<Box<str>> = Vec::new();
        for name in names {
            let name = name.as_ref();
            if name.is_empty() {
                return Err(ClaimError::Empty);
            }
            if name.len() > NAME_BYTES_MAX || kept.len() >= NAMES_MAX {
                return Err(ClaimError::TooLong);
            }
            if name.chars().any(char::is_control) {
                return Err(ClaimError::Character);
            }
            kept.push(name.into());
        }
        match kept.first() {
            None => Err(ClaimError::Empty),
            Some(first) if RESERVED.contains(&&**first) => Err(ClaimError::Reserved),
            Some(_) => Ok(Self(kept.into_boxed_slice())),
        }
    }

    /// The value there, if every name on the way leads into an object.
    #[must_use]
    pub fn resolve<'a>(&self, claims: &'a Object) -> Option<&'a Value> {
        let (first, rest) = self.0.split_first()?;
        rest.iter().try_fold(claims.get(first)?, |value, name| value.as_object()?.get(name))
    }

    /// Name of the top-level member this address starts at.
    #[must_use]
    pub fn top_level(&self) -> &str {
        self.0.first().map_or("", |name| name)
    }

    /// Whether this is the standard claim `email` (OpenID Connect Core 1.0 section 5.1).
    #[must_use]
    pub fn is_email(&self) -> bool {
        matches!(&*self.0, [only] if **only == *"email")
    }

    /// Whether a string there is by nature a list: the last name is `groups`, `roles` or `scope`.
    #[must_use]
    pub fn is_list(&self) -> bool {
        self.0.last().is_some_and(|name| LISTS.contains(&&**name))
    }
}

impl FromStr for ClaimPath {
    type Err = ClaimError;

    fn from_str(text: &str) -> Result<Self, ClaimError> {
        match text.strip_prefix('/') {
            None => Self::from_names([text]),
            Some(pointer) => {
                let names: Result<Vec<_>, _> = pointer.split('/').map(unescape).collect();
                Self::from_names(names?)
            }
        }
    }
}

/// RFC 6901 section 4: `~1` first, then `~0`, so that `~01` is `~1` and not `/`.
fn unescape(token: &str) -> Result<Cow<'_, str>, ClaimError> {
    if !token.contains('~') {
        return Ok(token.into());
    }
    if token.split('~').skip(1).all(|rest| rest.starts_with(['0', '1'])) {
        Ok(token.replace("~1", "/").replace("~0", "~").into())
    } else {
        Err(ClaimError::Pointer)
    }
}

impl fmt::Display for ClaimPath {
    /// The top-level name, or a JSON Pointer; reads back as the same address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = &*self.0
            && !only.starts_with('/')
        {
            return f.write_str(only);
        }
        for name in &self.0 {
            write!(f, "/{}", name.replace('~', "~0").replace('/', "~1"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    fn path(text: &str) -> Result<ClaimPath, ClaimError> {
        text.parse()
    }

    #[test]
    fn one_spelling_one_meaning() {
        let names = |names: &[&str]| ClaimPath::from_names(names).unwrap();
        assert_eq!(path("realm_access.roles"), Ok(names(&["realm_access.roles"])));
        assert_eq!(path("/realm_access/roles"), Ok(names(&["realm_access", "roles"])));
        assert_eq!(path("https://example.com/roles"), Ok(names(&["https://example.com/roles"])));
        assert_eq!(
            path("/https:~1~1example.com~1roles").unwrap().to_string(),
            "https://example.com/roles"
        );
        assert_eq!(path("/a~01b"), Ok(names(&["a~1b"])));
        assert!(path("/email").unwrap().is_email() && path("email").unwrap().is_email());
        assert!(!path("/user/email").unwrap().is_email() && !path("Email").unwrap().is_email());
        assert!(path("/realm_access/roles").unwrap().is_list());
        assert!(!path("/groups/name").unwrap().is_list());
    }

    #[test]
    fn refuses_at_load_time() {
        for (text, error) in [
            ("", ClaimError::Empty),
            ("/", ClaimError::Empty),
            ("/a//b", ClaimError::Empty),
            ("/a/", ClaimError::Empty),
            ("/a~2b", ClaimError::Pointer),
            ("/a~", ClaimError::Pointer),
            ("a\nb", ClaimError::Character),
            ("/a/\u{7f}", ClaimError::Character),
            ("/1/2/3/4/5/6/7/8/9", ClaimError::TooLong),
            ("iss", ClaimError::Reserved),
            ("/aud", ClaimError::Reserved),
            ("/exp/x", ClaimError::Reserved),
            ("nbf", ClaimError::Reserved),
            ("iat", ClaimError::Reserved),
        ] {
            assert_eq!(path(text), Err(error), "{text:?}");
        }
        assert_eq!(path(&"x".repeat(257)), Err(ClaimError::TooLong));
        assert!(path(&"x".repeat(256)).is_ok() && path("/1/2/3/4/5/6/7/8").is_ok());
        let told = ClaimError::Reserved.to_string();
        assert!(told.contains("name another claim"), "{told}");
        assert_eq!(ClaimPath::from_names([""; 0]), Err(ClaimError::Empty));
    }

    proptest! {
        #[test]
        fn printing_then_reading_is_identity(
            names in proptest::collection::vec("[a~/.0-9 ]{1,4}", 1..8),
        ) {
            let path = ClaimPath::from_names(&names).unwrap();
            prop_assert_eq!(path.to_string().parse::<ClaimPath>(), Ok(path));
        }

        #[test]
        fn no_text_panics(text in any::<alloc::string::String>()) {
            let _ = text.parse::<ClaimPath>();
        }
    }
}
