//! Outcome: all turns, and the figures that are drawn from them.

use super::generator::{Generator, Seen};
use crate::compare::ratio::Spread;
use crate::measure::Machine;

/// All turns, and what is needed to judge them.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Day, UTC.
    pub date: String,
    /// Commit of the tree, with `-dirty` if changed; empty if unknown.
    pub commit: String,
    /// The command line.
    pub command: String,
    /// Where it ran.
    pub machine: Machine,
    /// Program and version.
    pub versions: Vec<(String, String)>,
    /// Rounds.
    pub rounds: u32,
    /// Length of a turn, seconds.
    pub seconds: u64,
    /// Every turn.
    pub runs: Vec<Entry>,
}

/// A turn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Entry {
    /// From 0.
    pub round: u32,
    /// Whose it was.
    pub generator: Generator,
    /// What the generator says.
    pub seen: Seen,
    /// Requests that arrived meanwhile, as the mock counts.
    pub arrived: u64,
}

/// A figure that all generators give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figure {
    /// Requests per second.
    Rate,
    /// Median of the latency.
    P50,
    /// 99th percentile of it.
    P99,
}

impl Figure {
    /// All, in the order of tables.
    pub const ALL: [Figure; 3] = [Figure::Rate, Figure::P50, Figure::P99];

    /// As tables and messages name it.
    pub fn name(self) -> &'static str {
        match self {
            Figure::Rate => "rate",
            Figure::P50 => "median latency",
            Figure::P99 => "99th percentile of the latency",
        }
    }

    /// Requests per second, or us.
    pub fn of(self, seen: &Seen) -> f64 {
        match self {
            Figure::Rate => seen.rate_per_s,
            Figure::P50 => seen.p50_us,
            Figure::P99 => seen.p99_us,
        }
    }
}

impl Outcome {
    /// A generator's own figure over all rounds.
    pub fn figure(&self, generator: Generator, figure: Figure) -> Option<Spread> {
        let rounds = 0..self.rounds;
        Spread::of(rounds.filter_map(|round| Some(figure.of(self.seen(round, generator)?))))
    }

    /// Our figure divided by another generator's, in each round.
    pub fn ratio(&self, other: Generator, figure: Figure) -> Option<Spread> {
        let value = |round, generator| Some(figure.of(self.seen(round, generator)?));
        let rounds = 0..self.rounds;
        Spread::of(rounds.filter_map(|round| Some(value(round, Generator::Ours)? / value(round, other)?)))
    }

    fn seen(&self, round: u32, generator: Generator) -> Option<&Seen> {
        let here = |entry: &&Entry| entry.round == round && entry.generator == generator;
        self.runs.iter().find(here).map(|entry| &entry.seen)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Three rounds in which the machine slows down and all generators say the same, but that ours has a better tail.
    pub fn example() -> Outcome {
        let turn = |(round, generator)| {
            let slower = 1.0 + f64::from(round) / 10.0;
            let open_max = if generator == Generator::Ours { 0 } else { 64 };
            let p99_us = if generator == Generator::Ours { 24_000.0 } else { 30_000.0 };
            let seen = Seen {
                requests: 12_000,
                open_max,
                rate_per_s: 3_000.0 / slower,
                p50_us: 21_000.0 * slower,
                p99_us: p99_us * slower,
            };
            Entry { round, generator, arrived: 12_000 + open_max, seen }
        };
        let turns = (0..3).flat_map(|round| Generator::ALL.map(|generator| (round, generator)));
        Outcome {
            date: "2026-01-02".into(),
            commit: "abc1234".into(),
            command: "pangu-loadtest agree --rounds 3 --seconds 4".into(),
            machine: Machine {
                processor: "A processor".into(),
                cores: 2,
                kernel: "6.1".into(),
                load_average: 0.1,
            },
            versions: vec![("wrk".into(), "4.1.0".into()), ("h2load".into(), "1.52.0".into())],
            rounds: 3,
            seconds: 4,
            runs: turns.map(turn).collect(),
        }
    }

    /// The same after something has happened to our generator's turns.
    pub fn ours(change: impl Fn(&mut Entry)) -> Outcome {
        let mut outcome = example();
        outcome.runs.iter_mut().filter(|entry| entry.generator == Generator::Ours).for_each(change);
        outcome
    }

    #[test]
    fn ratios_are_taken_within_rounds() {
        let outcome = example();
        let even = Spread { median: 1.0, low: 1.0, high: 1.0 };
        for other in Generator::OTHERS {
            assert_eq!(outcome.ratio(other, Figure::Rate), Some(even), "what drifts touches both");
            assert_eq!(outcome.ratio(other, Figure::P50), Some(even));
            assert!((outcome.ratio(other, Figure::P99).unwrap().median - 0.8).abs() < 1e-9);
        }
        let rate = outcome.figure(Generator::Wrk, Figure::Rate).unwrap();
        assert_eq!((rate.low, rate.high), (2_500.0, 3_000.0));
    }

    #[test]
    fn a_round_without_its_partner_does_not_count() {
        let mut outcome = ours(|entry| entry.seen.rate_per_s *= f64::from(entry.round + 1));
        assert_eq!(outcome.ratio(Generator::Wrk, Figure::Rate).map(|ratio| ratio.high), Some(3.0));
        outcome.runs.retain(|entry| (entry.round, entry.generator) != (2, Generator::Wrk));
        assert_eq!(outcome.ratio(Generator::Wrk, Figure::Rate).map(|ratio| ratio.high), Some(2.0));
    }
}
