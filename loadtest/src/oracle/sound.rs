//! Did any limit let too much through?

use super::evidence::{Evidence, Trace};
use super::level::{Level, Levels, LimitAt};
use super::limit::{Amount, Bound, Counting, Rate};
use super::window::{self, Held, Spent, Worst};
use super::{Violations, not_judged, spent};
use crate::measure::Check;

/// One check for each limit, over all levels it counts.
pub fn checks(levels: &Levels<'_>, evidence: &Evidence) -> Vec<Check> {
    let check = |(at, limit): (usize, &LimitAt<'_>)| {
        let counted = levels.levels.iter().filter(move |level| level.limit == at);
        check(limit, counted, levels, evidence)
    };
    levels.limits.iter().enumerate().map(check).collect()
}

fn check<'a>(
    limit: &LimitAt<'_>,
    counted: impl Iterator<Item = &'a Level>,
    levels: &Levels<'_>,
    evidence: &Evidence,
) -> Check {
    let name = format!("{}: limit {}", limit.owner, limit.limit.name);
    if let Some(why) = limit.not_judged() {
        return not_judged(&name, &why);
    }
    let mut violations = Violations::default();
    let (mut seen, mut tightest) = (0, None::<f64>);
    for level in counted {
        let traces = || level.traces.iter().map(|&at| &evidence.traces[at as usize]);
        seen += traces().filter(|trace| trace.arrival.is_some()).count() as u64;
        let worst = match limit.limit.amount {
            Amount::Spend(measure, bound) => {
                spent::worst(limit.limit, (measure, bound), level, levels, evidence)
            }
            _ => worst(&limit.limit.amount, evidence.is_all(), traces),
        };
        for worst in worst {
            let share = worst.spent as f64 / worst.bound;
            tightest = Some(tightest.map_or(share, |most| most.max(share)));
            if worst.broken {
                violations.add(|| told(&level.subject, &worst, evidence));
            }
        }
    }
    Check {
        claim: format!("{name} {}", claim(&limit.limit.amount, &limit.limit.per)),
        evidence: seen,
        tightest,
        violations: violations.list(),
    }
}

/// The worst windows of a level, one for each of the bounds that its way of counting promises. Which windows have opened
/// can be said only if `all` is known that may have opened one.
fn worst<'a, T: Iterator<Item = &'a Trace>>(
    amount: &Amount,
    all: bool,
    traces: impl Fn() -> T,
) -> Vec<Worst> {
    let admitted = || -> Vec<Spent> {
        let admitted = traces().filter_map(Trace::admitted);
        admitted.map(|(from_us, to_us)| Spent::between(from_us, to_us, 1)).collect()
    };
    let found = match *amount {
        Amount::Requests(rate, Counting::Bucket) => vec![window::of_rate(&admitted(), rate, 0)],
        Amount::Requests(rate, Counting::Fixed) => {
            let (spent, twice) = (admitted(), Rate { burst: 2 * rate.count, ..rate });
            vec![
                window::of_opened(&openers(traces()), rate.period_us, rate.count).filter(|_| all),
                window::of_span(&spent, rate.period_us, twice.burst),
                window::of_rate(&spent, twice, 0),
            ]
        }
        Amount::Requests(rate, Counting::Sliding) => {
            let (spent, once) = (admitted(), Rate { burst: rate.count, ..rate });
            vec![window::of_span(&spent, rate.period_us, rate.count), window::of_rate(&spent, once, 0)]
        }
        Amount::Concurrent(most) => {
            let open = traces().filter_map(Trace::surely_open);
            let held: Vec<Held> = open.map(|(from_us, to_us)| Held { from_us, to_us, amount: 1 }).collect();
            vec![window::of_held(&held, most)]
        }
        Amount::Spend(..) | Amount::NotUnderstood(_) => vec![],
    };
    found.into_iter().flatten().collect()
}

/// Everything that may have opened a window, though only what arrived surely took room in one.
fn openers<'a>(traces: impl Iterator<Item = &'a Trace>) -> Vec<Spent> {
    let opener = |trace: &'a Trace| {
        let (from_us, to_us) = trace.perhaps_admitted()?;
        Some(Spent::between(from_us, to_us, u64::from(trace.arrival.is_some())))
    };
    traces.filter_map(opener).collect()
}

fn claim(amount: &Amount, per: &str) -> String {
    let unit = |rate: &Rate| match rate.period_us {
        1_000_000 => "s",
        60_000_000 => "min",
        3_600_000_000 => "h",
        _ => "day",
    };
    match amount {
        Amount::Requests(rate, Counting::Bucket) => {
            format!("admits at most {} + {}/{} * t per {per}", rate.burst, rate.count, unit(rate))
        }
        Amount::Requests(rate, Counting::Fixed) => {
            format!("admits at most {} in each window of 1 {} per {per}", rate.count, unit(rate))
        }
        Amount::Requests(rate, Counting::Sliding) => {
            format!("admits at most {} in any 1 {} per {per}", rate.count, unit(rate))
        }
        Amount::Concurrent(most) => format!("admits at most {most} at the same time per {per}"),
        Amount::Spend(measure, Bound::Bucket(rate)) => {
            let (burst, count, unit, of) = (rate.burst, rate.count, unit(rate), measure.unit());
            format!("spends at most {burst} + {count}/{unit} * t + U {of} per {per}")
        }
        Amount::Spend(measure, Bound::Calendar { most, .. }) => {
            format!("spends at most {most} + U {} in each period per {per}", measure.unit())
        }
        Amount::NotUnderstood(_) => String::new(),
    }
}

fn told(subject: &str, worst: &Worst, evidence: &Evidence) -> String {
    let Worst { from_us, to_us, spent, bound, .. } = *worst;
    let (from, to) = (evidence.seconds(from_us), evidence.seconds(to_us));
    match from_us == to_us {
        true => format!("{subject}: {spent} at the same time at {from:.6} s, at most {bound}"),
        false => format!("{subject}: {spent} from {from:.6} s to {to:.6} s, at most {bound:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Sample;
    use crate::mock::count::Outcome;
    use crate::mock::journal::Arrival;

    fn arrives(sent_us: u64) -> Trace {
        let sample = Sample {
            sent_us,
            answered_us: sent_us + 5,
            ended_us: sent_us + 10,
            status: 200,
            whole: true,
            ..Sample::default()
        };
        let arrival = Arrival {
            arrived_us: sent_us + 1,
            ended_us: sent_us + 9,
            status: 200,
            outcome: Some(Outcome::Completed),
            ..Arrival::default()
        };
        Trace { sample, arrival: Some(arrival) }
    }

    #[test]
    fn a_window_may_have_been_opened_by_a_request_that_never_arrived() {
        let rate = Rate { count: 2, period_us: 100, burst: 2 };
        let lost = |answered_us, status| {
            let sample = Sample { answered_us, ended_us: answered_us, status, ..Sample::default() };
            Trace { sample, arrival: None }
        };
        let arrived = [arrives(90), arrives(105), arrives(106)];
        let broken = |first: Trace, all| {
            let traces = [&[first], &arrived[..]].concat();
            worst(&Amount::Requests(rate, Counting::Fixed), all, || traces.iter())
                .iter()
                .any(|worst| worst.broken)
        };
        assert!(!broken(lost(5, 502), true), "its window has closed before the second arrival");
        assert!(broken(lost(5, 429), true), "a refusal opens nothing");
        assert!(!broken(lost(5, 429), false), "something else may have opened it");
    }
}
