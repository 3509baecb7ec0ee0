//! `https` backends: who is believed, what closing means, and that nothing stays behind in a TLS session.

use crate::support::*;
use harness::certs::{Authority, write_whole};
use harness::gateway::BASE;
use harness::tls_backend::Session;
use harness::{Conn, Gateway, Request, Response, Setup, TlsBackend, eventually, now};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Mutex, mpsc};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A backend whose certificate names its address, and a gateway that trusts its authority.
fn start_tls(serve: impl Fn(Session) + Send + Sync + 'static) -> (TlsBackend, Gateway) {
    let authority = Authority::new();
    let backend = TlsBackend::start(&authority.issue("backend", &["127.0.0.1"]), serve);
    let gateway = trusting(&backend, &authority, "");
    (backend, gateway)
}

/// A gateway in front of `backend` that trusts `authority` only; `more` follows in the pool's `tls`.
fn trusting(backend: &TlsBackend, authority: &Authority, more: &str) -> Gateway {
    let setup = Setup::in_front_of(backend.address);
    write_whole(&setup.policies(), "ca.pem", &authority.pem());
    setup.policy(&policy(&format!("tls: {{ca: ca.pem{more}}}"))).start()
}

/// The base policy with an `https` pool and room for large bodies.
fn policy(tls: &str) -> String {
    let pool = r#"backends: [{url: "http://127.0.0.1:9100"}]"#;
    assert!(BASE.contains(pool), "the base policy has another pool now");
    let secure = pool.replace("http:", "https:");
    BASE.replace(pool, &format!("{secure}\n    {tls}")).replace("body_max: 64KiB", "body_max: 64MiB")
}

/// Answers every request with [`OK`], until the gateway closes.
fn answer_ok(mut session: Session) {
    while session.request().is_some() && session.say(OK) {}
}

/// Answers one request with `answer` and closes, with or without TLS's own word for it.
fn answer_once(answer: &'static str, notify: bool) -> impl Fn(Session) + Send + Sync {
    move |mut session| {
        session.request();
        session.say(answer);
        if notify {
            session.close();
        }
    }
}

/// So many bytes that tell where they belong, none of them a carriage return: the backend finds the end of a chunked
/// upload by one.
fn filler(length: usize) -> Vec<u8> {
    (0..length as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8 | 0x80).collect()
}

/// Sends from one thread and reads in another, so that both directions move at once.
fn both_ways(address: SocketAddr, send: impl FnOnce(&mut Conn) + Send) -> Response {
    let stream = TcpStream::connect(address).expect("it listens");
    let mut sender = Conn::over(stream.try_clone().expect("a socket"));
    stream.set_read_timeout(Some(secs(10))).expect("socket option");
    std::thread::scope(|scope| {
        scope.spawn(move || send(&mut sender));
        Conn::over(stream).response().expect("an answer")
    })
}

fn chunk(data: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat()
}

const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
const CHUNKED_POST: &str = "POST /open/x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";

/// Begins its answer as soon as the head of the request is there, and then says again what it is told, framed in the
/// same way. Between the two it waits for `go`.
fn echo(mut session: Session, go: impl FnOnce()) {
    let Some(head) = session.head() else { return };
    let framing = |line: &&str| line.starts_with("content-length") || line.starts_with("transfer-encoding");
    let framing = head.lines().find(framing).expect("a body");
    if !session.say(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n")) {
        return;
    }
    go();
    let length: Option<usize> = framing.strip_prefix("content-length: ").and_then(|n| n.parse().ok());
    let (mut passed, mut tail) = (0, Vec::new());
    while length.map_or(!tail.ends_with(LAST_CHUNK), |length| passed < length) {
        let Some(some) = session.some() else { return };
        passed += some.len();
        tail.extend_from_slice(&some);
        tail.drain(..tail.len().saturating_sub(LAST_CHUNK.len()));
        if !session.say(some) {
            return;
        }
    }
}

#[test]
fn a_body_is_echoed_while_it_is_sent_to_the_byte() {
    let (_backend, gateway) = start_tls(|session| echo(session, || ()));
    let body = filler(8 << 20);
    let whole = |answer: Response| answer.status == 200 && answer.whole && answer.body == body;
    let sized = both_ways(gateway.http, |conn| {
        conn.send(Request::post("/open/x", body.clone()).to_bytes());
    });
    assert!(whole(sized), "with a length");
    let chunked = both_ways(gateway.http, |conn| {
        conn.send(CHUNKED_POST);
        for data in body.chunks(70_001) {
            conn.send(chunk(data));
        }
        conn.send(LAST_CHUNK);
    });
    assert!(whole(chunked), "in chunks");
}

/// The backend has begun its answer and reads nothing, until the socket towards it is full and the end of the request
/// has gone into the TLS session. From then on only the socket can say that there is room again, and nobody but the
/// task that reads the answer can listen.
#[test]
fn what_a_tls_session_holds_follows_once_the_socket_has_room() {
    let ((wait, waits), (go, gone)) = (mpsc::channel(), mpsc::channel());
    let gone = Mutex::new(gone);
    let wait = move || {
        wait.send(()).expect("the test listens");
        gone.lock().expect("one connection").recv_timeout(secs(60)).expect("the test comes this far");
    };
    let (backend, gateway) = start_tls(move |session| echo(session, &wait));
    let piece = filler(32 << 10);
    let mut sent = 0;
    let answer = both_ways(gateway.http, |conn| {
        let waits = waits; // receivers move to their thread
        conn.send(CHUNKED_POST);
        waits.recv_timeout(secs(10)).expect("the backend begins its answer");
        // A piece fits into a session, which takes 64 KiB: the first that the socket does not take is the last.
        while kernel_takes(&gateway, backend.address, sent) {
            assert!(sent < 64 << 20, "the socket takes everything");
            conn.send(chunk(&piece));
            sent += piece.len();
        }
        conn.send(LAST_CHUNK);
        std::thread::sleep(ms(100)); // the gateway reads it
        assert!(kernel_holds(&gateway, backend.address) < sent, "the session has nothing to hold back");
        go.send(()).expect("the backend waits");
    });
    assert!(answer.whole, "{} bytes of {sent}", answer.body.len());
    assert!(answer.body == piece.repeat(sent / piece.len()), "other bytes came back");
}

/// Whether the kernel comes to hold so many bytes between gateway and backend.
fn kernel_takes(gateway: &Gateway, backend: SocketAddr, bytes: usize) -> bool {
    let start = now();
    while kernel_holds(gateway, backend) < bytes {
        if start.elapsed() > ms(500) {
            return false;
        }
        std::thread::sleep(ms(1));
    }
    true
}

/// Bytes that have left either end and were not read at the other.
fn kernel_holds(gateway: &Gateway, backend: SocketAddr) -> usize {
    const ESTABLISHED: &str = "01";
    let sockets = std::fs::read_to_string(format!("/proc/{}/net/tcp", gateway.process.pid()));
    let port = format!(":{:04X}", backend.port());
    let queues = |line: &str| -> Option<usize> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, local, remote, state, queues, ..] = fields[..] else { return None };
        let ours = state == ESTABLISHED && (local.ends_with(&port) || remote.ends_with(&port));
        let (unsent, unread) = queues.split_once(':').filter(|_| ours)?;
        Some(usize::from_str_radix(unsent, 16).ok()? + usize::from_str_radix(unread, 16).ok()?)
    };
    // The table also has every connection that other tests closed in the last minute: those lines are not split.
    sockets.expect("a table of sockets").lines().filter(|line| line.contains(&port)).filter_map(queues).sum()
}

#[test]
fn requests_and_answers_pass_on_one_connection() {
    let (seen, requests) = mpsc::channel();
    let (backend, gateway) = start_tls(move |mut session| {
        while let Some(request) = session.request() {
            let _ = seen.send(request);
            session.say(OK);
        }
    });
    let get = Request::get("/open/x?y=1").send(gateway.http);
    assert_eq!((get.status, get.text().as_str(), get.whole), (200, "ok", true));
    assert_eq!(Request::post("/open/z", "hello").send(gateway.http).text(), "ok");

    let request = || requests.recv_timeout(secs(5)).expect("a request");
    let ((get, _), (post, body)) = (request(), request());
    assert!(get.starts_with("GET /open/x?y=1 HTTP/1.1\r\n"), "{get}");
    assert!(get.contains(&format!("\r\nhost: {}\r\n", backend.address)), "{get}");
    assert!(post.starts_with("POST /open/z HTTP/1.1\r\n"), "{post}");
    assert_eq!(body, b"hello");
    assert_eq!(backend.connections(), 1, "a handshake for every request");
}

#[test]
fn a_certificate_of_another_authority_is_a_502_and_the_log_says_so() {
    let backend = TlsBackend::start(&Authority::new().issue("backend", &["127.0.0.1"]), answer_ok);
    let gateway = trusting(&backend, &Authority::new(), "");
    assert_refused(&gateway, "invalid peer certificate");
}

#[test]
fn a_certificate_for_another_name_is_a_502_and_the_log_says_so() {
    let authority = Authority::new();
    let backend = TlsBackend::start(&authority.issue("backend", &["nlp.internal"]), answer_ok);
    assert_refused(&trusting(&backend, &authority, ""), "not valid for name \"127.0.0.1\"");
    let told = trusting(&backend, &authority, ", name: nlp.internal");
    assert_eq!(Request::get("/open/x").send(told.http).status, 200, "`tls.name` says which name to expect");
}

#[test]
fn without_authorities_of_its_own_a_pool_trusts_those_of_the_machine() {
    let authority = Authority::new();
    let backend = TlsBackend::start(&authority.issue("backend", &["127.0.0.1"]), answer_ok);
    let trusted_by_machine = |pem: &str| {
        let setup = Setup::in_front_of(backend.address).policy(&policy(""));
        let file = setup.certs().join("machine.pem");
        write_whole(&setup.certs(), "machine.pem", pem);
        setup.env("SSL_CERT_FILE", file.to_str().expect("a path in UTF-8")).start()
    };
    let gateway = trusted_by_machine(&authority.pem());
    assert_eq!(Request::get("/open/x").send(gateway.http).status, 200);
    assert_refused(&trusted_by_machine(&Authority::new().pem()), "invalid peer certificate");
}

/// The caller learns nothing of the reason; the access log does.
fn assert_refused(gateway: &Gateway, reason: &str) {
    let answer = Request::get("/open/x").send(gateway.http);
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert!(!answer.text().contains(reason), "{}", answer.text());
    let line = gateway.access_line("the refusal is logged", |line| line["status"] == 502);
    let detail = line["detail"].as_str().unwrap_or_default();
    assert!(detail.starts_with("tls: ") && detail.contains(reason), "{line}");
}

#[test]
fn a_connection_that_says_goodbye_while_idle_costs_nobody_an_error() {
    let (backend, gateway) = start_tls(answer_once(OK, true));
    for number in 1..=10 {
        assert_eq!(Request::post("/open/x", "body").send(gateway.http).status, 200, "request {number}");
        let closed = || (backend.served() == number).then_some(());
        eventually("the backend closes", secs(5), closed);
    }
    assert_eq!(backend.connections(), 10);
}

/// Without TLS's own word for the end anybody on the way could have cut the connection (RFC 8446 section 6.1).
#[test]
fn an_answer_that_is_cut_does_not_look_whole() {
    let until_close = "HTTP/1.1 200 OK\r\n\r\nhello";
    for (answer, notify, whole) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello", false, false),
        ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello", true, false),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", false, false),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", true, false),
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", false, true),
        (until_close, false, false),
        (until_close, true, true),
    ] {
        let (_backend, gateway) = start_tls(answer_once(answer, notify));
        let mut conn = Conn::open(gateway.http);
        conn.send(Request::get("/open/x").to_bytes());
        let got = conn.response().expect("a head");
        assert_eq!((got.text().as_str(), got.whole), ("hello", whole), "{answer:?}, close_notify: {notify}");
    }
}

#[test]
fn a_connection_cut_before_an_answer_is_a_502() {
    for notify in [false, true] {
        let (backend, gateway) = start_tls(answer_once("", notify));
        assert_eq!(Request::post("/open/x", "body").send(gateway.http).status, 502);
        assert_eq!(backend.connections(), 1, "sent more than once");
    }
}

#[test]
fn each_event_of_a_stream_arrives_before_the_next_is_sent() {
    let (next, events) = mpsc::channel::<String>();
    let events = Mutex::new(events);
    let (_backend, gateway) = start_tls(move |mut session| {
        session.request();
        session
            .say("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n");
        for event in events.lock().expect("one connection").iter() {
            session.say(chunk(event.as_bytes()));
        }
        session.say(LAST_CHUNK);
    });
    let mut conn = Conn::open(gateway.http);
    conn.send(Request::get("/open/x").to_bytes());
    assert_eq!(conn.head().expect("a head").header("content-type"), Some("text/event-stream"));
    for number in 0..20 {
        let event = format!("data: {number}\n\n");
        next.send(event.clone()).expect("the backend waits for it");
        assert_eq!(conn.chunk().expect("the event"), event.as_bytes());
    }
    drop(next);
    assert_eq!(conn.chunk().expect("the end"), b"");
}
