//! HTTP/1.1 towards a backend: every way to frame an answer, and what happens to one that has two readings.

use crate::support::*;
use harness::certs::Authority;
use harness::http2::{Http2, sized};
use harness::{Conn, Gateway, Reply, Request, Script, Setup, eventually};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn before(script: &Script) -> Gateway {
    Setup::in_front_of(script.address).start()
}

#[test]
fn an_answer_framed_in_any_way_arrives_whole_however_it_is_cut() {
    let ways: &[(&str, Reply)] = &[
        ("length", Reply::keep("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello")),
        (
            "lengths that agree",
            Reply::keep("HTTP/1.1 200 OK\r\nContent-Length: 5\r\ncontent-length: 5\r\n\r\nhello"),
        ),
        (
            "chunks",
            Reply::keep(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",
            ),
        ),
        (
            "trailers",
            Reply::keep(
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n",
            ),
        ),
        ("until it closes", Reply::close("HTTP/1.1 200 OK\r\n\r\nhello")),
        ("HTTP/1.0", Reply::close("HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello")),
        (
            "interim answers first",
            Reply::keep(
                "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
            ),
        ),
        ("bare line ends", Reply::keep("HTTP/1.1 200 OK\ncontent-length: 5\n\nhello")),
    ];
    let replies: Vec<(String, Reply)> = ways
        .iter()
        .flat_map(|(name, reply)| {
            [usize::MAX, 7, 1].map(|piece| (format!("{name} by {piece}"), reply.clone().in_pieces(piece)))
        })
        .collect();
    let script = {
        let replies = replies.clone();
        Script::start(move |number| replies[number % replies.len()].1.clone())
    };
    let gateway = before(&script);
    for (name, _) in &replies {
        let answer = Request::get("/open/x").send(gateway.http);
        assert_eq!((answer.status, answer.text().as_str(), answer.whole), (200, "hello", true), "{name}");
        assert_eq!(answer.header("link"), None, "{name}: an interim header leaked");
    }
}

#[test]
fn an_answer_with_two_readings_is_a_502() {
    let heads = [
        "content-length: 2\r\ncontent-length: 3\r\n",
        "content-length: 2, 2\r\n",
        "content-length: +2\r\n",
        "content-length: 2\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: gzip, chunked\r\n",
        "bad header: x\r\n",
    ];
    let script = Script::start(move |number| {
        Reply::keep(format!("HTTP/1.1 200 OK\r\n{}\r\n2\r\nok\r\n0\r\n\r\n", heads[number % heads.len()]))
    });
    let gateway = before(&script);
    for head in heads {
        let answer = Request::get("/open/x").send(gateway.http);
        assert_eq!(answer.status, 502, "{head:?}: {}", answer.text());
    }
    assert_eq!(script.connections(), heads.len(), "such a connection is not used again");
}

#[test]
fn what_is_no_answer_is_a_502() {
    for reply in [
        Reply::close(""),
        Reply::close("HTTP/1.1 200 OK\r\ncontent-le"),
        Reply::close("SSH-2.0-OpenSSH_9.2\r\n\r\n"),
        Reply::close(format!("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n{OK}")),
        Reply::close("HTTP/1.1 100 Continue\r\n\r\n".repeat(50) + OK),
        Reply::close(format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(70_000))),
        Reply::close("HTTP/1.1 200 OK\r\n".to_owned() + &"x: y\r\n".repeat(300) + "\r\n"),
    ] {
        let script = Script::start({
            let reply = reply.clone();
            move |number| if number == 0 { Reply::keep(OK) } else { reply.clone() }
        });
        let gateway = before(&script);
        // Only a connection that has served before could make the gateway try again.
        assert_eq!(Request::get("/open/x").send(gateway.http).status, 200);
        let answer = Request::get("/open/x").send(gateway.http);
        assert_eq!(answer.status, 502, "{reply:?}");
        assert_eq!((script.seen().len(), script.connections()), (2, 1), "sent more than once: {reply:?}");
    }
}

#[test]
fn a_body_that_breaks_off_or_is_malformed_does_not_look_whole() {
    for body in [
        "content-length: 9\r\n\r\nhello",
        "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
        "transfer-encoding: chunked\r\n\r\n5\r\nhello!!0\r\n\r\n",
    ] {
        let script = Script::start(move |_| Reply::close(format!("HTTP/1.1 200 OK\r\n{body}")));
        let gateway = before(&script);
        let mut conn = Conn::open(gateway.http);
        conn.send(Request::get("/open/x").to_bytes());
        assert!(!conn.response().is_some_and(|answer| answer.whole), "{body:?}");
    }
}

/// Also if it came together with the end, and over either protocol: who has a head does not take it for a connection that
/// failed, and ask again.
#[test]
fn what_came_before_an_answer_broke_off_arrives() {
    let events = "data: river\n\n".repeat(20);
    let chunks = format!("{:x}\r\n{events}\r\n", events.len());
    let script = Script::start(move |_| {
        Reply::close(format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n{chunks}"))
    });
    let authority = Authority::new();
    let setup = Setup::in_front_of(script.address).https();
    authority.issue("one", &["gateway.test"]).write(&setup.certs(), "gateway");
    let gateway = setup.start();
    let came = 5 + 20 * "data: river\n\n".len();
    for _ in 0..20 {
        let answer = Request::get("/open/x").send(gateway.http);
        assert_eq!((answer.status, answer.body.len(), answer.whole), (200, came, false));
        let mut h2 = Http2::open(gateway.https, &authority, "gateway.test");
        let request = http::Request::get("https://gateway.test/open/x").body(sized("")).expect("a request");
        let mut body = h2.send(request).expect("a head").into_body();
        let frames = std::iter::from_fn(|| h2.frame(&mut body));
        assert_eq!(frames.map(|frame| frame.len()).sum::<usize>(), came);
    }
}

#[test]
fn bytes_behind_an_answer_reach_nobody() {
    let script = Script::start(|number| match number {
        0 => Reply::keep(format!("{OK}HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil")),
        _ => Reply::keep(OK),
    });
    let gateway = before(&script);
    for _ in 0..3 {
        assert_eq!(Request::get("/open/x").send(gateway.http).text(), "ok");
    }
    assert_eq!(script.connections(), 2, "the first connection had to go, the second one is kept");
}

#[test]
fn a_connection_that_closes_while_idle_costs_nobody_an_error() {
    // The answer promises to keep the connection, and breaks its word.
    let script = Script::start(|_| Reply::close(OK));
    let gateway = before(&script);
    for _ in 0..30 {
        assert_eq!(Request::post("/open/x", "body").send(gateway.http).status, 200);
        std::thread::sleep(ms(2));
    }
    assert_eq!(script.seen().len(), 30, "a request came twice");
}

#[test]
fn a_connection_that_was_not_promised_is_not_used_again() {
    for head in ["HTTP/1.0 200 OK", "HTTP/1.1 200 OK\r\nconnection: close"] {
        let script = Script::start(move |_| Reply::keep(format!("{head}\r\ncontent-length: 2\r\n\r\nok")));
        let gateway = before(&script);
        for _ in 0..2 {
            assert_eq!(Request::get("/open/x").send(gateway.http).text(), "ok");
        }
        assert_eq!(script.connections(), 2, "{head:?}");
    }
}

#[test]
fn an_answer_before_the_end_of_the_request_is_passed_on() {
    let script = Script::start(|_| {
        Reply::close("HTTP/1.1 413 Content Too Large\r\ncontent-length: 3\r\n\r\nbig").early()
    });
    let policy = harness::gateway::BASE.replace("body_max: 64KiB", "body_max: 64MiB");
    let gateway = Setup::in_front_of(script.address).policy(&policy).start();
    let mut conn = Conn::open(gateway.http);
    // More than sockets buffer, so that most of it can never be taken.
    conn.send(Request::post("/open/x", vec![b'x'; 1 << 20]).to_bytes());
    let answer = conn.response().expect("an answer");
    assert_eq!((answer.status, answer.text().as_str()), (413, "big"));
}

#[test]
fn an_answer_does_not_wait_for_the_rest_of_the_request() {
    let script = Script::start(|_| Reply::keep(OK).early());
    let gateway = before(&script);
    let mut conn = Conn::open(gateway.http);
    conn.send("POST /open/x HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhello");
    assert_eq!(conn.response().expect("an answer").text(), "ok");
}

#[test]
fn a_head_answer_has_no_body_and_keeps_its_length() {
    let script = Script::start(|_| Reply::keep("HTTP/1.1 200 OK\r\ncontent-length: 1234\r\n\r\n"));
    let gateway = before(&script);
    for _ in 0..2 {
        let mut conn = Conn::open(gateway.http);
        conn.send(Request::new("HEAD", "/open/x").to_bytes());
        assert_eq!(conn.head().expect("a head").header("content-length"), Some("1234"));
    }
    assert_eq!(script.connections(), 1);
}

#[test]
fn a_request_body_is_framed_once_and_as_it_came() {
    let script = Script::start(|_| Reply::keep(OK));
    let gateway = before(&script);
    let post = |head: &str, body: &str| {
        let mut conn = Conn::open(gateway.http);
        conn.send(format!("{head} /open/x HTTP/1.1\r\nhost: a\r\n{body}"));
        assert_eq!(conn.response().expect("an answer").status, 200);
        let seen = script.seen().pop().expect("a request").to_lowercase();
        let lines: Vec<String> = seen
            .lines()
            .filter(|line| line.starts_with("content-length") || line.starts_with("transfer-encoding"))
            .map(str::to_owned)
            .collect();
        (lines, seen.split_once("\r\n\r\n").expect("a head").1.to_owned())
    };
    let framed = |line: &str, body: &str| (vec![line.to_owned()], body.to_owned());
    assert_eq!(post("POST", "content-length: 2\r\n\r\nhi"), framed("content-length: 2", "hi"));
    assert_eq!(post("POST", "content-length: 0\r\n\r\n"), framed("content-length: 0", ""));
    assert_eq!(post("POST", "\r\n"), framed("content-length: 0", ""));
    assert_eq!(post("GET", "\r\n"), (Vec::new(), String::new()));
    let (lines, body) = post("POST", "transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n");
    assert_eq!(
        (lines, body.as_str()),
        (vec!["transfer-encoding: chunked".to_owned()], "2\r\nhi\r\n0\r\n\r\n")
    );
}

#[test]
fn large_bodies_pass_both_ways_unchanged() {
    let mock = harness::Mock::start();
    let policy = harness::gateway::BASE.replace("body_max: 64KiB", "body_max: 64MiB");
    let gateway = Setup::new(&mock).policy(&policy).start();
    let body: Vec<u8> = (0..5_000_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let send = |request: Vec<u8>| {
        let mut conn = Conn::open(gateway.http);
        let reader = std::thread::scope(|scope| {
            // The echo comes while the request still goes: both ends have to move at once.
            let raw = std::net::TcpStream::connect(gateway.http).expect("it listens");
            let mut writer = raw.try_clone().expect("a socket");
            scope.spawn(move || std::io::Write::write_all(&mut writer, &request));
            conn = Conn::over(raw);
            conn.response()
        });
        reader.expect("an answer")
    };
    let answer = send(Request::post("/mock/echo", body.clone()).to_bytes());
    assert!(answer.whole && answer.body == body, "{} bytes of {}", answer.body.len(), body.len());

    let mut chunked = b"POST /mock/echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for chunk in body.chunks(70_001) {
        chunked.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        chunked.extend_from_slice(chunk);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    let answer = send(chunked);
    assert!(answer.whole && answer.body == body, "{} bytes of {}", answer.body.len(), body.len());
}

#[test]
fn an_idle_connection_that_the_upstream_closes_is_let_go() {
    let script = Script::start(|_| Reply::close(OK));
    let gateway = before(&script);
    assert_eq!(Request::get("/open/x").send(gateway.http).status, 200);
    // Within less than the time after which every idle connection goes.
    eventually("no connection to the upstream is left half closed", secs(3), || {
        let sockets = std::fs::read_to_string(format!("/proc/{}/net/tcp", gateway.process.pid())).ok()?;
        let port = format!(":{:04X} 08", script.address.port()); // 08: CLOSE_WAIT
        (!sockets.contains(&port)).then_some(())
    });
}
