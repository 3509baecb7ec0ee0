//! Outcome: all runs of a comparison, and the figures that are drawn from them.

use serde::{Deserialize, Serialize};

use super::bench::Run;
use super::case::{Case, Metric};
use super::peer::Peer;
use super::ratio::Spread;
use crate::measure::Machine;

/// A whole comparison; what `--json` writes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// Rounds of each case.
    pub rounds: u32,
    /// Load on each peer in a round, seconds.
    pub seconds: u64,
    /// Every run but the warm-ups.
    pub runs: Vec<Entry>,
}

/// A run and where it belongs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Which load.
    pub case: Case,
    /// From 0.
    pub round: u32,
    /// Who was under it.
    pub peer: Peer,
    /// What was measured.
    #[serde(flatten)]
    pub run: Run,
}

impl Outcome {
    /// Peers that were measured besides the gateway and the origin, in the order of tables.
    pub fn others(&self) -> Vec<Peer> {
        let measured = |peer: &Peer| self.runs.iter().any(|entry| entry.peer == *peer);
        Peer::OTHERS.into_iter().filter(measured).collect()
    }

    /// Whether a case was measured.
    pub fn has(&self, case: Case) -> bool {
        self.runs.iter().any(|entry| entry.case == case)
    }

    /// A figure of a peer by itself.
    pub fn figure(&self, case: Case, peer: Peer, metric: Metric) -> Option<Spread> {
        Spread::of((0..self.rounds).filter_map(|round| self.value(case, round, peer, metric)))
    }

    /// The gateway's figure divided by another peer's, in each round.
    pub fn ratio(&self, case: Case, other: Peer, metric: Metric) -> Option<Spread> {
        self.paired(case, Peer::Gateway, other, metric, |gateway, other| gateway / other)
    }

    /// What a proxy adds to the origin's own time, in each round, us.
    pub fn added(&self, case: Case, peer: Peer, metric: Metric) -> Option<Spread> {
        self.paired(case, peer, Peer::Direct, metric, |through, direct| through - direct)
    }

    /// How much more the gateway takes than another peer, in each round, us.
    pub fn excess(&self, case: Case, other: Peer, metric: Metric) -> Option<Spread> {
        self.paired(case, Peer::Gateway, other, metric, |gateway, other| gateway - other)
    }

    /// How much more a case costs than the one that stands beside it, in each round, us.
    pub fn beyond(&self, case: Case, metric: Metric) -> Option<Spread> {
        let value = |round, case| self.value(case, round, Peer::Gateway, metric);
        let beside = case.beside()?;
        Spread::of((0..self.rounds).filter_map(|round| Some(value(round, case)? - value(round, beside)?)))
    }

    fn paired(
        &self,
        case: Case,
        one: Peer,
        other: Peer,
        metric: Metric,
        by: impl Fn(f64, f64) -> f64,
    ) -> Option<Spread> {
        let value = |round, peer| self.value(case, round, peer, metric);
        Spread::of((0..self.rounds).filter_map(|round| Some(by(value(round, one)?, value(round, other)?))))
    }

    fn value(&self, case: Case, round: u32, peer: Peer, metric: Metric) -> Option<f64> {
        let here = |entry: &&Entry| (entry.case, entry.round, entry.peer) == (case, round, peer);
        let run = self.runs.iter().find(here)?.run;
        match metric {
            Metric::Cpu => run.cpu_us,
            Metric::P50 => run.p50_us,
            Metric::P99 => run.p99_us,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Three rounds of everything: the gateway takes 9, 10 and 11 us, peers 10, 20, 30, 40 and 50; times alike.
    pub fn example() -> Outcome {
        let mut runs = Vec::new();
        for case in Case::ALL {
            for round in 0..3 {
                let mut add = |peer, figure: f64| {
                    let timed = case.is_timed().then_some(figure);
                    let cpu_us = (peer != Peer::Direct).then_some(figure);
                    let run = Run {
                        requests: 1000,
                        units: 1000,
                        lasted_s: 2.0,
                        cpu_us,
                        busy: cpu_us.map(|_| 0.9),
                        p50_us: timed,
                        p99_us: timed.map(|figure| 2.0 * figure),
                    };
                    runs.push(Entry { case, round, peer, run });
                };
                add(Peer::Direct, 5.0);
                add(Peer::Gateway, 9.0 + f64::from(round));
                let others = if case.is_of_the_gateway() { [].as_slice() } else { &Peer::OTHERS };
                for (peer, figure) in others.iter().copied().zip([10.0, 20.0, 30.0, 40.0, 50.0]) {
                    add(peer, figure);
                }
            }
        }
        Outcome {
            date: "2026-01-02".into(),
            commit: "abc1234".into(),
            command: "pangu-loadtest compare".into(),
            machine: Machine {
                processor: "A processor".into(),
                cores: 2,
                kernel: "6.1".into(),
                load_average: 0.1,
            },
            versions: vec![("nginx".into(), "1.22.1".into()), ("wrk".into(), "4.1.0".into())],
            rounds: 3,
            seconds: 2,
            runs,
        }
    }

    #[test]
    fn ratios_are_taken_within_rounds() {
        let outcome = example();
        let ratio = outcome.ratio(Case::Get, Peer::Nginx, Metric::Cpu).unwrap();
        assert_eq!(ratio, Spread { median: 1.0, low: 0.9, high: 1.1 });
        assert_eq!(outcome.ratio(Case::Get, Peer::Nginx, Metric::P50), None);
    }

    #[test]
    fn added_time_is_without_the_origins_own() {
        let outcome = example();
        let added = outcome.added(Case::Latency1, Peer::Gateway, Metric::P99).unwrap();
        assert_eq!(added, Spread { median: 10.0, low: 8.0, high: 12.0 });
        assert_eq!(outcome.excess(Case::Latency1, Peer::Nginx, Metric::P50).unwrap().median, 0.0);
    }

    #[test]
    fn what_signing_costs_is_taken_within_rounds() {
        let mut outcome = example();
        for entry in outcome.runs.iter_mut().filter(|entry| entry.case == Case::Signed) {
            entry.run.cpu_us = entry.run.cpu_us.map(|us| us + 4.0 + f64::from(entry.round));
        }
        let beyond = outcome.beyond(Case::Signed, Metric::Cpu).unwrap();
        assert_eq!(beyond, Spread { median: 5.0, low: 4.0, high: 6.0 });
        assert_eq!(outcome.beyond(Case::Get, Metric::Cpu), None);
        outcome.runs.retain(|entry| entry.case != Case::Coded);
        assert_eq!(outcome.beyond(Case::Signed, Metric::Cpu), None);
    }

    #[test]
    fn a_round_without_its_partner_does_not_count() {
        let mut outcome = example();
        outcome.runs.retain(|entry| !(entry.round == 2 && entry.peer == Peer::Nginx));
        let ratio = outcome.ratio(Case::Get, Peer::Nginx, Metric::Cpu).unwrap();
        assert_eq!((ratio.low, ratio.high), (0.9, 1.0));
    }

    #[test]
    fn the_json_form_can_be_read_back() {
        let text = serde_json::to_string(&example()).unwrap();
        assert!(text.contains(r#""case":"latency2000","round":0,"peer":"direct","requests":1000"#));
        assert_eq!(serde_json::from_str::<Outcome>(&text).unwrap(), example());
    }
}
