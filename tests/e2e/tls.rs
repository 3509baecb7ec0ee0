//! TLS: certificates by server name, as matched pairs, reloaded without a failed handshake.

use crate::support::*;
use harness::certs::Authority;
use harness::http2::{Http2, sized, tls_conn};
use harness::{Mock, Setup, eventually};
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

#[test]
fn http1_over_tls_answers() {
    let (_mock, authority, gateway) = start_https();

    let (mut conn, _) = tls_conn(gateway.https, &authority, "gateway.test").expect("handshake");
    conn.send(keyed_chat().to_bytes());
    assert_eq!(conn.response().expect("an answer").status, 200);
}

#[test]
fn h2_is_chosen_by_alpn_and_answers() {
    let (mock, authority, gateway) = start_https();

    let mut h2 = Http2::open(gateway.https, &authority, "gateway.test");
    let request = keyed_chat();
    let answer = h2.send(
        http::Request::post("https://gateway.test/v1/chat/completions")
            .header("authorization", format!("Bearer {}", harness::gateway::CHAT_API_KEY))
            .header("content-type", "application/json")
            .body(sized(request.body().to_vec()))
            .expect("a request"),
    );
    let answer = answer.expect("an answer");
    assert_eq!(answer.status(), 200);
    let body = h2.read(answer.into_body()).expect("a whole body");
    assert!(String::from_utf8_lossy(&body).contains("choices"), "{body:?}");
    assert_eq!(mock.last(1)[0].target, "/v1/chat/completions");
}

#[test]
fn each_server_name_gets_its_own_certificate() {
    let mock = Mock::start();
    let authority = Authority::new();
    let setup = Setup::new(&mock).https();
    for name in ["a.test", "b.test"] {
        authority.issue(name, &[name]).write(&setup.certs(), name);
    }
    let gateway = setup.start();

    let served = |name| tls_conn(gateway.https, &authority, name).expect("its certificate names it").1;
    assert_ne!(served("a.test"), served("b.test"));
    assert_eq!(served("a.test"), served("a.test"));
}

#[test]
fn a_new_pair_is_served_and_half_a_pair_is_not() {
    let mock = Mock::start();
    let authority = Authority::new();
    let setup = Setup::new(&mock).https();
    authority.issue("first", &["gateway.test"]).write(&setup.certs(), "gateway");
    let gateway = setup.start();
    let served = || tls_conn(gateway.https, &authority, "gateway.test").map(|(_, id)| id);
    let first = served().expect("handshake");

    let second = authority.issue("second", &["gateway.test"]);
    let third = authority.issue("third", &["gateway.test"]);
    second.write(&gateway.certs(), "gateway");
    let now_second =
        eventually("the second pair is served", secs(3), || served().ok().filter(|id| *id != first));

    harness::certs::Pair { certificate: third.certificate.clone(), key: second.key }
        .write(&gateway.certs(), "gateway");
    std::thread::sleep(ms(500)); // time in which a mismatched pair would show
    assert_eq!(served().expect("handshake"), now_second, "a mismatched pair must not be served");

    third.write(&gateway.certs(), "gateway");
    eventually("the third pair is served", secs(3), || served().ok().filter(|id| *id != now_second));
}

#[test]
fn fifty_swaps_with_mismatches_fail_no_handshake() {
    let mock = Mock::start();
    let authority = Authority::new();
    let setup = Setup::new(&mock).https();
    let pairs: Vec<_> = (0..5).map(|i| authority.issue(&format!("pair {i}"), &["gateway.test"])).collect();
    pairs[0].write(&setup.certs(), "gateway");
    let gateway = setup.start();

    let (done, handshakes) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let caller = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                tls_conn(gateway.https, &authority, "gateway.test").expect("no handshake fails");
                handshakes.fetch_add(1, Ordering::Relaxed);
            }
        });
        for i in 0..50 {
            let pair = &pairs[i % pairs.len()];
            if i % 5 == 3 {
                fs::write(gateway.certs().join("gateway.key"), "half a key").expect("directory is ours");
            } else {
                pair.write(&gateway.certs(), "gateway");
            }
            std::thread::sleep(ms(20));
        }
        done.store(true, Ordering::Relaxed);
        caller.join().expect("no handshake failed");
    });
    assert!(handshakes.load(Ordering::Relaxed) > 50, "too few handshakes to tell");
}
