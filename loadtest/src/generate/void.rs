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

#[cfg(test)]
mod tests {
    use super::super::Options;
    use super::super::tests::scenario;
    use super::*;

    /// Reasons after so many requests in time and one that was so late.
    fn reasons_after(in_time: u64, late_us: u64) -> Vec<String> {
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
        let plan = Plan::new(&scenario(), &Options::to(address)).unwrap();
        let mut record = plan.record();
        record.groups[0].sent = in_time + 1;
        (0..in_time).for_each(|_| record.lateness.add(50));
        record.lateness.add(late_us);
        reasons(&plan, &record, 0)
    }

    #[test]
    fn one_late_request_in_a_hundred_is_noise_and_more_is_not() {
        assert_eq!(reasons_after(99, 20_000), Vec::<String>::new());
        assert_eq!(reasons_after(98, 9_000), Vec::<String>::new());
        let late = reasons_after(98, 20_000);
        assert!(
            late[0].starts_with("the generator was late: 1.0 % of requests left more than 10 ms"),
            "{late:?}"
        );
    }

    #[test]
    fn a_second_of_standing_still_is_never_noise() {
        let late = reasons_after(100_000, 1_500_000);
        assert!(late[0].starts_with("the generator stood still: a request left 150"), "{late:?}");
    }
}
