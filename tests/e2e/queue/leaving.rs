//! Callers who leave while they wait.

use super::*;
use harness::Conn;
use harness::certs::Authority;
use harness::http2::{Http2, sized};

/// What is left of a caller who has left: a line in the log, and nothing else.
fn assert_gone(mock: &Mock, gateway: &Gateway, case: &str) {
    until(gateway, 1, 0);
    let line = gateway.access_line("it is logged", |line| line["tenant"] != "hooli");
    assert_eq!(
        (line["status"].as_u64(), line["outcome"].as_str()),
        (Some(499), Some("cancelled")),
        "{case}: {line}"
    );
    assert!(line["queued_us"].as_u64() > Some(0), "{case}: {line}");
    let limits = gateway.admin("/limits?tenant=acme").json();
    for limit in limits["limits"].as_array().expect("limits").iter().filter(|limit| limit["limit"] != "rps") {
        assert!(limit["used"] == 0 && limit["held"] == 0, "{case}: {limit}");
    }
    assert_eq!(mock.requests(), 1, "{case}");
}

#[test]
fn a_caller_that_closes_its_connection_gives_its_place_up() {
    let get = Request::get("/mock/bytes/10");
    let large = bearer(Request::post(ECHO, vec![b'x'; 300_000]), &key_of("acme"));
    for (case, request) in [
        ("metered", slow(OPENAI_CHAT, "acme", ms(0))),
        ("plain", slow(ECHO, "acme", ms(0))),
        ("large", large),
        ("without a body", get),
    ] {
        let (mock, gateway) = start(&policy("{in_flight_max: 1, adapt: false}"));
        let mut sent = send_in_order(&gateway, 1, vec![slow(OPENAI_CHAT, "hooli", ms(1500))]);
        let mut leaver = Conn::open(gateway.http);
        leaver.send(request.to_bytes());
        until(&gateway, 1, 1);
        drop(leaver);
        assert_gone(&mock, &gateway, case);
        assert_eq!(answer(sent.remove(0)).status, 200);
        assert_eq!(slow(OPENAI_CHAT, "acme", ms(0)).send(gateway.http).status, 200);
        assert_eq!(mock.requests(), 2, "{case}: it is never sent");
    }
}

#[test]
fn a_caller_that_resets_its_stream_gives_its_place_up() {
    let mock = Mock::start();
    let authority = Authority::new();
    let setup = setup(mock.address, &policy("{in_flight_max: 1, adapt: false}")).https();
    authority.issue("one", &["gateway.test"]).write(&setup.certs(), "gateway");
    let gateway = setup.start();
    let mut sent = send_in_order(&gateway, 1, vec![slow(OPENAI_CHAT, "hooli", ms(1500))]);

    let mut h2 = Http2::open(gateway.https, &authority, "gateway.test");
    let request = http::Request::post("https://gateway.test/v1/chat/completions")
        .header("authorization", format!("Bearer {}", key_of("acme")))
        .body(sized(slow(OPENAI_CHAT, "acme", ms(0)).body().to_vec()))
        .expect("a request");
    h2.give_up(request, || until(&gateway, 1, 1));
    assert_gone(&mock, &gateway, "h2");
    assert_eq!(answer(sent.remove(0)).status, 200);
    assert_eq!(slow(OPENAI_CHAT, "acme", ms(0)).send(gateway.http).status, 200);
    assert_eq!(mock.requests(), 2, "it is never sent");
}
