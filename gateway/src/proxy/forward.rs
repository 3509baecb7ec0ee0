//! To the upstream: whose turn it is, which backend, and its answer.

use super::admit::Admitted;
use super::attempt::{Failure, connect, explain, send};
use super::body::Upload;
use super::dress::dress;
use super::finish::Exchange;
use super::queue::wait_for_turn;
use crate::policy::Route;
use crate::reject::Reject;
use crate::upstream::{Backend, Call, Pick};
use http::Response;
use http::request::Parts;
use std::sync::Arc;

/// An upstream's answer, its body still to come.
pub struct Received {
    /// Its head, without hop-by-hop headers.
    pub response: Response<()>,
    /// The rest.
    pub call: Call<Upload>,
}

/// Sends an admitted request upstream and waits for the head of its answer.
///
/// # Errors
/// No backend, no connection, no answer, none in time; or the request's body turned out to be bad.
pub async fn forward(
    exchange: &mut Exchange,
    mut head: Parts,
    admitted: Admitted,
) -> Result<Received, Reject> {
    let policy = exchange.policy.clone();
    let route = policy.route(exchange.route.expect("admit found a route"));
    let admitted = wait_for_turn(exchange, route, admitted).await?;
    let backend = &pick(exchange, route)?;
    exchange.backend = Some(backend.clone());

    let first_byte = route.timeouts.first_byte;
    let upload = match admitted {
        Admitted::Held(held) => Upload::held(exchange, held, first_byte),
        Admitted::Passing(body, cap) => Upload::passing(exchange, body, cap, first_byte),
    };
    let (link, warm) =
        connect(exchange, route, backend).await.map_err(|failure| explain(route, exchange, failure, None))?;
    let mut call = dress(exchange, route, backend, &head, link, upload);
    // The answer's headers go into the map that the request's have left: its table is warm and large enough.
    head.headers.clear();
    if let Some(usage) = &mut exchange.usage {
        usage.sent();
    }
    let answer = send(exchange, route, backend, &mut call, head.headers, warm).await;
    exchange.bytes_in = call.upload().bytes;
    if let (Err(Failure::Connect(_)), Some(usage)) = (&answer, &mut exchange.usage) {
        usage.not_sent(); // the warm connection had taken nothing of it, and there was no other
    }
    let response = answer.map_err(|failure| explain(route, exchange, failure, call.upload().stopped))?;
    exchange.answered(response.status(), response.headers());
    Ok(Received { response, call })
}

fn pick(exchange: &Exchange, route: &Route) -> Result<Arc<Backend>, Reject> {
    let worker = &exchange.connection.worker;
    let ask = Pick { turn: worker.turn(), now_ms: worker.deadlines.now_ms(), tried: &[] };
    route.pool.pick(&ask).ok_or(Reject::NoBackend)
}
