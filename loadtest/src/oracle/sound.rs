//! Did any limit let too much through?

use super::evidence::{Evidence, Trace};
use super::level::{Level, Levels, LimitAt};
use super::policy::{Amount, Counting, Rate};
use super::window::{self, Held, Spent, Worst};
use super::{Violations, not_judged};
use crate::measure::Check;

/// Output tokens that any reservation holds at least.
const HELD_TOKENS_MIN: u64 = 16;

/// One check for each limit, over all levels it counts.
pub fn checks(levels: &Levels<'_>, evidence: &Evidence) -> Vec<Check> {
    let check = |(at, limit): (usize, &LimitAt<'_>)| {
        let counted = levels.levels.iter().filter(move |level| level.limit == at);
        check(limit, counted, evidence)
    };
    levels.limits.iter().enumerate().map(check).collect()
}

fn check<'a>(limit: &LimitAt<'_>, levels: impl Iterator<Item = &'a Level>, evidence: &Evidence) -> Check {
    let name = format!("{}: limit {}", limit.owner, limit.limit.name);
    if let Some(why) = limit.not_judged() {
        return not_judged(&name, &why);
    }
    let mut violations = Violations::default();
    let (mut seen, mut tightest) = (0, None::<f64>);
    for level in levels {
        let traces = || level.traces.iter().map(|&at| &evidence.traces[at as usize]);
        seen += traces().filter(|trace| trace.arrival.is_some()).count() as u64;
        for worst in worst(&limit.limit.amount, evidence.is_all(), traces) {
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
        Amount::Tokens(rate) => vec![of_tokens(rate, traces)],
        Amount::NotUnderstood(_) => vec![],
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

/// Tokens: `burst + rate * t + U`.
///
/// A request holds an estimate while it is open and is charged with what it spent. U is what the requests that were open
/// at one moment may have spent beyond what they held, at its greatest. What they held is not known outside; it
/// was not less than [`HELD_TOKENS_MIN`], so U is taken from that. A limit per day opens a window at midnight, and
/// two of these may lie in any day.
fn of_tokens<'a, T: Iterator<Item = &'a Trace>>(rate: Rate, traces: impl Fn() -> T) -> Option<Worst> {
    let spends = || traces().filter(|trace| trace.tokens() > 0);
    let spent: Vec<Spent> = spends()
        .map(|trace| Spent::between(trace.sample.sent_us, trace.open_until(), trace.tokens()))
        .collect();
    let open: Vec<Held> = spends()
        .map(|trace| Held {
            from_us: trace.sample.sent_us,
            to_us: trace.open_until() + 1,
            amount: trace.tokens().saturating_sub(HELD_TOKENS_MIN),
        })
        .collect();
    let overshoot = window::of_held(&open, 0).map_or(0, |worst| worst.spent);
    let is_calendar = rate.period_us >= 86_400_000_000;
    let burst = if is_calendar { 2 * rate.count } else { rate.burst };
    window::of_rate(&spent, Rate { burst, ..rate }, overshoot)
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
        Amount::Tokens(rate) => {
            format!("spends at most {} + {}/{} * t + U tokens per {per}", rate.burst, rate.count, unit(rate))
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

    fn spends(sent_us: u64, tokens: u64) -> Trace {
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
            prompt_tokens: tokens,
            status: 200,
            outcome: Some(Outcome::Completed),
            ..Arrival::default()
        };
        Trace { sample, arrival: Some(arrival) }
    }

    #[test]
    fn tokens_may_exceed_their_bound_by_what_was_open_and_no_more() {
        let rate = Rate { count: 1_000, period_us: 60_000_000, burst: 1_000 };
        let one_by_one: Vec<Trace> = (0..11).map(|n| spends(20 * n, 100)).collect();
        let worst = of_tokens(rate, || one_by_one.iter()).unwrap();
        assert_eq!((worst.spent, worst.broken), (1_100, true), "U is one request's 84: {worst:?}");
        assert!(!of_tokens(rate, || one_by_one[..10].iter()).unwrap().broken);
        let together: Vec<Trace> = (0..11).map(|n| spends(n, 100)).collect();
        assert!(!of_tokens(rate, || together.iter()).unwrap().broken, "all were open at once");
        let daily = Rate { period_us: 86_400_000_000, ..rate };
        assert!(!of_tokens(daily, || one_by_one.iter()).unwrap().broken, "midnight may lie between");
    }

    #[test]
    fn a_window_may_have_been_opened_by_a_request_that_never_arrived() {
        let rate = Rate { count: 2, period_us: 100, burst: 2 };
        let lost = |answered_us, status| {
            let sample = Sample { answered_us, ended_us: answered_us, status, ..Sample::default() };
            Trace { sample, arrival: None }
        };
        let arrived = [spends(90, 0), spends(105, 0), spends(106, 0)];
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
