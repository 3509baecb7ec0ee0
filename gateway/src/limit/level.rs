//! A level: how much of one request limit one subject (a tenant, a user, a route) has used.

use super::Algorithm;
use super::meter::{Flow, Meter};
use super::quota::Quota;
use super::rules::Rate;
use super::window::Window;

/// The count behind one request limit; what its quota's algorithm makes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Level {
    Bucket(Flow),
    /// Boxed: it is several times a bucket's size, and rarer.
    Window(Box<Window>),
}

impl Level {
    pub(super) fn new(quota: &Quota) -> Level {
        Level::with_used(quota, 0, 0)
    }

    fn with_used(quota: &Quota, used: u64, now_us: u64) -> Level {
        match Window::with_used(quota, used, now_us) {
            Some(window) => Level::Window(Box::new(window)),
            None => Level::Bucket(Flow::of(Meter::with_used(quota, used, now_us))),
        }
    }

    /// Does one more request fit now?
    #[inline]
    pub(super) fn has_room(&self, quota: &Quota, now_us: u64) -> bool {
        match self {
            Level::Bucket(flow) => flow.fits_one(quota, now_us),
            Level::Window(window) => window.used(quota, now_us) < quota.most,
        }
    }

    /// Microseconds until one more request fits, if no other comes; 0: now. Exact.
    pub(super) fn wait_us(&self, quota: &Quota, now_us: u64) -> u64 {
        match self {
            Level::Bucket(flow) => flow.meter().wait_us(quota, 1, now_us),
            Level::Window(window) => window.wait_us(quota, now_us),
        }
    }

    /// Counts one request.
    #[inline]
    pub(super) fn take(&mut self, quota: &Quota, now_us: u64) {
        match self {
            Level::Bucket(flow) => flow.charge_one(quota, now_us),
            Level::Window(window) => window.take(quota, now_us),
        }
    }

    /// Requests that count against the limit now.
    pub(super) fn used(&self, quota: &Quota, now_us: u64) -> u64 {
        match self {
            Level::Bucket(flow) => flow.meter().used(quota, now_us),
            Level::Window(window) => window.used(quota, now_us),
        }
    }

    /// Requests that would be admitted now, one after the other; 0 exactly when the next is refused.
    pub(super) fn remaining(&self, quota: &Quota, now_us: u64) -> u64 {
        quota.most.saturating_sub(self.used(quota, now_us))
    }

    /// Microseconds until nothing counts any more.
    pub(super) fn reset_us(&self, quota: &Quota, now_us: u64) -> u64 {
        match self {
            Level::Bucket(flow) => flow.meter().reset_us(quota, now_us),
            Level::Window(window) => window.reset_us(quota, now_us),
        }
    }

    /// Forgetting it would change no decision.
    pub(super) fn idle(&self, quota: &Quota, now_us: u64) -> bool {
        match self {
            Level::Bucket(flow) => flow.meter().idle(quota, now_us),
            Level::Window(window) => window.used(quota, now_us) == 0,
        }
    }

    /// The same use under a new quota: neither a refill nor a freeze.
    ///
    /// What has no counterpart (another algorithm, a window of another length) counts from now on as if
    /// it had all just been used: stricter for one period, so that an edit never gives anything away.
    fn carried(&self, from: &Quota, to: &Quota, now_us: u64) -> Level {
        let same_window = from.algorithm == to.algorithm && from.period_us == to.period_us;
        match self {
            Level::Bucket(flow) if to.algorithm == Algorithm::TokenBucket => {
                Level::Bucket(Flow::of(flow.meter().carried(from, to, now_us)))
            }
            Level::Window(_) if same_window => self.clone(),
            _ => Level::with_used(to, self.used(from, now_us), now_us),
        }
    }
}

/// Empty levels for `rates`, in their order.
pub(super) fn fresh(rates: &[Rate]) -> impl Iterator<Item = Level> {
    rates.iter().map(|rate| Level::new(&rate.quota))
}

/// The levels for `to`: each takes over that of the limit of the same name in `from`, or starts empty.
pub(super) fn carried(
    levels: &[Level],
    from: &[Rate],
    to: &[Rate],
    now_us: u64,
) -> impl Iterator<Item = Level> {
    to.iter().map(move |new| {
        let old = from.iter().zip(levels).find(|(old, _)| old.name == new.name);
        old.map_or_else(
            || Level::new(&new.quota),
            |(old, level)| level.carried(&old.quota, &new.quota, now_us),
        )
    })
}

/// The same where `to` has the same names in the same places as `from`: an edit of numbers moves nothing.
pub(super) fn carry(levels: &mut [Level], from: &[Rate], to: &[Rate], now_us: u64) {
    for ((level, old), new) in levels.iter_mut().zip(from).zip(to) {
        *level = level.carried(&old.quota, &new.quota, now_us);
    }
}

/// Are all of them idle?
pub(super) fn idle(rates: &[Rate], levels: &[Level], now_us: u64) -> bool {
    rates.iter().zip(levels).all(|(rate, level)| level.idle(&rate.quota, now_us))
}
