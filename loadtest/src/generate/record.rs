//! Record: what one thread has seen, in bounded memory.
//!
//! Histograms keep three digits of every time; seconds are counted as they pass; single requests are kept for the oracle
//! as far as there is room. Threads record apart, and are merged at the end.

use std::sync::Arc;

use hdrhistogram::Histogram;

use crate::measure::Sample;

use super::progress::Progress;
use super::tally::{End, Facts, Tally, Times, histogram, record};

/// What one thread has seen.
#[derive(Debug)]
pub struct Record {
    /// By group.
    pub groups: Vec<Tally>,
    /// By second since the start.
    pub seconds: Vec<Moment>,
    /// Single requests.
    pub samples: Vec<Sample>,
    /// How late requests were dispatched.
    pub lateness: Times,
    /// When the last answer ended; 0 if there was none.
    pub last_us: u64,
    start_us: u64,
    samples_max: usize,
    /// Requests that found no room in `samples`.
    pub samples_dropped: u64,
    recent: Recent,
    progress: Option<Arc<Progress>>,
}

/// One second.
#[derive(Debug, Clone, Default)]
pub struct Moment {
    /// By group.
    pub counts: Vec<Counts>,
    /// Latencies of good answers in this second, and how often each came.
    pub latencies: Vec<(u64, u64)>,
}

/// Counts of one group in one second.
#[derive(Debug, Clone, Copy, Default)]
#[allow(missing_docs)] // as in `measure::Second`
pub struct Counts {
    pub sent: u64,
    pub ok: u64,
    pub refused: u64,
    pub failed: u64,
}

/// The second that is being filled; its times are boiled down when it is over.
#[derive(Debug)]
struct Recent {
    second: usize,
    /// Two digits are enough for one number per second.
    latencies: Histogram<u32>,
}

impl Record {
    /// An empty record of so many groups, whose second 0 begins at `start_us`.
    pub fn new(groups: usize, start_us: u64, samples_max: usize, progress: Option<Arc<Progress>>) -> Record {
        Record {
            groups: (0..groups).map(|_| Tally::default()).collect(),
            seconds: Vec::new(),
            samples: Vec::new(),
            lateness: Times::default(),
            last_us: 0,
            start_us,
            samples_max,
            samples_dropped: 0,
            recent: Recent { second: 0, latencies: histogram(2) },
            progress,
        }
    }

    /// Notes that a request is on its way.
    pub fn sent(&self) {
        if let Some(progress) = &self.progress {
            progress.sent();
        }
    }

    /// Notes a token: the first, at so long after the request was due, or a further one, so long after the one before.
    pub fn token(&mut self, group: usize, is_first: bool, us: u64) {
        let tally = &mut self.groups[group];
        if is_first { tally.first_token.add(us) } else { tally.token_gap.add(us) }
    }

    /// Notes how a request ended.
    pub fn ended(&mut self, facts: &Facts, end: End) {
        let Facts { sample, group, .. } = *facts;
        let is_ok = end == End::Whole && sample.status < 400;
        let is_refused = end == End::Whole && sample.status == 429;
        let is_failed = !is_ok && !is_refused && end != End::Left;
        let latency_us = sample.ended_us.saturating_sub(facts.due_us);
        self.groups[group].count(facts, end, is_ok);

        let due = self.counts(facts.due_us, group);
        due.sent += 1;
        let ended = self.counts(sample.ended_us, group);
        ended.ok += u64::from(is_ok);
        ended.refused += u64::from(is_refused);
        ended.failed += u64::from(is_failed);
        if is_ok {
            self.note_recent(sample.ended_us, latency_us);
        }
        if let Some(progress) = &self.progress {
            progress.ended(is_ok, is_refused, is_failed);
        }
        self.last_us = self.last_us.max(sample.ended_us);
        if self.samples.len() < self.samples_max {
            self.samples.push(sample);
        } else {
            self.samples_dropped += 1;
        }
    }

    /// Closes the last second. To be called once, at the end.
    pub fn close(&mut self) {
        self.boil_down();
    }

    /// Adds what another thread has seen.
    pub fn merge(&mut self, other: Record) {
        for (mine, theirs) in self.groups.iter_mut().zip(other.groups) {
            mine.merge(&theirs);
        }
        if self.seconds.len() < other.seconds.len() {
            self.seconds.resize_with(other.seconds.len(), Moment::default);
        }
        for (mine, theirs) in self.seconds.iter_mut().zip(other.seconds) {
            mine.merge(theirs);
        }
        self.lateness.merge(&other.lateness);
        self.last_us = self.last_us.max(other.last_us);
        self.samples.extend(other.samples);
        self.samples_dropped += other.samples_dropped;
    }

    fn second_of(&self, us: u64) -> usize {
        (us.saturating_sub(self.start_us) / 1_000_000) as usize
    }

    fn counts(&mut self, us: u64, group: usize) -> &mut Counts {
        let second = self.second_of(us);
        &mut self.moment(second).counts[group]
    }

    fn moment(&mut self, second: usize) -> &mut Moment {
        let groups = self.groups.len();
        if self.seconds.len() <= second {
            let empty = Moment { counts: vec![Counts::default(); groups], latencies: Vec::new() };
            self.seconds.resize(second + 1, empty);
        }
        &mut self.seconds[second]
    }

    fn note_recent(&mut self, ended_us: u64, latency_us: u64) {
        let second = self.second_of(ended_us);
        if second != self.recent.second {
            self.boil_down();
            self.recent.second = second;
        }
        record(&mut self.recent.latencies, latency_us);
    }

    fn boil_down(&mut self) {
        let recent = &self.recent;
        if recent.latencies.is_empty() {
            return;
        }
        if let Some(progress) = &self.progress {
            progress.p99(recent.latencies.value_at_quantile(0.99));
        }
        let values = recent.latencies.iter_recorded();
        let values: Vec<_> =
            values.map(|v| (v.value_iterated_to(), v.count_since_last_iteration())).collect();
        let second = recent.second;
        self.moment(second).latencies.extend(values);
        self.recent.latencies.clear();
    }
}

impl Moment {
    fn merge(&mut self, other: Moment) {
        self.counts.resize(self.counts.len().max(other.counts.len()), Counts::default());
        for (mine, theirs) in self.counts.iter_mut().zip(other.counts) {
            mine.sent += theirs.sent;
            mine.ok += theirs.ok;
            mine.refused += theirs.refused;
            mine.failed += theirs.failed;
        }
        self.latencies.extend(other.latencies);
    }
}
