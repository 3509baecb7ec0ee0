//! The gateway has the upstream tell the use of a stream, and takes it out again for callers who did not ask. All else
//! passes byte for byte.

use super::*;
use harness::certs::Authority;
use harness::http2::{Http2, sized};

const STREAM: &str = r#","stream":true"#;
const ASKED: &str = r#","stream":true,"stream_options":{"include_usage":true}"#;
const PIECES: [usize; 8] = [0, 1, 2, 3, 5, 17, 200, 5000];

/// A limit that may cut, so that events wait until they are whole.
const CUTS: &str = "- {name: wide, per: tenant, tokens: 1G/month, on_exhausted: cut}";

/// What the mock answers to `ask`; its numbers start again before each answer, so that equal requests get equal bytes.
fn answered(mock: &Mock, pieces: usize, ask: impl FnOnce(Request) -> String, more: &str) -> String {
    mock.reset();
    let request = post(OPENAI_CHAT, &hello_m(more)).header("x-mock-tokens", "20");
    let request = request.header("x-mock-chunk-bytes", pieces.to_string());
    without_moment(&ask(request))
}

/// `"created"` is a second that may pass between two requests.
fn without_moment(stream: &str) -> String {
    let mut parts = stream.split(r#""created":"#);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        text + r#""created":"# + part.trim_start_matches(|c: char| c.is_ascii_digit())
    })
}

/// A stream without its event of no choices.
fn stripped(stream: &str) -> String {
    stream.split_inclusive("\n\n").filter(|event| !event.contains(r#""choices":[]"#)).collect()
}

fn check(mock: &Mock, pieces: usize, ask: impl Fn(Request) -> String) {
    let direct = answered(mock, pieces, |request| request.send(mock.address).text(), ASKED);
    assert!(direct.contains(r#""choices":[]"#) && direct.ends_with("[DONE]\n\n"), "{direct}");
    assert_eq!(answered(mock, pieces, &ask, ASKED), direct, "asked for, in pieces of {pieces}");
    assert_eq!(
        answered(mock, pieces, &ask, STREAM),
        stripped(&direct),
        "not asked for, in pieces of {pieces}"
    );
}

#[test]
fn a_stream_passes_byte_for_byte_without_the_usage_that_was_not_asked_for() {
    for policy in [policy(&[]), limited(CUTS)] {
        let (mock, gateway) = start_metered(&policy);
        for pieces in PIECES {
            check(&mock, pieces, |request| {
                let answer = request.send(gateway.http);
                assert!(
                    answer.status == 200 && answer.whole,
                    "{} {}",
                    answer.text(),
                    gateway.process.stderr()
                );
                answer.text()
            });
        }
    }
}

#[test]
fn the_same_over_http2() {
    for policy in [policy(&[]), limited(CUTS)] {
        let (mock, authority) = (Mock::start(), Authority::new());
        let setup = Setup::new(&mock).policy(&policy).env("GUS_API_KEY", GUS_API_KEY).https();
        authority.issue("one", &["gateway.test"]).write(&setup.certs(), "gateway");
        let gateway = setup.start();
        let h2 = std::cell::RefCell::new(Http2::open(gateway.https, &authority, "gateway.test"));
        for pieces in PIECES {
            check(&mock, pieces, |request| {
                let uri = format!("https://gateway.test{}", request.target());
                let h2_request =
                    request.headers().iter().fold(http::Request::post(uri), |h2_request, (name, value)| {
                        h2_request.header(name.as_str(), value.as_str())
                    });
                let sent = h2_request.body(sized(request.body().to_vec())).expect("a request");
                let answer = h2.borrow_mut().send(sent).expect("an answer");
                assert_eq!(answer.status(), 200);
                let body = h2.borrow().read(answer.into_body()).expect("a whole answer");
                String::from_utf8_lossy(&body).into_owned()
            });
        }
    }
}

#[test]
fn only_a_stream_that_does_not_ask_is_changed_on_its_way_up() {
    let (_mock, gateway) = start_metered(&policy(&[]));
    let arrived = |body: &str| {
        let answer = post(ECHO, body).send(gateway.http);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.text()
    };
    for as_it_is in [
        r#"{"model":"m","messages":[]}"#,
        r#"{ "stream" : false , "messages":[], "x": "山  x"}"#,
        r#"{"stream":true,"stream_options":{"include_usage":true},"messages":[]}"#,
        // The Responses API tells it unasked, and has no such option.
        r#"{"stream":true,"input":"山"}"#,
        "--x\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n--x--\r\n",
        "",
    ] {
        assert_eq!(arrived(as_it_is), as_it_is);
    }
    for (sent, upstream) in [
        (
            r#"{ "stream" :true, "messages":[], "x": "山  x"}"#,
            r#"{"stream_options":{"include_usage":true}, "stream" :true, "messages":[], "x": "山  x"}"#,
        ),
        (
            r#"{"stream":true,"stream_options":{"include_usage":false,"y":1}}"#,
            r#"{"stream":true,"stream_options":{"include_usage":true,"y":1}}"#,
        ),
        (
            r#"{"stream":true,"stream_options":null}"#,
            r#"{"stream":true,"stream_options":{"include_usage":true}}"#,
        ),
    ] {
        assert_eq!(arrived(sent), upstream);
    }
}
