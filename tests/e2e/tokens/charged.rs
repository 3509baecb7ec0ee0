//! Whatever an API says of its use ends up in the tenant's levels, in the access log and in the metrics; and what
//! says nothing is counted.

use super::*;
use harness::{Reply, Script};

/// Sends requests one after the other and checks that three places agree on what each has cost.
fn check(gateway: &Gateway, told: &str, cases: &[(&str, Request, Cost, &str)]) {
    for (case, request, cost, model) in cases {
        let (levels, metrics) = (charged(gateway), metered(gateway, told));
        let answer = request.send(gateway.http);
        assert_eq!(answer.status, 200, "{case}: {}", answer.text());
        let (log, line) = logged(gateway, &answer);
        assert_eq!((log, line["model"].as_str()), (*cost, Some(*model)), "{case}, in the log");
        let more = |after: Cost, before: Cost| {
            Cost::of(after.prompt - before.prompt, after.completion - before.completion)
        };
        assert_eq!(more(charged(gateway), levels), *cost, "{case}, at the tenant's limits");
        assert_eq!(more(metered(gateway, told), metrics), *cost, "{case}, in the metrics");
    }
}

#[test]
fn what_an_api_tells_is_what_is_charged() {
    let (_mock, gateway) = start_metered(&policy(&[]));
    let seven = |request: Request| request.header("x-mock-tokens", "7");
    let cost = Cost::of(2, 7);
    let asked = r#","stream":true,"stream_options":{"include_usage":true}"#;
    let stream = r#","stream":true"#;
    let text = |more: &str| format!(r#"{{"prompt":"hello, river"{more}}}"#);
    check(
        &gateway,
        "yes",
        &[
            ("OpenAI", seven(post(OPENAI_CHAT, &hello_m(""))), cost, "known"),
            ("OpenAI, stream", seven(post(OPENAI_CHAT, &hello_m(stream))), cost, "known"),
            ("OpenAI, stream with usage", seven(post(OPENAI_CHAT, &hello_m(asked))), cost, "known"),
            (
                "OpenAI, stream in pieces",
                seven(post(OPENAI_CHAT, &hello_m(stream))).header("x-mock-chunk-bytes", "5"),
                cost,
                "known",
            ),
            ("another model", seven(post(OPENAI_CHAT, &hello(r#","model":"new""#))), cost, "other"),
            (
                "embeddings",
                post(EMBEDDINGS, r#"{"model":"m","input":"hello, river"}"#),
                Cost::of(3, 0),
                "known",
            ),
            ("Pangu", seven(post(PANGU_CHAT, &hello(""))), cost, "pangu-large"),
            ("Pangu, stream", seven(post(PANGU_CHAT, &hello(stream))), cost, "pangu-large"),
            ("Pangu, text", seven(post(PANGU_TEXT, &text(""))), Cost::of(3, 7), "pangu-large"),
            ("Pangu, text stream", seven(post(PANGU_TEXT, &text(stream))), Cost::of(3, 7), "pangu-large"),
            (
                "Pangu, bytes one by one",
                seven(post(PANGU_CHAT, &hello(stream))).header("x-mock-chunk-bytes", "1"),
                cost,
                "pangu-large",
            ),
        ],
    );
}

#[test]
fn a_service_tells_it_wherever_its_route_says() {
    let json = |body: &str| {
        format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let answers = [
        json(r#"{"result":"cat","meta":{"cost":{"in":11,"out":3}}}"#),
        stream_of(&[r#"{"part":"ca"}"#, r#"{"part":"t"}"#, r#"{"meta":{"cost":{"in":12,"out":5}}}"#]),
    ];
    let script = Script::start(move |n| Reply::keep(&answers[n]).in_pieces(3));
    let gateway = gateway_at(script.address, &policy(&[]));
    let request = || post(SERVICE, r#"{"picture":"of a cat"}"#);
    check(
        &gateway,
        "yes",
        &[("JSON", request(), Cost::of(11, 3), "other"), ("stream", request(), Cost::of(12, 5), "other")],
    );
}

/// A streamed answer of such events, and `[DONE]`.
fn stream_of(events: &[&str]) -> String {
    let body: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    let body = body + "data: [DONE]\n\n";
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n";
    format!("{head}content-length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn what_nobody_tells_is_counted_wherever_reads_split_it() {
    let text = "The river runs east, 江水东流，日夜不息。";
    let (first, second) = text.split_at(text.find('水').expect("it is there"));
    let stream = stream_of(&[
        r#"{"choices":[{"index":0,"delta":{"role":"assistant"}}]}"#,
        &format!(r#"{{"choices":[{{"index":0,"delta":{{"content":"{first}"}}}}]}}"#),
        &format!(r#"{{"choices":[{{"index":0,"delta":{{"content":"{second}"}}}}]}}"#),
    ]);
    let message = format!(r#"{{"choices":[{{"message":{{"role":"assistant","content":"{text}"}}}}]}}"#);
    let json = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{message}",
        message.len()
    );
    const PIECES: [usize; 5] = [1, 2, 3, 7, usize::MAX];
    let answers = [stream, json];
    let script =
        Script::start(move |n| Reply::keep(&answers[n / PIECES.len()]).in_pieces(PIECES[n % PIECES.len()]));
    let gateway = gateway_at(script.address, &policy(&[]));
    // 9 bytes of text in one message: 0.27 * 9 + 4 + 3, and 30 % for what is not known of the model yet.
    let cost = Cost::of(13, counted(text));
    for more in [r#","stream":true"#, ""] {
        let case = ("counted", post(OPENAI_CHAT, &hello_m(more)), cost, "known");
        check(&gateway, "no", &vec![case; PIECES.len()]);
    }
    assert_eq!(script.seen().len(), 2 * PIECES.len());
}

#[test]
fn what_the_responses_api_tells_is_what_is_charged() {
    let usage = r#""usage":{"input_tokens":50,"output_tokens":460,"total_tokens":510}"#;
    let output =
        r#""output":[{"type":"message","content":[{"type":"output_text","text":"The river runs east."}]}]"#;
    let json = format!(r#"{{"id":"resp_1","object":"response",{output},{usage}}}"#);
    let head = format!("content-type: application/json\r\ncontent-length: {}", json.len());
    let begun = r#"{"type":"response.created","response":{"id":"resp_1","output":[],"usage":null}}"#;
    let delta = r#"{"type":"response.output_text.delta","delta":"The river runs east."}"#;
    let stream = stream_of(&[
        begun,
        delta,
        &format!(r#"{{"type":"response.completed","response":{{{output},{usage}}}}}"#),
    ]);
    let untold = stream_of(&[begun, delta]);
    let answers = [format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{json}"), stream, untold];
    let script = Script::start(move |n| Reply::keep(&answers[n]).in_pieces(7));
    let gateway = gateway_at(script.address, &policy(&[]));
    let request = |more: &str| post(EMBEDDINGS, &format!(r#"{{"model":"m","input":"hello"{more}}}"#));
    let streamed = || request(r#","stream":true"#);
    check(&gateway, "yes", &[("JSON", request(""), Cost::of(50, 460), "known")]);
    check(&gateway, "yes", &[("stream", streamed(), Cost::of(50, 460), "known")]);
    let answer = streamed().send(gateway.http);
    assert_eq!(logged(&gateway, &answer).0.completion, counted("The river runs east."));
}

#[test]
fn text_is_not_for_nothing_because_an_upstream_tells_nothing_of_it() {
    let text = "The river runs east, past mountains and cities.";
    let event =
        |usage: &str| format!(r#"{{"choices":[{{"index":0,"delta":{{"content":"{text}"}}}}]{usage}}}"#);
    let told = |prompt, completion| {
        event(&format!(r#","usage":{{"prompt_tokens":{prompt},"completion_tokens":{completion}}}"#))
    };
    let cases = [
        (vec![told(0, 0)], Cost::of(13, counted(text))),
        (vec![told(5, 0)], Cost::of(5, counted(text))),
        // Told too early, and never again.
        (vec![told(5, 1), event("")], Cost::of(5, counted(&text.repeat(2)))),
        // What was told is more than what can be counted.
        (vec![told(5, 1000), event("")], Cost::of(5, 1000)),
    ];
    let answers: Vec<String> = cases
        .iter()
        .map(|(events, _)| stream_of(&events.iter().map(String::as_str).collect::<Vec<_>>()))
        .collect();
    let script = Script::start(move |n| Reply::keep(&answers[n]));
    let gateway = gateway_at(script.address, &policy(&[]));
    for (_, cost) in &cases {
        let request = post(OPENAI_CHAT, &hello_m(r#","stream":true"#));
        check(&gateway, "no", &[("counted", request, *cost, "known")]);
    }
}

#[test]
fn a_prompt_is_not_for_nothing_because_an_upstream_counts_nothing() {
    let none = r#"{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#;
    let embedding = format!(r#"{{"data":[{{"embedding":[0.5,-1]}}],"usage":{none}}}"#);
    let ranks = r#"{"results":[{"index":0,"relevance_score":0.5}],"usage":{"total_tokens":0}}"#.to_owned();
    let silence = format!(r#"{{"choices":[{{"message":{{"content":""}}}}],"usage":{none}}}"#);
    let failure = format!(r#"{{"error":{{"message":"filtered"}},"usage":{none}}}"#);
    let answer = |status: &str, body: &str| {
        let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json");
        format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    };
    let answers = [
        answer("200 OK", &embedding),
        answer("200 OK", &ranks),
        answer("200 OK", &silence),
        answer("400 Bad Request", &failure),
    ];
    let script = Script::start(move |n| Reply::keep(&answers[n]));
    let gateway = gateway_at(script.address, &policy(&[]));
    for _ in 0..3 {
        check(&gateway, "no", &[("nothing", post(OPENAI_CHAT, &hello_m("")), Cost::of(13, 0), "known")]);
    }
    let refused = post(OPENAI_CHAT, &hello_m("")).send(gateway.http);
    assert_eq!((refused.status, logged(&gateway, &refused).0), (400, Cost::of(0, 0)));
}

#[test]
fn what_is_no_text_is_charged_by_its_bytes() {
    let answer = |head: &str| {
        format!("HTTP/1.1 200 OK\r\n{head}\r\ncontent-length: 1000\r\n\r\n{}", "\u{7f}".repeat(1000))
    };
    let answers = [
        answer("content-type: application/octet-stream"),
        answer("content-type: text/plain"),
        answer("content-type: application/json\r\ncontent-encoding: gzip"),
        answer("content-type: text/event-stream\r\ncontent-encoding: gzip"),
        answer("x-no-content-type: at-all"),
    ];
    let kinds = answers.len();
    let script = Script::start(move |n| Reply::keep(&answers[n]));
    let gateway = gateway_at(script.address, &policy(&[]));
    for _ in 0..kinds {
        check(&gateway, "no", &[("by bytes", post(OPENAI_CHAT, &hello_m("")), Cost::of(13, 270), "known")]);
    }
}

#[test]
fn an_answer_in_words_of_its_own_is_charged_by_its_bytes() {
    let json = r#"{"outcome":"cat","scores":[0.9,0.05,0.05]}"#;
    let head = format!("content-type: application/json\r\ncontent-length: {}", json.len());
    let stream = stream_of(&[r#"{"outcome":"ca"}"#, r#"{"outcome":"t"}"#]);
    let elsewhere = stream_of(&[r#"{"choices":[{"content":"cat"}]}"#, r#"{"choices":[],"outcome":"cat"}"#]);
    let bytes = |stream: &str| stream.split_once("\r\n\r\n").map_or(0, |(_, body)| body.len());
    let (of_stream, of_elsewhere) = (bytes(&stream), bytes(&elsewhere));
    let answers = [format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{json}"), stream, elsewhere];
    let script = Script::start(move |n| Reply::keep(&answers[n]).in_pieces(7));
    let gateway = gateway_at(script.address, &policy(&[]));
    let charged = |bytes: usize| Cost::of(13, counted(&"x".repeat(bytes)));
    let cases = [("JSON", json.len()), ("stream", of_stream), ("choices without messages", of_elsewhere)];
    for (case, cost) in cases.map(|(case, bytes)| (case, charged(bytes))) {
        check(&gateway, "no", &[(case, post(OPENAI_CHAT, &hello_m("")), cost, "known")]);
    }
}

#[test]
fn what_is_not_framed_as_its_head_says_is_charged_by_its_bytes() {
    let line = r#"{"choices":[{"index":0,"delta":{"content":"The river runs east."}}]}"#;
    let lines = format!("{line}\n{line}\n{line}\n");
    let bytes = Cost::of(13, counted(&lines));
    let answer = |kind: &str| {
        format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{lines}", lines.len())
    };
    let answers = ["text/event-stream", "application/json", "application/x-ndjson"].map(answer);
    let script = Script::start(move |n| Reply::keep(&answers[n]).in_pieces(7));
    let gateway = gateway_at(script.address, &policy(&[]));
    for _ in 0..3 {
        check(&gateway, "no", &[("lines", post(OPENAI_CHAT, &hello_m("")), bytes, "known")]);
    }
}

#[test]
fn an_upstream_is_asked_for_answers_that_can_be_read() {
    let (mock, gateway) = start_metered(&policy(&[]));
    let request = post(OPENAI_CHAT, &hello_m(""))
        .header("accept-encoding", "gzip, br")
        .header("Accept-Encoding", "zstd");
    assert_eq!(request.send(gateway.http).status, 200);
    assert_eq!(mock.last(1)[0].values("accept-encoding"), ["identity"]);
}

#[test]
fn a_form_in_parts_is_charged_by_its_bytes() {
    let (_mock, gateway) = start_metered(&policy(&[]));
    let part = "--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n";
    let body = format!("{part}{:<1$}\r\n--x--\r\n", "sound", 1000 - part.len() - 9);
    let answer = post(ECHO, &body).send(gateway.http);
    assert_eq!((answer.status, answer.text()), (200, body));
    // 0.27 * 1000 + 4 + 3 and 30 %, as for any prompt that nobody has counted.
    assert_eq!(logged(&gateway, &answer).0, Cost::of(361, 270));
}

/// A cheaper model's name in the body is no way around its price and its limits.
#[test]
fn a_route_that_names_its_model_itself_is_charged_for_that_one() {
    let chat = "match: {path: \"/v1/chat/completions\", methods: [POST]}\n";
    for (from, model) in [("body", "known"), ("route", "pangu-large")] {
        let named = format!("{chat}    model: pangu-large\n    model_from: {from}\n");
        let (_mock, gateway) = start_metered(&policy(&[]).replace(chat, &named));
        let request = post(OPENAI_CHAT, &hello_m("")).header("x-mock-tokens", "7");
        check(&gateway, "yes", &[("its name is in the body", request, Cost::of(2, 7), model)]);
        let told = gateway.admin("/explain?tenant=acme&route=openai-chat&model=m").json();
        assert_eq!(told["model"], model, "{told}");
    }
}

#[test]
fn what_is_expected_of_an_answer_is_what_one_choice_of_those_before_took() {
    const ENOUGH: usize = 60;
    let body =
        r#"{"choices":[{"message":{"content":"a"}}],"usage":{"prompt_tokens":8,"completion_tokens":160}}"#;
    let script = Script::start(move |_| {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: Identity";
        Reply::keep(format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()))
    });
    let gateway = gateway_at(script.address, &policy(&[]));
    for _ in 0..ENOUGH {
        post(OPENAI_CHAT, &hello_m(r#","n":4"#)).send(gateway.http);
    }
    assert_eq!(charged(&gateway), Cost::of(8 * ENOUGH as u64, 160 * ENOUGH as u64), "no coding hides it");
    let told = gateway.admin("/explain?tenant=acme&route=openai-chat&model=m").json();
    assert_eq!(told["estimate"]["completion"], 40, "{told}");
}

#[test]
fn an_upstream_that_says_that_it_answers_nothing_is_expected_to_answer_nothing() {
    const ENOUGH: usize = 60;
    let usage = r#""usage":{"prompt_tokens":8,"total_tokens":8}"#;
    let embedding = format!(r#"{{"data":[{{"embedding":[0.5,-1]}}],{usage}}}"#);
    let failure = format!(r#"{{"error":{{"message":"filtered"}},{usage}}}"#);
    for (status, body, expected) in [("200 OK", embedding, 16), ("400 Bad Request", failure, 256)] {
        let script = Script::start(move |_| {
            let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json");
            Reply::keep(format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()))
        });
        let gateway = gateway_at(script.address, &policy(&[]));
        for _ in 0..ENOUGH {
            post(EMBEDDINGS, r#"{"model":"m","input":"hello"}"#).send(gateway.http);
        }
        assert_eq!(charged(&gateway), Cost::of(8 * ENOUGH as u64, 0));
        let told = gateway.admin("/explain?tenant=acme&route=openai-embeddings&model=m").json();
        assert_eq!(told["estimate"]["completion"], expected, "{status}: {told}");
    }
}
