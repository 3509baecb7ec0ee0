//! Reply: what an endpoint wants to answer, before pace and faults.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde::Serialize;

use super::ask::Usage;
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
    /// Tokens of the question, and of the answer unless it is a stream, which counts as it goes.
    pub spent: Usage,
    /// What is sent.
    pub body: Content,
    /// How a call of gRPC went: told in the trailers, or in the head if that is all there is. None: it is no call.
    pub grpc_status: Option<u16>,
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
        Reply {
            status,
            content_type: Some("application/json"),
            wait: Duration::ZERO,
            spent: Usage::default(),
            body,
            grpc_status: None,
        }
    }

    /// A value written as JSON.
    pub fn value(status: StatusCode, value: &impl Serialize) -> Reply {
        Reply::json(status, serde_json::to_vec(value).unwrap_or_default())
    }

    /// A generated answer that spends so many tokens, sent when the last of them is ready.
    pub fn generated(call: &Call<'_>, spent: Usage, text: String) -> Reply {
        let wait = call.plan.ttft + call.plan.token_every * spent.completion.saturating_sub(1);
        Reply { wait, spent, ..Reply::json(StatusCode::OK, text) }
    }

    /// The same in answer to a question of `prompt` tokens, which is all that it spends.
    pub fn of_prompt(self, prompt: u64) -> Reply {
        Reply { spent: Usage { prompt, completion: 0 }, ..self }
    }

    /// A stream of events in answer to a question of `prompt` tokens.
    pub fn events(prompt: u64, script: Script) -> Reply {
        Reply {
            status: StatusCode::OK,
            content_type: Some("text/event-stream; charset=utf-8"),
            wait: Duration::ZERO,
            spent: Usage { prompt, completion: 0 },
            body: Content::Events(script),
            grpc_status: None,
        }
    }
}
