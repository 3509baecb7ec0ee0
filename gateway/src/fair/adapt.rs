//! How many requests the upstream takes at once, learned from its answers.
//!
//! *Down.* 429 or 503 leaves a part of what was in flight, once for all that was: the refusals of requests
//! sent before the last step down tell nothing new. *Up.* While capacity is what others wait for, each round
//! of good answers adds one place; below the mark where trouble began each good answer adds one, which
//! doubles it in a round (slow start, as in TCP: an outage leaves one place, and a hundred steps of one
//! would take minutes). *Pause.* `Retry-After` of the upstream is obeyed: until then nothing is let in. What
//! it takes is never below one, so it is always found out. *Refusing* is an upstream in a pause, and one that
//! has refused again after a step down, with no good answer since: who has a choice does not wait for it.

use super::Adapt;

/// What has been learned.
#[derive(Default)]
pub(super) struct Learned {
    /// Places; None: the upstream never complained, or takes as many as it may get.
    places: Option<u32>,
    /// Below it, growth is fast.
    mark: u32,
    /// Good answers since the last place was added.
    credit: u32,
    /// Has there been a good answer since the last step down?
    well: bool,
    /// Requests let in up to the last step down.
    epoch: u64,
    /// Steps down for refusals since there was a good answer.
    steps: u32,
    paused_until_us: u64,
    first_token: FirstToken,
}

/// What the pool is like when an answer comes.
#[derive(Clone, Copy)]
pub(super) struct Load {
    /// The number of the request that is answered, and of the last one let in.
    pub(super) number: u64,
    pub(super) last: u64,
    pub(super) in_flight: u32,
    /// Most that may be in flight.
    pub(super) places_max: u32,
    /// Does anybody wait, or is every place taken?
    pub(super) full: bool,
}

impl Learned {
    /// Places that the upstream has shown to have.
    #[inline]
    pub(super) fn places(&self) -> Option<u32> {
        self.places
    }

    /// Until when nothing is let in.
    #[inline]
    pub(super) fn paused_until_us(&self) -> u64 {
        self.paused_until_us
    }

    /// Has it asked to be left alone, or refused again after a step down, with no good answer since?
    pub(super) fn is_refusing(&self, now_us: u64) -> bool {
        now_us < self.paused_until_us || self.steps >= 2
    }

    /// The upstream has refused a request.
    pub(super) fn refused(&mut self, adapt: &Adapt, load: Load, retry_after_us: u64, now_us: u64) {
        let pause_us = retry_after_us.min(u64::try_from(adapt.pause_max.as_micros()).unwrap_or(u64::MAX));
        self.paused_until_us = self.paused_until_us.max(now_us.saturating_add(pause_us));
        self.steps = self.steps.saturating_add(self.step_down(adapt.keep_percent, load).into());
    }

    /// The upstream has given a good answer.
    pub(super) fn served(&mut self, load: Load) {
        (self.well, self.steps) = (true, 0);
        let Some(places) = self.places else { return };
        if !load.full {
            return;
        }
        self.credit += 1;
        if places < self.mark || self.credit >= places {
            self.credit = 0;
            self.places = Some(places + 1).filter(|places| *places < load.places_max);
        }
    }

    /// The first token has come.
    pub(super) fn first_token(&mut self, adapt: &Adapt, load: Load, took_us: u64, prompt: u64, now_us: u64) {
        let slow = self.first_token.is_slow(took_us, prompt, now_us, adapt.first_token_factor);
        if slow && self.step_down(SLOW_KEEP_PERCENT, load) {
            self.first_token.begin_anew();
        }
    }

    /// What was learned no longer matters.
    pub(super) fn forget(&mut self) {
        *self = Learned::default();
    }

    fn step_down(&mut self, keep_percent: u8, load: Load) -> bool {
        if load.number <= self.epoch {
            return false;
        }
        let now = self.places.unwrap_or(load.places_max).min(load.in_flight).max(1);
        let kept = u64::from(now) * u64::from(keep_percent) / 100;
        let places = (kept as u32).clamp(1, (now - 1).max(1));
        if self.well || self.places.is_none() {
            self.mark = places; // further steps of the same outage do not lower it
        }
        self.places = Some(places);
        (self.well, self.credit, self.epoch) = (false, 0, load.last);
        true
    }
}

/// A slow upstream is not a refusing one: it gets a little less.
const SLOW_KEEP_PERCENT: u8 = 90;
/// The least time per token is that of the last one or two such spans.
const SPAN_US: u64 = 10 * 60 * 1_000_000;
/// Shorter prompts count as this long: their time is that of the network.
const PROMPT_MIN: u64 = 64;

/// Time to first token, in nanoseconds per token of the prompt.
#[derive(Default)]
struct FirstToken {
    /// Running mean of the last few; 0: none.
    mean_ns: u64,
    /// Least of this span, and of the one before; 0: none.
    least_ns: [u64; 2],
    span: u64,
}

impl FirstToken {
    fn is_slow(
        &mut self,
        took_us: u64,
        prompt: u64,
        now_us: u64,
        factor: Option<std::num::NonZeroU32>,
    ) -> bool {
        let Some(factor) = factor else { return false };
        let ns = (took_us.saturating_mul(1000) / prompt.max(PROMPT_MIN)).clamp(1, u64::MAX >> 32);
        let span = now_us / SPAN_US;
        if span != self.span {
            self.least_ns = [0, if span == self.span + 1 { self.least_ns[0] } else { 0 }];
            self.span = span;
        }
        self.least_ns[0] = least(self.least_ns[0], ns);
        self.mean_ns = if self.mean_ns == 0 { ns } else { (self.mean_ns * 7 + ns) / 8 };
        self.mean_ns > self.least_ns() * u64::from(factor.get())
    }

    /// What came before the step down says nothing of what comes after it.
    fn begin_anew(&mut self) {
        self.mean_ns = self.least_ns();
    }

    fn least_ns(&self) -> u64 {
        least(self.least_ns[0], self.least_ns[1])
    }
}

/// The lesser of two, of which 0 is none.
fn least(a: u64, b: u64) -> u64 {
    if a == 0 || b == 0 { a.max(b) } else { a.min(b) }
}
