//! One attempt at a backend: the connection that takes the request, the head of its answer, what a failure means.

use super::body::{Stop, Upload};
use super::deadline::Waiting;
use super::finish::Exchange;
use crate::observe::metrics::UpstreamError;
use crate::policy::Route;
use crate::reject::Reject;
use crate::upstream::{self, Backend, Call, Link, http1};
use http::{HeaderMap, Response};

/// Why there is no answer.
pub enum Failure {
    /// No connection; nothing was sent.
    Connect(upstream::ConnectError),
    /// The connection broke, or spoke no HTTP.
    Http(http1::Error),
    /// Something took too long.
    Late(Waiting),
}

/// The warmest connection, or a new one; and whether it has served before.
pub async fn connect(exchange: &Exchange, route: &Route, backend: &Backend) -> Result<(Link, bool), Failure> {
    let worker = &exchange.connection.worker;
    if let Some(link) = worker.idle.take(backend.id, worker.deadlines.now_ms()) {
        return Ok((link, true));
    }
    route.pool.connects.increment(1);
    let dialled = exchange.deadline.bound(upstream::dial(backend, route.pool.connect_timeout)).await;
    Ok((dialled.map_err(Failure::Late)?.map_err(Failure::Connect)?, false))
}

/// Waits for the answer's head. A request of which a dying connection took nothing goes on another; one that may have
/// been read is never sent twice.
pub async fn send(
    exchange: &Exchange,
    route: &Route,
    backend: &Backend,
    call: &mut Call<Upload>,
    mut headers: HeaderMap,
    mut warm: bool,
) -> Result<Response<()>, Failure> {
    loop {
        match exchange.deadline.bound(call.answer(headers)).await.map_err(Failure::Late)? {
            Ok(response) => return Ok(response),
            Err((http1::Error::Untouched(_), emptied)) if warm => headers = emptied,
            Err((error, _)) => return Err(Failure::Http(error)),
        }
        let link;
        (link, warm) = connect(exchange, route, backend).await?;
        call.move_to(link);
    }
}

/// Whose fault was it? A body that was stopped is an upstream failure to the HTTP client.
pub fn explain(route: &Route, exchange: &Exchange, failure: Failure, stopped: Option<Stop>) -> Reject {
    match stopped {
        Some(Stop::TooLarge) => {
            return Reject::BodyTooLarge { cap: exchange.body_max(route) };
        }
        Some(Stop::Broken) => return Reject::BodyBroken,
        None => {}
    }
    let (kind, reject) = match failure {
        Failure::Connect(error) => (error.kind(), Reject::Unreachable { detail: error.to_string() }),
        Failure::Http(http1::Error::Upload(_)) => return Reject::BodyBroken,
        Failure::Http(error) => (UpstreamError::Reset, Reject::UpstreamReset { detail: error.to_string() }),
        Failure::Late(waiting) => {
            let reject = Reject::late(waiting);
            if !reject.blames_upstream() {
                return reject;
            }
            (UpstreamError::Timeout, reject)
        }
    };
    route.metrics.upstream_failed(kind);
    reject
}
