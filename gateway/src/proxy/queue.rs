//! Whose turn is it? Before a pool that takes only so much at a time, a request waits here.

use super::finish::Exchange;
use crate::clock;
use crate::fair::{Ask, Entry, TenantKey};
use crate::policy::{Caller, Queue, Route};
use crate::reject::Reject;
use crate::usage::Tokens;
use std::num::NonZeroU32;
use std::sync::Arc;

/// Waits until the route's pool has room for the request, if the pool asks for that.
///
/// # Errors
/// [`Reject::Queue`]: the queue is full, or it would take or has taken too long. [`Reject::TotalLate`]: the route's
/// `total` is over.
pub async fn wait_for_turn(exchange: &mut Exchange, route: &Route, body_bytes: u64) -> Result<(), Reject> {
    let Some(queue) = &route.queue else { return Ok(()) };
    let ask = ask(exchange, queue, body_bytes);
    let pass = match queue.gate.enter(&ask, clock::mono_us()) {
        Entry::Now(pass) => pass,
        Entry::Refused(refusal) => return Err(refusal.into()),
        Entry::Wait(ticket) => {
            exchange.deadline.rest();
            exchange.deadline.bound(ticket).await.map_err(Reject::late)??
        }
    };
    exchange.pass = Some(pass);
    Ok(())
}

fn ask(exchange: &Exchange, queue: &Queue, body_bytes: u64) -> Ask {
    let estimate = exchange.permit.as_ref().and_then(|permit| permit.estimate());
    let Tokens { prompt, completion } = estimate.unwrap_or_default();
    let caller = exchange.caller();
    Ask {
        tenant: caller.map_or(ANYBODY, tenant_key),
        weight: caller.map_or(NonZeroU32::MIN, |caller| caller.weight),
        class: queue.class(caller.and_then(|caller| caller.class.as_deref())),
        prompt,
        output: completion,
        body_bytes,
    }
}

/// All callers of a route that is open to anybody share one turn.
const ANYBODY: TenantKey = TenantKey(0);

/// The address of a tenant's levels, which stays while anything holds them.
fn tenant_key(caller: &Caller) -> TenantKey {
    TenantKey(Arc::as_ptr(&caller.tenant).addr() as u64)
}
