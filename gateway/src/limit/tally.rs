//! What became of the requests that met a limit, counted for metrics; one tally for all subjects of the limit.

use super::{Limit, Per, Unit};
use serde::Serialize;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the program started; kept across reloads by the limit's place, its name and what it counts.
#[derive(Debug, Default)]
pub struct Tally {
    refused: AtomicU64,
    would_refuse: AtomicU64,
    overshoot: AtomicU64,
}

/// A tally at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// Requests it refused.
    pub refused: u64,
    /// Requests it would have refused, were it not a shadow.
    pub would_refuse: u64,
    /// What requests cost beyond what was held for them, in the limit's unit.
    pub overshoot: u64,
}

impl Tally {
    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn would_refuse(&self) {
        self.would_refuse.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn overshot(&self, by: u64) {
        self.overshoot.fetch_add(by, Ordering::Relaxed);
    }

    /// The counts now.
    pub fn counts(&self) -> Counts {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counts {
            refused: read(&self.refused),
            would_refuse: read(&self.would_refuse),
            overshoot: read(&self.overshoot),
        }
    }
}

/// The same tally, not equal counts: rules are compared to see whether a reload changed them.
impl PartialEq for Tally {
    fn eq(&self, other: &Tally) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Tally {}

/// All tallies, kept across reloads: one for each limit of each plan, route and model.
#[derive(Default)]
pub(super) struct AllTallies(BTreeMap<Where, Arc<Tally>>);

/// Which limit: the kind of place it is written in, that place's name, what it is counted per, its own name, what it
/// counts. A limit that is edited to count something else starts anew.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Where {
    pub(super) kind: &'static str,
    pub(super) of: Arc<str>,
    pub(super) per: Per,
    pub(super) limit: Arc<str>,
    pub(super) unit: Unit,
}

impl AllTallies {
    /// Those of one plan, route or model.
    pub(super) fn of(&mut self, kind: &'static str, of: &Arc<str>) -> Tallies<'_> {
        Tallies { all: RefCell::new(&mut self.0), kind, of: Arc::clone(of) }
    }

    /// Forgets limits that nothing counts by any more.
    pub(super) fn sweep(&mut self) {
        self.0.retain(|_, tally| Arc::strong_count(tally) > 1);
    }

    pub(super) fn each(&self) -> impl Iterator<Item = (&Where, &Arc<Tally>)> {
        self.0.iter()
    }
}

/// The tallies of one plan, route or model, made when asked for.
pub(super) struct Tallies<'a> {
    all: RefCell<&'a mut BTreeMap<Where, Arc<Tally>>>,
    kind: &'static str,
    of: Arc<str>,
}

impl Tallies<'_> {
    pub(super) fn of(&self, limit: &Limit) -> Arc<Tally> {
        let (of, name) = (Arc::clone(&self.of), Arc::clone(&limit.name));
        let key = Where { kind: self.kind, of, per: limit.per, limit: name, unit: limit.amount.unit() };
        Arc::clone(self.all.borrow_mut().entry(key).or_default())
    }
}
