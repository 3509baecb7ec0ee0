//! The limits that a caller is nearest to, for the rate headers.

use super::Standing;
use super::decide::{SUBJECTS, Subject};
use super::measure::{Cost, Measure};
use super::spend::{Spend, SpendRule};
use super::standing::{standing_of_rate, standing_of_spend};
use crate::clock::Now;
use std::num::NonZeroU64;

/// Where the most constrained limits stand after an admission, for the rate headers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standings {
    /// Of the limits on requests.
    pub requests: Option<Standing>,
    /// Of the limits on tokens.
    pub tokens: Option<Standing>,
    /// Completion tokens that every limit on tokens and every budget has left, with those this request holds.
    pub spare_completion: Option<u64>,
}

/// The request limit and the token limit with the least share of their room left; of equals, the first.
#[inline(never)] // only where headers are asked for: admission is shorter without it
pub(super) fn most_constrained(
    subjects: &[Option<Subject<'_>>; SUBJECTS],
    cost: Option<Cost>,
    now: Now,
) -> Standings {
    let rates = subjects.iter().flatten().flat_map(Subject::rates).filter(|(rate, _)| !rate.shadow);
    let requests = least(rates, |(rate, level)| (level.remaining(&rate.quota, now.mono_us), rate.quota.most));
    let spends = || {
        let spends = subjects.iter().filter(|_| cost.is_some()).flatten().flat_map(Subject::spends);
        spends.filter(|(rule, _)| !rule.shadow)
    };
    let spare =
        cost.and_then(|cost| spends().filter_map(|(rule, spend)| spare(rule, spend, cost, now)).min());
    let counted = spends().filter(|(rule, _)| rule.measure.unit().is_tokens());
    let tokens = least(counted, |(rule, spend)| (spend.remaining(rule, now), rule.most()));
    Standings {
        requests: requests.map(|(rate, level)| standing_of_rate(rate, level, now.mono_us)),
        tokens: tokens.map(|(rule, spend)| standing_of_spend(rule, spend, now)),
        spare_completion: spare,
    }
}

/// Completion tokens that a request may have in all before `rule` is spent; it holds `cost` there already.
fn spare(rule: &SpendRule, spend: &Spend, cost: Cost, now: Now) -> Option<u64> {
    let left = spend.remaining(rule, now);
    let more = match rule.measure {
        Measure::Prompt => return None,
        Measure::Total | Measure::Completion => left,
        Measure::Money => left / NonZeroU64::new(cost.price.cost(0, 1))?,
    };
    Some(cost.tokens.completion.saturating_add(more))
}

/// The one with the least of `(part, whole)`.
fn least<T>(all: impl Iterator<Item = T>, share: impl Fn(&T) -> (u64, u64)) -> Option<T> {
    all.min_by(|a, b| {
        let ((a, of_a), (b, of_b)) = (share(a), share(b));
        (u128::from(a) * u128::from(of_b)).cmp(&(u128::from(b) * u128::from(of_a)))
    })
}
