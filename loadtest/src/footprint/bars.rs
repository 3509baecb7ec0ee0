//! Bars: what the gateway is meant to stay within, and whether it did.

use super::outcome::Outcome;

const MIB: f64 = 1048576.0;
const KIB: f64 = 1024.0;

/// One bar, with what was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    /// What is held against it, with its unit.
    pub what: String,
    /// The greatest value that meets it.
    pub at_most: f64,
    /// What was measured.
    pub measured: f64,
}

impl Bar {
    /// Whether it is.
    pub fn is_met(&self) -> bool {
        self.measured <= self.at_most
    }
}

/// Every bar that this outcome can judge.
pub fn judge(outcome: &Outcome) -> Vec<Bar> {
    let mut bars = Vec::new();
    let mut add = |what: String, at_most, measured| bars.push(Bar { what, at_most, measured });
    if let Some(idle) = outcome.idle {
        add("memory, idle, MiB".to_owned(), 20.0, idle.bytes as f64 / MIB);
    }
    if let Some(tenants) = outcome.tenants {
        let what =
            |when: &str| format!("memory with {} tenants, {when}, MiB", grouped(tenants.tenants.into()));
        add(what("loaded"), 80.0, tenants.loaded_bytes as f64 / MIB);
        add(what("after a reload"), 80.0, tenants.reloaded_bytes as f64 / MIB);
    }
    if let Some(connections) = outcome.connections {
        let count = grouped(connections.connections.into());
        add(format!("memory of each of {count} idle connections, KiB"), 30.0, connections.each_bytes() / KIB);
    }
    if let Some(reloads) = &outcome.reloads {
        let made = grouped(reloads.made.into());
        add("policy change to effect under load, median, ms".to_owned(), 100.0, reloads.effect_median_ms);
        add(
            format!("policy change to effect under load, longest of {made}, ms"),
            100.0,
            reloads.effect_max_ms,
        );
        add(format!("requests failed by {made} reloads"), 0.0, reloads.failed as f64);
    }
    bars
}

/// Digits in groups of three, as people write large numbers.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::outcome::tests::example;
    use super::*;

    #[test]
    fn every_part_is_held_against_its_bars() {
        let bars = judge(&example());
        let not_met: Vec<&str> =
            bars.iter().filter(|bar| !bar.is_met()).map(|bar| bar.what.as_str()).collect();
        assert_eq!(not_met, ["memory with 100,000 tenants, after a reload, MiB"]);
        let each = bars.iter().find(|bar| bar.what.contains("1,024 idle connections")).unwrap();
        assert_eq!((each.measured, each.at_most), (20.0, 30.0));
        assert_eq!(bars.len(), 7);

        let mut worse = example();
        let reloads = worse.reloads.as_mut().unwrap();
        (reloads.failed, reloads.effect_max_ms) = (1, 100.5);
        assert_eq!(judge(&worse).iter().filter(|bar| !bar.is_met()).count(), 3);
    }

    #[test]
    fn what_was_not_measured_is_not_judged() {
        assert_eq!(judge(&Outcome { tenants: None, connections: None, ..example() }).len(), 4);
        assert_eq!(judge(&Outcome::default()), []);
    }

    #[test]
    fn large_numbers_are_grouped() {
        let cases = [(0, "0"), (999, "999"), (1000, "1,000"), (12_345_678, "12,345,678")];
        for (number, text) in cases {
            assert_eq!(grouped(number), text);
        }
    }
}
