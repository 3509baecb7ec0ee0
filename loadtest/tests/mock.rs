//! The mock over real sockets: what callers see, and what it says it saw.

#![allow(clippy::unwrap_used)] // helpers of tests may panic as tests do

mod caller;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use caller::{Caller, get, post, post_with};
use pangu_loadtest::mock::behaviour::{Behaviour, Health};
use pangu_loadtest::mock::count::{Outcome, Stats};
use pangu_loadtest::mock::{Mock, Options};
use pangu_loadtest::sign::sha256_hex;
use serde_json::{Value, json};

const HELLO: &str = r#"{"model":"m","messages":[{"role":"user","content":"hello, 盘古"}],"max_tokens":3}"#;
const HELLO_STREAM: &str = r#"{"model":"m","messages":[{"role":"user","content":"hello"}],"max_tokens":2,"stream":true,"stream_options":{"include_usage":true}}"#;
const PANGU: &str = "/v1/p1/deployments/d1/chat/completions";

fn start() -> Mock {
    Mock::start(&Options::default()).unwrap()
}

/// Waits until the counters satisfy `claim`, and tells how long that took.
fn eventually(mock: &Mock, claim: impl Fn(&Stats) -> bool) -> Duration {
    let start = now();
    loop {
        let stats = mock.stats();
        if claim(&stats) {
            return start.elapsed();
        }
        assert!(start.elapsed() < Duration::from_secs(5), "not within 5 s: {stats:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[allow(clippy::disallowed_methods)] // a test measures from outside
fn now() -> Instant {
    Instant::now()
}

#[test]
fn bytes_of_plain_tcp_come_back_and_each_direction_ends_by_itself() {
    let any = "127.0.0.1:0".parse().unwrap();
    let mock = Mock::start(&Options { tcp: Some(any), ..Options::default() }).unwrap();
    let sent: Vec<u8> = (0..1_000_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let caller = TcpStream::connect(mock.tcp_address().unwrap()).unwrap();
    caller.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut got = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            (&caller).write_all(&sent).unwrap();
            caller.shutdown(Shutdown::Write).unwrap();
        });
        (&caller).read_to_end(&mut got).unwrap();
    });
    assert!(got == sent, "{} bytes came back", got.len());
    eventually(&mock, |stats| (stats.tcp_connections, stats.tcp_bytes) == (1, 1_000_000));
    mock.reset();
    assert_eq!(mock.stats().tcp_bytes, 0);
    assert_eq!(start().tcp_address(), None, "none unless it is asked for");
}

fn parse(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap()
}

/// The events of a stream as JSON, with the fixed end checked and taken off.
fn events(body: &[u8], prefix: &str) -> Vec<Value> {
    let text = String::from_utf8(body.to_vec()).unwrap();
    let text = text.strip_suffix(&format!("{prefix}[DONE]\n\n")).expect("ends in [DONE]");
    text.split_terminator("\n\n").map(|event| parse(event.strip_prefix(prefix).unwrap().as_bytes())).collect()
}

/// Replaces the members that differ from run to run.
fn settled(mut value: Value) -> Value {
    assert!(value["created"].as_u64().unwrap() > 1_700_000_000);
    value["created"] = json!(0);
    value
}

#[test]
fn openai_chat_has_its_shape() {
    let mock = start();
    let answer = post(&mock, "/v1/chat/completions", HELLO);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(
        settled(parse(&answer.body)),
        json!({
            "id": "chatcmpl-0000000000000000",
            "object": "chat.completion",
            "created": 0,
            "model": "m",
            "choices": [{
                "index": 0,
                "message": {"role": "assistant", "content": "The river runs "},
                "logprobs": null,
                "finish_reason": "length",
            }],
            "usage": {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6},
        })
    );
}

#[test]
fn openai_streams_have_deltas_and_a_last_usage_if_asked() {
    let mock = start();
    let answer = post(&mock, "/api/v2/chat/completions", HELLO_STREAM);
    assert_eq!(answer.header("content-type"), Some("text/event-stream; charset=utf-8"));
    let chunk = |choices: Value, usage: Value| {
        json!({
            "id": "chatcmpl-0000000000000000",
            "object": "chat.completion.chunk",
            "created": 0,
            "model": "m",
            "choices": choices,
            "usage": usage,
        })
    };
    let choice = |delta: Value, reason: Value| {
        let choice = json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": reason}]);
        chunk(choice, Value::Null)
    };
    let events: Vec<_> = events(&answer.body, "data: ").into_iter().map(settled).collect();
    assert_eq!(
        events,
        [
            choice(json!({"role": "assistant", "content": ""}), Value::Null),
            choice(json!({"content": "The "}), Value::Null),
            choice(json!({"content": "river "}), Value::Null),
            choice(json!({}), json!("length")),
            chunk(json!([]), json!({"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4})),
        ]
    );

    let plain = HELLO_STREAM.replace("true}}", "false}}");
    let answer = post(&mock, "/v1/infers/s1/v1/chat/completions", &plain);
    assert!(!String::from_utf8(answer.body).unwrap().contains("usage"), "usage only if asked");
}

#[test]
fn pangu_v1_has_message_and_usage_in_every_event_and_no_space() {
    let mock = start();
    let body = r#"{"messages":[{"role":"user","content":"hello"}],"max_tokens":2,"stream":true}"#;
    for path in [PANGU.to_owned(), format!("/v1/infers/s1{PANGU}")] {
        mock.reset();
        let answer = post(&mock, &path, body);
        let event = |message: Value, reason: Value, completion: u64| {
            json!({
                "id": "00000000000000000000000000000000",
                "object": "chat.completion.chunk",
                "created": 0,
                "model": "pangu",
                "choices": [{
                    "index": 0,
                    "message": message,
                    "logprobs": null,
                    "finish_reason": reason,
                    "stop_reason": null,
                }],
                "usage": {"prompt_tokens": 2, "completion_tokens": completion, "total_tokens": 2 + completion},
            })
        };
        let events: Vec<_> = events(&answer.body, "data:").into_iter().map(settled).collect();
        assert_eq!(
            events,
            [
                event(json!({"role": "assistant"}), Value::Null, 0),
                event(json!({"content": "The "}), Value::Null, 1),
                event(json!({"content": "river "}), Value::Null, 2),
                event(json!({"content": ""}), json!("length"), 2),
            ]
        );
        assert!(answer.body.starts_with(b"data:{"), "no space after the colon");
    }
}

#[test]
fn pangu_v1_whole_answers_have_their_shape() {
    let mock = start();
    let answer = post(&mock, PANGU, r#"{"messages":[{"role":"user","content":"hi"}],"max_tokens":40}"#);
    let answer = settled(parse(&answer.body));
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(answer["prompt_logprobs"], Value::Null);
    let choice = &answer["choices"][0];
    assert_eq!(choice["message"]["role"], "assistant");
    assert_eq!(choice["message"]["tool_calls"], json!([]));
    assert_eq!(choice["finish_reason"], "stop");
    assert_eq!(choice["stop_reason"], Value::Null);
    assert_eq!(answer["usage"], json!({"prompt_tokens": 1, "completion_tokens": 32, "total_tokens": 33}));

    let text = post(&mock, "/v1/p1/deployments/d1/text/completions", r#"{"prompt":"hi","max_tokens":1}"#);
    assert_eq!(parse(&text.body)["choices"][0]["text"], "The ");
    let missing = post(&mock, "/v1/p1/deployments/d1/text/completions", HELLO);
    assert_eq!((missing.status, &parse(&missing.body)["error_code"]), (400, &json!("PANGU.0010")));
}

#[test]
fn pangu_v2_below_a_pool_is_openai_shaped_and_needs_no_model() {
    let mock = start();
    let body = r#"{"messages":[{"role":"user","content":"hi"}]}"#;
    let answer = post(&mock, "/v2/p/pools/a/deployments/d/chat/completions", body);
    assert_eq!(parse(&answer.body)["model"], "pangu-chat");
    let refused = post(&mock, "/api/v2/chat/completions", body);
    assert_eq!(refused.status, 400);
    assert_eq!(parse(&refused.body)["error"]["code"], "ModelArts.81001");
}

#[test]
fn embeddings_are_the_same_numbers_in_both_encodings() {
    let mock = start();
    let ask = |format: &str| {
        let body =
            json!({"model": "e", "input": ["a", "b", "a"], "encoding_format": format, "dimensions": 40});
        parse(&post(&mock, "/v1/embeddings", &body.to_string()).body)
    };
    let (float, base64) = (ask("float"), ask("base64"));
    assert_eq!(float["usage"], json!({"prompt_tokens": 3, "total_tokens": 3}));
    let data = float["data"].as_array().unwrap();
    assert_eq!(data.len(), 3);
    assert_eq!(data[0]["embedding"], data[2]["embedding"]);
    assert_ne!(data[0]["embedding"], data[1]["embedding"]);
    for (plain, packed) in data.iter().zip(base64["data"].as_array().unwrap()) {
        use base64::Engine as _;
        let packed = packed["embedding"].as_str().unwrap();
        let bytes = base64::engine::general_purpose::STANDARD.decode(packed).unwrap();
        let numbers: Vec<f32> = bytes.chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
        assert_eq!(numbers.len(), 40);
        assert_eq!(json!(numbers), plain["embedding"]);
    }
}

#[test]
fn models_and_rerank_have_their_shapes() {
    let mock = start();
    let models = parse(&get(&mock, "/v1/models").body);
    assert_eq!(models["object"], "list");
    assert_eq!(models["data"][0]["object"], "model");

    let body = json!({"model": "r", "query": "q", "documents": ["x", "y", "z"], "top_n": 2});
    let ranked = parse(&post(&mock, "/v1/rerank", &body.to_string()).body);
    let results = ranked["results"].as_array().unwrap();
    assert_eq!(results.len(), 2);
    assert!(results[0]["relevance_score"].as_f64() >= results[1]["relevance_score"].as_f64());
    let index = results[0]["index"].as_u64().unwrap() as usize;
    assert_eq!(results[0]["document"]["text"], body["documents"][index]);
}

#[test]
fn real_time_services_tell_what_they_were_sent() {
    let mock = start();
    let answer = post(&mock, "/v1/infers/s1/predict%20it?x=1", "any bytes");
    assert_eq!(
        parse(&answer.body),
        json!({
            "service_id": "s1",
            "path": "/predict%20it",
            "bytes": 9,
            "sha256": sha256_hex(b"any bytes"),
            "result": "The",
        })
    );
    let streamed = post(&mock, "/v1/infers/s1/predict", r#"{"stream":true,"max_tokens":2}"#);
    assert_eq!(events(&streamed.body, "data: ").len(), 2);
}

#[test]
fn unknown_paths_methods_and_knobs_are_refused() {
    let mock = start();
    let unknown = get(&mock, "/nowhere");
    assert_eq!((unknown.status, &parse(&unknown.body)["error_code"]), (404, &json!("APIG.0101")));
    assert_eq!(get(&mock, "/v1/chat/completions").status, 405);
    let misspelt = post_with(&mock, "/v1/chat/completions", HELLO, &[("x-mock-latency", "5")]);
    assert_eq!(misspelt.status, 400);
    assert!(String::from_utf8(misspelt.body).unwrap().contains("x-mock-latency: no such knob"));
}

#[test]
fn raw_helpers_carry_bytes_both_ways() {
    let mock = start();
    let bytes = get(&mock, "/mock/bytes/200001");
    assert_eq!(bytes.header("content-length"), Some("200001"));
    assert_eq!(bytes.body.len(), 200_001);
    assert_eq!(get(&mock, "/mock/bytes/0").body, b"");
    assert_eq!(post(&mock, "/mock/echo", "there and back").body, b"there and back");
    assert_eq!(get(&mock, "/mock/sse?chunks=3&every=5").body, b"data: 0\n\ndata: 1\n\ndata: 2\n\n");
    assert_eq!(get(&mock, "/mock/status/418").status, 418);
    assert_eq!(get(&mock, "/mock/status/204").status, 204);

    let stats = mock.stats();
    assert_eq!((stats.requests, stats.completed, stats.cancelled, stats.in_flight), (6, 6, 0, 0));
    assert_eq!(stats.by_endpoint["raw"], 6);
}

#[test]
fn an_answer_without_a_body_still_completes() {
    let mock = start();
    let mut caller = Caller::connect(&mock);
    caller.send("HEAD /mock/bytes/1000 HTTP/1.1\r\nHost: m\r\n\r\n");
    assert!(caller.read_head().contains("content-length: 1000"));
    let stats = mock.stats();
    assert_eq!((stats.completed, stats.cancelled), (1, 0));
}

#[test]
fn records_keep_target_headers_and_body_as_sent() {
    let mock = start();
    let mut caller = Caller::connect(&mock);
    caller.send("GET /health HTTP/1.1\r\nHost: probe\r\n\r\n");
    caller.read_answer();
    caller.send(
        "POST /v1/infers/s1/a%2fb?Q=%41 HTTP/1.1\r\nhOST: m\r\nX-Tenant: acme\r\nTransfer-Encoding: chunked\r\n\
         x-B: 1\r\nX-A:  two words \r\nx-b: 2\r\n\r\n3\r\nabc\r\n2;e\r\nde\r\n0\r\n\r\n",
    );
    assert_eq!(caller.read_answer().status, 200);

    let [record] = &mock.requests(10)[..] else { panic!("one record, and none of the probe") };
    assert_eq!(record.target, "/v1/infers/s1/a%2fb?Q=%41");
    let headers: Vec<_> = record.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    assert_eq!(
        headers,
        [
            ("hOST", "m"),
            ("X-Tenant", "acme"),
            ("Transfer-Encoding", "chunked"),
            ("x-B", "1"),
            ("X-A", "two words"),
            ("x-b", "2"),
        ]
    );
    assert_eq!((record.method.as_str(), record.version.as_str()), ("POST", "HTTP/1.1"));
    assert_eq!((record.body().unwrap(), record.body_len, record.complete), (b"abcde".to_vec(), 5, true));
    assert_eq!(record.body_sha256, sha256_hex(b"abcde"));
    assert_eq!((record.status, record.outcome), (Some(200), Some(Outcome::Completed)));
    assert!(record.arrived_us <= record.answered_us.unwrap() && record.answered_us <= record.ended_us);

    let stats = mock.stats();
    assert_eq!(stats.by_path["/v1/infers/s1/a%2fb"], 1);
    assert_eq!(stats.by_tenant["acme"], 1);
    assert_eq!((stats.health_checks, stats.requests, stats.bytes_in), (1, 1, 5));
    assert_eq!((stats.connections, stats.open_connections), (1, 1));
}

#[test]
fn a_body_that_never_ends_is_counted_as_incomplete() {
    let mock = start();
    let mut caller = Caller::connect(&mock);
    caller.send("POST /v1/chat/completions HTTP/1.1\r\nHost: m\r\nContent-Length: 10\r\n\r\nabc");
    eventually(&mock, |stats| stats.bytes_in == 3);
    drop(caller);
    eventually(&mock, |stats| stats.incomplete_bodies == 1 && stats.in_flight == 0);
    let record = &mock.requests(1)[0];
    assert_eq!((record.complete, record.body_len, record.status), (false, 3, None));
    assert_eq!(record.outcome, Some(Outcome::Cancelled));
}

#[test]
fn leaving_is_noticed_at_once_wherever_the_answer_is() {
    let mock = start();
    let places = [
        ("before the head", "x-mock-latency-ms: 60000", 0),
        ("hanging head", "x-mock-fault: hang-head", 0),
        ("before the first token", "x-mock-ttft-ms: 60000", 0),
        ("between tokens", "x-mock-token-every-ms: 60000", 1),
        ("hanging stream", "x-mock-fault: hang-mid", 1),
        ("slow pieces", "x-mock-fault: drip:1:60000", 0),
    ];
    for (place, knob, events) in places {
        mock.reset();
        let mut caller = Caller::connect(&mock);
        caller.send(&format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: m\r\n{knob}\r\nContent-Length: {}\r\n\r\n{HELLO_STREAM}",
            HELLO_STREAM.len()
        ));
        if events > 0 {
            caller.read_until(b"\"content\":\"\"");
        }
        eventually(&mock, |stats| stats.in_flight == 1);
        drop(caller);
        let took = eventually(&mock, |stats| stats.in_flight == 0 && stats.cancelled == 1);
        assert!(took < Duration::from_millis(100), "{place}: {took:?}");
    }
}

#[test]
fn faults_look_as_they_are_called() {
    let mock = start();
    let fault = |fault: &str, body: &str| {
        let mut caller = Caller::connect(&mock);
        caller.send(&format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: m\r\nx-mock-fault: {fault}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        caller.read_to_end()
    };
    let (bytes, end) = fault("reset-head", HELLO);
    assert_eq!((bytes.len(), end.unwrap_err().kind()), (0, std::io::ErrorKind::ConnectionReset));

    for body in [HELLO, HELLO_STREAM] {
        let (bytes, end) = fault("reset-mid", body);
        assert!(bytes.starts_with(b"HTTP/1.1 200 OK\r\n"));
        assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);

        let (bytes, end) = fault("truncate", body);
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.contains("chatcmpl") && !text.contains("[DONE]") && !text.ends_with('}'), "{text}");
        end.unwrap();
    }
    assert_eq!(mock.stats().faulted, 5);

    let (bytes, end) = fault("close", HELLO);
    assert!(String::from_utf8_lossy(&bytes).contains("connection: close\r\n"));
    end.unwrap();
    let (bytes, end) = fault("close-quiet", HELLO);
    assert!(!String::from_utf8_lossy(&bytes).contains("connection: close\r\n"));
    assert!(bytes.ends_with(b"}"), "the whole answer");
    end.unwrap();
    assert_eq!(mock.stats().completed, 2);

    let dripped = post_with(&mock, "/v1/chat/completions", HELLO, &[("x-mock-fault", "drip:100:1")]);
    assert_eq!(parse(&dripped.body)["object"], "chat.completion");
}

#[test]
fn refusals_speak_the_dialect_of_the_endpoint() {
    let mock = start();
    mock.behave(serde_json::from_value(json!({"faults": ["status:429:7"]})).unwrap());
    for (path, code) in [
        ("/v1/chat/completions", "ModelArts.81101"),
        (PANGU, "PANGU.3267"),
        ("/v1/infers/s/x", "ModelArts.4206"),
        ("/mock/echo", "APIG.0308"),
    ] {
        let answer = post(&mock, path, HELLO);
        assert_eq!((answer.status, answer.header("retry-after")), (429, Some("7")), "{path}");
        assert_eq!(parse(&answer.body)["error_code"], code);
    }
    let answer = post(&mock, "/v1/chat/completions", HELLO);
    assert_eq!(parse(&answer.body)["error"]["type"], "TooManyRequests");
    let spared = post_with(&mock, "/v1/chat/completions", HELLO, &[("x-mock-fault", "none")]);
    assert_eq!(spared.status, 200);
}

#[test]
fn pieces_cut_bodies_but_lose_nothing() {
    let mock = start();
    let whole = post(&mock, "/v1/chat/completions", HELLO_STREAM).body;
    mock.reset(); // same number, same id
    let cut = post_with(&mock, "/v1/chat/completions", HELLO_STREAM, &[("x-mock-chunk-bytes", "7")]);
    let events_of = |body: &[u8]| events(body, "data: ").into_iter().map(settled).collect::<Vec<_>>();
    assert_eq!(events_of(&cut.body), events_of(&whole));
    assert!(cut.chunks > whole.len() / 7, "{} chunks", cut.chunks);
}

#[test]
fn waits_are_kept() {
    let mock = start();
    let timed = |headers: &[(&str, &str)], body: &str| {
        let start = now();
        post_with(&mock, "/v1/chat/completions", body, headers);
        start.elapsed().as_millis()
    };
    let pace = [("x-mock-latency-ms", "20"), ("x-mock-ttft-ms", "20"), ("x-mock-token-every-ms", "10")];
    let tokens = [pace.as_slice(), &[("x-mock-tokens", "5")]].concat();
    for body in [HELLO, HELLO_STREAM] {
        let took = timed(&tokens, body);
        assert!((80..400).contains(&took), "20 + 20 + 4 * 10 ms, took {took}");
    }
}

#[test]
fn health_can_be_switched() {
    let mock = start();
    let ok = get(&mock, "/health");
    assert_eq!((ok.status, ok.body.as_slice()), (200, br#"{"status":"ok"}"#.as_slice()));
    mock.behave(Behaviour { health: Health::Failing, ..Behaviour::default() });
    assert_eq!(get(&mock, "/health").status, 503);
    assert_eq!(mock.stats().health_checks, 2);
    assert_eq!(mock.stats().requests, 0);
}

#[test]
fn the_highest_number_in_flight_is_exact() {
    let mock = start();
    let callers: Vec<Caller> = (0..50)
        .map(|_| {
            let mut caller = Caller::connect(&mock);
            caller.send("GET /mock/bytes/1 HTTP/1.1\r\nHost: m\r\nx-mock-fault: hang-head\r\n\r\n");
            caller
        })
        .collect();
    eventually(&mock, |stats| stats.in_flight == 50);
    drop(callers);
    eventually(&mock, |stats| stats.in_flight == 0 && stats.cancelled == 50 && stats.open_connections == 0);
    get(&mock, "/mock/bytes/1");
    assert_eq!(mock.stats().max_in_flight, 50);
    mock.reset();
    assert_eq!(mock.stats().max_in_flight, 0);
}

#[test]
fn workers_share_a_port_and_count_apart() {
    let options = Options { workers: 3, record: None, ..Options::default() };
    let mock = Mock::start(&options).unwrap();
    for _ in 0..60 {
        assert_eq!(get(&mock, "/mock/bytes/10").body.len(), 10);
    }
    let stats = mock.stats();
    assert_eq!((stats.requests, stats.completed, stats.connections), (60, 60, 60));
    assert!(stats.by_path.is_empty() && mock.requests(10).is_empty(), "nothing is recorded");

    let taken = Options { listen: mock.address(), ..Options::default() };
    assert_eq!(Mock::start(&taken).unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
    let taken = Options { listen: mock.address(), workers: 2, ..Options::default() };
    assert_eq!(Mock::start(&taken).unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
}

#[test]
fn control_reads_steers_and_clears() {
    let mock = start();
    let control = |request: &str, body: &str| {
        let mut caller = Caller::connect_to(mock.control_address());
        caller
            .send(&format!("{request} HTTP/1.1\r\nHost: c\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
        let answer = caller.read_answer();
        (answer.status, parse(&answer.body))
    };
    post(&mock, "/v1/chat/completions", HELLO);
    assert_eq!(control("GET /mock/stats", "").1["requests"], 1);
    let (_, records) = control("GET /mock/requests?last=5", "");
    assert_eq!(records[0]["target"], "/v1/chat/completions");

    let (status, knobs) = control("POST /mock/behaviour", r#"{"tokens":2,"latency_ms":"1..2"}"#);
    assert_eq!((status, &knobs["tokens"], &knobs["latency_ms"]), (200, &json!(2), &json!("1..2")));
    assert_eq!(control("POST /mock/behaviour", r#"{"health":"failing"}"#).1["tokens"], 2, "others stay");
    assert_eq!(get(&mock, "/health").status, 503);
    let (status, problem) = control("POST /mock/behaviour", r#"{"token":2}"#);
    assert_eq!(status, 400);
    assert!(problem["error"].as_str().unwrap().contains("unknown field `token`"), "{problem}");
    assert_eq!(parse(&post(&mock, "/v1/chat/completions", HELLO).body)["usage"]["completion_tokens"], 2);

    assert_eq!(control("DELETE /mock/behaviour", "").1["tokens"], Value::Null);
    assert_eq!(control("POST /mock/reset", "").0, 200);
    assert_eq!(control("GET /mock/stats", "").1["requests"], 0);
    assert_eq!(control("GET /mock/requests", "").1, json!([]));
    assert_eq!(get(&mock, "/mock/stats").status, 404, "control does not answer among the traffic");
}
