//! Holds `docs/configuration.md` to the table of settings. `UPDATE_DOCS=1` writes its part anew.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failing test should stop at the line that failed"
)]

use std::fs;
use std::path::Path;

use exchange_core::config::{ENV_PREFIX, KEYS, Key, Kind, Settings};
use exchange_core::server::metrics::{Gauges, Metrics};
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

/// Files of a folder and below whose name ends so.
fn files(dir: &Path, ends: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, ends));
        } else if path.to_string_lossy().ends_with(ends) {
            found.push(fs::read_to_string(path).unwrap());
        }
    }
    found
}

/// The code spans in a document.
fn code_spans(document: &str) -> impl Iterator<Item = &str> {
    document.split('`').skip(1).step_by(2)
}

#[test]
fn every_error_code_in_the_manual_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let manual = fs::read_to_string(root.join("docs/operations.md")).unwrap();
    let (_, table) = manual.split_once("| code | what it means |").expect("the table is there");
    let sources: String = ["core/src", "cli/src", "runtime-smol/src"]
        .iter()
        .flat_map(|dir| files(&root.join(dir), ".rs"))
        .collect();
    let mut seen = 0;
    for row in table.lines().skip(2).filter(|line| line.starts_with('|')) {
        for code in code_spans(row.split('|').nth(1).unwrap()) {
            assert!(sources.contains(&format!("\"{code}\"")), "{code} is no code of this program");
            seen += 1;
        }
    }
    assert!(seen > 30, "only {seen} codes were found");
}

#[test]
fn the_list_of_metrics_is_complete() {
    let manual = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operations.md");
    let manual = fs::read_to_string(manual).unwrap();
    let gauges = Gauges { keys_age_secs: Some(1), ..Gauges::default() };
    let text = Metrics::default().render(&gauges, "dev");
    let text = std::str::from_utf8(&text.body).unwrap();
    let mut seen = 0;
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = line.split(' ').next().unwrap();
        assert!(manual.contains(&format!("`{name}")), "{name} is not in docs/operations.md");
        seen += 1;
    }
    assert!(seen >= 10);
}

/// Configurations that the manual and `deploy/` show, with the file they stand in.
fn shown_configurations() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = Vec::new();
    for name in ["README.md", "docs/configuration.md"] {
        let text = fs::read_to_string(root.join(name)).unwrap();
        for block in text.split("```yaml\n").skip(1) {
            let block = block.split("```").next().unwrap();
            // A block inside a list is indented as a whole.
            let indent = block.chars().take_while(|c| *c == ' ').count();
            let line = |line: &str| format!("{}\n", line.get(indent..).unwrap_or_default());
            if block.contains("issuer_url:") {
                found.push((name.into(), block.lines().map(line).collect()));
            }
        }
    }
    let path = "deploy/kubernetes/config.yaml";
    found.push((path.into(), fs::read_to_string(root.join(path)).unwrap()));
    found
}

#[test]
fn shown_configurations_are_right() {
    let shown = shown_configurations();
    assert!(shown.len() >= 3, "{shown:?}");
    for (name, text) in shown {
        match Settings::load(Some((&name, &text)), &[]) {
            Ok(loaded) => {
                let warnings: Vec<String> =
                    loaded.warnings.iter().map(ToString::to_string).collect();
                assert!(warnings.is_empty(), "{name}: {warnings:?}");
            }
            Err(problems) => panic!("{name}: {problems}\n{text}"),
        }
    }
}

#[test]
fn every_variable_that_is_shown_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let flags: String = files(&root.join("cli/src"), ".rs").into_iter().collect();
    let mut shown = vec![fs::read_to_string(root.join("README.md")).unwrap()];
    for dir in ["docs", "deploy"] {
        shown.extend(files(&root.join(dir), ""));
    }
    let mut seen = 0;
    for text in shown {
        for rest in text.split(ENV_PREFIX).skip(1) {
            let end = rest.find(|c: char| !c.is_ascii_uppercase() && c != '_');
            let name = format!("{ENV_PREFIX}{}", rest.get(..end.unwrap_or(rest.len())).unwrap());
            let is_setting = KEYS.iter().any(|key| key.env == Some(name.as_str()));
            let is_flag = flags.contains(&format!("\"{name}\""));
            assert!(name == ENV_PREFIX || is_setting || is_flag, "{name} is no variable of ours");
            seen += 1;
        }
    }
    assert!(seen > 40, "only {seen} were found");
}
