//! OpenAI-style answers: MaaS, Pangu V2, and real-time services that speak the same.
//!
//! Streams carry `data: ` with a space, `delta`, and usage in a last event without choices if
//! `stream_options.include_usage` asks for it. Vectors and scores are made from a hash of their input: equal
//! texts get equal ones, in every run.

use std::fmt::Write;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::ask::{Ask, Usage};
use super::endpoint::{Dialect, OpenAi};
use super::refuse;
use super::reply::{Call, Reply};
use super::sse::Script;
use super::text::{self, Chars};

/// Models that `/models` lists; any name is accepted elsewhere.
const MODELS: [&str; 3] = ["pangu-chat", "DeepSeek-V3", "Qwen3-32B"];

/// Length of a vector if the request does not say.
const DIMENSIONS_DEFAULT: usize = 16;

/// Longest vector made.
const DIMENSIONS_MAX: usize = 8192;

/// Answers one operation.
pub fn reply(call: &Call<'_>, operation: OpenAi, body: &[u8]) -> Reply {
    let answer = match operation {
        OpenAi::Chat { model_required } => chat(call, body, model_required),
        OpenAi::Embeddings => embeddings(body),
        OpenAi::Rerank => rerank(call, body),
        OpenAi::Models => Ok(models(call)),
    };
    answer.unwrap_or_else(|what| refuse::bad_request(Dialect::OpenAi, &what))
}

fn chat(call: &Call<'_>, body: &[u8], model_required: bool) -> Result<Reply, String> {
    let ask: Ask<'_> = serde_json::from_slice(body).map_err(|e| e.to_string())?;
    if model_required && ask.model.as_deref().is_none_or(str::is_empty) {
        return Err("model is empty.".to_owned());
    }
    if ask.messages.is_none() {
        return Err("messages is empty.".to_owned());
    }
    let usage = ask.usage(call.plan);
    if ask.stream.unwrap_or(false) {
        return Ok(Reply::events(usage.prompt, chat_stream(call, &ask, usage)));
    }
    let text = format!(
        r#"{{"id":"chatcmpl-{:016x}","object":"chat.completion","created":{},"model":{},"choices":[{{"index":0,"message":{{"role":"assistant","content":"{}"}},"logprobs":null,"finish_reason":"{}"}}],"usage":{}}}"#,
        call.number,
        call.created,
        ask.model_json(MODELS[0]),
        text::words(usage.completion),
        ask.finish_reason(usage),
        usage.json(),
    );
    Ok(Reply::generated(call, usage, text))
}

fn chat_stream(call: &Call<'_>, ask: &Ask<'_>, usage: Usage) -> Script {
    let with_usage = ask.include_usage();
    let before = format!(
        r#"data: {{"id":"chatcmpl-{:016x}","object":"chat.completion.chunk","created":{},"model":{},"choices":["#,
        call.number,
        call.created,
        ask.model_json(MODELS[0]),
    );
    let after = if with_usage { "],\"usage\":null}\n\n" } else { "]}\n\n" };
    let choice = |delta: &str, finish_reason: &str| {
        Bytes::from(format!(
            r#"{before}{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{finish_reason}}}{after}"#
        ))
    };
    let lead = vec![choice(r#"{"role":"assistant","content":""}"#, "null")];
    let mut tail = vec![choice("{}", &format!("\"{}\"", ask.finish_reason(usage)))];
    if with_usage {
        tail.push(Bytes::from(format!("{before}],\"usage\":{}}}\n\n", usage.json())));
    }
    tail.push(Bytes::from_static(b"data: [DONE]\n\n"));

    let before = format!(r#"{before}{{"index":0,"delta":{{"content":""#);
    let after = format!(r#""}},"logprobs":null,"finish_reason":null}}{after}"#);
    let token = move |i: u32| Bytes::from([before.as_str(), text::word(i), after.as_str()].concat());
    Script::new(lead, usage.completion, token, tail)
}

#[derive(Deserialize)]
struct EmbeddingsAsk {
    model: String,
    input: Value,
    encoding_format: Option<String>,
    dimensions: Option<usize>,
}

fn embeddings(body: &[u8]) -> Result<Reply, String> {
    let ask: EmbeddingsAsk = serde_json::from_slice(body).map_err(|e| e.to_string())?;
    let dimensions = ask.dimensions.unwrap_or(DIMENSIONS_DEFAULT).clamp(1, DIMENSIONS_MAX);
    let in_base64 = match ask.encoding_format.as_deref() {
        None | Some("float") => false,
        Some("base64") => true,
        Some(_) => return Err("encoding_format is neither float nor base64.".to_owned()),
    };
    let inputs = split_inputs(&ask.input).ok_or("input is empty.")?;
    let vectors = inputs.iter().enumerate().map(|(index, input)| {
        let vector = vector(input.to_string().as_bytes(), dimensions);
        let embedding = if in_base64 {
            let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
            json!(BASE64.encode(bytes))
        } else {
            json!(vector)
        };
        json!({"object": "embedding", "index": index, "embedding": embedding})
    });
    let tokens: u64 = inputs.iter().map(|input| input_tokens(input)).sum();
    let answer = json!({
        "object": "list",
        "data": vectors.collect::<Vec<_>>(),
        "model": ask.model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    });
    Ok(Reply::value(StatusCode::OK, &answer).of_prompt(tokens))
}

/// One input or many: a text, a list of token numbers, or a list of either.
fn split_inputs(input: &Value) -> Option<Vec<&Value>> {
    match input {
        Value::String(_) => Some(vec![input]),
        Value::Array(list) if list.first()?.is_number() => Some(vec![input]),
        Value::Array(list) => Some(list.iter().collect()),
        _ => None,
    }
}

fn input_tokens(input: &Value) -> u64 {
    match input {
        Value::Array(tokens) => tokens.len() as u64,
        text => Chars(text.as_str().map_or(0, |text| text.chars().count() as u64)).tokens(),
    }
}

/// Multiples of 1/128 from [-1, 1): exact in both encodings.
fn vector(input: &[u8], dimensions: usize) -> Vec<f32> {
    let seed = digest::digest(&digest::SHA256, input);
    let mut vector = Vec::with_capacity(dimensions);
    for block in 0_u64.. {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(seed.as_ref());
        context.update(&block.to_le_bytes());
        vector.extend(context.finish().as_ref().iter().map(|&byte| (f32::from(byte) - 128.0) / 128.0));
        if vector.len() >= dimensions {
            break;
        }
    }
    vector.truncate(dimensions);
    vector
}

#[derive(Deserialize)]
struct RerankAsk {
    model: String,
    query: String,
    documents: Vec<String>,
    top_n: Option<usize>,
}

fn rerank(call: &Call<'_>, body: &[u8]) -> Result<Reply, String> {
    let ask: RerankAsk = serde_json::from_slice(body).map_err(|e| e.to_string())?;
    let score = |document: &str| {
        let digest = digest::digest(&digest::SHA256, [&ask.query, "\n", document].concat().as_bytes());
        f64::from(digest.as_ref()[0]) / 256.0
    };
    let mut scored: Vec<(usize, f64)> =
        ask.documents.iter().enumerate().map(|(index, document)| (index, score(document))).collect();
    scored.sort_by(|a, b| b.1.total_cmp(&a.1));
    scored.truncate(ask.top_n.unwrap_or(usize::MAX));
    let results = scored.iter().map(|&(index, score)| {
        json!({"index": index, "document": {"text": ask.documents[index]}, "relevance_score": score})
    });
    let chars = |text: &str| text.chars().count() as u64;
    let tokens = Chars(chars(&ask.query) + ask.documents.iter().map(|d| chars(d)).sum::<u64>()).tokens();
    let answer = json!({
        "id": format!("rerank-{:016x}", call.number),
        "model": ask.model,
        "usage": {"total_tokens": tokens},
        "results": results.collect::<Vec<_>>(),
    });
    Ok(Reply::value(StatusCode::OK, &answer).of_prompt(tokens))
}

fn models(call: &Call<'_>) -> Reply {
    let mut list = String::new();
    for (i, model) in MODELS.iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        let _ = write!(
            list,
            r#"{comma}{{"id":"{model}","object":"model","created":{},"owned_by":"mock"}}"#,
            call.created
        );
    }
    Reply::json(StatusCode::OK, format!(r#"{{"object":"list","data":[{list}]}}"#))
}
