//! How do we say no? In one closed enum: a refusal that is not here cannot happen, and a new one does
//! not compile until it has a status, a code and a sentence.
//!
//! The text for the caller helps the caller; what only the log may know is [`Reject::detail`]. The body
//! speaks the dialect of the route: APIG's (`error_code`, `error_msg`, `request_id`), and on OpenAI routes
//! (and where no route is known) that plus OpenAI's `error`, since its clients show nothing else.

pub mod grpc;
mod render;
#[cfg(test)]
mod tests;
mod words;

use crate::auth::Denied;
use crate::limit::Limited;
use crate::proxy::WEBSOCKET_VERSION;
use crate::proxy::deadline::Waiting;
use crate::route::Miss;
use http::HeaderValue;
use std::sync::Arc;
use std::time::Duration;

/// Every way the gateway refuses a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reject {
    /// The path or host could be read in two ways.
    #[error("{what}; send the path in its plain spelling")]
    Ambiguous {
        /// Which spelling.
        what: &'static str,
    },
    /// Nothing here answers to it.
    #[error("no route for this host and path; check the base URL and the path")]
    NoRoute,
    /// The path is known, the method is not.
    #[error("this path does not take this method; allowed: {}", .allow.to_str().unwrap_or_default())]
    Method {
        /// The methods it does take, for `Allow`.
        allow: HeaderValue,
    },
    /// Longer than the route's `caps.target_max`.
    #[error("path and query are longer than {cap} bytes")]
    TargetTooLong {
        /// In bytes.
        cap: u32,
    },
    /// More than the route's `caps.headers_max`.
    #[error("more than {cap} header lines")]
    TooManyHeaders {
        /// In lines.
        cap: u16,
    },
    /// More than the route's `caps.head_max`.
    #[error("headers are larger than {cap} bytes")]
    HeadTooLarge {
        /// In bytes.
        cap: u32,
    },
    /// An `Expect` other than `100-continue`.
    #[error("only `Expect: 100-continue` is understood")]
    Expectation,
    /// A switch of protocols that is none of WebSocket's, or a broken one.
    #[error("{what}")]
    Handshake {
        /// What to mend.
        what: &'static str,
    },
    /// A WebSocket version that nobody speaks.
    #[error("only version {WEBSOCKET_VERSION} of WebSocket is spoken here")]
    WebSocketVersion,
    /// gRPC over HTTP/1.
    #[error("gRPC needs HTTP/2: connect with TLS and ALPN `h2`")]
    GrpcVersion,
    /// Something else where only gRPC is taken.
    #[error("this route takes calls of gRPC only: POST with `content-type: application/grpc`")]
    NotGrpc,
    /// More requests from one address than the guard lets through.
    #[error("too many requests from this address; slow down")]
    Flood {
        /// Until the address may try again.
        wait: Duration,
    },
    /// Not known, or not proven.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// Declared or counted.
    #[error("the request body is larger than {cap} bytes, the most that this route and plan take")]
    BodyTooLarge {
        /// In bytes.
        cap: u64,
    },
    /// Slower than the least rate.
    #[error("the request body came too slowly")]
    BodyTooSlow,
    /// Ended before its end.
    #[error("the request body broke off or was malformed")]
    BodyBroken,
    /// Has two readings, or says something in a way that has.
    #[error("{what}")]
    BodyUnclear {
        /// Which key.
        what: crate::usage::NotRead,
    },
    /// More prompt than a ceiling allows.
    #[error("the prompt has about {tokens} tokens, and {cap} are the most that may be sent here; shorten it")]
    PromptTooLong {
        /// Estimated.
        tokens: u64,
        /// The ceiling.
        cap: u64,
    },
    /// More answer than a ceiling allows.
    #[error("{asked} completion tokens are asked for, and {cap} are the most here; ask for at most {cap}")]
    AnswerTooLong {
        /// `max_tokens` of the request.
        asked: u64,
        /// The ceiling.
        cap: u64,
    },
    /// A limit has no room.
    #[error(transparent)]
    Limited(#[from] Limited),
    /// No room to hold a body while its signature is checked.
    #[error("the gateway is busy; try again in a moment")]
    Overloaded,
    /// The pool takes only so much at a time, and too much of it waits.
    #[error(transparent)]
    Queue(#[from] crate::fair::Refusal),
    /// The pool is empty.
    #[error("no backend is available for this route")]
    NoBackend,
    /// The pool's backends are found out, and none has been found.
    #[error("no backend of this route is known yet")]
    Undiscovered,
    /// Backends are to be shown an IAM token, and there is none.
    #[error("the gateway has no IAM token for the model service; try again in a moment")]
    NoToken {
        /// Which one, for the log.
        token: Arc<str>,
    },
    /// No connection to the backend.
    #[error("the model service cannot be reached")]
    Unreachable {
        /// For the log.
        detail: String,
    },
    /// Broke off before its head.
    #[error("the model service closed the connection without an answer")]
    UpstreamReset {
        /// For the log.
        detail: String,
    },
    /// No head in time.
    #[error("the model service did not begin to answer in time")]
    FirstByteLate,
    /// The route's `total` is over.
    #[error("the request took longer than this route allows")]
    TotalLate,
    /// Broke off after its head: told only where an answer can say so at its end.
    #[error("the model service broke off in the middle of its answer")]
    UpstreamCut,
    /// Nothing more in time.
    #[error("the model service was silent for too long")]
    Silent,
    /// The time is over that a call of gRPC gave itself.
    #[error("the call's deadline (`grpc-timeout`) is over")]
    DeadlineOver,
}

impl From<Miss> for Reject {
    fn from(miss: Miss) -> Reject {
        match miss {
            Miss::Ambiguous { what } => Reject::Ambiguous { what },
            Miss::NotFound => Reject::NoRoute,
            Miss::Method { allow } => Reject::Method { allow },
        }
    }
}

impl Reject {
    /// The refusal for whatever took too long.
    pub fn late(waiting: Waiting) -> Reject {
        match waiting {
            Waiting::Body => Reject::BodyTooSlow,
            Waiting::FirstByte | Waiting::Nothing => Reject::FirstByteLate,
            Waiting::Idle => Reject::Silent,
            Waiting::Head | Waiting::KeepAlive | Waiting::Write | Waiting::Total => Reject::TotalLate,
        }
    }

    /// Did the upstream fail, rather than the caller or the gateway?
    pub fn blames_upstream(&self) -> bool {
        self.status().is_server_error()
            && !matches!(
                self,
                Reject::Overloaded | Reject::Queue(_) | Reject::GrpcVersion | Reject::DeadlineOver
            )
    }
}
