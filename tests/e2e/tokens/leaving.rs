//! Exchanges that do not end as they should: what has passed is charged, what never was is not, and nothing stays held.

use super::*;
use harness::{Conn, Reply, Script};
use std::net::TcpListener;

/// The line of the only request there was.
fn only_line(gateway: &Gateway) -> Value {
    gateway.access_line("the request is logged", |_| true)
}

#[test]
fn a_caller_that_leaves_a_stream_is_charged_for_what_has_passed() {
    for target in [PANGU_CHAT, OPENAI_CHAT] {
        let (mock, gateway) = start_metered(&policy(&[]));
        let request = post(target, &hello_m(r#","stream":true"#));
        let request = request.header("x-mock-tokens", "1000").header("x-mock-token-every-ms", "30");
        let mut conn = Conn::open(gateway.http);
        conn.send(request.to_bytes());
        assert_eq!(conn.head().map(|head| head.status), Some(200));
        let mut got = String::new();
        while events(&got).len() < 12 {
            got += &String::from_utf8_lossy(&conn.chunk().expect("the stream goes on"));
        }
        drop(conn);
        eventually("the upstream's connection is closed", secs(2), || {
            (mock.count("cancelled") == 1 && mock.count("open_connections") == 0).then_some(())
        });

        let line = only_line(&gateway);
        assert_eq!(line["outcome"], "cancelled", "{line}");
        let (cost, sent) = (charged(&gateway), mock.tokens_sent());
        assert_eq!(cost, cost_in(&line), "the levels and the log");
        let (least, most) = match target {
            PANGU_CHAT => (11, sent), // the first event is a role
            _ => (counted(&said(&got)), 3 * sent),
        };
        assert!((least..=most).contains(&cost.completion), "{target}: {least} <= {cost:?} <= {most}");
        // Pangu has told its use of the prompt by then, OpenAI has not.
        assert_eq!(cost.prompt, if target == PANGU_CHAT { 2 } else { 13 });
    }
}

#[test]
fn a_caller_that_leaves_in_words_nobody_knows_is_charged_for_their_bytes() {
    let json = format!("{{\"outcome\":\"{}", "a".repeat(988));
    let heads = ["application/json", "text/event-stream"];
    for (kind, begun) in heads.into_iter().zip([json.clone(), format!("data: {json}")]) {
        let (bytes, whole) = (begun.len(), begun.len() + 1);
        let answer =
            format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {whole}\r\n\r\n{begun}");
        let script = Script::start(move |_| Reply::keep(&answer));
        let gateway = gateway_at(script.address, &policy(&[]));
        let mut conn = Conn::open(gateway.http);
        conn.send(post(OPENAI_CHAT, &hello_m("")).to_bytes());
        assert_eq!(conn.head().map(|head| head.status), Some(200));
        assert_eq!(conn.exactly(bytes).as_deref(), Some(begun.as_bytes()));
        drop(conn);
        assert_eq!(charged(&gateway), Cost::of(13, counted(&begun)), "{kind}");
        assert_eq!(only_line(&gateway)["outcome"], "cancelled");
    }
}

#[test]
fn a_caller_that_leaves_before_the_head_is_charged_for_the_prompt() {
    let (mock, gateway) = start_metered(&policy(&[]));
    let mut conn = Conn::open(gateway.http);
    conn.send(post(OPENAI_CHAT, &hello_m("")).header("x-mock-latency-ms", "30000").to_bytes());
    eventually("it is upstream, and holds something", secs(5), || {
        (mock.requests() == 1 && number(&level(&gateway, "acme", "completion"), "held") == 256).then_some(())
    });
    drop(conn);
    eventually("the upstream's connection is closed", secs(2), || {
        (mock.count("cancelled") == 1 && mock.count("open_connections") == 0).then_some(())
    });
    assert_eq!(charged(&gateway), Cost::of(13, 0));
    assert_eq!(cost_in(&only_line(&gateway)), Cost::of(13, 0));
}

#[test]
fn a_stream_that_breaks_off_is_charged_for_what_has_passed() {
    for (target, told) in [(PANGU_CHAT, true), (OPENAI_CHAT, false)] {
        let (mock, gateway) = start_metered(&policy(&[]));
        let request = post(target, &hello_m(r#","stream":true"#)).header("x-mock-tokens", "20");
        let answer = request.header("x-mock-fault", "truncate").send(gateway.http);
        assert!(answer.status == 200 && !answer.whole, "{answer:?}");
        let (cost, sent) = (charged(&gateway), mock.tokens_sent());
        assert!(sent > 5, "{sent}");
        let expected = if told { Cost::of(2, sent) } else { Cost::of(13, counted(&said(&answer.text()))) };
        assert_eq!(cost, expected, "{target}");
    }
}

#[test]
fn what_a_model_refuses_costs_nothing() {
    let (mock, gateway) = start_metered(&policy(&[]));
    for (i, status) in [500, 503, 429, 400].into_iter().enumerate() {
        for (target, more) in [(OPENAI_CHAT, ""), (OPENAI_CHAT, r#","stream":true"#), (PANGU_CHAT, "")] {
            let request = post(target, &hello_m(more)).header("x-mock-fault", format!("status:{status}"));
            let answer = request.send(gateway.http);
            assert_eq!(answer.status, status);
            assert_eq!(logged(&gateway, &answer).0, Cost::default(), "{status} on {target}");
        }
        assert_eq!((mock.requests(), charged(&gateway)), (3 * (i as u64 + 1), Cost::default()));
    }
    assert_eq!(metered(&gateway, "yes"), Cost::default());
}

#[test]
fn an_error_that_tells_its_use_costs_that() {
    let told = r#"{"error":{"message":"filtered"},"usage":{"prompt_tokens":40,"completion_tokens":2}}"#;
    // Its prompt is told, and what it has of an answer is not for nothing.
    let begun = r#"{"choices":[{"message":{"content":"The river runs"}}],"usage":{"prompt_tokens":40,"completion_tokens":0}}"#;
    for (body, cost) in [(told, Cost::of(40, 2)), (begun, Cost::of(40, counted("The river runs")))] {
        let script = Script::start(move |_| {
            let head = "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json";
            Reply::keep(format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()))
        });
        let gateway = gateway_at(script.address, &policy(&[]));
        let answer = post(OPENAI_CHAT, &hello_m("")).send(gateway.http);
        assert_eq!((answer.status, answer.text()), (400, body.to_owned()));
        assert_eq!(charged(&gateway), cost, "{body}");
    }
}

#[test]
fn a_request_that_reaches_nobody_costs_nothing() {
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.local_addr().expect("bound")
    };
    let gateway = gateway_at(nobody, &policy(&[]));
    for _ in 0..3 {
        let answer = post(OPENAI_CHAT, &hello_m("")).send(gateway.http);
        assert_eq!(answer.status, 502);
        assert_eq!(logged(&gateway, &answer).0, Cost::default());
    }
    assert_eq!(charged(&gateway), Cost::default());
}

#[test]
fn an_upstream_that_has_gone_away_costs_nothing_more() {
    let script = Script::start(|_| {
        Reply::close("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")
    });
    let gateway = gateway_at(script.address, &policy(&[]));
    assert_eq!(post(OPENAI_CHAT, &hello_m("")).send(gateway.http).status, 200);
    drop(script);
    let before = charged(&gateway);
    let answer = post(OPENAI_CHAT, &hello_m("")).send(gateway.http);
    assert_eq!((answer.status, charged(&gateway)), (502, before), "{}", answer.text());
}

#[test]
fn an_upstream_that_hangs_up_without_an_answer_may_have_read_the_prompt() {
    let (_mock, gateway) = start_metered(&policy(&[]));
    let answer = post(OPENAI_CHAT, &hello_m("")).header("x-mock-fault", "reset-head").send(gateway.http);
    assert_eq!(answer.status, 502);
    assert_eq!(charged(&gateway), Cost::of(13, 0));
}
