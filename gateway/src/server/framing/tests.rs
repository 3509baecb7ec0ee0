//! What is HTTP/1 here and what is not: one request a row, cut in every possible way.

use super::*;
use proptest::prelude::*;

/// Small, so that the rows about sizes stay readable.
const CAPS: FramingCaps = FramingCaps { target_max: 64, head_max: 512, headers_max: 8 };

/// What came of a stream of bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Outcome {
    violation: Option<Framing>,
    passed: usize,
    heads: u32,
    head_started: bool,
    reading_body: bool,
}

/// Feeds a stream piece by piece, keeping what does not pass, as the gate does.
fn feed<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut scanner = FramingScanner::new(CAPS);
    let mut held = Vec::new();
    let mut passed = 0;
    let mut violation = None;
    for piece in pieces {
        held.extend_from_slice(piece);
        let scan = scanner.scan(&held);
        assert!(scan.pass <= held.len());
        held.drain(..scan.pass);
        passed += scan.pass;
        violation = scan.violation;
    }
    Outcome {
        violation,
        passed,
        heads: scanner.heads_complete(),
        head_started: scanner.head_started(),
        reading_body: scanner.reading_body(),
    }
}

/// Feeds a stream whole, byte by byte and cut in two at every place, and expects one outcome.
fn judge(stream: &[u8]) -> Outcome {
    let whole = feed([stream]);
    let shown = String::from_utf8_lossy(stream);
    assert_eq!(feed(stream.chunks(1)), whole, "byte by byte: {shown:?}");
    for cut in 1..stream.len() {
        assert_eq!(feed([&stream[..cut], &stream[cut..]]), whole, "cut at {cut}: {shown:?}");
    }
    whole
}

#[test]
fn whole_requests_pass() {
    #[rustfmt::skip] // one stream a row: heads in it
    let cases: &[(u32, &[u8])] = &[
        (1, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (1, b"GET / HTTP/1.0\r\n\r\n"),
        (1, b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"),
        (1, b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (1, b"GET /v1/models?limit=5&after=a/b HTTP/1.1\r\nhost: api.example.com:8443\r\n\r\n"),
        (1, b"GET / HTTP/1.1\r\nHOST:[::1]:80\r\n\r\n"),
        (1, b"GET / HTTP/1.1\r\nHost: \t a \t \r\nX-Empty:\r\nX-Tab: a\tb\r\n\r\n"),
        (1, b"GET / HTTP/1.1\r\nHost: a\r\nX-Name: \xe4\xb8\xad\xff\r\n\r\n"),
        (1, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"),
        (1, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12\r\n5"),
        (1, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0005\r\n\r\n12345"),
        (1, b"POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nab"),
        (1, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        (1, b"POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: CHUNKED\r\n\r\n5\r\nabcde\r\n0A\r\n0123456789\r\n000\r\n\r\n"),
        (1, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0000000000000002\r\n\r\n\r\n0\r\n\r\n"),
        (1, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Sum: 1\r\nServer-Timing: a\r\n\r\n"),
        (1, b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"),
        (1, b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\na"),
        (1, b"M-SEARCH!#$%&'*+.^_`|~ / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (2, b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n"),
        (3, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcPOST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        // the largest there may be
        (1, b"GET /234567890123456789012345678901234567890123456789012345678901234 HTTP/1.1\r\nHost: a\r\n\r\n"),
        (1, b"GET / HTTP/1.1\r\nHost: a\r\na: 2\r\na: 3\r\na: 4\r\na: 5\r\na: 6\r\na: 7\r\na: 8\r\n\r\n"),
    ];
    assert!(cases.len() >= 15);
    for (heads, stream) in cases {
        let expected = Outcome {
            violation: None,
            passed: stream.len(),
            heads: *heads,
            head_started: false,
            reading_body: false,
        };
        assert_eq!(judge(stream), expected, "{:?}", String::from_utf8_lossy(stream));
    }
}

#[test]
fn a_head_with_a_fault_never_passes() {
    use Framing::*;
    #[rustfmt::skip] // one stream a row
    let cases: &[(Framing, &[u8])] = &[
        // request line
        (EmptyLines,    b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (BareLineEnd,   b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (RequestLine,   b"GET /\r\nHost: a\r\n\r\n"),
        (RequestLine,   b"GET /\r\n"),
        (RequestLine,   b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (RequestLine,   b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n"),
        (RequestLine,   b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n"),
        (RequestLine,   b" GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (RequestLine,   b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        (RequestLine,   b"GET /\tHTTP/1.1\r\nHost: a\r\n\r\n"),
        (RequestLine,   b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"),
        (RequestLine,   b"GET HTTP/1.1\r\nHost: a\r\n\r\n"),
        (RequestLine,   b"GE(T / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (RequestLine,   b"G\xc3\x89T / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (RequestLine,   b"GET / http/1.1\r\nHost: a\r\n\r\n"),
        (RequestLine,   b"GET / HTTP/1.10\r\nHost: a\r\n\r\n"),
        (RequestLine,   b"GET / HTTP/11\r\nHost: a\r\n\r\n"),
        (RequestLine,   b"GET / HTTP/2\r\nHost: a\r\n\r\n"),
        (RequestLine,   b"GET / ICY/1.1\r\nHost: a\r\n\r\n"),
        (RequestLine,   b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n"),
        (Version,       b"GET / HTTP/0.9\r\n\r\n"),
        (Version,       b"GET / HTTP/1.2\r\nHost: a\r\n\r\n"),
        (Version,       b"GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
        (Version,       b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        (TargetForm,    b"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        (TargetForm,    b"GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n"),
        (TargetForm,    b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
        (TargetForm,    b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n"),
        (TargetForm,    b"CONNECT /a HTTP/1.1\r\nHost: a\r\n\r\n"),
        (TargetForm,    b"GET ?a HTTP/1.1\r\nHost: a\r\n\r\n"),
        (TargetByte,    b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n"),
        (TargetByte,    b"GET /a?x=\"b HTTP/1.1\r\nHost: a\r\n\r\n"),
        (TargetByte,    b"GET /a?x=<b HTTP/1.1\r\nHost: a\r\n\r\n"),
        (TargetByte,    b"GET /a?long-enough-to-be-read-by-words=>b HTTP/1.1\r\nHost: a\r\n\r\n"),
        (TargetByte,    b"GET /a\x00b HTTP/1.1\r\nHost: a\r\n\r\n"),
        (TargetByte,    b"GET /a\x7fb HTTP/1.1\r\nHost: a\r\n\r\n"),
        (TargetByte,    b"GET /\xe4\xb8\xad HTTP/1.1\r\nHost: a\r\n\r\n"),
        // line ends
        (BareLineEnd,   b"GET / HTTP/1.1\nHost: a\n\n"),
        (BareLineEnd,   b"GET / HTTP/1.1\r\nHost: a\n\r\n"),
        (BareLineEnd,   b"GET / HTTP/1.1\r\nHost: a\r\n\n"),
        (BareLineEnd,   b"GET /\ra HTTP/1.1\r\nHost: a\r\n\r\n"),
        (BareLineEnd,   b"GET / HTTP/1.1\rHost: a\r\n\r\n"),
        (BareLineEnd,   b"GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n"),
        (BareLineEnd,   b"GET / HTTP/1.1\r\nHost: a\r\r\n\r\n"),
        (BareLineEnd,   b"GET / HTTP/1.1\r\nHost: a\r\n\rX: b\r\n\r\n"),
        // header lines
        (Fold,          b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n"),
        (Fold,          b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n\tc: d\r\n\r\n"),
        (Fold,          b"GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
        (Fold,          b"GET / HTTP/1.1\r\nHost: a\r\n \r\n\r\n"),
        (NameSpace,     b"GET / HTTP/1.1\r\nHost : a\r\n\r\n"),
        (NameSpace,     b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding\t: chunked\r\n\r\n"),
        (HeaderName,    b"GET / HTTP/1.1\r\nHost: a\r\nX Y: b\r\n\r\n"),
        (HeaderName,    b"GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n"),
        (HeaderName,    b"GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n"),
        (HeaderName,    b"GET / HTTP/1.1\r\nHost: a\r\nX(y): b\r\n\r\n"),
        (HeaderName,    b"GET / HTTP/1.1\r\nHost: a\r\nX\x00: b\r\n\r\n"),
        (HeaderName,    b"GET / HTTP/1.1\r\nHost: a\r\n\xc3\x89: b\r\n\r\n"),
        (HeaderName,    b"POST / HTTP/1.1\r\nHost: a\r\nContent_Length: 5\r\n\r\n"),
        (HeaderName,    b"POST / HTTP/1.1\r\nHost: a\r\ntransfer_encoding: chunked\r\n\r\n"),
        (HeaderValue,   b"GET / HTTP/1.1\r\nHost: a\r\nX: b\x00c\r\n\r\n"),
        (HeaderValue,   b"GET / HTTP/1.1\r\nHost: a\r\nX: \x1b[31m\r\n\r\n"),
        (HeaderValue,   b"GET / HTTP/1.1\r\nHost: a\r\nX: \x7f\r\n\r\n"),
        (HeaderValue,   b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n"),
        // Host
        (HostMissing,   b"GET / HTTP/1.1\r\n\r\n"),
        (HostMissing,   b"GET / HTTP/1.1\r\nX-Host: a\r\n\r\n"),
        (HostRepeated,  b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
        (HostRepeated,  b"GET / HTTP/1.1\r\nHost: a\r\nhOST: b\r\n\r\n"),
        (HostRepeated,  b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"),
        (HostInvalid,   b"GET / HTTP/1.1\r\nHost:\r\n\r\n"),
        (HostInvalid,   b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
        (HostInvalid,   b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"),
        (HostInvalid,   b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
        (HostInvalid,   b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
        (HostInvalid,   b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n"),
        (HostInvalid,   b"GET / HTTP/1.1\r\nHost: \xe4\xb8\xad\r\n\r\n"),
        // body
        (LengthAndEncoding, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        (LengthAndEncoding, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
        (LengthAndEncoding, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x\r\nContent-Length: 0\r\n\r\n"),
        (LengthRepeated,    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n12345"),
        (LengthRepeated,    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n123456"),
        (LengthInvalid,     b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n12345"),
        (LengthInvalid,     b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n12345"),
        (LengthInvalid,     b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5 5\r\n\r\n12345"),
        (LengthInvalid,     b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\n12345"),
        (LengthInvalid,     b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\n12345"),
        (LengthInvalid,     b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n12345"),
        (LengthInvalid,     b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n\r\n"),
        (EncodingRepeated,  b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        (EncodingRepeated,  b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"),
        (EncodingUnsupported, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        (EncodingUnsupported, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
        (EncodingUnsupported, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
        (EncodingUnsupported, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n"),
        (EncodingUnsupported, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"),
        (EncodingUnsupported, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n"),
        (EncodingInOldVersion, b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        // sizes: a target of 65, nine lines
        (TargetTooLong,  b"GET /2345678901234567890123456789012345678901234567890123456789012345 HTTP/1.1\r\nHost: a\r\n\r\n"),
        (TooManyHeaders, b"GET / HTTP/1.1\r\nHost: a\r\na: 2\r\na: 3\r\na: 4\r\na: 5\r\na: 6\r\na: 7\r\na: 8\r\na: 9\r\n\r\n"),
    ];
    assert!(cases.len() >= 40);
    for (violation, stream) in cases {
        let outcome = judge(stream);
        let shown = String::from_utf8_lossy(stream);
        assert_eq!(outcome.violation, Some(*violation), "{shown:?}");
        assert_eq!((outcome.passed, outcome.heads, outcome.reading_body), (0, 0, false), "{shown:?}");
        // the same after requests without fault: those pass, it does not
        let before =
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nxGET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let outcome = judge(&[&before[..], stream].concat());
        assert_eq!(outcome.violation, Some(*violation), "pipelined: {shown:?}");
        assert_eq!((outcome.passed, outcome.heads), (before.len(), 2), "pipelined: {shown:?}");
    }
}

#[test]
fn a_chunk_with_a_fault_passes_up_to_the_fault() {
    use Framing::*;
    #[rustfmt::skip] // one body a row: the fault, what passes, what does not
    let cases: &[(Framing, &[u8], &[u8])] = &[
        (ChunkSize, b"5", b";a=b\r\nabcde\r\n0\r\n\r\n"),
        (ChunkSize, b"5", b" \r\nabcde\r\n0\r\n\r\n"),
        (ChunkSize, b"", b" 5\r\nabcde\r\n0\r\n\r\n"),
        (ChunkSize, b"", b"+5\r\nabcde\r\n0\r\n\r\n"),
        (ChunkSize, b"", b"-1\r\n"),
        (ChunkSize, b"0", b"x5\r\nabcde\r\n0\r\n\r\n"),
        (ChunkSize, b"", b"\r\nabcde\r\n0\r\n\r\n"),
        (ChunkSize, b"5", b"\nabcde\r\n0\r\n\r\n"),
        (ChunkSize, b"5\r", b"abcde\r\n0\r\n\r\n"),
        (ChunkSize, b"5\r", b"\r\nabcde\r\n0\r\n\r\n"),
        (ChunkSize, b"0000000000000000", b"5\r\nabcde\r\n0\r\n\r\n"),
        (ChunkSize, b"5\r\nabcde\r\n", b"g\r\n"),
        (ChunkSize, b"0", b"\n\n"),
        (ChunkEnd,  b"3\r\nabc", b"de\r\n0\r\n\r\n"),
        (ChunkEnd,  b"5\r\nabcde", b"\n0\r\n\r\n"),
        (ChunkEnd,  b"5\r\nabcde\r", b"0\r\n\r\n"),
        (ChunkEnd,  b"6\r\nabcde\r", b"\n0\r\n\r\n"),
        (ChunkEnd,  b"ffffffffffffffff\r\nabcde\r\n0\r\n\r\n", b""),
        (BareLineEnd, b"0\r\n", b"\n"),
        (BareLineEnd, b"0\r\nX: y\r\n", b"Z: y\n\r\n"),
        (BareLineEnd, b"0\r\n", b"X: y\rZ: y\r\n\r\n"),
        (BareLineEnd, b"0\r\n", b"\rGET / HTTP/1.1\r\n"),
        (Fold,        b"0\r\nX: y\r\n", b" z\r\n\r\n"),
        (NameSpace,   b"0\r\n", b"X : y\r\n\r\n"),
        (HeaderName,  b"0\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (HeaderValue, b"0\r\n", b"X: \x00\r\n\r\n"),
        (TrailerName, b"0\r\n", b"Content-Length: 5\r\n\r\n"),
        (TrailerName, b"0\r\nX: y\r\n", b"transfer-encoding: chunked\r\n\r\n"),
        (TrailerName, b"0\r\n", b"HOST: b\r\n\r\n"),
        (TrailerName, b"0\r\n", b"Authorization: Bearer x\r\n\r\n"),
        (TrailerName, b"0\r\n", b"X-Apig-AppCode: x\r\n\r\n"),
        (TrailerName, b"0\r\n", b"X-Sdk-Date: x\r\n\r\n"),
    ];
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (violation, good, bad) in cases {
        let outcome = judge(&[head, *good, *bad].concat());
        let violation = (!bad.is_empty()).then_some(*violation);
        let expected = Outcome {
            violation,
            passed: head.len() + good.len(),
            heads: 1,
            head_started: false,
            reading_body: true,
        };
        assert_eq!(outcome, expected, "{:?}", String::from_utf8_lossy(&[*good, bad].concat()));
    }
}

#[test]
fn sizes_are_refused_before_they_are_whole() {
    let long = |front: &str, len: usize| [front.as_bytes(), &vec![b'a'; len - front.len()]].concat();
    let line = b"GET / HTTP/1.1\r\nHost: a\r\n";
    #[rustfmt::skip]
    let cases = [
        (Some(Framing::TargetTooLong), long("GET /", 64 + 49)),
        (None,                         long("GET /", 64 + 48)),
        (Some(Framing::TargetTooLong), long("AAAAAAAAAA", 64 + 49)),
        (Some(Framing::HeadTooLarge),  [line, &long("X: ", 513 - line.len())[..]].concat()),
        (None,                         [line, &long("X: ", 512 - line.len())[..]].concat()),
        (Some(Framing::HeadTooLarge),  [line, &b"Y: aaaaaaaaaa\r\n".repeat(3)[..], &long("X: ", 480)[..]].concat()),
    ];
    for (violation, stream) in cases {
        let outcome = judge(&stream);
        assert_eq!((outcome.violation, outcome.passed), (violation, 0), "{}", stream.len());
        assert!(outcome.head_started);
    }
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n";
    let trailers = b"X-Trailer: 0123456789\r\n".repeat(400);
    let outcome = feed([&head[..], &trailers]);
    assert_eq!(outcome.violation, Some(Framing::TrailersTooLarge));
    assert_eq!(feed([&head[..], &trailers].concat().chunks(1)), outcome);
}

#[test]
fn an_unfinished_head_is_told_from_silence() {
    let started = |stream: &[u8]| judge(stream).head_started;
    assert!(!started(b""), "nothing yet");
    assert!(started(b"G"));
    assert!(started(b"GET / HTTP/1.1\r\nHost: a\r\n"));
    assert!(!started(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "complete");
    assert!(!started(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n\r\n"), "an empty line is no request");
    assert!(started(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n\r\nG"));
    assert!(judge(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n1234").reading_body);
}

#[test]
fn every_violation_has_a_status_of_its_kind_and_a_code_of_its_own() {
    use Framing::*;
    #[rustfmt::skip]
    let all = [
        EmptyLines, RequestLine, Version, TargetForm, TargetByte, TargetTooLong, HeadTooLarge, TooManyHeaders, BareLineEnd,
        Fold, NameSpace, HeaderName, HeaderValue, HostMissing, HostRepeated, HostInvalid, LengthAndEncoding, LengthRepeated,
        LengthInvalid, EncodingRepeated, EncodingUnsupported, EncodingInOldVersion, ChunkSize, ChunkEnd, TrailerName,
        TrailersTooLarge,
    ];
    let codes: std::collections::HashSet<_> = all.iter().map(|violation| violation.code()).collect();
    assert_eq!(codes.len(), all.len());
    for violation in all {
        assert!(matches!(violation.status(), 400 | 414 | 431 | 501 | 505));
        assert!(!violation.reason().is_empty());
    }
}

/// Streams close enough to HTTP to reach every corner.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => Just(&b"GET / HTTP/1.1\r\n"[..]),
        2 => Just(&b"POST /v1/chat?a=b HTTP/1.1\r\n"[..]),
        4 => Just(&b"Host: a\r\n"[..]),
        6 => Just(&b"\r\n"[..]),
        2 => Just(&b"Content-Length: 3\r\n"[..]),
        2 => Just(&b"Transfer-Encoding: chunked\r\n"[..]),
        2 => Just(&b"3\r\nabc\r\n"[..]),
        2 => Just(&b"0\r\n"[..]),
        2 => Just(&b"X-Name: value\t\xff\r\n"[..]),
        1 => Just(&b"abc"[..]),
        1 => Just(&b"\n"[..]),
        1 => Just(&b"\r"[..]),
        1 => Just(&b" "[..]),
        1 => Just(&b":"[..]),
        1 => Just(&b"\x00"[..]),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_bytes_in_any_pieces_have_one_outcome(
        stream in prop_oneof![stream(), prop::collection::vec(any::<u8>(), 0..80)],
        size in 1_usize..20,
    ) {
        prop_assert_eq!(feed(stream.chunks(size)), feed([&stream[..]]));
    }

    /// Several bytes at a time, or one: the same answer.
    #[test]
    fn no_byte_hides_among_others(bytes in "[a-z]{0,30}", odd in any::<u8>(), at in 0_usize..30) {
        let mut bytes = bytes.into_bytes();
        bytes.insert(at.min(bytes.len()), odd);
        prop_assert_eq!(lines::has_odd(&bytes), !odd.is_ascii_graphic() || b"#\"<>".contains(&odd));
        prop_assume!(odd != b'\n');
        let line = [b"X:", &bytes[..], b"\r\nY:"].concat();
        let control = odd.is_ascii_control() && odd != b'\t';
        let fault = if odd == b'\r' { Framing::BareLineEnd } else { Framing::HeaderValue };
        let expected = if control { Err(fault) } else { Ok(1) };
        // Found whole, and in two pieces: the second way looks for control characters anew.
        for first in 0..line.len() {
            let mut lines = lines::Lines::default();
            let found = lines.next(&line[..first]).or_else(|| lines.next(&line)).expect("a whole line");
            let field = found.strip_cr().and_then(lines::field).map(|(name, _)| name.len());
            prop_assert_eq!(field, expected, "{} first", first);
        }
    }

    #[test]
    fn a_token_ends_where_its_first_other_byte_is(bytes in prop::collection::vec(any::<u8>(), 0..20), front in "[a-zA-Z-]{0,12}") {
        let bytes = [front.as_bytes(), &bytes].concat();
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let expected = bytes.iter().position(|&byte| !token(byte)).unwrap_or(bytes.len());
        prop_assert_eq!(lines::token_len(&bytes), expected);
    }

    /// hyper reads heads with httparse: what passes here, it takes the same way.
    #[test]
    fn httparse_agrees_on_the_heads_that_pass(
        method in "[A-Z!#$%&'*+.^_`|~-]{1,10}",
        target in "/[!-~]{0,30}",
        headers in prop::collection::vec(("[a-zA-Z0-9!#$%&'*+.^_`|~-]{1,12}", "[ \t!-~\u{80}-\u{ff}]{0,20}"), 0..7),
        noise in prop::option::weighted(0.3, (0_usize..200, any::<u8>())),
    ) {
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: a\r\n");
        for (name, value) in &headers {
            head += &format!("{name}: {value}\r\n");
        }
        let mut head = (head + "\r\n").into_bytes();
        if let Some((at, byte)) = noise {
            let at = at % head.len();
            head[at] = byte;
        }
        let outcome = feed([&head[..]]);
        prop_assume!(outcome.heads == 1);
        let mut parsed = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut parsed);
        let end = request.parse(&head[..outcome.passed]);
        prop_assert_eq!(end, Ok(httparse::Status::Complete(outcome.passed)));
        let lines = head[..outcome.passed].split(|byte| *byte == b'\n').count() - 3;
        prop_assert_eq!(request.headers.len(), lines, "as many headers as lines");
        let line = format!("{} {} HTTP/1.{}\r\n", request.method.unwrap(), request.path.unwrap(), request.version.unwrap());
        prop_assert!(head.starts_with(line.as_bytes()), "{line:?}");
    }
}

mod gate;
