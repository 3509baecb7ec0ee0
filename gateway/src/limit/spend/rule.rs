//! A limit on tokens or money as admission reads it: its numbers, worked out.

use crate::limit::calendar::Calendar;
use crate::limit::measure::Measure;
use crate::limit::money::Currency;
use crate::limit::quota::Quota;
use crate::limit::tally::Tally;
use crate::limit::{Algorithm, Amount, Limit};
use std::sync::Arc;
use std::time::Duration;

/// A limit on tokens or money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::limit) struct SpendRule {
    pub(in crate::limit) name: Arc<str>,
    pub(in crate::limit) measure: Measure,
    /// Of money, else none.
    pub(in crate::limit) currency: Currency,
    pub(in crate::limit) bound: Bound,
    pub(in crate::limit) shadow: bool,
    /// A stream ends in its middle once this is spent.
    pub(in crate::limit) cut: bool,
    pub(in crate::limit) tally: Arc<Tally>,
    /// The reload that brought it. Requests admitted before were not asked: they hold nothing and charge nothing here.
    pub(in crate::limit) born: u32,
    /// Its bit among the limits of its place, kept when a reload puts them in another order. Policy allows no more than
    /// 16 in one place.
    pub(in crate::limit) mark: u16,
}

/// How much may be spent, and when it comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::limit) enum Bound {
    /// Bit by bit.
    Bucket(Quota),
    /// All at once, with the next day or month.
    Calendar { most: u64, calendar: Arc<Calendar> },
}

impl SpendRule {
    /// The rule of a limit on spending that the reload `born` brought, without a mark yet; None if `limit` counts
    /// requests.
    pub(in crate::limit) fn of(limit: &Limit, tally: &Arc<Tally>, born: u32) -> Option<SpendRule> {
        let (bound, measure, currency) = match &limit.amount {
            Amount::Tokens { tokens, period, burst, measure } => {
                let quota = Quota::new(*tokens, *period, *burst, Algorithm::TokenBucket);
                (Bound::Bucket(quota), *measure, Currency::NONE)
            }
            Amount::Budget { most, measure, currency, calendar } => {
                (Bound::Calendar { most: *most, calendar: Arc::clone(calendar) }, *measure, *currency)
            }
            Amount::Requests { .. } | Amount::Concurrent(_) => return None,
        };
        let (name, tally) = (Arc::clone(&limit.name), Arc::clone(tally));
        let Limit { shadow, cut, .. } = *limit;
        Some(SpendRule { name, measure, currency, bound, shadow, cut, tally, born, mark: 0 })
    }

    /// What it counts: an amount of something else is no amount of this.
    pub(in crate::limit) fn counted(&self) -> (Measure, Currency) {
        (self.measure, self.currency)
    }

    /// Most at once.
    pub(in crate::limit) fn most(&self) -> u64 {
        match &self.bound {
            Bound::Bucket(quota) => quota.most,
            Bound::Calendar { most, .. } => *most,
        }
    }

    /// Most per [`window`](SpendRule::window).
    pub(in crate::limit) fn quota(&self) -> u64 {
        match &self.bound {
            Bound::Bucket(quota) => quota.requests,
            Bound::Calendar { most, .. } => *most,
        }
    }

    /// Does it end streams in their middle once it is spent?
    #[inline]
    pub(in crate::limit) fn cuts(&self) -> bool {
        self.cut && !self.shadow
    }

    /// Does it outlive the program?
    #[inline]
    pub(in crate::limit) fn is_budget(&self) -> bool {
        matches!(self.bound, Bound::Calendar { .. })
    }

    /// What it counts and when, if it outlives the program.
    pub(in crate::limit) fn budget(&self) -> Option<(&str, (Measure, Currency), &Calendar)> {
        match &self.bound {
            Bound::Calendar { calendar, .. } => Some((&self.name, self.counted(), calendar)),
            Bound::Bucket(_) => None,
        }
    }

    /// How often the quota comes back; a month counts as 30 days.
    pub(in crate::limit) fn window(&self) -> Duration {
        match &self.bound {
            Bound::Bucket(quota) => quota.window(),
            Bound::Calendar { calendar, .. } => calendar.nominal(),
        }
    }
}
