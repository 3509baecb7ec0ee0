//! Is every model endpoint covered by a limit that refuses?

use super::models::OTHER;
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
            let free = self.free_model(route, policy);
            let bounds = |limit: &Limit| !(limit.is_money() && free.is_some());
            let is_limited = refuses_some(&route.limits, bounds) || self.limited_by_model(route, policy);
            if route.api == Api::Plain || route.unlimited.is_some() || is_limited {
                continue;
            }
            let path = format!("routes.{}", route.name.value);
            let own = match (&route.limits.list[..], free) {
                ([], _) => String::new(),
                (list, Some(free)) if !only_shadows(list) => {
                    format!("; its own count money, of which model `{free}` costs none")
                }
                _ => "; its own are shadows, which refuse nobody".into(),
            };
            let uncovered = |what: String, by: &Limits| {
                let by_money = [by, &route.limits].iter().any(|limits| refuses_some(limits, Limit::is_money));
                let help = match free.filter(|_| by_money) {
                    Some(free) => format!("give model `{free}` a `price`, {HELP}"),
                    None => HELP.into(),
                };
                self.problems.add(route.name.place, &path, format!("{what}{own}"), help);
            };
            let Some(rules) = &route.auth else {
                let what = "a model endpoint that anybody may call, and no limit covers it";
                uncovered(what.into(), &route.limits);
                continue;
            };
            let mut callers = policy.tenants.iter().filter(|tenant| tenant.may_call(&rules.kinds)).peekable();
            if callers.peek().is_none() {
                if self.problems.count() > 0 {
                    continue; // somebody might, once the rest is mended
                }
                let what =
                    "a model endpoint that no limit covers: it has none, and no tenant may call it yet";
                uncovered(what.into(), &route.limits);
                continue;
            }
            let unlimited = callers.find_map(|tenant| {
                let plan = &policy.plans[*plans.get(&tenant.plan.value)?];
                let counts = |limit: &Limit| {
                    route.api.is_counted(limit.per, limit.amount.value.is_spending()) && bounds(limit)
                };
                (!refuses_some(&plan.limits, counts)).then_some((tenant, plan))
            });
            if let Some((tenant, plan)) = unlimited {
                let nothing = match (&plan.limits.list[..], free) {
                    ([], _) => "limits nothing".into(),
                    (list, _) if only_shadows(list) => "has only shadow limits".into(),
                    (_, Some(free)) => format!("refuses only by money, of which model `{free}` costs none"),
                    _ => "refuses only by tokens, money or model, which nobody reads in its messages".into(),
                };
                let what = format!(
                    "a model endpoint that no limit covers: tenant `{}` may call it, and its plan `{}` {nothing}",
                    tenant.name.value, tenant.plan.value
                );
                uncovered(what, &plan.limits);
            }
        }
    }

    /// Do limits written at every model that the route may be asked for refuse?
    fn limited_by_model(&self, route: &Route, policy: &Policy) -> bool {
        let counts = |limit: &Limit, model: &Model| {
            (route.auth.is_some() || limit.per == Per::Model) && !(limit.is_money() && model.is_free())
        };
        let limited = |model: &Model| refuses_some(&model.limits, |limit| counts(limit, model));
        route.api.is_metered() && self.models_of(route, policy).all(|model| model.is_some_and(limited))
    }

    /// A model that the route may be asked for and that costs nothing: no amount of money bounds its requests.
    fn free_model<'p>(&self, route: &'p Route, policy: &'p Policy) -> Option<&'p str> {
        // Where none has a price, money is a problem of its own.
        let counts = route.api.is_metered() && policy.models.iter().any(|model| model.priced);
        let mut models = self.models_of(route, policy).filter(|_| counts);
        let free = models.find(|model| model.is_none_or(Model::is_free))?;
        Some(free.map_or(OTHER, |model| &model.name.value))
    }

    /// The models that the route may be asked for; None: one without an entry. Whoever may name it picks the one that
    /// has no limit, or no price.
    fn models_of<'p>(
        &self,
        route: &'p Route,
        policy: &'p Policy,
    ) -> impl Iterator<Item = Option<&'p Model>> + use<'p> {
        let fixed = route.metering.model.as_ref().filter(|_| route.metering.fixed).map(|name| &name.value);
        let is = move |model: &&Model| fixed.is_none_or(|name| *name == model.name.value);
        let known = fixed.is_some()
            || self.broken.iter().any(|name| **name == *OTHER)
            || policy.models.iter().any(|model| *model.name.value == *OTHER);
        policy.models.iter().filter(is).map(Some).chain((!known).then_some(None))
    }
}

fn only_shadows(list: &[Limit]) -> bool {
    list.iter().all(|limit| limit.shadow)
}

/// Does any of them that `counts` refuse requests?
fn refuses_some(limits: &Limits, counts: impl Fn(&Limit) -> bool) -> bool {
    limits.broken || limits.list.iter().any(|limit| !limit.shadow && counts(limit))
}
