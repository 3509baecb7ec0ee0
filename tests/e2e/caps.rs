//! Caps: sizes are judged by what is declared and again by what arrives.

use crate::support::*;
use bytes::Bytes;
use harness::gateway::CHAT_API_KEY;
use harness::http2::{Http2, sized, unsized_body};
use harness::{Conn, Gateway, Request, Response};

const CAP: usize = 64 * 1024;

fn chunked(path: &str, body: &[u8], piece: usize) -> Vec<u8> {
    let mut bytes = format!(
        "POST {path} HTTP/1.1\r\nhost: gateway.test\r\nauthorization: Bearer {CHAT_API_KEY}\r\n\
         transfer-encoding: chunked\r\n\r\n"
    )
    .into_bytes();
    for chunk in body.chunks(piece) {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

fn raw(gateway: &Gateway, bytes: &[u8]) -> Response {
    let mut conn = Conn::open(gateway.http);
    conn.send(bytes);
    conn.response().expect("an answer, not a reset")
}

#[test]
fn a_body_of_exactly_the_cap_passes() {
    let (mock, gateway) = start();
    let body = vec![b'x'; CAP];
    assert_ne!(Request::post("/mock/echo", body.clone()).send(gateway.http).status, 413);
    assert_ne!(raw(&gateway, &chunked("/mock/echo", &body, 4096)).status, 413);
    assert_eq!(mock.whole(), 2);
}

#[test]
fn a_declared_length_over_the_cap_is_refused_before_the_body() {
    let (mock, gateway) = start();
    let head =
        format!("POST /mock/echo HTTP/1.1\r\nhost: gateway.test\r\ncontent-length: {}\r\n\r\n", CAP + 1);
    let answer = raw(&gateway, head.as_bytes());
    assert_eq!(answer.status, 413);
    assert_eq!(answer.json()["error_code"], "APIG.0201");
    assert!(answer.text().contains("65536"), "names the cap: {}", answer.text());
    assert_eq!(mock.requests(), 0);
}

#[test]
fn a_sender_that_does_not_wait_still_reads_its_413() {
    let (_mock, gateway) = start();
    for _ in 0..20 {
        let answer = Request::post("/mock/echo", vec![b'x'; CAP * 8]).send(gateway.http);
        assert_eq!(answer.status, 413);
    }
}

#[test]
fn chunks_one_byte_over_the_cap_are_refused_and_complete_nothing() {
    let (mock, gateway) = start();
    for piece in [1000, 4096, CAP + 1] {
        let answer = raw(&gateway, &chunked(OPENAI_CHAT, &vec![b'x'; CAP + 1], piece));
        assert_eq!(answer.status, 413, "in pieces of {piece}");
    }
    assert_eq!(mock.whole(), 0);
}

#[test]
fn an_answer_that_has_begun_is_cut_when_the_body_grows_over_the_cap() {
    let (mock, gateway) = start();
    let mut conn = Conn::open(gateway.http);
    conn.send(chunked("/mock/echo", &vec![b'x'; CAP * 4], 1000)); // the echo answers from the first byte on
    let answer = conn.response().expect("an answer");
    assert!(answer.status == 413 || !answer.whole, "{} bytes came back whole", answer.body.len());
    assert_eq!(mock.whole(), 0);
}

#[test]
fn a_signed_body_over_the_cap_is_refused() {
    let (mock, gateway) = start();
    let request = ALICE.sign(Request::post(PANGU_CHAT, vec![b' '; CAP + 1]));
    assert_eq!(request.send(gateway.http).status, 413);
    assert_eq!(mock.requests(), 0);
}

#[test]
fn h2_is_counted_while_it_is_read() {
    let (mock, authority, gateway) = start_https();
    let mut h2 = Http2::open(gateway.https, &authority, "gateway.test");
    let mut status = |body| {
        let request = http::Request::post("https://gateway.test/v1/chat/completions")
            .header("authorization", format!("Bearer {CHAT_API_KEY}"))
            .body(body)
            .expect("a request");
        h2.send(request).map(|answer| answer.status().as_u16())
    };
    let object = |length: usize| format!(r#"{{"x":"{}"}}"#, "x".repeat(length - 8)).into_bytes();
    let pieces =
        |length: usize| -> Vec<Bytes> { object(length).chunks(4096).map(Bytes::copy_from_slice).collect() };

    assert_eq!(status(sized(object(CAP + 1))).ok(), Some(413), "declared");
    assert_eq!(status(unsized_body(pieces(CAP + 1))).ok(), Some(413), "not declared");
    assert_eq!(mock.whole(), 0);
    assert_ne!(status(unsized_body(pieces(CAP))).ok(), Some(413), "exactly the cap");
    assert_eq!(mock.whole(), 1);
}

#[test]
fn heads_have_a_size_a_count_and_a_target_length() {
    let policy = harness::gateway::BASE.replace(
        "api: plain\n",
        "api: plain\n    caps: {head_max: 4KiB, headers_max: 20, target_max: 512B}\n",
    );
    let (mock, gateway) = start_with(&policy);
    let long = Request::get("/open/a").header("x-long", "x".repeat(5000));
    assert_eq!(long.send(gateway.http).status, 431);

    let many = (0..30).fold(Request::get("/open/a"), |request, i| request.header(&format!("x-{i}"), "1"));
    assert_eq!(many.send(gateway.http).status, 431);

    let target = Request::get(&format!("/open/{}", "x".repeat(600)));
    assert_eq!(target.send(gateway.http).status, 414);
    let query = Request::get(&format!("/open/a?{}", "x".repeat(600)));
    assert_eq!(query.send(gateway.http).status, 414);

    assert_eq!(mock.requests(), 0);
    assert!(Request::get("/open/a").header("x-fine", "x".repeat(2000)).send(gateway.http).status < 414);
}

#[test]
fn heads_beyond_every_route_are_refused_too() {
    let (mock, gateway) = start();
    let huge = Request::get("/open/a").header("x-huge", "x".repeat(300_000));
    assert_eq!(huge.send(gateway.http).status, 431);
    let many = (0..2000).fold(Request::get("/open/a"), |request, i| request.header(&format!("x-{i}"), "1"));
    assert_eq!(many.send(gateway.http).status, 431);
    let target = Request::get(&format!("/open/{}", "x".repeat(60_000)));
    assert!(matches!(target.send(gateway.http).status, 414 | 431));
    assert_eq!(mock.requests(), 0);
}

#[test]
fn expect_100_continue_is_answered_before_the_body() {
    let (mock, gateway) = start();
    let head =
        "POST /mock/echo HTTP/1.1\r\nhost: gateway.test\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n";
    let mut conn = Conn::open(gateway.http);
    conn.send(head);
    assert_eq!(conn.response().expect("an interim answer").status, 100);
    conn.send("hello");
    assert!(conn.response().expect("the answer").status != 413);
    assert_eq!(mock.whole(), 1);
}

#[test]
fn expect_100_continue_over_the_cap_is_refused_without_it() {
    let (mock, gateway) = start();
    let head = format!(
        "POST /mock/echo HTTP/1.1\r\nhost: gateway.test\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        CAP + 1
    );
    assert_eq!(raw(&gateway, head.as_bytes()).status, 413, "not 100 first");
    assert_eq!(mock.requests(), 0);
}

#[test]
fn expect_100_continue_without_a_credential_is_refused_without_it() {
    let (_mock, gateway) = start();
    let head = format!(
        "POST {PANGU_CHAT} HTTP/1.1\r\nhost: gateway.test\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n"
    );
    assert_eq!(raw(&gateway, head.as_bytes()).status, 401, "not 100 first");
}

#[test]
fn a_refusal_to_head_over_h2_has_no_body() {
    let (_mock, authority, gateway) = start_https();
    let mut h2 = Http2::open(gateway.https, &authority, "gateway.test");
    let request = http::Request::head("https://gateway.test/nowhere").body(sized("")).expect("a request");
    let (head, body) = h2.send(request).expect("an answer").into_parts();
    assert_eq!((head.status.as_u16(), h2.read(body).expect("its end").len()), (404, 0));
}
