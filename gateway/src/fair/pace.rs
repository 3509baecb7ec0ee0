//! How fast the queue moves, and so how long somebody will wait.
//!
//! By Little's law, n requests in flight that stay for S on average make room n / S times a second; where
//! tokens are short, T tokens at once make room for T / S of them a second. S is a running mean over requests
//! that were served. While an upstream stands still nothing ends, and the mean knows nothing of it; but two
//! things grow: the time since anything ended, and the age of those in flight. The lesser of what they say of
//! S is believed. Neither would do alone: requests that began together end together, and a few long streams
//! among many short ones are old while the others come and go.

use super::Ask;
use super::account::Account;
use super::lane::Lane;
use super::scheduler::Scheduler;

/// Each end moves the mean by a sixteenth of the difference: the last few dozen count.
const SMOOTHING: i64 = 16;
/// A silence in which so many should have ended is no accident.
const ENDS_MISSED: u128 = 8;

/// Running mean of the time in flight.
#[derive(Default)]
pub(super) struct Pace {
    /// 0: nothing has been served yet.
    mean_us: i64,
    /// Sum over those in flight of when they began.
    began_sum_us: u128,
    /// When one of them last ended.
    ended_us: u64,
}

impl Pace {
    #[inline]
    pub(super) fn began(&mut self, now_us: u64) {
        self.began_sum_us += u128::from(now_us);
    }

    /// Ends what began then. What was refused or broke says nothing of how long an answer takes: not
    /// `served`.
    #[inline]
    pub(super) fn ended(&mut self, began_us: u64, now_us: u64, served: bool) {
        self.began_sum_us -= u128::from(began_us);
        self.ended_us = now_us;
        if served {
            let took_us = now_us.saturating_sub(began_us).min(i64::MAX as u64) as i64;
            let step = if self.mean_us == 0 { took_us } else { (took_us - self.mean_us) / SMOOTHING };
            self.mean_us = (self.mean_us + step).max(1);
        }
    }

    /// Mean time that a request stays in flight; None: nobody knows yet.
    pub(super) fn stay_us(&self, in_flight: u32, now_us: u64) -> Option<u64> {
        let stay_us = u128::from(self.mean_us as u64).max(self.stalled_us(u128::from(in_flight), now_us));
        (stay_us > 0).then(|| u64::try_from(stay_us).unwrap_or(u64::MAX))
    }

    /// How long requests stay at least, if the upstream stands still; little or nothing while it moves.
    fn stalled_us(&self, in_flight: u128, now_us: u64) -> u128 {
        let ages_us = (u128::from(now_us) * in_flight).saturating_sub(self.began_sum_us);
        let age_us = ages_us.checked_div(in_flight).unwrap_or(0);
        let silence_us = u128::from(now_us.saturating_sub(self.ended_us));
        let ends_missed = in_flight.clamp(1, ENDS_MISSED);
        age_us.min(silence_us * in_flight / ends_missed)
    }
}

/// What is let in before somebody, and that one itself.
struct Work {
    requests: u64,
    /// Those they take in flight, of each no more than the pool has.
    tokens: u64,
}

impl<W> Scheduler<W> {
    /// How long a request that comes now would wait; None: nobody knows.
    ///
    /// Before it come all of higher classes, those of its own tenant, and of every other tenant in its class
    /// as many as that one gets turns until its counter is above what this one's will be by then.
    pub(super) fn expected_wait_us(&self, lane: usize, account: usize, ask: &Ask) -> Option<u64> {
        let tokens_max = self.capacity.tokens_max().unwrap_or(u64::MAX);
        let mut work = Work { requests: 1, tokens: ask.tokens().min(tokens_max) };
        for other in self.lanes[..lane].iter().flat_map(Lane::accounts_waiting).map(|(_, other)| other) {
            work.add(other, u64::MAX, tokens_max);
        }
        let (class, lane) = (lane, &self.lanes[lane]);
        let own = lane.account(account);
        work.add(own, u64::MAX, tokens_max);
        let cost_before = u64::from(own.queue.len()).saturating_mul(lane.cost_of_one(account, ask));
        let counter = own.counter.saturating_add(cost_before);
        let others = lane.accounts_waiting().take_while(|(_, other)| other.counter <= counter);
        for (at, other) in others.filter(|(at, _)| *at != account) {
            let turns = (counter - other.counter) / lane.cost_of_one(at, ask).max(1) + 1;
            work.add(other, turns, tokens_max);
        }
        self.wait_for_us(work, class, self.headroom(class, account))
    }

    /// How long until so much has been let in.
    ///
    /// While tokens are what is short, few requests in flight do not mean that few go at once: those that
    /// wait may be smaller.
    fn wait_for_us(&self, work: Work, class: usize, headroom: u8) -> Option<u64> {
        let (capacity, places) = (&self.capacity, self.capacity.places(self.learned.places()));
        let in_flight = capacity.in_flight();
        let tokens_max = capacity.tokens_max();
        let pause_us = self.learned.paused_until_us().saturating_sub(self.now_us);
        let stay_us = self.pace.stay_us(in_flight, self.now_us).or((pause_us > 0).then_some(0))?;
        let drain =
            |work: u64, at_once: u64| u128::from(work) * u128::from(stay_us) / u128::from(at_once.max(1));
        let drain_tokens =
            |free: u64| tokens_max.map_or(0, |max| drain(work.tokens.saturating_sub(free), max));
        let drain_us = if pause_us > 0 && places < u32::MAX {
            // Those in flight end without being followed: after the pause the whole pool is free at once.
            let places = u64::from(places);
            drain(work.requests.saturating_sub(places), places).max(drain_tokens(tokens_max.unwrap_or(0)))
        } else {
            let part = |whole: u64| capacity.part(class, headroom, whole);
            let tokens_us = drain_tokens(tokens_max.map_or(0, part).saturating_sub(capacity.tokens()));
            let at_once = if tokens_us > 0 { part(places.into()) } else { in_flight.min(places).into() };
            let excess = in_flight.saturating_sub(places); // these end without being followed, too
            drain(excess.into(), in_flight.into()) + drain(work.requests, at_once).max(tokens_us)
        };
        Some(u64::try_from(drain_us).unwrap_or(u64::MAX).saturating_add(pause_us))
    }
}

impl Work {
    /// At most so many requests of those that wait in an account, at their mean.
    fn add(&mut self, account: &Account, requests: u64, tokens_max: u64) {
        let waiting = u64::from(account.queue.len());
        let requests = requests.min(waiting);
        let tokens_of_one = account.waiting_tokens.checked_div(waiting).unwrap_or(0).min(tokens_max);
        self.requests += requests;
        self.tokens += requests * tokens_of_one;
    }
}
