//! What has been spent of one limit on tokens or money by one subject (a tenant, a user, a route, a model).
//!
//! What a request costs is known only when it has ended. So admission *holds* an estimate, which takes room but is
//! spent nowhere; what passes is charged as it passes, out of the hold; and the end charges the truth and lets go of
//! what is left of the hold. What cost more than was held is a debt: the next request waits until it is paid.

mod dated;
mod rule;
mod step;

#[cfg(test)]
mod tests;

pub(super) use rule::{Bound, SpendRule};
pub(super) use step::Step;

use super::Rate;
use super::calendar::Period;
use super::meter::Meter;
use crate::clock::Now;
use dated::Dated;
use std::cmp::Ordering;
use step::Amounts;

/// What one subject has spent of one [`SpendRule`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Spend {
    Bucket(Meter),
    /// Boxed: it is twice the size, and there are fewer.
    Calendar(Box<Dated>),
}

impl Spend {
    /// Nothing spent.
    fn new(rule: &SpendRule) -> Spend {
        match rule.bound {
            Bound::Bucket(_) => Spend::Bucket(Meter::default()),
            Bound::Calendar { .. } => Spend::Calendar(Box::default()),
        }
    }

    /// Has it room for `cost` now?
    #[inline]
    pub(super) fn has_room(&self, rule: &SpendRule, cost: u64, now: Now) -> bool {
        match (self, &rule.bound) {
            (Spend::Bucket(meter), Bound::Bucket(quota)) => meter.fits(quota, cost, now.mono_us),
            (Spend::Calendar(dated), Bound::Calendar { most, .. }) => dated.at(now.wall_ms).fits(*most, cost),
            _ => unreachable!("a level is made for its rule"),
        }
    }

    /// Microseconds until `cost` may have room. Exact while nothing is held; holds end when their requests do, which
    /// `typical_us` is the expectation of.
    pub(super) fn wait_us(&self, rule: &SpendRule, cost: u64, now: Now, typical_us: u64) -> u64 {
        let (by_time, by_holds) = match (self, &rule.bound) {
            (Spend::Bucket(meter), Bound::Bucket(quota)) => (
                meter.wait_without_holds_us(quota, cost, now.mono_us),
                meter.wait_us(quota, cost, now.mono_us),
            ),
            (Spend::Calendar(dated), Bound::Calendar { most, calendar }) => {
                let ends_us = dated.ends_in_us(calendar, now.wall_ms);
                let fits = dated.at(now.wall_ms).holding(0).fits(*most, cost);
                (if fits { 0 } else { ends_us }, ends_us)
            }
            _ => unreachable!("a level is made for its rule"),
        };
        by_holds.min(by_time.max(typical_us)).max(1)
    }

    /// Holds `cost`.
    #[inline]
    pub(super) fn hold(&mut self, rule: &SpendRule, cost: u64, now: Now) {
        match (self, &rule.bound) {
            (Spend::Bucket(meter), _) => meter.hold(cost),
            (Spend::Calendar(dated), Bound::Calendar { calendar, .. }) => {
                dated.hold(calendar, cost, now.wall_ms)
            }
            _ => unreachable!("a level is made for its rule"),
        }
    }

    /// Takes a step of a request's cost.
    #[inline]
    pub(super) fn step(&mut self, rule: &SpendRule, step: &Step<'_>, now: Now) {
        let amounts = step.amounts(rule.measure);
        match (self, &rule.bound) {
            (Spend::Bucket(meter), Bound::Bucket(quota)) => {
                let Amounts { release, hold, from, to, .. } = amounts;
                meter.release(release);
                meter.hold(hold);
                // An end that changes no cost tells no time: it may be of a moment before the clock stepped back.
                match to.cmp(&from) {
                    Ordering::Greater => meter.charge(quota, to - from, now.mono_us),
                    Ordering::Less => meter.refund(quota, from - to, now.mono_us),
                    Ordering::Equal => {}
                }
            }
            (Spend::Calendar(dated), Bound::Calendar { calendar, .. }) => {
                dated.step(calendar, &amounts, step.began_ms, now);
            }
            _ => unreachable!("a level is made for its rule"),
        }
        if amounts.beyond > 0 {
            rule.tally.overshot(amounts.beyond);
        }
    }

    /// Spent now; holds aside.
    #[inline]
    pub(super) fn spent(&self, rule: &SpendRule, now: Now) -> u64 {
        match (self, &rule.bound) {
            (Spend::Bucket(meter), Bound::Bucket(quota)) => meter.spent(quota, now.mono_us),
            (Spend::Calendar(dated), _) => dated.at(now.wall_ms).spent().1,
            _ => unreachable!("a level is made for its rule"),
        }
    }

    /// Held now.
    pub(super) fn held(&self) -> u64 {
        match self {
            Spend::Bucket(meter) => meter.held(),
            Spend::Calendar(dated) => dated.meter.held(),
        }
    }

    /// What is neither spent nor held.
    pub(super) fn remaining(&self, rule: &SpendRule, now: Now) -> u64 {
        rule.most().saturating_sub(self.spent(rule, now).saturating_add(self.held()))
    }

    /// Microseconds until nothing counts any more, were what is held spent now.
    pub(super) fn reset_us(&self, rule: &SpendRule, now: Now) -> u64 {
        match (self, &rule.bound) {
            (Spend::Bucket(meter), Bound::Bucket(quota)) => meter.reset_us(quota, now.mono_us),
            (Spend::Calendar(dated), _) if dated.at(now.wall_ms).spent().1 == 0 && self.held() == 0 => 0,
            (Spend::Calendar(dated), Bound::Calendar { calendar, .. }) => {
                dated.ends_in_us(calendar, now.wall_ms)
            }
            _ => unreachable!("a level is made for its rule"),
        }
    }

    /// Forgetting it would change no decision.
    pub(super) fn idle(&self, rule: &SpendRule, now: Now) -> bool {
        self.held() == 0 && self.reset_us(rule, now) == 0
    }

    /// The period that `now` is in, and the rate of use lately, if it is counted by the calendar.
    pub(super) fn pace(&self, rule: &SpendRule, now: Now) -> Option<(Period, Rate)> {
        match (self, &rule.bound) {
            (Spend::Calendar(dated), Bound::Calendar { calendar, .. }) => {
                let period = calendar.period(now.wall_ms, &mut Period::default());
                Some((period, dated.recent.rate(now.mono_us)))
            }
            _ => None,
        }
    }

    /// The count to be saved, if it is one that outlives the program.
    pub(super) fn saved(&self) -> Option<(u32, u64)> {
        match self {
            Spend::Calendar(dated) => Some(dated.meter.spent()),
            Spend::Bucket(_) => None,
        }
    }

    /// Takes over a saved count, unless it is of an earlier period, or less than what is known. One of the next period
    /// stays in force, for the clock was put back since; one of a later still was counted by a clock that was wrong.
    /// Returns whether its period is the one that counts here now.
    pub(super) fn restore(&mut self, rule: &SpendRule, (serial, used): (u32, u64), now: Now) -> bool {
        let (Spend::Calendar(dated), Bound::Calendar { calendar, .. }) = (self, &rule.bound) else {
            return false;
        };
        dated.roll(calendar, now.wall_ms);
        if serial == dated.period.serial + 1 {
            dated.roll(calendar, dated.period.ends_ms);
        }
        let (present, known) = dated.meter.spent();
        if present == serial {
            dated.meter.charge(used.saturating_sub(known));
        }
        present == serial
    }

    /// The same use under a new rule: neither a refill nor a freeze. What counts otherwise (other tokens, other money) starts
    /// empty; a bucket that becomes a budget, or a budget in other periods, takes what was used along. Holds stay.
    fn carried(&self, from: &SpendRule, to: &SpendRule, now: Now) -> Spend {
        if from.counted() != to.counted() {
            return Spend::new(to);
        }
        let held = self.held();
        match (self, &from.bound, &to.bound) {
            (_, from, to) if from == to => self.clone(),
            (Spend::Bucket(meter), Bound::Bucket(from), Bound::Bucket(to)) => {
                Spend::Bucket(meter.carried(from, to, now.mono_us))
            }
            (_, _, Bound::Bucket(quota)) => {
                Spend::Bucket(Meter::with_used(quota, self.spent(from, now), now.mono_us).holding(held))
            }
            (
                Spend::Calendar(_),
                Bound::Calendar { calendar: from, .. },
                Bound::Calendar { calendar: to, .. },
            ) if from == to => self.clone(),
            (_, _, Bound::Calendar { calendar: to, .. }) => {
                let dated = Dated::with_used(to, self.spent(from, now), now.wall_ms);
                let recent = match self {
                    Spend::Calendar(before) => before.recent, // lately knows no zones
                    Spend::Bucket(_) => dated.recent,
                };
                Spend::Calendar(Box::new(Dated { meter: dated.meter.holding(held), recent, ..dated }))
            }
        }
    }
}

/// Empty levels for `rules`, in their order.
pub(super) fn fresh(rules: &[SpendRule]) -> impl Iterator<Item = Spend> {
    rules.iter().map(Spend::new)
}

/// The levels for `to`: each takes over that of the limit of the same name in `from`, or starts empty.
pub(super) fn carried(
    spends: &[Spend],
    from: &[SpendRule],
    to: &[SpendRule],
    now: Now,
) -> impl Iterator<Item = Spend> {
    to.iter().map(move |new| {
        let old = from.iter().zip(spends).find(|(old, _)| old.name == new.name);
        old.map_or_else(|| Spend::new(new), |(old, spend)| spend.carried(old, new, now))
    })
}

/// The same where `to` has the same names in the same places as `from`: an edit of numbers moves nothing.
pub(super) fn carry(spends: &mut [Spend], from: &[SpendRule], to: &[SpendRule], now: Now) {
    for ((spend, old), new) in spends.iter_mut().zip(from).zip(to) {
        *spend = spend.carried(old, new, now);
    }
}

/// Are all of them idle?
pub(super) fn idle(rules: &[SpendRule], spends: &[Spend], now: Now) -> bool {
    rules.iter().zip(spends).all(|(rule, spend)| spend.idle(rule, now))
}
