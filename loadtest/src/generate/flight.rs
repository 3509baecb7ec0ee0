//! Flight: one request from the moment a lane takes it to its end, however it ends.
//!
//! It writes down what happens, and counts itself out when dropped: a run that is cut short loses no request.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{HeaderName, RETRY_AFTER};

use crate::clock;
use crate::measure::Sample;
use crate::scenario::{BodyKind, Scenario};

use super::choose::Choice;
use super::connect::Reason;
use super::queue::Job;
use super::record::Record;
use super::sse::Events;
use super::tally::{End, Facts};

/// Reason of requests that the end of the run finds under way.
const CUT_SHORT: Reason = Reason::Borrowed("no answer before the run ended");
const NOT_DONE: Reason = Reason::Borrowed("stream: ended without [DONE]");
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");

/// A request under way.
pub struct Flight {
    record: Rc<RefCell<Record>>,
    facts: Facts,
    events: Option<Events>,
    /// Whether the stream has to end in `[DONE]`.
    must_be_done: bool,
    last_token_us: Option<u64>,
    over: bool,
}

impl Flight {
    /// Notes that a lane has taken a request.
    pub fn take(record: Rc<RefCell<Record>>, scenario: &Scenario, job: Job, choice: Choice) -> Flight {
        let request = &scenario.requests[usize::from(choice.request)];
        record.borrow().sent();
        let now_us = clock::mono_us();
        let sample = Sample {
            number: job.number,
            caller: choice.caller,
            request: choice.request,
            status: 0,
            sent_us: now_us,
            answered_us: 0,
            ended_us: 0,
            retry_after_ms: 0,
            tokens: 0,
            whole: false,
        };
        Flight {
            record,
            facts: Facts {
                sample,
                group: usize::from(scenario.callers[choice.caller as usize].group),
                due_us: job.due_us,
                bytes_in: 0,
                connections: 0,
                stream: request.stream,
            },
            events: None,
            must_be_done: request.stream && request.body == BodyKind::Chat,
            last_token_us: None,
            over: false,
        }
    }

    /// Notes that a connection was made for it.
    pub fn connected(&mut self) {
        self.facts.connections += 1;
    }

    /// Notes that its first byte goes to the connection now; gives that time.
    pub fn sent(&mut self) -> u64 {
        self.facts.sample.sent_us = clock::mono_us();
        self.facts.sample.sent_us
    }

    /// When it was last sent, or taken if it was not sent.
    pub fn sent_us(&self) -> u64 {
        self.facts.sample.sent_us
    }

    /// Notes the head of the answer.
    pub fn answered(&mut self, status: u16, headers: &HeaderMap) {
        let sample = &mut self.facts.sample;
        sample.status = status;
        sample.answered_us = clock::mono_us();
        sample.retry_after_ms = if status == 429 { retry_after_ms(headers) } else { 0 };
        if self.facts.stream && status < 300 {
            self.events = Some(Events::default());
        }
    }

    /// Notes a piece of the body.
    pub fn received(&mut self, piece: &Bytes) {
        self.facts.bytes_in += piece.len() as u64;
        let Some(events) = &mut self.events else { return };
        let tokens = events.push(piece);
        self.facts.sample.tokens = self.facts.sample.tokens.saturating_add(tokens);
        if tokens == 0 {
            return;
        }
        let now_us = clock::mono_us();
        let mut record = self.record.borrow_mut();
        for _ in 0..tokens {
            match self.last_token_us.replace(now_us) {
                None => record.token(self.facts.group, true, now_us.saturating_sub(self.facts.due_us)),
                Some(last_us) => record.token(self.facts.group, false, now_us.saturating_sub(last_us)),
            }
        }
    }

    /// Counts the request out.
    pub fn finish(mut self, end: End) {
        let is_cut = self.must_be_done && self.events.as_ref().is_some_and(|events| !events.is_done());
        let end = if is_cut && end == End::Whole { End::Failed(NOT_DONE) } else { end };
        self.count_out(end);
    }

    fn count_out(&mut self, end: End) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        let sample = &mut self.facts.sample;
        sample.ended_us = clock::mono_us();
        sample.whole = end == End::Whole;
        if sample.answered_us == 0 {
            sample.answered_us = sample.ended_us;
        }
        self.record.borrow_mut().ended(&self.facts, end);
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.count_out(End::Failed(CUT_SHORT));
    }
}

/// `retry-after-ms`, or else `Retry-After` in seconds; 0 if there is neither. Dates are not read: the gateway sends none.
fn retry_after_ms(headers: &HeaderMap) -> u32 {
    let number = |name| headers.get(name)?.to_str().ok()?.trim().parse::<u32>().ok();
    let from_seconds = || Some(number(RETRY_AFTER)?.saturating_mul(1000));
    number(RETRY_AFTER_MS).or_else(from_seconds).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_finer_of_two_waits_is_read() {
        let mut headers = HeaderMap::new();
        assert_eq!(retry_after_ms(&headers), 0);
        headers.insert(RETRY_AFTER, "2".parse().unwrap());
        assert_eq!(retry_after_ms(&headers), 2000);
        headers.insert(RETRY_AFTER_MS, "1234".parse().unwrap());
        assert_eq!(retry_after_ms(&headers), 1234);
        headers.insert(RETRY_AFTER_MS, "soon".parse().unwrap());
        assert_eq!(retry_after_ms(&headers), 2000);
    }
}
