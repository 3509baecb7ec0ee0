//! How much: levels of tenants, routes and models, as this policy wants them counted.

use crate::clock::Now;
use crate::limit::{self, Applied, Common, CommonPlan, Plan, TenantSpec};
use crate::policy::Live;
use crate::policy::check::{self, Checked};
use crate::policy::snapshot::{Model, Models};
use std::sync::Arc;

/// Puts the limits in force; handles to them come in the order of the policy.
pub fn apply(checked: &Checked, live: &Live, now: Now) -> Applied {
    let plan =
        |plan: &check::Plan| Arc::new(Plan { name: plan.name.clone(), limits: rules_of(&plan.limits) });
    let plans: Vec<Arc<Plan>> = checked.plans.iter().map(plan).collect();
    let tenant = |tenant: &check::Tenant| TenantSpec {
        name: tenant.name.clone(),
        plan: plans[tenant.plan].clone(),
        users: tenant.users.iter().map(|user| user.name.clone()).collect(),
    };
    let tenants: Vec<TenantSpec> = checked.tenants.iter().map(tenant).collect();
    let common = |name: &Arc<str>, limits: &[check::Limit]| {
        (Arc::clone(name), Arc::new(CommonPlan { limits: rules_of(limits) }))
    };
    let routes: Vec<_> = checked.routes.iter().map(|route| common(&route.name, &route.limits)).collect();
    let models: Vec<_> = checked.models.iter().map(|model| common(&model.name, &model.limits)).collect();
    live.limits.apply(&limit::Policy { tenants: &tenants, routes: &routes, models: &models }, now)
}

fn rules_of(limits: &[check::Limit]) -> Vec<limit::Limit> {
    limits.iter().map(|limit| limit.rule.clone()).collect()
}

/// Models with their levels. The last of them is the one that stands for all others.
pub fn models(specs: &[check::Model], levels: Vec<Arc<Common>>) -> Models {
    let mut models = specs.iter().zip(levels).map(|(spec, limits)| {
        let names = std::iter::once(spec.name.as_ref().into()).chain(spec.names.iter().cloned()).collect();
        let (name, price) = (spec.name.clone(), spec.price.unwrap_or_default());
        (Arc::new(Model { name, price, limits, ceilings: spec.ceilings }), names)
    });
    let named: Vec<_> = models.by_ref().take(specs.len().saturating_sub(1)).collect();
    let (other, _): (_, Vec<Box<str>>) = models.next().expect("`check` adds a model for all others");
    Models::new(named, other)
}
