//! Reads `vectors/tls`: the files of `data_dir`, what is due then, and what is made where there are
//! none. Pairs that are given are read by the tests of the program.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failing test should stop at the line that failed"
)]

mod vectors;

use std::collections::BTreeMap;

use exchange_core::machine::UnixTime;
use exchange_core::pki::{Renewal, San, TlsFile, TlsIdentity, TlsIdentityError};
use ring::rand::SystemRandom;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[serde(rename = "comment")]
    _comment: String,
    #[serde(rename = "source")]
    _source: String,
    data_dir: Option<BTreeMap<String, Vec<String>>>,
    #[serde(default)]
    make: bool,
    pair: Option<Value>,
    #[serde(default)]
    now: u64,
    #[serde(default)]
    names: Vec<String>,
    names_times: Option<usize>,
    expect: Expect,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    ok: Option<Whole>,
    error: Option<String>,
    file: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Whole {
    fingerprint: Option<String>,
    not_after: Option<u64>,
    names: Option<Vec<String>>,
    renewal: Option<String>,
}

/// What the four files of a case hold, in their order.
fn texts(files: &BTreeMap<String, Vec<String>>) -> [String; 4] {
    let folder = vectors::root().join("cert");
    [TlsFile::CaCert, TlsFile::CaKey, TlsFile::Cert, TlsFile::Key].map(|file| {
        let parts = files.get(file.name()).unwrap_or_else(|| panic!("no {}", file.name()));
        assert_eq!(files.len(), 4, "there are four files");
        parts.iter().map(|part| std::fs::read_to_string(folder.join(part)).unwrap()).collect()
    })
}

fn names(texts: &[String]) -> Vec<San> {
    let mut names: Vec<San> = texts.iter().map(|name| name.parse().unwrap()).collect();
    names.sort();
    names
}

fn check(case: &Case) -> Result<(), String> {
    let (rng, now) = (SystemRandom::new(), UnixTime::from_secs(case.now));
    let wanted = match case.names_times {
        None => names(&case.names),
        Some(times) => {
            let one = |n: usize| case.names.first().unwrap().replace("{}", &n.to_string());
            names(&(0..times).map(one).collect::<Vec<_>>())
        }
    };
    let found = match (&case.data_dir, case.make, &case.pair) {
        (Some(files), false, None) => {
            let [ca_cert, ca_key, cert, key] = texts(files);
            let found = TlsIdentity::parse(&ca_cert, &ca_key, &cert, &key, &rng);
            if let Err(error) = &found {
                vectors::clear(&error.to_string(), &[ca_key, key].concat())?;
            }
            found
        }
        (None, true, None) => TlsIdentity::generate(&wanted, now, &rng),
        (None, false, Some(_)) => return Ok(()),
        _ => return Err("a case has data_dir, make or pair".into()),
    };
    match (found, &case.expect) {
        (Ok(found), Expect { ok: Some(whole), error: None, file: None }) => {
            let renewal = match found.needs_renewal(now, &wanted) {
                Renewal::Nothing => "nothing",
                Renewal::Certificate => "certificate",
                Renewal::Everything => "everything",
            };
            vectors::same(&Some(renewal), &whole.renewal.as_deref())?;
            if let Some(not_after) = whole.not_after {
                vectors::same(&found.not_after().secs(), &not_after)?;
            }
            if let Some(expected) = &whole.names {
                vectors::same(&found.names(), &&*names(expected))?;
            }
            if let Some(fingerprint) = &whole.fingerprint {
                vectors::same(&found.ca_fingerprint_sha256(), &&**fingerprint)?;
            }
            Ok(())
        }
        (Err(error), Expect { ok: None, error: Some(code), file }) => {
            vectors::same(&error.code(), &&**code)?;
            let named = match error {
                TlsIdentityError::Certificate(file) | TlsIdentityError::Key(file, _) => {
                    Some(file.name())
                }
                TlsIdentityError::NotIssuedByCa
                | TlsIdentityError::Names
                | TlsIdentityError::Generate => None,
            };
            vectors::same(&named, &file.as_deref())
        }
        (Ok(_), _) => Err("it is taken".into()),
        (Err(error), _) => Err(format!("{} {error}", error.code())),
    }
}

#[test]
fn every_case() {
    vectors::each("tls", 30, check);
}
