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
//!
//! *Never.* A service of ModelArts may tell nothing at all. Its prompt counts for one token at least, and its answer by its
//! words at least and by all its bytes at most, in events that name the service.

use super::evidence::Trace;
use super::limit::Measure;
use super::price::Price;
use crate::mock::count::Outcome;

/// Completion tokens expected of an answer before any was seen.
const GUESS: u64 = 256;
/// Completion tokens that are held at least, unless the request asks for fewer.
const LEAST: u64 = 16;
/// Bytes of an event beside the name of its service, and of the frame around one; tokens that a prompt counts for beside
/// its bytes.
const FRAME: u64 = 64;
/// Events of a stream beside those of its tokens.
const FRAMES: u64 = 4;
/// One token counted by text is at most so many of the mock's.
const UNDERCOUNT: u64 = 8;
/// One token of the mock's is counted by text as at most so many.
const OVERCOUNT: u64 = 4;

/// What is known of all requests of one kind by one caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Terms {
    /// Of the model it is for.
    pub price: Price,
    /// Where its answers tell what was used.
    pub told: Told,
    /// The answer is a stream, which can end in its middle.
    pub stream: bool,
    /// Most completion tokens it asks for.
    pub completion_max: Option<u64>,
    /// Length of its body.
    pub body_bytes: u64,
    /// Length of its path and query, in which a service has its name.
    pub target_bytes: u64,
}

/// Where an answer tells what was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Told {
    /// In each event, so far.
    EachEvent,
    /// In the last event, or the only document.
    #[default]
    AtTheEnd,
    /// Nowhere: it is counted.
    Nowhere,
    /// Nothing is known of how it is counted.
    Unknown,
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
            let least = match terms.told {
                Told::Nowhere => terms.surely(trace).completion,
                _ => sent(trace).completion,
            };
            if is_whole(trace) && sent(trace).completion > 0 {
                answers.shortest = answers.shortest.min(least);
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
        // A body that nobody knows the form of may bound its answer in words that are not understood.
        let asked = self.completion_max.filter(|_| self.told != Told::Nowhere).unwrap_or(u64::MAX);
        Tokens { prompt: self.prompt_most(), completion: answers.longest.min(asked) }
    }

    /// The least that it was charged in all.
    pub fn surely(&self, trace: &Trace) -> Tokens {
        let (sent, reached) = (sent(trace), u64::from(trace.sample.tokens));
        let counted = reached / UNDERCOUNT;
        match self.told {
            Told::Unknown => Tokens::default(),
            Told::Nowhere => {
                let answered = reached > 0 || is_whole(trace);
                Tokens { prompt: u64::from(answered), completion: counted }
            }
            _ if is_whole(trace) => sent,
            Told::EachEvent => {
                let prompt = if reached > 0 { sent.prompt } else { 0 };
                Tokens { prompt, completion: reached.min(sent.completion) }
            }
            Told::AtTheEnd => Tokens { prompt: 0, completion: counted },
        }
    }

    /// The most that it was charged in all.
    pub fn perhaps(&self, trace: &Trace) -> Tokens {
        if is_whole(trace) && self.told != Told::Nowhere { sent(trace) } else { self.meanwhile(trace) }
    }

    /// The most that it was charged at any moment: what was counted may be corrected when the truth is told.
    pub fn meanwhile(&self, trace: &Trace) -> Tokens {
        let Tokens { prompt, completion } = sent(trace);
        let frames = if self.told == Told::Nowhere { FRAMES } else { 0 };
        let completion = (completion + frames).saturating_mul(self.overcount());
        Tokens { prompt: prompt.max(self.prompt_most()), completion }
    }

    /// The most of its completion tokens that can come in one part, where the gateway reads what has come at least
    /// every `every_us`: what the mock sends in that time at its pace, and one more.
    pub fn part_most(&self, trace: &Trace, every_us: u64) -> Tokens {
        let all = if self.told == Told::EachEvent { sent(trace) } else { self.meanwhile(trace) };
        let Some(arrival) = trace.arrival.filter(|arrival| self.stream && arrival.completion_tokens > 1)
        else {
            return all;
        };
        let gaps = u64::from(arrival.completion_tokens) - 1;
        let took_us = arrival.last_token_us.saturating_sub(arrival.first_token_us);
        let in_time = if took_us == 0 { gaps } else { (gaps * every_us).div_ceil(took_us) };
        Tokens { completion: all.completion.min((in_time + 1) * self.overcount()), ..all }
    }

    /// May the truth, told at the end, be less than what was counted before?
    pub fn is_corrected(&self) -> bool {
        self.stream && self.told == Told::AtTheEnd
    }

    /// The most that a prompt counts for.
    fn prompt_most(&self) -> u64 {
        match self.told {
            Told::Nowhere => self.body_bytes + FRAME,
            _ => self.body_bytes.max(1),
        }
    }

    /// The most that one token of the mock's counts for.
    fn overcount(&self) -> u64 {
        match self.told {
            Told::EachEvent => 1,
            Told::AtTheEnd | Told::Unknown => OVERCOUNT,
            Told::Nowhere => FRAME + self.target_bytes,
        }
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
