//! What operators see of the levels: plain values, read under the locks and printed after; and the walk over all of
//! them, which [`totals`](super::totals) and [`forecast`](super::forecast) take too.

use super::common::Common;
use super::level::Level;
use super::levels::Open;
use super::pairs::Pair;
use super::registry::Registry;
use super::rules::{PlanRules, Rules};
use super::spend::{Spend, SpendRule};
use super::standing::{Standing, standing_of_rate, standing_of_slots, standing_of_spend};
use super::tally::Tally;
use super::tenant::Books;
use super::{Per, Unit};
use crate::clock::Now;
use serde::Serialize;
use std::sync::Arc;

/// Every limit that counts a tenant's requests, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TenantState {
    /// The tenant.
    pub tenant: Arc<str>,
    /// Its own limits, then those of its users, then those on routes it uses.
    pub limits: Vec<LimitState>,
}

/// Every limit that counts all requests on a route or for a model, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CommonState {
    /// The route or model.
    pub name: Arc<str>,
    /// In the order written, limits on concurrency last.
    pub limits: Vec<LimitState>,
}

/// Where one limit stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LimitState {
    /// Name of the limit.
    pub limit: Arc<str>,
    /// What it is counted per.
    pub per: Per,
    /// Whose use it is, for a limit per user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<Arc<str>>,
    /// On which route, for a limit per route or tenant+route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<Arc<str>>,
    /// For which model, for a limit per model or tenant+model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<Arc<str>>,
    /// What it counts.
    pub unit: Unit,
    /// So much of it per window, or at the same time.
    pub quota: u64,
    /// Length of the window in milliseconds (a month counts as 30 days); absent for a limit on concurrency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_ms: Option<u64>,
    /// Most at once: the burst of a token bucket, else `quota`.
    pub most: u64,
    /// What counts now, holds included; for a limit on concurrency, the open requests, of a shadow those that it
    /// would have let in.
    pub used: u64,
    /// The part of `used` that requests hold whose cost is not known yet.
    #[serde(skip_serializing_if = "is_zero")]
    pub held: u64,
    /// What would be admitted now.
    pub remaining: u64,
    /// What was spent beyond `most`, and is to be paid before the next admission.
    #[serde(skip_serializing_if = "is_zero")]
    pub debt: u64,
    /// Milliseconds until nothing counts any more, rounded up; absent for a limit on concurrency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reset_ms: Option<u64>,
    /// Counts and reports, but refuses nobody.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub shadow: bool,
    /// Ends streams in their middle once it is spent.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
    /// Comes back with the next day or month, and not bit by bit.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub budget: bool,
}

/// Left out where it says nothing.
fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// How much is kept in memory; for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Gauges {
    /// Tenants, with those that are gone but not yet idle.
    pub tenants: usize,
    /// Their users, likewise.
    pub users: usize,
    /// Tenants on routes where a limit per tenant+route counts them.
    pub tenant_routes: usize,
    /// Tenants for models they have used.
    pub tenant_models: usize,
    /// Routes, with those that are gone but not yet idle.
    pub routes: usize,
    /// Models, likewise.
    pub models: usize,
}

impl Registry {
    /// The limits of one tenant; None if nobody has this name.
    pub fn tenant_state(&self, name: &str, now: Now) -> Option<TenantState> {
        let tenant = self.look(|known| known.tenants.get(name).cloned())?;
        let mut limits = Vec::new();
        tenant.books.lock().each(now, &mut |seen| limits.push(seen.state()));
        Some(TenantState { tenant: Arc::clone(tenant.name()), limits })
    }

    /// The limits of one route; None if none has this name.
    pub fn route_state(&self, name: &str, now: Now) -> Option<CommonState> {
        self.look(|known| known.routes.get(name).cloned()).map(|route| route.state(now))
    }

    /// The limits of one model; None if none has this name.
    pub fn model_state(&self, name: &str, now: Now) -> Option<CommonState> {
        self.look(|known| known.models.get(name).cloned()).map(|model| model.state(now))
    }

    /// Counts what is kept. Takes every tenant's lock for an instant: for a scrape, not for a request.
    pub fn gauges(&self) -> Gauges {
        self.look(|known| {
            let (tenants, routes, models) = (known.tenants.len(), known.routes.len(), known.models.len());
            let start = Gauges { tenants, routes, models, ..Gauges::default() };
            known.tenants.values().fold(start, |sum, tenant| {
                let books = tenant.books.lock();
                Gauges {
                    users: sum.users + books.users.each(&books.plan.user).count(),
                    tenant_routes: sum.tenant_routes + books.on_routes.each().len(),
                    tenant_models: sum.tenant_models + books.for_models.each().len(),
                    ..sum
                }
            })
        })
    }
}

/// What was spent beyond the most there may be.
pub(super) fn debt(standing: &Standing) -> u64 {
    let spent = standing.used - standing.held.min(standing.used);
    spent.saturating_sub(standing.most)
}

/// One limit of one subject, looked at under its lock.
pub(super) struct Seen<'a> {
    pub(super) on: On<'a>,
    pub(super) tally: &'a Arc<Tally>,
    pub(super) shadow: bool,
    pub(super) standing: Standing,
    /// What is behind it, if it counts tokens or money.
    pub(super) spend: Option<(&'a SpendRule, &'a Spend)>,
}

/// Is told of every limit.
pub(super) type Each<'f> = dyn FnMut(Seen<'_>) + 'f;

impl Common {
    fn state(&self, now: Now) -> CommonState {
        let mut limits = Vec::new();
        self.each(now, &mut |seen| limits.push(seen.state()));
        CommonState { name: Arc::clone(self.name()), limits }
    }

    pub(super) fn each(&self, now: Now, each: &mut Each<'_>) {
        let books = self.lock();
        let on = On::common(self.per(), self);
        on.each(&books.rules.all, (&books.levels.rates, &books.levels.spends), books.open, now, each);
    }
}

impl Books {
    pub(super) fn each(&self, now: Now, each: &mut Each<'_>) {
        let plan = &self.plan;
        let own = On { per: Per::Tenant, user: None, route: None, model: None };
        own.each(&plan.tenant, (&self.levels.rates, &self.levels.spends), self.open, now, each);
        for (name, levels, open) in self.users.each(&plan.user) {
            On { per: Per::User, user: Some(name), ..own }.each(&plan.user, levels, open, now, each);
        }
        self.on_routes.each().chain(self.for_models.each()).for_each(|pair| pair.each_limit(plan, now, each));
    }
}

impl Pair {
    fn each_limit(&self, plan: &PlanRules, now: Now, each: &mut Each<'_>) {
        let on = On::common(self.common.per_tenant(), &self.common);
        on.each(self.plan_rules(plan), (&self.by_plan.rates, &self.by_plan.spends), self.open, now, each);
        on.each(
            &self.common_rules.tenant,
            (&self.by_common.rates, &self.by_common.spends),
            self.open,
            now,
            each,
        );
    }
}

/// Who is counted.
#[derive(Clone, Copy)]
pub(super) struct On<'a> {
    pub(super) per: Per,
    pub(super) user: Option<&'a Arc<str>>,
    pub(super) route: Option<&'a Arc<str>>,
    pub(super) model: Option<&'a Arc<str>>,
}

impl<'a> On<'a> {
    fn common(per: Per, common: &'a Common) -> On<'a> {
        let is_model = common.per() == Per::Model;
        let name = Some(common.name());
        On { per, user: None, route: name.filter(|_| !is_model), model: name.filter(|_| is_model) }
    }

    pub(super) fn each(
        self,
        rules: &Rules,
        (rates, spends): (&[Level], &[Spend]),
        open: Open,
        now: Now,
        each: &mut Each<'_>,
    ) {
        for (rate, level) in rules.rates.iter().zip(rates) {
            let standing = standing_of_rate(rate, level, now.mono_us);
            each(Seen { on: self, tally: &rate.tally, shadow: rate.shadow, standing, spend: None });
        }
        for slots in &rules.slots {
            let standing = standing_of_slots(slots, slots.used(open));
            each(Seen { on: self, tally: &slots.tally, shadow: slots.shadow, standing, spend: None });
        }
        for (rule, spend) in rules.spends.iter().zip(spends) {
            let (standing, behind) = (standing_of_spend(rule, spend, now), Some((rule, spend)));
            each(Seen { on: self, tally: &rule.tally, shadow: rule.shadow, standing, spend: behind });
        }
    }
}

impl Seen<'_> {
    pub(super) fn state(self) -> LimitState {
        let Seen { on, shadow, standing, spend, .. } = self;
        let counts_time = !standing.window.is_zero();
        LimitState {
            debt: debt(&standing),
            limit: standing.limit,
            per: on.per,
            user: on.user.cloned(),
            route: on.route.cloned(),
            model: on.model.cloned(),
            unit: standing.unit,
            quota: standing.quota,
            window_ms: counts_time.then_some(standing.window.as_millis() as u64),
            most: standing.most,
            used: standing.used,
            held: standing.held,
            remaining: standing.remaining,
            reset_ms: counts_time.then_some(standing.reset.as_micros().div_ceil(1000) as u64),
            shadow,
            cut: spend.is_some_and(|(rule, _)| rule.cut),
            budget: standing.budget,
        }
    }
}
