//! The probe of `Retry-After`, against limiters over real sockets that tell the truth, or do not.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpListener;

use super::super::policy::Policy;
use super::super::probe::{self, Ask};
use super::world;
use crate::clock::mono_us;
use crate::measure::Check;

/// One request in so many microseconds, none at once.
const EVERY_US: u64 = 80_000;

/// A gateway that admits one request every [`EVERY_US`], and says of a wait what `says` makes of it.
async fn gateway(says: fn(u64) -> u64) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let free_us = Arc::new(Mutex::new(0_u64));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let free_us = Arc::clone(&free_us);
            let answer = move |_: Request<Incoming>| {
                let (mut free_us, now_us) = (free_us.lock(), mono_us());
                let mut response = Response::new(Full::new(Bytes::new()));
                match free_us.checked_sub(now_us).filter(|&wait_us| wait_us > 0) {
                    None => *free_us = now_us + EVERY_US,
                    Some(wait_us) => {
                        *response.status_mut() = http::StatusCode::TOO_MANY_REQUESTS;
                        let wait_ms = says(wait_us).div_ceil(1_000).max(1);
                        response.headers_mut().insert("retry-after-ms", HeaderValue::from(wait_ms));
                    }
                }
                std::future::ready(Ok::<_, Infallible>(response))
            };
            let served = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(answer));
            tokio::spawn(async move { drop(served.await) });
        }
    });
    address
}

async fn probed(says: fn(u64) -> u64) -> [Check; 2] {
    let ask = Ask {
        gateway: gateway(says).await,
        method: Method::POST,
        target: "/v1/chat/completions".to_owned(),
        headers: Vec::new,
        body: Bytes::new(),
        wait_max: Duration::from_secs(1),
        requests_max: 10,
    };
    probe::retry_after(&ask).await.try_into().unwrap()
}

#[tokio::test]
async fn a_true_retry_after_is_confirmed_both_ways() {
    for says in [|us: u64| us, |us: u64| us + us / 10] {
        for check in probed(says).await {
            assert!(check.evidence > 0 && check.violations.is_empty(), "{check:#?}");
        }
    }
}

#[tokio::test]
async fn a_retry_after_that_is_too_early_is_found() {
    let [long_enough, _] = probed(|us| us * 7 / 10).await;
    assert!(!long_enough.violations.is_empty(), "{long_enough:#?}");
}

#[tokio::test]
async fn a_retry_after_that_is_far_too_late_is_found() {
    let [_, not_longer] = probed(|us| us * 2).await;
    assert!(!not_longer.violations.is_empty(), "{not_longer:#?}");
}

#[tokio::test]
async fn waits_that_are_too_long_to_probe_are_said_to_be() {
    for check in probed(|us| us * 1_000).await {
        assert!(check.evidence == 0 && check.claim.contains("longer than the probe waits"), "{check:#?}");
    }
}

#[test]
fn the_caller_whose_limit_is_soonest_used_up_is_chosen() {
    let policy = |text: &str| {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("policy.yaml"), text).unwrap();
        Policy::read(dir.path()).unwrap()
    };
    let chosen = |of_t0: &str, of_t1: &str| {
        let text = format!(
            "routes: [{{name: chat, auth: [api_key]}}]\nplans:\n  a: [{{name: l, per: tenant, {of_t0}}}]\n  \
             b: [{{name: l, per: tenant, {of_t1}}}]\ntenants: [{{name: t0, plan: a}}, {{name: t1, plan: b}}]\n"
        );
        let choice = probe::choose(&policy(&text), &world::scenario(), Duration::from_secs(5));
        choice.map(|choice| (choice.caller, choice.requests_max)).ok()
    };
    assert_eq!(chosen("requests: 10/s", "requests: 10/s, burst: 2"), Some((1, 14)));
    assert_eq!(chosen("requests: 10/s", "requests: 3/min"), Some((0, 30)), "20 s are too long a wait");
    assert_eq!(chosen("requests: 3/s, algorithm: fixed_window", "concurrent: 1"), Some((0, 16)));
    assert_eq!(chosen("requests: 1000/s", "concurrent: 1"), None, "1 ms cannot be told from a round trip");
}
