//! A refusal, as the caller is told it.

use super::denial::Remembered;
use super::money::Currency;
use super::{Per, Standing, Unit, headers};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

/// A refusal that explains itself: of all limits that had no room, the one with the longest wait.
///
/// Its `Display` is the sentence for the caller. Small, and cheap to make again while the same limit is full.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", headers::explain(self))]
pub struct Limited {
    /// The limit; nothing was charged to it.
    pub full: Reason,
    /// Until nothing counts against it any more; the expected wait for a concurrency limit.
    pub reset: Duration,
    /// Wait before jitter and rounding; never zero. Exact for request limits: alone, the caller would be admitted
    /// then and not a microsecond before. An estimate for concurrency, where others decide when to leave.
    pub retry_after: Duration,
}

/// The limit that a refusal is for: found full just now, or borrowed from the refusal that is remembered.
pub struct Reason(Held);

enum Held {
    Found(Arc<Full>),
    Remembered(Remembered),
}

impl Reason {
    /// For longer than a refusal takes.
    pub(super) fn share(&self) -> Arc<Full> {
        Arc::clone(self.full())
    }

    fn full(&self) -> &Arc<Full> {
        match &self.0 {
            Held::Found(full) => full,
            Held::Remembered(remembered) => remembered.full(),
        }
    }
}

impl From<Full> for Reason {
    fn from(full: Full) -> Reason {
        Reason(Held::Found(Arc::new(full)))
    }
}

impl From<Remembered> for Reason {
    fn from(remembered: Remembered) -> Reason {
        Reason(Held::Remembered(remembered))
    }
}

impl Deref for Reason {
    type Target = Full;

    fn deref(&self) -> &Full {
        self.full()
    }
}

impl Clone for Reason {
    fn clone(&self) -> Reason {
        Reason(Held::Found(self.share()))
    }
}

impl PartialEq for Reason {
    fn eq(&self, other: &Reason) -> bool {
        **self == **other
    }
}

impl Eq for Reason {}

impl fmt::Debug for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// A limit without room for one more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Full {
    /// Name of the limit.
    pub limit: Arc<str>,
    /// The level it is counted at.
    pub per: Per,
    /// The tenant, if the level is one of its own.
    pub tenant: Option<Arc<str>>,
    /// The user, if the level is a user's.
    pub user: Option<Arc<str>>,
    /// The route, if the level is counted by route.
    pub route: Option<Arc<str>>,
    /// The model, if the level is counted by model.
    pub model: Option<Arc<str>>,
    /// What it counts.
    pub unit: Unit,
    /// See [`Standing::currency`].
    pub currency: Currency,
    /// A limit of days or months of a calendar.
    pub budget: bool,
    /// How much of it the request asked for; 0: what it would cost is not known, or nothing.
    pub requested: u64,
    /// See [`Standing::quota`].
    pub quota: u64,
    /// See [`Standing::most`].
    pub most: u64,
    /// See [`Standing::window`].
    pub window: Duration,
    /// See [`Standing::used`].
    pub used: u64,
    /// See [`Standing::held`].
    pub held: u64,
}

impl Full {
    /// A limit on requests at the same time.
    pub fn concurrent(&self) -> bool {
        self.unit == Unit::Places
    }
}

impl Limited {
    /// Where the limit stands.
    pub fn standing(&self) -> Standing {
        let Full { limit, unit, currency, budget, quota, most, window, used, held, .. } = &*self.full;
        Standing {
            limit: Arc::clone(limit),
            unit: *unit,
            currency: *currency,
            quota: *quota,
            most: *most,
            window: *window,
            used: *used,
            held: *held,
            remaining: most.saturating_sub(*used),
            reset: self.reset,
            budget: *budget,
        }
    }
}
