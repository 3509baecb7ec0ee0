//! What became of further attempts, by route.

use super::metrics::{FALLBACKS, RETRIES, RETRY_BUDGET};
use crate::upstream::retry::Reason;
use metrics::Counter;
use std::sync::{Arc, OnceLock};

/// Where a request goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To another backend of the same pool.
    Again,
    /// To the fallback.
    Fallback,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered.
    Ok,
    /// That attempt failed as well.
    Failed,
    /// It was not made: the pool's budget is spent.
    NoBudget,
    /// It was not made: no backend was left to be asked.
    NoBackend,
}

impl Outcome {
    const ALL: usize = 4;

    fn name(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::Failed => "failed",
            Outcome::NoBudget => "no_budget",
            Outcome::NoBackend => "no_backend",
        }
    }
}

/// The handles of one route; a series appears with its first count.
pub struct RetryMetrics {
    route: Arc<str>,
    again: Table,
    fallback: Table,
}

type Table = [[OnceLock<Counter>; Outcome::ALL]; Reason::ALL.len()];

impl RetryMetrics {
    /// Of `route`.
    pub fn new(route: &Arc<str>) -> RetryMetrics {
        RetryMetrics { route: route.clone(), again: Table::default(), fallback: Table::default() }
    }

    /// Counts what came of going on `way` because of `reason`.
    pub fn count(&self, way: Way, reason: Reason, outcome: Outcome) {
        let (name, table) = match way {
            Way::Again => (RETRIES, &self.again),
            Way::Fallback => (FALLBACKS, &self.fallback),
        };
        let labels = || {
            [
                ("route", self.route.to_string()),
                ("reason", reason.name().into()),
                ("outcome", outcome.name().into()),
            ]
        };
        let counter =
            table[reason as usize][outcome as usize].get_or_init(|| metrics::counter!(name, &labels()));
        counter.increment(1);
    }
}

/// A pool's count of attempts that were not made for want of budget.
pub fn budget_exhausted(pool: &str) -> Counter {
    metrics::counter!(RETRY_BUDGET, "pool" => pool.to_owned())
}
