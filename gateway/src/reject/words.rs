//! What refusals are called: status, codes and words, one row a refusal.

use super::Reject;
use crate::auth::{Denied, Kind, Kinds, TokenDenied};
use http::StatusCode;
use std::borrow::Cow;

impl Reject {
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
    pub(super) fn openai(&self) -> (&'static str, &'static str) {
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
}

fn of_apps_only(kinds: Kinds) -> bool {
    !kinds.contains(Kind::AkSk) && !kinds.contains(Kind::IamToken)
}
