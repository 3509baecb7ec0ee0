//! Where a limit stands, in numbers for headers, operators and refusals.

use super::Unit;
use super::decide::PLACE_WAIT_US;
use super::level::Level;
use super::money::Currency;
use super::rules::{Rate, Slots};
use super::spend::{Spend, SpendRule};
use crate::clock::Now;
use std::sync::Arc;
use std::time::Duration;

/// Where one limit stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Name of the limit.
    pub limit: Arc<str>,
    /// What it counts.
    pub unit: Unit,
    /// Of money, else none.
    pub currency: Currency,
    /// So much of it per window; for a concurrency limit, at the same time.
    pub quota: u64,
    /// Most at once: the burst of a token bucket, else `quota`.
    pub most: u64,
    /// The period; zero for a concurrency limit.
    pub window: Duration,
    /// What counts against `most` now, holds included; above it in debt, or after a reload to less.
    pub used: u64,
    /// The part of `used` that is held by requests whose cost is not known yet.
    pub held: u64,
    /// `most - used`, at least 0.
    pub remaining: u64,
    /// Until it is full again; the expected wait for a concurrency limit.
    pub reset: Duration,
    /// A budget: it comes back with the next day or month, and not bit by bit.
    pub budget: bool,
}

/// Where a request limit stands now.
pub(super) fn standing_of_rate(rate: &Rate, level: &Level, now_us: u64) -> Standing {
    let Rate { name, quota, .. } = rate;
    let used = level.used(quota, now_us);
    Standing {
        limit: Arc::clone(name),
        unit: Unit::Requests,
        currency: Currency::NONE,
        quota: quota.requests,
        most: quota.most,
        window: quota.window(),
        used,
        held: 0,
        remaining: quota.most.saturating_sub(used),
        reset: Duration::from_micros(level.reset_us(quota, now_us)),
        budget: false,
    }
}

/// Where a concurrency limit stands with `open` requests.
pub(super) fn standing_of_slots(slots: &Slots, open: u32) -> Standing {
    let (most, used) = (u64::from(slots.most), u64::from(open));
    Standing {
        limit: Arc::clone(&slots.name),
        unit: Unit::Places,
        currency: Currency::NONE,
        quota: most,
        most,
        window: Duration::ZERO,
        used,
        held: 0,
        remaining: most.saturating_sub(used),
        reset: Duration::from_micros(if open == 0 { 0 } else { PLACE_WAIT_US }),
        budget: false,
    }
}

/// Where a limit on tokens or money stands now.
pub(super) fn standing_of_spend(rule: &SpendRule, spend: &Spend, now: Now) -> Standing {
    let held = spend.held();
    Standing {
        limit: Arc::clone(&rule.name),
        unit: rule.measure.unit(),
        currency: rule.currency,
        quota: rule.quota(),
        most: rule.most(),
        window: rule.window(),
        used: spend.spent(rule, now).saturating_add(held),
        held,
        remaining: spend.remaining(rule, now),
        reset: Duration::from_micros(spend.reset_us(rule, now)),
        budget: rule.is_budget(),
    }
}
