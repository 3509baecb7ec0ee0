//! A step of one request's cost, and what it does to each limit on spending.

use crate::limit::measure::{ByMeasure, Measure};

/// The step of one request's cost from what was charged so far to what is charged from now on.
#[derive(Debug, Clone, Copy)]
pub(in crate::limit) struct Step<'a> {
    /// What admission held.
    pub(in crate::limit) hold: &'a ByMeasure<u64>,
    /// Charged so far; at another price than the hold if another model answers.
    pub(in crate::limit) from: &'a ByMeasure<u64>,
    /// To be charged from now on.
    pub(in crate::limit) to: &'a ByMeasure<u64>,
    /// The request has ended: nothing stays held.
    pub(in crate::limit) last: bool,
    /// The date of its admission.
    pub(in crate::limit) began_ms: u64,
}

/// What a [`Step`] does by one measure.
pub(super) struct Amounts {
    /// Held before it.
    pub(super) release: u64,
    /// Held after it.
    pub(super) hold: u64,
    /// Charged before it.
    pub(super) from: u64,
    /// Charged after it.
    pub(super) to: u64,
    /// What the request cost in the end beyond what was held for it.
    pub(super) beyond: u64,
}

impl Step<'_> {
    /// What the step does, by this measure. What is charged comes out of the hold, and goes back into it where less is
    /// known to have been spent than was thought: so what a request holds is always told by what it was charged.
    #[inline]
    pub(super) fn amounts(&self, measure: Measure) -> Amounts {
        let [hold, from, to] = [self.hold, self.from, self.to].map(|cost| *cost.by(measure));
        let left = |charged: u64| hold.saturating_sub(charged);
        let beyond = if self.last { to.saturating_sub(hold) } else { 0 };
        Amounts { release: left(from), hold: if self.last { 0 } else { left(to) }, from, to, beyond }
    }
}
