//! Reply: what an endpoint wants to answer, before pace and faults.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde::Serialize;

use super::behaviour::Plan;
use super::sse::Script;

/// The call as the endpoints see it: its number, its moment, its fate.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// Number of the request within its worker.
    pub number: u64,
    /// Seconds since 1970-01-01 UTC.
    pub created: u64,
    /// Behaviour drawn for this request.
    pub plan: &'a Plan,
}

/// An answer without its timing in the body.
#[derive(Debug)]
pub struct Reply {
    /// Status.
    pub status: StatusCode,
    /// `Content-Type`; None: not sent.
    pub content_type: Option<&'static str>,
    /// Wait before the head, on top of the latency: a whole answer exists once its last token does.
    pub wait: Duration,
    /// What is sent.
    pub body: Content,
}

/// What is sent.
#[derive(Debug)]
pub enum Content {
    /// One piece of known length.
    Whole(Bytes),
    /// So many bytes of filler.
    Filler(u64),
    /// Events, at the pace of the plan.
    Events(Script),
    /// The request body, as it arrives.
    Echo,
}

impl Reply {
    /// JSON that is complete already.
    pub fn json(status: StatusCode, text: impl Into<Bytes>) -> Reply {
        let body = Content::Whole(text.into());
        Reply { status, content_type: Some("application/json"), wait: Duration::ZERO, body }
    }

    /// A value written as JSON.
    pub fn value(status: StatusCode, value: &impl Serialize) -> Reply {
        Reply::json(status, serde_json::to_vec(value).unwrap_or_default())
    }

    /// A generated answer of so many tokens, sent when the last of them is ready.
    pub fn generated(call: &Call<'_>, tokens: u32, text: String) -> Reply {
        let wait = call.plan.ttft + call.plan.token_every * tokens.saturating_sub(1);
        Reply { wait, ..Reply::json(StatusCode::OK, text) }
    }

    /// A stream of events.
    pub fn events(script: Script) -> Reply {
        Reply {
            status: StatusCode::OK,
            content_type: Some("text/event-stream; charset=utf-8"),
            wait: Duration::ZERO,
            body: Content::Events(script),
        }
    }
}
