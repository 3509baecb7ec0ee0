//! How much is in the pool at once.

use super::*;

#[test]
fn no_more_than_in_flight_max_reach_the_upstream_from_all_workers() {
    let mock = Mock::start();
    let policy = policy("{in_flight_max: 3, adapt: false}");
    let gateway = setup(mock.address, &policy).set("workers", "4").start();
    for target in [OPENAI_CHAT, ECHO] {
        mock.reset();
        let sent: Vec<_> = (0..32).map(|i| send(&gateway, slow(target, TENANTS[i % 5], ms(40)))).collect();
        for sent in sent {
            let answer = answer(sent);
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        assert_eq!((mock.requests(), mock.count("max_in_flight")), (32, 3), "{target}");
    }
    until(&gateway, 0, 0);
    assert_eq!(gate(&gateway)["let_in"], 64);
}

#[test]
fn what_needs_no_credential_waits_as_well() {
    let (mock, gateway) = start(&policy("{in_flight_max: 2, adapt: false}"));
    let request = || Request::get("/mock/bytes/10").header("x-mock-latency-ms", "50");
    let sent: Vec<_> = (0..8).map(|_| send(&gateway, request())).collect();
    assert!(sent.into_iter().all(|sent| answer(sent).status == 200));
    assert_eq!((mock.requests(), mock.count("max_in_flight")), (8, 2));
}

#[test]
fn tokens_in_flight_are_bounded_and_what_is_too_large_goes_alone() {
    let (mock, gateway) = start(&policy("{tokens_max: 100, adapt: false}"));
    // By the estimate each takes 256 tokens of answer, before anything is learned.
    let sent: Vec<_> = (0..4).map(|_| send(&gateway, slow(OPENAI_CHAT, "acme", ms(50)))).collect();
    assert!(sent.into_iter().all(|sent| answer(sent).status == 200));
    assert_eq!((mock.requests(), mock.count("max_in_flight")), (4, 1));
}

#[test]
fn a_stream_holds_its_place_to_its_end_and_no_longer() {
    let (_mock, gateway) = start(&policy("{in_flight_max: 1, adapt: false}"));
    let body = r#"{"model":"m","stream":true,"messages":[]}"#;
    let stream = bearer(Request::post(OPENAI_CHAT, body), &key_of("acme"));
    let stream = stream.header("x-mock-tokens", "10").header("x-mock-token-every-ms", "60");
    let sent = send_in_order(&gateway, 1, vec![stream, slow(OPENAI_CHAT, "globex", ms(0))]);
    let answers: Vec<Answered> = sent.into_iter().map(answered).collect();
    let waited = queued(&gateway, &answers[1].0).expect("it waited");
    assert!(waited > ms(300), "{waited:?}");
    assert!(answers[1].1 > answers[0].1 - ms(20), "the second one was served beside the stream");
}

#[test]
fn a_slow_upload_holds_no_place() {
    let (_mock, gateway) = start(&policy("{in_flight_max: 1, adapt: false}"));
    for target in [OPENAI_CHAT, ECHO] {
        let request = slow(target, "acme", ms(0)).to_bytes();
        let (most, rest) = request.split_at(request.len() - 5);
        let mut slow_conn = harness::Conn::open(gateway.http);
        slow_conn.send(most);
        std::thread::sleep(ms(50)); // its head is read by now
        let other = slow(OPENAI_CHAT, "globex", ms(0)).send(gateway.http);
        assert_eq!((other.status, queued(&gateway, &other)), (200, None), "{target}");
        slow_conn.send(rest);
        assert_eq!(slow_conn.response().map(|answer| answer.status), Some(200), "{target}");
    }
}

#[test]
fn a_place_comes_back_whatever_becomes_of_the_request() {
    let (_mock, gateway) = start(&policy("{in_flight_max: 1, adapt: false}"));
    for fault in ["status:500", "reset-head", "truncate", "reset-mid"] {
        slow(OPENAI_CHAT, "acme", ms(0)).header("x-mock-fault", fault).send(gateway.http);
        until(&gateway, 0, 0);
    }
    assert_eq!(slow(OPENAI_CHAT, "acme", ms(0)).send(gateway.http).status, 200);
}
