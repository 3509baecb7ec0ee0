//! Windows: the stretch of time in which most was surely admitted, against what a limit allows in it.
//!
//! An admission is known to lie between two moments only. A window holds it *surely* if it holds both. So a count of what
//! is surely inside never exceeds the true one, and a count above the bound is a violation whatever happened between
//! those moments. The worst window begins where an admission may first have been, and ends where one was last.

use super::limit::Rate;
use super::peak::SuffixPeak;

/// Something that was spent at one moment between two known ones.
///
/// The limiter reads a clock of its own that ticks in microseconds, too, but not at the same instants; so, counted in its
/// ticks, what was seen here between `a` and `b` lies between `a` and `b + 1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spent {
    /// Not before this tick.
    pub from_us: u64,
    /// Not after this one.
    pub to_us: u64,
    /// Requests, or tokens.
    pub amount: u64,
}

impl Spent {
    /// `amount`, spent between two moments as this program's clock shows them.
    pub fn between(from_us: u64, to_us: u64, amount: u64) -> Spent {
        Spent { from_us, to_us: to_us.max(from_us) + 1, amount }
    }
}

/// The window that came closest to its bound, or exceeded it by most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Worst {
    /// Its beginning.
    pub from_us: u64,
    /// Its end.
    pub to_us: u64,
    /// Surely spent in it.
    pub spent: u64,
    /// Most that may have been.
    pub bound: f64,
    /// Whether the bound is exceeded; decided in whole numbers.
    pub broken: bool,
}

/// The worst window for a bound of `rate.burst + rate * t` (and `more`, where a limit allows an overshoot).
pub fn of_rate(spent: &[Spent], rate: Rate, more: u64) -> Option<Worst> {
    let (unit, leak) = (i128::from(rate.period_us), i128::from(rate.count));
    let by_from = sorted(spent, |one| one.from_us);
    let mut place_of = vec![0; spent.len()];
    by_from.iter().enumerate().for_each(|(place, &one)| place_of[one as usize] = place);

    // Windows that end at `to`: what has ended by then is entered, at the place where it may have begun.
    let mut tree = SuffixPeak::new(spent.len());
    let mut worst: Option<(i128, Worst)> = None;
    for one in sorted(spent, |one| one.to_us) {
        let one = one as usize;
        let Spent { from_us, to_us, amount } = spent[one];
        tree.enter(place_of[one], leak * i128::from(from_us), unit * i128::from(amount));
        let value = tree.value() - leak * i128::from(to_us);
        if worst.is_none_or(|(most, _)| value > most) {
            let (place, inside) = tree.place();
            let from_us = spent[by_from[place] as usize].from_us;
            let allowed = unit * i128::from(rate.burst + more);
            let over_time = (to_us - from_us) as f64 * rate.count as f64 / rate.period_us as f64;
            let bound = (rate.burst + more) as f64 + over_time;
            let spent = (inside / unit) as u64;
            worst = Some((value, Worst { from_us, to_us, spent, bound, broken: value > allowed }));
        }
    }
    worst.map(|(_, worst)| worst)
}

/// The worst of all windows shorter than `span_us`, if each may hold `most`.
pub fn of_span(spent: &[Spent], span_us: u64, most: u64) -> Option<Worst> {
    let by_from = sorted(spent, |one| one.from_us);
    let mut entered = vec![false; spent.len()];
    let (mut inside, mut left_out, mut worst) = (0, 0, None::<Worst>);
    for one in sorted(spent, |one| one.to_us) {
        let to_us = spent[one as usize].to_us;
        let from_us = (to_us + 1).saturating_sub(span_us);
        // Both ends only ever move on: what begins before the window leaves it for good.
        while let Some(&first) =
            by_from.get(left_out).filter(|&&first| spent[first as usize].from_us < from_us)
        {
            inside -= if entered[first as usize] { spent[first as usize].amount } else { 0 };
            left_out += 1;
        }
        if spent[one as usize].from_us >= from_us {
            entered[one as usize] = true;
            inside += spent[one as usize].amount;
        }
        if worst.is_none_or(|worst| inside > worst.spent) {
            worst = Some(Worst { from_us, to_us, spent: inside, bound: most as f64, broken: inside > most });
        }
    }
    worst
}

/// The worst beginning of the run, for windows that open with the first request after the last one closed, last
/// `period_us`, and hold `most`. Nothing may have been spent before the first of `spent`.
///
/// The earliest moments at which the windows can have opened follow from one another: the next one opens a period after
/// the last at the earliest, and with a request that may lie there.
pub fn of_opened(spent: &[Spent], period_us: u64, most: u64) -> Option<Worst> {
    let by_to = sorted(spent, |one| one.to_us);
    let mut first_from = vec![u64::MAX; spent.len() + 1]; // of those that end there or later
    for (place, &one) in by_to.iter().enumerate().rev() {
        first_from[place] = first_from[place + 1].min(spent[one as usize].from_us);
    }
    let start_us = *first_from.first().filter(|_| !spent.is_empty())?;

    let (mut opens_us, mut windows) = (start_us, 1_u64);
    let (mut total, mut worst) = (0, None::<Worst>);
    for (place, &one) in by_to.iter().enumerate() {
        let Spent { to_us, amount, .. } = spent[one as usize];
        total += amount;
        // What ends before the next window can open says nothing of when it opened.
        while to_us >= opens_us + period_us {
            let later = by_to.partition_point(|&other| spent[other as usize].to_us < opens_us + period_us);
            opens_us = (opens_us + period_us).max(first_from[later]);
            windows += 1;
            if opens_us > to_us {
                break;
            }
        }
        let opened = windows - u64::from(opens_us > to_us);
        let last_of_tick = by_to.get(place + 1).is_none_or(|&next| spent[next as usize].to_us > to_us);
        let bound = opened * most;
        let share = |spent: u64, bound: f64| spent as f64 / bound;
        if last_of_tick
            && worst.is_none_or(|worst| share(total, bound as f64) > share(worst.spent, worst.bound))
        {
            let bound_broken = total > bound;
            worst = Some(Worst {
                from_us: start_us,
                to_us,
                spent: total,
                bound: bound as f64,
                broken: bound_broken,
            });
        }
    }
    worst
}

/// Something held from one moment until another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// From this moment.
    pub from_us: u64,
    /// Up to, not including, this one.
    pub to_us: u64,
    /// How much.
    pub amount: u64,
}

/// The moment at which most was held, as a window without length.
pub fn of_held(held: &[Held], most: u64) -> Option<Worst> {
    let mut changes: Vec<(u64, i64)> = held
        .iter()
        .filter(|held| held.from_us < held.to_us)
        .flat_map(|held| [(held.from_us, held.amount as i64), (held.to_us, -(held.amount as i64))])
        .collect();
    changes.sort_unstable(); // at one moment, what ends comes before what begins
    let (mut now, mut greatest) = (0, None::<(i64, u64)>);
    for (at_us, change) in changes {
        now += change;
        if greatest.is_none_or(|(most, _)| now > most) {
            greatest = Some((now, at_us));
        }
    }
    let (greatest, at_us) = greatest?;
    let spent = greatest as u64;
    Some(Worst { from_us: at_us, to_us: at_us, spent, bound: most as f64, broken: spent > most })
}

/// Indexes of `spent` in the order of `key`.
fn sorted(spent: &[Spent], key: fn(&Spent) -> u64) -> Vec<u32> {
    let mut order: Vec<u32> = (0..spent.len() as u32).collect(); // fewer samples than 2^32: they are held in memory
    order.sort_unstable_by_key(|&one| key(&spent[one as usize]));
    order
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn inside(spent: &[Spent], from_us: u64, to_us: u64) -> u64 {
        let surely = |one: &&Spent| from_us <= one.from_us && one.to_us <= to_us;
        spent.iter().filter(surely).map(|one| one.amount).sum()
    }

    fn windows(spent: &[Spent]) -> impl Iterator<Item = (u64, u64)> + '_ {
        let to = move |from: u64| spent.iter().map(|one| one.to_us).filter(move |&to| to >= from);
        spent.iter().flat_map(move |one| to(one.from_us).map(move |to| (one.from_us, to)))
    }

    fn some_spent() -> impl Strategy<Value = Vec<Spent>> {
        let one = (0..400_u64, 0..60_u64, 1..4_u64);
        prop::collection::vec(one.prop_map(|(from, takes, n)| Spent::between(from, from + takes, n)), 1..30)
    }

    proptest! {
        #[test]
        fn the_worst_window_of_a_rate_is_that_of_all_windows(
            spent in some_spent(), count in 1..9_u64, period_us in 1..90_u64, burst in 1..20_u64, more in 0..3_u64,
        ) {
            let excess = |(from, to): (u64, u64)| {
                let inside = i128::from(inside(&spent, from, to));
                inside * i128::from(period_us) - i128::from(count) * i128::from(to - from)
            };
            let holds_some = |window: &(u64, u64)| inside(&spent, window.0, window.1) > 0;
            let greatest = windows(&spent).filter(holds_some).map(excess).max().unwrap();
            let worst = of_rate(&spent, Rate { count, period_us, burst }, more).unwrap();
            prop_assert_eq!(excess((worst.from_us, worst.to_us)), greatest);
            prop_assert_eq!(worst.spent, inside(&spent, worst.from_us, worst.to_us));
            prop_assert_eq!(worst.broken, greatest > i128::from((burst + more) * period_us));
        }

        #[test]
        fn the_worst_window_of_a_span_is_that_of_all_windows(
            spent in some_spent(), span_us in 2..300_u64, most in 1..20_u64,
        ) {
            let shorter = windows(&spent).filter(|(from, to)| to - from < span_us);
            let greatest = shorter.map(|(from, to)| inside(&spent, from, to)).max().unwrap_or(0);
            let worst = of_span(&spent, span_us, most).unwrap();
            prop_assert_eq!(worst.spent, greatest);
            prop_assert_eq!(worst.spent, inside(&spent, worst.from_us, worst.to_us));
            prop_assert_eq!(worst.broken, greatest > most);
        }

        #[test]
        fn windows_opened_by_a_correct_limiter_are_never_broken(
            asked in prop::collection::vec((0..3000_u64, 0..40_u64, 0..40_u64), 1..80),
            period_us in 50..400_u64, most in 1..6_u64,
        ) {
            let mut asked: Vec<(u64, u64, u64)> = asked;
            asked.sort_unstable();
            let (mut opened, mut used, mut spent) = (None, 0, Vec::new());
            for (at, before, after) in asked {
                if opened.is_none_or(|opened| at >= opened + period_us) {
                    (opened, used) = (Some(at), 0);
                }
                if used < most {
                    used += 1;
                    spent.push(Spent::between(at.saturating_sub(before), at + after, 1));
                }
            }
            prop_assert!(!of_opened(&spent, period_us, most).unwrap().broken);
            prop_assert!(!of_span(&spent, period_us, 2 * most).unwrap().broken);
        }

        #[test]
        fn most_held_is_that_of_all_moments(
            held in prop::collection::vec((0..200_u64, 1..50_u64, 1..4_u64), 1..30), most in 1..20_u64,
        ) {
            let held: Vec<Held> = held
                .into_iter()
                .map(|(from_us, takes, amount)| Held { from_us, to_us: from_us + takes, amount })
                .collect();
            let at = |us: u64| -> u64 {
                held.iter().filter(|one| one.from_us <= us && us < one.to_us).map(|one| one.amount).sum()
            };
            let worst = of_held(&held, most).unwrap();
            prop_assert_eq!(worst.spent, (0..260).map(at).max().unwrap());
            prop_assert_eq!(at(worst.from_us), worst.spent);
        }
    }

    #[test]
    fn a_window_that_opened_with_one_too_many_is_broken() {
        let spent: Vec<Spent> = (0..4).map(|n| Spent::between(10 * n, 10 * n + 5, 1)).collect();
        assert!(of_opened(&spent, 100, 3).unwrap().broken);
        assert!(!of_opened(&spent, 100, 4).unwrap().broken);
        assert!(!of_opened(&spent, 20, 3).unwrap().broken, "the next window may have opened");
        assert_eq!(of_opened(&[], 20, 3), None);
    }
}
