//! What the backend is shown, and what that says of the body.
//!
//! A signature covers the body, so a backend that wants one over it gets no byte before the last one has come: such a
//! body is held, counted against the same room as those of signed callers. `unsigned_payload` lets it pass instead.

use super::admit::Admitted;
use super::body::read_whole;
use super::finish::Exchange;
use super::retry::Outgoing;
use crate::policy::Route;
use crate::reject::Reject;
use crate::upstream::{Credential, Pool, SignedBody};
use http_body::Body;

/// Who the gateway is to the backends of a pool, and what it says of one request's body.
pub struct Seal<'a> {
    /// Who it is.
    pub credential: &'a Credential,
    /// What it says.
    pub body: SignedBody,
}

impl<'a> Seal<'a> {
    /// For an attempt at a backend of `pool`. Hashes the body if the credential wants that: anew for each attempt, since
    /// a fallback may be sent another.
    pub fn of(route: &'a Route, pool: &'a Pool, body: &Outgoing) -> Seal<'a> {
        let credential = route.credential(pool);
        let body = match body {
            Outgoing::Nothing => SignedBody::Empty,
            Outgoing::Held(held) if credential.hashes_body() => SignedBody::of(&held.bytes),
            Outgoing::Held(_) | Outgoing::Passing(..) | Outgoing::Gone => SignedBody::Unsigned,
        };
        Seal { credential, body }
    }
}

/// Reads the body whole if any pool that may be asked wants a signature over it.
///
/// # Errors
/// Whatever is wrong with the body.
pub async fn hold_to_hash(
    exchange: &mut Exchange,
    route: &Route,
    admitted: Admitted,
) -> Result<Admitted, Reject> {
    match admitted {
        Admitted::Passing(body, cap) if wants_hash(route) && !body.is_end_stream() => {
            read_whole(exchange, body, cap).await.map(Admitted::Held)
        }
        admitted => Ok(admitted),
    }
}

fn wants_hash(route: &Route) -> bool {
    let fallback = route.retry.as_deref().and_then(|retry| retry.fallback.as_ref());
    let fallback = fallback.map(|fallback| route.credential(&fallback.pool));
    route.credential(&route.pool).hashes_body() || fallback.is_some_and(Credential::hashes_body)
}
