//! What is read off a request, and what is refused because it has two readings.

use super::text;
use crate::usage::{Api, Asked, NotRead, Text};
use proptest::prelude::*;

fn open_ai(body: &str) -> Asked {
    Asked::read(Api::OpenAi, body.as_bytes()).unwrap_or_else(|error| panic!("{error}: {body}"))
}

fn refused(api: Api, body: &str) -> NotRead {
    Asked::read(api, body.as_bytes()).expect_err(body)
}

fn prompt(body: &str) -> Text {
    open_ai(body).prompt
}

#[test]
fn a_chat_request_is_read() {
    let body = r#"{"model":"DeepSeek-V3","messages":[{"role":"system","content":"be brief"},{"role":"user","content":"你好"}],
        "stream":true,"stream_options":{"include_usage":true},"max_tokens":256,"n":2,"temperature":0.5}"#;
    let asked = open_ai(body);
    assert_eq!(asked.model(), Some("DeepSeek-V3"));
    assert!(asked.stream && asked.include_usage);
    assert_eq!((asked.max_tokens, asked.completions, asked.messages), (Some(256), 2, 2));
    assert_eq!(asked.prompt, text("systembe briefuser".len() as u64, 6));
}

#[test]
fn what_is_not_there_has_its_default() {
    let asked = open_ai(" {} ");
    assert_eq!(asked.model(), None);
    assert!(!asked.stream && !asked.include_usage);
    assert_eq!((asked.max_tokens, asked.completions, asked.messages), (None, 1, 0));
    assert_eq!(asked.prompt, text(0, 0));
    let nulls =
        r#"{"model":null,"stream":null,"stream_options":null,"max_tokens":null,"n":null,"messages":null}"#;
    let nulls = open_ai(nulls);
    assert_eq!((nulls.model(), nulls.stream, nulls.max_tokens, nulls.completions), (None, false, None, 1));
}

#[test]
fn chinese_counts_alike_escaped_or_not() {
    let plain = prompt(r#"{"messages":[{"content":"今天 weather"}]}"#);
    assert_eq!(plain, text(8, 6));
    assert_eq!(prompt(r#"{"messages":[{"content":"\u4eca\u5929 weather"}]}"#), plain);
}

#[test]
fn parts_count_by_their_text_and_images_by_their_number() {
    let image = "A".repeat(100_000);
    let body = format!(
        r#"{{"messages":[{{"content":[{{"text":"what is"}},{{"image_url":{{"url":"data:{image}"}}}},{{"text":"this"}}]}},
            {{"content":null,"tool_calls":[{{"function":{{"arguments":"{{\"a\":1}}"}}}}]}}]}}"#
    );
    assert_eq!(prompt(&body), text(18, 0));
    assert_eq!((open_ai(&body).messages, open_ai(&body).media), (2, 1));
    let media = |content: &str| {
        let asked = open_ai(&format!(r#"{{"messages":[{{"role":"user","content":[{content}]}}]}}"#));
        (asked.media, asked.prompt_tokens)
    };
    assert_eq!(media(r#"{"type":"text","text":"image_url"}"#), (0, 0), "text that is called so is text");
    assert_eq!(
        media(r#"{"image":["a","b"]},{"video_url":{"url":"c"}},{"input_audio":{"data":"d"}}"#),
        (4, 0)
    );
    assert_eq!(media(r#"{"image_url":null},{"file":{"image":"of the file"}}"#), (1, 0));
    let file = |key: &str| {
        let item = format!(r#"{{"filename":"f","{key}":"{image}","image_url":null}}"#);
        let asked = open_ai(&format!(r#"{{"input":[{{"role":"user","content":[{item}]}}]}}"#));
        (asked.media, asked.prompt)
    };
    for key in ["file_data", "file_url", "file_id"] {
        assert_eq!(file(key), (1, text(5, 0)), "{key}");
    }
    assert_eq!(media(r#"{"file":{"file_data":"A","filename":"b"}}"#), (1, 0), "of chats: one all the same");
    assert_eq!(open_ai(r#"{"documents":[{"text":"a","file_id":"b"}]}"#).media, 0);
    assert_eq!(open_ai(r#"{"image":"no part of the prompt","input":["a",{"image":"b"}]}"#).media, 1);
}

#[test]
fn what_is_kept_upstream_is_no_part_of_the_body() {
    for kept in [r#""previous_response_id":"r""#, r#""conversation":"c""#, r#""prompt":{"id":"t"}"#] {
        assert!(open_ai(&format!(r#"{{"input":"a",{kept}}}"#)).refers, "{kept}");
    }
    for here in [r#""previous_response_id":null"#, r#""conversation":null"#, r#""prompt":"t""#] {
        assert!(!open_ai(&format!(r#"{{"input":"a",{here}}}"#)).refers, "{here}");
    }
}

#[test]
fn what_a_model_is_told_beside_the_messages_counts() {
    assert_eq!(prompt(r#"{"instructions":"be brief","input":"天"}"#), text(8, 3));
    let system = r#"{"system":[{"text":"be"},{"image":"AAAA"}],"messages":[{"content":"ab"}]}"#;
    assert_eq!((prompt(system), open_ai(system).media), (text(4, 0), 1));
}

#[test]
fn tools_count_as_they_stand() {
    assert_eq!(prompt(r#"{"tools":[{"type":"function"}],"functions":["天"]}"#), text(21 + 4, 3));
}

#[test]
fn prompts_of_a_list_multiply_the_answers() {
    let asked = open_ai(r#"{"prompt":["ab","c","d"],"n":2,"best_of":4}"#);
    assert_eq!((asked.completions, asked.messages, asked.prompt), (12, 3, text(4, 0)));
    let one = open_ai(r#"{"prompt":"ab","n":3}"#);
    assert_eq!((one.completions, one.messages), (3, 1));
    let inputs = open_ai(r#"{"input":["ab","c"]}"#);
    assert_eq!((inputs.completions, inputs.messages), (1, 2));
    let absurd = open_ai(r#"{"prompt":["a","b"],"n":18446744073709551615}"#);
    assert_eq!(absurd.completions, u64::MAX);
}

#[test]
fn which_key_bounds_an_answer_goes_by_what_the_body_has_beside_it() {
    for (body, bound) in [
        (r#"{"input":"a","max_output_tokens":9}"#, Some(9)),
        (r#"{"input":["a"],"max_tokens":9}"#, None),
        (r#"{"messages":[],"max_output_tokens":9}"#, None),
        (r#"{"prompt":"a","max_output_tokens":9,"max_tokens":90}"#, Some(90)),
        (r#"{"prompt":[1],"max_output_tokens":9}"#, None),
        (r#"{"prompt":{"id":"a template"},"max_output_tokens":9}"#, Some(9)),
        (r#"{"previous_response_id":"r","max_output_tokens":9}"#, Some(9)),
        (r#"{"conversation":{"id":"c"},"max_output_tokens":9}"#, Some(9)),
        (r#"{"input":"a","prompt":null,"messages":null,"max_output_tokens":9}"#, Some(9)),
        (r#"{"input":null,"messages":[],"max_tokens":9}"#, Some(9)),
        // Whoever takes it: without both there is none.
        (r#"{"input":"a","messages":[],"max_output_tokens":9}"#, None),
        (r#"{"input":"a","messages":[],"max_tokens":9}"#, None),
        (r#"{"input":"a","messages":[],"max_tokens":9,"max_output_tokens":7}"#, Some(9)),
    ] {
        assert_eq!(open_ai(body).max_tokens, bound, "{body}");
    }
    let elsewhere = br#"{"input":"a","max_tokens":9}"#;
    for api in [Api::Pangu, Api::Unknown] {
        assert_eq!(Asked::read(api, elsewhere).unwrap().max_tokens, Some(9), "{api:?}");
    }
    assert!(matches!(
        refused(Api::OpenAi, r#"{"input":"a","max_output_tokens":"9"}"#),
        NotRead::Kind { key: "max_output_tokens", .. }
    ));
}

#[test]
fn token_numbers_in_place_of_text_are_counted() {
    let one = open_ai(r#"{"prompt":[1,2,3]}"#);
    assert_eq!((one.prompt_tokens, one.messages, one.completions), (3, 1, 1));
    let two = open_ai(r#"{"prompt":[[1,2,3],[4]]}"#);
    assert_eq!((two.prompt_tokens, two.messages, two.completions), (4, 2, 2));
}

#[test]
fn the_greatest_bound_counts_under_the_keys_that_the_api_knows() {
    let body = r#"{"max_tokens":5,"max_completion_tokens":9,"max_new_tokens":12}"#;
    let max_tokens = |api| Asked::read(api, body.as_bytes()).unwrap().max_tokens;
    assert_eq!(max_tokens(Api::OpenAi), Some(9));
    assert_eq!(max_tokens(Api::Pangu), Some(5), "Pangu knows no other key: the others bound nothing there");
    assert_eq!(max_tokens(Api::Unknown), Some(12));
}

#[test]
fn only_the_keys_of_the_body_itself_count() {
    let asked = open_ai(
        r#"{"messages":[{"model":"x","stream":true,"n":9,"max_tokens":1}],"extra":{"model":"y","n":8}}"#,
    );
    assert_eq!((asked.model(), asked.stream, asked.completions, asked.max_tokens), (None, false, 1, None));
    let unknown = Asked::read(Api::Unknown, br#"{"req":{"model":"x","n":2,"prompt":["a","b"]}}"#).unwrap();
    assert_eq!((unknown.model(), unknown.completions, unknown.messages), (None, 1, 0));
    assert_eq!(unknown.prompt, text(3, 0));
}

#[test]
fn keys_written_with_escapes_are_the_same_keys() {
    let asked = open_ai(r#"{"m\u006fdel":"a\u0062","\u006e":3}"#);
    assert_eq!((asked.model(), asked.completions), (Some("ab"), 3));
}

#[test]
fn a_key_that_is_there_twice_is_ambiguous() {
    for key in [
        "model",
        "stream",
        "max_tokens",
        "n",
        "best_of",
        "stream_options",
        "messages",
        "prompt",
        "input",
        "tools",
    ] {
        for twice in [
            format!(r#"{{"{key}":null,"x":1,"{key}":null}}"#),
            format!(r#"{{"\u00{:x}{}":null,"{key}":[]}}"#, key.as_bytes()[0], &key[1..]),
        ] {
            for api in [Api::OpenAi, Api::Pangu, Api::Unknown] {
                assert_eq!(refused(api, &twice), NotRead::Ambiguous { key });
            }
        }
    }
    let options = r#"{"stream_options":{"include_usage":false,"include_usage":true}}"#;
    assert_eq!(refused(Api::OpenAi, options), NotRead::Ambiguous { key: "stream_options.include_usage" });
    assert!(Asked::read(Api::OpenAi, br#"{"x":1,"x":2,"messages":[{"content":"a","content":"b"}]}"#).is_ok());
}

#[test]
fn a_key_in_other_letters_is_ambiguous_where_it_means_something() {
    assert_eq!(
        refused(Api::OpenAi, r#"{"max_tokens":5,"Max_Tokens":5000}"#),
        NotRead::Ambiguous { key: "max_tokens" }
    );
    assert_eq!(refused(Api::Pangu, r#"{"N":2}"#), NotRead::Ambiguous { key: "n" });
    for (letters, key) in [
        ("max_to\u{212a}ens", "max_tokens"),
        ("max_token\u{17f}", "max_tokens"),
        ("Max_To\\u212aen\\u017f", "max_tokens"),
        ("\u{17f}tream", "stream"),
    ] {
        let body = format!(r#"{{"{letters}":5000}}"#);
        assert_eq!(refused(Api::OpenAi, &body), NotRead::Ambiguous { key });
        assert!(Asked::read(Api::Unknown, body.as_bytes()).is_ok());
    }
    assert!(Asked::read(Api::Unknown, br#"{"N":2}"#).is_ok());
    assert!(Asked::read(Api::OpenAi, "{\"max_tokenś\":2,\"\u{212a}\":1,\"最大\":1}".as_bytes()).is_ok());
}

#[test]
fn a_key_that_is_no_utf8_is_not_read() {
    for body in [
        b"{\"max\xc1\x9ftokens\":5000}".as_slice(), // an overlong `_`, which some decoders take for one
        b"{\"max_tokens\":5,\"max\xe0\x81\x9ftokens\":5000}",
        b"{\"max_\xfftokens\":5000}", // others leave out what is no letter
        &[b"{\"max_tokens".as_slice(), &[0xff; 60], b"\":5000}"].concat(), // however much that is
    ] {
        for api in [Api::OpenAi, Api::Pangu, Api::Unknown] {
            assert_eq!(Asked::read(api, body), Err(NotRead::NotJson), "{}", body.escape_ascii());
        }
    }
    assert!(Asked::read(Api::OpenAi, "{\"长\":1,\"x\":2}".replace('x', &"长".repeat(40)).as_bytes()).is_ok());
}

#[test]
fn values_that_decoders_take_differently_are_refused_where_they_mean_something() {
    for (body, key) in [
        (r#"{"max_tokens":"9"}"#, "max_tokens"),
        (r#"{"max_tokens":9.0}"#, "max_tokens"),
        (r#"{"max_completion_tokens":1e3}"#, "max_completion_tokens"),
        (r#"{"max_tokens":-1}"#, "max_tokens"),
        (r#"{"n":"2"}"#, "n"),
        (r#"{"n":18446744073709551617}"#, "n"),
        (r#"{"best_of":[3]}"#, "best_of"),
        (r#"{"stream":1}"#, "stream"),
        (r#"{"stream":"true"}"#, "stream"),
        (r#"{"stream_options":[]}"#, "stream_options"),
        (r#"{"stream_options":{"include_usage":1}}"#, "stream_options.include_usage"),
        (r#"{"model":["a"]}"#, "model"),
        (&format!(r#"{{"model":"{}"}}"#, "m".repeat(129)), "model"),
    ] {
        assert!(
            matches!(refused(Api::OpenAi, body), NotRead::Kind { key: found, .. } if found == key),
            "{body}"
        );
        let unknown = Asked::read(Api::Unknown, body.as_bytes()).unwrap();
        assert_eq!((unknown.stream, unknown.max_tokens, unknown.completions), (false, None, 1));
        let bound = key.starts_with("max_").then_some(NotRead::Kind { key, expected: "a whole number" });
        assert_eq!(unknown.odd_bound(), bound, "{body}");
    }
    let longest = "m".repeat(128);
    assert_eq!(open_ai(&format!(r#"{{"model":"{longest}"}}"#)).model(), Some(&*longest));
}

#[test]
fn what_is_not_one_json_object_is_not_read() {
    for body in [
        "",
        " ",
        "{",
        r#"{"model":"x""#,
        r#"{"model":"x"}}"#,
        "{} x",
        "{}{}",
        "{'a':1}",
        r#"{"a":NaN}"#,
        r#"{"a":Infinity}"#,
        "\u{feff}{}",
    ] {
        for api in [Api::OpenAi, Api::Pangu, Api::Unknown] {
            assert_eq!(refused(api, body), NotRead::NotJson, "{body}");
        }
    }
    assert_eq!(Asked::read(Api::OpenAi, b"{\0}\0"), Err(NotRead::NotJson), "UTF-16");
    for body in ["null", "[]", r#"[{"model":"x"}]"#, "1", "\"a\""] {
        for api in [Api::OpenAi, Api::Pangu, Api::Unknown] {
            assert_eq!(refused(api, body), NotRead::NotObject, "{body}");
        }
    }
}

#[test]
fn all_strings_of_unknown_json_count() {
    let asked = Asked::read(
        Api::Unknown,
        r#"{"req":{"text":"天气","k":["ab",1]},"x":"","y":"","messages":["cd"]}"#.as_bytes(),
    )
    .unwrap();
    assert_eq!(asked.prompt, text(4, 6));
}

#[test]
fn refusals_say_what_to_do() {
    assert_eq!(refused(Api::OpenAi, r#"{"n":"2"}"#).to_string(), "`n` must be a whole number");
    assert_eq!(
        refused(Api::OpenAi, r#"{"n":1,"n":2}"#).to_string(),
        "the body has more than one `n`; send it once, in lower case"
    );
}

#[test]
fn hostile_bodies_are_read_or_refused() {
    let deep = format!(r#"{{"messages":{}{},"n":2}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(open_ai(&deep).completions, 2);
    assert_eq!(refused(Api::OpenAi, &"{\"messages\":".repeat(100_000)), NotRead::NotJson);
    let long_key = format!(r#"{{"{}":1,"n":2}}"#, "k".repeat(1 << 20));
    assert_eq!(open_ai(&long_key).completions, 2);
    let digits = format!(r#"{{"n":{}}}"#, "9".repeat(10_000));
    assert!(matches!(refused(Api::OpenAi, &digits), NotRead::Kind { key: "n", .. }));
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        for api in [Api::OpenAi, Api::Pangu, Api::Unknown] {
            let _ = Asked::read(api, &bytes);
        }
    }
}
