//! To the upstream: whose turn it is, who is asked, who is asked next, and the answer.

use super::admit::Admitted;
use super::attempt::{Failure, attempt, explain};
use super::body::Upload;
use super::choose;
use super::finish::Exchange;
use super::grpc;
use super::metered::rename;
use super::queue::{take_turn, wait_for_turn};
use super::retry::{Outgoing, Tries, hold};
use super::seal::hold_to_hash;
use crate::clock;
use crate::policy::{Fallback, Route};
use crate::reject::Reject;
use crate::upstream::retry::Reason;
use crate::upstream::{Backend, Call, Picked, Pool};
use http::request::Parts;
use http::{Response, StatusCode};
use std::sync::Arc;

/// An upstream's answer, its body still to come.
pub struct Received {
    /// Its head, without hop-by-hop headers.
    pub response: Response<()>,
    /// The rest.
    pub call: Call<Upload>,
}

/// Sends an admitted request upstream and waits for the head of its answer; where the route says so, further backends
/// are asked if one does not answer.
///
/// # Errors
/// No backend, no connection, no answer, none in time; or the request's body turned out to be bad. After several
/// attempts what came of the last one.
pub async fn forward(
    exchange: &mut Exchange,
    head: &mut Parts,
    admitted: Admitted,
) -> Result<Received, Reject> {
    let policy = exchange.policy.clone();
    let route = policy.route(exchange.route.expect("admit found a route"));
    let admitted = hold(exchange, route, head, admitted).await?;
    let admitted = hold_to_hash(exchange, route, admitted).await?;
    let (admitted, has_turn) = match has_anybody(exchange, route) {
        true => wait_for_turn(exchange, route, admitted).await?,
        false => (admitted, false), // nobody to wait for: a fallback is asked at once
    };
    let mut body = Outgoing::from(admitted);
    let mut tries = Tries::new(exchange, route, head, &body);
    let mut picked = tries.first(exchange, has_turn).ok_or_else(|| nobody(route, tries.pool()))?;
    loop {
        if let Some(fallback) = tries.fallback().filter(|_| !exchange.fell_back) {
            let since_ms = exchange.deadline.now_ms();
            if let Err(reject) = fall_back(exchange, route, fallback, &mut body).await {
                tries.over(false);
                unless_reached(exchange, &tries);
                return Err(reject);
            }
            tries.waited(exchange.deadline.now_ms().saturating_sub(since_ms));
        }
        exchange.attempts += 1;
        choose::go_to(exchange, &picked);
        let backend = picked.backend;
        let pool = tries.pool();
        picked = match attempt(exchange, route, &mut tries, &backend, head, &mut body).await {
            Ok(received) => match answered(exchange, &mut tries, pool, &backend, &received) {
                Some(next) => {
                    received.discard(exchange);
                    next
                }
                None => return Ok(received),
            },
            Err(failure) => failed(exchange, route, &mut tries, pool, &body, failure)?,
        };
        unless_reached(exchange, &tries);
    }
}

/// An attempt has an answer. Who is asked in its place; `None`: it is the one that the caller gets.
fn answered(
    exchange: &mut Exchange,
    tries: &mut Tries<'_>,
    pool: &Pool,
    backend: &Backend,
    received: &Received,
) -> Option<Picked> {
    let now_ms = exchange.connection.worker.deadlines.now_ms();
    let status = received.status();
    pool.answered(backend, status.as_u16(), now_ms);
    choose::answered(exchange, status, received.call.upload().whole_us);
    let reason = Reason::of(status);
    let next = reason.and_then(|reason| tries.next(exchange, reason));
    let (status, headers) = (received.response.status(), received.response.headers());
    if next.is_none() {
        tries.over(reason.is_none());
        exchange.answered(status, headers);
    } else if !std::ptr::eq(pool, tries.pool()) {
        exchange.pool_answered(status, headers, clock::mono_us()); // the last word of this pool
    }
    next
}

/// An attempt has none. Who is asked next, or why nobody is.
fn failed(
    exchange: &mut Exchange,
    route: &Route,
    tries: &mut Tries<'_>,
    pool: &Pool,
    body: &Outgoing,
    failure: Failure,
) -> Result<Picked, Reject> {
    let next = match &failure {
        Failure::Slow(next) => Some(next.clone()),
        // What passed to an attempt cannot be had again, also if that has come to nothing.
        _ if matches!(body, Outgoing::Gone) => tries.failed(exchange, None),
        failure => tries.failed(exchange, failure.reason()),
    };
    let reject = explain(route, pool, exchange, failure);
    next.ok_or_else(|| {
        tries.over(false);
        unless_reached(exchange, tries);
        reject
    })
}

/// Is there a backend that would be asked once it is the request's turn?
fn has_anybody(exchange: &Exchange, route: &Route) -> bool {
    route.queue.is_none() || route.pool.has_anybody(exchange.connection.worker.deadlines.now_ms())
}

/// Why no backend can be asked.
fn nobody(route: &Route, pool: &Pool) -> Reject {
    match route.credential(&route.pool).missing() {
        Some(token) => Reject::NoToken { token },
        None if pool.backends().is_empty() => Reject::Undiscovered,
        None => Reject::NoBackend,
    }
}

/// What nobody has worked on costs nothing.
fn unless_reached(exchange: &mut Exchange, tries: &Tries<'_>) {
    if let (false, Some(usage)) = (tries.reached(), &mut exchange.usage) {
        usage.not_sent();
    }
}

/// From here on the fallback is asked: the body names its model, and what the answer costs is that one's price. A pool
/// with a queue is asked for a place; the one in the first pool is given back.
async fn fall_back(
    exchange: &mut Exchange,
    route: &Route,
    fallback: &Fallback,
    body: &mut Outgoing,
) -> Result<(), Reject> {
    exchange.fell_back = true;
    if let (Some((name, model)), Outgoing::Held(held)) = (&fallback.model, &mut *body) {
        rename(route.api, held, name);
        if let (Some(usage), Some(permit)) = (&mut exchange.usage, &mut exchange.permit) {
            usage.falls_back_to(model);
            permit.reprice(model.price);
        }
    }
    if Arc::ptr_eq(&fallback.pool, &route.pool) {
        return Ok(());
    }
    exchange.pass = None;
    let Some(queue) = &fallback.queue else { return Ok(()) };
    exchange.deadline.forgive(); // an attempt that did not answer in time is why it is asked
    body.hold(exchange).await?;
    take_turn(exchange, queue, body.bytes(), false).await.map(drop)
}

impl Received {
    /// How it went, as far as its head says: of a call of gRPC that may be all there is.
    fn status(&self) -> StatusCode {
        match &self.call {
            Call::Http1(_) => self.response.status(),
            Call::Http2(_) => {
                grpc::status(self.response.headers()).map_or(self.response.status(), grpc::as_http)
            }
        }
    }

    /// Lets go of an answer in whose place somebody else is asked. Its connection serves on if all of it has come.
    fn discard(self, exchange: &Exchange) {
        if let (Some(link), Some(backend)) = (self.call.discard(), &exchange.backend) {
            let worker = &exchange.connection.worker;
            worker.idle.put(backend.id, link, worker.deadlines.now_ms());
        }
    }
}
