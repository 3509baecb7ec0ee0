//! An edited body is the body with exactly the changes asked for.

use crate::usage::{Api, Asked, Changes, edit};
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

const USAGE: Changes = Changes { include_usage: true, max_tokens: None, model: None };

fn edited(body: &str, changes: Changes) -> String {
    let body = Bytes::copy_from_slice(body.as_bytes());
    let asked = Asked::read(Api::OpenAi, &body).unwrap();
    String::from_utf8(edit(&body, &asked, changes).to_vec()).unwrap()
}

fn at_most(max_tokens: u64) -> Changes<'static> {
    Changes { max_tokens: Some(max_tokens), ..Changes::default() }
}

#[test]
fn usage_is_asked_for_and_all_else_stays_as_it_was() {
    for (body, expected) in [
        (r#"{}"#, r#"{"stream_options":{"include_usage":true}}"#),
        (r#" { "n" : 1 }"#, r#" {"stream_options":{"include_usage":true}, "n" : 1 }"#),
        (r#"{"stream_options": null,"n":1}"#, r#"{"stream_options": {"include_usage":true},"n":1}"#),
        (r#"{"stream_options":{ }}"#, r#"{"stream_options":{"include_usage":true }}"#),
        (r#"{"stream_options":{"x":{}}}"#, r#"{"stream_options":{"include_usage":true,"x":{}}}"#),
        (r#"{"stream_options":{"include_usage": false }}"#, r#"{"stream_options":{"include_usage": true }}"#),
        (
            r#"{"stream_options":{"include_usage":null,"x":1}}"#,
            r#"{"stream_options":{"include_usage":true,"x":1}}"#,
        ),
        (r#"{"stream_options":{"include_usage":true}}"#, r#"{"stream_options":{"include_usage":true}}"#),
    ] {
        assert_eq!(edited(body, USAGE), expected);
    }
}

#[test]
fn another_model_takes_the_place_of_the_one_that_was_named() {
    for (body, expected) in [
        (r#"{"model":"pangu-large","n":1}"#, r#"{"model":"pangu-small","n":1}"#),
        (r#"{ "model" : "a\"b" }"#, r#"{ "model" : "pangu-small" }"#),
        (r#"{"model":null}"#, r#"{"model":"pangu-small"}"#),
        (r#"{"n":1}"#, r#"{"model":"pangu-small","n":1}"#),
        (r#"{"x":{"model":"other"}}"#, r#"{"model":"pangu-small","x":{"model":"other"}}"#),
    ] {
        assert_eq!(edited(body, Changes { model: Some("pangu-small"), ..Changes::default() }), expected);
    }
}

#[test]
fn a_bound_is_lowered_or_added_but_never_raised() {
    for (body, expected) in [
        (r#"{}"#, r#"{"max_tokens":50}"#),
        (r#"{"n":1}"#, r#"{"max_tokens":50,"n":1}"#),
        (r#"{"max_tokens": 51 ,"n":1}"#, r#"{"max_tokens": 50 ,"n":1}"#),
        (r#"{"max_tokens":9}"#, r#"{"max_tokens":9}"#),
        (r#"{"max_completion_tokens":9000}"#, r#"{"max_completion_tokens":50}"#),
        (r#"{"max_completion_tokens":null}"#, r#"{"max_completion_tokens":50}"#),
        (
            r#"{"max_tokens":null,"max_completion_tokens":9}"#,
            r#"{"max_tokens":null,"max_completion_tokens":9}"#,
        ),
        (
            r#"{"max_tokens":10,"max_completion_tokens":90}"#,
            r#"{"max_tokens":10,"max_completion_tokens":50}"#,
        ),
        (r#"{"input":"a"}"#, r#"{"max_output_tokens":50,"input":"a"}"#),
        (r#"{"input":"a","max_tokens":9}"#, r#"{"max_output_tokens":50,"input":"a","max_tokens":9}"#),
        (r#"{"input":"a","max_output_tokens":null}"#, r#"{"input":"a","max_output_tokens":50}"#),
        (r#"{"input":"a","max_output_tokens":51}"#, r#"{"input":"a","max_output_tokens":50}"#),
        (r#"{"input":"a","max_output_tokens":49}"#, r#"{"input":"a","max_output_tokens":49}"#),
        (
            r#"{"messages":[],"max_output_tokens":9}"#,
            r#"{"max_tokens":50,"messages":[],"max_output_tokens":9}"#,
        ),
        (
            r#"{"input":"a","messages":[]}"#,
            r#"{"max_tokens":50,"max_output_tokens":50,"input":"a","messages":[]}"#,
        ),
        (
            r#"{"input":"a","max_output_tokens":9,"messages":[],"max_completion_tokens":99}"#,
            r#"{"input":"a","max_output_tokens":9,"messages":[],"max_completion_tokens":50}"#,
        ),
    ] {
        assert_eq!(edited(body, at_most(50)), expected);
    }
}

#[test]
fn an_unchanged_body_is_the_very_same_bytes() {
    let body = Bytes::from_static(br#"{"stream_options":{"include_usage":true},"max_tokens":5}"#);
    let asked = Asked::read(Api::OpenAi, &body).unwrap();
    let same =
        edit(&body, &asked, Changes { include_usage: true, max_tokens: Some(5), ..Changes::default() });
    assert_eq!((same.as_ptr(), same.len()), (body.as_ptr(), body.len()));
}

#[test]
fn what_an_unknown_api_means_otherwise_is_not_edited_and_all_else_is() {
    let long = format!(r#"{{"model":"{}","max_tokens":9}}"#, "m".repeat(129));
    let changes = Changes { include_usage: true, max_tokens: Some(5), model: Some("s") };
    for (body, expected) in [
        (
            r#"{"max_tokens":"few"}"#,
            r#"{"stream_options":{"include_usage":true},"model":"s","max_tokens":"few"}"#,
        ),
        (
            r#"{"max_new_tokens":-1,"max_tokens":9}"#,
            r#"{"stream_options":{"include_usage":true},"model":"s","max_new_tokens":-1,"max_tokens":5}"#,
        ),
        (r#"{"stream_options":[1],"n":"1"}"#, r#"{"model":"s","max_tokens":5,"stream_options":[1],"n":"1"}"#),
        (
            r#"{"stream_options":{"include_usage":"x"},"stream":1}"#,
            r#"{"model":"s","max_tokens":5,"stream_options":{"include_usage":"x"},"stream":1}"#,
        ),
        (
            r#"{"model":["m"],"max_tokens":9}"#,
            r#"{"stream_options":{"include_usage":true},"model":["m"],"max_tokens":5}"#,
        ),
        (
            &long,
            &long
                .replace('9', "5")
                .replace(r#"{"model"#, r#"{"stream_options":{"include_usage":true},"model"#),
        ),
    ] {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let asked = Asked::read(Api::Unknown, &body).unwrap();
        assert_eq!(String::from_utf8_lossy(&edit(&body, &asked, changes)), expected);
    }
}

fn body() -> impl Strategy<Value = String> {
    let bound = || prop_oneof![Just(Value::Null), (0_u64..100).prop_map(Value::from)];
    let flag = prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from)];
    let options = prop_oneof![
        Just(Value::Null),
        Just(json!({})),
        Just(json!({"x": [1]})),
        flag.clone().prop_map(|flag| json!({"include_usage": flag})),
        flag.prop_map(|flag| json!({"a": "}", "include_usage": flag})),
    ];
    let members = (
        prop::option::of(options),
        prop::option::of(bound()),
        prop::option::of(bound()),
        prop::option::of(".{0,9}"),
        any::<bool>(),
    );
    members.prop_map(|(options, max_tokens, max_completion_tokens, text, pretty)| {
        let mut body = Map::new();
        let members = [
            ("stream_options", options),
            ("max_tokens", max_tokens),
            ("max_completion_tokens", max_completion_tokens),
            ("messages", text.map(|text| json!([{"content": text}]))),
        ];
        body.extend(members.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
        let body = Value::from(body);
        if pretty { serde_json::to_string_pretty(&body).unwrap() } else { body.to_string() }
    })
}

/// The same changes, on the parsed body.
fn changed(mut body: Value, changes: Changes) -> Value {
    if changes.include_usage {
        if !body["stream_options"].is_object() {
            body["stream_options"] = json!({});
        }
        body["stream_options"]["include_usage"] = json!(true);
    }
    if let Some(most) = changes.max_tokens {
        let keys = ["max_tokens", "max_completion_tokens"];
        let bounded = keys.iter().any(|key| body.get(key).is_some_and(Value::is_number));
        let mut found = false;
        for key in keys {
            if let Some(value) = body.get_mut(key) {
                found = true;
                if value.as_u64().map_or(!bounded, |value| value > most) {
                    *value = json!(most);
                }
            }
        }
        if !found {
            body["max_tokens"] = json!(most);
        }
    }
    body
}

proptest! {
    #[test]
    fn an_edit_is_exactly_the_changes_and_a_second_one_changes_nothing(
        body in body(), include_usage in any::<bool>(), max_tokens in prop::option::of(0_u64..100),
    ) {
        let changes = Changes { include_usage, max_tokens, model: None };
        let once = edited(&body, changes);
        let parsed: Value = serde_json::from_str(&once).unwrap();
        prop_assert_eq!(&parsed, &changed(serde_json::from_str(&body).unwrap(), changes), "{} -> {}", body, once);
        prop_assert_eq!(&edited(&once, changes), &once);
        let asked = Asked::read(Api::OpenAi, once.as_bytes()).unwrap();
        prop_assert!(max_tokens.is_none_or(|most| asked.max_tokens.is_some_and(|now| now <= most)));
        prop_assert!(asked.include_usage || !include_usage);
    }
}
