//! gRPC, and HTTP/2 towards backends: calls that stream both ways, what ends them, and who is asked.

mod counted;
mod silence;

use crate::support::{ms, secs};
use harness::certs::Authority;
use harness::gateway::CHAT_API_KEY;
use harness::http2::{Body, Http2, sized, unsized_body};
use harness::{Gateway, Mock, Request, Setup, now};
use http_body_util::BodyExt;
use hyper::body::Incoming;

const POLICY: &str = r#"
pools:
  - {name: models, protocol: h2, backends: [{url: "http://127.0.0.1:9100"}]}
  - {name: nobody, protocol: h2, backends: [{url: "http://127.0.0.1:1"}]}
plans:
  wide: [{name: rps, per: tenant, requests: 10000/s}]
tenants:
  - name: acme
    plan: wide
    users: [{name: chat, api_key: {env: CHAT_API_KEY}}]
routes:
  - name: calls
    match: {path: "/{service}/{method}"}
    api: grpc
    auth: none
    pool: models
    body_max: 1MiB
    timeouts: {first_byte: 2s, idle: 2s, total: 10s}
    limits: [{name: open, per: route, concurrent: 2}]
  - name: for-some
    match: {path: "/mock.Echo/Keyed"}
    api: grpc
    auth: [api_key]
    pool: models
  - name: few
    match: {path: "/mock.Echo/Few"}
    api: grpc
    auth: [api_key]
    pool: models
    limits: [{name: calls, per: tenant+route, requests: 1/h}]
  - name: gone
    match: {path: "/mock.Echo/Gone"}
    api: grpc
    auth: none
    pool: nobody
    unlimited: "nobody is there"
  - name: short
    match: {path: "/mock.Echo/Short"}
    api: grpc
    auth: none
    pool: models
    timeouts: {total: 1s}
    unlimited: "it is soon over"
  - name: plain
    match: {path: "/mock/{*rest}"}
    api: plain
    auth: none
    pool: models
"#;

fn start() -> (Mock, Gateway, Http2) {
    let mock = Mock::start();
    let authority = Authority::new();
    let setup = Setup::new(&mock).https().policy(POLICY);
    authority.issue("one", &["gateway.test"]).write(&setup.certs(), "default");
    let gateway = setup.start();
    let http2 = Http2::open(gateway.https, &authority, "gateway.test");
    (mock, gateway, http2)
}

fn call(path: &str) -> http::request::Builder {
    http::Request::post(format!("https://gateway.test{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
}

/// A message as gRPC frames it.
fn message(bytes: &[u8]) -> Vec<u8> {
    [&[0][..], &(bytes.len() as u32).to_be_bytes(), bytes].concat()
}

/// Body and `grpc-status` of an answer, wherever that stands.
fn read(http2: &Http2, answer: http::Response<Incoming>) -> (Vec<u8>, Option<String>, Option<String>) {
    let (head, body) = answer.into_parts();
    let body = http2.wait(body.collect()).expect("an answer that ends as it should");
    let trailers = body.trailers().cloned().unwrap_or(head.headers);
    let text = |name: &str| trailers.get(name).map(|value| value.to_str().expect("ASCII").to_owned());
    (body.to_bytes().to_vec(), text("grpc-status"), text("grpc-message"))
}

fn status(http2: &mut Http2, request: http::Request<Body>) -> (Option<String>, String) {
    let answer = http2.send(request).expect("an answer");
    assert_eq!(answer.status(), 200);
    let (_, status, message) = read(http2, answer);
    (status, message.unwrap_or_default())
}

#[test]
fn a_call_passes_with_its_trailers() {
    let (mock, gateway, mut http2) = start();
    let sent = message(b"hello");
    let answer = http2.send(call("/mock.Echo/Say").body(sized(sent.clone())).unwrap()).expect("an answer");
    assert_eq!(answer.headers()["content-type"], "application/grpc");
    assert_eq!(read(&http2, answer), (sent, Some("0".into()), None));
    let seen = &mock.last(1)[0];
    assert_eq!(seen.values("te"), ["trailers"]);
    assert_eq!(seen.values("grpc-timeout"), [""; 0]);
    let line = gateway.access_line("a call that went well", |line| line["path"] == "/mock.Echo/Say");
    assert_eq!((&line["status"], &line["grpc_status"]), (&200.into(), &0.into()), "{line}");
}

#[test]
fn a_call_counts_as_what_its_status_stands_for() {
    let (_mock, gateway, mut http2) = start();
    for (path, told, counted) in
        [("/mock.Status/5", "5", 404), ("/mock.Refuse/14", "14", 503), ("/mock.Status/99", "99", 500)]
    {
        assert_eq!(status(&mut http2, call(path).body(sized("")).unwrap()).0.as_deref(), Some(told));
        let line = gateway.access_line("its end", |line| line["path"] == path);
        assert_eq!((&line["status"], &line["outcome"]), (&counted.into(), &"ok".into()), "{line}");
    }
    let metrics = gateway.admin("/metrics").text();
    for series in [
        r#"gateway_grpc_calls_total{route="calls",grpc_status="5"} 1"#,
        r#"gateway_grpc_calls_total{route="calls",grpc_status="14"} 1"#,
        r#"gateway_grpc_calls_total{route="calls",grpc_status="2"} 1"#,
        r#"gateway_request_duration_seconds_count{route="calls",status_class="5xx"} 2"#,
    ] {
        assert!(metrics.contains(series), "{series}\n{metrics}");
    }
}

#[test]
fn messages_come_as_they_are_sent() {
    let (_mock, _gateway, mut http2) = start();
    let count =
        call("/mock.Count/5").header("x-mock-token-every-ms", "200").body(sized(message(b""))).unwrap();
    let began = now();
    let mut answer = http2.send(count).expect("an answer").into_body();
    for n in 0..5_u64 {
        assert_eq!(http2.frame(&mut answer).expect("a message"), message(&n.to_be_bytes()));
        assert!(began.elapsed() < ms(200 * n + 180), "{n}: {:?}", began.elapsed());
    }
    let end = http2.wait(answer.collect()).expect("an end");
    assert_eq!(end.trailers().expect("trailers")["grpc-status"], "0");
}

#[test]
fn both_ends_may_talk_at_once() {
    let (_mock, _gateway, mut http2) = start();
    let (sender, body) = harness::http2::channel();
    let answer =
        http2.send(call("/mock.Echo/Chat").body(body).unwrap()).expect("a head before the last message");
    let mut answer = answer.into_body();
    for round in 0..5_u8 {
        std::thread::sleep(ms(500)); // longer than `idle` together
        assert!(sender.send(message(&[round; 1000]).into()).is_ok());
        assert_eq!(http2.frame(&mut answer).expect("its echo"), message(&[round; 1000]));
    }
    drop(sender);
    let end = http2.wait(answer.collect()).expect("an end");
    assert_eq!(end.trailers().expect("trailers")["grpc-status"], "0");
}

#[test]
fn refusals_are_statuses_of_grpc() {
    let (_mock, gateway, mut http2) = start();
    let (code, text) = status(&mut http2, call("/mock.Echo/Keyed").body(sized("")).unwrap());
    assert_eq!(code.as_deref(), Some("16"), "{text}");
    let (code, text) = status(&mut http2, call("/mock.Echo/Gone").body(sized("")).unwrap());
    assert_eq!(code.as_deref(), Some("14"), "{text}");
    let large = unsized_body(vec![vec![0; 1 << 20].into(), vec![0].into()]);
    let (code, text) = status(&mut http2, call("/mock.Echo/Say").body(large).unwrap());
    assert_eq!(code.as_deref(), Some("8"), "{text}");

    let open: Vec<_> = (0..2)
        .map(|_| {
            let (sender, body) = harness::http2::channel();
            (http2.send(call("/mock.Echo/Chat").body(body).unwrap()).expect("a head"), sender)
        })
        .collect();
    let answer = http2.send(call("/mock.Echo/Chat").body(sized("")).unwrap()).expect("an answer");
    assert!(answer.headers().contains_key("retry-after"));
    assert_eq!(read(&http2, answer).1.as_deref(), Some("8"));
    drop(open);

    let few = || call("/mock.Echo/Few").header("authorization", format!("Bearer {CHAT_API_KEY}"));
    assert_eq!(status(&mut http2, few().body(sized("")).unwrap()).0.as_deref(), Some("0"));
    let (code, text) = status(&mut http2, few().body(sized("")).unwrap());
    assert_eq!(code.as_deref(), Some("8"));
    assert!(text.contains("calls") && text.is_ascii(), "{text}");
    let line =
        gateway.access_line("the refusal", |line| line["outcome"] == "limited" && line["route"] == "few");
    assert_eq!((&line["status"], &line["grpc_status"]), (&429.into(), &8.into()), "{line}");
}

#[test]
fn what_fails_after_the_head_is_told_in_the_trailers() {
    let (_mock, gateway, mut http2) = start();
    let cut = call("/mock.Count/6").header("x-mock-fault", "reset-mid").body(sized("")).unwrap();
    let answer = http2.send(cut).expect("a head");
    let (body, code, text) = read(&http2, answer);
    assert_eq!((body.len(), code.as_deref()), (3 * 13, Some("14")), "{text:?}");
    let line = gateway.access_line("cut", |line| line["outcome"] == "cut");
    assert_eq!((&line["status"], &line["grpc_status"]), (&503.into(), &14.into()), "{line}");

    let silent = call("/mock.Count/6").header("x-mock-fault", "hang-mid").body(sized("")).unwrap();
    let answer = http2.send(silent).expect("a head");
    assert_eq!(read(&http2, answer).1.as_deref(), Some("4"));
}

#[test]
fn a_deadline_of_the_caller_is_kept() {
    let (_mock, gateway, mut http2) = start();
    let began = now();
    let late = call("/mock.Echo/Say").header("grpc-timeout", "300m").header("x-mock-latency-ms", "5000");
    let (code, _) = status(&mut http2, late.body(sized("")).unwrap());
    assert_eq!(code.as_deref(), Some("4"));
    assert!(began.elapsed() < secs(2), "{:?}", began.elapsed());
    let (_sender, body) = harness::http2::channel();
    let (code, _) =
        status(&mut http2, call("/mock.Echo/Chat").header("grpc-timeout", "1S").body(body).unwrap());
    assert_eq!(code.as_deref(), Some("4"), "also in the middle of an answer");
    gateway
        .access_line("the end", |line| line["outcome"] == "deadline_over" && line["first_byte_us"].is_u64());
    let metrics = gateway.admin("/metrics").text();
    assert!(
        !metrics.contains("gateway_upstream_errors_total{"),
        "its caller's haste is no fault of a backend"
    );
}

#[test]
fn a_backend_hears_what_is_left_of_the_time() {
    let (mock, _gateway, mut http2) = start();
    for (said, wanted) in
        [("5S", 4_000_000..5_000_000), ("1H", 9_000_000..10_000_000), ("400m", 300_000..400_000)]
    {
        let timed = call("/mock.Echo/Say").header("grpc-timeout", said).body(sized("")).unwrap();
        assert_eq!(status(&mut http2, timed).0.as_deref(), Some("0"));
        let seen = mock.last(1).remove(0);
        let told = seen.values("grpc-timeout");
        let [told] = told[..] else { panic!("{told:?}") };
        let us: u64 = told.strip_suffix('u').and_then(|us| us.parse().ok()).expect("microseconds");
        assert!(wanted.contains(&us), "{said}: {told}");
    }
}

#[test]
fn a_slow_backend_is_told_apart_from_a_hasty_caller() {
    let (_mock, gateway, mut http2) = start();
    let late = call("/mock.Echo/Say").header("grpc-timeout", "1M").header("x-mock-latency-ms", "5000");
    let (code, text) = status(&mut http2, late.body(sized("")).unwrap());
    assert_eq!(code.as_deref(), Some("4"), "{text}");
    let line = gateway.access_line("the end", |line| line["outcome"] == "first_byte_late");
    assert_eq!(line["status"], 504, "{line}");
    assert!(gateway.admin("/metrics").text().contains(r#"kind="timeout"} 1"#));

    // Nor is what the route allows the caller's haste, where that is less.
    let (_sender, body) = harness::http2::channel();
    let (code, text) =
        status(&mut http2, call("/mock.Echo/Short").header("grpc-timeout", "1M").body(body).unwrap());
    assert_eq!(code.as_deref(), Some("4"), "{text}");
    gateway.access_line("the end", |line| line["outcome"] == "cut" && line["route"] == "short");
}

#[test]
fn what_is_not_grpc_is_told_so_in_http() {
    let (mock, gateway, mut http2) = start();
    let answer =
        Request::post("/mock.Echo/Say", "x").header("content-type", "application/grpc").send(gateway.http);
    assert_eq!(answer.status, 505, "{}", answer.text());
    let json =
        http::Request::post("https://gateway.test/mock.Echo/Say").header("content-type", "application/json");
    assert_eq!(http2.send(json.body(sized("{}")).unwrap()).unwrap().status(), 415);
    assert_eq!(mock.requests(), 0);
}

#[test]
fn http1_callers_share_an_h2_connection_upstream() {
    let (mock, gateway, _http2) = start();
    let body = vec![7; 500_000];
    for _ in 0..5 {
        let answer = Request::post("/mock/echo", body.clone()).send(gateway.http);
        assert_eq!(answer.status, 200);
        assert!(answer.body == body, "{} bytes", answer.body.len());
    }
    let answer = Request::get("/mock/bytes/1000").send(gateway.http);
    assert_eq!((answer.header("content-length"), answer.body.len()), (Some("1000"), 1000));
    let connects = gateway.admin("/metrics").text();
    assert!(connects.contains(r#"gateway_upstream_connects_total{pool="models"} 1"#), "{connects}");
    assert_eq!(mock.requests(), 6);
}

#[test]
fn a_caller_that_leaves_takes_its_stream_along() {
    let (mock, _gateway, mut http2) = start();
    let hanging = call("/mock.Echo/Say").header("x-mock-latency-ms", "20000").body(sized("")).unwrap();
    http2.give_up(hanging, || {
        harness::eventually("it has arrived", secs(5), || (mock.requests() == 1).then_some(()));
    });
    harness::eventually("the backend hears of it", secs(2), || (mock.count("cancelled") == 1).then_some(()));
}
