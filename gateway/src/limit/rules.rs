//! Limits as admission reads them: grouped by what they are counted per, numbers worked out.

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

/// The limits of one kind of subject.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rules {
    pub(super) rates: Box<[Rate]>,
    pub(super) slots: Box<[Slots]>,
    pub(super) spends: Box<[SpendRule]>,
    /// Does any end streams in their middle?
    pub(super) cuts: bool,
}

impl Rules {
    fn of(limits: &[Limit], per: Per, tallies: &Tallies<'_>) -> Rules {
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
            limits().filter_map(|(limit, tally)| SpendRule::of(limit, &tally)).collect();
        Rules {
            cuts: spends.iter().any(SpendRule::cuts),
            rates: limits().filter_map(rate).collect(),
            slots: limits().filter_map(slots).collect(),
            spends,
        }
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
    pub(super) fn of(plan: &Plan, tallies: &Tallies<'_>) -> PlanRules {
        let rules = |per| Rules::of(&plan.limits, per, tallies);
        PlanRules {
            tenant: rules(Per::Tenant),
            user: rules(Per::User),
            tenant_route: rules(Per::TenantRoute),
            tenant_model: rules(Per::TenantModel),
        }
    }
}

/// A compiled [`CommonPlan`]; limits per tenant or user have no meaning in one, and are left out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct CommonRules {
    /// What all callers share.
    pub(super) all: Rules,
    /// What each tenant has for itself.
    pub(super) tenant: Rules,
}

impl CommonRules {
    /// The rules of a route or model, as `per` says.
    pub(super) fn of(plan: &CommonPlan, per: Per, tallies: &Tallies<'_>) -> CommonRules {
        let tenant = if per == Per::Model { Per::TenantModel } else { Per::TenantRoute };
        CommonRules {
            all: Rules::of(&plan.limits, per, tallies),
            tenant: Rules::of(&plan.limits, tenant, tallies),
        }
    }
}
