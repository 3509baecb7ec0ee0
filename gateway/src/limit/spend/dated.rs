//! A calendar's meter, and its period: dates are reckoned once per period.

use super::step::Amounts;
use crate::clock::Now;
use crate::limit::calendar::{Calendar, CalendarMeter, Period};
use crate::limit::recent::Recent;
use std::cmp::Ordering;

/// What was spent of a budget in its period, and lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::limit) struct Dated {
    pub(super) meter: CalendarMeter,
    /// Empty: none has begun yet.
    pub(super) period: Period,
    pub(super) recent: Recent,
}

impl Dated {
    pub(super) fn with_used(calendar: &Calendar, used: u64, wall_ms: u64) -> Dated {
        let period = calendar.period(wall_ms, &mut Period::default());
        let meter = CalendarMeter::with_used(period.serial, used);
        Dated { meter, period, recent: Recent::default() }
    }

    /// Begins the period of `wall_ms`, unless a later one has begun before.
    pub(super) fn roll(&mut self, calendar: &Calendar, wall_ms: u64) {
        if wall_ms >= self.period.ends_ms {
            self.period = calendar.period(wall_ms, &mut Period::default());
            self.meter.roll(&self.period);
        }
    }

    /// Holds `cost` in the period of `wall_ms`: what it begins in has begun, wherever the clock goes.
    ///
    /// This and [`step`](Dated::step) stay functions of their own: where limits are all buckets, admission is shorter
    /// without them.
    #[inline(never)]
    pub(super) fn hold(&mut self, calendar: &Calendar, cost: u64, wall_ms: u64) {
        self.roll(calendar, wall_ms);
        self.meter.hold(cost);
    }

    /// Takes a step of the cost of a request that was admitted at `began_ms`.
    #[inline(never)]
    pub(super) fn step(&mut self, calendar: &Calendar, amounts: &Amounts, began_ms: u64, now: Now) {
        let Amounts { release, hold, from, to, .. } = *amounts;
        self.roll(calendar, now.wall_ms);
        self.meter.release(release);
        self.meter.hold(hold);
        match to.cmp(&from) {
            Ordering::Greater => self.charge(to - from, now.mono_us),
            Ordering::Less => self.refund(from - to, began_ms, now.mono_us),
            Ordering::Equal => {}
        }
    }

    fn charge(&mut self, amount: u64, now_us: u64) {
        self.meter.charge(amount);
        self.recent.add(amount, now_us);
    }

    /// The meter as it is at `wall_ms`, were it rolled.
    #[inline]
    pub(super) fn at(&self, wall_ms: u64) -> CalendarMeter {
        if wall_ms >= self.period.ends_ms { self.meter.emptied() } else { self.meter }
    }

    /// Gives back what a request that began at `began_ms` was charged too much; what it was charged in an earlier
    /// period is no credit in this one.
    fn refund(&mut self, cost: u64, began_ms: u64, now_us: u64) {
        self.recent.take_back(cost, now_us); // lately knows no periods
        if began_ms >= self.period.begins_ms {
            self.meter.refund(cost);
        }
    }

    pub(super) fn ends_in_us(&self, calendar: &Calendar, wall_ms: u64) -> u64 {
        let period = calendar.period(wall_ms, &mut Period::default());
        self.period.ends_ms.max(period.ends_ms).saturating_sub(wall_ms).saturating_mul(1000)
    }
}
