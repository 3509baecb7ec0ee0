//! The last refusal, remembered: a caller that keeps knocking is refused without a lock.

use super::admit::{Asking, Metered};
use super::common::{Common, CommonKey};
use super::sync::{ArcSwapOption, AtomicU64};
use super::tally::Tally;
use super::users::UserIx;
use super::{Full, Limited, Unit};
use arc_swap::Guard;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long at most, so that one caller with a long wait does not keep the place from one who floods.
const REMEMBERED_US_MAX: u64 = 1_000_000;

/// One tenant's last refusal by a request limit.
///
/// Only time gives a request limit room, so what was refused stays refused until its wait is over; and while nothing
/// moves, of the tenant, on the route or for the model, the wait stays exact. It answers the same user on the same
/// route, for the same model and no greater cost only: another request may have room, or a longer wait of its own,
/// and a `Retry-After` that is too early is a lie.
#[derive(Default)]
pub(super) struct Denial {
    /// Until when `last` holds; 0: forgotten. A filter that spares admissions the look at `last`.
    until_us: AtomicU64,
    last: ArcSwapOption<Refused>,
}

struct Refused {
    user: UserIx,
    route: Place,
    cost: Option<Worth>,
    until_us: u64,
    retry_us: u64,
    reset_us: u64,
    full: Arc<Full>,
    tally: Arc<Tally>,
}

/// A refusal, borrowed from where it is remembered: to count one more who holds it would cost a third of a recall.
pub(super) struct Remembered(Guard<Option<Arc<Refused>>>);

impl Remembered {
    pub(super) fn full(&self) -> &Arc<Full> {
        &self.0.as_ref().expect("there is one that was recalled").full
    }
}

/// A route or model, and how often its levels had moved.
#[derive(PartialEq, Eq)]
pub(super) struct Place {
    key: CommonKey,
    moves: u64,
}

impl Place {
    #[inline]
    pub(super) fn of(common: &Arc<Common>) -> Place {
        Place { key: common.key(), moves: common.moves() }
    }
}

/// For which model it was, and what it could cost at most.
pub(super) struct Worth {
    model: Place,
    prompt: u64,
    completion_max: u64,
    choices: u32,
    clamp: bool,
}

impl Worth {
    #[inline]
    pub(super) fn of(metered: &Metered<'_>) -> Worth {
        let Metered { model, prompt, completion_max, choices, clamp, .. } = *metered;
        let completion_max = completion_max.unwrap_or(u64::MAX);
        Worth { model: Place::of(model), prompt, completion_max, choices, clamp }
    }

    /// Is `other` for the same model and no dearer?
    #[inline]
    fn covers(&self, other: &Worth) -> bool {
        self.model == other.model
            && other.prompt <= self.prompt
            && other.completion_max <= self.completion_max
            && other.choices <= self.choices
            && other.clamp == self.clamp
    }
}

impl Refused {
    /// Is a request of this cost refused as well, and for no longer? None: not metered, or not known yet.
    #[inline]
    fn covers(&self, cost: Option<&Metered<'_>>) -> bool {
        match (cost, &self.cost) {
            (None, _) => !self.full.per.is_of_model(),
            (Some(cost), Some(refused)) => refused.covers(&Worth::of(cost)),
            (Some(_), None) => false,
        }
    }
}

impl Denial {
    /// Hot path. The refusal that still holds for this caller. No lock, no allocation.
    #[inline]
    pub(super) fn recall(&self, user: UserIx, asking: &Asking<'_>, now_us: u64) -> Option<Limited> {
        if now_us >= self.until_us.load(Ordering::Acquire) {
            return None;
        }
        let last = self.last.load();
        let refused = last.as_ref().filter(|refused| {
            now_us < refused.until_us
                && refused.user == user
                && refused.route == Place::of(asking.route)
                && refused.covers(asking.metered.as_ref())
        })?;
        refused.tally.refused();
        let reset = Duration::from_micros(refused.reset_us.saturating_sub(now_us));
        let retry_after = Duration::from_micros(refused.retry_us - now_us);
        Some(Limited { full: Remembered(last).into(), reset, retry_after })
    }

    /// Remembers a refusal, unless one still holds or a place may come free at any time. `route` and `cost` are as of
    /// when it refused. Call it under the tenant's lock, so that it cannot cross [`forget`](Denial::forget).
    pub(super) fn remember(
        &self,
        user: UserIx,
        (route, cost): (Place, Option<Worth>),
        limited: &Limited,
        tally: Arc<Tally>,
        now_us: u64,
    ) {
        // Other limits' waits depend on what a request costs, or end when others do.
        if limited.full.unit != Unit::Requests || now_us < self.until_us.load(Ordering::Relaxed) {
            return;
        }
        let at_us = |wait: Duration| now_us.saturating_add(wait.as_micros() as u64);
        let (retry_us, reset_us) = (at_us(limited.retry_after), at_us(limited.reset));
        let until_us = retry_us.min(now_us.saturating_add(REMEMBERED_US_MAX));
        let full = limited.full.share();
        let refused = Refused { user, route, cost, until_us, retry_us, reset_us, full, tally };
        self.last.store(Some(Arc::new(refused)));
        self.until_us.store(until_us, Ordering::Release);
    }

    /// Forgets it: the tenant's levels moved, or a reload changed its limits. Call it under the tenant's lock.
    #[inline]
    pub(super) fn forget(&self) {
        if self.until_us.load(Ordering::Relaxed) != 0 {
            self.until_us.store(0, Ordering::Release);
        }
    }
}
