//! One request, top to bottom.

use std::future::pending;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::body::Incoming;

use super::answer::{Answer, Broken};
use super::behaviour::{Health, Plan};
use super::count::Outcome;
use super::endpoint::{Dialect, Endpoint, Raw};
use super::fault::Fault;
use super::flight::{Flight, Unread};
use super::grpc;
use super::iam;
use super::instances;
use super::reply::{Call, Content, Reply};
use super::server::Worker;
use super::wire::Conn;
use super::{modelarts, openai, pangu, raw, refuse, websocket};
use crate::clock;

/// An answer, or the small fixed one of a probe.
pub type Sent = Either<Answer, Full<Bytes>>;

/// Answers a request, or breaks the connection if that is what is to happen.
///
/// # Errors
/// [`Broken`] makes the HTTP library close the connection (HTTP/2: the stream).
pub async fn serve(
    worker: Rc<Worker>,
    conn: Rc<Conn>,
    request: Request<Incoming>,
) -> Result<Response<Sent>, Broken> {
    let (head, mut body) = request.into_parts();
    let (path, query) = (head.uri.path(), head.uri.query().unwrap_or(""));
    if instances::is_asked(path) {
        // As with a probe: its head is not wanted by any record.
        conn.take_head();
        let target = head.uri.path_and_query().map_or(path, |target| target.as_str());
        let answer = worker.shared.instances.answer(&head.method, target, &head.headers);
        return Ok(answer.map(Either::Right));
    }
    if path == iam::PATH {
        return ask_iam(&worker, &conn, &head, body).await;
    }
    let endpoint = Endpoint::find(&head.method, path, query);
    let behaviour = worker.shared.behaviour.load();
    if endpoint == Endpoint::Health {
        return health(&worker, &conn, behaviour.health).await;
    }

    if let Endpoint::Raw(Raw::WebSocket) = endpoint
        && let Some(key) = head.headers.get(SEC_WEBSOCKET_KEY)
    {
        // Counted as it begins: its end is its connection's.
        let mut flight = Flight::arrive(Rc::clone(&worker), &conn, &head, endpoint.kind());
        flight.body_ended();
        flight.answered(StatusCode::SWITCHING_PROTOCOLS.as_u16());
        flight.finish(Outcome::Completed);
        conn.take_head();
        conn.switch();
        return Ok(switch(websocket::accept(key)));
    }

    let mut flight = Flight::arrive(Rc::clone(&worker), &conn, &head, endpoint.kind());
    let planned = behaviour.plan(flight.number(), &head.headers);
    drop(behaviour);
    let (mut plan, bad_knob) = match planned {
        Ok(plan) => (plan, None),
        Err(what) => (Plan::default(), Some(what)),
    };

    let echo = match endpoint {
        Endpoint::Raw(Raw::Echo) => true,
        Endpoint::Raw(Raw::Grpc(rpc)) => rpc.echoes(),
        _ => false,
    };
    let read = if echo { Ok(Bytes::new()) } else { flight.read(&mut body).await };
    if read == Err(Unread::Broken) {
        return Err(Broken);
    }
    if !plan.latency.is_zero() {
        tokio::time::sleep(plan.latency).await;
    }
    if plan.fault == Some(Fault::HangHead) {
        pending::<()>().await;
    }
    if plan.fault == Some(Fault::ResetHead) {
        flight.finish(Outcome::Faulted);
        if head.version != Version::HTTP_2 {
            conn.reset();
        }
        return Err(Broken);
    }

    let reply = match (bad_knob, plan.fault, read) {
        (Some(what), ..) => refuse::bad_request(Dialect::Apig, &what.to_string()),
        (None, Some(Fault::Status { code, .. }), _) => refuse::with_status(endpoint.dialect(), code),
        (None, _, Ok(body)) => reply(&flight, endpoint, &mut plan, &body),
        (None, _, Err(_)) => refuse::with_status(endpoint.dialect(), StatusCode::PAYLOAD_TOO_LARGE),
    };
    if !reply.wait.is_zero() {
        tokio::time::sleep(reply.wait).await;
    }
    flight.answered(reply.status.as_u16());
    flight.spent(reply.spent);
    let mut headers = headers(&reply, &flight, &plan, head.version);
    let status = reply.status;
    let mut trailers = reply.grpc_status.map(grpc::status);
    if let Content::Whole(_) = reply.body {
        headers.extend(trailers.take().unwrap_or_default());
    }
    let mut answer = Answer::new(reply.body, trailers, body, &plan, head.version, conn, flight);
    if head.method == Method::HEAD {
        answer.complete();
    }
    let mut response = Response::new(Either::Left(answer));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

/// What the endpoint answers. `/mock/sse` brings its own pace, which headers do not overrule.
fn reply(flight: &Flight, endpoint: Endpoint<'_>, plan: &mut Plan, body: &[u8]) -> Reply {
    let call = Call { number: flight.number(), created: clock::since_epoch().as_secs(), plan };
    match endpoint {
        Endpoint::OpenAi(operation) => openai::reply(&call, operation, body),
        Endpoint::Pangu(operation) => pangu::reply(&call, operation, body),
        Endpoint::Predict { service, path } => modelarts::predict(&call, service, path, body),
        Endpoint::Services(operation) => modelarts::services(&call, operation, body),
        Endpoint::Raw(operation) => {
            let (reply, every) = raw::reply(operation);
            plan.token_every = every.unwrap_or(plan.token_every);
            reply
        }
        Endpoint::WrongMethod => refuse::wrong_method(),
        Endpoint::Health | Endpoint::Unknown => refuse::not_found(),
    }
}

fn headers(reply: &Reply, flight: &Flight, plan: &Plan, version: Version) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(4);
    if let Some(content_type) = reply.content_type {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    if matches!(reply.body, Content::Events(_)) {
        headers.insert(http::header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    }
    headers.insert("x-request-id", HeaderValue::from(flight.number()));
    match plan.fault {
        Some(Fault::Status { retry_after_s: Some(seconds), .. }) => {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        Some(Fault::Close) if version != Version::HTTP_2 => {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        _ => {}
    }
    headers
}

/// Longest body of a question to IAM.
const IAM_BODY_MAX: usize = 64 * 1024;

async fn ask_iam(
    worker: &Worker,
    conn: &Conn,
    head: &http::request::Parts,
    body: Incoming,
) -> Result<Response<Sent>, Broken> {
    let body = Limited::new(body, IAM_BODY_MAX).collect().await.map_err(|_| Broken)?.to_bytes();
    let answer = worker.shared.iam.answer(&head.method, &head.headers, &body).await;
    // As with a probe: its head is not wanted by any record.
    conn.take_head();
    Ok(answer.map(Either::Right))
}

/// The head after which the connection speaks WebSocket.
fn switch(accept: HeaderValue) -> Response<Sent> {
    let mut response = Response::new(Either::Right(Full::default()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    response
}

async fn health(worker: &Worker, conn: &Conn, health: Health) -> Result<Response<Sent>, Broken> {
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
    // The head of a probe is not wanted by any record; the next request's must not get it.
    conn.take_head();
    let mut response = Response::new(Either::Right(Full::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}
