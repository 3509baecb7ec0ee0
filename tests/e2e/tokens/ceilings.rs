//! Ceilings: how much one request may ask for; and bodies that would be read in two ways.

use super::*;
use harness::{Conn, Reply, Script};

/// A ceiling on the routes.
fn start_under(ceilings: &str) -> (Mock, Gateway) {
    start_metered(&policy(&[("of each route", &format!("ceilings: {ceilings}"))]))
}

/// What arrives upstream of a body, or the refusal.
fn arrives(gateway: &Gateway, body: &str) -> Result<String, Response> {
    let answer = post(ECHO, body).send(gateway.http);
    if answer.status == 200 { Ok(answer.text()) } else { Err(answer) }
}

#[test]
fn a_prompt_that_is_too_long_is_refused_and_costs_nothing() {
    let (mock, gateway) = start_under("{prompt_tokens: 100}");
    let asking = |words: usize| hello(&format!(r#","prompt":"{}""#, "river ".repeat(words)));
    assert_eq!(post(ECHO, &asking(20)).send(gateway.http).status, 200);
    mock.reset();
    let before = charged(&gateway);
    for (route, dialect) in [(OPENAI_CHAT, true), (ECHO, true), (PANGU_CHAT, false)] {
        let refused = post(route, &asking(200)).send(gateway.http);
        let error = refused.json();
        assert_eq!((refused.status, &error["error_code"]), (400, &"APIG.0201".into()), "{error}");
        assert!(error["error_msg"].as_str().is_some_and(|why| why.contains("100")), "{error}");
        assert_eq!(error["error"]["code"] == "context_length_exceeded", dialect, "{error}");
    }
    assert_eq!((mock.requests(), charged(&gateway)), (0, before));
}

#[test]
fn more_completion_than_may_be_is_refused_or_cut_down() {
    let (_mock, gateway) = start_under("{completion_tokens: 50}");
    let ask = r#"{"messages":[],"max_tokens":50}"#;
    assert_eq!(arrives(&gateway, ask).expect("within the ceiling"), ask);
    for key in ["max_tokens", "max_completion_tokens"] {
        let refused = arrives(&gateway, &format!(r#"{{"{key}":51}}"#)).expect_err("above the ceiling");
        let error = refused.json();
        assert_eq!(
            (refused.status, &error["error"]["code"]),
            (400, &"max_tokens_exceeded".into()),
            "{error}"
        );
    }
    // Who does not say gets what may be.
    assert_eq!(arrives(&gateway, r#"{"messages":[]}"#).expect("taken"), r#"{"max_tokens":50,"messages":[]}"#);

    let (mock, gateway) = start_under("{completion_tokens: 50, on_excess: clamp}");
    for (sent, upstream) in [
        (r#"{"messages":[],"max_tokens":4096}"#, r#"{"messages":[],"max_tokens":50}"#),
        (r#"{"max_completion_tokens": 51 }"#, r#"{"max_completion_tokens": 50 }"#),
        (r#"{"max_tokens":49}"#, r#"{"max_tokens":49}"#),
        (
            r#"{"stream":true,"max_tokens":60}"#,
            r#"{"stream_options":{"include_usage":true},"stream":true,"max_tokens":50}"#,
        ),
    ] {
        assert_eq!(arrives(&gateway, sent).expect("cut down"), upstream);
    }
    assert_eq!(post(PANGU_CHAT, &hello(r#","max_tokens":70"#)).send(gateway.http).status, 200);
    let arrived = mock.records(1)[0].body().expect("it is kept");
    assert_eq!(String::from_utf8_lossy(&arrived), hello(r#","max_tokens":50"#));
}

#[test]
fn the_lowest_ceiling_counts_wherever_it_is_written() {
    let tight = "- {name: tight, ceilings: {completion_tokens: 30}}";
    let places = [
        ("of each route", "ceilings: {completion_tokens: 50}"),
        ("of the plan", "ceilings: {completion_tokens: 40}"),
        ("models", tight),
    ];
    for (model, places, bound) in [
        ("m", &places[..1], 50),
        ("m", &places[..], 40),
        ("tight", &places[..], 30),
        ("tight", &places[2..], 30),
    ] {
        let (_mock, gateway) = start_metered(&policy(places));
        let upstream = arrives(&gateway, &format!(r#"{{"model":"{model}"}}"#)).expect("taken");
        assert_eq!(upstream, format!(r#"{{"max_tokens":{bound},"model":"{model}"}}"#));
    }
}

#[test]
fn an_answer_of_the_responses_api_is_bounded_by_a_key_of_its_own() {
    let (_mock, gateway) = start_under("{completion_tokens: 50}");
    let refused =
        arrives(&gateway, r#"{"input":"a","max_output_tokens":51}"#).expect_err("above the ceiling");
    assert_eq!(refused.json()["error"]["code"], "max_tokens_exceeded");
    for (sent, upstream) in [
        (r#"{"input":"a","max_output_tokens":50}"#, r#"{"input":"a","max_output_tokens":50}"#),
        (r#"{"input":"a"}"#, r#"{"max_output_tokens":50,"input":"a"}"#),
        (r#"{"input":"a","max_tokens":1}"#, r#"{"max_output_tokens":50,"input":"a","max_tokens":1}"#),
    ] {
        assert_eq!(arrives(&gateway, sent).expect("within the ceiling"), upstream);
    }
    let (_mock, gateway) = start_under("{completion_tokens: 50, on_excess: clamp}");
    let cut = arrives(&gateway, r#"{"input":"a","max_output_tokens":51}"#).expect("cut down");
    assert_eq!(cut, r#"{"input":"a","max_output_tokens":50}"#);

    let ceilings = "ceilings: {clamp_to_budget: true}";
    let limits = "- {name: left, per: tenant, tokens: 1000/month, counts: completion}";
    let (_mock, gateway) = start_metered(&policy(&[("limits", limits), ("of each route", ceilings)]));
    for sent in [r#"{"input":"a"}"#, r#"{"max_output_tokens":4096,"input":"a"}"#] {
        let left = 1000 - charged(&gateway).completion;
        let arrived = arrives(&gateway, sent).map_err(|answer| answer.text());
        assert_eq!(arrived, Ok(format!(r#"{{"max_output_tokens":{left},"input":"a"}}"#)), "{sent}");
    }
}

#[test]
fn a_bound_above_a_ceiling_is_refused_also_where_another_is_missing() {
    let (_mock, gateway) = start_under("{completion_tokens: 50}");
    let body = |key: &str, bound: u64| format!(r#"{{"messages":[],"input":"a","{key}":{bound}}}"#);
    for (key, other) in [("max_tokens", "max_output_tokens"), ("max_output_tokens", "max_tokens")] {
        let refused = arrives(&gateway, &body(key, 51)).expect_err("above the ceiling").json();
        assert_eq!(refused["error"]["code"], "max_tokens_exceeded", "{key}");
        let arrived = arrives(&gateway, &body(key, 50)).expect("within the ceiling");
        assert_eq!(arrived, body(key, 50).replacen('{', &format!(r#"{{"{other}":50,"#), 1));
    }
}

#[test]
fn a_route_that_is_answered_with_no_text_has_no_bounds() {
    let plan = ("of the plan", "ceilings: {completion_tokens: 50, clamp_to_budget: true}");
    let sent = r#"{"model":"m","input":"hello, river"}"#;
    let bounded = sent.replacen('{', r#"{"max_output_tokens":50,"#, 1);
    let named = policy(&[plan]);
    let open = named.replace("/v1/embeddings", "/v1/{kind}");
    assert_ne!(named, open);
    for (policy, arrives) in [(named, sent), (open, &bounded)] {
        let (mock, gateway) = start_metered(&policy);
        assert_eq!(post(EMBEDDINGS, sent).send(gateway.http).status, 200);
        let arrived = mock.records(1)[0].body().expect("it is kept");
        assert_eq!(String::from_utf8_lossy(&arrived), arrives);
    }
}

#[test]
fn what_is_held_of_an_answer_of_the_responses_api_is_its_bound() {
    let (mock, gateway) = start_metered(&policy(&[]));
    for (bound, held) in [(r#","max_output_tokens":7"#, 7), (r#","max_tokens":7"#, 256)] {
        let body = format!(r#"{{"model":"m","input":"a"{bound}}}"#);
        let mut conn = Conn::open(gateway.http);
        conn.send(post(EMBEDDINGS, &body).header("x-mock-latency-ms", "30000").to_bytes());
        eventually("it holds its bound", secs(5), || {
            (number(&level(&gateway, "acme", "completion"), "held") == held).then_some(())
        });
        drop(conn);
        eventually("it has left", secs(2), || (mock.count("open_connections") == 0).then_some(()));
        charged(&gateway);
    }
}

#[test]
fn completion_tokens_can_be_cut_down_to_what_is_left() {
    let ceilings = "ceilings: {clamp_to_budget: true}";
    let limits = "- {name: left, per: tenant, tokens: 1000/month, counts: completion}";
    let (_mock, gateway) = start_metered(&policy(&[("limits", limits), ("of each route", ceilings)]));
    let spend = post(OPENAI_CHAT, &hello_m(r#","max_tokens":20"#)).header("x-mock-tokens", "400");
    assert_eq!(spend.send(gateway.http).status, 200);
    assert_eq!(charged(&gateway).completion, 400);
    // Each echo is charged as well, by its bytes; a choice has its part of what is left.
    for (max, n) in [(500, 1), (4096, 1), (4096, 2)] {
        let left = 1000 - charged(&gateway).completion;
        let body = |max: u64| format!(r#"{{"max_tokens":{max},"n":{n}}}"#);
        let arrived = arrives(&gateway, &body(max)).map_err(|answer| answer.text());
        assert_eq!(arrived, Ok(body(max.min(left / n))));
    }
    let left = 1000 - charged(&gateway).completion;
    let arrived = arrives(&gateway, r#"{"n":1}"#).map_err(|answer| answer.text());
    assert_eq!(arrived, Ok(format!(r#"{{"max_tokens":{left},"n":1}}"#)), "who does not say");
}

#[test]
fn an_answer_that_is_expected_to_be_longer_than_what_is_left_is_cut_and_not_refused() {
    let limits = "- {name: few, per: tenant, tokens: 100/month, counts: completion}";
    let asking = hello_m("");
    let form = "--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nsound\r\n--x--\r\n";
    for (ceilings, status) in [("", 429), ("ceilings: {clamp_to_budget: true}", 200)] {
        let (mock, gateway) = start_metered(&policy(&[("limits", limits), ("of each route", ceilings)]));
        let spend = post(OPENAI_CHAT, &hello_m(r#","max_tokens":60"#)).header("x-mock-tokens", "60");
        assert_eq!(spend.send(gateway.http).status, 200);
        assert_eq!(charged(&gateway).completion, 60);
        mock.reset();
        // Of an answer without a bound 256 tokens are expected; 40 are left.
        assert_eq!(post(ECHO, form).send(gateway.http).status, 429, "it has no bound that could be cut");
        assert_eq!(post(OPENAI_CHAT, &asking).send(gateway.http).status, status, "{ceilings}");
        if status == 200 {
            let arrived = mock.records(1)[0].body().expect("it is kept");
            assert!(String::from_utf8_lossy(&arrived).contains(r#""max_tokens":40"#), "{arrived:?}");
        }
    }
}

#[test]
fn an_image_counts_before_the_model_has_told() {
    let (_mock, gateway) = start_under("{prompt_tokens: 1500}");
    assert_eq!(post(ECHO, &images(1)).send(gateway.http).status, 200);
    let refused = post(ECHO, &images(2)).send(gateway.http);
    assert_eq!(refused.status, 400, "2,000 tokens and some text");
}

/// A question of so many images.
fn images(how_many: usize) -> String {
    let images = vec![r#"{"type":"image_url","image_url":{"url":"data:image/png;base64,AA"}}"#; how_many];
    format!(r#"{{"model":"m","messages":[{{"role":"user","content":[{}]}}]}}"#, images.join(","))
}

#[test]
fn each_image_is_held_for_and_charged_where_nobody_tells() {
    let (mock, gateway) =
        start_metered(&limited("- {name: few, per: tenant, tokens: 2500/month, counts: prompt}"));
    assert_eq!(post(OPENAI_CHAT, &hello_m("")).send(gateway.http).status, 200);
    charged(&gateway);
    let refused = post(OPENAI_CHAT, &images(3)).send(gateway.http);
    assert!(refused.status == 429 && refused.text().contains("requested 30"), "{}", refused.text());
    assert_eq!(post(OPENAI_CHAT, &images(2)).send(gateway.http).status, 200);
    assert_eq!((mock.requests(), charged(&gateway).prompt < 100), (2, true), "the mock counts no images");
    let echo = post(ECHO, &images(2)).send(gateway.http);
    let (cost, _) = logged(&gateway, &echo);
    assert!((2_000..2_100).contains(&cost.prompt), "{cost:?}");
}

#[test]
fn what_is_no_text_teaches_nothing_of_text() {
    const EACH: usize = 20;
    let told = |prompt: u32| {
        format!(r#"{{"choices":[],"usage":{{"prompt_tokens":{prompt},"completion_tokens":1}}}}"#)
    };
    let answers = [told(1_500), told(500), told(200), told(200), told(200), "{}".to_owned()];
    let script = Script::start(move |n| {
        let body = &answers[(n / EACH).min(5)];
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json";
        Reply::keep(format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()))
    });
    let gateway = gateway_at(script.address, &policy(&[]));
    let numbers = format!(r#"{{"model":"m","prompt":[{}]}}"#, vec!["7"; 500].join(","));
    let after = |what: &str| format!(r#"{{"model":"m","input":"hello",{what}}}"#);
    let kept = [r#""previous_response_id":"r""#, r#""conversation":{"id":"c"}"#, r#""prompt":{"id":"t"}"#];
    for question in [images(1), numbers].into_iter().chain(kept.map(after)) {
        for _ in 0..EACH {
            assert_eq!(post(OPENAI_CHAT, &question).send(gateway.http).status, 200);
        }
    }
    let answer = post(OPENAI_CHAT, &hello_m("")).send(gateway.http);
    assert_eq!(logged(&gateway, &answer).0.prompt, 13, "as nobody had ever told anything");
}

#[test]
fn every_choice_counts() {
    let limits = "- {name: few, per: tenant, tokens: 100/month, counts: completion}";
    let (mock, gateway) = start_metered(&limited(limits));
    assert_eq!(post(OPENAI_CHAT, &hello_m(r#","max_tokens":1"#)).send(gateway.http).status, 200);
    charged(&gateway);
    for many in [r#","n":10"#, r#","best_of":10"#, r#","n":2,"best_of":10"#] {
        let refused = post(OPENAI_CHAT, &hello_m(&format!(r#","max_tokens":10{many}"#))).send(gateway.http);
        assert_eq!(refused.status, 429, "{many}");
        assert!(refused.text().contains("requested 100"), "{}", refused.text());
    }
    assert_eq!(mock.requests(), 1);
    assert_eq!(post(OPENAI_CHAT, &hello_m(r#","max_tokens":10,"n":9"#)).send(gateway.http).status, 200);
}

#[test]
fn a_body_with_two_readings_is_refused_in_the_dialect_of_its_route() {
    let (mock, gateway) = start_metered(&policy(&[]));
    for (route, openai) in [(OPENAI_CHAT, true), (PANGU_CHAT, false), (SERVICE, false)] {
        let mut bodies =
            vec![r#"{"model":"a","model":"m","messages":[]}"#, r#"{"max_tokens":1,"max_tokens":9999}"#];
        if route != SERVICE {
            bodies.extend([
                r#"{"messages":[],"Max_Tokens":9}"#,
                r#"{"max_tokens":"9"}"#,
                r#"{"stream":"yes"}"#,
            ]);
        }
        for body in bodies {
            let refused = post(route, body).send(gateway.http);
            let error = refused.json();
            assert_eq!((refused.status, &error["error_code"]), (400, &"APIG.0201".into()), "{body}: {error}");
            assert_eq!(error["error"]["code"] == "body_unclear", openai, "{body}: {error}");
            assert_eq!(error["error"]["type"] == "invalid_request_error", openai, "{body}: {error}");
        }
    }
    assert_eq!((mock.requests(), charged(&gateway)), (0, Cost::default()));
}

/// What parsers of JSON in other languages read, and this gateway does not: byte order marks, other encodings than UTF-8,
/// numbers that are none, more after the end, and what is compressed.
fn read_by_others(object: &str) -> Vec<Vec<u8>> {
    let utf_16 = |order: fn(u16) -> [u8; 2]| object.encode_utf16().flat_map(order).collect::<Vec<u8>>();
    let utf_32 = object.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect::<Vec<u8>>();
    let text = |text: String| text.into_bytes();
    vec![
        text(format!("\u{feff}{object}")),
        utf_16(u16::to_le_bytes),
        utf_16(u16::to_be_bytes),
        [vec![0xfe, 0xff], utf_16(u16::to_be_bytes)].concat(),
        [vec![0xff, 0xfe, 0, 0], utf_32].concat(),
        text(object.replacen('{', r#"{"x":NaN,"#, 1)),
        text(object.replacen('{', r#"{"x":-Infinity,"#, 1)),
        text(format!("{object} x")),
        text(format!("{object}{{}}")),
    ]
}

fn post_bytes(target: &str, body: &[u8]) -> Request {
    bearer(Request::post(target, body), CHAT_API_KEY)
}

#[test]
fn a_body_that_only_an_upstream_might_read_is_refused() {
    let (mock, gateway) = start_under("{completion_tokens: 50}");
    let object = hello_m(r#","max_tokens":5000,"n":4"#);
    let mut bodies = read_by_others(&object);
    bodies.push(b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xabV".to_vec());
    bodies.extend([&b"x"[..], b" ", b"[]", b"\"{}\""].map(<[u8]>::to_vec));
    for (route, openai) in [(ECHO, true), (PANGU_CHAT, false)] {
        for body in &bodies {
            let refused = post_bytes(route, body).send(gateway.http);
            let (error, case) = (refused.json(), body.escape_ascii());
            assert_eq!((refused.status, &error["error_code"]), (400, &"APIG.0201".into()), "{case}: {error}");
            assert_eq!(error["error"]["code"] == "body_unclear", openai, "{case}: {error}");
        }
    }
    assert_eq!((mock.requests(), charged(&gateway)), (0, Cost::default()));
    assert_eq!(post(ECHO, "").send(gateway.http).status, 200, "nothing is clear");
}

#[test]
fn a_body_in_a_content_coding_is_refused() {
    let (mock, gateway) = start_under("{completion_tokens: 50}");
    for coding in ["gzip", "br", "identity, deflate"] {
        let refused = post(ECHO, &hello_m("")).header("content-encoding", coding).send(gateway.http);
        let error = refused.json();
        assert_eq!(
            (refused.status, &error["error"]["code"]),
            (400, &"body_unclear".into()),
            "{coding}: {error}"
        );
    }
    assert_eq!(mock.requests(), 0);
    for none in ["identity", "Identity"] {
        let plain = post(ECHO, &hello_m("")).header("content-encoding", none).send(gateway.http);
        assert_eq!(plain.status, 200, "{none}: {}", plain.text());
    }
}

#[test]
fn a_service_may_take_anything_but_what_hides_its_model_or_its_bound() {
    let ceiling = "ceilings: {completion_tokens: 50}";
    let fixed = |ceiling: &str| {
        let service = "api: modelarts\n    model: known\n    model_from: route\n    ";
        policy(&[]).replace("api: modelarts\n    ", &format!("{service}{ceiling}\n    "))
    };
    let object = r#"{"model":"m","max_tokens":5000}"#;
    let budget = "ceilings: {clamp_to_budget: true}";
    for (policy, status) in
        [(policy(&[]), 400), (fixed(ceiling), 400), (fixed(budget), 400), (fixed(""), 200)]
    {
        let (_mock, gateway) = start_metered(&policy);
        for body in read_by_others(object) {
            let answer = post_bytes(SERVICE, &body).send(gateway.http);
            assert_eq!(answer.status, status, "{}: {}", body.escape_ascii(), answer.text());
        }
        for body in [&b"\x89PNG\r\n\x1a\n{"[..], b"\xff\xd8\xff\xe0", b"[1,2]", b"a text", b""] {
            let answer = post_bytes(SERVICE, body).send(gateway.http);
            assert_eq!(answer.status, 200, "{}: {}", body.escape_ascii(), answer.text());
        }
    }
}

#[test]
fn a_service_is_held_to_its_ceiling_whatever_else_its_body_says() {
    for (on_excess, cut) in [("refuse", false), ("clamp", true)] {
        let ceilings = format!("ceilings: {{completion_tokens: 50, on_excess: {on_excess}}}");
        let service =
            |text: String| text.replace("api: modelarts\n", &format!("api: modelarts\n    {ceilings}\n"));
        let (mock, gateway) = start_metered(&service(policy(&[])));
        let long = format!(r#"{{"model":"{}","max_tokens":100000}}"#, "m".repeat(129));
        for body in [
            r#"{"n":"1","max_tokens":100000}"#,
            r#"{"stream":1,"max_tokens":100000}"#,
            r#"{"stream_options":[],"max_tokens":100000}"#,
            &long,
        ] {
            mock.reset();
            let answer = post(SERVICE, body).send(gateway.http);
            assert_eq!(answer.status, if cut { 200 } else { 400 }, "{body}: {}", answer.text());
            if cut {
                let arrived = mock.records(1)[0].body().expect("it is kept");
                assert_eq!(String::from_utf8_lossy(&arrived), body.replace("100000", "50"));
            }
        }
        mock.reset();
        for body in [
            r#"{"max_tokens":"100000"}"#,
            r#"{"max_tokens":100000.0}"#,
            r#"{"max_new_tokens":-1,"max_tokens":100000}"#,
        ] {
            let refused = post(SERVICE, body).send(gateway.http);
            let why = refused.text();
            assert!(refused.status == 400 && why.contains("must be a whole number"), "{body}: {why}");
        }
        assert_eq!(mock.requests(), 0);
    }
}
