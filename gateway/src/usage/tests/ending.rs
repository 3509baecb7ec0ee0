//! What is said when a stream is cut reads well in an SDK.

use super::{STRIP, WHOLE};
use crate::usage::{CustomPaths, Framing, Holding, Reader, Shape, Tokens};
use bytes::Bytes;
use serde_json::{Value, json};
use std::sync::Arc;

/// As the openai package decodes a stream: lines, fields, an event at an empty line, JSON until `[DONE]`.
fn sdk(stream: &[u8]) -> Result<(Vec<Value>, bool), String> {
    let (mut events, mut data) = (Vec::new(), Vec::new());
    for line in std::str::from_utf8(stream).map_err(|error| error.to_string())?.lines() {
        if let Some(value) = line.strip_prefix("data:") {
            data.push(value.strip_prefix(' ').unwrap_or(value));
        } else if line.is_empty() && !data.is_empty() {
            let event = std::mem::take(&mut data).join("\n");
            if event.starts_with("[DONE]") {
                return Ok((events, true));
            }
            events.push(serde_json::from_str(&event).map_err(|error| format!("{error}: {event}"))?);
        }
    }
    Ok((events, false))
}

const COST: Tokens = Tokens { prompt: 4, completion: 9 };

/// Feeds these chunks and cuts; its usage was not asked for.
fn cut(shape: Shape, holding: Holding, chunks: &[&str]) -> Vec<u8> {
    cut_asked(shape, holding, chunks, false)
}

fn cut_asked(shape: Shape, holding: Holding, chunks: &[&str], asked: bool) -> Vec<u8> {
    let mut reader = Reader::new(Arc::new(shape), Framing::Sse, holding);
    let mut sent = Vec::new();
    for chunk in chunks {
        sent.extend(reader.feed(Bytes::copy_from_slice(chunk.as_bytes())).into_iter().flatten());
    }
    sent.extend_from_slice(&reader.cut_ending(COST, asked));
    sent
}

#[test]
fn an_open_ai_stream_ends_for_its_length() {
    let chunk = "data: {\"id\":\"chatcmpl-7\",\"object\":\"chat.completion.chunk\",\"created\":1700,\"model\":\"盘古\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n";
    let (events, done) = sdk(&cut(Shape::open_ai(), WHOLE, &[chunk, chunk, &chunk[..50]])).unwrap();
    assert!(done);
    assert_eq!(events.len(), 3, "the half that was held back is not sent");
    let expected = json!({"id": "chatcmpl-7", "object": "chat.completion.chunk", "created": 1700, "model": "盘古",
        "choices": [{"index": 0, "delta": {}, "logprobs": null, "finish_reason": "length"}]});
    assert_eq!(events[2], expected);
}

#[test]
fn usage_that_was_asked_for_is_told_before_the_end() {
    for (choice, object) in
        [(r#""delta":{"content":"a"}"#, "chat.completion.chunk"), (r#""text":"a""#, "text_completion")]
    {
        let chunk = format!(
            "data: {{\"id\":\"c\",\"created\":3,\"model\":\"m\",\"choices\":[{{\"index\":0,{choice}}}]}}\n\n"
        );
        let (events, done) = sdk(&cut_asked(Shape::open_ai(), WHOLE, &[&chunk], true)).unwrap();
        assert_eq!((events.len(), done), (3, true));
        assert_eq!(events[1]["choices"][0]["finish_reason"], "length");
        let expected = json!({"id": "c", "object": object, "created": 3, "model": "m", "choices": [],
            "usage": {"prompt_tokens": 4, "completion_tokens": 9, "total_tokens": 13}});
        assert_eq!(events[2], expected);
    }
}

#[test]
fn the_names_are_those_of_the_first_event_that_has_them() {
    let chunk = |id: &str, model: &str| {
        format!(
            "data: {{\"id\":\"{id}\",\"model\":\"{model}\",\"choices\":[{{\"index\":0,\"delta\":{{}}}}]}}\n\n"
        )
    };
    let chunks = [chunk("", ""), chunk("c-1", "m"), chunk("c-2", "n")];
    let (events, _) = sdk(&cut(Shape::open_ai(), WHOLE, &chunks.each_ref().map(String::as_str))).unwrap();
    assert_eq!((&events[3]["id"], &events[3]["model"]), (&json!("c-1"), &json!("m")));
}

#[test]
fn every_choice_ends() {
    let chunk = |index| format!("data: {{\"choices\":[{{\"index\":{index},\"text\":\"a\"}}]}}\n\n");
    let (events, done) = sdk(&cut(Shape::open_ai(), WHOLE, &[&chunk(2), &chunk(0)])).unwrap();
    assert!(done);
    let last = &events[2];
    assert_eq!(
        (&last["object"], &last["id"], &last["model"]),
        (&json!("text_completion"), &json!(""), &json!(""))
    );
    let ends: Vec<_> = last["choices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|choice| (&choice["index"], &choice["text"], &choice["finish_reason"]))
        .collect();
    assert_eq!(
        ends,
        [0, 1, 2]
            .map(|index| (json!(index), json!(""), json!("length")))
            .iter()
            .map(|(a, b, c)| (a, b, c))
            .collect::<Vec<_>>()
    );
}

#[test]
fn what_the_upstream_has_said_of_its_end_is_not_said_again() {
    let choice = |index: u8, end: &str| {
        format!("data: {{\"choices\":[{{\"index\":{index},\"delta\":{{}},\"finish_reason\":{end}}}]}}\n\n")
    };
    let usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":8,\"total_tokens\":12}}\n\n";
    let told = |chunks: &[&str]| {
        let sent = cut_asked(Shape::open_ai(), WHOLE, chunks, true);
        let (events, done) = sdk(&sent).unwrap();
        assert!(done);
        let choices = events.iter().flat_map(|event| event["choices"].as_array().unwrap());
        let end =
            |choice: &Value| Some((choice["index"].as_u64()?, choice["finish_reason"].as_str()?.to_owned()));
        let ends: Vec<_> = choices.filter_map(end).filter(|(_, end)| !end.is_empty()).collect();
        let usages: Vec<_> =
            events.iter().filter_map(|event| event["usage"]["completion_tokens"].as_u64()).collect();
        (ends, usages)
    };
    let [stop, length] = ["stop", "length"].map(str::to_owned);
    let (open, vague, ended) = (choice(0, "null"), choice(0, "\"\""), choice(0, "\"stop\""));
    let once = vec![(0, stop.clone())];
    assert_eq!(told(&[&open]), (vec![(0, length.clone())], vec![9]));
    assert_eq!(told(&[&vague]), (vec![(0, length.clone())], vec![9]));
    assert_eq!(told(&[&ended]), (once.clone(), vec![9]));
    assert_eq!(told(&[&ended, usage]), (once, vec![8]));
    let half = &ended[..ended.len() - 1];
    assert_eq!(told(&[half]), (vec![(0, length.clone())], vec![9]), "not sent, as it is no whole event");
    let both = [choice(0, "null"), choice(1, "\"stop\"")];
    assert_eq!(told(&[&both[0], &both[1]]), (vec![(1, stop), (0, length)], vec![9]));
    let pangu =
        "data:{\"choices\":[{\"index\":0,\"message\":{},\"finish_reason\":\"stop\"}],\"usage\":{}}\n\n";
    assert_eq!(cut(Shape::pangu(), WHOLE, &[pangu]), format!("{pangu}data:[DONE]\n\n").as_bytes());
}

#[test]
fn a_pangu_stream_ends_with_its_usage_so_far() {
    let chunk = "data:{\"id\":\"p\",\"created\":3,\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{\"content\":\"a\"}}],\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":9,\"total_tokens\":13}}\n\n";
    let sent = cut(Shape::pangu(), WHOLE, &[chunk]);
    assert!(sent.ends_with(b"\n\ndata:[DONE]\n\n"), "no space after the colon");
    let (events, done) = sdk(&sent).unwrap();
    assert!(done);
    let expected = json!({"id": "p", "object": "chat.completion.chunk", "created": 3, "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": ""}, "logprobs": null, "finish_reason": "length"}],
        "usage": {"prompt_tokens": 4, "completion_tokens": 9, "total_tokens": 13}});
    assert_eq!(events[1], expected);
}

#[test]
fn a_response_ends_as_incomplete() {
    let begun = "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"resp_7\",\"created_at\":1700,\"model\":\"m\",\"output\":[],\"usage\":null}}\n\n";
    let delta = "event: response.output_text.delta\ndata: {\"sequence_number\":4,\"delta\":\"a\"}\n\n";
    let sent = cut(Shape::open_ai(), WHOLE, &[begun, delta, &delta[..60]]);
    assert!(sent.starts_with([begun, delta, "event: response.incomplete\n"].concat().as_bytes()));
    let (events, done) = sdk(&sent).unwrap();
    assert_eq!((events.len(), done), (3, false), "the half that was held back is not sent");
    let last = &events[2];
    assert_eq!((&last["type"], &last["sequence_number"]), (&json!("response.incomplete"), &json!(5)));
    let response = &last["response"];
    assert_eq!(
        [&response["id"], &response["created_at"], &response["model"], &response["status"]],
        [&json!("resp_7"), &json!(1700), &json!("m"), &json!("incomplete")]
    );
    let usage = json!({"input_tokens": 4, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 9,
        "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 13});
    assert_eq!(response["usage"], usage, "unasked, as ever in this API");
    assert_eq!(response["incomplete_details"], json!({"reason": "max_output_tokens"}));
    let completed =
        "data: {\"response\":{\"output\":[],\"usage\":{\"input_tokens\":1,\"output_tokens\":2}}}\n\n";
    assert_eq!(cut(Shape::open_ai(), WHOLE, &[completed]), completed.as_bytes(), "it has its end");
}

#[test]
fn other_streams_are_only_told_that_they_are_done() {
    let shape = Shape::custom(CustomPaths::default()).unwrap();
    assert_eq!(cut(shape, WHOLE, &["data: {\"x\":1}\n\ndata"]), b"data: {\"x\":1}\n\ndata: [DONE]\n\n");
}

#[test]
fn names_that_would_break_the_json_are_left_out() {
    let chunk = format!(
        "data: {{\"id\":\"a\\\"b\\n\",\"model\":\"{}\",\"choices\":[{{\"index\":0}}]}}\n\n",
        "m".repeat(500)
    );
    let (events, _) = sdk(&cut(Shape::open_ai(), WHOLE, &[&chunk])).unwrap();
    assert_eq!((&events[1]["id"], &events[1]["model"]), (&json!(""), &json!("")));
}

#[test]
fn nothing_is_added_where_the_end_is_said_or_cannot_be() {
    assert_eq!(cut(Shape::open_ai(), WHOLE, &["data: [DO", "NE]\n\n"]), b"data: [DONE]\n\n");
    let reader = Reader::new(Arc::new(Shape::open_ai()), Framing::Json, Holding::default());
    assert_eq!(reader.cut_ending(COST, true), "");
}

#[test]
fn a_cut_inside_an_event_ends_it_and_what_follows_is_read() {
    let sent = cut(Shape::open_ai(), STRIP, &["data: {\"choices\":[{\"delta\":{\"con"]);
    let (half, ending) = sent.split_at(sent.windows(2).position(|pair| pair == b"\n\n").unwrap());
    assert!(half.starts_with(b"data: {\"choices\""));
    assert_eq!(sdk(ending).map(|(events, done)| (events.len(), done)), Ok((1, true)));
}
