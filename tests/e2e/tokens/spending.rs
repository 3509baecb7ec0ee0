//! A limit on tokens holds, however many requests run at once and however long they are.

use super::*;
use harness::{Conn, Reply, Script, now};
use std::sync::Barrier;
use std::time::Duration;

const CALLERS: usize = 64;

/// Sends a request from 64 callers that start together; their answers, when all have ended.
fn storm(gateway: &Gateway, request: impl Fn() -> Request + Sync) -> Vec<Response> {
    let together = Barrier::new(CALLERS);
    std::thread::scope(|scope| {
        let caller = || {
            let mut conn = Conn::open(gateway.http);
            conn.patience(secs(60));
            together.wait();
            conn.send(request().to_bytes());
            conn.response().expect("an answer")
        };
        let callers: Vec<_> = (0..CALLERS).map(|_| scope.spawn(caller)).collect();
        callers.into_iter().map(|caller| caller.join().expect("no caller panics")).collect()
    })
}

/// A stream that would be endless; it holds 10 tokens, and its upstream minds no bound.
fn endless(target: &str) -> Request {
    let body = hello_m(r#","stream":true,"max_tokens":10"#);
    post(target, &body).header("x-mock-tokens", "100000").header("x-mock-token-every-ms", "200")
}

/// Most of the limit at once, and what comes back in a second.
const MOST: u64 = 700;
const PER_SECOND: u64 = 20;

#[test]
fn streams_overshoot_by_a_chunk_each_end_properly_and_the_debt_is_paid() {
    // Pangu tells its use in each chunk; OpenAI's at the end, so that the gateway counts by itself: up to 3 tokens
    // for a word of the mock's, which the mock counts as one.
    for (target, chunk) in [(PANGU_CHAT, 1), (OPENAI_CHAT, 3)] {
        let limit = format!(
            "- {{name: tested, per: tenant, tokens: {PER_SECOND}/s, burst: {MOST}, counts: completion, on_exhausted: cut}}"
        );
        let policy = limited(&limit).replace("9100\"}]", "9100\"}]\n    eject: {consecutive: 1, keep: 0%}");
        let (mock, gateway) = start_metered(&policy);
        let start = now();
        let answers = storm(&gateway, || endless(target));
        let back = PER_SECOND * (start.elapsed().as_secs() + 1);

        for answer in &answers {
            assert!(answer.status == 200 && answer.whole, "{answer:?}");
            let text = answer.text();
            let events = events(&text);
            let [.., last, done] = events[..] else { panic!("no two events: {text}") };
            let last: Value = serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {last}"));
            assert_eq!((&last["choices"][0]["finish_reason"], done), (&"length".into(), "[DONE]"), "{text}");
            assert_eq!(logged(&gateway, answer).1["outcome"], "limit_spent");
        }
        let (sent, used) = (mock.tokens_sent(), charged(&gateway).completion);
        let most = MOST + back + CALLERS as u64 * chunk;
        assert!((MOST..=most).contains(&used), "{target}: {used} charged, {most} may be");
        assert!(sent <= most, "{target}: {sent} sent, {most} may be");
        if chunk == 1 {
            assert!(sent >= MOST, "{target}: {sent} sent: cut too early");
        }
        let backend = &gateway.admin("/backends").json()[0]["backends"][0];
        assert_eq!((&backend["state"], &backend["failing"]), (&"up".into(), &0.into()), "{backend}");
        pay(&gateway, target);
    }
}

#[test]
fn a_stream_that_is_cut_tells_its_usage_to_whoever_asked() {
    let cut = "- {name: tested, per: tenant, tokens: 30/month, counts: completion, on_exhausted: cut}";
    for (options, asked) in [("", false), (r#","stream_options":{"include_usage":true}"#, true)] {
        let (_mock, gateway) = start_metered(&limited(cut));
        let body = hello_m(&format!(r#","stream":true,"max_tokens":10{options}"#));
        let request = post(OPENAI_CHAT, &body).header("x-mock-tokens", "100000");
        let answer = request.header("x-mock-token-every-ms", "5").send(gateway.http);
        let (cost, line) = logged(&gateway, &answer);
        assert_eq!(line["outcome"], "limit_spent", "{line}");
        let text = answer.text();
        let (done, events) =
            events(&text).split_last().map(|(done, events)| (*done, events.to_vec())).unwrap();
        let events: Vec<Value> =
            events.iter().map(|event| serde_json::from_str(event).expect("JSON")).collect();
        let told: Vec<&Value> = events.iter().filter(|event| event["usage"].is_object()).collect();
        assert_eq!((done, told.len()), ("[DONE]", usize::from(asked)), "{text}");
        if asked {
            let [.., end, usage] = &events[..] else { panic!("no two events: {text}") };
            assert_eq!(end["choices"][0]["finish_reason"], "length", "{text}");
            assert_eq!((&usage["choices"], &usage["id"]), (&serde_json::json!([]), &end["id"]));
            let expected = serde_json::json!({"prompt_tokens": cost.prompt, "completion_tokens": cost.completion,
                "total_tokens": cost.prompt + cost.completion});
            assert_eq!(usage["usage"], expected, "what is charged: {line}");
        }
    }
}

const CUT_AT_30: &str =
    "- {name: tested, per: tenant, tokens: 30/month, counts: completion, on_exhausted: cut}";
const ASKING: &str = r#","stream":true,"max_tokens":10,"stream_options":{"include_usage":true}"#;

#[test]
fn a_stream_is_cut_between_two_events_however_they_come_and_whatever_length_was_declared() {
    let event = r#"data: {"id":"c","choices":[{"index":0,"delta":{"content":"river river river"}}]}"#;
    let stream = format!("{event}\n\n").repeat(50);
    let script = Script::start(move |_| {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream";
        Reply::keep(format!("{head}\r\ncontent-length: {}\r\n\r\n{stream}", stream.len())).in_pieces(33)
    });
    let gateway = gateway_at(script.address, &limited(CUT_AT_30));
    let answer = post(OPENAI_CHAT, &hello_m(ASKING)).send(gateway.http);
    assert_eq!(logged(&gateway, &answer).1["outcome"], "limit_spent");
    let text = answer.text();
    let (done, events) = events(&text).split_last().map(|(done, events)| (*done, events.to_vec())).unwrap();
    assert_eq!(done, "[DONE]", "{text}");
    let broken = events.iter().find(|event| serde_json::from_str::<Value>(event).is_err());
    assert_eq!((broken, answer.header("content-length")), (None, None), "{text}");
}

#[test]
fn a_stream_that_has_said_its_last_is_not_cut_any_more() {
    let text = "river ".repeat(60);
    let stream = format!(
        "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\ndata: [DONE]\n\n"
    );
    let whole =
        format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n{stream}");
    let script = Script::start(move |_| Reply::close(&whole));
    let gateway = gateway_at(script.address, &limited(CUT_AT_30));
    let answer = post(OPENAI_CHAT, &hello_m(ASKING)).send(gateway.http);
    assert_eq!(answer.text(), stream);
    let (cost, line) = logged(&gateway, &answer);
    assert_eq!((cost.completion > 30, &line["outcome"]), (true, &"ok".into()), "{line}");
}

/// The debt is paid before the next admission, and `Retry-After` says when that is.
fn pay(gateway: &Gateway, target: &str) {
    let request = || post(target, &hello_m(r#","max_tokens":1"#)).header("x-mock-tokens", "1");
    let refused = request().send(gateway.http);
    let came = now();
    assert_eq!(refused.status, 429, "{}", refused.text());
    assert!(refused.text().contains("requested 1."), "{}", refused.text());
    let owed = level(gateway, "acme", "tested");
    assert!(number(&owed, "debt") > 0, "{owed}");
    for (name, value) in [
        ("x-ratelimit-limit-tokens", PER_SECOND.to_string()),
        ("x-ratelimit-remaining-tokens", "0".to_owned()),
    ] {
        assert_eq!(refused.header(name), Some(&*value), "{name}");
    }
    assert!(refused.header("x-ratelimit-reset-tokens").is_some_and(|reset| reset.ends_with('s')));
    let told = |name| refused.header(name).expect(name).parse::<u64>().expect("a number");
    let wait = told("retry-after-ms");
    assert!(told("retry-after") * 1000 >= wait && wait > 300, "{wait} ms");

    // A tenth of the wait at most is there to spread callers out.
    let early = Duration::from_millis(wait * 4 / 5);
    while came.elapsed() < early {
        assert_eq!(request().send(gateway.http).status, 429, "admitted {:?} into {wait} ms", came.elapsed());
        std::thread::sleep(ms(50));
    }
    std::thread::sleep(ms(wait + 5).saturating_sub(came.elapsed()));
    let admitted = request().send(gateway.http);
    assert_eq!(admitted.status, 200, "refused after {wait} ms: {}", admitted.text());
}

#[test]
fn parallel_requests_are_refused_by_what_is_held_and_not_all_admitted() {
    // Without a bound on the answer 256 tokens are expected.
    let (mock, gateway) =
        start_metered(&limited("- {name: tested, per: tenant, tokens: 1k/h, counts: completion}"));
    let slow = |target| {
        move || post(target, &hello_m("")).header("x-mock-tokens", "5").header("x-mock-latency-ms", "2000")
    };
    let answers = storm(&gateway, slow(OPENAI_CHAT));
    let admitted = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!((admitted, mock.requests()), (3, 3), "3 of 256 tokens fit into 1000");
    let refused = answers.iter().find(|answer| answer.status == 429).expect("the others are refused");
    assert!(refused.text().contains("(768 of it held for requests under way)"), "{}", refused.text());
    assert_eq!(charged(&gateway).completion, 15, "what it cost, and not what was held");
    assert_eq!(number(&level(&gateway, "acme", "tested"), "used"), 15);
    assert_eq!(post(OPENAI_CHAT, &hello_m("")).send(gateway.http).status, 200);
}

#[test]
fn a_stream_whose_limit_does_not_cut_finishes_and_leaves_a_debt() {
    let (_mock, gateway) =
        start_metered(&limited("- {name: tested, per: tenant, tokens: 100/month, counts: completion}"));
    let request =
        post(PANGU_CHAT, &hello(r#","stream":true,"max_tokens":10"#)).header("x-mock-tokens", "250");
    let answer = request.send(gateway.http);
    assert!(answer.whole && answer.text().trim_end().ends_with("[DONE]"), "{}", answer.text());
    assert!(!said(&answer.text()).is_empty());
    assert_eq!(charged(&gateway).completion, 250);
    assert_eq!(number(&level(&gateway, "acme", "tested"), "debt"), 150);
    assert_eq!(request.send(gateway.http).status, 429);
}

#[test]
fn a_request_above_the_whole_limit_is_admitted_when_nothing_else_is() {
    let (_mock, gateway) =
        start_metered(&limited("- {name: tested, per: tenant, tokens: 10/month, counts: completion}"));
    let request = || post(OPENAI_CHAT, &hello_m(r#","max_tokens":100"#)).header("x-mock-tokens", "4");
    assert_eq!(request().send(gateway.http).status, 200);
    charged(&gateway);
    assert_eq!(request().send(gateway.http).status, 429, "now something is used");
}

#[test]
fn a_large_request_that_is_refused_does_not_stand_in_the_way_of_small_ones() {
    let (_mock, gateway) =
        start_metered(&limited("- {name: tested, per: tenant, tokens: 100/h, counts: completion}"));
    let request = |max: u32| post(OPENAI_CHAT, &hello_m(&format!(r#","max_tokens":{max}"#)));
    for _ in 0..5 {
        assert_eq!(request(1).send(gateway.http).status, 200);
        charged(&gateway);
        assert_eq!(request(100).send(gateway.http).status, 429);
    }
}

#[test]
fn a_request_is_judged_when_all_of_it_is_there() {
    let limit = "- {name: tested, per: tenant+model, requests: 60/min, burst: 1}";
    let (_mock, gateway) = start_metered(&limited(limit));
    assert_eq!(post(OPENAI_CHAT, &hello_m("")).send(gateway.http).status, 200);
    let request = post(OPENAI_CHAT, &hello_m("")).to_bytes();
    let (most, rest) = request.split_at(request.len() - 3);
    let mut conn = Conn::open(gateway.http);
    conn.send(most);
    std::thread::sleep(Duration::from_millis(1100));
    conn.send(rest);
    assert_eq!(
        conn.response().map(|answer| answer.status),
        Some(200),
        "there is room since a tenth of a second"
    );
}
