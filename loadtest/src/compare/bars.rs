//! Bars: what the gateway is meant to reach, and whether it did.

use super::case::{Case, Metric};
use super::outcome::Outcome;
use super::peer::Peer;
use super::ratio::Spread;

/// One bar, with what was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    /// What is held against it.
    pub what: String,
    /// The greatest value that meets it.
    pub at_most: f64,
    /// What was measured.
    pub measured: Spread,
    /// Decimal places that are shown: 0 and 1 of times in us, 2 of ratios.
    pub places: usize,
}

impl Bar {
    /// Whether the median is within the bar.
    pub fn is_met(&self) -> bool {
        self.measured.median <= self.at_most
    }
}

/// Every bar that this outcome can judge.
pub fn judge(outcome: &Outcome) -> Vec<Bar> {
    let ratios = RATIOS.iter().filter_map(|(case, other, at_most)| {
        let measured = outcome.ratio(*case, *other, Metric::Cpu)?;
        let what = format!("{}: processor time, gateway / {}", case.title(), other.name());
        Some(Bar { what, at_most: *at_most, measured, places: 2 })
    });
    let signed = outcome.beyond(Case::Signed, Metric::Cpu).map(|measured| {
        let what = format!("{}: processor time above an AppCode's, us", Case::Signed.title());
        Bar { what, at_most: SIGNED_US, measured, places: 1 }
    });
    let added = ADDED.iter().filter_map(|(case, metric, at_most)| {
        let measured = outcome.added(*case, Peer::Gateway, *metric)?;
        let what = format!("{}: {}, us", case.title(), name_of_added(*case, *metric));
        Some(Bar { what, at_most: *at_most, measured, places: 0 })
    });
    let excess = EXCESS.iter().filter_map(|(case, metric)| {
        let measured = outcome.excess(*case, Peer::Nginx, *metric)?;
        let what = format!("{}: {} above nginx's, us", case.title(), name_of_added(*case, *metric));
        Some(Bar { what, at_most: 0.0, measured, places: 0 })
    });
    ratios.chain(signed).chain(added).chain(excess).collect()
}

/// What a proxy adds to a time, in words.
pub fn name_of_added(case: Case, metric: Metric) -> &'static str {
    match (case, metric) {
        (_, Metric::Cpu) => "processor time",
        (Case::First, Metric::P50) => "added time, p50",
        (Case::First, Metric::P99) => "added time, p99",
        (_, Metric::P50) => "added latency, p50",
        (_, Metric::P99) => "added latency, p99",
    }
}

/// Processor time per unit against another peer's.
const RATIOS: [(Case, Peer, f64); 15] = [
    (Case::Get, Peer::Nginx, 0.95),
    (Case::Get, Peer::Haproxy, 0.80),
    (Case::Get, Peer::Pingora, 0.60),
    (Case::Get, Peer::Envoy, 0.30),
    (Case::Keys, Peer::Nginx, 0.95),
    (Case::Keys, Peer::Haproxy, 0.80),
    (Case::Keys, Peer::Pingora, 0.60),
    (Case::Keys, Peer::Envoy, 0.30),
    (Case::Post, Peer::Nginx, 0.85),
    (Case::Tls, Peer::Nginx, 0.80),
    (Case::H2, Peer::Haproxy, 1.0),
    (Case::Sse, Peer::Haproxy, 1.0),
    // 0.9 of what haproxy moves in the same processor time.
    (Case::Tcp, Peer::Haproxy, 1.11),
    // At least 0.9 of what nginx moves in the same time.
    (Case::Grpc, Peer::Nginx, 1.11),
    (Case::WebSocket, Peer::Nginx, 1.11),
];

/// What a signature over 2 KB may cost more than an AppCode, us.
const SIGNED_US: f64 = 6.0;

/// Added times, us.
const ADDED: [(Case, Metric, f64); 5] = [
    (Case::Latency1, Metric::P50, 45.0),
    (Case::Latency1, Metric::P99, 60.0),
    (Case::Latency2000, Metric::P50, 45.0),
    (Case::Latency2000, Metric::P99, 60.0),
    (Case::First, Metric::P99, 250.0),
];

/// Times that must not be above nginx's in the same round.
const EXCESS: [(Case, Metric); 4] = [
    (Case::Latency1, Metric::P50),
    (Case::Latency1, Metric::P99),
    (Case::Latency2000, Metric::P50),
    (Case::Latency2000, Metric::P99),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::outcome::tests::example;

    #[test]
    fn the_median_decides() {
        let bars = judge(&example());
        assert_eq!(bars.len(), RATIOS.len() + 1 + ADDED.len() + EXCESS.len());
        let find = |what: &str| bars.iter().find(|bar| bar.what.contains(what)).unwrap();
        // 10 us against nginx's 10: 1.00, and at most 0.95 is asked.
        assert!(!find("GET, one key: processor time, gateway / nginx").is_met());
        assert!(find("GET, one key: processor time, gateway / haproxy").is_met());
        let signed = find("POST 2 KB, made anew and signed with AK/SK: processor time above an AppCode's");
        assert_eq!((signed.measured.median, signed.at_most, signed.is_met()), (0.0, 6.0, true));
        // 10 us against the origin's 5.
        assert_eq!(find("GET, one connection: added latency, p50, us").measured.median, 5.0);
        assert!(find("GET, one connection: added latency, p50 above nginx's").is_met(), "0 is not above");
    }

    #[test]
    fn what_was_not_measured_is_not_judged() {
        let mut outcome = example();
        outcome.runs.retain(|entry| entry.case == Case::Get && entry.peer != Peer::Envoy);
        assert_eq!(judge(&outcome).len(), 3);
    }
}
