//! Limits as admission reads them: grouped by what they are counted per, numbers worked out.

use super::levels::Open;
use super::quota::Quota;
use super::spend::SpendRule;
use super::tally::{Tallies, Tally};
use super::{Amount, CommonPlan, Limit, Per, Plan};
use std::sync::Arc;

/// A request limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rate {
    pub(super) name: Arc<str>,
    pub(super) quota: Quota,
    pub(super) shadow: bool,
    pub(super) tally: Arc<Tally>,
}

/// A limit on requests at the same time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slots {
    pub(super) name: Arc<str>,
    pub(super) most: u32,
    pub(super) shadow: bool,
    pub(super) tally: Arc<Tally>,
}

impl Slots {
    /// Requests that take its places. What a shadow would have refused would not be there.
    #[inline]
    pub(super) fn used(&self, open: Open) -> u32 {
        if self.shadow { open.requests.saturating_sub(open.over) } else { open.requests }
    }

    #[inline]
    pub(super) fn has_room(&self, open: Open) -> bool {
        self.used(open) < self.most
    }
}

/// The limits of one kind of subject.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Rules {
    pub(super) rates: Box<[Rate]>,
    pub(super) slots: Box<[Slots]>,
    pub(super) spends: Box<[SpendRule]>,
    /// Does any end streams in their middle?
    pub(super) cuts: bool,
    /// Is any a shadow?
    pub(super) shadows: bool,
}

impl Rules {
    fn of(limits: &[Limit], per: Per, tallies: &Tallies<'_>, born: u32) -> Rules {
        let limits = || {
            let limits = limits.iter().filter(|limit| limit.per == per);
            limits.map(|limit| (limit, tallies.of(limit)))
        };
        let rate = |(limit, tally): (&Limit, Arc<Tally>)| {
            let quota = Quota::of(&limit.amount)?;
            Some(Rate { name: Arc::clone(&limit.name), quota, shadow: limit.shadow, tally })
        };
        let slots = |(limit, tally): (&Limit, Arc<Tally>)| match limit.amount {
            Amount::Concurrent(most) => {
                Some(Slots { name: Arc::clone(&limit.name), most: most.get(), shadow: limit.shadow, tally })
            }
            _ => None,
        };
        let spends: Box<[SpendRule]> =
            limits().filter_map(|(limit, tally)| SpendRule::of(limit, &tally, born)).collect();
        Rules {
            cuts: spends.iter().any(SpendRule::cuts),
            shadows: limits().any(|(limit, _)| limit.shadow),
            rates: limits().filter_map(rate).collect(),
            slots: limits().filter_map(slots).collect(),
            spends,
        }
    }

    /// As they follow on `before`: limits on spending that were there keep their mark and, unless they count something
    /// else now, their age.
    fn after(mut self, before: &Rules) -> Rules {
        let known = |rule: &SpendRule| before.spends.iter().find(|old| old.name == rule.name);
        let taken = self.spends.iter().filter_map(known).fold(0, |marks, old| marks | old.mark);
        let mut free = (0..u16::BITS).map(|bit| 1 << bit).filter(|mark| taken & mark == 0);
        for rule in &mut self.spends {
            let old = known(rule);
            rule.mark = old.map_or_else(|| free.next().unwrap_or(0), |old| old.mark);
            rule.born = old.filter(|old| old.counted() == rule.counted()).map_or(rule.born, |old| old.born);
        }
        self
    }

    /// Have the limits on spending that `before` knows the age and mark that they had there?
    fn follow(&self, before: &Rules) -> bool {
        self.spends.iter().all(|rule| {
            let old = before.spends.iter().find(|old| old.name == rule.name);
            old.is_none_or(|old| {
                (old.born, old.mark) == (rule.born, rule.mark) || old.counted() != rule.counted()
            })
        })
    }

    /// Do `other`'s limits have the same names in the same places?
    pub(super) fn same_places(&self, other: &Rules) -> bool {
        (self.rates.len(), self.spends.len()) == (other.rates.len(), other.spends.len())
            && self.rates.iter().zip(&other.rates).all(|(one, another)| one.name == another.name)
            && self.spends.iter().zip(&other.spends).all(|(one, another)| one.name == another.name)
    }

    /// Does any budget go, come or count otherwise, if `other` takes their place? Its amount may change.
    pub(super) fn moves_budgets(&self, other: &Rules) -> bool {
        let [before, after] = [self, other].map(|rules| rules.spends.iter().filter_map(SpendRule::budget));
        !before.eq(after)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rates.is_empty() && self.slots.is_empty() && self.spends.is_empty()
    }

    /// Must open requests be counted, because their end changes something here?
    pub(super) fn waits_for_the_end(&self) -> bool {
        !self.slots.is_empty() || !self.spends.is_empty()
    }
}

/// A compiled [`Plan`]; a limit per route or model has no meaning in one, and is left out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PlanRules {
    pub(super) tenant: Rules,
    pub(super) user: Rules,
    pub(super) tenant_route: Rules,
    pub(super) tenant_model: Rules,
}

impl PlanRules {
    /// Of the reload `born`.
    pub(super) fn of(plan: &Plan, tallies: &Tallies<'_>, born: u32) -> PlanRules {
        let rules = |per| Rules::of(&plan.limits, per, tallies, born);
        PlanRules {
            tenant: rules(Per::Tenant),
            user: rules(Per::User),
            tenant_route: rules(Per::TenantRoute),
            tenant_model: rules(Per::TenantModel),
        }
    }

    /// As they follow on `before`; `before` itself if nothing has changed.
    pub(super) fn after(self, before: &Arc<PlanRules>) -> Arc<PlanRules> {
        let rules = PlanRules {
            tenant: self.tenant.after(&before.tenant),
            user: self.user.after(&before.user),
            tenant_route: self.tenant_route.after(&before.tenant_route),
            tenant_model: self.tenant_model.after(&before.tenant_model),
        };
        if rules == **before { Arc::clone(before) } else { Arc::new(rules) }
    }
}

/// A compiled [`CommonPlan`]; limits per tenant or user have no meaning in one, and are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct CommonRules {
    /// What all callers share.
    pub(super) all: Rules,
    /// What each tenant has for itself.
    pub(super) tenant: Rules,
}

impl CommonRules {
    /// The rules of a route or model, as `per` says, of the reload `born`.
    pub(super) fn of(plan: &CommonPlan, per: Per, tallies: &Tallies<'_>, born: u32) -> CommonRules {
        let tenant = if per == Per::Model { Per::TenantModel } else { Per::TenantRoute };
        CommonRules {
            all: Rules::of(&plan.limits, per, tallies, born),
            tenant: Rules::of(&plan.limits, tenant, tallies, born),
        }
    }

    /// As they follow on `before`; `before` itself if nothing has changed.
    pub(super) fn after(self, before: &Arc<CommonRules>) -> Arc<CommonRules> {
        let all = self.all.after(&before.all);
        let rules = CommonRules { all, tenant: self.tenant.after(&before.tenant) };
        if rules == **before { Arc::clone(before) } else { Arc::new(rules) }
    }
    /// These rules for a tenant that has levels by `before`: it may have missed policies in between, and limits that
    /// have gone and come back since are the same to it.
    pub(super) fn known_by(self: Arc<CommonRules>, before: &Arc<CommonRules>) -> Arc<CommonRules> {
        if self.tenant.follow(&before.tenant) { self } else { CommonRules::clone(&self).after(before) }
    }
}
