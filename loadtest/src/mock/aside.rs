//! What is answered beside the model endpoints: probes, lists of instances, IAM, and the handshake of a WebSocket.
//!
//! All but the last are wanted by no record, so the head that the connection keeps for one is thrown away: the next
//! request must not get it.

use std::future::pending;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;

use http::header::{CONNECTION, CONTENT_TYPE, SEC_WEBSOCKET_ACCEPT, UPGRADE};
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::body::Incoming;

use super::answer::Broken;
use super::behaviour::Health;
use super::count::Outcome;
use super::endpoint::Kind;
use super::flight::Flight;
use super::serve::Sent;
use super::server::Worker;
use super::websocket::accept;
use super::wire::Conn;

/// The instances of a service, as ModelArts lists them.
pub fn instances(worker: &Worker, conn: &Conn, head: &Parts) -> Response<Sent> {
    conn.take_head();
    let target = head.uri.path_and_query().map_or(head.uri.path(), |target| target.as_str());
    worker.shared.instances.answer(&head.method, target, &head.headers).map(Either::Right)
}

/// Longest body of a question to IAM.
const IAM_BODY_MAX: usize = 64 * 1024;

/// What IAM says.
///
/// # Errors
/// [`Broken`]: the question did not come whole, or is too long
pub async fn iam(
    worker: &Worker,
    conn: &Conn,
    head: &Parts,
    body: Incoming,
) -> Result<Response<Sent>, Broken> {
    let body = Limited::new(body, IAM_BODY_MAX).collect().await.map_err(|_| Broken)?.to_bytes();
    let answer = worker.shared.iam.answer(&head.method, &head.headers, &body).await;
    conn.take_head();
    Ok(answer.map(Either::Right))
}

/// How the mock is, or is said to be.
///
/// # Errors
/// [`Broken`] if that is how probes are to fail
pub async fn health(worker: &Worker, conn: &Conn) -> Result<Response<Sent>, Broken> {
    let health = worker.shared.behaviour.load().health;
    worker.shared.counters.worker(worker.index).health_checks.fetch_add(1, Relaxed);
    let (status, body) = match health {
        Health::Ok => (StatusCode::OK, r#"{"status":"ok"}"#),
        Health::Failing => (StatusCode::SERVICE_UNAVAILABLE, r#"{"status":"unhealthy"}"#),
        Health::Hang => pending().await,
        Health::Reset => {
            conn.reset();
            return Err(Broken);
        }
    };
    conn.take_head();
    let mut response = Response::new(Either::Right(Full::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// The head after which the connection speaks WebSocket. It is counted as it begins: its end is its connection's.
pub fn websocket(
    worker: Rc<Worker>,
    conn: &Conn,
    head: &Parts,
    kind: Kind,
    key: &HeaderValue,
) -> Response<Sent> {
    let mut flight = Flight::arrive(worker, conn, head, kind);
    flight.body_ended();
    flight.answered(StatusCode::SWITCHING_PROTOCOLS.as_u16());
    flight.finish(Outcome::Completed);
    conn.take_head();
    conn.switch();
    let mut response = Response::new(Either::Right(Full::default()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept(key));
    response
}
