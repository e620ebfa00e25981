//! Reads `vectors/talosconfig`: texts, an edit, and the text afterwards, byte for byte.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failing test should stop at the line that failed"
)]

mod vectors;

use exchange_core::talosconfig::{
    MakeCurrent, NewContext, Nodes, Talosconfig, TalosconfigError, remove_context, set_context,
};
use exchange_core::types::{ContextName, Secret};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[serde(rename = "comment")]
    _comment: String,
    #[serde(rename = "source")]
    _source: String,
    before: String,
    op: Op,
    after: Option<String>,
    error: Option<String>,
    #[serde(default)]
    absent: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Op {
    Set(Set),
    Remove(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Set {
    name: String,
    endpoints: Vec<String>,
    #[serde(default)]
    nodes: Vec<String>,
    #[serde(default)]
    nodes_named: bool,
    ca: String,
    crt: String,
    key: String,
    current: Current,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Current {
    Yes,
    OnCreate,
    No,
}

fn name(text: &str) -> ContextName {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The text after the edit; `None` when there was nothing to remove.
fn edit(before: &str, op: &Op) -> Result<Option<String>, TalosconfigError> {
    match op {
        Op::Remove(context) => {
            Ok(remove_context(before, &name(context))?.map(|text| text.as_str().into()))
        }
        Op::Set(set) => {
            let key = Secret::new(set.key.as_bytes());
            let new = NewContext {
                endpoints: &set.endpoints,
                nodes: match set.nodes_named {
                    true => Nodes::Set(&set.nodes),
                    false => Nodes::Fill(&set.nodes),
                },
                ca_pem: &set.ca,
                crt_pem: &set.crt,
                key_pem: &key,
            };
            let current = match set.current {
                Current::Yes => MakeCurrent::Yes,
                Current::OnCreate => MakeCurrent::OnCreate,
                Current::No => MakeCurrent::No,
            };
            let text = set_context(before, &name(&set.name), &new, current)?;
            Ok(Some(text.as_str().into()))
        }
    }
}

fn check(case: &Case) -> Result<(), String> {
    let outcome = edit(&case.before, &case.op).map_err(|error| error.code().to_owned());
    let expected = match (&case.after, &case.error, case.absent) {
        (Some(after), None, false) => Ok(Some(after.clone())),
        (None, Some(error), false) => Err(error.clone()),
        (None, None, true) => Ok(None),
        _ => return Err("exactly one of after, error and absent belongs here".into()),
    };
    vectors::same(&outcome, &expected)?;
    let Ok(Some(after)) = outcome else { return Ok(()) };
    // Once more: setting changes nothing then, and removing finds nothing.
    let again = edit(&after, &case.op).map_err(|error| error.to_string())?;
    let read = Talosconfig::parse(&after).map_err(|error| error.to_string())?;
    match &case.op {
        Op::Set(set) => {
            let context = read.context(&set.name).ok_or("the context is not there")?;
            vectors::same(&context.crt_pem(), &Ok(Some(set.crt.clone())))?;
            vectors::same(&again, &Some(after))
        }
        Op::Remove(_) => vectors::same(&again, &None),
    }
}

#[test]
fn edits_change_their_own_bytes_only() {
    vectors::each("talosconfig", 80, check);
}
