//! The mock over HTTP/2 without TLS, on the same port as HTTP/1.1.
#![allow(clippy::unwrap_used)] // helpers of tests may panic as tests do

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use pangu_loadtest::mock::count::Outcome;
use pangu_loadtest::mock::{Mock, Options};
use tokio::net::TcpStream;

const STREAM: &str = r#"{"model":"m","messages":[{"role":"user","content":"hello"}],"stream":true}"#;

async fn connect(mock: &Mock) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(mock.address()).await.unwrap();
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn request(mock: &Mock, knobs: &[(&str, &str)]) -> Request<Full<Bytes>> {
    let mut request = Request::post(format!("{}/v1/chat/completions", mock.url()));
    for (name, value) in knobs {
        request = request.header(*name, *value);
    }
    request.body(Full::from(STREAM)).unwrap()
}

async fn eventually(mock: &Mock, claim: impl Fn(&pangu_loadtest::mock::count::Stats) -> bool) -> Duration {
    let start = tokio::time::Instant::now();
    while !claim(&mock.stats()) {
        assert!(start.elapsed() < Duration::from_secs(5), "not within 5 s: {:?}", mock.stats());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    start.elapsed()
}

async fn read(answer: Response<Incoming>) -> Result<Bytes, hyper::Error> {
    answer.into_body().collect().await.map(|body| body.to_bytes())
}

#[tokio::test]
async fn streams_share_a_connection() {
    let mock = Mock::start(&Options::default()).unwrap();
    let mut sender = connect(&mock).await;
    let first = sender.send_request(request(&mock, &[])).await.unwrap();
    let second = sender.send_request(request(&mock, &[])).await.unwrap();
    assert_eq!(first.version(), Version::HTTP_2);
    for answer in [first, second] {
        assert!(read(answer).await.unwrap().ends_with(b"data: [DONE]\n\n"));
    }
    let stats = mock.stats();
    assert_eq!((stats.completed, stats.connections), (2, 1));
    let record = &mock.requests(1)[0];
    assert_eq!((record.version.as_str(), record.target.as_str()), ("HTTP/2.0", "/v1/chat/completions"));
    assert_eq!(record.header(":authority"), Some(mock.address().to_string().as_str()));
}

#[tokio::test]
async fn a_reset_stream_is_noticed_at_once_and_alone() {
    let mock = Mock::start(&Options::default()).unwrap();
    let mut sender = connect(&mock).await;
    let mut other = sender.clone();
    for knob in
        [("x-mock-latency-ms", "60000"), ("x-mock-token-every-ms", "60000"), ("x-mock-fault", "hang-mid")]
    {
        mock.reset();
        let slow = other.send_request(request(&mock, &[("x-mock-token-every-ms", "20")]));
        let slow = tokio::spawn(async { read(slow.await?).await });
        eventually(&mock, |stats| stats.in_flight == 1).await;
        let left = tokio::spawn(sender.send_request(request(&mock, &[knob])));
        eventually(&mock, |stats| stats.in_flight == 2).await;
        if knob.0 == "x-mock-latency-ms" {
            left.abort();
        } else {
            drop(left.await.unwrap().unwrap());
        }
        let took = eventually(&mock, |stats| stats.cancelled == 1 && stats.in_flight == 1).await;
        assert!(took < Duration::from_millis(100), "{knob:?}: {took:?}");
        assert!(slow.await.unwrap().unwrap().ends_with(b"[DONE]\n\n"), "the neighbour lives");
    }
}

#[tokio::test]
async fn faults_break_the_stream_and_not_the_connection() {
    let mock = Mock::start(&Options::default()).unwrap();
    let mut sender = connect(&mock).await;
    let reset = sender.send_request(request(&mock, &[("x-mock-fault", "reset-head")])).await;
    assert!(reset.is_err());
    let cut = sender.send_request(request(&mock, &[("x-mock-fault", "reset-mid")])).await.unwrap();
    assert!(read(cut).await.is_err());
    let short = sender.send_request(request(&mock, &[("x-mock-fault", "truncate")])).await.unwrap();
    assert!(!read(short).await.unwrap().ends_with(b"[DONE]\n\n"), "an early but orderly end");
    let good = sender.send_request(request(&mock, &[("x-mock-fault", "close")])).await.unwrap();
    assert!(read(good).await.unwrap().ends_with(b"[DONE]\n\n"));
    let outcomes: Vec<_> = mock.requests(9).iter().filter_map(|record| record.outcome).collect();
    assert_eq!(outcomes, [Outcome::Faulted, Outcome::Faulted, Outcome::Faulted, Outcome::Completed]);
    assert_eq!(mock.stats().connections, 1);
}
