//! What an answer tells of its cost, in every shape.

use super::{pass, text};
use crate::usage::{BadPath, CustomPaths, Framing, Holding, Reader, Seen, Shape, Text};
use bytes::Bytes;
use proptest::prelude::*;
use std::sync::Arc;

fn json(shape: Shape, body: &str) -> Seen {
    pass(shape, Framing::Json, Holding::default(), [body.as_bytes()]).1
}

fn events(shape: Shape, stream: &str) -> Seen {
    pass(shape, Framing::Sse, Holding::default(), [stream.as_bytes()]).1
}

fn tokens(seen: Seen) -> (Option<u64>, Option<u64>) {
    (seen.prompt, seen.completion)
}

#[test]
fn a_whole_answer_tells_its_usage_and_its_text() {
    let seen = json(
        Shape::open_ai(),
        r#"{"id":"c-1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant",
        "content":"你好!","reasoning_content":"hm","tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{}"}}]},
        "finish_reason":"stop"}],"usage":{"prompt_tokens":12,"total_tokens":19,"completion_tokens":7,
        "completion_tokens_details":{"reasoning_tokens":5}}}"#,
    );
    assert_eq!(tokens(seen), (Some(12), Some(7)), "reasoning is part of the completion");
    assert_eq!(seen.text, text(1 + 2 + 1 + 2, 6));
}

#[test]
fn an_embedding_tells_its_prompt_only() {
    let seen = json(
        Shape::open_ai(),
        r#"{"data":[{"embedding":[0.5,-1]}],"usage":{"prompt_tokens":8,"total_tokens":8}}"#,
    );
    assert_eq!(tokens(seen), (Some(8), Some(0)));
}

#[test]
fn an_answer_of_the_responses_api_tells_its_usage_and_its_text() {
    let output = r#"[{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"hm"}],"encrypted_content":"AAAA"},
        {"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[{"type":"output_text","text":"你好!","annotations":[]}]},
        {"type":"function_call","call_id":"call_1","name":"f","arguments":"{}"}]"#;
    let usage = r#"{"input_tokens":12,"input_tokens_details":{"cached_tokens":4},"output_tokens":7,
        "output_tokens_details":{"reasoning_tokens":5},"total_tokens":19}"#;
    let answer = |usage: &str| {
        format!(
            r#"{{"id":"resp_1","object":"response","status":"completed","output":{output},"usage":{usage}}}"#
        )
    };
    let told = json(Shape::open_ai(), &answer(usage));
    assert_eq!((tokens(told), told.text), ((Some(12), Some(7)), text(2 + 1 + 1 + 2, 6)));
    let untold = json(Shape::open_ai(), &answer("null"));
    assert_eq!((tokens(untold), untold.text, untold.unread), ((None, None), text(6, 6), false));

    let event = |kind: &str, more: &str| format!("event: {kind}\ndata: {{\"type\":\"{kind}\",{more}}}\n\n");
    let one_line = |json: &str| json.replace('\n', " ");
    let begun = event(
        "response.created",
        r#""response":{"id":"resp_1","instructions":"be brief","output":[],"usage":null}"#,
    );
    let delta = event("response.output_text.delta", r#""delta":"天 ok","logprobs":[]"#);
    let repeated = event("response.output_text.done", r#""text":"天 ok""#);
    let last = |usage| {
        event(
            "response.completed",
            &format!(r#""response":{{"output":{},"usage":{}}}"#, one_line(output), one_line(usage)),
        )
    };
    let seen = events(Shape::open_ai(), &begun);
    assert_eq!((seen.text, seen.unread, seen.done), (text(0, 0), false, false));
    for (stream, expected, of_text, done) in [
        (format!("{begun}{delta}{repeated}{}", last(usage)), (Some(12), Some(7)), text(3, 3), true),
        (format!("{begun}{delta}{delta}"), (None, None), text(6, 6), false),
        (format!("{begun}{}", last("null")), (None, None), text(6, 6), false),
    ] {
        for size in [1, 7, stream.len()] {
            let (sent, seen) =
                pass(Shape::open_ai(), Framing::Sse, Holding::default(), stream.as_bytes().chunks(size));
            assert_eq!((tokens(seen), seen.text, seen.done), (expected, of_text, done), "{stream}");
            assert!(!seen.unread && !seen.exceeds_told && sent == stream.as_bytes(), "{stream}");
        }
    }
}

#[test]
fn a_count_that_is_told_by_two_names_is_the_greater() {
    for usage in [
        r#"{"prompt_tokens":12,"completion_tokens":7,"total_tokens":19,"input_tokens":0,"output_tokens":0}"#,
        r#"{"input_tokens":0,"output_tokens":0,"prompt_tokens":12,"completion_tokens":7}"#,
    ] {
        let told = tokens(json(Shape::open_ai(), &format!(r#"{{"usage":{usage}}}"#)));
        assert_eq!(told, (Some(12), Some(7)), "{usage}");
    }
}

#[test]
fn what_only_a_total_tells_is_derived_from_it() {
    for (usage, expected) in [
        (r#"{"prompt_tokens":8,"total_tokens":11}"#, (Some(8), Some(3))),
        (r#"{"total_tokens":11,"completion_tokens":3}"#, (Some(8), Some(3))),
        (r#"{"total_tokens":11}"#, (Some(11), Some(0))),
        (r#"{"prompt_tokens":8,"total_tokens":7}"#, (Some(8), None)),
        (r#"{"prompt_tokens":8}"#, (Some(8), None)),
        (r#"{"prompt_tokens":8,"completion_tokens":2,"total_tokens":99}"#, (Some(8), Some(2))),
        ("null", (None, None)),
        ("{}", (None, None)),
    ] {
        assert_eq!(tokens(json(Shape::open_ai(), &format!(r#"{{"usage":{usage}}}"#))), expected, "{usage}");
    }
}

/// Each of the two in an event of its own.
#[test]
fn what_a_total_leaves_is_told_apart_from_a_prompt_told_before() {
    let seen = events(
        Shape::open_ai(),
        "data: {\"usage\":{\"prompt_tokens\":8}}\n\ndata: {\"usage\":{\"total_tokens\":11}}\n\n",
    );
    assert_eq!(tokens(seen), (Some(8), Some(3)));
}

#[test]
fn absurd_counts_are_not_believed() {
    let long = "9".repeat(10_000);
    for absurd in [
        "-1",
        "1.5",
        "1e3",
        "4294967296",
        "9007199254740993",
        "18446744073709551615",
        &long,
        "\"7\"",
        "null",
        "[]",
    ] {
        let usage = format!(r#"{{"usage":{{"prompt_tokens":{absurd},"completion_tokens":3}}}}"#);
        assert_eq!(tokens(json(Shape::open_ai(), &usage)), (None, Some(3)), "{absurd}");
    }
    let most = r#"{"usage":{"prompt_tokens":4294967295,"completion_tokens":0}}"#;
    assert_eq!(tokens(json(Shape::open_ai(), most)), (Some(4_294_967_295), Some(0)));
}

#[test]
fn a_count_with_a_fraction_of_zeros_is_one() {
    let custom = Shape::custom(CustomPaths { prompt: Some("in"), completion: Some("out"), total: None });
    assert_eq!(
        tokens(json(custom.unwrap(), r#"{"in":11.0,"out":3.00,"text":"river"}"#)),
        (Some(11), Some(3))
    );
    let usage = |count: &str| format!(r#"{{"usage":{{"prompt_tokens":{count},"completion_tokens":3}}}}"#);
    assert_eq!(tokens(json(Shape::open_ai(), &usage("8.0"))), (Some(8), Some(3)));
    for absurd in ["8.01", "-8.0", "8.0e1", "4294967296.0"] {
        assert_eq!(tokens(json(Shape::open_ai(), &usage(absurd))), (None, Some(3)), "{absurd}");
    }
}

#[test]
fn a_text_that_was_told_as_nothing_exceeds_what_was_told() {
    let answer = |text: &str, usage: &str| {
        let body = format!(r#"{{"choices":[{{"message":{{"content":"{text}"}}}}],"usage":{usage}}}"#);
        json(Shape::open_ai(), &body).exceeds_told
    };
    for zeros in [
        r#"{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#,
        r#"{"prompt_tokens":8,"completion_tokens":0,"total_tokens":8}"#,
        r#"{"total_tokens":0}"#,
    ] {
        assert!(answer("today", zeros), "{zeros}");
        assert!(!answer("", zeros), "nothing it is: {zeros}");
    }
    for told in [
        "null",
        "{}",
        r#"{"prompt_tokens":0,"completion_tokens":1}"#,
        r#"{"total_tokens":8}"#,
        r#"{"prompt_tokens":8}"#,
    ] {
        assert!(!answer("today", told), "{told}");
    }
}

#[test]
fn text_after_usage_was_told_last_exceeds_it() {
    let text = r#"{"choices":[{"delta":{"content":"today"}}]}"#;
    let told = |completion: u32| {
        format!(
            r#"{{"usage":{{"prompt_tokens":5,"completion_tokens":{completion}}},"choices":[{{"delta":{{"content":"a"}}}}]}}"#
        )
    };
    let silent = r#"{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":null}"#;
    for (stream, exceeds) in [
        (vec![told(1)], false),
        (vec![text.into(), told(2)], false),
        (vec![told(1), text.into()], true),
        (vec![told(1), text.into(), silent.into()], true),
        (vec![told(1), text.into(), told(3), silent.into()], false),
        (vec![told(0), told(1)], false),
        (vec![text.into()], false),
    ] {
        let stream: String = stream.iter().map(|event: &String| format!("data: {event}\n\n")).collect();
        assert_eq!(events(Shape::open_ai(), &stream).exceeds_told, exceeds, "{stream}");
    }
}

#[test]
fn a_stream_without_usage_is_counted_by_its_text() {
    let stream = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n\
        data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"今天\"}}]}\n\n\
        data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\" ok\"}}]}\n\n\
        data: [DONE]\n\n";
    let seen = events(Shape::open_ai(), stream);
    assert_eq!(tokens(seen), (None, None));
    assert_eq!((seen.text, seen.events, seen.done), (text(3, 6), 3, true));
    assert_eq!(seen.bytes, stream.len() as u64);
}

#[test]
fn usage_at_the_end_of_a_stream_is_read_past_all_the_nulls() {
    let seen = events(
        Shape::open_ai(),
        "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":null}\n\n\
        data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":1,\"total_tokens\":6}}\n\n\
        data: {\"choices\":[],\"usage\":null}\n\ndata: [DONE]\n\n",
    );
    assert_eq!(tokens(seen), (Some(5), Some(1)));
}

#[test]
fn usage_in_every_event_counts_once_and_the_last_wins() {
    let event = |n: u32| {
        format!(
            "data:{{\"choices\":[{{\"message\":{{\"content\":\"天\"}}}}],\"usage\":{{\"prompt_tokens\":5,\"completion_tokens\":{n},\"total_tokens\":{}}}}}\n\n",
            n + 5
        )
    };
    for shape in [Shape::pangu(), Shape::open_ai()] {
        let mut reader = Reader::new(Arc::new(shape), Framing::Sse, Holding::default());
        for n in 1..=40 {
            reader.feed(Bytes::from(event(n)));
            assert_eq!(tokens(reader.seen()), (Some(5), Some(u64::from(n))), "told while it streams");
        }
        assert_eq!(reader.seen().text, text(0, 120));
    }
}

#[test]
fn usage_in_pangus_event_field_is_read() {
    let stream = "data:{\"choices\":[{\"message\":{\"content\":\"a\"}}]}\n\n\
        event:{\"usage\":{\"completionTokens\":7,\"promptTokens\":3,\"totalTokens\":10}}\n\ndata:[DONE]\n\n";
    for size in [1, 7, stream.len()] {
        let seen = pass(Shape::pangu(), Framing::Sse, Holding::default(), stream.as_bytes().chunks(size)).1;
        assert_eq!(tokens(seen), (Some(3), Some(7)), "chunks of {size}");
        assert_eq!(seen.events, 1);
    }
}

#[test]
fn a_chinese_character_split_over_two_reads_loses_nothing() {
    let stream = "data: {\"choices\":[{\"delta\":{\"content\":\"盘古大模型\"}}]}\n\n";
    let start = stream.find('盘').unwrap();
    for at in start..start + 15 {
        let pieces = [&stream.as_bytes()[..at], &stream.as_bytes()[at..]];
        let (sent, seen) = pass(Shape::open_ai(), Framing::Sse, Holding::default(), pieces);
        assert_eq!((seen.text, seen.events), (text(0, 15), 1), "split at {at}");
        assert_eq!(sent, stream.as_bytes());
    }
}

#[test]
fn other_services_tell_usage_at_paths_of_their_own() {
    let paths = CustomPaths { prompt: Some("meta.in"), completion: Some("results.count"), total: None };
    let shape = || Shape::custom(paths).unwrap();
    let body = r#"{"meta":{"in":4,"x":1},"results":[{"text":"天气","count":9}],"in":1}"#;
    assert_eq!(tokens(json(shape(), body)), (Some(4), Some(9)));
    assert_eq!(json(shape(), body).text, text(0, 6));
    assert_eq!(tokens(json(shape(), r#"{"x":{"meta":{"in":4}}}"#)), (None, None), "there and nowhere else");
    let stream = "data: {\"meta\":{\"in\":4}}\n\ndata: {\"results\":[{\"count\":2}]}\n\ndata: {\"results\":[{\"count\":3}]}\n\n";
    assert_eq!(tokens(events(shape(), stream)), (Some(4), Some(3)), "told apart, in several events");
    let total = CustomPaths { total: Some("tokens"), ..CustomPaths::default() };
    assert_eq!(tokens(json(Shape::custom(total).unwrap(), r#"{"tokens":9}"#)), (Some(9), Some(0)));
    for bad in ["", "a..b", "."] {
        assert_eq!(Shape::custom(CustomPaths { prompt: Some(bad), ..CustomPaths::default() }), Err(BadPath));
    }
}

#[test]
fn what_is_neither_json_nor_events_is_counted_by_bytes() {
    let (sent, seen) = pass(Shape::open_ai(), Framing::Other, Holding::default(), [&b"\x1f\x8b"[..], b"{}"]);
    assert_eq!((&sent[..], seen), (&b"\x1f\x8b{}"[..], Seen { bytes: 4, ..Seen::default() }));
}

#[test]
fn what_is_not_framed_as_its_head_says_is_of_no_form_that_is_known() {
    let chunk = r#"{"choices":[{"delta":{"content":"today"}}]}"#;
    let lines = format!("{chunk}\n{chunk}\n");
    let unread = |framing, body: &str| {
        let all = [1, 7, body.len()].map(|size| {
            pass(Shape::open_ai(), framing, Holding::default(), body.as_bytes().chunks(size)).1.unread
        });
        assert!(all.iter().all(|unread| *unread == all[0]), "{body}");
        all[0]
    };
    for body in [&lines, chunk, "no events\n", "data\nof:something\n"] {
        assert!(unread(Framing::Sse, body), "{body}");
    }
    for body in [": a heartbeat\n\n", "event: ping\n\n", "id: 1\nretry: 5\n\ndata\n\n"] {
        assert!(!unread(Framing::Sse, body), "{body}");
    }
    assert!(!unread(Framing::Sse, &format!("note: well\ndata: {chunk}\n\n")), "its text is known");
    for body in [&lines, &format!("data: {chunk}\n\n"), &chunk.replace("}]", "},]")] {
        assert!(unread(Framing::Json, body), "{body}");
    }
    assert!(!unread(Framing::Json, &chunk[..chunk.len() - 3]), "as far as it came");
}

#[test]
fn a_broken_event_is_forgotten_with_its_end() {
    let seen = events(
        Shape::open_ai(),
        "data: {\"choices\":[{\"delta\":{\"content\":\"ab\\ud83d\n\ndata: nonsense\n\n\
        data: {\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":1}}\n\n",
    );
    assert_eq!((tokens(seen), seen.events), ((Some(5), Some(1)), 3));
}

#[test]
fn half_of_a_usage_is_not_told() {
    let mut reader = Reader::new(Arc::new(Shape::open_ai()), Framing::Sse, Holding::default());
    reader.feed(Bytes::from_static(b"data: {\"usage\":{\"total_tokens\":9,"));
    assert_eq!(tokens(reader.seen()), (None, None), "9 is not the prompt");
    reader.feed(Bytes::from_static(b"\"prompt_tokens\":5}"));
    assert_eq!(tokens(reader.seen()), (Some(5), Some(4)));
}

proptest! {
    #[test]
    fn any_bytes_are_survived_and_passed_on(bytes in prop::collection::vec(any::<u8>(), 0..300), size in 1_usize..40) {
        for framing in [Framing::Sse, Framing::Json, Framing::Other] {
            for shape in [Shape::open_ai(), Shape::pangu(), Shape::custom(CustomPaths::default()).unwrap()] {
                let (sent, seen) = pass(shape, framing, super::STRIP, bytes.chunks(size));
                prop_assert_eq!(&sent, &bytes);
                prop_assert!(seen.text.bytes() <= 3 * seen.bytes);
            }
        }
    }

    #[test]
    fn text_of_an_answer_is_what_others_decode(content in ".{0,40}", reasoning in ".{0,10}", size in 1_usize..60) {
        let body = serde_json::json!({"choices": [{"message": {"role": "assistant", "content": content, "reasoning_content": reasoning}}]});
        let mut expected = Text::plain(content.as_bytes());
        expected.add(Text::plain(reasoning.as_bytes()));
        let body = body.to_string();
        let seen = pass(Shape::open_ai(), Framing::Json, Holding::default(), body.as_bytes().chunks(size)).1;
        prop_assert_eq!(seen.text, expected);
    }
}
