//! `serde_json` held to the same rules, and texts to try both with.

use core::cell::Cell;

use proptest::prelude::*;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::super::*;
use super::LIMITS;

/// Both read these bytes alike.
pub(super) fn compare(bytes: &[u8]) {
    let (ours, theirs) = (parse(bytes, LIMITS), read(bytes));
    let alike = match (&ours, &theirs) {
        (Ok(ours), Ok(theirs)) => same(ours, theirs),
        (Err(ours), Err(theirs)) => ours == theirs,
        (Ok(_), Err(_)) | (Err(_), Ok(_)) => false,
    };
    assert!(alike, "{}: {ours:?}, serde_json {theirs:?}", bytes.escape_ascii());
}

/// Equal but for the last digit of a fraction, which `serde_json` does not round.
fn same(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Float(ours), Value::Float(theirs)) => {
            ours.is_sign_negative() == theirs.is_sign_negative()
                && (ours - theirs).abs() <= ours.abs() * 1e-15
        }
        (Value::Array(ours), Value::Array(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(a, b)| same(a, b))
        }
        (Value::Object(ours), Value::Object(theirs)) => {
            let pairs = ours.iter().zip(theirs.iter());
            ours.len() == theirs.len()
                && pairs.into_iter().all(|((a, ours), (b, theirs))| a == b && same(ours, theirs))
        }
        _ => ours == theirs,
    }
}

/// What `serde_json` makes of the bytes.
fn read(bytes: &[u8]) -> Result<Value, JsonError> {
    if bytes.len() > LIMITS.bytes_max {
        return Err(JsonError::TooLarge);
    }
    let verdict = Cell::new(JsonError::Syntax);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let seed = Seed { depth_left: LIMITS.depth_max, verdict: &verdict };
    let value = seed.deserialize(&mut reader).map_err(|_| verdict.get())?;
    reader.end().map_err(|_| JsonError::Syntax)?;
    Ok(value)
}

/// Texts that are JSON, or would be but for a few tokens.
pub(super) fn nearly_json() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,18})?([eE][+-]?[0-9]{1,3})?",
        r#""([ -~é€😀]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4}|\\ud83d\\ude00){0,12}""#,
        "true|false|null",
        r#"[-+.0-9eE]{1,6}|[a-z]{1,5}|"[a-c\\]{0,3}"?|[\[\]{},:" ]{1,3}"#,
    ];
    let name = prop_oneof![r#""(a|b|iss|sub|exp)""#, r#""([a-z_]|\\u006[1-3]){1,9}""#];
    scalar.prop_recursive(5, 24, 4, move |inner| {
        let blank = "[ \t\r\n]{0,2}";
        let member = (name.clone(), blank, inner.clone())
            .prop_map(|(name, blank, value)| [name, blank, ":".into(), value].concat());
        prop_oneof![
            prop::collection::vec(inner, 0..4)
                .prop_map(|items| alloc::format!("[{}]", items.join(","))),
            prop::collection::vec(member, 0..4)
                .prop_map(|members| alloc::format!("{{{}}}", members.join(" ,"))),
        ]
    })
}

#[derive(Clone, Copy)]
struct Seed<'a> {
    depth_left: u32,
    verdict: &'a Cell<JsonError>,
}

impl Seed<'_> {
    fn fail<E: de::Error>(&self, why: JsonError) -> E {
        self.verdict.set(why);
        E::custom("refused")
    }

    fn inner<E: de::Error>(self) -> Result<Self, E> {
        match self.depth_left.checked_sub(1) {
            Some(depth_left) => Ok(Self { depth_left, ..self }),
            None => Err(self.fail(JsonError::TooDeep)),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or(Value::Float(value as f64), Value::Int))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(inner)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut members: Vec<(Name, Value)> = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            if members.iter().any(|(known, _)| *known == name) {
                return Err(self.fail(JsonError::DuplicateName));
            }
            members.push((Cow::Owned(name), map.next_value_seed(inner)?));
        }
        Ok(Value::Object(Object(members)))
    }
}
