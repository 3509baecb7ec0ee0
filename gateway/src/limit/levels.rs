//! The levels of one subject: one for each of its rules.

use super::Per;
use super::decide::Subject;
use super::level::{self, Level};
use super::rules::Rules;
use super::spend::{self, Spend};
use crate::clock::Now;

/// Levels and open requests of a tenant, a route, a model, or a tenant on one of these.
#[derive(Debug, Default)]
pub(super) struct Levels {
    /// One for each of the rules' `rates`.
    pub(super) rates: Box<[Level]>,
    /// One for each of the rules' `spends`.
    pub(super) spends: Box<[Spend]>,
}

impl Levels {
    /// Empty ones.
    pub(super) fn fresh(rules: &Rules) -> Levels {
        Levels { rates: level::fresh(&rules.rates).collect(), spends: spend::fresh(&rules.spends).collect() }
    }

    /// Puts new rules in force: levels are kept by the names of limits.
    pub(super) fn carry(&mut self, from: &Rules, to: &Rules, now: Now) {
        if from == to {
            return;
        }
        if from.same_places(to) {
            level::carry(&mut self.rates, &from.rates, &to.rates, now.mono_us);
            spend::carry(&mut self.spends, &from.spends, &to.spends, now);
            return;
        }
        self.rates = level::carried(&self.rates, &from.rates, &to.rates, now.mono_us).collect();
        self.spends = spend::carried(&self.spends, &from.spends, &to.spends, now).collect();
    }

    /// Forgetting them would change no decision.
    pub(super) fn idle(&self, rules: &Rules, now: Now) -> bool {
        level::idle(&rules.rates, &self.rates, now.mono_us) && spend::idle(&rules.spends, &self.spends, now)
    }

    /// As a subject of a decision; None if it has no say.
    #[inline]
    pub(super) fn subject<'a>(&'a mut self, per: Per, rules: &'a Rules, open: Open) -> Option<Subject<'a>> {
        let levels = Subject { per, rules, rates: &mut self.rates, spends: &mut self.spends, open };
        (!rules.is_empty()).then_some(levels)
    }
}

/// The open requests of a subject.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Open {
    /// How many there are; counted only where the end of a request changes something.
    pub(super) requests: u32,
    /// Of these, those that a shadow of `concurrent` would have refused.
    pub(super) over: u32,
    /// How long those that have ended took, in milliseconds: a moving average. 0: none has ended yet.
    pub(super) typical_ms: u32,
}

impl Open {
    /// One more. `over`: a shadow of `concurrent` would have refused it.
    #[inline]
    pub(super) fn begin(&mut self, over: bool) {
        self.requests += 1;
        self.over += u32::from(over);
    }

    /// One less, which took `took_us` and began so.
    #[inline]
    pub(super) fn end(&mut self, over: bool, took_us: u64) {
        debug_assert!(self.requests > 0, "a request ends once");
        self.requests = self.requests.saturating_sub(1);
        self.over = self.over.saturating_sub(u32::from(over));
        let took_ms = u32::try_from(took_us / 1000).unwrap_or(u32::MAX).max(1);
        self.typical_ms = match self.typical_ms {
            0 => took_ms,
            typical => typical - typical / 8 + took_ms / 8,
        };
    }

    /// When room that open requests take may be expected back: a second while nothing is known.
    #[inline]
    pub(super) fn typical_us(self) -> u64 {
        match self.typical_ms {
            0 => super::decide::PLACE_WAIT_US,
            ms => u64::from(ms) * 1000,
        }
    }
}
