//! The nearest known name, for misspelt keys.

use alloc::string::String;
use alloc::vec::Vec;

/// The known name that `given` was most likely meant to be; `None` when none is near.
///
/// Case, `_` and `-` do not count; then the smallest number of inserted, deleted or replaced
/// characters wins, at most a third of the name and at most three; then a name that begins with
/// what was given, or the reverse.
pub(super) fn nearest<'k>(given: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let plain = plain(given);
    if plain.is_empty() || given.len() > 64 {
        return None;
    }
    let known: Vec<&str> = known.collect();
    let near = known
        .iter()
        .map(|name| (distance(&plain, &self::plain(name)), *name))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance <= (plain.len() / 3).min(3));
    near.map(|(_, name)| name).or_else(|| {
        let starts = |name: &&&str| {
            let name = self::plain(name);
            plain.len() >= 4 && (name.starts_with(&plain) || plain.starts_with(&name))
        };
        known.iter().find(starts).copied()
    })
}

fn plain(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '_' | '-')).map(|c| c.to_ascii_lowercase()).collect()
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in (1..).zip(a.chars()) {
        let mut diagonal = i - 1;
        let mut left = i;
        let mut next = Vec::with_capacity(row.len());
        next.push(i);
        for (above, y) in row.iter().skip(1).zip(b.chars()) {
            let replaced = diagonal + usize::from(x != y);
            left = replaced.min(above + 1).min(left + 1);
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_edits() {
        for (a, b, edits) in
            [("", "", 0), ("a", "", 1), ("", "ab", 2), ("kitten", "sitting", 3), ("abc", "abc", 0)]
        {
            assert_eq!(distance(a, b), edits, "{a} {b}");
            assert_eq!(distance(b, a), edits, "{b} {a}");
        }
    }

    #[test]
    fn finds_what_was_meant() {
        let names = ["issuer_url", "ip_allowlist", "endpoints", "roles", "listen"];
        for (given, meant) in [
            ("ip_allow_list", Some("ip_allowlist")),
            ("ipAllowlist", Some("ip_allowlist")),
            ("issuer", Some("issuer_url")),
            ("endpoint", Some("endpoints")),
            ("role", Some("roles")),
            ("colour", None),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(nearest(given, names.into_iter()), meant, "{given}");
        }
    }
}
