//! The scanner against `serde_json`, for any text in any pieces.

use crate::usage::json::{At, DEPTH_MAX, Kind, Scanner, Value, Visitor};
use crate::usage::paths::Paths;
use proptest::prelude::*;

/// Writes down what it is told; pieces of a string are joined.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    events: Vec<Event>,
    text: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
enum Event {
    Begin(char, Kind, At),
    Text(char, Vec<u8>),
    End(char, Value, At),
    OtherKey(char, Vec<u8>),
}

impl Visitor<char> for Told {
    fn begin(&mut self, tag: char, kind: Kind, at: At) {
        self.events.push(Event::Begin(tag, kind, at));
    }

    fn text(&mut self, tag: char, piece: &[u8]) {
        match self.events.last_mut() {
            Some(Event::Text(_, text)) => text.extend_from_slice(piece),
            _ => self.events.push(Event::Text(tag, piece.to_vec())),
        }
    }

    fn end(&mut self, tag: char, value: Value, at: At) {
        self.events.push(Event::End(tag, value, at));
    }

    fn other_key(&mut self, within: char, key: Option<&[u8]>) {
        self.events.extend(key.map(|key| Event::OtherKey(within, key.to_vec())));
    }
}

fn paths() -> Paths<char> {
    let paths = Paths::new().at("", 'r').unwrap().at("a.b", 'b').unwrap();
    paths.below("t", 't').unwrap().except("t", "x").unwrap().at("n", 'n').unwrap()
}

/// Reads `pieces` as one document: what was told, and whether it was one.
fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Event>, bool) {
    let (paths, mut told, mut scanner) = (paths(), Told::default(), Scanner::default());
    for piece in pieces {
        scanner.feed(&paths, piece, &mut told);
    }
    let whole = scanner.finish(&paths, &mut told);
    (told.events, whole)
}

fn texts(json: &[u8]) -> Vec<String> {
    let (events, whole) = read([json]);
    assert!(whole, "{}", String::from_utf8_lossy(json));
    let texts = events.into_iter().filter_map(|event| match event {
        Event::Text('t', text) => Some(String::from_utf8(text).unwrap()),
        _ => None,
    });
    texts.collect()
}

/// JSON-like text: whole documents, and documents with mistakes.
fn jsonish() -> impl Strategy<Value = Vec<u8>> {
    let token = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"a\"",
        "\"b\":",
        "\"n\":",
        "\"t\":",
        "\"x\":",
        "{\"t\":",
        "1",
        "-0.5e3",
        "01",
        "tru",
        "true",
        "false",
        "null",
        "\"\\u4e2d\"",
        "\"\\ud83d\\ude00\"",
        "\"中\"",
        "\"\\n\\\"\"",
        "\"\\q\"",
        " ",
        "\n",
        "x",
        "{}",
        "[]",
        "\"",
    ]);
    let tokens = prop::collection::vec(token, 0..12).prop_map(|tokens| tokens.concat().into_bytes());
    let value = || value().prop_map(|value| value.to_string().into_bytes());
    prop_oneof![
        tokens,
        value(),
        (value(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(mut json, at, byte)| {
            let at = at.index(json.len());
            json[at] = byte;
            json
        })
    ]
}

fn value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        ".{0,6}".prop_map(Into::into),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        let key = prop::sample::select(vec!["a", "b", "t", "n", "x", "键", "quo\"te", ""]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::vec((key, inner), 0..4).prop_map(|members| members
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect::<serde_json::Map<_, _>>()
                .into()),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_json_is_what_others_take_for_json(json in jsonish()) {
        let theirs = serde_json::from_slice::<serde_json::Value>(&json);
        let ours = read([&json[..]]).1;
        match theirs {
            Ok(_) => prop_assert!(ours),
            Err(error) => {
                let lenient = ["control character", "number out of range", "surrogate", "unicode", "UTF-8", "hex escape"];
                let error = error.to_string();
                prop_assert!(!ours || lenient.iter().any(|more| error.contains(more)), "{error}");
            }
        }
    }

    #[test]
    fn splits_make_no_difference(json in jsonish(), at in any::<[prop::sample::Index; 2]>()) {
        let mut at = at.map(|at| at.index(json.len() + 1));
        at.sort_unstable();
        let whole = read([&json[..]]);
        prop_assert_eq!(&read([&json[..at[0]], &json[at[0]..at[1]], &json[at[1]..]]), &whole);
        prop_assert_eq!(&read(json.chunks(1)), &whole);
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(read([&bytes[..]]), read(bytes.chunks(1)));
    }

    #[test]
    fn strings_below_a_path_arrive_as_others_decode_them(value in value()) {
        let json = serde_json::json!({"t": value});
        fn gather(value: &serde_json::Value, into: &mut String) {
            match value {
                serde_json::Value::String(text) => into.push_str(text),
                serde_json::Value::Array(list) => list.iter().for_each(|value| gather(value, into)),
                serde_json::Value::Object(map) => map.iter().filter(|(key, _)| *key != "x").for_each(|(_, value)| gather(value, into)),
                _ => {}
            }
        }
        let mut expected = String::new();
        gather(&json["t"], &mut expected);
        prop_assert_eq!(texts(json.to_string().as_bytes()).concat(), expected);
    }
}

#[test]
fn values_are_told_with_where_they_stand() {
    let json = br#" {"a":{"b":12},"n":[],"z":0}"#;
    let at = |depth, offset| At { depth, offset };
    let expected = vec![
        Event::Begin('r', Kind::Object, at(0, 1)),
        Event::Begin('b', Kind::Other, at(2, 11)),
        Event::End('b', Value::Number(Some(12)), at(2, 13)),
        Event::Begin('n', Kind::Array, at(1, 19)),
        Event::End('n', Value::Array { empty: true }, at(1, 21)),
        Event::OtherKey('r', b"z".to_vec()),
        Event::End('r', Value::Object { empty: false }, at(0, 28)),
    ];
    assert_eq!(read([&json[..]]), (expected, true));
}

#[test]
fn a_key_written_with_escapes_is_the_same_key() {
    assert_eq!(texts(br#"{"\u0074":"x"}"#), ["x"]);
    assert_eq!(texts(br#"{"t\ud800":"x"}"#), [""; 0]);
}

#[test]
fn lone_surrogates_become_replacement_characters() {
    assert_eq!(texts(br#"{"t":"\ud83d"}"#), ["\u{fffd}"]);
    assert_eq!(
        texts(br#"{"t":"\ud83dx\ude00\n\ud83d\n\ud83d\ud83d\ude00"}"#),
        ["\u{fffd}x\u{fffd}\n\u{fffd}\n\u{fffd}😀"]
    );
}

#[test]
fn a_document_cut_short_leaves_nothing_to_the_next() {
    let (paths, mut told, mut scanner) = (paths(), Told::default(), Scanner::default());
    scanner.feed(&paths, br#"{"a":[{"t":"\ud83d"#, &mut told);
    scanner.reset();
    told.events.clear();
    scanner.feed(&paths, br#"{"t":"y"}"#, &mut told);
    assert!(scanner.finish(&paths, &mut told));
    assert_eq!(told.events, read([&br#"{"t":"y"}"#[..]]).0);
}

#[test]
fn depth_bombs_are_skipped_and_still_balanced() {
    for depth in [DEPTH_MAX as usize - 2, DEPTH_MAX as usize, DEPTH_MAX as usize + 1, 100_000] {
        let deep = format!(
            r#"{{"x":{}{},"t":"seen"}}"#,
            r#"[{"\"}]":"#.repeat(depth),
            "0".to_owned() + &"}]".repeat(depth)
        );
        assert_eq!(texts(deep.as_bytes()), ["seen"], "{depth}");
        assert!(!read([&deep.as_bytes()[..deep.len() - 1]]).1);
    }
    assert!(!read(["[".repeat(1 << 20).as_bytes()]).1);
}

#[test]
fn places_are_known_down_to_the_greatest_depth() {
    let nested = |depth: usize| format!(r#"{{"t":{}"x"{}}}"#, "[".repeat(depth - 1), "]".repeat(depth - 1));
    assert_eq!(texts(nested(DEPTH_MAX as usize).as_bytes()), ["x"]);
    assert_eq!(texts(nested(DEPTH_MAX as usize + 1).as_bytes()), [""; 0]);
}

#[test]
fn a_run_of_escapes_may_be_long() {
    for (escape, character) in [
        (r"\u4e2d", "中"),
        (r"\n", "\n"),
        (r"\ud83d\ude00", "😀"),
        (r"\ud83d\n", "\u{fffd}\n"),
        (r"\ud83d\u4e2d", "\u{fffd}中"),
    ] {
        for len in [1, 20, 60, 70, 1000] {
            let json = format!(r#"{{"t":"{}"}}"#, escape.repeat(len));
            assert_eq!(texts(json.as_bytes()), [character.repeat(len)], "{escape} {len}");
        }
    }
}

#[test]
fn names_and_numbers_without_end_take_no_memory() {
    let key = "k".repeat(1 << 20);
    assert_eq!(texts(format!(r#"{{"{key}":{},"t":"seen"}}"#, "9".repeat(10_000)).as_bytes()), ["seen"]);
    assert_eq!(texts(format!(r#"{{"t":{{"{key}":"seen"}}}}"#).as_bytes()), ["seen"]);
}
