//! HTTP/2 towards backends: how it is agreed on, what is sent again, what a backend may not do.

mod certificates;
mod flow;

use crate::support::*;
use harness::certs::{Authority, write_whole};
use harness::http2_backend::{Frame, HEADERS, INTERNAL_ERROR, NO_ERROR, PING, REFUSED_STREAM, Wire};
use harness::{Conn, Gateway, Http2Backend, Request, Setup, TlsBackend, eventually, now};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, mpsc};

const POLICY: &str = r#"
pools:
  - {name: models, protocol: h2, backends: [{url: "http://127.0.0.1:9100"}]}
routes:
  - name: plain
    match: {path: "/{*rest}"}
    api: plain
    auth: none
    pool: models
    body_max: 64MiB
    timeouts: {first_byte: 3s, idle: 3s}
"#;

fn in_front_of(backend: SocketAddr) -> Gateway {
    Setup::in_front_of(backend).policy(POLICY).start()
}

/// A gateway that believes `authority` and nobody else.
fn trusting(backend: &TlsBackend, authority: &Authority) -> Gateway {
    let setup = Setup::in_front_of(backend.address);
    write_whole(&setup.policies(), "ca.pem", &authority.pem());
    let secure = POLICY.replace("http:", "https:").replace("}]}\n", "}], tls: {ca: ca.pem}}\n");
    setup.policy(&secure).start()
}

/// `:method: GET` and `:scheme: https`, by their places in the static table (RFC 7541 appendix A).
const GET_OVER_HTTPS: [u8; 2] = [0x82, 0x87];

fn post(gateway: &Gateway, body: impl Into<Vec<u8>>) -> u16 {
    Request::post("/a", body).send(gateway.http).status
}

#[test]
fn over_tls_both_ends_agree_on_it() {
    let authority = Authority::new();
    let pair = authority.issue("backend", &["127.0.0.1"]);
    let backend = Http2Backend::start_tls(&pair, &["http/1.1", "h2"], |mut wire| {
        while let Some(request) = wire.message() {
            assert!(request.payload.starts_with(&GET_OVER_HTTPS), "{:x?}", request.payload);
            wire.answer(request.stream, b"ok");
        }
    });
    let gateway = trusting(&backend, &authority);
    for _ in 0..3 {
        assert_eq!(Request::get("/a").send(gateway.http).body, b"ok");
    }
    assert_eq!(backend.connections(), 1, "one serves them all");
}

#[test]
fn a_backend_that_does_not_agree_or_is_somebody_else_gets_no_request() {
    let authority = Authority::new();
    let own = authority.issue("backend", &["127.0.0.1"]);
    let of_another = authority.issue("another", &["another.test"]);
    let unspoken = |mut session: harness::tls_backend::Session| assert_eq!(session.some(), None);
    for backend in [
        TlsBackend::start(&own, unspoken),
        TlsBackend::start_speaking(&own, &["http/1.1"], unspoken),
        TlsBackend::start_speaking(&of_another, &["h2"], unspoken),
    ] {
        let gateway = trusting(&backend, &authority);
        assert_eq!(post(&gateway, "x"), 502);
        let metrics = gateway.admin("/metrics").text();
        assert!(
            metrics.contains(r#"gateway_upstream_errors_total{route="plain",kind="tls"} 1"#),
            "{metrics}"
        );
    }
}

#[test]
fn what_a_backend_gives_back_is_sent_again_whole() {
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let seen = bodies.clone();
    let backend = Http2Backend::start(move |mut wire, connection| {
        let mut given_back = 0;
        while let Some(frame) = wire.message() {
            if frame.kind == 0 {
                seen.lock().unwrap().push((connection, frame.stream, frame.payload.len()));
            }
            if frame.flags & 1 == 0 {
                continue; // more of it comes
            }
            given_back += 1;
            match (connection, given_back) {
                (0, 1) => assert!(wire.cancel(frame.stream, REFUSED_STREAM)),
                (0, _) => assert!(wire.goodbye(frame.stream - 2, NO_ERROR)),
                _ => assert!(wire.answer(frame.stream, b"ok")),
            }
        }
    });
    let gateway = in_front_of(backend.address);
    assert_eq!(post(&gateway, vec![7; 1000]), 200);
    assert_eq!(*bodies.lock().unwrap(), [(0, 1, 1000), (0, 3, 1000), (1, 1, 1000)]);
    assert_eq!(backend.connections(), 2);
    assert_eq!(post(&gateway, "x"), 200);
    assert_eq!(backend.connections(), 2, "nobody goes back to who has said goodbye");
}

#[test]
fn a_backend_that_gives_everything_back_is_not_asked_for_ever() {
    let refused = Arc::new(Mutex::new(0));
    let count = refused.clone();
    let backend = Http2Backend::start(move |mut wire, _| {
        while let Some(stream) = wire.request() {
            *count.lock().unwrap() += 1;
            wire.cancel(stream, REFUSED_STREAM);
        }
    });
    let gateway = in_front_of(backend.address);
    assert_eq!(post(&gateway, "x"), 502);
    assert_eq!(*refused.lock().unwrap(), 4);
}

#[test]
fn what_a_backend_may_have_worked_on_is_not_sent_twice() {
    let requests = Arc::new(Mutex::new(0));
    let count = requests.clone();
    let backend = Http2Backend::start(move |mut wire, _| {
        while let Some(stream) = wire.request() {
            let mut count = count.lock().unwrap();
            *count += 1;
            match *count {
                1 => assert!(wire.cancel(stream, INTERNAL_ERROR)),
                2 => return assert!(wire.goodbye(stream, NO_ERROR)), // it was looked at, and the connection closes
                _ => return,
            }
        }
    });
    let gateway = in_front_of(backend.address);
    for _ in 0..3 {
        assert_eq!(post(&gateway, "x"), 502);
    }
    assert_eq!(*requests.lock().unwrap(), 3);
}

#[test]
fn a_backend_that_answers_is_not_pinged() {
    let pings = Arc::new(Mutex::new(0));
    let count = pings.clone();
    let backend = Http2Backend::start(move |mut wire, _| {
        while let Some(frame) = wire.frame() {
            wire.acknowledge(&frame);
            match frame.kind {
                PING => *count.lock().unwrap() += 1,
                HEADERS if frame.stream % 4 == 1 => assert!(wire.answer(frame.stream, b"ok")),
                HEADERS => assert!(wire.cancel(frame.stream, INTERNAL_ERROR)),
                _ => {}
            }
        }
    });
    let gateway = in_front_of(backend.address);
    for number in 0..6 {
        let wanted = if number % 2 == 0 { 200 } else { 502 };
        assert_eq!(Request::get("/a").send(gateway.http).status, wanted, "{number}");
        std::thread::sleep(ms(20));
    }
    assert_eq!(*pings.lock().unwrap(), 0, "servers of gRPC take pings without end for an attack");
    assert_eq!(backend.connections(), 1);
}

#[test]
fn a_goodbye_spares_what_is_under_way() {
    let backend = Http2Backend::start(|mut wire, _| {
        let Some(stream) = wire.request() else { return };
        wire.head(stream);
        wire.goodbye(stream, NO_ERROR);
        std::thread::sleep(ms(300));
        wire.say(&Frame::data(stream, *b"late"));
        wire.end(stream, "0");
        wire.message();
    });
    let gateway = in_front_of(backend.address);
    let answer = Request::get("/a").send(gateway.http);
    assert_eq!((answer.status, &answer.body[..]), (200, &b"late"[..]));
}

#[test]
fn so_many_requests_at_a_time_as_a_backend_takes() {
    let (all, released) = mpsc::channel::<()>();
    let released = Arc::new(Mutex::new(released));
    let backend = Http2Backend::start(move |mut wire, connection| {
        wire.say(&Frame::streams_max(1));
        if connection == 0 {
            let Some(first) = wire.request() else { return }; // by now it knows
            wire.answer(first, b"ok");
        }
        let Some(stream) = wire.request() else { return };
        let _ = released.lock().unwrap().recv_timeout(secs(10));
        wire.answer(stream, b"ok");
        wire.message();
    });
    let gateway = in_front_of(backend.address);
    assert_eq!(post(&gateway, "x"), 200);
    std::thread::scope(|scope| {
        let both: Vec<_> = (0..2).map(|_| scope.spawn(|| post(&gateway, "x"))).collect();
        eventually("each has a connection", secs(5), || (backend.connections() == 2).then_some(()));
        all.send(()).unwrap();
        all.send(()).unwrap();
        for one in both {
            assert_eq!(one.join().unwrap(), 200);
        }
    });
}

#[test]
fn an_answer_that_breaks_off_is_seen_to() {
    let backend = Http2Backend::start(|mut wire, _| {
        while let Some(stream) = wire.request() {
            wire.head(stream);
            wire.say(&Frame::data(stream, *b"half"));
            std::thread::sleep(ms(200)); // so that half of it goes down
            wire.cancel(stream, INTERNAL_ERROR);
        }
    });
    let gateway = in_front_of(backend.address);
    let mut conn = Conn::open(gateway.http);
    conn.send("GET /a HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(conn.head().expect("a head").status, 200);
    assert_eq!(conn.chunk().as_deref(), Some(&b"half"[..]));
    assert_eq!(conn.chunk(), None, "no end that looks like one");
    let line = gateway.access_line("cut", |line| line["outcome"] == "cut");
    assert!(line["detail"].as_str().unwrap().starts_with("HTTP/2: "), "{line}");
}

#[test]
fn a_backend_without_measure_costs_no_more_than_its_own_requests() {
    let abuses: [fn(&mut Wire, u32); 4] = [
        |wire, stream| {
            wire.say(&Frame::unended_headers(stream));
            let more =
                Frame::continuation(stream, [&[0, 1, b'a', 127, 129, 127][..], &[b'b'; 16_000]].concat());
            while wire.say(&more) {}
        },
        |wire, stream| {
            wire.head(stream);
            let data = Frame::data(stream, [0; 16_000]);
            while wire.say(&data) {} // whatever the windows say
        },
        |wire, _| {
            let settings = Frame::streams_max(100);
            for _ in 0..100_000 {
                if !wire.say(&settings) {
                    break;
                }
            }
        },
        |wire, stream| {
            wire.head(stream);
            let nothing = Frame::data(stream, []);
            for _ in 0..200_000 {
                if !wire.say(&nothing) {
                    break;
                }
            }
        },
    ];
    for (number, abuse) in abuses.into_iter().enumerate() {
        let backend = Http2Backend::start(move |mut wire, connection| {
            let Some(stream) = wire.request() else { return };
            if connection == 0 {
                abuse(&mut wire, stream);
            } else {
                wire.answer(stream, b"ok");
            }
        });
        let gateway = in_front_of(backend.address);
        let before = resident_kib(&gateway);
        let began = now();
        let mut conn = Conn::open(gateway.http);
        conn.send("GET /a HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        std::thread::sleep(ms(500)); // nobody reads what comes
        let answer = conn.response();
        assert!(answer.is_none_or(|answer| answer.status >= 500 || !answer.whole), "{number}");
        assert!(began.elapsed() < secs(10), "{number}: {:?}", began.elapsed());
        eventually("others are served", secs(10), || {
            (Request::get("/a").send(gateway.http).status == 200).then_some(())
        });
        let grown = resident_kib(&gateway).saturating_sub(before);
        assert!(grown < 16 << 10, "{number}: {grown} KiB");
    }
}

fn resident_kib(gateway: &Gateway) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.process.pid())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux tells");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
