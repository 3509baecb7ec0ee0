//! Asks IAM about a caller's token, and takes care whose fault a "no" is.
//!
//! IAM says 401 both of a token that it does not know and to an asker whose own token has died (a password was changed).
//! Callers must not be refused for that, so a 401 or 403 counts only if the gateway's own token stands: IAM is asked
//! about it, too.

use super::answer;
use super::checks::{Question, Verdict};
use super::client::{Answer, Unanswered};
use super::known::Known;
use super::source::Source;
use crate::clock::Now;
use crate::observe::iam::{IamCall, IamOutcome};
use http::{HeaderValue, StatusCode};
use std::sync::Arc;

/// Answers one question.
pub async fn judge(question: Question) {
    let verdict = ask(&question).await;
    question.answer(verdict, Now::read());
}

async fn ask(question: &Question) -> Verdict {
    let source = &question.checks.source;
    let Some(own) = source.current() else {
        IamCall::Check.count(IamOutcome::NoToken);
        return Verdict::Unanswered;
    };
    let asked = Now::read();
    let answer = source.client.check(&own, &question.token).await;
    IamCall::Check.count(outcome(&answer));
    match answer.map(|answer| (answer.status, answer.body)) {
        Ok((StatusCode::OK, body)) => match answer::identity(&body) {
            Ok(identity) => Verdict::Good(Arc::new(Known { identity, checked_us: asked.mono_us })),
            Err(_) => Verdict::Unanswered,
        },
        Ok((StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST, _)) => Verdict::Refused,
        Ok((StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _)) => {
            if stands(source, &own).await {
                Verdict::Refused
            } else {
                Verdict::Unanswered
            }
        }
        Ok(_) | Err(_) => Verdict::Unanswered,
    }
}

/// Does IAM still know the gateway's own token? If it says that it does not, another one is asked for.
async fn stands(source: &Source, own: &HeaderValue) -> bool {
    let answer = source.client.check(own, own).await;
    IamCall::Check.count(outcome(&answer));
    match answer.map(|answer| answer.status) {
        Ok(StatusCode::OK) => true,
        Ok(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND) => {
            tracing::warn!(source = %source.name, "IAM does not know the gateway's own token any more");
            source.distrust();
            false
        }
        Ok(_) | Err(_) => false,
    }
}

fn outcome(answer: &Result<Answer, Unanswered>) -> IamOutcome {
    match answer {
        Ok(answer) if answer.status == StatusCode::OK && answer::identity(&answer.body).is_err() => {
            IamOutcome::Malformed
        }
        Ok(answer) => IamOutcome::of(answer.status),
        Err(unanswered) => unanswered.outcome(),
    }
}
