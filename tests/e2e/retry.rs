//! Trying again: what can be hidden from a caller is hidden, nothing is done twice, nothing is paid for twice.

mod fallback;
mod gone;
mod storm;

use crate::support::*;
use harness::{Conn, Gateway, Mock, Request, Response, Setup, eventually};
use std::net::SocketAddr;

const ALL: &str =
    "retry: {on: [connect, reset, 429, 502, 503, 504, first_byte], first_byte: 300ms, hold_max: 1KiB}";
const POSTS_TOO: &str =
    "retry: {on: [connect, reset, 429, 502, 503, 504, first_byte], first_byte: 300ms, repeat_post: true}";

/// Port 1 of loopback: nobody listens there.
const NOBODY: &str = "127.0.0.1:1";

/// A gateway before `first`, `second` and, for fallbacks, `small`; both routes have `retry`.
fn gateway(first: &str, second: &str, small: &str, retry: &str) -> Gateway {
    let policy = include_str!("retry/policy.yaml")
        .replace("FIRST", first)
        .replace("SECOND", second)
        .replace("SMALL", small)
        .replace("# more chat", retry)
        .replace("# more plain", retry);
    let any: SocketAddr = NOBODY.parse().expect("an address");
    Setup::in_front_of(any).policy(&policy).start()
}

fn pair(retry: &str) -> (Mock, Mock, Gateway) {
    let (first, second) = (Mock::start(), Mock::start());
    let gateway = gateway(&first.address.to_string(), &second.address.to_string(), NOBODY, retry);
    (first, second, gateway)
}

fn post() -> Request {
    Request::post("/mock/echo", r#"{"a": 1}"#)
}

fn get() -> Request {
    Request::get("/mock/status/200")
}

/// Sum of a metric's series whose labels contain all of `labels`.
fn metric(gateway: &Gateway, name: &str, labels: &[&str]) -> u64 {
    let text = gateway.admin("/metrics").text();
    let series = text.lines().filter(|line| {
        line.starts_with(name) && labels.iter().all(|label| line.contains(label)) && !line.starts_with('#')
    });
    series.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

fn logged(gateway: &Gateway, answer: &Response) -> serde_json::Value {
    let id = answer.header("x-request-id").expect("every answer has an id").to_owned();
    gateway.access_line("its line is written", |line| line["request_id"] == id.as_str())
}

/// What a limit of `acme` has counted, once nothing is held any more.
fn used(gateway: &Gateway, limit: &str) -> u64 {
    eventually("all holds end", secs(10), || {
        let state = gateway.admin("/limits?tenant=acme").json();
        let limits = state["limits"].as_array().expect("a list of limits").clone();
        let held: u64 = limits.iter().map(|level| amount(&level["held"])).sum();
        let level = limits.iter().find(|level| level["limit"] == limit).expect("the limit is there");
        (held == 0).then(|| amount(&level["used"]))
    })
}

#[test]
fn what_proves_that_nobody_worked_on_it_is_hidden_from_every_caller_and_the_rest_from_those_who_may_repeat() {
    let (first, second, gateway) = pair(ALL);
    for (fault, why, status, proves) in [
        ("status:429", "429", 429, true),
        ("status:503", "503", 503, true),
        ("status:502", "502", 502, false),
        ("status:504", "504", 504, false),
        ("reset-head", "reset", 502, false),
        ("hang-head", "first_byte", 504, false),
    ] {
        first.behave(&format!(r#"{{"faults": ["{fault}"]}}"#));
        for (kind, request, repeatable) in [
            ("post", post(), false),
            ("post with a key", post().header("idempotency-key", "k-1"), true),
            ("get", get(), true),
        ] {
            let before = (first.requests(), second.requests());
            let answer = request.send(gateway.http);
            let expected = if proves || repeatable { 200 } else { status };
            assert_eq!(answer.status, expected, "{kind} after {fault}: {}", answer.text());
            let asked = (first.requests() - before.0, second.requests() - before.1);
            assert_eq!(asked, (1, u64::from(proves || repeatable)), "{kind} after {fault}");
        }
        let reason = format!("reason=\"{why}\"");
        let hidden = if proves { 3 } else { 2 };
        let counted = metric(&gateway, "gateway_retries_total", &[&reason, "outcome=\"ok\""]);
        assert_eq!(counted, hidden, "{fault}");
    }
    assert!(second.last(100).iter().any(|seen| seen.values("idempotency-key") == ["k-1"]), "unchanged");
}

#[test]
fn a_rule_may_say_that_posts_are_repeated() {
    let (first, second, gateway) = pair(POSTS_TOO);
    for fault in ["reset-head", "status:502", "hang-head"] {
        first.behave(&format!(r#"{{"faults": ["{fault}"]}}"#));
        let answer = post().send(gateway.http);
        assert_eq!((answer.status, answer.text().as_str()), (200, r#"{"a": 1}"#), "after {fault}");
        let line = logged(&gateway, &answer);
        assert_eq!(line["attempts"], 2, "{line}");
        assert_eq!(line["backend"], second.address.to_string().as_str(), "{line}");
    }
}

#[test]
fn without_a_rule_nobody_else_is_asked() {
    let (first, second, gateway) = pair("unlimited: nothing here costs anything");
    first.behave(r#"{"faults": ["status:503"]}"#);
    assert_eq!(get().send(gateway.http).status, 503);
    assert_eq!((first.requests(), second.requests()), (1, 0));
}

#[test]
fn after_a_connection_that_never_was_any_body_goes_elsewhere() {
    let second = Mock::start();
    let gateway = gateway(NOBODY, &second.address.to_string(), NOBODY, ALL);
    let long = "x".repeat(64 * 1024);
    for body in ["", "short", &long] {
        let answer = Request::post("/mock/echo", body).send(gateway.http);
        assert_eq!((answer.status, answer.text().as_str()), (200, body));
    }
}

#[test]
fn a_body_that_is_not_held_is_sent_once() {
    let (first, second, gateway) = pair(ALL);
    first.behave(r#"{"faults": ["status:503"]}"#);
    assert_eq!(Request::post("/mock/echo", "x".repeat(1024)).send(gateway.http).status, 200);
    let answer = Request::post("/mock/echo", "x".repeat(1025)).send(gateway.http);
    assert_eq!(answer.status, 503, "longer than `hold_max`");
    let mut chunked = Conn::open(gateway.http);
    chunked
        .send("POST /mock/echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n");
    assert_eq!(chunked.response().expect("an answer").status, 503, "of no declared length");
    assert_eq!((first.requests(), second.requests()), (3, 1));
}

#[test]
fn an_attempt_is_given_up_only_if_another_one_follows() {
    let (first, second, gateway) = pair(ALL);
    first.behave(r#"{"latency_ms": 1200}"#);
    assert_eq!(post().send(gateway.http).status, 200, "a POST has nowhere to go, and gets the whole time");
    assert_eq!((first.requests(), second.requests()), (1, 0));
    second.behave(r#"{"latency_ms": 1200}"#);
    assert_eq!(get().send(gateway.http).status, 200, "and so does the last attempt");
    assert_eq!((first.requests(), second.requests()), (2, 1));
}

#[test]
fn a_stream_goes_elsewhere_before_its_first_token_and_is_charged_once() {
    let (first, second, gateway) = pair(POSTS_TOO);
    first.behave(r#"{"ttft_ms": 20000}"#);
    let answer = keyed_stream(20, ms(1)).send(gateway.http);
    assert_eq!((answer.status, answer.whole), (200, true));
    assert_eq!((first.requests(), second.requests()), (1, 1));
    let journal = second.journal();
    let told = (journal[0].prompt_tokens, u64::from(journal[0].completion_tokens));
    assert_eq!(told.1, 20);
    assert_eq!((used(&gateway, "prompt"), used(&gateway, "completion")), told, "the answer that went down");
    assert_eq!(used(&gateway, "day"), 1, "and one request");
    assert_eq!(logged(&gateway, &answer)["attempts"], 2);
}

#[test]
fn nobody_else_is_asked_once_a_byte_has_gone_down() {
    let (first, second, gateway) = pair(POSTS_TOO);
    for fault in ["truncate", "reset-mid"] {
        first.behave(&format!(r#"{{"faults": ["{fault}"]}}"#));
        let answer = keyed_stream(20, ms(1)).send(gateway.http);
        assert_eq!((answer.status, answer.whole), (200, false), "{fault}");
    }
    assert_eq!((first.requests(), second.requests()), (2, 0));
}

#[test]
fn as_many_are_asked_as_the_route_says_and_no_more() {
    let mocks: [Mock; 3] = std::array::from_fn(|_| Mock::start());
    let [first, second, third] = mocks.each_ref().map(|mock| mock.address.to_string());
    mocks.iter().for_each(|mock| mock.behave(r#"{"faults": ["status:503"]}"#));
    let two = format!("{first}\", weight: 1000}}, {{url: \"http://{second}");
    let gateway = gateway(&two, &third, NOBODY, "retry: {on: [503], attempts: 2}");
    assert_eq!(get().send(gateway.http).status, 503);
    assert_eq!(mocks.iter().map(Mock::requests).sum::<u64>(), 2);
}

#[test]
fn what_was_refused_and_then_reached_nobody_costs_nothing() {
    let first = Mock::start();
    first.behave(r#"{"faults": ["status:503"]}"#);
    let gateway = gateway(&first.address.to_string(), NOBODY, NOBODY, ALL);
    assert_eq!(keyed_chat().send(gateway.http).status, 502);
    assert_eq!((first.requests(), used(&gateway, "prompt")), (1, 0));
}

#[test]
fn what_failed_everywhere_is_answered_by_what_came_last_and_costs_nothing_unless_it_may_have_been_done() {
    let (first, second, gateway) = pair(ALL);
    for (one, other, status) in [
        ("status:503", "status:429", 429),
        ("status:503:7", "reset-head", 502),
        ("status:429", "status:503", 503),
    ] {
        first.behave(&format!(r#"{{"faults": ["{one}"]}}"#));
        second.behave(&format!(r#"{{"faults": ["{other}"]}}"#));
        assert_eq!(keyed_chat().send(gateway.http).status, status);
        let charged = used(&gateway, "prompt");
        assert_eq!(charged > 0, other == "reset-head" || charged > 0 && status == 503, "{one}, then {other}");
    }
    assert_eq!(metric(&gateway, "gateway_retries_total", &["route=\"chat\"", "outcome=\"failed\""]), 3);
}
