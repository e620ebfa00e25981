//! Holds `docs/configuration.md` to the table of settings. `UPDATE_DOCS=1` writes its part anew.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failing test should stop at the line that failed"
)]

use std::fs;
use std::path::Path;

use exchange_core::config::{KEYS, Key, Kind};
use exchange_core::types::GoDuration;

const BEGIN: &str = "<!-- from the table in core/src/config/keys.rs: begin -->\n";
const END: &str = "<!-- end -->\n";

#[test]
fn every_setting_is_documented() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let document = fs::read_to_string(&path).unwrap();
    let (head, rest) = document.split_once(BEGIN).expect("the table's begin is marked");
    let (written, tail) = rest.split_once(END).expect("the table's end is marked");
    let table = table();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, [head, BEGIN, &table, END, tail].concat()).unwrap();
        return;
    }
    assert!(
        written == table,
        "docs/configuration.md differs from the settings: run UPDATE_DOCS=1 cargo test -p \
         exchange-core --test documentation"
    );
}

fn table() -> String {
    let mut out = String::new();
    for key in KEYS {
        out.push_str(&entry(key));
    }
    out
}

/// One setting. A list reads better than a table here: the names are long.
fn entry(key: &Key) -> String {
    let env = key.env.map(|env| format!(" / `{env}`")).unwrap_or_default();
    let secret = if key.secret { ", secret" } else { "" };
    let default = match key.default {
        "" => String::new(),
        text => format!(" Default `{text}`."),
    };
    format!(
        "- **`{}`**{env}  \n  {}{secret}. {}{default}\n",
        key.file,
        kind(key.kind),
        with_code(key.doc)
    )
}

fn kind(kind: Kind) -> String {
    match kind {
        Kind::Text => "Text".into(),
        Kind::Path => "Path".into(),
        Kind::Pem => "PEM text".into(),
        Kind::Listen => "Address".into(),
        Kind::Duration { min_ms, max_ms } => {
            format!("Duration, {} to {}", duration(min_ms), duration(max_ms))
        }
        Kind::Flag => "`true` or `false`".into(),
        Kind::Number { min, max } => format!("Number, {min} to {max}"),
        Kind::Choice(words) => {
            words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or ")
        }
        Kind::List => "List".into(),
        Kind::Rules => "List of rules, in the file only".into(),
    }
}

fn duration(millis: u64) -> String {
    match millis {
        1..1000 => format!("{millis}ms"),
        _ => GoDuration::from_secs(u32::try_from(millis / 1000).unwrap()).to_string(),
    }
}

/// Sets the names of settings and paths in a meaning as code.
fn with_code(doc: &str) -> String {
    let is_name = |word: &str| {
        word.starts_with('/')
            || word == "[]"
            || word.contains(':') && word.starts_with("os:")
            || KEYS.iter().any(|key| key.file == word && word.contains('_'))
    };
    doc.split(' ')
        .map(|word| {
            let bare = word.trim_end_matches(['.', ',', ';', ':']);
            if is_name(bare) { word.replacen(bare, &format!("`{bare}`"), 1) } else { word.into() }
        })
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn names_in_a_meaning_are_code() {
    assert_eq!(
        with_code("File with it; wins over client_secret. roles of /admin/*, [] or os:admin."),
        "File with it; wins over `client_secret`. roles of `/admin/*`, `[]` or `os:admin`."
    );
}
