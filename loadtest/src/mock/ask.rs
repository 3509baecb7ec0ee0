//! Ask: the few members of a completion request that shape its answer.

use std::borrow::Cow;

use serde::Deserialize;

use super::behaviour::Plan;
use super::text::Chars;

/// Completion tokens when neither the request nor the behaviour says otherwise.
const TOKENS_DEFAULT: u32 = 32;

/// A chat or text completion request. Members not listed are accepted and ignored.
#[derive(Debug, Deserialize)]
pub struct Ask<'a> {
    /// Name of the model.
    #[serde(borrow)]
    pub model: Option<Cow<'a, str>>,
    /// Chat messages.
    pub messages: Option<Chars>,
    /// Text to be continued.
    pub prompt: Option<Chars>,
    /// Whether the answer is streamed.
    pub stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    max_tokens: Option<u32>,
    max_completion_tokens: Option<u32>,
}

#[derive(Debug, Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

/// What an answer spends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt: u64,
    /// Tokens of the answer.
    pub completion: u32,
}

impl Usage {
    /// Both together.
    pub fn total(self) -> u64 {
        self.prompt + u64::from(self.completion)
    }

    /// The object that APIs call `usage`.
    pub fn json(self) -> String {
        let Usage { prompt, completion } = self;
        let total = self.total();
        format!(r#"{{"prompt_tokens":{prompt},"completion_tokens":{completion},"total_tokens":{total}}}"#)
    }
}

impl Ask<'_> {
    /// Whether a stream ends with an event that tells the usage.
    pub fn include_usage(&self) -> bool {
        self.stream_options.as_ref().and_then(|options| options.include_usage).unwrap_or(false)
    }

    /// The longest answer the caller wants; `max_completion_tokens` is the newer name of `max_tokens`.
    fn limit(&self) -> Option<u32> {
        self.max_completion_tokens.or(self.max_tokens)
    }

    /// Tokens of the question and of the answer it will get.
    pub fn usage(&self, plan: &Plan) -> Usage {
        let completion =
            plan.tokens.unwrap_or_else(|| self.limit().unwrap_or(TOKENS_DEFAULT).min(TOKENS_DEFAULT));
        let prompt = self.messages.or(self.prompt).unwrap_or_default().tokens();
        Usage { prompt, completion }
    }

    /// `length` if the answer is as long as it may be, else `stop`.
    pub fn finish_reason(&self, usage: Usage) -> &'static str {
        if self.limit().is_some_and(|limit| usage.completion >= limit) { "length" } else { "stop" }
    }

    /// The model's name as a JSON string; `default` if the request names none.
    pub fn model_json(&self, default: &str) -> String {
        let name = self.model.as_deref().unwrap_or(default);
        serde_json::to_string(name).unwrap_or_else(|_| "\"\"".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::mock::behaviour::Behaviour;

    fn usage(json: &str, tokens: Option<u32>) -> (u32, &'static str) {
        let plan = Behaviour { tokens, ..Behaviour::default() }.plan(0, &HeaderMap::new()).unwrap();
        let ask: Ask<'_> = serde_json::from_str(json).unwrap();
        let usage = ask.usage(&plan);
        (usage.completion, ask.finish_reason(usage))
    }

    #[test]
    fn an_answer_is_as_long_as_asked_or_told() {
        assert_eq!(usage(r"{}", None), (32, "stop"));
        assert_eq!(usage(r#"{"max_tokens":100}"#, None), (32, "stop"));
        assert_eq!(usage(r#"{"max_tokens":5}"#, None), (5, "length"));
        assert_eq!(usage(r#"{"max_completion_tokens":4,"max_tokens":5}"#, None), (4, "length"));
        assert_eq!(usage(r#"{"max_tokens":5}"#, Some(7)), (7, "length"));
        assert_eq!(usage(r#"{"max_tokens":50}"#, Some(7)), (7, "stop"));
    }
}
