//! The mutants, as cargo-mutants finds and names them under `.cargo/mutants.toml`.

use std::process::Command;

use serde_json::Value;

/// Line and column, from 1, as cargo-mutants counts.
pub type Place = (usize, usize);

/// One mutant of the list. Its number is its place in the list, from 1.
pub struct Mutant {
    pub number: usize,
    pub name: String,
    pub file: String,
    pub genre: String,
    pub replacement: String,
    pub start: Place,
}

impl Mutant {
    /// The name without its place in the file, escaped for `--re`.
    pub fn plain_name(&self) -> String {
        let name = self.name.splitn(4, ':').nth(3).unwrap_or(&self.name).trim();
        let special = |c: char| "\\.+*?()|[]{}^$#&-~".contains(c);
        name.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
    }
}

/// Asks cargo-mutants.
pub fn list(root: &std::path::Path) -> Result<Vec<Mutant>, String> {
    let output = Command::new("cargo")
        .args(["mutants", "--workspace", "--list", "--json"])
        .current_dir(root)
        .output()
        .map_err(|error| format!("cargo: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!(
            "cargo mutants: {said}\nInstall it: cargo install --locked cargo-mutants"
        ));
    }
    let value: Value = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
    let entries = value.as_array().ok_or("the list of mutants is no array")?;
    let text = |entry: &Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    let number = |value: &Value| usize::try_from(value.as_u64().unwrap_or(0)).unwrap_or(0);
    let mutant = |(at, entry): (usize, &Value)| Mutant {
        number: at + 1,
        name: text(entry, "name"),
        file: text(entry, "file"),
        genre: text(entry, "genre"),
        replacement: text(entry, "replacement"),
        start: (number(&entry["span"]["start"]["line"]), number(&entry["span"]["start"]["column"])),
    };
    Ok(entries.iter().enumerate().map(mutant).collect())
}
