//! Server-sent events: what comes next in a stream, and when.
//!
//! A stream is a few leading events, one event for each token, and a few closing ones. The leading events go
//! out with the first token, the closing ones with the last. Times count from the head on one schedule, so a
//! slow reader does not make the stream drift.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, Sleep};

use super::behaviour::Plan;

/// The events of one stream.
pub struct Script {
    lead: Vec<Bytes>,
    tokens: u32,
    token: Box<dyn Fn(u32) -> Bytes>,
    tail: Vec<Bytes>,
}

impl Script {
    /// `token` renders the event of one token, numbered from 0.
    pub fn new(
        lead: Vec<Bytes>,
        tokens: u32,
        token: impl Fn(u32) -> Bytes + 'static,
        tail: Vec<Bytes>,
    ) -> Script {
        Script { lead, tokens, token: Box::new(token), tail }
    }

    /// Number of events.
    pub fn len(&self) -> usize {
        self.lead.len() + self.tokens as usize + self.tail.len()
    }

    /// Whether there is no event at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Event number `i`; `i < len()`.
    pub fn event(&self, i: usize) -> Bytes {
        let tail_from = self.lead.len() + self.tokens as usize;
        match self.lead.get(i) {
            Some(event) => event.clone(),
            None if i < tail_from => (self.token)((i - self.lead.len()) as u32),
            None => self.tail[i - tail_from].clone(),
        }
    }

    /// The token with which event number `i` goes out.
    fn token_of(&self, i: usize) -> u32 {
        let token = i.saturating_sub(self.lead.len()).min(u32::MAX as usize) as u32;
        token.min(self.tokens.saturating_sub(1))
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script").field("events", &self.len()).finish_non_exhaustive()
    }
}

/// A script being played.
pub struct Events {
    script: Script,
    next: usize,
    ttft: Duration,
    token_every: Duration,
    /// The schedule's zero and its alarm; None: everything goes out at once.
    clock: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Events {
    /// Starts `script` now, at the pace of `plan`.
    pub fn new(script: Script, plan: &Plan) -> Events {
        let paced = !(plan.ttft.is_zero() && plan.token_every.is_zero());
        let clock = paced.then(|| {
            let start = Instant::now();
            (start, Box::pin(tokio::time::sleep_until(start + plan.ttft)))
        });
        Events { script, next: 0, ttft: plan.ttft, token_every: plan.token_every, clock }
    }

    /// Events not given out yet.
    pub fn left(&self) -> usize {
        self.script.len() - self.next
    }

    /// Tokens given out so far.
    pub fn tokens_given(&self) -> u32 {
        let given = self.next.saturating_sub(self.script.lead.len());
        given.min(self.script.tokens as usize) as u32
    }

    /// The next event when its time has come; None after the last.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.left() == 0 {
            return Poll::Ready(None);
        }
        if let Some((start, alarm)) = &mut self.clock {
            let due = *start + self.ttft + self.token_every * self.script.token_of(self.next);
            if alarm.deadline() != due {
                alarm.as_mut().reset(due);
            }
            // The timer rounds up to whole milliseconds; what is due now does not wait for its tick.
            if due > Instant::now() {
                ready!(alarm.as_mut().poll(cx));
            }
        }
        let event = self.script.event(self.next);
        self.next += 1;
        Poll::Ready(Some(event))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;
    use crate::mock::behaviour::{Behaviour, Span};

    fn script() -> Script {
        let lead = vec![Bytes::from_static(b"role")];
        Script::new(lead, 3, |i| Bytes::from(i.to_string()), vec![Bytes::from_static(b"end")])
    }

    #[tokio::test(start_paused = true)]
    async fn events_keep_their_schedule() {
        let behaviour = Behaviour {
            ttft_ms: Span::fixed(100.0),
            token_every_ms: Span::fixed(10.0),
            ..Behaviour::default()
        };
        let plan = behaviour.plan(0, &http::HeaderMap::new()).unwrap();
        let start = Instant::now();
        let mut events = Events::new(script(), &plan);
        let mut seen = Vec::new();
        while let Some(event) = poll_fn(|cx| events.poll_next(cx)).await {
            seen.push((event, start.elapsed().as_millis()));
        }
        let expected: [(&[u8], u128); 5] =
            [(b"role", 100), (b"0", 100), (b"1", 110), (b"2", 120), (b"end", 120)];
        let seen: Vec<_> = seen.iter().map(|(event, ms)| (&event[..], *ms)).collect();
        assert_eq!(seen, expected);
    }

    #[tokio::test]
    async fn an_event_that_is_due_goes_out_at_once() {
        let behaviour = Behaviour { token_every_ms: Span::fixed(1000.0), ..Behaviour::default() };
        let plan = behaviour.plan(0, &http::HeaderMap::new()).unwrap();
        let mut events = Events::new(script(), &plan);
        let mut is_ready = async || poll_fn(|cx| Poll::Ready(events.poll_next(cx).is_ready())).await;
        assert!(is_ready().await, "the leading event");
        assert!(is_ready().await, "the first token");
        assert!(!is_ready().await, "the second token");
    }

    #[test]
    fn a_script_without_tokens_still_ends() {
        let script = Script::new(Vec::new(), 0, |_| Bytes::new(), vec![Bytes::from_static(b"end")]);
        assert_eq!(script.len(), 1);
        assert_eq!(script.event(0), "end");
        assert_eq!(script.token_of(0), 0);
    }
}
