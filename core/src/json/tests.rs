//! The reader beside `serde_json`, which shares no code with it, and what neither may take.

use super::*;
use proptest::prelude::*;

mod reference;

const LIMITS: Limits = Limits { bytes_max: 4096, depth_max: 4 };

#[test]
fn refuses_what_parsers_disagree_on() {
    for (text, error) in [
        (r#"{"a":1,"a":2}"#, JsonError::DuplicateName),
        (r#"{"x":{"a":1,"\u0061":2}}"#, JsonError::DuplicateName),
        (r#"{"a":1} x"#, JsonError::Syntax),
        ("\u{feff}{}", JsonError::Syntax),
        (r#""\ud800""#, JsonError::Syntax),
        ("1e400", JsonError::Syntax),
        ("[[[[[1]]]]]", JsonError::TooDeep),
        ("", JsonError::Syntax),
    ] {
        assert_eq!(parse(text.as_bytes(), LIMITS), Err(error), "{text}");
    }
    assert_eq!(parse(b"\"\xff\"", LIMITS), Err(JsonError::Syntax));
    assert_eq!(parse(&[b' '; 5000], LIMITS), Err(JsonError::TooLarge));
    assert_eq!(parse(&[b'['; 4000], LIMITS), Err(JsonError::TooDeep));
}

#[test]
fn numbers_and_escapes_are_read_as_serde_json_reads_them() {
    for text in [
        "0",
        "-0",
        "-0.0",
        "00",
        "01",
        "-",
        "-x",
        "1.",
        ".5",
        "1.5",
        "1.e1",
        "1e",
        "1e+",
        "1E-2",
        "+1",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "-9223372036854775809",
        "18446744073709551615",
        "18446744073709551616",
        "123456789012345678901234567890",
        "1e308",
        "1e309",
        "-1e309",
        "1e-400",
        "0e999",
        "1e99999",
        "1700000000.9",
        "0x1",
        "1_0",
        "NaN",
        "Infinity",
        "true",
        "tru",
        "truee",
        "True",
        "nul",
        r#""\u0041\u00e9\u20ac\ud83d\ude00""#,
        r#""\ud83d""#,
        r#""\ude00""#,
        r#""\ud83d\u0041""#,
        r#""\ud83d\n""#,
        r#""\u+041""#,
        r#""\u004""#,
        r#""\U0041""#,
        r#""\u00e\u00e9""#,
        r#""\x""#,
        r#""\"\\\/\b\f\n\r\t""#,
        r#""\"#,
        "\"",
        "\"a\nb\"",
        "\"\u{7f}\"",
        "\"\u{0}\"",
        "'a'",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[",
        "]",
        "{",
        "}",
        "{,}",
        r#"{"a"}"#,
        r#"{"a":}"#,
        r#"{"a":1,}"#,
        r#"{a:1}"#,
        r#"{1:1}"#,
        r#"{"a" : 1 , "b":[ ] , "c": { } }"#,
        " \t\n\r1 ",
        "1\u{a0}",
        "\u{c}1",
        "//1",
        "1//",
        "[[[[1]]]]",
        "[[[[[1]]]]]",
        "[[[[[",
        "{\"a\":[[[{",
    ] {
        reference::compare(text.as_bytes());
    }
}

#[test]
fn the_first_error_counts() {
    for (bytes, error) in [
        (&b"[1,\xff"[..], JsonError::Syntax),
        (b"{\"a\":1,\"a\":\"\xff\"}", JsonError::DuplicateName),
        (b"{\"a\":\"\xff\",\"a\":1}", JsonError::Syntax),
        (b"[[[[[\xff", JsonError::TooDeep),
        (b"[[[[\xff[", JsonError::Syntax),
        (b"1\xff", JsonError::Syntax),
        (b"{\"a\":1,\"a\" x", JsonError::DuplicateName),
    ] {
        assert_eq!(parse(bytes, LIMITS), Err(error), "{}", bytes.escape_ascii());
        reference::compare(bytes);
    }
}

#[test]
fn an_object_has_a_most_of_members() {
    let object = |count: usize| {
        let members: Vec<_> = (0..count).map(|n| alloc::format!("\"{n}\":0")).collect();
        let text = alloc::format!("{{{}}}", members.join(","));
        let limits = Limits { bytes_max: 1 << 20, depth_max: 1 };
        parse_object(text.as_bytes(), limits).map(|object| object.len())
    };
    assert_eq!((object(2048), object(2049)), (Ok(2048), Err(JsonError::TooLarge)));
}

#[test]
fn reads_values() {
    let object = parse_object(br#"{"s":"x","i":-1,"f":1.5,"a":[null,true]}"#, LIMITS).unwrap();
    assert_eq!(object.get_str("s"), Some("x"));
    assert_eq!(object.get("i"), Some(&Value::Int(-1)));
    assert_eq!(object.get("f"), Some(&Value::Float(1.5)));
    assert_eq!(object.get("a"), Some(&Value::Array([Value::Null, Value::Bool(true)].into())));
    assert_eq!(object.get("S"), None);
}

#[test]
fn names_are_what_was_written() {
    let names = [
        "alg",
        "at_hash",
        "aud",
        "auth_time",
        "azp",
        "email",
        "email_verified",
        "exp",
        "groups",
        "iat",
        "id_token",
        "iss",
        "jti",
        "kid",
        "name",
        "nbf",
        "nonce",
        "preferred_username",
        "sid",
        "sub",
        "typ",
        "",
        "Sub",
        "subs",
    ];
    for name in names {
        let text = alloc::format!("{{{name:?}:1}}");
        let object = parse_object(text.as_bytes(), LIMITS).unwrap();
        assert_eq!(object.iter().map(|(name, _)| name).collect::<Vec<_>>(), [name]);
    }
}

#[test]
fn a_written_text_has_its_quotes() {
    assert_eq!(JsonText::from("a\"b").as_str(), r#""a\"b""#);
}

proptest! {
    #[test]
    fn strings_survive_writing(text in any::<String>()) {
        let mut out = String::new();
        write_string(&mut out, &text);
        prop_assert!(out.len() <= string_bytes_max(&text));
        let one_line = !out.contains(['\n', '\r', '\u{2028}']);
        prop_assert!(one_line);
        prop_assert_eq!(parse(out.as_bytes(), Limits { bytes_max: 1 << 20, depth_max: 1 }), Ok(Value::String(text)));
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes, LIMITS);
    }

        #[test]
        fn serde_json_reads_the_same(text in reference::nearly_json()) {
            reference::compare(text.as_bytes());
        }

        #[test]
        fn serde_json_reads_the_same_of_damaged_bytes(
            text in reference::nearly_json(),
            place in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let mut bytes = text.into_bytes();
            if !bytes.is_empty() {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            reference::compare(&bytes);
        }
}
