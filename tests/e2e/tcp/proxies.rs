//! The PROXY protocol: told to backends, and believed from trusted proxies only.

use super::*;
use harness::tcp_backend::connect_from;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// A backend that tells the first bytes of each connection, then echoes.
fn telling(bytes: usize) -> (TcpBackend, mpsc::Receiver<Vec<u8>>) {
    let (tell, told) = mpsc::channel();
    let backend = TcpBackend::start(move |mut stream| {
        let mut first = vec![0; bytes];
        if stream.read_exact(&mut first).is_ok() {
            let _ = tell.send(first);
            let _ = std::io::copy(&mut stream.try_clone().expect("a handle"), &mut stream);
        }
    });
    (backend, told)
}

#[test]
fn a_backend_is_told_whose_connection_it_is() {
    let extra = [&[0xe0, 0, 6][..], b"globex"].concat();
    let length = 12 + extra.len();
    let (backend, told) = telling(16 + length);
    let stream = ", auth: [network], proxy_protocol: v2";
    let gateway = setup().policy(&policy(&[backend.address], stream, "")).start();
    let caller = connect_from("127.0.5.7", gateway.tcp);
    let expected = [
        &SIGNATURE[..],
        &[0x21, 0x11, 0, length as u8],
        &[127, 0, 5, 7, 127, 0, 0, 1],
        &caller.local_addr().unwrap().port().to_be_bytes(),
        &gateway.tcp.port().to_be_bytes(),
        &extra,
    ];
    assert!(echoes(&caller), "the caller's own bytes follow");
    assert_eq!(told.recv_timeout(secs(2)).unwrap(), expected.concat());
}

/// A header of a proxy for a caller at `from`.
fn header(from: [u8; 4]) -> Vec<u8> {
    [&SIGNATURE[..], &[0x21, 0x11, 0, 12], &from, &[10, 0, 0, 9], &[0x30, 0x39], &[0x01, 0xbb]].concat()
}

/// A gateway that takes connections from a proxy at 127.0.1.1 only.
fn behind_a_proxy(stream: &str) -> (TcpBackend, Gateway) {
    let backend = TcpBackend::echo();
    let listeners = r#"[{name: rpc, address: "127.0.0.1:0", tcp: true, proxy_protocol: true}]"#;
    let setup = setup().set("listeners", listeners).set("trusted_proxies", "[127.0.1.0/24]");
    let setup = setup.set("timeouts", "{handshake: 1s}").set("connections", "{max: 100, per_address: 2}");
    let gateway = setup.policy(&policy(&[backend.address], stream, "")).start();
    (backend, gateway)
}

#[test]
fn a_trusted_proxy_names_the_caller() {
    let (_backend, gateway) = behind_a_proxy(BY_NETWORK);
    let mut proxied = connect_from("127.0.1.1", gateway.tcp);
    // In pieces: a header may come as it likes.
    for piece in header([127, 0, 5, 77]).chunks(5) {
        proxied.write_all(piece).unwrap();
        std::thread::sleep(ms(5));
    }
    assert_eq!(
        said_again(&mut proxied, b"hello").as_deref(),
        Some(&b"hello"[..]),
        "the header is not passed on"
    );
    drop(proxied);
    let line = gateway.access_line("it ended", |line| line["peer"] == "127.0.5.77");
    assert_eq!(line["tenant"], "globex");

    // A check of the proxy's own counts as the proxy.
    let mut local = connect_from("127.0.1.1", gateway.tcp);
    local.write_all(&[&SIGNATURE[..], &[0x20, 0, 0, 0]].concat()).unwrap();
    assert!(echoes(&mut local));
    drop(local);
    let line = gateway.access_line("it ended", |line| line["peer"] == "127.0.1.1");
    assert_eq!(line["tenant"], "acme");
}

#[test]
fn all_callers_of_a_proxy_come_from_its_address() {
    let (_backend, gateway) = behind_a_proxy(BY_NETWORK);
    let mut callers: Vec<TcpStream> = (0..5).map(|_| connect_from("127.0.1.1", gateway.tcp)).collect();
    for caller in &mut callers {
        caller.write_all(&header([127, 0, 0, 9])).unwrap();
        assert!(echoes(caller), "`per_address` is for callers");
    }
}

#[test]
fn nobody_else_is_believed_or_let_in() {
    let (backend, gateway) = behind_a_proxy(BY_NETWORK);
    let mut liar = connect(gateway.tcp);
    // A reset is told once: to the write, if it comes after it.
    let reset = liar.write_all(&header([127, 0, 5, 77])).is_err() || end_of(&mut liar) == RESET;
    assert!(reset, "it looks like an empty answer");
    let line = line(&gateway, "untrusted_proxy");
    assert_eq!((&line["peer"], &line["tenant"]), (&"127.0.0.1".into(), &Value::Null));

    // Without `proxy_protocol` a header is nothing but bytes.
    let (plain, told) = telling(28);
    let other = setup().policy(&policy(&[plain.address], BY_NETWORK, "")).start();
    let mut caller = connect(other.tcp);
    caller.write_all(&header([127, 0, 5, 77])).unwrap();
    assert_eq!(told.recv_timeout(secs(2)).unwrap(), header([127, 0, 5, 77]));
    drop(caller);
    assert_eq!(super::line(&other, "ok")["tenant"], "acme");
    assert_eq!(backend.connections(), 0);
}

#[test]
fn a_header_that_is_none_or_never_ends_is_refused_with_its_reason() {
    let (backend, gateway) = behind_a_proxy(BY_NETWORK);
    let cases: [(&[u8], &str); 4] = [
        (b"PROXY TCP4 127.0.5.77 127.0.0.1 1 2\r\nhello", "version 1"),
        (b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", "no PROXY header"),
        (&[&SIGNATURE[..], &[0x21, 0x31, 0, 4, 1, 2, 3, 4]].concat(), "something else than TCP"),
        (&SIGNATURE[..], "in time"),
    ];
    for (bytes, reason) in cases {
        let mut proxied = connect_from("127.0.1.1", gateway.tcp);
        proxied.write_all(bytes).unwrap();
        assert_eq!(end_of(&mut proxied), RESET, "{reason}");
        gateway.access_line(reason, |line| {
            line["outcome"] == "proxy_header" && line["detail"].as_str().unwrap().contains(reason)
        });
    }
    assert_eq!(backend.connections(), 0);
}
