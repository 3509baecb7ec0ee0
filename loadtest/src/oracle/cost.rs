//! Cost: what a request surely spent, what it may have, and what may have been held for it; all of it seen from outside.
//!
//! *Known.* The mock says what it generated, when, and when it broke off; the caller says how many tokens reached it. What
//! reached the caller, the gateway has seen; what the mock never sent, it has not. In between lies what was on the way
//! when a stream was cut or its caller left: that may have been charged, or not.
//!
//! *Held.* An estimate that nobody is told. It is taken to be what it is documented to be, and no more is used:
//! completions are what nine of ten of the tenant's answers for the model stay below, [`GUESS`] before there was one, never
//! less than [`LEAST`] and never more than the request asks for. A mark like that lies between the shortest and the longest
//! answer it was taught, wherever the gateway puts it. A prompt is held as one token at least, and at most as one for
//! each byte of the body.
//!
//! *Meanwhile.* A Pangu V1 stream tells its usage with each token. Other streams tell at their end, and until then are
//! counted by their text; of the mock's words (3 to 10 bytes) that makes between an eighth and four for each.

use super::evidence::Trace;
use super::limit::Measure;
use super::price::Price;
use crate::mock::count::Outcome;

/// Completion tokens expected of an answer before any was seen.
const GUESS: u64 = 256;
/// Completion tokens that are held at least, unless the request asks for fewer.
const LEAST: u64 = 16;
/// One token counted by text is at most so many of the mock's.
const UNDERCOUNT: u64 = 8;
/// One token of the mock's is counted by text as at most so many.
const OVERCOUNT: u64 = 4;

/// What is known of all requests of one kind by one caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Terms {
    /// Of the model it is for.
    pub price: Price,
    /// Each event of its answers tells what was used so far.
    pub tells: bool,
    /// Nothing is known of how its answers are counted.
    pub hidden: bool,
    /// The answer is a stream, which can end in its middle.
    pub stream: bool,
    /// Most completion tokens it asks for.
    pub completion_max: Option<u64>,
    /// Length of its body.
    pub body_bytes: u64,
}

/// What the answers of a run were like, which is all that an estimate can have learned from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answers {
    /// Least completion tokens of a whole answer, and of a ceiling.
    shortest: u64,
    /// Most of any answer.
    longest: u64,
}

/// Tokens of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tokens {
    prompt: u64,
    completion: u64,
}

impl Tokens {
    /// As a limit counts them.
    pub fn by(self, measure: Measure, price: Price) -> u64 {
        measure.of(self.prompt, self.completion, price)
    }

    /// Of each kind the more.
    #[must_use]
    pub fn or(self, other: Tokens) -> Tokens {
        let Tokens { prompt, completion } = other;
        Tokens { prompt: self.prompt.max(prompt), completion: self.completion.max(completion) }
    }
}

impl Answers {
    /// Looks at all answers. `ceiling`: the lowest that the policy has for completion tokens.
    pub fn of<'a>(traces: impl Iterator<Item = (&'a Trace, Terms)>, ceiling: Option<u64>) -> Answers {
        let mut answers = Answers { shortest: GUESS, longest: GUESS };
        for (trace, terms) in traces {
            if is_whole(trace) && sent(trace).completion > 0 {
                answers.shortest = answers.shortest.min(sent(trace).completion);
            }
            answers.longest = answers.longest.max(terms.meanwhile(trace).completion);
        }
        answers.shortest = answers.shortest.max(LEAST).min(ceiling.unwrap_or(u64::MAX));
        answers
    }
}

impl Terms {
    /// The least that was held for it.
    pub fn held_least(&self, answers: Answers) -> Tokens {
        let asked = self.completion_max.unwrap_or(u64::MAX);
        Tokens { prompt: 1, completion: answers.shortest.min(asked) }
    }

    /// The most that was held for it.
    pub fn held_most(&self, answers: Answers) -> Tokens {
        let asked = self.completion_max.unwrap_or(u64::MAX);
        Tokens { prompt: self.body_bytes.max(1), completion: answers.longest.min(asked) }
    }

    /// The least that it was charged in all.
    pub fn surely(&self, trace: &Trace) -> Tokens {
        let sent = sent(trace);
        if self.hidden {
            Tokens::default()
        } else if is_whole(trace) {
            sent
        } else if self.tells {
            let reached = u64::from(trace.sample.tokens);
            let prompt = if reached > 0 { sent.prompt } else { 0 };
            Tokens { prompt, completion: reached.min(sent.completion) }
        } else {
            Tokens { prompt: 0, completion: u64::from(trace.sample.tokens) / UNDERCOUNT }
        }
    }

    /// The most that it was charged in all.
    pub fn perhaps(&self, trace: &Trace) -> Tokens {
        if is_whole(trace) { sent(trace) } else { self.meanwhile(trace) }
    }

    /// The most that it was charged at any moment: what was counted may be corrected when the truth is told.
    pub fn meanwhile(&self, trace: &Trace) -> Tokens {
        let Tokens { prompt, completion } = sent(trace);
        let completion = if self.tells { completion } else { completion.saturating_mul(OVERCOUNT) };
        Tokens { prompt: prompt.max(self.body_bytes), completion }
    }

    /// The most of its completion tokens that can come in one part, where the gateway reads what has come at least
    /// every `every_us`: what the mock sends in that time at its pace, and one more.
    pub fn part_most(&self, trace: &Trace, every_us: u64) -> Tokens {
        let all = if self.tells { sent(trace) } else { self.meanwhile(trace) };
        let Some(arrival) = trace.arrival.filter(|arrival| self.stream && arrival.completion_tokens > 1)
        else {
            return all;
        };
        let gaps = u64::from(arrival.completion_tokens) - 1;
        let took_us = arrival.last_token_us.saturating_sub(arrival.first_token_us);
        let in_time = if took_us == 0 { gaps } else { (gaps * every_us).div_ceil(took_us) };
        let factor = if self.tells { 1 } else { OVERCOUNT };
        Tokens { completion: all.completion.min((in_time + 1) * factor), ..all }
    }
}

/// The mock's answer came to its end, and the caller has all of it.
fn is_whole(trace: &Trace) -> bool {
    let completed = trace.arrival.is_some_and(|arrival| arrival.outcome == Some(Outcome::Completed));
    completed && trace.sample.whole && trace.sample.status < 300
}

/// What the mock generated.
fn sent(trace: &Trace) -> Tokens {
    trace.arrival.map_or_else(Tokens::default, |arrival| Tokens {
        prompt: arrival.prompt_tokens,
        completion: u64::from(arrival.completion_tokens),
    })
}
