//! What has this exchange cost so far? Reads the answer as it passes, charges what it sees, and settles at the end.
//!
//! The bytes that the caller gets are the upstream's, but for the usage that the gateway asked for in its name, and the
//! end of a stream that is cut because a budget is spent.

use super::metered::Ask;
use crate::clock::Now;
use crate::fair::Pass;
use crate::limit::Permit;
use crate::policy::{Metering, Model};
use crate::usage::{Framing, Holding, Passed, Reader, Seen, Text, Tokens};
use bytes::Bytes;
use http::StatusCode;
use http::header::{self, HeaderMap};
use std::sync::Arc;

/// Tokens after which what has passed is charged, where no limit cuts.
const CHARGE_TOKENS: u64 = 64;
/// Or this long after the last charge, in milliseconds.
const CHARGE_MS: u64 = 250;

/// The meter of one exchange.
pub struct Usage {
    ask: Ask,
    state: State,
    /// Charged so far: completion tokens, and when.
    charged: u64,
    charged_ms: u64,
    /// What of the answer goes down next.
    pieces: <Passed as IntoIterator>::IntoIter,
    /// And after that.
    end: Bytes,
    /// Another model answers than was admitted: what was learned of that one stays as it is.
    substituted: bool,
}

#[expect(
    clippy::large_enum_variant,
    reason = "it lives in the box of its meter, and nearly every meter gets there"
)]
enum State {
    /// Nothing has gone upstream.
    Unsent,
    /// It was asked and has not answered.
    Asked,
    Answering {
        reader: Reader,
        framing: Framing,
        ok: bool,
    },
}

/// What is known of an exchange's tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// Its tokens.
    pub tokens: Tokens,
    /// The upstream told them; else they were counted here.
    pub by_upstream: bool,
}

impl Usage {
    /// A meter for an admitted request.
    pub fn of(ask: Ask) -> Usage {
        let (pieces, end) = (Passed::default().into_iter(), Bytes::new());
        Usage { ask, state: State::Unsent, charged: 0, charged_ms: 0, pieces, end, substituted: false }
    }

    /// Another model is asked in place of the first.
    pub fn falls_back_to(&mut self, model: &Arc<Model>) {
        self.ask.model = Arc::clone(model);
        self.substituted = true;
    }

    /// The request goes to an upstream: from here on it costs something.
    pub fn sent(&mut self) {
        self.state = State::Asked;
    }

    /// It reached nobody after all.
    pub fn not_sent(&mut self) {
        self.state = State::Unsent;
    }

    /// The head of an answer has come. Returns whether its length may change on the way.
    pub fn answered(
        &mut self,
        metering: &Metering,
        status: StatusCode,
        headers: &HeaderMap,
        cuts: bool,
    ) -> bool {
        let framing = framing(headers);
        let streams = framing == Framing::Sse;
        let holding = Holding { strip_usage: self.ask.strip_usage, whole_events: cuts && streams };
        let reader = Reader::new(metering.shape.clone(), framing, holding);
        self.state = State::Answering { reader, framing, ok: status.is_success() };
        streams && (self.ask.strip_usage || cuts)
    }

    /// Reads the next part of the answer; what of it goes down, [`next`](Usage::next) says until there is no more.
    pub fn pass(&mut self, chunk: Bytes) {
        if let State::Answering { reader, .. } = &mut self.state {
            self.pieces = reader.feed(chunk).into_iter();
        }
    }

    /// The answer has ended.
    pub fn end(&mut self) {
        if let State::Answering { reader, .. } = &mut self.state {
            self.end = reader.end();
        }
    }

    /// What goes down next of what was passed.
    pub fn next(&mut self) -> Option<Bytes> {
        self.pieces.next().or_else(|| Some(std::mem::take(&mut self.end)).filter(|end| !end.is_empty()))
    }

    /// Has all gone down that was passed?
    pub fn is_drained(&self) -> bool {
        self.end.is_empty() && self.pieces.clone().next().is_none()
    }

    /// Charges what has passed, if it is worth it by now. Returns whether the stream ends here, because a limit is
    /// spent; its proper end is then what goes down last.
    pub fn charge(
        &mut self,
        permit: &mut Permit,
        pass: Option<&mut Pass>,
        now_ms: u64,
        now: impl FnOnce() -> Now,
    ) -> bool {
        let told = self.told();
        let new = told.tokens.completion.saturating_sub(self.charged);
        let cuts = permit.cuts();
        let first = self.charged == 0 && new > 0;
        let streams = matches!(&self.state, State::Answering { framing: Framing::Sse, .. });
        if !cuts && !first && new < CHARGE_TOKENS && now_ms < self.charged_ms + CHARGE_MS {
            return false;
        }
        (self.charged, self.charged_ms) = (told.tokens.completion, now_ms);
        let now = now();
        if let Some(pass) = pass {
            // An answer in one piece comes with its last token.
            if first && streams {
                pass.first_token(now.mono_us);
            }
            pass.progress(told.tokens.completion, now.mono_us);
        }
        let spent = permit.progress(told.tokens, now);
        match &self.state {
            // What has said that it is done needs no other end.
            State::Answering { reader, framing: Framing::Sse, .. }
                if spent && cuts && !reader.seen().done =>
            {
                self.end = reader.cut_ending(told.tokens, self.ask.wants_usage());
                true
            }
            _ => false,
        }
    }

    /// Charges what the exchange has cost in all, and lets estimates learn from it.
    pub fn settle(&mut self, permit: &mut Permit, whole: bool, now: Now) -> Told {
        if let (State::Answering { reader, .. }, false) = (&mut self.state, whole) {
            reader.break_off();
        }
        let told = self.told();
        permit.settle(told.tokens, now);
        if told.by_upstream {
            self.ask.learn(told.tokens.prompt);
        }
        if whole && !self.substituted && (told.tokens.completion > 0 || self.is_answered_by_nothing()) {
            permit.learn(told.tokens.completion / u64::from(self.ask.choices.max(1)));
        }
        told
    }

    /// The answer is no error and says that it has no tokens: so will others, as those of embeddings do.
    fn is_answered_by_nothing(&self) -> bool {
        match &self.state {
            State::Answering { reader, ok: true, .. } => {
                let seen = reader.seen();
                seen.completion.is_some() && !seen.exceeds_told
            }
            _ => false,
        }
    }

    /// The name of the model.
    pub fn model(&self) -> &str {
        &self.ask.model.name
    }

    /// What is known now. What nobody tells, or tells of less than has passed, is counted from the text that passed; what
    /// has no text, or none that is found, from its bytes.
    pub fn told(&self) -> Told {
        let (reader, framing, ok) = match &self.state {
            State::Unsent => return Told { tokens: Tokens::default(), by_upstream: false },
            State::Asked => return Told { tokens: self.ask.least(), by_upstream: false },
            State::Answering { reader, framing, ok } => (reader, *framing, *ok),
        };
        let Seen { prompt, completion, exceeds_told, text, unread, bytes, .. } = reader.seen();
        // Who counts nothing at all, or nothing of a text, has not counted the prompt either.
        let counts = !exceeds_told && completion.is_some_and(|told| told > 0);
        let prompt = prompt.filter(|&told| told > 0 || counts);
        let is_told = prompt.is_some() && completion.is_some();
        if !ok && !is_told {
            // What a model refuses or fails to answer, nobody bills.
            return Told { tokens: Tokens::default(), by_upstream: false };
        }
        let by_bytes = unread || framing == Framing::Other;
        let text = if by_bytes { Text { ascii: bytes, wide: 0 } } else { text };
        let counted = || self.ask.model.limits.estimator().completion_of(text);
        let tokens = Tokens {
            prompt: prompt.unwrap_or(self.ask.prompt),
            completion: match completion {
                Some(told) if exceeds_told => told.max(counted()),
                Some(told) => told,
                None => counted(),
            },
        };
        Told { tokens, by_upstream: is_told && !exceeds_told }
    }
}

/// How an answer is framed, as its head says.
fn framing(headers: &HeaderMap) -> Framing {
    let value = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
    if value(header::CONTENT_ENCODING).is_some_and(|coding| !coding.trim().eq_ignore_ascii_case("identity")) {
        return Framing::Other;
    }
    let kind = value(header::CONTENT_TYPE).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("text/event-stream") {
        Framing::Sse
    } else if kind.eq_ignore_ascii_case("application/json") || kind.to_ascii_lowercase().ends_with("+json") {
        Framing::Json
    } else {
        Framing::Other
    }
}
