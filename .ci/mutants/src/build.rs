//! A copy of the tree with all mutants in it, built.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::list::Mutant;
use crate::run::{Program, passes};
use crate::weave::{Woven, weave};

/// What asks which mutant is alive.
const ASKING: &str = r#"
#[doc(hidden)]
#[allow(missing_docs)]
pub mod woven {
    pub fn is(number: usize) -> bool {
        static ALIVE: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
        *ALIVE.get_or_init(|| std::env::var("MUTANT").ok().and_then(|n| n.parse().ok()).unwrap_or(0))
            == number
    }
}
"#;

/// Test programs of the core that hold something about what is mutated.
const TESTS: [&str; 8] =
    ["jwt", "jwks", "wycheproof", "rfc", "cidr", "rbac", "cert", "server_world"];

pub struct Built {
    pub programs: Vec<Program>,
    /// Those that do not compile.
    pub unviable: Vec<usize>,
    /// Those that could not be woven.
    pub left: Vec<usize>,
}

/// Copies, weaves, drops what does not compile, builds, and sees that all tests pass without any
/// mutant alive.
pub fn build(root: &Path, folder: &Path, mutants: &[Mutant]) -> Result<Built, String> {
    let tree = folder.join("tree");
    copy(root, &tree)?;
    let (mut unviable, mut constant) = (vec![], vec![]);
    for _ in 0..20 {
        let files = write(root, &tree, mutants, &unviable, &constant)?;
        let messages = cargo(folder, &["check", "--lib"], false)?;
        let errors: Vec<&Value> =
            messages.iter().filter(|m| m["message"]["level"] == "error").collect();
        if errors.is_empty() {
            let left = files.values().flat_map(|woven| woven.left.clone());
            let left = left.filter(|number| !unviable.contains(number)).collect();
            unviable.extend(files.values().flat_map(|woven| woven.unviable.clone()));
            let programs = programs(folder)?;
            return Ok(Built { programs, unviable, left });
        }
        let before = (unviable.len(), constant.len());
        for error in &errors {
            blame(error, &files, mutants, &mut unviable, &mut constant);
        }
        println!("{} errors: {} mutants do not compile", errors.len(), unviable.len());
        if before == (unviable.len(), constant.len()) {
            let told = errors.iter().filter_map(|e| e["message"]["rendered"].as_str()).next();
            return Err(format!("the woven crate does not compile:\n{}", told.unwrap_or("")));
        }
    }
    Err("the woven crate does not compile after twenty rounds".into())
}

/// Finds whose fault an error is.
fn blame(
    error: &Value,
    files: &BTreeMap<String, Woven>,
    mutants: &[Mutant],
    unviable: &mut Vec<usize>,
    constant: &mut Vec<String>,
) {
    let message = error["message"]["message"].as_str().unwrap_or_default();
    if let Some(rest) = message.strip_prefix("cannot call non-const ") {
        let path = rest.split('`').nth(1).unwrap_or_default();
        let name = path.rsplit("::").next().unwrap_or_default().to_owned();
        if !constant.contains(&name) {
            constant.push(name);
        }
        return;
    }
    let spans = error["message"]["spans"].as_array().into_iter().flatten();
    for span in spans.filter(|span| span["is_primary"] == true) {
        let number = |name: &str| usize::try_from(span[name].as_u64().unwrap_or(0)).unwrap_or(0);
        let file = span["file_name"].as_str().unwrap_or_default();
        let Some(woven) = files.get(file) else { continue };
        let at = number("byte_start");
        let holds =
            |place: &&(Range<usize>, Vec<usize>)| place.0.contains(&at) && !place.1.is_empty();
        let smallest = woven.places.iter().filter(holds).min_by_key(|place| place.0.len());
        for blamed in smallest.map(|place| place.1.clone()).unwrap_or_default() {
            if !unviable.contains(&blamed) && mutants.iter().any(|m| m.number == blamed) {
                unviable.push(blamed);
            }
        }
    }
}

/// Writes the woven files, without the mutants that do not compile.
fn write(
    root: &Path,
    tree: &Path,
    mutants: &[Mutant],
    unviable: &[usize],
    constant: &[String],
) -> Result<BTreeMap<String, Woven>, String> {
    let mut files: BTreeMap<String, Vec<&Mutant>> = BTreeMap::new();
    for mutant in mutants {
        let of_file = files.entry(mutant.file.clone()).or_default();
        if !unviable.contains(&mutant.number) {
            of_file.push(mutant);
        }
    }
    let mut out = BTreeMap::new();
    for (file, mutants) in files {
        let text = read(&root.join(&file))?;
        let woven = weave(&text, &mutants, constant).map_err(|error| format!("{file}: {error}"))?;
        save(&tree.join(&file), &woven.text)?;
        out.insert(file, woven);
    }
    let lib = read(&root.join("core/src/lib.rs"))?.replace("#![no_std]", "");
    save(&tree.join("core/src/lib.rs"), &(lib + ASKING))?;
    Ok(out)
}

/// Builds the test programs and runs each without a mutant.
fn programs(folder: &Path) -> Result<Vec<Program>, String> {
    let mut args = vec!["test", "--no-run", "--lib"];
    args.extend(TESTS.iter().flat_map(|name| ["--test", name]));
    let messages = cargo(folder, &args, true)?;
    let mut programs = vec![];
    for message in &messages {
        let Some(path) = message["executable"].as_str() else { continue };
        let is_lib = message["target"]["kind"][0] == "lib";
        let name = if is_lib { "lib" } else { message["target"]["name"].as_str().unwrap_or("") };
        programs.push(Program { name: name.into(), path: path.into() });
    }
    for program in &programs {
        if passes(program, None, 0) != Some(true) {
            return Err(format!("{} fails without any mutant", program.name));
        }
    }
    Ok(programs)
}

fn cargo(folder: &Path, args: &[&str], strict: bool) -> Result<Vec<Value>, String> {
    let output = Command::new("cargo")
        .args(args)
        .args(["-p", "exchange-core", "--locked", "--message-format=json"])
        .current_dir(folder.join("tree"))
        .env("CARGO_TARGET_DIR", folder.join("target"))
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .env("CARGO_PROFILE_DEV_OPT_LEVEL", "1")
        .env("RUSTFLAGS", "-Awarnings")
        .output()
        .map_err(|error| format!("cargo: {error}"))?;
    if strict && !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

/// Copies what git knows, or would take.
fn copy(root: &Path, tree: &Path) -> Result<(), String> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .map_err(|error| format!("git: {error}"))?;
    for name in String::from_utf8_lossy(&output.stdout).split('\0').filter(|name| !name.is_empty())
    {
        let from = root.join(name);
        // Deleted, but git still knows it.
        if !from.is_file() {
            continue;
        }
        let new = fs::read(&from).map_err(|error| format!("{name}: {error}"))?;
        let to = tree.join(name);
        if fs::read(&to).is_ok_and(|old| old == new) {
            continue;
        }
        let folder = to.parent().ok_or("a file has a folder")?;
        fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        fs::write(&to, new).map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// Leaves alone what is there already, so that nothing is compiled anew.
fn save(path: &Path, text: &str) -> Result<(), String> {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}
