//! Streams: chunks leave at once, and a caller that leaves takes the upstream request with it.

use crate::support::*;
use harness::gateway::CHAT_API_KEY;
use harness::http2::{Http2, sized};
use harness::{Conn, eventually, now};

#[test]
fn chunks_leave_as_they_come() {
    let (_mock, gateway) = start();
    let mut conn = Conn::open(gateway.http);
    conn.send(keyed_stream(10, ms(100)).to_bytes());
    let answer = conn.response().expect("an answer");
    assert_eq!(answer.status, 200);
    assert!(answer.whole && answer.text().trim_end().ends_with("[DONE]"), "{}", answer.text());
    assert_eq!(answer.header("content-type").map(|t| t.starts_with("text/event-stream")), Some(true));

    let data: Vec<_> = answer.chunks.iter().filter(|(_, chunk)| chunk.starts_with(b"data:")).collect();
    assert!(data.len() >= 10, "{} chunks: some were held back and joined", data.len());
    let spread = data[data.len() - 1].0 - data[0].0;
    assert!(spread > ms(700), "all chunks within {spread:?}: they were buffered");
}

#[test]
fn pangu_streams_pass_byte_for_byte() {
    let (mock, gateway) = start();
    let body = r#"{"messages":[{"role":"user","content":"hello"}],"stream":true}"#;
    let request = harness::Request::post(PANGU_CHAT, body)
        .header("x-apig-appcode", harness::gateway::BATCH_APP_CODE)
        .header("x-mock-tokens", "5");
    let through = request.send(gateway.http);
    let direct = request.send(mock.address);
    assert_eq!(through.status, 200, "{}", through.text());
    let shape = |text: String| text.matches("data:{").count();
    assert!(shape(through.text()) >= 5, "{}", through.text());
    assert_eq!(shape(through.text()), shape(direct.text()), "{}", through.text());
    assert!(through.text().contains("data:[DONE]"), "{}", through.text());
}

#[test]
fn a_caller_that_closes_cancels_the_upstream() {
    let (mock, gateway) = start();
    let mut conn = Conn::open(gateway.http);
    conn.send(keyed_stream(1000, ms(50)).to_bytes());
    conn.head().expect("the stream starts");
    conn.chunk().expect("a chunk");
    let left = now();
    drop(conn);
    eventually("upstream is cancelled", secs(1), || (mock.count("cancelled") == 1).then_some(()));
    println!("upstream cancelled {:?} after the caller left", left.elapsed());
    let line = gateway
        .access_line("the cancelled request is logged", |line| line.to_string().contains("chat/completions"));
    assert!(line.to_string().contains("cancel") || line["status"] == 499, "{line}");
}

#[test]
fn a_caller_that_closes_before_the_first_byte_cancels_too() {
    let (mock, gateway) = start();
    let mut conn = Conn::open(gateway.http);
    conn.send(keyed_chat().header("x-mock-latency-ms", "30000").to_bytes());
    eventually("the request is upstream", secs(2), || (mock.requests() == 1).then_some(()));
    drop(conn);
    eventually("upstream is cancelled", secs(1), || (mock.count("cancelled") == 1).then_some(()));
}

#[test]
fn an_h2_reset_cancels_only_its_own_stream() {
    let (mock, authority, gateway) = start_https();
    let mut h2 = Http2::open(gateway.https, &authority, "gateway.test");
    let mut stream = |tokens: &str| {
        let body = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"hello"}]}"#;
        let request = http::Request::post("https://gateway.test/v1/chat/completions")
            .header("authorization", format!("Bearer {CHAT_API_KEY}"))
            .header("x-mock-tokens", tokens)
            .header("x-mock-token-every-ms", "50")
            .body(sized(body))
            .expect("a request");
        h2.send(request).expect("the stream starts")
    };
    let (long, short) = (stream("1000"), stream("30"));
    let mut long = long.into_body();
    assert!(h2.frame(&mut long).is_some());
    drop(long); // RST_STREAM
    eventually("upstream is cancelled", secs(1), || (mock.count("cancelled") == 1).then_some(()));
    let rest = h2.read(short.into_body()).expect("the other stream ends well");
    assert!(String::from_utf8_lossy(&rest).trim_end().ends_with("[DONE]"));
    assert_eq!(mock.count("cancelled"), 1);
}

#[test]
fn silence_in_a_stream_is_cut_off() {
    let policy =
        harness::gateway::BASE.replace("api: openai\n", "api: openai\n    timeouts: {idle: 300ms}\n");
    let (_mock, gateway) = start_with(&policy);
    let mut conn = Conn::open(gateway.http);
    let start = now();
    conn.send(keyed_stream(5, secs(5)).to_bytes());
    let answer = conn.response().expect("a head");
    assert!(!answer.whole, "a cut stream must not look whole");
    assert!(start.elapsed() < secs(8), "{:?}", start.elapsed());
}

#[test]
fn a_stream_may_not_outlive_its_total() {
    let policy = harness::gateway::BASE.replace("api: openai\n", "api: openai\n    timeouts: {total: 1s}\n");
    let (mock, gateway) = start_with(&policy);
    let mut conn = Conn::open(gateway.http);
    let start = now();
    conn.send(keyed_stream(1000, ms(20)).to_bytes());
    let answer = conn.response().expect("a head");
    assert!(!answer.whole && start.elapsed() < secs(3), "{:?}", start.elapsed());
    eventually("upstream is cancelled", secs(1), || (mock.count("cancelled") == 1).then_some(()));
}

#[test]
fn a_reader_that_stops_reading_is_cut_off() {
    let policy = harness::gateway::BASE
        .replace("api: openai\n", "api: openai\n    timeouts: {write: 1s, idle: 30s}\n");
    let (mock, gateway) = start_with(&policy);
    let mut conn = Conn::open(gateway.http);
    conn.send(keyed_stream(10_000_000, ms(0)).to_bytes());
    conn.head().expect("the stream starts");
    eventually("the stalled reader is reaped", secs(10), || (mock.count("cancelled") == 1).then_some(()));
    drop(conn);
}
