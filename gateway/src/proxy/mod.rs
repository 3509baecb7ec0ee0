//! The data plane: the walk of one request, top to bottom.
//!
//! [`serve`] is called by the HTTP server for each request and always gives an answer. What it asks, in
//! order, stands in [`admit`]; where the request goes in [`forward`], what it carries in [`dress`], how one
//! backend takes it in [`attempt`], who is asked next in [`retry`]; how the answer comes back in [`answer`]; what is left behind, whatever
//! happened, in [`finish`].
//!
//! *Costs.* One snapshot, one reading of the clocks (another where a body is read before it is decided), one decision
//! of the limiter. No lock is held across
//! an await, and nothing here reads a file.

mod admit;
mod body;
mod grpc;
mod metered;
mod upgrade;

mod token;

mod queue;

mod attempt;
mod choose;
mod dress;
mod forward;
mod headers;
mod pause;
mod retry;
mod seal;

mod answer;
mod tunnel;
mod usage;

mod finish;

mod address;
pub mod deadline;
mod worker;

pub use answer::Answer;
pub use body::Upload;
pub use queue::ANYBODY;
pub use tunnel::Tunnel;
pub use upgrade::WEBSOCKET_VERSION;
pub use worker::{Budget, Connection, Listener, Shared, Worker};

use finish::Exchange;
use http::request::Parts;
use http::{Request, Response};
use hyper::body::Incoming;
use std::rc::Rc;

/// Serves one request: an upstream's answer, or a refusal that says why.
pub async fn serve(connection: Rc<Connection>, request: Request<Incoming>) -> Response<Answer> {
    let mut answer = Answer::to(Exchange::begin(&connection, &request));
    let (mut head, body) = request.into_parts();
    match walk(answer.exchange(), &mut head, body).await {
        Ok(received) => answer.pass_on(received),
        Err(reject) => answer.refuse(&reject),
    }
}

async fn walk(
    exchange: &mut Exchange,
    head: &mut Parts,
    body: Incoming,
) -> Result<forward::Received, crate::reject::Reject> {
    let admitted = admit::admit(exchange, head, body).await?;
    forward::forward(exchange, head, admitted).await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What every open request takes beside its exchange; it is allocated, filled and freed with each. What few requests
    /// need (to open a connection, to ask IAM) is in boxes of its own.
    const FUTURE_MAX: usize = 3 << 10;

    #[test]
    fn a_request_carries_only_what_most_requests_need() {
        fn size_of_its_future<A, B, F>(_: impl Fn(A, B) -> F) -> usize {
            size_of::<F>()
        }
        let size = size_of_its_future(serve);
        assert!(size <= FUTURE_MAX, "{size} bytes");
    }
}
