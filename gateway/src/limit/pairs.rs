//! What a tenant uses of each route: the levels of limits per tenant+route.

use super::Per;
use super::decide::Subject;
use super::level::{self, Level};
use super::route::{Route, RouteKey};
use super::rules::{RouteRules, Rules};
use std::sync::Arc;

/// Made when a tenant first uses a route that such a limit covers, so never more than there are routes;
/// sorted by the routes' keys.
#[derive(Default)]
pub(super) struct Pairs(Vec<Pair>);

/// One tenant on one route. Limits of the tenant's plan and limits written at the route stand side by side:
/// their names may coincide.
pub(super) struct Pair {
    /// Also keeps the route, and so its key, for as long as the levels last.
    pub(super) route: Arc<Route>,
    /// The route's rules that `by_route` was made for.
    pub(super) route_rules: Arc<RouteRules>,
    pub(super) by_plan: Box<[Level]>,
    pub(super) by_route: Box<[Level]>,
    pub(super) in_flight: u32,
}

impl Pairs {
    /// The pair for `route`; None if no limit needs one. Allocates on first use; the route must not be locked.
    #[inline]
    pub(super) fn find(&mut self, route: &Arc<Route>, plan: &Rules) -> Option<&mut Pair> {
        if plan.is_empty() && !route.limits_tenants() {
            return None;
        }
        let at = match self.position(route.key()) {
            Ok(at) => at,
            Err(at) => {
                self.0.insert(at, Pair::new(route, plan));
                at
            }
        };
        Some(&mut self.0[at])
    }

    /// Counts an open request if a concurrency limit asks for it.
    #[inline]
    pub(super) fn open(&mut self, route: RouteKey, plan: &Rules) -> Option<RouteKey> {
        if self.0.is_empty() {
            return None;
        }
        let pair = self.position(route).ok().map(|at| &mut self.0[at])?;
        let counted = plan.has_slots() || pair.route_rules.tenant_route.has_slots();
        pair.in_flight += u32::from(counted);
        counted.then_some(route)
    }

    /// Ends what [`open`](Pairs::open) counted; until then the pair was not forgotten.
    pub(super) fn close(&mut self, route: RouteKey) {
        let at = self.position(route);
        debug_assert!(at.is_ok_and(|at| self.0[at].in_flight > 0), "a busy pair stays");
        if let Ok(at) = at {
            self.0[at].in_flight = self.0[at].in_flight.saturating_sub(1);
        }
    }

    /// Puts the plan's new rules and the routes' present ones in force, after forgetting what is idle.
    pub(super) fn apply(&mut self, from: &Rules, to: &Rules, now_us: u64) {
        self.sweep(from, now_us);
        for pair in &mut self.0 {
            pair.apply(from, to, now_us);
        }
    }

    /// Forgets idle pairs; the next use makes them anew.
    pub(super) fn sweep(&mut self, plan: &Rules, now_us: u64) {
        self.0.retain(|pair| !pair.idle(plan, now_us));
    }

    pub(super) fn each(&self) -> impl ExactSizeIterator<Item = &Pair> {
        self.0.iter()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn position(&self, route: RouteKey) -> Result<usize, usize> {
        self.0.binary_search_by_key(&route, |pair| pair.route.key())
    }
}

impl Pair {
    fn new(route: &Arc<Route>, plan: &Rules) -> Pair {
        let route_rules = route.rules();
        Pair {
            route: Arc::clone(route),
            by_plan: level::fresh(&plan.rates).collect(),
            by_route: level::fresh(&route_rules.tenant_route.rates).collect(),
            route_rules,
            in_flight: 0,
        }
    }

    /// The pair as subjects of a decision: by the plan's limits, and by the route's.
    #[inline]
    pub(super) fn subjects<'a>(&'a mut self, plan: &'a Rules) -> (Subject<'a>, Subject<'a>) {
        let Pair { route_rules, by_plan, by_route, in_flight, .. } = self;
        let subject = |rules, levels| Subject { per: Per::TenantRoute, rules, levels, in_flight: *in_flight };
        (subject(plan, by_plan), subject(&route_rules.tenant_route, by_route))
    }

    fn apply(&mut self, from: &Rules, to: &Rules, now_us: u64) {
        if from != to {
            self.by_plan = level::carried(&self.by_plan, &from.rates, &to.rates, now_us).collect();
        }
        let new = self.route.rules();
        let (old_rules, new_rules) = (&self.route_rules.tenant_route, &new.tenant_route);
        if old_rules != new_rules {
            let carried = level::carried(&self.by_route, &old_rules.rates, &new_rules.rates, now_us);
            self.by_route = carried.collect();
        }
        self.route_rules = new;
    }

    fn idle(&self, plan: &Rules, now_us: u64) -> bool {
        self.in_flight == 0
            && level::idle(&plan.rates, &self.by_plan, now_us)
            && level::idle(&self.route_rules.tenant_route.rates, &self.by_route, now_us)
    }
}
