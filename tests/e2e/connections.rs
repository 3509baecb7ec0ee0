//! Connections: caps before anything is read, and deadlines on what is.

use crate::support::*;
use harness::{Conn, Mock, Request, Setup, eventually, now};
use std::net::{IpAddr, Ipv4Addr};

/// Is this connection served? The cap closes a connection it does not let in.
fn served(conn: &mut Conn) -> bool {
    conn.send(Request::get("/open/a").to_bytes());
    conn.response().is_some()
}

fn from(last: u8, gateway: &harness::Gateway) -> Conn {
    let local = IpAddr::V4(Ipv4Addr::new(127, 0, 0, last));
    Conn::open_from(local, gateway.http).expect("the kernel accepts")
}

#[test]
fn one_address_gets_its_share_and_no_more() {
    let mock = Mock::start();
    let gateway = Setup::new(&mock).set("connections", "{max: 100, per_address: 4}").start();

    let mut four: Vec<Conn> = (0..4).map(|_| from(2, &gateway)).collect();
    assert!(four.iter_mut().all(served));
    assert!(!served(&mut from(2, &gateway)), "a fifth from the same address");
    assert!(served(&mut from(3, &gateway)), "another address has its own share");

    four.pop();
    eventually("a closed connection frees its place", secs(2), || {
        served(&mut from(2, &gateway)).then_some(())
    });
}

#[test]
fn all_addresses_share_the_global_cap() {
    let mock = Mock::start();
    let gateway = Setup::new(&mock).set("connections", "{max: 6, per_address: 4}").start();

    let mut six: Vec<Conn> = (0..6).map(|i| from(2 + i / 3, &gateway)).collect();
    assert!(six.iter_mut().all(served));
    assert!(!served(&mut from(9, &gateway)), "a seventh");
    assert_eq!(gateway.admin("/livez").status, 200, "the admin listener is not under the cap");

    six.clear();
    eventually("recovery", secs(2), || served(&mut from(9, &gateway)).then_some(()));
}

#[test]
fn a_slow_head_is_cut_off_in_total_not_per_read() {
    let mock = Mock::start();
    let gateway = Setup::new(&mock).set("timeouts", "{head: 1s}").start();
    let mut conn = Conn::open(gateway.http);
    let start = now();
    for byte in Request::get("/open/a").header("x-filler", "x".repeat(100)).to_bytes() {
        if !conn.send([byte]) || !conn.silent(ms(50)) {
            break;
        }
    }
    let took = start.elapsed();
    assert!(took > ms(900) && took < secs(2), "cut off after {took:?}");
    assert_eq!(mock.requests(), 0);
}

#[test]
fn a_connection_that_says_nothing_is_closed() {
    let mock = Mock::start();
    let gateway = Setup::new(&mock).set("timeouts", "{head: 1s, keep_alive: 1s}").start();
    let mut conn = Conn::open(gateway.http);
    assert!(conn.closes(secs(4)), "silent from the start");

    let mut conn = Conn::open(gateway.http);
    assert!(served(&mut conn));
    assert!(conn.closes(secs(4)), "silent after an answer");
}

#[test]
fn a_body_that_trickles_is_given_up() {
    let mock = Mock::start();
    let gateway = Setup::new(&mock).set("timeouts", "{body_rate_min: 1024, body_grace: 1s}").start();
    let mut conn = Conn::open(gateway.http);
    let key = harness::gateway::CHAT_API_KEY;
    conn.send(format!(
        "POST {OPENAI_CHAT} HTTP/1.1\r\nhost: gateway.test\r\nauthorization: Bearer {key}\r\ncontent-length: 4096\r\n\r\n"
    ));
    let start = now();
    while start.elapsed() < secs(8) && conn.send("x") && conn.silent(ms(100)) {}
    assert!(start.elapsed() < secs(5), "still taking bytes at 10 B/s");
    assert_eq!(conn.response().map(|answer| answer.status), Some(408));
}

#[test]
fn a_body_that_trickles_is_given_up_also_when_the_answer_has_begun() {
    let mock = Mock::start();
    let gateway = Setup::new(&mock).set("timeouts", "{body_rate_min: 1024, body_grace: 1s}").start();
    let mut conn = Conn::open(gateway.http);
    conn.send("POST /mock/echo HTTP/1.1\r\nhost: gateway.test\r\ncontent-length: 4096\r\n\r\n");
    eventually("upstream gives the connection up", secs(8), || {
        conn.send("x");
        std::thread::sleep(ms(50)); // a trickle
        (mock.count("requests") == 1 && mock.count("in_flight") == 0).then_some(())
    });
}

#[test]
fn a_slow_tls_handshake_is_cut_off() {
    let mock = Mock::start();
    let authority = harness::certs::Authority::new();
    let setup = Setup::new(&mock).https().set("timeouts", "{handshake: 1s}");
    authority.issue("one", &["gateway.test"]).write(&setup.certs(), "gateway");
    let gateway = setup.start();
    let mut conn = Conn::open(gateway.https);
    conn.send([0x16, 0x03, 0x01]); // the first bytes of a ClientHello
    assert!(conn.closes(secs(3)));
}

#[test]
fn keep_alive_serves_a_thousand_requests_on_one_connection() {
    let (mock, gateway) = start();
    let mut conn = Conn::open(gateway.http);
    for i in 0..1000 {
        conn.send(Request::get(&format!("/open/{i}")).to_bytes());
        assert!(conn.response().is_some(), "request {i}");
    }
    assert_eq!(mock.requests(), 1000);
}

/// The end of an answer may fit into the gateway's own buffers while the socket's are full: the request is over then,
/// and it is the connection that must not wait for ever.
#[test]
fn the_end_of_an_answer_that_nobody_reads_does_not_hold_its_connection() {
    let mock = Mock::start();
    let gateway = Setup::new(&mock).set("timeouts", "{keep_alive: 1s}").start();
    // Sizes a buffer apart, around what two sockets hold: some answers end in the gateway's buffer.
    let callers: Vec<Conn> = (0..100)
        .map(|step| {
            let mut conn = Conn::open(gateway.http);
            conn.send(Request::get(&format!("/mock/bytes/{}", 2_000_000 + step * 50_000)).to_bytes());
            conn
        })
        .collect();
    let gauge = |name: &str| -> u64 {
        let page = gateway.admin("/metrics").text();
        let values = page.lines().filter(|line| line.starts_with(&format!("{name}{{")));
        values.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    };
    let ended = || gateway.access_log().lines().count() as u64;
    eventually("every answer has ended or stands still", secs(10), || {
        (ended() > 0 && ended() + gauge("gateway_requests_in_flight") == 100).then_some(())
    });
    eventually("the connections of those that ended are closed", secs(10), || {
        (gauge("gateway_connections") == gauge("gateway_requests_in_flight")).then_some(())
    });
    drop(callers);
}
