//! How fast the queue moves, and so how long somebody will wait.
//!
//! By Little's law, n requests in flight that stay for S on average make room n / S times a second. S is a
//! running mean over requests that were served. While an upstream stands still nothing ends, and the mean
//! knows nothing of it; but two things grow: the time since anything ended, and the age of those in flight.
//! The lesser of what they say of S is believed. Neither would do alone: requests that began together end
//! together, and a few long streams among many short ones are old while the others come and go.

use super::Ask;
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

impl<W> Scheduler<W> {
    /// How long a request that comes now would wait; None: nobody knows.
    ///
    /// Before it come all of higher classes, those of its own tenant, and of every other tenant in its class
    /// as many as that one gets turns until its counter is above what this one's will be by then.
    pub(super) fn expected_wait_us(&self, lane: usize, account: usize, ask: &Ask) -> Option<u64> {
        let higher: u64 = self.lanes[..lane].iter().map(|lane| u64::from(lane.waiting())).sum();
        let lane = &self.lanes[lane];
        let own_before = u64::from(lane.account(account).queue.len());
        let cost_before = own_before.saturating_mul(lane.cost_of_one(account, ask));
        let counter = lane.account(account).counter.saturating_add(cost_before);
        let others = lane.accounts_waiting().take_while(|(_, other)| other.counter <= counter);
        let others = others.filter(|(at, _)| *at != account).map(|(at, other)| {
            let turns = (counter - other.counter) / lane.cost_of_one(at, ask).max(1) + 1;
            turns.min(u64::from(other.queue.len()))
        });
        self.wait_for_us(higher + others.sum::<u64>() + own_before + 1)
    }

    /// How long until so many have been let in.
    fn wait_for_us(&self, turns: u64) -> Option<u64> {
        let places = self.capacity.places(self.learned.places());
        let in_flight = self.capacity.in_flight();
        let pause_us = self.learned.paused_until_us().saturating_sub(self.now_us);
        let stay_us = self.pace.stay_us(in_flight, self.now_us).or((pause_us > 0).then_some(0))?;
        let drain = |requests: u64, at_once: u32| {
            u128::from(requests) * u128::from(stay_us) / u128::from(at_once.max(1))
        };
        let drain_us = if pause_us > 0 && places < u32::MAX {
            // Those in flight end without being followed: after the pause all places are free at once.
            drain(turns.saturating_sub(u64::from(places)), places)
        } else {
            let excess = in_flight.saturating_sub(places); // these end without being followed, too
            drain(u64::from(excess), in_flight) + drain(turns, in_flight.min(places))
        };
        Some(u64::try_from(drain_us).unwrap_or(u64::MAX).saturating_add(pause_us))
    }
}
