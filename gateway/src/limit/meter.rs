//! The token bucket: a vessel that requests fill and time empties, in exact integers.
//!
//! *Bound.* Between any two moments `t1 <= t2` it admits at most `most + rate * (t2 - t1)`. "Never more
//! than N in any minute" therefore needs `most + rate * 60 s <= N`, or a
//! [sliding window](super::window::Sliding).
//!
//! *Holds.* What is admitted before its cost is known is held: it takes room, but does not flow out. Only
//! what it really cost is charged, when it settles. A plain charge with a later refund would start to
//! flow out at once, and a refund after that would be credited twice.
//!
//! *Arithmetic.* One request is `unit` scaled units and `leak` of them flow out per microsecond (see
//! [`Quota`]). A full vessel is at most `2^63`, so a sum that saturates is above "full" as the true sum is,
//! and a leak that saturates empties it as the true leak does: no decision depends on the saturation.

use super::quota::Quota;
use std::num::NonZeroU64;

/// How full one bucket is. Pure: it reads no clock, and nothing changes but by `charge`, `refund`, `hold`, `release`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Meter {
    /// Scaled units spent and not yet flown out, as of `seen`.
    lvl: u64,
    /// The latest moment this meter has seen; a clock that steps back gives no credit.
    seen: Moment,
    /// Requests (or tokens) admitted, with a cost not yet known.
    held: u64,
}

/// A moment of the monotonic clock, which is never zero in memory: what a meter is one of needs no room for a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Moment(NonZeroU64);

impl Moment {
    /// The last microsecond that a clock can show is not told from the one before.
    #[inline]
    fn at_us(us: u64) -> Moment {
        Moment(NonZeroU64::MIN.saturating_add(us))
    }

    #[inline]
    fn us(self) -> u64 {
        self.0.get() - 1
    }
}

impl Default for Moment {
    fn default() -> Moment {
        Moment::at_us(0)
    }
}

/// A meter that holds nothing, in two thirds of its size: requests cost one, and are charged when they are admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flow {
    lvl: u64,
    seen: Moment,
}

impl Flow {
    #[inline]
    pub(super) fn of(meter: Meter) -> Flow {
        debug_assert!(meter.held == 0, "requests are charged, not held");
        Flow { lvl: meter.lvl, seen: meter.seen }
    }

    #[inline]
    pub(super) fn meter(self) -> Meter {
        Meter { lvl: self.lvl, seen: self.seen, held: 0 }
    }

    /// Does one more fit now?
    #[inline]
    pub(super) fn fits_one(self, quota: &Quota, now_us: u64) -> bool {
        self.meter().level(quota, now_us) <= quota.full - quota.unit
    }

    /// Spends one.
    #[inline]
    pub(super) fn charge_one(&mut self, quota: &Quota, now_us: u64) {
        self.lvl = self.meter().level(quota, now_us).saturating_add(quota.unit);
        self.seen = self.seen.max(Moment::at_us(now_us));
    }
}

impl Meter {
    /// A meter with `used` already spent at `now_us`.
    pub fn with_used(quota: &Quota, used: u64, now_us: u64) -> Meter {
        Meter { lvl: used.saturating_mul(quota.unit), seen: Moment::at_us(now_us), held: 0 }
    }

    /// Does `cost` fit now? A cost above the burst fits an idle bucket, else it would never pass.
    #[inline]
    pub fn fits(&self, quota: &Quota, cost: u64, now_us: u64) -> bool {
        self.excess(quota, cost, now_us) == 0
    }

    /// Microseconds until `cost` fits if nothing else is admitted; 0: it fits now.
    ///
    /// Exact while nothing is held. Holds end by settling and not by time: while they alone block, this
    /// is how long their room would take to flow out.
    #[inline]
    pub fn wait_us(&self, quota: &Quota, cost: u64, now_us: u64) -> u64 {
        match self.excess(quota, cost, now_us) {
            0 => 0,
            excess => excess.div_ceil(quota.leak).saturating_add(self.seen.us().saturating_sub(now_us)),
        }
    }

    /// Spends `cost`; may go beyond full: a debt is recorded, never dropped.
    #[inline]
    pub fn charge(&mut self, quota: &Quota, cost: u64, now_us: u64) {
        self.lvl = self.level(quota, now_us).saturating_add(cost.saturating_mul(quota.unit));
        self.seen = self.seen.max(Moment::at_us(now_us));
    }

    /// Microseconds until `cost` would fit if nothing were held; 0: now.
    pub fn wait_without_holds_us(&self, quota: &Quota, cost: u64, now_us: u64) -> u64 {
        Meter { held: 0, ..*self }.wait_us(quota, cost, now_us)
    }

    /// Takes room for `cost`, of which nothing flows out. A cost above the burst has the bucket for itself.
    #[inline]
    pub fn hold(&mut self, cost: u64) {
        self.held = self.held.saturating_add(cost);
    }

    /// Lets go of room that was held.
    #[inline]
    pub fn release(&mut self, cost: u64) {
        debug_assert!(cost <= self.held, "a hold ends once");
        self.held = self.held.saturating_sub(cost);
    }

    /// Takes back what was charged too much; what has flown out meanwhile is not credited.
    pub fn refund(&mut self, quota: &Quota, cost: u64, now_us: u64) {
        self.lvl = self.level(quota, now_us).saturating_sub(cost.saturating_mul(quota.unit));
        self.seen = self.seen.max(Moment::at_us(now_us));
    }

    /// The same level with other holds.
    #[must_use]
    pub fn holding(self, held: u64) -> Meter {
        Meter { held, ..self }
    }

    /// Held now.
    pub fn held(&self) -> u64 {
        self.held
    }

    /// Spent now (a part counts as one); holds aside.
    #[inline]
    pub fn spent(&self, quota: &Quota, now_us: u64) -> u64 {
        self.level(quota, now_us).div_ceil(quota.unit)
    }

    /// Spent (a part counts as one) and held now.
    pub fn used(&self, quota: &Quota, now_us: u64) -> u64 {
        self.spent(quota, now_us).saturating_add(self.held)
    }

    /// Microseconds until nothing counts any more, were what is held spent now.
    pub fn reset_us(&self, quota: &Quota, now_us: u64) -> u64 {
        match self.level(quota, now_us).saturating_add(self.held.saturating_mul(quota.unit)) {
            0 => 0,
            level => level.div_ceil(quota.leak).saturating_add(self.seen.us().saturating_sub(now_us)),
        }
    }

    /// Neither spent nor held: forgetting it changes nothing.
    pub fn idle(&self, quota: &Quota, now_us: u64) -> bool {
        self.held == 0 && self.level(quota, now_us) == 0
    }

    /// The same use under another quota: `from` applies up to now, `to` from now on. Parts of a request
    /// are rounded up to `to`'s scaled units, so `used` stays the same number.
    pub fn carried(&self, from: &Quota, to: &Quota, now_us: u64) -> Meter {
        let level = u128::from(self.level(from, now_us)) * u128::from(to.unit);
        let lvl = u64::try_from(level.div_ceil(u128::from(from.unit))).unwrap_or(u64::MAX);
        Meter { lvl, seen: self.seen.max(Moment::at_us(now_us)), held: self.held }
    }

    /// The level at `now_us`.
    #[inline]
    fn level(&self, quota: &Quota, now_us: u64) -> u64 {
        let passed_us = now_us.saturating_sub(self.seen.us());
        self.lvl.saturating_sub(passed_us.saturating_mul(quota.leak))
    }

    /// Scaled units by which `cost` would overflow the bucket.
    #[inline]
    fn excess(&self, quota: &Quota, cost: u64, now_us: u64) -> u64 {
        let asked = self.held.saturating_add(cost.min(quota.most)).saturating_mul(quota.unit);
        self.level(quota, now_us).saturating_add(asked).saturating_sub(quota.full)
    }
}
