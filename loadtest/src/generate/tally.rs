//! Tally: counts and times of a set of requests.

use std::collections::BTreeMap;

use hdrhistogram::{Counter, Histogram};

use crate::measure::Sample;

use super::connect::Reason;

/// Longer times are recorded as this: an hour, in microseconds. It bounds a histogram to about 180 KB.
const TIME_MAX_US: u64 = 3_600_000_000;
/// Different reasons counted apart.
const REASONS_MAX: usize = 64;

/// Counts and times of one group.
#[derive(Debug, Default)]
#[allow(missing_docs)] // as in `measure::Totals`, which is made of it
pub struct Tally {
    pub sent: u64,
    pub ok: u64,
    pub refused: u64,
    pub rejected: u64,
    pub failed: u64,
    pub left: u64,
    pub connections: u64,
    pub bytes_in: u64,
    pub statuses: BTreeMap<u16, u64>,
    pub failures: BTreeMap<Reason, u64>,
    pub latency: Times,
    pub service: Times,
    pub first_token: Times,
    pub token_gap: Times,
    pub stream: Times,
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// With a whole answer, whatever its status.
    Whole,
    /// The caller left on purpose.
    Left,
    /// Otherwise, and why.
    Failed(Reason),
}

/// Facts of a request that has ended.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// What the oracle wants to know.
    pub sample: Sample,
    /// Its group.
    pub group: usize,
    /// When it was due.
    pub due_us: u64,
    /// Body bytes received.
    pub bytes_in: u64,
    /// Connections made for it.
    pub connections: u64,
    /// Whether it is measured as a stream.
    pub stream: bool,
}

impl Tally {
    /// Counts a request that has ended.
    pub fn count(&mut self, facts: &Facts, end: End, is_ok: bool) {
        let sample = &facts.sample;
        self.sent += 1;
        self.connections += facts.connections;
        self.bytes_in += facts.bytes_in;
        *self.statuses.entry(sample.status).or_default() += 1;
        match end {
            End::Left => self.left += 1,
            End::Failed(reason) => {
                self.failed += 1;
                self.fail(reason, 1);
            }
            End::Whole if is_ok => {
                self.ok += 1;
                let latency_us = sample.ended_us.saturating_sub(facts.due_us);
                self.latency.add(latency_us);
                self.service.add(sample.ended_us.saturating_sub(sample.sent_us));
                if facts.stream {
                    self.stream.add(latency_us);
                }
            }
            End::Whole if sample.status == 429 => self.refused += 1,
            End::Whole => self.rejected += 1,
        }
    }

    fn fail(&mut self, reason: Reason, times: u64) {
        let known = self.failures.len() < REASONS_MAX || self.failures.contains_key(&reason);
        let reason = if known { reason } else { Reason::Borrowed("other reasons") };
        *self.failures.entry(reason).or_default() += times;
    }

    /// Adds another's counts and times.
    pub fn merge(&mut self, other: &Tally) {
        self.sent += other.sent;
        self.ok += other.ok;
        self.refused += other.refused;
        self.rejected += other.rejected;
        self.failed += other.failed;
        self.left += other.left;
        self.connections += other.connections;
        self.bytes_in += other.bytes_in;
        for (status, count) in &other.statuses {
            *self.statuses.entry(*status).or_default() += count;
        }
        for (reason, count) in &other.failures {
            self.fail(reason.clone(), *count);
        }
        self.latency.merge(&other.latency);
        self.service.merge(&other.service);
        self.first_token.merge(&other.first_token);
        self.token_gap.merge(&other.token_gap);
        self.stream.merge(&other.stream);
    }
}

/// Times in microseconds: an HDR histogram of three digits that grows as it must.
#[derive(Debug)]
pub struct Times(pub Histogram<u64>);

impl Default for Times {
    fn default() -> Times {
        Times(histogram(3))
    }
}

impl Times {
    /// Adds a time.
    pub fn add(&mut self, us: u64) {
        record(&mut self.0, us);
    }

    /// Adds another's times.
    pub fn merge(&mut self, other: &Times) {
        self.0.add(&other.0).expect("it grows to whatever is added");
    }
}

/// An empty histogram that grows as it must.
pub fn histogram<C: Counter>(digits: u8) -> Histogram<C> {
    let mut histogram = Histogram::new(digits).expect("at most five digits are allowed");
    histogram.auto(true);
    histogram
}

/// Adds a time, in microseconds.
pub fn record<C: Counter>(histogram: &mut Histogram<C>, us: u64) {
    histogram.record(us.min(TIME_MAX_US)).expect("it grows to whatever is recorded");
}
