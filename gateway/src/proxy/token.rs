//! Whose IAM token is this? Most are known; for the others the request waits until IAM has been asked, off the workers.

use super::finish::Exchange;
use crate::auth::{Denied, TokenDenied};
use crate::iam::{Callers, Known, Unsure};
use crate::ids::CallerId;
use crate::reject::Reject;
use http::HeaderValue;
use std::sync::Arc;

/// The caller that a token stands for.
///
/// # Errors
/// IAM refuses the token or cannot be asked; policy knows neither its project nor its user; or it took too long.
pub async fn holder(exchange: &Exchange, token: &HeaderValue) -> Result<CallerId, Reject> {
    let iam = exchange.policy.iam.as_ref().expect("policy lets no route take tokens without `iam`");
    let known = match iam.checks.find(token, exchange.began) {
        Ok(known) => known,
        Err(Unsure::Refused(denied)) => return Err(Denied::Token(denied).into()),
        // Boxed: it is rare, and the future of every request would be as large.
        Err(Unsure::Ask(doubt)) => Box::pin(ask(exchange, iam, doubt, token)).await?,
    };
    let caller = iam.directory.find(&known.identity);
    caller.ok_or(Denied::Token(TokenDenied::Stranger).into())
}

async fn ask(
    exchange: &Exchange,
    iam: &Callers,
    doubt: crate::iam::Doubt,
    token: &HeaderValue,
) -> Result<Arc<Known>, Reject> {
    let answer = iam.checks.ask(doubt, token, exchange.address, exchange.began);
    let answer = exchange.deadline.bound(answer).await.map_err(Reject::late)?;
    answer.map_err(|denied| Denied::Token(denied).into())
}
