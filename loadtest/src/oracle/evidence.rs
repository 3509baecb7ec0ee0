//! Evidence: every request from both ends, as the caller saw it and as it reached the mock.

use crate::measure::Sample;
use crate::mock::count::Outcome;
use crate::mock::journal::{Arrival, Journal};
use crate::scenario::Scenario;

use super::Unreadable;

/// How long after a caller has gone, or got no answer, the gateway may still be busy with the request. Only refusals
/// are judged by it, in favour of the gateway.
const LINGERS_US: u64 = 1_000_000;

/// What a run left behind.
pub struct Evidence {
    /// In the order of their numbers.
    pub traces: Vec<Trace>,
    /// Whether `traces` are all requests that were sent.
    pub complete: bool,
    /// Numbers that arrived more than once, and how often.
    pub repeated: Vec<(u64, u64)>,
    /// Arrivals with a number that nobody sent, or with none.
    pub strangers: u64,
    /// When the first request was sent.
    pub start_us: u64,
    /// What the time since 1970-01-01 UTC is ahead of the monotonic clock, in microseconds: budgets go by dates.
    pub wall_ahead_us: i64,
}

/// One request.
#[derive(Debug, Clone, Copy)]
pub struct Trace {
    /// The caller's end.
    pub sample: Sample,
    /// The mock's end, the first if it came more than once.
    pub arrival: Option<Arrival>,
}

impl Evidence {
    /// Brings both ends together.
    ///
    /// # Errors
    /// The journal has gaps, or a sample names a caller or request that the scenario does not have.
    pub fn gather(
        scenario: &Scenario,
        samples: &[Sample],
        complete: bool,
        journal: &Journal,
        wall_ahead_us: i64,
    ) -> Result<Evidence, Unreadable> {
        if journal.dropped > 0 {
            return Err(Unreadable::Gaps { dropped: journal.dropped });
        }
        let known = |sample: &&Sample| {
            (sample.caller as usize) < scenario.callers.len()
                && usize::from(sample.request) < scenario.requests.len()
        };
        if let Some(sample) = samples.iter().find(|sample| !known(sample)) {
            return Err(Unreadable::Stranger { number: sample.number });
        }
        let mut samples = samples.to_vec();
        samples.sort_unstable_by_key(|sample| sample.number);
        let mut arrivals = journal.arrivals.clone();
        arrivals.sort_unstable_by_key(|arrival| (arrival.number, arrival.arrived_us));

        let mut evidence = Evidence {
            traces: Vec::new(),
            complete,
            repeated: Vec::new(),
            strangers: 0,
            start_us: 0,
            wall_ahead_us,
        };
        evidence.start_us = samples.iter().map(|sample| sample.sent_us).min().unwrap_or(0);
        evidence.traces = samples.into_iter().map(|sample| Trace { sample, arrival: None }).collect();
        let mut next = 0;
        for same in arrivals.chunk_by(|a, b| a.number == b.number) {
            let number = same[0].number;
            while evidence.traces.get(next).is_some_and(|trace| trace.sample.number < number) {
                next += 1;
            }
            match evidence.traces.get_mut(next).filter(|trace| number != 0 && trace.sample.number == number) {
                Some(trace) => trace.arrival = Some(same[0]),
                None => evidence.strangers += same.len() as u64,
            }
            if number != 0 && same.len() > 1 {
                evidence.repeated.push((number, same.len() as u64));
            }
        }
        Ok(evidence)
    }

    /// Whether everything that used the limits is known.
    pub fn is_all(&self) -> bool {
        self.complete && self.strangers == 0
    }

    /// The period that holds both moments surely, if it can begin only at a multiple of `turns_us` by the wall clock.
    pub fn period(&self, from_us: u64, to_us: u64, turns_us: u64) -> Option<i128> {
        let period = |us: u64| (i128::from(us) + i128::from(self.wall_ahead_us)).div_euclid(turns_us.into());
        (period(from_us) == period(to_us)).then(|| period(from_us))
    }

    /// A moment as seconds since the start of the run.
    pub fn seconds(&self, at_us: u64) -> f64 {
        at_us.saturating_sub(self.start_us) as f64 / 1e6
    }
}

impl Trace {
    /// Between which moments it was admitted; None if that is not sure.
    pub fn admitted(&self) -> Option<(u64, u64)> {
        self.arrival.map(|arrival| (self.sample.sent_us, arrival.arrived_us))
    }

    /// Whether the gateway refused it; a 429 of the mock's own does not count.
    pub fn is_refused(&self) -> bool {
        self.sample.status == 429 && self.arrival.is_none()
    }

    /// Between which moments it was admitted, if it was at all.
    pub fn perhaps_admitted(&self) -> Option<(u64, u64)> {
        let Sample { sent_us, answered_us, ended_us, .. } = self.sample;
        match (self.arrival, self.sample.status) {
            (Some(arrival), _) => Some((sent_us, arrival.arrived_us)),
            (None, 429) => None,
            (None, 0) => Some((sent_us, ended_us + LINGERS_US)),
            (None, _) => Some((sent_us, answered_us)),
        }
    }

    /// From when until when it surely had a place: while the mock worked on an answer that came through whole. An
    /// answer that did not may have been given up by the gateway before the mock knew.
    pub fn surely_open(&self) -> Option<(u64, u64)> {
        let arrival = self.arrival.filter(|arrival| arrival.outcome == Some(Outcome::Completed))?;
        let passed_on = self.sample.whole && self.sample.status == arrival.status;
        passed_on.then_some((arrival.arrived_us, arrival.ended_us))
    }

    /// Until when it may have had a place: whoever has the last byte of an answer may send the next request.
    pub fn open_until(&self) -> u64 {
        let arrival_ended = self.arrival.map_or(0, |arrival| match arrival.ended_us {
            0 => u64::MAX - LINGERS_US,
            ended_us => ended_us,
        });
        match self.sample.whole {
            true => self.sample.ended_us,
            false => self.sample.ended_us.max(arrival_ended) + LINGERS_US,
        }
    }
}
