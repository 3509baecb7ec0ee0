//! Where an answer says what it cost and what was generated.

use super::paths::{BadPath, Paths};

/// The shape of answers, made once per route when policy is compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    pub(super) dialect: Dialect,
    pub(super) paths: Paths<Part>,
}

/// How a stream of this shape ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    OpenAi,
    Pangu,
    Custom,
}

/// What stands at a place of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Id,
    Model,
    Created,
    Choices,
    /// Number of a choice.
    Index,
    /// Why a choice has ended.
    Finish,
    /// Where text that was generated stands, or the text itself.
    Message,
    /// Text that was generated.
    Text,
    /// The same, of a text completion, which has no messages.
    Completion,
    Usage,
    PromptTokens,
    CompletionTokens,
    TotalTokens,
    /// What an event of the Responses API is about.
    Response,
    /// All text that was generated, which its last event repeats.
    Whole,
    /// Number of an event.
    Sequence,
}

/// Paths such as `usage.prompt_tokens` in answers of other services: names of objects, with dots between them; lists
/// on the way are looked through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CustomPaths<'a> {
    /// Tokens of the prompt.
    pub prompt: Option<&'a str>,
    /// Tokens generated.
    pub completion: Option<&'a str>,
    /// Both together, from which the other is told where it is missing.
    pub total: Option<&'a str>,
}

use Part::*;

impl Shape {
    /// OpenAI shape: MaaS, Pangu V2, ModelArts LLM services.
    pub fn open_ai() -> Self {
        Self { dialect: Dialect::OpenAi, paths: known() }
    }

    /// Pangu V1. It is read like OpenAI's, and differs in how a stream ends.
    pub fn pangu() -> Self {
        Self { dialect: Dialect::Pangu, paths: known() }
    }

    /// Any other service: usage at these paths; all its strings count as generated text.
    ///
    /// # Errors
    /// [`BadPath`].
    pub fn custom(CustomPaths { prompt, completion, total }: CustomPaths<'_>) -> Result<Self, BadPath> {
        let all = Paths::new().below("", Text)?;
        let wanted = [(prompt, PromptTokens), (completion, CompletionTokens), (total, TotalTokens)];
        let mut wanted = wanted.into_iter().filter_map(|(path, part)| Some((path?, part)));
        let paths =
            wanted.try_fold(
                all,
                |paths, (path, part)| {
                    if path.is_empty() { Err(BadPath) } else { paths.at(path, part) }
                },
            )?;
        Ok(Self { dialect: Dialect::Custom, paths })
    }
}

/// What OpenAI and Pangu answer, streamed or not. Whatever a delta or a message has for text was generated, be it
/// content, reasoning, refusals or arguments of tools, under names known today or not; but not the labels. The Responses
/// API has its answer in `output`, or events whose `delta` is a text, and tells its usage in words of its own.
#[rustfmt::skip]
fn known() -> Paths<Part> {
    let paths = Paths::new()
        .at("id", Id)
        .and_then(|paths| paths.at("model", Model))
        .and_then(|paths| paths.at("created", Created))
        .and_then(|paths| paths.at("choices", Choices))
        .and_then(|paths| paths.at("choices.index", Index))
        .and_then(|paths| paths.at("choices.finish_reason", Finish))
        .and_then(|paths| paths.at("choices.text", Completion))
        .and_then(|paths| paths.at("usage", Usage))
        .and_then(|paths| paths.at("delta", Text))
        .and_then(|paths| paths.at("sequence_number", Sequence))
        .and_then(|paths| paths.at("response", Response))
        .and_then(|paths| paths.at("response.id", Id))
        .and_then(|paths| paths.at("response.model", Model))
        .and_then(|paths| paths.at("response.created_at", Created))
        .and_then(|paths| paths.at("response.usage", Usage));
    let said = [
        ("choices.delta",   Message, Text,  &["role", "id", "type"][..]),
        ("choices.message", Message, Text,  &["role", "id", "type"]),
        ("output",          Text,    Text,  &["role", "id", "type", "status", "call_id", "encrypted_content"]),
        ("response.output", Whole,   Whole, &["role", "id", "type", "status", "call_id", "encrypted_content"]),
    ];
    let paths = said.iter().fold(paths, |paths, (said, here, below, labels)| {
        let paths = paths?.below(said, *below)?.at(said, *here);
        labels.iter().fold(paths, |paths, label| paths?.except(said, label))
    });
    let counts = [
        ("usage.prompt_tokens",          PromptTokens),
        ("usage.promptTokens",           PromptTokens),
        ("usage.completion_tokens",      CompletionTokens),
        ("usage.completionTokens",       CompletionTokens),
        ("usage.total_tokens",           TotalTokens),
        ("usage.totalTokens",            TotalTokens),
        ("usage.input_tokens",           PromptTokens),
        ("usage.output_tokens",          CompletionTokens),
        ("response.usage.input_tokens",  PromptTokens),
        ("response.usage.output_tokens", CompletionTokens),
        ("response.usage.total_tokens",  TotalTokens),
    ];
    let paths = counts.iter().fold(paths, |paths, (path, part)| paths?.at(path, *part));
    paths.expect("the names above are good paths; a test makes them all")
}
