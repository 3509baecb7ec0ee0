//! Client certificates: shown to backends that demand one, as over HTTP/1.1.

use super::*;
use harness::certs::Pair;

const CLIENT: &str = ", client: {cert: gateway.crt, key: gateway.key}";

/// Certificates that a backend was shown, by request.
type Shown = Arc<Mutex<Vec<Vec<u8>>>>;

/// A backend that lets in who has a certificate of `callers`.
fn demanding(servers: &Authority, callers: &Authority) -> (TlsBackend, Shown) {
    let shown = Shown::default();
    let seen = shown.clone();
    let pair = servers.issue("backend", &["127.0.0.1"]);
    let backend = Http2Backend::start_demanding(&pair, callers, move |mut wire| {
        while let Some(stream) = wire.request() {
            let caller = wire.caller().expect("nobody gets in without one");
            seen.lock().expect("no test panics with it").push(caller.to_vec());
            wire.answer(stream, b"ok");
        }
    });
    (backend, shown)
}

/// A gateway that has `pair`; `client` follows in the pool's `tls`.
fn holding(pair: &Pair, backend: &TlsBackend, servers: &Authority, client: &str) -> Gateway {
    let setup = Setup::in_front_of(backend.address);
    write_whole(&setup.policies(), "ca.pem", &servers.pem());
    pair.write(&setup.policies(), "gateway");
    let tls = format!("}}], tls: {{ca: ca.pem{client}}}}}\n");
    setup.policy(&POLICY.replace("http:", "https:").replace("}]}\n", &tls)).start()
}

#[test]
fn a_backend_that_demands_a_certificate_is_shown_one() {
    let (servers, callers) = (Authority::new(), Authority::new());
    let (backend, shown) = demanding(&servers, &callers);
    let pair = callers.issue("gateway", &["gateway"]);
    let gateway = holding(&pair, &backend, &servers, CLIENT);
    assert_eq!([post(&gateway, "x"), post(&gateway, "y")], [200, 200]);
    assert!(*shown.lock().unwrap() == [pair.der().to_vec(), pair.der().to_vec()], "another was shown");
    assert_eq!(backend.connections(), 1, "a handshake for every request");
}

#[test]
fn without_a_certificate_or_with_a_strangers_no_request_arrives() {
    let (servers, callers) = (Authority::new(), Authority::new());
    let (backend, shown) = demanding(&servers, &callers);
    let good = callers.issue("gateway", &["gateway"]);
    assert_eq!(post(&holding(&good, &backend, &servers, ""), "x"), 502, "none was to be shown");
    let strange = Authority::new().issue("gateway", &["gateway"]);
    assert_eq!(post(&holding(&strange, &backend, &servers, CLIENT), "x"), 502);
    assert!(shown.lock().unwrap().is_empty());
    assert!(backend.connections() >= 2, "both have tried");
}
