//! What is counted of IAM: calls of the gateway's own, look-ups of callers' tokens, and how old its own tokens are.

use super::metrics::{IAM_CALLS, IAM_TOKEN_END, IAM_TOKEN_ISSUED, IAM_TOKENS, IAM_TOKENS_KNOWN};
use http::StatusCode;
use metrics::{Counter, Gauge, counter, gauge};
use std::sync::Arc;

/// What IAM was asked.
#[derive(Debug, Clone, Copy)]
pub enum IamCall {
    /// A token for the gateway.
    Issue,
    /// Whom a token stands for.
    Check,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IamOutcome {
    /// What was asked for.
    Ok,
    /// 4xx: "no".
    Refused,
    /// 429: "too often".
    Limited,
    /// 5xx, or a status that means nothing here.
    Failed,
    /// No connection, or a broken one.
    Unreachable,
    /// No answer in time.
    Timeout,
    /// An answer that is none.
    Malformed,
    /// Not asked: the budget of own calls is used up.
    Held,
    /// Not asked: the gateway has no token to ask with.
    NoToken,
}

impl IamCall {
    /// Counts one call. Looked up by name: a call costs a round trip.
    pub fn count(self, outcome: IamOutcome) {
        let call = match self {
            IamCall::Issue => "issue",
            IamCall::Check => "check",
        };
        counter!(IAM_CALLS, "call" => call, "outcome" => outcome.name()).increment(1);
    }
}

impl IamOutcome {
    /// What a status says.
    pub fn of(status: StatusCode) -> IamOutcome {
        match status {
            StatusCode::OK | StatusCode::CREATED => IamOutcome::Ok,
            StatusCode::TOO_MANY_REQUESTS => IamOutcome::Limited,
            status if status.is_client_error() => IamOutcome::Refused,
            _ => IamOutcome::Failed,
        }
    }

    fn name(self) -> &'static str {
        match self {
            IamOutcome::Ok => "ok",
            IamOutcome::Refused => "refused",
            IamOutcome::Limited => "limited",
            IamOutcome::Failed => "failed",
            IamOutcome::Unreachable => "unreachable",
            IamOutcome::Timeout => "timeout",
            IamOutcome::Malformed => "malformed",
            IamOutcome::Held => "held",
            IamOutcome::NoToken => "no_token",
        }
    }
}

/// Handles of look-ups of callers' tokens.
pub struct TokenLookUps {
    /// Known, and believed.
    pub hits: Counter,
    /// Believed only because IAM does not answer.
    pub stale: Counter,
    /// Known to be refused.
    pub negative: Counter,
    /// Not known: somebody waits for IAM.
    pub misses: Counter,
}

impl Default for TokenLookUps {
    fn default() -> TokenLookUps {
        let of = |result: &'static str| counter!(IAM_TOKENS, "result" => result);
        TokenLookUps { hits: of("hit"), stale: of("stale"), negative: of("negative"), misses: of("miss") }
    }
}

/// Handles of one token of the gateway's own.
pub struct TokenMetrics {
    issued: Gauge,
    end: Gauge,
}

impl TokenMetrics {
    /// Resolves the handles of the source with this name.
    pub fn new(source: &Arc<str>) -> TokenMetrics {
        let of = |name: &'static str| gauge!(name, "source" => source.to_string());
        TokenMetrics { issued: of(IAM_TOKEN_ISSUED), end: of(IAM_TOKEN_END) }
    }

    /// Writes down a new token's wall times.
    pub fn issued(&self, at_ms: u64, end_ms: u64) {
        self.issued.set(at_ms as f64 / 1e3);
        self.end.set(end_ms as f64 / 1e3);
    }
}

/// Writes down how many callers' tokens are remembered.
pub fn set_known_tokens(count: usize) {
    gauge!(IAM_TOKENS_KNOWN).set(count as f64);
}
