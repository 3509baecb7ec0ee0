//! What the backend is shown, and what that says of the body.
//!
//! A signature covers the body, so a backend that wants one over it gets no byte before the last one has come: such a
//! body is held, counted against the same room as those of signed callers. `unsigned_payload` lets it pass instead.

use super::admit::Admitted;
use super::body::read_whole;
use super::finish::Exchange;
use crate::policy::Route;
use crate::reject::Reject;
use crate::upstream::{Credential, SignedBody};
use http_body::Body;

/// Who the gateway is to a backend, and what it says of one request's body.
pub struct Seal<'a> {
    /// Who it is.
    pub credential: &'a Credential,
    /// What it says.
    pub body: SignedBody,
}

/// Prepares a request for a pool's credential; an attempt costs no further hashing of the body.
///
/// # Errors
/// Whatever is wrong with a body that has to be read for it.
pub async fn seal<'a>(
    exchange: &mut Exchange,
    route: &'a Route,
    admitted: Admitted,
) -> Result<(Admitted, Seal<'a>), Reject> {
    let credential = route.credential(&route.pool);
    let admitted = match admitted {
        Admitted::Passing(body, cap) if credential.hashes_body() && !body.is_end_stream() => {
            Admitted::Held(read_whole(exchange, body, cap).await?)
        }
        admitted => admitted,
    };
    let body = match &admitted {
        Admitted::Held(held) if credential.hashes_body() => SignedBody::of(&held.bytes),
        Admitted::Held(held) if held.bytes.is_empty() => SignedBody::Empty,
        Admitted::Passing(body, _) if body.is_end_stream() => SignedBody::Empty,
        Admitted::Held(_) | Admitted::Passing(..) => SignedBody::Unsigned,
    };
    Ok((admitted, Seal { credential, body }))
}
