//! Client certificates: shown to backends that demand one, part of what a connection is, and renewed by a reload.

use super::*;
use harness::TlsBackend;
use harness::certs::{Authority, Pair};
use harness::tls_backend::Session;
use std::sync::{Arc, Mutex};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// An `https` pool that trusts `ca.pem`; `client` follows in its `tls`.
fn tls_policy(client: &str) -> String {
    policy("none")
        .replace("\"http://127.0.0.1:9100/v1/infers\"", "\"https://127.0.0.1:9100\"")
        .replace("credential: none", &format!("tls: {{ca: ca.pem{client}}}"))
}

const CLIENT: &str = ", client: {cert: gateway.crt, key: gateway.key}";

/// Certificates that a backend was shown, by request.
type Shown = Arc<Mutex<Vec<Vec<u8>>>>;

/// A backend that lets in who has a certificate of `callers`.
fn demanding(servers: &Authority, callers: &Authority) -> (TlsBackend, Shown) {
    let shown = Shown::default();
    let seen = shown.clone();
    let serve = move |mut session: Session| {
        while session.request().is_some() {
            let caller = session.caller().expect("nobody gets in without one");
            seen.lock().expect("no test panics with it").push(caller.to_vec());
            session.say(OK);
        }
    };
    (TlsBackend::start_demanding(&servers.issue("backend", &["127.0.0.1"]), callers, serve), shown)
}

fn start_with_pair(backend: &TlsBackend, servers: &Authority, client: &str, pair: &Pair) -> Gateway {
    let setup = Setup::in_front_of(backend.address);
    write_whole(&setup.policies(), "ca.pem", &servers.pem());
    pair.write(&setup.policies(), "gateway");
    setup.policy(&tls_policy(client)).start()
}

fn ask(gateway: &Gateway) -> u16 {
    Request::get("/open/x").send(gateway.http).status
}

fn last(shown: &Shown) -> Vec<u8> {
    shown.lock().expect("no test panics with it").last().cloned().unwrap_or_default()
}

#[test]
fn a_backend_that_demands_a_certificate_is_shown_one() {
    let (servers, callers) = (Authority::new(), Authority::new());
    let (backend, shown) = demanding(&servers, &callers);
    let pair = callers.issue("gateway", &["gateway"]);
    let gateway = start_with_pair(&backend, &servers, CLIENT, &pair);
    assert_eq!(ask(&gateway), 200);
    assert_eq!(ask(&gateway), 200);
    assert!(last(&shown) == pair.der().to_vec(), "another certificate was shown");
    assert_eq!(backend.connections(), 1, "a handshake for every request");
}

#[test]
fn without_a_certificate_or_with_a_strangers_there_is_no_answer() {
    let (servers, callers) = (Authority::new(), Authority::new());
    let (backend, _) = demanding(&servers, &callers);
    let good = callers.issue("gateway", &["gateway"]);
    assert_eq!(ask(&start_with_pair(&backend, &servers, "", &good)), 502, "none was to be shown");
    let strange = Authority::new().issue("gateway", &["gateway"]);
    assert_eq!(ask(&start_with_pair(&backend, &servers, CLIENT, &strange)), 502);
}

#[test]
fn a_warm_connection_is_never_used_under_another_certificate() {
    let (servers, callers) = (Authority::new(), Authority::new());
    let (backend, shown) = demanding(&servers, &callers);
    let (first, second) = (callers.issue("first", &["gateway"]), callers.issue("second", &["gateway"]));
    let gateway = start_with_pair(&backend, &servers, CLIENT, &first);
    assert_eq!(ask(&gateway), 200);
    assert!(last(&shown) == first.der().to_vec());

    // Between the two files the pair does not match: that changes nothing.
    write_whole(&gateway.policies(), "gateway.key", &second.key);
    eventually("the mismatch is reported", secs(3), || {
        gateway.admin("/policy").text().contains("not the key of the client certificate").then_some(())
    });
    assert_eq!(ask(&gateway), 200);
    assert!(last(&shown) == first.der().to_vec(), "the last good pair serves");

    write_whole(&gateway.policies(), "gateway.crt", &second.certificate);
    eventually("the new pair is shown", secs(3), || {
        assert_eq!(ask(&gateway), 200);
        (last(&shown) == second.der().to_vec()).then_some(())
    });

    gateway.write_policy(&tls_policy(""));
    eventually("no certificate, no connection", secs(3), || (ask(&gateway) == 502).then_some(()));
    let logs = gateway.logs();
    assert!(
        !logs.contains("PRIVATE KEY") && !logs.contains(first.key.lines().nth(1).expect("a key")),
        "{logs}"
    );
}
