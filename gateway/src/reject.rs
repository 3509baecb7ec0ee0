//! How do we say no? In one closed enum: a refusal that is not here cannot happen, and a new one does
//! not compile until it has a status, a code and a sentence.
//!
//! The text for the caller helps the caller; what only the log may know is [`Reject::detail`]. The body
//! speaks the dialect of the route: APIG's (`error_code`, `error_msg`, `request_id`), and on OpenAI routes
//! (and where no route is known) that plus OpenAI's `error`, since its clients show nothing else.

pub mod grpc;
#[cfg(test)]
mod tests;

use crate::auth::{Denied, Kind, Kinds, TokenDenied};
use crate::ids::RequestId;
use crate::limit::Limited;
use crate::limit::headers::{self as rate, RetryAfter};
use crate::policy::Api;
use crate::proxy::WEBSOCKET_VERSION;
use crate::proxy::deadline::Waiting;
use crate::route::Miss;
use bytes::Bytes;
use http::header::{self, HeaderName};
use http::{HeaderValue, Response, StatusCode};
use std::borrow::Cow;
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

    /// HTTP status.
    pub fn status(&self) -> StatusCode {
        match self {
            Reject::Ambiguous { .. }
            | Reject::BodyBroken
            | Reject::BodyUnclear { .. }
            | Reject::Handshake { .. }
            | Reject::PromptTooLong { .. }
            | Reject::AnswerTooLong { .. } => StatusCode::BAD_REQUEST,
            Reject::WebSocketVersion => StatusCode::UPGRADE_REQUIRED,
            Reject::GrpcVersion => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Reject::NotGrpc => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Reject::NoRoute => StatusCode::NOT_FOUND,
            Reject::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Reject::TargetTooLong { .. } => StatusCode::URI_TOO_LONG,
            Reject::TooManyHeaders { .. } | Reject::HeadTooLarge { .. } => {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            Reject::Expectation => StatusCode::EXPECTATION_FAILED,
            Reject::Denied(
                Denied::ReplayFull { .. }
                | Denied::Token(TokenDenied::Busy { .. } | TokenDenied::Unavailable { .. }),
            ) => StatusCode::SERVICE_UNAVAILABLE,
            Reject::Denied(Denied::Token(TokenDenied::Stranger)) => StatusCode::FORBIDDEN,
            Reject::Denied(_) => StatusCode::UNAUTHORIZED,
            Reject::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Reject::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            Reject::Limited(_) | Reject::Flood { .. } => StatusCode::TOO_MANY_REQUESTS,
            Reject::Overloaded
            | Reject::NoBackend
            | Reject::Undiscovered
            | Reject::NoToken { .. }
            | Reject::Queue(_) => StatusCode::SERVICE_UNAVAILABLE,
            Reject::Unreachable { .. } | Reject::UpstreamReset { .. } | Reject::UpstreamCut => {
                StatusCode::BAD_GATEWAY
            }
            Reject::FirstByteLate | Reject::TotalLate | Reject::Silent | Reject::DeadlineOver => {
                StatusCode::GATEWAY_TIMEOUT
            }
        }
    }

    /// APIG's error code: the ones documented for API Gateway, with the meaning they have there.
    pub fn apig(&self) -> &'static str {
        match self {
            Reject::NoRoute | Reject::Method { .. } => "APIG.0101",
            Reject::Ambiguous { .. }
            | Reject::TargetTooLong { .. }
            | Reject::TooManyHeaders { .. }
            | Reject::HeadTooLarge { .. }
            | Reject::Expectation
            | Reject::BodyTooLarge { .. }
            | Reject::BodyTooSlow
            | Reject::BodyBroken
            | Reject::BodyUnclear { .. }
            | Reject::Handshake { .. }
            | Reject::WebSocketVersion
            | Reject::GrpcVersion
            | Reject::NotGrpc
            | Reject::PromptTooLong { .. }
            | Reject::AnswerTooLong { .. } => "APIG.0201",
            Reject::Denied(Denied::Token(TokenDenied::Stranger)) => "APIG.0302",
            // APIG tells IAM credentials (access keys, tokens) from those of apps.
            Reject::Denied(denied) => match denied.kind() {
                Some(Kind::AkSk | Kind::IamToken) => "APIG.0301",
                Some(Kind::AppCode | Kind::ApiKey) => "APIG.0303",
                None if denied.accepted().is_some_and(of_apps_only) => "APIG.0303",
                None => "APIG.0301",
            },
            Reject::Limited(_) | Reject::Flood { .. } => "APIG.0308",
            Reject::Overloaded
            | Reject::NoBackend
            | Reject::Undiscovered
            | Reject::NoToken { .. }
            | Reject::Queue(_)
            | Reject::Unreachable { .. }
            | Reject::UpstreamReset { .. }
            | Reject::UpstreamCut => "APIG.0202",
            Reject::FirstByteLate | Reject::TotalLate | Reject::Silent | Reject::DeadlineOver => "APIG.0203",
        }
    }

    /// A word for metrics and logs.
    pub fn code(&self) -> &'static str {
        match self {
            Reject::Ambiguous { .. } => "ambiguous_path",
            Reject::NoRoute => "no_route",
            Reject::Method { .. } => "method",
            Reject::TargetTooLong { .. } => "target_too_long",
            Reject::TooManyHeaders { .. } => "too_many_headers",
            Reject::HeadTooLarge { .. } => "head_too_large",
            Reject::Expectation => "expectation",
            Reject::Handshake { .. } => "handshake",
            Reject::WebSocketVersion => "websocket_version",
            Reject::GrpcVersion => "grpc_version",
            Reject::NotGrpc => "not_grpc",
            Reject::Flood { .. } => "flood",
            Reject::Denied(denied) => denied.reason(),
            Reject::BodyTooLarge { .. } => "body_too_large",
            Reject::BodyTooSlow => "body_too_slow",
            Reject::BodyBroken => "body_broken",
            Reject::BodyUnclear { .. } => "body_unclear",
            Reject::PromptTooLong { .. } => "context_length_exceeded",
            Reject::AnswerTooLong { .. } => "max_tokens_exceeded",
            Reject::Limited(_) => "limited",
            Reject::Overloaded => "overloaded",
            Reject::Queue(refusal) => refusal.reason.code(),
            Reject::NoBackend => "no_backend",
            Reject::Undiscovered => "undiscovered",
            Reject::NoToken { .. } => "no_iam_token",
            Reject::Unreachable { .. } => "unreachable",
            Reject::UpstreamReset { .. } => "upstream_reset",
            Reject::FirstByteLate => "first_byte_late",
            Reject::UpstreamCut => "upstream_cut",
            Reject::Silent => "silent",
            Reject::TotalLate => "total_late",
            Reject::DeadlineOver => "deadline_over",
        }
    }

    /// What the log may know and the caller may not.
    pub fn detail(&self) -> Option<Cow<'static, str>> {
        match self {
            Reject::Limited(limited) => Some(limited.standing().limit.to_string().into()),
            Reject::NoToken { token } => Some(token.to_string().into()),
            Reject::Unreachable { detail } | Reject::UpstreamReset { detail } => Some(detail.clone().into()),
            _ => None,
        }
    }

    /// `type` and `code` of OpenAI's error object; its clients choose the exception by status and show
    /// the message.
    fn openai(&self) -> (&'static str, &'static str) {
        match self {
            Reject::Denied(Denied::Token(TokenDenied::Stranger)) => ("permission_error", self.code()),
            Reject::Denied(_) if !self.status().is_server_error() => {
                ("authentication_error", "invalid_api_key")
            }
            Reject::Limited(limited) if limited.full.budget => ("insufficient_quota", "insufficient_quota"),
            Reject::Limited(limited) if limited.full.unit.is_tokens() => ("tokens", "rate_limit_exceeded"),
            Reject::Limited(_) | Reject::Flood { .. } => ("requests", "rate_limit_exceeded"),
            _ if self.status().is_server_error() => ("server_error", self.code()),
            _ => ("invalid_request_error", self.code()),
        }
    }

    /// The whole answer. `spread` moves `Retry-After` so that those refused together do not return
    /// together; any number that differs from request to request will do.
    pub fn render(&self, api: Option<Api>, request_id: RequestId, spread: u16) -> Response<Bytes> {
        // Whoever does not speak gRPC is told so in HTTP.
        let grpc = api == Some(Api::Grpc) && !matches!(self, Reject::GrpcVersion | Reject::NotGrpc);
        let mut answer = Response::new(Bytes::new());
        if grpc {
            grpc::put(self, answer.headers_mut());
        } else {
            *answer.status_mut() = self.status();
            *answer.body_mut() = self.body(api, request_id.as_str()).into();
            let json = HeaderValue::from_static("application/json");
            answer.headers_mut().insert(header::CONTENT_TYPE, json);
        }
        let headers = answer.headers_mut();
        headers.insert(HeaderName::from_static("x-request-id"), request_id.to_header());
        match self {
            Reject::Limited(limited) => rate::refused(limited, spread, headers),
            Reject::Flood { wait } => RetryAfter::new(*wait, spread).put(headers),
            Reject::Overloaded | Reject::NoBackend | Reject::Undiscovered | Reject::NoToken { .. } => {
                RetryAfter::new(BUSY, spread).put(headers)
            }
            Reject::Queue(refusal) => RetryAfter::new(refusal.retry_after, spread).put(headers),
            Reject::Denied(denied) => {
                if let Some(wait) = denied.retry_after() {
                    RetryAfter::new(wait, spread).put(headers);
                }
                if self.status() == StatusCode::UNAUTHORIZED {
                    // RFC 9110 section 15.5.2: a 401 names a way in.
                    headers.insert(
                        header::WWW_AUTHENTICATE,
                        HeaderValue::from_static("SDK-HMAC-SHA256, Bearer"),
                    );
                }
            }
            Reject::Method { allow } => {
                headers.insert(header::ALLOW, allow.clone());
            }
            Reject::WebSocketVersion => {
                // RFC 9110 section 15.5.22 asks for the first two, RFC 6455 section 4.4 for the third.
                headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
                headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static(WEBSOCKET_VERSION));
            }
            _ => {}
        }
        answer
    }

    fn body(&self, api: Option<Api>, request_id: &str) -> Vec<u8> {
        let message = self.to_string();
        let apig = self.apig();
        let plain = serde_json::json!({"error_code": apig, "error_msg": message, "request_id": request_id});
        let body = match api {
            Some(Api::Pangu | Api::ModelArts | Api::Grpc | Api::Plain) => plain,
            Some(Api::OpenAi) | None => {
                let (kind, code) = self.openai();
                serde_json::json!({
                    "error": {"message": message, "type": kind, "code": code, "param": null},
                    "error_code": apig, "error_msg": message, "request_id": request_id,
                })
            }
        };
        serde_json::to_vec(&body).expect("strings make JSON")
    }
}

fn of_apps_only(kinds: Kinds) -> bool {
    !kinds.contains(Kind::AkSk) && !kinds.contains(Kind::IamToken)
}

/// When to try again what failed for want of room or of backends: nobody can know, so soon.
const BUSY: Duration = Duration::from_secs(1);
