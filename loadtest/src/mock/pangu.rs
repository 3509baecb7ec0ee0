//! Pangu V1 answers.
//!
//! Unlike OpenAI's: events start with `data:` and no space, carry `message` and not `delta`, tell the usage
//! so far in each event, and end with `data:[DONE]`.

use bytes::Bytes;

use super::ask::{Ask, Usage};
use super::endpoint::{Dialect, Pangu};
use super::refuse;
use super::reply::{Call, Reply};
use super::sse::Script;
use super::text;

/// Named when the request names no model, which is usual: the deployment in the path implies it.
const MODEL: &str = "pangu";

/// Answers one operation.
pub fn reply(call: &Call<'_>, operation: Pangu, body: &[u8]) -> Reply {
    complete(call, operation, body).unwrap_or_else(|what| refuse::bad_request(Dialect::Pangu, &what))
}

fn complete(call: &Call<'_>, operation: Pangu, body: &[u8]) -> Result<Reply, String> {
    let ask: Ask<'_> = serde_json::from_slice(body).map_err(|e| e.to_string())?;
    let (input, name) = match operation {
        Pangu::Chat => (ask.messages, "messages"),
        Pangu::Text => (ask.prompt, "prompt"),
    };
    input.ok_or_else(|| format!("{name} is missing"))?;
    let usage = ask.usage(call.plan);
    if ask.stream.unwrap_or(false) {
        return Ok(Reply::events(usage.prompt, stream(call, operation, &ask, usage)));
    }
    let head = head(call, operation.object(), &ask);
    let said = operation.said(&text::words(usage.completion), true);
    let reason = ask.finish_reason(usage);
    let text = format!(
        r#"{head}"choices":[{{"index":0,{said},"logprobs":null,"finish_reason":"{reason}","stop_reason":null}}],"usage":{},"prompt_logprobs":null}}"#,
        usage.json(),
    );
    Ok(Reply::generated(call, usage, text))
}

fn stream(call: &Call<'_>, operation: Pangu, ask: &Ask<'_>, usage: Usage) -> Script {
    let head = head(call, operation.chunk_object(), ask);
    let event = move |said: &str, finish_reason: &str, completion: u32| {
        let so_far = Usage { completion, ..usage };
        Bytes::from(format!(
            "data:{head}\"choices\":[{{\"index\":0,{said},\"logprobs\":null,\"finish_reason\":{finish_reason},\"stop_reason\":null}}],\"usage\":{}}}\n\n",
            so_far.json()
        ))
    };
    let reason = format!("\"{}\"", ask.finish_reason(usage));
    let lead = match operation {
        Pangu::Chat => vec![event(r#""message":{"role":"assistant"}"#, "null", 0)],
        Pangu::Text => Vec::new(),
    };
    let tail = vec![
        event(&operation.said("", false), &reason, usage.completion),
        Bytes::from_static(b"data:[DONE]\n\n"),
    ];
    let token = move |i: u32| event(&operation.said(text::word(i), false), "null", i + 1);
    Script::new(lead, usage.completion, token, tail)
}

fn head(call: &Call<'_>, object: &str, ask: &Ask<'_>) -> String {
    let model = ask.model_json(MODEL);
    format!(
        r#"{{"id":"{:032x}","object":"{object}","created":{},"model":{model},"#,
        call.number, call.created
    )
}

impl Pangu {
    fn object(self) -> &'static str {
        match self {
            Pangu::Chat => "chat.completion",
            Pangu::Text => "text_completion",
        }
    }

    fn chunk_object(self) -> &'static str {
        match self {
            Pangu::Chat => "chat.completion.chunk",
            Pangu::Text => "text_completion.chunk",
        }
    }

    /// The member of a choice that holds what was said; `text` needs no escaping.
    fn said(self, text: &str, whole: bool) -> String {
        match (self, whole) {
            (Pangu::Chat, true) => {
                format!(r#""message":{{"role":"assistant","content":"{text}","tool_calls":[]}}"#)
            }
            (Pangu::Chat, false) => format!(r#""message":{{"content":"{text}"}}"#),
            (Pangu::Text, _) => format!(r#""text":"{text}""#),
        }
    }
}
