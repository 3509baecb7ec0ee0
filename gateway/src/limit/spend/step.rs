//! A step of one request's cost, and what it does to each limit on spending.

use crate::limit::measure::{Cost, Measure};

/// The step of one request's cost from what was charged so far to what is known now.
#[derive(Debug, Clone, Copy)]
pub(in crate::limit) struct Step {
    /// What admission held.
    pub(in crate::limit) hold: Cost,
    /// Charged so far.
    pub(in crate::limit) from: Cost,
    /// To be charged from now on.
    pub(in crate::limit) to: Cost,
    /// The request has ended: nothing stays held.
    pub(in crate::limit) last: bool,
    /// The date of its admission.
    pub(in crate::limit) began_ms: u64,
}

impl Step {
    /// What the step does, by this measure. What is charged comes out of the hold, and goes back into it where less is
    /// known to have been spent than was thought: so what a request holds is always told by what it was charged.
    #[inline]
    pub(super) fn amounts(&self, measure: Measure) -> Amounts {
        let (hold, from, to) = (self.hold.by(measure), self.from.by(measure), self.to.by(measure));
        let left = |charged: u64| hold.saturating_sub(charged);
        Amounts { release: left(from), hold: if self.last { 0 } else { left(to) }, from, to }
    }
}

/// A [`Step`] by one measure.
pub(super) struct Amounts {
    /// Held before it.
    pub(super) release: u64,
    /// Held after it.
    pub(super) hold: u64,
    /// Charged before it.
    pub(super) from: u64,
    /// Charged after it.
    pub(super) to: u64,
}
