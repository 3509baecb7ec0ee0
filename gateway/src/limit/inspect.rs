//! What operators see of the levels: plain values, read under the locks and printed after.

use super::Per;
use super::decide::{standing_of_rate, standing_of_slots};
use super::level::Level;
use super::pairs::Pair;
use super::registry::Registry;
use super::rules::Rules;
use super::tenant::Books;
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

/// Every limit that counts all requests on a route, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RouteState {
    /// The route.
    pub route: Arc<str>,
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
    /// Requests per window, or at the same time.
    pub quota: u64,
    /// Length of the window in milliseconds; absent for a limit on concurrency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_ms: Option<u64>,
    /// Most at once: the burst of a token bucket, else `quota`.
    pub most: u64,
    /// Requests that count now; for a limit on concurrency, the open ones.
    pub used: u64,
    /// Requests that would be admitted now.
    pub remaining: u64,
    /// Milliseconds until nothing counts any more, rounded up; absent for a limit on concurrency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reset_ms: Option<u64>,
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
    /// Routes, with those that are gone but not yet idle.
    pub routes: usize,
}

impl Registry {
    /// The limits of one tenant; None if nobody has this name.
    pub fn tenant_state(&self, name: &str, now: Now) -> Option<TenantState> {
        let tenant = self.look(|known| known.tenants.get(name).cloned())?;
        let limits = tenant.books.lock().states(now.mono_us);
        Some(TenantState { tenant: Arc::clone(tenant.name()), limits })
    }

    /// The limits of one route; None if none has this name.
    pub fn route_state(&self, name: &str, now: Now) -> Option<RouteState> {
        let route = self.look(|known| known.routes.get(name).cloned())?;
        let books = route.lock();
        let on = On { per: Per::Route, user: None, route: Some(route.name()), in_flight: books.in_flight };
        let limits = on.states(&books.rules.route, &books.levels, now.mono_us).collect();
        Some(RouteState { route: Arc::clone(route.name()), limits })
    }

    /// Counts what is kept. Takes every tenant's lock for an instant: for a scrape, not for a request.
    pub fn gauges(&self) -> Gauges {
        self.look(|known| {
            let start =
                Gauges { tenants: known.tenants.len(), routes: known.routes.len(), ..Gauges::default() };
            known.tenants.values().fold(start, |sum, tenant| {
                let books = tenant.books.lock();
                Gauges {
                    users: sum.users + books.users.each(&books.plan.user).count(),
                    tenant_routes: sum.tenant_routes + books.pairs.each().len(),
                    ..sum
                }
            })
        })
    }
}

impl Books {
    fn states(&self, now_us: u64) -> Vec<LimitState> {
        let plan = &self.plan;
        let own = On { per: Per::Tenant, user: None, route: None, in_flight: self.in_flight };
        let users = self.users.each(&plan.user).flat_map(|(name, levels, in_flight)| {
            let on = On { per: Per::User, user: Some(name), route: None, in_flight };
            on.states(&plan.user, levels, now_us)
        });
        let pairs = self.pairs.each().flat_map(|pair| pair.states(&plan.tenant_route, now_us));
        own.states(&plan.tenant, &self.levels, now_us).chain(users).chain(pairs).collect()
    }
}

impl Pair {
    fn states<'a>(&'a self, plan: &'a Rules, now_us: u64) -> impl Iterator<Item = LimitState> + 'a {
        let route = Some(self.route.name());
        let on = On { per: Per::TenantRoute, user: None, route, in_flight: self.in_flight };
        let by_plan = on.states(plan, &self.by_plan, now_us);
        by_plan.chain(on.states(&self.route_rules.tenant_route, &self.by_route, now_us))
    }
}

/// Who is counted.
#[derive(Clone, Copy)]
struct On<'a> {
    per: Per,
    user: Option<&'a Arc<str>>,
    route: Option<&'a Arc<str>>,
    in_flight: u32,
}

impl<'a> On<'a> {
    fn states(
        self,
        rules: &'a Rules,
        levels: &'a [Level],
        now_us: u64,
    ) -> impl Iterator<Item = LimitState> + 'a {
        let rates = rules.rates.iter().zip(levels);
        let rates = rates.map(move |(rate, level)| standing_of_rate(rate, level, now_us));
        let slots = rules.slots.iter().map(move |slots| standing_of_slots(slots, self.in_flight));
        rates.chain(slots).map(move |standing| {
            let counts_time = !standing.window.is_zero();
            LimitState {
                limit: standing.limit,
                per: self.per,
                user: self.user.cloned(),
                route: self.route.cloned(),
                quota: standing.quota,
                window_ms: counts_time.then_some(standing.window.as_millis() as u64),
                most: standing.most,
                used: standing.used,
                remaining: standing.remaining,
                reset_ms: counts_time.then_some(standing.reset.as_micros().div_ceil(1000) as u64),
            }
        })
    }
}
