//! The last refusal, remembered: a caller that keeps knocking is refused without a lock.

use super::common::{Common, CommonKey};
use super::users::UserIx;
use super::{Full, Limited, Unit};
use arc_swap::ArcSwapOption;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long at most, so that one caller with a long wait does not keep the place from one who floods.
const REMEMBERED_US_MAX: u64 = 1_000_000;

/// One tenant's last refusal by a request limit.
///
/// Only time gives a request limit room, so what was refused stays refused until its wait is over; and while nobody
/// else is admitted, by the tenant or on the route, the wait stays exact. It answers the same user on the same
/// route only: another one may have a longer wait of its own, and a `Retry-After` that is too early is a lie.
#[derive(Default)]
pub(super) struct Denial {
    /// Until when `last` holds; 0: forgotten. A filter that spares admissions the look at `last`.
    until_us: AtomicU64,
    last: ArcSwapOption<Refused>,
}

struct Refused {
    user: UserIx,
    route: CommonKey,
    /// [`Common::admissions`] when it was refused.
    admissions: u64,
    until_us: u64,
    retry_us: u64,
    reset_us: u64,
    full: Arc<Full>,
}

impl Denial {
    /// Hot path. The refusal that still holds for this caller. No lock, no allocation.
    #[inline]
    pub(super) fn recall(&self, user: UserIx, route: &Arc<Common>, now_us: u64) -> Option<Limited> {
        if now_us >= self.until_us.load(Ordering::Acquire) {
            return None;
        }
        let last = self.last.load();
        let refused = last.as_ref().filter(|refused| {
            now_us < refused.until_us
                && (refused.user, refused.route) == (user, route.key())
                && refused.admissions == route.admissions()
        })?;
        Some(Limited {
            full: Arc::clone(&refused.full),
            reset: Duration::from_micros(refused.reset_us.saturating_sub(now_us)),
            retry_after: Duration::from_micros(refused.retry_us - now_us),
        })
    }

    /// Remembers a refusal, unless one still holds or a place may come free at any time. `admissions` are those of
    /// the route when it refused. Call it under the tenant's lock, so that it cannot cross
    /// [`forget`](Denial::forget).
    pub(super) fn remember(
        &self,
        user: UserIx,
        (route, admissions): (&Arc<Common>, u64),
        limited: &Limited,
        now_us: u64,
    ) {
        // Other limits' waits depend on what a request costs, or end when others do.
        if limited.full.unit != Unit::Requests || now_us < self.until_us.load(Ordering::Relaxed) {
            return;
        }
        let at_us = |wait: Duration| now_us.saturating_add(wait.as_micros() as u64);
        let (retry_us, reset_us) = (at_us(limited.retry_after), at_us(limited.reset));
        let until_us = retry_us.min(now_us.saturating_add(REMEMBERED_US_MAX));
        let (route, full) = (route.key(), Arc::clone(&limited.full));
        let refused = Refused { user, route, admissions, until_us, retry_us, reset_us, full };
        self.last.store(Some(Arc::new(refused)));
        self.until_us.store(until_us, Ordering::Release);
    }

    /// Forgets it: an admission moved the tenant's levels, or a reload its limits. Call it under the tenant's lock.
    #[inline]
    pub(super) fn forget(&self) {
        if self.until_us.load(Ordering::Relaxed) != 0 {
            self.until_us.store(0, Ordering::Release);
        }
    }
}
