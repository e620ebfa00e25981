//! The edits as a whole; each layout also as a vector in `vectors/talosconfig`.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::types::{ContextName, Secret};

const PEM: &str = "-----BEGIN X-----\nMA==\n-----END X-----\n";

fn set(
    text: &str,
    name: &str,
    endpoints: &[&str],
    pem: &str,
    current: MakeCurrent,
) -> Result<String, TalosconfigError> {
    let endpoints: Vec<String> = endpoints.iter().map(|e| (*e).into()).collect();
    let nodes: Vec<String> = vec!["10.9.9.9".into()];
    let key = Secret::new(pem.as_bytes());
    let new = NewContext {
        endpoints: &endpoints,
        nodes: Nodes::Fill(&nodes),
        ca_pem: pem,
        crt_pem: pem,
        key_pem: &key,
    };
    let name: ContextName = name.parse().unwrap();
    set_context(text, &name, &new, current).map(|text| text.as_str().into())
}

fn remove(text: &str, name: &str) -> Result<Option<String>, TalosconfigError> {
    let name: ContextName = name.parse().unwrap();
    Ok(remove_context(text, &name)?.map(|text| text.as_str().into()))
}

#[test]
fn a_new_file_reads_like_one_of_talos() {
    let text = set("", "oidc", &["10.0.0.1", "[::1]:50000"], PEM, MakeCurrent::OnCreate).unwrap();
    let b64 = "LS0tLS1CRUdJTiBYLS0tLS0KTUE9PQotLS0tLUVORCBYLS0tLS0K";
    assert_eq!(
        text,
        format!(
            "context: oidc\ncontexts:\n    oidc:\n        endpoints:\n            - 10.0.0.1\n            - \"[::1]:50000\"\n        nodes:\n            - 10.9.9.9\n        ca: {b64}\n        crt: {b64}\n        key: {b64}\n"
        )
    );
    let read = Talosconfig::parse(&text).unwrap();
    assert_eq!(read.current.as_deref(), Some("oidc"));
    let context = read.context("oidc").unwrap();
    assert_eq!(context.crt_pem().unwrap().as_deref(), Some(PEM));
    assert!(context.key_pem().unwrap().unwrap().matches(PEM.as_bytes()));
    assert_eq!(
        set(&text, "oidc", &["10.0.0.1", "[::1]:50000"], PEM, MakeCurrent::Yes).unwrap(),
        text
    );
}

#[test]
fn a_value_that_is_no_pem_is_never_written() {
    let refused = set("", "a", &[], "", MakeCurrent::Yes);
    assert_eq!(refused, Err(TalosconfigError::NotPem { key: "ca" }));
}

#[test]
fn reading_tells_damage_only_where_it_is() {
    let text = "contexts:\n  a: {ca: '*', crt: aGVsbG8=, key: \"LS0tLS1CRUdJTiBYLS0tLS0K\\r\\n\", target: 10.0.0.9, endpoints: [x]}\n  b:\n  d: text\n";
    let read = Talosconfig::parse(text).unwrap();
    let a = read.context("a").unwrap();
    assert_eq!(a.ca_pem(), Err(TalosconfigError::Base64 { key: "ca" }));
    assert_eq!(a.crt_pem(), Err(TalosconfigError::NotPem { key: "crt" }));
    assert!(a.key_pem().unwrap().is_some());
    assert_eq!(a.endpoints, ["x", "10.0.0.9"]);
    assert!(read.context("b").unwrap().ca_pem().unwrap().is_none());
    let d = read.context("d").unwrap();
    assert_eq!(d.crt_pem(), Err(TalosconfigError::NotAMapping { part: "the context" }));
    assert!(read.current.is_none() && read.context("c").is_none());
    assert!(Talosconfig::parse("contexts: [a]").is_err());
    assert!(Talosconfig::parse("a: 1\na: 2\n").is_err());
}

/// One context of a random file.
#[derive(Clone, Debug)]
struct Given {
    name: String,
    fields: Vec<(usize, String)>,
    flow: bool,
}

#[derive(Clone, Debug)]
struct File {
    step: usize,
    crlf: bool,
    contexts: Vec<Given>,
    context_first: bool,
    last_line_open: bool,
    tail: bool,
}

impl File {
    fn text(&self) -> String {
        let pad = |n: usize| " ".repeat(n * self.step);
        let current = "context: ctx1 # mine\n";
        let mut out = String::from("# my file\n");
        if self.context_first {
            out += current;
        }
        out += if self.contexts.is_empty() { "contexts: {}\n" } else { "contexts: # all\n" };
        for given in &self.contexts {
            out += &format!("\n{}# about {}\n", pad(1), given.name);
            let keys = ["endpoints", "nodes", "ca", "crt", "key", "auth", "cluster", "x-mine"];
            if given.flow {
                let fields: Vec<String> =
                    given.fields.iter().map(|(k, v)| format!("{}: '{v}'", keys[*k])).collect();
                out += &format!("{}{}: {{{}}}\n", pad(1), given.name, fields.join(", "));
                continue;
            }
            out += &format!("{}{}:\n", pad(1), given.name);
            for (key, value) in &given.fields {
                out += &match key {
                    0 | 1 => format!(
                        "{}{}:\n{}- {value} # c\n{}- b\n",
                        pad(2),
                        keys[*key],
                        pad(3),
                        pad(3)
                    ),
                    5 => format!(
                        "{}auth:\n{}siderov1:\n{}identity: {value}\n",
                        pad(2),
                        pad(3),
                        pad(4)
                    ),
                    6 => format!("{}cluster: |\n{}{value}\n\n", pad(2), pad(3)),
                    _ => format!("{}{}: \"{value}\" # k\n", pad(2), keys[*key]),
                };
            }
        }
        if !self.context_first {
            out += current;
        }
        if self.tail {
            out += "unknown: [1, 2] # t\n---\nother: document\n";
        }
        if self.last_line_open {
            out.truncate(out.trim_end().len());
        }
        if self.crlf { out.replace('\n', "\r\n") } else { out }
    }
}

fn file() -> impl Strategy<Value = File> {
    let fields = prop::collection::btree_map(0usize..8, "[a-zA-Z\u{e9}]{1,5}", 1..7);
    let given = (fields, any::<bool>()).prop_map(|(fields, flow)| {
        let fields: Vec<(usize, String)> = fields.into_iter().collect();
        Given { name: String::new(), flow, fields }
    });
    let contexts = prop::collection::vec(given, 0..4).prop_map(|mut all| {
        for (at, given) in all.iter_mut().enumerate() {
            given.name = format!("ctx{at}");
        }
        all
    });
    (1usize..5, any::<bool>(), contexts, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(step, crlf, contexts, context_first, last_line_open, tail)| File {
            step,
            crlf,
            contexts,
            context_first,
            last_line_open,
            tail,
        },
    )
}

/// The lines of a text that name none of our keys, in order.
fn kept_lines(text: &str) -> Vec<String> {
    text.lines()
        .filter(|l| l.contains('#') && !l.contains("- "))
        .map(|l| l.trim_end().to_string())
        .collect()
}

proptest! {
    #[test]
    fn an_edit_changes_nothing_else(file in file(), which in 0usize..5, endpoints in 0usize..3) {
        let text = file.text();
        let name = format!("ctx{which}");
        let endpoints = &["10.0.0.1", "https://a.example"][..endpoints.min(2)];
        let result = set(&text, &name, endpoints, PEM, MakeCurrent::OnCreate);
        // A flow context whose `endpoints` are a text is of the wrong kind only to a reader.
        let edited = result.unwrap_or_else(|error| panic!("{error}\n{text}"));
        prop_assert_eq!(&set(&edited, &name, endpoints, PEM, MakeCurrent::OnCreate).unwrap(), &edited);
        // The library has compared the models; what a model does not hold is the comments.
        let comments = |text: &str| text.matches("# about").count() + text.matches("# all").count() + text.matches("# my").count();
        prop_assert_eq!(comments(&edited), comments(&text));
        prop_assert_eq!(edited.contains("\r\n"), file.crlf);
        if file.crlf {
            prop_assert_eq!(edited.matches('\n').count(), edited.matches("\r\n").count());
        }
        let current = format!("context: {name}");
        prop_assert!(which < file.contexts.len() || edited.contains(&current));
    }

    #[test]
    fn setting_then_removing_gives_the_rest_back(file in file()) {
        let text = file.text();
        let edited = set(&text, "brand-new", &["10.0.0.1"], PEM, MakeCurrent::No).unwrap();
        let back = remove(&edited, "brand-new").unwrap().unwrap();
        // Only a last line without its end may have got one.
        prop_assert_eq!(back.trim_end(), text.trim_end());
        prop_assert!(remove(&back, "brand-new").unwrap().is_none());
    }

    #[test]
    fn removing_takes_only_its_own_lines(file in file(), which in 0usize..4) {
        let text = file.text();
        let name = format!("ctx{which}");
        match remove(&text, &name).unwrap() {
            None => prop_assert!(which >= file.contexts.len()),
            Some(rest) => {
                let read = Talosconfig::parse(&rest).unwrap();
                prop_assert!(read.context(&name).is_none());
                prop_assert_eq!(read.contexts.len() + 1, file.contexts.len());
                for line in kept_lines(&rest) {
                    prop_assert!(text.contains(&line) || line.contains("context: \"\"") || line.contains("{}"), "{}", line);
                }
            }
        }
    }

    #[test]
    fn no_text_panics_or_is_damaged(text in "((contexts|context|a|b|nodes|endpoints|ca|key):|[-\\[\\]{},'\"&*!#|>?~ \n\r]|: |\n  |\n    |x|<<){0,25}") {
        if let Ok(edited) = set(&text, "a", &["10.0.0.1"], PEM, MakeCurrent::Yes) {
            let read = Talosconfig::parse(&edited).unwrap();
            prop_assert_eq!(read.current.as_deref(), Some("a"));
            prop_assert_eq!(&read.context("a").unwrap().crt_pem().unwrap().unwrap(), PEM);
            prop_assert_eq!(&set(&edited, "a", &["10.0.0.1"], PEM, MakeCurrent::Yes).unwrap(), &edited);
        }
        let _ = remove(&text, "a");
    }
}
