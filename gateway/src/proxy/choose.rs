//! Which backend? What a pool is told of a request so that it can choose, and what it learns of what came of it.

use super::finish::Exchange;
use super::metered;
use super::retry::Outgoing;
use crate::clock;
use crate::observe::metrics::UpstreamError;
use crate::policy::Api;
use crate::upstream::{Asker, Backend, Digest, Keys, Picked, Pool};
use crate::usage;
use http::{HeaderMap, StatusCode};

/// What a pool will choose by, for this request. Asked once, however often the pool is tried.
pub fn keys(exchange: &Exchange, api: Api, pool: &Pool, headers: &HeaderMap, body: &Outgoing) -> Keys {
    let caller = exchange.caller().map(|caller| (&**caller.tenant_name(), &*caller.user_name));
    let prompt = pool.prompt_bytes().and_then(|bytes| beginning(api, body, bytes));
    pool.keys(&Asker { caller, headers, prompt })
}

/// Digest of the beginning of a prompt's text; `None` if the body has none, or is not read here.
fn beginning(api: Api, body: &Outgoing, bytes: usize) -> Option<u64> {
    let Outgoing::Held(held) = body else { return None };
    if api == Api::Plain {
        return None;
    }
    let mut digest = Digest::default();
    let read = usage::beginning(metered::api(api), &held.bytes, bytes, |piece| digest.add(piece));
    (read > 0).then(|| digest.end())
}

/// The request goes to a backend, and counts there from here on.
pub fn go_to(exchange: &mut Exchange, picked: &Picked) {
    exchange.flight = picked.begin(clock::mono_us);
    exchange.version = picked.version.clone();
    exchange.backend = Some(picked.backend.clone());
}

/// The head of an answer has come: how soon says something about its backend, where the pool looks at that.
pub fn answered(exchange: &Exchange, status: StatusCode, whole_us: u64) {
    if let Some(flight) = &exchange.flight {
        let fine = !status.is_server_error() && status != StatusCode::TOO_MANY_REQUESTS;
        flight.answered(fine, whole_us, clock::mono_us());
    }
}

/// The answer has come to its end, which is when it counts as a whole one.
pub fn completed(exchange: &Exchange) {
    if let Some((pool, backend)) = asked(exchange) {
        pool.completed(backend, exchange.status());
    }
}

/// The answer broke off, and it was the upstream that did it.
pub fn cut(exchange: &Exchange) {
    let Some((asked, backend)) = asked(exchange) else { return };
    let worker = &exchange.connection.worker;
    // An answer may outlive its policy: how many others there are to take over, the pool in force knows.
    if let Some(pool) = worker.policy().pools.iter().find(|pool| pool.name == asked.name) {
        pool.failed(backend, UpstreamError::Cut, worker.deadlines.now_ms());
    }
}

/// Who answers, of which pool.
fn asked(exchange: &Exchange) -> Option<(&Pool, &Backend)> {
    let pool = match exchange.fallback() {
        Some(fallback) => &fallback.pool,
        None => &exchange.route()?.pool,
    };
    Some((pool, exchange.backend.as_ref()?))
}
