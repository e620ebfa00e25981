//! `vectors/http` as three servers read it. Every difference is listed with the reason and with who
//! is right; one that is not listed fails, and so does a listed one that is gone.
#![allow(clippy::unwrap_used, reason = "a failing test should stop at the line that failed")]

mod disagreements;
mod peers;

use std::collections::BTreeMap;

use disagreements::{ASYNC_H1, Difference, HYPER};
use exchange_fuzz::seeds;
use peers::{Reading, Wire};

fn server_cases() -> Vec<(String, Vec<u8>)> {
    let cases = seeds::cases("http").into_iter().filter(|(_, case)| case["side"] == "server");
    cases.map(|(name, case)| (name, seeds::chunks(&case))).collect()
}

fn compare(peer: &str, listed: &[Difference], read: impl Fn(&Wire) -> Reading) {
    let mut reasons = BTreeMap::new();
    for difference in listed {
        for name in difference.cases {
            let before = reasons.insert(*name, difference);
            assert!(before.is_none(), "{name} is listed twice for {peer}");
        }
    }
    let mut failures = Vec::new();
    for (name, bytes) in server_cases() {
        let (ours, theirs) = (peers::ours(&bytes), read(&Wire::new(&[&bytes])));
        let known = reasons.remove(name.trim_start_matches("server-"));
        match (ours == theirs, known) {
            (true, None) | (false, Some(_)) => {}
            (true, Some(difference)) => {
                failures.push(format!("{name}: no difference any more ({})", difference.why));
            }
            (false, None) => {
                failures.push(format!(
                    "{name}: ours {:.300}\n  {peer} {:.300}",
                    words(&ours),
                    words(&theirs)
                ));
            }
        }
    }
    failures
        .extend(reasons.keys().map(|name| format!("{name}: listed, and there is no such case")));
    assert!(failures.is_empty(), "{} about {peer}:\n{}", failures.len(), failures.join("\n"));
}

fn words(reading: &Reading) -> String {
    let Reading { requests, refused, panicked, hung } = reading;
    let requests: Vec<String> = requests
        .iter()
        .map(|seen| format!("{} {} {:.40}", seen.method, seen.target, seen.body.escape_ascii()))
        .collect();
    format!("{requests:?} refused {refused}, panicked {panicked}, hung {hung}")
}

#[test]
fn hyper_differs_only_where_it_is_listed() {
    compare("hyper", HYPER, peers::hyper);
}

#[test]
fn async_h1_differs_only_where_it_is_listed() {
    compare("async-h1", ASYNC_H1, peers::async_h1);
}

/// The strong half: what we hand to the application, hyper hands to it as well. We are stricter,
/// and never see another message in the same bytes.
#[test]
fn what_we_accept_hyper_reads_alike() {
    for (name, bytes) in server_cases() {
        let (ours, theirs) = (peers::ours(&bytes), peers::hyper(&Wire::new(&[&bytes])));
        assert!(theirs.requests.starts_with(&ours.requests), "{name}: {}", words(&theirs));
        assert!(ours.refused || ours == theirs, "{name}: {}", words(&theirs));
    }
}
