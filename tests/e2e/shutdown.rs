//! The end: requests in flight finish, new ones go elsewhere, and a second signal does not wait.

use crate::support::*;
use harness::{Conn, Mock, Request, Setup, eventually, now};
use std::net::TcpStream;

#[test]
fn a_running_stream_is_finished_before_the_end() {
    let (_mock, mut gateway) = start();
    let mut conn = Conn::open(gateway.http);
    conn.send(keyed_stream(20, ms(100)).to_bytes());
    conn.head().expect("the stream starts");
    conn.chunk().expect("a chunk");

    gateway.process.signal("TERM");
    eventually("no new connection is served", secs(1), || {
        let Ok(stream) = TcpStream::connect(gateway.http) else { return Some(()) };
        drop(stream);
        None
    });
    let mut last = Vec::new();
    while let Some(chunk) = conn.chunk().filter(|chunk| !chunk.is_empty()) {
        last = chunk;
    }
    assert!(String::from_utf8_lossy(&last).contains("[DONE]"), "cut at {:?}", String::from_utf8_lossy(&last));
    let status = gateway.process.wait(secs(3)).expect("it ends when the stream has");
    assert_eq!(status.code(), Some(0), "{}", gateway.process.stderr());
}

#[test]
fn idle_connections_do_not_hold_up_the_end() {
    let (_mock, mut gateway) = start();
    let mut idle = Conn::open(gateway.http);
    idle.send(Request::get("/open/a").to_bytes());
    assert!(idle.response().is_some());
    let fresh = Conn::open(gateway.http);
    gateway.process.signal("TERM");
    assert_eq!(gateway.process.wait(secs(2)).and_then(|status| status.code()), Some(0));
    drop(fresh);
}

#[test]
fn an_answer_while_draining_announces_the_close() {
    let (_mock, gateway) = start();
    let mut conn = Conn::open(gateway.http);
    conn.send(keyed_chat().header("x-mock-latency-ms", "500").to_bytes());
    std::thread::sleep(ms(100)); // the request is on its way
    gateway.process.signal("TERM");
    let answer = conn.response().expect("it is still answered");
    assert_eq!(answer.status, 200);
    assert!(conn.closes(secs(1)));
}

#[test]
fn a_second_signal_ends_at_once() {
    let (_mock, mut gateway) = start();
    let mut conn = Conn::open(gateway.http);
    conn.send(keyed_stream(1000, ms(100)).to_bytes());
    conn.head().expect("the stream starts");
    gateway.process.signal("TERM");
    assert!(gateway.process.wait(ms(300)).is_none(), "the first one drains");
    gateway.process.signal("TERM");
    assert!(gateway.process.wait(secs(1)).is_some(), "the second one does not");
}

#[test]
fn draining_ends_when_its_time_is_up() {
    let mock = Mock::start();
    let mut gateway = Setup::new(&mock).set("timeouts", "{drain: 1s}").start();
    let mut conn = Conn::open(gateway.http);
    conn.send(keyed_stream(1000, ms(100)).to_bytes());
    conn.head().expect("the stream starts");
    let start = now();
    gateway.process.signal("INT");
    assert!(gateway.process.wait(secs(4)).is_some(), "it drains for longer than it may");
    assert!(start.elapsed() > ms(800), "it did not wait at all");
}

#[test]
fn what_the_end_of_a_drain_cuts_is_no_caller_who_left() {
    let mock = Mock::start();
    let mut gateway = Setup::new(&mock).set("timeouts", "{drain: 1s}").start();
    let (mut answered, mut waiting) = (Conn::open(gateway.http), Conn::open(gateway.http));
    answered.send(keyed_stream(1000, ms(100)).to_bytes());
    answered.head().expect("the stream starts");
    waiting.send(keyed_chat().header("x-mock-latency-ms", "20000").to_bytes());
    let mut left = Conn::open(gateway.http);
    left.send(keyed_stream(1000, ms(100)).to_bytes());
    left.head().expect("the stream starts");
    drop(left);
    gateway.access_line("a caller has left", |line| line["outcome"] == "cancelled");
    gateway.process.signal("TERM");
    assert!(gateway.process.wait(secs(4)).is_some(), "it drains for longer than it may");
    for status in [200, 503] {
        let line = gateway
            .access_line("it is logged", |line| line["status"] == status && line["outcome"] == "drained");
        assert!(line["detail"].as_str().is_some_and(|why| why.contains("timeouts.drain")), "{line}");
    }
}

#[test]
fn readiness_goes_before_liveness() {
    let (_mock, mut gateway) = start();
    let mut conn = Conn::open(gateway.http);
    conn.send(keyed_stream(20, ms(100)).to_bytes());
    conn.head().expect("the stream starts");
    gateway.process.signal("TERM");
    eventually("not ready any more", secs(1), || (gateway.admin("/readyz").status == 503).then_some(()));
    assert_eq!(gateway.admin("/livez").status, 200);
    assert!(gateway.process.wait(secs(5)).is_some());
}
