//! A refusal, as the caller is told it.

use super::{Per, Standing, Unit, headers};
use std::sync::Arc;
use std::time::Duration;

/// A refusal that explains itself: of all limits that had no room, the one with the longest wait.
///
/// Its `Display` is the sentence for the caller. Small, and cheap to make again while the same limit is full.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", headers::explain(self))]
pub struct Limited {
    /// The limit; nothing was charged to it.
    pub full: Arc<Full>,
    /// Until nothing counts against it any more; the expected wait for a concurrency limit.
    pub reset: Duration,
    /// Wait before jitter and rounding; never zero. Exact for request limits: alone, the caller would be admitted
    /// then and not a microsecond before. An estimate for concurrency, where others decide when to leave.
    pub retry_after: Duration,
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
    /// A limit of days or months of a calendar.
    pub budget: bool,
    /// How much of it the request asked for.
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
        let Full { limit, unit, budget, quota, most, window, used, held, .. } = &*self.full;
        Standing {
            limit: Arc::clone(limit),
            unit: *unit,
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
