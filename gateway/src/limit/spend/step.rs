//! A step of one request's cost, and what it does to each limit on spending.

use crate::limit::measure::{Cost, Measure};
use crate::limit::price::Price;
use crate::usage::Tokens;

/// The step of one request's cost from what was charged so far to what is known now.
#[derive(Debug, Clone, Copy)]
pub(in crate::limit) struct Step {
    /// What admission held.
    pub(in crate::limit) hold: Cost,
    /// Charged so far.
    pub(in crate::limit) from: Tokens,
    /// To be charged from now on.
    pub(in crate::limit) to: Tokens,
    /// Of what is charged; that of the hold was another if another model answers.
    pub(in crate::limit) price: Price,
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
        let (from, to) = (measure.of(self.from, self.price), measure.of(self.to, self.price));
        let hold = self.hold.by(measure);
        let left = |charged: u64| hold.saturating_sub(charged);
        let beyond = if self.last { to.saturating_sub(hold) } else { 0 };
        Amounts { release: left(from), hold: if self.last { 0 } else { left(to) }, from, to, beyond }
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
    /// What the request cost in the end beyond what was held for it.
    pub(super) beyond: u64,
}
