//! Why an IAM token was not accepted.

use std::time::Duration;

/// Every way a caller's IAM token is refused. `Display` is what the caller reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenDenied {
    /// IAM does not know it: forged, revoked, or of another region.
    #[error("IAM does not accept this token; get a new one and send it in X-Auth-Token")]
    Refused,
    /// It has ended.
    #[error("this token has expired; get a new one from IAM")]
    Ended,
    /// IAM vouches for it, but policy names neither its project nor its account, or not its user.
    #[error(
        "this token is good, but its project and user may not call here; ask for access, or use another project"
    )]
    Stranger,
    /// Too many tokens are asked about that nobody has seen before.
    #[error("too many unknown tokens are being checked; try again in a moment")]
    Busy {
        /// When there is room again.
        retry_after: Duration,
    },
    /// IAM does not answer, and nobody has seen the token before.
    #[error("the token cannot be checked, because IAM does not answer; try again in a moment")]
    Unavailable {
        /// When IAM is asked again.
        retry_after: Duration,
    },
}

impl TokenDenied {
    /// A word from a closed set, for logs and metrics.
    pub fn reason(self) -> &'static str {
        match self {
            TokenDenied::Refused => "token_refused",
            TokenDenied::Ended => "token_ended",
            TokenDenied::Stranger => "token_stranger",
            TokenDenied::Busy { .. } => "token_checks_busy",
            TokenDenied::Unavailable { .. } => "iam_unavailable",
        }
    }

    /// When the same token may be tried again, if waiting is the cure.
    pub fn retry_after(self) -> Option<Duration> {
        match self {
            TokenDenied::Busy { retry_after } | TokenDenied::Unavailable { retry_after } => Some(retry_after),
            TokenDenied::Refused | TokenDenied::Ended | TokenDenied::Stranger => None,
        }
    }
}
