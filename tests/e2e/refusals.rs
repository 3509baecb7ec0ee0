//! Saying no: in the dialect of the route, with the headers clients act on.

use crate::support::*;
use harness::gateway::BATCH_APP_CODE;
use harness::{Request, Response};

/// [`harness::gateway::BASE`] with room for one request a day on every route.
fn exhausted() -> String {
    harness::gateway::BASE.replace("100000/s", "1/day")
}

fn apig(answer: &Response, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    let body = answer.json();
    assert_eq!(body["error_code"], code, "{body}");
    assert!(body["error_msg"].as_str().is_some_and(|text| text.len() > 10), "{body}");
    assert_eq!(body["request_id"].as_str(), answer.header("x-request-id"), "{body}");
}

#[test]
fn a_429_says_which_limit_how_much_and_when() {
    let (mock, gateway) = start_with(&exhausted());
    let request = Request::post(PANGU_CHAT, r#"{"messages":[{"role":"user","content":"hello"}]}"#)
        .header("X-Apig-AppCode", BATCH_APP_CODE);
    assert_eq!(request.send(gateway.http).status, 200);
    let answer = request.send(gateway.http);
    apig(&answer, 429, "APIG.0308");
    let message = answer.json()["error_msg"].as_str().expect("a text").to_owned();
    assert!(message.contains("Limit 1 per 1d"), "how much: {message}");
    assert!(message.contains("reached for"), "at which level: {message}");
    assert!(message.contains("try again in"), "when: {message}");

    for name in
        ["retry-after", "retry-after-ms", "x-ratelimit-limit-requests", "x-ratelimit-remaining-requests"]
    {
        let value = answer.header(name).unwrap_or_else(|| panic!("no {name}"));
        assert!(value.parse::<u64>().is_ok(), "{name}: {value}");
    }
    assert_eq!(answer.header("x-ratelimit-limit-requests"), Some("1"));
    assert_eq!(answer.header("x-ratelimit-remaining-requests"), Some("0"));
    let reset = answer.header("x-ratelimit-reset-requests").expect("a reset");
    assert!(reset.ends_with('s') && reset.starts_with(|c: char| c.is_ascii_digit()), "{reset}");
    let policy = answer.header("ratelimit-policy").expect("a RateLimit-Policy");
    assert!(policy.starts_with('"') && policy.contains(";q=1;w=86400"), "{policy}");
    let standing = answer.header("ratelimit").expect("a RateLimit");
    let until: u64 = standing.rsplit(";t=").next().and_then(|t| t.parse().ok()).expect("a t");
    assert!(standing.contains(";r=0;"), "{standing}");
    let retry: u64 = answer.header("retry-after").and_then(|value| value.parse().ok()).expect("a number");
    assert!(retry >= 1 && retry >= until, "Retry-After {retry} is earlier than t={until}");
    assert_eq!(mock.requests(), 1);
}

#[test]
fn openai_routes_speak_both_dialects() {
    let (_mock, gateway) = start_with(&exhausted());
    assert_eq!(keyed_chat().send(gateway.http).status, 200);
    let answer = keyed_chat().send(gateway.http);
    apig(&answer, 429, "APIG.0308");
    let error = &answer.json()["error"];
    assert_eq!(error["code"], "rate_limit_exceeded", "{error}");
    assert!(error["type"].is_string(), "{error}");
    assert!(error["message"].as_str().is_some_and(|text| text.contains("try again in")), "{error}");
}

#[test]
fn each_refusal_has_its_code() {
    let (mock, gateway) = start();
    apig(&Request::get("/nowhere").send(gateway.http), 404, "APIG.0101");
    let method = Request::get(PANGU_CHAT).send(gateway.http);
    apig(&method, 405, "APIG.0101");
    assert_eq!(method.header("allow"), Some("POST"));
    apig(&Request::post(PANGU_CHAT, "{}").send(gateway.http), 401, "APIG.0301");
    apig(&Request::get("/open/a//b").send(gateway.http), 400, "APIG.0201");
    apig(&Request::post("/open/a", vec![b'x'; 100_000]).send(gateway.http), 413, "APIG.0201");
    assert_eq!(mock.requests(), 0);
}

#[test]
fn an_upstream_that_is_not_there_is_502_and_one_that_is_silent_504() {
    let (mock, gateway) = start_with(
        &harness::gateway::BASE.replace("api: openai\n", "api: openai\n    timeouts: {first_byte: 300ms}\n"),
    );
    let silent = keyed_chat().header("x-mock-latency-ms", "5000").send(gateway.http);
    apig(&silent, 504, "APIG.0203");
    drop(mock);
    apig(&keyed_chat().send(gateway.http), 502, "APIG.0202");
}

#[test]
fn every_answer_carries_an_id_of_its_own() {
    let (_mock, gateway) = start();
    let id = |request: Request| request.send(gateway.http).header("x-request-id").expect("an id").to_owned();
    let ids = [id(keyed_chat()), id(keyed_chat()), id(chat()), id(Request::get("/nowhere"))];
    for (i, one) in ids.iter().enumerate() {
        assert!(one.len() >= 16, "{one}");
        assert!(!ids[i + 1..].contains(one), "{ids:?}");
    }
}

#[test]
fn a_caller_that_asks_gets_rate_headers_on_every_answer() {
    let policy = harness::gateway::BASE
        .replace("api: openai\n", "api: openai\n    rate_headers: true\n")
        .replace("100000/s", "5/day");
    let (_mock, gateway) = start_with(&policy);
    for remaining in (0..5).rev() {
        let answer = keyed_chat().send(gateway.http);
        assert_eq!(answer.status, 200);
        let told = answer.header("x-ratelimit-remaining-requests").expect("on every answer");
        assert_eq!(told, remaining.to_string());
    }
    assert_eq!(keyed_chat().send(gateway.http).status, 429, "remaining 0 means the next is refused");
}

#[test]
fn the_guard_refuses_a_flood_before_any_credential_is_read() {
    let policy = format!("guard: {{per_address: 20/s}}\n{}", harness::gateway::BASE);
    let (mock, gateway) = start_with(&policy);
    let answers: Vec<u16> = (0..200).map(|_| bearer(chat(), "wrong").send(gateway.http).status).collect();
    assert!(answers.contains(&429), "no flood was noticed");
    assert!(answers.contains(&401), "nobody was let through at all");
    assert_eq!(mock.requests(), 0);
}
