//! Silence in a call: one end may say nothing for as long as it likes while the other one talks.

use super::*;
use harness::Http2Backend;
use harness::http2_backend::Frame;

/// Calls that end after a second in which nobody says anything.
fn in_front_of(backend: &Http2Backend) -> (Gateway, Http2) {
    let authority = Authority::new();
    let policy = POLICY.replace("first_byte: 2s, idle: 2s", "first_byte: 2s, idle: 1s");
    let setup = Setup::in_front_of(backend.address).https().policy(&policy);
    authority.issue("one", &["gateway.test"]).write(&setup.certs(), "default");
    let gateway = setup.start();
    let http2 = Http2::open(gateway.https, &authority, "gateway.test");
    (gateway, http2)
}

#[test]
fn a_caller_may_be_silent_while_its_backend_talks() {
    let backend = Http2Backend::start(|mut wire, _| {
        let Some(asked) = wire.message() else { return };
        wire.head(asked.stream);
        for _ in 0..8 {
            std::thread::sleep(ms(300));
            wire.say(&Frame::data(asked.stream, message(b"news")));
        }
        wire.end(asked.stream, "0");
        wire.message();
    });
    let (_gateway, mut http2) = in_front_of(&backend);
    let (_says_nothing, body) = harness::http2::channel();
    let answer = http2.send(call("/mock.Echo/Listen").body(body).unwrap()).expect("a head");
    assert_eq!(read(&http2, answer), (message(b"news").repeat(8), Some("0".into()), None));
}

#[test]
fn a_backend_may_be_silent_while_its_caller_talks() {
    let backend = Http2Backend::start(|mut wire, _| {
        while let Some(asked) = wire.message() {
            wire.head(asked.stream);
            if wire.request().is_some() {
                wire.say(&Frame::data(asked.stream, message(b"all heard")));
                wire.end(asked.stream, "0");
            }
        }
    });
    let (gateway, mut http2) = in_front_of(&backend);
    let (sender, body) = harness::http2::channel();
    let answer = http2.send(call("/mock.Echo/Tell").body(body).unwrap()).expect("a head");
    for _ in 0..6 {
        std::thread::sleep(ms(400));
        assert!(sender.send(message(b"more").into()).is_ok(), "the call has ended");
    }
    drop(sender);
    assert_eq!(read(&http2, answer), (message(b"all heard"), Some("0".into()), None));

    // When neither says anything, it ends.
    let (_says_nothing, body) = harness::http2::channel();
    let answer = http2.send(call("/mock.Echo/Tell").body(body).unwrap()).expect("a head");
    assert_eq!(read(&http2, answer).1.as_deref(), Some("4"));
    gateway.access_line("it ended", |line| line["grpc_status"] == 4);
}
