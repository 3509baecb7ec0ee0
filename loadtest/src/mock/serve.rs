//! One request, top to bottom.

use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER, SEC_WEBSOCKET_KEY};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body_util::{Either, Full};
use hyper::body::Incoming;

use super::answer::{Answer, Broken};
use super::behaviour::Plan;
use super::count::Outcome;
use super::endpoint::{Dialect, Endpoint, Raw};
use super::fault::Fault;
use super::flight::{Flight, Unread};
use super::reply::{Call, Content, Reply};
use super::server::Worker;
use super::wire::Conn;
use super::{aside, grpc, iam, instances, modelarts, openai, pangu, raw, refuse};
use crate::clock;

/// An answer, or the small fixed one of what `aside` answers.
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
    let (head, body) = request.into_parts();
    let (path, query) = (head.uri.path(), head.uri.query().unwrap_or(""));
    if instances::is_asked(path) {
        return Ok(aside::instances(&worker, &conn, &head));
    }
    if path == iam::PATH {
        return aside::iam(&worker, &conn, &head, body).await;
    }
    let endpoint = Endpoint::find(&head.method, path, query);
    match (endpoint, head.headers.get(SEC_WEBSOCKET_KEY)) {
        (Endpoint::Health, _) => aside::health(&worker, &conn).await,
        (Endpoint::Raw(Raw::WebSocket), Some(key)) => {
            Ok(aside::websocket(worker, &conn, &head, endpoint.kind(), key))
        }
        _ => call(worker, conn, &head, endpoint, body).await,
    }
}

/// A call of an endpoint: read, delayed, spoilt or answered as its plan says.
async fn call(
    worker: Rc<Worker>,
    conn: Rc<Conn>,
    head: &Parts,
    endpoint: Endpoint<'_>,
    mut body: Incoming,
) -> Result<Response<Sent>, Broken> {
    let mut flight = Flight::arrive(Rc::clone(&worker), &conn, head, endpoint.kind());
    let planned = worker.shared.behaviour.load().plan(flight.number(), &head.headers);
    let (mut plan, bad_knob) = match planned {
        Ok(plan) => (plan, None),
        Err(what) => (Plan::default(), Some(what)),
    };

    let asked = read(endpoint, &mut flight, &mut body).await?;
    pause(plan.latency).await;
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

    let reply = match (bad_knob, plan.fault, asked) {
        (Some(what), ..) => refuse::bad_request(Dialect::Apig, &what.to_string()),
        (None, Some(Fault::Status { code, .. }), _) => refuse::with_status(endpoint.dialect(), code),
        (None, _, Some(asked)) => reply(&flight, endpoint, &mut plan, &asked),
        (None, _, None) => refuse::with_status(endpoint.dialect(), StatusCode::PAYLOAD_TOO_LARGE),
    };
    pause(reply.wait).await;
    flight.answered(reply.status.as_u16());
    flight.spent(reply.spent);

    let mut headers = headers(&reply, &flight, &plan, head.version);
    let mut trailers = reply.grpc_status.map(grpc::status);
    if let Content::Whole(_) = reply.body {
        headers.extend(trailers.take().unwrap_or_default()); // the head is all that there is of it
    }
    let mut answer = Answer::new(reply.body, trailers, body, &plan, head.version, conn, flight);
    if head.method == Method::HEAD {
        answer.complete();
    }
    let mut response = Response::new(Either::Left(answer));
    *response.status_mut() = reply.status;
    *response.headers_mut() = headers;
    Ok(response)
}

/// The whole body, but that of an echo, which passes as it comes. None: longer than the mock holds.
async fn read(
    endpoint: Endpoint<'_>,
    flight: &mut Flight,
    body: &mut Incoming,
) -> Result<Option<Bytes>, Broken> {
    let echo = match endpoint {
        Endpoint::Raw(Raw::Echo) => true,
        Endpoint::Raw(Raw::Grpc(rpc)) => rpc.echoes(),
        _ => false,
    };
    if echo {
        return Ok(Some(Bytes::new()));
    }
    match flight.read(body).await {
        Ok(body) => Ok(Some(body)),
        Err(Unread::TooLong) => Ok(None),
        Err(Unread::Broken) => Err(Broken),
    }
}

async fn pause(span: Duration) {
    if !span.is_zero() {
        tokio::time::sleep(span).await;
    }
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
