//! A body that passes can be had once: what an attempt has taken of it, no other can send.

use super::*;
use harness::Http2Backend;
use harness::http2_backend::{DATA, REFUSED_STREAM};
use std::sync::{Arc, Mutex};

#[test]
fn what_a_backend_gives_back_goes_elsewhere_only_if_its_body_is_still_here() {
    let given_back = Http2Backend::start(|mut wire, _| {
        while let Some(stream) = wire.request() {
            wire.cancel(stream, REFUSED_STREAM);
        }
    });
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let seen = bodies.clone();
    let serving = Http2Backend::start(move |mut wire, _| {
        let mut body = Vec::new();
        while let Some(frame) = wire.message() {
            if frame.kind == DATA {
                body.extend_from_slice(&frame.payload);
            }
            if frame.flags & 1 != 0 {
                seen.lock().unwrap().push(std::mem::take(&mut body));
                wire.answer(frame.stream, b"ok");
            }
        }
    });
    let policy = include_str!("policy.yaml")
        .replace("FIRST", &given_back.address.to_string())
        .replace("SECOND", &serving.address.to_string())
        .replace("SMALL", NOBODY)
        .replace("name: models\n    backends", "name: models\n    protocol: h2\n    backends")
        .replace("# more plain", ALL)
        .replace("# more chat", ALL);
    let gateway = Setup::in_front_of(given_back.address).policy(&policy).start();

    assert_eq!(Request::post("/mock/a", "held").send(gateway.http).status, 200);
    let mut chunked = Conn::open(gateway.http);
    chunked
        .send("POST /mock/a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n4\r\ngone\r\n0\r\n\r\n");
    assert_eq!(chunked.response().expect("an answer").status, 502, "its body is no longer there");
    assert_eq!(
        Request::post("/mock/a", "x".repeat(1025)).send(gateway.http).status,
        502,
        "nor is a long one"
    );
    assert_eq!(*bodies.lock().unwrap(), [b"held"], "nobody gets a request without its body");
}
