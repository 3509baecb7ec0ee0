//! Is every model endpoint covered by a limit that refuses?

use super::{Check, Index};
use crate::limit::Per;
use crate::policy::snapshot::Api;
use crate::policy::spec::{Limit, Limits, Model, Policy, Route};

/// What to do about a model endpoint that none covers.
const HELP: &str = "add `limits` to the route, limits to the plan, or `unlimited: \"the reason\"`";

impl Check<'_> {
    /// A model endpoint has no limit of its own; without one here a single caller may spend without end.
    pub(super) fn coverage(&self, policy: &Policy, plans: &Index) {
        for route in &policy.routes {
            if route.api == Api::Plain || route.unlimited.is_some() || self.limited(route, policy) {
                continue;
            }
            let path = format!("routes.{}", route.name.value);
            let shadows =
                if route.limits.list.is_empty() { "" } else { "; its own are shadows, which refuse nobody" };
            let uncovered = |what: String| {
                self.problems.add(route.name.place, &path, format!("{what}{shadows}"), HELP);
            };
            let Some(rules) = &route.auth else {
                uncovered("a model endpoint that anybody may call, and no limit covers it".into());
                continue;
            };
            let mut callers = policy.tenants.iter().filter(|tenant| tenant.may_call(&rules.kinds)).peekable();
            if callers.peek().is_none() {
                if self.problems.count() > 0 {
                    continue; // somebody might, once the rest is mended
                }
                uncovered(
                    "a model endpoint that no limit covers: it has none, and no tenant may call it yet"
                        .into(),
                );
                continue;
            }
            let unlimited = callers.find_map(|tenant| {
                let plan = &policy.plans[*plans.get(&tenant.plan.value)?];
                let counts =
                    |limit: &Limit| route.api.is_counted(limit.per, limit.amount.value.is_spending());
                (!refuses_some(&plan.limits, counts)).then_some((tenant, plan))
            });
            if let Some((tenant, plan)) = unlimited {
                let nothing = match &plan.limits.list[..] {
                    [] => "limits nothing",
                    list if list.iter().all(|limit| limit.shadow) => "has only shadow limits",
                    _ => "refuses only by tokens, money or model, which nobody reads in its messages",
                };
                uncovered(format!(
                    "a model endpoint that no limit covers: tenant `{}` may call it, and its plan `{}` {nothing}",
                    tenant.name.value, tenant.plan.value
                ));
            }
        }
    }

    /// Do limits written at the route, or at every model it may be asked for, refuse?
    fn limited(&self, route: &Route, policy: &Policy) -> bool {
        let counts = |limit: &Limit| route.auth.is_some() || limit.per == Per::Model;
        let model_limited = |model: &Model| refuses_some(&model.limits, counts);
        let by_model = match &route.metering.model {
            _ if !route.api.is_metered() => false,
            Some(name) if route.metering.fixed => {
                let mut models = policy.models.iter().filter(|model| model.name.value == name.value);
                self.broken.contains(&name.value) || models.any(model_limited)
            }
            // Whoever may name the model picks the one without a limit.
            _ => {
                let other = policy.models.iter().any(|model| &*model.name.value == super::models::OTHER);
                other && policy.models.iter().all(model_limited)
            }
        };
        route.limits.refuse() || by_model
    }
}

/// Does any of them that `counts` refuse requests?
fn refuses_some(limits: &Limits, counts: impl Fn(&Limit) -> bool) -> bool {
    limits.broken || limits.list.iter().any(|limit| !limit.shadow && counts(limit))
}
