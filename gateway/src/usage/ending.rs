//! The last events of a stream that is cut.

use super::said::{Names, Said};
use super::shape::Dialect;
use super::tokens::Tokens;
use bytes::Bytes;
use std::fmt::{self, Write};

/// The closing events that the upstream has not sent, as it would have written them, with what it cost where the API tells
/// that, or where it was `asked` to; `within` an event that one is ended first.
pub(super) fn of(dialect: Dialect, said: &Said, within: bool, cost: Tokens, asked: bool) -> Bytes {
    let names = &said.names;
    let mut ending = String::with_capacity(512);
    if within {
        ending.push_str("\n\n");
    }
    let written = match dialect {
        Dialect::OpenAi if names.response => response(&mut ending, names, cost),
        Dialect::OpenAi => open_ai(&mut ending, names, asked.then_some(cost)),
        Dialect::Pangu => pangu(&mut ending, names, cost),
        Dialect::Custom => ending.write_str("data: [DONE]\n\n"),
    };
    debug_assert!(written.is_ok(), "a string takes all that is written to it");
    ending.into()
}

/// The usage that was asked for has an event of its own, without choices.
fn open_ai(to: &mut String, names: &Names, cost: Option<Tokens>) -> fmt::Result {
    let said = if names.text_completion { r#""text":"""# } else { r#""delta":{}"# };
    let object = if names.text_completion { "text_completion" } else { "chat.completion.chunk" };
    to.push_str("data: ");
    if names.open_choices().next().is_some() {
        head(to, object, names)?;
        choices(to, said, names)?;
        to.push_str("}\n\ndata: ");
    }
    if let Some(cost) = cost.filter(|_| !names.told_usage) {
        head(to, object, names)?;
        to.push_str(r#","choices":[]"#);
        usage(to, cost)?;
        to.push_str("}\n\ndata: ");
    }
    to.write_str("[DONE]\n\n")
}

/// The Responses API names its events, and ends without `[DONE]`.
fn response(to: &mut String, names: &Names, cost: Tokens) -> fmt::Result {
    let (id, model) = (plain(names.id.as_str()), plain(names.model.as_str()));
    write!(
        to,
        concat!(
            "event: response.incomplete\n",
            r#"data: {{"type":"response.incomplete","sequence_number":{},"response":{{"id":"{}","object":"response","#,
            r#""created_at":{},"status":"incomplete","error":null,"incomplete_details":{{"reason":"max_output_tokens"}},"#,
            r#""model":"{}","output":[],"parallel_tool_calls":true,"tool_choice":"auto","tools":[],"usage":{{"input_tokens":{},"#,
            r#""input_tokens_details":{{"cached_tokens":0}},"output_tokens":{},"#,
            r#""output_tokens_details":{{"reasoning_tokens":0}},"total_tokens":{}}}}}}}"#,
            "\n\n"
        ),
        names.sequence.saturating_add(1),
        id,
        names.created,
        model,
        cost.prompt,
        cost.completion,
        cost.total()
    )
}

/// Pangu's events start without a space, carry messages and not deltas, and tell the usage so far.
fn pangu(to: &mut String, names: &Names, cost: Tokens) -> fmt::Result {
    let empty =
        if names.text_completion { r#""text":"""# } else { r#""message":{"role":"assistant","content":""}"# };
    let object = if names.text_completion { "text_completion" } else { "chat.completion.chunk" };
    to.push_str("data:");
    if names.open_choices().next().is_some() {
        head(to, object, names)?;
        choices(to, empty, names)?;
        usage(to, cost)?;
        to.push_str("}\n\ndata:");
    }
    to.write_str("[DONE]\n\n")
}

fn usage(to: &mut String, cost: Tokens) -> fmt::Result {
    let (Tokens { prompt, completion }, total) = (cost, cost.total());
    write!(
        to,
        r#","usage":{{"prompt_tokens":{prompt},"completion_tokens":{completion},"total_tokens":{total}}}"#
    )
}

/// SDKs take an empty name, but not all of them a missing one.
fn head(to: &mut String, object: &str, names: &Names) -> fmt::Result {
    let (id, model) = (plain(names.id.as_str()), plain(names.model.as_str()));
    write!(to, r#"{{"id":"{id}","object":"{object}","created":{},"model":"{model}""#, names.created)
}

/// Every choice that has not ended yet ends for its length.
fn choices(to: &mut String, said: &str, names: &Names) -> fmt::Result {
    to.push_str(r#","choices":["#);
    for (nth, index) in names.open_choices().enumerate() {
        let comma = if nth == 0 { "" } else { "," };
        write!(to, r#"{comma}{{"index":{index},{said},"logprobs":null,"finish_reason":"length"}}"#)?;
    }
    to.write_str("]")
}

/// A name that needs no escape in JSON, or nothing.
fn plain(name: Option<&str>) -> &str {
    name.filter(|name| !name.contains(|c: char| c == '"' || c == '\\' || c.is_control())).unwrap_or("")
}
