extern crate std;

use super::*;
use alloc::format;
use alloc::string::ToString;
use alloc::vec;
use proptest::prelude::*;

fn fault(text: &str) -> YamlFault {
    parse(text).unwrap_err().fault
}

/// Every plain one-line scalar must be exactly the bytes its place names.
fn check_places(node: &Node, text: &str) {
    assert!(text.get(node.place.bytes.clone()).is_some(), "{:?} in {text:?}", node.place);
    match &node.value {
        Value::Scalar(s) => {
            if s.plain && !s.text.contains([' ', '\n']) {
                assert_eq!(&text[node.place.bytes.clone()], s.text.as_str(), "{text:?}");
            }
        }
        Value::Seq(seq) => seq.items.iter().for_each(|n| check_places(n, text)),
        Value::Map(map) => {
            for pair in &map.pairs {
                check_places(&pair.value, text);
                let key = &text[pair.key_place.bytes.clone()];
                assert!(key.contains(pair.key.text.as_str()) || !pair.key.plain);
            }
        }
        Value::Alias => {}
    }
}

#[test]
fn keeps_the_raw_text() {
    let doc =
        parse("a: 0123\nb: 1.10\nc: yes\nd: ~\ne:\nf: \"null\"\ng: 8443 # x\n").unwrap().unwrap();
    let map = doc.map().unwrap();
    for (key, text) in [("a", "0123"), ("b", "1.10"), ("c", "yes"), ("f", "null"), ("g", "8443")] {
        assert_eq!(map.get(key).unwrap().text(), Some(text), "{key}");
    }
    assert!(map.get("d").unwrap().is_null() && map.get("e").unwrap().is_null());
    assert!(!map.get("f").unwrap().is_null());
}

#[test]
fn places_are_bytes_even_with_wide_characters_and_crlf() {
    for text in [
        "a: b\nlist:\n  - x\n  - y\n",
        "\u{fc}ber: stra\u{df}e\r\nlist:\r\n  - \u{1f600}x\r\n  - y # c\r\nflow: {a: [b, c], d: e}\r\n",
        "\u{feff}a: b\nc: \u{e9}\n",
        "# c\n\n---\nx:\n    y: z\n...\n---\n",
        "a: |\n  one\n  two\nb: >-\n  three\nc: 'q'\n",
    ] {
        for document in parse_all(text).unwrap() {
            check_places(&document, text);
        }
    }
}

#[test]
fn collections_know_their_ends() {
    let text = "a:\n  - x\n  - y   # c\n\n# tail\nb: {c: d, e: [f]}  # z\nc: |\n  one\n\nd: ''  # y\n'e' :\n- \"\\\"#\" # x\n- y\n";
    let doc = parse(text).unwrap().unwrap();
    let slice = |key: &str| &text[doc.map().unwrap().get(key).unwrap().place.bytes.clone()];
    assert_eq!(slice("a"), "- x\n  - y");
    assert_eq!(slice("b"), "{c: d, e: [f]}");
    assert_eq!(slice("d"), "''");
    assert_eq!(slice("e"), "- \"\\\"#\" # x\n- y");
    assert_eq!(&text[doc.map().unwrap().pair("e").unwrap().key_place.bytes.clone()], "'e'");
    let list = doc.map().unwrap().get("e").unwrap().seq().unwrap();
    assert_eq!(&text[list.items[0].place.bytes.clone()], "\"\\\"#\"");
    assert_eq!((doc.place.line, doc.place.column), (1, 1));
}

#[test]
fn brackets_end_where_they_close() {
    for flow in [
        "{a: b}",
        "{a: b, }",
        "{a: b,\n }",
        "{}",
        "[]",
        "[a, ]",
        "[a: b]",
        "{ # }\n a: b # }\n , # }\n }",
    ] {
        for text in [format!("k: {flow}\nl: m\n"), format!("k: &x {flow} # }}\n"), flow.to_string()]
        {
            let doc = parse(&text).unwrap().unwrap();
            let node =
                if text.starts_with('k') { doc.map().unwrap().get("k").unwrap() } else { &doc };
            let is_flow = node.map().map(|m| m.flow).or(node.seq().map(|s| s.flow));
            let written = &text[node.place.bytes.clone()];
            assert_eq!((written, is_flow), (flow, Some(true)), "{text}");
        }
    }
}

#[test]
fn refuses_what_it_would_have_to_guess() {
    assert_eq!(fault("a: 1\nb: 2\na: 3\n"), YamlFault::DuplicateKey);
    assert_eq!(fault("a: 1\n\"a\": 3\n"), YamlFault::DuplicateKey);
    assert_eq!(fault("? [a]\n: b\n"), YamlFault::KeyNotText);
    assert_eq!(fault("a: [b\n"), YamlFault::Syntax);
    assert_eq!(fault("a: b: c\n"), YamlFault::Syntax);
    assert_eq!(fault("a: 1\n---\nb: 2\n"), YamlFault::SecondDocument);
    assert_eq!(fault(&"x".repeat(TEXT_BYTES_MAX + 1)), YamlFault::TooLarge);
    let error = parse("a: 1\n  b: 2\n").unwrap_err();
    assert_eq!(error.line, 2);
    assert!(parse("").unwrap().is_none());
    assert!(parse("# only\n").unwrap().is_none());
}

#[test]
fn hostile_texts_end_quickly() {
    for unit in ["[", "{a: ", "- ", "? ", "a: [", "!!x ", "&a ", "\"", "'\n", "#", "a:\n ", "|\n"] {
        let started = std::time::Instant::now();
        let text = unit.repeat(200_000 / unit.len());
        let deep = parse_all(&text).err().map(|error| error.fault);
        if unit.contains(['[', '{', '-', '?']) {
            // The parser has a limit of its own for brackets, which may come first.
            assert!(matches!(deep, Some(YamlFault::TooDeep | YamlFault::Syntax)), "{unit}");
        }
        assert!(started.elapsed().as_secs() < 5, "{unit}: {:?}", started.elapsed());
    }
    assert_eq!(fault(&"- a\n".repeat(NODES_MAX + 1)), YamlFault::TooMany);
    let mut bomb = "a0: &a0 [x, x]\n".to_string();
    for level in 1..60 {
        bomb += &format!("a{level}: &a{level} [*a{p}, *a{p}, *a{p}]\n", p = level - 1);
    }
    let doc = parse(&bomb).unwrap().unwrap();
    assert!(doc.first_reference().is_some());
}

#[test]
fn quoting_keeps_the_text_for_every_reader() {
    assert_eq!(quote("prod-1"), "prod-1");
    for plain in ["10.0.0.1", "10.0.0.1:50000", "https://a.example", "LS0t/+=="] {
        assert_eq!(quote(plain), plain);
    }
    for word in [
        "",
        "null",
        "Yes",
        "no",
        "~",
        "123",
        "1e3",
        "-x",
        "a: b",
        "a #b",
        "1.5",
        "2024-01-01",
        "12:30",
        "0x1f",
        "*x",
        "&x",
        "on",
    ] {
        assert!(quote(word).starts_with('"'), "{word}");
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in "[-a:\\[\\]{}?&*!|>'\"%@`#,\\t\\n\\r \u{e9}\u{feff}\\\\.0~<]{0,60}") {
        for document in parse_all(&text).unwrap_or_default() {
            check_places_lenient(&document, &text);
        }
    }

    #[test]
    fn any_text_at_all(text in any::<String>()) {
        let _ = parse_all(&text);
    }

    #[test]
    fn quoted_text_reads_back(text in any::<String>()) {
        let line = format!("k: {}\n", quote(&text));
        let doc = parse(&line).unwrap().unwrap();
        prop_assert_eq!(doc.map().unwrap().get("k").unwrap().scalar().unwrap().text.as_str(), text);
    }

    #[test]
    fn quoted_keys_read_back(text in any::<String>()) {
        let line = format!("{}: x\n", quote(&text));
        let doc = parse(&line).unwrap().unwrap();
        prop_assert_eq!(doc.map().unwrap().pairs[0].key.text.as_str(), text);
    }

    #[test]
    fn block_lists_have_places(items in prop::collection::vec("[a-z\u{e9}\u{1f600}]{1,6}", 1..6)) {
        let mut text = "k:\r\n".to_string();
        for item in &items {
            text += &format!("  - {item}  # \u{e9}\r\n");
        }
        let doc = parse(&text).unwrap().unwrap();
        check_places(&doc, &text);
        let read: vec::Vec<_> = doc.map().unwrap().get("k").unwrap().seq().unwrap().items.iter()
            .map(|n| n.text().unwrap().to_string()).collect();
        prop_assert_eq!(read, items);
    }
}

/// Whatever the text, a place is a slice of it.
fn check_places_lenient(node: &Node, text: &str) {
    assert!(text.get(node.place.bytes.clone()).is_some(), "{:?} in {text:?}", node.place);
    match &node.value {
        Value::Scalar(_) | Value::Alias => {}
        Value::Seq(seq) => seq.items.iter().for_each(|n| check_places_lenient(n, text)),
        Value::Map(map) => map.pairs.iter().for_each(|p| check_places_lenient(&p.value, text)),
    }
}
