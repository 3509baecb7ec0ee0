//! How a prompt begins, whatever the body around it.

use super::*;

fn read(api: Api, body: &str, most: usize) -> String {
    let mut text = Vec::new();
    let length = beginning(api, body.as_bytes(), most, |piece| text.extend_from_slice(piece));
    assert_eq!(length, text.len());
    String::from_utf8_lossy(&text).into_owned()
}

const CHAT: &str = r#"{"model":"m","messages":[{"role":"system","content":"Be \u0062rief."},{"role":"user","content":[{"type":"text","text":"Hello"},{"type":"image_url","image_url":{"url":"data:xyz"}}]}]}"#;

#[test]
fn it_is_the_text_of_the_prompt_in_order() {
    assert_eq!(read(Api::OpenAi, CHAT, 1_000), "systemBe brief.usertextHelloimage_url");
    assert_eq!(read(Api::OpenAi, CHAT, 9), "systemBe ");
    assert_eq!(read(Api::OpenAi, r#"{"prompt":"Once","max_tokens":7}"#, 100), "Once");
    assert_eq!(read(Api::Unknown, r#"{"data":{"text":"Once"}}"#, 100), "Once");
}

#[test]
fn what_has_no_prompt_has_no_beginning() {
    for body in ["", "{}", "not json", r#"{"model":"m"}"#, "[[[[", "\u{0}"] {
        assert_eq!(read(Api::OpenAi, body, 100), "", "{body}");
    }
    assert_eq!(read(Api::OpenAi, CHAT, 0), "");
}

/// Steps end anywhere: the text does not depend on where.
#[test]
fn long_prompts_and_late_ones_are_read_all_the_same() {
    for before in [0, 100, 480, 500, 511, 512, 513, 2_000] {
        let words = "Grüße, 你好! ".repeat(200);
        let body = format!(r#"{{"metadata":"{}","messages":[{{"content":"{words}"}}]}}"#, "x".repeat(before));
        assert_eq!(read(Api::OpenAi, &body, 100_000), words, "after {before} bytes");
        assert!(
            words
                .as_bytes()
                .starts_with(read(Api::OpenAi, &body, 64).trim_end_matches('\u{fffd}').as_bytes())
        );
    }
}
