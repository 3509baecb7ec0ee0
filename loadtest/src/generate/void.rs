//! Void: reasons why a run's figures must not be used.
//!
//! Latency counts from the time a request was due, so whatever the generator was late is in it, and looks as if the
//! target had been slow. A little of that is noise. More is a lie, and the report says so.

use crate::scenario::Load;

use super::open::WAITING_MAX;
use super::plan::Plan;
use super::record::Record;

/// A request dispatched so much after its due time was late. A dispatcher that has the processor to itself stays below
/// 1 ms; the kernel may lend that processor to somebody else for a few milliseconds.
const LATE_US: u64 = 10_000;
/// Share of requests that may be late: the 99th percentile is the finest figure that most readers look at.
const LATE_SHARE: f64 = 0.01;
/// Nothing may ever be so late: all that was due in such a pause left as one burst.
const STALLED_US: u64 = 1_000_000;

const REMEDY: &str = "lower the rate, give it more `threads`, or run less beside it";

/// All that is wrong; empty if nothing is. `unsent` is the number of requests that were due and never left.
pub fn reasons(plan: &Plan, record: &Record, unsent: u64) -> Vec<String> {
    let mut reasons = Vec::new();
    let sent: u64 = record.groups.iter().map(|group| group.sent).sum();
    if unsent > 0 {
        let due = sent + unsent;
        reasons.push(format!(
            "the target is slower than the load: {unsent} of {due} requests were due and never sent; lower the rate, \
             or raise `open_max` (at most {WAITING_MAX} may wait for a free connection)"
        ));
    }
    if sent == 0 {
        reasons.push("no request was sent: give the load a rate and a length above 0".to_owned());
    }
    if matches!(plan.scenario.load, Load::Open { .. }) {
        reasons.extend(lateness(record));
    }
    reasons
}

fn lateness(record: &Record) -> Option<String> {
    let lateness = &record.lateness.0;
    let late = lateness.len() - lateness.count_between(0, LATE_US);
    let (share, worst_us) = (late as f64 / lateness.len().max(1) as f64, lateness.max());
    if share > LATE_SHARE {
        return Some(format!(
            "the generator was late: {:.1} % of requests left more than {} ms after they were due; {REMEDY}",
            share * 100.0,
            LATE_US / 1000,
        ));
    }
    (worst_us >= STALLED_US).then(|| {
        format!("the generator stood still: a request left {} ms after it was due; {REMEDY}", worst_us / 1000)
    })
}
