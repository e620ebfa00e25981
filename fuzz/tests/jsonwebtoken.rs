//! `vectors/jwt` as the crate jsonwebtoken judges them, with its pure-Rust signatures, so that
//! nothing of ours or of ring is in the verdict. Every difference is listed in
//! `vectors/differs/jsonwebtoken.json` with the reason and with who is right; one that is not
//! listed fails, and so does a listed one that is gone.
#![allow(clippy::unwrap_used, reason = "a failing test should stop at the line that failed")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::str::FromStr as _;
use std::time::{SystemTime, UNIX_EPOCH};

use exchange_fuzz::seeds;
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde_json::{Value, json};

type Verdict = Result<Value, String>;

fn wrong(error: impl ToString) -> String {
    error.to_string()
}

fn vectors(path: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors").join(path)).unwrap()
}

/// What somebody who uses the crate as its manual says would write.
fn judge(case: &Value) -> Verdict {
    let (config, token) = (&case["config"], case["token"].as_str().unwrap());
    let header = jsonwebtoken::decode_header(token).map_err(wrong)?;
    let listed = config["algs"].as_array().map(|names| {
        let names = names.iter().map(|name| name.as_str().unwrap());
        names.filter_map(|name| Algorithm::from_str(name).ok()).collect::<Vec<_>>()
    });
    if listed.is_some_and(|listed| !listed.contains(&header.alg)) {
        return Err("not in the list of algorithms".into());
    }
    let hmac = [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512].contains(&header.alg);
    let key = if hmac {
        let secret = config["hmac_secret"].as_str().ok_or("no secret")?;
        DecodingKey::from_secret(secret.as_bytes())
    } else {
        DecodingKey::from_jwk(&jwk(case, &header)?).map_err(wrong)?
    };
    let mut expected = Validation::new(header.alg);
    expected.set_issuer(&[config["issuer"].as_str().unwrap()]);
    expected.set_audience(&[config["audience"].as_str().unwrap()]);
    expected.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    // The crate has no clock to be set: the times are asked about by themselves.
    expected.validate_exp = false;
    expected.validate_nbf = false;
    let claims = decode::<Value>(token, &key, &expected).map_err(wrong)?.claims;
    times(&claims, case["now"].as_i64().unwrap(), config["skew"].as_u64().unwrap_or(60))?;
    Ok(claims["sub"].clone())
}

fn jwk(case: &Value, header: &Header) -> Result<Jwk, String> {
    let text = match case["keys"].as_str() {
        Some(file) => vectors(file),
        None => serde_json::to_vec(&case["jwks"]).unwrap(),
    };
    let set: JwkSet = serde_json::from_slice(&text).map_err(wrong)?;
    match &header.kid {
        Some(kid) => set.find(kid).cloned().ok_or("no such key".into()),
        None => match set.keys.as_slice() {
            [only] => Ok(only.clone()),
            _ => Err("no kid, and not one key".into()),
        },
    }
}

/// The same dates as far from now as they are from the `now` of the case, in a token of our own.
fn times(claims: &Value, now: i64, skew: u64) -> Result<(), String> {
    let secret = [7; 32];
    let mut expected = Validation::new(Algorithm::HS256);
    expected.leeway = skew;
    expected.validate_nbf = true;
    expected.validate_aud = false;
    loop {
        let today = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
        let before = today();
        let mut moved = claims.clone();
        for name in ["exp", "nbf"] {
            let Some(date) = moved.get_mut(name) else { continue };
            let later = before - now;
            *date = match (date.as_i64(), date.as_f64()) {
                (Some(whole), _) => whole.saturating_add(later).into(),
                (None, Some(fraction)) => json!(fraction + later as f64),
                (None, None) => date.clone(),
            };
        }
        let key = EncodingKey::from_secret(&secret);
        let token = encode(&Header::default(), &moved, &key).map_err(wrong)?;
        let verdict = decode::<Value>(&token, &DecodingKey::from_secret(&secret), &expected);
        if today() == before {
            return verdict.map(|_| ()).map_err(wrong);
        }
    }
}

/// Names of the listed cases with their reasons.
fn listed() -> BTreeMap<String, String> {
    let list: Value = serde_json::from_slice(&vectors("differs/jsonwebtoken.json")).unwrap();
    let mut reasons = BTreeMap::new();
    for difference in list.as_array().unwrap() {
        let (right, why) = (difference["right"].as_str(), difference["why"].as_str().unwrap());
        assert!(["ours", "theirs", "both"].contains(&right.unwrap()), "{why}");
        for name in difference["cases"].as_array().unwrap() {
            let before = reasons.insert(name.as_str().unwrap().to_owned(), why.to_owned());
            assert!(before.is_none(), "{name} is listed twice");
        }
    }
    reasons
}

#[test]
fn it_differs_only_where_it_is_listed() {
    let (mut reasons, mut failures) = (listed(), Vec::new());
    for (name, case) in seeds::cases("jwt") {
        let ours = case["expect"]["ok"]["sub"].as_str().map(Value::from);
        let theirs = judge(&case);
        let differs = theirs.as_ref().ok() != ours.as_ref();
        match (differs, reasons.remove(&name)) {
            (true, None) => {
                failures.push(format!("{name}: ours {}, theirs {theirs:?}", case["expect"]));
            }
            (false, Some(why)) => failures.push(format!("{name}: no difference any more ({why})")),
            (true, Some(_)) | (false, None) => {}
        }
    }
    failures.extend(reasons.keys().map(|name| format!("{name}: listed, and no such case")));
    assert!(failures.is_empty(), "{} cases:\n{}", failures.len(), failures.join("\n"));
}
