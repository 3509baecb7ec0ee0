//! As much of an answer as the limits have room for, where policy would rather have it cut than refused.

use super::decide::{SUBJECTS, Subject};
use super::measure::{Cost, Measure};
use super::spend::{Spend, SpendRule};
use crate::clock::Now;
use crate::usage::Tokens;

/// `cost` with no more completion than every limit has room for now. At least one token for each of the `choices`
/// remains: without it there would be no answer, and the request waits until there is room.
///
/// The caller of the model is to be told the bound, or the answer becomes longer than what is held for it.
#[inline(never)] // seldom asked for: admission is shorter without it
pub(super) fn clamped(
    subjects: &[Option<Subject<'_>>; SUBJECTS],
    cost: Cost,
    choices: u32,
    now: Now,
) -> Cost {
    let spends = subjects.iter().flatten().flat_map(Subject::spends).filter(|(rule, _)| !rule.shadow);
    let room = spends.filter_map(|(rule, spend)| room(rule, spend, cost, now)).min();
    let most = room.map_or(u64::MAX, |room| room.max(u64::from(choices.max(1))));
    completing(cost, cost.tokens.completion.min(most))
}

/// Completion tokens that a limit has room for, beside the prompt; None: it does not count them.
fn room(rule: &SpendRule, spend: &Spend, cost: Cost, now: Now) -> Option<u64> {
    let each = match rule.measure {
        Measure::Prompt => return None,
        Measure::Total | Measure::Completion => 1,
        Measure::Money => cost.price.cost(0, 1),
    };
    let prompt = completing(cost, 0).by(rule.measure);
    spend.remaining(rule, now).saturating_sub(prompt).checked_div(each)
}

fn completing(cost: Cost, completion: u64) -> Cost {
    Cost { tokens: Tokens { completion, ..cost.tokens }, ..cost }
}
