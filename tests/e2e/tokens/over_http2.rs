//! What an exchange costs where the backend speaks HTTP/2, whose answers may have trailers.

use super::*;
use harness::Http2Backend;
use harness::http2_backend::Frame;

fn over_http2() -> String {
    let (before, after) = ("backends:", "protocol: h2\n    backends:");
    let policy = policy(&[]);
    assert!(policy.contains(before), "the policy has another pool now");
    policy.replace(before, after)
}

#[test]
fn it_is_charged_as_over_http1() {
    let (_mock, gateway) = start_metered(&over_http2());
    let seven = |more: &str| post(OPENAI_CHAT, &hello_m(more)).header("x-mock-tokens", "7");
    for (number, more) in ["", r#","stream":true"#].into_iter().enumerate() {
        let answer = seven(more).send(gateway.http);
        assert_eq!((answer.status, answer.whole), (200, true), "{}", answer.text());
        assert_eq!(logged(&gateway, &answer).0, Cost::of(2, 7));
        let times = number as u64 + 1;
        assert_eq!(charged(&gateway), Cost::of(2 * times, 7 * times));
    }
}

#[test]
fn trailers_end_an_answer_that_was_told_and_one_that_was_not() {
    let told = r#"data: {"choices":[],"usage":{"prompt_tokens":11,"completion_tokens":5}}"#;
    let backend = Http2Backend::start(move |mut wire, _| {
        let mut answers = [format!("{told}\n\n"), String::new()].into_iter();
        while let (Some(stream), Some(more)) = (wire.request(), answers.next()) {
            let text = r#"data: {"choices":[{"index":0,"delta":{"content":"river"}}]}"#;
            wire.head_of(stream, "text/event-stream");
            wire.say(&Frame::data(stream, format!("{text}\n\n{more}")));
            wire.end(stream, "0");
        }
        wire.message();
    });
    let gateway = gateway_at(backend.address, &over_http2());
    let mut before = Cost::default();
    for cost in [Some(Cost::of(11, 5)), None] {
        let answer = post(OPENAI_CHAT, &hello_m(r#","stream":true"#)).send(gateway.http);
        assert!(answer.status == 200 && answer.whole && answer.text().contains("river"), "{}", answer.text());
        let (logged, line) = logged(&gateway, &answer);
        assert_eq!(line["outcome"], "ok", "{line}");
        assert_eq!(logged, cost.unwrap_or(Cost::of(logged.prompt, counted("river"))));
        let after = charged(&gateway);
        assert_eq!(
            (after.prompt, after.completion),
            (before.prompt + logged.prompt, before.completion + logged.completion)
        );
        before = after;
    }
}
