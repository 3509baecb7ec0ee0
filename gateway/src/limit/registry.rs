//! All tenants and routes by name, and how a new policy takes over their levels.

use super::route::Route;
use super::rules::{PlanRules, RouteRules};
use super::tenant::Tenant;
use super::users::UserIx;
use super::{Plan, RoutePlan};
use crate::clock::Now;
use ahash::AHashMap;
use parking_lot::Mutex;
use std::sync::Arc;

/// All levels, kept across reloads: one per gateway. Requests hold what they need and never look here.
#[derive(Default)]
pub struct Registry {
    known: Mutex<Known>,
}

#[derive(Default)]
pub(super) struct Known {
    pub(super) tenants: AHashMap<Arc<str>, Arc<Tenant>>,
    pub(super) routes: AHashMap<Arc<str>, Arc<Route>>,
}

/// A tenant to put in force.
pub struct TenantSpec {
    /// Unique; levels are kept by it.
    pub name: Arc<str>,
    /// Tenants of one plan share one `Arc`: it is compiled once.
    pub plan: Arc<Plan>,
    /// Names of its users, unique within the tenant; their levels are kept by them.
    pub users: Vec<Arc<str>>,
}

/// Handles to what a policy put in force, in the order given.
pub struct Applied {
    /// For each [`TenantSpec`].
    pub tenants: Vec<Enrolled>,
    /// For each route.
    pub routes: Vec<Arc<Route>>,
}

/// A tenant in force.
pub struct Enrolled {
    /// Its levels.
    pub tenant: Arc<Tenant>,
    /// The places of its users, in the order of [`TenantSpec::users`].
    pub users: Vec<UserIx>,
}

impl Registry {
    /// Puts a whole policy's plans in force: creates what is new, swaps the rules of what stays (levels are kept
    /// by limit name, each tenant at once), forgets what is gone once it is idle.
    ///
    /// Requests go on meanwhile. Those that began under the policy before meet the new rules too: levels have
    /// one set of rules at a time.
    pub fn apply(&self, tenants: &[TenantSpec], routes: &[(Arc<str>, Arc<RoutePlan>)], now: Now) -> Applied {
        let mut known = self.known.lock();
        // Routes first: a tenant's levels on a route are made for the route's rules in force.
        let routes = routes.iter().map(|(name, plan)| known.apply_route(name, plan, now.mono_us)).collect();
        let mut plans = Plans::default();
        let tenants = tenants
            .iter()
            .map(|spec| known.apply_tenant(spec, &plans.compiled(&spec.plan), now.mono_us))
            .collect();
        known.sweep(now.mono_us);
        Applied { tenants, routes }
    }

    /// Forgets what has gone from policy and become idle since. [`apply`](Registry::apply) does it too; call it now
    /// and then where reloads are rare.
    pub fn sweep(&self, now: Now) {
        self.known.lock().sweep(now.mono_us);
    }

    pub(super) fn look<T>(&self, at: impl FnOnce(&Known) -> T) -> T {
        at(&self.known.lock())
    }
}

impl Known {
    fn apply_route(&mut self, name: &Arc<str>, plan: &RoutePlan, now_us: u64) -> Arc<Route> {
        let new = || Arc::new(Route::new(Arc::clone(name)));
        let route = self.routes.entry(Arc::clone(name)).or_insert_with(new);
        route.apply(&Arc::new(RouteRules::of(plan)), now_us);
        Arc::clone(route)
    }

    fn apply_tenant(&mut self, spec: &TenantSpec, plan: &Arc<PlanRules>, now_us: u64) -> Enrolled {
        let new = || Arc::new(Tenant::new(Arc::clone(&spec.name)));
        let tenant = self.tenants.entry(Arc::clone(&spec.name)).or_insert_with(new);
        let users = tenant.apply(plan, &spec.users, now_us);
        Enrolled { tenant: Arc::clone(tenant), users }
    }

    /// What nobody else holds is in no policy and serves no request: it goes when it is idle. Tenants first, as their
    /// levels hold routes.
    fn sweep(&mut self, now_us: u64) {
        self.tenants.retain(|_, tenant| {
            let mut books = tenant.books.lock();
            let plan = Arc::clone(&books.plan);
            books.pairs.sweep(&plan.tenant_route, now_us);
            Arc::strong_count(tenant) > 1 || !books.idle(now_us)
        });
        self.routes.retain(|_, route| Arc::strong_count(route) > 1 || !route.lock().idle(now_us));
    }
}

/// Compiles each plan once, however many tenants have it.
#[derive(Default)]
struct Plans(AHashMap<*const Plan, Arc<PlanRules>>);

impl Plans {
    fn compiled(&mut self, plan: &Arc<Plan>) -> Arc<PlanRules> {
        let compiled = self.0.entry(Arc::as_ptr(plan));
        Arc::clone(compiled.or_insert_with(|| Arc::new(PlanRules::of(plan))))
    }
}
