//! Streams in any pieces: the same is seen and sent, and only the usage that nobody asked for is taken out.

use super::{STRIP, WHOLE, pass};
use crate::usage::{Framing, HELD_MAX, Holding, Reader, Seen, Shape, Tokens};
use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::Index;
use std::sync::Arc;

const CONTENT: &str = r#"{"id":"c","choices":[{"index":0,"delta":{"content":"ab天"}}],"usage":null}"#;
const USAGE: &str = r#"{"id":"c","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":7}}"#;

fn sse(holding: Holding, stream: &[u8], at: &[usize]) -> (Vec<u8>, Seen) {
    let mut from = 0;
    let ends = at.iter().copied().chain([stream.len()]);
    let pieces: Vec<&[u8]> = ends.map(|end| &stream[std::mem::replace(&mut from, end)..end]).collect();
    pass(Shape::open_ai(), Framing::Sse, holding, pieces)
}

/// One event, and whether it is to be taken out.
fn event(line: &'static str) -> impl Strategy<Value = (String, bool)> {
    let kept = [
        format!("data: {CONTENT}"),
        format!("data:{CONTENT}"),
        format!("id: 7{line}event: message{line}data: {CONTENT}"),
        format!(": note{line}data: {CONTENT}"),
        r#"data: {"choices":[],"usage":null}"#.to_owned(),
        r#"data: {"choices":[{"delta":{}}],"usage":{"prompt_tokens":5,"completion_tokens":2}}"#.to_owned(),
        r#"data: {"choices":[],"prompt_filter_results":[{}]}"#.to_owned(),
        r#"data: {"usage":{"total_tokens":1}}"#.to_owned(),
        r#"data: {"error":{"message":"overloaded"}}"#.to_owned(),
        "data: {broken".to_owned(),
        "data: [DONE]".to_owned(),
        "data".to_owned(),
        "data:".to_owned(),
        ": heartbeat".to_owned(),
        String::new(),
    ];
    let taken_out = [
        format!("data: {USAGE}"),
        format!("data:{USAGE}"),
        format!("id: 9{line}: note{line}data: {USAGE}"),
        format!(
            "data: {{\"choices\": [ ],{line}data: \"usage\":{{\"prompt_tokens\":5,{line}data:\"total_tokens\":9}}}}"
        ),
    ];
    let all: Vec<_> = kept
        .into_iter()
        .map(|event| (event, false))
        .chain(taken_out.into_iter().map(|event| (event, true)))
        .collect();
    prop::sample::select(all).prop_map(move |(event, taken_out)| (format!("{event}{line}{line}"), taken_out))
}

fn stream() -> impl Strategy<Value = Vec<(String, bool)>> {
    let line = prop::sample::select(vec!["\n", "\r\n", "\r"]);
    line.prop_flat_map(|line| prop::collection::vec(event(line), 0..8))
}

fn joined(events: &[(String, bool)], keep: impl Fn(bool) -> bool) -> Vec<u8> {
    events
        .iter()
        .filter(|(_, taken_out)| keep(*taken_out))
        .map(|(event, _)| event.as_str())
        .collect::<String>()
        .into_bytes()
}

fn sorted<const N: usize>(at: [Index; N], len: usize) -> Vec<usize> {
    let mut at: Vec<usize> = at.iter().map(|at| at.index(len + 1)).collect();
    at.sort_unstable();
    at
}

/// Whole lines, of which those after the last empty one are comments.
fn ends_between_events(sent: &[u8]) -> bool {
    let lines = String::from_utf8_lossy(sent).replace("\r\n", "\n").replace('\r', "\n");
    let begun = lines.rfind("\n\n").map_or(&*lines, |end| &lines[end + 2..]);
    (lines.is_empty() || lines.ends_with('\n'))
        && begun.lines().all(|line| line.is_empty() || line.starts_with(':'))
}

proptest! {
    #![proptest_config(crate::proptests::cases(512))]

    #[test]
    fn splits_make_no_difference(events in stream(), at in any::<[Index; 5]>()) {
        let all = joined(&events, |_| true);
        let kept = joined(&events, |taken_out| !taken_out);
        let at = sorted(at, all.len());
        let bytewise: Vec<usize> = (0..all.len()).collect();
        let seen = sse(Holding::default(), &all, &[]).1;
        for splits in [&[][..], &at, &bytewise] {
            for (holding, expected) in [(Holding::default(), &all), (WHOLE, &all), (STRIP, &kept), (Holding { whole_events: true, ..STRIP }, &kept)] {
                let (sent, seen_so) = sse(holding, &all, splits);
                prop_assert_eq!(String::from_utf8_lossy(&sent), String::from_utf8_lossy(expected), "{:?} {:?}", holding, splits);
                prop_assert_eq!(seen_so, seen);
            }
        }
    }

    #[test]
    fn what_was_sent_of_whole_events_may_be_cut_after_any_chunk(events in stream(), at in any::<[Index; 5]>()) {
        let all = joined(&events, |_| true);
        let mut reader = Reader::new(Arc::new(Shape::open_ai()), Framing::Sse, WHOLE);
        let (mut sent, mut from) = (0, 0);
        for end in sorted(at, all.len()) {
            sent += reader.feed(Bytes::copy_from_slice(&all[from..end])).into_iter().map(|piece| piece.len()).sum::<usize>();
            from = end;
            prop_assert!(ends_between_events(&all[..sent]), "{}", String::from_utf8_lossy(&all[..sent]));
            prop_assert!(!reader.cut_ending(Tokens::default(), true).starts_with(b"\n"));
        }
    }
}

#[test]
fn a_chunk_passes_as_the_very_bytes_that_came() {
    for holding in [Holding::default(), STRIP, WHOLE] {
        let mut reader = Reader::new(Arc::new(Shape::open_ai()), Framing::Sse, holding);
        for _ in 0..3 {
            let chunk = Bytes::from(format!("data: {CONTENT}\n\n"));
            let passed: Vec<Bytes> = reader.feed(chunk.clone()).into_iter().collect();
            assert_eq!(passed.len(), 1);
            assert_eq!((passed[0].as_ptr(), passed[0].len()), (chunk.as_ptr(), chunk.len()));
        }
    }
}

/// WHATWG: one is ignored, at the very beginning.
#[test]
fn a_byte_order_mark_before_the_first_event_hides_nothing() {
    let (mark, event) = ("\u{feff}", format!("data: {USAGE}\n\n"));
    for splits in [&[][..], &[1], &[2], &[3], &[1, 2, 3, 4], &[5]] {
        let marked = [mark, &event].concat();
        let (sent, seen) = sse(WHOLE, marked.as_bytes(), splits);
        assert_eq!(
            (sent, seen.prompt, seen.completion),
            (marked.into_bytes(), Some(5), Some(7)),
            "{splits:?}"
        );
    }
    let late = [&event[..], mark, "data: {\"usage\":{\"completion_tokens\":9}}\n\n"].concat();
    for other in [late, [mark, mark, &event].concat()] {
        assert_ne!(sse(WHOLE, other.as_bytes(), &[]).1.completion, Some(9), "{other}");
        assert!(sse(WHOLE, other.as_bytes(), &[]).1.events < 2, "{other}");
    }
}

#[test]
fn an_event_waits_only_while_it_might_be_the_one() {
    let mut reader = Reader::new(Arc::new(Shape::open_ai()), Framing::Sse, STRIP);
    let mut sent = |piece: &'static str| {
        reader.feed(Bytes::from_static(piece.as_bytes())).into_iter().collect::<Vec<_>>().concat()
    };
    assert_eq!(sent("data: {\"id\":1,\"cho"), b"", "might be");
    assert_eq!(sent("ices\":[{\"delta\""), b"data: {\"id\":1,\"choices\":[{\"delta\"", "has a choice");
    assert_eq!(sent(":{}}]}\n\n"), b":{}}]}\n\n");
    assert_eq!(sent("data: {\"choices\":[],\"usage\":{"), b"", "might be");
    assert_eq!(sent("}}\n\ndata: [DO"), b"data: [DO", "was; and what is no JSON may pass");
    assert_eq!(sent("NE]\n\n"), b"NE]\n\n");
    assert_eq!(sent(": ping\n"), b": ping\n", "a heartbeat does not wait");
}

#[test]
fn the_one_is_taken_out_from_among_others_in_a_chunk() {
    let stream = format!("data: {CONTENT}\n\ndata: {USAGE}\n\ndata: [DONE]\n\n");
    let mut reader = Reader::new(Arc::new(Shape::open_ai()), Framing::Sse, STRIP);
    let passed: Vec<Bytes> = reader.feed(Bytes::from(stream)).into_iter().collect();
    assert_eq!(passed, [format!("data: {CONTENT}\n\n"), "data: [DONE]\n\n".to_owned()]);
    assert_eq!(reader.seen().completion, Some(7));
    let unended = format!("data: {CONTENT}\n\ndata: {USAGE}\n");
    let (sent, seen) = sse(STRIP, unended.as_bytes(), &[]);
    assert_eq!(
        (sent, seen.completion),
        (format!("data: {CONTENT}\n\n").into_bytes(), Some(7)),
        "nor at the end of the stream"
    );
}

#[test]
fn an_event_without_end_passes_as_it_comes() {
    for holding in [STRIP, WHOLE] {
        let mut reader = Reader::new(Arc::new(Shape::open_ai()), Framing::Sse, holding);
        let head = format!("data: {CONTENT}\n\ndata: {{\"x\":\"");
        let (mut fed, mut sent) = (head.clone().into_bytes(), Vec::new());
        sent.extend(reader.feed(Bytes::from(head)).into_iter().flatten());
        while fed.len() < 3 * HELD_MAX {
            let chunk = Bytes::from(vec![b'x'; 1000]);
            fed.extend_from_slice(&chunk);
            sent.extend(reader.feed(chunk).into_iter().flatten());
            assert!(fed.len() - sent.len() <= HELD_MAX);
        }
        assert_eq!(sent, fed);
        assert!(
            reader.cut_ending(Tokens::default(), true).starts_with(b"\n\n"),
            "a cut here is in the middle of an event"
        );
        let end = format!("\",{}\n\ndata: {USAGE}\n\n", &USAGE[1..]);
        sent.extend(reader.feed(Bytes::from(end.clone())).into_iter().flatten());
        fed.extend_from_slice(end.as_bytes());
        let expected = if holding == STRIP { &fed[..fed.len() - USAGE.len() - 8] } else { &fed };
        assert_eq!(sent, expected, "it is not taken out, the one after it is");
    }
}
