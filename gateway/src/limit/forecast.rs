//! When will a budget be spent? What was used of a day or month, carried on at the rate of the period so far, and at
//! that of the last hour.
//!
//! Asked by operators. The two answers differ where use changes with the hour: the first is the better guess for what
//! a day or month will cost, the second for what happens next.

use super::inspect::Seen;
use super::registry::Registry;
use super::{Per, Unit};
use crate::clock::Now;
use std::sync::Arc;

/// A period's first minute counts as a whole one: nothing can be told from less.
const ELAPSED_MS_MIN: u64 = 60_000;
const HOUR_MS: u64 = 3_600_000;

/// So much in so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// What was spent.
    pub amount: u64,
    /// Milliseconds; not 0.
    pub over_ms: u64,
}

/// What becomes of a budget at one rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outlook {
    /// The rate, rounded down.
    pub per_hour: u64,
    /// Wall time at which it is spent; the present if it is spent already. None: not within this period.
    pub spent_at_ms: Option<u64>,
    /// What will be used when the period ends, were nobody refused.
    pub used_at_end: u64,
}

/// A budget of one subject, and what is to be expected of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetForecast {
    /// Name of the limit.
    pub limit: Arc<str>,
    /// What it is counted per.
    pub per: Per,
    /// Whose use it is, for a limit per user.
    pub user: Option<Arc<str>>,
    /// On which route, for a limit per tenant+route.
    pub route: Option<Arc<str>>,
    /// For which model, for a limit per tenant+model.
    pub model: Option<Arc<str>>,
    /// What it counts.
    pub unit: Unit,
    /// Refuses nobody.
    pub shadow: bool,
    /// Spent in this period; holds aside.
    pub used: u64,
    /// Held by requests whose cost is not known yet.
    pub held: u64,
    /// The budget.
    pub most: u64,
    /// First millisecond of the period.
    pub begins_ms: u64,
    /// First millisecond of the next.
    pub ends_ms: u64,
    /// At the mean rate of the period so far.
    pub so_far: Outlook,
    /// At the rate of about the last hour.
    pub lately: Outlook,
}

/// Every budget of a tenant, of its users, and of its use of routes and models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantForecast {
    /// The tenant.
    pub tenant: Arc<str>,
    /// In the order of [`TenantState::limits`](super::TenantState::limits).
    pub budgets: Vec<BudgetForecast>,
}

impl Registry {
    /// What is to be expected of a tenant's budgets; None if nobody has this name.
    pub fn forecast(&self, name: &str, now: Now) -> Option<TenantForecast> {
        let tenant = self.look(|known| known.tenants.get(name).cloned())?;
        let mut budgets = Vec::new();
        tenant.books.lock().each(now, &mut |seen| budgets.extend(seen.forecast(now)));
        Some(TenantForecast { tenant: Arc::clone(tenant.name()), budgets })
    }
}

impl Seen<'_> {
    /// None: it is no budget.
    fn forecast(self, now: Now) -> Option<BudgetForecast> {
        let (rule, spend) = self.spend?;
        let (period, lately) = spend.pace(rule, now)?;
        let (used, most) = (spend.spent(rule, now), rule.most());
        let elapsed_ms = now.wall_ms.saturating_sub(period.begins_ms).max(ELAPSED_MS_MIN);
        let outlook = |rate| outlook(rate, used, most, now.wall_ms, period.ends_ms);
        Some(BudgetForecast {
            limit: self.standing.limit,
            per: self.on.per,
            user: self.on.user.cloned(),
            route: self.on.route.cloned(),
            model: self.on.model.cloned(),
            unit: self.standing.unit,
            shadow: self.shadow,
            used,
            held: self.standing.held,
            most,
            begins_ms: period.begins_ms,
            ends_ms: period.ends_ms,
            so_far: outlook(Rate { amount: used, over_ms: elapsed_ms }),
            lately: outlook(lately),
        })
    }
}

/// Carries `used` of `most` on at `rate`, from `now_ms` until `ends_ms`.
pub fn outlook(rate: Rate, used: u64, most: u64, now_ms: u64, ends_ms: u64) -> Outlook {
    let (amount, over_ms) = (u128::from(rate.amount), u128::from(rate.over_ms.max(1)));
    let amount_in = |ms: u64| u64::try_from(amount * u128::from(ms) / over_ms).unwrap_or(u64::MAX);
    let left = u128::from(most.saturating_sub(used));
    let spent_in_ms = if left == 0 { Some(0) } else { (left * over_ms).checked_div(amount) };
    let spent_at_ms = spent_in_ms.and_then(|ms| now_ms.checked_add(u64::try_from(ms).ok()?));
    Outlook {
        per_hour: amount_in(HOUR_MS),
        spent_at_ms: spent_at_ms.filter(|at_ms| left == 0 || *at_ms < ends_ms),
        used_at_end: used.saturating_add(amount_in(ends_ms.saturating_sub(now_ms))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: u64 = 24 * HOUR_MS;

    #[test]
    fn a_budget_is_carried_on_at_its_rate() {
        // 300 of 1000 in the first six hours of a day.
        let rate = Rate { amount: 300, over_ms: 6 * HOUR_MS };
        let found = outlook(rate, 300, 1000, 6 * HOUR_MS, DAY_MS);
        let spent_at_ms = Some(20 * HOUR_MS);
        assert_eq!(found, Outlook { per_hour: 50, spent_at_ms, used_at_end: 1200 });
    }

    #[test]
    fn a_budget_that_lasts_is_not_spent_within_its_period() {
        let rate = Rate { amount: 240, over_ms: 6 * HOUR_MS };
        let found = outlook(rate, 240, 1000, 6 * HOUR_MS, DAY_MS);
        assert_eq!(found, Outlook { per_hour: 40, spent_at_ms: None, used_at_end: 960 });
        let exactly = outlook(Rate { amount: 250, over_ms: 6 * HOUR_MS }, 250, 1000, 6 * HOUR_MS, DAY_MS);
        assert_eq!(
            (exactly.spent_at_ms, exactly.used_at_end),
            (None, 1000),
            "it is spent as the next begins"
        );
    }

    #[test]
    fn a_spent_budget_is_spent_now_and_an_idle_one_never() {
        let none = Rate { amount: 0, over_ms: HOUR_MS };
        assert_eq!(outlook(none, 1200, 1000, 7, DAY_MS).spent_at_ms, Some(7));
        let idle = outlook(none, 0, 1000, 7, DAY_MS);
        assert_eq!(idle, Outlook { per_hour: 0, spent_at_ms: None, used_at_end: 0 });
    }

    #[test]
    fn no_number_is_too_large() {
        let rate = Rate { amount: u64::MAX, over_ms: 1 };
        let found = outlook(rate, u64::MAX - 1, u64::MAX, u64::MAX - 1, u64::MAX);
        assert_eq!((found.per_hour, found.used_at_end), (u64::MAX, u64::MAX));
        outlook(Rate { amount: 1, over_ms: 0 }, 0, u64::MAX, u64::MAX, 0);
    }
}
