//! First inputs for each target, made of the vectors.

use std::fs;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::mutate::Rng;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../vectors")
}

/// The cases of an area, in the order of their names.
///
/// # Panics
/// Where the area has none, or a file is no JSON.
#[must_use]
pub fn cases(area: &str) -> Vec<(String, Value)> {
    let folder = folder().join(area);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut cases = Vec::new();
    for path in entries.map(|entry| entry.expect("a readable folder").path()) {
        if path.extension().is_some_and(|extension| extension == "json") {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            let text = fs::read(&path).expect("a readable file");
            let case = serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
            cases.push((name, case));
        }
    }
    assert!(!cases.is_empty(), "{folder:?} has no cases");
    cases.sort_by(|a, b| a.0.cmp(&b.0));
    cases
}

/// The text of a member of each case.
fn texts(area: &str, member: &str) -> Vec<Vec<u8>> {
    let cases = cases(area);
    cases.iter().filter_map(|(_, case)| case[member].as_str()).map(|t| t.into()).collect()
}

/// Bytes of an HTTP case: texts, `{"hex"}` and `{"repeat", "times"}`, joined.
#[must_use]
pub fn chunks(case: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    for chunk in case["chunks"].as_array().into_iter().flatten() {
        if let Some(text) = chunk.as_str() {
            bytes.extend_from_slice(text.as_bytes());
        } else if let Some(hex) = chunk["hex"].as_str() {
            let digits: Vec<u8> = hex
                .chars()
                .filter_map(|c| c.to_digit(16))
                .filter_map(|d| d.try_into().ok())
                .collect();
            bytes.extend(digits.chunks(2).map(|pair| pair.iter().fold(0, |n, d| n << 4 | d)));
        } else if let (Some(text), Some(times)) =
            (chunk["repeat"].as_str(), chunk["times"].as_u64())
        {
            bytes.extend(text.repeat(usize::try_from(times).expect("a small number")).into_bytes());
        }
    }
    bytes
}

pub(crate) fn token() -> Vec<Vec<u8>> {
    let rfc = cases("rfc").into_iter().filter_map(|(_, case)| {
        case["example"]["jws"]["token"].as_str().map(|token| token.as_bytes().to_vec())
    });
    texts("jwt", "token").into_iter().chain(rfc).collect()
}

pub(crate) fn jwks() -> Vec<Vec<u8>> {
    texts("jwks", "jwks_text")
}

pub(crate) fn discovery() -> Vec<Vec<u8>> {
    texts("discovery", "document")
}

/// Claims of the role cases and of the tokens.
pub(crate) fn claims() -> Vec<Vec<u8>> {
    let rules = cases("rbac").into_iter().map(|(_, case)| case["claims"].to_string().into_bytes());
    let payloads = token().into_iter().filter_map(|token| {
        let payload = token.split(|b| *b == b'.').nth(1)?.to_vec();
        URL_SAFE_NO_PAD.decode(payload).ok()
    });
    rules.chain(payloads).collect()
}

pub(crate) fn callback() -> Vec<Vec<u8>> {
    let request = |case: &Value| {
        let body = case["body"].as_str().unwrap_or_default();
        let (method, target) = (case["method"].as_str()?, case["target"].as_str()?);
        let mut text = format!("{method} {target} HTTP/1.1\r\n");
        for field in case["headers"].as_array()? {
            text += &format!("{}: {}\r\n", field[0].as_str()?, field[1].as_str()?);
        }
        if !body.is_empty() {
            text += &format!("content-length: {}\r\n", body.len());
        }
        Some(format!("{text}\r\n{body}").into_bytes())
    };
    cases("callback").iter().filter_map(|(_, case)| request(case)).collect()
}

pub(crate) fn http() -> Vec<Vec<u8>> {
    cases("http").iter().map(|(_, case)| chunks(case)).collect()
}

pub(crate) fn replies() -> Vec<Vec<u8>> {
    [
        r#"200 application/json
{"access_token":"a","token_type":"Bearer","id_token":"b","refresh_token":"c","expires_in":300}"#,
        r#"200 application/json
{"access_token":"a","token_type":"bearer","error":""}"#,
        r#"400 application/json
{"error":"authorization_pending","error_description":"wait"}"#,
        r#"400 application/json;charset=UTF-8
{"error":"invalid_grant","error_description":"\u001b[2J\u202e"}"#,
        r#"200 application/json
{"device_code":"d","user_code":"WDJB-MJHT","verification_uri":"https://idp.example.com/device","verification_uri_complete":"https://idp.example.com/device?user_code=WDJB-MJHT","expires_in":1800,"interval":5}"#,
        r#"200 application/json
{"device_code":"d","user_code":"A","verification_url":"https://www.google.com/device","expires_in":1e9,"interval":0.5}"#,
        r#"200 application/json
{"device_code":"d","user_code":"WDJB-HTeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee","verification_uri":"https://idp.example.com/device"}"#,
        "302 text/html\n",
        "503 text/html\n<html>",
        "200 text/html\n<html>",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

pub(crate) fn cidr() -> Vec<Vec<u8>> {
    let list = |case: &Value| {
        let entries = case["list"].as_array()?.iter().filter_map(Value::as_str);
        Some(entries.collect::<Vec<_>>().join("\n").into_bytes())
    };
    cases("cidr").iter().filter_map(|(_, case)| list(case)).collect()
}

pub(crate) fn forwarded_for() -> Vec<Vec<u8>> {
    let addresses = cases("cidr").into_iter().filter_map(|(_, case)| {
        case["address"].as_str().map(|address| format!("{address}, 10.0.0.1").into_bytes())
    });
    let lines =
        ["203.0.113.9:443, 10.0.0.1", "[2001:db8::1]:80\n10.1.1.1", "unknown, _hidden", ","];
    addresses.chain(lines.map(|line| line.as_bytes().to_vec())).collect()
}

pub(crate) fn go_duration() -> Vec<Vec<u8>> {
    [
        "5m",
        "1h30m",
        "0",
        "-1.5h",
        "1.000000001s",
        "300ms",
        "2540400h10m10.000000000s",
        "9223372036854775807ns",
        "1us2µs",
        "1d",
        ".5s",
        "+5m",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

/// The files of the cases, each with its environment behind a NUL.
pub(crate) fn config() -> Vec<Vec<u8>> {
    let joined = |case: &Value| {
        let mut text = case["file"].as_str().unwrap_or_default().to_owned();
        for (number, (name, value)) in case["env"].as_object().into_iter().flatten().enumerate() {
            let before = if number == 0 { '\0' } else { '\n' };
            text += &format!("{before}{name}={}", value.as_str().unwrap_or_default());
        }
        text.into_bytes()
    };
    let odd = b"a: &a [*a]\n? b\n: |\n  text\n--- \n".to_vec();
    let cases = cases("config");
    let files = cases.iter().filter(|(_, case)| case["document"].is_null());
    files.map(|(_, case)| joined(case)).chain([odd]).collect()
}

/// The edits of the talosconfig cases, and each of their files under one more.
pub(crate) fn talosconfig() -> Vec<Vec<u8>> {
    let line = |op: &Value| {
        if let Some(name) = op["remove"].as_str() {
            return Some(format!("remove {name}"));
        }
        let set = &op["set"];
        let list = |name: &str| {
            let items = set[name].as_array()?.iter().filter_map(Value::as_str);
            Some(items.collect::<Vec<_>>().join(",")).filter(|text| !text.is_empty())
        };
        let lists = ["endpoints", "nodes"].map(|name| list(name).unwrap_or("-".into()));
        let current = set["current"].as_str()?.trim_start_matches("on_");
        Some(format!("set {} {current} {}", set["name"].as_str()?, lists.join(" ")))
    };
    let mut all = Vec::new();
    for (_, case) in cases("talosconfig") {
        let Some(before) = case["before"].as_str() else { continue };
        let first = line(&case["op"]);
        let lines = first.as_deref().into_iter().chain(["remove oidc", "set new yes 10.0.0.9 -"]);
        all.extend(lines.map(|line| format!("{line}\n{before}").into_bytes()));
    }
    all
}

/// Every certificate, key and request of the certificates' vectors.
fn files(folders: &[&str], wanted: fn(&str) -> bool) -> Vec<Vec<u8>> {
    let mut files = Vec::new();
    for name in folders {
        let entries = fs::read_dir(folder().join("cert").join(name)).expect("a folder of files");
        let mut paths: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
        paths.retain(|path| wanted(&path.to_string_lossy()));
        paths.sort();
        files.extend(
            paths
                .iter()
                .filter(|path| path.is_file())
                .map(|path| fs::read(path).expect("readable")),
        );
    }
    files
}

pub(crate) fn pem() -> Vec<Vec<u8>> {
    let mut all = files(&["ca", "tls"], |_| true);
    // A certificate with its key in one text.
    let pair = |name: &str| {
        let read =
            |end: &str| fs::read(folder().join(format!("cert/ca/{name}.{end}"))).expect("a pair");
        [read("crt"), read("key")].concat()
    };
    all.extend(["ed25519", "p256", "p384", "rsa2048"].map(pair));
    all.extend(texts("config", "document"));
    all
}

pub(crate) fn csr() -> Vec<Vec<u8>> {
    let text = files(&["csr"], |path| path.ends_with(".csr"));
    let der = |pem: &Vec<u8>| {
        let body: String =
            String::from_utf8_lossy(pem).lines().filter(|l| !l.contains('-')).collect();
        base64::engine::general_purpose::STANDARD.decode(body).ok()
    };
    let binary: Vec<_> = text.iter().filter_map(der).collect();
    text.into_iter().chain(binary).collect()
}

pub(crate) fn audit() -> Vec<Vec<u8>> {
    use exchange_core::machine::UnixTime;
    use exchange_core::server::audit_chain::{Chain, CheckpointKey};
    let key = CheckpointKey::from_seed("audit", &[7; 32]).expect("a key");
    let (mut chain, mut log) = (Chain::default(), String::new());
    for n in 0..5 {
        chain.seal(
            format!("{{\"timestamp\":\"2027-01-15T08:00:00Z\",\"type\":\"t\",\"n\":{n}"),
            &mut log,
        );
    }
    let checkpoint = chain.checkpoint(UnixTime::from_secs(1_800_000_000), &key);
    chain.seal(checkpoint, &mut log);
    let state = chain.state();
    [log.trim_end(), &state, "alice\0\u{202e}bob\n\u{1b}[2J\0{\"seq\":1}", "{\"type\":\"old\"}"]
        .map(|text| text.as_bytes().to_vec())
        .to_vec()
}

/// For targets whose input is no text: the start of a sequence is as good as any.
pub(crate) fn noise() -> Vec<Vec<u8>> {
    let mut rng = Rng::new(5);
    (0..64_usize).map(|n| rng.bytes(32 + n * 24)).collect()
}
