//! WebSockets: a handshake that passes, bytes both ways, and what ends them.

use crate::support::{ms, secs};
use harness::certs::Authority;
use harness::http2::tls_conn;
use harness::websocket::{BINARY, CLOSE, KEY, PING, PONG, TEXT, frame, handshake};
use harness::{Conn, Gateway, Mock, Reply, Request, Script, Setup, WebSocket, eventually};
use std::net::Shutdown;
use std::time::Duration;

const ECHO: &str = "/mock/websocket";

/// Two at a time, messages of up to 64 KiB, and little patience.
const POLICY: &str = r#"
pools:
  - name: models
    backends: [{url: "http://127.0.0.1:9100"}]
routes:
  - name: talk
    match: {path: "/mock/{*rest}", methods: [GET]}
    api: plain
    auth: none
    pool: models
    websocket: {message_max: 64KiB}
    timeouts: {first_byte: 2s, idle: 2s, total: 20s, write: 1s}
    limits: [{name: open, per: route, concurrent: 2}]
  - name: no-websocket
    match: {path: "/open/{*rest}", methods: [GET]}
    api: plain
    auth: none
    pool: models
"#;

fn start() -> (Mock, Gateway) {
    let mock = Mock::start();
    let gateway = Setup::new(&mock).policy(POLICY).start();
    (mock, gateway)
}

fn open(gateway: &Gateway) -> WebSocket {
    WebSocket::open(Conn::open(gateway.http), &handshake(ECHO)).expect("an open WebSocket")
}

fn line(gateway: &Gateway) -> serde_json::Value {
    gateway.access_line("the WebSocket is logged", |line| line["status"] == 101)
}

#[test]
fn messages_pass_both_ways_and_are_counted() {
    let (_mock, gateway) = start();
    let mut socket = open(&gateway);
    socket.echo(TEXT, "你好".as_bytes());
    socket.echo(BINARY, &vec![7; 60_000]);
    assert!(socket.send(PING, b"still there?"));
    assert_eq!(socket.frame(), Some((PONG, b"still there?".to_vec())));
    assert!(socket.conn.send(frame(false, TEXT, b"in two ")) && socket.conn.send(frame(true, 0, b"frames")));
    assert_eq!(socket.frame(), Some((TEXT, b"in two ".to_vec())));
    assert_eq!(socket.frame(), Some((0, b"frames".to_vec())));
    socket.close();

    let line = line(&gateway);
    assert_eq!((&line["outcome"], &line["route"]), (&"ok".into(), &"talk".into()), "{line}");
    let sent = line["bytes_in"].as_u64().unwrap();
    assert!((60_000..60_100).contains(&sent), "{line}");
    assert!(line["bytes_out"].as_u64().is_some_and(|got| (60_000..sent).contains(&got)), "{line}");
    let metrics = gateway.admin("/metrics").text();
    assert!(
        metrics.contains(&format!(r#"gateway_request_body_bytes_total{{route="talk"}} {sent}"#)),
        "{metrics}"
    );
}

#[test]
fn it_passes_through_tls() {
    let mock = Mock::start();
    let authority = Authority::new();
    let setup = Setup::new(&mock).https().policy(POLICY);
    authority.issue("one", &["gateway.test"]).write(&setup.certs(), "default");
    let gateway = setup.start();
    let (conn, _) = tls_conn(gateway.https, &authority, "gateway.test").expect("handshake");
    let mut socket = WebSocket::open(conn, &handshake(ECHO)).expect("an open WebSocket");
    socket.echo(BINARY, &vec![1; 64 << 10]);
    socket.close();
}

#[test]
fn a_place_is_kept_until_the_end() {
    let (_mock, gateway) = start();
    let (mut first, _second) = (open(&gateway), open(&gateway));
    let refused = WebSocket::open(Conn::open(gateway.http), &handshake(ECHO)).err().expect("no third place");
    assert_eq!(refused.status, 429, "{}", refused.text());
    first.echo(TEXT, b"still here");
    first.close();
    eventually("the place is free again", secs(2), || {
        WebSocket::open(Conn::open(gateway.http), &handshake(ECHO)).ok()
    });
}

/// The first caller says goodbye, hears it, and keeps its connection.
#[test]
fn a_place_is_free_after_the_goodbyes_whatever_becomes_of_the_connections() {
    let (address, backend) = one_connection(|mut stream| {
        use std::io::{Read, Write};
        let mut close = [0; 8];
        stream.read_exact(&mut close).expect("the caller says goodbye");
        stream.write_all(b"\x88\x02\x03\xe8").expect("and hears it");
        stream.read_to_end(&mut Vec::new()).expect("the gateway ends it: this backend does not")
    });
    let gateway = Setup::in_front_of(address).policy(POLICY).start();
    let mut socket = open(&gateway);
    assert!(socket.send(CLOSE, &1000_u16.to_be_bytes()));
    assert_eq!(socket.frame(), Some((CLOSE, vec![0x03, 0xe8])));
    assert_given_back(&gateway);
    assert_eq!(backend.join().unwrap(), 0);
    assert_eq!(socket.conn.exactly(1), None, "nothing follows a close");
}

#[test]
fn a_place_is_free_when_the_upstream_has_ended() {
    let (address, _backend) = one_connection(|mut stream| {
        std::io::Write::write_all(&mut stream, b"\x82\x03bye").expect("the gateway listens");
    });
    let gateway = Setup::in_front_of(address).policy(POLICY).start();
    let mut socket = open(&gateway);
    assert_eq!(socket.frame(), Some((BINARY, b"bye".to_vec())));
    assert_given_back(&gateway);
    assert_eq!(socket.conn.exactly(1), None);
}

/// Long before the 2 s of silence that would end it, and as an end like any other.
fn assert_given_back(gateway: &Gateway) {
    eventually("nothing is in flight", secs(1), || {
        let metrics = gateway.admin("/metrics").text();
        metrics.contains("gateway_requests_in_flight{route=\"talk\"} 0\n").then_some(())
    });
    assert_eq!(line(gateway)["outcome"], "ok");
}

#[test]
fn only_a_flawless_handshake_passes() {
    let (mock, gateway) = start();
    let base = || Request::get(ECHO);
    let upgrade = |request: Request, to: &str| request.header("connection", "upgrade").header("upgrade", to);
    let good =
        |request: Request| request.header("sec-websocket-version", "13").header("sec-websocket-key", KEY);
    let cases = [
        ("another protocol", 400, upgrade(good(base()), "h2c")),
        ("two protocols", 400, upgrade(good(base()), "websocket, h2c")),
        ("no Connection", 400, good(base()).header("upgrade", "websocket")),
        ("no key", 400, upgrade(base(), "websocket").header("sec-websocket-version", "13")),
        ("a key of another length", 400, upgrade(base(), "websocket").header("sec-websocket-key", "abc")),
        ("two keys", 400, handshake(ECHO).header("sec-websocket-key", KEY)),
        ("a body", 400, handshake(ECHO).header("content-length", "1")),
        (
            "an old version",
            426,
            upgrade(base(), "websocket")
                .header("sec-websocket-key", KEY)
                .header("sec-websocket-version", "8"),
        ),
    ];
    for (what, status, request) in cases {
        let answer = request.send(gateway.http);
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        if status == 426 {
            assert_eq!(answer.header("sec-websocket-version"), Some("13"));
        }
    }
    assert_eq!(mock.requests(), 0, "none of it went on");
}

#[test]
fn elsewhere_an_upgrade_means_nothing() {
    let upstream = Script::start(|_| Reply::keep("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"));
    let gateway = Setup::in_front_of(upstream.address).policy(POLICY).start();
    let answer = handshake("/open/x").send(gateway.http);
    assert_eq!((answer.status, answer.text().as_str()), (200, "hi"));
    assert!(!upstream.seen()[0].to_lowercase().contains("upgrade"), "{:?}", upstream.seen());
}

#[test]
fn an_upstream_that_declines_is_heard() {
    let upstream = Script::start(|_| Reply::keep("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno"));
    let gateway = Setup::in_front_of(upstream.address).policy(POLICY).start();
    let mut conn = Conn::open(gateway.http);
    for _ in 0..2 {
        conn.send(handshake(ECHO).to_bytes());
        let answer = conn.response().expect("the connection stays HTTP");
        assert_eq!((answer.status, answer.text().as_str()), (403, "no"));
    }
    assert!(upstream.seen()[0].to_lowercase().contains("upgrade: websocket\r\n"), "{:?}", upstream.seen());
    assert_eq!(upstream.connections(), 1, "and so does the upstream's");
}

#[test]
fn an_upstream_that_switches_to_something_else_is_a_failure() {
    let upstream =
        Script::start(|_| Reply::keep("HTTP/1.1 101 Fine\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n"));
    let gateway = Setup::in_front_of(upstream.address).policy(POLICY).start();
    assert_eq!(handshake(ECHO).send(gateway.http).status, 502);
}

/// Where two messages meet the heads that bring them.
#[test]
fn what_comes_with_a_head_is_not_lost() {
    let upstream = Script::start(|_| {
        Reply::keep(format!(
            "HTTP/1.1 101 Fine\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: {}\r\n\r\n\x01\x02hi",
            harness::websocket::ACCEPT
        ))
    });
    let gateway = Setup::in_front_of(upstream.address).policy(POLICY).start();
    let mut conn = Conn::open(gateway.http);
    // Against the rules, the caller does not wait; what it says must reach nobody as a request.
    let hasty = [handshake(ECHO).to_bytes(), b"GET /open/x HTTP/1.1\r\nhost: a\r\n\r\n".to_vec()].concat();
    conn.send(hasty);
    let answer = conn.response().expect("a head");
    assert_eq!(answer.status, 101);
    assert_eq!(conn.exactly(4), Some(b"\x01\x02hi".to_vec()));
    eventually("what the caller said goes on as it is", secs(2), || {
        upstream.seen().get(1).filter(|seen| *seen == "GET /open/x HTTP/1.1\r\nhost: a\r\n\r\n").map(drop)
    });
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn a_message_that_is_too_long_ends_it_with_a_reason() {
    let (_mock, gateway) = start();
    let mut socket = open(&gateway);
    socket.echo(BINARY, b"short");
    socket.conn.send(&frame(true, BINARY, &vec![0; (64 << 10) + 1])[..100]);
    assert_eq!(socket.frame(), Some((CLOSE, 1009_u16.to_be_bytes().to_vec())));
    assert_eq!(socket.conn.exactly(1), None);
    assert_eq!(line(&gateway)["outcome"], "message_too_long");
}

#[test]
fn silence_ends_it() {
    let (_mock, gateway) = start();
    let mut socket = open(&gateway);
    for _ in 0..4 {
        std::thread::sleep(ms(800));
        socket.echo(TEXT, b"x");
    }
    assert_eq!(socket.frame(), Some((CLOSE, 1001_u16.to_be_bytes().to_vec())), "after 2 s of silence");
    assert_eq!(line(&gateway)["outcome"], "idle");
}

#[test]
fn a_caller_that_does_not_read_loses_it() {
    let (_mock, gateway) = start();
    let mut socket = open(&gateway);
    let message = frame(true, BINARY, &vec![0; 60_000]);
    let sent = (0..2_000).take_while(|_| socket.conn.send(&message)).count();
    assert!(sent < 2_000, "its echoes filled every buffer, and then it was cut");
    assert_eq!(line(&gateway)["outcome"], "unread");
}

#[test]
fn one_end_may_finish_before_the_other() {
    let (address, backend) = one_connection(|mut stream| {
        use std::io::{Read, Write};
        let mut said = Vec::new();
        stream.read_to_end(&mut said).expect("the caller's end comes through");
        stream.write_all(b"\x82\x04late").expect("and there is still somebody to hear this");
        said
    });
    let gateway = Setup::in_front_of(address).policy(POLICY).start();
    let tcp = std::net::TcpStream::connect(gateway.http).unwrap();
    tcp.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let half = tcp.try_clone().unwrap();
    let mut socket = WebSocket::open(Conn::over(tcp), &handshake(ECHO)).expect("an open WebSocket");
    assert!(socket.send(TEXT, b"bye"));
    half.shutdown(Shutdown::Write).unwrap();
    assert_eq!(socket.frame(), Some((BINARY, b"late".to_vec())));
    assert_eq!(socket.conn.exactly(1), None);
    assert_eq!(backend.join().unwrap(), frame(true, TEXT, b"bye"));
    assert_eq!(line(&gateway)["outcome"], "ok");
}

#[test]
fn a_backend_that_breaks_them_off_is_ejected() {
    let (address, backend) = one_connection(|mut stream| {
        std::io::Read::read_exact(&mut stream, &mut [0; 7]).expect("it is open");
        let at_once = Some(Duration::ZERO); // a reset, and no goodbye
        socket2::SockRef::from(&stream).set_linger(at_once).expect("socket option");
    });
    let policy = POLICY.replace("9100\"}]", "9100\"}]\n    eject: {consecutive: 1, keep: 0%}");
    let gateway = Setup::in_front_of(address).policy(&policy).start();
    let mut socket = open(&gateway);
    assert!(socket.send(TEXT, b"x"));
    assert_eq!(socket.frame(), None);
    backend.join().unwrap();
    assert_eq!(line(&gateway)["outcome"], "cut");
    assert_eq!(gateway.admin("/backends").json()[0]["backends"][0]["state"], "ejected");
}

#[test]
fn a_stop_waits_for_it_and_then_closes_it_towards_both_ends() {
    let (address, backend) = one_connection(|mut stream| {
        use std::io::{Read, Write};
        stream.write_all(b"\x82\x05hello").expect("the gateway listens");
        let mut said = Vec::new();
        stream.read_to_end(&mut said).expect("it ends as it should");
        said
    });
    let mut gateway = Setup::in_front_of(address).policy(POLICY).set("timeouts", "{drain: 1s}").start();
    let mut socket = open(&gateway);
    let begun = harness::now();
    gateway.process.signal("TERM");
    assert_eq!(socket.frame(), Some((BINARY, b"hello".to_vec())));
    std::thread::sleep(ms(300));
    assert!(socket.send(TEXT, b"while it drains"));
    assert_eq!(socket.frame(), Some((CLOSE, 1001_u16.to_be_bytes().to_vec())));
    assert!(begun.elapsed() > ms(700), "it was given {:?}", begun.elapsed());
    assert_eq!(socket.conn.exactly(1), None, "nothing follows a close");
    drop(socket);
    assert_eq!(line(&gateway)["outcome"], "drained");
    let status = gateway.process.wait(secs(5)).expect("it has nothing left to do");
    assert_eq!(status.code(), Some(0), "{}", gateway.process.stderr());
    let goodbye = frame(true, CLOSE, &1001_u16.to_be_bytes());
    assert_eq!(backend.join().unwrap(), [frame(true, TEXT, b"while it drains"), goodbye].concat());
}

#[test]
fn in_the_middle_of_a_frame_nobody_can_be_told() {
    let (address, backend) = one_connection(|mut stream| {
        use std::io::{Read, Write};
        stream.write_all(b"\x82\x05hel").expect("the gateway listens");
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said);
        said
    });
    let mut gateway = Setup::in_front_of(address).policy(POLICY).set("timeouts", "{drain: 500ms}").start();
    let mut socket = open(&gateway);
    let half = &frame(true, TEXT, b"half of it")[..10];
    assert!(socket.conn.send(half));
    assert_eq!(socket.conn.exactly(5), Some(b"\x82\x05hel".to_vec()));
    gateway.process.signal("TERM");
    assert_eq!(socket.conn.exactly(1), None, "a close would be the rest of a message");
    assert_eq!(backend.join().unwrap(), half, "and here too");
    assert!(gateway.process.wait(secs(5)).is_some());
    assert_eq!(line(&gateway)["outcome"], "drained");
}

/// A backend that shakes hands once and then does `then`.
fn one_connection<T: Send + 'static>(
    then: impl FnOnce(std::net::TcpStream) -> T + Send + 'static,
) -> (std::net::SocketAddr, std::thread::JoinHandle<T>) {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let backend = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("the gateway connects");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a head");
            head.push(byte[0]);
        }
        let accept = harness::websocket::ACCEPT;
        let answer = format!(
            "HTTP/1.1 101 Fine\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: {accept}\r\n\r\n"
        );
        stream.write_all(answer.as_bytes()).expect("the gateway listens");
        then(stream)
    });
    (address, backend)
}
