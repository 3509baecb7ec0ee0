//! Control: reading and steering the mock, on a port apart from the traffic.
//!
//! | request | what it does |
//! | --- | --- |
//! | `GET /mock/stats` | the counters |
//! | `GET /mock/requests?last=N` | records of the last N ended requests (all that are kept) |
//! | `GET /mock/journal` | every request that arrived, a line each, if a journal is kept |
//! | `POST /mock/reset` | clears counters, records and journal; numbers start again at 0 |
//! | `GET /mock/behaviour` | the knobs in force |
//! | `POST /mock/behaviour` | sets the knobs given in a JSON object, leaves the others |
//! | `DELETE /mock/behaviour` | back to the knobs of the start |
//! | `GET /mock/instances` | calls of the API that tells a service's instances, and the last one |
//! | `POST /mock/instances` | sets what it answers: `status`, `body`, `retry_after_s`; the ones left out to their defaults |
//! | `GET /mock/iam` | calls of IAM |
//! | `GET /mock/iam/behaviour` | how IAM behaves: `status`, `latency_ms`, `lifetime_ms` |
//! | `POST /mock/iam/behaviour` | sets all of these, the ones left out to their defaults |
//! | `POST /mock/iam/revoke` | ends the token in the body; with an empty body, all |
//! | `GET /health` | 200 while the control thread lives |

use std::convert::Infallible;
use std::io;
use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::behaviour::Behaviour;
use super::count::Stats;
use super::journal::Books;
use super::record::Record;
use super::server::Shared;
use crate::local;

/// Longest body of a control request.
const BODY_BYTES_MAX: usize = 1024 * 1024;

impl Shared {
    /// Reads the counters, with the tallies by path and tenant if requests are recorded.
    pub fn stats(&self) -> Stats {
        let mut stats = self.counters.read();
        stats.tcp_connections = self.echoed.connections.load(Relaxed);
        stats.tcp_bytes = self.echoed.bytes.load(Relaxed);
        if let Some(recorder) = &self.recorder {
            recorder.fill(&mut stats);
        }
        stats
    }

    /// The last `count` records; none if requests are not recorded.
    pub fn requests(&self, count: usize) -> Vec<Record> {
        self.recorder.as_ref().map(|recorder| recorder.last(count)).unwrap_or_default()
    }

    /// Clears counters, records and journal.
    pub fn reset(&self) {
        self.counters.reset();
        self.instances.reset();
        self.iam.reset();
        self.echoed.reset();
        if let Some(recorder) = &self.recorder {
            recorder.reset();
        }
        if let Some(journal) = &self.journal {
            journal.reset();
        }
    }

    /// Sets the given knobs and leaves the others.
    ///
    /// # Errors
    /// A knob is unknown or its value unreadable; nothing is set then.
    pub fn change(&self, knobs: Map<String, Value>) -> Result<(), serde_json::Error> {
        let mut all = serde_json::to_value(&**self.behaviour.load())?;
        if let Some(all) = all.as_object_mut() {
            all.extend(knobs);
        }
        let behaviour: Behaviour = serde_json::from_value(all)?;
        self.behaviour.store(Arc::new(behaviour));
        Ok(())
    }
}

/// Runs the control API on this thread until `stop` says so or is dropped.
///
/// # Errors
/// The runtime cannot be made, or does not take the listener.
pub fn run(listener: StdListener, shared: Arc<Shared>, stop: watch::Receiver<bool>) -> io::Result<()> {
    local::listen(listener, stop, |listener| accept(listener, shared))
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        let shared = Arc::clone(&shared);
        tokio::task::spawn_local(async move {
            let service = service_fn(move |request| answer(Arc::clone(&shared), request));
            // A control caller that leaves in the middle has nobody to be told.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    if (&head.method, head.uri.path()) == (&Method::GET, "/mock/journal") {
        return Ok(journal(&shared));
    }
    let (status, value) = match (&head.method, head.uri.path()) {
        (&Method::GET, "/health") => (StatusCode::OK, json!({"status": "ok"})),
        (&Method::GET, "/mock/stats") => (StatusCode::OK, json!(shared.stats())),
        (&Method::GET, "/mock/requests") => match last(head.uri.query()) {
            Some(count) => (StatusCode::OK, json!(shared.requests(count))),
            None => problem("write /mock/requests?last=N"),
        },
        (&Method::POST, "/mock/reset") => {
            shared.reset();
            (StatusCode::OK, json!({}))
        }
        (&Method::GET, "/mock/behaviour") => (StatusCode::OK, json!(**shared.behaviour.load())),
        (&Method::POST, "/mock/behaviour") => match change(&shared, body).await {
            Ok(()) => (StatusCode::OK, json!(**shared.behaviour.load())),
            Err(what) => problem(&what),
        },
        (&Method::DELETE, "/mock/behaviour") => {
            shared.behaviour.store(Arc::new(shared.initial.clone()));
            (StatusCode::OK, json!(**shared.behaviour.load()))
        }
        (&Method::GET, "/mock/instances") => (StatusCode::OK, json!(shared.instances.asked())),
        (&Method::POST, "/mock/instances") => match turn_instances(&shared, body).await {
            Ok(()) => (StatusCode::OK, json!(shared.instances.knobs())),
            Err(what) => problem(&what),
        },
        (&Method::GET, "/mock/iam") => (StatusCode::OK, json!(shared.iam.counts())),
        (&Method::GET, "/mock/iam/behaviour") => (StatusCode::OK, json!(shared.iam.knobs())),
        (&Method::POST, "/mock/iam/behaviour") => match turn_iam(&shared, body).await {
            Ok(()) => (StatusCode::OK, json!(shared.iam.knobs())),
            Err(what) => problem(&what),
        },
        (&Method::POST, "/mock/iam/revoke") => match text(body).await {
            Ok(token) => {
                shared.iam.revoke(Some(token.as_str()).filter(|token| !token.is_empty()));
                (StatusCode::OK, json!({}))
            }
            Err(what) => problem(&what),
        },
        _ => (StatusCode::NOT_FOUND, json!({"error": "no such control endpoint"})),
    };
    Ok(response(status, "application/json", value.to_string().into()))
}

fn journal(shared: &Shared) -> Response<Full<Bytes>> {
    let Some(journal) = shared.journal.as_ref().map(Books::read) else {
        let what = json!({"error": "no journal is kept; start the mock with --journal-max N"});
        return response(StatusCode::NOT_FOUND, "application/json", what.to_string().into());
    };
    let mut lines = Vec::new();
    journal.write(&mut lines).expect("a vector takes every byte");
    response(StatusCode::OK, "application/x-ndjson", lines.into())
}

fn response(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn problem(what: &str) -> (StatusCode, Value) {
    (StatusCode::BAD_REQUEST, json!({"error": what}))
}

/// The count in `last=N`; without a query, all.
fn last(query: Option<&str>) -> Option<usize> {
    match query {
        None | Some("") => Some(usize::MAX),
        Some(query) => query.strip_prefix("last=")?.parse().ok(),
    }
}

async fn turn_instances(shared: &Shared, body: Incoming) -> Result<(), String> {
    shared.instances.turn(serde_json::from_str(&text(body).await?).map_err(|e| e.to_string())?);
    Ok(())
}

async fn turn_iam(shared: &Shared, body: Incoming) -> Result<(), String> {
    shared.iam.turn(serde_json::from_str(&text(body).await?).map_err(|e| e.to_string())?);
    Ok(())
}

async fn text(body: Incoming) -> Result<String, String> {
    let body = Limited::new(body, BODY_BYTES_MAX).collect().await.map_err(|e| e.to_string())?;
    String::from_utf8(body.to_bytes().into()).map_err(|e| e.to_string())
}

async fn change(shared: &Shared, body: Incoming) -> Result<(), String> {
    let body = Limited::new(body, BODY_BYTES_MAX).collect().await.map_err(|e| e.to_string())?;
    let knobs = serde_json::from_slice(&body.to_bytes()).map_err(|e| e.to_string())?;
    shared.change(knobs).map_err(|e| e.to_string())
}
