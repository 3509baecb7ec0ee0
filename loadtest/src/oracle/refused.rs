//! Was anybody refused who was within every limit?

use super::ceiling::{Possible, Stretch, bucket_can_be_full, count_can_reach};
use super::evidence::{Evidence, Trace};
use super::level::{Level, Levels};
use super::limit::{Amount, Counting, Rate};
use super::policy::Policy;
use super::spent;
use super::{Violations, not_judged};
use crate::measure::Check;

const CLAIM: &str = "nobody was refused who was within every limit";

/// A sliding window may be kept in steps of up to a fifteenth of it, and so count up to that much longer.
const SLIDING_STEPS: u64 = 15;

/// The guard's estimate looks at this second and the one before.
const GUARD_US: u64 = 2_000_000;

/// Looks at every refusal. It was right if at some moment while it was decided some level may have been full.
pub fn check(policy: &Policy, levels: &Levels<'_>, evidence: &Evidence) -> Check {
    if !evidence.is_all() {
        return not_judged(
            CLAIM,
            "not every request that came has a sample, so nobody knows what else was admitted",
        );
    }
    let mut right = levels.excused.clone();
    for level in &levels.levels {
        let limit = levels.limits[level.limit].limit;
        if !limit.shadow {
            judge(&limit.amount, level, levels, evidence, &mut right);
        }
    }
    if let Some(per_address) = policy.per_address {
        let all: Vec<u32> = (0..evidence.traces.len() as u32).collect();
        judge_guard(per_address, &all, evidence, &mut right);
    }
    let refused = || evidence.traces.iter().enumerate().filter(|(_, trace)| trace.is_refused());
    let judged = refused().filter(|&(at, _)| !levels.excused[at]).count();
    let mut violations = Violations::default();
    for (_, trace) in refused().filter(|&(at, _)| !right[at]) {
        violations.add(|| told(trace, levels, evidence));
    }
    Check { claim: CLAIM.to_owned(), evidence: judged as u64, tightest: None, violations: violations.list() }
}

/// Marks the refusals for which this level may have been full.
fn judge(amount: &Amount, level: &Level, levels: &Levels<'_>, evidence: &Evidence, right: &mut [bool]) {
    let traces = &level.traces;
    let trace = |&at: &u32| &evidence.traces[at as usize];
    let refused: Vec<u32> = traces.iter().copied().filter(|at| trace(at).is_refused()).collect();
    if refused.is_empty() {
        return;
    }
    let asked: Vec<Stretch> = refused.iter().map(|at| decided(trace(at))).collect();
    let admitted = |counts_us: u64| -> Vec<Possible> {
        let possible = traces.iter().filter_map(|at| trace(at).perhaps_admitted());
        possible.map(|(from_us, to_us)| Possible { from_us, to_us: to_us + 1 + counts_us }).collect()
    };
    let full = match *amount {
        Amount::Requests(rate, Counting::Bucket) => bucket_can_be_full(&admitted(0), &asked, rate),
        Amount::Requests(rate, Counting::Fixed) => {
            count_can_reach(&admitted(rate.period_us), &asked, rate.count)
        }
        Amount::Requests(Rate { count, period_us, .. }, Counting::Sliding) => {
            let counts_us = period_us.div_ceil(SLIDING_STEPS) * (SLIDING_STEPS + 1);
            count_can_reach(&admitted(counts_us), &asked, count)
        }
        Amount::Concurrent(most) => {
            let possible = traces.iter().map(trace).filter(|trace| trace.perhaps_admitted().is_some());
            let open: Vec<Possible> = possible
                .map(|trace| Possible { from_us: trace.sample.sent_us, to_us: trace.open_until() })
                .collect();
            count_can_reach(&open, &asked, most)
        }
        Amount::Spend(measure, bound) => {
            let refused: Vec<_> = refused.iter().copied().zip(asked).collect();
            spent::can_be_full((measure, bound), level, levels, evidence, &refused)
        }
        Amount::NotUnderstood(_) => return, // excused already
    };
    refused.iter().zip(full).for_each(|(&at, full)| right[at as usize] |= full);
}

/// The guard counts whatever comes from an address, refused later or not.
fn judge_guard(per_second: u64, traces: &[u32], evidence: &Evidence, right: &mut [bool]) {
    let came = |trace: &Trace| Possible {
        from_us: trace.sample.sent_us,
        to_us: trace.sample.answered_us + 1 + GUARD_US,
    };
    let possible: Vec<Possible> = evidence.traces.iter().map(came).collect();
    let refused: Vec<u32> =
        traces.iter().copied().filter(|&at| evidence.traces[at as usize].is_refused()).collect();
    let asked: Vec<Stretch> = refused.iter().map(|&at| decided(&evidence.traces[at as usize])).collect();
    // It is one of those that came, and counts itself only if it is let in.
    let full = count_can_reach(&possible, &asked, per_second + 1);
    refused.iter().zip(full).for_each(|(&at, full)| right[at as usize] |= full);
}

/// When a refusal was decided, in ticks of the limiter.
fn decided(trace: &Trace) -> Stretch {
    Stretch { from_us: trace.sample.sent_us, to_us: trace.sample.answered_us + 1 }
}

fn told(trace: &Trace, levels: &Levels<'_>, evidence: &Evidence) -> String {
    let number = trace.sample.number;
    let (from, to) = (evidence.seconds(trace.sample.sent_us), evidence.seconds(trace.sample.answered_us));
    let at = evidence.traces.partition_point(|other| other.sample.number < number) as u32;
    let counted = levels.levels.iter().filter(|level| level.traces.binary_search(&at).is_ok());
    let subjects: Vec<String> = counted
        .map(|level| format!("{} of {}", levels.limits[level.limit].limit.name, level.subject))
        .collect();
    format!(
        "request {number}, refused between {from:.6} s and {to:.6} s, had room in each of: {}",
        subjects.join(", ")
    )
}
