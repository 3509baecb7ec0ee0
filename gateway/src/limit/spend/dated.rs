//! A calendar's meter, and its period: dates are reckoned once per period.

use crate::limit::calendar::{Calendar, CalendarMeter, Period};
use crate::limit::recent::Recent;

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

    pub(super) fn charge(&mut self, amount: u64, now_us: u64) {
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
    pub(super) fn refund(&mut self, cost: u64, began_ms: u64, now_us: u64) {
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
