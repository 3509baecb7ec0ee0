//! A request that was let in: what it holds, what it has cost so far, and how it ends.

use super::common::{Common, CommonKey};
use super::constrained::Standings;
use super::decide::{Over, SUBJECTS, Skipped};
use super::measure::{ByMeasure, Cost};
use super::price::Price;
use super::spend::{Spend, SpendRule, Step};
use super::tenant::Tenant;
use super::users::UserIx;
use crate::clock::Now;
use crate::usage::Tokens;
use std::ops::BitOrAssign;
use std::sync::Arc;

/// A request that was let in; dropping it, on any thread, gives back its places and what it still holds.
#[must_use = "dropping a permit gives its places back: keep it until the request has ended"]
pub struct Permit {
    /// Set only where the end of this request changes something.
    pub(super) tenant: Option<(Arc<Tenant>, Counted)>,
    pub(super) route: Option<Arc<Common>>,
    pub(super) model: Option<Arc<Common>>,
    /// None: not metered.
    pub(super) ledger: Option<Ledger>,
    /// Boxed: most of a permit's size, and made only where headers are asked for.
    pub(super) standings: Option<Box<Standings>>,
    /// Where it takes no place of a shadow's.
    pub(super) over: Over,
    pub(super) began_us: u64,
    /// The latest moment it has seen; what Drop takes for the end.
    pub(super) seen: Now,
}

/// Where a tenant counts an open request.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counted {
    pub(super) tenant: bool,
    pub(super) user: Option<UserIx>,
    pub(super) on_route: Option<CommonKey>,
    pub(super) for_model: Option<CommonKey>,
}

impl Counted {
    pub(super) fn any(&self) -> bool {
        self.tenant || self.user.is_some() || self.on_route.is_some() || self.for_model.is_some()
    }
}

/// The reloads in force at admission: limits that came later were not asked. One for each, because a reload reaches
/// routes and models before it reaches a tenant.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Born {
    /// Of the tenant: its limits and its users', and its plan's on routes and for models.
    pub(super) tenant: u32,
    /// Of the route's limits per tenant.
    pub(super) on_route: u32,
    /// Of the model's limits per tenant.
    pub(super) for_model: u32,
    pub(super) route: u32,
    pub(super) model: u32,
}

/// What a metered request holds and has been charged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ledger {
    pub(super) hold: ByMeasure<u64>,
    /// What its tokens cost: at first the price that the hold was made by.
    pub(super) price: Price,
    pub(super) charged: ByMeasure<u64>,
    pub(super) ended: bool,
    /// Limits it was not held at, shadows then: they are not charged either, as they would not be had they refused.
    pub(super) skipped: Skipped,
    pub(super) born: Born,
    /// A limit among its own ends streams in their middle.
    pub(super) cuts: bool,
    /// The date of its admission.
    pub(super) began_ms: u64,
}

/// What a step of a request's cost did.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Stepped {
    /// A limit that cuts is spent.
    pub(super) spent: bool,
    /// A count that outlives the program has changed.
    pub(super) dated: bool,
}

impl BitOrAssign for Stepped {
    fn bitor_assign(&mut self, other: Stepped) {
        self.spent |= other.spent;
        self.dated |= other.dated;
    }
}

impl Ledger {
    /// Nothing charged yet of what is held. `born` as the field, likewise `skipped` and `cuts`.
    #[inline]
    pub(super) fn new(hold: Cost, skipped: Skipped, born: Born, cuts: bool, now: Now) -> Ledger {
        Ledger {
            hold: hold.by_each(),
            price: hold.price,
            charged: ByMeasure::ZERO,
            ended: false,
            skipped,
            born,
            cuts,
            began_ms: now.wall_ms,
        }
    }

    /// Takes a step at one subject, which has spent `spends` of `rules`. `at` is its position, `born` the reload it was
    /// admitted under there.
    ///
    /// Limits that a reload brought since were not asked and are not charged: what is under way is beyond them.
    #[inline]
    pub(super) fn step(
        &self,
        step: &Step<'_>,
        at: usize,
        born: u32,
        (rules, spends): (&[SpendRule], &mut [Spend]),
        now: Now,
    ) -> Stepped {
        let mut stepped = Stepped::default();
        for (rule, spend) in rules.iter().zip(spends) {
            // Born later, or wrapped around: either way not what it was admitted by.
            let admitted = born.wrapping_sub(rule.born) < u32::MAX / 2;
            if !admitted || self.skipped[at] & rule.mark != 0 {
                continue;
            }
            spend.step(rule, step, now);
            stepped.spent |= rule.cuts() && self.can_spend(rule) && spend.spent(rule, now) >= rule.most();
            stepped.dated |= rule.is_budget();
        }
        stepped
    }
}

impl Ledger {
    /// Would more of its answer count at this limit? A free one costs no money, and none has another prompt.
    fn can_spend(&self, rule: &SpendRule) -> bool {
        rule.measure.of(Tokens { prompt: 0, completion: 1 }, self.price) > 0
    }
}

impl Permit {
    /// Where the most constrained limits stood after the admission; empty if [`admit`](super::admit) was not asked to
    /// report.
    pub fn standings(&self) -> &Standings {
        static EMPTY: Standings = Standings { requests: None, tokens: None, spare_completion: None };
        self.standings.as_deref().unwrap_or(&EMPTY)
    }

    /// Completion tokens that the request may have before a limit on tokens or a budget is spent. None: no bound, or
    /// [`admit`](super::admit) was not asked to report.
    pub fn spare_completion(&self) -> Option<u64> {
        self.standings().spare_completion
    }

    /// What is held for it: an estimate. None: not metered.
    pub fn estimate(&self) -> Option<Tokens> {
        self.ledger.as_ref().map(|ledger| ledger.hold.tokens())
    }

    /// Does a limit end its stream once it is spent? Then [`progress`](Permit::progress) is to be called with every
    /// part that passes.
    pub fn cuts(&self) -> bool {
        self.ledger.as_ref().is_some_and(|ledger| ledger.cuts)
    }

    /// Charges what the request has cost `so_far`, out of what it holds. Returns whether it must end now, because
    /// a limit that cuts is spent.
    ///
    /// What was charged stays charged until the end: that a count turns out lower is for
    /// [`settle`](Permit::settle) to say, once.
    pub fn progress(&mut self, so_far: Tokens, now: Now) -> bool {
        let Some(Ledger { charged, .. }) = &self.ledger else { return false };
        let Tokens { prompt, completion } = charged.tokens();
        let to = Tokens { prompt: prompt.max(so_far.prompt), completion: completion.max(so_far.completion) };
        self.step(to, false, now)
    }

    /// Charges what the request has cost in all and lets go of the rest of its hold. What it cost beyond is a debt.
    pub fn settle(&mut self, actual: Tokens, now: Now) {
        self.step(actual, true, now);
    }

    /// From here on its tokens have another price, because another model answers. The hold stays what it is.
    ///
    /// Before anything is charged: what is charged already would be charged anew.
    pub fn reprice(&mut self, price: Price) {
        if let Some(ledger) = self.ledger.as_mut().filter(|ledger| ledger.charged == ByMeasure::ZERO) {
            ledger.price = price;
        }
    }

    /// Tells the quantile of the tenant's answers of this model how long this one was.
    pub fn learn(&self, completion: u64) {
        if let Some((tenant, Counted { for_model: Some(model), .. })) = &self.tenant {
            tenant.learn(*model, completion, self.seen);
        }
    }

    fn step(&mut self, to: Tokens, last: bool, now: Now) -> bool {
        self.seen = now;
        let Some(ledger) = self.ledger.as_mut().filter(|ledger| !ledger.ended) else { return false };
        let to = Cost { tokens: to, price: ledger.price }.by_each();
        let from = std::mem::replace(&mut ledger.charged, to);
        ledger.ended = last;
        if from == to && !last {
            return false;
        }
        let ledger = &*ledger;
        let Ledger { hold, began_ms, born, .. } = ledger;
        let step = Step { hold, from: &from, to: &to, last, began_ms: *began_ms };
        let mut spent = false;
        if let Some((tenant, counted)) = &self.tenant {
            spent |= tenant.step(counted, ledger, &step, now);
        }
        if let Some(route) = &self.route {
            spent |= route.step(ledger, &step, SUBJECTS - 2, born.route, now);
        }
        if let Some(model) = &self.model {
            spent |= model.step(ledger, &step, SUBJECTS - 1, born.model, now);
        }
        spent
    }

    /// The price of its tokens.
    pub fn price(&self) -> Price {
        self.ledger.map_or_else(Price::default, |ledger| ledger.price)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        // Nobody said what it cost: what progress has charged stands.
        if let Some(charged) =
            self.ledger.as_ref().filter(|ledger| !ledger.ended).map(|ledger| ledger.charged)
        {
            self.step(charged.tokens(), true, self.seen);
        }
        let took_us = self.seen.mono_us.saturating_sub(self.began_us);
        if let Some((tenant, counted)) = self.tenant.take() {
            tenant.books.lock().close(counted, self.over, took_us);
        }
        if let Some(route) = self.route.take() {
            route.close(self.over.at(SUBJECTS - 2), took_us);
        }
        if let Some(model) = self.model.take() {
            model.close(self.over.at(SUBJECTS - 1), took_us);
        }
    }
}
