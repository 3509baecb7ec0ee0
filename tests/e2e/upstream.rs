//! Upstream trouble: what the caller gets when the model misbehaves.

use crate::support::*;
use harness::Conn;

#[test]
fn upstream_answers_pass_unchanged_whatever_their_status() {
    let (_mock, gateway) = start();
    for status in [400, 404, 429, 500, 503] {
        let answer = keyed_chat().header("x-mock-fault", format!("status:{status}")).send(gateway.http);
        assert_eq!(answer.status, status, "{}", answer.text());
    }
}

#[test]
fn an_upstream_that_resets_before_an_answer_is_502() {
    let (_mock, gateway) = start();
    let answer = keyed_chat().header("x-mock-fault", "reset-head").send(gateway.http);
    assert_eq!(answer.status, 502);
    assert_eq!(answer.json()["error_code"], "APIG.0202");
}

#[test]
fn a_stream_cut_upstream_is_cut_downstream() {
    let (_mock, gateway) = start();
    let mut conn = Conn::open(gateway.http);
    conn.send(keyed_stream(20, ms(10)).header("x-mock-fault", "truncate").to_bytes());
    let answer = conn.response().expect("a head");
    assert_eq!(answer.status, 200);
    assert!(!answer.whole, "half an answer must not look whole");
}

#[test]
fn upstream_connections_are_used_again() {
    let (mock, gateway) = start();
    for _ in 0..50 {
        assert_eq!(keyed_chat().send(gateway.http).status, 200);
    }
    assert!(mock.count("connections") <= 3, "{} connections for 50 requests", mock.count("connections"));
}
