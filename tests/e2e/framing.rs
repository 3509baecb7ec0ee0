//! Framing: one reading of every request, or none. What upstream sees is what was accepted.

use crate::support::*;
use harness::Conn;

/// A request hidden behind every case: it must never arrive where the case itself is refused.
const HIDDEN: &[u8] = b"GET /open/hidden HTTP/1.1\r\nhost: gateway.test\r\n\r\n";

/// Requests that are one thing to everybody.
const ACCEPTED: &[(&str, &[u8])] = &[
    ("a plain GET", b"GET /open/a HTTP/1.1\r\nhost: gateway.test\r\n\r\n"),
    ("a length", b"POST /mock/echo HTTP/1.1\r\nhost: gateway.test\r\ncontent-length: 5\r\n\r\nhello"),
    ("length 0", b"POST /mock/echo HTTP/1.1\r\nhost: gateway.test\r\ncontent-length: 0\r\n\r\n"),
    (
        "chunks",
        b"POST /mock/echo HTTP/1.1\r\nhost: gateway.test\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ),
    (
        "chunks with a trailer",
        b"POST /mock/echo HTTP/1.1\r\nhost: gateway.test\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-t: 1\r\n\r\n",
    ),
    (
        "an upper-case chunk size",
        b"POST /mock/echo HTTP/1.1\r\nhost: gateway.test\r\ntransfer-encoding: chunked\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n",
    ),
    ("a host with a port", b"GET /open/a HTTP/1.1\r\nhost: gateway.test:8080\r\n\r\n"),
    ("a body on GET", b"GET /open/a HTTP/1.1\r\nhost: gateway.test\r\ncontent-length: 5\r\n\r\nhello"),
];

/// Requests that two parsers could read differently, or that no parser should read.
const REFUSED: &[(&str, &[u8])] = &[
    ("chunked, then a length", b"POST /mock/echo HTTP/1.1\r\nhost: gateway.test\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n"),
    ("a length, then chunked", b"POST /mock/echo HTTP/1.1\r\nhost: gateway.test\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("two lengths that differ", b"POST /mock/echo HTTP/1.1\r\nhost: gateway.test\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello"),
    ("two lengths that agree", b"POST /mock/echo HTTP/1.1\r\nhost: gateway.test\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\nhello"),
    ("a list of lengths", b"POST /mock/echo HTTP/1.1\r\nhost: gateway.test\r\ncontent-length: 5, 5\r\n\r\nhello"),
    ("a signed length", b"POST /mock/echo HTTP/1.1\r\nhost: gateway.test\r\ncontent-length: +5\r\n\r\nhello"),
    ("a negative length", b"POST /mock/echo HTTP/1.1\r\nhost: gateway.test\r\ncontent-length: -5\r\n\r\nhello"),
    ("a hexadecimal length", b"POST /mock/echo HTTP/1.1\r\nhost: gateway.test\r\ncontent-length: 0x5\r\n\r\nhello"),
    ("an empty length", b"POST /mock/echo HTTP/1.1\r\nhost: gateway.test\r\ncontent-length: \r\n\r\nhello"),
    ("a length beyond 64 bits", b"POST /mock/echo HTTP/1.1\r\nhost: gateway.test\r\ncontent-length: 18446744073709551621\r\n\r\nhello"),
    ("a length in words", b"POST /mock/echo HTTP/1.1\r\nhost: gateway.test\r\ncontent-length: five\r\n\r\nhello"),
    ("a length with a gap", b"POST /mock/echo HTTP/1.1\r\nhost: gateway.test\r\ncontent-length: 5 5\r\n\r\nhello"),
    ("another coding", b"POST /mock/echo HTTP/1.1\r\nhost: gateway.test\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n"),
    ("a coding before chunked", b"POST /mock/echo HTTP/1.1\r\nhost: gateway.test\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    ("a coding after chunked", b"POST /mock/echo HTTP/1.1\r\nhost: gateway.test\r\ntransfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
    ("identity", b"POST /mock/echo HTTP/1.1\r\nhost: gateway.test\r\ntransfer-encoding: identity\r\n\r\n"),
    ("chunked twice", b"POST /mock/echo HTTP/1.1\r\nhost: gateway.test\r\ntransfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    ("two codings in two lines", b"POST /mock/echo HTTP/1.1\r\nhost: gateway.test\r\ntransfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n"),
    ("a comma after chunked", b"POST /mock/echo HTTP/1.1\r\nhost: gateway.test\r\ntransfer-encoding: chunked,\r\n\r\n0\r\n\r\n"),
    ("chunked in quotes", b"POST /mock/echo HTTP/1.1\r\nhost: gateway.test\r\ntransfer-encoding: \"chunked\"\r\n\r\n0\r\n\r\n"),
    ("a vertical tab before chunked", b"POST /mock/echo HTTP/1.1\r\nhost: gateway.test\r\ntransfer-encoding: \x0bchunked\r\n\r\n0\r\n\r\n"),
    ("a blank before the colon", b"POST /mock/echo HTTP/1.1\r\nhost: gateway.test\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n"),
    ("a folded line", b"POST /mock/echo HTTP/1.1\r\nhost: gateway.test\r\ntransfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
    ("chunked in HTTP/1.0", b"POST /mock/echo HTTP/1.0\r\nhost: gateway.test\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("no host", b"GET /open/a HTTP/1.1\r\naccept: */*\r\n\r\n"),
    ("two hosts", b"GET /open/a HTTP/1.1\r\nhost: gateway.test\r\nhost: other.test\r\n\r\n"),
    ("two hosts that agree", b"GET /open/a HTTP/1.1\r\nhost: gateway.test\r\nhost: gateway.test\r\n\r\n"),
    ("an empty host", b"GET /open/a HTTP/1.1\r\nhost: \r\n\r\n"),
    ("a list of hosts", b"GET /open/a HTTP/1.1\r\nhost: gateway.test, other.test\r\n\r\n"),
    ("a host with a user", b"GET /open/a HTTP/1.1\r\nhost: user@gateway.test\r\n\r\n"),
    ("a host with a path", b"GET /open/a HTTP/1.1\r\nhost: gateway.test/x\r\n\r\n"),
    ("bare LF throughout", b"GET /open/a HTTP/1.1\nhost: gateway.test\n\n"),
    ("bare LF after one header", b"GET /open/a HTTP/1.1\r\nhost: gateway.test\r\nx-a: 1\nx-b: 2\r\n\r\n"),
    ("bare LF after the request line", b"GET /open/a HTTP/1.1\nhost: gateway.test\r\n\r\n"),
    ("bare LF at the end of the head", b"GET /open/a HTTP/1.1\r\nhost: gateway.test\r\n\n"),
    ("bare CR in a value", b"GET /open/a HTTP/1.1\r\nhost: gateway.test\r\nx-a: 1\rx-b: 2\r\n\r\n"),
    ("NUL in a value", b"GET /open/a HTTP/1.1\r\nhost: gateway.test\r\nx-a: 1\x002\r\n\r\n"),
    ("a blank in a name", b"GET /open/a HTTP/1.1\r\nhost: gateway.test\r\nx a: 1\r\n\r\n"),
    ("a line without a colon", b"GET /open/a HTTP/1.1\r\nhost: gateway.test\r\nx-a\r\n\r\n"),
    ("an empty name", b"GET /open/a HTTP/1.1\r\nhost: gateway.test\r\n: 1\r\n\r\n"),
    ("a blank before the first header", b"GET /open/a HTTP/1.1\r\n host: gateway.test\r\n\r\n"),
    ("two blanks in the request line", b"GET  /open/a HTTP/1.1\r\nhost: gateway.test\r\n\r\n"),
    ("no version", b"GET /open/a\r\nhost: gateway.test\r\n\r\n"),
    ("an unknown version", b"GET /open/a HTTP/1.7\r\nhost: gateway.test\r\n\r\n"),
    ("a version in lower case", b"GET /open/a http/1.1\r\nhost: gateway.test\r\n\r\n"),
    ("a method with a slash", b"G/T /open/a HTTP/1.1\r\nhost: gateway.test\r\n\r\n"),
    ("a host of the target that is not Host", b"GET http://other.test/open/a HTTP/1.1\r\nhost: gateway.test\r\n\r\n"),
    ("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ("a TLS greeting", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
];

/// Bodies whose chunks break off the rails: the head may be on its way, but no whole request may arrive.
const BROKEN_CHUNKS: &[(&str, &[u8])] = &[
    ("a size that is no number", b"xyz\r\nhello\r\n0\r\n\r\n"),
    ("a negative size", b"-5\r\nhello\r\n0\r\n\r\n"),
    ("a size with 0x", b"0x5\r\nhello\r\n0\r\n\r\n"),
    ("a size beyond 64 bits", b"10000000000000005\r\nhello\r\n0\r\n\r\n"),
    ("no size", b"\r\nhello\r\n0\r\n\r\n"),
    ("more data than the size", b"3\r\nhello\r\n0\r\n\r\n"),
    ("bare LF after the size", b"5\nhello\r\n0\r\n\r\n"),
    ("bare LF after the data", b"5\r\nhello\n0\r\n\r\n"),
    ("bare CR after the size", b"5\rhello\r\n0\r\n\r\n"),
];

fn targets(mock: &harness::Mock) -> Vec<String> {
    mock.last(10).into_iter().map(|seen| seen.target).collect()
}

#[test]
fn what_is_clear_is_accepted_and_so_is_what_follows_it() {
    let (mock, gateway) = start();
    for (name, bytes) in ACCEPTED {
        mock.reset();
        let mut conn = Conn::open(gateway.http);
        conn.send([bytes, HIDDEN].concat());
        for _ in 0..2 {
            let answer = conn.response().unwrap_or_else(|| panic!("{name}: no answer"));
            assert!(!matches!(answer.status, 400 | 413 | 414 | 431 | 502), "{name}: {}", answer.status);
        }
        let first = if bytes.starts_with(b"POST") { "/mock/echo" } else { "/open/a" };
        assert_eq!(targets(&mock), [first, "/open/hidden"], "{name}");
    }
}

#[test]
fn what_is_not_clear_is_refused_and_ends_the_connection() {
    let (mock, gateway) = start();
    assert!(REFUSED.len() >= 40);
    let mut wrong = Vec::new();
    for (name, bytes) in REFUSED {
        mock.reset();
        let mut conn = Conn::open(gateway.http);
        conn.patience(secs(2));
        conn.send([bytes, HIDDEN].concat());
        let first = conn.response();
        let status = first.as_ref().map(|answer| answer.status);
        let refused = matches!(status, None | Some(400 | 501 | 505));
        let closed = conn.response().is_none() && conn.closes(secs(2));
        let upstream = targets(&mock);
        if !(refused && closed && upstream.is_empty()) {
            wrong.push(format!("{name}: status {status:?}, closed {closed}, upstream {upstream:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), REFUSED.len(), wrong.join("\n"));
}

#[test]
fn a_refusal_of_framing_is_answered_where_a_head_could_be_read() {
    let (_mock, gateway) = start();
    for name in
        ["chunked, then a length", "two lengths that differ", "no host", "two hosts", "another coding"]
    {
        let (_, bytes) = REFUSED.iter().find(|(have, _)| *have == name).expect("a case of that name");
        let mut conn = Conn::open(gateway.http);
        conn.send(bytes);
        let answer = conn.response().unwrap_or_else(|| panic!("{name}: closed without a word"));
        assert!(matches!(answer.status, 400 | 501), "{name}: {}", answer.status);
        assert!(answer.header("x-request-id").is_some(), "{name}: {:?}", answer.headers);
        assert!(answer.text().contains("APIG.0201"), "{name}: {}", answer.text());
    }
}

#[test]
fn broken_chunks_complete_nothing_upstream_and_hide_nothing() {
    let (mock, gateway) = start();
    let mut wrong = Vec::new();
    for (name, body) in BROKEN_CHUNKS {
        mock.reset();
        let mut conn = Conn::open(gateway.http);
        conn.patience(secs(2));
        let head = b"POST /mock/echo HTTP/1.1\r\nhost: gateway.test\r\ntransfer-encoding: chunked\r\n\r\n";
        conn.send([head, *body, HIDDEN].concat());
        let status = conn.response().map(|answer| answer.status);
        let closed = conn.response().is_none();
        let (hidden, whole) = (targets(&mock).contains(&"/open/hidden".to_owned()), mock.whole());
        if !matches!(status, None | Some(400)) || !closed || hidden || whole > 0 {
            wrong.push(format!("{name}: status {status:?}, closed {closed}, hidden {hidden}, whole {whole}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), BROKEN_CHUNKS.len(), wrong.join("\n"));
}

#[test]
fn a_request_in_single_bytes_is_read_like_one_in_one_piece() {
    let (mock, gateway) = start();
    let mut conn = Conn::open(gateway.http);
    for byte in [ACCEPTED[3].1, HIDDEN].concat() {
        conn.send([byte]);
    }
    assert!(conn.response().is_some() && conn.response().is_some());
    assert_eq!(targets(&mock), ["/mock/echo", "/open/hidden"]);
}

#[test]
fn a_refused_request_in_two_pieces_is_refused_as_well() {
    let (mock, gateway) = start();
    let (_, bytes) = REFUSED[0];
    for cut in [10, 40, 60, 80, bytes.len() - 6] {
        let mut conn = Conn::open(gateway.http);
        conn.send(&bytes[..cut]);
        std::thread::sleep(ms(20)); // lets the first piece arrive alone
        conn.send([&bytes[cut..], HIDDEN].concat());
        assert_eq!(conn.response().map(|answer| answer.status), Some(400), "cut at {cut}");
    }
    assert_eq!(mock.requests(), 0);
}

#[test]
fn the_second_request_on_a_connection_is_checked_like_the_first() {
    let (mock, gateway) = start();
    for (name, bytes) in [REFUSED[0], REFUSED[2], REFUSED[31], REFUSED[24]] {
        mock.reset();
        let mut conn = Conn::open(gateway.http);
        conn.send([ACCEPTED[1].1, bytes, HIDDEN].concat());
        assert!(conn.response().is_some(), "{name}: the first is fine");
        let second = conn.response().map(|answer| answer.status);
        assert!(matches!(second, None | Some(400)), "{name}: {second:?}");
        assert_eq!(targets(&mock), ["/mock/echo"], "{name}");
    }
}
