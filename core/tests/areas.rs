//! Whether `vectors/` is whole: every area has cases, every file is read by somebody, and every
//! number of the list of attacks is in a case's `source` or in the table of `vectors/README.md`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failing test should stop at the line that failed"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each area with the test that reads it, below `core/tests`.
const AREAS: [(&str, &str); 15] = [
    ("audit", "audit.rs"),
    ("callback", "callback.rs"),
    ("cert", "cert.rs"),
    ("cidr", "cidr.rs"),
    ("config", "config.rs"),
    ("csr", "csr.rs"),
    ("discovery", "discovery.rs"),
    ("http", "http.rs"),
    ("jwks", "jwks.rs"),
    ("jwt", "jwt.rs"),
    ("rbac", "rbac.rs"),
    ("rfc", "rfc.rs"),
    ("script", "script/main.rs"),
    ("talosconfig", "talosconfig.rs"),
    ("tls", "tls.rs"),
];
/// Folders with what cases name, and with what makes or judges cases.
const HELPERS: [&str; 7] =
    ["cert/ca", "cert/csr", "cert/tls", "differs", "gen", "keys", "keys/private"];
fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every file below `vectors/`, by its path from there.
fn files() -> Vec<String> {
    fn walk(folder: &Path, root: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.ends_with("__pycache__") {
                continue;
            }
            if path.is_dir() {
                walk(&path, root, found);
            } else {
                found.push(path.strip_prefix(root).unwrap().to_string_lossy().into_owned());
            }
        }
    }
    let (root, mut found) = (project().join("vectors"), Vec::new());
    walk(&root, &root, &mut found);
    found.sort();
    found
}

fn read(path: &str) -> String {
    let path = project().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_area_has_cases_and_every_file_a_reader() {
    let (files, readme) = (files(), read("vectors/README.md"));
    for (area, reader) in AREAS {
        let folder = format!("{area}/");
        let cases = files.iter().filter(|file| file.starts_with(&folder)).count();
        assert!(cases >= 10, "{area} has {cases} cases");
        let code = read(&format!("core/tests/{reader}"));
        let named = [format!("\"{area}\""), format!("vectors/{area}")];
        assert!(named.iter().any(|name| code.contains(name)), "{reader} does not read {area}");
        assert!(readme.contains(&format!("| `{area}` |")), "README.md does not list {area}");
    }
    for file in &files {
        let (folder, name) = file.rsplit_once('/').unwrap_or(("", file));
        let is_area = AREAS.iter().any(|(area, _)| *area == folder);
        let known = match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
            "json" => is_area || HELPERS.contains(&folder),
            "md" => is_area || folder.is_empty(),
            "py" => ["", "gen", "judge"].contains(&folder),
            "sh" | "go" => folder == "cert",
            _ => HELPERS.contains(&folder),
        };
        assert!(known, "nobody reads vectors/{file}");
    }
}

/// Last number of the list of attacks, `vectors/attacks.md`, in which none is left out.
fn attacks() -> usize {
    let list = read("vectors/attacks.md");
    let numbers = list.lines().filter_map(|line| line.split_once(". ")?.0.parse::<usize>().ok());
    let count = numbers.enumerate().map(|(n, number)| assert_eq!(number, n + 1)).count();
    assert!(count >= 126, "{count} attacks");
    count
}

/// Numbers that stand behind "oidc attack " in the `source` of a case.
fn in_cases() -> BTreeSet<usize> {
    let (mut found, last) = (BTreeSet::new(), attacks());
    for file in files().iter().filter(|file| file.ends_with(".json")) {
        let text = read(&format!("vectors/{file}"));
        let case: serde_json::Value = serde_json::from_str(&text).unwrap();
        let is_case = AREAS.iter().any(|(area, _)| file.starts_with(&format!("{area}/")));
        let filled = |name: &str| case[name].as_str().is_some_and(|text| !text.is_empty());
        assert!(!is_case || filled("comment") && filled("source"), "{file}: comment, source");
        for rest in case["source"].as_str().unwrap_or_default().split("oidc attack ").skip(1) {
            let digits = rest.split(|c: char| !c.is_ascii_digit()).next().unwrap();
            let number = digits.parse().unwrap_or_else(|_| panic!("{file}: oidc attack {rest}"));
            assert!((1..=last).contains(&number), "{file}: there is no attack {number}");
            found.insert(number);
        }
    }
    found
}

/// Numbers of the table of tests in `vectors/README.md`, whose tests are there.
fn in_code() -> BTreeSet<usize> {
    let readme = read("vectors/README.md");
    let mut found = BTreeSet::new();
    for row in readme.lines().filter_map(|line| line.strip_prefix("| attack ")) {
        let cells: Vec<&str> = row.trim_end_matches('|').split('|').map(str::trim).collect();
        let [numbers, file, test] = cells[..] else { panic!("three cells: {row}") };
        let (file, test) = (file.trim_matches('`'), test.trim_matches('`'));
        let code = read(file);
        let (before, _) = code
            .split_once(&format!("fn {test}()"))
            .unwrap_or_else(|| panic!("{file} has no {test}"));
        let tail: String = before.chars().rev().take(120).collect::<String>();
        assert!(tail.contains(&"#[test]".chars().rev().collect::<String>()), "{test} is no test");
        found.extend(numbers.split(',').map(|number| number.trim().parse::<usize>().unwrap()));
    }
    assert!(!found.is_empty(), "the table is not there");
    found
}

#[test]
fn every_attack_of_the_list_is_shown_to_fail() {
    let known: BTreeSet<usize> = in_cases().union(&in_code()).copied().collect();
    let missing: Vec<usize> = (1..=attacks()).filter(|number| !known.contains(number)).collect();
    assert!(missing.is_empty(), "neither a case nor a test for attacks {missing:?}");
}
