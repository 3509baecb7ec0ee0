//! Whose turn is it? Before a pool that takes only so much at a time, a request waits here.
//!
//! Its body is read whole first, also where nothing else asks for that: nobody holds a place in the pool while it
//! uploads, what waits is counted by its bytes, and over HTTP/1 a caller that leaves is noticed only once all it sent has
//! been read. A caller that leaves drops the request's future, and the ticket with it.

use super::admit::Admitted;
use super::body::read_whole;
use super::finish::Exchange;
use crate::clock;
use crate::fair::{Ask, Entry, TenantKey};
use crate::policy::{Caller, Fallback, Queue, Route};
use crate::reject::Reject;
use crate::usage::Tokens;
use http_body::Body;
use metrics::Histogram;
use std::num::NonZeroU32;
use std::sync::Arc;

/// Waits until the route's pool has room for the request, if the pool asks for that. The exchange then has its
/// [`Pass`](crate::fair::Pass). Returns whether the pool is to be asked: one whose upstream refuses is not waited for by
/// a request that the fallback takes.
///
/// # Errors
/// [`Reject::Queue`]: the queue is full, or it would take or has taken too long. [`Reject::TotalLate`]: the route's
/// `timeouts.total`, which counts the wait, is over. Whatever is wrong with the body.
pub async fn wait_for_turn(
    exchange: &mut Exchange,
    route: &Route,
    admitted: Admitted,
) -> Result<(Admitted, bool), Reject> {
    let Some(queue) = &route.queue else { return Ok((admitted, true)) };
    let (admitted, body_bytes) = take_in(exchange, admitted).await?;
    let has_turn = take_turn(exchange, queue, body_bytes, other_pool(route).is_some()).await?;
    if !has_turn && takes_now(exchange, route) {
        return Ok((admitted, false));
    }
    if !has_turn {
        take_turn(exchange, queue, body_bytes, false).await?;
    }
    Ok((admitted, true))
}

/// The fallback, if that is another pool.
fn other_pool(route: &Route) -> Option<&Fallback> {
    let fallback = route.retry.as_ref()?.fallback.as_ref();
    fallback.filter(|fallback| !Arc::ptr_eq(&fallback.pool, &route.pool))
}

/// Has the fallback's pool somebody to be asked, who does not refuse as well?
fn takes_now(exchange: &Exchange, route: &Route) -> bool {
    other_pool(route).is_some_and(|Fallback { pool, queue, .. }| {
        route.credential(pool).missing().is_none()
            && pool.has_anybody(exchange.connection.worker.deadlines.now_ms())
            && queue.as_ref().is_none_or(|queue| !queue.gate.is_refusing(clock::mono_us()))
    })
}

/// Waits until a pool has room for a request whose body is all there. Returns whether it has: not if the upstream
/// refuses and the request may go `elsewhere`.
///
/// # Errors
/// As [`wait_for_turn`].
pub async fn take_turn(
    exchange: &mut Exchange,
    queue: &Queue,
    body_bytes: u64,
    elsewhere: bool,
) -> Result<bool, Reject> {
    let ask = ask(exchange, queue, body_bytes, elsewhere);
    let now_us = clock::mono_us();
    exchange.pass = match queue.gate.enter(&ask, now_us) {
        Entry::Now(pass) => Some(pass),
        Entry::Elsewhere => None,
        Entry::Refused(refusal) => return Err(refusal.into()),
        Entry::Wait(ticket) => {
            exchange.deadline.rest();
            let deadline = exchange.deadline.clone();
            let seconds = &queue.classes[usize::from(ask.class)].wait_seconds;
            let _measured = Measured { exchange: &mut *exchange, seconds, since_us: now_us };
            deadline.bound(ticket).await.map_err(Reject::late)??
        }
    };
    Ok(exchange.pass.is_some())
}

/// Reads the body, unless that has been done or there is none; how long it is.
async fn take_in(exchange: &mut Exchange, admitted: Admitted) -> Result<(Admitted, u64), Reject> {
    let held = match admitted {
        Admitted::Held(held) => held,
        Admitted::Passing(body, cap) if body.is_end_stream() => {
            return Ok((Admitted::Passing(body, cap), 0));
        }
        Admitted::Passing(body, cap) => read_whole(exchange, body, cap).await?,
    };
    let bytes = held.bytes.len() as u64;
    Ok((Admitted::Held(held), bytes))
}

fn ask(exchange: &Exchange, queue: &Queue, body_bytes: u64, elsewhere: bool) -> Ask {
    let estimate = exchange.permit.as_ref().and_then(|permit| permit.estimate());
    let Tokens { prompt, completion } = estimate.unwrap_or(UNMETERED);
    let caller = exchange.caller();
    Ask {
        tenant: caller.map_or(ANYBODY, Caller::tenant_key),
        weight: caller.map_or(NonZeroU32::MIN, |caller| caller.terms.weight),
        class: queue.class(caller.and_then(|caller| caller.terms.class.as_deref())),
        prompt: prompt.max(1),
        output: completion,
        body_bytes,
        elsewhere,
    }
}

/// A request that nobody meters, beside those that are: as much as an answer of which nothing is known yet. At no cost
/// whoever sends most of them would be served most.
const UNMETERED: Tokens = Tokens { prompt: 256, completion: 0 };

/// All callers of routes that are open to anybody share one turn.
pub const ANYBODY: TenantKey = TenantKey(0);

/// Writes down how long a request has waited, whatever ends the wait: also that its caller left.
struct Measured<'a> {
    exchange: &'a mut Exchange,
    seconds: &'a Histogram,
    since_us: u64,
}

impl Drop for Measured<'_> {
    fn drop(&mut self) {
        let waited_us = clock::mono_us().saturating_sub(self.since_us);
        *self.exchange.queued_us.get_or_insert(0) += waited_us; // before the pool, and again before its fallback
        self.seconds.record(waited_us as f64 / 1e6);
    }
}
