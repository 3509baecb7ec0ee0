//! Every limit summed over its subjects, for metrics: series are made by policy, however many tenants there are.

use super::inspect::{Seen, debt};
use super::registry::Registry;
use super::tally::{Counts, Tally};
use super::{Per, Unit};
use crate::clock::Now;
use ahash::AHashMap;
use std::sync::Arc;

/// One limit over all its subjects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Totals {
    /// Where it is written: `plan`, `route` or `model`.
    pub kind: &'static str,
    /// Name of the plan, route or model.
    pub of: Arc<str>,
    /// What it is counted per.
    pub per: Per,
    /// Name of the limit.
    pub limit: Arc<str>,
    /// What it counts.
    pub unit: Unit,
    /// What became of the requests that met it.
    pub counts: Counts,
    /// What its subjects have used, holds included.
    pub used: u64,
    /// What they hold.
    pub held: u64,
    /// What they have left; a subject that no request has met yet is not counted.
    pub remaining: u64,
    /// What they owe.
    pub debt: u64,
}

impl Registry {
    /// Every limit of the policy in force, summed over its subjects. What has gone from policy is in it for as long as
    /// somebody's use of it still counts.
    ///
    /// Takes every lock for an instant, those of 100,000 tenants with four limits each in under 0.1 s: for a scrape, off
    /// the workers.
    pub fn totals(&self, now: Now) -> Vec<Totals> {
        self.look(|known| {
            let mut sums: AHashMap<*const Tally, Sum> = AHashMap::new();
            let mut add = |seen: Seen<'_>| sums.entry(Arc::as_ptr(seen.tally)).or_default().add(&seen);
            known.tenants.values().for_each(|tenant| tenant.books.lock().each(now, &mut add));
            known.routes.values().chain(known.models.values()).for_each(|common| common.each(now, &mut add));
            let totals = known.tallies.each().map(|(place, tally)| {
                let Sum { used, held, remaining, debt } =
                    sums.get(&Arc::as_ptr(tally)).copied().unwrap_or_default();
                Totals {
                    kind: place.kind,
                    of: Arc::clone(&place.of),
                    per: place.per,
                    limit: Arc::clone(&place.limit),
                    unit: place.unit,
                    counts: tally.counts(),
                    used,
                    held,
                    remaining,
                    debt,
                }
            });
            totals.collect()
        })
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    used: u64,
    held: u64,
    remaining: u64,
    debt: u64,
}

impl Sum {
    fn add(&mut self, seen: &Seen<'_>) {
        let standing = &seen.standing;
        self.used = self.used.saturating_add(standing.used);
        self.held = self.held.saturating_add(standing.held);
        self.remaining = self.remaining.saturating_add(standing.remaining);
        self.debt = self.debt.saturating_add(debt(standing));
    }
}
