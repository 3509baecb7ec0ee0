//! Limits as admission reads them: grouped by what they are counted per, numbers worked out.

use super::quota::Quota;
use super::{Amount, Limit, Per, Plan, RoutePlan};
use std::sync::Arc;

/// A request limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rate {
    pub(super) name: Arc<str>,
    pub(super) quota: Quota,
}

/// A limit on requests at the same time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slots {
    pub(super) name: Arc<str>,
    pub(super) most: u32,
}

/// The limits of one kind of subject.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rules {
    pub(super) rates: Box<[Rate]>,
    pub(super) slots: Box<[Slots]>,
}

impl Rules {
    fn of(limits: &[Limit], per: Per) -> Rules {
        let limits = || limits.iter().filter(|limit| limit.per == per);
        let rate = |limit: &Limit| {
            Quota::of(limit.amount).map(|quota| Rate { name: Arc::clone(&limit.name), quota })
        };
        let slots = |limit: &Limit| match limit.amount {
            Amount::Concurrent(most) => Some(Slots { name: Arc::clone(&limit.name), most: most.get() }),
            Amount::Requests { .. } => None,
        };
        Rules { rates: limits().filter_map(rate).collect(), slots: limits().filter_map(slots).collect() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rates.is_empty() && self.slots.is_empty()
    }

    /// Must open requests be counted?
    pub(super) fn has_slots(&self) -> bool {
        !self.slots.is_empty()
    }
}

/// A compiled [`Plan`]; a limit per route has no meaning in one, and is left out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PlanRules {
    pub(super) tenant: Rules,
    pub(super) user: Rules,
    pub(super) tenant_route: Rules,
}

impl PlanRules {
    pub(super) fn of(plan: &Plan) -> PlanRules {
        PlanRules {
            tenant: Rules::of(&plan.limits, Per::Tenant),
            user: Rules::of(&plan.limits, Per::User),
            tenant_route: Rules::of(&plan.limits, Per::TenantRoute),
        }
    }
}

/// A compiled [`RoutePlan`]; limits per tenant or user have no meaning in one, and are left out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct RouteRules {
    pub(super) route: Rules,
    pub(super) tenant_route: Rules,
}

impl RouteRules {
    pub(super) fn of(plan: &RoutePlan) -> RouteRules {
        RouteRules {
            route: Rules::of(&plan.limits, Per::Route),
            tenant_route: Rules::of(&plan.limits, Per::TenantRoute),
        }
    }
}
