//! Summary: what was recorded, in the form of the report.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};

use crate::clock;
use crate::measure::{About, Distribution, GroupReport, Report, Second, Totals};
use crate::scenario::{Load, Scenario};

use super::plan::Plan;
use super::record::{Moment, Record};
use super::tally::{Tally, Times};

/// Reasons shown for requests that failed.
const FAILURES_SHOWN: usize = 10;
/// Points of a distribution for each halving of what is left above: 0, 10, 20, 30, 40, 50, 55, ... percent.
const POINTS_PER_HALVING: u32 = 5;

/// Makes the report. What only the caller knows (commit, machine, command) is left empty.
pub fn report(plan: &Plan, started: String, record: &Record, void: Vec<String>) -> Report {
    let scenario = &plan.scenario;
    let mut all = Tally::default();
    record.groups.iter().for_each(|group| all.merge(group));
    let groups = scenario.groups.iter().zip(&record.groups).map(|(group, tally)| GroupReport {
        name: group.name.clone(),
        callers: group.callers,
        totals: totals(tally),
    });
    let is_open = matches!(scenario.load, Load::Open { .. });
    Report {
        about: about(scenario, started, record.last_us.saturating_sub(plan.start_us)),
        void,
        totals: totals(&all),
        groups: groups.collect(),
        seconds: record.seconds.iter().map(|moment| second(moment, scenario.groups.len())).collect(),
        lateness: is_open.then(|| distribution(&record.lateness)),
        oracle: None,
        upstream: None,
        reloads: None,
    }
}

/// RFC 3339, UTC, to the second.
pub fn now_text() -> String {
    let now = i64::try_from(clock::since_epoch().as_secs()).ok();
    now.and_then(|s| jiff::Timestamp::from_second(s).ok()).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}

fn about(scenario: &Scenario, started: String, lasted_us: u64) -> About {
    About {
        scenario: scenario.name.clone(),
        about: scenario.about.clone(),
        seed: scenario.seed,
        load: match scenario.load {
            Load::Open { .. } => "open".to_owned(),
            Load::Closed { .. } => "closed".to_owned(),
        },
        started,
        lasted_s: lasted_us as f64 / 1e6,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..About::default()
    }
}

fn totals(tally: &Tally) -> Totals {
    let mut failures: Vec<_> = tally.failures.iter().map(|(reason, n)| (reason.to_string(), *n)).collect();
    failures.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    failures.truncate(FAILURES_SHOWN);
    Totals {
        sent: tally.sent,
        ok: tally.ok,
        refused: tally.refused,
        rejected: tally.rejected,
        failed: tally.failed,
        left: tally.left,
        connections: tally.connections,
        bytes_in: tally.bytes_in,
        statuses: tally.statuses.iter().map(|(status, count)| (*status, *count)).collect(),
        latency: distribution(&tally.latency),
        service: distribution(&tally.service),
        first_token: distribution(&tally.first_token),
        token_gap: distribution(&tally.token_gap),
        stream: distribution(&tally.stream),
        failures,
    }
}

fn second(moment: &Moment, groups: usize) -> Second {
    let counts = (0..groups).map(|group| moment.counts.get(group).copied().unwrap_or_default());
    Second {
        sent: counts.clone().map(|c| c.sent).collect(),
        ok: counts.clone().map(|c| c.ok).collect(),
        refused: counts.clone().map(|c| c.refused).collect(),
        failed: counts.map(|c| c.failed).collect(),
        p99_us: p99(&moment.latencies),
    }
}

/// The least value with at least 99 % at or below it; of values that come in no order, several threads' worth.
fn p99(latencies: &[(u64, u64)]) -> u64 {
    let mut sorted = latencies.to_vec();
    sorted.sort_unstable();
    let total: u64 = sorted.iter().map(|(_, count)| count).sum();
    let mut left = (total * 99).div_ceil(100);
    for (value, count) in sorted {
        if count >= left {
            return value;
        }
        left -= count;
    }
    0
}

/// The distribution of recorded times.
pub fn distribution(times: &Times) -> Distribution {
    let histogram = &times.0;
    if histogram.is_empty() {
        return Distribution::default();
    }
    Distribution {
        count: histogram.len(),
        min_us: histogram.min(),
        mean_us: histogram.mean(),
        max_us: histogram.max(),
        percentiles: percentiles(times),
        hdr: hdr(times),
    }
}

/// From 0 to 100, closer together towards the end, as far as there are values to tell them apart.
fn percentiles(times: &Times) -> Vec<(f64, u64)> {
    let histogram = &times.0;
    let mut points = vec![(0.0, histogram.min())];
    let mut above = 1.0; // share of values above the last halving
    while above * histogram.len() as f64 > 1.0 {
        for step in 1..=POINTS_PER_HALVING {
            let share = 1.0 - above + above / 2.0 * f64::from(step) / f64::from(POINTS_PER_HALVING);
            points.push((share * 100.0, histogram.value_at_quantile(share).min(histogram.max())));
        }
        above /= 2.0;
    }
    points.push((100.0, histogram.max()));
    points
}

fn hdr(times: &Times) -> String {
    let mut bytes = Vec::new();
    let written = V2DeflateSerializer::new().serialize(&times.0, &mut bytes);
    written.expect("a Vec takes everything, and no count comes near 2^63");
    BASE64.encode(bytes)
}

#[cfg(test)]
mod tests {
    use hdrhistogram::Histogram;
    use hdrhistogram::serialization::Deserializer;

    use super::*;

    #[test]
    fn a_distribution_goes_from_least_to_greatest_and_its_histogram_reads_back() {
        let mut times = Times::default();
        assert_eq!(distribution(&times), Distribution::default());
        (1..=1000).for_each(|us| times.add(us));
        let seen = distribution(&times);
        assert_eq!((seen.count, seen.min_us, seen.max_us, seen.mean_us), (1000, 1, 1000, 500.5));
        assert_eq!(seen.percentiles.first(), Some(&(0.0, 1)));
        assert_eq!(seen.percentiles.last(), Some(&(100.0, 1000)));
        assert!(seen.percentiles.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{:?}", seen.percentiles);
        for (percentile, us) in &seen.percentiles {
            assert!((*us as f64 - percentile * 10.0).abs() <= 1.0, "{us} us at {percentile}");
        }
        let bytes = BASE64.decode(&seen.hdr).unwrap();
        let back: Histogram<u64> = Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap();
        assert_eq!(back, times.0);
        assert!(seen.hdr.starts_with("HISTF"), "as HdrHistogram tools write it: {}", seen.hdr);
    }

    #[test]
    fn the_percentile_of_a_second_is_that_of_all_threads_together() {
        assert_eq!(p99(&[]), 0);
        assert_eq!(p99(&[(7, 1)]), 7);
        assert_eq!(p99(&[(500, 1), (10, 99)]), 10);
        assert_eq!(p99(&[(500, 2), (10, 50), (20, 48)]), 500);
    }
}
