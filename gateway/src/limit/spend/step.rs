//! A step of one request's cost, and what it does to each limit on spending.

use crate::limit::measure::{ByMeasure, Measure};

/// The step of one request's cost from what was charged so far to what is known now.
#[derive(Debug, Clone, Copy)]
pub(in crate::limit) struct Step {
    amounts: ByMeasure<Amounts>,
    /// The date of its admission.
    pub(super) began_ms: u64,
}

/// What a [`Step`] does by one measure.
#[derive(Debug, Clone, Copy)]
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

impl Step {
    /// From what was charged so far to what is charged from now on; at another price than the hold if another model
    /// answers. After the `last` nothing stays held.
    #[inline]
    pub(in crate::limit) fn new(
        hold: &ByMeasure<u64>,
        (from, to): (&ByMeasure<u64>, &ByMeasure<u64>),
        last: bool,
        began_ms: u64,
    ) -> Step {
        let of = |measure| Amounts::of(*hold.by(measure), *from.by(measure), *to.by(measure), last);
        Step { amounts: ByMeasure::each(of), began_ms }
    }

    #[inline]
    pub(super) fn amounts(&self, measure: Measure) -> &Amounts {
        self.amounts.by(measure)
    }
}

impl Amounts {
    /// What is charged comes out of the hold, and goes back into it where less is known to have been spent than was
    /// thought: so what a request holds is always told by what it was charged.
    #[inline]
    fn of(hold: u64, from: u64, to: u64, last: bool) -> Amounts {
        let left = |charged: u64| hold.saturating_sub(charged);
        let beyond = if last { to.saturating_sub(hold) } else { 0 };
        Amounts { release: left(from), hold: if last { 0 } else { left(to) }, from, to, beyond }
    }
}
